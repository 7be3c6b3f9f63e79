//! Conversations of the contract that this version does not hold yet.

use std::pin::Pin;

use causeway_proto::{
    pb::{
        self, change_service_server::ChangeService,
        referral_delivery_service_server::ReferralDeliveryService,
    },
    refusal,
};
use futures::Stream;
use tonic::{Request, Response, Status};

use super::Node;

#[tonic::async_trait]
impl ChangeService for Node {
    type WatchChangesStream =
        Pin<Box<dyn Stream<Item = Result<pb::WatchChangesResponse, Status>> + Send>>;

    async fn watch_changes(
        &self,
        _: Request<pb::WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        Err(refusal::not_yet("WatchChanges"))
    }
}

#[tonic::async_trait]
impl ReferralDeliveryService for Node {
    async fn deliver_referral(
        &self,
        _: Request<pb::DeliverReferralRequest>,
    ) -> Result<Response<pb::DeliverReferralResponse>, Status> {
        Err(refusal::not_yet("DeliverReferral"))
    }

    async fn deliver_receipt(
        &self,
        _: Request<pb::DeliverReceiptRequest>,
    ) -> Result<Response<pb::DeliverReceiptResponse>, Status> {
        Err(refusal::not_yet("DeliverReceipt"))
    }
}
