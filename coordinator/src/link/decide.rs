//! From compared pairs to persons: weights, guards, what cannot be told apart, clusters.
//!
//! Everything that is learnt from all the data at once is a value of its own ([`Learnt`]), so that
//! what becomes of a pair depends on that and on the pairs around it only. The full pass decides
//! about every record, and a change about those that it touches, with the same code.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use causeway_proto::linkage::{
    ambiguity,
    cluster::{self, Edge, Member},
    guards::{self, StrongIds, Verdict},
    levels::Levels,
    weights::{Pattern, Strangers, Weights},
};
use rayon::prelude::*;

use super::{Pair, Records, STRONG_KINDS, around::Around};

/// How surely an agency's person is found among the other agency's candidates, if they are there.
/// LINKAGE.md 2.8.
const FOUND: f64 = 0.97;
/// No coverage is taken for more than this.
const MOST_COVERAGE: f64 = 0.98;
/// An agency has to hold more people than this before its coverage proves anything.
const FEW_PEOPLE: f64 = 50.0;

/// What was learnt from the data of a sweep, and holds until it closes.
#[derive(Clone, Debug)]
pub struct Learnt {
    /// m- and u-probabilities.
    pub weights: Weights,
    /// What it says that somebody has one candidate only at an agency that holds each person once.
    pub uniqueness: Uniqueness,
}

/// Bits for being the only candidate, by the two agencies. LINKAGE.md 2.8.
#[derive(Clone, Debug, PartialEq)]
pub struct Uniqueness {
    agencies: usize,
    bits: Vec<f64>,
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
}

/// Learns weights from pairs that were looked at, each of which stands for so many candidate pairs.
pub fn learn(
    records: &Records,
    looked_at: &[(Pair, Levels)],
    each: f64,
    strangers: &Strangers,
) -> Weights {
    let patterns = patterns(records, looked_at, each);
    Weights::estimate(&patterns, strangers, records.possible_pairs())
}

/// Decides every pair. `levels` are those of `pairs`, one by one.
pub fn decide(records: &Records, pairs: &[Pair], levels: &[Levels], weights: Weights) -> Decision {
    let of = Candidates { records, pairs, levels };
    let (verdicts, alone) = judge(&of, 0, &weights);
    let around = Around::new(records.len(), pairs);
    let uniqueness = Uniqueness::learn(&of, &around, &verdicts, &alone);
    Decision::new(Learnt { weights, uniqueness }, around, verdicts, alone).all(&of)
}

/// Decides every pair by what was learnt already.
pub fn decide_with(of: Candidates<'_>, learnt: Learnt) -> Decision {
    let (verdicts, alone) = judge(&of, 0, &learnt.weights);
    let around = Around::new(of.records.len(), of.pairs);
    Decision::new(learnt, around, verdicts, alone).all(&of)
}

impl Decision {
    fn new(learnt: Learnt, around: Around, verdicts: Vec<Verdict>, alone: Vec<f64>) -> Self {
        let (persons, ambiguous, bits) = (Vec::new(), Vec::new(), Vec::new());
        Self { persons, ambiguous, bits, learnt, around, verdicts, alone }
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

    /// Takes note of pairs that are no more: `of` says so by their kinds already.
    pub fn forget(&mut self, of: &Candidates<'_>, gone: &[(u32, Pair)]) {
        for (at, pair) in gone {
            debug_assert_eq!(of.pairs[*at as usize].kinds, 0);
            self.around.remove(pair, *at);
            self.bits[*at as usize] = None;
        }
    }

    /// Decides again about what new pairs and missing ones touch. New pairs stand at the end of the
    /// list, and `touched` are the records of all of them. Returns every record that is another
    /// person's now, with the person before; somebody new was a person of their own.
    pub fn settle(&mut self, of: &Candidates<'_>, touched: &BTreeSet<u32>) -> Vec<(u32, u32)> {
        let known = self.verdicts.len();
        let (verdicts, alone) = judge(of, known, &self.learnt.weights);
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

        // A pair's bits depend on the others of both its records, and a record's ambiguity on its
        // candidates' bits and theirs.
        let weighed: BTreeSet<u32> =
            touched.iter().flat_map(|record| self.around.of(*record)).copied().collect();
        for at in weighed.iter().map(|at| *at as usize) {
            // Somebody may have found that the two are two people.
            self.verdicts[at] = verdict(of, at);
        }
        for at in weighed.iter().map(|at| *at as usize) {
            self.bits[at] = self.weigh(of, at);
        }
        let near = self.with_neighbours(of, &self.with_neighbours(of, touched));
        let unclear: Vec<(u32, bool)> =
            near.iter().map(|record| (*record, self.is_ambiguous(of, *record))).collect();
        unclear.iter().for_each(|(record, unclear)| self.ambiguous[*record as usize] = *unclear);

        let components = self.components_of(of, &near);
        let before: Vec<(u32, u32)> = components
            .iter()
            .flatten()
            .map(|record| (*record, self.persons[*record as usize]))
            .collect();
        self.join(of, &components);
        let persons = &self.persons;
        before.into_iter().filter(|(record, was)| persons[*record as usize] != *was).collect()
    }

    fn with_neighbours(&self, of: &Candidates<'_>, records: &BTreeSet<u32>) -> BTreeSet<u32> {
        let pairs = records.iter().flat_map(|record| self.around.of(*record));
        let both = pairs.flat_map(|at| [of.pairs[*at as usize].a, of.pairs[*at as usize].b]);
        both.chain(records.iter().copied()).collect()
    }

    /// A pair's match weight after the guards, with what the other pairs of its records say.
    fn weigh(&self, of: &Candidates<'_>, at: usize) -> Option<f64> {
        let pair = &of.pairs[at];
        let only = |mine: u32, theirs: u32| match self.is_only_one(of, at, mine, theirs) {
            true => {
                let (mine, theirs) = (of.records.agency(mine), of.records.agency(theirs));
                self.learnt.uniqueness.bits(mine, theirs)
            }
            false => 0.0,
        };
        // Summed first, so that the result does not depend on which record is called which.
        let uniqueness = match may_link(self.verdicts[at]) {
            true => only(pair.a, pair.b) + only(pair.b, pair.a),
            false => 0.0,
        };
        let bits = self.alone[at] + uniqueness;
        guards::guarded(self.verdicts[at], bits)
    }

    /// Returns whether no other record of the other's agency fits: a stranger would have had to miss
    /// the true one there.
    fn is_only_one(&self, of: &Candidates<'_>, at: usize, mine: u32, theirs: u32) -> bool {
        let agency = of.records.agency(theirs);
        !self.around.of(mine).iter().map(|rival| *rival as usize).any(|rival| {
            rival != at
                && self.alone[rival] >= 0.0
                && may_link(self.verdicts[rival])
                && of.records.agency(of.pairs[rival].other(mine)) == agency
        })
    }

    fn is_ambiguous(&self, of: &Candidates<'_>, record: u32) -> bool {
        let fits = |at: &&u32| self.bits[**at as usize].is_some_and(|bits| bits >= 0.0);
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
        let mut fitting: Vec<ambiguity::Candidate> = pairs
            .filter_map(|at| {
                Some((self.bits[at].filter(|bits| *bits >= 0.0)?, of.pairs[at].other(record)))
            })
            .collect();
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
                    || strong_ids(of.records, x, y).conflicting > 0
            }
        }
    }

    /// Returns whether a pair may put its records together.
    fn is_firm(&self, pair: &Pair, at: usize) -> bool {
        self.bits[at].is_some_and(|bits| bits >= 0.0) && !self.is_unclear(pair)
    }

    fn is_unclear(&self, pair: &Pair) -> bool {
        self.ambiguous[pair.a as usize] || self.ambiguous[pair.b as usize]
    }

    /// Sets of two records and more that firm pairs connect; every set and the list are in order.
    fn components(&self, pairs: &[Pair]) -> Vec<Vec<u32>> {
        let mut roots: Vec<u32> = (0..).take(self.persons.len()).collect();
        for (at, pair) in pairs.iter().enumerate().filter(|(at, pair)| self.is_firm(pair, *at)) {
            debug_assert!(at < self.bits.len());
            let (a, b) = (root(&mut roots, pair.a), root(&mut roots, pair.b));
            roots[a.max(b) as usize] = a.min(b);
        }
        let mut members: Vec<(u32, u32)> =
            (0..).take(roots.len()).map(|record| (root(&mut roots, record), record)).collect();
        members.par_sort_unstable();
        let sets = members.chunk_by(|x, y| x.0 == y.0).filter(|set| set.len() > 1);
        sets.map(|set| set.iter().map(|(_, record)| *record).collect()).collect()
    }

    /// The sets that some records belong to, also those of one record.
    fn components_of(&self, of: &Candidates<'_>, records: &BTreeSet<u32>) -> Vec<Vec<u32>> {
        let mut seen: BTreeSet<u32> = BTreeSet::new();
        let mut sets = Vec::new();
        for record in records {
            if !seen.insert(*record) {
                continue;
            }
            let (mut set, mut next) = (Vec::new(), vec![*record]);
            while let Some(record) = next.pop() {
                set.push(record);
                for at in self.around.of(record).iter().map(|at| *at as usize) {
                    let other = of.pairs[at].other(record);
                    if self.is_firm(&of.pairs[at], at) && seen.insert(other) {
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
    fn join(&mut self, of: &Candidates<'_>, sets: &[Vec<u32>]) {
        let labels: Vec<Vec<u32>> = sets.par_iter().map(|set| self.cluster(of, set)).collect();
        for (set, labels) in sets.iter().zip(labels) {
            for (record, label) in set.iter().zip(labels) {
                self.persons[*record as usize] = set[label as usize];
            }
        }
    }

    fn cluster(&self, of: &Candidates<'_>, set: &[u32]) -> Vec<u32> {
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

fn root(roots: &mut [u32], mut at: u32) -> u32 {
    while roots[at as usize] != at {
        let above = roots[at as usize];
        roots[at as usize] = roots[above as usize];
        at = above;
    }
    at
}

impl Uniqueness {
    fn learn(of: &Candidates<'_>, around: &Around, verdicts: &[Verdict], alone: &[f64]) -> Self {
        /// Sums of whole numbers are the same in any order.
        const UNIT: f64 = (1u64 << 40) as f64;
        let agencies = of.records.rolls.len();
        let mut found = vec![0u64; agencies * agencies];
        for mine in of.records.present() {
            let mut best: BTreeMap<usize, f64> = BTreeMap::new();
            for at in around.of(mine).iter().map(|at| *at as usize) {
                if may_link(verdicts[at]) {
                    let theirs = of.records.agency(of.pairs[at].other(mine));
                    best.entry(theirs).and_modify(|b| *b = b.max(alone[at])).or_insert(alone[at]);
                }
            }
            let mine = of.records.agency(mine);
            for (theirs, bits) in best {
                found[mine * agencies + theirs] += (posterior(bits) * UNIT) as u64;
            }
        }
        let bits = found.iter().enumerate().map(|(at, found)| {
            let people = of.records.rows(at / agencies) as f64 + FEW_PEOPLE;
            let coverage = (*found as f64 / UNIT / people).min(MOST_COVERAGE);
            -(1.0 - coverage * FOUND).log2()
        });
        Self { agencies, bits: bits.collect() }
    }

    fn bits(&self, mine: usize, theirs: usize) -> f64 {
        self.bits[mine * self.agencies + theirs]
    }
}

fn may_link(verdict: Verdict) -> bool {
    !matches!(verdict, Verdict::Veto | Verdict::HouseholdOnly)
}

/// What the guards say of a pair. A professional's word stands above what records say.
fn verdict(of: &Candidates<'_>, at: usize) -> Verdict {
    let Pair { a, b, .. } = of.pairs[at];
    match of.records.is_apart(a, b) {
        true => Verdict::Veto,
        false => guards::verdict(of.levels[at], strong_ids(of.records, a, b)),
    }
}

/// What the guards and the weights say of each pair from a place on.
fn judge(of: &Candidates<'_>, from: usize, weights: &Weights) -> (Vec<Verdict>, Vec<f64>) {
    let verdicts = (from..of.pairs.len()).into_par_iter().map(|at| verdict(of, at)).collect();
    let pairs = of.pairs[from..].par_iter();
    let ids: Vec<StrongIds> = pairs.map(|pair| strong_ids(of.records, pair.a, pair.b)).collect();
    (verdicts, scores(&of.levels[from..], &ids, weights))
}

/// Orders records by what they are and not by where they came in the stream.
fn rank(records: &Records, record: u32) -> u64 {
    let handle = records.handle(record);
    let start = u64::from_be_bytes(handle.as_bytes()[..8].try_into().expect("8 of 16 bytes"));
    start & !0xff | records.agency(record) as u64 & 0xff
}

/// What the national numbers of two records say: from flags and tokens alone.
pub(super) fn strong_ids(records: &Records, a: u32, b: u32) -> StrongIds {
    let (a, b) = (records.strong_ids(a), records.strong_ids(b));
    let mut ids = StrongIds::default();
    for scheme in 0..STRONG_KINDS.len() {
        let both = a[scheme] != 0 && b[scheme] != 0;
        ids.agreeing += u8::from(both && a[scheme] == b[scheme]);
        ids.conflicting += u8::from(both && a[scheme] != b[scheme]);
    }
    ids
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

fn posterior(bits: f64) -> f64 {
    1.0 / (1.0 + (-bits.clamp(-40.0, 40.0)).exp2())
}

#[cfg(test)]
mod tests {
    use causeway_proto::{
        ids::Handle, kind::MatchKeyKind, linkage::levels::ComparisonField as F, token::PersonFlags,
    };

    use super::{super::Roll, *};

    /// One agency a record, except where `agencies` says otherwise.
    fn records(agencies: &[usize], strong: &[[u64; 3]]) -> Records {
        let mut rolls: Vec<Roll> =
            (0..=*agencies.iter().max().unwrap()).map(|_| Roll::default()).collect();
        for (at, (agency, strong)) in agencies.iter().zip(strong).enumerate() {
            let roll = &mut rolls[*agency];
            roll.handles.push(Handle::from_bytes([at as u8 + 1; 16]));
            let flags = (0..3).filter(|s| strong[*s] != 0).map(|s| [4, 8, 16][s]).sum();
            roll.flags.push(PersonFlags(flags));
            roll.strong_ids.push(*strong);
        }
        Records::new(rolls)
    }

    fn pair(a: u32, b: u32) -> Pair {
        let kinds = 1 << MatchKeyKind::SurnameBirth.index();
        Pair { a, b, kinds, carrier: 0, slots: 0 }
    }

    fn agreeing(forename: usize) -> Levels {
        Levels::NONE
            .with(F::Forename, forename)
            .with(F::Surname, 6)
            .with(F::Birth, 5)
            .with(F::Sex, 1)
            .with(F::Address, 5)
    }

    /// Decides pairs that were all looked at.
    fn decided(records: &Records, pairs: &[Pair], levels: &[Levels]) -> Decision {
        let looked_at: Vec<_> = pairs.iter().copied().zip(levels.iter().copied()).collect();
        let weights = learn(records, &looked_at, 1.0, &Strangers::new());
        decide(records, pairs, levels, weights)
    }

    #[test]
    fn the_same_person_links_and_a_stranger_does_not() {
        let records = records(&[0, 1, 2], &[[0; 3]; 3]);
        let stranger = Levels::NONE
            .with(F::Forename, 6)
            .with(F::Surname, 0)
            .with(F::Birth, 5)
            .with(F::Address, 0);
        let decision = decided(
            &records,
            &[pair(0, 1), pair(0, 2), pair(1, 2)],
            &[agreeing(6), stranger, stranger],
        );
        assert_eq!(decision.persons, [0, 0, 2]);
        assert_eq!(decision.person_count(), 2);
    }

    #[test]
    fn a_record_that_fits_both_twins_is_nobody() {
        // Two twins with different pupil numbers, and an initial that fits both.
        let records = records(&[0, 1, 2], &[[0, 7, 0], [0, 8, 0], [0; 3]]);
        let initial = agreeing(4);
        let decision = decided(
            &records,
            &[pair(0, 1), pair(0, 2), pair(1, 2)],
            &[agreeing(2), initial, initial],
        );
        assert_eq!(decision.persons, [0, 1, 2]);
        assert_eq!(decision.ambiguous, [false, false, true]);
    }

    #[test]
    fn twins_and_father_and_son_stay_two_where_little_is_known() {
        let records = records(&[0, 1], &[[0; 3]; 2]);
        let twins = agreeing(1);
        let father = Levels::from_bits(agreeing(6).with(F::Birth, 2).bits() | 1 << 61);
        assert!(father.generation_apart());
        for relatives in [twins, father] {
            let decision = decided(&records, &[pair(0, 1)], &[relatives]);
            assert_eq!(decision.persons, [0, 1], "{relatives:?}");
            assert!(decision.bits[0].is_none_or(|bits| bits < 0.0), "{relatives:?}");
        }
    }

    #[test]
    fn two_equal_names_with_different_numbers_stay_two() {
        let records = records(&[0, 1], &[[5, 0, 0], [6, 0, 0]]);
        let decision = decided(&records, &[pair(0, 1)], &[agreeing(7)]);
        assert_eq!(decision.persons, [0, 1]);
        assert_eq!(decision.bits, [None]);
    }
}
