use std::{fs, path::Path};

use causeway_proto::{alert::Alert, pb};
use clap::CommandFactory;
use prost::Message;
use serde_json::{Value, json};

use super::*;
use crate::{
    clock,
    inbox::an_alert,
    store::{Store, alerts, audit},
    tokenise::{chain::EpochKey, keyring::Keyring},
};

#[test]
fn the_command_line_is_well_formed() {
    Args::command().debug_assert();
}

/// A node with two feeds and a folder that exports land in.
struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        fs::create_dir(desk.path("keys")).unwrap();
        fs::create_dir(desk.path("landing")).unwrap();
        let keyring = Keyring::new(desk.path("keys"), "pilot".parse().unwrap());
        keyring.init().unwrap();
        let key = [7; 32].into();
        keyring.put_epoch(&EpochKey { epoch: 1, roster_hash: [0; 32], key }).unwrap();
        desk.write(
            "node.toml",
            "deployment = 'pilot'\nid = 'housing'\nkind = 'housing'\ncoordinator = 'main'\n\
             policy = 'policy.toml'\nfeeds = ['tenants.toml', 'owners.toml']\n\
             keys = { folder = 'keys' }\nstore = { path = 'node.db' }\n\
             identity = { certificate = 'c', key = 'k', ca = 'a', crl = 'r' }\n\
             [serve]\nlisten = '127.0.0.1:0'\n\
             [[intake]]\nfolder = 'landing'\nevery_seconds = 0.01\n",
        );
        for feed in ["tenants", "owners"] {
            desk.write(
                &format!("{feed}.toml"),
                &format!(
                    "id = '{feed}'\nabout = 'people'\nkey = ['REF']\nfiles = ['{feed}-*.csv']\n\
                     [columns]\nsurname = 'NAME'\n"
                ),
            );
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Runs a command; returns what it wrote, and how it failed.
    async fn run(&self, words: &[&str]) -> (String, String) {
        let config = self.path("node.toml");
        let begin = ["causeway-node", "--config", config.to_str().unwrap()];
        let args = Args::try_parse_from(begin.iter().chain(words)).unwrap();
        let mut out = Vec::new();
        let failed = command(&args, &mut out).await.err();
        let failed = failed.map(|error| format!("{error:#}")).unwrap_or_default();
        (String::from_utf8(out).unwrap(), failed)
    }

    async fn finding(&self, what: &str) -> String {
        let (out, _) = self.run(&["check"]).await;
        let line = out.lines().find(|line| line.split_whitespace().nth(1) == Some(what));
        line.unwrap().to_owned()
    }
}

/// Makes a file that nobody can read, not even root.
fn unreadable(path: &Path) {
    std::os::unix::fs::symlink(path.file_name().unwrap(), path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_read_keeps_no_other_from_coming_in() {
    let desk = Desk::new();
    assert!(desk.finding("intake").await.starts_with("ok"));
    unreadable(&desk.path("landing/tenants-1.csv"));
    desk.write("landing/tenants-2.csv", "REF,NAME\n1,A\n");
    desk.write("landing/owners-1.csv", "REF,NAME\n1,A\n");
    let intake = desk.finding("intake").await;
    assert!(intake.starts_with("FAIL") && intake.contains("tenants-1.csv"), "{intake}");

    let (out, failed) = desk.run(&["--json", "ingest", "--all"]).await;
    assert_eq!(failed, "1 file or folder could not be worked with");
    let told: Vec<Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(told.len(), 3, "{out}");
    let why = told.iter().find_map(|one| one["unreadable"].as_str()).unwrap();
    assert!(why.contains("symbolic link") && why.contains("has to be able to read it"), "{why}");
    for name in ["landing/done/tenants-2.csv", "landing/done/owners-1.csv"] {
        assert!(desk.path(name).is_file(), "{name}");
    }
    let (out, _) = desk.run(&["ingest", "--all"]).await;
    assert!(out.starts_with("tenants-1.csv (tenants) is still there: it could not be"), "{out}");

    // Nor does a folder that is not there.
    fs::remove_file(desk.path("landing/tenants-1.csv")).unwrap();
    let config = fs::read_to_string(desk.path("node.toml")).unwrap();
    let more = "[[intake]]\nfolder = 'nowhere'\nevery_seconds = 0.01\n";
    desk.write("node.toml", &config.replace("[[intake]]", &format!("{more}[[intake]]")));
    desk.write("landing/owners-2.csv", "REF,NAME\n1,B\n");
    let (out, failed) = desk.run(&["--json", "ingest", "--all"]).await;
    assert_eq!(failed, "1 file or folder could not be worked with");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(told[0]["taken_in"]["changed"], json!(1), "{out}");
    assert!(told[1]["problem"].as_str().unwrap().contains("nowhere"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_nobodys_is_named_and_a_round_without_folders_says_what_to_add() {
    let desk = Desk::new();
    desk.write("landing/tenants-1.csv", "REF,NAME\n1,A\n");
    desk.write("landing/tennants-2.csv", "REF,NAME\n1,A\n");
    let (checked, _) = desk.run(&["check"]).await;
    let ignored = "landing/tennants-2.csv is named by no mapping";
    let warned = checked.lines().find(|line| line.contains(ignored));
    assert!(warned.is_some_and(|line| line.starts_with("WARN")), "{checked}");
    let (out, failed) = desk.run(&["ingest", "--all"]).await;
    assert!(out.contains("tenants-1.csv: 1 rows") && out.contains(ignored), "{out}");
    assert_eq!(failed, "", "it may be there for somebody else");
    let (out, _) = desk.run(&["--json", "ingest", "--all"]).await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(told[0]["ignored"].as_str().unwrap().contains(ignored), "{out}");

    let config = fs::read_to_string(desk.path("node.toml")).unwrap();
    desk.write("node.toml", config.split("[[intake]]").next().unwrap());
    let (out, _) = desk.run(&["ingest", "--all"]).await;
    assert!(out.starts_with("There is no folder to look in: add [[intake]]"), "{out}");
    let (out, _) = desk.run(&["--json", "ingest", "--all"]).await;
    let told: Value = serde_json::from_str(&out).unwrap();
    assert!(told[0]["problem"].as_str().unwrap().contains("add [[intake]]"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_that_is_none_has_no_quarantine() {
    let desk = Desk::new();
    let (_, failed) = desk.run(&["quarantine", "list", "--feed", "nosuch"]).await;
    assert!(failed.starts_with("there is no feed `nosuch` in the settings"), "{failed}");
    assert_eq!(desk.run(&["quarantine", "list", "--feed", "owners"]).await.1, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_of_no_day_to_come_and_of_none_before_the_last() {
    let desk = Desk::new();
    desk.write("landing/some.csv", "REF,NAME\n1,A\n");
    let file = desk.path("landing/some.csv");
    let ingest = |words: &[&str]| {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let (desk, file) = (&desk, file.to_str().unwrap());
        async move {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            desk.run(&[&["ingest", "tenants", file, "--as-at"], &words[..]].concat()).await.1
        }
    };
    assert!(ingest(&["2999-01-01"]).await.starts_with("2999-01-01 is in the future: today is"));
    assert!(desk.run(&["ingest", "--all", "--as-at", "2999-01-01"]).await.1.contains("future"));
    assert_eq!(ingest(&["2025-03-02"]).await, "");
    for earlier in [&["2025-03-01"][..], &["2025-03-01", "--dry-run"]] {
        let failed = ingest(earlier).await;
        assert!(failed.starts_with("feed `tenants` told of 2025-03-02 already"), "{failed}");
    }
    assert_eq!(ingest(&["2025-03-02"]).await, "");
    assert_eq!(ingest(&[&clock::today().plus(1).to_string()]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_export_brought_is_in_the_file_itself_when_the_command_ends() {
    let desk = Desk::new();
    desk.write("some.csv", "REF,NAME\n1,A\n");
    let some = desk.path("some.csv");
    assert_eq!(desk.run(&["ingest", "tenants", some.to_str().unwrap()]).await.1, "");
    assert!(desk.path("node.db").is_file());
    assert!(!desk.path("node.db-wal").exists(), "the next one would have to go through it first");
}

/// Makes a store that SQLite may read and not write, whoever the user is.
async fn read_only_store(path: &Path) {
    Store::open(path).await.unwrap().close().await;
    let mut bytes = fs::read(path).unwrap();
    // The version that a writer has to know, of which there is none.
    bytes[18] = 9;
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_store_is_said_once_with_its_place_and_a_way_out() {
    let desk = Desk::new();
    desk.write("some.csv", "REF,NAME\n1,A\n");
    let (store, some) = (desk.path("node.db").display().to_string(), desk.path("some.csv"));
    let ingest = ["ingest", "tenants", some.to_str().unwrap()];
    read_only_store(&desk.path("node.db")).await;
    let records = desk.finding("records").await;
    assert!(records.starts_with("FAIL"), "{records}");
    for said in [records, desk.run(&ingest).await.1] {
        assert!(said.contains(&store) && said.contains("able to write the file"), "{said}");
        assert_eq!(said.matches("attempt to write a readonly database").count(), 1, "{said}");
    }

    let desk = Desk::new();
    let store = desk.path("node.db").display().to_string();
    desk.write("node.db", &"no database ".repeat(1000));
    for said in [desk.finding("records").await, desk.run(&ingest).await.1] {
        assert!(said.contains(&store) && said.contains("put a copy back"), "{said}");
        assert_eq!(said.matches("file is not a database").count(), 1, "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_mapping_is_said_once() {
    let desk = Desk::new();
    let mapping = fs::read_to_string(desk.path("tenants.toml")).unwrap();
    desk.write("tenants.toml", &format!("dats = 3\n{mapping}"));
    let (_, failed) = desk.run(&["quarantine", "list"]).await;
    assert_eq!(failed.matches("unknown field `dats`").count(), 1, "{failed}");
    assert!(failed.contains("tenants.toml"), "{failed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_cause_of_a_refusal_is_kept() {
    let desk = Desk::new();
    let folder = desk.path("landing").display().to_string();
    let (_, failed) = desk.run(&["ingest", "tenants", &folder]).await;
    assert!(failed.contains("could not read the file: Is a directory"), "{failed}");
    let freshness = desk.finding("freshness").await;
    assert!(freshness.contains("could not read the file: Is a directory"), "{freshness}");
}

async fn arrives(store: &Store, revision: u32) {
    let alert = Alert { revision, ..an_alert() };
    let body = pb::Alert::from(alert.clone()).encode_to_vec();
    let mut conn = store.read().await.unwrap();
    alerts::put(&mut conn, alert.id, revision, &body, &[], clock::now_ms()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_nobody_has_seen_is_not_answered() {
    let desk = Desk::new();
    let store = Store::open(&desk.path("node.db")).await.unwrap();
    let id = an_alert().id.to_string();
    let review = async |rest: &[&str]| {
        let words = [&["inbox", "review", &id, "--action", "acting"], rest].concat();
        desk.run(&words).await.1
    };
    arrives(&store, 1).await;
    assert_eq!(review(&[]).await, "");
    arrives(&store, 2).await;
    for rest in [&[][..], &["--revision", "1"]] {
        let failed = review(rest).await;
        assert!(
            failed.contains("revision 2 by now") && failed.contains("--revision 2"),
            "{failed}"
        );
    }
    assert_eq!(review(&["--revision", "2"]).await, "");
    arrives(&store, 3).await;
    assert_ne!(review(&[]).await, "");
    let (letter, _) = desk.run(&["inbox", "show", &id]).await;
    assert!(letter.contains("Revision 3."), "{letter}");
    assert_eq!(review(&[]).await, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lists_the_inbox_is_on_record() {
    let desk = Desk::new();
    let store = Store::open(&desk.path("node.db")).await.unwrap();
    arrives(&store, 2).await;
    let (listed, _) = desk.run(&["inbox", "list"]).await;
    assert!(listed.contains("revision 2, unread"), "{listed}");
    let mut conn = store.read().await.unwrap();
    assert_eq!(audit::count(&mut conn, "ListAlerts").await.unwrap(), 1);
}
