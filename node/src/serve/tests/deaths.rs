//! Whoever has died is no child of a household any more.

use causeway_proto::{
    change::Change,
    pb::{self, signal_service_server::SignalService},
    token::PersonFlags,
};
use tonic::Request;

use super::{
    column,
    following::{Agency, Follower, id},
};

const BEFORE: &str = "N-1,KIERAN,PRICE,2008-11-20,14 Larkrise Close,ZX1 4AB,,,\n";
const AFTER: &str = "N-1,KIERAN,PRICE,2008-11-20,14 Larkrise Close,ZX1 4AB,,2025-02-10,\n";

/// The codes that are told of everybody in the sweep.
async fn told(agency: &Agency, follower: &Follower) -> Vec<pb::SignalCode> {
    let handles: Vec<_> = follower.people.keys().copied().collect();
    let request = pb::QuerySignalsRequest { sweep_id: id(1), handles: column(&handles) };
    let answer = agency.node.query_signals(Request::new(request)).await.unwrap().into_inner();
    let signals = answer.subjects.into_iter().flat_map(|subject| subject.signals);
    signals.map(|signal| signal.code()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_child_that_has_died_is_in_no_age_band_and_what_came_before_stands() {
    let agency = Agency::new().await;
    agency.people(BEFORE).await;
    agency.events("I-1,N-1,ASB,2025-02-01\n").await;
    let mut follower = Follower::begin(&agency).await;
    let before = told(&agency, &follower).await;
    assert!(before.contains(&pb::SignalCode::DerChildU18), "{before:?}");

    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    agency.people(AFTER).await;
    let happened = follower.catch_up(&agency, &mut changes).await;
    let flags = happened.iter().find_map(|change| match change {
        Change::Upsert(upsert) => Some(upsert.flags),
        Change::Facts(_, flags) => Some(*flags),
        _ => None,
    });
    let flags = flags.unwrap();
    assert!(flags.any(PersonFlags::HARM) && !flags.any(PersonFlags::CONTEXT), "{happened:?}");
    assert_eq!(told(&agency, &follower).await, [pb::SignalCode::PolAsbVictim]);
    follower.holds_what_is(&agency).await;
}
