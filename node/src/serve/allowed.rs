//! What the agency's policy allows when a question is answered, and not when the sweep was opened.

use std::{
    pin::Pin,
    time::{Duration, Instant},
};

use causeway_proto::{catalogue::Purpose, day::Day, refusal};
use futures::{Stream, StreamExt, stream};
use tokio::{
    select,
    time::{interval, sleep},
};
use tonic::{Code, Status};

use super::{Node, answer::Asked, session::Session, status};
use crate::policy::Policy;

/// How long an open stream waits for a policy file that cannot be followed, and how often it looks.
const WRITING: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Why nothing is said without a file that can be followed.
const UNUSABLE: &str = "POLICY_UNUSABLE";
/// How often an open stream looks whether the agency has stopped its node.
const KILL_CHECK: Duration = Duration::from_millis(250);

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Node {
    /// Refuses whatever is asked while the agency has stopped its node.
    pub(super) fn check_going(&self) -> Result<(), Status> {
        if self.policy.is_killed() { Err(killed()) } else { Ok(()) }
    }

    /// Lets a stream go on for as long as the agency does not stop its node, and ends it with the reason.
    pub(super) fn while_going<T: Send + 'static>(&self, answers: Answers<T>) -> Answers<T> {
        let state = Some((self.clone(), answers, interval(KILL_CHECK)));
        let guarded = stream::unfold(state, async |state| {
            let (node, mut answers, mut look) = state?;
            loop {
                select! {
                    biased;
                    _ = look.tick() => {
                        if let Err(stopped) = node.check_going() {
                            return Some((Err(stopped), None));
                        }
                    }
                    answer = answers.next() => return Some((answer?, Some((node, answers, look)))),
                }
            }
        });
        guarded.boxed()
    }

    /// Returns what policy allows now in a sweep as at a day. Without a file that can be followed, or with
    /// agreements that have ended, nothing.
    pub(super) fn policy_for(&self, as_at: Day) -> Result<Policy, Status> {
        // Read once: an open stream asks before each message.
        match self.policy.now() {
            None => {
                let message = "the node's policy file cannot be followed, so it tells nothing: its operator \
                               finds the reason in its log";
                Err(refusal::status(Code::FailedPrecondition, UNUSABLE, message))
            }
            Some(policy) if policy.killed => Err(killed()),
            Some(policy) => Ok(policy.in_force(self.day_of_agreements(as_at))),
        }
    }

    /// The same, with those of some purposes that it allows: there is one at least.
    pub(super) fn allowed(
        &self,
        purposes: &[Purpose],
        as_at: Day,
    ) -> Result<(Policy, Vec<Purpose>), Status> {
        let policy = self.policy_for(as_at)?;
        let purposes = policy.allowed(purposes);
        if purposes.is_empty() {
            let message = "the node's policy allows none of these purposes on that day";
            return Err(refusal::status(Code::PermissionDenied, "DENIED_POLICY", message));
        }
        Ok((policy, purposes))
    }

    /// The same for an open stream of a sweep that is not over, before it says anything more. A file that cannot
    /// be followed keeps it waiting at first: somebody may be writing it. That policy ends it is in the audit table.
    pub(super) async fn still_allowed(
        &self,
        session: &Session,
        asked: &Asked,
    ) -> Result<Policy, Status> {
        if self.is_out_of_date(session.as_at()) {
            self.end_out_of_date(&mut *self.session.lock().await).await?;
        }
        if session.is_over() {
            return Err(status::sweep_closed());
        }
        let until = Instant::now() + WRITING;
        loop {
            match self.allowed(session.purposes(), session.as_at()) {
                Ok((policy, _)) => return Ok(policy),
                Err(refused) if is_unusable(&refused) && Instant::now() < until => {
                    sleep(LOOK_EVERY).await;
                }
                Err(refused) => return Err(self.refuse_midway(asked, refused).await),
            }
        }
    }
}

fn killed() -> Status {
    let message = "the agency has stopped this node by its kill switch, and it tells nothing";
    refusal::status(Code::FailedPrecondition, "KILLED", message)
}

fn is_unusable(refused: &Status) -> bool {
    refusal::reason(refused).as_deref() == Some(UNUSABLE)
}
