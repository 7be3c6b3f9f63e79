//! `town demo`: a town's agencies, one sweep, and who is alerted and why.

mod print;
mod scenario;
mod up;

use std::{
    collections::BTreeMap,
    io::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Context;
use causeway_proto::{catalogue::AgencyKind, day::Day, ids::AgencyId};
use serde::Serialize;
use serde_json::Value;

pub use self::{
    print::print,
    scenario::Scenario,
    up::{Place, up},
};
use crate::{
    data::{People, Truth, background, exports, planted},
    town::{Plan, Town, process::Launcher},
    truth::{self, Quality},
};

/// What a demonstration is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The day it speaks of.
    pub as_at: Day,
    /// Which background people.
    pub seed: u64,
    /// About how many of them at each agency.
    pub people: usize,
}

/// What it came to, as `town demo --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    /// The day it speaks of.
    pub as_at: Day,
    /// The agencies.
    pub agencies: Vec<AgencyReport>,
    /// Persons that the agencies' people come to.
    pub persons: u64,
    /// Households, also of one person.
    pub households: u64,
    /// People whose signals were asked for.
    pub signals_asked_for: u64,
    /// What was surfaced, most pressing first.
    pub alerts: Vec<AlertReport>,
    /// What became of the scenarios.
    pub planted: Vec<Scenario>,
    /// How well records of one person were found, against the truth that only the town knows.
    pub linking: Quality,
    /// How long the steps took.
    pub seconds: BTreeMap<String, f64>,
}

/// One agency.
#[derive(Clone, Debug, Serialize)]
pub struct AgencyReport {
    /// What it is called.
    pub id: AgencyKind,
    /// Rows of its export of people that were taken in.
    pub records: u64,
    /// People it brought, after joining its own duplicates.
    pub people: u64,
}

/// One alert.
#[derive(Clone, Debug, Serialize)]
pub struct AlertReport {
    /// The planted household's name, or the background household's.
    pub household: String,
    /// How high.
    pub tier: String,
    /// The joined score.
    pub score: f64,
    /// The score if what is missing held nothing, and if it held as much as it could.
    pub range: [f64; 2],
    /// The highest score that one agency alone would give.
    pub best_single_agency: f64,
    /// What each agency alone would give.
    pub agency_alone: BTreeMap<AgencyKind, f64>,
    /// Where the points come from.
    pub lines: Vec<Value>,
    /// The rules over the joined view, by their ids.
    pub interactions: Vec<String>,
    /// The same rules in plain words.
    pub rules: Vec<Value>,
    /// Who was told, the one asked to lead first.
    pub recipients: Vec<AgencyKind>,
    /// What the leading recipient's inbox shows.
    #[serde(skip)]
    pub letter: String,
}

/// Makes the people of a demonstration: everybody planted, and a background.
pub fn people(settings: &Settings) -> anyhow::Result<People> {
    let mut people = planted::people()?;
    let background = background::people(settings.seed, settings.people, settings.as_at);
    people.records.extend(background.records);
    people.happenings.extend(background.happenings);
    Ok(people)
}

/// A town whose nodes answer.
pub(crate) struct Raised {
    pub(crate) town: Town,
    pub(crate) people: People,
    receipts: Vec<(AgencyId, Value)>,
}

/// Makes a town in an empty folder, as far as nodes that answer over their agencies' exports.
pub(crate) fn raise(
    settings: &Settings,
    folder: &Path,
    launcher: Launcher,
    clock: &mut Clock,
) -> anyhow::Result<Raised> {
    let people = people(settings)?;
    let mut agencies = exports::write(&people, &folder.join("exports"), settings.as_at)?;
    for agency in &mut agencies {
        // So that it can be seen who is not taken for somebody else, also of those who have no
        // signals. An agency's default is to bring nobody else.
        agency.policy += "\n[scope]\npeople = \"everybody\"\n";
    }
    clock.lap("exports", &format!("{} agencies wrote their exports", agencies.len()));
    let plan = Plan {
        agencies,
        as_at: settings.as_at,
        measure_links: true,
        measure_dump: false,
        look_at_all: false,
    };
    let mut town = Town::make(&folder.join("town"), launcher, plan)?;
    let receipts = town.ingest()?;
    let rows = receipts.iter().filter_map(|(_, receipt)| receipt["file"]["taken"].as_u64());
    clock.lap("ingest", &format!("every node took in its exports: {} rows", rows.sum::<u64>()));
    town.start_nodes()?;
    clock.lap("start", &format!("{} nodes answer over mutual TLS", town.nodes().len()));
    Ok(Raised { town, people, receipts })
}

/// Makes a town in an empty folder, sweeps it once and returns what came of it.
///
/// Progress goes to standard error.
pub fn demo(settings: &Settings, folder: &Path, launcher: Launcher) -> anyhow::Result<DemoReport> {
    let mut clock = Clock::default();
    let Raised { mut town, people, receipts } = raise(settings, folder, launcher, &mut clock)?;
    let kinds: Vec<AgencyKind> = town.nodes().iter().map(|node| node.agency.kind).collect();
    let (links, as_at) = (folder.join("links.csv"), settings.as_at.to_string());
    let links_text = links.display().to_string();
    let (swept, _) = town.coordinate(&["sweep", "--as-at", &as_at, "--links-out", &links_text])?;
    clock.lap("sweep", "the coordinator swept them, and alerts are delivered");

    let truths = Truths::of(&people);
    let mut alerts = Vec::new();
    for alert in swept["alerts"].as_array().into_iter().flatten() {
        alerts.push(alert_report(alert, &town, &truths)?);
    }
    town.stop()?;
    let by_agency: Vec<BTreeMap<String, String>> =
        kinds.iter().map(|kind| truths.persons(*kind)).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    let judgement = runtime.block_on(truth::judge(&town, &links, &by_agency))?;
    let planted = scenario::scenarios(&judgement, &kinds, &alerts, settings.as_at, &town)?;
    clock.lap("judge", "held against the truth");
    let number = |name: &str| swept[name].as_u64().unwrap_or(0);
    Ok(DemoReport {
        as_at: settings.as_at,
        agencies: agency_reports(&town, &receipts, &swept)?,
        persons: number("persons"),
        households: number("households"),
        signals_asked_for: number("signals_asked_for"),
        alerts,
        planted,
        linking: judgement.clusters(),
        seconds: clock.seconds,
    })
}

fn agency_reports(
    town: &Town,
    receipts: &[(AgencyId, Value)],
    swept: &Value,
) -> anyhow::Result<Vec<AgencyReport>> {
    let mut reports = Vec::new();
    for node in town.nodes() {
        let id = &node.agency.id;
        let mut found = swept["agencies"].as_array().into_iter().flatten();
        let found = found.find(|agency| agency["id"] == id.as_str());
        let found = found.context("the sweep lacks an agency")?;
        if let Some(problem) = found["problem"].as_str() {
            anyhow::bail!("{id} {problem}");
        }
        // People come before events.
        let receipt = receipts.iter().find(|(of, _)| of == id).context("nothing was taken in")?;
        reports.push(AgencyReport {
            id: node.agency.kind,
            records: receipt.1["file"]["taken"].as_u64().unwrap_or(0),
            people: found["records"].as_u64().unwrap_or(0),
        });
    }
    Ok(reports)
}

/// Describes an alert that its recipients have: whom it is about, which only the town can tell.
pub(crate) fn alert_report(
    alert: &Value,
    town: &Town,
    truths: &Truths,
) -> anyhow::Result<AlertReport> {
    let id = alert["alert_id"].as_str().context("an alert without an id")?;
    let mut recipients = Vec::new();
    let mut households: BTreeMap<&str, usize> = BTreeMap::new();
    let mut letter = String::new();
    for recipient in alert["recipients"].as_array().into_iter().flatten() {
        let node = town.nodes().iter().find(|node| recipient["agency"] == node.agency.id.as_str());
        let node = node.context("a recipient without a node")?;
        recipients.push(node.agency.kind);
        let shown = town.ask_node(&node.agency.id, &["inbox", "show", id])?;
        for record in shown["records"].as_array().into_iter().flatten() {
            let key = record["key"].as_str().unwrap_or_default();
            if let Some(truth) = truths.by_key.get(&(node.agency.kind, key.to_owned())) {
                *households.entry(&truth.household).or_default() += 1;
            }
        }
        if letter.is_empty() {
            letter = town.tell_node(&node.agency.id, &["inbox", "show", id])?;
        }
    }
    let most = households.iter().max_by_key(|(_, records)| **records);
    let household = most.map_or_else(|| "?".to_owned(), |(household, _)| (*household).to_owned());
    let list = |name: &str| alert[name].as_array().cloned().unwrap_or_default();
    let rules = list("interactions");
    Ok(AlertReport {
        household,
        tier: alert["tier"].as_str().unwrap_or_default().to_owned(),
        score: alert["score"].as_f64().unwrap_or(0.0),
        range: serde_json::from_value(alert["range"].clone())?,
        best_single_agency: alert["best_single_agency"].as_f64().unwrap_or(0.0),
        agency_alone: serde_json::from_value(alert["agency_alone"].clone())?,
        lines: list("lines"),
        interactions: rules.iter().filter_map(|r| r["id"].as_str().map(str::to_owned)).collect(),
        rules,
        recipients,
        letter,
    })
}

/// Who every record is of, by agency and the record's own number.
pub(crate) struct Truths {
    by_key: BTreeMap<(AgencyKind, String), Truth>,
}

impl Truths {
    pub(crate) fn of(people: &People) -> Self {
        let entry = |record: &crate::data::Record| {
            ((record.agency, record.local_id.clone()), record.truth.clone())
        };
        Self { by_key: people.records.iter().map(entry).collect() }
    }

    fn persons(&self, kind: AgencyKind) -> BTreeMap<String, String> {
        let mine = self.by_key.iter().filter(|((of, _), _)| *of == kind);
        mine.map(|((_, key), truth)| (key.clone(), truth.person.clone())).collect()
    }
}

/// Tells how far it is, and how long the steps took.
pub(crate) struct Clock {
    began: Instant,
    last: Instant,
    pub(crate) seconds: BTreeMap<String, f64>,
}

impl Default for Clock {
    fn default() -> Self {
        let now = Instant::now();
        Self { began: now, last: now, seconds: BTreeMap::new() }
    }
}

impl Clock {
    pub(crate) fn lap(&mut self, step: &str, done: &str) {
        let now = Instant::now();
        let took: Duration = now - self.last;
        self.last = now;
        self.seconds.insert(step.to_owned(), took.as_secs_f64());
        self.seconds.insert("total".to_owned(), (now - self.began).as_secs_f64());
        // Progress that nobody can read is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{:5.1} s  {done}", took.as_secs_f64());
    }
}
