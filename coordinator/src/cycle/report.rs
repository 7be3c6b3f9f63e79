//! What a sweep came to, for people and machines. Nothing here lists who was not surfaced.

mod link;
mod print;
mod quality;

use std::collections::BTreeMap;

use causeway_proto::{
    alert::{AlertChange, AlertSubject, Duty, Tier},
    catalogue::{AgencyKind, SignalCode},
    day::Day,
    ids::{AgencyId, LineId},
};
use serde::{Deserialize, Serialize};

pub use self::link::{FieldReport, LinkReport, Rest, RestReport, link};
use super::{Taking, subgroups::Subgroups};
use crate::{
    link::quality::LinkQuality,
    route::surfacing::{Capacity, Why},
    score::{Scored, Tenths, compare::Comparison},
};

/// The result of one sweep.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SweepReport {
    /// Which.
    pub sweep: u64,
    /// The day it speaks of.
    pub as_at: Day,
    /// The version of the scoring model.
    pub model: String,
    /// SHA-256 of the model's file, in hexadecimal.
    pub model_sha256: String,
    /// Every enrolled agency, also those that could not take part.
    pub agencies: Vec<AgencyReport>,
    /// Records that took part.
    pub records: usize,
    /// Pairs of records that share a match-key.
    pub candidate_pairs: usize,
    /// Pairs that were looked at a second time.
    pub compared_pairs: usize,
    /// Pairs that are one person by their own weight: the sum of `quality.agencies[].by_weight`.
    pub links: usize,
    /// Pairs that were joined: not where a record has a better candidate, and also where other records
    /// join the two. The sum of `quality.agencies[].links`.
    #[serde(default)]
    pub joined_pairs: u64,
    /// Persons that the records come to.
    pub persons: usize,
    /// Records with two candidates that could not be told apart.
    pub ambiguous: usize,
    /// Households, also of one person.
    pub households: usize,
    /// Records whose signals were asked for.
    pub signals_asked_for: usize,
    /// How good the links probably are, by their own weights.
    pub quality: LinkQuality,
    /// What changed since the last sweep that a data steward should look at.
    pub drift: Vec<String>,
    /// Who is linked how often, by kinds of people.
    pub subgroups: Option<Subgroups>,
    /// What was surfaced or taken back, most pressing first.
    pub alerts: Vec<AlertReport>,
    /// How many alerts everybody was reminded of, because nobody has answered.
    pub reminders: usize,
    /// The places of the week.
    pub capacity: Capacity,
    /// The same households under a model that is not in use yet, where one was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Comparison>,
    /// The evidence of the weakest links, the weakest first; where it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weakest_links: Vec<LinkReport>,
    /// How long the steps took.
    pub seconds: Seconds,
}

/// What became of one agency.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AgencyReport {
    /// Its short name.
    pub id: AgencyId,
    /// What it is for.
    pub kind: AgencyKind,
    /// Records it brought.
    pub records: u64,
    /// Whether an export of it is older than it should be, or nothing is heard of it.
    pub stale: bool,
    /// How far its changes are part of the result.
    pub position: u64,
    /// Why it is not part of the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What to ask it about although it is part of the result.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Seconds, by step.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Seconds {
    /// Streaming tokens.
    pub stream: f64,
    /// Finding candidate pairs.
    pub group: f64,
    /// The second look.
    pub compare: f64,
    /// Weights and clusters.
    pub cluster: f64,
    /// Homes.
    pub dwellings: f64,
    /// Signals.
    pub signals: f64,
    /// Scoring, routing and recording.
    pub score: f64,
    /// Everything.
    pub total: f64,
}

/// One alert that was issued, and why. Holds no handle, so it may be kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertReport {
    /// Which.
    pub alert_id: String,
    /// Which revision.
    pub revision: u32,
    /// What it does.
    pub change: AlertChange,
    /// Why it was issued.
    #[serde(default)]
    pub reason: Option<Why>,
    /// The version of the model that it rests on.
    #[serde(default)]
    pub model: String,
    /// SHA-256 of that model's file, in hexadecimal.
    #[serde(default)]
    pub model_sha256: String,
    /// A person or a household.
    pub subject: AlertSubject,
    /// How many people.
    pub people: usize,
    /// How high; of an alert that is withdrawn, how high it was.
    pub tier: Tier,
    /// The joined score, 0 to 100; of an alert that is withdrawn, what it was.
    pub score: f64,
    /// What the score is made of, before it is put on the scale.
    pub raw: f64,
    /// The score if those who are missing held nothing, and if they held as much as they could.
    pub range: [f64; 2],
    /// The highest score that one agency alone would give.
    pub best_single_agency: f64,
    /// What each agency alone would give.
    pub agency_alone: BTreeMap<AgencyKind, f64>,
    /// Where the points come from.
    pub lines: Vec<LineReport>,
    /// Rules over the joined view.
    pub interactions: Vec<RuleReport>,
    /// Points for the number of agencies.
    pub breadth: u32,
    /// Who is told, the one asked to lead first.
    pub recipients: Vec<RecipientReport>,
    /// Who is missing, stale or withholding.
    pub unknowns: Vec<String>,
    /// Why records of different agencies were taken for one person.
    pub links: Vec<LinkReport>,
}

/// One line of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LineReport {
    /// Which kind of agency.
    pub agency: AgencyKind,
    /// Which signal.
    pub code: SignalCode,
    /// What it adds to `raw`.
    pub points: f64,
    /// How many events.
    pub count: usize,
    /// In plain words.
    pub sentence: String,
    /// What reviews call it: 32 hexadecimal digits.
    #[serde(default)]
    pub line: String,
    /// The agencies that reported it.
    #[serde(default)]
    pub reporters: Vec<AgencyId>,
}

/// One rule of a score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleReport {
    /// Such as `X01`.
    pub id: String,
    /// What it adds to `raw`, before the cap on all rules.
    pub points: u32,
    /// In plain words.
    pub sentence: String,
}

/// One recipient.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecipientReport {
    /// Which.
    pub agency: AgencyId,
    /// Whether it is asked to lead.
    pub duty: Duty,
    /// How many records of its own it is pointed at.
    pub records: usize,
}

impl AgencyReport {
    /// Describes what became of an agency.
    pub fn of(agency: &Taking<'_>) -> Self {
        Self {
            id: agency.member.id.clone(),
            kind: agency.member.kind,
            records: agency.opened.as_ref().map_or(0, |opened| opened.records),
            stale: agency.is_stale(),
            position: agency.opened.as_ref().map_or(0, |opened| opened.position),
            problem: agency.trouble().map(ToString::to_string),
            warnings: agency.warnings.clone(),
        }
    }
}

/// Describes the lines of a score, each with what reviews call it.
pub fn lines(scored: &Scored, ids: &[LineId]) -> Vec<LineReport> {
    let line = |(line, id): (&crate::score::Line, &LineId)| LineReport {
        line: line_name(*id),
        reporters: line.reporters.iter().filter_map(|agency| agency.parse().ok()).collect(),
        agency: line.kind,
        code: line.code,
        points: line.points.into(),
        count: line.count,
        sentence: line.sentence.clone(),
    };
    scored.lines.iter().zip(ids).map(line).collect()
}

/// Returns what a report calls a line.
pub fn line_name(id: LineId) -> String {
    causeway_certs::certificate::hex(id.as_bytes())
}

/// Describes the rules of a score.
pub fn rules(scored: &Scored) -> Vec<RuleReport> {
    let rule = |rule: &crate::score::FiredRule| RuleReport {
        id: rule.id.clone(),
        points: rule.points,
        sentence: rule.sentence.clone(),
    };
    scored.rules.iter().map(rule).collect()
}

/// A score as a number.
pub fn number(score: Tenths) -> f64 {
    score.into()
}

impl SweepReport {
    /// Returns what of it may be kept: nothing about anybody who was not surfaced.
    pub fn for_keeping(&self) -> Self {
        let shadow = self.shadow.clone().map(Comparison::without_households);
        Self { shadow, weakest_links: Vec::new(), ..self.clone() }
    }

    /// Returns it as machines read it.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).expect("a report is plain data")
    }
}
