use std::time::Duration;

use super::*;
use crate::{
    store::{Store, claim::Claim, imports, records},
    tokenise::recipe::MatchKeys,
};

struct Share {
    folder: tempfile::TempDir,
    feeds: Vec<Feed>,
    store: Store,
    keys: MatchKeys,
}

impl Share {
    async fn new() -> Self {
        let feed = |id: &str, files: &str| {
            Feed::from_toml(&format!(
                "id = '{id}'\nabout = 'people'\nkey = ['REF']\nfiles = ['{files}']\n\
                 max_drop_pct = 40\n[columns]\nsurname = 'NAME'\n"
            ))
            .unwrap()
        };
        Self {
            folder: tempfile::tempdir().unwrap(),
            feeds: vec![feed("tenants", "tenants-*.csv"), feed("owners", "owners?.csv")],
            store: Store::in_memory().await,
            keys: MatchKeys::of_tests(),
        }
    }

    fn landing(&self, marker: Option<&str>, keep: bool) -> Landing {
        Landing::new(&IntakeConfig {
            folder: self.folder.path().to_owned(),
            every_seconds: 5.0,
            marker: marker.map(str::to_owned),
            keep,
        })
    }

    /// Writes a file that was changed so many seconds after another.
    fn write(&self, name: &str, text: &str, seconds: u64) {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds);
        File::options().write(true).open(path).unwrap().set_modified(changed).unwrap();
    }

    fn intake(&self) -> Intake<'_> {
        let as_at = "2025-03-01".parse().unwrap();
        Intake {
            store: &self.store,
            feeds: &self.feeds,
            keys: &self.keys,
            keyring: None,
            as_at,
            now_ms: 1,
        }
    }

    /// Looks twice, deals with what is whole, and says whose it was and whether it was good.
    async fn round(&self, landing: &mut Landing) -> Vec<(String, bool)> {
        landing.look(&self.feeds).unwrap();
        let mut outcomes = Vec::new();
        for landed in landing.look(&self.feeds).unwrap() {
            let outcome = landing.deal_with(&self.intake(), landed).await;
            outcomes.extend(outcome.map(|outcome| (outcome.file, outcome.result.is_ok())));
        }
        outcomes
    }

    /// Deals with one file that is whole, and puts another one in its place meanwhile.
    async fn deal_with_and_replace(&self, landing: &mut Landing, name: &str, text: &str) -> bool {
        landing.look(&self.feeds).unwrap();
        let landed = landing.look(&self.feeds).unwrap().remove(0);
        // The store has one connection. While somebody has it, the file is open and not yet read.
        let held = self.store.read().await.unwrap();
        let intake = self.intake();
        let (outcome, ()) = futures::join!(landing.deal_with(&intake, landed), async {
            self.write(".another", text, 1);
            let folder = self.folder.path();
            fs::rename(folder.join(".another"), folder.join(name)).unwrap();
            drop(held);
        });
        outcome.unwrap().result.is_ok()
    }

    async fn rows(&self) -> (u64, u64) {
        let mut conn = self.store.read().await.unwrap();
        let last = imports::last_taken(&mut conn, "tenants").await.unwrap().unwrap();
        (last.rows, last.changed)
    }

    fn names(&self, folder: &str) -> Vec<String> {
        let read = fs::read_dir(self.folder.path().join(folder));
        let names = read.into_iter().flatten().map(|entry| entry.unwrap());
        let files = names.filter(|entry| entry.path().is_file());
        let mut names: Vec<String> =
            files.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn names<'a>(landed: &'a [Landed<'_>]) -> Vec<&'a str> {
    landed.iter().filter_map(|landed| landed.path.file_name()?.to_str()).collect()
}

#[tokio::test]
async fn a_file_is_whole_once_it_looks_the_same_twice_and_the_oldest_comes_first() {
    let share = Share::new().await;
    let mut landing = share.landing(None, false);
    share.write("tenants-b.csv", "REF,NAME\n1,A\n", 10);
    share.write("tenants-c.csv", "REF,NAME\n1,A\n", 5);
    share.write("owners1.csv", "REF,NAME\n", 10);
    for other in [".tenants-d.csv", "tenants-e.csv.part", "notes.txt", "tenants-f.csv.tmp"] {
        share.write(other, "REF,NAME\n", 1);
    }
    assert_eq!(names(&landing.look(&share.feeds).unwrap()), [] as [&str; 0]);
    share.write("owners1.csv", "REF,NAME\n1,", 10);
    let whole = landing.look(&share.feeds).unwrap();
    assert_eq!(names(&whole), ["tenants-c.csv", "tenants-b.csv"], "the other one still grows");
    assert_eq!(whole[0].feed.id(), "tenants");
    let whole = landing.look(&share.feeds).unwrap();
    assert_eq!(names(&whole), ["tenants-c.csv", "owners1.csv", "tenants-b.csv"]);
}

#[tokio::test]
async fn with_a_marker_nothing_else_says_that_a_file_is_whole() {
    let share = Share::new().await;
    let mut landing = share.landing(Some(".done"), false);
    share.write("tenants-a.csv", "REF,NAME\n1,A\n", 1);
    for _ in 0..3 {
        assert_eq!(names(&landing.look(&share.feeds).unwrap()), [] as [&str; 0]);
    }
    share.write("tenants-a.csv.done", "", 2);
    assert_eq!(names(&landing.look(&share.feeds).unwrap()), ["tenants-a.csv"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_two_feeds_or_none_claim_is_nobodys_and_keeps_no_other_waiting() {
    let mut share = Share::new().await;
    let text = "id = 'other'\nabout = 'people'\nkey = ['REF']\nfiles = ['*-a.csv']\n\
                [columns]\nsurname = 'NAME'\n";
    share.feeds.push(Feed::from_toml(text).unwrap());
    for (name, seconds) in [("tenants-a.csv", 1), ("tenants-b.csv", 2)] {
        share.write(name, "REF,NAME\n1,A\n", seconds);
    }
    let mut landing = share.landing(Some(".ok"), false);
    for marker in ["tenants-a.csv.ok", "tenants-b.csv.ok"] {
        share.write(marker, "", 2);
    }
    assert_eq!(share.round(&mut landing).await, [("tenants-b.csv".into(), true)]);
    let said: Vec<String> = landing.claimed_twice().iter().map(ToString::to_string).collect();
    let two = "by the mappings of `tenants` and `other`: change `files` in one";
    assert!(said.len() == 1 && said[0].ends_with(two), "{said:?}");
    assert_eq!(landing.unreadable(&share.feeds).unwrap().len(), 1);
    assert!(landing.stray().is_none(), "markers and folders are nobody's files");

    share.write("notes.txt", "", 1);
    landing.look(&share.feeds).unwrap();
    let said = landing.stray().unwrap().to_string();
    assert!(said.contains("notes.txt is named by no mapping"), "{said}");
    share.write("Tenant list.csv", "", 1);
    landing.look(&share.feeds).unwrap();
    let said = landing.stray().unwrap().to_string();
    assert!(said.contains("Tenant list.csv and 1 more beside it are named by no"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_dealt_with_is_put_away_with_its_receipt() {
    let share = Share::new().await;
    let mut landing = share.landing(Some(".ok"), false);
    share.write("tenants-1.csv", "REF,NAME\n1,Archer\n2,Baker\n", 1);
    share.write("tenants-2.csv", "REF,NAME\n1,\"Archer\n", 2);
    share.write("tenants-1.csv.ok", "", 2);
    share.write("tenants-2.csv.ok", "", 2);
    let outcomes = share.round(&mut landing).await;
    assert_eq!(outcomes, [("tenants-1.csv".into(), true), ("tenants-2.csv".into(), false)]);
    assert_eq!(share.names("."), [] as [&str; 0], "markers, too");
    assert_eq!(share.names("done"), ["tenants-1.csv", "tenants-1.csv.receipt.json"]);
    assert_eq!(share.names("refused"), ["tenants-2.csv", "tenants-2.csv.receipt.json"]);
    let receipt = |path: &str| fs::read_to_string(share.folder.path().join(path)).unwrap();
    let done = receipt("done/tenants-1.csv.receipt.json");
    let refused = receipt("refused/tenants-2.csv.receipt.json");
    assert!(done.contains("\"changed\": 2") && refused.contains("is never closed"));
    assert!(![done, refused].iter().any(|text| text.contains("Archer")));

    // Another file of the same name is another file.
    share.write("tenants-1.csv", "REF,NAME\n1,Archer\n2,Carter\n", 3);
    share.write("tenants-1.csv.ok", "", 3);
    assert_eq!(share.round(&mut landing).await, [("tenants-1.csv".into(), true)]);
    assert_eq!(share.names("done").len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_was_killed_before_it_moved_a_file_moves_it() {
    let share = Share::new().await;
    share.write("tenants-1.csv", "REF,NAME\n1,A\n2,B\n", 1);
    share.write("tenants-2.csv", "REF,NAME\n1,A\n2,C\n", 2);
    // Killed after the commit, and again after the receipt was written.
    let path = share.folder.path().join("tenants-1.csv");
    share.intake().take_in(&share.feeds[0], &path).await.unwrap();
    fs::create_dir(share.folder.path().join("done")).unwrap();
    share.write("done/tenants-1.csv.receipt.json", "the first one", 1);
    let mut landing = share.landing(None, false);
    assert_eq!(share.round(&mut landing).await.len(), 2);
    assert_eq!(share.names("."), [] as [&str; 0]);
    let receipt = share.folder.path().join("done/tenants-1.csv.receipt.json");
    assert_eq!(fs::read_to_string(receipt).unwrap(), "the first one");
    let mut conn = share.store.read().await.unwrap();
    let last = imports::last_taken(&mut conn, "tenants").await.unwrap().unwrap();
    assert_eq!(last.changed, 1, "the second file changed one record");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_to_stay_is_remembered_by_its_content() {
    let share = Share::new().await;
    share.write("tenants-1.csv", "REF,NAME\n1,A\n2,B\n", 1);
    assert_eq!(share.round(&mut share.landing(None, true)).await.len(), 1);
    // Also by a node that was started again, and although it was touched.
    share.write("tenants-1.csv", "REF,NAME\n1,A\n2,B\n", 9);
    assert_eq!(share.round(&mut share.landing(None, true)).await, []);
    share.write("tenants-1.csv", "REF,NAME\n1,A\n2,C\n", 9);
    assert_eq!(share.round(&mut share.landing(None, true)).await.len(), 1);
    assert_eq!(share.names("."), ["tenants-1.csv"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_replaces_one_while_it_is_taken_in_is_not_put_away_unread() {
    for keep in [false, true] {
        let share = Share::new().await;
        share.write("tenants-1.csv", "REF,NAME\n1,A\n2,B\n", 1);
        let mut landing = share.landing(None, keep);
        // As long as the first, and as old.
        let newer = "REF,NAME\n1,A\n3,C\n";
        assert!(share.deal_with_and_replace(&mut landing, "tenants-1.csv", newer).await);
        assert_eq!(share.rows().await, (2, 2), "what was looked at was taken in");
        assert_eq!((share.names("."), share.names("done")), (vec!["tenants-1.csv".into()], vec![]));

        assert_eq!(share.round(&mut landing).await, [("tenants-1.csv".into(), true)]);
        assert_eq!(share.rows().await, (2, 1), "and then the other");
        let kept = fs::read_to_string(match keep {
            true => share.folder.path().join("tenants-1.csv"),
            false => share.folder.path().join("done/tenants-1.csv"),
        });
        assert_eq!(kept.unwrap(), newer);
        assert_eq!(share.round(&mut landing).await, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changed_since_it_was_looked_at_is_looked_at_again() {
    let share = Share::new().await;
    share.write("tenants-1.csv", "REF,NAME\n1,A\n2,B\n", 1);
    let mut landing = share.landing(None, false);
    landing.look(&share.feeds).unwrap();
    let landed = landing.look(&share.feeds).unwrap().remove(0);
    share.write("tenants-1.csv", "REF,NAME\n1,A\n2,B\n3,", 2);
    let path = landed.path.clone();
    assert!(landing.deal_with(&share.intake(), landed).await.is_none());
    assert_eq!(share.names("."), ["tenants-1.csv"]);
    assert!(landing.is_waiting(&path), "and whoever looks once is told");
    share.round(&mut landing).await;
    assert!(!landing.is_waiting(&path));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_to_nowhere_is_told_and_taken_in_once_it_leads_somewhere() {
    let share = Share::new().await;
    let mut landing = share.landing(None, false);
    let path = share.folder.path().join("tenants-1.csv");
    std::os::unix::fs::symlink("later.txt", &path).unwrap();
    share.write("owners1.csv", "REF,NAME\n1,A\n", 1);
    let unreadable = landing.unreadable(&share.feeds).unwrap();
    assert!(unreadable.len() == 1 && unreadable[0].to_string().contains("tenants-1.csv"));
    let outcomes = share.round(&mut landing).await;
    assert_eq!(outcomes, [("tenants-1.csv".into(), false), ("owners1.csv".into(), true)]);
    share.write("later.txt", "REF,NAME\n1,A\n", 1);
    assert_eq!(share.round(&mut landing).await, [("tenants-1.csv".into(), true)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_and_has_to_stay_is_tried_again_under_another_mapping() {
    let mut share = Share::new().await;
    let good = share.feeds[0].clone();
    let bad = "id = 'tenants'\nabout = 'people'\nkey = ['REF']\nfiles = ['tenants-*.csv']\n\
               [columns]\nsurname = 'NAMES'\n";
    share.feeds[0] = Feed::from_toml(bad).unwrap();
    share.write("tenants-1.csv", "REF,NAME\n1,A\n2,B\n", 1);
    assert_eq!(
        share.round(&mut share.landing(None, true)).await,
        [("tenants-1.csv".into(), false)]
    );
    assert_eq!(share.round(&mut share.landing(None, true)).await, []);
    share.feeds[0] = good;
    assert_eq!(share.round(&mut share.landing(None, true)).await, [("tenants-1.csv".into(), true)]);
    assert_eq!(share.round(&mut share.landing(None, true)).await, []);

    // Half a file of yesterday says nothing any more once today's is in.
    share.write("tenants-2.csv", "REF,NAME\n1,\"A\n", 2);
    share.write("tenants-3.csv", "REF,NAME\n1,A\n2,C\n", 3);
    assert_eq!(share.round(&mut share.landing(None, true)).await.len(), 2);
    share.feeds[0] = Feed::from_toml(&bad.replace("NAMES", "NAME")).unwrap();
    assert_eq!(share.round(&mut share.landing(None, true)).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_process_took_is_nobodys_failure() {
    let share = Share::new().await;
    share.write("tenants-1.csv", "REF,NAME\n1,A\n", 1);
    let whole = |landing: &mut Landing| {
        landing.look(&share.feeds).unwrap();
        landing.look(&share.feeds).unwrap().remove(0)
    };
    let (mut one, mut two) = (share.landing(None, false), share.landing(None, false));
    let (first, second) = (whole(&mut one), whole(&mut two));
    assert!(one.deal_with(&share.intake(), first).await.unwrap().result.unwrap().is_some());
    let outcome = two.deal_with(&share.intake(), second).await.unwrap();
    assert!(outcome.result.unwrap().is_none() && outcome.not_put_away.is_none());

    // And so is one that the other process moves while this one reads it.
    share.write("tenants-2.csv", "REF,NAME\n1,B\n", 2);
    let path = share.folder.path().join("tenants-2.csv");
    let landed = whole(&mut two);
    share.intake().take_in(&share.feeds[0], &path).await.unwrap();
    let held = share.store.read().await.unwrap();
    let intake = share.intake();
    let (outcome, ()) = futures::join!(two.deal_with(&intake, landed), async {
        fs::rename(&path, share.folder.path().join("done/tenants-2.csv")).unwrap();
        drop(held);
    });
    let outcome = outcome.unwrap();
    assert!(outcome.result.unwrap().is_none() && outcome.not_put_away.is_none());
    let done = ["tenants-1.csv", "tenants-1.csv.receipt.json", "tenants-2.csv"];
    assert_eq!(share.names("done"), done, "no receipt of this process's");
}

/// Another process is taking in what both have found; by the time it is done there is something newer.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_another_process_is_at_is_not_read_before_that_one_is_done() {
    let data = tempfile::tempdir().unwrap();
    let store = Store::open(&data.path().join("node.db")).await.unwrap();
    let share = Share { store, ..Share::new().await };
    share.write("tenants-1.csv", "REF,NAME\n1,A\n", 1);
    let mut landing = share.landing(None, false);
    landing.look(&share.feeds).unwrap();
    let landed = landing.look(&share.feeds).unwrap().remove(0);
    let claim = Claim::of_intake(share.store.path()).await.unwrap();
    let intake = share.intake();
    let mut dealing = Box::pin(landing.deal_with(&intake, landed));
    assert!(futures::poll!(&mut dealing).is_pending());
    let done = share.folder.path().join("done");
    fs::create_dir_all(&done).unwrap();
    fs::rename(share.folder.path().join("tenants-1.csv"), done.join("tenants-1.csv")).unwrap();
    drop(claim);
    let outcome = dealing.await.unwrap();
    assert!(outcome.result.unwrap().is_none() && outcome.not_put_away.is_none());
    let mut conn = share.store.read().await.unwrap();
    assert_eq!(records::count(&mut conn).await.unwrap(), 0);
}

#[test]
fn a_receipt_does_not_stay_without_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenants-1.csv");
    let receipt = Ok(Receipt::default());
    away::move_away(&path, &[0; 32], &receipt).unwrap_err();
    assert_eq!(fs::read_dir(folder.path().join("done")).unwrap().count(), 0);
}

#[test]
fn a_receipt_that_cannot_be_put_in_its_place_leaves_no_draft() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tenants-1.csv");
    fs::write(&path, "NAME\n").unwrap();
    let done = folder.path().join("done");
    fs::create_dir_all(done.join("tenants-1.csv.receipt.json")).unwrap();
    away::move_away(&path, &[0; 32], &Ok(Receipt::default())).unwrap_err();
    let left: Vec<String> =
        fs::read_dir(&done).unwrap().map(|entry| name_of(&entry.unwrap().path())).collect();
    assert_eq!(left, ["tenants-1.csv.receipt.json"]);
    assert!(path.exists());
}
