//! What a member's own files have to be before it starts.

use std::fs;

use causeway_certs::{
    files::{IdentityFiles, write_secret},
    tls::TlsState,
};
use time::Duration;

use crate::town::{Town, now};

fn refusal(files: &IdentityFiles) -> String {
    refusal_at(files, now())
}

fn refusal_at(files: &IdentityFiles, at: time::OffsetDateTime) -> String {
    TlsState::load(files, at).unwrap_err().to_string()
}

#[test]
fn a_good_identity_says_who_it_is_and_until_when() {
    let town = Town::new();
    let main = town.member("coordinator/main");
    assert_eq!(main.identity().short(), "coordinator/main");
    assert!(main.not_after() > now() + Duration::days(6));
    assert!(main.crl_until() > now() + Duration::days(300));
    assert_eq!(format!("{main:?}"), "TlsState(coordinator/main)");
}

#[test]
fn a_certificate_that_ran_out_or_has_not_begun_stops_the_start_with_the_date() {
    let town = Town::new();
    let files = town.issue("node/housing");
    let late = refusal_at(&files, now() + Duration::days(8));
    assert!(late.contains("certificate.pem expired on 2"), "{late}");
    assert!(late.contains("causeway-certs renew"), "{late}");
    let early = refusal_at(&files, now() - Duration::hours(1));
    assert!(early.ends_with("only: check this machine's clock"), "{early}");
}

#[test]
fn a_revoked_certificate_stops_the_start() {
    let town = Town::new();
    let crl = town.revoke(&town.member("node/housing"));
    let files = IdentityFiles::in_folder(town.folder.path().join("node-housing"));
    fs::write(&files.crl, crl).unwrap();
    assert!(refusal(&files).contains("was revoked"));
}

#[test]
fn files_that_do_not_belong_together_stop_the_start() {
    let (town, elsewhere) = (Town::new(), Town::new());
    let (housing, police) = (town.issue("node/housing"), town.issue("node/police"));
    let theirs = elsewhere.issue("node/housing");

    let mixed = IdentityFiles { key: police.key, ..housing.clone() };
    assert!(refusal(&mixed).contains("does not belong to the certificate"));
    let mixed = IdentityFiles { crl: theirs.crl.clone(), ..housing.clone() };
    assert!(refusal(&mixed).contains("crl.pem is not by the CA in "));
    let mixed = IdentityFiles { ca: theirs.ca, crl: theirs.crl, ..housing };
    assert!(refusal(&mixed).contains("is not signed by the CA in "));
}

#[test]
fn an_empty_revocation_list_is_required_and_a_stale_one_is_not_enough() {
    let town = Town::new();
    let files = town.issue("node/housing");
    assert!(TlsState::load(&files, now()).is_ok(), "the list is empty, and that is enough");

    fs::write(&files.crl, town.ca.crl(1, now() - Duration::days(3)).unwrap().pem).unwrap();
    let stale = refusal(&files);
    assert!(stale.contains("crl.pem ran out on "), "{stale}");

    fs::write(&files.crl, "").unwrap();
    assert!(refusal(&files).contains("holds no PEM at all"));
    fs::remove_file(&files.crl).unwrap();
    assert!(refusal(&files).starts_with("there is no revocation list at "));
}

#[test]
fn a_reload_never_turns_a_member_into_another() {
    let town = Town::new();
    let (files, police) = (town.issue("node/housing"), town.issue("node/police"));
    let housing = TlsState::load(&files, now()).unwrap();
    fs::copy(&police.certificate, &files.certificate).unwrap();
    write_secret(&files.key, &fs::read(&police.key).unwrap()).unwrap();

    let refused = housing.reload(&files, now()).unwrap_err().to_string();
    assert!(refused.contains("node/police and this process runs as "), "{refused}");
    assert_eq!(housing.identity().short(), "node/housing");
}
