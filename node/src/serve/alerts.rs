//! Receives alerts: on disk first, acknowledged after.

use causeway_proto::{
    alert::{Alert, AlertChange},
    ids::{Handle, MemoId},
    pb::{self, alert_service_server::AlertService},
    refusal,
    sweep::{Memo, MemoKind},
};
use prost::Message;
use sqlx::SqliteConnection;
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    memos::Finding,
    status,
};
use crate::{
    store::{StoreError, alerts, records},
    tokenise::chain::OwnKeys,
};

#[tonic::async_trait]
impl AlertService for Node {
    #[tracing::instrument(name = "alerts.deliver", skip_all)]
    async fn deliver_alert(
        &self,
        request: Request<pb::DeliverAlertRequest>,
    ) -> Result<Response<pb::DeliverAlertResponse>, Status> {
        let sweep = request.get_ref().alert.as_ref().map_or(&[][..], |alert| &alert.sweep_id);
        let asked = Asked::of("DeliverAlert", &request, sweep, 1);
        let answer = self.deliver(request.into_inner(), asked.clone()).await;
        self.conclude(asked, answer).await
    }
}

impl Node {
    async fn deliver(
        &self,
        request: pb::DeliverAlertRequest,
        asked: Asked,
    ) -> Answer<pb::DeliverAlertResponse> {
        // It tells nothing, but whoever stops a node wants nothing to happen; the alert waits.
        self.check_going()?;
        let body = request.alert.as_ref().map(Message::encode_to_vec).unwrap_or_default();
        let alert = Alert::try_from(request)?;
        // The handles outlive their sweep here: our own key still leads back to our own records.
        let handle_key = self.keyring.handle_key().map_err(status::keyring)?;
        let own = OwnKeys::new(&handle_key, &alert.sweep);
        let rows: Option<Vec<u64>> = alert.handles.iter().map(|h| own.record(*h)).collect();
        let rows = rows.ok_or_else(|| {
            let message = "the node never made one of the alert's handles";
            refusal::status(Code::InvalidArgument, "UNKNOWN_HANDLE", message)
        })?;

        let mut tx = self.store.begin().await.map_err(status::store)?;
        // A row may have been replaced since the coordinator decided.
        let persons = self.whose(&mut tx, &rows).await.map_err(status::store)?;
        let found = records::of_persons(&mut tx, &persons).await.map_err(status::store)?;
        let concerned: Vec<(String, String)> =
            found.into_iter().map(|record| (record.feed, record.key)).collect();
        let now_ms = (self.now_ms)();
        let new = alerts::put(&mut tx, alert.id, alert.revision, &body, &concerned, now_ms)
            .await
            .map_err(status::store)?;
        // One that was overtaken says nothing any more of what is kept.
        let newest = alerts::newest(&mut tx, alert.id).await.map_err(status::store)?;
        let counts = new && newest.is_some_and(|newest| newest.revision == alert.revision);
        let kept = match counts {
            true => self.remember_alert(&mut tx, &alert, persons).await.map_err(status::store)?,
            false => true,
        };
        tx.commit().await.map_err(|error| status::store(error.into()))?;
        if !kept {
            self.record_unkept(&asked).await?;
        }
        tracing::info!(
            alert.id = %alert.id, revision = alert.revision, change = %alert.change, new,
            "an alert is in the inbox"
        );
        Ok((1, pb::DeliverAlertResponse { duplicate: !new }))
    }

    /// Keeps an alert with its people, so that the next sweep is told of it. Returns whether nothing is
    /// left out.
    ///
    /// Whoever has a duty hears of an alert whatever becomes of that. But with handles of any earlier
    /// sweep, and with as many people as one likes, it would join all sweeps to one.
    async fn remember_alert(
        &self,
        conn: &mut SqliteConnection,
        alert: &Alert,
        persons: Vec<i64>,
    ) -> Result<bool, StoreError> {
        let id = MemoId::from_bytes(*alert.id.as_bytes());
        if alert.change == AlertChange::Cancel {
            self.let_go(conn, id).await?;
            return Ok(true);
        }
        let memo = Memo {
            kind: MemoKind::Alert,
            id,
            // What is kept stands with the records themselves.
            handle: Handle::from_bytes([0; 16]),
            score_tenths: 0,
            made: alert.as_at,
        };
        if !self.is_recent(conn, alert.sweep).await? {
            return Ok(persons.is_empty());
        }
        Ok(self.remember(conn, &[Finding { memo, persons }]).await?.is_ok())
    }
}
