//! Who is who in a sweep, and how a change of records changes it.

use std::collections::BTreeSet;

use causeway_proto::linkage::levels::Levels;
use foldhash::HashMap;
use rayon::prelude::*;

use crate::link::{
    Pair, Records,
    clear::{Clear, is_vetoed},
    decide::{Candidates, Decision, in_order},
    replace::{Change, Replaced, replace},
    taken::{ends, is_outdone},
};

/// The links of a sweep by handles, for measuring linkage with the nodes' help.
pub struct Linked {
    /// The records.
    pub records: Records,
    /// Candidate pairs; those that are no more share no kind.
    pub pairs: Vec<Pair>,
    /// How well each agrees.
    pub levels: Vec<Levels>,
    /// How many of them the nodes were asked about; the others are clear by their match-keys.
    pub compared: usize,
    /// Which patterns of match-keys are clear by themselves.
    pub clear: Clear,
    /// What became of them.
    pub decision: Decision,
    /// By person: how many records are theirs.
    pub person_sizes: Vec<u32>,
    /// By a pair's place: how well it agrees, of pairs that their pattern decided and that were looked at for
    /// an alert to say so.
    pub looked_at: HashMap<usize, Levels>,
}

impl Linked {
    /// Counts every person's records.
    pub(super) fn new(
        records: Records,
        pairs: Vec<Pair>,
        levels: Vec<Levels>,
        compared: usize,
        clear: Clear,
        decision: Decision,
    ) -> Self {
        let mut person_sizes = vec![0; records.len()];
        decision.persons.iter().for_each(|person| person_sizes[*person as usize] += 1);
        let looked_at = HashMap::default();
        Self { records, pairs, levels, compared, clear, decision, person_sizes, looked_at }
    }

    /// Takes records out and others in, and gives some other tokens. Returns what that does to the pairs: the new
    /// ones have to be looked at, and settled.
    pub(super) fn replace(&mut self, change: &Change) -> Replaced {
        let replaced = replace(&mut self.records, &self.decision, &self.pairs, change);
        self.forget(&replaced.gone);
        replaced
    }

    /// Adds the pairs to the new ones about which it changes that one of the two is somebody else's for certain:
    /// nobody looked at them because of that and it is no more, or somebody did and it is so now. And those
    /// that are two people since somebody found so.
    pub(super) fn reopen(&mut self, replaced: &mut Replaced) {
        let open = self.reopened(replaced);
        self.forget(&open);
        let records = open.iter().flat_map(|(_, pair)| [pair.a, pair.b]);
        replaced.touched = in_order(replaced.touched.iter().copied().chain(records));
        replaced.new.extend(open.iter().map(|(_, pair)| *pair));
        replaced.new.sort_unstable_by_key(Pair::place);
        replaced.gone.extend(open);
    }

    fn forget(&mut self, gone: &[(u32, Pair)]) {
        for (at, _) in gone {
            self.pairs[*at as usize].kinds = 0;
        }
        let of = Candidates { records: &self.records, pairs: &self.pairs, levels: &self.levels };
        self.decision.forget(&of, gone);
    }

    fn reopened(&self, replaced: &Replaced) -> Vec<(u32, Pair)> {
        let (records, gone) = (&self.records, replaced.gone.iter().map(|(_, pair)| pair));
        let one = replaced.new.iter().filter(|pair| self.clear.is_one(records, pair));
        // Who was found to be somebody else is nobody's for certain there any more.
        let found = replaced.touched.iter().copied().filter(|record| records.has_findings(*record));
        let moved = gone.chain(one).flat_map(|pair| [pair.a, pair.b]).chain(found);
        let moved = in_order(moved.filter(|record| !records.is_gone(*record)));
        let parted = |at: u32, pair: &Pair| {
            self.levels[at as usize] != Levels::NONE && is_vetoed(records, pair)
        };
        let weak = |at: &u32| {
            let pair = &self.pairs[*at as usize];
            self.clear.is_weak(records, pair) || parted(*at, pair)
        };
        let around = moved.par_iter().flat_map_iter(|record| self.decision.around.of(*record));
        let around: Vec<u32> = around.copied().filter(weak).collect();
        let places = in_order(around.into_iter());
        let pairs: Vec<(u32, Pair)> =
            places.into_iter().map(|at| (at, self.pairs[at as usize])).collect();
        if pairs.is_empty() {
            return pairs;
        }
        let all: Vec<Pair> =
            pairs.iter().map(|(_, pair)| pair).chain(&replaced.new).copied().collect();
        let taken = self.taken(&all);
        let at = |record: u32| taken.get(&record).copied().unwrap_or_default();
        let was_outdone = |place: u32| self.levels[place as usize].is_outdone();
        let turned = |(place, pair): &(u32, Pair)| {
            parted(*place, pair) || was_outdone(*place) != is_outdone(records, pair, at)
        };
        pairs.into_iter().filter(turned).collect()
    }

    /// Returns for the records of some pairs at which agencies they are clearly somebody's, by those pairs and
    /// all that are known.
    pub(super) fn taken(&self, pairs: &[Pair]) -> HashMap<u32, u64> {
        let records = in_order(pairs.iter().flat_map(|pair| [pair.a, pair.b]));
        let around = records.par_iter().flat_map_iter(|record| self.decision.around.of(*record));
        let known = around.map(|at| &self.pairs[*at as usize]);
        let one = pairs.par_iter().chain(known);
        let one = one.filter(|pair| self.clear.is_one(&self.records, pair));
        let ends: Vec<(u32, u64)> = one.flat_map_iter(|pair| ends(&self.records, pair)).collect();
        let mut taken: HashMap<u32, u64> = HashMap::default();
        for (record, at) in ends {
            *taken.entry(record).or_default() |= at;
        }
        taken
    }

    /// Decides again about what changed pairs touch.
    pub(super) fn settle(
        &mut self,
        new: impl IntoIterator<Item = (Pair, Levels)>,
        replaced: &Replaced,
    ) {
        for (pair, levels) in new {
            self.pairs.push(pair);
            self.levels.push(levels);
        }
        let of = Candidates { records: &self.records, pairs: &self.pairs, levels: &self.levels };
        let moved = self.decision.settle(&of, replaced);
        // Who comes is a person of their own at first.
        self.person_sizes.resize(self.records.len(), 1);
        for (record, before) in moved {
            self.person_sizes[before as usize] -= 1;
            self.person_sizes[self.decision.persons[record as usize] as usize] += 1;
        }
    }

    /// Returns how many persons there are in the sweep now.
    pub fn persons(&self) -> usize {
        self.decision.person_count() - (self.records.len() - self.records.count())
    }

    /// Returns the pairs that join records of some persons, by their places.
    pub fn pairs_within(&self, records: impl IntoIterator<Item = u32>) -> Vec<usize> {
        let of = |record: u32| self.decision.around.of(record).iter().map(|at| *at as usize);
        let within: BTreeSet<usize> = records
            .into_iter()
            .flat_map(of)
            .filter(|at| self.decision.joins(&self.pairs[*at]))
            .collect();
        within.into_iter().collect()
    }

    /// Returns whether a record was joined with another agency's.
    pub fn is_linked(&self, record: u32) -> bool {
        self.person_sizes[self.decision.persons[record as usize] as usize] > 1
    }

    /// Returns how many candidate pairs there are now.
    pub fn candidates(&self) -> usize {
        self.pairs.iter().filter(|pair| pair.kinds != 0).count()
    }

    /// Returns how many pairs are links by their own weight.
    pub fn links(&self) -> usize {
        self.decision.bits.iter().flatten().filter(|bits| **bits >= 0.0).count()
    }
}

#[cfg(test)]
mod histories;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{decide, taken::tests::two_agencies};

    #[test]
    fn who_is_nobodys_for_certain_any_more_is_asked_about() {
        let (records, looked_at, weights) = two_agencies();
        let pairs: Vec<Pair> = looked_at.iter().map(|(pair, _)| *pair).collect();
        let (clear, taken) = Clear::learn(&records, &looked_at, &weights, &pairs);
        let levels = |(pair, levels): &(Pair, Levels)| {
            clear.levels(&records, pair, |record| taken[record as usize]).unwrap_or(*levels)
        };
        let levels: Vec<Levels> = looked_at.iter().map(levels).collect();
        let decision = decide::decide(&records, &pairs, &levels, weights);
        let mut linked = Linked::new(records, pairs, levels, 0, clear, decision);
        let is_chance = |pair: &Pair| (pair.a, pair.b) == (10, 611);
        let one = linked.pairs.iter().position(is_chance).expect("they share a key");
        assert!(linked.levels[one].is_outdone());

        // The match of one of the two leaves: the other is taken still.
        let leave = |record: u32| Change { leave: BTreeSet::from([record]), ..Change::default() };
        let mut replaced = linked.replace(&leave(610));
        linked.reopen(&mut replaced);
        assert!(replaced.new.is_empty(), "{:?}", replaced.new);
        // And the other's.
        let mut replaced = linked.replace(&leave(11));
        linked.reopen(&mut replaced);
        let open: Vec<(u32, u32)> = replaced.new.iter().map(|pair| (pair.a, pair.b)).collect();
        assert_eq!(open, [(10, 611)]);
        assert!(replaced.gone.iter().any(|(at, _)| *at as usize == one));
        assert!(replaced.touched.contains(&10) && replaced.touched.contains(&611));
        let new = replaced.new.clone().into_iter().map(|pair| (pair, looked_at[0].1));
        linked.settle(new, &replaced);
        assert_eq!(linked.decision.persons[611], 10, "the second look says that they are one");
    }
}
