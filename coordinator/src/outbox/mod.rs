//! Delivers what was decided, until the recipient has it on disk.
//!
//! A delivery is leased before it is tried, so that two coordinators don't both send it; a lease
//! that its holder did not settle runs out, and whoever tries again is recognised by the recipient.
//! Sent at least once and stored once comes to delivered once. What can never be delivered is given up, and
//! the operator is told so: nothing else has to wait for it.

use std::{sync::Arc, time::Duration};

use causeway_proto::{alert::Alert, pb};
use futures::future::join_all;
use prost::Message;
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use crate::{
    federation::{Federation, Problem},
    ledger::{
        Ledger, LedgerError,
        outbox::{self, Delivery},
    },
};

/// Deliveries tried at the same time.
const AT_ONCE: u32 = 16;
/// How long a delivery may take, and so how long its lease has to last.
const CALL: Duration = Duration::from_secs(15);
const LEASE: Duration = Duration::from_secs(30);
/// The first pause before a delivery is tried again, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// How long a sweep may wait for what is still to be delivered: until a dead coordinator's leases have
/// run out and each delivery was tried once.
const CATCH_UP: Duration = LEASE.saturating_add(CALL);
/// How long to sleep when nothing is due, at most: another coordinator may have died with a lease.
const IDLE: Duration = Duration::from_secs(30);

/// What became of one try.
enum Outcome {
    /// The recipient has it on disk.
    Delivered {
        /// It had it before.
        duplicate: bool,
    },
    /// Another try may pass.
    Later(Problem),
    /// No other try will.
    Never(String),
}

/// Delivers from the ledger to the federation.
#[derive(Clone)]
pub struct Courier {
    /// What is to be delivered.
    pub ledger: Ledger,
    /// To whom.
    pub federation: Arc<Federation>,
    /// Rung when something new was decided.
    pub bell: Arc<Notify>,
    /// Unix milliseconds, now.
    pub now_ms: fn() -> u64,
}

impl Courier {
    /// Delivers for ever.
    pub async fn run(self) {
        loop {
            match self.round().await {
                Ok(0) => {
                    let pause = self.until_next().await;
                    // Woken early when something was decided.
                    let _ = timeout(pause, self.bell.notified()).await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "the outbox could not be read; tries again");
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Delivers until nothing waits, or until `patience` is over. Returns how many still wait.
    pub async fn drain(&self, patience: Duration) -> Result<u64, LedgerError> {
        let deliver = async {
            loop {
                let done = self.round().await?;
                if self.waiting().await? == 0 {
                    return Ok::<_, LedgerError>(());
                }
                if done == 0 {
                    sleep(self.until_next().await.min(PAUSE)).await;
                }
            }
        };
        if let Ok(outcome) = timeout(patience, deliver).await {
            outcome?;
        }
        self.waiting().await
    }

    /// Tries everything that waits once more, now. For before a sweep: an agency that was told hands
    /// the alert's id back, and without it the same household would be told of as news.
    pub async fn catch_up(&self) -> Result<(), LedgerError> {
        let mut tx = self.ledger.begin().await?;
        outbox::hurry(&mut tx, (self.now_ms)()).await?;
        tx.commit().await?;
        let deliver = async {
            loop {
                let done = self.round().await?;
                let mut tx = self.ledger.read().await?;
                if outbox::under_way(&mut tx, (self.now_ms)()).await? == 0 {
                    return Ok::<_, LedgerError>(());
                }
                drop(tx);
                if done == 0 {
                    // Another courier has it, or had it when it died.
                    sleep(PAUSE).await;
                }
            }
        };
        match timeout(CATCH_UP, deliver).await {
            Ok(outcome) => outcome,
            // The sweep does not wait for whoever hangs.
            Err(_) => Ok(()),
        }
    }

    /// Tries what is due. Returns how many were tried.
    async fn round(&self) -> Result<usize, LedgerError> {
        let now_ms = (self.now_ms)();
        let until_ms = now_ms + u64::try_from(LEASE.as_millis()).expect("half a minute");
        let mut tx = self.ledger.begin().await?;
        let leased = outbox::lease(&mut tx, now_ms, until_ms, AT_ONCE).await?;
        tx.commit().await?;
        let tried = leased.len();
        let mut deliveries = Vec::with_capacity(tried);
        for delivery in &leased {
            deliveries.push(self.deliver(delivery));
        }
        let outcomes = join_all(deliveries).await;
        let mut erased = false;
        for (delivery, outcome) in leased.iter().zip(outcomes) {
            erased |= self.settle(delivery, outcome).await?;
        }
        if erased {
            self.ledger.forget().await?;
        }
        Ok(tried)
    }

    async fn deliver(&self, delivery: &Delivery) -> Outcome {
        let Some(member) = self.federation.member(&delivery.recipient) else {
            return Outcome::Never("it is not enrolled any more".into());
        };
        let alert = pb::Alert::decode(&*delivery.body).ok().and_then(|a| Alert::try_from(a).ok());
        let Some(alert) = alert else {
            return Outcome::Never("the outbox holds something that is no alert".into());
        };
        match member.client(CALL).deliver(alert).await {
            Ok(duplicate) => Outcome::Delivered { duplicate },
            Err(problem @ Problem::Unknown(_)) => Outcome::Never(problem.to_string()),
            Err(problem) => Outcome::Later(problem),
        }
    }

    /// Writes down what became of a delivery. Returns whether its handles were forgotten.
    async fn settle(&self, delivery: &Delivery, outcome: Outcome) -> Result<bool, LedgerError> {
        let now_ms = (self.now_ms)();
        let mut tx = self.ledger.begin().await?;
        let erased = !matches!(outcome, Outcome::Later(_));
        match outcome {
            Outcome::Delivered { duplicate } => {
                tracing::info!(
                    alert.id = %delivery.alert, revision = delivery.revision,
                    agency.id = %delivery.recipient, duplicate, "delivered"
                );
                outbox::delivered(&mut tx, delivery.id, now_ms).await?;
            }
            Outcome::Never(problem) => {
                tracing::error!(
                    alert.id = %delivery.alert, revision = delivery.revision,
                    agency.id = %delivery.recipient, %problem, "can never deliver; gives up"
                );
                outbox::give_up(&mut tx, delivery.id, now_ms, &problem).await?;
            }
            Outcome::Later(problem) => {
                let pause = pause_after(delivery.attempts, delivery.id);
                tracing::warn!(
                    alert.id = %delivery.alert, agency.id = %delivery.recipient, %problem,
                    attempts = delivery.attempts, wait_ms = pause, "could not deliver; tries again"
                );
                outbox::retry(&mut tx, delivery.id, now_ms + pause, &problem.to_string()).await?;
            }
        }
        tx.commit().await?;
        Ok(erased)
    }

    async fn waiting(&self) -> Result<u64, LedgerError> {
        let mut tx = self.ledger.read().await?;
        Ok(outbox::waiting(&mut tx).await?.0)
    }

    async fn until_next(&self) -> Duration {
        let due = async {
            let mut tx = self.ledger.read().await?;
            Ok::<_, LedgerError>(outbox::waiting(&mut tx).await?.1)
        };
        match due.await {
            Ok(Some(due)) => Duration::from_millis(due.saturating_sub((self.now_ms)())).min(IDLE),
            Ok(None) | Err(_) => IDLE,
        }
    }
}

/// Milliseconds to wait after so many attempts: twice as long every time, and up to a quarter more, another
/// share for each delivery, so that what failed together does not come back together for ever.
fn pause_after(attempts: u32, delivery: i64) -> u64 {
    const SHARES: u32 = 8;
    let pause = PAUSE.saturating_mul(1 << attempts.saturating_sub(1).min(20)).min(LONGEST_PAUSE);
    let share =
        u32::try_from(delivery.rem_euclid(i64::from(SHARES))).expect("a remainder is small");
    let pause = pause + pause / 4 * share / SHARES;
    u64::try_from(pause.as_millis()).expect("a quarter of an hour at most")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use causeway_proto::ids::AlertId;

    use super::*;

    #[tokio::test]
    async fn who_is_not_enrolled_any_more_holds_nobody_up_and_nothing_of_it_stays_on_disk() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let ledger = Ledger::open_file(&path).await.unwrap();
        let alert = AlertId::from_bytes([1; 16]);
        let mut tx = ledger.begin().await.unwrap();
        let (gone, later) = ("police".parse().unwrap(), "housing".parse().unwrap());
        outbox::put(&mut tx, alert, 1, &gone, b"the handles", 0).await.unwrap();
        outbox::put(&mut tx, alert, 1, &later, b"not due yet", u64::MAX / 4).await.unwrap();
        tx.commit().await.unwrap();
        let (federation, bell) = (Arc::new(Federation::of(Vec::new())), Arc::default());
        let courier = Courier { ledger: ledger.clone(), federation, bell, now_ms: || 1 };
        assert_eq!(courier.round().await.unwrap(), 1);

        let mut tx = ledger.read().await.unwrap();
        assert_eq!(outbox::on_its_way_to(&mut tx, alert).await.unwrap(), [later]);
        let given_up = outbox::given_up(&mut tx, 0).await.unwrap();
        assert_eq!(given_up[0].recipient, gone);
        drop(tx);
        for file in fs::read_dir(folder.path()).unwrap() {
            let bytes = fs::read(file.unwrap().path()).unwrap();
            assert!(!bytes.windows(11).any(|part| part == b"the handles"));
        }
    }

    #[test]
    fn pauses_double_end_at_ten_minutes_and_differ_from_delivery_to_delivery() {
        assert_eq!([1, 2, 3].map(|attempts| pause_after(attempts, 16)), [500, 1000, 2000]);
        assert_eq!(pause_after(1000, 0), 600_000);
        assert_eq!([1, 2, 7].map(|delivery| pause_after(3, delivery)), [2062, 2125, 2437]);
    }
}
