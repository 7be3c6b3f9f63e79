//! Asks the nodes how well their records agree, for pairs that share a match-key, and decides.
//!
//! Each node is asked about as many decoys again, with kinds in the same proportions, so that being
//! asked tells it little about which of its people are known elsewhere.

mod again;
mod decoys;
mod strangers;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use bytes::Bytes;
use causeway_proto::{
    ids::SweepId,
    kind::MatchKeyKind,
    linkage::{comparison::Comparison, levels::Levels},
};
use futures::{StreamExt, future::join_all, stream::FuturesOrdered};
use rayon::prelude::*;

pub use self::again::{leave_out, link_again, settle};
use self::{decoys::with_decoys, strangers::strangers};
use super::{Cycle, Linked, Taking, progress::Step, report::Seconds};
use crate::{
    federation::{
        Member, Problem,
        client::{COMPARISONS, NodeClient, Question},
        patiently,
    },
    link::{
        Pair, Records,
        clear::{self, Clear},
        decide,
        taken::Taken,
    },
};

/// A record and the slot of the match-key that salts its comparison.
pub(super) type Ask = (u32, MatchKeyKind, u8);

/// Pairs looked at in one go: enough that a node reads its rows segment by segment, few enough that
/// their comparisons, up to 640 bytes a pair, are soon forgotten and are at most 80 bytes for each
/// record of a large federation.
fn pairs_at_once(records: usize) -> usize {
    (records / 8).clamp(1 << 16, 1 << 18)
}

/// Of the pairs that the sample leaves open, one in so many is looked at before the rest.
const ONE_MORE_IN: usize = 4;

/// Batches that each node has at a time: while one is written to its audit log, the next is answered.
const IN_FLIGHT: usize = 3;

/// Takes the second look and puts persons together.
pub async fn link(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    (records, mut pairs): (Records, Vec<Pair>),
    seconds: &mut Seconds,
) -> Linked {
    let began = Instant::now();
    let strangers = strangers(cycle, sweep, agencies).await;
    // A sample teaches the weights.
    let sampled: Vec<Pair> =
        clear::sample(pairs.len(), cycle.limits.sample_pairs).map(|at| pairs[at]).collect();
    let each = pairs.len() as f64 / sampled.len().max(1) as f64;
    let open = |pair: &&Pair| !clear::is_vetoed(&records, pair);
    let sampled: Vec<Pair> = sampled.iter().filter(open).copied().collect();
    let mut looks = Looks { cycle, sweep, agencies, seen: Vec::new(), compared: 0 };
    looks.at(&records, sampled).await;
    // Pairs of nodes that dropped out are not seen, and do not count among those that are possible either.
    let possible = records.possible_pairs(|at| looks.agencies[at].is_in());
    let weights = decide::learn(&records, &looks.seen, (each, possible), &strangers);
    // It and a part of what it leaves open teach which patterns of match-keys are clear by themselves.
    let (mut clear, mut taken) = (Clear::default(), Taken::new());
    if looks.seen.len() < pairs.len() {
        let learn = |seen: &[(Pair, Levels)]| {
            tokio::task::block_in_place(|| Clear::learn(&records, seen, &weights, &pairs))
        };
        let (first, taken_first) = learn(&looks.seen);
        let seen: HashSet<u64> = looks.seen.iter().map(|(pair, _)| pair.place()).collect();
        let at = |record: u32| taken_first[record as usize];
        let open = |pair: &&Pair| first.levels(&records, pair, at).is_none();
        let more = pairs.iter().filter(open).step_by(ONE_MORE_IN);
        let more = more.filter(|pair| !seen.contains(&pair.place())).copied().collect();
        looks.at(&records, more).await;
        (clear, taken) = learn(&looks.seen);
    }
    let known: HashMap<u64, Levels> =
        looks.seen.drain(..).map(|(pair, levels)| (pair.place(), levels)).collect();
    // A clear pattern decides about a pair that was looked at, too: what becomes of it must not depend on
    // whether it was in a sample.
    let at = |record: u32| taken.get(record as usize).copied().unwrap_or_default();
    let by_pattern = |pair: &Pair| clear.levels(&records, pair, at);
    let mut levels: Vec<Option<Levels>> = pairs
        .par_iter()
        .map(|pair| by_pattern(pair).or_else(|| known.get(&pair.place()).copied()))
        .collect();
    drop((known, taken));
    let undecided = pairs.iter().zip(&levels).filter(|(_, levels)| levels.is_none());
    let undecided: Vec<Pair> = undecided.map(|(pair, _)| *pair).collect();
    let compared = looks.compared + undecided.len();
    let mut agreed = look_at(cycle, sweep, agencies, &records, &undecided).await.into_iter();
    for levels in levels.iter_mut().filter(|levels| levels.is_none()) {
        *levels = agreed.next();
    }
    let mut levels: Vec<Levels> =
        levels.into_iter().map(|levels| levels.unwrap_or(Levels::NONE)).collect();
    // A node that dropped out takes its pairs along, and teaches nothing; see `leave_out`.
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
    Linked::new(records, pairs, levels, compared, clear, decision)
}

/// What is learnt from.
struct Looks<'a, 'b> {
    cycle: &'a Cycle<'a>,
    sweep: SweepId,
    agencies: &'a mut [Taking<'b>],
    /// Pairs that were looked at, and how they agreed; without those of nodes that did not answer.
    seen: Vec<(Pair, Levels)>,
    /// How many there are, those among them.
    compared: usize,
}

impl Looks<'_, '_> {
    async fn at(&mut self, records: &Records, pairs: Vec<Pair>) {
        self.compared += pairs.len();
        let agreed = look_at(self.cycle, self.sweep, self.agencies, records, &pairs).await;
        self.seen.extend(pairs.into_iter().zip(agreed));
        let in_it = |record: u32| self.agencies[records.agency(record)].is_in();
        self.seen.retain(|(pair, _)| in_it(pair.a) && in_it(pair.b));
    }
}

/// Looks at those pairs, by their places, that the pattern of their match-keys decided and nobody has looked at.
///
/// So an alert can say how well its records agree; who is who stays as it was. Of a pair whose node does not
/// answer no more is known than before.
pub async fn look_for_telling(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    linked: &mut Linked,
    places: &[usize],
) {
    let answers = |record: u32| {
        let agency = &agencies[linked.records.agency(record)];
        agency.is_in() && agency.trouble().is_none()
    };
    let is_open = |at: &usize| {
        let (pair, levels) = (&linked.pairs[*at], linked.levels[*at]);
        let new = levels.is_supposed() && !linked.looked_at.contains_key(at);
        new && answers(pair.a) && answers(pair.b)
    };
    let places: Vec<usize> = places.iter().copied().filter(is_open).collect();
    if places.is_empty() {
        return;
    }
    let pairs: Vec<Pair> = places.iter().map(|at| linked.pairs[*at]).collect();
    let asked = Asked { pairs: &pairs, came: &[], alone: &[], like: &linked.pairs };
    let levels = look(cycle, sweep, agencies, &linked.records, asked).await;
    for ((at, pair), levels) in places.iter().zip(&pairs).zip(levels) {
        if [pair.a, pair.b].iter().all(|one| agencies[linked.records.agency(*one)].is_in()) {
            linked.looked_at.insert(*at, levels);
        }
    }
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
    for portion in pairs.chunks(pairs_at_once(records.len())) {
        let asked = Asked { pairs: portion, came: &[], alone: &[], like: portion };
        levels.extend(look(cycle, sweep, agencies, records, asked).await);
        cycle.progress.step(Step::Compare, None, levels.len() as u64, pairs.len() as u64);
    }
    levels
}

/// What is asked in one go.
#[derive(Clone, Copy)]
struct Asked<'a> {
    /// Pairs that have to be known.
    pairs: &'a [Pair],
    /// Everybody who came, in order.
    came: &'a [u32],
    /// Those of them that are asked about although nothing has to be known.
    alone: &'a [u32],
    /// Pairs as what has to be known is usually asked for.
    like: &'a [Pair],
}

/// Asks every node about its part of the pairs, and about who `came`, decoys among them, and returns how
/// well each pair agrees.
///
/// Of a pair whose node dropped out nothing is known.
async fn look(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    records: &Records,
    asked: Asked<'_>,
) -> Vec<Levels> {
    let Asked { pairs, .. } = asked;
    let mut asks: Vec<Ask> = Vec::with_capacity(2 * pairs.len());
    for pair in pairs {
        let (kind, [a, b]) = pair.carrier();
        asks.extend([(pair.a, kind, a), (pair.b, kind, b)]);
    }
    asks.par_sort_unstable();
    asks.dedup();
    let mut parts: Vec<Vec<Ask>> = vec![Vec::new(); agencies.len()];
    asks.iter().for_each(|ask| parts[records.agency(ask.0)].push(*ask));
    drop(asks);
    let mut asking = Vec::with_capacity(agencies.len());
    for (at, (agency, part)) in agencies.iter().zip(&parts).enumerate() {
        let mine = if agency.is_in() { &part[..] } else { &[] };
        asking.push(compare_one(cycle, sweep, agency.member, (records, at), (mine, asked)));
    }
    let answers = join_all(asking).await;
    let mut compared = Vec::with_capacity(agencies.len());
    for (agency, answer) in agencies.iter_mut().zip(answers) {
        compared.push(answer.unwrap_or_else(|problem| {
            agency.drop_out(cycle.progress, Step::Compare, problem);
            Vec::new()
        }));
    }
    let answer = |ask: Ask| {
        let agency = records.agency(ask.0);
        let at = parts[agency].binary_search(&ask).expect("it was asked");
        compared[agency].get(at).unwrap_or(&Comparison::EMPTY)
    };
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
    (records, agency): (&Records, usize),
    (asks, asked): (&[Ask], Asked<'_>),
) -> Result<Vec<Comparison>, Problem> {
    let client = member.client(cycle.limits.call());
    let mut compared = Vec::with_capacity(asks.len());
    let mut genuine = asks.iter().peekable();
    let all = with_decoys(records, agency, asks, asked)?;
    let question = |(record, kind, slot): &Ask| Question {
        handle: records.handle(*record),
        kind: *kind,
        slot: *slot,
    };
    let ask = |batch: &[Ask]| {
        let questions = batch.iter().map(question).collect();
        compare_batch((client.clone(), cycle.limits.patience()), sweep, questions)
    };
    let mut coming = all.chunks(COMPARISONS);
    let mut asked: FuturesOrdered<_> = coming.by_ref().take(IN_FLIGHT).map(ask).collect();
    for batch in all.chunks(COMPARISONS) {
        let answers = asked.next().await.expect("every batch was asked")?;
        asked.extend(coming.next().map(ask));
        for (ask, answer) in batch.iter().zip(answers.as_chunks().0) {
            if let Some(received) = cycle.received {
                received.look(*ask, answer);
            }
            if genuine.next_if_eq(&ask).is_some() {
                compared.push(Comparison::read(answer));
            }
        }
        let (done, total) = (compared.len() as u64, asks.len() as u64);
        cycle.progress.step(Step::Compare, Some(&member.id), done, total);
    }
    Ok(compared)
}

async fn compare_batch(
    (client, patience): (NodeClient, Duration),
    sweep: SweepId,
    questions: Vec<Question>,
) -> Result<Bytes, Problem> {
    patiently(patience, || client.compare(sweep, &questions)).await
}
