//! The `causeway-certs` command, run as an operator runs it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use causeway_certs::{ca::new_key_and_csr, files::IdentityFiles, tls::TlsState};
use serde_json::Value;
use tempfile::TempDir;

use crate::town::{identity, now};

fn run(folder: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_causeway-certs"))
        .current_dir(folder)
        .env_remove("CAUSEWAY_CA")
        .args(line.split(' '))
        .output()
        .unwrap()
}

fn done(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {complaint}");
    assert!(complaint.is_empty(), "{line}: {complaint}");
    String::from_utf8(output.stdout).unwrap()
}

fn done_json(folder: &Path, line: &str) -> Value {
    serde_json::from_str(&done(folder, &format!("{line} --json"))).unwrap()
}

/// Runs what should fail and returns its one line of complaint.
fn failed(folder: &Path, line: &str) -> String {
    let output = run(folder, line);
    assert_eq!(output.status.code(), Some(1), "{line}: {output:?}");
    assert!(output.stdout.is_empty());
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert_eq!(complaint.trim_end().lines().count(), 1, "{complaint}");
    complaint.trim_end().to_owned()
}

fn town() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    done(folder.path(), "ca init town");
    folder
}

#[test]
fn a_member_is_made_shown_renewed_and_revoked() {
    let town = town();
    let folder = town.path();
    let issued = done(folder, "issue node/housing --out housing --dns node.housing.example");
    assert!(issued.starts_with("node/housing\n  identity     spiffe://town.causeway/node/housing"));
    let files = IdentityFiles::in_folder(folder.join("housing"));
    assert_eq!(fs::metadata(&files.key).unwrap().permissions().mode() & 0o777, 0o600);
    let tls = TlsState::load(&files, now()).unwrap();

    let first = done_json(folder, "show housing/certificate.pem");
    assert_eq!(first["member"], "node/housing");
    assert_eq!(first["dns_names"][1], "node.housing.example");
    assert_eq!(first["days_left"], 6);
    assert_eq!(first["revoked"], false);

    let renewed = done_json(folder, "renew housing/certificate.pem --days 30");
    assert_ne!(renewed["serial"], first["serial"]);
    assert_eq!(renewed["key_fingerprint_sha256"], first["key_fingerprint_sha256"]);
    assert_eq!(renewed["days_left"], 29);
    tls.reload(&files, now()).unwrap();

    let revoked = done_json(folder, "revoke --member node/housing");
    assert_eq!(revoked["serials"].as_array().unwrap().len(), 2);
    assert_eq!((&revoked["list"]["number"], &revoked["list"]["revoked"]), (&2.into(), &2.into()));
    let shown = done(folder, "show housing/certificate.pem --crl ca/crl.pem");
    assert!(shown.contains("revoked      YES, by ca/crl.pem"), "{shown}");
    fs::copy(folder.join("ca/crl.pem"), &files.crl).unwrap();
    assert!(tls.reload(&files, now()).unwrap_err().to_string().contains("was revoked"));
    let complaint = failed(folder, "renew housing/certificate.pem");
    assert!(
        complaint.contains("could not renew housing/certificate.pem: the certificate was revoked")
    );
}

#[test]
fn a_members_own_request_is_signed_under_the_name_the_operator_gives() {
    let town = town();
    let (key, csr) = new_key_and_csr(&identity("coordinator/main")).unwrap();
    fs::write(town.path().join("police.csr"), csr).unwrap();
    done(town.path(), "sign police.csr node/police --out certificate.pem");

    let files = IdentityFiles::in_folder(town.path());
    causeway_certs::files::write_secret(&files.key, key.as_bytes()).unwrap();
    fs::copy(town.path().join("ca/ca.pem"), &files.ca).unwrap();
    fs::copy(town.path().join("ca/crl.pem"), &files.crl).unwrap();
    assert_eq!(TlsState::load(&files, now()).unwrap().identity(), identity("node/police"));
}

#[test]
fn one_certificate_is_revoked_by_its_file_or_its_serial_number() {
    let town = town();
    let folder = town.path();
    for id in ["housing", "police"] {
        done(folder, &format!("issue node/{id} --out {id}"));
    }
    done(folder, "revoke --certificate housing/certificate.pem");
    let serial = done_json(folder, "show police/certificate.pem")["serial"].clone();
    let list = done_json(folder, &format!("revoke --serial {}", serial.as_str().unwrap()));
    assert_eq!(list["list"]["revoked"], 2);
    let list = done_json(folder, "crl --days 2");
    assert_eq!((&list["number"], &list["revoked"]), (&4.into(), &2.into()));
}

#[test]
fn a_complaint_is_one_line_that_names_the_file_and_the_way_out() {
    let town = town();
    let folder = town.path();
    done(folder, "issue node/housing --out housing");
    for (line, complaint) in [
        ("ca init town", "there is a CA in ca already: choose another folder"),
        (
            "issue node/housing --out housing",
            "housing holds a key already: choose a new folder, or `renew` its certificate",
        ),
        (
            "crl --ca elsewhere",
            "there is no CA in elsewhere: make one with `causeway-certs ca init`",
        ),
        ("show nothing.pem", "could not read nothing.pem: No such file or directory (os error 2)"),
        (
            "show ca/ca.pem",
            "ca/ca.pem is not a member's certificate: its URI name is not an identity: \
             `spiffe://town.causeway` is not of the form \
             spiffe://<deployment>.causeway/<role>/<id>",
        ),
        (
            "sign ca/ca.pem node/police --out x.pem",
            "could not sign ca/ca.pem: the file should hold a certificate request in PEM form \
             (BEGIN CERTIFICATE REQUEST)",
        ),
        (
            "issue node/police --out police --dns a.causeway",
            "`a.causeway` cannot be an additional name: use a DNS name that does not end in \
             .causeway",
        ),
        ("revoke --member node/police", "node/police holds no certificate"),
        ("revoke --serial xyz", "a serial number is hexadecimal, as `show` prints"),
    ] {
        assert_eq!(failed(folder, line), format!("causeway-certs: {complaint}"));
    }
    fs::set_permissions(folder.join("ca/ca.key"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        failed(folder, "crl"),
        "causeway-certs: ca/ca.key can be read by other users (mode 0644): \
         run `chmod 600 ca/ca.key`",
    );
}

#[test]
fn a_certificate_that_cannot_be_made_leaves_no_folder() {
    let town = town();
    failed(town.path(), "issue node/housing --out housing --days 100000");
    assert!(!town.path().join("housing").exists());
}

#[test]
fn a_linkage_key_is_made_once_for_its_owners_eyes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("epoch.key");
    let said = done(folder.path(), "epoch-key --epoch 3 --out epoch.key");
    let text = fs::read_to_string(&path).unwrap();
    let key =
        text.lines().find_map(|line| line.strip_prefix("key = \"")?.strip_suffix('"')).unwrap();
    assert_eq!(key.len(), 64);
    assert!(text.contains("\nepoch = 3\n"));
    assert!(said.contains("every node's keys folder") && !said.contains(key), "{said}");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);

    let refused = failed(folder.path(), "epoch-key --epoch 3 --out epoch.key");
    assert!(refused.contains("epoch.key is there already"), "{refused}");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    done(folder.path(), "epoch-key --epoch 3 --out other.key");
    assert_ne!(fs::read_to_string(folder.path().join("other.key")).unwrap(), text);
}

#[test]
fn wrong_use_is_exit_code_two_and_says_what_would_be_right() {
    let town = town();
    for (line, hint) in [
        ("issue housing --out housing", "such as node/housing"),
        ("revoke", "--member"),
        ("revoke --member node/a1 --serial 00", "cannot be used with"),
        ("ca init Town", "lowercase"),
        ("epoch-key --epoch 0 --out epoch.key", "--epoch"),
        ("frobnicate", "unrecognized subcommand"),
    ] {
        let output = run(town.path(), line);
        assert_eq!(output.status.code(), Some(2), "{line}");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(complaint.contains(hint), "{line}: {complaint}");
    }
}

#[test]
fn help_teaches_with_an_example() {
    let town = town();
    for command in ["ca init", "issue", "sign", "renew", "revoke", "crl", "epoch-key", "show"] {
        let help = done(town.path(), &format!("{command} --help"));
        assert!(help.contains(&format!("  causeway-certs {command} ")), "{help}");
    }
}
