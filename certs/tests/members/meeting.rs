//! Who gets through to whom, and what those who do not are told.

use causeway_certs::{dial::is_connection_failure, tls::TlsState};
use causeway_proto::refusal;
use rustls::HandshakeKind;
use time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tonic::Code;

use crate::{
    log,
    stranger::{Client, Shown, listen, meet},
    town::{Node, Town, called, channel, eventually, identity, now, problem, stream},
};

#[tokio::test]
async fn the_coordinator_is_answered_by_the_node_it_dials_and_named_there() {
    let town = Town::new();
    let node = Node::new(town.member("node/housing"));
    let address = node.listen().await;
    let main = town.member("coordinator/main");

    let (caller, mut rows) = called(channel(&main, address, "node/housing")).await.unwrap();
    assert_eq!(caller, "coordinator/main");
    node.rows.send(7).unwrap();
    assert_eq!(rows.message().await.unwrap().unwrap().position, 7);
}

#[tokio::test]
async fn a_node_that_asks_for_a_nodes_tokens_is_refused_in_words() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let police = town.member("node/police");

    let refused = stream(channel(&police, address, "node/housing")).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refusal::reason(&refused).as_deref(), Some("ROLE_NOT_ALLOWED"));
    assert!(!is_connection_failure(&refused));
    assert_eq!(
        problem::<()>(Err(refused)),
        "node housing refused node police: only its coordinator may call TokenService",
    );

    let second = town.member("coordinator/second");
    let refused = stream(channel(&second, address, "node/housing")).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("NOT_OUR_COORDINATOR"));
}

#[tokio::test]
async fn a_dialler_that_meets_somebody_else_says_whom() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let main = town.member("coordinator/main");

    let refused = stream(channel(&main, address, "node/police")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert!(is_connection_failure(&refused));
    assert_eq!(problem::<()>(Err(refused)), format!("{address} is node/housing, not node/police"),);
}

#[tokio::test]
async fn the_identity_decides_and_not_the_dns_name_beside_it() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let names = &["spiffe://town.causeway/node/housing"];
    let police = identity("node/police").dns_name();
    let address = listen(Shown::forged_for(&town, names, &police)).await;
    let outcome = stream(channel(&main, address, "node/police")).await;
    assert_eq!(problem(outcome), format!("{address} is node/housing, not node/police"));

    let names = &["spiffe://town.causeway/operator/police"];
    let address = listen(Shown::forged_for(&town, names, &police)).await;
    let outcome = stream(channel(&main, address, "node/police")).await;
    assert_eq!(
        problem(outcome),
        format!("we refused {address}: its role is operator, which does not answer calls")
    );
}

#[tokio::test]
async fn members_of_another_ca_do_not_believe_each_other() {
    let (town, impostors) = (Town::new(), Town::new());
    let node = Node::new(town.member("node/housing"));
    let address = node.listen().await;
    let other = Node::new(impostors.member("node/housing")).listen().await;

    let main = town.member("coordinator/main");
    let outcome = stream(channel(&main, other, "node/housing")).await;
    assert_eq!(
        problem(outcome),
        format!("we refused {other}: its certificate is signed by another CA"),
    );

    // The impostor trusts our CA and shows its own certificate.
    let files = impostors.issue("coordinator/main");
    let shown = Shown::from_files(&files);
    let alert = meet(&town, address, Some(shown)).await;
    assert!(alert.contains("UnknownCA") || alert.contains("DecryptError"), "{alert}");
}

#[tokio::test]
async fn nobody_gets_in_without_a_certificate() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let alert = meet(&town, address, None).await;
    assert!(alert.contains("CertificateRequired"), "{alert}");
}

#[tokio::test]
async fn a_certificate_of_our_ca_with_a_name_that_is_not_ours_is_refused_in_the_handshake() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    for names in [
        &["spiffe://city.causeway/coordinator/main"][..],
        &["spiffe://town.causeway/coordinator/main/admin"],
        &["spiffe://town.causeway/coordinator/main", "spiffe://town.causeway/node/police"],
        &["https://main.example"],
        &[],
        // A custodian has no call to make to a node.
        &["spiffe://town.causeway/custodian/keys"],
    ] {
        let alert = meet(&town, address, Some(Shown::forged(&town, names))).await;
        assert!(alert.contains("CertificateUnknown"), "{names:?}: {alert}");
    }
    // The same certificate with the right name is let in, so it is the name that matters.
    let good = Shown::forged(&town, &["spiffe://town.causeway/coordinator/main"]);
    assert_eq!(meet(&town, address, Some(good)).await, "let in");
}

#[tokio::test]
async fn an_expired_certificate_is_refused_by_either_side_with_the_date() {
    let long_ago = now() - Duration::days(30);
    let town = Town::founded(long_ago);
    let then = |short| TlsState::load(&town.issue_at(short, long_ago), long_ago).unwrap();

    let expired = Node::new(then("node/housing")).listen().await;
    let main = town.member("coordinator/main");
    let said = problem(stream(channel(&main, expired, "node/housing")).await);
    let day = (long_ago + Duration::days(7)).date();
    let expected = format!("we refused {expired}: its certificate expired on {day}T");
    assert!(said.starts_with(&expected), "{said}");

    let address = Node::new(town.member("node/police")).listen().await;
    let said = problem(stream(channel(&then("coordinator/main"), address, "node/police")).await);
    let expected = format!("the node at {address} refused our certificate: expired");
    assert!(said.starts_with(&expected), "{said}");
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_by_either_side() {
    let town = Town::new();
    let (housing, main) = (town.member("node/housing"), town.member("coordinator/main"));
    let address = Node::new(housing.clone()).listen().await;

    // The node knows that this coordinator was revoked.
    let crl = town.revoke(&main);
    town.tell(&housing, &crl);
    assert_eq!(
        problem(stream(channel(&main, address, "node/housing")).await),
        format!("the node at {address} refused our certificate: revoked"),
    );

    // A coordinator with a new certificate knows that this node was revoked.
    town.revoke(&housing);
    let main = town.member("coordinator/main");
    assert_eq!(
        problem(stream(channel(&main, address, "node/housing")).await),
        format!("we refused {address}: its certificate was revoked"),
    );
}

#[tokio::test]
async fn an_address_with_nobody_or_something_else_behind_it_is_told_apart() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut web, _) = listener.accept().await.unwrap();
        web.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = web.read_to_end(&mut Vec::new()).await;
    });
    let refused = stream(channel(&main, address, "node/housing")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    assert_eq!(problem::<()>(Err(refused)), format!("we refused {address}: it does not speak TLS"));

    // Bound, so that nobody else takes it, and not listening.
    let nobody = TcpSocket::new_v4().unwrap();
    nobody.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = nobody.local_addr().unwrap();
    let refused = stream(channel(&main, address, "node/housing")).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unavailable);
    let said = problem::<()>(Err(refused));
    assert!(said.starts_with(&format!("could not reach {address}: Connection refused")), "{said}");
}

#[tokio::test]
async fn a_handshake_that_never_ends_keeps_nobody_else_out() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let mut silent = Vec::new();
    for _ in 0..50 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let main = town.member("coordinator/main");
    assert!(stream(channel(&main, address, "node/housing")).await.is_ok());
}

#[tokio::test]
async fn a_refused_handshake_is_one_line_in_the_log_with_address_and_reason() {
    log::keep();
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let custodian = Shown::forged(&town, &["spiffe://town.causeway/custodian/keys"]);
    for (shown, reason) in [
        (Some(custodian), "its role is custodian, which has no call to make to a node"),
        (None, "it showed no certificate"),
    ] {
        let met = Client::new(&town, shown).meet(address).await;
        let (remote, reason) = (format!("remote={} ", met.from), format!("reason=\"{reason}\""));
        // The client may hear of it before the line is written.
        let lines = || log::lines(&["WARN", "refused a connection", &remote]);
        eventually("it is in the log", async || !lines().is_empty()).await;
        assert_eq!(lines().len(), 1);
        assert!(lines()[0].contains(&reason), "{:?}", lines());
    }
}

#[tokio::test]
async fn every_connection_is_judged_afresh() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let shown = Shown::from_files(&town.issue("coordinator/main"));
    // This client would resume its session if it were given a ticket.
    let client = Client::new(&town, Some(shown));
    for _ in 0..2 {
        let met = client.meet(address).await;
        assert_eq!((met.answer.as_str(), met.kind), ("let in", Some(HandshakeKind::Full)));
    }
}
