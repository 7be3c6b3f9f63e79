//! Conversations of the contract that this version does not hold yet.

use causeway_proto::{
    pb::{self, referral_delivery_service_server::ReferralDeliveryService},
    refusal,
};
use tonic::{Request, Response, Status};

use super::Node;

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
