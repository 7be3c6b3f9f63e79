//! Scores a file of past events: for back-testing, and to check any score again.
//!
//! The same file, day and model give the same bytes, in whatever order the rows stand.

mod read;
mod render;

use std::{collections::BTreeMap, io};

use causeway_proto::{
    alert::Tier,
    catalogue::{AgencyKind, SignalCode},
    day::Day,
};
use serde::{Serialize, Serializer};

pub use self::read::{Household, ReplayError, read};
use super::{Model, Tenths, alone, persons, score};

/// What a replay found. Its JSON is a contract that others script against.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The version of the model.
    pub model: String,
    /// SHA-256 of the model's file, in hexadecimal.
    pub model_sha256: String,
    /// The day it speaks of.
    pub as_at: Day,
    /// By name.
    pub households: Vec<HouseholdReport>,
}

/// One household's score and why.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HouseholdReport {
    /// The name in the file.
    pub household: String,
    /// From 0 to 100.
    pub score: Tenths,
    /// The sum of lines, of rules up to their cap, and of breadth.
    pub raw: Tenths,
    /// How high the score stands.
    pub tier: Tier,
    /// What each agency's own signals would score, for each that owns one.
    pub agency_alone: BTreeMap<ByName, Tenths>,
    /// What each signal adds, most points first.
    pub lines: Vec<LineReport>,
    /// The rules that apply, in the order of the model.
    pub interactions: Vec<RuleReport>,
    /// Points for harm that several agencies see.
    pub breadth: Tenths,
    /// What each person's own signals would score, by the name in the file.
    pub persons: BTreeMap<String, Tenths>,
}

/// What one signal adds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LineReport {
    /// Who owns the signal.
    pub agency: AgencyKind,
    /// What.
    pub code: SignalCode,
    /// What it adds.
    pub points: Tenths,
    /// How many source events.
    pub count: usize,
    /// In plain words.
    pub sentence: String,
}

/// A rule that applies.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleReport {
    /// Such as `X01`.
    pub id: String,
    /// What it adds, before the cap on all rules.
    pub points: u32,
    /// In plain words.
    pub sentence: String,
}

/// A kind of agency in the order of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByName(pub AgencyKind);

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.as_str().cmp(other.0.as_str())
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Serialize for ByName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

/// Scores every household of a file as at a day. Everything that was recorded counts as told.
pub fn replay(model: &Model, file: impl io::Read, as_at: Day) -> Result<Report, ReplayError> {
    let households = read(file)?.iter().map(|household| report(model, household, as_at)).collect();
    let (model, model_sha256) = (model.version.clone(), model.sha256.clone());
    Ok(Report { model, model_sha256, as_at, households })
}

fn report(model: &Model, household: &Household, as_at: Day) -> HouseholdReport {
    let is_told = |_| true;
    let scored = score(model, &household.events, as_at, is_told);
    let alone = alone(model, &household.events, as_at, is_told);
    let of_person = persons(model, &household.events, as_at, is_told);

    let names = household.persons.iter().zip(0..);
    HouseholdReport {
        household: household.name.clone(),
        score: scored.score,
        raw: scored.raw,
        tier: scored.tier,
        agency_alone: alone.into_iter().map(|(kind, score)| (ByName(kind), score)).collect(),
        lines: (scored.lines.into_iter())
            .map(|line| LineReport {
                agency: line.kind,
                code: line.code,
                points: line.points,
                count: line.count,
                sentence: line.sentence,
            })
            .collect(),
        interactions: (scored.rules.into_iter())
            .map(|rule| RuleReport { id: rule.id, points: rule.points, sentence: rule.sentence })
            .collect(),
        breadth: Tenths::whole(scored.breadth),
        persons: names
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, id)| (name.clone(), of_person.get(&id).copied().unwrap_or_default()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::day;

    const HEADER: &str = "household,person,agency,code,start,end,event_ref,confidence\n";

    fn json(rows: &str) -> serde_json::Value {
        let file = format!("{HEADER}{rows}");
        let report = replay(Model::builtin(), file.as_bytes(), day("2025-02-25")).unwrap();
        serde_json::to_value(report).unwrap()
    }

    #[test]
    fn the_json_is_the_contract() {
        let report = json(
            "H1,p,police,POL_ASB_VICTIM,2025-01-11,,r1,\n\
             H1,q,police,POL_ASB_VICTIM,2025-01-11,,r1,0.6\n\
             H1,q,adult_social_care,ASC_SUICIDAL_DISCLOSURE,2025-02-11,,,\n",
        );
        let expected = serde_json::json!({
            "model": "causeway-1",
            "model_sha256": Model::builtin().sha256,
            "as_at": "2025-02-25",
            "households": [{
                "household": "H1",
                "score": 45.1,
                "raw": 36.0,
                "tier": "T2",
                "agency_alone": { "adult_social_care": 36.3, "police": 7.8 },
                "lines": [
                    { "agency": "adult_social_care", "code": "ASC_SUICIDAL_DISCLOSURE",
                      "points": 17.1, "count": 1,
                      "sentence": "Suicidal thoughts reported on 11 February 2025 (adult social care)" },
                    { "agency": "police", "code": "POL_ASB_VICTIM", "points": 4.9, "count": 1,
                      "sentence": "Anti-social behaviour reported on 11 January 2025 (police)" },
                ],
                "interactions": [
                    { "id": "X14", "points": 10, "sentence": "Suicidal thoughts reported on \
                      11 February 2025, and no follow-up has been recorded" },
                ],
                "breadth": 4.0,
                "persons": { "p": 7.8, "q": 43.5 },
            }],
        });
        assert_eq!(report, expected);
    }

    #[test]
    fn the_order_of_rows_and_columns_does_not_show() {
        let scenarios = include_str!("../vectors/scenarios.csv");
        let (header, rows) = scenarios.split_once('\n').unwrap();
        let mut backwards: Vec<_> = rows.lines().rev().collect();
        backwards.insert(0, header);
        let bytes = |file: &str| {
            let report = replay(Model::builtin(), file.as_bytes(), day("2025-09-23")).unwrap();
            (serde_json::to_vec(&report).unwrap(), report.to_string())
        };
        assert_eq!(bytes(scenarios), bytes(&backwards.join("\n")));
    }

    /// The same bytes on every machine. Where the scorer or its sentences change on purpose, so does
    /// this.
    #[test]
    fn a_replay_of_the_vectors_is_the_same_on_every_machine() {
        let file = include_bytes!("../vectors/scenarios.csv").as_slice();
        let report = replay(Model::builtin(), file, day("2025-08-25")).unwrap();
        let json = serde_json::to_vec(&report).unwrap();
        let hash = ring::digest::digest(&ring::digest::SHA256, &json);
        assert_eq!(
            causeway_certs::certificate::hex(hash.as_ref()),
            "2d587897ff55a7fdadb84c891f01cbd2622723fb7cfe5e28017adbc2e0fd8d8a"
        );
    }

    #[test]
    fn people_read_the_highest_score_first() {
        let file = include_bytes!("../vectors/scenarios.csv").as_slice();
        let text = replay(Model::builtin(), file, day("2025-05-14")).unwrap().to_string();
        let expected = "\
Model causeway-1, as at 14 May 2025: 5 households

A: T4, score 81.6 of 100
    15.8  Anti-social behaviour reported 8 times since 11 January, most recent 13 May 2025 (police)
    15.7  Suicidal thoughts reported on 24 February 2025 (adult social care)
";
        assert!(text.starts_with(expected), "{text}");
        let rules = "\
      10  A disabled person's service closed while their carer shows strain [X10]
      10  Suicidal thoughts reported on 24 February 2025, and no follow-up has been recorded [X14]
    -5.0  Rules together reach their cap
    12.0  Several agencies see harm
   101.7  In all: 81.6 on the scale of 0 to 100
";
        assert!(text.contains(rules), "{text}");
    }
}
