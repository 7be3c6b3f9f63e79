//! Two models beside each other: who would newly surface under the new one, and who would vanish.
//!
//! A plain function over households' events, for past data (`model diff`) and for the households of
//! a sweep (a shadow sweep). A household has no name here but one that the caller gives: in a sweep
//! that is a number that means nothing outside its report.

use std::fmt;

use causeway_proto::{alert::Tier, catalogue::SignalCode, day::Day};
use serde::{Deserialize, Serialize};

use super::{Event, Model, Tenths, alone, score, surface::eligible};

/// How two models differ over some households.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The version of the model in use.
    pub old: String,
    /// The version of the other.
    pub new: String,
    /// SHA-256 of the file of the model in use, in hexadecimal.
    pub old_sha256: String,
    /// SHA-256 of the other's.
    pub new_sha256: String,
    /// Households that both scored.
    pub households: usize,
    /// Those that may surface under the model in use.
    pub surface_old: usize,
    /// Those that may surface under the other.
    pub surface_new: usize,
    /// Those whose score differs.
    pub moved: usize,
    /// Those that would newly surface.
    pub appear: Vec<Change>,
    /// Those that would not surface any more.
    pub vanish: Vec<Change>,
}

/// What becomes of one household.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// The caller's name for it.
    pub household: String,
    /// Under the model in use.
    pub old: Standing,
    /// Under the other.
    pub new: Standing,
}

/// How one household stands under one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The joined score.
    pub score: Tenths,
    /// How high that is.
    pub tier: Tier,
    /// The rules that apply, by their ids.
    pub rules: Vec<String>,
    /// Whether it may surface: high enough, seen by several, and not by one alone.
    #[serde(skip)]
    pub surfaces: bool,
}

/// Compares two models over households as at a day. Each household comes with its events as either
/// model is to see them; mostly they are the same.
pub fn compare<'a>(
    [old, new]: [&Model; 2],
    households: impl IntoIterator<Item = (String, [&'a [Event]; 2])>,
    as_at: Day,
    is_told: impl Fn(SignalCode) -> bool,
) -> Comparison {
    let mut comparison = Comparison {
        old: old.version.clone(),
        new: new.version.clone(),
        old_sha256: old.sha256.clone(),
        new_sha256: new.sha256.clone(),
        households: 0,
        surface_old: 0,
        surface_new: 0,
        moved: 0,
        appear: Vec::new(),
        vanish: Vec::new(),
    };
    for (household, [now, then]) in households {
        let change = Change {
            household,
            old: Standing::of(old, now, as_at, &is_told),
            new: Standing::of(new, then, as_at, &is_told),
        };
        comparison.households += 1;
        comparison.surface_old += usize::from(change.old.surfaces);
        comparison.surface_new += usize::from(change.new.surfaces);
        comparison.moved += usize::from(change.old.score != change.new.score);
        match (change.old.surfaces, change.new.surfaces) {
            (false, true) => comparison.appear.push(change),
            (true, false) => comparison.vanish.push(change),
            _ => {}
        }
    }
    comparison
}

impl Comparison {
    /// Returns it with nothing but counts: what may be kept.
    pub fn without_households(self) -> Self {
        Self { appear: Vec::new(), vanish: Vec::new(), ..self }
    }
}

impl Standing {
    fn of(
        model: &Model,
        events: &[Event],
        as_at: Day,
        is_told: &dyn Fn(SignalCode) -> bool,
    ) -> Self {
        let scored = score(model, events, as_at, is_told);
        let alone = alone(model, events, as_at, is_told);
        Self {
            surfaces: eligible(model, &scored, &alone, true).is_ok(),
            score: scored.score,
            tier: scored.tier,
            rules: scored.rules.into_iter().map(|rule| rule.id).collect(),
        }
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { old, new, households, surface_old, surface_new, moved, .. } = self;
        writeln!(f, "{new} beside {old}, over {households} households")?;
        writeln!(
            f,
            "  {moved} score differently; {surface_old} may surface now, {surface_new} then"
        )?;
        for (what, changes) in [("newly surfaces", &self.appear), ("vanishes", &self.vanish)] {
            for Change { household, old, new } in changes {
                writeln!(f, "  {household} {what}: {old} -> {new}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} [{}]", self.tier, self.score, self.rules.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::{day, scenario};

    const BUILTIN: &str = include_str!("../../model/causeway-1.toml");

    fn over_scenarios(new: &Model) -> Comparison {
        let (a, b) = (scenario("A"), scenario("B"));
        let households = [("A", a.as_slice()), ("B", b.as_slice())];
        let households = households.map(|(name, events)| (name.to_owned(), [events; 2]));
        compare([Model::builtin(), new], households, day("2025-08-25"), |_| true)
    }

    #[test]
    fn a_model_beside_itself_moves_nobody() {
        let same = over_scenarios(Model::builtin());
        assert_eq!((same.households, same.surface_old, same.surface_new), (2, 2, 2));
        assert_eq!((same.moved, same.appear.len(), same.vanish.len()), (0, 0, 0));
    }

    #[test]
    fn a_weaker_rule_lets_a_household_vanish_and_says_so() {
        let new = BUILTIN.replacen("version = \"causeway-1\"", "version = \"causeway-2\"", 1);
        let new = new.replacen("points = 16", "points = 4", 1);
        let comparison = over_scenarios(&Model::parse(&new).unwrap());
        assert_eq!((comparison.moved, comparison.surface_new), (2, 1));
        let gone: Vec<&str> = comparison.vanish.iter().map(|c| c.household.as_str()).collect();
        assert_eq!(gone, ["B"]);
        let text = comparison.to_string();
        assert!(text.contains("causeway-2 beside causeway-1, over 2 households"), "{text}");
        assert!(text.contains("B vanishes: T3 71.1 [X01] -> T2"), "{text}");
    }
}
