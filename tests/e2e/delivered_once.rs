//! An alert that was decided reaches everybody with a duty once, whoever is killed in between.

use std::{collections::BTreeSet, fs, time::Duration};

use causeway_proto::catalogue::AgencyKind::{self, AdultSocialCare, Housing, Nhs, Police};
use causeway_tests::{
    town::process::Agent,
    wiretap::{
        Call,
        Meddling::{CutAnswer, HoldAnswer, Instead, Refuse},
        Served,
    },
};
use serde_json::Value;

use crate::village::{self, AS_AT, FIVE, Tapped, alert, id, problem, recipients, tapped, until};

const DELIVER: &str = "DeliverAlert";
/// Longer than a lease, which whoever was killed has left behind.
const SOON: Duration = Duration::from_secs(60);

/// Every agency that is told of the household.
const TOLD: [AgencyKind; 3] = [AdultSocialCare, Police, Housing];

/// Waits until nothing waits for delivery any more; then everybody has exactly this alert.
fn everybody_has_it_once(tapped: &Tapped, alert_id: &str) -> anyhow::Result<()> {
    let village = &tapped.village;
    until("everything to be delivered", SOON, || {
        let status = village.town.coordinate(&["status"])?.0;
        Ok((status["deliveries_waiting"] == 0).then_some(()))
    })?;
    for kind in FIVE {
        let inbox = village.inbox(kind)?;
        let ids: Vec<&str> = inbox.iter().filter_map(|a| a["alert_id"].as_str()).collect();
        let wanted: &[&str] = if TOLD.contains(&kind) { &[alert_id] } else { &[] };
        assert_eq!(ids, wanted, "{kind}");
    }
    Ok(())
}

/// Makes a sweep by the coordinator that serves; returns the alert's id.
fn decide(tapped: &Tapped) -> anyhow::Result<String> {
    let report = tapped.village.sweep()?;
    let told: BTreeSet<String> = recipients(&report)?.into_iter().collect();
    assert_eq!(told, TOLD.map(|kind| id(kind).to_string()).into());
    Ok(alert(&report)?["alert_id"].as_str().unwrap().to_owned())
}

#[test]
fn a_coordinator_killed_between_decision_and_delivery_delivers_when_it_is_back()
-> anyhow::Result<()> {
    let mut tapped = tapped()?;
    // One recipient cannot be reached; another has it, and nobody heard that it has.
    tapped.tap(AdultSocialCare).meddle(Some((DELIVER, Refuse)));
    tapped.tap(Police).meddle(Some((DELIVER, HoldAnswer)));
    tapped.village.town.start_coordinator()?;
    let alert_id = decide(&tapped)?;
    until("the police and housing to have it", SOON, || {
        let has = |kind| anyhow::Ok(tapped.village.inbox(kind)?.len() == 1);
        Ok((has(Police)? && has(Housing)?).then_some(()))
    })?;
    until("one to be acknowledged", SOON, || {
        let status = tapped.village.town.coordinate(&["status"])?.0;
        Ok((status["deliveries_waiting"] == 2).then_some(()))
    })?;
    assert_eq!(tapped.village.inbox(AdultSocialCare)?, Vec::<Value>::new());

    tapped.village.town.coordinator_mut().unwrap().kill()?;
    tapped.taps.iter().for_each(|tap| tap.meddle(None));
    assert_eq!(tapped.village.inbox(AdultSocialCare)?, Vec::<Value>::new());
    tapped.take();
    tapped.village.town.start_coordinator()?;
    everybody_has_it_once(&tapped, &alert_id)?;
    // The police were told twice, and say so; housing had acknowledged, and was not asked again.
    let tries = |kind| tapped.tap(kind).take().of(DELIVER).count();
    assert_eq!((tries(Police), tries(Housing)), (1, 0));
    let log = tapped.village.town.coordinator_mut().unwrap().log();
    let duplicate = |line: &str| line.contains("duplicate=true") && line.contains("police");
    assert!(log.lines().any(duplicate), "{log}");
    Ok(())
}

#[test]
fn a_node_killed_before_or_after_it_stored_an_alert_has_it_once() -> anyhow::Result<()> {
    let mut tapped = tapped()?;
    tapped.tap(AdultSocialCare).meddle(Some((DELIVER, Refuse)));
    tapped.tap(Police).meddle(Some((DELIVER, HoldAnswer)));
    tapped.village.town.start_coordinator()?;
    let alert_id = decide(&tapped)?;
    until("the police to have stored it", SOON, || {
        Ok((tapped.village.inbox(Police)?.len() == 1).then_some(()))
    })?;
    for kind in [AdultSocialCare, Police] {
        tapped.village.node(kind)?.kill()?;
        tapped.tap(kind).meddle(None);
    }
    // Stored is stored: it is there while nobody is up to answer for it.
    assert_eq!(tapped.village.inbox(Police)?.len(), 1);
    assert_eq!(tapped.village.inbox(AdultSocialCare)?.len(), 0);
    until("a delivery to fail", SOON, || {
        let log = tapped.village.town.coordinator_mut().unwrap().log();
        let failed = |line: &str| line.contains("could not deliver") && line.contains("adult");
        Ok(log.lines().any(failed).then_some(()))
    })?;
    for kind in [AdultSocialCare, Police] {
        tapped.restart(kind)?;
    }
    everybody_has_it_once(&tapped, &alert_id)
}

#[test]
fn a_delivery_whose_answer_makes_no_sense_is_repeated_and_stored_once() -> anyhow::Result<()> {
    let mut tapped = tapped()?;
    let nonsense = |_| Served { pieces: vec![vec![0, 0, 0, 0, 9, 0xff]], ..Served::default() };
    tapped.tap(Police).meddle(Some((DELIVER, Instead(nonsense))));
    tapped.village.town.start_coordinator()?;
    let alert_id = decide(&tapped)?;
    until("the delivery to be repeated", SOON, || {
        let tries = tapped.tap(Police).look(|heard| heard.of(DELIVER).count());
        Ok((tries >= 3).then_some(()))
    })?;
    assert_eq!(tapped.village.inbox(Police)?.len(), 1);
    tapped.tap(Police).meddle(None);
    everybody_has_it_once(&tapped, &alert_id)
}

#[test]
fn two_couriers_of_one_ledger_deliver_no_duplicate() -> anyhow::Result<()> {
    let mut tapped = tapped()?;
    tapped.taps.iter().for_each(|tap| tap.meddle(Some((DELIVER, Refuse))));
    tapped.village.town.start_coordinator()?;
    let alert_id = decide(&tapped)?;
    // A second coordinator of the same ledger, as where two share the work.
    let config = tapped.village.town.coordinator_config();
    let text = fs::read_to_string(&config)?;
    let listen = format!("listen = \"{}\"", tapped.village.town.coordinator_address());
    let other = "listen = \"127.0.0.1:0\"\ncontrol = \"second.sock\"";
    assert!(text.contains(&listen));
    let second = config.with_file_name("second.toml");
    fs::write(&second, text.replace(&listen, other))?;
    let home = tapped.village.scratch().join("second");
    fs::create_dir_all(&home)?;
    let launcher = tapped.village.town.launcher().clone();
    let (second, _) = launcher.serve(Agent::Coordinator, &second, &home)?;
    until("both to have tried", SOON, || {
        let tried = |log: String| log.contains("could not deliver");
        let first = tapped.village.town.coordinator_mut().unwrap().log();
        Ok((tried(first) && tried(second.log())).then_some(()))
    })?;

    tapped.take();
    tapped.taps.iter().for_each(|tap| tap.meddle(None));
    everybody_has_it_once(&tapped, &alert_id)?;
    for kind in TOLD {
        assert_eq!(tapped.tap(kind).take().of(DELIVER).count(), 1, "{kind}");
    }
    Ok(())
}

#[test]
fn a_node_killed_in_the_middle_of_its_stream_is_named_and_the_next_sweep_is_whole()
-> anyhow::Result<()> {
    let mut tapped = tapped()?;
    tapped.tap(Nhs).meddle(Some(("StreamTokens", CutAnswer(2_000))));
    let sweeping = in_the_background(&tapped);
    in_mid_stream(&tapped, Nhs)?;
    tapped.village.node(Nhs)?.kill()?;
    let report = sweeping.join().unwrap()?;
    let said = problem(&report, Nhs).unwrap();
    assert!(said.starts_with("cannot be reached: "), "{said}");
    for kind in FIVE.into_iter().filter(|kind| *kind != Nhs) {
        assert_eq!(problem(&report, kind), None);
    }
    // The household is found all the same, and the alert says who was missing.
    let unknowns = alert(&report)?["unknowns"].to_string();
    assert!(unknowns.contains("nhs"), "{unknowns}");
    let range: Vec<f64> = serde_json::from_value(alert(&report)?["range"].clone())?;
    assert!(range[0] < range[1], "{range:?}");

    tapped.tap(Nhs).meddle(None);
    tapped.restart(Nhs)?;
    let report = tapped.village.sweep()?;
    for kind in FIVE {
        assert_eq!(problem(&report, kind), None);
    }
    for kind in TOLD {
        // Once, or once and an update of the same alert; never two alerts.
        assert_eq!(tapped.village.inbox(kind)?.len(), 1);
    }
    Ok(())
}

#[test]
fn a_stream_goes_on_where_it_broke_when_the_node_is_back_in_time() -> anyhow::Result<()> {
    let mut tapped = tapped()?;
    tapped.settings(|text| text.replace("patience_seconds = 2", "patience_seconds = 60"))?;
    tapped.tap(Nhs).meddle(Some(("StreamTokens", CutAnswer(2_000))));
    let sweeping = in_the_background(&tapped);
    in_mid_stream(&tapped, Nhs)?;
    tapped.village.node(Nhs)?.kill()?;
    tapped.tap(Nhs).meddle(None);
    tapped.restart(Nhs)?;
    let report = sweeping.join().unwrap()?;
    assert_eq!(problem(&report, Nhs), None);
    assert!(tapped.tap(Nhs).take().of("StreamTokens").count() >= 2);
    let score = alert(&report)?["score"].as_f64().unwrap();
    assert!((69.0..=76.0).contains(&score), "as if nothing had happened: {score}");
    Ok(())
}

fn in_the_background(tapped: &Tapped) -> std::thread::JoinHandle<anyhow::Result<Value>> {
    let town = &tapped.village.town;
    let (launcher, config) = (town.launcher().clone(), town.coordinator_config());
    std::thread::spawn(move || {
        let sweep = ["sweep", "--as-at", AS_AT];
        Ok(launcher.json(Agent::Coordinator, &config, &sweep)?.0)
    })
}

/// Waits until a part of an agency's stream is through, which is as much as will come.
fn in_mid_stream(tapped: &Tapped, kind: AgencyKind) -> anyhow::Result<()> {
    until("the stream to stand still", village::PATIENCE, || {
        let through = |call: &Call| call.answered.len() >= 2_000;
        let still = tapped.tap(kind).look(|heard| heard.of("StreamTokens").any(through));
        Ok(still.then_some(()))
    })
}

#[test]
fn an_alert_that_nobody_has_yet_is_delivered_before_the_next_sweep_and_not_decided_again()
-> anyhow::Result<()> {
    let mut tapped = tapped()?;
    tapped.taps.iter().for_each(|tap| tap.meddle(Some((DELIVER, Refuse))));
    tapped.village.town.start_coordinator()?;
    let alert_id = decide(&tapped)?;
    until("pauses to grow long", SOON, || {
        let log = tapped.village.town.coordinator_mut().unwrap().log();
        Ok(log.contains("attempts=4 ").then_some(()))
    })?;
    // The next sweep comes round while everybody waits for the next try.
    tapped.taps.iter().for_each(|tap| tap.meddle(None));
    let report = tapped.village.sweep()?;
    assert_eq!(report["alerts"], serde_json::json!([]), "it is known, and nothing is new");
    everybody_has_it_once(&tapped, &alert_id)
}

#[test]
fn a_coordinator_killed_anywhere_in_its_sweeps_tells_everybody_once() -> anyhow::Result<()> {
    let mut tapped = tapped()?;
    let mut interrupted = 0;
    // From before the first call to after the last delivery, and some in between.
    for wait_ms in [0, 60, 120, 240, 360, 480, 720] {
        tapped.village.town.start_coordinator()?;
        let sweeping = in_the_background(&tapped);
        // Time is what is tried out here, and nothing is waited for.
        std::thread::sleep(Duration::from_millis(wait_ms));
        tapped.village.town.coordinator_mut().unwrap().kill()?;
        // The others were over by then, or were made without the coordinator that was dead already.
        interrupted += u32::from(sweeping.join().unwrap().is_err());
    }
    assert!(interrupted > 0, "no sweep was interrupted");
    tapped.village.town.start_coordinator()?;
    tapped.village.sweep()?;
    let (issued, _) = tapped.village.town.coordinate(&["alerts"])?;
    let issued = issued.as_array().unwrap();
    assert_eq!(issued.len(), 1, "decided once: {issued:#?}");
    everybody_has_it_once(&tapped, issued[0]["alert_id"].as_str().unwrap())
}
