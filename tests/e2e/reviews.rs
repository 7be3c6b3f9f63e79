//! Professionals answer, facts are withdrawn, and what was said holds in later sweeps.

use std::{collections::BTreeSet, fs};

use anyhow::Context;
use causeway_node::tokenise::{chain::OwnKeys, keyring::Keyring};
use causeway_proto::{
    catalogue::AgencyKind::{self, AdultSocialCare, Housing, Police},
    ids::SweepId,
};
use serde_json::Value;
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

use crate::village::{self, AS_AT, FIVE, Making, PATIENCE, Village, alert, id, recipients, until};

/// Makes a sweep as at a day.
fn sweep(village: &Village, as_at: &str) -> anyhow::Result<Value> {
    Ok(village.town.coordinate(&["sweep", "--as-at", as_at])?.0)
}

/// What a sweep said of alerts: what was done, and why.
fn said(report: &Value) -> Vec<(String, String)> {
    let word = |alert: &Value, key: &str| alert[key].as_str().unwrap_or_default().to_owned();
    let alerts = report["alerts"].as_array().into_iter().flatten();
    alerts.map(|alert| (word(alert, "change"), word(alert, "reason"))).collect()
}

/// The village with its coordinator up, after the sweep in which household A surfaced.
pub(super) fn told() -> anyhow::Result<(Village, String, Vec<String>)> {
    let mut village = village::five()?;
    village.town.start_coordinator()?;
    told_in(village)
}

/// The same of a village whose coordinator is up.
fn told_in(village: Village) -> anyhow::Result<(Village, String, Vec<String>)> {
    let report = village.sweep()?;
    let id = alert(&report)?["alert_id"].as_str().context("an alert has an id")?.to_owned();
    let told = recipients(&report)?;
    for agency in &told {
        until("the alert is delivered", PATIENCE, || {
            let inbox = village.town.ask_node(&agency.parse()?, &["inbox", "list"])?;
            Ok(inbox.as_array().filter(|inbox| !inbox.is_empty()).map(|_| ()))
        })?;
    }
    Ok((village, id, told))
}

/// Answers at one agency's node, and waits until the coordinator has it.
fn answer(village: &Village, kind: AgencyKind, alert: &str, rest: &[&str]) -> anyhow::Result<()> {
    let args = [&["inbox", "review", alert, "--as-at", AS_AT, "--action"], rest].concat();
    village.town.ask_node(&id(kind), &args)?;
    until("the review is with the coordinator", PATIENCE, || {
        let shown = village.town.ask_node(&id(kind), &["inbox", "show", alert])?;
        Ok((shown["answer_sent"] == true).then_some(()))
    })
}

/// What became of the one alert, as the coordinator sees it.
pub(super) fn state(village: &Village) -> anyhow::Result<String> {
    let (alerts, _) = village.town.coordinate(&["alerts"])?;
    Ok(alerts[0]["state"].as_str().context("an alert has a state")?.to_owned())
}

#[test]
fn after_no_further_action_the_next_days_are_quiet() -> anyhow::Result<()> {
    let (village, alert, told) = told()?;
    assert!(told.contains(&id(AdultSocialCare).to_string()), "{told:?}");
    assert_eq!(state(&village)?, "open");
    let rest = ["no-further-action", "--reason", "benign-explanation"];
    answer(&village, AdultSocialCare, &alert, &rest)?;
    assert_eq!(state(&village)?, "reviewed");
    // On 12 March another rule applies, which would be news.
    for as_at in [AS_AT, "2025-02-26", "2025-03-12"] {
        let report = sweep(&village, as_at)?;
        assert_eq!(said(&report), [], "as at {as_at}");
        assert_eq!(report["reminders"], 0);
    }
    // Four weeks later it is news again, under the same id: continuity survived re-keying.
    let report = sweep(&village, "2025-03-26")?;
    assert_eq!(said(&report), [("update".to_owned(), "new_rule".to_owned())]);
    assert_eq!(report["alerts"][0]["alert_id"], alert.as_str());
    Ok(())
}

#[test]
fn a_review_comes_in_from_a_node_that_dials_out() -> anyhow::Result<()> {
    let mut village = Making { dial_out: &[AdultSocialCare], ..Making::of(&FIVE) }.make()?;
    village.town.start_nodes()?;
    village.town.start_coordinator()?;
    until("the node to dial in", PATIENCE, || {
        let status = village.town.coordinate(&["status"])?.0;
        let nodes = status["nodes"].as_array().cloned().unwrap_or_default();
        let there = |node: &Value| node["problem"].as_str().is_none_or(str::is_empty);
        Ok((nodes.len() == FIVE.len() && nodes.iter().all(there)).then_some(()))
    })?;
    let (village, alert, told) = told_in(village)?;
    assert!(told.contains(&id(AdultSocialCare).to_string()), "{told:?}");
    answer(&village, AdultSocialCare, &alert, &["acting"])?;
    assert_eq!(state(&village)?, "reviewed");
    Ok(())
}

#[test]
fn what_an_agency_does_is_seen_in_its_next_export_and_nobody_is_reminded() -> anyhow::Result<()> {
    let (mut village, _, _) = told()?;
    village.town.set_day("2025-02-28".parse()?);
    let node = &village.town.nodes()[village.place(AdultSocialCare)];
    let feed = node.agency.feeds.iter().find(|feed| feed.id == "events").context("a feed")?;
    let before = fs::read_to_string(&feed.file)?;
    let disclosed = before.lines().find(|line| line.contains("ASC_SUICIDAL_DISCLOSURE"));
    let mut fields: Vec<&str> = disclosed.context("a disclosure")?.split(',').collect();
    (fields[0], fields[2], fields[4]) = ("FOLLOW-1", "ASC_FOLLOWED_UP", "2025-02-27");
    fs::write(&feed.file, format!("{}\n{}\n", before.trim_end(), fields.join(",")))?;
    village.town.ingest_file(&id(AdultSocialCare), "events", &feed.file)?;
    assert_eq!(state(&village)?, "open");
    assert_eq!(said(&sweep(&village, "2025-02-28")?), []);
    assert_eq!(state(&village)?, "action_seen");
    // Nobody has answered for a week and more, and that is no matter.
    assert_eq!(sweep(&village, "2025-03-08")?["reminders"], 0);
    Ok(())
}

#[test]
fn who_does_not_answer_is_reminded_once() -> anyhow::Result<()> {
    let (village, _, _) = told()?;
    let reminders = |as_at| anyhow::Ok(sweep(&village, as_at)?["reminders"].clone());
    assert_eq!(reminders("2025-02-28")?, 0);
    assert_eq!(reminders("2025-03-08")?, 1);
    assert_eq!(reminders("2025-03-09")?, 0);
    Ok(())
}

#[test]
fn a_record_that_is_corrected_at_its_source_takes_the_alert_back_everywhere() -> anyhow::Result<()>
{
    let (village, alert, told) = told()?;
    corrected(&village)?;
    let report = sweep(&village, AS_AT)?;
    assert_eq!(said(&report), [("cancel".to_owned(), "withdrawn".to_owned())]);
    withdrawn_everywhere(&village, &alert, &told)?;
    assert_eq!(said(&sweep(&village, AS_AT)?), [], "it is taken back once");
    Ok(())
}

/// It was entered in the wrong column: somebody cares for another, and nobody spoke of suicide.
pub(super) fn corrected(village: &Village) -> anyhow::Result<()> {
    let node = &village.town.nodes()[village.place(AdultSocialCare)];
    let feed = node.agency.feeds.iter().find(|feed| feed.id == "events").context("a feed")?;
    let before = fs::read_to_string(&feed.file)?;
    let corrected = before.replace("ASC_SUICIDAL_DISCLOSURE", "ASC_UNPAID_CARER");
    assert_ne!(before, corrected);
    fs::write(&feed.file, corrected)?;
    village.town.ingest_file(&id(AdultSocialCare), "events", &feed.file).map(|_| ())
}

/// Everybody who was told sees the alert as withdrawn.
pub(super) fn withdrawn_everywhere(
    village: &Village,
    alert: &str,
    told: &[String],
) -> anyhow::Result<()> {
    for agency in told {
        until("the withdrawal is delivered", PATIENCE, || {
            let shown = village.town.ask_node(&agency.parse()?, &["inbox", "show", alert])?;
            Ok((shown["state"] == "withdrawn").then_some(()))
        })?;
    }
    assert_eq!(state(village)?, "cancelled");
    Ok(())
}

#[test]
fn a_wrong_record_is_kept_apart_in_this_sweep_and_in_later_ones() -> anyhow::Result<()> {
    let (village, alert, told) = told()?;
    let shown = village.town.ask_node(&id(AdultSocialCare), &["inbox", "show", &alert])?;
    let lines = shown["lines"].as_array().context("reasons")?;
    let at = lines.iter().position(|line| line["kind"] == "police").context("a police line")?;
    let number = (at + 1).to_string();
    answer(&village, AdultSocialCare, &alert, &["wrong-record", "--line", &number])?;
    let report = sweep(&village, AS_AT)?;
    assert_eq!(said(&report), [("cancel".to_owned(), "withdrawn".to_owned())]);
    withdrawn_everywhere(&village, &alert, &told)?;
    // Twice re-keyed, and still two people: nothing surfaces that needs both.
    for as_at in [AS_AT, "2025-02-26"] {
        assert_eq!(said(&sweep(&village, as_at)?), [], "as at {as_at}");
    }
    assert!(told.contains(&id(Police).to_string()) || told.contains(&id(Housing).to_string()));
    Ok(())
}

/// Every 16 bytes that a ledger holds as a number or as 32 hexadecimal digits.
fn names(village: &Village) -> anyhow::Result<BTreeSet<Vec<u8>>> {
    let folder = village.town.folder().join("coordinator");
    let mut found = BTreeSet::new();
    for name in ["ledger.db", "ledger.db-wal"] {
        let bytes = fs::read(folder.join(name)).unwrap_or_default();
        found.extend(bytes.windows(16).map(<[u8]>::to_vec));
        for window in bytes.windows(32).filter(|w| w.iter().all(u8::is_ascii_hexdigit)) {
            let text = std::str::from_utf8(window)?;
            found.insert(u128::from_str_radix(text, 16)?.to_be_bytes().to_vec());
        }
    }
    Ok(found)
}

#[test]
fn nothing_that_the_coordinator_stored_joins_two_sweeps() -> anyhow::Result<()> {
    let (village, alert, _) = told()?;
    answer(&village, AdultSocialCare, &alert, &["acting"])?;
    for as_at in ["2025-02-26", "2025-03-12"] {
        sweep(&village, as_at)?;
    }
    let handles = handles(&village)?;
    assert!(handles.len() > 100, "{}", handles.len());
    let known = u128::from_str_radix(&alert, 16)?.to_be_bytes().to_vec();
    // Handles stand in the outbox until they are delivered, and nowhere afterwards.
    until("no handle is stored", PATIENCE, || {
        let stored = names(&village)?;
        assert!(stored.contains(&known), "what is looked for would be found");
        Ok(stored.is_disjoint(&handles).then_some(()))
    })
}

/// Every handle that a node of the village made for its first records, in every sweep there was.
fn handles(village: &Village) -> anyhow::Result<BTreeSet<Vec<u8>>> {
    let ledger = village.town.folder().join("coordinator/ledger.db");
    let runtime = tokio::runtime::Runtime::new()?;
    let sweeps: Vec<(Vec<u8>,)> = runtime.block_on(async {
        let options = SqliteConnectOptions::new().filename(ledger).read_only(true);
        let pool = SqlitePool::connect_with(options).await?;
        sqlx::query_as("select id from sweep").fetch_all(&pool).await
    })?;
    assert!(sweeps.len() > 2, "there were several sweeps");
    let mut handles = BTreeSet::new();
    for node in village.town.nodes() {
        let deployment = village.town.ca().deployment().clone();
        let key = Keyring::new(node.folder.join("keys"), deployment).handle_key()?;
        for (sweep,) in &sweeps {
            let own = OwnKeys::new(&key, &SweepId::from_wire("id", sweep)?);
            handles.extend((0..200).map(|row| own.handle(row).as_bytes().to_vec()));
        }
    }
    Ok(handles)
}
