//! How a sweep ends, and what ends with it.

use std::sync::Arc;

use causeway_proto::{
    pb::{
        self, signal_service_server::SignalService, sweep_service_server::SweepService,
        token_service_server::TokenService,
    },
    refusal,
};
use futures::TryStreamExt;
use tonic::Request;

use super::{Police, column, sweep};
use crate::store::sweeps;

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_is_over_is_never_opened_again() {
    let police = Police::new().await;
    police.open(5).await.unwrap();
    police.open(5).await.unwrap();
    let close = || Request::new(pb::CloseSweepRequest { sweep_id: sweep(5) });
    police.node.close_sweep(close()).await.unwrap();
    police.node.close_sweep(close()).await.unwrap();
    for counter in [4, 5] {
        let refused = police.open(counter).await.unwrap_err();
        assert_eq!(refusal::reason(&refused).as_deref(), Some("SWEEP_REPLAYED"));
    }
    police.open(6).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_stream_ends_with_its_sweep() {
    let police = Police::new().await;
    for (counter, next) in [(1, None), (2, Some(3))] {
        police.open(counter).await.unwrap();
        let request = pb::StreamTokensRequest { sweep_id: sweep(counter), after: 0 };
        let stream = police.node.stream_tokens(Request::new(request)).await.unwrap();
        let mut stream = stream.into_inner();
        stream.try_next().await.unwrap().unwrap();
        let before = police.node.session.lock().await.as_ref().map(Arc::downgrade).unwrap();
        match next {
            Some(next) => drop(police.open(next).await.unwrap()),
            None => {
                let request = pb::CloseSweepRequest { sweep_id: sweep(counter) };
                police.node.close_sweep(Request::new(request)).await.unwrap();
            }
        }
        assert!(before.upgrade().is_none(), "a stream that nobody reads keeps its keys");
        let ended = stream.try_next().await.unwrap_err();
        assert_eq!(refusal::reason(&ended).as_deref(), Some("SWEEP_CLOSED"));
    }
}

/// As a process does that takes in another linkage key.
#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_another_process_breaks_off_is_over_here_too() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let request = pb::StreamTokensRequest { sweep_id: sweep(1), after: 0 };
    let mut stream = police.node.stream_tokens(Request::new(request)).await.unwrap().into_inner();
    stream.try_next().await.unwrap().unwrap();
    let mut tx = police.node.store.begin().await.unwrap();
    sweeps::break_off(&mut tx, 1).await.unwrap();
    tx.commit().await.unwrap();
    let request = pb::QuerySignalsRequest { sweep_id: sweep(1), handles: column(&handles) };
    let refused = police.node.query_signals(Request::new(request)).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("NO_SUCH_SWEEP"));
    let ended = stream.try_next().await.unwrap_err();
    assert_eq!(refusal::reason(&ended).as_deref(), Some("SWEEP_CLOSED"));
    let refused = police.open(1).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("SWEEP_REPLAYED"));
}
