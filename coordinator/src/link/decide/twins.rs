//! How many people have a twin, told by who else is on record.
//!
//! A pair that agrees on everything but the forename is one person under two names, or one twin here and
//! the other there. Twins have records of their own: the one who is here is there, too, as often as
//! anybody is. So pairs of which one record is somebody else's for certain count the twins.

use causeway_proto::linkage::{
    guards::{Doubt, Verdict},
    levels::{ComparisonField as F, Levels},
    weights::Weights,
};
use rayon::prelude::*;

use super::{Candidates, is_rival, uniqueness::Uniqueness};
use crate::link::around::Around;

/// How many matches weigh as much as what was known before.
const PRIOR_MATCHES: f64 = 300.0;
/// Fewer twins than this for each person there are nowhere; about 3 people in 100 are born as one of two.
const LEAST: f64 = 0.0025;

/// Returns how many pairs of twins there are for each pair that is one person, between two agencies: no
/// more than `weights` have it. Somebody whom an agency holds twice under two names is counted, too, so the
/// count can only show that twins are fewer. `alone` is what each pair weighs without the others, by `weights`.
pub(super) fn share(
    of: &Candidates<'_>,
    around: &Around,
    (verdicts, alone): (&[Verdict], &[f64]),
    (weights, uniqueness): (&Weights, &Uniqueness),
) -> f64 {
    let agencies = of.records.rolls.len();
    let agency = |record: u32| of.records.agency(record);
    let is_like_twins = |at: usize| verdicts[at] == Verdict::Doubtful(Doubt::Twins);
    // Whether somebody else is there who is one of the two.
    let is_other = |at: usize, mine: u32, theirs: u32| {
        let pairs = around.of(mine).iter().map(|other| *other as usize);
        let there = pairs.filter(|p| agency(of.pairs[*p].other(mine)) == agency(theirs));
        there.into_iter().any(|p| p != at && !is_like_twins(p) && is_rival(verdicts[p], alone[p]))
    };
    let count = |at: usize| {
        let pair = &of.pairs[at];
        let (a, b) = (pair.a, pair.b);
        match is_like_twins(at) {
            true => (u64::from(is_other(at, a, b) || is_other(at, b, a)), None),
            false => {
                let one = is_rival(verdicts[at], alone[at]) && is_as_like(of.levels[at]);
                (0, one.then(|| agency(a) * agencies + agency(b)))
            }
        }
    };
    let nothing = || (0u64, vec![0u64; agencies * agencies]);
    let (twins, matches) = (0..of.pairs.len())
        .into_par_iter()
        .fold(nothing, |(twins, mut matches), at| {
            let (more, one) = count(at);
            one.into_iter().for_each(|at| matches[at] += 1);
            (twins + more, matches)
        })
        .reduce(nothing, |(twins, mut matches), (more, others)| {
            matches.iter_mut().zip(others).for_each(|(sum, count)| *sum += count);
            (twins + more, matches)
        });
    // Of twins as many can be told as people are on record at both.
    let told = matches.iter().enumerate().map(|(at, count)| {
        let (a, b) = (at / agencies, at % agencies);
        let neither = (-uniqueness.bits(a, b) - uniqueness.bits(b, a)).exp2();
        *count as f64 * (1.0 - neither)
    });
    let before = weights.twins / weights.matched;
    let seen = (twins as f64 + before * PRIOR_MATCHES) / (told.sum::<f64>() + PRIOR_MATCHES);
    before.min(seen.max(LEAST))
}

/// Returns whether twins, had they one name, would agree so well.
fn is_as_like(levels: Levels) -> bool {
    levels.at_least(F::Forename, 3)
        && levels.at_least(F::Birth, 5)
        && levels.at_least(F::Surname, 4)
        && levels.at_least(F::Address, 3)
}
