//! A sweep stays open and follows what changes at the agencies, and is always where a fresh one
//! would be.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::Context;
use causeway_proto::catalogue::AgencyKind::{AdultSocialCare, Nhs, Police};
use causeway_tests::town::process::Watched;
use serde_json::Value;

use crate::village::{AS_AT, Extract, FIVE, Making, PATIENCE, Village, id, problem, until};

/// Fresh sweeps, one of which has to be where the open one was.
const FRESH_SWEEPS: usize = 4;

#[test]
fn an_event_that_is_taken_in_becomes_an_alert_while_the_sweep_is_open() -> anyhow::Result<()> {
    let village = Making::of(&FIVE).up()?;
    let events = Extract::of(&village, AdultSocialCare, "events")?;
    let disclosed = |row: &str| row.contains("ASC_SUICIDAL_DISCLOSURE");
    assert!(events.rows.iter().any(|row| disclosed(row)));
    let mut before = events.clone();
    before.rows.retain(|row| !disclosed(row));
    // What is missing from two good extracts is gone. The same file twice would be one.
    before.take_in(&village)?;
    before.rows.reverse();
    before.renamed("again").take_in(&village)?;

    let sweep = village.town.watch(&["--as-at", AS_AT])?;
    let pass = sweep.next(PATIENCE)?;
    assert_eq!(pass["alerts"], serde_json::json!([]), "nothing was disclosed yet");
    events.renamed("with the disclosure").take_in(&village)?;
    let alert = loop {
        let burst = sweep.next(PATIENCE)?;
        assert_eq!(burst["persons"], pass["persons"]);
        if let Some(alert) = burst["alerts"].as_array().and_then(|alerts| alerts.first()) {
            assert_eq!(burst["scored"], 1, "her household, and no other: {burst:#}");
            break alert.clone();
        }
    };
    assert_eq!(alert["tier"], "T3", "{alert:#}");
    let inbox = until("the alert to arrive", PATIENCE, || {
        Ok(Some(village.inbox(Police)?).filter(|inbox| !inbox.is_empty()))
    })?;
    assert_eq!(inbox[0]["alert_id"], alert["alert_id"]);
    assert_eq!(ends_where_a_fresh_one_is(&village, sweep, &BTreeMap::new())?, None);
    Ok(())
}

#[test]
fn an_agency_whose_agreements_end_leaves_the_open_sweep_until_there_are_others()
-> anyhow::Result<()> {
    let village = Making::of(&FIVE).up()?;
    village.settings(|text| text.replace("[sweep]\n", "[sweep]\nrejoin_seconds = 1\n"))?;
    let file = village.town.folder().join(id(Nhs).as_str()).join("policy.toml");
    let policy = fs::read_to_string(&file)?;
    let ended = "lawful_basis = \"6(1)(e)\"\nexpires = \"2020-01-01\"";

    let mut sweep = village.town.watch(&["--as-at", AS_AT])?;
    let pass = sweep.next(PATIENCE)?;
    fs::write(&file, policy.replace("lawful_basis = \"6(1)(e)\"", ended))?;
    let without = sweep.next(PATIENCE)?;
    let why = problem(&without, Nhs).context("it is left out")?;
    assert!(why.starts_with("refused: ") && why.contains("policy allows none"), "{why}");
    assert!(without["records"].as_u64() < pass["records"].as_u64(), "{without:#}");

    fs::write(&file, policy)?;
    let with = sweep.next(PATIENCE)?;
    assert_eq!((problem(&with, Nhs), &with["records"]), (None, &pass["records"]));
    sweep.running.stop()?;
    Ok(())
}

#[test]
fn a_coordinator_that_sweeps_by_itself_makes_way_for_a_sweep_that_is_asked_for()
-> anyhow::Result<()> {
    let mut village = Making::of(&FIVE).up()?;
    village.settings(|text| format!("{text}\n[schedule]\ndaily_at = \"03:00\"\n"))?;
    village.town.start_coordinator()?;
    let log = |village: &mut Village| -> anyhow::Result<usize> {
        let running = village.town.coordinator_mut().context("it runs")?;
        Ok(running.log().matches("made a pass, and follows what changes").count())
    };
    for passes in 1..=2 {
        until("a pass of its own", PATIENCE, || Ok((log(&mut village)? >= passes).then_some(())))?;
        let report = village.sweep()?;
        let problems = report["agencies"].as_array().context("agencies")?.iter();
        assert_eq!(problems.filter(|agency| agency.get("problem").is_some()).count(), 0);
        assert!(report["persons"].as_u64() > Some(0), "{report:#}");
    }
    Ok(())
}

/// Waits until a sweep has followed every agency up to a position, ends it, and compares it with fresh
/// ones. Returns how many persons and households it and the fresh ones came to, where these differ.
///
/// How alike two texts are is estimated under a key that every sweep has of its own, and weights are
/// learnt from whom a sweep saw first. So of a pair that lies just between one person and two, one sweep
/// may say this and another that: about one history in thirty has such a pair.
pub(super) fn ends_where_a_fresh_one_is(
    village: &Village,
    mut sweep: Watched,
    positions: &BTreeMap<String, u64>,
) -> anyhow::Result<Option<String>> {
    let mut last = Value::Null;
    let has_followed = |burst: &Value| {
        let agencies = burst["agencies"].as_array().cloned().unwrap_or_default();
        agencies.iter().all(|agency| {
            let at = agency["position"].as_u64().unwrap_or(0);
            let wanted = agency["id"].as_str().and_then(|id| positions.get(id));
            wanted.is_none_or(|wanted| at >= *wanted)
        })
    };
    while !positions.is_empty() && (last.is_null() || !has_followed(&last)) {
        last = sweep.next(Duration::from_secs(60))?;
    }
    sweep.running.stop()?;
    let mut differences = Vec::new();
    for _ in 0..FRESH_SWEEPS {
        let fresh = village.sweep()?;
        for agency in fresh["agencies"].as_array().context("agencies")? {
            assert_eq!(agency.get("problem"), None, "{agency}");
        }
        assert_eq!(fresh["alerts"], serde_json::json!([]), "everything was told already");
        if positions.is_empty() {
            return Ok(None);
        }
        for what in ["records", "signals_asked_for"] {
            assert_eq!(last[what], fresh[what], "{what}\nlive: {last:#}\nfresh: {fresh:#}");
        }
        let came_to = |report: &Value| format!("{} in {}", report["persons"], report["households"]);
        let (live, fresh) = (came_to(&last), came_to(&fresh));
        if live == fresh {
            return Ok(None);
        }
        differences.push(format!("{live} households, and a fresh sweep {fresh}"));
    }
    Ok(Some(differences.join("; ")))
}
