//! How good the linking of a sweep probably is, by its own weights: nobody knows the truth.
//!
//! The match weight of a pair is the log-odds that it is one person, so weights that are right tell
//! how many of the joined pairs are wrong and how many of the others were missed. They cannot tell of
//! pairs that share no match-key at all.

mod odds;

use std::collections::BTreeMap;

use causeway_proto::{
    ids::AgencyId,
    linkage::{levels::ComparisonField, weights::Weights},
};
use serde::{Deserialize, Serialize};

use self::odds::Odds;
use super::{Pair, Records, clear::Clear, decide::Decision};

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
/// A level that fewer pairs of strangers than this reach moves by chance: fewer count as so many.
const FEW: f64 = 20.0;
/// Each agency shows at most so many pairs of strangers.
const SHOWN: f64 = 300_000.0;

/// What a sweep's weights say of its own links.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkQuality {
    /// Of the pairs that were joined, the share that is one person.
    pub precision: Estimate,
    /// Of the candidate pairs that are one person, the share that was joined.
    pub recall: Estimate,
    /// How often one person's records and strangers' reach each level.
    pub levels: Vec<LevelQuality>,
    /// Pairs of strangers that there were to learn u from, at most; 0 in reports of before this was kept.
    #[serde(default)]
    pub strangers: f64,
    /// Candidate pairs by match weight, lowest first, outermost steps open.
    pub histogram: Vec<Step>,
    /// Candidate pairs that have no weight and stand in no step, because a guard says that they are never
    /// one person. With the steps they are all candidate pairs.
    #[serde(default)]
    pub without_weight: u64,
    /// Links and candidates by pair of agencies.
    pub agencies: Vec<AgencyPair>,
}

/// A share, with bounds: 95 % of what chance allows, and weights that are off by three bits.
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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgencyPair {
    /// Which, by place in the settings.
    pub agencies: [usize; 2],
    /// Which; not in reports of before this was kept.
    #[serde(default)]
    pub ids: Option<[AgencyId; 2]>,
    /// Pairs of their records that share a match-key.
    pub candidates: u64,
    /// Those that are one person by their own weight.
    #[serde(default)]
    pub by_weight: u64,
    /// Those that were joined: not where a record has a better candidate, and also where other records
    /// join the two.
    pub links: u64,
}

impl LinkQuality {
    /// Judges a decision by its own weights, and by what the patterns that are clear showed.
    pub fn of(records: &Records, pairs: &[Pair], decision: &Decision, clear: &Clear) -> Self {
        let mut agencies: BTreeMap<[usize; 2], [u64; 3]> = BTreeMap::new();
        let steps = (2.0 * REACH / STEP) as usize;
        let (mut histogram, mut without_weight) = (vec![0; steps], 0);
        let are_there = pairs.iter().zip(&decision.bits).filter(|(pair, _)| pair.kinds != 0);
        for (pair, bits) in are_there {
            let is_joined = decision.joins(pair);
            let both = [records.agency(pair.a), records.agency(pair.b)];
            let by_weight = bits.is_some_and(|bits| bits >= 0.0);
            let counted = [true, by_weight, is_joined].map(u64::from);
            let sums = agencies.entry(both).or_default().iter_mut();
            sums.zip(counted).for_each(|(sum, one)| *sum += one);
            if let Some(bits) = bits {
                let step = ((bits + REACH) / STEP).clamp(0.0, steps as f64 - 1.0);
                histogram[step as usize] += 1;
            } else {
                without_weight += 1;
            }
        }
        let (precision, recall) = Odds::of(records, (pairs, clear), decision).estimates();
        let agencies = agencies.into_iter().map(|(agencies, [candidates, by_weight, links])| {
            AgencyPair { agencies, ids: None, candidates, by_weight, links }
        });
        Self {
            precision,
            recall,
            levels: levels(&decision.learnt.weights),
            strangers: strangers(records),
            histogram: (0..steps)
                .map(|at| Step { from: at as f64 * STEP - REACH, pairs: histogram[at] })
                .collect(),
            without_weight,
            agencies: agencies.collect(),
        }
    }

    /// Returns it with what the agencies are called, by their place.
    #[must_use]
    pub fn named<'a>(mut self, id: impl Fn(usize) -> &'a AgencyId) -> Self {
        for pair in &mut self.agencies {
            pair.ids = Some(pair.agencies.map(|at| id(at).clone()));
        }
        self
    }

    /// Returns how many candidate pairs were joined, by their own weight or by other records.
    pub fn joined(&self) -> u64 {
        self.agencies.iter().map(|pair| pair.links).sum()
    }

    /// Names the levels whose weight is not what it was in an earlier sweep, by more than chance would
    /// have it.
    pub fn drift_since(&self, earlier: &Self) -> Vec<String> {
        // Of a report that does not say how many strangers there were, so many as now is as good a guess.
        let pairs = [self.strangers, earlier.strangers];
        let pairs = pairs.into_iter().filter(|pairs| *pairs > 0.0).fold(f64::INFINITY, f64::min);
        let sure = |level: &LevelQuality| (level.m / level.u.max(FEW / pairs)).log2();
        let now_and_then = self.levels.iter().filter_map(|now| {
            let same = |then: &&LevelQuality| (then.field, then.level) == (now.field, now.level);
            earlier.levels.iter().find(same).map(|then| (now, then))
        });
        now_and_then
            .filter(|(now, then)| now.m.max(then.m) >= RARE)
            .filter(|(now, then)| (sure(now) - sure(then)).abs() > DRIFT)
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

/// How many pairs of one agency's people there are, as far as they are looked at. Whoever had none looked at has
/// dropped out, and holds nobody.
fn strangers(records: &Records) -> f64 {
    let of = |people: usize| {
        let people = people as f64;
        (people * (people - 1.0) / 2.0).clamp(0.0, SHOWN)
    };
    records.held().into_iter().map(of).sum()
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

fn share(part: f64, whole: f64) -> f64 {
    if whole == 0.0 { 1.0 } else { part / whole }
}

#[cfg(test)]
mod tests {
    use causeway_proto::{ids::Handle, token::PersonFlags};

    use super::{super::Roll, *};

    #[test]
    fn who_dropped_out_shows_no_strangers() {
        let roll = |people: usize| Roll {
            handles: vec![Handle::from_bytes([0; 16]); people],
            flags: vec![PersonFlags(0); people],
            strong_ids: vec![[0; 3]; people],
        };
        let mut records = Records::new(vec![roll(5), roll(4), roll(0)]);
        assert_eq!(strangers(&records), 16.0);
        let gone: Vec<u32> = records.all_of(0).collect();
        gone.into_iter().for_each(|record| records.remove(record));
        assert_eq!(strangers(&records), 6.0);
    }

    #[test]
    fn a_weight_that_moved_is_named_and_a_rare_one_is_not() {
        let quality = |m: f64, rare: f64| of_levels(&[(m, 0.001), (rare, 0.001)]);
        let (then, now) = (quality(0.9, 0.0001), quality(0.02, 0.009));
        let told = now.drift_since(&then);
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains("level 0"), "{told:?}");
        assert!(then.drift_since(&then).is_empty());
    }

    #[test]
    fn what_hardly_any_stranger_shows_moves_by_chance_and_what_many_show_does_not() {
        // A town of nine small agencies: about one pair of strangers more or less at the highest level.
        let (then, now) = (of_levels(&[(0.958, 4.7e-8)]), of_levels(&[(0.958, 7.6e-7)]));
        assert_eq!(now.drift_since(&then), Vec::<String>::new());
        assert_eq!(then.drift_since(&now), Vec::<String>::new());
        // The same share of matches, and half of all strangers agree all of a sudden.
        let everybody = of_levels(&[(0.958, 0.5)]);
        assert_eq!(everybody.drift_since(&then).len(), 1);
        let older = LinkQuality { strangers: 0.0, ..then.clone() };
        assert_eq!(now.drift_since(&older), Vec::<String>::new());
    }

    /// Quality with these m- and u-probabilities, of a small town.
    fn of_levels(shares: &[(f64, f64)]) -> LinkQuality {
        let sure = Estimate { estimate: 1.0, low: 1.0, high: 1.0 };
        let level = |((m, u), level): (&(f64, f64), usize)| LevelQuality {
            field: ComparisonField::ALL[0],
            level,
            m: *m,
            u: *u,
            bits: (m / u).log2(),
        };
        LinkQuality {
            precision: sure,
            recall: sure,
            levels: shares.iter().zip(0..).map(level).collect(),
            strangers: 420_000.0,
            histogram: Vec::new(),
            without_weight: 0,
            agencies: Vec::new(),
        }
    }
}
