//! Who is who in a sweep, and how a change of records changes it.

use std::collections::BTreeSet;

use causeway_proto::linkage::levels::Levels;

use crate::link::{
    Pair, Records,
    clear::Clear,
    decide::{Candidates, Decision},
    replace::{Arrival, Replaced, replace},
};

/// The links of a sweep by handles, for measuring linkage with the nodes' help.
pub struct Linked {
    /// The records.
    pub records: Records,
    /// Candidate pairs.
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
        Self { records, pairs, levels, compared, clear, decision, person_sizes }
    }

    /// Takes records out and others in. Returns what that does to the pairs: the new ones have to be
    /// looked at, and settled.
    pub(super) fn replace(&mut self, leave: &BTreeSet<u32>, come: &[Arrival]) -> Replaced {
        let replaced = replace(&mut self.records, &self.decision, &self.pairs, leave, come);
        for (at, _) in &replaced.gone {
            self.pairs[*at as usize].kinds = 0;
        }
        let of = Candidates { records: &self.records, pairs: &self.pairs, levels: &self.levels };
        self.decision.forget(&of, &replaced.gone);
        replaced
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
        let person = |record: u32| self.decision.persons[record as usize];
        let of = |record: u32| self.decision.around.of(record).iter().map(|at| *at as usize);
        let within: BTreeSet<usize> = records
            .into_iter()
            .flat_map(of)
            .filter(|at| person(self.pairs[*at].a) == person(self.pairs[*at].b))
            .collect();
        within.into_iter().collect()
    }

    /// Returns whether a record was joined with another agency's.
    pub fn is_linked(&self, record: u32) -> bool {
        self.person_sizes[self.decision.persons[record as usize] as usize] > 1
    }

    /// Returns how many pairs are links by their own weight.
    pub fn links(&self) -> usize {
        self.decision.bits.iter().flatten().filter(|bits| **bits >= 0.0).count()
    }
}
