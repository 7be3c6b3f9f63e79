//! How a sweep ends, and what ends with it.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use causeway_proto::{
    ids::SweepId,
    pb::{
        self, change_service_server::ChangeService, signal_service_server::SignalService,
        sweep_service_server::SweepService, token_service_server::TokenService,
    },
    refusal,
};
use futures::TryStreamExt;
use tonic::Request;

use super::{
    Police, column,
    following::{Agency, id},
    keyring, sweep,
};
use crate::store::sweeps;

const DAY_MS: u64 = 86_400_000;
/// Noon of 25 February 2025.
const NOON_MS: u64 = 1_740_484_800_000;

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

#[tokio::test(flavor = "multi_thread")]
async fn to_close_a_sweep_that_was_never_opened_here_moves_no_key() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    for counter in [2, 900, u64::MAX] {
        let close = Request::new(pb::CloseSweepRequest { sweep_id: sweep(counter) });
        police.node.close_sweep(close).await.unwrap();
    }
    assert_eq!(keyring(&police.folder).chain().unwrap().index(), 1);
    let police = police.restarted().await;
    let request = pb::QuerySignalsRequest { sweep_id: sweep(1), handles: column(&handles) };
    police.node.query_signals(Request::new(request)).await.unwrap();
    let far = police.open(1002).await.unwrap_err();
    assert_eq!(refusal::reason(&far).as_deref(), Some("SWEEP_TOO_FAR"));
    for counter in [1, 2] {
        let close = Request::new(pb::CloseSweepRequest { sweep_id: sweep(counter) });
        police.node.close_sweep(close).await.unwrap();
    }
    assert_eq!(keyring(&police.folder).chain().unwrap().index(), 2, "the next one is to come");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_of_a_sweep_that_was_closed_when_the_machine_stopped_is_erased() {
    let police = Police::new().await;
    police.node.end_what_is_over().await.unwrap();
    police.open(5).await.unwrap();
    police.node.end_what_is_over().await.unwrap();
    let index = || keyring(&police.folder).chain().unwrap().index();
    assert_eq!(index(), 5, "it is open");
    let mut tx = police.node.store.begin().await.unwrap();
    sweeps::close(&mut tx, SweepId::new(5, [9; 8]), 1).await.unwrap();
    tx.commit().await.unwrap();
    police.node.end_what_is_over().await.unwrap();
    assert_eq!(index(), 6);
}

static MONTHS: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_is_left_open_ends_after_a_month() {
    let agency = Agency::strict(|| MONTHS.load(SeqCst)).await;
    agency.people("N-1,CAROL,DENHOLM,1987-04-06,14 Larkrise Close,ZX1 4AB,,,\n").await;
    agency.events("POL4,N-1,ASB,2025-02-19\n").await;
    let index = || agency.node.keyring.chain().unwrap().index();
    for asked in [true, false] {
        let today = agency.node.today().to_string();
        let counter = if asked { 1 } else { 2 };
        let after = agency.open_as_at(counter, &today).await.unwrap().position;
        let tokens = pb::StreamTokensRequest { sweep_id: id(counter), after: 0 };
        let tokens = || agency.node.stream_tokens(Request::new(tokens.clone()));
        let mut tokens_open = tokens().await.unwrap().into_inner();
        tokens_open.try_next().await.unwrap().unwrap();
        let changes = pb::WatchChangesRequest { sweep_id: id(counter), after };
        let changes = agency.node.watch_changes(Request::new(changes)).await.unwrap();
        MONTHS.fetch_add(31 * DAY_MS, SeqCst);
        drop(tokens().await.unwrap());
        MONTHS.fetch_add(DAY_MS, SeqCst);
        match asked {
            true => {
                let refused = tokens().await.err().unwrap();
                assert_eq!(refusal::reason(&refused).as_deref(), Some("NO_SUCH_SWEEP"));
            }
            false => agency.node.end_what_is_over().await.unwrap(),
        }
        let ended = tokens_open.try_next().await.unwrap_err();
        assert_eq!(refusal::reason(&ended).as_deref(), Some("SWEEP_CLOSED"));
        let ended = changes.into_inner().try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(refusal::reason(&ended).as_deref(), Some("SWEEP_CLOSED"));
        assert_eq!(index(), counter + 1, "its key is erased");
        let close = Request::new(pb::CloseSweepRequest { sweep_id: id(counter) });
        agency.node.close_sweep(close).await.unwrap();
    }
}
