//! Which pairs the pattern of their match-keys decides, so that nobody is asked about them.
//!
//! Two records that share every key of name, birth and address are one person, and asking two
//! nodes how well they agree would only say so again. What a pattern comes to is learnt from a sample
//! of the sweep's own pairs: it is clear if neither it nor any pattern with more in common ever came out
//! otherwise, and then so is whatever has more in common. Numbers of one national scheme that differ
//! make two people, whatever else is shared: flags and tokens say so.

use std::collections::{HashMap, HashSet};

use causeway_proto::linkage::{guards, levels::Levels, weights::Weights};
use rayon::prelude::*;

use super::{
    Pair, Records,
    taken::{self, Taken, is_outdone},
};

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
    others: HashMap<Pattern, Other>,
    /// Patterns of two people where one of them is taken.
    outdone: HashMap<Pattern, Levels>,
    /// What was worked out for a pattern.
    known: HashMap<Pattern, Option<Levels>>,
}

/// What stands for a pattern of two people.
#[derive(Clone, Copy, Debug)]
struct Other {
    levels: Levels,
    /// The share of its sampled pairs that is one person all the same.
    missed: f64,
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
    fn other(&self) -> Option<Other> {
        let pairs = f64::from(self.pairs);
        let seldom = self.right + 1.0 <= pairs * SELDOM;
        let levels = match (self.most, self.least) {
            ((bits, levels), _) if self.pairs >= ENOUGH_OTHERS && bits <= SURELY_NOT => levels,
            (_, (bits, levels)) if seldom && bits <= SURELY_NOT => levels,
            _ => return None,
        };
        Some(Other { levels, missed: self.right / pairs })
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
    /// What a test takes for clear, by the kinds that a pair shares: patterns of one person, of two people, and
    /// of two where one of them is taken.
    #[cfg(test)]
    pub(crate) fn of(
        matches: &[(u32, Levels)],
        others: &[(u32, Levels)],
        outdone: &[(u32, Levels)],
    ) -> Self {
        let patterns = |of: &[(u32, Levels)]| {
            of.iter().map(|(kinds, levels)| ((*kinds, 0), *levels)).collect::<Vec<_>>()
        };
        let other = |(pattern, levels)| (pattern, Other { levels, missed: 0.0 });
        Self {
            matches: patterns(matches),
            others: patterns(others).into_iter().map(other).collect(),
            outdone: patterns(outdone).into_iter().collect(),
            known: HashMap::new(),
        }
    }

    /// What a test takes for the pattern of two people, so many of which are one.
    #[cfg(test)]
    pub(crate) fn seldom(kinds: u32, levels: Levels, missed: f64) -> Self {
        Self { others: HashMap::from([((kinds, 0), Other { levels, missed })]), ..Self::default() }
    }

    /// Learns which patterns are clear from pairs that were looked at, and works out beforehand what the
    /// patterns of `pairs` come to. Returns also who is taken.
    pub fn learn(
        records: &Records,
        looked_at: &[(Pair, Levels)],
        weights: &Weights,
        pairs: &[Pair],
    ) -> (Self, Taken) {
        let open = looked_at.iter().filter(|(pair, _)| !is_vetoed(records, pair));
        let scored: Vec<(&Pair, Scored)> =
            open.map(|(pair, levels)| (pair, score(weights, pair, *levels))).collect();
        let mut seen: HashMap<Pattern, Seen> = HashMap::new();
        for (pair, (bits, levels)) in &scored {
            let now = Seen::one(*bits, *levels);
            let entry = seen.entry(pattern(pair));
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
            ..Self::default()
        };
        clear.prepare(pairs);
        let taken = taken::taken(records, pairs, |pair| clear.is_one(records, pair));
        clear.outdone = outdone(records, &scored, &taken);
        (clear, taken)
    }

    /// Returns whether the pattern of a pair makes its records one person.
    pub fn is_one(&self, records: &Records, pair: &Pair) -> bool {
        !self.others.contains_key(&pattern(pair))
            && !is_vetoed(records, pair)
            && self.by_pattern(pair).is_some()
    }

    /// Returns how often pairs of a pattern of two people are one person, as far as some were looked at; 0 where the
    /// pattern is none.
    pub fn missed(&self, pair: &Pair) -> f64 {
        self.others.get(&pattern(pair)).map_or(0.0, |other| other.missed)
    }

    /// Returns whether a pair is decided by who else its records are, as long as one of them is taken.
    pub fn is_weak(&self, records: &Records, pair: &Pair) -> bool {
        self.outdone.contains_key(&pattern(pair))
            && !is_vetoed(records, pair)
            && self.by_pattern(pair).is_none()
    }

    /// Works out beforehand what the patterns of some pairs come to.
    fn prepare(&mut self, pairs: &[Pair]) {
        let patterns = pairs
            .par_chunks(1 << 16)
            .map(|pairs| pairs.iter().map(pattern).collect::<HashSet<Pattern>>());
        let patterns = patterns.reduce(HashSet::new, |mut all, more| {
            all.extend(more);
            all
        });
        self.known =
            patterns.into_par_iter().map(|pattern| (pattern, self.work_out(pattern))).collect();
    }

    fn work_out(&self, pattern: Pattern) -> Option<Levels> {
        if let Some(other) = self.others.get(&pattern) {
            return Some(other.levels.supposed());
        }
        let within = self.matches.iter().find(|(clear, _)| contains(pattern, *clear));
        within.map(|(_, levels)| levels.supposed())
    }

    fn by_pattern(&self, pair: &Pair) -> Option<Levels> {
        let pattern = pattern(pair);
        self.known.get(&pattern).copied().unwrap_or_else(|| self.work_out(pattern))
    }

    /// Returns how well a pair may be taken to agree without asking; `None` where it is not clear.
    /// `taken` says at which agencies a record is taken.
    pub fn levels(
        &self,
        records: &Records,
        pair: &Pair,
        taken: impl Fn(u32) -> u64,
    ) -> Option<Levels> {
        if is_vetoed(records, pair) {
            return Some(Levels::NONE);
        }
        self.by_pattern(pair).or_else(|| {
            let outdone = self.outdone.get(&pattern(pair))?;
            is_outdone(records, pair, taken).then(|| outdone.outdone())
        })
    }
}

fn pattern(pair: &Pair) -> Pattern {
    (pair.kinds, pair.strong_ids().agreeing)
}

/// What a pair that was looked at weighs. One that a guard forbids is no better than the least likely one.
fn score(weights: &Weights, pair: &Pair, levels: Levels) -> Scored {
    let ids = pair.strong_ids();
    let bits = weights.score(levels, ids.agreeing);
    let bits = guards::guarded(guards::verdict(levels, ids), bits);
    (bits.unwrap_or(f64::NEG_INFINITY), levels)
}

/// Finds patterns of which next to no pair comes to as much as a clear match where one of the two is taken:
/// of 256 pairs not one, and so on. A candidate that is lost so would have lost to the clear one.
fn outdone(
    records: &Records,
    scored: &[(&Pair, Scored)],
    taken: &[u64],
) -> HashMap<Pattern, Levels> {
    /// How many pairs, those of them that weigh something, and the one that weighs least.
    struct Beside(u32, u32, Scored);
    let mut seen: HashMap<Pattern, Beside> = HashMap::new();
    for (pair, scored) in scored {
        if is_outdone(records, pair, |record| taken[record as usize]) {
            let Beside(pairs, likely, least) =
                seen.entry(pattern(pair)).or_insert(Beside(0, 0, *scored));
            *pairs += 1;
            *likely += u32::from(scored.0 >= LIKELY);
            *least = if scored.0 < least.0 { *scored } else { *least };
        }
    }
    let outdone = seen.into_iter().filter(|(_, Beside(pairs, likely, (bits, _)))| {
        let seldom = (likely + 1) * ENOUGH_OTHERS <= *pairs;
        seldom && *bits <= -LIKELY
    });
    outdone.map(|(pattern, Beside(.., (_, levels)))| (pattern, levels)).collect()
}

#[cfg(test)]
mod tests;
