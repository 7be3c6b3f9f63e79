//! Who is missed: the share of people who are linked, by kinds of people, from blurred bits that the
//! nodes counted (`proto/causeway/v1/quality.proto`).
//!
//! Nobody knows who ought to be linked. But where one kind of people is linked more seldom than
//! another at the same agency, either fewer of them are known elsewhere or links were missed, and a
//! person should find out which.

use causeway_proto::{
    ids::{AgencyId, SweepId},
    quality::{Bits, CountLinked, FLIPPED, LEAST_ASKED, LinkedCount, NOISE_VARIANCE, Subgroup},
};
use rand::{Rng, RngExt, seq::index};
use serde::{Deserialize, Serialize};

use super::quality::{Estimate, SPREAD};

/// Of the records of one agency, one in so many is asked about: what a node learns adds up.
const ONE_IN: usize = 8;
/// Of a small agency so many are, or all: fewer would tell nothing.
const LEAST_SAMPLE: usize = 2_000;
/// A kind that is linked more seldom than this share of the best kind's is worth a look. DOMAIN.md 3.6.
const WORTH_A_LOOK: f64 = 0.8;

/// One kind of people at one agency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubgroupQuality {
    /// Where.
    pub agency: AgencyId,
    /// Which kind.
    pub subgroup: String,
    /// About how many records the agency has of it.
    pub records: f64,
    /// The share of them that is linked to another agency's record.
    pub linked: Estimate,
    /// How many more would be linked if this kind were linked as often as the best kind of its
    /// division at this agency: missed matches, if as many of it are known elsewhere.
    pub missed: MissedMatches,
    /// Whether it is linked clearly more seldom than the best kind.
    pub worth_a_look: bool,
}

/// A number of records, with the bounds of 95 % of what the blur and the sample allow.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MissedMatches {
    /// The most likely number.
    pub estimate: f64,
    /// Its lower bound.
    pub low: f64,
    /// Its upper bound.
    pub high: f64,
}

/// Draws records to ask one agency about and blurs what is known of each: its bit is flipped one time
/// in four. `None` where the agency has too few records.
pub fn blur(sweep: SweepId, linked: &[bool], random: &mut impl Rng) -> Option<CountLinked> {
    let size = (linked.len() / ONE_IN).max(LEAST_SAMPLE).min(linked.len());
    if size < LEAST_ASKED {
        return None;
    }
    let mut asked = vec![false; linked.len()];
    index::sample(random, linked.len(), size).iter().for_each(|at| asked[at] = true);
    let indicators: Vec<bool> = linked
        .iter()
        .zip(&asked)
        .map(|(linked, asked)| *asked && (*linked != random.random_bool(FLIPPED)))
        .collect();
    let bits = |bits: &[bool]| Bits::pack(bits.iter().copied());
    // Chance may, once in five hundred million times, set more bits than a node believes.
    CountLinked::new(sweep, bits(&asked), bits(&indicators)).ok()
}

/// Takes the blur out of what one node counted; the agency has so many records in all.
pub fn estimate(agency: &AgencyId, counts: &[LinkedCount], records: usize) -> Vec<SubgroupQuality> {
    let mut all = Vec::new();
    for division in Subgroup::DIVISIONS {
        let told: Vec<&LinkedCount> =
            counts.iter().filter(|count| division.contains(&count.subgroup)).collect();
        let shares: Vec<Share> = told.iter().map(|count| Share::of(count)).collect();
        let Some(best) = shares.iter().copied().max_by(|x, y| x.low().total_cmp(&y.low())) else {
            continue;
        };
        let asked = asked_of(counts);
        for (count, share) in told.iter().zip(shares) {
            let scale = records as f64 / asked.max(1.0) * f64::from(count.records);
            let gap = best.mean - share.mean;
            let spread = SPREAD * best.deviation.hypot(share.deviation);
            let clearly = gap > spread && share.mean < WORTH_A_LOOK * best.mean;
            let missed = |gap: f64| (scale * gap).clamp(0.0, scale);
            all.push(SubgroupQuality {
                agency: agency.clone(),
                subgroup: count.subgroup.to_string(),
                records: scale.round(),
                linked: share.estimate(),
                missed: match share == best {
                    true => MissedMatches { estimate: 0.0, low: 0.0, high: 0.0 },
                    false => MissedMatches {
                        estimate: missed(gap).round(),
                        low: missed(gap - spread).round(),
                        high: missed(gap + spread).round(),
                    },
                },
                worth_a_look: clearly,
            });
        }
    }
    all
}

/// How many records were asked about, as far as the counts tell: the fullest division's.
fn asked_of(counts: &[LinkedCount]) -> f64 {
    let of = |division: &&[Subgroup]| {
        let inside = counts.iter().filter(|count| division.contains(&count.subgroup));
        inside.map(|count| u64::from(count.records)).sum::<u64>()
    };
    Subgroup::DIVISIONS.iter().map(of).max().unwrap_or(0) as f64
}

/// A share that was seen through the blur.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share {
    mean: f64,
    deviation: f64,
}

impl Share {
    /// Of the true share p, a bit is set with p (1 - f) + (1 - p) f.
    fn of(count: &LinkedCount) -> Self {
        let records = f64::from(count.records);
        // As Agresti and Coull: two seen and two not seen keep the variance honest at the ends.
        let set = (f64::from(count.indicated) + 2.0) / (records + 4.0);
        let sharpness = 1.0 - 2.0 * FLIPPED;
        Self {
            mean: (f64::from(count.indicated) / records - FLIPPED) / sharpness,
            // What chance did to the bits, and what noise does to both numbers.
            deviation: (set * (1.0 - set) / records
                + NOISE_VARIANCE * (1.0 + set * set) / (records * records))
                .sqrt()
                / sharpness,
        }
    }

    fn low(self) -> f64 {
        self.mean - SPREAD * self.deviation
    }

    fn estimate(self) -> Estimate {
        let share = |x: f64| x.clamp(0.0, 1.0);
        let spread = SPREAD * self.deviation;
        Estimate {
            estimate: share(self.mean),
            low: share(self.mean - spread),
            high: share(self.mean + spread),
        }
    }
}

#[cfg(test)]
mod tests {
    use causeway_proto::quality::NOISE_GOES_ON;
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    const SWEEP: SweepId = SweepId::from_bytes([1; 16]);

    /// What a node would count of records of which the first half are women, with its noise.
    fn counted(question: &CountLinked, records: usize, random: &mut StdRng) -> Vec<LinkedCount> {
        let mut throws = || {
            let mut throws = 0;
            while random.random_bool(NOISE_GOES_ON) {
                throws += 1;
            }
            throws
        };
        let mut blurred = |count: usize| (count as u32 + throws()).saturating_sub(throws());
        let mut of = |subgroup, range: std::ops::Range<usize>| {
            let bits: Vec<bool> = range.filter_map(|at| question.indicator(at)).collect();
            let indicated = blurred(bits.iter().filter(|bit| **bit).count());
            LinkedCount { subgroup, records: blurred(bits.len()), indicated }
        };
        vec![of(Subgroup::Female, 0..records / 2), of(Subgroup::Male, records / 2..records)]
    }

    #[test]
    fn the_true_share_lies_within_the_interval_as_often_as_it_says() {
        let mut random = StdRng::from_seed([7; 32]);
        let (records, shares) = (3_000, [0.9, 0.3]);
        let (mut inside, mut sum) = (0, [0.0; 2]);
        const RUNS: usize = 400;
        for _ in 0..RUNS {
            let linked: Vec<bool> = (0..records)
                .map(|at| (at % 10) < (10.0 * shares[at / (records / 2)]) as usize)
                .collect();
            let question = blur(SWEEP, &linked, &mut random).unwrap();
            let counts = counted(&question, records, &mut random);
            let found = estimate(&"east".parse().unwrap(), &counts, records);
            for (at, found) in found.iter().enumerate() {
                let Estimate { estimate, low, high } = found.linked;
                inside += usize::from(low <= shares[at] && shares[at] <= high);
                sum[at] += estimate;
            }
        }
        let covered = inside as f64 / (2 * RUNS) as f64;
        assert!((0.93..0.99).contains(&covered), "{covered}");
        for (sum, share) in sum.iter().zip(shares) {
            assert!((sum / RUNS as f64 - share).abs() < 0.01, "{sum}");
        }
    }

    #[test]
    fn a_kind_that_is_linked_seldom_is_worth_a_look_and_its_missed_matches_are_counted() {
        let mut random = StdRng::from_seed([8; 32]);
        let linked: Vec<bool> = (0..40_000).map(|at| at < 20_000 || at % 2 == 0).collect();
        let question = blur(SWEEP, &linked, &mut random).unwrap();
        let counts = counted(&question, 40_000, &mut random);
        let found = estimate(&"east".parse().unwrap(), &counts, 40_000);
        assert_eq!([false, true], [found[0].worth_a_look, found[1].worth_a_look]);
        let missed = found[1].missed;
        assert!(missed.low < 10_000.0 && 10_000.0 < missed.high, "{missed:?}");
        assert!(missed.high - missed.low < 3_000.0, "{missed:?}");
    }

    #[test]
    fn a_node_sees_blurred_bits_of_a_sample_and_nothing_of_a_small_agency() {
        let mut random = StdRng::from_seed([9; 32]);
        let linked = vec![true; 80_000];
        let question = blur(SWEEP, &linked, &mut random).unwrap();
        let bits: Vec<bool> = (0..80_000).filter_map(|at| question.indicator(at)).collect();
        assert_eq!(bits.len(), 10_000);
        let set = bits.iter().filter(|bit| **bit).count();
        assert!((7_300..7_700).contains(&set), "{set} of 10,000 where all are linked");
        assert_eq!(blur(SWEEP, &linked[..99], &mut random), None);
    }
}
