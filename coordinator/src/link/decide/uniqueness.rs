//! What it says that somebody has one candidate only at an agency that holds each person once.
//! LINKAGE.md 2.8.

use causeway_proto::linkage::guards::Verdict;
use rayon::prelude::*;

use super::{Candidates, may_link};
use crate::link::around::Around;

/// How surely an agency's person is found among the other agency's candidates, if they are there.
/// LINKAGE.md 2.8.
const FOUND: f64 = 0.97;
/// No coverage is taken for more than this.
const MOST_COVERAGE: f64 = 0.98;
/// An agency has to hold more people than this before its coverage proves anything.
const FEW_PEOPLE: f64 = 50.0;

/// Bits for being the only candidate, by the two agencies. LINKAGE.md 2.8.
#[derive(Clone, Debug, PartialEq)]
pub struct Uniqueness {
    agencies: usize,
    bits: Vec<f64>,
}

impl Uniqueness {
    /// Learns from all candidate pairs: `alone` is what each weighs without the others.
    pub(super) fn learn(
        of: &Candidates<'_>,
        around: &Around,
        verdicts: &[Verdict],
        alone: &[f64],
    ) -> Self {
        /// Sums of whole numbers are the same in any order, and this one of fewer than 2^32 records fits.
        const UNIT: f64 = (1u64 << 32) as f64;
        /// Records that one core counts in one go.
        const PART: usize = 1 << 14;
        let agencies = of.records.rolls.len();
        let firsts: Vec<usize> = (0..of.records.len()).step_by(PART).collect();
        let count = |first: &usize| {
            let mut found = vec![0u64; agencies * agencies];
            let mut best = vec![f64::NEG_INFINITY; agencies];
            let records = (*first..of.records.len().min(first + PART)).map(|record| record as u32);
            for mine in records.filter(|record| !of.records.is_gone(*record)) {
                for at in around.of(mine).iter().map(|at| *at as usize) {
                    if may_link(verdicts[at]) {
                        let theirs = of.records.agency(of.pairs[at].other(mine));
                        best[theirs] = best[theirs].max(alone[at]);
                    }
                }
                let mine = of.records.agency(mine);
                for (theirs, bits) in
                    best.iter_mut().enumerate().filter(|(_, bits)| bits.is_finite())
                {
                    found[mine * agencies + theirs] += (posterior(*bits) * UNIT) as u64;
                    *bits = f64::NEG_INFINITY;
                }
            }
            found
        };
        let sum = |mut sum: Vec<u64>, found: Vec<u64>| {
            sum.iter_mut().zip(found).for_each(|(sum, found)| *sum += found);
            sum
        };
        let found = firsts.par_iter().map(count).reduce(|| vec![0; agencies * agencies], sum);
        let held = of.records.held();
        let bits = found.iter().enumerate().map(|(at, found)| {
            let people = held[at / agencies] as f64 + FEW_PEOPLE;
            let coverage = (*found as f64 / UNIT / people).min(MOST_COVERAGE);
            -(1.0 - coverage * FOUND).log2()
        });
        Self { agencies, bits: bits.collect() }
    }

    pub(super) fn bits(&self, mine: usize, theirs: usize) -> f64 {
        self.bits[mine * self.agencies + theirs]
    }
}

fn posterior(bits: f64) -> f64 {
    1.0 / (1.0 + (-bits.clamp(-40.0, 40.0)).exp2())
}
