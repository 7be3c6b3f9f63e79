//! Why two records of different agencies were taken for one person, or were not.

use std::{fmt, str::FromStr};

use anyhow::{Context, bail};
use causeway_coordinator::cycle::report::LinkReport;
use serde::Serialize;

use crate::{
    standard::StandardAgency,
    truth::{Judged, Judgement},
};

/// A record as a command line names it: `FILE:LOCAL_ID`, the file without its `.csv`.
#[derive(Clone, Debug)]
pub struct RecordName {
    file: String,
    local_id: String,
}

/// What became of two records, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Explained {
    /// The two.
    pub records: [String; 2],
    /// Whether they are one person in truth.
    pub same: bool,
    /// Whether they were taken for one person.
    pub joined: bool,
    /// How that came about, in words.
    pub how: &'static str,
    /// What speaks for and against it; none where nobody compared them.
    pub evidence: Option<LinkReport>,
}

impl FromStr for RecordName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts =
            text.split_once(':').filter(|(file, local)| !file.is_empty() && !local.is_empty());
        let (file, local_id) = parts.ok_or("write FILE:LOCAL_ID, such as `housing:17`")?;
        let file = file.strip_suffix(".csv").unwrap_or(file);
        Ok(Self { file: file.into(), local_id: local_id.into() })
    }
}

impl fmt::Display for RecordName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.local_id)
    }
}

/// Finds the agencies of two records, by their places, before anything is linked.
pub(super) fn find(
    sources: &[StandardAgency],
    names: &[RecordName; 2],
) -> anyhow::Result<[(usize, RecordName); 2]> {
    let place = |name: &RecordName| -> anyhow::Result<(usize, RecordName)> {
        let at = sources.iter().position(|source| source.name == name.file);
        let at = at.with_context(|| format!("the folder holds no `{}.csv`", name.file))?;
        if !sources[at].truth.contains_key(&name.local_id) {
            bail!("`{}.csv` holds no record of the local_id `{}`", name.file, name.local_id);
        }
        Ok((at, name.clone()))
    };
    let [a, b] = names;
    let places = [place(a)?, place(b)?];
    if places[0].0 == places[1].0 {
        bail!(
            "both records are of one agency: its node decides itself whether they are one person"
        );
    }
    Ok(places)
}

impl Judgement {
    /// Says what became of two records of different agencies, and why.
    pub fn explain(&self, places: &[(usize, RecordName); 2]) -> anyhow::Result<Explained> {
        let record = |(agency, name): &(usize, RecordName)| -> anyhow::Result<&Judged> {
            let is_it = |record: &&Judged| record.agency == *agency && record.key == name.local_id;
            self.records.iter().find(is_it).with_context(|| format!("{name} is nowhere"))
        };
        let (a, b) = (record(&places[0])?, record(&places[1])?);
        let ends = [(a.agency, a.local), (b.agency, b.local)];
        let is_it =
            |ends: [(usize, u64); 2], of: [(usize, u64); 2]| of == ends || of == [ends[1], ends[0]];
        let pair = self.candidates.iter().find(|pair| is_it(ends, pair.ends));
        let joined = a.person.is_some() && a.person == b.person;
        let how = match pair.map(|pair| pair.bits) {
            _ if a.person.is_none() || b.person.is_none() => {
                "one of them took no part: its node sends nothing of it"
            }
            None if joined => "they share no match-key; other records of the same person join them",
            None => "they share no match-key, so nobody compared them",
            Some(None) if joined => "other records of the same person join them",
            Some(None) => match pair.and_then(|pair| pair.evidence.as_ref()?.link_from) {
                Some(_) => {
                    "a guard asks for more bits of a pair like this (below) than these come to"
                }
                None => "a guard forbids it",
            },
            Some(Some(bits)) if bits >= 0.0 && joined => "by their own match weight",
            Some(Some(bits)) if bits >= 0.0 => {
                "their match weight would do, and another candidate is better or as good"
            }
            Some(Some(_)) if joined => "other records of the same person join them",
            Some(Some(_)) => "their match weight is below 0 bits",
        };
        Ok(Explained {
            records: places.clone().map(|(_, name)| name.to_string()),
            same: a.truth == b.truth,
            joined,
            how,
            evidence: pair.and_then(|pair| pair.evidence.clone()),
        })
    }
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.records;
        let joined = if self.joined { "were joined" } else { "were not joined" };
        let truth = if self.same { "one person" } else { "two people" };
        writeln!(f, "{a} and {b} {joined}: {}. In truth they are {truth}.", self.how)?;
        self.evidence.as_ref().map_or(Ok(()), |evidence| write!(f, "{evidence}"))
    }
}
