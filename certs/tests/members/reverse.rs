//! Nodes that dial their coordinator and serve on that connection.

use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_certs::{
    accept::accept_into,
    dial::is_connection_failure,
    reverse::{Registry, keep_dialled},
    tls::TlsState,
};
use tokio::{io::AsyncReadExt, net::TcpListener, sync::mpsc};
use tonic::{Code, transport::Channel};

use crate::{
    relay::Relay,
    town::{Node, Town, called, channel, end_of, eventually, id, identity, keep, problem, stream},
};

/// How long a call waits for a node that is not there.
const PATIENCE: Duration = Duration::from_millis(500);

fn registry(main: &TlsState) -> Arc<Registry> {
    Registry::new(&main.identity(), [id("housing"), id("police")], PATIENCE)
}

fn dial_out(node: &Node, address: std::net::SocketAddr) {
    let main = identity("coordinator/main");
    let (tls, out) = (node.tls.clone(), node.answer());
    tokio::spawn(keep_dialled(tls, address.to_string(), main, out, pending()));
}

async fn once_connected(registry: &Registry) -> Channel {
    eventually("housing is connected", async || registry.is_connected(&id("housing"))).await;
    registry.channel(&id("housing")).unwrap()
}

#[tokio::test]
async fn a_node_that_dialled_in_is_called_like_any_other_and_sees_who_calls() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let registry = registry(&main);
    let address = keep(&main, &registry).await;
    let channel = registry.channel(&id("housing")).unwrap();

    let node = Node::new(town.member("node/housing"));
    dial_out(&node, address);
    once_connected(&registry).await;
    let (caller, mut rows) = called(channel.clone()).await.unwrap();
    assert_eq!(caller, "coordinator/main");
    for position in 0..50 {
        node.rows.send(position).unwrap();
        assert_eq!(rows.message().await.unwrap().unwrap().position, position);
    }

    // The node changes its certificate, and the connection goes on.
    town.issue("node/housing");
    let crl = town.ca.latest_crl().unwrap();
    town.tell(&node.tls, &crl);
    node.rows.send(50).unwrap();
    assert_eq!(rows.message().await.unwrap().unwrap().position, 50);
}

#[tokio::test]
async fn a_node_that_is_not_there_is_unavailable_after_a_set_time_for_every_caller_at_once() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let begun = Instant::now();
    let registry = registry(&main);
    let channel = registry.channel(&id("housing")).unwrap();
    let calls = (0..20).map(|_| stream(channel.clone()));
    for outcome in futures::future::join_all(calls).await {
        let refused = outcome.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        assert!(is_connection_failure(&refused));
        assert_eq!(problem::<()>(Err(refused)), "node/housing is not connected");
    }
    assert!(begun.elapsed() >= PATIENCE);
    assert!(begun.elapsed() < 10 * PATIENCE, "the calls waited one after the other");
    assert!(registry.channel(&id("nobody")).is_none());
    assert!(!registry.is_connected(&id("housing")));
}

#[tokio::test]
async fn only_enrolled_nodes_get_a_place_and_no_operator_of_the_same_name() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let registry = Registry::new(&main.identity(), [id("police")], PATIENCE);
    let address = keep(&main, &registry).await;
    for short in ["node/housing", "operator/police"] {
        let relay = Relay::to(address).await;
        dial_out(&Node::new(town.member(short)), relay.address);
        eventually("it is refused and dials again", async || relay.made() > 2).await;
    }
    assert!(!registry.is_connected(&id("police")));
    assert!(registry.channel(&id("housing")).is_none());

    dial_out(&Node::new(town.member("node/police")), address);
    eventually("police is connected", async || registry.is_connected(&id("police"))).await;
    let answered = stream(registry.channel(&id("police")).unwrap()).await;
    assert!(answered.is_ok(), "{answered:?}");
}

#[tokio::test]
async fn a_node_does_not_take_other_nodes_in() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let relay = Relay::to(address).await;
    let police = Node::new(town.member("node/police"));
    let (tls, out) = (police.tls.clone(), police.answer());
    let housing = identity("node/housing");
    tokio::spawn(keep_dialled(tls, relay.address.to_string(), housing, out, pending()));
    eventually("it is refused and dials again", async || relay.made() > 2).await;
}

#[tokio::test]
async fn a_new_connection_is_greeted_before_anybody_calls() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let address = keep(&main, &registry(&main)).await;
    let (out, mut incoming) = mpsc::channel(1);
    let (tls, main) = (town.member("node/housing"), identity("coordinator/main"));
    tokio::spawn(keep_dialled(tls, address.to_string(), main, out, pending()));
    let mut stream = incoming.recv().await.unwrap().unwrap();
    let mut first_word = [0; 14];
    let read = stream.read_exact(&mut first_word);
    tokio::time::timeout(crate::town::PATIENCE, read).await.unwrap().unwrap();
    assert_eq!(&first_word, b"PRI * HTTP/2.0");
}

#[tokio::test]
async fn a_node_that_listens_and_dials_out_answers_both_with_one_server() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let registry = registry(&main);
    let coordinator = keep(&main, &registry).await;
    let node = Node::new(town.member("node/housing"));
    let out = node.answer();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(accept_into(listener, node.tls.clone(), None, out.clone()));
    let (tls, peer) = (node.tls.clone(), identity("coordinator/main"));
    tokio::spawn(keep_dialled(tls, coordinator.to_string(), peer, out, pending()));

    let dialled_in = stream(once_connected(&registry).await).await;
    let dialled = stream(channel(&main, address, "node/housing")).await;
    assert!(dialled_in.is_ok() && dialled.is_ok(), "{dialled_in:?} {dialled:?}");
}

#[tokio::test]
async fn the_newest_connection_of_a_node_wins_and_ends_the_older_one() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let registry = registry(&main);
    let address = keep(&main, &registry).await;
    let first = Node::new(town.member("node/housing"));
    dial_out(&first, address);
    let channel = once_connected(&registry).await;
    let mut rows = stream(channel.clone()).await.unwrap();

    let second = Node::new(town.member("node/housing"));
    dial_out(&second, address);
    let ended = end_of(&mut rows).await;
    assert_eq!(
        problem::<()>(Err(ended)),
        "we closed the connection: the other side made a newer one",
    );
    eventually("calls get through", async || stream(channel.clone()).await.is_ok()).await;
}

#[tokio::test]
async fn a_revoked_node_is_refused_when_it_dials_in_and_cut_off_when_it_is_in() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let registry = registry(&main);
    let address = keep(&main, &registry).await;
    let node = Node::new(town.member("node/housing"));
    dial_out(&node, address);
    let channel = once_connected(&registry).await;
    let mut rows = stream(channel.clone()).await.unwrap();

    let crl = town.revoke(&node.tls);
    town.tell(&main, &crl);
    let ended = end_of(&mut rows).await;
    assert_eq!(
        problem::<()>(Err(ended)),
        "we closed the connection: the other side's certificate was revoked",
    );
    eventually("it is gone", async || !registry.is_connected(&id("housing"))).await;
    tokio::time::sleep(PATIENCE).await;
    assert_eq!(problem(stream(channel).await), "node/housing is not connected");
}

#[tokio::test]
async fn a_connection_that_was_cut_is_back_within_a_moment_on_the_same_channel() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let registry = registry(&main);
    let relay = Relay::to(keep(&main, &registry).await).await;
    let node = Node::new(town.member("node/housing"));
    dial_out(&node, relay.address);
    let channel = once_connected(&registry).await;
    let mut rows = stream(channel.clone()).await.unwrap();

    let (made, begun) = (relay.made(), Instant::now());
    relay.cut();
    let ended = end_of(&mut rows).await;
    assert!(is_connection_failure(&ended), "{ended:?}");
    assert_eq!(problem::<()>(Err(ended)), "the connection to node/housing broke: it was cut off");
    eventually("it dials again", async || relay.made() > made).await;
    eventually("calls get through", async || stream(channel.clone()).await.is_ok()).await;
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_connection_that_froze_is_noticed_by_both_ends_and_made_again() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let registry = registry(&main);
    let relay = Relay::to(keep(&main, &registry).await).await;
    let node = Node::new(town.member("node/housing"));
    dial_out(&node, relay.address);
    let channel = once_connected(&registry).await;
    let mut rows = stream(channel.clone()).await.unwrap();

    let made = relay.made();
    relay.freeze();
    let ended = end_of(&mut rows).await;
    assert!(is_connection_failure(&ended), "{ended:?}");
    let noticed_here = "the other side stopped answering";
    let noticed_there = "we closed the connection: the other side made a newer one";
    let said = problem::<()>(Err(ended));
    assert!([noticed_here, noticed_there].contains(&said.as_str()), "{said}");
    eventually("it dials again", async || relay.made() > made).await;
    eventually("calls get through", async || stream(channel.clone()).await.is_ok()).await;
}

#[tokio::test]
async fn a_connection_that_we_dialled_and_that_froze_fails_its_calls_and_is_made_again() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let node = Node::new(town.member("node/housing"));
    let relay = Relay::to(node.listen().await).await;
    let channel = channel(&main, relay.address, "node/housing");
    let mut rows = stream(channel.clone()).await.unwrap();

    relay.freeze();
    let ended = end_of(&mut rows).await;
    assert_eq!(problem::<()>(Err(ended)), "the other side stopped answering");
    eventually("calls get through", async || stream(channel.clone()).await.is_ok()).await;
}
