//! Follows what changes while a sweep is open: the steps of the pass again, for what a change touches.
//!
//! What it comes to is what a fresh pass over the same records with the same weights gives. A node
//! that falls silent keeps its place, and what it told stands and counts as stale; one that drops out
//! takes its records along, as if it had never been there. One that was left out is asked to join again,
//! and brings everything anew: then weights are learnt again, too.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    fmt,
    time::{Duration, Instant},
};

use causeway_proto::change::Change;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::mpsc,
    task::AbortHandle,
    time::{Instant as Clock, timeout_at},
};

use super::{
    Cycle, CycleError, Open, Taking,
    changes::{Changes, Resolved},
    progress::Step,
    report::{AgencyReport, AlertReport, Seconds},
    second_look,
};
use crate::{
    federation::{
        changes::{News, Watch},
        join::Joining,
    },
    link::replace::{Change as Records, Replaced},
};

/// Steps that may wait to be handled; then the streams wait.
const QUEUE: usize = 1 << 12;
/// Steps handled in one go.
const BATCH: usize = 1 << 16;
/// How long to wait for the end of a burst before what is there is handled.
const BURST: Duration = Duration::from_secs(1);

/// What one burst of changes came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Followed {
    /// Records that came or have other match-keys.
    pub came: usize,
    /// Records that are gone or were replaced.
    pub left: usize,
    /// Records of which other facts are asked for.
    pub facts: usize,
    /// Candidate pairs that are new.
    pub new_pairs: usize,
    /// Records in the sweep now.
    pub records: usize,
    /// Persons that they come to.
    pub persons: usize,
    /// Households, also of one person.
    pub households: usize,
    /// Records whose signals are part of it.
    pub signals_asked_for: usize,
    /// Households that were scored again.
    pub scored: usize,
    /// Every enrolled agency, also those that do not take part at present.
    pub agencies: Vec<AgencyReport>,
    /// What was issued, most pressing first.
    pub alerts: Vec<AlertReport>,
    /// How long the steps took, from when the burst was there.
    pub seconds: Seconds,
}

impl fmt::Display for Followed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { came, left, facts, new_pairs, records, persons, .. } = self;
        writeln!(
            f,
            "{came} came, {left} left, {facts} with other facts; {new_pairs} new pairs; \
             {records} records of {persons} persons; {:.0} ms",
            self.seconds.total * 1000.0
        )?;
        for agency in &self.agencies {
            if let Some(problem) = &agency.problem {
                writeln!(f, "  {} {problem}", agency.id)?;
            }
            for warning in &agency.warnings {
                writeln!(f, "  !  {}: {warning}", agency.id)?;
            }
        }
        self.alerts.iter().try_for_each(|alert| write!(f, "{alert}"))
    }
}

/// Follows the changes of every node until it is dropped: what was decided by then stands. Tells `followed` of every
/// burst.
///
/// # Errors
/// Fails when the ledger does.
pub(super) async fn follow<'a>(
    cycle: &Cycle<'a>,
    open: &mut Open<'a>,
    mut followed: impl FnMut(&Followed),
) -> Result<Infallible, CycleError> {
    let (out, mut news) = mpsc::channel(QUEUE);
    let mut ears = Ears::of(out, open.agencies.len());
    let mut batch = Vec::new();
    loop {
        ears.listen(cycle, open);
        let answered = tokio::select! {
            () = collect(&mut news, &mut batch) => false,
            () = cycle.reviewed.notified() => true,
        };
        let batch = std::mem::take(&mut batch);
        ears.hear(&batch);
        if let Some(report) = apply(cycle, open, batch, answered).await? {
            followed(&report);
        }
        cycle.untold.send_replace(false);
    }
}

/// Waits for news, and for the end of the burst that it belongs to.
async fn collect(news: &mut mpsc::Receiver<News>, batch: &mut Vec<News>) {
    let mut unfinished: BTreeSet<usize> = BTreeSet::new();
    let mut until: Option<Clock> = None;
    while batch.len() < BATCH {
        let next = match until {
            Some(until) => timeout_at(until, news.recv()).await.unwrap_or(None),
            None => news.recv().await,
        };
        let Some(next) = next else { return };
        match &next {
            News::Step(agency, step) if step.change != Change::CaughtUp => {
                unfinished.insert(*agency);
            }
            News::Step(agency, _)
            | News::Silent(agency, _)
            | News::Over(agency, _)
            | News::Joined(agency, _) => {
                unfinished.remove(agency);
            }
            News::Back(_) => {}
        }
        batch.push(next);
        if unfinished.is_empty() && news.is_empty() {
            return;
        }
        until.get_or_insert_with(|| Clock::now() + BURST);
    }
}

/// One task for each agency: it follows changes, or asks to join again.
pub(super) struct Ears {
    out: mpsc::Sender<News>,
    pub(super) tasks: Vec<Option<Ear>>,
}

pub(super) struct Ear {
    pub(super) joins: bool,
    pub(super) task: AbortHandle,
}

impl Ears {
    /// Of so many agencies, none of which is listened to yet.
    pub(super) fn of(out: mpsc::Sender<News>, agencies: usize) -> Self {
        Self { out, tasks: (0..agencies).map(|_| None).collect() }
    }

    /// Takes note of who has joined. One that drops out again at once is asked again, and one of which that is still
    /// on its way is not.
    pub(super) fn hear(&mut self, news: &[News]) {
        for news in news {
            if let News::Joined(at, _) = news {
                self.tasks[*at].take_if(|ear| ear.joins);
            }
        }
    }

    /// Sees that every agency is listened to in the right way.
    pub(super) fn listen(&mut self, cycle: &Cycle<'_>, open: &Open<'_>) {
        for (at, agency) in open.agencies.iter().enumerate() {
            if agency.barred {
                if let Some(before) = self.tasks[at].take() {
                    before.task.abort();
                }
                continue;
            }
            let joins = !agency.is_in();
            if self.tasks[at].as_ref().is_some_and(|ear| ear.joins == joins) {
                continue;
            }
            let out = self.out.clone();
            let task = match &agency.opened {
                Some(opened) if !joins => {
                    let client = agency.member.client(cycle.limits.call());
                    let (sweep, position) = (open.sweep, opened.position);
                    tokio::spawn(Watch { agency: at, client, sweep, position }.run(out))
                }
                _ => {
                    let joining = joining(cycle, open, agency);
                    tokio::spawn(async move {
                        let joined = joining.join().await;
                        // Nobody listens any more where the sweep was closed.
                        let _ = out.send(News::Joined(at, Box::new(joined))).await;
                    })
                }
            };
            let ear = Ear { joins, task: task.abort_handle() };
            if let Some(before) = self.tasks[at].replace(ear) {
                before.task.abort();
            }
        }
    }
}

impl Drop for Ears {
    fn drop(&mut self) {
        self.tasks.iter().flatten().for_each(|ear| ear.task.abort());
    }
}

fn joining(cycle: &Cycle<'_>, open: &Open<'_>, agency: &Taking<'_>) -> Joining {
    Joining {
        member: agency.member.clone(),
        opening: cycle.opening(open.sweep, open.as_at),
        commit: open.key_commit,
        most_records: cycle.limits.most_records,
        rekey: open.rekey.clone(),
        deadlines: (cycle.limits.call(), cycle.limits.patience()),
        pause: cycle.limits.rejoin(),
    }
}

/// Does again what the news touch, or an answer to an alert. `None` where they change nothing.
pub(super) async fn apply<'a>(
    cycle: &Cycle<'a>,
    open: &mut Open<'a>,
    news: Vec<News>,
    answered: bool,
) -> Result<Option<Followed>, CycleError> {
    let began = Instant::now();
    let mut changes = Changes::new(answered);
    for news in news {
        changes.hear(cycle, open, news);
    }
    open.learn_again |= changes.has_joined();
    let Some(resolved) = changes.resolve(open) else { return Ok(None) };
    let Resolved { records: change, facts } = resolved;
    let mut seconds = Seconds::default();

    let Open { sweep, agencies, linked, known, continuity, learn_again, .. } = open;
    let mut replaced = tokio::task::block_in_place(|| linked.replace(&change));
    let Records { leave, come, renew } = change;
    let renewed = renew.iter().map(|(record, new)| (record, new));
    for (record, new) in replaced.came.iter().zip(&come).chain(renewed) {
        for finding in continuity.findings(new.agency, new.handle) {
            linked.records.add_apart(*record, finding);
        }
    }
    tokio::task::block_in_place(|| linked.reopen(&mut replaced));
    seconds.group = began.elapsed().as_secs_f64();
    // Who is silent keeps their place, and cannot be asked about everything.
    if *learn_again && agencies.iter().all(|agency| agency.silent.is_none()) {
        *learn_again = false;
        let new = (&replaced.new[..], &mut seconds);
        second_look::link_again(cycle, *sweep, agencies, linked, new).await;
    } else {
        second_look::settle(cycle, *sweep, agencies, linked, &replaced, &mut seconds).await;
    }

    let dropped = second_look::leave_out(cycle, *sweep, agencies, linked, &mut seconds).await;
    facts.iter().for_each(|(record, flags)| linked.records.set_flags(*record, *flags));
    let Replaced { came, renewed, .. } = &replaced;
    for record in leave.iter().chain(came).chain(renewed).chain(facts.keys()).chain(&dropped) {
        known.forget(&linked.records, *record);
    }
    let (houses, surfaced) = cycle.tell(open, &mut seconds).await?;
    let Open { agencies, linked, .. } = open;
    seconds.total = began.elapsed().as_secs_f64();
    cycle.progress.step(Step::Done, None, 1, 1);
    Ok(Some(Followed {
        came: come.len() + renew.len(),
        left: leave.len() + renew.len(),
        facts: facts.len(),
        new_pairs: replaced.new.len(),
        records: linked.records.count(),
        persons: linked.persons(),
        households: houses.households.len(),
        signals_asked_for: houses.signals_asked_for,
        scored: surfaced.scored,
        agencies: agencies.iter().map(AgencyReport::of).collect(),
        alerts: surfaced.alerts,
        seconds,
    }))
}
