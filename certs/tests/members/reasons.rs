//! What callers that do not keep to the contract are told.

use causeway_proto::{
    pb::{StreamTokensRequest, StreamTokensResponse},
    refusal,
};
use http::uri::PathAndQuery;
use tonic::{Code, Request, Status, client::Grpc, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;

use crate::town::{Node, Town, channel};

/// Calls a method with whatever is given as its request.
async fn refused<T, U>(channel: &Channel, path: &'static str, request: T) -> Status
where
    T: prost::Message + Send + Sync + 'static,
    U: prost::Message + Default + Send + Sync + 'static,
{
    let mut client = Grpc::new(channel.clone());
    client.ready().await.unwrap();
    let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::<T, U>::default());
    let answer = client.server_streaming(Request::new(request), path, codec).await;
    answer.map(|_| ()).unwrap_err()
}

#[tokio::test]
async fn what_no_handler_sees_is_refused_with_a_reason() {
    let town = Town::new();
    let node = Node::new(town.member("node/housing"));
    let address = node.listen().await;
    let channel = channel(&town.member("coordinator/main"), address, "node/housing");
    let tokens = "/causeway.v1.TokenService/StreamTokens";

    let other = HealthCheckRequest { service: "nothing".to_owned() };
    let garbage = Garbage { sweep_id: 7 };
    let no_method = "/causeway.v1.TokenService/StreamSecrets";
    let large = StreamTokensRequest { sweep_id: vec![0; 5 << 20], after: 0 };
    let said = [
        refused::<_, StreamTokensResponse>(&channel, tokens, garbage).await,
        refused::<_, StreamTokensResponse>(&channel, tokens, large).await,
        refused::<_, StreamTokensResponse>(&channel, no_method, other.clone()).await,
        refused::<_, HealthCheckResponse>(&channel, "/grpc.health.v1.Health/Check", other).await,
    ];
    let said = said.map(|status| (status.code(), refusal::reason(&status).unwrap_or_default()));
    let expected = [
        (Code::InvalidArgument, "INVALID_MESSAGE"),
        (Code::OutOfRange, "MESSAGE_TOO_LARGE"),
        (Code::Unimplemented, "NO_SUCH_METHOD"),
        (Code::NotFound, "NOT_FOUND"),
    ];
    assert_eq!(said, expected.map(|(code, reason)| (code, reason.to_owned())));
}

/// No message of the contract: a number where bytes belong.
#[derive(Clone, Copy, PartialEq, prost::Message)]
struct Garbage {
    #[prost(uint32, tag = "1")]
    sweep_id: u32,
}
