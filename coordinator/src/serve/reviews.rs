//! Takes in what professionals make of their alerts.

use causeway_certs::stream::Peer;
use causeway_proto::{
    pb::{self, review_service_server::ReviewService},
    refusal,
    review::Review,
};
use tonic::{Code, Request, Response, Status};

use super::{Desk, operator::to_status};

#[tonic::async_trait]
impl ReviewService for Desk {
    async fn submit_review(
        &self,
        request: Request<pb::SubmitReviewRequest>,
    ) -> Result<Response<pb::SubmitReviewResponse>, Status> {
        let peer = request.extensions().get::<Peer>();
        let agency = peer.map(|peer| peer.identity.id.clone());
        let review = Review::try_from(request.into_inner())?;
        // Whoever was never told of an alert learns nothing about it, not even that it exists.
        let unknown = || {
            let message = "the coordinator never told this agency of that revision of an alert";
            refusal::status(Code::NotFound, "NO_SUCH_ALERT", message)
        };
        let agency = agency.ok_or_else(unknown)?;
        let new = self.0.review(agency, review).await.map_err(to_status)?.ok_or_else(unknown)?;
        Ok(Response::new(pb::SubmitReviewResponse { duplicate: !new }))
    }
}
