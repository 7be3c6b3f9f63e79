//! Answering an alert: five actions, at most two things to type, and the rest happens by itself.
//!
//! A review is on disk before anybody is told that it was taken. [`Sender`] passes it on to the
//! coordinator until that has it on disk, too; sent twice, it is one review.

use std::{sync::Arc, time::Duration};

use causeway_certs::dial::connect_problem;
use causeway_proto::{
    alert::Alert,
    day::Day,
    ids::{LineId, ReviewId},
    limits::MESSAGE_BYTES,
    pb::{self, review_service_client::ReviewServiceClient},
    refusal,
    review::{Review, ReviewAction, ReviewReason},
    wire::WireError,
};
use ring::rand::{SecureRandom, SystemRandom};
use sqlx::SqliteConnection;
use tokio::{sync::Notify, time::timeout};
use tonic::{Code, Request, Status, transport::Channel};

use super::Shown;
use crate::{
    policy::current::Current,
    store::{Store, StoreError, reviews},
};

/// A review that cannot be taken, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// It lacks something, or says too much.
    #[error("the answer is not whole")]
    Incomplete(#[from] WireError),
    /// There is no such line.
    #[error("the alert has {0} reasons: `--line` is the number of one of them in `inbox show`")]
    NoSuchLine(usize),
    /// Nobody can have answered it yet on that day.
    #[error(
        "the alert is of {0}, and a review cannot be of an earlier day: is the day right, and the clock?"
    )]
    TooEarly(Day),
    /// It was withdrawn, so there is nothing to answer.
    #[error("the alert was withdrawn: there is nothing to answer")]
    Withdrawn,
    /// The machine has no randomness to give.
    #[error("the machine has no randomness to give")]
    NoRandomness,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a professional types.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// What becomes of it.
    pub action: ReviewAction,
    /// Why, where the action needs it.
    pub reason: Option<ReviewReason>,
    /// The line that does not belong, where the action needs it.
    pub line: Option<LineId>,
}

/// Returns the name of a line by its number in the letter, from 1.
pub fn line(alert: &Alert, number: usize) -> Result<LineId, AnswerError> {
    let line = number.checked_sub(1).and_then(|at| alert.lines.get(at));
    line.map(|line| line.line).ok_or(AnswerError::NoSuchLine(alert.lines.len()))
}

/// By so many days the coordinator's clock may be ahead of ours.
const CLOCKS_APART: i32 = 1;

/// Keeps a review of an alert, in the caller's transaction.
///
/// # Errors
/// Refuses what the coordinator would: an answer that lacks something, to nothing, or of a day before the
/// alert. A trial's alert may be of a later day than it came on, and its review of either.
pub async fn answer(
    conn: &mut SqliteConnection,
    Shown { alert, received_ms, .. }: &Shown,
    answer: Answer,
    (day, now_ms): (Day, u64),
) -> Result<Review, AnswerError> {
    if alert.change == causeway_proto::alert::AlertChange::Cancel {
        return Err(AnswerError::Withdrawn);
    }
    if let Some(line) = answer.line
        && alert.lines.iter().all(|known| known.line != line)
    {
        return Err(AnswerError::NoSuchLine(alert.lines.len()));
    }
    let first = alert.as_at.min(Day::of_unix_ms(received_ms.cast_signed()));
    if first.since(day) > CLOCKS_APART {
        return Err(AnswerError::TooEarly(first));
    }
    let mut id = [0; 16];
    SystemRandom::new().fill(&mut id).map_err(|_| AnswerError::NoRandomness)?;
    let review = Review {
        id: ReviewId::from_bytes(id),
        alert: alert.id,
        revision: alert.revision,
        action: answer.action,
        reason: answer.reason,
        line: answer.line,
        day,
    }
    .check()?;
    reviews::put(conn, &review, now_ms).await?;
    Ok(review)
}

/// How long the coordinator may take to store a review.
const CALL: Duration = Duration::from_secs(15);
/// How long a review that another process kept may lie before it is noticed.
const LOOK: Duration = Duration::from_secs(1);
/// The first pause after an attempt in vain, and the longest.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);
/// Reviews sent in one go.
const AT_ONCE: u32 = 16;

/// Passes reviews on.
pub struct Sender {
    /// Where they are kept.
    pub store: Store,
    /// Leads to the coordinator.
    pub channel: Channel,
    /// Rung when one was kept by this process.
    pub bell: Arc<Notify>,
    /// Nothing is passed on while the agency has stopped its node.
    pub policy: Arc<Current>,
    /// Unix milliseconds, now.
    pub now_ms: fn() -> u64,
}

impl Sender {
    /// Passes reviews on for ever.
    pub async fn run(self) {
        loop {
            match self.round().await {
                Ok(0) => {
                    let _ = timeout(LOOK, self.bell.notified()).await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::error!(%error, "reviews could not be read; tries again");
                    tokio::time::sleep(LOOK).await;
                }
            }
        }
    }

    /// Tries what is due. Returns how many were tried.
    async fn round(&self) -> Result<usize, StoreError> {
        if self.policy.is_killed() {
            return Ok(0);
        }
        let mut conn = self.store.read().await?;
        let due = reviews::due(&mut conn, (self.now_ms)(), AT_ONCE).await?;
        drop(conn);
        for kept in &due {
            let mut request = Request::new(pb::SubmitReviewRequest::from(kept.review.clone()));
            request.set_timeout(CALL);
            let mut client = ReviewServiceClient::new(self.channel.clone())
                .max_decoding_message_size(MESSAGE_BYTES);
            let outcome = timeout(CALL, client.submit_review(request)).await;
            let (problem, for_good) = match outcome {
                Ok(Ok(_)) => (None, false),
                Ok(Err(status)) => (Some(connect_problem(&status)), is_for_good(&status)),
                Err(_) => (Some("the coordinator did not answer in time".to_owned()), false),
            };
            let mut tx = self.store.begin().await?;
            match problem {
                None => {
                    tracing::info!(alert.id = %kept.review.alert, "a review is with the coordinator");
                    reviews::sent(&mut tx, kept.review.id, (self.now_ms)()).await?;
                }
                Some(problem) if for_good => {
                    tracing::error!(
                        alert.id = %kept.review.alert, problem,
                        "the coordinator refused a review for good; `inbox list` says so, too"
                    );
                    reviews::give_up(&mut tx, kept.review.id, &problem).await?;
                }
                Some(problem) => {
                    let wait_ms = pause_after(kept.attempts);
                    tracing::warn!(
                        alert.id = %kept.review.alert, problem, wait_ms,
                        "a review could not be passed on; tries again"
                    );
                    let next = (self.now_ms)() + wait_ms;
                    reviews::retry(&mut tx, kept.review.id, next, &problem).await?;
                }
            }
            tx.commit().await?;
        }
        Ok(due.len())
    }
}

/// Returns whether the coordinator will never take a review: it gave a reason that lies in the review.
fn is_for_good(status: &Status) -> bool {
    let reason = refusal::reason(status);
    matches!(
        (status.code(), reason.as_deref()),
        (Code::InvalidArgument, Some("INVALID_MESSAGE"))
            | (Code::NotFound, Some("NO_SUCH_ALERT"))
            | (Code::ResourceExhausted, Some("TOO_MANY_REVIEWS"))
    )
}

/// Milliseconds to wait after so many attempts in vain: twice as long every time.
fn pause_after(attempts: u32) -> u64 {
    let pause = PAUSE.saturating_mul(1 << attempts.min(20));
    u64::try_from(pause.min(LONGEST_PAUSE).as_millis()).expect("ten minutes at most")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inbox::{Standing, an_alert, letter};

    const DAY_MS: u64 = 86_400_000;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    /// An alert that came on another day.
    fn shown(received: &str) -> Shown {
        let alert = an_alert();
        let received_ms = u64::try_from(day(received).number()).unwrap() * DAY_MS;
        let (records, read_ms) = (vec![], Some(received_ms));
        Shown { position: 1, alert, records, received_ms, read_ms, review: None, action_seen: None }
    }

    #[tokio::test]
    async fn a_review_of_a_day_before_its_alert_is_refused_at_once() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let acting = Answer { action: ReviewAction::Acting, reason: None, line: None };
        let mut on = async |received: &str, says: &str| {
            let when = (day(says), 1);
            answer(&mut conn, &shown(received), acting, when).await.map_err(|e| e.to_string())
        };
        let refused = on("2025-02-26", "2020-01-01").await.unwrap_err();
        assert!(refused.starts_with("the alert is of 2025-02-25, and"), "{refused}");
        assert!(on("2025-02-26", "2025-02-23").await.is_err());
        assert!(on("2025-02-26", "2025-02-24").await.is_ok(), "clocks differ");
        // In a trial, of a day long ago or yet to come.
        assert!(on("2026-07-01", "2025-02-26").await.is_ok());
        assert!(on("2024-07-01", "2024-07-01").await.is_ok());
    }

    #[tokio::test]
    async fn an_answer_that_is_never_taken_leaves_the_alert_open_and_says_why() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let mut shown = shown("2025-02-25");
        let acting = Answer { action: ReviewAction::Acting, reason: None, line: None };
        let review = answer(&mut conn, &shown, acting, (day("2025-02-25"), 1)).await.unwrap();
        reviews::give_up(&mut conn, review.id, "too many answers").await.unwrap();
        shown.review = reviews::latest(&mut conn, shown.alert.id).await.unwrap();
        assert_eq!(shown.standing(), Standing::Read);
        let line = letter::line(&shown, shown.received_ms);
        assert!(line.contains("NOT TAKEN by the coordinator (too many answers)"), "{line}");
    }

    #[test]
    fn only_what_lies_in_the_review_is_for_good() {
        let refused = |code, reason| is_for_good(&refusal::status(code, reason, "no"));
        assert!(refused(Code::InvalidArgument, "INVALID_MESSAGE"));
        assert!(refused(Code::ResourceExhausted, "TOO_MANY_REVIEWS"));
        assert!(!refused(Code::PermissionDenied, "ROLE_NOT_ALLOWED"), "it may be enrolled yet");
        assert!(!is_for_good(&Status::not_found("no reason")));
    }
}
