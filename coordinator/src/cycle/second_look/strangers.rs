//! How often two different people agree, by what every agency counted among its own: no agency's counts
//! weigh more than the pairs it has, and none that stands alone moves the others' weights.

use std::time::Duration;

use causeway_proto::{
    ids::SweepId,
    linkage::{
        levels::ComparisonField as F,
        weights::{Strangers, Table},
    },
};
use futures::future::join_all;

use crate::{
    cycle::{Cycle, Taking, progress::Step},
    federation::{
        Problem,
        client::{Counted, NodeClient},
        patiently,
    },
};

/// Pairs of its own people that each node is asked to sample.
const SAMPLED_PAIRS: u32 = 300_000;

/// A share that is so many times what the others count is not taken for how people are. Pupils of one year
/// have the same birth date 25 times as often as a town's people.
const FAR: f64 = 30.0;

/// A share below this is nothing to wonder about: among a million people it is their doubles.
const SELDOM: f64 = 1e-4;

/// So many others have to have counted a field to say what is far from them.
const OTHERS: usize = 2;

/// What one agency counted.
struct Sample {
    counts: Table,
    /// Pairs that it may have looked at.
    pairs: f64,
}

/// Pools what the nodes counted on random pairs of their own people, and names those who are far from the
/// others.
pub(super) async fn strangers(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
) -> Strangers {
    let mut sampling = Vec::with_capacity(agencies.len());
    for agency in agencies.iter() {
        let client = agency.is_in().then(|| agency.member.client(cycle.limits.call()));
        let patience = cycle.limits.patience();
        sampling.push(async move { Some(sample_one(client?, patience, sweep).await) });
    }
    let answers = join_all(sampling).await;
    let mut samples = Vec::with_capacity(agencies.len());
    for (agency, answer) in agencies.iter_mut().zip(answers) {
        samples.push(match answer {
            Some(Ok(counted)) => {
                let people = agency.opened.as_ref().map_or(0, |opened| opened.records);
                Some(Sample::of(&counted, people))
            }
            Some(Err(problem)) => {
                agency.drop_out(cycle.progress, Step::Compare, problem);
                None
            }
            None => None,
        });
    }
    let (strangers, far) = pool(&samples);
    for (at, field) in far {
        agencies[at].warn(format!(
            "two of its people agree on {field} more than {FAR} times as often as the others' do, and \
             weights are learnt as if they did not: is its export what it should be?"
        ));
    }
    strangers
}

async fn sample_one(
    client: NodeClient,
    patience: Duration,
    sweep: SweepId,
) -> Result<Vec<Counted>, Problem> {
    patiently(patience, || client.sample(sweep, SAMPLED_PAIRS)).await
}

impl Sample {
    fn of(counted: &[Counted], people: u64) -> Self {
        let mut counts = Table::default();
        for field in counted {
            counts[field.field as usize][..field.counts.len()].copy_from_slice(&field.counts);
        }
        let there_are = people as f64 * people.saturating_sub(1) as f64 / 2.0;
        Self { counts, pairs: there_are.min(SAMPLED_PAIRS.into()) }
    }

    /// Returns the share of pairs at each level of a field; `None` where none was counted.
    fn shares(&self, field: F) -> Option<[f64; F::MOST_LEVELS]> {
        let row = self.counts[field as usize];
        let sum: f64 = row.iter().sum();
        (sum > 0.0).then(|| row.map(|count| count / sum))
    }
}

/// Pools samples, and returns which fields of whom are far from the others'.
fn pool(samples: &[Option<Sample>]) -> (Strangers, Vec<(usize, F)>) {
    let mut strangers = Strangers::new();
    let supposed = strangers.observed();
    let mut far = Vec::new();
    for field in F::ALL {
        let shares: Vec<_> =
            samples.iter().map(|sample| sample.as_ref().and_then(|of| of.shares(*field))).collect();
        for (at, sample) in samples.iter().enumerate() {
            let (Some(sample), Some(mut mine)) = (sample, shares[at]) else { continue };
            let sum: f64 = sample.counts[*field as usize].iter().sum();
            for level in 0..field.levels() {
                let others = shares.iter().enumerate().filter(|(other, _)| *other != at);
                let others = others.filter_map(|(_, shares)| Some((*shares)?[level])).collect();
                let Some(middle) = upper_median(others) else { continue };
                let most = SELDOM.max(FAR * middle.max(supposed[*field as usize][level]));
                if mine[level] > most {
                    mine[level] = most;
                    far.push((at, *field));
                }
            }
            let weight = sum.min(sample.pairs);
            strangers.add(*field, &mine.map(|share| share * weight));
        }
    }
    far.dedup();
    (strangers, far)
}

/// Returns the middle one of enough values; of two middle ones the larger, so that one agency that claims to
/// see nothing makes no other one odd.
fn upper_median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().filter(|_| values.len() >= OTHERS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agency whose people agree as those of a town do, a little more or less often.
    fn honest(people: u64, often: f64) -> Sample {
        let shares = Strangers::new().observed();
        let counted = F::ALL.iter().map(|field| {
            let mut row: Vec<f64> = shares[*field as usize][..field.levels()].to_vec();
            row[1..].iter_mut().for_each(|share| *share *= often);
            let rest: f64 = row[1..].iter().sum();
            row[0] = 1.0 - rest;
            Counted { field: *field, counts: row.iter().map(|share| share * 300_000.0).collect() }
        });
        Sample::of(&counted.collect::<Vec<_>>(), people)
    }

    fn odd(people: u64, level: impl Fn(F) -> usize) -> Sample {
        let counted = F::ALL.iter().map(|field| {
            let mut counts = vec![1.0; field.levels()];
            counts[level(*field)] = 299_000.0;
            Counted { field: *field, counts }
        });
        Sample::of(&counted.collect::<Vec<_>>(), people)
    }

    #[test]
    fn one_agency_moves_no_weight_by_more_than_a_few_bits() {
        let fair = || [honest(90_000, 1.0), honest(50_000, 1.3), honest(20_000, 0.8)].map(Some);
        let (without, nobody) = pool(&fair());
        assert_eq!(nobody, []);
        for level in [F::levels as fn(F) -> usize, |_| 1] {
            let liar = odd(70_000, |field| level(field) - usize::from(level(field) > 1));
            let (with, far) = pool(&fair().into_iter().chain([Some(liar)]).collect::<Vec<_>>());
            assert!(far.iter().all(|(at, _)| *at == 3), "{far:?}");
            for field in [F::Forename, F::Surname, F::Birth, F::Address, F::Phone] {
                let [before, after] =
                    [&without, &with].map(|of| of.observed()[field as usize][field.levels() - 1]);
                let bits = (after / before).log2();
                assert!(bits.abs() < 7.5, "{field}: {bits}");
            }
        }
        let liar = odd(70_000, |field| field.levels() - 1);
        let (_, far) = pool(&fair().into_iter().chain([Some(liar)]).collect::<Vec<_>>());
        assert!(far.contains(&(3, F::Birth)) && far.contains(&(3, F::Forename)), "{far:?}");
    }

    #[test]
    fn who_counts_as_others_do_weighs_as_the_pairs_that_were_counted() {
        let samples = [honest(90_000, 1.0), honest(50_000, 1.3), honest(20_000, 0.8)].map(Some);
        let (pooled, _) = pool(&samples);
        let mut plain = Strangers::new();
        for sample in samples.iter().flatten() {
            let of = |field: &F| (*field, sample.counts[*field as usize]);
            F::ALL.iter().map(of).for_each(|(field, counts)| plain.add(field, &counts));
        }
        for (pooled, plain) in
            pooled.observed().iter().flatten().zip(plain.observed().iter().flatten())
        {
            assert!((pooled - plain).abs() <= 1e-9 * plain, "{pooled} and {plain}");
        }
        // Thirty people have 435 pairs, whatever they say.
        assert!((honest(30, 1.0).pairs - 435.0).abs() < 1e-9);
        let (small, _) = pool(&[None, Some(odd(30, |_| 1))]);
        let [moved, before] =
            [small, Strangers::new()].map(|of| of.observed()[F::Birth as usize][1]);
        assert!(moved < before + 0.03, "{moved} and {before}");
    }
}
