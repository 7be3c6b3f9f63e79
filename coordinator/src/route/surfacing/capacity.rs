//! Who gets the places of a week.

use std::collections::BTreeSet;

use causeway_proto::alert::Tier;
use serde::{Deserialize, Serialize};

use super::Decision;
use crate::score::{Model, surface::Rank};

/// The places of a week and how many are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capacity {
    /// How many households may be told of in a week below T4.
    pub places: usize,
    /// How many were.
    pub used: usize,
    /// How many T4 households were told of.
    pub highest: usize,
    /// More of them mean a fault in the data.
    pub ceiling: usize,
    /// Whether places are halved because reviewers find too little to do.
    pub braked: bool,
}

impl Capacity {
    /// Returns what is left. `week` holds the tiers of what was told in the last days, `useful` whether
    /// the latest reviews found something to do.
    pub fn of(model: &Model, week: &[Tier], useful: &[bool]) -> Self {
        let limits = &model.surfacing;
        let braked = is_braked(model, useful);
        let highest = week.iter().filter(|tier| **tier == Tier::T4).count();
        Self {
            places: if braked { limits.top_k.div_ceil(2) } else { limits.top_k },
            used: week.len() - highest,
            highest,
            ceiling: limits.t4_ceiling,
            braked,
        }
    }

    /// Returns whether so many are in the highest tier that it must be a fault.
    pub fn is_flooded(&self) -> bool {
        self.highest > self.ceiling
    }

    /// Takes a place, if there is one for this tier.
    fn take(&mut self, tier: Tier) -> bool {
        if tier == Tier::T4 {
            self.highest += 1;
            return true;
        }
        let free = self.used < self.places;
        self.used += usize::from(free);
        free
    }
}

/// Returns whether reviewers found too little to do in what they were told.
fn is_braked(model: &Model, useful: &[bool]) -> bool {
    let limits = &model.surfacing;
    let last = limits.brake_reviews as usize;
    if useful.len() < last {
        return false;
    }
    let useless = useful.iter().take(last).filter(|useful| !**useful).count();
    useless * 100 > last * limits.brake_percent as usize
}

/// A household with what was decided about it.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// What was decided.
    pub decision: Decision,
    /// How pressing it is.
    pub rank: Rank,
    /// Whether it has an alert already.
    pub is_told: bool,
    /// The people whom its signals are about.
    pub harmed: BTreeSet<u32>,
    /// Orders equals; different for every household.
    pub first: u32,
}

/// Returns the places of those whose decision stands, most pressing first.
///
/// Somebody with two addresses is told of once: with the household that was told of, or weighs more.
pub fn choose(capacity: &mut Capacity, candidates: &[Candidate]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..candidates.len()).collect();
    order.sort_by(|a, b| {
        let (a, b) = (&candidates[*a], &candidates[*b]);
        b.rank.cmp(&a.rank).then(a.first.cmp(&b.first))
    });
    let is_told = |at: &&usize| candidates[**at].is_told;
    let mut told: BTreeSet<u32> =
        order.iter().filter(is_told).flat_map(|at| candidates[*at].harmed.clone()).collect();
    order.retain(|at| {
        let candidate = &candidates[*at];
        match candidate.decision {
            Decision::Nothing => return false,
            Decision::New(_) if candidate.harmed.is_subset(&told) => return false,
            _ => {}
        }
        let stands = !candidate.decision.needs_a_place() || capacity.take(candidate.rank.tier);
        if stands {
            told.extend(&candidate.harmed);
        }
        stands
    });
    order
}

#[cfg(test)]
mod tests {
    use super::{super::Why, *};
    use crate::score::Tenths;

    fn candidate(decision: Decision, tier: Tier, score: i32, person: u32) -> Candidate {
        let rank = Rank {
            tier,
            has_first_rule: false,
            uplift: Tenths::of(score),
            score: Tenths::of(score),
            waiting_days: 0,
        };
        let is_told = !matches!(decision, Decision::New(_));
        Candidate { decision, rank, is_told, harmed: [person].into(), first: person }
    }

    #[test]
    fn a_week_has_so_many_places_and_the_highest_tier_needs_none() {
        let model = Model::builtin();
        let mut all: Vec<Candidate> = (0_u32..40)
            .map(|n| candidate(Decision::New(Why::Entered), Tier::T3, 650 + n.cast_signed(), n))
            .collect();
        all.extend((40..46).map(|n| candidate(Decision::New(Why::Entered), Tier::T4, 850, n)));
        all.push(candidate(Decision::Cancel(Why::Withdrawn), Tier::T1, 0, 50));
        let mut capacity = Capacity::of(model, &[Tier::T3, Tier::T4], &[]);
        let chosen = choose(&mut capacity, &all);
        // One place of fifteen is taken; those that weigh most come first.
        assert_eq!(chosen.len(), 6 + 14 + 1);
        assert_eq!(chosen[..6], [40, 41, 42, 43, 44, 45]);
        assert_eq!(chosen[6..20], (26..40).rev().collect::<Vec<_>>());
        assert!(capacity.is_flooded(), "{capacity:?}");
        // Later in the same week nobody else gets in, and taking back still does.
        assert_eq!(choose(&mut capacity, &all).len(), 6 + 1);
    }

    #[test]
    fn somebody_with_two_addresses_is_told_of_once() {
        let mut again = candidate(Decision::New(Why::Entered), Tier::T3, 700, 1);
        again.first = 2;
        let first = candidate(Decision::New(Why::Entered), Tier::T3, 690, 1);
        let capacity = Capacity::of(Model::builtin(), &[], &[]);
        assert_eq!(choose(&mut capacity.clone(), &[first, again.clone()]), [1]);
        // Once told, the other household stays out even if it weighs more by now.
        let told = candidate(Decision::Nothing, Tier::T3, 690, 1);
        assert_eq!(choose(&mut capacity.clone(), &[told, again]), [0_usize; 0]);
    }

    #[test]
    fn the_brake_halves_the_places_while_reviewers_find_nothing_to_do() {
        let model = Model::builtin();
        let reviews = |useless: usize| -> Vec<bool> {
            (0..30).map(|at| at >= useless).chain([false; 10]).collect()
        };
        let places = |useful: &[bool]| Capacity::of(model, &[], useful).places;
        assert_eq!(places(&reviews(18)), 15);
        assert_eq!(places(&reviews(19)), 8);
        assert_eq!(places(&[false; 29]), 15, "too few to say");
    }
}
