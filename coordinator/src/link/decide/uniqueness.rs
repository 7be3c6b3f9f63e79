//! What it says that somebody has one candidate only at an agency that holds each person once.
//! LINKAGE.md 2.8.

use std::collections::BTreeMap;

use causeway_proto::linkage::guards::Verdict;

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
        /// Sums of whole numbers are the same in any order.
        const UNIT: f64 = (1u64 << 40) as f64;
        let agencies = of.records.rolls.len();
        let mut found = vec![0u64; agencies * agencies];
        for mine in of.records.present() {
            let mut best: BTreeMap<usize, f64> = BTreeMap::new();
            for at in around.of(mine).iter().map(|at| *at as usize) {
                if may_link(verdicts[at]) {
                    let theirs = of.records.agency(of.pairs[at].other(mine));
                    best.entry(theirs).and_modify(|b| *b = b.max(alone[at])).or_insert(alone[at]);
                }
            }
            let mine = of.records.agency(mine);
            for (theirs, bits) in best {
                found[mine * agencies + theirs] += (posterior(bits) * UNIT) as u64;
            }
        }
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
