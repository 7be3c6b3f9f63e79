//! One pass: sweep, link, house, score, route, record.
//!
//! ```text
//! gather       opens the sweep at every node, streams tokens, finds candidate pairs
//! second_look  asks about the pairs, weighs them, puts persons together
//! homes        asks who shares a home, and for the signals of those who matter
//! subgroups    counts who is missed, by kinds of people
//! disputes     takes records out that professionals found to be somebody else's
//! shadow       holds the households against a model that is not in use yet, and tells nobody
//! unknowns     who is missing, stale or withholding, and since when
//! surface      scores, decides who is told, writes alerts and deliveries in one transaction
//! live         follows what changes while the sweep is open: the same steps for what it touches
//! ending       closes it, also when the coordinator is told to stop
//! ```
//!
//! A node that is down, slow, wrong or hostile never stops it: the result names the node and why.

mod changes;
pub mod continuity;
pub mod disputes;
mod ending;
pub mod gather;
#[cfg(test)]
mod histories;
pub mod homes;
mod linked;
pub mod live;
pub mod progress;
pub mod received;
pub mod report;
mod scores;
pub mod second_look;
pub mod shadow;
pub mod subgroups;
pub mod surface;
mod taking;
pub mod unknowns;
pub mod waterfall;
pub mod weakest;

use std::{sync::Arc, time::Instant};

use causeway_proto::{catalogue::Purpose, day::Day, ids::SweepId, sweep::Opening};
use ring::rand::{SecureRandom, SystemRandom};
use tokio::sync::{Notify, watch};

use self::{
    continuity::Continuity,
    homes::{Houses, Known},
    progress::{Progress, Step},
    received::Received,
    report::{AgencyReport, Seconds, SweepReport},
    scores::Scores,
    subgroups::Subgroups,
    surface::Surfaced,
};
pub use self::{linked::Linked, taking::Taking};
use crate::{
    config::SweepConfig,
    federation::Federation,
    ledger::{Ledger, LedgerError, sweeps},
    link::{
        quality::LinkQuality,
        rekey::{NoRandomness, Rekey},
        replace::Replaced,
    },
    score::Model,
};

/// What a pass works with.
pub struct Cycle<'a> {
    /// Whom it asks.
    pub federation: &'a Federation,
    /// Where it records what it decides.
    pub ledger: &'a Ledger,
    /// How it scores.
    pub model: &'a Model,
    /// A model that is not in use yet, to be tried beside it.
    pub shadow: Option<&'a Model>,
    /// How many of its weakest links it explains.
    pub weakest: u32,
    /// Why it asks.
    pub purposes: &'a [Purpose],
    /// Its patience and limits.
    pub limits: &'a SweepConfig,
    /// Unix milliseconds, now.
    pub now_ms: fn() -> u64,
    /// Where it says how far it is.
    pub progress: Progress<'a>,
    /// Where it keeps what it receives, for measuring only.
    pub received: Option<&'a Received>,
    /// Whether changes will be followed after the pass, and tokens are kept for it.
    pub follows: bool,
    /// Rung when somebody answered an alert.
    pub reviewed: &'a Notify,
    /// Whether the coordinator is told to stop.
    pub going: watch::Receiver<bool>,
    /// Whether something was decided that whoever follows has not heard yet.
    pub untold: watch::Sender<bool>,
}

/// A pass could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum CycleError {
    /// The ledger failed, so nothing could be decided.
    #[error("the sweep was given up")]
    Ledger(#[from] LedgerError),
    /// The machine has no randomness to give.
    #[error("the sweep was given up")]
    Randomness(#[from] NoRandomness),
    /// Nobody answered; why each did not.
    #[error(
        "the sweep was given up: not one of {} nodes could take part ({})", .0.len(), .0.join("; ")
    )]
    Nobody(Vec<String>),
    /// The coordinator was told to stop.
    #[error("the sweep was closed: the coordinator was told to stop")]
    Stopped,
}

/// Says what went wrong and why, down to the first cause.
pub fn in_full(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// What a pass came to.
pub struct Outcome {
    /// Which sweep.
    pub sweep: SweepId,
    /// For people and machines.
    pub report: SweepReport,
    /// For measuring only.
    pub linked: Linked,
}

/// A sweep that is open: everything that a change is held against.
pub struct Open<'a> {
    sweep: SweepId,
    as_at: Day,
    agencies: Vec<Taking<'a>>,
    /// Which linkage key everybody has to hold.
    key_commit: Option<[u8; 32]>,
    rekey: Arc<Rekey>,
    linked: Linked,
    known: Known,
    continuity: Continuity,
    scores: Scores,
    /// Somebody joined since the weights were learnt.
    learn_again: bool,
}

impl<'a> Cycle<'a> {
    /// Makes one pass as at a day, and closes the sweep whatever happens.
    ///
    /// # Errors
    /// Fails when the ledger does, or when no node takes part.
    pub async fn run(&self, as_at: Day) -> Result<Outcome, CycleError> {
        let began = Instant::now();
        let sweep = self.begin(as_at).await?;
        let outcome = self.pass_unless_stopped(sweep, as_at, began).await;
        self.end(sweep, outcome.map(|(open, report)| Outcome::of(open, report)), None).await
    }

    /// Makes one pass as at a day, then follows what changes until `stop` resolves, and closes the
    /// sweep whatever happens. `swept` hears the result of the pass, and `followed` of every change.
    ///
    /// # Errors
    /// Fails when the ledger does, or when no node takes part.
    pub async fn watch(
        &self,
        as_at: Day,
        stop: impl Future<Output = ()>,
        swept: impl FnOnce(&SweepReport),
        followed: impl FnMut(&live::Followed),
    ) -> Result<Outcome, CycleError> {
        let began = Instant::now();
        let sweep = self.begin(as_at).await?;
        let (mut open, report) = match self.pass_unless_stopped(sweep, as_at, began).await {
            Ok(made) => made,
            Err(error) => return self.end(sweep, Err(error), None).await,
        };
        swept(&report);
        self.untold.send_replace(false);
        // What it came to stands, whatever becomes of the sweep.
        let followed = match self.keep(sweep, &report).await {
            Ok(()) => self.follow(&mut open, stop, followed).await,
            Err(error) => Err(error),
        };
        let made = report.clone();
        self.end(sweep, followed.map(|()| Outcome::of(open, report)), Some(&made)).await
    }

    async fn keep(&self, sweep: SweepId, report: &SweepReport) -> Result<(), CycleError> {
        let mut tx = self.ledger.begin().await?;
        sweeps::keep(&mut tx, sweep, &report.for_keeping().to_json().to_string()).await?;
        Ok(tx.commit().await?)
    }

    async fn begin(&self, as_at: Day) -> Result<SweepId, CycleError> {
        let mut random = [0; 8];
        SystemRandom::new().fill(&mut random).map_err(|_| NoRandomness)?;
        let mut tx = self.ledger.begin().await?;
        let model = (self.model.version.as_str(), self.model.sha256.as_str());
        let sweep = sweeps::open(&mut tx, random, as_at, model, (self.now_ms)()).await?;
        tx.commit().await?;
        tracing::info!(sweep = sweep.counter(), %as_at, "began a sweep");
        Ok(sweep)
    }

    async fn pass(
        &self,
        sweep: SweepId,
        as_at: Day,
        began: Instant,
    ) -> Result<(Open<'a>, SweepReport), CycleError> {
        let mut seconds = Seconds::default();
        let (mut agencies, key_commit) = gather::open(self, &self.opening(sweep, as_at)).await;
        if !agencies.iter().any(Taking::is_in) {
            let why = |agency: &Taking<'_>| {
                let problem = agency.problem.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{} {problem}", agency.member.id)
            };
            return Err(CycleError::Nobody(agencies.iter().map(why).collect()));
        }
        let continuity = Continuity::of(&agencies);
        let mut gathered = gather::gather(self, sweep, &mut agencies, &mut seconds).await?;
        continuity.keep_apart(&mut gathered.records);
        let rekey = gathered.rekey.clone();
        let gather::Gathered { records, pairs, .. } = gathered;
        let found = (records, pairs);
        let mut linked = second_look::link(self, sweep, &mut agencies, found, &mut seconds).await;
        second_look::leave_out(self, sweep, &mut agencies, &mut linked, &mut seconds).await;
        let known = Known::new(&linked.records);
        let scores = Scores::default();
        let learn_again = false;
        let mut open = Open {
            sweep,
            as_at,
            agencies,
            key_commit,
            rekey,
            linked,
            known,
            continuity,
            scores,
            learn_again,
        };
        let (houses, surfaced) = self.tell(&mut open, &mut seconds).await?;
        let Open { agencies, linked, .. } = &open;
        let Linked { records, pairs, decision, clear, .. } = linked;
        let quality = LinkQuality::of(records, pairs, decision, clear);
        let quality = quality.named(|at| &agencies[at].member.id);
        let (drift, before) = self.since_last(&quality).await?;
        let asked = (&agencies[..], linked);
        let subgroups = subgroups::count(self, sweep, as_at, asked, before).await;
        let shadow = self.shadow.map(|new| {
            let told = scores::told(agencies);
            let is_told = |code| told.contains(&code);
            shadow::beside([self.model, new], &houses.worth, as_at, is_told)
        });
        let Open { agencies, linked, .. } = &mut open;
        let weakest_links = weakest::explain(self, sweep, agencies, linked).await;
        let Open { agencies, linked, .. } = &open;
        seconds.total = began.elapsed().as_secs_f64();

        let report = SweepReport {
            sweep: sweep.counter(),
            as_at,
            model: self.model.version.clone(),
            model_sha256: self.model.sha256.clone(),
            agencies: agencies.iter().map(AgencyReport::of).collect(),
            records: linked.records.count(),
            candidate_pairs: linked.candidates(),
            compared_pairs: linked.compared,
            links: linked.links(),
            joined_pairs: quality.joined(),
            persons: linked.persons(),
            ambiguous: linked.decision.ambiguous.iter().filter(|unclear| **unclear).count(),
            households: houses.households.len(),
            signals_asked_for: houses.signals_asked_for,
            quality,
            drift,
            subgroups,
            alerts: surfaced.alerts,
            reminders: surfaced.reminders,
            capacity: surfaced.capacity,
            shadow,
            weakest_links,
            seconds,
        };
        self.progress.step(Step::Done, None, 1, 1);
        Ok((open, report))
    }

    /// Houses, settles what professionals disputed, scores, and tells whoever has a duty of care.
    async fn tell(
        &self,
        open: &mut Open<'a>,
        seconds: &mut Seconds,
    ) -> Result<(Houses, Surfaced), CycleError> {
        let Open { sweep, as_at, agencies, linked, known, continuity, scores, .. } = open;
        let (sweep, as_at) = (*sweep, *as_at);
        let mut houses = homes::houses(self, sweep, as_at, agencies, linked, known, seconds).await;
        let apart = (&mut *linked, &mut houses);
        let touched = disputes::settle(self, (sweep, as_at), agencies, apart, continuity).await?;
        if !touched.is_empty() {
            let mut replaced = Replaced { touched, ..Replaced::default() };
            tokio::task::block_in_place(|| linked.reopen(&mut replaced));
            second_look::settle(self, sweep, agencies, linked, &replaced, seconds).await;
            houses = homes::houses(self, sweep, as_at, agencies, linked, known, seconds).await;
        }
        let (found, kept) = ((&mut *linked, &houses), (continuity, scores));
        let surfaced = surface::surface(self, sweep, as_at, agencies, found, kept, seconds).await?;
        Ok((houses, surfaced))
    }

    fn opening(&self, sweep: SweepId, as_at: Day) -> Opening {
        let model_version = self.model.version.clone();
        Opening { sweep, purposes: self.purposes.to_vec(), model_version, as_at }
    }

    /// Compares the weights with those of the last sweep that came to an end, and returns what that
    /// knew of kinds of people.
    async fn since_last(
        &self,
        quality: &LinkQuality,
    ) -> Result<(Vec<String>, Option<Subgroups>), CycleError> {
        /// What of an earlier report is looked at.
        #[derive(serde::Deserialize)]
        struct Earlier {
            quality: LinkQuality,
            #[serde(default)]
            subgroups: Option<Subgroups>,
        }
        let mut tx = self.ledger.begin().await?;
        let report = sweeps::last_report(&mut tx).await?;
        tx.commit().await?;
        // The first sweep has no earlier one, and an older version's report has no weights.
        let earlier = report.and_then(|report| serde_json::from_str::<Earlier>(&report).ok());
        let Some(earlier) = earlier else { return Ok((Vec::new(), None)) };
        let drift = quality.drift_since(&earlier.quality);
        drift.iter().for_each(|drift| tracing::warn!(drift, "the weights are not what they were"));
        Ok((drift, earlier.subgroups))
    }
}

impl Outcome {
    fn of(open: Open<'_>, report: SweepReport) -> Self {
        Self { sweep: open.sweep, report, linked: open.linked }
    }
}
