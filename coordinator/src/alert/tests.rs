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
    let case = Case {
        model,
        scored: &scored,
        subject: AlertSubject::Household,
        disclosures: &disclosures,
        late: &late,
        holders: &holders,
        absent_lead: routing.absent_lead,
        unknowns: &[],
        attached: 0,
        weakest_link: Some(12.0),
        line_ids: &line_ids,
        why: Why::Entered,
        since: None,
    };
    let police = routing.recipients.iter().find(|r| &*r.agency == "police").unwrap();
    case.told(Envelope {
        id: AlertId::from_bytes([1; 16]),
        revision: 1,
        change: AlertChange::New,
        sweep: SweepId::new(1, [0; 8]),
        recipient: police,
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
    assert!(alert.rules.iter().any(|rule| rule.id == "X02" && rule.sentence.contains("adds up")));
    assert!(alert.rules.iter().any(|rule| rule.sentence.contains("disabled")));

    let agency_only = [NAMED[0], ("ASC_SUICIDAL_DISCLOSURE", Disclosure::AgencyOnly), NAMED[2]];
    let alert = told(&agency_only);
    assert!(alert.lines.iter().any(|line| line.sentence.contains("adult social care; ask them")));
    assert!(!format!("{alert:?}").to_lowercase().contains("suicid"));
}
