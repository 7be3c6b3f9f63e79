//! `town year`: a town lives through a year, and who is alerted when and why.
//!
//! One day at a time: the agencies whose systems changed write their exports, their nodes take them
//! in with `causeway-node ingest`, and the coordinator, which goes on from the first day to the
//! last as the nodes do, sweeps as at that day. A day without any change is swept, too: scores move
//! with time alone.

mod judge;
mod print;

use std::{
    collections::BTreeMap,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use causeway_proto::{catalogue::AgencyKind, day::Day, ids::AgencyId};
use serde::Serialize;
use serde_json::Value;

pub use self::print::print;
use crate::{
    data::exports,
    demo::{self, Clock, Raised, Truths},
    progress::say,
    town::{FeedFile, Town, process::Launcher},
};

/// How long an alert may take to reach everybody.
const DELIVERY: Duration = Duration::from_secs(60);
/// How often to look whether it has.
const LOOK: Duration = Duration::from_millis(20);
/// Exports that come in at a time.
const AT_A_TIME: usize = 4;

/// What a year is made of.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The first day.
    pub from: Day,
    /// The last day.
    pub to: Day,
    /// Which background people.
    pub seed: u64,
    /// About how many of them at each agency.
    pub people: usize,
}

/// What it came to, as `town year --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct YearReport {
    /// What professionals were told, day by day.
    pub pushes: Vec<Push>,
    /// The weeks of the year, also those without a push.
    pub weeks: Vec<Week>,
    /// The share of pushes about households that somebody should look at; `None` without a push.
    pub precision: Option<f64>,
    /// By planted household whose crisis came: how many days before it the first push was; `None`
    /// where there was none.
    pub lead_days: BTreeMap<String, Option<i32>>,
    /// Days that were simulated.
    #[serde(skip)]
    pub days: usize,
    /// How long it took.
    #[serde(skip)]
    pub seconds: f64,
}

/// One household was told of, told of again, or taken back.
#[derive(Clone, Debug, Serialize)]
pub struct Push {
    /// The planted household's name, or the background household's.
    pub household: String,
    /// The day of the sweep.
    pub day: Day,
    /// `NEW`, `UPDATE` or `CANCEL`.
    pub kind: String,
    /// How high.
    pub tier: String,
    /// The joined score.
    pub score: f64,
    /// Why now.
    pub reason: String,
    /// Who was told, the one asked to lead first.
    pub recipients: Vec<AgencyKind>,
}

/// A week, from Monday to Sunday.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Week {
    /// Its Monday.
    pub from: Day,
    /// Pushes in it.
    pub pushes: usize,
    /// Those that were not the first about their household.
    pub repeats: usize,
}

/// Lets a town in an empty folder live through the days, and returns what came of it.
///
/// Progress goes to standard error.
pub fn year(settings: &Settings, folder: &Path, launcher: Launcher) -> anyhow::Result<YearReport> {
    ensure!(settings.from <= settings.to, "the last day comes before the first");
    let began = Instant::now();
    let Settings { from, seed, people, .. } = *settings;
    let before = demo::Settings { as_at: from.plus(-1), seed, people };
    let raised = demo::raise(&before, folder, launcher, &mut Clock::default())?;
    let Raised { mut town, people, .. } = raised;
    town.start_coordinator()?;
    let truths = Truths::of(&people);
    let exports = folder.join("exports");

    let (mut pushes, mut known): (Vec<Push>, BTreeMap<String, Value>) = Default::default();
    let mut days = 0;
    for day in (0..=settings.to.since(from)).map(|after| from.plus(after)) {
        town.set_day(day);
        let changed = exports::write_day(&people, &exports, day)?;
        take_in(&town, &changed)?;
        let as_at = day.to_string();
        let (swept, _) = town.coordinate(&["sweep", "--as-at", &as_at])?;
        everybody_took_part(&swept)?;
        let alerts = swept["alerts"].as_array().cloned().unwrap_or_default();
        if !alerts.is_empty() {
            delivered(&town)?;
        }
        for alert in alerts {
            let push = push(&alert, day, &town, &truths, &mut known)?;
            tell(&push);
            pushes.push(push);
        }
        days += 1;
        if day.ymd().2 == 1 {
            say(&format!("{}: {days} days in {:.0} s", day, began.elapsed().as_secs_f64()));
        }
    }
    town.stop()?;
    let judged = judge::judge(&pushes, settings, &people);
    Ok(YearReport { pushes, days, seconds: began.elapsed().as_secs_f64(), ..judged })
}

/// Has the nodes take in a day's exports, several at a time.
fn take_in(town: &Town, changed: &[(AgencyId, FeedFile)]) -> anyhow::Result<()> {
    for some in changed.chunks(AT_A_TIME) {
        let receipts: Vec<anyhow::Result<Value>> = thread::scope(|scope| {
            let start = |(agency, feed): &'_ (AgencyId, FeedFile)| {
                let (agency, feed) = (agency.clone(), feed.clone());
                scope.spawn(move || town.ingest_file(&agency, &feed.id, &feed.file))
            };
            let running: Vec<_> = some.iter().map(start).collect();
            let done = running.into_iter().map(|thread| {
                thread.join().unwrap_or_else(|_| bail!("taking in an export came to a sudden end"))
            });
            done.collect()
        });
        for receipt in receipts {
            let receipt = receipt?;
            // What differs may be a witness's row, which the node leaves out; the file has to differ.
            ensure!(receipt["same_as_last"] == false, "an export came in twice: {receipt}");
        }
    }
    Ok(())
}

/// A year in which a node stays away says nothing about the rules.
fn everybody_took_part(swept: &Value) -> anyhow::Result<()> {
    for agency in swept["agencies"].as_array().context("a sweep without agencies")? {
        if let Some(problem) = agency["problem"].as_str() {
            bail!("{} did not take part: {problem}", agency["id"]);
        }
        ensure!(agency["stale"] != true, "{} has a stale export", agency["id"]);
    }
    Ok(())
}

/// Waits until every alert is on every recipient's disk.
fn delivered(town: &Town) -> anyhow::Result<()> {
    let until = Instant::now() + DELIVERY;
    loop {
        let (issued, _) = town.coordinate(&["alerts"])?;
        let issued = issued.as_array().context("`alerts` printed no list")?;
        let waits = |alert: &Value| {
            let recipients = alert["recipients"].as_array().map_or(0, Vec::len) as u64;
            alert["delivered"].as_u64().unwrap_or(0) < recipients
        };
        if !issued.iter().any(waits) {
            return Ok(());
        }
        ensure!(Instant::now() < until, "an alert does not reach everybody");
        thread::sleep(LOOK);
    }
}

/// Describes one alert. `known` holds the last of each, by its id.
fn push(
    alert: &Value,
    day: Day,
    town: &Town,
    truths: &Truths,
    known: &mut BTreeMap<String, Value>,
) -> anyhow::Result<Push> {
    let shown = demo::alert_report(alert, town, truths)?;
    let id = alert["alert_id"].as_str().unwrap_or_default().to_owned();
    let before = known.insert(id, alert.clone());
    Ok(Push {
        household: shown.household,
        day,
        kind: alert["change"].as_str().unwrap_or_default().to_uppercase(),
        tier: shown.tier,
        score: shown.score,
        reason: reason(alert, before.as_ref()),
        recipients: shown.recipients,
    })
}

/// Says why an alert came now: what it holds that the one before did not.
fn reason(alert: &Value, before: Option<&Value>) -> String {
    let list = |of: &Value, name: &str| of[name].as_array().cloned().unwrap_or_default();
    let rules = list(alert, "interactions");
    let is_new = |rule: &&Value| {
        before
            .is_none_or(|before| list(before, "interactions").iter().all(|b| b["id"] != rule["id"]))
    };
    let new: Vec<&str> =
        rules.iter().filter(is_new).filter_map(|r| r["sentence"].as_str()).collect();
    if !new.is_empty() {
        return new.join("; ");
    }
    if let Some(reason) = alert["reason"].as_str() {
        return reason.replace('_', " ");
    }
    let score = |of: &Value| of["score"].as_f64().unwrap_or(0.0);
    match before {
        Some(before) => format!("the score went from {:.1} to {:.1}", score(before), score(alert)),
        None => format!("the score reached {:.1}", score(alert)),
    }
}

fn tell(push: &Push) {
    let recipients: Vec<&str> = push.recipients.iter().map(|kind| kind.in_words()).collect();
    say(&format!(
        "{}  {:<6} {:<4} {} {:5.1}  {}\n            -> {}",
        push.day,
        push.kind,
        push.household,
        push.tier,
        push.score,
        push.reason,
        recipients.join(", ")
    ));
}
