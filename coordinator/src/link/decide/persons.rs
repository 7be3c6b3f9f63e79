//! Puts records that firm pairs connect into persons.

use causeway_proto::linkage::cluster::{self, Edge, Groups, Member};
use rayon::prelude::*;

use super::{Candidates, Decision};
use crate::link::{Pair, Records};

impl Decision {
    /// Returns whether a pair may put its records together.
    fn is_firm(&self, pair: &Pair, at: usize) -> bool {
        self.fits(at).is_some() && !self.is_unclear(pair)
    }

    fn is_unclear(&self, pair: &Pair) -> bool {
        self.ambiguous[pair.a as usize] || self.ambiguous[pair.b as usize]
    }

    /// Sets of two records and more that firm pairs connect; every set and the list are in order.
    pub(super) fn components(&self, pairs: &[Pair]) -> Vec<Vec<u32>> {
        let firm = pairs.par_iter().enumerate().filter(|(at, pair)| self.is_firm(pair, *at));
        let firm: Vec<[u32; 2]> = firm.map(|(_, pair)| [pair.a, pair.b]).collect();
        let mut groups = Groups::new(self.persons.len());
        let mut joined = vec![false; self.persons.len()];
        for [a, b] in firm {
            groups.join(a, b);
            (joined[a as usize], joined[b as usize]) = (true, true);
        }
        let members = (0u32..).zip(joined).filter(|(_, joined)| *joined);
        let mut members: Vec<(u32, u32)> =
            members.map(|(record, _)| (groups.root(record), record)).collect();
        members.par_sort_unstable();
        let sets = members.chunk_by(|x, y| x.0 == y.0);
        sets.map(|set| set.iter().map(|(_, record)| *record).collect()).collect()
    }

    /// The sets that some records belong to, also those of one record.
    pub(super) fn components_of(&self, of: &Candidates<'_>, records: &[u32]) -> Vec<Vec<u32>> {
        let mut seen = vec![false; self.persons.len()];
        let mut is_new = |record: u32| !std::mem::replace(&mut seen[record as usize], true);
        let mut sets = Vec::new();
        for record in records {
            if !is_new(*record) {
                continue;
            }
            let (mut set, mut next) = (Vec::new(), vec![*record]);
            while let Some(record) = next.pop() {
                set.push(record);
                for at in self.around.of(record).iter().map(|at| *at as usize) {
                    let other = of.pairs[at].other(record);
                    if self.is_firm(&of.pairs[at], at) && is_new(other) {
                        next.push(other);
                    }
                }
            }
            set.sort_unstable();
            sets.push(set);
        }
        sets
    }

    /// Puts the records of each set into persons.
    pub(super) fn join(&mut self, of: &Candidates<'_>, sets: &[Vec<u32>]) {
        let labels: Vec<Vec<u32>> = sets.par_iter().map(|set| self.cluster(of, set)).collect();
        for (set, labels) in sets.iter().zip(labels) {
            for (record, label) in set.iter().zip(labels) {
                self.persons[*record as usize] = set[label as usize];
            }
        }
    }

    fn cluster(&self, of: &Candidates<'_>, set: &[u32]) -> Vec<u32> {
        // Where every two of them are a link, they come together in whatever order: no link is between two
        // records of one agency or against a national number.
        let links = set.iter().map(|record| {
            let links = self.around.of(*record).iter().map(|at| *at as usize);
            let later = |at: &usize| of.pairs[*at].other(*record) > *record;
            links.filter(later).filter(|at| self.is_firm(&of.pairs[*at], *at)).count()
        });
        if links.sum::<usize>() == set.len() * (set.len() - 1) / 2 {
            return vec![0; set.len()];
        }
        let members: Vec<Member> = set
            .iter()
            .map(|record| Member {
                sole_of: Some(u16::try_from(of.records.agency(*record)).expect("few agencies")),
                strong_ids: of.records.strong_ids(*record),
                rank: rank(of.records, *record),
            })
            .collect();
        let place = |record: u32| set.binary_search(&record).ok().map(|at| at as u32);
        let mut edges = Vec::new();
        for (a, record) in (0u32..).zip(set) {
            for at in self.around.of(*record).iter().map(|at| *at as usize) {
                let pair = &of.pairs[at];
                let Some(b) = place(pair.other(*record)).filter(|b| *b > a) else { continue };
                edges.push(Edge { a, b, bits: self.bits[at].filter(|_| !self.is_unclear(pair)) });
            }
        }
        // Two records that share no match-key must not come together through a third either.
        let found: Vec<u32> = (0..).take(set.len()).collect();
        let found = found.iter().filter(|at| of.records.has_findings(set[**at as usize]));
        for (at, a) in found.clone().enumerate() {
            for b in found.clone().skip(at + 1) {
                if of.records.is_apart(set[*a as usize], set[*b as usize]) {
                    edges.retain(|edge| (edge.a, edge.b) != (*a, *b));
                    edges.push(Edge { a: *a, b: *b, bits: None });
                }
            }
        }
        cluster::cluster(&members, &edges)
    }
}

/// Orders records by what they are and not by where they came in the stream.
fn rank(records: &Records, record: u32) -> u64 {
    let handle = records.handle(record);
    let start = u64::from_be_bytes(handle.as_bytes()[..8].try_into().expect("8 of 16 bytes"));
    start & !0xff | records.agency(record) as u64 & 0xff
}
