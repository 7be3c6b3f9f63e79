//! `town bench`: how fast a whole federation is on this machine, and how that grows.

mod feeds;
pub mod growth;
pub mod live;
mod people;
mod tls;

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use causeway_proto::kind::MatchKeyKind;
use serde::Serialize;

use self::live::{Changed, Live};
use crate::{
    progress::say,
    town::{Node, Plan, Town, process::Launcher},
};

/// The day that the exports are of.
const AS_AT: &str = "2025-02-25";
/// How long a full pass may take.
const PATIENCE: Duration = Duration::from_secs(3600);
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
    /// How many single changes are followed from an export to the alert.
    pub live: u64,
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
    /// A change of one percent of every agency's people while the sweep is open.
    pub change_1pct: Changed,
    /// The token stream beside what TLS alone reaches here.
    pub stream: StreamShare,
    /// Single changes, from an export to the alert at another agency.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live: Option<Live>,
    /// The most memory that each process used, in MiB; `nodes` is the largest of them.
    pub peak_rss_mib: BTreeMap<String, u64>,
    /// The coordinator's peak memory in a pass, by record.
    pub coordinator_bytes_per_record: f64,
    /// The same while it follows what changes.
    pub watching_bytes_per_record: f64,
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
    let exports = folder.join("exports");
    let agencies = feeds::write(&crowd, settings.agencies, settings.live, &exports)?;
    say(&format!("{} exports of {} people", settings.agencies, settings.people));
    let plan = Plan {
        agencies,
        as_at: AS_AT.parse()?,
        measure_links: false,
        measure_dump: false,
        look_at_all: false,
    };
    let mut town = Town::make(&folder.join("town"), launcher, plan)?;
    let began = Instant::now();
    in_parallel(&town, |node| {
        let mut feeds = node.agency.feeds.iter();
        feeds.try_for_each(|feed| {
            town.ingest_file(&node.agency.id, &feed.id, &feed.file).map(|_| ())
        })
    })?;
    let records = settings.people * settings.agencies as u64;
    let ingest = Full::of(records, began.elapsed().as_secs_f64());
    say(&format!("taken in at {:.0} records a second", ingest.records_per_second));
    town.start_nodes()?;
    places_enough(&town, settings)?;
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
    say(&format!("swept at {:.0} records a second", full.records_per_second));
    let mut peaks = BTreeMap::from([("nodes".to_owned(), town.nodes_peak_mib())]);
    let of_each = town.node_peaks_mib().into_iter().zip(town.nodes());
    peaks.extend(of_each.map(|(mib, node)| (format!("node {}", node.agency.id), mib)));

    let mut open = town.watch(&["--as-at", AS_AT])?;
    open.next(PATIENCE)?;
    let change_1pct = live::change(&town, &crowd, settings.live, &open)?;
    say(&format!("1 % changed in {:.2} s", change_1pct.seconds));
    let live = match settings.live {
        0 => None,
        samples => Some(live::live(&town, &crowd, samples)?),
    };
    let watching_peak = open.running.peak_kib();
    open.running.stop()?;
    town.stop()?;
    let stream = stream_share(&town, records, step("stream"))?;
    peaks.insert("coordinator".to_owned(), output.peak_kib / 1024);
    peaks.insert("coordinator_watching".to_owned(), watching_peak / 1024);
    full.steps = steps;
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    Ok(BenchReport {
        agencies: settings.agencies,
        people: settings.people,
        records,
        ingest,
        full,
        change_1pct,
        stream,
        live,
        peak_rss_mib: peaks,
        coordinator_bytes_per_record: output.peak_kib as f64 * 1024.0 / records as f64,
        watching_bytes_per_record: watching_peak as f64 * 1024.0 / records as f64,
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
    let Changed { seconds, wall_seconds, records, bursts, .. } = &report.change_1pct;
    writeln!(
        out,
        "  1 % change   {seconds:>9.2} s  ({:.1} % of the full pass; {records} records in {bursts} \
         bursts, {wall_seconds:.2} s by the clock)",
        100.0 * seconds / full.seconds
    )?;
    if let Some(Live { p50_ms, p99_ms, ingest_p50_ms, samples }) = &report.live {
        writeln!(
            out,
            "  live         {p50_ms:>9.0} ms from when a changed row is taken in to the alert on another's disk; \
             99 % within {p99_ms:.0} ms ({samples} changes; to take in the export it is in, {ingest_p50_ms:.0} ms)"
        )?;
    }
    let share = 100.0 * stream.share_of_raw_tls;
    writeln!(out, "  tokens stream at {share:.0} % of what TLS alone reaches here")?;
    let (pairs, compared) = (report.candidate_pairs, report.compared_pairs);
    writeln!(out, "  {pairs} candidate pairs, {compared} looked at a second time")?;
    for (who, mib) in &report.peak_rss_mib {
        writeln!(out, "  {who:<20} {mib} MiB at most")?;
    }
    let (pass, watching) = (report.coordinator_bytes_per_record, report.watching_bytes_per_record);
    Ok(writeln!(
        out,
        "  the coordinator uses {pass:.0} bytes for each record in a pass, and {watching:.0} while it \
         follows what changes"
    )?)
}

impl Full {
    fn of(records: u64, seconds: f64) -> Self {
        let records_per_second = records as f64 / seconds;
        Self { seconds, records_per_second, steps: BTreeMap::new() }
    }
}

/// Gives the coordinator the built-in model with places for every alert that is measured: a town of
/// so many people has more of them than an area of 250,000.
fn places_enough(town: &Town, settings: &Settings) -> anyhow::Result<()> {
    let model = include_str!("../../../coordinator/model/causeway-1.toml");
    let places = format!("top_k = {}", 1000 + 2 * settings.live);
    let config = town.coordinator_config();
    let file = config.with_file_name("model.toml");
    fs::write(&file, model.replace("top_k = 15", &places))?;
    let file = file.display().to_string();
    let mut text = fs::read_to_string(&config)?;
    let keys = ["one", "two"].map(|name| config.with_file_name(name).display().to_string());
    for key in &keys {
        let made = town.coordinate(&["model", "keygen", key])?.0;
        let public = made["public_key"].as_str().context("a key without its public half")?;
        text += &format!("\n[[model_signer]]\nname = \"{public}\"\npublic_key = \"{public}\"\n");
    }
    fs::write(&config, &text)?;
    for key in &keys {
        town.coordinate(&["model", "sign", &file, "--key", key, "--name", "bench"])?;
    }
    Ok(fs::write(&config, format!("model = {file:?}\n{text}"))?)
}

/// Does something at every node, at as many at a time as there are cores.
fn in_parallel(
    town: &Town,
    what: impl Fn(&Node) -> anyhow::Result<()> + Sync,
) -> anyhow::Result<()> {
    let cores = thread::available_parallelism()?.get();
    for batch in town.nodes().chunks(cores) {
        thread::scope(|scope| {
            let what = &what;
            let doing: Vec<_> = batch.iter().map(|node| scope.spawn(move || what(node))).collect();
            doing.into_iter().try_for_each(|one| one.join().expect("an ingest does not panic"))
        })?;
    }
    Ok(())
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
