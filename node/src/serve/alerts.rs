//! Receives alerts: on disk first, acknowledged after.

use causeway_proto::{
    alert::{Alert, AlertChange},
    ids::MemoId,
    pb::{self, alert_service_server::AlertService},
    refusal,
    sweep::MemoKind,
    wire,
};
use prost::Message;
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    status,
};
use crate::{
    store::{
        alerts,
        memos::{self, KeptMemo},
        records,
    },
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
        let answer = self.deliver(request.into_inner()).await;
        self.conclude(asked, answer).await
    }
}

impl Node {
    async fn deliver(&self, request: pb::DeliverAlertRequest) -> Answer<pb::DeliverAlertResponse> {
        let message = wire::required("alert", request.alert)?;
        let body = message.encode_to_vec();
        let alert = Alert::try_from(message)?;
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
        if new && alert.change != AlertChange::Cancel {
            for record in concerned {
                let memo = KeptMemo {
                    kind: MemoKind::Alert,
                    id: MemoId::from_bytes(*alert.id.as_bytes()),
                    record,
                    score_tenths: 0,
                    made: alert.as_at,
                };
                memos::put(&mut tx, &memo).await.map_err(status::store)?;
            }
        }
        tx.commit().await.map_err(|error| status::store(error.into()))?;
        tracing::info!(
            alert.id = %alert.id, revision = alert.revision, change = %alert.change, new,
            "an alert is in the inbox"
        );
        Ok((1, pb::DeliverAlertResponse { duplicate: !new }))
    }
}
