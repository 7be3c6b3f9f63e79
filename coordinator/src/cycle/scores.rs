//! What each household comes to in an open sweep, so that a change scores again only what it touches.
//!
//! A score is a function of a household's events, the day, the model, and of what everything is told.
//! The day and the model are the sweep's; where the rest is what it was, so is the score. Time alone
//! moves scores from one sweep to the next, and every sweep begins with all of them.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use causeway_proto::{catalogue::SignalCode, day::Day};

use super::{Taking, homes::House};
use crate::{
    route::surfacing::Scoring,
    score::{Event, Model},
};

/// The scores of a sweep's houses, as they were last.
#[derive(Default)]
pub struct Scores {
    /// The codes of which everything was told.
    told: BTreeSet<SignalCode>,
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
        told: BTreeSet<SignalCode>,
    ) -> Vec<Arc<Scoring>> {
        let mut before = std::mem::take(&mut self.of);
        if self.told != told {
            before.clear();
        }
        (self.told, self.touched) = (told, 0);
        let mut all = Vec::with_capacity(houses.len());
        for house in houses {
            let records: Vec<u32> = house.household.members.iter().map(|m| m.record).collect();
            let known = before.remove(&records).filter(|(events, _)| *events == house.events);
            let scored = known.unwrap_or_else(|| {
                self.touched += 1;
                let is_told = |code| self.told.contains(&code);
                let scoring = Scoring::of(model, &house.events, as_at, is_told);
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

/// Returns the codes of which everything is told: whoever may record one takes part with exports that are up to
/// date, and its policy does not withhold it.
pub(super) fn told(agencies: &[Taking<'_>]) -> BTreeSet<SignalCode> {
    let tells = |agency: &Taking<'_>, code: SignalCode| {
        let is_of_kind = code.spec().owner == Some(agency.member.kind);
        !is_of_kind || agency.is_in() && !agency.is_stale() && !agency.withholds(code)
    };
    let is_told = |code: &SignalCode| agencies.iter().all(|agency| tells(agency, *code));
    SignalCode::all().filter(is_told).collect()
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
            bursts in proptest::collection::vec((0_u32..6, 0_u8..5, 0..72_usize), 1..12),
        ) {
            let (model, as_at) = (Model::builtin(), "2025-02-25".parse().unwrap());
            let mut made = Households::new(model, seed);
            let mut houses: Vec<House> = (0..6).map(|n| house(n, made.another(as_at))).collect();
            let mut told: BTreeSet<SignalCode> = SignalCode::all().collect();
            let mut scores = Scores::default();
            scores.of(model, &houses, as_at, told.clone());
            prop_assert_eq!(scores.touched(), 6);
            for (record, what, code) in bursts {
                let at = houses.iter().position(|house| house.household.members[0].record == record);
                let code = SignalCode::all().nth(code).unwrap();
                let most = match (what, at) {
                    (0, Some(at)) => { houses.remove(at); 0 }
                    (1, Some(at)) => { houses[at].events.pop(); 1 }
                    (2, _) => { _ = told.remove(&code) || told.insert(code); houses.len() }
                    (3, None) => { houses.insert(0, house(record, made.another(as_at))); 1 }
                    _ => 0,
                };
                let kept = scores.of(model, &houses, as_at, told.clone());
                prop_assert!(scores.touched() <= most, "{} of {most}", scores.touched());
                let anew = Scores::default().of(model, &houses, as_at, told.clone());
                prop_assert_eq!(kept, anew);
            }
        }
    }
}
