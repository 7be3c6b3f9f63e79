//! What a professional made of an alert.

use crate::{
    day::Day,
    ids::{AlertId, LineId, ReviewId},
    pb,
    wire::{self, WireError, wire_enum},
};

wire_enum! {
    /// What becomes of it. Five actions, any from any open state; no other workflow.
    ReviewAction, "action" {
        /// We have it.
        Acting = "acting",
        /// A colleague elsewhere was asked.
        PassOn = "pass_on",
        /// Somebody was on it before the alert came.
        AlreadyInHand = "in_hand",
        /// Nothing has to be done.
        NoFurtherAction = "no_further_action",
        /// A line belongs to somebody else.
        WrongRecord = "wrong_record",
    }
}

wire_enum! {
    /// Why nothing has to be done, or not by us.
    ReviewReason, "reason" {
        /// There is nothing to worry about.
        NotAConcern = "not_a_concern",
        /// There is a harmless explanation.
        BenignExplanation = "benign_explanation",
        /// There is something, and not enough for us to act on.
        BelowThreshold = "below_threshold",
        /// It was told before, in another way.
        Duplicate = "duplicate",
        /// Somebody works with them already.
        WorkerAlreadyInvolved = "worker_already_involved",
    }
}

/// One review. What its action needs is there, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Review {
    /// The node's own id of it: sent twice, it is one review.
    pub id: ReviewId,
    /// Of which alert.
    pub alert: AlertId,
    /// Of which revision.
    pub revision: u32,
    /// What becomes of it.
    pub action: ReviewAction,
    /// Why, for [`AlreadyInHand`](ReviewAction::AlreadyInHand) and
    /// [`NoFurtherAction`](ReviewAction::NoFurtherAction).
    pub reason: Option<ReviewReason>,
    /// The line that does not belong, for [`WrongRecord`](ReviewAction::WrongRecord).
    pub line: Option<LineId>,
    /// When.
    pub day: Day,
}

impl Review {
    /// Checks that it says what its action needs.
    pub fn check(self) -> Result<Self, WireError> {
        let needs_reason =
            matches!(self.action, ReviewAction::AlreadyInHand | ReviewAction::NoFurtherAction);
        let rule = "left out: only in-hand and no-further-action have a reason";
        match (needs_reason, self.reason) {
            (true, None) => return Err(WireError::Missing("reason")),
            (false, Some(_)) => return Err(WireError::Invalid { field: "reason", rule }),
            _ => {}
        }
        let rule = "left out: only wrong-record names a line";
        match (self.action == ReviewAction::WrongRecord, self.line) {
            (true, None) => Err(WireError::Missing("line_id")),
            (false, Some(_)) => Err(WireError::Invalid { field: "line_id", rule }),
            _ => Ok(self),
        }
    }
}

/// Reads a reason; `None` where there is none.
pub fn reason(value: i32) -> Result<Option<ReviewReason>, WireError> {
    match value {
        0 => Ok(None),
        value => ReviewReason::from_wire(value).map(Some),
    }
}

/// Reads the name of a line; `None` where there is none.
pub fn line(bytes: &[u8]) -> Result<Option<LineId>, WireError> {
    match bytes {
        [] => Ok(None),
        bytes => LineId::from_wire("line_id", bytes).map(Some),
    }
}

// === wire ===

impl From<Review> for pb::SubmitReviewRequest {
    fn from(review: Review) -> Self {
        Self {
            review_id: review.id.as_bytes().to_vec(),
            alert_id: review.alert.as_bytes().to_vec(),
            revision: review.revision,
            action: review.action.to_wire(),
            reason: review.reason.map_or(0, ReviewReason::to_wire),
            line_id: review.line.map(|line| line.as_bytes().to_vec()).unwrap_or_default(),
            reviewed_day: review.day.number(),
        }
    }
}

impl TryFrom<pb::SubmitReviewRequest> for Review {
    type Error = WireError;

    fn try_from(request: pb::SubmitReviewRequest) -> Result<Self, WireError> {
        wire::required("revision", (request.revision > 0).then_some(()))?;
        Self {
            id: ReviewId::from_wire("review_id", &request.review_id)?,
            alert: AlertId::from_wire("alert_id", &request.alert_id)?,
            revision: request.revision,
            action: ReviewAction::from_wire(request.action)?,
            reason: reason(request.reason)?,
            line: line(&request.line_id)?,
            day: Day::from_wire("reviewed_day", request.reviewed_day)?,
        }
        .check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_review_says_what_its_action_needs_and_nothing_else() {
        let review = |action, reason, line| Review {
            id: ReviewId::from_bytes([1; 16]),
            alert: AlertId::from_bytes([2; 16]),
            revision: 1,
            action,
            reason,
            line,
            day: Day::new(2025, 2, 25).unwrap(),
        };
        let (reason, line) = (ReviewReason::Duplicate, LineId::from_bytes([3; 16]));
        use ReviewAction as A;
        for good in [
            review(A::Acting, None, None),
            review(A::PassOn, None, None),
            review(A::AlreadyInHand, Some(reason), None),
            review(A::NoFurtherAction, Some(reason), None),
            review(A::WrongRecord, None, Some(line)),
        ] {
            let wire = pb::SubmitReviewRequest::from(good.clone());
            assert_eq!(Review::try_from(wire), Ok(good));
        }
        assert_eq!(
            review(A::NoFurtherAction, None, None).check(),
            Err(WireError::Missing("reason"))
        );
        assert_eq!(review(A::WrongRecord, None, None).check(), Err(WireError::Missing("line_id")));
        assert!(review(A::Acting, Some(reason), None).check().is_err());
        assert!(review(A::Acting, None, Some(line)).check().is_err());
    }
}
