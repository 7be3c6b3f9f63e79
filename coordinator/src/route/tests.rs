use causeway_proto::catalogue::AgencyKind as K;

use super::*;
use crate::score::{
    fixture::{day, event, scenario},
    score,
};

const EVERYBODY: &[K] = K::ALL;

fn scored(name: &str, as_at: &str) -> Scored {
    score(Model::builtin(), &scenario(name), day(as_at), |_| true)
}

fn holders(kinds: &[K]) -> Vec<(Arc<str>, K)> {
    kinds.iter().map(|kind| (kind.as_str().into(), *kind)).collect()
}

fn told(routing: &Routing) -> Vec<(K, Duty)> {
    routing.recipients.iter().map(|recipient| (recipient.kind, recipient.duty)).collect()
}

fn routed(name: &str, as_at: &str, kinds: &[K]) -> Routing {
    route(Model::builtin(), &scored(name, as_at), &holders(kinds))
}

#[test]
fn larkrise_goes_to_adult_care_to_lead_and_to_police_and_housing() {
    let routing = routed("A", "2025-02-25", EVERYBODY);
    let expected =
        [(K::AdultSocialCare, Duty::Lead), (K::Police, Duty::Inform), (K::Housing, Duty::Inform)];
    assert_eq!(told(&routing), expected);
    assert_eq!(routing.absent_lead, None);

    let lead = &routing.recipients[0];
    let whys: Vec<_> = lead.reasons.iter().map(|reason| reason.why.clone()).collect();
    let (x01, x02) = (Why::Rule("X01".into()), Why::Rule("X02".into()));
    assert_eq!(whys, [x01, x02, Why::Domain(Domain::Ment)]);
}

#[test]
fn a_missing_follow_up_sets_the_question() {
    let routing = routed("A", "2025-03-12", EVERYBODY);
    assert_eq!(
        routing.recipients[0].reasons[0].question.as_deref(),
        Some("Has anyone assessed this person's state of mind since February 2025?")
    );
}

#[test]
fn moorfield_goes_to_adult_care_to_lead_and_to_the_fire_service_too() {
    let routing = routed("B", "2025-08-25", EVERYBODY);
    assert_eq!(told(&routing)[0], (K::AdultSocialCare, Duty::Lead));
    let mut informed: Vec<_> = told(&routing)[1..].iter().map(|(kind, _)| *kind).collect();
    informed.sort();
    assert_eq!(informed, [K::Police, K::Housing, K::Fire]);

    // The fire service hears of it because of the fire.
    let before = routed("B", "2025-08-23", EVERYBODY);
    assert!(!told(&before).contains(&(K::Fire, Duty::Inform)));
}

#[test]
fn station_road_goes_to_childrens_care_to_lead() {
    let routing = routed("C", "2025-09-23", EVERYBODY);
    assert_eq!(told(&routing)[0], (K::ChildrensSocialCare, Duty::Lead));
    let mut informed: Vec<_> = told(&routing)[1..].iter().map(|(kind, _)| *kind).collect();
    informed.sort();
    assert_eq!(informed, [K::Police, K::Housing, K::Schools, K::Nhs]);
}

#[test]
fn without_a_record_there_is_no_alert_to_send() {
    let routing = routed("A", "2025-02-25", &[K::Police, K::Dwp, K::Revenues]);
    assert_eq!(told(&routing), [(K::Police, Duty::Lead)]);
    assert_eq!(routing.absent_lead, Some(K::AdultSocialCare));
    let nobody = Routing::default();
    assert_eq!(routed("A", "2025-02-25", &[K::Schools, K::Nhs]), nobody);
}

#[test]
fn being_poor_is_nobodys_duty() {
    assert_eq!(routed("D_POOR", "2025-04-01", EVERYBODY), Routing::default());
}

#[test]
fn a_trace_of_harm_creates_no_duty() {
    let mut faint = event("PRB_BREACH", "2025-01-01", 1);
    faint.confidence = 0.2;
    let scored = score(Model::builtin(), &[faint], day("2025-01-01"), |_| true);
    assert_eq!(scored.lines.len(), 1);
    assert_eq!(route(Model::builtin(), &scored, &holders(EVERYBODY)), Routing::default());
}

#[test]
fn what_doubled_decides_whose_duty_it_is() {
    let falls = ["2025-01-01", "2025-01-05", "2025-01-09"];
    let falls = falls.into_iter().zip(1..).map(|(start, key)| event("NHS_FALLS_AMB", start, key));
    let events: Vec<_> = falls.collect();
    let scored = score(Model::builtin(), &events, day("2025-01-10"), |_| true);
    assert_eq!(scored.rules[0].id, "X13");
    let routing = route(Model::builtin(), &scored, &holders(EVERYBODY));
    assert_eq!(told(&routing), [(K::AdultSocialCare, Duty::Lead)]);
}

#[test]
fn of_two_agencies_of_one_kind_the_one_whose_reports_weigh_more_leads() {
    let mut events = scenario("A");
    for event in &mut events {
        if event.code.as_str() == "ASC_SUICIDAL_DISCLOSURE" {
            event.agency = "north-adults".into();
        }
    }
    let scored = score(Model::builtin(), &events, day("2025-02-25"), |_| true);
    let holders: Vec<_> = ["east-adults", "north-adults", "west-adults"]
        .map(|name| (Arc::from(name), K::AdultSocialCare))
        .into();
    let routing = route(Model::builtin(), &scored, &holders);
    let names: Vec<_> = routing.recipients.iter().map(|r| (&*r.agency, r.duty)).collect();
    let (lead, inform) = (Duty::Lead, Duty::Inform);
    assert_eq!(names, [("north-adults", lead), ("east-adults", inform), ("west-adults", inform)]);
}
