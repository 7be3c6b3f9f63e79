//! What each household comes to in an open sweep, so that a change scores again only what it touches.
//!
//! A score is a function of a household's events, the day, the model, and whose exports are up to date.
//! The day and the model are the sweep's; where the rest is what it was, so is the score. Time alone
//! moves scores from one sweep to the next, and every sweep begins with all of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use causeway_proto::{catalogue::AgencyKind, day::Day};

use super::{Taking, homes::House};
use crate::{
    route::surfacing::Scoring,
    score::{Event, Model},
};

/// The scores of a sweep's houses, as they were last.
#[derive(Default)]
pub struct Scores {
    /// The kinds of agency whose exports were up to date.
    fresh: BTreeSet<AgencyKind>,
    /// By the records of a house.
    of: HashMap<Vec<u32>, (Vec<Event>, Arc<Scoring>)>,
    /// How many were scored the last time.
    touched: usize,
}

impl Scores {
    /// Returns what every house comes to, in their order. `as_at` and `model` are always the same.
    pub fn of(
        &mut self,
        model: &Model,
        houses: &[House],
        as_at: Day,
        fresh: BTreeSet<AgencyKind>,
    ) -> Vec<Arc<Scoring>> {
        let mut before = std::mem::take(&mut self.of);
        if self.fresh != fresh {
            before.clear();
        }
        (self.fresh, self.touched) = (fresh, 0);
        let mut all = Vec::with_capacity(houses.len());
        for house in houses {
            let records: Vec<u32> = house.household.members.iter().map(|m| m.record).collect();
            let known = before.remove(&records).filter(|(events, _)| *events == house.events);
            let scored = known.unwrap_or_else(|| {
                self.touched += 1;
                let fresh = |kind| self.fresh.contains(&kind);
                let scoring = Scoring::of(model, &house.events, as_at, fresh);
                (house.events.clone(), Arc::new(scoring))
            });
            all.push(scored.1.clone());
            self.of.insert(records, scored);
        }
        all
    }

    /// Returns how many houses were scored the last time.
    pub fn touched(&self) -> usize {
        self.touched
    }
}

/// Returns the kinds of agency of which everybody takes part with exports that are up to date.
pub(super) fn fresh(agencies: &[Taking<'_>]) -> BTreeSet<AgencyKind> {
    let is_fresh = |kind: &AgencyKind| {
        let mut of_kind = agencies.iter().filter(|agency| agency.member.kind == *kind);
        of_kind.all(|agency| agency.is_in() && !agency.is_stale())
    };
    AgencyKind::ALL.iter().copied().filter(is_fresh).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        household::{Household, Member},
        score::random::Households,
    };

    fn house(record: u32, events: Vec<Event>) -> House {
        let member = Member { record, person: record, attached: false, until: None };
        House {
            household: Household { members: vec![member] },
            events,
            disclosures: BTreeMap::new(),
            late: BTreeMap::new(),
            told_until: BTreeMap::new(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Whatever comes, goes or changes, and whoever falls silent: the scores are those of a pass that
        /// knows nothing of the ones before.
        #[test]
        fn what_is_kept_is_what_scoring_again_would_give(
            seed in any::<u64>(),
            bursts in proptest::collection::vec((0_u32..6, 0_u8..5, 0..AgencyKind::ALL.len()), 1..12),
        ) {
            let (model, as_at) = (Model::builtin(), "2025-02-25".parse().unwrap());
            let mut made = Households::new(model, seed);
            let mut houses: Vec<House> = (0..6).map(|n| house(n, made.another(as_at))).collect();
            let mut fresh: BTreeSet<AgencyKind> = AgencyKind::ALL.iter().copied().collect();
            let mut scores = Scores::default();
            scores.of(model, &houses, as_at, fresh.clone());
            prop_assert_eq!(scores.touched(), 6);
            for (record, what, kind) in bursts {
                let at = houses.iter().position(|house| house.household.members[0].record == record);
                let kind = AgencyKind::ALL[kind];
                let most = match (what, at) {
                    (0, Some(at)) => { houses.remove(at); 0 }
                    (1, Some(at)) => { houses[at].events.pop(); 1 }
                    (2, _) => { _ = fresh.remove(&kind) || fresh.insert(kind); houses.len() }
                    (3, None) => { houses.insert(0, house(record, made.another(as_at))); 1 }
                    _ => 0,
                };
                let kept = scores.of(model, &houses, as_at, fresh.clone());
                prop_assert!(scores.touched() <= most, "{} of {most}", scores.touched());
                let anew = Scores::default().of(model, &houses, as_at, fresh.clone());
                prop_assert_eq!(kept, anew);
            }
        }
    }
}
