//! Fellegi-Sunter weights, with m and u estimated from the data itself.
//!
//! Each field has, for each level, an m-probability (how often one person's two records agree just
//! so) and a u-probability (how often strangers do). Their log-ratios add up to a match weight in
//! bits. Members of one household and twins are classes of their own: they agree on surname and
//! address as often as one person does, and on forename as seldom as strangers.
//!
//! u comes from random pairs of each agency's own people; m from EM on the candidate pairs, one
//! match-key at a time over the fields that the key does not use (`linkage/LINKAGE.md` 2.5 to 2.7).
//! Small towns have too few pairs to learn from, so every estimate begins with a prior that some
//! hundred pairs outweigh.

use super::{
    guards::generations,
    levels::{ComparisonField as F, Levels},
};
use crate::kind::MatchKeyKind as K;

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
    /// Share of all possible pairs that are twins, and as many parent and child of one name.
    pub twins: f64,
}

/// The smallest u-probability: nobody has seen more pairs of strangers than this.
const U_FLOOR: f64 = 1e-9;
/// Twins among pairs of one person; about 1 birth in 70 is one of twins.
const TWIN_SHARE: f64 = 0.01;
/// Relatives of whom one is on record with the other's number or email address.
const LENT_SHARE: f64 = 0.01;
/// Weight in bits of one national number that agrees: 1 in 60 million strangers by chance, kept
/// far below that because numbers get attached to the wrong person too.
const STRONG_ID_BITS: f64 = 18.0;
/// Rounds of EM within a match-key. LINKAGE.md 2.6.
const ROUNDS: usize = 40;
/// Pairs below which a match-key teaches nothing.
const LEAST_PAIRS: f64 = 50.0;
/// How many observed matches weigh as much as the prior.
const PRIOR_MATCHES: f64 = 30.0;
/// How many sampled pairs of strangers weigh as much as the prior.
const PRIOR_STRANGERS: f64 = 20_000.0;
/// Before anything is seen: in so many pairs, so many matches.
const PRIOR_PAIRS: f64 = 2e6;
/// See [`PRIOR_PAIRS`].
const PRIOR_MATCHED: f64 = 10.0;

/// What m is before anything is seen: means over the public sets that `town link` is measured on.
#[rustfmt::skip]
const PRIOR_M: Table = [
    [0.015, 0.015, 0.01, 0.04, 0.02, 0.33, 0.35, 0.21, 0.01],
    [0.03, 0.01, 0.01, 0.05, 0.14, 0.24, 0.24, 0.27, 0.01],
    [0.07, 0.43, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.01, 0.01, 0.02, 0.04, 0.02, 0.9, 0.0, 0.0, 0.0],
    [0.01, 0.99, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.12, 0.04, 0.05, 0.09, 0.1, 0.6, 0.0, 0.0, 0.0],
    [0.1, 0.1, 0.8, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.03, 0.02, 0.05, 0.9, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.15, 0.05, 0.1, 0.7, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.2, 0.05, 0.75, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
];

/// What u is before anything is seen: a town of some ten thousand people.
#[rustfmt::skip]
const PRIOR_U: Table = [
    [0.9, 0.07, 0.008, 0.004, 0.002, 0.006, 0.003, 0.0007, 0.0001],
    [0.955, 0.03, 0.008, 0.004, 0.0006, 0.0004, 0.00015, 0.00004, 0.0001],
    [0.92, 0.07, 0.01, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.955, 0.035, 0.008, 0.001, 0.00003, 0.00004, 0.0, 0.0, 0.0],
    [0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.985, 0.01, 0.003, 0.0003, 0.0001, 0.0002, 0.0, 0.0, 0.0],
    [0.9, 0.05, 0.05, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.998, 0.0015, 0.0003, 0.0000001, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.998, 0.0015, 0.0003, 0.000001, 0.0, 0.0, 0.0, 0.0, 0.0],
    [0.999, 0.0005, 0.000001, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
];

/// Fields that members of one household share as one person does.
const HOUSEHOLD: &[F] = &[F::Surname, F::Address, F::Town, F::Phone];
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
    pub fn estimate(patterns: &[Pattern], strangers: &Strangers, total_pairs: f64) -> Self {
        Self::settle(patterns, strangers, total_pairs, 0.0, |u| estimate_m(patterns, u))
    }

    /// Learns how strangers agree and how many pairs match, and takes from experience how one person
    /// agrees: for the records of one agency, of which perhaps no two are one person. There, twins
    /// are as many as people have them, however few records have a double.
    pub fn suppose(patterns: &[Pattern], strangers: &Strangers, records: f64) -> Self {
        let total_pairs = records * (records - 1.0) / 2.0;
        let twins = TWIN_SHARE * records / (total_pairs + PRIOR_PAIRS);
        Self::settle(patterns, strangers, total_pairs, twins, |_| PRIOR_M.map(normalised))
    }

    fn settle(
        patterns: &[Pattern],
        strangers: &Strangers,
        total_pairs: f64,
        least_twins: f64,
        m: impl Fn(&Table) -> Table,
    ) -> Self {
        let observed = strangers.observed();
        let prior = PRIOR_MATCHED / PRIOR_PAIRS;
        let mut weights = Self {
            m: PRIOR_M.map(normalised),
            u: floored(observed),
            matched: prior,
            household: prior,
            twins: least_twins.max(TWIN_SHARE * prior),
        };
        for round in 0..3 {
            weights.m = m(&weights.u);
            weights.settle_shares(patterns, total_pairs, least_twins);
            if round < 2 {
                weights.u = weights.without_matches(&observed);
            }
        }
        weights
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
        let [matched, household, twins] = [self.matched, self.household, self.twins].map(f64::ln);
        let mut odds = [matched, household, twins, twins, 0.0];
        for field in F::ALL {
            let Some(level) = levels.get(*field) else { continue };
            let at = *field as usize;
            let ratio = |level: usize| (self.m[at][level] / self.u[at][level]).ln();
            let (agreement, lent) = (ratio(level), self.lent(*field, level));
            odds[0] += agreement;
            odds[1] += if HOUSEHOLD.contains(field) { agreement } else { lent };
            odds[2] += if TWINS.contains(field) { agreement } else { lent };
            odds[3] += match field {
                // A son may be born on his father's birthday, but not a digit from his birth date.
                F::Birth if level <= 2 => agreement - ratio(0),
                F::Birth => 0.0,
                F::OtherId | F::Email => lent,
                _ => agreement,
            };
        }
        if !generations(levels) {
            odds[3] = f64::NEG_INFINITY;
        }
        odds
    }

    /// Log-odds of relatives against strangers where one gave the other's number or address.
    fn lent(&self, field: F, level: usize) -> f64 {
        match field {
            F::OtherId | F::Email if level == 3 => (LENT_SHARE / self.u[field as usize][3]).ln(),
            _ => 0.0,
        }
    }

    /// Makes the shares of matches and households agree with what they themselves imply.
    fn settle_shares(&mut self, patterns: &[Pattern], total_pairs: f64, least_twins: f64) {
        for _ in 0..60 {
            let [mut matched, mut household] = [0.0; 2];
            for pattern in patterns {
                let odds = self.log_odds(pattern.levels);
                let all = log_sum_exp(&odds);
                matched += pattern.pairs * (odds[0] - all).exp();
                household += pattern.pairs * (odds[1] - all).exp();
            }
            let share = |sum: f64| (sum + PRIOR_MATCHED) / (total_pairs + PRIOR_PAIRS);
            let before = self.matched;
            (self.matched, self.household) = (share(matched), share(household));
            self.twins = least_twins.max(TWIN_SHARE * self.matched);
            if (self.matched / before - 1.0).abs() < 1e-6 {
                break;
            }
        }
    }

    /// Takes matches and households out of what random pairs showed.
    fn without_matches(&self, observed: &Table) -> Table {
        let mut u = *observed;
        for field in F::ALL {
            let at = *field as usize;
            let inside = self.matched
                + if HOUSEHOLD.contains(field) { self.household } else { 0.0 }
                + if TWINS.contains(field) { self.twins } else { 0.0 };
            let inside = inside.min(0.9);
            for (level, share) in u[at].iter_mut().enumerate().take(field.levels()) {
                let rest = (observed[at][level] - inside * self.m[at][level]) / (1.0 - inside);
                *share = rest.max((0.02 * observed[at][level]).max(U_FLOOR));
            }
            u[at] = normalised(u[at]);
        }
        u
    }
}

/// EM in each match-key's pairs, over the fields that the key does not use.
fn estimate_m(patterns: &[Pattern], u: &Table) -> Table {
    let mut m = PRIOR_M.map(|row| normalised(row).map(|share| share * PRIOR_MATCHES));
    for kind in K::ALL {
        let block: Vec<&Pattern> =
            patterns.iter().filter(|pattern| pattern.kinds >> kind.index() & 1 == 1).collect();
        if block.iter().map(|pattern| pattern.pairs).sum::<f64>() < LEAST_PAIRS {
            continue;
        }
        for (field, matches) in estimate_in_block(*kind, &block, u) {
            for (sum, share) in m[field as usize].iter_mut().zip(matches) {
                *sum += share;
            }
        }
    }
    let mut m = m.map(normalised);
    for field in F::ALL {
        let row = &mut m[*field as usize];
        row.iter_mut().take(field.levels()).for_each(|share| *share += 1e-4);
        *row = normalised(*row);
    }
    m
}

/// EM in one match-key's pairs: for each field it can see, matches at each level.
fn estimate_in_block(kind: K, block: &[&Pattern], u: &Table) -> Vec<(F, [f64; F::MOST_LEVELS])> {
    let used = fields_of(kind);
    let total: f64 = block.iter().map(|pattern| pattern.pairs).sum();
    let present = |field: F| {
        let pairs = block.iter().filter(|pattern| pattern.levels.get(field).is_some());
        pairs.map(|pattern| pattern.pairs).sum::<f64>() / total
    };
    let fields: Vec<F> =
        F::ALL.iter().copied().filter(|f| !used.contains(f) && present(*f) > 0.05).collect();
    if fields.is_empty() {
        return Vec::new();
    }
    // A key that uses nothing personal also finds households; with a personal field they are rare,
    // and a class for them would only soak up matches.
    let personal = [F::Forename, F::Middle, F::Birth];
    let with_household = !used.iter().any(|field| personal.contains(field))
        && fields.iter().any(|field| !HOUSEHOLD.contains(field));

    let mut m: Table = std::array::from_fn(|at| {
        let levels = F::ALL[at].levels();
        normalised(std::array::from_fn(|level| {
            if level < levels {
                (1.0 + 5.0 * level as f64 / (levels - 1) as f64).powi(2)
            } else {
                0.0
            }
        }))
    });
    let mut share = if with_household { [0.25, 0.25, 0.5] } else { [0.5, 0.0, 0.5] };
    let mut matches = m;
    for _ in 0..ROUNDS {
        let mut sums = [0.0; 3];
        matches = [[0.0; F::MOST_LEVELS]; F::COUNT];
        let mut agreeing = matches;
        for pattern in block {
            let mut odds = share.map(f64::ln);
            for field in &fields {
                let Some(level) = pattern.levels.get(*field) else { continue };
                let ratio = (m[*field as usize][level] / u[*field as usize][level]).ln();
                odds[0] += ratio;
                odds[1] += if HOUSEHOLD.contains(field) { ratio } else { 0.0 };
            }
            let all = log_sum_exp(&odds);
            let post = odds.map(|odds| pattern.pairs * (odds - all).exp());
            (0..3).for_each(|class| sums[class] += post[class]);
            for field in &fields {
                let Some(level) = pattern.levels.get(*field) else { continue };
                let at = *field as usize;
                matches[at][level] += post[0];
                let household = if HOUSEHOLD.contains(field) { post[1] } else { 0.0 };
                agreeing[at][level] += post[0] + household;
            }
        }
        for field in &fields {
            let (row, levels) = (&mut agreeing[*field as usize], field.levels());
            row.iter_mut().take(levels).for_each(|sum| *sum += 0.5 / levels as f64);
            m[*field as usize] = normalised(*row);
        }
        share = [0, 1, 2].map(|class| match sums[class] / total {
            _ if class == 1 && !with_household => 0.0,
            share => share.max(1e-5),
        });
    }
    fields
        .iter()
        .map(|field| {
            let at = *field as usize;
            let weight: f64 = matches[at].iter().sum();
            (*field, m[at].map(|share| share * weight))
        })
        .collect()
}

/// The fields that a match-key uses, on which its pairs therefore always agree.
fn fields_of(kind: K) -> &'static [F] {
    match kind {
        K::SoundsBirth
        | K::Surname3InitialBirth
        | K::NamesYearDay
        | K::NamesMonthDay
        | K::NamesYears => &[F::Forename, F::Surname, F::Birth],
        K::ForenameBirth => &[F::Forename, F::Birth],
        K::SurnameBirth => &[F::Surname, F::Birth],
        K::BirthPostcode | K::BirthStreet | K::PostcodeHouseYear | K::HouseStreetYearMonth => {
            &[F::Birth, F::Address]
        }
        K::Nhs | K::Upn | K::Nino => &[],
        K::ForenameHouseStreet
        | K::ForenamePostcodeHouse
        | K::SoundPostcodeStreet
        | K::PostcodeHouseInitial => &[F::Forename, F::Address],
        K::SurnameInitialHouseStreet | K::SurnameInitialPostcode => {
            &[F::Forename, F::Surname, F::Address]
        }
        K::Email => &[F::Email],
        K::Phone => &[F::Phone],
        K::NamesMiddleYear => &[F::Forename, F::Surname, F::Middle, F::Birth],
        K::OtherIdMasked => &[F::OtherId, F::Forename],
        K::InitialHouseStreetYear => &[F::Forename, F::Address, F::Birth],
        K::BirthMiddleSex => &[F::Birth, F::Middle, F::Sex],
        K::RareNames => &[F::Forename, F::Surname],
        K::SurnameMiddleYear => &[F::Surname, F::Middle, F::Birth],
        K::ForenameMiddleYear => &[F::Forename, F::Middle, F::Birth],
        K::OtherId => &[F::OtherId],
    }
}

fn normalised(row: [f64; F::MOST_LEVELS]) -> [f64; F::MOST_LEVELS] {
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

fn log_sum_exp(values: &[f64]) -> f64 {
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most + values.iter().map(|value| (value - most).exp()).sum::<f64>().ln()
}
