//! `town bench`: how fast a whole federation is on this machine, and how that grows.

pub mod growth;
mod people;
mod tls;

use std::{collections::BTreeMap, io::Write, path::Path, thread, time::Instant};

use anyhow::Context;
use causeway_proto::{catalogue::AgencyKind, ids::AgencyId, kind::MatchKeyKind};
use serde::Serialize;
use serde_json::Value;

use crate::{
    standard,
    town::{Agency, FeedFile, Plan, Town, process::Launcher},
};

/// The day that the exports are of.
const AS_AT: &str = "2025-02-25";
/// Bytes of a handle and its flags in the stream.
const PERSON_BYTES: u64 = 17;
/// Bytes of a token in the stream.
const TOKEN_BYTES: u64 = 8;

/// What is measured.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How many agencies.
    pub agencies: usize,
    /// How many people each of them knows.
    pub people: u64,
    /// Which people.
    pub seed: u64,
}

/// What it came to, as `town bench --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct BenchReport {
    /// How many agencies.
    pub agencies: usize,
    /// How many people each of them knows.
    pub people: u64,
    /// Records at all of them.
    pub records: u64,
    /// Taking the exports in.
    pub ingest: Full,
    /// A full pass, from stored records to persons.
    pub full: Full,
    /// The token stream beside what TLS alone reaches here.
    pub stream: StreamShare,
    /// The most memory that a process used, in MiB.
    pub peak_rss_mib: BTreeMap<String, u64>,
    /// The coordinator's peak memory, by record.
    pub coordinator_bytes_per_record: f64,
    /// Persons found.
    pub persons: u64,
    /// Pairs that share a match-key.
    pub candidate_pairs: u64,
    /// Pairs that were looked at a second time.
    pub compared_pairs: u64,
}

/// How long something took.
#[derive(Clone, Debug, Serialize)]
pub struct Full {
    /// Seconds.
    pub seconds: f64,
    /// Records of all agencies in a second.
    pub records_per_second: f64,
    /// Seconds, by step.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, f64>,
}

/// The token stream beside what TLS alone reaches.
#[derive(Clone, Debug, Serialize)]
pub struct StreamShare {
    /// Bytes of tokens in a second, all nodes together.
    pub bytes_per_second: f64,
    /// Bytes in a second through one TLS connection with nothing else to do.
    pub raw_tls_bytes_per_second: f64,
    /// The one by the other.
    pub share_of_raw_tls: f64,
}

/// Runs a federation of that size once, in an empty folder. Progress goes to standard error.
///
/// # Errors
/// Fails when the disk is full, or when a node drops out.
pub fn bench(
    settings: &Settings,
    folder: &Path,
    launcher: Launcher,
) -> anyhow::Result<BenchReport> {
    let crowd = people::Crowd::new(settings.seed, settings.people);
    let agencies = exports(&crowd, settings.agencies, &folder.join("exports"))?;
    tell(&format!("{} exports of {} people", settings.agencies, settings.people));
    let plan = Plan { agencies, as_at: AS_AT.parse()?, measure_links: false, measure_dump: false };
    let mut town = Town::make(&folder.join("town"), launcher, plan)?;
    let began = Instant::now();
    ingest(&town)?;
    let records = settings.people * settings.agencies as u64;
    let ingest = Full::of(records, began.elapsed().as_secs_f64());
    tell(&format!("taken in at {:.0} records a second", ingest.records_per_second));
    town.start_nodes()?;
    let (report, output) = town.coordinate(&["sweep", "--as-at", AS_AT])?;
    for agency in report["agencies"].as_array().into_iter().flatten() {
        if let Some(problem) = agency["problem"].as_str() {
            anyhow::bail!("{} {problem}", agency["id"]);
        }
    }
    let steps: BTreeMap<String, f64> = serde_json::from_value(report["seconds"].clone())?;
    let step = |name: &str| steps.get(name).copied().unwrap_or(0.0);
    let to_persons = ["stream", "group", "compare", "cluster"].map(step).iter().sum();
    let mut full = Full::of(records, to_persons);
    tell(&format!("swept at {:.0} records a second", full.records_per_second));
    let nodes_peak = town.nodes_peak_mib();
    town.stop()?;
    let stream = stream_share(&town, records, step("stream"))?;
    full.steps = steps;
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    Ok(BenchReport {
        agencies: settings.agencies,
        people: settings.people,
        records,
        ingest,
        full,
        stream,
        peak_rss_mib: BTreeMap::from([
            ("coordinator".to_owned(), output.peak_kib / 1024),
            ("nodes".to_owned(), nodes_peak),
        ]),
        coordinator_bytes_per_record: output.peak_kib as f64 * 1024.0 / records as f64,
        persons: number("persons"),
        candidate_pairs: number("candidate_pairs"),
        compared_pairs: number("compared_pairs"),
    })
}

/// Writes the people of a size into a folder, one CSV file per agency in the standard columns.
///
/// # Errors
/// Fails when the disk is full.
pub fn people(settings: &Settings, folder: &Path) -> anyhow::Result<()> {
    people::write_folder(settings.seed, settings.agencies, settings.people, folder)
}

/// Prints one size's result for a person.
///
/// # Errors
/// Fails when `out` does.
pub fn print(report: &BenchReport, out: &mut impl Write) -> anyhow::Result<()> {
    let BenchReport { agencies, people, records, ingest, full, stream, .. } = report;
    writeln!(out, "{agencies} agencies x {people} people: {records} records")?;
    let mut line = |what: &str, of: &Full| {
        let (seconds, rate) = (of.seconds, of.records_per_second);
        writeln!(out, "  {what:<12} {seconds:>9.2} s  {rate:>10.0} records a second")
    };
    line("ingest", ingest)?;
    line("full pass", full)?;
    for (step, seconds) in &full.steps {
        writeln!(out, "    {step:<10} {seconds:>9.2} s")?;
    }
    let share = 100.0 * stream.share_of_raw_tls;
    writeln!(out, "  tokens stream at {share:.0} % of what TLS alone reaches here")?;
    let (pairs, compared) = (report.candidate_pairs, report.compared_pairs);
    writeln!(out, "  {pairs} candidate pairs, {compared} looked at a second time")?;
    for (who, mib) in &report.peak_rss_mib {
        writeln!(out, "  {who:<12} {mib} MiB at most")?;
    }
    let bytes = report.coordinator_bytes_per_record;
    Ok(writeln!(out, "  the coordinator uses {bytes:.0} bytes for each record")?)
}

impl Full {
    fn of(records: u64, seconds: f64) -> Self {
        let records_per_second = records as f64 / seconds;
        Self { seconds, records_per_second, steps: BTreeMap::new() }
    }
}

fn exports(crowd: &people::Crowd, agencies: usize, folder: &Path) -> anyhow::Result<Vec<Agency>> {
    let mut made = Vec::new();
    for at in 0..agencies {
        let id = format!("agency-{}", at + 1);
        let home = folder.join(&id);
        std::fs::create_dir_all(&home)?;
        let (file, mapping) = (home.join("people.csv"), home.join("people.toml"));
        crowd.write(at as u64, u64::MAX, &file)?;
        std::fs::write(&mapping, standard::mapping(&people::HEADER))?;
        made.push(Agency {
            policy: standard::policy(&id),
            id: id.parse()?,
            kind: AgencyKind::ALL[at % AgencyKind::ALL.len()],
            feeds: vec![FeedFile { id: "people".into(), mapping, file }],
            dials_out: false,
        });
    }
    Ok(made)
}

/// Takes all exports in, as many at a time as there are cores.
fn ingest(town: &Town) -> anyhow::Result<()> {
    let cores = thread::available_parallelism()?.get();
    let ids: Vec<&AgencyId> = town.nodes().iter().map(|node| &node.agency.id).collect();
    for batch in ids.chunks(cores) {
        thread::scope(|scope| {
            let one = |id| move || take_in(town, id);
            let taking: Vec<_> = batch.iter().map(|id| scope.spawn(one(*id))).collect();
            taking.into_iter().try_for_each(|one| one.join().expect("an ingest does not panic"))
        })?;
    }
    Ok(())
}

fn take_in(town: &Town, id: &AgencyId) -> anyhow::Result<()> {
    let node = town.nodes().iter().find(|node| node.agency.id == *id);
    let feed = node.and_then(|node| node.agency.feeds.first()).context("an agency without feed")?;
    town.ingest_file(id, &feed.id, &feed.file).map(|_: Value| ())
}

fn stream_share(town: &Town, records: u64, seconds: f64) -> anyhow::Result<StreamShare> {
    let slots: u64 = MatchKeyKind::ALL.iter().map(|kind| kind.slots() as u64).sum();
    let bytes = records * (PERSON_BYTES + slots * TOKEN_BYTES);
    let node = town.nodes().first().context("no nodes")?;
    let name = causeway_certs::name::Identity::new(
        "town".parse()?,
        causeway_certs::name::Role::Node,
        node.agency.id.clone(),
    );
    let runtime = tokio::runtime::Runtime::new()?;
    let raw =
        runtime.block_on(tls::raw_throughput(&node.folder.join("identity"), &name.dns_name()))?;
    let reached = bytes as f64 / seconds;
    Ok(StreamShare {
        bytes_per_second: reached,
        raw_tls_bytes_per_second: raw,
        share_of_raw_tls: reached / raw,
    })
}

fn tell(what: &str) {
    // Progress that nobody can read is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{what}");
}
