//! A sweep stays open and follows what changes at the agencies, and is always where a fresh one
//! would be.

use std::{collections::BTreeMap, fs, path::PathBuf, time::Duration};

use anyhow::Context;
use causeway_proto::catalogue::AgencyKind::{self, AdultSocialCare, Police};
use causeway_tests::town::process::Watched;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::Value;

use crate::village::{AS_AT, FIVE, Making, PATIENCE, Village, id, until};

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
            break alert.clone();
        }
    };
    assert_eq!(alert["tier"], "T3", "{alert:#}");
    let inbox = until("the alert to arrive", PATIENCE, || {
        Ok(Some(village.inbox(Police)?).filter(|inbox| !inbox.is_empty()))
    })?;
    assert_eq!(inbox[0]["alert_id"], alert["alert_id"]);
    ends_where_a_fresh_one_is(&village, sweep, &BTreeMap::new())
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

/// Exports that change in all ways, and nodes that die and come back.
#[test]
fn after_any_history_the_open_sweep_is_where_a_fresh_one_would_be() -> anyhow::Result<()> {
    // Nodes that dial out are found again wherever they listen.
    let mut village = Making { dial_out: &FIVE, ..Making::of(&FIVE) }.make()?;
    village.town.start_nodes()?;
    // Nodes take their time to dial again after a coordinator went down.
    village.settings(|text| {
        text.replace("_seconds = 10\n", "_seconds = 60\n")
            .replace("_seconds = 2\n", "_seconds = 60\n")
    })?;
    let mut sweep = village.town.watch(&["--as-at", AS_AT])?;
    sweep.next(PATIENCE)?;
    let mut random = StdRng::seed_from_u64(20_250_225);
    let mut extracts: BTreeMap<(AgencyKind, &str), Extract> = BTreeMap::new();
    for kind in FIVE {
        for feed in ["people", "events"] {
            extracts.insert((kind, feed), Extract::of(&village, kind, feed)?);
        }
    }
    for step in 0..30 {
        let kind = FIVE[random.random_range(0..FIVE.len())];
        if random.random_bool(0.1) {
            sweep.running.kill()?;
            sweep = village.town.watch(&["--as-at", AS_AT])?;
            sweep.next(Duration::from_secs(60))?;
            continue;
        }
        if random.random_bool(0.2) {
            village.node(kind)?.kill()?;
            village.town.start_node(village.place(kind))?;
            continue;
        }
        let feed = if random.random_bool(0.5) { "people" } else { "events" };
        let extract = extracts.get_mut(&(kind, feed)).context("an extract")?;
        extract.change(&mut random, step);
        extract.renamed(&step.to_string()).take_in(&village)?;
    }
    // After these have come through, so has everything before.
    let mut expected = BTreeMap::new();
    for kind in FIVE {
        let extract = extracts.get_mut(&(kind, "people")).context("an extract")?;
        extract.rows.push(somebody(kind));
        extract.renamed("the last").take_in(&village)?;
        expected.insert(id(kind).to_string(), position(&village, kind)?);
    }
    ends_where_a_fresh_one_is(&village, sweep, &expected)?;
    every_alert_is_accounted_for(&village)
}

/// Whatever was decided is on every recipient's disk, and nobody holds anything else.
fn every_alert_is_accounted_for(village: &Village) -> anyhow::Result<()> {
    let issued = village.town.coordinate(&["alerts"])?.0;
    let issued = issued.as_array().context("a list of alerts")?;
    assert!(!issued.is_empty(), "household A is at risk in all of this");
    let mut expected: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for alert in issued {
        assert_eq!(
            alert["delivered"],
            alert["recipients"].as_array().map_or(0, Vec::len),
            "{alert}"
        );
        let id = alert["alert_id"].as_str().context("an id")?;
        for recipient in alert["recipients"].as_array().into_iter().flatten() {
            expected.entry(recipient.as_str().context("a name")?.to_owned()).or_default().push(id);
        }
    }
    let known: Vec<&str> = issued.iter().filter_map(|alert| alert["alert_id"].as_str()).collect();
    for kind in FIVE {
        let inbox = village.inbox(kind)?;
        let held: Vec<&str> = inbox.iter().filter_map(|entry| entry["alert_id"].as_str()).collect();
        for id in expected.get(id(kind).as_str()).into_iter().flatten() {
            assert!(held.contains(id), "{kind} was told of {id} and holds {held:?}");
        }
        for id in held {
            assert!(known.contains(&id), "{kind} holds {id}, which was never issued");
        }
    }
    Ok(())
}

/// Waits until a sweep has followed every agency up to a position, ends it, and compares it with a fresh
/// one.
fn ends_where_a_fresh_one_is(
    village: &Village,
    mut sweep: Watched,
    positions: &BTreeMap<String, u64>,
) -> anyhow::Result<()> {
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
    let fresh = village.sweep()?;
    for agency in fresh["agencies"].as_array().context("agencies")? {
        assert_eq!(agency.get("problem"), None, "{agency}");
    }
    if !positions.is_empty() {
        for what in ["records", "persons", "households", "signals_asked_for"] {
            assert_eq!(last[what], fresh[what], "{what}\nlive: {last:#}\nfresh: {fresh:#}");
        }
    }
    assert_eq!(fresh["alerts"], serde_json::json!([]), "everything was told already");
    Ok(())
}

/// An agency's full extract of one feed.
#[derive(Clone)]
struct Extract {
    kind: AgencyKind,
    feed: String,
    header: String,
    rows: Vec<String>,
    name: String,
}

impl Extract {
    /// Reads what the agency took in at first.
    fn of(village: &Village, kind: AgencyKind, feed: &str) -> anyhow::Result<Self> {
        let agency = &village.town.nodes()[village.place(kind)].agency;
        let file = agency.feeds.iter().find(|of| of.id == feed).context("it has that feed")?;
        let text = fs::read_to_string(&file.file)?;
        let mut lines = text.lines().map(str::to_owned);
        let header = lines.next().context("a header")?;
        let rows = lines.collect();
        Ok(Self { kind, feed: feed.into(), header, rows, name: "first".into() })
    }

    fn renamed(&self, name: &str) -> Self {
        Self { name: name.replace(' ', "-"), ..self.clone() }
    }

    fn take_in(&self, village: &Village) -> anyhow::Result<()> {
        let file: PathBuf =
            village.scratch().join(format!("{}-{}-{}.csv", self.kind, self.feed, self.name));
        fs::write(&file, format!("{}\n{}\n", self.header, self.rows.join("\n")))?;
        village.town.ingest_file(&id(self.kind), &self.feed, &file).map(|_| ())
    }

    /// Takes a row out, puts another in its place, or changes what it says. Few enough that the extract
    /// is not refused as cut off.
    fn change(&mut self, random: &mut StdRng, step: u32) {
        if self.rows.len() < 3 {
            return;
        }
        let at = random.random_range(0..self.rows.len());
        match random.random_range(0..3) {
            0 if self.rows.len() > 8 => _ = self.rows.remove(at),
            1 if self.feed == "people" => {
                let other = random.random_range(0..self.rows.len());
                // Somebody new with another's home.
                let mut row: Vec<&str> = self.rows[other].split(',').collect();
                let (key, forename) = (format!("NEW-{step}"), format!("Newcomer{step}"));
                (row[0], row[2]) = (&key, &forename);
                // The numbers are another's, too.
                let known = row.len();
                row[known - 4..known - 1].fill("");
                self.rows.push(row.join(","));
            }
            _ if self.feed == "people" => {
                let mut row: Vec<String> = self.rows[at].split(',').map(str::to_owned).collect();
                row[4] = format!("{}x", row[4]);
                self.rows[at] = row.join(",");
            }
            _ => {
                let mut row: Vec<String> = self.rows[at].split(',').map(str::to_owned).collect();
                row[4] = format!("2025-01-{:02}", 1 + step % 28);
                row[5].clear();
                self.rows[at] = row.join(",");
            }
        }
    }
}

/// Somebody whom nobody else knows.
fn somebody(kind: AgencyKind) -> String {
    let place = FIVE.iter().position(|of| *of == kind).unwrap_or_default();
    let surname = ["Zumwalt", "Quisenberry", "Yarborough", "Vandersloot", "Xenakis"][place];
    format!(
        "LAST-1,,Ignatius,,{surname},1971-0{}-11,M,{place}0 Farewell Yard,ZX9 9ZZ,,,,,",
        place + 1
    )
}

/// How far an agency's changes go.
fn position(village: &Village, kind: AgencyKind) -> anyhow::Result<u64> {
    let config = village.town.load_node_config(&id(kind))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = causeway_node::store::Store::open(&config.store.path).await?;
        let mut conn = store.read().await?;
        Ok(causeway_node::store::changes::position(&mut conn).await?)
    })
}
