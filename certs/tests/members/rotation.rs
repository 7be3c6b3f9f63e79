//! Certificates and revocation lists change while calls are running.

use std::{fs, future::pending, time::Duration};

use causeway_certs::{
    dial::is_connection_failure,
    files::{IdentityFiles, write_public},
    tls::TlsState,
};
use causeway_proto::refusal;
use tonic::Code;

use crate::town::{Node, Town, channel, end_of, eventually, now, problem, stream};

/// How often the watchers in these tests look.
const OFTEN: Duration = Duration::from_millis(20);

#[tokio::test]
async fn both_ends_change_certificates_under_a_running_stream_and_lose_nothing() {
    let town = Town::new();
    let (housing_files, main_files) = (town.issue("node/housing"), town.issue("coordinator/main"));
    let housing = TlsState::load(&housing_files, now()).unwrap();
    let main = TlsState::load(&main_files, now()).unwrap();
    tokio::spawn(housing.clone().watch(housing_files, OFTEN, pending()));
    tokio::spawn(main.clone().watch(main_files, OFTEN, pending()));
    let node = Node::new(housing.clone());
    let address = node.listen().await;
    let mut rows = stream(channel(&main, address, "node/housing")).await.unwrap();

    node.rows.send(1).unwrap();
    assert_eq!(rows.message().await.unwrap().unwrap().position, 1);
    for (member, short) in [(&housing, "node/housing"), (&main, "coordinator/main")] {
        let old = member.certificate().serial;
        town.issue(short);
        eventually("the new certificate is loaded", async || member.certificate().serial != old)
            .await;
    }
    for position in 2..10 {
        node.rows.send(position).unwrap();
        assert_eq!(rows.message().await.unwrap().unwrap().position, position);
    }
    // A new connection shows the new certificates, and they are good.
    assert!(stream(channel(&main, address, "node/housing")).await.is_ok());
}

#[tokio::test]
async fn a_broken_file_leaves_the_old_identity_in_use_until_it_is_mended() {
    let town = Town::new();
    let files = town.issue("node/housing");
    let housing = TlsState::load(&files, now()).unwrap();
    let before = housing.certificate().serial;
    let key = fs::read(&files.key).unwrap();
    fs::write(&files.key, "junk").unwrap();
    assert!(housing.reload(&files, now()).is_err());
    assert_eq!(housing.certificate().serial, before);

    let (stopped, stop) = tokio::sync::oneshot::channel::<()>();
    let stop = async { drop(stop.await) };
    let watch = tokio::spawn(housing.clone().watch(files.clone(), OFTEN, stop));
    let address = Node::new(housing.clone()).listen().await;
    let main = town.member("coordinator/main");
    assert!(stream(channel(&main, address, "node/housing")).await.is_ok());

    // Certificate first and key later, as two files are always replaced.
    let renewed = town.ca.renew(&fs::read_to_string(&files.certificate).unwrap(), 7, now());
    write_public(&files.certificate, renewed.unwrap().pem.as_bytes()).unwrap();
    fs::write(&files.key, key).unwrap();
    eventually("the mended files are loaded", async || housing.certificate().serial != before)
        .await;
    stopped.send(()).unwrap();
    watch.await.unwrap();
}

#[tokio::test]
async fn revocation_reaches_a_live_connection_at_its_next_call_and_then_ends_it() {
    let town = Town::new();
    let (housing, main) = (town.member("node/housing"), town.member("coordinator/main"));
    let node = Node::new(housing.clone());
    let address = node.listen().await;
    let channel = channel(&main, address, "node/housing");
    let mut rows = stream(channel.clone()).await.unwrap();

    let crl = town.revoke(&main);
    town.tell(&housing, &crl);
    let refused = stream(channel.clone()).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert_eq!(refusal::reason(&refused).as_deref(), Some("CERTIFICATE_REVOKED"));

    // The stream that was running ends too, although nobody calls and nobody sends.
    let ended = end_of(&mut rows).await;
    assert!(is_connection_failure(&ended), "{ended:?}");
    assert_eq!(
        problem(stream(channel).await),
        format!("the node at {address} refused our certificate: revoked"),
    );
}

#[tokio::test]
async fn revocation_ends_a_live_connection_that_we_dialled_as_well() {
    let town = Town::new();
    let (housing, main) = (town.member("node/housing"), town.member("coordinator/main"));
    let address = Node::new(housing.clone()).listen().await;
    let channel = channel(&main, address, "node/housing");
    let mut rows = stream(channel.clone()).await.unwrap();

    let crl = town.revoke(&housing);
    town.tell(&main, &crl);
    let ended = end_of(&mut rows).await;
    assert!(is_connection_failure(&ended), "{ended:?}");
    assert_eq!(
        problem::<()>(Err(ended)),
        "we closed the connection: the other side's certificate was revoked",
    );
    assert_eq!(
        problem(stream(channel).await),
        format!("we refused {address}: its certificate was revoked"),
    );
}

#[tokio::test]
async fn a_list_takes_effect_even_when_it_revokes_whoever_reads_it() {
    let town = Town::new();
    let (housing, main) = (town.member("node/housing"), town.member("coordinator/main"));
    town.revoke(&housing);
    let files = IdentityFiles::in_folder(town.folder.path().join("node-housing"));
    write_public(&files.crl, town.revoke(&main).as_bytes()).unwrap();

    assert!(housing.reload(&files, now()).is_err());
    assert!(housing.is_revoked(&main.certificate().serial));

    // A certificate that was put there in place of a good one is another matter.
    let police = town.member("node/police");
    let before = police.certificate().serial;
    town.issue_at("node/police", now() - time::Duration::days(8));
    let files = IdentityFiles::in_folder(town.folder.path().join("node-police"));
    assert!(police.reload(&files, now()).unwrap_err().to_string().contains("expired on"));
    assert_eq!(police.certificate().serial, before);
}

#[tokio::test]
async fn a_connection_ends_when_the_certificate_it_was_made_with_runs_out() {
    let town = Town::new();
    let address = Node::new(town.member("node/housing")).listen().await;
    let almost_a_week_ago = now() - time::Duration::days(7) + time::Duration::seconds(5);
    let main = town.issue_at("coordinator/main", almost_a_week_ago);
    let main = TlsState::load(&main, now()).unwrap();

    let mut rows = stream(channel(&main, address, "node/housing")).await.unwrap();
    let ended = end_of(&mut rows).await;
    assert!(is_connection_failure(&ended), "{ended:?}");
    assert!(now() > main.not_after());
}
