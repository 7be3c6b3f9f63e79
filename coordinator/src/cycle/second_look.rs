//! Asks the nodes how well their records agree, for pairs that share a match-key, and decides.
//!
//! Each node is asked about as many decoys again, with kinds in the same proportions, so that being
//! asked tells it little about which of its people are known elsewhere.

use std::{collections::HashMap, time::Instant};

use causeway_proto::{
    ids::SweepId,
    kind::MatchKeyKind,
    linkage::{comparison::Comparison, levels::Levels, weights::Strangers},
};
use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use ring::rand::{SecureRandom, SystemRandom};

use super::{Cycle, Linked, Taking, gather::Gathered, progress::Step, report::Seconds};
use crate::{
    federation::{
        Member, Problem,
        client::{COMPARISONS, Question},
    },
    link::{Records, decide},
};

/// Pairs of its own people that each node is asked to sample.
const SAMPLED_PAIRS: u32 = 300_000;

/// A record and the slot of the match-key that salts its comparison.
type Ask = (u32, MatchKeyKind, u8);

/// Takes the second look and puts persons together.
pub async fn link(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    gathered: Gathered,
    seconds: &mut Seconds,
) -> Linked {
    let began = Instant::now();
    let Gathered { records, mut pairs } = gathered;
    let strangers = strangers(cycle, sweep, agencies).await;

    let mut asks: Vec<Ask> = Vec::with_capacity(2 * pairs.len());
    for pair in &pairs {
        let (kind, [a, b]) = pair.carrier();
        asks.extend([(pair.a, kind, a), (pair.b, kind, b)]);
    }
    asks.sort_unstable();
    asks.dedup();
    let compared = compare(cycle, sweep, agencies, &records, &asks).await;

    // A node that dropped out takes its pairs along.
    let in_it = |record: u32| agencies[records.agency(record)].is_in();
    pairs.retain(|pair| in_it(pair.a) && in_it(pair.b));
    let levels: Vec<Levels> = pairs
        .iter()
        .map(|pair| {
            let (kind, [a, b]) = pair.carrier();
            Levels::of(&compared[&(pair.a, kind, a)], &compared[&(pair.b, kind, b)])
        })
        .collect();
    seconds.compare = began.elapsed().as_secs_f64();

    let clustering = Instant::now();
    let decision =
        tokio::task::block_in_place(|| decide::decide(&records, &pairs, &levels, &strangers));
    seconds.cluster = clustering.elapsed().as_secs_f64();
    let persons = decision.person_count() as u64;
    cycle.progress.step(Step::Cluster, None, persons, persons);
    Linked::new(records, pairs, levels, decision)
}

/// Pools what the nodes counted on random pairs of their own people.
async fn strangers(cycle: &Cycle<'_>, sweep: SweepId, agencies: &mut [Taking<'_>]) -> Strangers {
    let mut sampling = Vec::with_capacity(agencies.len());
    for agency in agencies.iter() {
        let client = agency.is_in().then(|| agency.member.client(cycle.limits.call()));
        sampling.push(async move { Some(client?.sample(sweep, SAMPLED_PAIRS).await) });
    }
    let answers = join_all(sampling).await;
    let mut strangers = Strangers::new();
    for (agency, answer) in agencies.iter_mut().zip(answers) {
        match answer {
            Some(Ok(counted)) => {
                counted.iter().for_each(|field| strangers.add(field.field, &field.counts));
            }
            Some(Err(problem)) => agency.drop_out(cycle.progress, Step::Compare, problem),
            None => {}
        }
    }
    strangers
}

/// Asks every node about its part of the pairs, decoys among them.
async fn compare(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    records: &Records,
    asks: &[Ask],
) -> HashMap<Ask, Comparison> {
    let mine = |agency: usize| {
        let (first, end) = (records.first(agency), records.end(agency));
        let from = asks.partition_point(|(record, ..)| *record < first);
        let to = asks.partition_point(|(record, ..)| *record < end);
        &asks[from..to]
    };
    let mut asking = Vec::with_capacity(agencies.len());
    for (at, agency) in agencies.iter().enumerate() {
        let asks = if agency.is_in() { mine(at) } else { &[] };
        let asks = with_decoys(asks, records, at);
        asking.push(compare_one(cycle, sweep, agency.member, records, asks));
    }
    let answers = join_all(asking).await;
    let mut all = HashMap::with_capacity(asks.len());
    for (agency, answer) in agencies.iter_mut().zip(answers) {
        match answer {
            Ok(compared) => all.extend(compared),
            Err(problem) => agency.drop_out(cycle.progress, Step::Compare, problem),
        }
    }
    all
}

/// Asks one node about its part, a batch at a time.
async fn compare_one(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    member: &Member,
    records: &Records,
    asks: Vec<Ask>,
) -> Result<Vec<(Ask, Comparison)>, Problem> {
    let client = member.client(cycle.limits.call());
    let mut compared = Vec::with_capacity(asks.len());
    for batch in asks.chunks(COMPARISONS) {
        let questions: Vec<Question> = batch
            .iter()
            .map(|(record, kind, slot)| Question {
                handle: records.handle(*record),
                kind: *kind,
                slot: *slot,
            })
            .collect();
        let answers = client.compare(sweep, &questions).await?;
        compared.extend(batch.iter().copied().zip(answers));
        let (done, total) = (compared.len() as u64, asks.len() as u64);
        cycle.progress.step(Step::Compare, Some(&member.id), done, total);
    }
    Ok(compared)
}

/// Adds as many decoys, records of the same agency with kinds drawn from the genuine questions, and
/// puts everything in the order of the stream, in which the node keeps its rows.
fn with_decoys(asks: &[Ask], records: &Records, agency: usize) -> Vec<Ask> {
    let (first, end) = (records.first(agency), records.end(agency));
    let mut all = asks.to_vec();
    let mut seed = [0; 32];
    if asks.is_empty() || SystemRandom::new().fill(&mut seed).is_err() {
        return all;
    }
    let mut random = StdRng::from_seed(seed);
    for (_, kind, slot) in asks {
        all.push((random.random_range(first..end), *kind, *slot));
    }
    all.sort_unstable();
    all.dedup();
    all
}
