//! How one person's records agree, learnt from pairs of which nobody says which are one person.
//!
//! One match-key at a time, over the fields that the key does not use, as those agree in all of its
//! pairs (`linkage/LINKAGE.md` 2.6).

use super::{
    levels::ComparisonField as F,
    weights::{HOUSEHOLD, PRIOR_M, Pattern, Table, log_sum_exp, normalised},
};
use crate::kind::MatchKeyKind as K;

/// Rounds of EM within a match-key. LINKAGE.md 2.6.
const ROUNDS: usize = 40;
/// Pairs below which a match-key teaches nothing.
const LEAST_PAIRS: f64 = 50.0;
/// How many observed matches weigh as much as the prior.
const PRIOR_MATCHES: f64 = 30.0;

/// How often one person's two records differ altogether in a field, at most: relatives at one address do so
/// nearly always, and where agencies share few people they are most of whom a key with an address finds.
/// Above what every public set shows whose people are found by more than that (`town link`).
const MOST_DIFFERENT: &[(F, f64)] = &[(F::Forename, 0.05), (F::Birth, 0.03), (F::Sex, 0.03)];
/// The same for the records of one agency, where fathers and sons of one name are about as many as people who
/// are on record twice. FEBRL's made-up doubles, which differ more often than any real ones, show no more.
const MOST_DIFFERENT_AT_ONE: &[(F, f64)] = &[(F::Birth, 0.05)];

/// Whose records were compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Among {
    /// Records of different agencies: of relatives, either may be on record at one of them alone.
    Agencies,
    /// Records of one agency, which seldom has one person twice and mostly has both of two relatives.
    OneAgency,
}

/// Estimates m: EM in each match-key's pairs, over the fields that the key does not use.
pub(super) fn estimate(patterns: &[Pattern], u: &Table, among: Among) -> Table {
    let mut m = PRIOR_M.map(|row| normalised(row).map(|share| share * PRIOR_MATCHES));
    for kind in K::ALL {
        let block: Vec<&Pattern> =
            patterns.iter().filter(|pattern| pattern.kinds >> kind.index() & 1 == 1).collect();
        if block.iter().map(|pattern| pattern.pairs).sum::<f64>() < LEAST_PAIRS {
            continue;
        }
        for (field, matches) in estimate_in_block(*kind, &block, u, among) {
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
        bound(*field, row, among);
    }
    m
}

/// Keeps the share of pairs that differ altogether below what one person's ever is.
fn bound(field: F, row: &mut [f64; F::MOST_LEVELS], among: Among) {
    let bounds = match among {
        Among::Agencies => MOST_DIFFERENT,
        Among::OneAgency => MOST_DIFFERENT_AT_ONE,
    };
    let most = bounds.iter().find(|(of, _)| *of == field).map(|(_, most)| *most);
    let Some(most) = most.filter(|most| row[0] > *most) else { return };
    let rest: f64 = row[1..].iter().sum();
    row[0] = most;
    row[1..].iter_mut().for_each(|share| *share *= (1.0 - most) / rest);
}

/// EM in one match-key's pairs: for each field it can see, matches at each level.
fn estimate_in_block(
    kind: K,
    block: &[&Pattern],
    u: &Table,
    among: Among,
) -> Vec<(F, [f64; F::MOST_LEVELS])> {
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
    // A key that uses nothing personal, or next to nothing, also finds households; with a personal field
    // they are rare, and a class for them would only soak up matches. So it would at one agency where
    // nothing but one field of their own tells them from matches.
    let personal = [F::Forename, F::Middle, F::Birth];
    let is_personal = used.iter().any(|field| personal.contains(field));
    let own = fields.iter().filter(|field| !HOUSEHOLD.contains(field)).count();
    let told_by = if is_personal && among == Among::OneAgency { 2 } else { 1 };
    let with_household = (!is_personal || finds_relatives(kind)) && own >= told_by;

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
            bound(*field, &mut m[*field as usize], among);
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

/// Returns whether a match-key uses an address and so little of the person that relatives share it often.
fn finds_relatives(kind: K) -> bool {
    matches!(
        kind,
        K::PostcodeHouseYearOrDay
            | K::PostcodeHouseInitial
            | K::HouseStreetYearMonth
            | K::InitialHouseStreetYear
            | K::InitialPostcodeYearOrDay
            | K::SurnameInitialHouseStreet
            | K::SurnameInitialPostcode
    )
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
        K::BirthPostcode | K::BirthStreet | K::PostcodeHouseYearOrDay | K::HouseStreetYearMonth => {
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
        K::InitialHouseStreetYear | K::InitialPostcodeYearOrDay => {
            &[F::Forename, F::Address, F::Birth]
        }
        K::BirthMiddleSex => &[F::Birth, F::Middle, F::Sex],
        K::RareNames => &[F::Forename, F::Surname],
        K::RarePlaces => &[F::Surname, F::Address, F::Town],
        K::SurnameMiddleYear => &[F::Surname, F::Middle, F::Birth],
        K::ForenameMiddleYear => &[F::Forename, F::Middle, F::Birth],
        K::OtherId => &[F::OtherId],
    }
}
