//! From compared pairs to persons: weights, guards, what cannot be told apart, clusters.
//!
//! Everything that is learnt from all the data at once is a value of its own ([`Learnt`]), so that
//! what becomes of a pair depends on that and on the pairs around it only. The full pass decides
//! about every record, and a change about those that it touches, with the same code.

mod persons;
mod twins;
mod uniqueness;

use std::collections::HashMap;

use causeway_proto::linkage::{
    ambiguity,
    guards::{self, Doubt, StrongIds, Verdict},
    levels::Levels,
    weights::{Among, Pattern, Strangers, Weights},
};
use rayon::prelude::*;

use self::uniqueness::Uniqueness;
use super::{Pair, Records, around::Around, replace::Replaced};

/// What was learnt from the data of a sweep, and holds until it closes.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// m- and u-probabilities.
    pub weights: Weights,
    /// What it says that somebody has one candidate only at an agency that holds each person once.
    pub uniqueness: Uniqueness,
}

/// The candidate pairs of a sweep.
#[derive(Clone, Copy)]
pub struct Candidates<'a> {
    /// The records.
    pub records: &'a Records,
    /// The pairs; those that are no more share no kind.
    pub pairs: &'a [Pair],
    /// How well each pair agrees.
    pub levels: &'a [Levels],
}

/// What became of all candidate pairs.
#[derive(Debug)]
pub struct Decision {
    /// By record: its person; records of one person share a number, the lowest of theirs.
    pub persons: Vec<u32>,
    /// By record: whether two candidates could not be told apart.
    pub ambiguous: Vec<bool>,
    /// By pair: its match weight in bits; `None` where a guard forbids the link.
    pub bits: Vec<Option<f64>>,
    /// What decided.
    pub learnt: Learnt,
    /// By record: its pairs.
    pub around: Around,
    /// By pair: what the guards say.
    verdicts: Vec<Verdict>,
    /// By pair: its weight alone, without what other pairs say of it.
    alone: Vec<f64>,
    /// By pair: whether it speaks against the others of its records. Follows from the two above, and is small
    /// enough to be looked up at random.
    rivals: Vec<bool>,
}

/// Learns weights from pairs that were looked at, each of which stands for so many candidate pairs, of so many
/// that are possible.
pub fn learn(
    records: &Records,
    looked_at: &[(Pair, Levels)],
    (each, possible): (f64, f64),
    strangers: &Strangers,
) -> Weights {
    let patterns = patterns(records, looked_at, each);
    Weights::estimate(&patterns, strangers, possible, Among::Agencies)
}

/// Decides every pair. `levels` are those of `pairs`, one by one.
pub fn decide(
    records: &Records,
    pairs: &[Pair],
    levels: &[Levels],
    mut weights: Weights,
) -> Decision {
    let of = Candidates { records, pairs, levels };
    let (verdicts, alone) = judge(&of, 0, &weights);
    let around = Around::new(records.len(), pairs);
    let uniqueness = Uniqueness::learn(&of, &around, &verdicts, &alone);
    let twins = twins::share(&of, &around, (&verdicts, &alone), (&weights, &uniqueness));
    weights.set_twins(twins * weights.matched);
    let alone = alone_from(&of, 0, &weights);
    Decision::new(Learnt { weights, uniqueness }, around, verdicts, alone).all(&of)
}

/// Decides every pair by what was learnt already: what live linking is held against.
#[cfg(test)]
pub(crate) fn decide_with(of: Candidates<'_>, learnt: Learnt) -> Decision {
    let (verdicts, alone) = judge(&of, 0, &learnt.weights);
    let around = Around::new(of.records.len(), of.pairs);
    Decision::new(learnt, around, verdicts, alone).all(&of)
}

impl Decision {
    fn new(learnt: Learnt, around: Around, verdicts: Vec<Verdict>, alone: Vec<f64>) -> Self {
        let (persons, ambiguous, bits) = (Vec::new(), Vec::new(), Vec::new());
        let rivals = verdicts.par_iter().zip(&alone).map(|(of, alone)| is_rival(*of, *alone));
        let rivals = rivals.collect();
        Self { persons, ambiguous, bits, learnt, around, verdicts, alone, rivals }
    }

    /// Decides about every record.
    fn all(mut self, of: &Candidates<'_>) -> Self {
        let records = u32::try_from(of.records.len()).expect("records have 32-bit numbers");
        let bits = (0..of.pairs.len()).into_par_iter().map(|at| self.weigh(of, at));
        self.bits = bits.collect();
        let unclear = (0..records).into_par_iter().map(|record| self.is_ambiguous(of, record));
        self.ambiguous = unclear.collect();
        self.persons = (0..records).collect();
        let components = self.components(of.pairs);
        self.join(of, &components);
        self
    }

    /// Returns how many persons there are.
    pub fn person_count(&self) -> usize {
        self.persons.iter().zip(0u32..).filter(|(person, record)| **person == *record).count()
    }

    /// Returns whether the records of a pair were taken for one person.
    pub fn joins(&self, pair: &Pair) -> bool {
        self.persons[pair.a as usize] == self.persons[pair.b as usize]
    }

    /// Takes note of pairs that are no more: `of` says so by their kinds already.
    pub fn forget(&mut self, of: &Candidates<'_>, gone: &[(u32, Pair)]) {
        for (at, pair) in gone {
            debug_assert_eq!(of.pairs[*at as usize].kinds, 0);
            self.around.remove(pair, *at);
            self.bits[*at as usize] = None;
        }
    }

    /// Decides again about what new pairs and missing ones touch. New pairs stand at the end of the
    /// list. Returns every record that is another person's now, with the person before; somebody new was a
    /// person of their own.
    pub fn settle(&mut self, of: &Candidates<'_>, replaced: &Replaced) -> Vec<(u32, u32)> {
        let known = self.verdicts.len();
        let (verdicts, alone) = judge(of, known, &self.learnt.weights);
        let rivals = verdicts.iter().zip(&alone).map(|(of, alone)| is_rival(*of, *alone));
        self.rivals.extend(rivals);
        self.verdicts.extend(verdicts);
        self.alone.extend(alone);
        self.bits.resize(of.pairs.len(), None);
        for (at, pair) in (0u32..).zip(of.pairs).skip(known) {
            self.around.add(pair, at);
        }
        let numbered = u32::try_from(self.persons.len()).expect("records have 32-bit numbers");
        let numbers = u32::try_from(of.records.len()).expect("records have 32-bit numbers");
        self.persons.extend(numbered..numbers);
        self.ambiguous.resize(of.records.len(), false);

        let mut moved = replaced.touched.clone();
        moved.extend(self.weigh_again(of, known, replaced));
        // A record's ambiguity depends on its candidates' bits and theirs, and who is one person on both.
        let mut moved = in_order(moved.into_iter());
        let near = self.with_candidates(of, &moved);
        let unclear: Vec<bool> =
            near.par_iter().map(|record| self.is_ambiguous(of, *record)).collect();
        let mut turned = Vec::new();
        for (record, unclear) in near.iter().zip(unclear) {
            if std::mem::replace(&mut self.ambiguous[*record as usize], unclear) != unclear {
                turned.push(*record);
            }
        }
        moved.extend(self.with_candidates(of, &turned));

        let components = self.components_of(of, &in_order(moved.into_iter()));
        let before: Vec<(u32, u32)> = components
            .iter()
            .flatten()
            .map(|record| (*record, self.persons[*record as usize]))
            .collect();
        self.join(of, &components);
        let persons = &self.persons;
        before.into_iter().filter(|(record, was)| persons[*record as usize] != *was).collect()
    }

    /// Weighs the new pairs, those from a place on, and those of whose records another pair may be a link now
    /// and could not be before, or the other way round. Returns the records of all whose bits changed.
    fn weigh_again(&mut self, of: &Candidates<'_>, from: usize, replaced: &Replaced) -> Vec<u32> {
        let mut rivals: Vec<u32> = Vec::new();
        let changed = replaced.gone.iter().map(|(at, _)| *at as usize);
        for at in changed.chain(from..of.pairs.len()).filter(|at| self.rivals[*at]) {
            rivals.extend([of.pairs[at].a, of.pairs[at].b]);
        }
        // Somebody may have found that the two are two people.
        let found = replaced.touched.iter().filter(|record| of.records.has_findings(**record));
        let found = in_order(found.flat_map(|record| self.around.of(*record)).copied());
        for at in found.into_iter().map(|at| at as usize) {
            let verdict = verdict(of, at);
            if std::mem::replace(&mut self.verdicts[at], verdict) != verdict {
                self.rivals[at] = is_rival(verdict, self.alone[at]);
                rivals.extend([of.pairs[at].a, of.pairs[at].b]);
            }
        }
        let mut weighed = self.around.of_all(&in_order(rivals.into_iter()));
        weighed.extend((0u32..).zip(of.pairs).skip(from).map(|(at, _)| at));
        let weighed = in_order(weighed.into_iter());
        let bits: Vec<Option<f64>> =
            weighed.par_iter().map(|at| self.weigh(of, *at as usize)).collect();
        let mut moved = Vec::new();
        for (at, bits) in weighed.iter().map(|at| *at as usize).zip(bits) {
            if std::mem::replace(&mut self.bits[at], bits) != bits {
                moved.extend([of.pairs[at].a, of.pairs[at].b]);
            }
        }
        moved
    }

    /// Returns a pair's weight if its records may be one person.
    fn fits(&self, at: usize) -> Option<f64> {
        self.bits[at].filter(|bits| *bits >= 0.0)
    }

    /// Returns some records and all whom they may be, in order.
    fn with_candidates(&self, of: &Candidates<'_>, records: &[u32]) -> Vec<u32> {
        let fits = |at: &usize| self.fits(*at).is_some();
        let around = |record: &u32| self.around.of(*record).iter().map(|at| *at as usize);
        let others = records
            .par_iter()
            .flat_map_iter(|one| around(one).filter(fits).map(|at| of.pairs[at].other(*one)));
        let mut all: Vec<u32> = others.collect();
        all.extend(records);
        in_order(all.into_iter())
    }

    /// A pair's match weight after the guards, with what the other pairs of its records say.
    fn weigh(&self, of: &Candidates<'_>, at: usize) -> Option<f64> {
        guards::guarded(self.verdicts[at], self.alone[at] + self.only_candidates(of, at))
    }

    /// Returns what the guards say of a pair.
    pub fn verdict(&self, at: usize) -> Verdict {
        self.verdicts[at]
    }

    /// Returns what it says in bits that a record of a pair, or both, has no other candidate at the other's agency.
    pub fn only_candidates(&self, of: &Candidates<'_>, at: usize) -> f64 {
        /// Nothing that other pairs say makes a link of less.
        const HOPELESS: f64 = -20.0;
        let parents = self.verdicts[at] == Verdict::Doubtful(Doubt::Generations);
        let says_nothing = parents && self.learnt.weights.tell_parents();
        if !may_link(self.verdicts[at]) || self.alone[at] < HOPELESS || says_nothing {
            return 0.0;
        }
        let only = |mine: u32, theirs: u32| match self.is_only_one(of, at, mine, theirs) {
            true => {
                let (mine, theirs) = (of.records.agency(mine), of.records.agency(theirs));
                self.learnt.uniqueness.bits(mine, theirs)
            }
            false => 0.0,
        };
        let Pair { a, b, .. } = of.pairs[at];
        // Summed first, so that the result does not depend on which record is called which.
        only(a, b) + only(b, a)
    }

    /// Returns whether no other record of the other's agency fits: a stranger would have had to miss
    /// the true one there.
    fn is_only_one(&self, of: &Candidates<'_>, at: usize, mine: u32, theirs: u32) -> bool {
        let agency = of.records.agency(theirs);
        !self.around.of(mine).iter().map(|rival| *rival as usize).any(|rival| {
            rival != at
                && self.rivals[rival]
                && of.records.agency(of.pairs[rival].other(mine)) == agency
        })
    }

    fn is_ambiguous(&self, of: &Candidates<'_>, record: u32) -> bool {
        let fits = |at: &&u32| self.fits(**at as usize).is_some();
        if self.around.of(record).iter().filter(fits).nth(1).is_none() {
            return false;
        }
        ambiguity::is_ambiguous(
            record,
            |record| self.fitting(of, record),
            |x, y| self.are_two(of, x, y),
        )
    }

    /// Whom a record may be, best first.
    fn fitting(&self, of: &Candidates<'_>, record: u32) -> Vec<ambiguity::Candidate> {
        let pairs = self.around.of(record).iter().map(|at| *at as usize);
        let mut fitting: Vec<ambiguity::Candidate> =
            pairs.filter_map(|at| Some((self.fits(at)?, of.pairs[at].other(record)))).collect();
        fitting.sort_unstable_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        fitting
    }

    /// Returns whether two records are known to be two people.
    fn are_two(&self, of: &Candidates<'_>, x: u32, y: u32) -> bool {
        let (few, other) = match self.around.of(x).len() <= self.around.of(y).len() {
            true => (x, y),
            false => (y, x),
        };
        let pair = self.around.of(few).iter().map(|at| *at as usize);
        match pair.into_iter().find(|at| of.pairs[*at].other(few) == other) {
            Some(at) => guards::are_two(self.verdicts[at], self.bits[at]),
            None => {
                of.records.agency(x) == of.records.agency(y)
                    || of.records.is_apart(x, y)
                    || of.records.compare_numbers(x, y).conflicting > 0
            }
        }
    }
}

/// Returns some numbers in order, each once.
pub fn in_order(numbers: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.par_sort_unstable();
    numbers.dedup();
    numbers
}

/// Returns whether a pair speaks against the others of its records.
fn is_rival(verdict: Verdict, alone: f64) -> bool {
    alone >= 0.0 && may_link(verdict)
}

fn may_link(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Veto | Verdict::HouseholdOnly)
}

/// What the guards say of a pair. A professional's word stands above what records say.
fn verdict(of: &Candidates<'_>, at: usize) -> Verdict {
    let pair = &of.pairs[at];
    match of.records.is_apart(pair.a, pair.b) {
        true => Verdict::Veto,
        false => guards::verdict(of.levels[at], pair.strong_ids()),
    }
}

/// What the guards and the weights say of each pair from a place on.
fn judge(of: &Candidates<'_>, from: usize, weights: &Weights) -> (Vec<Verdict>, Vec<f64>) {
    let verdicts = (from..of.pairs.len()).into_par_iter().map(|at| verdict(of, at)).collect();
    (verdicts, alone_from(of, from, weights))
}

/// What the weights say of each pair from a place on.
fn alone_from(of: &Candidates<'_>, from: usize, weights: &Weights) -> Vec<f64> {
    let pairs = of.pairs[from..].par_iter();
    let ids: Vec<StrongIds> = pairs.map(Pair::strong_ids).collect();
    scores(&of.levels[from..], &ids, weights)
}

/// Counts pairs that look alike, leaving out those that are two people for certain. Each stands for
/// so many.
fn patterns(records: &Records, looked_at: &[(Pair, Levels)], each: f64) -> Vec<Pattern> {
    let mut counts: HashMap<(Levels, u32), f64> = HashMap::new();
    for (pair, levels) in looked_at {
        if !super::clear::is_vetoed(records, pair) {
            *counts.entry((*levels, pair.kinds)).or_default() += each;
        }
    }
    let mut patterns: Vec<Pattern> = counts
        .into_iter()
        .map(|((levels, kinds), pairs)| Pattern { levels, kinds, pairs })
        .collect();
    // Sums in a fixed order give the same weights wherever they are computed.
    patterns.sort_unstable_by_key(|pattern| (pattern.levels, pattern.kinds));
    patterns
}

/// Pairs that one core does in one go.
const PART: usize = 1 << 14;

/// Weighs every pair.
fn scores(levels: &[Levels], ids: &[StrongIds], weights: &Weights) -> Vec<f64> {
    levels
        .par_chunks(PART)
        .zip(ids.par_chunks(PART))
        .flat_map_iter(|(levels, ids)| {
            let mut known: HashMap<(Levels, u8), f64> = HashMap::new();
            levels.iter().zip(ids).map(move |(levels, ids)| {
                let key = (*levels, ids.agreeing);
                *known.entry(key).or_insert_with(|| weights.score(*levels, ids.agreeing))
            })
        })
        .collect()
}

#[cfg(test)]
mod tests;
