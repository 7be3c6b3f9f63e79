//! Who is somebody's for certain, so that a chance likeness to anybody else need not be looked into.
//!
//! An agency holds a person once. Whoever is clearly one person with somebody there is no one else's there:
//! a pair that shares little is not asked about where one of the two is taken. In a large federation most
//! pairs that a name and a birthday bring together by chance are of such people.

use std::sync::atomic::{AtomicU64, Ordering};

use rayon::prelude::*;

use super::{Pair, Records};

/// By record: at which agencies somebody is clearly the same person, a bit each; those beyond the 64th are
/// asked about all the same.
pub type Taken = Vec<u64>;

/// Returns who is taken. `is_one` says which pairs are one person for certain.
pub fn taken(records: &Records, pairs: &[Pair], is_one: impl Fn(&Pair) -> bool + Sync) -> Taken {
    let taken: Vec<AtomicU64> = (0..records.len()).map(|_| AtomicU64::new(0)).collect();
    pairs.par_iter().filter(|pair| is_one(pair)).for_each(|pair| {
        for (record, at) in ends(records, pair) {
            taken[record as usize].fetch_or(at, Ordering::Relaxed);
        }
    });
    taken.into_iter().map(AtomicU64::into_inner).collect()
}

/// Returns both records of a pair, each with the bit of the other's agency.
pub fn ends(records: &Records, pair: &Pair) -> [(u32, u64); 2] {
    [(pair.a, bit(records, pair.b)), (pair.b, bit(records, pair.a))]
}

/// Returns whether one of the two is somebody else's at the other's agency.
pub fn is_outdone(records: &Records, pair: &Pair, taken: impl Fn(u32) -> u64) -> bool {
    ends(records, pair).into_iter().any(|(record, at)| taken(record) & at != 0)
}

/// The bit of a record's agency.
fn bit(records: &Records, record: u32) -> u64 {
    u32::try_from(records.agency(record)).ok().and_then(|at| 1u64.checked_shl(at)).unwrap_or(0)
}

#[cfg(test)]
pub(crate) mod tests {
    use causeway_proto::{
        ids::Handle,
        linkage::{
            levels::{ComparisonField as F, Levels},
            weights::{self, Among, Strangers, Weights},
        },
        token::PersonFlags,
    };

    use super::{
        super::{Roll, clear::Clear},
        *,
    };

    const PEOPLE: u32 = 600;

    fn pair(a: u32, b: u32, kinds: u32) -> Pair {
        Pair { a, b: PEOPLE + b, kinds, carrier: 0, slots: 0, numbers: 0 }
    }

    fn all(level: fn(usize) -> usize) -> Levels {
        let fields = [F::Forename, F::Surname, F::Birth, F::Address].into_iter();
        fields.fold(Levels::NONE, |all, field| all.with(field, level(field.levels() - 1)))
    }

    fn same() -> Levels {
        all(|top| top.min(5))
    }

    fn chance() -> Levels {
        all(|_| 0)
    }

    /// Two agencies with 600 people each. Of 500 the pattern is clear, and each of them shares another key
    /// with the next; of the others that key is all that they share.
    pub(crate) fn two_agencies() -> (Records, Vec<(Pair, Levels)>, Weights) {
        let roll = || Roll {
            handles: vec![Handle::from_bytes([0; 16]); PEOPLE as usize],
            flags: vec![PersonFlags(0); PEOPLE as usize],
            strong_ids: vec![[0; 3]; PEOPLE as usize],
        };
        let mut pairs: Vec<(Pair, Levels)> = (0..500).map(|at| (pair(at, at, 1), same())).collect();
        pairs.extend((0..499).map(|at| (pair(at, at + 1, 2), chance())));
        pairs.extend((500..PEOPLE).map(|at| (pair(at, at, 2), same())));
        pairs.sort_unstable_by_key(|(pair, _)| pair.place());
        let met = [(same(), 1, 9e5), (chance(), 2, 4e5)];
        let met = met.map(|(levels, kinds, pairs)| weights::Pattern { levels, kinds, pairs });
        let weights = Weights::estimate(&met, &Strangers::new(), 1e10, Among::Agencies);
        (Records::new(vec![roll(), roll()]), pairs, weights)
    }

    #[test]
    fn who_is_taken_is_not_asked_about_for_the_sake_of_a_chance_likeness() {
        let (records, looked_at, weights) = two_agencies();
        let pairs: Vec<Pair> = looked_at.iter().map(|(pair, _)| *pair).collect();
        let (clear, taken) = Clear::learn(&records, &looked_at, &weights, &pairs);
        let levels = |pair: &Pair| clear.levels(&records, pair, |record| taken[record as usize]);
        assert_eq!(levels(&pair(0, 0, 1)), Some(same().supposed()));
        assert_eq!(levels(&pair(0, 1, 2)), Some(chance().outdone()));
        assert_eq!(levels(&pair(499, 550, 2)), Some(chance().outdone()), "one of the two is taken");
        assert_eq!(levels(&pair(500, 550, 2)), None, "neither is taken");
        assert_eq!(clear.levels(&records, &pair(0, 1, 2), |_| 0), None, "nobody is taken any more");
    }
}
