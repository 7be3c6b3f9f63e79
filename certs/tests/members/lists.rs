//! Revocation lists change while everything else is at fault, or come in an older state.

use std::{fs, future::pending, os::unix::fs::PermissionsExt, time::Duration};

use causeway_certs::{
    dial::is_connection_failure,
    files::{IdentityFiles, write_public, write_secret},
    tls::TlsState,
};

use crate::{
    log,
    town::{Node, Town, channel, end_of, eventually, now, problem, stream},
};

fn written(files: &IdentityFiles, lists: &[&str]) {
    write_public(&files.crl, lists.concat().as_bytes()).unwrap();
}

#[tokio::test]
async fn a_new_list_takes_effect_whatever_is_wrong_with_the_other_files() {
    type Fault = fn(&Town, &IdentityFiles);
    let faults: [(&str, Fault); 7] = [
        ("the key is damaged", |_, files| fs::write(&files.key, "junk").unwrap()),
        ("the key is gone", |_, files| fs::remove_file(&files.key).unwrap()),
        ("others can read the key", |_, files| {
            fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
        }),
        ("the CA is gone", |_, files| fs::remove_file(&files.ca).unwrap()),
        ("certificate and key are no pair", |town, files| {
            let other = town.issue("node/police");
            write_secret(&files.key, &fs::read(other.key).unwrap()).unwrap();
        }),
        ("it is somebody else's", |town, files| {
            let other = town.issue("node/police");
            write_secret(&files.key, &fs::read(other.key).unwrap()).unwrap();
            fs::copy(other.certificate, &files.certificate).unwrap();
        }),
        ("it has not begun", |town, _| {
            town.issue_at("node/housing", now() + time::Duration::days(1));
        }),
    ];
    for (name, fault) in faults {
        let town = Town::new();
        let files = town.issue("node/housing");
        let (housing, main) =
            (TlsState::load(&files, now()).unwrap(), town.member("coordinator/main"));
        let before = housing.certificate().serial;
        fault(&town, &files);
        written(&files, &[&town.revoke(&main)]);
        assert!(housing.reload(&files, now()).is_err(), "{name}");
        assert!(housing.is_revoked(&main.certificate().serial), "{name}");
        assert_eq!(housing.certificate().serial, before, "{name}");
    }
}

#[tokio::test]
async fn a_revoked_peer_is_cut_off_and_kept_out_while_our_key_is_at_fault() {
    let town = Town::new();
    let files = town.issue("node/housing");
    let (housing, main) = (TlsState::load(&files, now()).unwrap(), town.member("coordinator/main"));
    let address = Node::new(housing.clone()).listen().await;
    let channel = channel(&main, address, "node/housing");
    let mut rows = stream(channel.clone()).await.unwrap();

    fs::write(&files.key, "junk").unwrap();
    written(&files, &[&town.revoke(&main)]);
    assert!(housing.reload(&files, now()).is_err());
    let ended = end_of(&mut rows).await;
    assert!(is_connection_failure(&ended), "{ended:?}");
    assert_eq!(
        problem(stream(channel).await),
        format!("the node at {address} refused our certificate: revoked"),
    );
}

#[tokio::test]
async fn an_older_list_is_refused_and_the_newer_one_stays_in_use() {
    let town = Town::new();
    let files = town.issue("node/housing");
    let (housing, main) = (TlsState::load(&files, now()).unwrap(), town.member("coordinator/main"));
    let (older, newer) = (town.ca.latest_crl().unwrap(), town.revoke(&main));
    town.tell(&housing, &newer);
    town.tell(&housing, &newer);

    written(&files, &[&older]);
    let refused = housing.reload(&files, now()).unwrap_err().to_string();
    assert!(refused.contains("crl.pem is number 2 and number 3 was in use: fetch "), "{refused}");
    assert!(housing.is_revoked(&main.certificate().serial));
    fs::write(&files.key, "junk").unwrap();
    assert!(housing.reload(&files, now()).is_err());
    assert!(housing.is_revoked(&main.certificate().serial));
}

#[tokio::test]
async fn lists_are_counted_for_each_ca_alone() {
    let (town, other) = (Town::new(), Town::new());
    let files = town.issue("node/housing");
    fs::write(&files.ca, [town.ca.pem(), other.ca.pem()].concat()).unwrap();
    let lists = |town: &Town| [7, 8, 9].map(|days| town.ca.crl(days, now()).unwrap().pem);
    let (ours, theirs) = (lists(&town), lists(&other));
    written(&files, &[&ours[2], &theirs[0]]);
    let housing = TlsState::load(&files, now()).unwrap();

    written(&files, &[&ours[2], &theirs[1]]);
    housing.reload(&files, now()).unwrap();
    written(&files, &[&ours[1], &theirs[2]]);
    let refused = housing.reload(&files, now()).unwrap_err().to_string();
    assert!(refused.contains("is number 4 and number 5 was in use"), "{refused}");
}

#[tokio::test]
async fn the_newest_of_several_lists_in_one_file_counts_wherever_it_stands() {
    let town = Town::new();
    let (files, main) = (town.issue("node/housing"), town.member("coordinator/main"));
    let (older, newer) = (town.ca.latest_crl().unwrap(), town.revoke(&main));
    for lists in [[&*older, &*newer], [&*newer, &*older]] {
        written(&files, &lists);
        let housing = TlsState::load(&files, now()).unwrap();
        housing.reload(&files, now()).unwrap();
        let address = Node::new(housing).listen().await;
        assert_eq!(
            problem(stream(channel(&main, address, "node/housing")).await),
            format!("the node at {address} refused our certificate: revoked"),
        );
    }
}

#[tokio::test]
async fn files_that_were_good_before_a_newer_list_came_are_told_of_when_they_come_back() {
    log::keep();
    let town = Town::new();
    let files = town.issue("node/housing");
    let (housing, main) = (TlsState::load(&files, now()).unwrap(), town.member("coordinator/main"));
    let first = housing.certificate().serial;
    let watched = housing.clone().watch(files.clone(), Duration::from_millis(20), pending());
    tokio::spawn(watched);
    town.issue("node/housing");
    eventually("the files are looked at", async || housing.certificate().serial != first).await;
    let (key, older) = (fs::read(&files.key).unwrap(), fs::read_to_string(&files.crl).unwrap());

    write_secret(&files.key, b"junk").unwrap();
    written(&files, &[&town.revoke(&main)]);
    eventually("the list is in use", async || housing.is_revoked(&main.certificate().serial)).await;
    written(&files, &[&older]);
    write_secret(&files.key, &key).unwrap();
    let crl = files.crl.display().to_string();
    let told = || !log::lines(&["ERROR", &crl, "is number 2 and number 3 was in use"]).is_empty();
    eventually("the older list is refused", async || told()).await;
    assert!(housing.is_revoked(&main.certificate().serial));
}
