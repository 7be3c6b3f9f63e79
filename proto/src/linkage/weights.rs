//! Fellegi-Sunter weights, with m and u estimated from the data itself.
//!
//! Each field has, for each level, an m-probability (how often one person's two records agree just
//! so) and a u-probability (how often strangers do). Their log-ratios add up to a match weight in
//! bits. Members of one household, twins, and parent and child of one name are classes of their own:
//! they agree on surname and address as often as one person does, and on what is their own as seldom
//! as strangers; only that relatives now and then give each other's number.
//!
//! u comes from random pairs of each agency's own people; m from EM on the candidate pairs, one
//! match-key at a time over the fields that the key does not use (`linkage/LINKAGE.md` 2.5 to 2.7).
//! Small towns have too few pairs to learn from, so every estimate begins with a prior that some
//! hundred pairs outweigh.

mod settle;

use self::settle::Known;
pub use super::em::Among;
use super::{
    em,
    guards::generations,
    levels::{ComparisonField as F, Levels},
};

/// One number for each level of each field.
pub type Table = [[f64; F::MOST_LEVELS]; F::COUNT];

/// Candidate pairs that look alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pattern {
    /// How well they agree.
    pub levels: Levels,
    /// Which match-keys they share: bit `MatchKeyKind::index`.
    pub kinds: u32,
    /// How many there are.
    pub pairs: f64,
}

/// How often different people of one agency agree, pooled over agencies.
#[derive(Clone, Debug, PartialEq)]
pub struct Strangers {
    counts: Table,
}

/// What a federation's data says about agreement.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// m-probabilities.
    pub m: Table,
    /// u-probabilities.
    pub u: Table,
    /// Share of all possible pairs that are one person.
    pub matched: f64,
    /// Share of all possible pairs that are one household.
    pub household: f64,
    /// Share of all possible pairs that are twins.
    pub twins: f64,
    /// Share of all possible pairs that are parent and child of one name: as many as twins, or as the birth dates
    /// tell.
    pub generations: f64,
    /// Share of all possible pairs that are parent and child of one name at one address, where a birth date is
    /// not known that would tell. Known within one agency only.
    pub namesakes: f64,
}

/// The smallest u-probability: nobody has seen more pairs of strangers than this.
const U_FLOOR: f64 = 1e-9;
/// Twins among pairs of one person; about 1 birth in 70 is one of twins.
const TWIN_SHARE: f64 = 0.01;
/// Pairs of twins who live together among the people of one agency: of twins, who are 1 birth in 70, those who
/// have not left home.
const TWINS_AT_HOME: f64 = 0.003;
/// How many matches, three pairs of twins among them, weigh as much as what is known of twins.
const PRIOR_TWINS: f64 = 300.0;
/// Of one person's birth dates that have nothing in common, so many times as many are twelve years apart or more as
/// less: of days all over a century they are. FEBRL's show 3.9 to 5.3.
const FAR_FOR_NEAR: f64 = 5.0;
/// From so many parents for each date that is simply wrong on, the birth dates tell how many there are.
const PARENTS_TOLD: f64 = 0.25;
/// If they are so many among all of one name and address: a clerk who copies the birth date of somebody else in the
/// family makes one person look so, too.
const PARENTS_AMONG: f64 = 0.04;
/// Natural logarithm of 16: twins have names that begin or sound alike at most so many times as often
/// as strangers.
const ALIKE: f64 = 2.772_588_722_239_781;
/// Relatives at one address who are on record with one phone number.
const ONE_PHONE: f64 = 0.5;
/// Relatives of whom one is on record with the other's number or email address.
const LENT_SHARE: f64 = 0.01;
/// Weight in bits of one national number that agrees: 1 in 60 million strangers by chance, kept
/// far below that because numbers get attached to the wrong person too.
pub const STRONG_ID_BITS: f64 = 18.0;
/// How many sampled pairs of strangers weigh as much as the prior.
const PRIOR_STRANGERS: f64 = 20_000.0;
/// Before anything is seen, in so many pairs so many matches.
#[derive(Clone, Copy)]
struct Before {
    pairs: f64,
    matches: f64,
}

/// What an agency with next to no doubles goes by, and who links a few records.
const SUPPOSED: Before = Before { pairs: 2e6, matches: 10.0 };
/// The same where [`ENOUGH_MATCHES`] are found: what a thousand records show counts for more.
const LEARNT: Before = Before { pairs: 2e5, matches: 1.0 };
/// From so many matches on they teach how one person agrees.
pub const ENOUGH_MATCHES: f64 = 100.0;

/// What m is before anything is seen: means over the public sets that `town link` is measured on.
#[rustfmt::skip]
pub(super) const PRIOR_M: Table = [
    [0.015, 0.015, 0.01, 0.04, 0.02, 0.89, 0.01],
    [0.03, 0.01, 0.01, 0.05, 0.38, 0.51, 0.01],
    [0.07, 0.43, 0.5, 0.0, 0.0, 0.0, 0.0],
    [0.01, 0.01, 0.02, 0.04, 0.02, 0.9, 0.0],
    [0.01, 0.99, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.12, 0.04, 0.05, 0.09, 0.1, 0.6, 0.0],
    [0.1, 0.1, 0.8, 0.0, 0.0, 0.0, 0.0],
    [0.03, 0.02, 0.05, 0.9, 0.0, 0.0, 0.0],
    [0.15, 0.05, 0.1, 0.7, 0.0, 0.0, 0.0],
    [0.2, 0.05, 0.75, 0.0, 0.0, 0.0, 0.0],
];

/// What u is before anything is seen: a town of some ten thousand people.
#[rustfmt::skip]
const PRIOR_U: Table = [
    [0.9, 0.07, 0.008, 0.004, 0.002, 0.0097, 0.0001],
    [0.955, 0.03, 0.008, 0.004, 0.001, 0.00019, 0.0001],
    [0.92, 0.07, 0.01, 0.0, 0.0, 0.0, 0.0],
    [0.955, 0.035, 0.008, 0.001, 0.00003, 0.00004, 0.0],
    [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.985, 0.01, 0.003, 0.0003, 0.0001, 0.0002, 0.0],
    [0.9, 0.05, 0.05, 0.0, 0.0, 0.0, 0.0],
    [0.998, 0.0015, 0.0003, 0.0000001, 0.0, 0.0, 0.0],
    [0.998, 0.0015, 0.0003, 0.000001, 0.0, 0.0, 0.0],
    [0.999, 0.0005, 0.000001, 0.0, 0.0, 0.0, 0.0],
];

/// Fields that members of one household share as one person does; of phone numbers see [`ONE_PHONE`].
pub(super) const HOUSEHOLD: &[F] = &[F::Surname, F::Address, F::Town, F::Phone];
/// Fields that twins share as one person does.
const TWINS: &[F] = &[F::Surname, F::Address, F::Town, F::Phone, F::Birth];

impl Default for Strangers {
    fn default() -> Self {
        Self::new()
    }
}

impl Strangers {
    /// Begins with the prior alone.
    pub fn new() -> Self {
        Self { counts: PRIOR_U.map(|row| row.map(|u| u * PRIOR_STRANGERS)) }
    }

    /// Adds what one agency counted on one field, a count for each level, lowest first.
    pub fn add(&mut self, field: F, counts: &[f64]) {
        for (sum, count) in self.counts[field as usize].iter_mut().zip(counts) {
            *sum += count.max(0.0);
        }
    }

    /// Returns the share of pairs at each level.
    pub fn observed(&self) -> Table {
        self.counts.map(normalised)
    }
}

impl Weights {
    /// Learns from candidate pairs.
    ///
    /// `total_pairs` is how many pairs there could have been at all.
    pub fn estimate(
        patterns: &[Pattern],
        strangers: &Strangers,
        total_pairs: f64,
        among: Among,
    ) -> Self {
        let records = match among {
            Among::Agencies => 0.0,
            Among::OneAgency => (2.0 * total_pairs).sqrt(),
        };
        let one_agency = among == Among::OneAgency;
        let known = Known { enough: ENOUGH_MATCHES, least_twins: 0.0, records, one_agency };
        Self::settle(patterns, strangers, total_pairs, known, |u| em::estimate(patterns, u, among))
    }

    /// Learns how strangers agree and how many pairs match, and takes from experience how one person
    /// agrees: for the records of one agency, of which perhaps no two are one person. There, twins
    /// are as many as people have them, however few records have a double.
    pub fn suppose(patterns: &[Pattern], strangers: &Strangers, records: f64) -> Self {
        let total_pairs = records * (records - 1.0) / 2.0;
        let least_twins = TWIN_SHARE * records / (total_pairs + SUPPOSED.pairs);
        let known = Known { enough: f64::INFINITY, least_twins, records: 0.0, one_agency: true };
        Self::settle(patterns, strangers, total_pairs, known, |_| PRIOR_M.map(normalised))
    }

    /// Returns how many pairs are one person, as far as these weights tell.
    pub fn matches_among(&self, patterns: &[Pattern]) -> f64 {
        self.among(patterns, 0)
    }

    /// Returns how many pairs are two of one household.
    pub fn relatives_among(&self, patterns: &[Pattern]) -> f64 {
        self.among(patterns, 1)
    }

    fn among(&self, patterns: &[Pattern], class: usize) -> f64 {
        let of = |pattern: &Pattern| pattern.pairs * self.posteriors(pattern.levels)[class];
        patterns.iter().map(of).sum()
    }

    /// Returns what one field's level says, in bits: positive speaks for one person.
    pub fn bits(&self, field: F, level: usize) -> f64 {
        let at = field as usize;
        (self.m[at][level] / self.u[at][level]).log2()
    }

    /// Returns the m- and the u-probability of one field's level.
    pub fn shares(&self, field: F, level: usize) -> (f64, f64) {
        let at = field as usize;
        (self.m[at][level], self.u[at][level])
    }

    /// Returns whether the birth dates tell how many parents and children of one name there are. Of these, most are
    /// on record without the other: that there is nobody else who fits says nothing then.
    pub fn tell_parents(&self) -> bool {
        self.generations != self.twins
    }

    /// Sets how many twins there are.
    pub fn set_twins(&mut self, share: f64) {
        if !self.tell_parents() {
            self.generations = share;
        }
        self.twins = share;
    }

    /// Returns the prior odds of a match in bits; negative, as most pairs are strangers.
    pub fn prior_bits(&self) -> f64 {
        self.matched.log2()
    }

    /// Returns the match weight of a pair in bits: log2 of the odds that it is one person rather
    /// than strangers, a household or twins. `strong_ids` national numbers agree.
    pub fn score(&self, levels: Levels, strong_ids: u8) -> f64 {
        let strong = STRONG_ID_BITS * f64::from(strong_ids) * std::f64::consts::LN_2;
        let [matched, rivals @ ..] = self.log_odds(levels);
        let rival = log_sum_exp(&rivals);
        (matched + strong - rival) / std::f64::consts::LN_2
    }

    /// Log-odds of each class against strangers, priors included: one person, one household, twins,
    /// parent and child of one name, and strangers themselves.
    fn log_odds(&self, levels: Levels) -> [f64; 5] {
        let Self { matched, household, twins, generations: parents, .. } = self;
        let [matched, household, twins, parents] =
            [matched, household, twins, parents].map(|s| s.ln());
        let mut odds = [matched, household, twins, parents, 0.0];
        for field in F::ALL {
            let Some(level) = levels.get(*field) else { continue };
            let at = *field as usize;
            let ratio = |level: usize| (self.m[at][level] / self.u[at][level]).ln();
            let (agreement, lent) = (ratio(level), self.lent(*field, level));
            odds[0] += agreement;
            let at_home = match field {
                F::Phone => (ONE_PHONE * agreement.exp() + (1.0 - ONE_PHONE)).ln(),
                _ => agreement,
            };
            odds[1] += if HOUSEHOLD.contains(field) { at_home } else { lent };
            odds[2] += match field {
                // Parents like to give twins names that sound or begin alike.
                F::Forename if level <= 2 => (agreement - ratio(0)).min(ALIKE),
                _ if TWINS.contains(field) => at_home,
                _ => lent,
            };
            odds[3] += match field {
                // A son may be born on his father's birthday, but not a digit from his birth date.
                F::Birth if level <= 2 => agreement - ratio(0),
                F::Birth => 0.0,
                F::OtherId | F::Email => lent,
                _ => agreement,
            };
        }
        if !generations(levels) {
            let unknown = levels.get(F::Birth).is_none() && namesakes_at_one_address(levels);
            odds[3] += if unknown { self.namesakes.ln() - parents } else { f64::NEG_INFINITY };
        }
        odds
    }

    /// How likely a pair is of each class, in the same order.
    fn posteriors(&self, levels: Levels) -> [f64; 5] {
        let odds = self.log_odds(levels);
        let all = log_sum_exp(&odds);
        odds.map(|odds| (odds - all).exp())
    }

    /// Log-odds of relatives against strangers where one gave the other's number or address.
    fn lent(&self, field: F, level: usize) -> f64 {
        match field {
            F::OtherId | F::Email if level == 3 => (LENT_SHARE / self.u[field as usize][3]).ln(),
            _ => 0.0,
        }
    }
}

/// Returns whether parent and child of one name at one address look like this.
fn namesakes_at_one_address(levels: Levels) -> bool {
    levels.at_least(F::Forename, 5)
        && levels.at_least(F::Surname, 4)
        && levels.at_least(F::Address, 3)
}

pub(super) fn normalised(row: [f64; F::MOST_LEVELS]) -> [f64; F::MOST_LEVELS] {
    let sum: f64 = row.iter().sum();
    row.map(|share| share / sum)
}

fn floored(mut table: Table) -> Table {
    for field in F::ALL {
        let row = &mut table[*field as usize];
        row.iter_mut().take(field.levels()).for_each(|share| *share = share.max(U_FLOOR));
    }
    table
}

pub(super) fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests;
