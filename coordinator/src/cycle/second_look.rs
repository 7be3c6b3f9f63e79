//! Asks the nodes how well their records agree, for pairs that share a match-key, and decides.
//!
//! Each node is asked about as many decoys again, with kinds in the same proportions, so that being
//! asked tells it little about which of its people are known elsewhere.

use std::{collections::HashMap, ops::Range, time::Instant};

use causeway_proto::{
    ids::SweepId,
    kind::MatchKeyKind,
    linkage::{comparison::Comparison, levels::Levels, weights::Strangers},
};
use futures::future::join_all;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use rayon::prelude::*;
use ring::rand::{SecureRandom, SystemRandom};

use super::{Cycle, Linked, Taking, gather::Gathered, progress::Step, report::Seconds};
use crate::{
    federation::{
        Member, Problem,
        client::{COMPARISONS, Question},
    },
    link::{
        Pair, Records,
        clear::{self, Clear},
        decide,
    },
};

/// Pairs of its own people that each node is asked to sample.
const SAMPLED_PAIRS: u32 = 300_000;

/// A record and the slot of the match-key that salts its comparison.
pub(super) type Ask = (u32, MatchKeyKind, u8);

/// Pairs looked at in one go: enough that a node reads its rows segment by segment, few enough that
/// their comparisons (about 100 MiB) are soon forgotten.
const PAIRS_AT_ONCE: usize = 1 << 18;

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
    // A sample teaches the weights, and which patterns of match-keys are clear by themselves.
    let sampled: Vec<Pair> = clear::sample(pairs.len()).map(|at| pairs[at]).collect();
    let each = pairs.len() as f64 / sampled.len().max(1) as f64;
    let open = |pair: &&Pair| !clear::is_vetoed(&records, pair);
    let sampled: Vec<Pair> = sampled.iter().filter(open).copied().collect();
    let mut compared = sampled.len();
    let agreed = look_at(cycle, sweep, agencies, &records, &sampled).await;
    let mut looked_at: Vec<(Pair, Levels)> = sampled.into_iter().zip(agreed).collect();
    // Nothing is learnt from a node that did not answer.
    let in_it = |record: u32| agencies[records.agency(record)].is_in();
    looked_at.retain(|(pair, _)| in_it(pair.a) && in_it(pair.b));
    let weights = decide::learn(&records, &looked_at, each, &strangers);
    let clear = match looked_at.len() < pairs.len() {
        true => Clear::learn(&records, &looked_at, &weights),
        // Everything was looked at that could be.
        false => Clear::default(),
    };
    let known: HashMap<u64, Levels> =
        looked_at.into_iter().map(|(pair, levels)| (pair.place(), levels)).collect();
    let mut levels: Vec<Option<Levels>> = pairs
        .par_iter()
        .map(|pair| known.get(&pair.place()).copied().or_else(|| clear.levels(&records, pair)))
        .collect();
    drop(known);
    let undecided = pairs.iter().zip(&levels).filter(|(_, levels)| levels.is_none());
    let undecided: Vec<Pair> = undecided.map(|(pair, _)| *pair).collect();
    compared += undecided.len();
    let mut agreed = look_at(cycle, sweep, agencies, &records, &undecided).await.into_iter();
    for levels in levels.iter_mut().filter(|levels| levels.is_none()) {
        *levels = agreed.next();
    }
    let mut levels: Vec<Levels> =
        levels.into_iter().map(|levels| levels.unwrap_or(Levels::NONE)).collect();
    // A node that dropped out takes its pairs along.
    let in_it = |record: u32| agencies[records.agency(record)].is_in();
    if !agencies.iter().all(Taking::is_in) {
        let mut kept = pairs.iter().map(|pair| in_it(pair.a) && in_it(pair.b));
        levels.retain(|_| kept.next() == Some(true));
        pairs.retain(|pair| in_it(pair.a) && in_it(pair.b));
    }
    seconds.compare = began.elapsed().as_secs_f64();

    let clustering = Instant::now();
    let decision =
        tokio::task::block_in_place(|| decide::decide(&records, &pairs, &levels, weights));
    seconds.cluster = clustering.elapsed().as_secs_f64();
    let persons = decision.person_count() as u64;
    cycle.progress.step(Step::Cluster, None, persons, persons);
    Linked::new(records, pairs, levels, compared, decision)
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

/// Looks at pairs a portion at a time, and says how far it is.
async fn look_at(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    records: &Records,
    pairs: &[Pair],
) -> Vec<Levels> {
    let mut levels = Vec::with_capacity(pairs.len());
    for portion in pairs.chunks(PAIRS_AT_ONCE) {
        levels.extend(look(cycle, sweep, agencies, records, portion).await);
        cycle.progress.step(Step::Compare, None, levels.len() as u64, pairs.len() as u64);
    }
    levels
}

/// Asks every node about its part of the pairs, decoys among them, and returns how well each agrees.
///
/// Of a pair whose node dropped out nothing is known.
async fn look(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    records: &Records,
    pairs: &[Pair],
) -> Vec<Levels> {
    let mut asks: Vec<Ask> = Vec::with_capacity(2 * pairs.len());
    for pair in pairs {
        let (kind, [a, b]) = pair.carrier();
        asks.extend([(pair.a, kind, a), (pair.b, kind, b)]);
    }
    asks.par_sort_unstable();
    asks.dedup();
    let mut asking = Vec::with_capacity(agencies.len());
    for (at, agency) in agencies.iter().enumerate() {
        let (first, end) = (records.first(at), records.end(at));
        let from = asks.partition_point(|(record, ..)| *record < first);
        let to = asks.partition_point(|(record, ..)| *record < end);
        let mine = if agency.is_in() { &asks[from..to] } else { &[] };
        asking.push(compare_one(cycle, sweep, agency.member, records, mine, first..end));
    }
    let answers = join_all(asking).await;
    let mut compared = Vec::with_capacity(asks.len());
    for (at, (agency, answer)) in agencies.iter_mut().zip(answers).enumerate() {
        match answer {
            Ok(mine) => compared.extend(mine),
            Err(problem) => agency.drop_out(cycle.progress, Step::Compare, problem),
        }
        let end = asks.partition_point(|(record, ..)| *record < records.end(at));
        compared.resize(end, Comparison::EMPTY);
    }
    let answer = |ask: Ask| &compared[asks.binary_search(&ask).expect("it was asked")];
    tokio::task::block_in_place(|| {
        let levels = |pair: &Pair| {
            let (kind, [a, b]) = pair.carrier();
            Levels::of(answer((pair.a, kind, a)), answer((pair.b, kind, b)))
        };
        pairs.par_iter().map(levels).collect()
    })
}

/// Asks one node about its part, a batch at a time.
async fn compare_one(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    member: &Member,
    records: &Records,
    asks: &[Ask],
    own: Range<u32>,
) -> Result<Vec<Comparison>, Problem> {
    let client = member.client(cycle.limits.call());
    let mut compared = Vec::with_capacity(asks.len());
    let mut genuine = asks.iter().peekable();
    for batch in with_decoys(asks, own)?.chunks(COMPARISONS) {
        let question = |(record, kind, slot): &Ask| Question {
            handle: records.handle(*record),
            kind: *kind,
            slot: *slot,
        };
        let questions: Vec<Question> = batch.iter().map(question).collect();
        let answers = client.compare(sweep, &questions).await?;
        for (ask, answer) in batch.iter().zip(answers) {
            if let Some(received) = cycle.received {
                received.look(*ask, &answer);
            }
            if genuine.next_if_eq(&ask).is_some() {
                compared.push(answer);
            }
        }
        let (done, total) = (compared.len() as u64, asks.len() as u64);
        cycle.progress.step(Step::Compare, Some(&member.id), done, total);
    }
    Ok(compared)
}

/// Adds as many decoys, records of the same agency with kinds drawn from the genuine questions, and
/// puts everything in the order of the stream, in which the node keeps its rows.
///
/// Without randomness there are no decoys, and without decoys nobody is asked.
fn with_decoys(asks: &[Ask], own: Range<u32>) -> Result<Vec<Ask>, Problem> {
    let mut all = asks.to_vec();
    let mut seed = [0; 32];
    if asks.is_empty() {
        return Ok(all);
    }
    SystemRandom::new().fill(&mut seed).map_err(|_| Problem::NoDecoys)?;
    let mut random = StdRng::from_seed(seed);
    for (_, kind, slot) in asks {
        all.push((random.random_range(own.clone()), *kind, *slot));
    }
    all.sort_unstable();
    all.dedup();
    Ok(all)
}
