//! One pass: sweep, link, house, score, route, record.
//!
//! ```text
//! gather       opens the sweep at every node, streams tokens, finds candidate pairs
//! second_look  asks about the pairs, weighs them, puts persons together
//! homes        asks who shares a home, and for the signals of those who matter
//! disputes     takes records out that professionals found to be somebody else's
//! surface      scores, decides who is told, writes alerts and deliveries in one transaction
//! ```
//!
//! A node that is down, slow, wrong or hostile never stops it: the result names the node and why.

pub mod continuity;
pub mod disputes;
pub mod gather;
pub mod homes;
pub mod progress;
pub mod received;
pub mod report;
pub mod second_look;
pub mod surface;
pub mod waterfall;

use std::time::{Duration, Instant};

use causeway_proto::{
    catalogue::Purpose,
    day::Day,
    ids::SweepId,
    linkage::levels::Levels,
    sweep::{Opened, Opening},
};
use futures::future::join_all;
use ring::rand::{SecureRandom, SystemRandom};

use self::{
    continuity::Continuity,
    progress::{Progress, Step},
    received::Received,
    report::{AgencyReport, Seconds, SweepReport},
};
use crate::{
    config::SweepConfig,
    federation::{Federation, Member, Problem},
    ledger::{Ledger, LedgerError, sweeps},
    link::{Pair, Records, decide::Decision, quality::LinkQuality, rekey::NoRandomness},
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
}

/// A pass could not be made at all.
#[derive(Debug, thiserror::Error)]
pub enum CycleError {
    /// The ledger failed, so nothing could be decided.
    #[error("the sweep was given up: {0}")]
    Ledger(#[from] LedgerError),
    /// The machine has no randomness to give.
    #[error("the sweep was given up: {0}")]
    Randomness(#[from] NoRandomness),
    /// Nobody answered.
    #[error("the sweep was given up: not one of {0} nodes could take part")]
    Nobody(usize),
}

/// The links of a sweep by handles, for measuring linkage with the nodes' help.
pub struct Linked {
    /// The records.
    pub records: Records,
    /// Candidate pairs.
    pub pairs: Vec<Pair>,
    /// How well each agrees.
    pub levels: Vec<Levels>,
    /// How many of them the nodes were asked about; the others are clear by their match-keys.
    pub compared: usize,
    /// What became of them.
    pub decision: Decision,
    /// By person: how many records are theirs.
    pub person_sizes: Vec<u32>,
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

/// An enrolled agency in this pass.
pub struct Taking<'a> {
    /// Who.
    pub member: &'a Member,
    /// What it brought when the sweep was opened; `None` when it could not.
    pub opened: Option<Opened>,
    /// Why it does not take part, or not any more.
    pub problem: Option<Problem>,
}

impl Taking<'_> {
    /// Returns whether what it holds is part of the result.
    pub fn is_in(&self) -> bool {
        self.problem.is_none()
    }

    /// Lets it drop out of the pass; the first reason stays.
    fn drop_out(&mut self, progress: Progress<'_>, step: Step, problem: Problem) {
        if self.is_in() {
            progress.problem(step, &self.member.id, &problem);
            tracing::warn!(agency.id = %self.member.id, %problem, "goes on without a node");
            self.problem = Some(problem);
        }
    }

    /// Returns whether an export of it is older than it should be.
    pub fn is_stale(&self) -> bool {
        self.opened.as_ref().is_some_and(|opened| opened.feeds.iter().any(|feed| feed.stale))
    }
}

impl Cycle<'_> {
    /// Makes one pass as at a day, and closes the sweep whatever happens.
    ///
    /// # Errors
    /// Fails when the ledger does, or when no node takes part.
    pub async fn run(&self, as_at: Day) -> Result<Outcome, CycleError> {
        let began = Instant::now();
        let sweep = self.begin(as_at).await?;
        let outcome = self.pass(sweep, as_at, began).await;
        self.close(sweep).await;
        let report = outcome.as_ref().map_or_else(
            |error| serde_json::json!({ "failed": error.to_string() }).to_string(),
            |outcome| serde_json::to_string(&outcome.report).expect("a report is plain data"),
        );
        let mut tx = self.ledger.begin().await?;
        sweeps::close(&mut tx, sweep, &report, (self.now_ms)()).await?;
        tx.commit().await?;
        outcome
    }

    async fn begin(&self, as_at: Day) -> Result<SweepId, CycleError> {
        let mut random = [0; 8];
        SystemRandom::new().fill(&mut random).map_err(|_| NoRandomness)?;
        let mut tx = self.ledger.begin().await?;
        let version = &self.model.version;
        let sweep = sweeps::open(&mut tx, random, as_at, version, (self.now_ms)()).await?;
        tx.commit().await?;
        tracing::info!(sweep = sweep.counter(), %as_at, "began a sweep");
        Ok(sweep)
    }

    async fn pass(
        &self,
        sweep: SweepId,
        as_at: Day,
        began: Instant,
    ) -> Result<Outcome, CycleError> {
        let mut seconds = Seconds::default();
        let opening = Opening {
            sweep,
            purposes: self.purposes.to_vec(),
            model_version: self.model.version.clone(),
            as_at,
        };
        let mut agencies = gather::open(self, &opening).await;
        if !agencies.iter().any(Taking::is_in) {
            return Err(CycleError::Nobody(agencies.len()));
        }
        let mut continuity = Continuity::of(&agencies);
        let mut gathered = gather::gather(self, sweep, &mut agencies, &mut seconds).await?;
        continuity.keep_apart(&mut gathered.records);
        let mut linked =
            second_look::link(self, sweep, &mut agencies, gathered, &mut seconds).await;
        let mut houses =
            homes::houses(self, sweep, as_at, &mut agencies, &linked, &mut seconds).await;
        let apart = (&mut linked, &mut houses);
        disputes::settle(self, (sweep, as_at), &agencies, apart, &mut continuity).await?;
        let found = (&linked, &houses);
        let surfaced =
            surface::surface(self, sweep, as_at, &agencies, found, &mut continuity, &mut seconds)
                .await?;
        let quality = LinkQuality::of(&linked.records, &linked.pairs, &linked.decision);
        let drift = self.drift(&quality).await?;
        seconds.total = began.elapsed().as_secs_f64();

        let report = SweepReport {
            sweep: sweep.counter(),
            as_at,
            model: self.model.version.clone(),
            agencies: agencies.iter().map(AgencyReport::of).collect(),
            records: linked.records.len(),
            candidate_pairs: linked.pairs.len(),
            compared_pairs: linked.compared,
            links: linked.links(),
            persons: linked.decision.person_count(),
            ambiguous: linked.decision.ambiguous.iter().filter(|unclear| **unclear).count(),
            households: houses.households.len(),
            signals_asked_for: houses.signals_asked_for,
            quality,
            drift,
            alerts: surfaced.alerts,
            reminders: surfaced.reminders,
            capacity: surfaced.capacity,
            seconds,
        };
        self.progress.step(Step::Done, None, 1, 1);
        Ok(Outcome { sweep, report, linked })
    }

    /// Compares the weights with those of the last sweep that came to an end.
    async fn drift(&self, quality: &LinkQuality) -> Result<Vec<String>, CycleError> {
        /// What of an earlier report is looked at.
        #[derive(serde::Deserialize)]
        struct Earlier {
            quality: LinkQuality,
        }
        let mut tx = self.ledger.begin().await?;
        let report = sweeps::last_report(&mut tx).await?;
        tx.commit().await?;
        // The first sweep has no earlier one, and an older version's report has no weights.
        let earlier = report.and_then(|report| serde_json::from_str::<Earlier>(&report).ok());
        let drift = earlier.map_or_else(Vec::new, |e| quality.drift_since(&e.quality));
        drift.iter().for_each(|drift| tracing::warn!(drift, "the weights are not what they were"));
        Ok(drift)
    }

    /// Closes the sweep at every node that can be told, so that its keys are erased there.
    async fn close(&self, sweep: SweepId) {
        let mut closing = Vec::new();
        for member in self.federation.members() {
            closing.push(close_one(member, sweep, self.limits.call()));
        }
        join_all(closing).await;
    }
}

async fn close_one(member: &Member, sweep: SweepId, deadline: Duration) {
    if let Err(problem) = member.client(deadline).close(sweep).await {
        // The next sweep's opening closes it as well.
        tracing::warn!(agency.id = %member.id, %problem, "could not close the sweep");
    }
}

impl Linked {
    /// Counts every person's records.
    fn new(
        records: Records,
        pairs: Vec<Pair>,
        levels: Vec<Levels>,
        compared: usize,
        decision: Decision,
    ) -> Self {
        let mut person_sizes = vec![0; records.len()];
        decision.persons.iter().for_each(|person| person_sizes[*person as usize] += 1);
        Self { records, pairs, levels, compared, decision, person_sizes }
    }

    /// Returns how many pairs are links by their own weight.
    pub fn links(&self) -> usize {
        self.decision.bits.iter().flatten().filter(|bits| **bits >= 0.0).count()
    }
}
