//! Makes sweeps, one at a time: a pass, or a pass whose changes are followed.

use std::{
    future::Future,
    sync::{Arc, PoisonError, atomic::Ordering},
};

use causeway_proto::{day::Day, ids::SweepId};
use tokio::{
    sync::{OwnedMutexGuard, watch},
    time::sleep,
};

use super::{AppError, Coordinator, Parts};
use crate::{
    clock,
    config::ScheduleConfig,
    cycle::{
        Cycle, Linked, Outcome, in_full,
        live::Followed,
        progress::{self, Progress},
        received::Received,
        report::SweepReport,
    },
    ledger::sweeps::{self, Claim},
    score::Model,
};

/// The right to sweep: one at a time, on one ledger.
pub struct Turn(
    #[expect(dead_code, reason = "held, not read")] Claim,
    #[expect(dead_code, reason = "held, not read")] OwnedMutexGuard<()>,
);

/// What is asked of a sweep.
#[derive(Clone, Copy)]
pub struct How<'a> {
    /// The day that it speaks of.
    pub as_at: Day,
    /// A model to try beside the one in use.
    pub shadow: Option<&'a Model>,
    /// How many of its weakest links it explains.
    pub weakest: u32,
}

/// What a sweep came to.
pub struct Swept {
    /// Which.
    pub sweep: SweepId,
    /// For people and machines.
    pub report: SweepReport,
    /// For measuring only.
    pub linked: Linked,
    /// For measuring only, where the settings ask for it.
    pub received: Option<Received>,
}

/// Why a sweep that was followed came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Whoever followed it does so no more.
    Unwatched,
    /// Another sweep was asked for.
    MadeWay,
    /// The coordinator was told to stop.
    GoingDown,
}

/// What a sweep that is watched has to tell.
pub enum Heard<'a> {
    /// The result of its pass.
    Swept(&'a SweepReport),
    /// What a burst of changes came to.
    Followed(&'a Followed),
}

impl Coordinator {
    /// Claims the right to sweep. A sweep that only follows changes is closed to make way.
    ///
    /// # Errors
    /// Fails while another sweep makes its pass, or while another coordinator on the same ledger sweeps.
    pub async fn turn(&self) -> Result<Turn, AppError> {
        let Parts { sweeping, following, .. } = &*self.0;
        let mine = match sweeping.clone().try_lock_owned() {
            Ok(mine) => mine,
            Err(_) if !following.now.load(Ordering::SeqCst) => return Err(AppError::Running),
            Err(_) => {
                following.make_way.send_modify(|asked| *asked += 1);
                sweeping.clone().lock_owned().await
            }
        };
        self.claim(mine).await
    }

    /// Claims the right among the coordinators on this ledger, where nobody else sweeps here.
    async fn claim(&self, mine: OwnedMutexGuard<()>) -> Result<Turn, AppError> {
        let claim = sweeps::claim(&self.0.ledger).await?.ok_or(AppError::Elsewhere)?;
        Ok(Turn(claim, mine))
    }

    /// Makes one pass, and sees that its alerts are on their way. A shadow model is tried
    /// beside the one in use, and tells nobody.
    pub async fn sweep(
        &self,
        turn: Turn,
        how: How<'_>,
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
    ) -> Result<Swept, AppError> {
        let made = Box::pin(self.make_pass(turn, how, tell)).await;
        self.remember(&made);
        made
    }

    async fn make_pass(
        &self,
        turn: Turn,
        how: How<'_>,
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
    ) -> Result<Swept, AppError> {
        let received = self.0.config.sweep.measure_dump.then(Received::default);
        self.courier().catch_up().await?;
        let outcome = self.cycle(&*tell, received.as_ref(), false, how).run(how.as_at).await?;
        self.0.bell.notify_one();
        drop(turn);
        let Outcome { sweep, report, linked } = outcome;
        Ok(Swept { sweep, report, linked, received })
    }

    /// Makes one pass and follows what changes until `stop` resolves, or until another
    /// sweep is asked for, or the coordinator is told to stop. What is decided is delivered all the while.
    pub async fn watch(
        &self,
        turn: Turn,
        how: How<'_>,
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
        stop: impl Future<Output = ()>,
        heard: impl FnMut(Heard<'_>) + Send,
    ) -> Result<Ended, AppError> {
        let made = Box::pin(self.follow(turn, how, tell, stop, heard)).await;
        self.remember(&made);
        made
    }

    /// Keeps in mind whether the last sweep was given up, and why.
    fn remember<T>(&self, made: &Result<T, AppError>) {
        let failed = made.as_ref().err().map(|error| in_full(error));
        *self.0.failed.lock().unwrap_or_else(PoisonError::into_inner) = failed;
    }

    async fn follow(
        &self,
        turn: Turn,
        how: How<'_>,
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
        stop: impl Future<Output = ()>,
        mut heard: impl FnMut(Heard<'_>) + Send,
    ) -> Result<Ended, AppError> {
        let Parts { following, bell, going, .. } = &*self.0;
        self.courier().catch_up().await?;
        let heard = std::sync::Mutex::new(&mut heard);
        let hear = |news: Heard<'_>| {
            bell.notify_one();
            heard.lock().unwrap_or_else(PoisonError::into_inner)(news);
        };
        let swept = |report: &SweepReport| {
            following.now.store(true, Ordering::SeqCst);
            self.remember::<()>(&Ok(()));
            hear(Heard::Swept(report));
        };
        let mut make_way = following.make_way.subscribe();
        let mut going = going.subscribe();
        let mut ended = Ended::Unwatched;
        let until = async {
            ended = tokio::select! {
                () = stop => Ended::Unwatched,
                _ = make_way.changed() => Ended::MadeWay,
                _ = going.wait_for(|going| *going) => Ended::GoingDown,
            }
        };
        let cycle = self.cycle(&*tell, None, true, how);
        let outcome =
            cycle.watch(how.as_at, until, swept, |burst| hear(Heard::Followed(burst))).await;
        following.now.store(false, Ordering::SeqCst);
        drop(turn);
        outcome?;
        Ok(ended)
    }

    fn cycle<'a>(
        &'a self,
        tell: &'a (dyn Fn(progress::Event) + Send + Sync),
        received: Option<&'a Received>,
        follows: bool,
        how: How<'a>,
    ) -> Cycle<'a> {
        let parts = &*self.0;
        Cycle {
            federation: &parts.federation,
            ledger: &parts.ledger,
            model: &parts.model,
            shadow: how.shadow,
            weakest: how.weakest,
            purposes: &parts.config.purposes,
            limits: &parts.config.sweep,
            now_ms: clock::now_ms,
            progress: Progress(tell),
            received,
            follows,
            reviewed: &parts.reviewed,
            going: parts.going.subscribe(),
            untold: watch::Sender::new(false),
        }
    }

    /// Has a sweep that is running be closed, and no other begin. Returns once nobody sweeps.
    pub async fn go_down(&self) {
        let Parts { going, sweeping, .. } = &*self.0;
        going.send_replace(true);
        drop(sweeping.lock().await);
    }

    /// Keeps a sweep open for ever: a new one every day at the same time, and after every one that
    /// was asked for. While another coordinator on the same ledger does so, it only delivers.
    pub(super) async fn keep_sweeping(self, schedule: ScheduleConfig) {
        let tell: Arc<dyn Fn(progress::Event) + Send + Sync> = Arc::new(|event| {
            if let Some(problem) = &event.problem {
                tracing::warn!(step = event.step.as_str(), %problem, "a sweep goes on without a node");
            }
        });
        let mut stands_by = false;
        loop {
            let mine = self.0.sweeping.clone().lock_owned().await;
            if *self.0.going.borrow() {
                return;
            }
            match self.keep_open(mine, schedule, tell.clone()).await {
                Ok(_) => stands_by = false,
                Err(AppError::Elsewhere) => {
                    if !std::mem::replace(&mut stands_by, true) {
                        tracing::info!(
                            "another coordinator on this ledger sweeps; this one delivers"
                        );
                    }
                    self.remember::<()>(&Ok(()));
                    sleep(self.0.config.sweep.rejoin()).await;
                }
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a sweep failed");
                    self.remember::<()>(&Err(error));
                    sleep(self.0.config.sweep.rejoin()).await;
                }
            }
        }
    }

    /// Keeps one sweep open until the next is due.
    async fn keep_open(
        &self,
        mine: OwnedMutexGuard<()>,
        schedule: ScheduleConfig,
        tell: Arc<dyn Fn(progress::Event) + Send + Sync>,
    ) -> Result<Ended, AppError> {
        let turn = self.claim(mine).await?;
        let shadow = self.shadow(None)?;
        let how = How { as_at: clock::today(), shadow: shadow.as_ref(), weakest: 0 };
        let stop = sleep(schedule.daily_at.from(clock::now_ms()));
        let heard = |heard: Heard<'_>| match heard {
            Heard::Swept(report) => tracing::info!(
                sweep = report.sweep,
                persons = report.persons,
                alerts = report.alerts.len(),
                "made a pass, and follows what changes"
            ),
            Heard::Followed(burst) => tracing::info!(
                came = burst.came,
                left = burst.left,
                facts = burst.facts,
                alerts = burst.alerts.len(),
                total_ms = (burst.seconds.total * 1000.0) as u64,
                "took in a change"
            ),
        };
        self.watch(turn, how, tell, stop, heard).await
    }
}
