//! The small language in which rules say when they apply.
//!
//! ```toml
//! when.all = [
//!   { count = { of = ["TARG"], within_days = 180, at_least = 3 } },
//!   { open = ["ASC_CARE_NEED", "HOU_ADAPTED_HOME"] },
//! ]
//! ```
//!
//! What each form means is settled in `score::rule`, which also says when an absent agency could
//! still make it true.

use std::borrow::Cow;

use causeway_proto::catalogue::{AgencyKind, SignalCode};
use serde::{Deserialize, Deserializer, de};

use super::Domain;

/// When a rule applies. Days count back from the as-at day, both ends included.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Condition {
    /// Every one of these.
    All(Vec<Condition>),
    /// At least one of these.
    Any(Vec<Condition>),
    /// So many events began in the last so many days, over all the signals together.
    Count(Count),
    /// At least one of these signals is open. Age plays no part.
    Open(Of),
    /// At least one began in the last so many days, or is a state that still lasts.
    Recent(Recent),
    /// So many different signals are recent.
    DistinctRecent(Count),
    /// One signal came at least twice as often in the last window as in the window before.
    Doubled(Doubled),
    /// Something was recorded and nothing has followed.
    Unfollowed(Unfollowed),
    /// So many of these were recorded, and a new concern since the last of them.
    AfterClosed(AfterClosed),
    /// A signal of one of these domains adds points.
    ScoredDomain(Vec<Domain>),
}

/// A number of events, or of different signals.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Count {
    /// Which signals.
    pub of: Of,
    /// How far back.
    pub within_days: i32,
    /// How many it takes.
    pub at_least: usize,
}

/// Something recent.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recent {
    /// Which signals.
    pub of: Of,
    /// How far back.
    pub within_days: i32,
}

/// A doubling.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doubled {
    /// The signals, each on its own. The first to double is the one named.
    pub first_of: Vec<SignalCode>,
    /// The length of each of the two windows.
    pub window_days: i32,
    /// How many events the last window must have. An empty window before counts as one event.
    pub at_least: usize,
}

/// A missing follow-up.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unfollowed {
    /// What was recorded.
    pub of: SignalCode,
    /// What should have followed, on the same day or later.
    pub by: SignalCode,
    /// How long there was to follow up.
    pub after_days: i32,
    /// After how long it is no longer asked about.
    pub within_days: i32,
    /// Whether it applies only while the feed that would show the follow-up is fresh and tells of it: silence
    /// of a stale feed says nothing, nor does that of a policy.
    pub needs_fresh: bool,
}

/// A new concern after closures.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AfterClosed {
    /// What counts as a closure.
    pub of: Of,
    /// How far back.
    pub within_days: i32,
    /// How many closures it takes.
    pub at_least: usize,
    /// The severity that a later harm signal needs.
    pub then_severity: u8,
    /// Whose signals don't count as later ones.
    pub not_owner: AgencyKind,
}

/// Some signals: codes, and domains for all the codes in them.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Of(Vec<Pick>);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Pick {
    Code(SignalCode),
    Domain(Domain),
}

impl Condition {
    /// Returns whether what is known of a code that belongs to `domain` may make it true: who is told
    /// of the rule is then told something of the code.
    pub fn mentions(&self, code: SignalCode, domain: Domain) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().any(|part| part.mentions(code, domain))
            }
            Self::Count(count) | Self::DistinctRecent(count) => count.of.includes(code, domain),
            Self::Open(of) => of.includes(code, domain),
            Self::Recent(recent) => recent.of.includes(code, domain),
            Self::Doubled(doubled) => doubled.first_of.contains(&code),
            Self::Unfollowed(rule) => rule.of == code,
            Self::AfterClosed(rule) => rule.of.includes(code, domain),
            Self::ScoredDomain(domains) => domains.contains(&domain),
        }
    }
}

impl Condition {
    /// Returns whether it may end when an event of a code that belongs to `domain` is no longer known.
    pub fn may_end_without(&self, code: SignalCode, domain: Domain) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                parts.iter().any(|part| part.may_end_without(code, domain))
            }
            // Any harm may be the new concern.
            Self::AfterClosed(_) => true,
            _ => self.mentions(code, domain),
        }
    }
}

impl Of {
    /// Returns whether it names nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a code that belongs to `domain` is one of them.
    pub(in crate::score) fn includes(&self, code: SignalCode, domain: Domain) -> bool {
        self.0.iter().any(|pick| match *pick {
            Pick::Code(named) => named == code,
            Pick::Domain(named) => named == domain,
        })
    }
}

impl<'de> Deserialize<'de> for Pick {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(from)?;
        if let Ok(code) = text.parse() {
            return Ok(Self::Code(code));
        }
        Domain::HARMS
            .into_iter()
            .find(|domain| domain.as_str() == text)
            .map(Self::Domain)
            .ok_or_else(|| {
                let problem = format!("`{text}` is neither a signal of the catalogue nor a domain");
                de::Error::custom(problem)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct Rule {
        when: Condition,
    }

    fn parse(text: &str) -> Result<Condition, String> {
        toml::from_str::<Rule>(text).map(|rule| rule.when).map_err(|error| error.to_string())
    }

    #[test]
    fn conditions_nest_and_mix_codes_with_domains() {
        let nested = parse(
            "when.any = [{ all = [{ open = ['CSC_CIN'] }] }, { scored_domain = ['TARG'] },
             { recent = { of = ['MENT', 'POL_DA_STD'], within_days = 3 } }]",
        );
        let Condition::Any(parts) = nested.unwrap() else { panic!("not any") };
        let Condition::Recent(recent) = &parts[2] else { panic!("not recent") };
        assert!(recent.of.includes("DWP_SAFEGUARD_FLAG".parse().unwrap(), Domain::Ment));
        assert!(recent.of.includes("POL_DA_STD".parse().unwrap(), Domain::Viol));
        assert!(!recent.of.includes("POL_DA_HIGH".parse().unwrap(), Domain::Viol));
    }

    #[test]
    fn a_misspelt_word_is_refused_by_name() {
        for (text, named) in [
            ("when.count = { of = ['TARG'], within_day = 3, at_least = 1 }", "within_day"),
            ("when.open = ['POL_DA']", "`POL_DA` is neither a signal of the catalogue"),
            ("when.recently = ['POL_DA_STD']", "recently"),
            ("when.doubled = { first_of = ['X'], window_days = 1, at_least = 1 }", "`X`"),
        ] {
            let refused = parse(text).unwrap_err();
            assert!(refused.contains(named), "{refused}");
        }
    }
}
