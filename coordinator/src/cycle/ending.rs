//! How a sweep ends: when it is done, when it fails, and when the coordinator is told to stop.

use std::time::{Duration, Instant};

use causeway_proto::{day::Day, ids::SweepId};
use futures::future::join_all;
use tokio::sync::watch;

use super::{
    Cycle, CycleError, Open, Outcome, in_full,
    live::{self, Followed},
    report::SweepReport,
};
use crate::{federation::Member, ledger::sweeps};

/// How long a node has to close a sweep when the coordinator is told to stop.
const LAST_CALL: Duration = Duration::from_secs(3);

impl<'a> Cycle<'a> {
    /// Makes the pass, and breaks it off when the coordinator is told to stop: what was decided by then
    /// stands.
    pub(super) async fn pass_unless_stopped(
        &self,
        sweep: SweepId,
        as_at: Day,
        began: Instant,
    ) -> Result<(Open<'a>, SweepReport), CycleError> {
        tokio::select! {
            biased;
            () = stopped(self.going.clone()) => Err(CycleError::Stopped),
            made = self.pass(sweep, as_at, began) => made,
        }
    }

    /// Follows what changes until `stop` resolves. No node is waited for then, and `followed` hears of whatever is
    /// decided by then.
    pub(super) async fn follow(
        &self,
        open: &mut Open<'a>,
        stop: impl Future<Output = ()>,
        followed: impl FnMut(&Followed),
    ) -> Result<(), CycleError> {
        tokio::select! {
            biased;
            () = self.once_told(stop) => Ok(()),
            failed = live::follow(self, open, followed) => failed.map(drop),
        }
    }

    /// Resolves once `stop` does and nothing is decided that nobody was told of.
    async fn once_told(&self, stop: impl Future<Output = ()>) {
        stop.await;
        let mut untold = self.untold.subscribe();
        let _ = untold.wait_for(|untold| !*untold).await;
    }

    /// Closes the sweep and writes down what it came to: its pass, if it `made` one, and why it was given
    /// up, if it was.
    pub(super) async fn end(
        &self,
        sweep: SweepId,
        outcome: Result<Outcome, CycleError>,
        made: Option<&SweepReport>,
    ) -> Result<Outcome, CycleError> {
        self.close(sweep).await;
        let made = outcome.as_ref().ok().map(|outcome| &outcome.report).or(made);
        let mut report =
            made.map_or_else(|| serde_json::json!({}), |made| made.for_keeping().to_json());
        if let Err(error) = &outcome {
            report["failed"] = in_full(error).into();
        }
        let mut tx = self.ledger.begin().await?;
        sweeps::close(&mut tx, sweep, &report.to_string(), (self.now_ms)()).await?;
        tx.commit().await?;
        outcome
    }

    /// Closes the sweep at every node that can be told, so that its keys are erased there.
    async fn close(&self, sweep: SweepId) {
        let mut patience = self.limits.call();
        if *self.going.borrow() {
            patience = patience.min(LAST_CALL);
        }
        let mut closing = Vec::new();
        for member in self.federation.members() {
            closing.push(close_one(member, sweep, patience));
        }
        join_all(closing).await;
    }
}

/// Resolves once the coordinator is told to stop.
pub(super) async fn stopped(mut going: watch::Receiver<bool>) {
    if going.wait_for(|going| *going).await.is_err() {
        std::future::pending::<()>().await;
    }
}

async fn close_one(member: &Member, sweep: SweepId, deadline: Duration) {
    if let Err(problem) = member.client(deadline).close(sweep).await {
        // The next sweep's opening closes it as well.
        tracing::warn!(agency.id = %member.id, %problem, "could not close the sweep");
    }
}
