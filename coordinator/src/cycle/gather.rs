//! Opens the sweep everywhere and finds the pairs of records that share a match-key.

use std::{
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_proto::{
    ids::SweepId,
    kind::MatchKeyKind,
    sweep::{Opened, Opening},
};
use futures::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};

use super::{
    Cycle, CycleError, Taking, progress::Step, report::Seconds, taking::look_for_spelling,
};
use crate::{
    federation::{
        Member, Problem, join,
        stream::{self, Piece},
    },
    link::{
        Pair, Records, Roll, STRONG_KINDS,
        block::{self, Column, Excess},
        rekey::Rekey,
        replace,
    },
};

/// Whole columns that a fast node may run ahead of the slowest.
const COLUMNS_AHEAD: usize = 2;

/// A node that has not answered for so long is worth a word.
const SILENCE: Duration = Duration::from_secs(2);

/// What the token streams came to.
pub struct Gathered {
    /// The key that tokens were renamed with.
    pub rekey: Arc<Rekey>,
    /// Every agency's records.
    pub records: Records,
    /// Records of different agencies that share a match-key.
    pub pairs: Vec<Pair>,
}

/// Opens the sweep at every node, and settles on the linkage key that most of them hold. Says of each when it
/// answers, and early on whom it still waits for.
pub async fn open<'a>(cycle: &Cycle<'a>, opening: &Opening) -> (Vec<Taking<'a>>, Option<[u8; 32]>) {
    let members = cycle.federation.members();
    let answers = answers(cycle, members, opening).await;
    let commit = join::agreed_key(answers.iter().flatten());
    let mut agencies = Vec::with_capacity(members.len());
    for (member, answer) in members.iter().zip(answers) {
        let most = cycle.limits.most_records;
        let answer = answer.and_then(|opened| {
            let fits = join::fits(member, opened, commit, most);
            fits.inspect_err(|problem| cycle.progress.problem(Step::Open, &member.id, problem))
        });
        let (opened, problem) = match answer {
            Ok(opened) => (Some(opened), None),
            Err(problem) => (None, Some(problem)),
        };
        let (silent, barred, warnings) = (None, false, Vec::new());
        let mut agency = Taking { member, opened, problem, silent, barred, warnings };
        agency.look_for_contact();
        agencies.push(agency);
    }
    look_for_spelling(&mut agencies);
    (agencies, commit)
}

/// What every node answers, in the order of the members.
async fn answers(
    cycle: &Cycle<'_>,
    members: &[Member],
    opening: &Opening,
) -> Vec<Result<Opened, Problem>> {
    let ask = async |at: usize| (at, open_one(cycle, &members[at], opening).await);
    let mut asking: FuturesUnordered<_> = (0..members.len()).map(ask).collect();
    let mut answers: Vec<Option<Result<Opened, Problem>>> = members.iter().map(|_| None).collect();
    let mut impatient = pin!(sleep(SILENCE).fuse());
    loop {
        let (at, answer) = tokio::select! {
            answered = asking.next() => match answered {
                Some(answered) => answered,
                None => break,
            },
            () = &mut impatient => {
                let silent = members.iter().zip(&answers).filter(|(_, answer)| answer.is_none());
                for (member, _) in silent {
                    cycle.progress.waits(&member.id, cycle.limits.call().saturating_sub(SILENCE));
                }
                continue;
            }
        };
        match &answer {
            Ok(opened) => {
                cycle.progress.step(Step::Open, Some(&members[at].id), opened.records, 0);
            }
            Err(problem) => cycle.progress.problem(Step::Open, &members[at].id, problem),
        }
        answers[at] = Some(answer);
    }
    answers.into_iter().flatten().collect()
}

/// Opens the sweep at one node, in the time that one call may take.
async fn open_one(
    cycle: &Cycle<'_>,
    member: &Member,
    opening: &Opening,
) -> Result<Opened, Problem> {
    let after = cycle.limits.call();
    let client = member.client(after);
    let opened = async {
        match client.open(opening.clone()).await {
            // A connection that broke just now is made again.
            Err(problem) if problem.is_passing() => client.open(opening.clone()).await,
            answer => answer,
        }
    };
    let too_slow = Problem::TooSlow { call: "OpenSweep", after };
    timeout(after, opened).await.unwrap_or(Err(too_slow))
}

/// Streams every node's tokens and finds the candidate pairs, one kind at a time.
pub async fn gather(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    seconds: &mut Seconds,
) -> Result<Gathered, CycleError> {
    let began = Instant::now();
    let rekey = Arc::new(Rekey::random()?);
    let mut streams: Vec<Option<mpsc::Receiver<Piece>>> = agencies
        .iter()
        .map(|agency| {
            let opened = agency.opened.as_ref()?;
            let (out, pieces) = mpsc::channel(COLUMNS_AHEAD);
            let client = agency.member.client(cycle.limits.call());
            let (rows, patience) = (opened.records, cycle.limits.patience());
            tokio::spawn(stream::follow(client, sweep, rows, patience, rekey.clone(), out));
            Some(pieces)
        })
        .collect();

    let mut records = people(cycle, agencies, &mut streams).await;
    let (mut pairs, mut excess) = (Vec::new(), Excess::new());
    let kinds = MatchKeyKind::ALL.len() as u64;
    for (at, kind) in (1..).zip(MatchKeyKind::ALL) {
        let mut column = Column::new(*kind, records.len());
        for agency in 0..agencies.len() {
            let Some(tokens) = next_tokens(cycle, agencies, &mut streams, agency).await else {
                continue;
            };
            if let Some(scheme) = STRONG_KINDS.iter().position(|strong| strong == kind) {
                for (ids, token) in records.rolls[agency].strong_ids.iter_mut().zip(&tokens) {
                    ids[scheme] = *token;
                }
            }
            if let Some(received) = cycle.received {
                received.tokens(*kind, records.first(agency), &tokens);
            }
            column.add(agency, records.first(agency), &tokens);
        }
        let grouping = Instant::now();
        pairs = tokio::task::block_in_place(|| {
            let (found, more) = if cycle.follows {
                let (found, postings) = column.pairs_and_postings();
                let more = postings.excess();
                records.postings.push(postings);
                (found, more)
            } else {
                column.pairs()
            };
            more.into_iter().for_each(|(agency, more)| *excess.entry(agency).or_default() += more);
            block::merge(pairs, found)
        });
        seconds.group += grouping.elapsed().as_secs_f64();
        cycle.progress.step(Step::Group, None, at, kinds);
    }
    for (agency, tokens) in excess {
        agencies[agency].warn(format!(
            "{tokens} of its match-keys stand for more of its records than a match-key may, and link nobody: \
             look at what it sends"
        ));
    }
    tokio::task::block_in_place(|| {
        records.compare_all_numbers(&mut pairs);
        // Half a node's tokens are worth nothing. Where changes are not followed nobody knows any more who
        // holds a token that named a crowd with them only: to find out, all the others would have to
        // stream everything again, and the next sweep does.
        let gone = (0..agencies.len()).filter(|agency| !agencies[*agency].is_in());
        replace::leave_out(&mut records, &mut pairs, gone);
    });
    seconds.stream = began.elapsed().as_secs_f64() - seconds.group;
    Ok(Gathered { rekey, records, pairs })
}

/// Waits for every node's people.
async fn people(
    cycle: &Cycle<'_>,
    agencies: &mut [Taking<'_>],
    streams: &mut [Option<mpsc::Receiver<Piece>>],
) -> Records {
    let mut rolls = Vec::with_capacity(agencies.len());
    for (agency, stream) in agencies.iter_mut().zip(streams) {
        let piece = match stream {
            Some(pieces) => pieces.recv().await,
            None => None,
        };
        let mut roll = Roll::default();
        match piece {
            Some(Piece::People(handles, flags)) => {
                roll.strong_ids = vec![[0; STRONG_KINDS.len()]; handles.len()];
                (roll.handles, roll.flags) = (handles, flags);
                let rows = roll.handles.len() as u64;
                cycle.progress.step(Step::Stream, Some(&agency.member.id), 0, rows);
            }
            Some(Piece::Failed(problem)) => {
                agency.drop_out(cycle.progress, Step::Stream, problem);
                *stream = None;
            }
            Some(Piece::Tokens(..)) | None => *stream = None,
        }
        rolls.push(roll);
    }
    Records::new(rolls)
}

/// Waits for one node's next column; `None` when the node has dropped out.
async fn next_tokens(
    cycle: &Cycle<'_>,
    agencies: &mut [Taking<'_>],
    streams: &mut [Option<mpsc::Receiver<Piece>>],
    agency: usize,
) -> Option<Vec<u64>> {
    let stream = &mut streams[agency];
    match stream.as_mut()?.recv().await {
        Some(Piece::Tokens(kind, tokens)) => {
            if Some(&kind) == MatchKeyKind::ALL.last() {
                let rows = tokens.len() as u64 / kind.slots() as u64;
                cycle.progress.step(Step::Stream, Some(&agencies[agency].member.id), rows, rows);
            }
            Some(tokens)
        }
        Some(Piece::Failed(problem)) => {
            agencies[agency].drop_out(cycle.progress, Step::Stream, problem);
            *stream = None;
            None
        }
        Some(Piece::People(..)) | None => {
            let problem = Problem::Failed("its token stream broke off".into());
            agencies[agency].drop_out(cycle.progress, Step::Stream, problem);
            *stream = None;
            None
        }
    }
}
