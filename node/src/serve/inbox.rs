//! The agency's own systems read their inbox.

use std::pin::Pin;

use causeway_proto::{
    ids::AlertId,
    pb::{self, inbox_service_server::InboxService},
    refusal,
    wire::WireError,
};
use futures::Stream;
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    status,
};
use crate::inbox::{self, Shown};

#[tonic::async_trait]
impl InboxService for Node {
    type WatchInboxStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchInboxResponse, Status>> + Send>>;

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

    async fn review_alert(
        &self,
        _: Request<pb::ReviewAlertRequest>,
    ) -> Result<Response<pb::ReviewAlertResponse>, Status> {
        Err(refusal::not_yet("ReviewAlert"))
    }

    async fn watch_inbox(
        &self,
        _: Request<pb::WatchInboxRequest>,
    ) -> Result<Response<Self::WatchInboxStream>, Status> {
        Err(refusal::not_yet("WatchInbox"))
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
        let mut conn = self.store.snapshot().await.map_err(status::store)?;
        match inbox::get(&mut conn, id).await.map_err(status::store)? {
            Some(shown) => Ok((1, pb::GetAlertResponse { entry: Some(entry(shown)) })),
            None => Err(refusal::status(
                Code::NotFound,
                "NO_SUCH_ALERT",
                "no alert of that id is in this inbox",
            )),
        }
    }
}

fn entry(shown: Shown) -> pb::InboxEntry {
    pb::InboxEntry {
        position: shown.position,
        alert: Some(shown.alert.into()),
        records: shown
            .records
            .into_iter()
            .map(|(feed, reference)| pb::RecordReference { feed, reference })
            .collect(),
        received_ms: shown.received_ms,
        last_action: pb::ReviewAction::Unspecified.into(),
    }
}
