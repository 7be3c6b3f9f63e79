//! How good the linking of a sweep probably is, by its own weights: nobody knows the truth.
//!
//! The match weight of a pair is the log-odds that it is one person, so weights that are right tell
//! how many of the joined pairs are wrong and how many of the others were missed. They cannot tell of
//! pairs that share no match-key at all.

use std::collections::BTreeMap;

use causeway_proto::linkage::{levels::ComparisonField, weights::Weights};
use serde::{Deserialize, Serialize};

use super::{Pair, Records, decide::Decision};

/// 95 % of a normal distribution lie within so many standard deviations.
pub(super) const SPREAD: f64 = 1.96;
/// A step of the histogram, in bits.
const STEP: f64 = 2.0;
/// Match weights further out than this stand in the outermost steps.
const REACH: f64 = 30.0;
/// A level whose weight moved by more bits than this since the last sweep is worth a look.
const DRIFT: f64 = 2.0;
/// A level that fewer than this share of matches reach moves by chance.
const RARE: f64 = 0.01;

/// What a sweep's weights say of its own links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkQuality {
    /// Of the pairs that were joined, the share that is one person.
    pub precision: Estimate,
    /// Of the candidate pairs that are one person, the share that was joined.
    pub recall: Estimate,
    /// How often one person's records and strangers' reach each level.
    pub levels: Vec<LevelQuality>,
    /// Pairs by match weight, lowest first, outermost steps open.
    pub histogram: Vec<Step>,
    /// Links and candidates by pair of agencies, by their place in the settings.
    pub agencies: Vec<AgencyPair>,
}

/// A share, with the bounds of 95 % of what the weights allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The most likely share.
    pub estimate: f64,
    /// Its lower bound.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
}

/// One level of one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LevelQuality {
    /// Which field.
    pub field: ComparisonField,
    /// Which level; higher is better.
    pub level: usize,
    /// m-probability: the share of one person's pairs of records that reach it.
    pub m: f64,
    /// u-probability: the share of strangers' pairs that reach it.
    pub u: f64,
    /// log2(m / u).
    pub bits: f64,
}

/// A step of the histogram.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// From this match weight on, in bits.
    pub from: f64,
    /// So many pairs.
    pub pairs: u64,
}

/// What two agencies have in common.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgencyPair {
    /// Which, by place.
    pub agencies: [usize; 2],
    /// Pairs of their records that share a match-key.
    pub candidates: u64,
    /// Pairs that were joined.
    pub links: u64,
}

impl LinkQuality {
    /// Judges a decision by its own weights.
    pub fn of(records: &Records, pairs: &[Pair], decision: &Decision) -> Self {
        let (mut joined, mut all, mut other) = (Sum::default(), Sum::default(), Sum::default());
        let mut agencies: BTreeMap<[usize; 2], (u64, u64)> = BTreeMap::new();
        let steps = (2.0 * REACH / STEP) as usize;
        let mut histogram = vec![0; steps];
        let are_there = pairs.iter().zip(&decision.bits).filter(|(pair, _)| pair.kinds != 0);
        for (pair, bits) in are_there {
            let is_joined = decision.persons[pair.a as usize] == decision.persons[pair.b as usize];
            let p = bits.map_or(0.0, |bits| 1.0 / (1.0 + (-bits).exp2()));
            all.add(p);
            if is_joined {
                joined.add(p)
            } else {
                other.add(p)
            }
            let both = [records.agency(pair.a), records.agency(pair.b)];
            let entry = agencies.entry(both).or_default();
            *entry = (entry.0 + 1, entry.1 + u64::from(is_joined));
            if let Some(bits) = bits {
                let step = ((bits + REACH) / STEP).clamp(0.0, steps as f64 - 1.0);
                histogram[step as usize] += 1;
            }
        }
        let recall = Estimate {
            estimate: share(joined.mean, all.mean),
            low: share(joined.mean, joined.mean + other.mean + SPREAD * other.variance.sqrt()),
            high: share(
                joined.mean,
                joined.mean + (other.mean - SPREAD * other.variance.sqrt()).max(0.0),
            ),
        };
        let agencies = agencies.into_iter().map(|(agencies, (candidates, links))| AgencyPair {
            agencies,
            candidates,
            links,
        });
        Self {
            precision: joined.share(),
            recall,
            levels: levels(&decision.learnt.weights),
            histogram: (0..steps)
                .map(|at| Step { from: at as f64 * STEP - REACH, pairs: histogram[at] })
                .collect(),
            agencies: agencies.collect(),
        }
    }

    /// Names the levels whose weight is not what it was in an earlier sweep.
    pub fn drift_since(&self, earlier: &Self) -> Vec<String> {
        let now_and_then = self.levels.iter().filter_map(|now| {
            let same = |then: &&LevelQuality| (then.field, then.level) == (now.field, now.level);
            earlier.levels.iter().find(same).map(|then| (now, then))
        });
        now_and_then
            .filter(|(now, then)| now.m.max(then.m) >= RARE)
            .filter(|(now, then)| (now.bits - then.bits).abs() > DRIFT)
            .map(|(now, then)| {
                format!(
                    "{} level {} spoke with {:+.1} bits and now speaks with {:+.1}: has an export \
                     changed?",
                    now.field, now.level, then.bits, now.bits
                )
            })
            .collect()
    }
}

fn levels(weights: &Weights) -> Vec<LevelQuality> {
    let of_field = |field: &ComparisonField| {
        let field = *field;
        (0..field.levels()).map(move |level| {
            let (m, u) = weights.shares(field, level);
            LevelQuality { field, level, m, u, bits: (m / u).log2() }
        })
    };
    ComparisonField::ALL.iter().flat_map(of_field).collect()
}

/// A sum of pairs, each one person with a probability of its own.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    pairs: f64,
    mean: f64,
    variance: f64,
}

impl Sum {
    fn add(&mut self, p: f64) {
        self.pairs += 1.0;
        self.mean += p;
        self.variance += p * (1.0 - p);
    }

    fn share(self) -> Estimate {
        let spread = SPREAD * self.variance.sqrt();
        Estimate {
            estimate: share(self.mean, self.pairs),
            low: share((self.mean - spread).max(0.0), self.pairs),
            high: share((self.mean + spread).min(self.pairs), self.pairs),
        }
    }
}

fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 1.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certain_has_narrow_bounds_and_what_is_not_wide_ones() {
        let (mut sure, mut unsure) = (Sum::default(), Sum::default());
        for _ in 0..100 {
            sure.add(0.9999);
            unsure.add(0.7);
        }
        let (sure, unsure) = (sure.share(), unsure.share());
        assert!(sure.estimate > 0.999 && sure.high - sure.low < 0.01, "{sure:?}");
        assert!(unsure.low < 0.65 && unsure.high > 0.75, "{unsure:?}");
        assert!((Sum::default().share().estimate - 1.0).abs() < 1e-9, "nothing was joined wrongly");
    }

    #[test]
    fn a_weight_that_moved_is_named_and_a_rare_one_is_not() {
        let quality = |m: f64, rare: f64| LinkQuality {
            precision: Estimate { estimate: 1.0, low: 1.0, high: 1.0 },
            recall: Estimate { estimate: 1.0, low: 1.0, high: 1.0 },
            levels: [m, rare]
                .into_iter()
                .zip(0..)
                .map(|(m, level)| LevelQuality {
                    field: ComparisonField::ALL[0],
                    level,
                    m,
                    u: 0.001,
                    bits: (m / 0.001).log2(),
                })
                .collect(),
            histogram: Vec::new(),
            agencies: Vec::new(),
        };
        let (then, now) = (quality(0.9, 0.0001), quality(0.02, 0.009));
        let told = now.drift_since(&then);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("level 0"), "{told:?}");
        assert!(then.drift_since(&then).is_empty());
    }
}
