use causeway_proto::ids::EventKey;

use super::*;
use crate::{
    route::route,
    score::{self, Event},
};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn event(code: &str, agency: &str, start: &str, key: u8) -> Event {
    Event {
        person: 0,
        code: code.parse().unwrap(),
        start: day(start),
        end: None,
        key: EventKey::from_bytes([key; 16]),
        confidence: 1.0,
        shared: false,
        agency: agency.into(),
    }
}

fn told(disclosures: &[(&str, Disclosure)]) -> Alert {
    told_late(disclosures, &[])
}

fn told_late(disclosures: &[(&str, Disclosure)], late: &[(&str, &str)]) -> Alert {
    told_to("police", disclosures, late)
}

fn told_to(agency: &str, disclosures: &[(&str, Disclosure)], late: &[(&str, &str)]) -> Alert {
    told_where(agency, disclosures, late, |_| ())
}

fn told_where(
    agency: &str,
    disclosures: &[(&str, Disclosure)],
    late: &[(&str, &str)],
    change: impl FnOnce(&mut Case<'_>),
) -> Alert {
    let model = Model::builtin();
    let events = [
        event("POL_ASB_VICTIM", "police", "2025-01-11", 1),
        event("POL_ASB_VICTIM", "police", "2025-02-02", 2),
        event("POL_ASB_VICTIM", "police", "2025-02-19", 3),
        event("ASC_SUICIDAL_DISCLOSURE", "adults", "2025-02-24", 4),
        event("ASC_CARE_NEED", "adults", "2020-02-24", 5),
    ];
    let scored = score::score(model, &events, day("2025-02-25"), |_| true);
    let holders = [("police", AgencyKind::Police), ("adults", AgencyKind::AdultSocialCare)];
    let routing = route(model, &scored, &holders.map(|(id, kind)| (id.into(), kind)));
    let desk = Contact { service: "Adult duty desk".into(), ..Contact::default() };
    let holders = holders.map(|(id, kind)| Holder {
        agency: id.parse().unwrap(),
        kind,
        contact: (id == "adults").then(|| desk.clone()),
    });
    let disclosures = disclosures.iter().map(|(code, d)| (code.parse().unwrap(), *d)).collect();
    let late = late.iter().map(|(code, came)| (code.parse().unwrap(), day(came))).collect();
    let line_ids = vec![LineId::from_bytes([7; 16]); scored.lines.len()];
    let mut case = Case {
        model,
        scored: &scored,
        subject: AlertSubject::Household,
        disclosures: &disclosures,
        late: &late,
        holders: &holders,
        absent_lead: routing.absent_lead,
        lead_is_away: false,
        unknowns: &[],
        attached: 0,
        weakest_link: Some(12.0),
        line_ids: &line_ids,
        why: Why::Entered,
        since: None,
    };
    change(&mut case);
    let recipient = routing.recipients.iter().find(|r| &*r.agency == agency).unwrap();
    case.told(Envelope {
        id: AlertId::from_bytes([1; 16]),
        revision: 1,
        change: AlertChange::New,
        sweep: SweepId::new(1, [0; 8]),
        recipient,
        handles: vec![Handle::from_bytes([2; 16])],
    })
}

const NAMED: [(&str, Disclosure); 3] = [
    ("POL_ASB_VICTIM", Disclosure::Named),
    ("ASC_SUICIDAL_DISCLOSURE", Disclosure::Named),
    ("ASC_CARE_NEED", Disclosure::Named),
];

#[test]
fn a_line_tells_how_often_and_the_month_and_never_the_day() {
    let alert = told(&NAMED);
    let sentences: Vec<&str> = alert.lines.iter().map(|line| &*line.sentence).collect();
    assert!(sentences.contains(
        &"Anti-social behaviour reported 3 times, most recently in February 2025 (police)"
    ));
    assert_eq!(alert.news, ["Suicidal thoughts reported in February 2025 (adult social care)"]);
    let all = format!("{alert:?}");
    for day in ["24 February", "19 February"] {
        assert!(!all.contains(day), "{all}");
    }
    assert_eq!(alert.involved.len(), 1);
    assert_eq!(alert.involved[0].contact.as_ref().unwrap().service, "Adult duty desk");
}

#[test]
fn late_information_says_so_by_month_and_only_where_it_may_be_named() {
    let late = [("POL_ASB_VICTIM", "2025-02-25")];
    let sentence = "Late information, received in February 2025: Anti-social behaviour reported \
                    3 times, most recently in February 2025 (police)";
    let alert = told_late(&NAMED, &late);
    assert!(alert.news.iter().any(|news| news == sentence), "{:?}", alert.news);
    // It came long ago: that is no news.
    let alert = told_late(&NAMED, &[("POL_ASB_VICTIM", "2025-02-10")]);
    assert!(!format!("{:?}", alert.news).contains("Late"), "{:?}", alert.news);
    let counted = [("POL_ASB_VICTIM", Disclosure::Counted), NAMED[1], NAMED[2]];
    assert!(!format!("{:?}", told_late(&counted, &late).news).contains("Late"));
}

#[test]
fn what_may_only_count_is_not_mentioned_nor_named_by_a_rule() {
    let counted = [NAMED[0], ("ASC_SUICIDAL_DISCLOSURE", Disclosure::Counted), NAMED[2]];
    let alert = told(&counted);
    let all = format!("{alert:?}");
    assert!(!all.to_lowercase().contains("suicid"), "{all}");
    let ids: Vec<&str> = alert.rules.iter().map(|rule| &*rule.id).collect();
    assert_eq!(ids, ["X01", "", "X13"], "the id would say what its sentence does not");
    assert!(alert.rules[0].sentence.contains("disabled"));
    assert!(alert.rules[1].sentence.contains("adds up"));

    let agency_only = [NAMED[0], ("ASC_SUICIDAL_DISCLOSURE", Disclosure::AgencyOnly), NAMED[2]];
    let alert = told(&agency_only);
    assert!(alert.lines.iter().any(|line| line.sentence.contains("adult social care; ask them")));
    assert!(!format!("{alert:?}").to_lowercase().contains("suicid"));
}

#[test]
fn a_question_tells_of_nothing_but_what_may_be_named() {
    let asks = |disclosures: &[(&str, Disclosure)]| told_to("adults", disclosures, &[]).question;
    assert!(asks(&NAMED).contains("disability hate crime"));
    let counted = [("POL_ASB_VICTIM", Disclosure::Counted), NAMED[1], NAMED[2]];
    assert_eq!(asks(&counted), "Has anyone assessed how this person is since February 2025?");
    let nothing = [];
    assert_eq!(asks(&nothing), "Who else is involved here, and have you spoken with them?");
}

#[test]
fn a_hidden_address_does_not_say_what_may_only_count() {
    assert!(!told(&NAMED).hide_address);
    let counted = [("POL_ASB_VICTIM", Disclosure::Counted), NAMED[1], NAMED[2]];
    assert!(told(&counted).hide_address, "as it is beside domestic abuse");
}

#[test]
fn who_could_not_be_asked_is_not_said_to_hold_no_record() {
    let asks = |is_away| {
        let alert = told_where("adults", &NAMED, &[], |case| {
            (case.absent_lead, case.lead_is_away) = (Some(AgencyKind::Nhs), is_away);
        });
        alert.question
    };
    assert!(asks(false).ends_with("Does health, which holds no record here, know?"));
    assert!(asks(true).ends_with("Does health, which could not be asked for this, know?"));
}
