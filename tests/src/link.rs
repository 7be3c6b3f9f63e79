//! `town link`: runs real nodes and a real coordinator over records whose truth is known.

mod explain;

use std::{collections::BTreeMap, fs::File, path::Path, time::Instant};

use anyhow::Context;
use causeway_coordinator::{cycle::weakest, link::quality::Estimate};
use causeway_proto::catalogue::AgencyKind;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::explain::{Explained, RecordName};
use crate::{
    progress::say,
    standard::{self, StandardAgency},
    town::{Agency, FeedFile, Plan, Town, process::Launcher},
    truth::{self, Quality},
};

/// What linking came to, as `town link --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct LinkReport {
    /// Source records.
    pub records: usize,
    /// Agencies.
    pub agencies: usize,
    /// Pairs of people of different agencies that share a match-key.
    pub candidate_pairs: u64,
    /// Pairs that were looked at a second time.
    pub compared_pairs: u64,
    /// Pairs that are one person by their own weight.
    pub links: u64,
    /// Persons.
    pub persons: u64,
    /// By link.
    pub pairwise: Quality,
    /// By final person.
    pub cluster: Quality,
    /// What the coordinator makes of its own links, without knowing the truth.
    pub estimated: Estimated,
    /// Records with two candidates that could not be told apart.
    pub ambiguous: u64,
    /// How long the steps took.
    pub seconds: BTreeMap<String, f64>,
    /// The most memory that a process used, in MiB.
    pub peak_rss_mib: BTreeMap<String, u64>,
    /// What became of two records that were asked about, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub explained: Option<Explained>,
}

/// A sweep's estimates of its own links among candidate pairs, with 95 % bounds.
#[derive(Clone, Debug, Serialize)]
pub struct Estimated {
    /// Of the pairs that were joined, the share that is one person.
    pub precision: Estimate,
    /// Of the candidate pairs that are one person, the share that was joined.
    pub recall: Estimate,
}

/// Files to write for a closer look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Details<'a> {
    /// Every candidate pair.
    pub pairs: Option<&'a Path>,
    /// Every record with what it was taken for.
    pub persons: Option<&'a Path>,
    /// Two records, of which the evidence is wanted.
    pub explain: Option<&'a [RecordName; 2]>,
}

/// Links a folder with one CSV file per agency in the standard columns.
pub fn link(
    data: &Path,
    folder: &Path,
    details: Details<'_>,
    launcher: Launcher,
) -> anyhow::Result<LinkReport> {
    let began = Instant::now();
    // What cannot be written is better known before it takes minutes.
    for path in [details.pairs, details.persons].into_iter().flatten() {
        File::create(path).with_context(|| format!("could not write {}", path.display()))?;
    }
    let sources = standard::read_folder(data)?;
    anyhow::ensure!(!sources.is_empty(), "{} holds no CSV file", data.display());
    for source in &sources {
        for column in &source.left_out {
            say(&format!(
                "{}: the column `{column}` is none of the standard ones and is left out",
                source.name
            ));
        }
    }
    let explain = details.explain.map(|pair| explain::find(&sources, pair)).transpose()?;
    let agencies = agencies(&sources, folder)?;
    let plan = Plan {
        agencies,
        as_at: standard::as_at(&sources)?,
        measure_links: true,
        measure_dump: false,
        look_at_all: false,
    };
    let mut town = Town::make(&folder.join("town"), launcher, plan)?;
    let ingesting = Instant::now();
    town.ingest()?;
    let ingest = ingesting.elapsed().as_secs_f64();
    let records: usize = sources.iter().map(|source| source.rows.len()).sum();
    say(&format!("{records} records of {} agencies taken in in {ingest:.1} s", sources.len()));
    town.start_nodes()?;
    let links = folder.join("links.csv");
    let as_at = standard::as_at(&sources)?.to_string();
    let links_text = links.display().to_string();
    let mut args = vec!["sweep", "--as-at", &as_at, "--links-out", &links_text];
    let all = weakest::MOST.to_string();
    if details.explain.is_some() {
        args.extend(["--weakest", &all]);
    }
    let (report, output) = town.coordinate(&args)?;
    let nodes_peak = town.nodes_peak_mib();
    town.stop()?;

    let truths: Vec<BTreeMap<String, String>> =
        sources.iter().map(|source| source.truth.clone()).collect();
    let runtime = tokio::runtime::Runtime::new()?;
    let judgement = runtime.block_on(truth::judge(&town, &links, &truths))?;
    let number = |name: &str| report[name].as_u64().unwrap_or(0);
    let mut seconds: BTreeMap<String, f64> = BTreeMap::new();
    for step in ["stream", "group", "compare", "cluster"] {
        seconds.insert(step.into(), report["seconds"][step].as_f64().unwrap_or(0.0));
    }
    seconds.insert("ingest".into(), ingest);
    seconds.insert("total".into(), began.elapsed().as_secs_f64());
    problems(&report)?;
    if let Some(pairs) = details.pairs {
        judgement.write_pairs(pairs)?;
    }
    if let Some(persons) = details.persons {
        judgement.write_persons(persons)?;
    }
    let explained = explain.map(|pair| judgement.explain(&pair)).transpose()?;
    Ok(LinkReport {
        explained,
        records: judgement.records.len(),
        agencies: sources.len(),
        candidate_pairs: number("candidate_pairs"),
        compared_pairs: number("compared_pairs"),
        links: number("links"),
        persons: number("persons"),
        pairwise: judgement.pairwise(),
        cluster: judgement.clusters(),
        estimated: Estimated {
            precision: Estimate::deserialize(&report["quality"]["precision"])?,
            recall: Estimate::deserialize(&report["quality"]["recall"])?,
        },
        ambiguous: number("ambiguous"),
        seconds,
        peak_rss_mib: BTreeMap::from([
            ("coordinator".to_owned(), output.peak_kib / 1024),
            ("nodes".to_owned(), nodes_peak),
        ]),
    })
}

/// Writes every source's export and describes an agency for each.
pub(crate) fn agencies(sources: &[StandardAgency], folder: &Path) -> anyhow::Result<Vec<Agency>> {
    let mut agencies = Vec::new();
    for (at, source) in sources.iter().enumerate() {
        let id = format!("agency-{}", at + 1);
        let (feed, mapping, file) = standard::export(source, &folder.join("exports").join(&id))?;
        agencies.push(Agency {
            policy: standard::policy(&id),
            id: id.parse()?,
            kind: AgencyKind::ALL[at % AgencyKind::ALL.len()],
            feeds: vec![FeedFile { id: feed, mapping, file }],
            dials_out: false,
        });
    }
    Ok(agencies)
}

/// Fails if a node dropped out: the figures would be about something else.
pub(crate) fn problems(report: &Value) -> anyhow::Result<()> {
    for agency in report["agencies"].as_array().into_iter().flatten() {
        if let Some(problem) = agency["problem"].as_str() {
            anyhow::bail!("{} {problem}", agency["id"]);
        }
    }
    Ok(())
}
