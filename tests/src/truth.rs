//! How well a linkage came out, held against the truth that only the town knows.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::Path,
};

use anyhow::Context;
use causeway_certs::certificate::unhex;
use causeway_coordinator::cycle::report::LinkReport;
use causeway_node::measure;
use causeway_proto::{
    ids::{AgencyId, Handle, SweepId},
    kind::MatchKeyKind as K,
    linkage::levels::{ComparisonField as F, Levels},
};
use serde::Serialize;

use crate::town::Town;

/// Precision, recall and their harmonic mean.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quality {
    /// Share of what was joined that belongs together.
    pub precision: f64,
    /// Share of what belongs together that was joined.
    pub recall: f64,
    /// The harmonic mean of both.
    pub f1: f64,
}

/// One source record, with what became of it and what is true.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its agency, by place.
    pub agency: usize,
    /// The person that its own node took it for.
    pub local: u64,
    /// The person that the coordinator took it for; `None` when it took no part.
    pub person: Option<u32>,
    /// Its key in the export.
    pub key: String,
    /// Who it really is.
    pub truth: String,
    /// Whether two candidates could not be told apart.
    pub ambiguous: bool,
}

/// Everything that a sweep joined, by source record.
#[derive(Debug, Default)]
pub struct Judgement {
    /// Every source record.
    pub records: Vec<Judged>,
    /// Every pair of local persons that shared a match-key.
    pub candidates: Vec<Candidate>,
}

/// A pair of local persons that shared a match-key.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Agency and local person, twice.
    pub ends: [(usize, u64); 2],
    /// The match-keys that they share: bit `MatchKeyKind::index`.
    pub kinds: u32,
    /// How well they agree.
    pub levels: Levels,
    /// Match weight in bits; `None` where a guard forbids the link.
    pub bits: Option<f64>,
    /// What speaks for and against it, where that was asked for.
    pub evidence: Option<LinkReport>,
}

/// Both sides of a pair, by agency and handle.
type Ends = [(AgencyId, Handle); 2];

/// A pair, its match-keys, its levels, its weight, and its evidence.
type LinkedPair = (Ends, u32, Levels, Option<f64>, Option<LinkReport>);

/// The coordinator's links, by agency and handle.
#[derive(Default)]
struct Linked {
    sweep: Option<SweepId>,
    records: Vec<(AgencyId, Handle, u32, bool)>,
    pairs: Vec<LinkedPair>,
}

impl Quality {
    /// Counts pairs: of those joined, of those that belong together, and of those that are both.
    pub fn of(joined: f64, together: f64, both: f64) -> Self {
        let share = |part: f64, whole: f64| if whole == 0.0 { 1.0 } else { part / whole };
        let (precision, recall) = (share(both, joined), share(both, together));
        let sum = precision + recall;
        Self {
            precision,
            recall,
            f1: if sum == 0.0 { 0.0 } else { 2.0 * precision * recall / sum },
        }
    }
}

/// Asks every node which records stood behind the handles of a sweep.
///
/// `truths` gives for each agency, by place, who each record really is, by its key.
pub async fn judge(
    town: &Town,
    links: &Path,
    truths: &[BTreeMap<String, String>],
) -> anyhow::Result<Judgement> {
    let linked = read_links(links)?;
    let sweep = linked.sweep.context("the links name no sweep")?;
    let mut judgement = Judgement::default();
    let mut locals: HashMap<(AgencyId, Handle), (usize, u64)> = HashMap::new();
    for (agency, (node, truth)) in town.nodes().iter().zip(truths).enumerate() {
        let id = &node.agency.id;
        let mine: Vec<_> = linked.records.iter().filter(|(of, ..)| of == id).collect();
        let handles: Vec<Handle> = mine.iter().map(|(_, handle, ..)| *handle).collect();
        let config = town.load_node_config(id)?;
        let behind = measure::resolve(&config, sweep, &handles).await?;
        let mut seen: BTreeMap<&str, ()> = BTreeMap::new();
        for (local, ((_, handle, person, ambiguous), records)) in
            (0..).zip(mine.iter().copied().zip(&behind))
        {
            locals.insert((id.clone(), *handle), (agency, local));
            for (_, key) in records {
                // A record that the truth does not know stands for itself.
                let unknown = || format!("{agency}/{key}");
                seen.insert(key, ());
                judgement.records.push(Judged {
                    agency,
                    local,
                    person: Some(*person),
                    key: key.clone(),
                    truth: truth
                        .get(key)
                        .cloned()
                        .filter(|t| !t.is_empty())
                        .unwrap_or_else(unknown),
                    ambiguous: *ambiguous,
                });
            }
        }
        let absent = truth.iter().filter(|(key, _)| !seen.contains_key(key.as_str()));
        for (at, (key, truth)) in (0..).zip(absent) {
            let (local, key) = (u64::MAX - at, key.clone());
            let truth = if truth.is_empty() { format!("{agency}/{key}") } else { truth.clone() };
            judgement.records.push(Judged {
                agency,
                local,
                person: None,
                key,
                truth,
                ambiguous: false,
            });
        }
    }
    judgement.candidates = linked
        .pairs
        .into_iter()
        .map(|(ends, kinds, levels, bits, evidence)| Candidate {
            ends: ends.map(|end| locals[&end]),
            kinds,
            levels,
            bits,
            evidence,
        })
        .collect();
    Ok(judgement)
}

impl Judgement {
    /// Writes every candidate pair for a closer look: whether it is true, each side's local person,
    /// first record and final person, the match-keys in common, the levels by field, the weight.
    pub fn write_pairs(&self, path: &Path) -> anyhow::Result<()> {
        let mut sides: HashMap<(usize, u64), &Judged> = HashMap::new();
        for record in &self.records {
            sides.entry((record.agency, record.local)).or_insert(record);
        }
        let mut writer = csv::Writer::from_path(path)?;
        let mut header: Vec<String> =
            ["same", "joined", "bits", "kinds", "a", "a_key", "b", "b_key"]
                .map(String::from)
                .into();
        header.extend(F::ALL.iter().map(F::to_string));
        writer.write_record(&header)?;
        for pair in &self.candidates {
            let [a, b] = pair.ends.map(|end| sides[&end]);
            let kinds = K::ALL.iter().filter(|kind| pair.kinds >> kind.index() & 1 == 1);
            let mut row = vec![
                u8::from(a.truth == b.truth).to_string(),
                u8::from(a.person == b.person).to_string(),
                pair.bits.map_or_else(String::new, |bits| format!("{bits:.2}")),
                kinds.map(K::to_string).collect::<Vec<_>>().join(" "),
            ];
            for side in [a, b] {
                row.extend([format!("{}/{}", side.agency, side.local), side.key.clone()]);
            }
            let level =
                |field: &F| pair.levels.get(*field).map_or_else(String::new, |l| l.to_string());
            row.extend(F::ALL.iter().map(level));
            writer.write_record(&row)?;
        }
        Ok(writer.flush()?)
    }

    /// Writes every record for a closer look: its agency and key, who it is, the person that its node
    /// took it for, the person that the coordinator took it for, and whether that was unclear.
    pub fn write_persons(&self, path: &Path) -> anyhow::Result<()> {
        let mut writer = csv::Writer::from_path(path)?;
        writer.write_record(["agency", "key", "truth", "local", "person", "ambiguous"])?;
        for record in &self.records {
            writer.write_record([
                record.agency.to_string(),
                record.key.clone(),
                record.truth.clone(),
                record.local.to_string(),
                record.person.map_or_else(String::new, |person| person.to_string()),
                u8::from(record.ambiguous).to_string(),
            ])?;
        }
        Ok(writer.flush()?)
    }

    /// How well the final persons came out: over pairs of records of different agencies, or over all
    /// pairs where there is one agency.
    pub fn clusters(&self) -> Quality {
        let person = |at: usize, record: &Judged| match record.person {
            Some(person) => format!("p{person}"),
            None => format!("r{at}"),
        };
        let joined = self.pairs(|at, record| person(at, record));
        let both = self.pairs(|at, record| format!("{}\u{1f}{}", person(at, record), record.truth));
        Quality::of(joined, self.together(), both)
    }

    /// How well the links came out by their own weight, before clusters.
    pub fn pairwise(&self) -> Quality {
        let mut by_local: HashMap<(usize, u64), HashMap<&str, f64>> = HashMap::new();
        for record in &self.records {
            let truths = by_local.entry((record.agency, record.local)).or_default();
            *truths.entry(&record.truth).or_default() += 1.0;
        }
        let (mut joined, mut both) = (0.0, 0.0);
        let links = self.candidates.iter().filter(|pair| pair.bits.is_some_and(|bits| bits >= 0.0));
        for Candidate { ends: [a, b], .. } in links {
            let (a, b) = (&by_local[a], &by_local[b]);
            joined += a.values().sum::<f64>() * b.values().sum::<f64>();
            both += a.iter().map(|(truth, n)| n * b.get(truth).unwrap_or(&0.0)).sum::<f64>();
        }
        if self.is_one_agency() {
            joined += self.pairs(|_, record| format!("{}", record.local));
            both += self.pairs(|_, record| format!("{}\u{1f}{}", record.local, record.truth));
        }
        Quality::of(joined, self.together(), both)
    }

    /// Returns how many agencies there are.
    fn is_one_agency(&self) -> bool {
        self.records.iter().all(|record| record.agency == 0)
    }

    fn together(&self) -> f64 {
        self.pairs(|_, record| record.truth.clone())
    }

    /// Counts pairs of records that share a label.
    fn pairs(&self, label: impl Fn(usize, &Judged) -> String) -> f64 {
        let all_pairs = self.is_one_agency();
        let mut groups: HashMap<String, HashMap<usize, f64>> = HashMap::new();
        for (at, record) in self.records.iter().enumerate() {
            let group = groups.entry(label(at, record)).or_default();
            *group.entry(record.agency).or_default() += 1.0;
        }
        let pairs = |n: f64| n * (n - 1.0) / 2.0;
        groups
            .values()
            .map(|group| {
                let inside: f64 = group.values().map(|n| pairs(*n)).sum();
                pairs(group.values().sum()) - if all_pairs { 0.0 } else { inside }
            })
            .sum()
    }
}

fn read_links(path: &Path) -> anyhow::Result<Linked> {
    let text = fs::read_to_string(path).context("the coordinator wrote no links")?;
    let mut linked = Linked::default();
    for line in text.lines() {
        if let Some(evidence) = line.strip_prefix("evidence,") {
            let pair = linked.pairs.last_mut().context("evidence stands before any pair")?;
            pair.4 = Some(serde_json::from_str(evidence)?);
            continue;
        }
        let fields: Vec<&str> = line.split(',').collect();
        let bytes = |text: &str| -> anyhow::Result<[u8; 16]> {
            let bytes = unhex(text).context("a handle is not hexadecimal")?;
            bytes.try_into().map_err(|_| anyhow::anyhow!("a handle has 16 bytes"))
        };
        match fields.as_slice() {
            ["sweep", sweep] => linked.sweep = Some(SweepId::from_bytes(bytes(sweep)?)),
            ["record", agency, handle, person, unclear] => linked.records.push((
                agency.parse()?,
                Handle::from_bytes(bytes(handle)?),
                person.parse()?,
                !unclear.is_empty(),
            )),
            ["pair", a, x, b, y, kinds, levels, bits] => linked.pairs.push((
                [
                    (a.parse()?, Handle::from_bytes(bytes(x)?)),
                    (b.parse()?, Handle::from_bytes(bytes(y)?)),
                ],
                u32::from_str_radix(kinds, 16)?,
                Levels::from_bits(u64::from_str_radix(levels, 16)?),
                if *bits == "veto" { None } else { Some(bits.parse()?) },
                None,
            )),
            _ => anyhow::bail!("the links have a line of another shape"),
        }
    }
    Ok(linked)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(agency: usize, local: u64, person: u32, truth: &str) -> Judged {
        Judged {
            agency,
            local,
            person: Some(person),
            key: format!("{agency}-{local}-{truth}"),
            truth: truth.into(),
            ambiguous: false,
        }
    }

    #[test]
    fn pairs_of_different_agencies_are_counted_and_others_not() {
        let judgement = Judgement {
            records: vec![
                record(0, 0, 0, "ada"),
                record(0, 0, 0, "ada"),
                record(1, 0, 0, "ada"),
                record(1, 1, 1, "bob"),
                record(2, 0, 1, "eve"),
            ],
            candidates: vec![Candidate {
                ends: [(0, 0), (1, 0)],
                kinds: 1,
                levels: Levels::NONE,
                bits: Some(7.0),
                evidence: None,
            }],
        };
        let clusters = judgement.clusters();
        assert!((clusters.precision - 2.0 / 3.0).abs() < 1e-9);
        assert!((clusters.recall - 1.0).abs() < 1e-9);
        let pairwise = judgement.pairwise();
        assert!((pairwise.f1 - 1.0).abs() < 1e-9);
    }

    #[test]
    fn one_agency_is_judged_by_all_its_pairs() {
        let records = vec![record(0, 0, 0, "ada"), record(0, 0, 0, "ada"), record(0, 1, 1, "ada")];
        let clusters = Judgement { records, candidates: vec![] }.clusters();
        assert!((clusters.recall - 1.0 / 3.0).abs() < 1e-9);
    }
}
