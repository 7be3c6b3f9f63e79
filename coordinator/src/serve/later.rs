//! Conversations of the contract that this version does not hold yet.

use causeway_proto::{
    pb::{self, key_service_server::KeyService, referral_service_server::ReferralService},
    refusal,
};
use tonic::{Request, Response, Status};

use super::Desk;

#[tonic::async_trait]
impl ReferralService for Desk {
    async fn send_referral(
        &self,
        _: Request<pb::SendReferralRequest>,
    ) -> Result<Response<pb::SendReferralResponse>, Status> {
        Err(refusal::not_yet("SendReferral"))
    }

    async fn send_receipt(
        &self,
        _: Request<pb::SendReceiptRequest>,
    ) -> Result<Response<pb::SendReceiptResponse>, Status> {
        Err(refusal::not_yet("SendReceipt"))
    }
}

#[tonic::async_trait]
impl KeyService for Desk {
    async fn get_roster(
        &self,
        _: Request<pb::GetRosterRequest>,
    ) -> Result<Response<pb::GetRosterResponse>, Status> {
        Err(refusal::not_yet("GetRoster"))
    }

    async fn publish_statement(
        &self,
        _: Request<pb::PublishStatementRequest>,
    ) -> Result<Response<pb::PublishStatementResponse>, Status> {
        Err(refusal::not_yet("PublishStatement"))
    }

    async fn list_statements(
        &self,
        _: Request<pb::ListStatementsRequest>,
    ) -> Result<Response<pb::ListStatementsResponse>, Status> {
        Err(refusal::not_yet("ListStatements"))
    }

    async fn post_envelopes(
        &self,
        _: Request<pb::PostEnvelopesRequest>,
    ) -> Result<Response<pb::PostEnvelopesResponse>, Status> {
        Err(refusal::not_yet("PostEnvelopes"))
    }

    async fn fetch_envelope(
        &self,
        _: Request<pb::FetchEnvelopeRequest>,
    ) -> Result<Response<pb::FetchEnvelopeResponse>, Status> {
        Err(refusal::not_yet("FetchEnvelope"))
    }

    async fn acknowledge_key(
        &self,
        _: Request<pb::AcknowledgeKeyRequest>,
    ) -> Result<Response<pb::AcknowledgeKeyResponse>, Status> {
        Err(refusal::not_yet("AcknowledgeKey"))
    }
}
