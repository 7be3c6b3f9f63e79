//! The agency's own systems read their inbox.

use causeway_proto::{
    day::Day,
    ids::AlertId,
    pb::{self, inbox_service_server::InboxService},
    refusal,
    review::{self, ReviewAction},
    wire::WireError,
};
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    arrivals::Arrivals,
    status,
};
use crate::{
    inbox::{
        self, Shown,
        answer::{self, AnswerError},
    },
    store::alerts,
};

#[tonic::async_trait]
impl InboxService for Node {
    type WatchInboxStream = Arrivals;

    #[tracing::instrument(name = "inbox.list", skip_all)]
    async fn list_alerts(
        &self,
        request: Request<pb::ListAlertsRequest>,
    ) -> Result<Response<pb::ListAlertsResponse>, Status> {
        let asked = Asked::of("ListAlerts", &request, &[], 1);
        let answer = self.list(request.into_inner()).await;
        self.conclude(asked, answer).await
    }

    #[tracing::instrument(name = "inbox.get", skip_all)]
    async fn get_alert(
        &self,
        request: Request<pb::GetAlertRequest>,
    ) -> Result<Response<pb::GetAlertResponse>, Status> {
        let asked = Asked::of("GetAlert", &request, &[], 1);
        let answer = self.get(&request.get_ref().alert_id).await;
        self.conclude(asked, answer).await
    }

    #[tracing::instrument(name = "inbox.review", skip_all)]
    async fn review_alert(
        &self,
        request: Request<pb::ReviewAlertRequest>,
    ) -> Result<Response<pb::ReviewAlertResponse>, Status> {
        let asked = Asked::of("ReviewAlert", &request, &[], 1);
        let answer = self.review(request.into_inner()).await;
        self.conclude(asked, answer).await
    }

    #[tracing::instrument(name = "inbox.watch", skip_all)]
    async fn watch_inbox(
        &self,
        request: Request<pb::WatchInboxRequest>,
    ) -> Result<Response<Arrivals>, Status> {
        let asked = Asked::of("WatchInbox", &request, &[], 1);
        let answer = self.arrivals(request.get_ref().after, asked.clone());
        self.conclude_stream(asked, answer).await
    }
}

impl Node {
    async fn list(&self, request: pb::ListAlertsRequest) -> Answer<pb::ListAlertsResponse> {
        let size = match request.page_size {
            0 => 50,
            size => size.min(200),
        };
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(token.parse().map_err(|_| {
                Status::from(WireError::Invalid { field: "page_token", rule: "one that came back" })
            })?),
        };
        let mut conn = self.store.snapshot().await.map_err(status::store)?;
        let page = inbox::list(&mut conn, before, size).await.map_err(status::store)?;
        let full = page.len() == size as usize;
        let last = page.last().map(|entry| entry.position.to_string());
        let entries: Vec<pb::InboxEntry> = page
            .into_iter()
            .filter(|entry| request.include_closed || entry.is_open())
            .map(entry)
            .collect();
        let next_page_token = last.filter(|_| full).unwrap_or_default();
        Ok((entries.len() as u64, pb::ListAlertsResponse { entries, next_page_token }))
    }

    async fn get(&self, id: &[u8]) -> Answer<pb::GetAlertResponse> {
        let id = AlertId::from_wire("alert_id", id)?;
        let mut tx = self.store.begin().await.map_err(status::store)?;
        let shown = inbox::get(&mut tx, id).await.map_err(status::store)?;
        let mut shown = shown.ok_or_else(no_such_alert)?;
        // Whoever fetches it whole has opened it.
        let now_ms = (self.now_ms)();
        let marked = alerts::mark_read(&mut tx, id, shown.alert.revision, now_ms).await;
        marked.map_err(status::store)?;
        tx.commit().await.map_err(|error| status::store(error.into()))?;
        shown.read_ms = shown.read_ms.or(Some(now_ms));
        Ok((1, pb::GetAlertResponse { entry: Some(entry(shown)) }))
    }

    /// Keeps an answer and has it passed on.
    async fn review(&self, request: pb::ReviewAlertRequest) -> Answer<pb::ReviewAlertResponse> {
        let id = AlertId::from_wire("alert_id", &request.alert_id)?;
        let given = answer::Answer {
            action: ReviewAction::from_wire(request.action)?,
            reason: review::reason(request.reason)?,
            line: review::line(&request.line_id)?,
        };
        let mut tx = self.store.begin().await.map_err(status::store)?;
        let shown = inbox::get(&mut tx, id).await.map_err(status::store)?;
        let shown = shown.ok_or_else(no_such_alert)?;
        if shown.alert.revision != request.revision {
            let message = "there is another revision by now: read it, and answer that one";
            return Err(refusal::status(Code::FailedPrecondition, "OLD_REVISION", message));
        }
        let now_ms = (self.now_ms)();
        let when = (Day::of_unix_ms(now_ms.cast_signed()), now_ms);
        let kept = answer::answer(&mut tx, &shown, given, when).await;
        let kept = kept.map_err(|error| match error {
            AnswerError::Incomplete(error) => error.into(),
            AnswerError::Store(error) => status::store(error),
            AnswerError::Withdrawn => {
                refusal::status(Code::FailedPrecondition, "WITHDRAWN", error.to_string())
            }
            AnswerError::NoSuchLine(_) | AnswerError::TooEarly(_) | AnswerError::NoRandomness => {
                refusal::status(Code::InvalidArgument, "INVALID_MESSAGE", error.to_string())
            }
        })?;
        tx.commit().await.map_err(|error| status::store(error.into()))?;
        self.reviewed.notify_one();
        Ok((1, pb::ReviewAlertResponse { review_id: kept.id.as_bytes().to_vec() }))
    }
}

fn no_such_alert() -> Status {
    refusal::status(Code::NotFound, "NO_SUCH_ALERT", "no alert of that id is in this inbox")
}

/// Returns an alert as the agency's own systems are told of it.
pub(super) fn entry(shown: Shown) -> pb::InboxEntry {
    let last_action = shown.review.as_ref().map_or(0, |kept| kept.review.action.to_wire());
    pb::InboxEntry {
        position: shown.position,
        alert: Some(shown.alert.into()),
        records: shown
            .records
            .into_iter()
            .map(|(feed, reference)| pb::RecordReference { feed, reference })
            .collect(),
        received_ms: shown.received_ms,
        last_action,
        read_ms: shown.read_ms,
        action_seen_day: shown.action_seen.map(Day::number),
    }
}
