//! Which pairs the pattern of their match-keys decides, so that nobody is asked about them.
//!
//! Two records that share every key of name, birth and address are one person, and asking two
//! nodes how well they agree would only say so again. What a pattern comes to is learnt from a sample
//! of the sweep's own pairs: it is clear if neither it nor any pattern with more in common ever came out
//! otherwise, and then so is whatever has more in common. Numbers of one national scheme that differ
//! make two people, whatever else is shared: flags and tokens say so.

use std::collections::{HashMap, HashSet};

use causeway_proto::linkage::{
    guards::{self, StrongIds},
    levels::Levels,
    weights::Weights,
};
use rayon::prelude::*;

use super::{Pair, Records};

/// Of many pairs, one in so many is looked at to learn from.
const ONE_IN: usize = 16;
/// But no more than this: weights need no more, and patterns are learnt from a second look at more of them.
const MOST_SAMPLED: usize = 1 << 17;
/// A pattern is clear after so many pairs of it, or of what it contains, came out alike,
const ENOUGH: u32 = 50;
/// if of all of them together no more than one in four thousand is wrong. The rarer a match is among all
/// pairs, the less a common name weighs; asking of each of them that it be as sure as this would have a
/// large federation look at most of its pairs.
const SURE: f64 = 1.0 / 4096.0;
/// What stands for a clear match has at least this weight, in bits.
const LIKELY: f64 = 6.0;
/// A pattern is of two people if so many pairs have at most this weight each: being the only candidate at
/// an agency adds up to 9 bits for each of the two later.
const SURELY_NOT: f64 = -21.0;
/// See [`SURELY_NOT`].
const ENOUGH_OTHERS: u32 = 256;
/// Or if so few of its pairs are matches, and one more: the chance pairs of a large federation.
const SELDOM: f64 = 1.0 / 1024.0;

/// A pattern: the kinds that both share, and how many national numbers agree.
type Pattern = (u32, u8);

/// What clear patterns stand for.
#[derive(Debug, Default)]
pub struct Clear {
    /// Patterns of one person, also where more is shared; those that share most first.
    matches: Vec<(Pattern, Levels)>,
    /// Patterns of two people.
    others: HashMap<Pattern, Levels>,
    /// What was worked out for a pattern.
    known: HashMap<Pattern, Option<Levels>>,
}

/// What is known of the sampled pairs of a pattern.
#[derive(Clone, Copy)]
struct Seen {
    pairs: u32,
    /// How many of them are one person, as far as their weights say, and how many are not.
    right: f64,
    wrong: f64,
    least: Scored,
    most: Scored,
    /// The least of those that are likely.
    likely: Option<Scored>,
}

/// A pair's weight in bits, and how it agreed.
type Scored = (f64, Levels);

impl Seen {
    fn one(bits: f64, levels: Levels) -> Self {
        let (now, wrong) = ((bits, levels), 1.0 / (1.0 + bits.exp2()));
        let likely = (bits >= LIKELY).then_some(now);
        Self { pairs: 1, right: 1.0 - wrong, wrong, least: now, most: now, likely }
    }

    fn and(self, other: &Self) -> Self {
        let least = |x: Scored, y: Scored| if y.0 < x.0 { y } else { x };
        Self {
            pairs: self.pairs + other.pairs,
            right: self.right + other.right,
            wrong: self.wrong + other.wrong,
            least: least(self.least, other.least),
            most: if other.most.0 > self.most.0 { other.most } else { self.most },
            likely: match (self.likely, other.likely) {
                (Some(mine), Some(theirs)) => Some(least(mine, theirs)),
                (one, other) => one.or(other),
            },
        }
    }

    fn is_match(&self) -> bool {
        self.pairs >= ENOUGH && self.wrong <= f64::from(self.pairs) * SURE
    }

    /// What stands for a pattern of two people, if it is one.
    fn other(&self) -> Option<Levels> {
        let seldom = self.right + 1.0 <= f64::from(self.pairs) * SELDOM;
        match (self.most, self.least) {
            ((bits, levels), _) if self.pairs >= ENOUGH_OTHERS && bits <= SURELY_NOT => {
                Some(levels)
            }
            (_, (bits, levels)) if seldom && bits <= SURELY_NOT => Some(levels),
            _ => None,
        }
    }
}

/// Returns whether a pattern has everything in common that another has.
fn contains((kinds, numbers): Pattern, (of, least): Pattern) -> bool {
    kinds & of == of && numbers >= least
}

/// Returns the places of the pairs to learn from: all of them, or an even sample of at least so many.
pub fn sample(pairs: usize, least: usize) -> impl Iterator<Item = usize> {
    let size = least.max((pairs / ONE_IN).min(MOST_SAMPLED)).min(pairs);
    (0..size).map(move |at| at * pairs / size)
}

/// Returns whether a pair is two people for certain, before anybody is asked.
pub fn is_vetoed(records: &Records, pair: &Pair) -> bool {
    records.is_apart(pair.a, pair.b) || pair.strong_ids().conflicting > 0
}

impl Clear {
    /// Learns which patterns are clear from pairs that were looked at, and works out beforehand what the
    /// patterns of `pairs` come to.
    pub fn learn(
        records: &Records,
        looked_at: &[(Pair, Levels)],
        weights: &Weights,
        pairs: &[Pair],
    ) -> Self {
        let mut seen: HashMap<Pattern, Seen> = HashMap::new();
        for (pair, levels) in looked_at {
            let ids = pair.strong_ids();
            if is_vetoed(records, pair) {
                continue;
            }
            let bits = weights.score(*levels, ids.agreeing);
            let bits = guards::guarded(guards::verdict(*levels, ids), bits);
            // A pair that a guard forbids is no better than the least likely one.
            let now = Seen::one(bits.unwrap_or(f64::NEG_INFINITY), *levels);
            let entry = seen.entry((pair.kinds, ids.agreeing));
            entry.and_modify(|before| *before = before.and(&now)).or_insert(now);
        }
        let mut seen: Vec<(Pattern, Seen)> = seen.into_iter().collect();
        // In one order, so that sums are the same wherever they are computed.
        seen.sort_unstable_by_key(|((kinds, numbers), _)| {
            (std::cmp::Reverse(kinds.count_ones()), *kinds, *numbers)
        });
        let with_more = |(pattern, own): &(Pattern, Seen)| {
            let more =
                seen.iter().filter(|(other, _)| other != pattern && contains(*other, *pattern));
            let all = more.fold(*own, |all, (_, seen)| all.and(seen));
            // The one that was least clear stands for all.
            let (_, levels) = own.likely.filter(|_| all.is_match())?;
            Some((*pattern, levels))
        };
        let others = seen.iter().filter_map(|(pattern, seen)| Some((*pattern, seen.other()?)));
        let mut clear = Self {
            matches: seen.par_iter().filter_map(with_more).collect(),
            others: others.collect(),
            known: HashMap::new(),
        };
        clear.prepare(pairs);
        clear
    }

    /// Works out beforehand what the patterns of some pairs come to.
    fn prepare(&mut self, pairs: &[Pair]) {
        let patterns = pairs.par_chunks(1 << 16).map(|pairs| {
            let pattern = |pair: &Pair| (pair.kinds, pair.strong_ids().agreeing);
            pairs.iter().map(pattern).collect::<HashSet<Pattern>>()
        });
        let patterns = patterns.reduce(HashSet::new, |mut all, more| {
            all.extend(more);
            all
        });
        self.known =
            patterns.into_par_iter().map(|pattern| (pattern, self.work_out(pattern))).collect();
    }

    fn work_out(&self, pattern: Pattern) -> Option<Levels> {
        if let Some(levels) = self.others.get(&pattern) {
            return Some(levels.supposed());
        }
        let within = self.matches.iter().find(|(clear, _)| contains(pattern, *clear));
        within.map(|(_, levels)| levels.supposed())
    }

    /// Returns how well a pair may be taken to agree without asking; `None` where it is not clear.
    pub fn levels(&self, records: &Records, pair: &Pair) -> Option<Levels> {
        if records.is_apart(pair.a, pair.b) {
            return Some(Levels::NONE);
        }
        match pair.strong_ids() {
            StrongIds { conflicting: 1.., .. } => Some(Levels::NONE),
            ids => {
                let pattern = (pair.kinds, ids.agreeing);
                self.known.get(&pattern).copied().unwrap_or_else(|| self.work_out(pattern))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_proto::{
        ids::Handle,
        linkage::{
            levels::ComparisonField as F,
            weights::{self, Strangers},
        },
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
        Pair { a: 0, b: 1, kinds, carrier: 0, slots: 0, numbers: 0 }
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
        let clear = Clear::learn(&records, &looked_at, &weights, &[]);
        assert_eq!(
            clear.levels(&records, &pair(1)),
            Some(same.supposed()),
            "{} bits",
            weights.score(same, 0)
        );
        assert_eq!(clear.levels(&records, &pair(2)), None, "it came out otherwise once");
        assert_eq!(clear.levels(&records, &pair(4)), None, "too few were seen");
        assert!(clear.levels(&records, &pair(9)).is_some(), "it has more in common");
        assert_eq!(clear.levels(&records, &pair(3)), clear.levels(&records, &pair(1)));
    }

    #[test]
    fn a_pattern_is_not_clear_if_one_with_more_in_common_is_not() {
        let records = records([[0; 3]; 2]);
        let top = |field: F| field.levels() - 1;
        let same = [F::Forename, F::Surname, F::Birth, F::Address]
            .into_iter()
            .fold(Levels::NONE, |levels, field| levels.with(field, top(field)));
        let mut looked_at = vec![(pair(1), same); 60];
        looked_at.push((pair(3), same.with(F::Birth, 0).with(F::Forename, 0)));
        let weights = decide::learn(&records, &looked_at, 1.0, &Strangers::new());
        let clear = Clear::learn(&records, &looked_at, &weights, &[pair(1), pair(3)]);
        assert_eq!(clear.levels(&records, &pair(1)), None);
        assert_eq!(clear.levels(&records, &pair(3)), None);
    }

    #[test]
    fn a_pattern_that_is_hardly_ever_one_person_is_clear_and_one_mistake_in_thousands_is_none() {
        let records = records([[0; 3]; 2]);
        let top = |field: F| field.levels() - 1;
        let all = |level: fn(usize) -> usize| {
            [F::Forename, F::Surname, F::Birth, F::Address]
                .into_iter()
                .fold(Levels::NONE, |all, field| all.with(field, level(top(field))))
        };
        let (same, chance) = (all(|top| top.min(5)), all(|_| 0));
        let mut looked_at = vec![(pair(1), same); 9000];
        looked_at.push((pair(1), chance));
        looked_at.extend(vec![(pair(2), chance); 4000]);
        looked_at.push((pair(2), same));
        looked_at.extend(vec![(pair(4), chance); 400]);
        looked_at.push((pair(4), same));
        let met = [(same, 1, 9e5), (chance, 2, 4e5)];
        let met = met.map(|(levels, kinds, pairs)| weights::Pattern { levels, kinds, pairs });
        let weights = Weights::estimate(&met, &Strangers::new(), 1e10);
        assert!(weights.score(chance, 0) < SURELY_NOT, "{}", weights.score(chance, 0));
        assert!(weights.score(same, 0) > 13.0, "{}", weights.score(same, 0));
        let clear = Clear::learn(&records, &looked_at, &weights, &[]);
        assert_eq!(clear.levels(&records, &pair(1)), Some(same.supposed()));
        assert_eq!(clear.levels(&records, &pair(2)), Some(chance.supposed()));
        assert_eq!(clear.levels(&records, &pair(4)), None, "one in 400 is too many");
    }

    #[test]
    fn numbers_that_differ_need_no_look() {
        let records = records([[1, 0, 0], [2, 0, 0]]);
        let mut pairs = [pair(1)];
        records.compare_all_numbers(&mut pairs);
        assert!(is_vetoed(&records, &pairs[0]));
        assert_eq!(Clear::default().levels(&records, &pairs[0]), Some(Levels::NONE));
    }

    #[test]
    fn few_pairs_are_all_looked_at_and_many_evenly() {
        assert_eq!(sample(1000, 4096).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
        let places: Vec<usize> = sample(10_000_000, 4096).collect();
        assert_eq!(places.len(), MOST_SAMPLED);
        assert!(places.windows(2).all(|two| (76..=77).contains(&(two[1] - two[0]))));
    }
}
