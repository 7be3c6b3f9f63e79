//! Two agencies' exports become one alert, which has a name again only where the name came from.

use std::time::Duration;

use causeway_proto::catalogue::AgencyKind;
use serde_json::Value;

use crate::village::{self, FIVE, Making, Village, alert, id, recipients, until};

#[test]
fn what_each_agency_knew_becomes_one_alert_with_a_name() -> anyhow::Result<()> {
    let village = village::five()?;
    let report = village.sweep()?;
    the_household_is_found(&report)?;
    everybody_with_a_duty_has_it(&village, &report)
}

#[test]
fn a_node_that_dials_out_is_told_like_one_that_is_dialled() -> anyhow::Result<()> {
    let mut village =
        Making { dial_out: &[AgencyKind::AdultSocialCare], ..Making::of(&FIVE) }.make()?;
    // Nobody may listen on a port of the node that dials out.
    village.town.start_nodes()?;
    let dialled = village.place(AgencyKind::AdultSocialCare);
    assert_eq!(village.town.nodes()[dialled].address, None);
    village.town.start_coordinator()?;
    until("the node to dial in", Duration::from_secs(30), || {
        let status = village.town.coordinate(&["status"])?.0;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let there = |node: &Value| node["problem"].as_str().is_none_or(str::is_empty);
        Ok((nodes.len() == FIVE.len() && nodes.iter().all(there)).then_some(()))
    })?;
    let report = village.sweep()?;
    the_household_is_found(&report)?;
    everybody_with_a_duty_has_it(&village, &report)
}

fn the_household_is_found(report: &Value) -> anyhow::Result<()> {
    for agency in report["agencies"].as_array().unwrap() {
        assert_eq!(agency.get("problem"), None, "{agency}");
    }
    let alert = alert(report)?;
    assert_eq!(alert["tier"], "T3", "{alert:#}");
    let (score, alone) =
        (alert["score"].as_f64().unwrap(), alert["best_single_agency"].as_f64().unwrap());
    assert!((69.0..=76.0).contains(&score), "{alert:#}");
    assert!(alone < score, "one agency alone would have seen it: {alert:#}");
    Ok(())
}

fn everybody_with_a_duty_has_it(village: &Village, report: &Value) -> anyhow::Result<()> {
    let told = recipients(report)?;
    assert!((2..FIVE.len()).contains(&told.len()), "{told:?}");
    let alert_id = alert(report)?["alert_id"].as_str().unwrap();
    for kind in FIVE {
        let agency = id(kind);
        if !told.iter().any(|who| who == agency.as_str()) {
            assert_eq!(village.inbox(kind)?, Vec::<Value>::new(), "{agency} has no duty");
            continue;
        }
        let inbox = until("the alert to arrive", Duration::from_secs(30), || {
            Ok(Some(village.inbox(kind)?).filter(|inbox| !inbox.is_empty()))
        })?;
        assert_eq!(inbox.len(), 1, "{inbox:?}");
        assert_eq!(inbox[0]["alert_id"], alert_id);
        let shown = village.town.ask_node(&agency, &["inbox", "show", alert_id])?;
        let people = shown["people"].as_array().unwrap();
        let refs: Vec<&str> = people.iter().filter_map(|person| person["key"].as_str()).collect();
        let ours: Vec<_> = village
            .people
            .records
            .iter()
            .filter(|r| r.agency == kind && r.truth.household == "HA")
            .collect();
        let mut known: Vec<&str> = ours.iter().map(|r| r.local_id.as_str()).collect();
        let mut shown_refs = refs.clone();
        known.sort_unstable();
        shown_refs.sort_unstable();
        assert_eq!(shown_refs, known, "{agency} is pointed at its own records and at no others");
        for record in ours {
            let person = people.iter().find(|person| person["key"] == *record.local_id).unwrap();
            let name = person["name"].as_str().unwrap();
            assert!(name.contains(&record.person.surname), "{agency} sees its own name again");
        }
    }
    Ok(())
}
