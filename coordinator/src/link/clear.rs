//! Which pairs the pattern of their match-keys decides, so that nobody is asked about them.
//!
//! Two records that share every key of name, birth and address are one person, and asking two
//! nodes how well they agree would only say so again. What a pattern comes to is learnt from a sample
//! of the sweep's own pairs; only patterns that never came out otherwise are clear. Numbers of one
//! national scheme that differ make two people, whatever else is shared: flags and tokens say so.

use std::collections::HashMap;

use causeway_proto::linkage::{
    guards::{self, StrongIds},
    levels::Levels,
    weights::Weights,
};

use super::{Pair, Records, decide::strong_ids};

/// Pairs that are always looked at, or all where there are fewer.
const LEAST_SAMPLE: usize = 1 << 16;
/// Of more pairs, one in so many.
const ONE_IN: usize = 16;
/// A pattern is clear after so many pairs of it came out alike.
const ENOUGH: u32 = 50;
/// They came out alike if each had at least this weight, in bits: one wrong in four thousand.
const SURE: f64 = 12.0;
/// Or at most this one. Being the only candidate at an agency adds up to 9 bits later.
const SURELY_NOT: f64 = -21.0;

/// A pattern: the kinds that both share, and how many national numbers agree.
type Pattern = (u32, u8);

/// What clear patterns stand for.
#[derive(Debug, Default)]
pub struct Clear {
    levels: HashMap<Pattern, Levels>,
}

/// What is known of the sampled pairs of a pattern.
struct Seen {
    pairs: u32,
    least: (f64, Levels),
    most: (f64, Levels),
}

/// Returns the places of the pairs to learn from: all of them, or an even sample.
pub fn sample(pairs: usize) -> impl Iterator<Item = usize> {
    let size = LEAST_SAMPLE.max(pairs / ONE_IN).min(pairs);
    (0..size).map(move |at| at * pairs / size)
}

/// Returns whether a pair is two people for certain, before anybody is asked.
pub fn is_vetoed(records: &Records, pair: &Pair) -> bool {
    records.is_apart(pair.a, pair.b) || strong_ids(records, pair).conflicting > 0
}

impl Clear {
    /// Learns which patterns are clear from pairs that were looked at.
    pub fn learn(records: &Records, looked_at: &[(Pair, Levels)], weights: &Weights) -> Self {
        let mut seen: HashMap<Pattern, Seen> = HashMap::new();
        for (pair, levels) in looked_at {
            let ids = strong_ids(records, pair);
            if is_vetoed(records, pair) {
                continue;
            }
            let bits = weights.score(*levels, ids.agreeing);
            let bits = guards::guarded(guards::verdict(*levels, ids), bits);
            // A pair that a guard forbids is no better than the least likely one.
            let now = (bits.unwrap_or(f64::NEG_INFINITY), *levels);
            let entry = seen.entry((pair.kinds, ids.agreeing)).or_insert(Seen {
                pairs: 0,
                least: now,
                most: now,
            });
            entry.pairs += 1;
            if now.0 < entry.least.0 {
                entry.least = now;
            }
            if now.0 > entry.most.0 {
                entry.most = now;
            }
        }
        let clear = |(pattern, seen): (Pattern, Seen)| {
            // The one that was least clear stands for all.
            let stands_for_all = match seen {
                _ if seen.pairs < ENOUGH => None,
                Seen { least, .. } if least.0 >= SURE => Some(least.1),
                Seen { most, .. } if most.0 <= SURELY_NOT => Some(most.1),
                Seen { .. } => None,
            };
            stands_for_all.map(|levels| (pattern, levels))
        };
        Self { levels: seen.into_iter().filter_map(clear).collect() }
    }

    /// Returns how well a pair may be taken to agree without asking; `None` where it is not clear.
    pub fn levels(&self, records: &Records, pair: &Pair) -> Option<Levels> {
        if records.is_apart(pair.a, pair.b) {
            return Some(Levels::NONE);
        }
        match strong_ids(records, pair) {
            StrongIds { conflicting: 1.., .. } => Some(Levels::NONE),
            ids => self.levels.get(&(pair.kinds, ids.agreeing)).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_proto::{
        ids::Handle,
        linkage::{levels::ComparisonField as F, weights::Strangers},
        token::PersonFlags,
    };

    use super::{
        super::{Roll, decide},
        *,
    };

    fn records(strong: [[u64; 3]; 2]) -> Records {
        let roll = |strong: [u64; 3]| Roll {
            handles: vec![Handle::from_bytes([0; 16])],
            flags: vec![PersonFlags(if strong[0] == 0 { 0 } else { PersonFlags::NHS })],
            strong_ids: vec![strong],
        };
        Records::new(strong.map(roll).into())
    }

    fn pair(kinds: u32) -> Pair {
        Pair { a: 0, b: 1, kinds, carrier: 0, slots: 0 }
    }

    #[test]
    fn a_pattern_is_clear_when_it_never_came_out_otherwise() {
        let records = records([[0; 3]; 2]);
        let top = |field: F| field.levels() - 1;
        let same = [F::Forename, F::Surname, F::Birth, F::Address]
            .into_iter()
            .fold(Levels::NONE, |levels, field| levels.with(field, top(field)));
        let other = same.with(F::Birth, 0).with(F::Forename, 0);
        let mut looked_at = vec![(pair(1), same); 60];
        looked_at.extend(vec![(pair(2), same); 60]);
        looked_at.push((pair(2), other));
        looked_at.extend(vec![(pair(4), same); 10]);
        let weights = decide::learn(&records, &looked_at, 1.0, &Strangers::new());
        let clear = Clear::learn(&records, &looked_at, &weights);
        assert_eq!(clear.levels(&records, &pair(1)), Some(same), "{} bits", weights.score(same, 0));
        assert_eq!(clear.levels(&records, &pair(2)), None, "it came out otherwise once");
        assert_eq!(clear.levels(&records, &pair(4)), None, "too few were seen");
    }

    #[test]
    fn numbers_that_differ_need_no_look() {
        let records = records([[1, 0, 0], [2, 0, 0]]);
        assert!(is_vetoed(&records, &pair(1)));
        assert_eq!(Clear::default().levels(&records, &pair(1)), Some(Levels::NONE));
    }

    #[test]
    fn few_pairs_are_all_looked_at_and_many_evenly() {
        assert_eq!(sample(1000).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
        let places: Vec<usize> = sample(10_000_000).collect();
        assert_eq!(places.len(), 625_000);
        assert!(places.windows(2).all(|two| two[1] - two[0] == 16));
    }
}
