//! What changes while a sweep is open: one percent of everybody, and single rows that raise an alert.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use causeway_node::store::{Store, alerts, changes};
use causeway_proto::ids::AgencyId;
use serde::Serialize;
use serde_json::Value;

use super::{
    feeds,
    people::{Crowd, Edition},
};
use crate::{
    progress::say,
    town::{Town, process::Watched},
};

/// How long the coordinator may take over one burst.
const PATIENCE: Duration = Duration::from_secs(600);
/// How often to look into a store.
const LOOK: Duration = Duration::from_millis(1);

/// What a change of one percent of every agency's people came to.
#[derive(Clone, Debug, Serialize)]
pub struct Changed {
    /// Seconds that the coordinator worked, over all bursts.
    pub seconds: f64,
    /// Seconds by the clock from when an export was taken in to the end of its last burst, summed up.
    pub wall_seconds: f64,
    /// Records that came and that left.
    pub records: u64,
    /// How many bursts they came in.
    pub bursts: u64,
    /// The seconds, by step.
    pub steps: BTreeMap<String, f64>,
}

/// From a row changed in an agency's export to the alert in another agency's store, counted from
/// when the export was taken in.
#[derive(Clone, Debug, Serialize)]
pub struct Live {
    /// The median, in milliseconds.
    pub p50_ms: f64,
    /// What 99 of 100 stay below, in milliseconds.
    pub p99_ms: f64,
    /// What taking the export in took before that, in milliseconds: the median.
    pub ingest_p50_ms: f64,
    /// How many changes were measured.
    pub samples: usize,
}

/// Takes in exports in which one percent of each agency's people changed, left or came, one agency after
/// the other, and follows the open sweep until it has heard of each: who takes an export in and who follows
/// it share no cores in real life.
pub(super) fn change(
    town: &Town,
    crowd: &Crowd,
    planted: u64,
    sweep: &Watched,
) -> anyhow::Result<Changed> {
    let mut changed =
        Changed { seconds: 0.0, wall_seconds: 0.0, records: 0, bursts: 0, steps: BTreeMap::new() };
    // Who is missing from two good extracts has left; the same file twice would be one.
    for (edition, name) in [(Edition::Changed, "changed"), (Edition::ChangedAgain, "again")] {
        for (at, node) in town.nodes().iter().enumerate() {
            let (agency, feed) = (&node.agency.id, &node.agency.feeds[0]);
            let file = feeds::another(feed, name);
            feeds::people(crowd, at, planted, edition, &file)?;
            town.ingest_file(agency, &feed.id, &file)?;
            let taken_in = Instant::now();
            let wanted = position(town, agency)?;
            while changed.count(&sweep.next(PATIENCE)?, agency)? < wanted {}
            changed.wall_seconds += taken_in.elapsed().as_secs_f64();
        }
    }
    changed.seconds = changed.steps.remove("total").unwrap_or(0.0);
    Ok(changed)
}

impl Changed {
    /// Counts a burst in, and returns how far it has followed an agency.
    fn count(&mut self, burst: &Value, of: &AgencyId) -> anyhow::Result<u64> {
        let number = |name: &str| burst[name].as_u64().unwrap_or(0);
        self.bursts += 1;
        self.records += number("came") + number("left");
        for (step, seconds) in burst["seconds"].as_object().into_iter().flatten() {
            *self.steps.entry(step.clone()).or_default() += seconds.as_f64().unwrap_or(0.0);
        }
        let mut followed = 0;
        for agency in burst["agencies"].as_array().context("a burst without agencies")? {
            if let Some(problem) = agency["problem"].as_str() {
                anyhow::bail!("{} {problem}", agency["id"]);
            }
            if agency["id"].as_str() == Some(of.as_str()) {
                followed = agency["position"].as_u64().unwrap_or(0);
            }
        }
        Ok(followed)
    }
}

/// Changes one row of one agency's export at a time, and waits for the alert at another's node.
pub(super) fn live(town: &Town, crowd: &Crowd, planted: u64) -> anyhow::Result<Live> {
    let (tells, is_told) = (&town.nodes()[feeds::TELLS], &town.nodes()[feeds::IS_TOLD]);
    let feed = &tells.agency.feeds[1];
    let store = town.load_node_config(&is_told.agency.id)?.store.path;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut known = runtime.block_on(async { newest(&Store::open(&store).await?).await })?;
    let (mut took, mut ingests) = (Vec::new(), Vec::new());
    for changed in 1..=planted {
        let file = feeds::another(feed, &changed.to_string());
        feeds::events(crowd, feeds::TELLS, planted, changed, &file)?;
        let (arrived, began, taken_in) = thread::scope(|scope| {
            let store = &store;
            let watching = scope.spawn(move || arrival(store, known));
            let began = Instant::now();
            town.ingest_file(&tells.agency.id, &feed.id, &file)?;
            let taken_in = Instant::now();
            let arrived = watching.join().expect("looking does not panic")?;
            anyhow::Ok((arrived, began, taken_in))
        })?;
        ingests.push(taken_in.saturating_duration_since(began).as_secs_f64() * 1000.0);
        took.push(arrived.1.saturating_duration_since(taken_in).as_secs_f64() * 1000.0);
        known = arrived.0;
        if changed % 10 == 0 {
            say(&format!("{changed} changes became alerts"));
        }
    }
    let (p50_ms, p99_ms) = (quantile(&mut took, 0.5), quantile(&mut took, 0.99));
    Ok(Live { p50_ms, p99_ms, ingest_p50_ms: quantile(&mut ingests, 0.5), samples: took.len() })
}

/// What this share of some figures stays below.
fn quantile(figures: &mut [f64], share: f64) -> f64 {
    figures.sort_by(f64::total_cmp);
    let at = (figures.len() as f64 * share).ceil() as usize;
    figures[at.clamp(1, figures.len()) - 1]
}

/// Waits for an alert later than a position. Returns its own and when it was there.
fn arrival(store: &std::path::Path, known: u64) -> anyhow::Result<(u64, Instant)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(store).await?;
        let until = Instant::now() + PATIENCE;
        loop {
            let newest = newest(&store).await?;
            let now = Instant::now();
            if newest > known {
                return Ok((newest, now));
            }
            anyhow::ensure!(now < until, "no alert arrived after a changed row was taken in");
            tokio::time::sleep(LOOK).await;
        }
    })
}

async fn newest(store: &Store) -> anyhow::Result<u64> {
    let kept = alerts::latest(&mut *store.read().await?, None, 1).await?;
    Ok(kept.first().map_or(0, |alert| alert.position))
}

/// Returns how far an agency's changes go.
fn position(town: &Town, agency: &AgencyId) -> anyhow::Result<u64> {
    let path = town.load_node_config(agency)?.store.path;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = Store::open(&path).await?;
        Ok(changes::position(&mut *store.read().await?).await?)
    })
}
