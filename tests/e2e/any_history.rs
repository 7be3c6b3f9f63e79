//! After any history of exports, corrections, outages and restarts, the open sweep is where a fresh one
//! would be, and every alert that was ever accepted is accounted for.
//!
//! Two histories are always the same, and one is another every time; `CAUSEWAY_SEED` names it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use anyhow::Context;
use causeway_proto::catalogue::{AgencyKind, SignalCode};
use causeway_tests::town::process::Watched;
use rand::{RngExt, SeedableRng, rngs::StdRng};

use crate::{
    changes_flow::ends_where_a_fresh_one_is,
    village::{AS_AT, Extract, FIVE, Making, PATIENCE, Village, id},
};

/// How many things happen in one history.
const STEPS: u32 = 14;

#[test]
fn after_a_first_history_the_open_sweep_is_where_a_fresh_one_would_be() -> anyhow::Result<()> {
    live(20_250_225)
}

#[test]
fn after_a_second_history_the_open_sweep_is_where_a_fresh_one_would_be() -> anyhow::Result<()> {
    live(4)
}

#[test]
#[expect(clippy::disallowed_methods, reason = "whoever runs a test has no other way to say so")]
fn after_any_history_the_open_sweep_is_where_a_fresh_one_would_be() -> anyhow::Result<()> {
    let seed = match std::env::var("CAUSEWAY_SEED") {
        Ok(seed) => seed.parse().context("CAUSEWAY_SEED is a number")?,
        // Even ones may take a minute: nodes that keep their place are waited for.
        Err(_) => 2 * rand::random_range(0..500_000) + 1,
    };
    live(seed)
}

/// Lives through the history of a seed, and once more where it and fresh sweeps tell another number of
/// persons: a pair between one person and two is seldom between them twice, and what is wrong in the
/// history is wrong in both.
fn live(seed: u64) -> anyhow::Result<()> {
    let told = Told(seed);
    let mut differences = Vec::new();
    for _ in 0..2 {
        let mut history = History::begin(seed)?;
        for step in 0..STEPS {
            history.step(step)?;
        }
        let Some(difference) = history.end()? else { break };
        differences.push(difference);
    }
    assert!(differences.len() < 2, "the open sweep came to other persons twice: {differences:#?}");
    std::mem::forget(told);
    Ok(())
}

/// Says which history it was, unless all went well.
struct Told(u64);

impl Drop for Told {
    #[expect(clippy::print_stderr, reason = "whoever looks for the fault needs it")]
    fn drop(&mut self) {
        eprintln!("the same again: CAUSEWAY_SEED={} and `after_any_history`", self.0);
    }
}

/// A village in which things happen while a sweep is open.
struct History {
    village: Village,
    sweep: Watched,
    random: StdRng,
    extracts: BTreeMap<(AgencyKind, &'static str), Extract>,
    /// Nodes that are down, and for how many steps more.
    down: BTreeMap<AgencyKind, u32>,
    /// Whether nodes that are down keep their place in the sweep, or are left out and join anew.
    patient: bool,
}

impl History {
    fn begin(seed: u64) -> anyhow::Result<Self> {
        // Nodes that dial out are found again wherever they listen.
        let mut village = Making { dial_out: &FIVE, ..Making::of(&FIVE) }.make()?;
        village.town.start_nodes()?;
        let patient = seed.is_multiple_of(2);
        village.settings(|text| match patient {
            true => patiently(text),
            false => text.replace("[sweep]\n", "[sweep]\nrejoin_seconds = 1\n"),
        })?;
        let sweep = village.town.watch(&["--as-at", AS_AT])?;
        sweep.next(PATIENCE)?;
        let mut extracts = BTreeMap::new();
        for kind in FIVE {
            for feed in ["people", "events"] {
                extracts.insert((kind, feed), Extract::of(&village, kind, feed)?);
            }
        }
        let random = StdRng::seed_from_u64(seed);
        Ok(Self { village, sweep, random, extracts, down: BTreeMap::new(), patient })
    }

    /// Lets one thing happen.
    fn step(&mut self, step: u32) -> anyhow::Result<()> {
        self.down.values_mut().for_each(|steps| *steps -= 1);
        let back: BTreeSet<AgencyKind> =
            self.down.iter().filter(|(_, steps)| **steps == 0).map(|(kind, _)| *kind).collect();
        for kind in back {
            self.up(kind)?;
        }
        let kind = FIVE[self.random.random_range(0..FIVE.len())];
        match self.random.random_range(0..10) {
            0 => self.coordinator_dies(),
            1 | 2 if !self.down.contains_key(&kind) => {
                self.village.node(kind)?.kill()?;
                // It is there again at once, or after a while.
                let steps = self.random.random_range(0..5);
                self.down.insert(kind, steps);
                if steps == 0 { self.up(kind) } else { Ok(()) }
            }
            _ => {
                let feed = if self.random.random_bool(0.5) { "people" } else { "events" };
                let extract = self.extracts.get_mut(&(kind, feed)).context("an extract")?;
                change(extract, &mut self.random, step);
                extract.renamed(&step.to_string()).take_in(&self.village)
            }
        }
    }

    /// A node is there again.
    fn up(&mut self, kind: AgencyKind) -> anyhow::Result<()> {
        self.down.remove(&kind);
        self.village.town.start_node(self.village.place(kind))
    }

    fn all_up(&mut self) -> anyhow::Result<()> {
        let down: Vec<AgencyKind> = self.down.keys().copied().collect();
        down.into_iter().try_for_each(|kind| self.up(kind))
    }

    /// The coordinator dies, and makes another sweep.
    fn coordinator_dies(&mut self) -> anyhow::Result<()> {
        if self.patient {
            // It would wait for whoever is down for as long as it is patient.
            self.all_up()?;
        }
        self.sweep.running.kill()?;
        self.sweep = self.village.town.watch(&["--as-at", AS_AT])?;
        self.sweep.next(Duration::from_secs(60)).map(|_| ())
    }

    /// Lets everything come through. Returns how it and fresh sweeps differ in persons.
    fn end(mut self) -> anyhow::Result<Option<String>> {
        self.all_up()?;
        // After these have come through, so has everything before.
        let mut expected = BTreeMap::new();
        for kind in FIVE {
            let extract = self.extracts.get_mut(&(kind, "people")).context("an extract")?;
            extract.rows.push(somebody(kind));
            extract.renamed("the last").take_in(&self.village)?;
            expected.insert(id(kind).to_string(), position(&self.village, kind)?);
        }
        self.village.settings(patiently)?;
        let difference = ends_where_a_fresh_one_is(&self.village, self.sweep, &expected)?;
        every_alert_is_accounted_for(&self.village)?;
        Ok(difference)
    }
}

/// Nodes take their time to dial again after a coordinator went down.
fn patiently(text: String) -> String {
    text.replace("call_seconds = 10\n", "call_seconds = 60\n")
        .replace("patience_seconds = 2\n", "patience_seconds = 60\n")
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

/// Takes a row out, puts another in, or corrects what one says. Few enough that the extract is not
/// refused as cut off.
fn change(extract: &mut Extract, random: &mut StdRng, step: u32) {
    let Extract { kind, feed, rows, .. } = extract;
    if rows.len() < 3 {
        return;
    }
    let at = random.random_range(0..rows.len());
    let row: Vec<String> = rows[at].split(',').map(str::to_owned).collect();
    match random.random_range(0..4) {
        0 if rows.len() > 8 => _ = rows.remove(at),
        1 if feed == "people" => rows.push(newcomer(row, step).join(",")),
        _ => {
            let corrected = match feed.as_str() {
                "people" => corrected_person(row, random),
                _ => corrected_event(row, *kind, random, step),
            };
            rows[at] = corrected.join(",");
        }
    }
}

/// Somebody new with another's home. Born another day: whether one of twins is the other under another
/// name is so close that one sweep's salts may say so and another's not.
fn newcomer(mut row: Vec<String>, step: u32) -> Vec<String> {
    (row[0], row[2]) = (format!("NEW-{step}"), format!("Newcomer{step}"));
    row[5] = format!("19{}-0{}-2{}", 30 + 4 * step, 1 + step % 9, step % 8);
    // The numbers are another's, too.
    let known = row.len();
    row[known - 4..known - 1].fill(String::new());
    row
}

/// The surname, the day of birth or the home was wrong.
fn corrected_person(mut row: Vec<String>, random: &mut StdRng) -> Vec<String> {
    match random.random_range(0..3) {
        0 => row[4].push('x'),
        1 => {
            row[5] = format!("{}-{:02}", &row[5][..row[5].len().min(7)], random.random_range(1..28))
        }
        _ => (row[7], row[9]) = (format!("{} Elsewhere Lane", 1 + house_of(&row)), String::new()),
    }
    row
}

/// A number that stays the same for one person.
fn house_of(row: &[String]) -> usize {
    row[0].bytes().map(usize::from).sum()
}

/// The day was wrong, or what it was.
fn corrected_event(
    mut row: Vec<String>,
    kind: AgencyKind,
    random: &mut StdRng,
    step: u32,
) -> Vec<String> {
    match random.random_bool(0.5) {
        true => row[4] = format!("2025-01-{:02}", 1 + step % 28),
        false => {
            let own = SignalCode::all().filter(|code| code.spec().owner == Some(kind));
            let own: Vec<SignalCode> = own.collect();
            row[2] = own[random.random_range(0..own.len())].to_string();
        }
    }
    row[5].clear();
    row
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
