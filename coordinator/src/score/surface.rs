//! Which households may be looked at, and which first.
//!
//! The rule for one household at one moment. What was surfaced before, how many places a week has
//! and when a reviewed household may come back need a memory, and so belong to the ledger's side.

use std::collections::BTreeMap;

use causeway_proto::{alert::Tier, catalogue::AgencyKind};

use super::{Scored, Tenths, model::Model, uplift};

/// Why a household does not surface. The first that applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Barrier {
    /// It is not sure who lives there, so their signals may not be joined.
    #[error("it is uncertain who belongs to the household")]
    UncertainHousehold,
    /// The score is too low.
    #[error("the score is below the one at which households surface")]
    LowScore,
    /// Too few agencies see enough harm.
    #[error("too few agencies see harm")]
    FewAgencies,
    /// One agency knows nearly as much alone, so joining tells nobody anything.
    #[error("joining adds too little to what one agency knows")]
    LittleUplift,
}

/// Returns whether a household may surface now, or why not.
///
/// An agency sees harm when its lines come to enough to count for breadth. Policies and kill
/// switches are the caller's to ask.
pub fn eligible(
    model: &Model,
    scored: &Scored,
    alone: &BTreeMap<AgencyKind, Tenths>,
    household_is_certain: bool,
) -> Result<(), Barrier> {
    eligible_from(model, scored, alone, household_is_certain, Tenths::whole(model.surfacing.enter))
}

/// The same from another score on.
pub fn eligible_from(
    model: &Model,
    scored: &Scored,
    alone: &BTreeMap<AgencyKind, Tenths>,
    household_is_certain: bool,
    floor: Tenths,
) -> Result<(), Barrier> {
    let limits = &model.surfacing;
    if !household_is_certain {
        Err(Barrier::UncertainHousehold)
    } else if scored.score < floor {
        Err(Barrier::LowScore)
    } else if scored.agencies.len() < limits.min_agencies {
        Err(Barrier::FewAgencies)
    } else if uplift(scored.score, alone) < Tenths::whole(limits.uplift) {
        Err(Barrier::LittleUplift)
    } else {
        Ok(())
    }
}

/// A household's place in the queue: the greater comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// How high the score stands.
    pub tier: Tier,
    /// Whether one of the model's first rules applies.
    pub has_first_rule: bool,
    /// How far joining lifts the score.
    pub uplift: Tenths,
    /// The score.
    pub score: Tenths,
    /// Days since the oldest change that nobody has looked at.
    pub waiting_days: i32,
}

impl Rank {
    /// Ranks a household.
    pub fn of(
        model: &Model,
        scored: &Scored,
        alone: &BTreeMap<AgencyKind, Tenths>,
        waiting_days: i32,
    ) -> Self {
        let is_first = |id: &String| model.surfacing.first_rules.contains(id);
        Self {
            tier: scored.tier,
            has_first_rule: scored.rules.iter().any(|rule| is_first(&rule.id)),
            uplift: uplift(scored.score, alone),
            score: scored.score,
            waiting_days,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{
        alone,
        fixture::{self, day},
        score,
    };

    /// Scores a scenario of `vectors/scenarios.csv` and says whether it may surface.
    fn at(name: &str, as_at: &str) -> (Result<(), Barrier>, Rank) {
        let (model, as_at) = (Model::builtin(), day(as_at));
        let events = fixture::scenario(name);
        let alone = alone(model, &events, as_at, |_| true);
        let scored = score(model, &events, as_at, |_| true);
        (eligible(model, &scored, &alone, true), Rank::of(model, &scored, &alone, 0))
    }

    #[test]
    fn larkrise_surfaces_when_the_disclosure_lands_and_not_before() {
        assert_eq!(at("A", "2025-02-20").0, Err(Barrier::LowScore));
        assert_eq!(at("A", "2025-02-25").0, Ok(()));
        assert_eq!(at("B", "2025-02-11").0, Err(Barrier::LowScore));
        assert_eq!(at("B", "2025-08-25").0, Ok(()));
        assert_eq!(at("D_POOR", "2025-04-01").0, Err(Barrier::LowScore));
    }

    #[test]
    fn what_one_agency_knows_by_itself_is_its_own_business() {
        let (model, as_at) = (Model::builtin(), day("2025-02-25"));
        let scored = score(model, &fixture::scenario("A"), as_at, |_| true);
        let nearly = BTreeMap::from([(AgencyKind::Police, scored.score - Tenths::of(99))]);
        assert_eq!(eligible(model, &scored, &nearly, true), Err(Barrier::LittleUplift));
        let enough = BTreeMap::from([(AgencyKind::Police, scored.score - Tenths::of(100))]);
        assert_eq!(eligible(model, &scored, &enough, true), Ok(()));
        assert_eq!(eligible(model, &scored, &enough, false), Err(Barrier::UncertainHousehold));
        let one = Scored { agencies: vec![AgencyKind::Police], ..scored };
        assert_eq!(eligible(model, &one, &enough, true), Err(Barrier::FewAgencies));
    }

    #[test]
    fn a_missing_follow_up_comes_first_inside_its_tier() {
        let disclosed = at("A", "2025-03-12").1;
        let fire = at("B", "2025-08-25").1;
        let baby = at("C", "2025-09-23").1;
        assert!(disclosed.has_first_rule && !fire.has_first_rule);
        assert!(Rank { uplift: fire.uplift - Tenths::of(1), ..disclosed } > fire);
        assert!(baby > disclosed);
        assert!(Rank { waiting_days: 3, ..fire } > fire);
    }
}
