//! From compared pairs to persons: weights, guards, what cannot be told apart, clusters.

use std::collections::HashMap;

use causeway_proto::linkage::{
    ambiguity,
    cluster::{self, Edge, Member},
    guards::{self, StrongIds, Verdict},
    levels::Levels,
    weights::{Pattern, Strangers, Weights},
};
use rayon::prelude::*;

use super::{Pair, Records, STRONG_KINDS};

/// How surely an agency's person is found among the other agency's candidates, if they are there.
/// LINKAGE.md 2.8.
const FOUND: f64 = 0.97;
/// No coverage is taken for more than this.
const MOST_COVERAGE: f64 = 0.98;
/// An agency has to hold more people than this before its coverage proves anything.
const FEW_PEOPLE: f64 = 50.0;

/// What became of all candidate pairs.
#[derive(Debug)]
pub struct Decision {
    /// By record: its person; records of one person share a number.
    pub persons: Vec<u32>,
    /// By record: whether two candidates could not be told apart.
    pub ambiguous: Vec<bool>,
    /// By pair: its match weight in bits; `None` where a guard forbids the link.
    pub bits: Vec<Option<f64>>,
    /// What was learnt from the data.
    pub weights: Weights,
}

impl Decision {
    /// Returns how many persons there are.
    pub fn person_count(&self) -> usize {
        self.persons.iter().zip(0u32..).filter(|(person, record)| **person == *record).count()
    }
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
    let ids: Vec<StrongIds> = pairs.par_iter().map(|pair| strong_ids(records, pair)).collect();
    let verdict = |((pair, levels), ids): ((&Pair, &Levels), &StrongIds)| {
        // A professional's word stands above what records say.
        match records.is_apart(pair.a, pair.b) {
            true => Verdict::Veto,
            false => guards::verdict(*levels, *ids),
        }
    };
    let verdicts: Vec<Verdict> = pairs.iter().zip(levels).zip(&ids).map(verdict).collect();
    let mut weighed = scores(levels, &ids, &weights);
    Candidates::of(records, pairs, &verdicts, &weighed).add_uniqueness(records, &mut weighed);
    let bits: Vec<Option<f64>> = verdicts
        .iter()
        .zip(weighed)
        .map(|(verdict, bits)| guards::guarded(*verdict, bits))
        .collect();
    let ambiguous = ambiguity::ambiguous(
        records.len(),
        pairs.iter().zip(&bits).map(|(pair, bits)| (pair.a, pair.b, *bits)),
        |x, y| match place(pairs, x, y) {
            Some(at) => guards::are_two(verdicts[at], bits[at]),
            None => are_two_people(records, x, y),
        },
    );

    let mut edges: Vec<Edge> = pairs
        .iter()
        .zip(&bits)
        .map(|(pair, bits)| {
            let unclear = ambiguous[pair.a as usize] || ambiguous[pair.b as usize];
            Edge { a: pair.a, b: pair.b, bits: bits.filter(|_| !unclear) }
        })
        .collect();
    // Two records that share no match-key must not come together through a third either.
    let apart = records.apart().into_iter().filter(|(a, b)| place(pairs, *a, *b).is_none());
    edges.extend(apart.map(|(a, b)| Edge { a, b, bits: None }));
    let members: Vec<Member> = (0u32..)
        .take(records.len())
        .map(|record| {
            let (agency, _) = records.place(record);
            Member {
                sole_of: Some(u16::try_from(agency).expect("few agencies")),
                strong_ids: records.strong_ids(record),
                rank: rank(records, record),
            }
        })
        .collect();
    let persons = cluster::cluster(&members, &edges);
    Decision { persons, ambiguous, bits, weights }
}

/// Orders records by what they are and not by where they came in the stream.
fn rank(records: &Records, record: u32) -> u64 {
    let handle = records.handle(record);
    let start = u64::from_be_bytes(handle.as_bytes()[..8].try_into().expect("8 of 16 bytes"));
    start & !0xff | records.agency(record) as u64 & 0xff
}

/// What the national numbers of a pair say: from flags and tokens alone.
pub(super) fn strong_ids(records: &Records, pair: &Pair) -> StrongIds {
    let (a, b) = (records.strong_ids(pair.a), records.strong_ids(pair.b));
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

/// Weighs every pair.
fn scores(levels: &[Levels], ids: &[StrongIds], weights: &Weights) -> Vec<f64> {
    let mut known: HashMap<(Levels, u8), f64> = HashMap::new();
    levels
        .iter()
        .zip(ids)
        .map(|(levels, ids)| {
            let key = (*levels, ids.agreeing);
            *known.entry(key).or_insert_with(|| weights.score(*levels, ids.agreeing))
        })
        .collect()
}

/// One side's view of a pair.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    record: u32,
    agency: u16,
    pair: u32,
    bits: f64,
}

/// Every pair that may link, from both sides: by record, then by the other's agency, then best first.
struct Candidates(Vec<Candidate>);

impl Candidates {
    fn of(records: &Records, pairs: &[Pair], verdicts: &[Verdict], bits: &[f64]) -> Self {
        let mut all: Vec<Candidate> = Vec::with_capacity(2 * pairs.len());
        for ((at, pair), (verdict, bits)) in (0..).zip(pairs).zip(verdicts.iter().zip(bits)) {
            if matches!(verdict, Verdict::Veto | Verdict::HouseholdOnly) {
                continue;
            }
            let bits = *bits;
            for (record, other) in [(pair.a, pair.b), (pair.b, pair.a)] {
                let agency = u16::try_from(records.agency(other)).expect("few agencies");
                all.push(Candidate { record, agency, pair: at, bits });
            }
        }
        all.par_sort_unstable_by(|x, y| {
            let place = |c: &Candidate| (c.record, c.agency);
            place(x).cmp(&place(y)).then(y.bits.total_cmp(&x.bits)).then(x.pair.cmp(&y.pair))
        });
        Self(all)
    }

    /// Each record's candidates in each other agency, best first.
    fn runs(&self) -> impl Iterator<Item = &[Candidate]> {
        self.0.chunk_by(|x, y| (x.record, x.agency) == (y.record, y.agency))
    }

    /// Adds what it says that a record has one candidate only in an agency that holds each person
    /// once: a stranger would have had to miss the true one there. LINKAGE.md 2.8.
    fn add_uniqueness(&self, records: &Records, bits: &mut [f64]) {
        let agencies = records.rolls.len();
        let mut found = vec![0.0; agencies * agencies];
        for run in self.runs() {
            let mine = records.agency(run[0].record);
            found[mine * agencies + usize::from(run[0].agency)] += posterior(run[0].bits);
        }
        let bonus = |mine: usize, theirs: usize| {
            let people = records.rolls[mine].handles.len() as f64 + FEW_PEOPLE;
            let coverage = (found[mine * agencies + theirs] / people).min(MOST_COVERAGE);
            -(1.0 - coverage * FOUND).log2()
        };
        for run in self.runs() {
            let mine = records.agency(run[0].record);
            for (at, candidate) in run.iter().enumerate() {
                let rival = if at == 0 { run.get(1) } else { run.first() };
                if rival.is_none_or(|rival| rival.bits < 0.0) {
                    bits[candidate.pair as usize] += bonus(mine, usize::from(candidate.agency));
                }
            }
        }
    }
}

/// Returns where the pair of two records stands, if they are one.
fn place(pairs: &[Pair], x: u32, y: u32) -> Option<usize> {
    pairs.binary_search_by_key(&(x.min(y), x.max(y)), |pair| (pair.a, pair.b)).ok()
}

/// Returns whether two records that were never compared are known to be two people.
fn are_two_people(records: &Records, x: u32, y: u32) -> bool {
    let pair = Pair { a: x, b: y, kinds: 0, carrier: 0, slots: 0 };
    records.agency(x) == records.agency(y)
        || records.is_apart(x, y)
        || strong_ids(records, &pair).conflicting > 0
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
    fn what_somebody_found_to_be_two_people_stays_two_even_through_a_third() {
        let mut records = records(&[0, 1, 2], &[[0; 3]; 3]);
        let pairs = [pair(0, 1), pair(0, 2), pair(1, 2)];
        assert_eq!(decided(&records, &pairs, &[agreeing(6); 3]).persons, [0, 0, 0]);
        let finding = causeway_proto::ids::MemoId::from_bytes([7; 16]);
        for record in [0, 2] {
            records.add_apart(record, super::super::Apart { finding, stranger: record == 2 });
        }
        // Also where the two share no match-key at all.
        for pairs in [&pairs[..], &[pair(0, 1), pair(1, 2)]] {
            let decision = decided(&records, pairs, &vec![agreeing(6); pairs.len()]);
            assert_ne!(decision.persons[0], decision.persons[2], "{pairs:?}");
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
