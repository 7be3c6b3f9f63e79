//! The scoring model: every number and every rule, as data.
//!
//! `model/causeway-1.toml` is built in. Another file can be loaded in its place; nothing about a
//! score is decided anywhere else. `check` refuses what the project has promised never to do.

mod check;
mod condition;
mod domain;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    sync::LazyLock,
};

use causeway_certs::certificate::hex;
use causeway_proto::{
    alert::{Share, Tier},
    catalogue::{AgencyKind, SignalCode},
};
use ring::digest::{SHA256, digest};
use serde::Deserialize;

pub use self::{
    check::Fault,
    condition::{AfterClosed, Condition, Count, Doubled, Of, Recent, Unfollowed},
    domain::{Domain, DomainSpec},
};
use super::Tenths;

/// A whole model. One that exists has passed its check.
///
/// ```
/// # use causeway_coordinator::score::Model;
/// let model = Model::builtin();
/// assert_eq!(model.version, "causeway-1");
/// assert!(Model::parse("version = 'mine'").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// SHA-256 of the text it was read from, in 64 hexadecimal digits.
    #[serde(skip)]
    pub sha256: String,
    /// Names this very content in alerts and reviews. Never used again for other content.
    pub version: String,
    /// How points become a score, and how long anything counts.
    pub scale: Scale,
    /// Points for harm that several agencies see.
    pub breadth: Breadth,
    /// What rules may add together.
    pub interactions: Interactions,
    /// Where the tiers begin.
    pub tiers: Tiers,
    /// When a part of the whole is called major or moderate.
    pub shares: Shares,
    /// When a household surfaces, and when it does so again.
    pub surfacing: Surfacing,
    /// When an agency is told.
    pub duty: DutyFloor,
    /// The kinds of harm.
    pub domains: BTreeMap<Domain, DomainSpec>,
    /// Every code of the catalogue except the derived bands.
    pub signals: BTreeMap<SignalCode, SignalWeight>,
    /// What only shows when records are read together, in the order of the file.
    pub rules: Vec<Rule>,
}

/// How points become a score.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scale {
    /// Raw points at which the score reaches 63.
    pub k: f64,
    /// Events and ended states older than this count for nothing.
    pub window_days: i32,
    /// A faded count of no more than this is gone.
    pub negligible: f64,
}

/// Points for each agency after the first.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Breadth {
    /// Points for each agency after the first.
    pub points_per_agency: u32,
    /// The most they can come to.
    pub cap: u32,
    /// The fewest points in an agency's lines for it to count.
    pub threshold: f64,
    /// Domains whose lines don't make an agency count.
    pub excluded_domains: Vec<Domain>,
}

/// What rules may add together.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interactions {
    /// The most they can come to.
    pub cap: u32,
}

/// The lowest score of each tier.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tiers {
    /// Some concern.
    pub t1: u32,
    /// Raised.
    pub t2: u32,
    /// High.
    pub t3: u32,
    /// Highest.
    pub t4: u32,
}

/// What share of the raw points earns which word, in percent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shares {
    /// From here on it is called major.
    pub major_percent: f64,
    /// From here on it is called moderate.
    pub moderate_percent: f64,
}

/// When a household surfaces, and when it does so again.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Surfacing {
    /// The score at which it may surface.
    pub enter: u32,
    /// The score below which it is forgotten again.
    pub leave: u32,
    /// How far the joined score must lie above the best of one agency.
    pub uplift: u32,
    /// How many agencies must count, as for breadth.
    pub min_agencies: usize,
    /// The confidence of a record that belongs to the household but to nobody in particular.
    pub household_only_confidence: f64,
    /// New households a week.
    pub top_k: usize,
    /// T4 households a week that come on top, before an operator is warned.
    pub t4_ceiling: usize,
    /// Whether T2 may fill places that are left over.
    pub fill_with_t2: bool,
    /// Rules that put a household first among equals in tier.
    pub first_rules: Vec<String>,
    /// Days of quiet after a review that found no action needed.
    pub quiet_days: i32,
    /// How far above the reviewed score breaks the quiet.
    pub rise: u32,
    /// After how many days a new rule breaks the quiet.
    pub new_rule_after_days: i32,
    /// Rules that never do.
    pub new_rule_except: Vec<String>,
    /// The severity of a new signal that breaks the quiet.
    pub new_severity: u8,
    /// The week that places are counted over, in days.
    pub week_days: i32,
    /// So many of the last reviews are looked at by the brake.
    pub brake_reviews: u32,
    /// From this share of them that found nothing to do, in percent, on, places are halved.
    pub brake_percent: u32,
    /// After so many days without an answer everybody who was told is reminded.
    pub unanswered_days: i32,
}

/// When an agency is told.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DutyFloor {
    /// The fewest points of a domain, or of one signal.
    pub min_points: f64,
}

/// What one signal weighs.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignalWeight {
    /// The kind of harm.
    pub domain: Domain,
    /// From 1 to 5 for harm, 0 otherwise.
    pub severity: u8,
    /// Points when saturated, before the domain's cap.
    pub weight: f64,
    /// The share of the weight that one fresh event gives.
    pub first_share: f64,
    /// Days in which it fades by half.
    pub half_life_days: i32,
    /// How a line about it begins. Only harm has lines.
    #[serde(default)]
    pub says: String,
    /// Kinds of agency with a duty that comes from this very signal.
    #[serde(default)]
    pub inform: Vec<AgencyKind>,
}

/// Something that only shows when records are read together.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Such as `X01`. Never used again for another rule.
    pub id: String,
    /// What it adds.
    pub points: u32,
    /// In plain words. `{signal}` becomes what the rule is about, `{since}` its day.
    pub sentence: String,
    /// Where it comes from.
    pub basis: String,
    /// How well that is supported.
    pub evidence: Evidence,
    /// Who answers for it.
    pub owner: String,
    /// The kind of agency that is asked to lead. Where it is left out, which only a `doubled` rule
    /// may do, duties are those of the domain of what doubled.
    pub lead: Option<AgencyKind>,
    /// Kinds of agency that have a duty of care where it applies.
    #[serde(default)]
    pub inform: Vec<AgencyKind>,
    /// What to ask next, with the same placeholders as the sentence.
    pub question: String,
    /// When it applies.
    pub when: Condition,
}

/// How well a rule is supported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Contested or thin. Adds at most 5 points.
    Weak,
    /// Practice, or a few cases.
    Moderate,
    /// Several independent reviews.
    Strong,
}

/// A model file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The file cannot be read.
    #[error("could not read model file {}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, or not a model.
    #[error("could not understand the model")]
    Syntax(#[from] toml::de::Error),
    /// It breaks rules that every model keeps.
    #[error("the model breaks {} of its rules:\n{}", .0.len(), check::list(.0))]
    Refused(Vec<Fault>),
}

/// What a derived band weighs. Bands are context, the same in every model.
static DERIVED: SignalWeight = SignalWeight {
    domain: Domain::Ctx,
    severity: 0,
    weight: 0.0,
    first_share: 1.0,
    half_life_days: 0,
    says: String::new(),
    inform: Vec::new(),
};

static BUILTIN: LazyLock<Model> = LazyLock::new(|| {
    Model::parse(include_str!("../../../model/causeway-1.toml"))
        .expect("tested: it passes its check")
});

impl Model {
    /// Returns the model that comes with this version of Causeway.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Reads and checks the file at `path`.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        let text = fs::read_to_string(path)
            .map_err(|source| ModelError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads and checks `text`.
    pub fn parse(text: &str) -> Result<Self, ModelError> {
        let mut model: Self = toml::from_str(text)?;
        model.sha256 = hex(digest(&SHA256, text.as_bytes()).as_ref());
        let faults = model.check();
        if faults.is_empty() { Ok(model) } else { Err(ModelError::Refused(faults)) }
    }

    /// Returns what a signal weighs.
    pub fn signal(&self, code: SignalCode) -> &SignalWeight {
        match code.spec().owner {
            Some(_) => &self.signals[&code],
            None => &DERIVED,
        }
    }

    /// Returns what the model says of a kind of harm.
    pub fn domain(&self, domain: Domain) -> &DomainSpec {
        &self.domains[&domain]
    }

    /// Returns the rule of that id.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.id == id)
    }

    /// Returns the tier of a score.
    pub fn tier(&self, score: Tenths) -> Tier {
        let from = |points| score >= Tenths::whole(points);
        match &self.tiers {
            tiers if from(tiers.t4) => Tier::T4,
            tiers if from(tiers.t3) => Tier::T3,
            tiers if from(tiers.t2) => Tier::T2,
            tiers if from(tiers.t1) => Tier::T1,
            _ => Tier::T0,
        }
    }

    /// Returns the word for a part of the raw points.
    pub fn share(&self, part: f64, raw: f64) -> Share {
        let percent = if raw > 0.0 { 100.0 * part / raw } else { 0.0 };
        if percent >= self.shares.major_percent {
            Share::Major
        } else if percent >= self.shares.moderate_percent {
            Share::Moderate
        } else {
            Share::Minor
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_shown_as_a_threshold_has_reached_it() {
        let model = Model::builtin();
        let tier = |score| model.tier(Tenths::round(score));
        assert_eq!((tier(24.94), tier(24.96)), (Tier::T0, Tier::T1));
        assert_eq!((tier(44.94), tier(45.0)), (Tier::T1, Tier::T2));
        assert_eq!((tier(64.94), tier(64.96)), (Tier::T2, Tier::T3));
        assert_eq!((tier(79.9), tier(100.0)), (Tier::T3, Tier::T4));
    }

    #[test]
    fn a_quarter_of_the_whole_is_major_and_a_tenth_moderate() {
        let model = Model::builtin();
        assert_eq!(model.share(25.0, 100.0), Share::Major);
        assert_eq!(model.share(24.9, 100.0), Share::Moderate);
        assert_eq!(model.share(10.0, 100.0), Share::Moderate);
        assert_eq!(model.share(9.9, 100.0), Share::Minor);
        assert_eq!(model.share(0.0, 0.0), Share::Minor);
    }
}
