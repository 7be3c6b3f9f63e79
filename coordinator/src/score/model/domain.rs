//! Kinds of harm.

use std::fmt;

use causeway_proto::catalogue::AgencyKind;
use serde::{Deserialize, Serialize};

/// A kind of harm, or no harm at all.
///
/// What is known of one kind of harm adds up to at most that domain's cap, so that the same harm
/// seen by two agencies does not count double. The order is the one in which sums are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Domain {
    /// Violence and domestic abuse.
    Viol,
    /// Being targeted by others.
    Targ,
    /// Neglect of or harm to a child.
    Negl,
    /// Exploitation.
    Expl,
    /// Distress.
    Ment,
    /// Alcohol and drugs.
    Subs,
    /// Self-neglect and care at home.
    #[serde(rename = "SELF")]
    SelfNeglect,
    /// Schooling.
    Educ,
    /// Losing a home.
    Hous,
    /// Money.
    Hard,
    /// Offending in the household.
    Offd,
    /// Strain on a carer.
    Care,
    /// Context and protection: no harm.
    Ctx,
}

impl Domain {
    /// Every kind of harm: all but [`Domain::Ctx`].
    pub const HARMS: [Self; 12] = [
        Self::Viol,
        Self::Targ,
        Self::Negl,
        Self::Expl,
        Self::Ment,
        Self::Subs,
        Self::SelfNeglect,
        Self::Educ,
        Self::Hous,
        Self::Hard,
        Self::Offd,
        Self::Care,
    ];

    /// Returns the name used in the model file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viol => "VIOL",
            Self::Targ => "TARG",
            Self::Negl => "NEGL",
            Self::Expl => "EXPL",
            Self::Ment => "MENT",
            Self::Subs => "SUBS",
            Self::SelfNeglect => "SELF",
            Self::Educ => "EDUC",
            Self::Hous => "HOUS",
            Self::Hard => "HARD",
            Self::Offd => "OFFD",
            Self::Care => "CARE",
            Self::Ctx => "CTX",
        }
    }

    /// Returns a dense number, for tables.
    pub(in crate::score) const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the model says of a domain.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainSpec {
    /// The most points it can come to.
    pub cap: f64,
    /// What it is called in a sentence.
    pub name: String,
    /// The kind of agency that is asked to lead where it shows, if any.
    pub lead: Option<AgencyKind>,
    /// Kinds of agency that have a duty of care where it shows.
    #[serde(default)]
    pub inform: Vec<AgencyKind>,
    /// What to ask next. `{since}` becomes the day of the latest event.
    pub question: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_have_one_name() {
        for domain in Domain::HARMS.into_iter().chain([Domain::Ctx]) {
            let json = serde_json::to_string(&domain).unwrap();
            assert_eq!(json, format!("\"{domain}\""));
            assert_eq!(serde_json::from_str::<Domain>(&json).unwrap(), domain);
        }
    }
}
