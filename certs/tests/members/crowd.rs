//! More connections than one member or one address may have.

use std::time::Duration;

use causeway_certs::stream::Peer;
use tokio::{io::AsyncReadExt, time::timeout};
use tonic::Code;

use crate::{
    log,
    stranger::{Client, Shown, connect_from},
    town::{Node, Town, channel, eventually, problem, stream},
};

/// How many connections of one member a server keeps open.
const CONNECTIONS: usize = 64;

/// How many handshakes may be under way from one address.
const HANDSHAKES: usize = 128;

#[tokio::test]
async fn a_member_with_too_many_connections_gets_no_more_and_keeps_nobody_else_out() {
    log::keep();
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let (main, desk) = (town.member("coordinator/main"), town.member("operator/duty-desk"));
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        open.push(stream(channel(&main, address, "node/housing")).await.unwrap());
    }
    for _ in 0..3 {
        let refused = stream(channel(&main, address, "node/housing")).await.unwrap_err();
        assert_eq!(refused.code(), Code::Unavailable);
        let said = problem::<()>(Err(refused));
        assert_eq!(said, format!("the node at {address} closed the connection at once"));
    }
    let identity = main.identity();
    let peer = format!("{:?}", Peer { identity, serial: main.certificate().serial });
    let lines = log::lines(&["WARN", "it has too many connections open", &peer]);
    assert_eq!(lines.len(), 1, "{lines:?}");

    let refused = stream(channel(&desk, address, "node/housing")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "it is let in, and may not do this");
    open.pop();
    let again = async || stream(channel(&main, address, "node/housing")).await.is_ok();
    eventually("there is a place again", again).await;
}

#[tokio::test]
async fn an_address_with_too_many_handshakes_keeps_no_other_address_out() {
    log::keep();
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let mut silent = Vec::new();
    for _ in 0..HANDSHAKES {
        silent.push(connect_from("127.0.0.8", address).await);
    }
    for _ in 0..3 {
        let mut refused = connect_from("127.0.0.8", address).await;
        assert_eq!(refused.read(&mut [0; 64]).await.unwrap(), 0, "it is closed without a word");
    }
    let lines = log::lines(&["WARN", "too many handshakes", "remote=127.0.0.8:"]);
    assert_eq!(lines.len(), 1, "{lines:?}");

    let main = Shown::from_files(&town.issue("coordinator/main"));
    let client = Client::new(&town, Some(main));
    assert_eq!(client.meet_from("127.0.0.9", address).await.answer, "let in");
    drop(silent);
    let again = async || {
        let mut tcp = connect_from("127.0.0.8", address).await;
        let waits = Duration::from_millis(100);
        timeout(waits, tcp.read(&mut [0; 64])).await.is_err()
    };
    eventually("there is a place again", again).await;
}
