//! A folder that exports land in: which files are whole, whose they are, and what becomes of them.
//!
//! A file counts as whole once it looks the same twice, or once its marker is there. It is taken in
//! or refused, and then moved to `done` or `refused` beside it, with a receipt that holds counts. A
//! folder that this node may not change stays as it is, and what was dealt with is remembered by
//! content. Killed at any moment, the node comes back to the same files: what is in the store
//! already is no news, and what was not moved is moved.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use ring::digest;
use serde_json::json;

use super::{IngestError, Intake, Receipt};
use crate::{
    config::IntakeConfig,
    source::Feed,
    store::{StoreError, landed},
};

/// Endings that programs give to what they have not written to the end.
const UNFINISHED: [&str; 6] = [".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp"];

/// How a file looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    size: u64,
    changed: SystemTime,
}

/// One folder, and what was seen there at the last look.
pub struct Landing {
    folder: PathBuf,
    marker: Option<String>,
    keep: bool,
    looks: HashMap<PathBuf, Look>,
    /// Files that stay where they are although they were dealt with, and how they looked then.
    dealt_with: HashMap<PathBuf, Look>,
}

/// A file that landed and is whole.
#[derive(Debug)]
pub struct Landed<'f> {
    /// Where.
    pub path: PathBuf,
    /// Whose.
    pub feed: &'f Feed,
    look: Look,
}

/// What became of one file.
#[derive(Debug)]
pub struct Outcome {
    /// Which feed.
    pub feed: String,
    /// Its name.
    pub file: String,
    /// What became of it.
    pub result: Result<Receipt, IngestError>,
}

/// A folder could not be worked with.
#[derive(Debug, thiserror::Error)]
pub enum LandingError {
    /// The folder or a file in it could not be read.
    #[error("could not read {}: is the share mounted, and may this user read it?", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file could not be moved, although the folder can be written.
    #[error("could not move {}: it was dealt with, and is looked at again", path.display())]
    Move {
        /// What.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Two mappings claim one file.
    #[error("{} is named by the mappings of `{one}` and `{other}`: change `files` in one", path.display())]
    TwoFeeds {
        /// What.
        path: PathBuf,
        /// A feed.
        one: String,
        /// Another.
        other: String,
    },
    /// The store could not be read or written.
    #[error("could not look up what was dealt with")]
    Store(#[from] StoreError),
}

impl Landing {
    /// A folder as the settings name it.
    pub fn new(config: &IntakeConfig) -> Self {
        Self {
            folder: config.folder.clone(),
            marker: config.marker.clone(),
            keep: config.keep,
            looks: HashMap::new(),
            dealt_with: HashMap::new(),
        }
    }

    /// Looks at the folder, and returns the files that are whole and have not been dealt with, the
    /// oldest first; of the same age, in order of their names.
    ///
    /// # Errors
    /// Fails when the folder cannot be read, or when two feeds claim one file.
    pub fn look<'f>(&mut self, feeds: &'f [Feed]) -> Result<Vec<Landed<'f>>, LandingError> {
        let read = |source| LandingError::Read { path: self.folder.clone(), source };
        let mut looks = HashMap::new();
        let mut whole = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let (path, name) = (entry.path(), entry.file_name());
            let Some(feed) = self.whose(&path, &name.to_string_lossy(), feeds)? else { continue };
            let meta = match fs::metadata(&path) {
                Ok(meta) if meta.is_file() => meta,
                Ok(_) => continue,
                // Gone again between two calls: whoever wrote it renamed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(source) => return Err(LandingError::Read { path, source }),
            };
            let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            let look = Look { size: meta.len(), changed };
            let is_whole = match &self.marker {
                Some(_) => self.marker_of(&path).is_some_and(|marker| marker.is_file()),
                None => self.looks.get(&path) == Some(&look),
            };
            if is_whole && self.dealt_with.get(&path) != Some(&look) {
                whole.push(Landed { path: path.clone(), feed, look });
            }
            looks.insert(path, look);
        }
        self.dealt_with.retain(|path, _| looks.contains_key(path));
        self.looks = looks;
        whole.sort_by(|a, b| (a.look.changed, &a.path).cmp(&(b.look.changed, &b.path)));
        Ok(whole)
    }

    fn whose<'f>(
        &self,
        path: &Path,
        name: &str,
        feeds: &'f [Feed],
    ) -> Result<Option<&'f Feed>, LandingError> {
        let lower = name.to_ascii_lowercase();
        if name.starts_with(['.', '~']) || UNFINISHED.iter().any(|end| lower.ends_with(end)) {
            return Ok(None);
        }
        if self.marker.as_deref().is_some_and(|marker| name.ends_with(marker)) {
            return Ok(None);
        }
        let mut named = feeds.iter().filter(|feed| feed.takes_file(name));
        match (named.next(), named.next()) {
            (Some(one), Some(other)) => Err(LandingError::TwoFeeds {
                path: path.to_owned(),
                one: one.id().to_owned(),
                other: other.id().to_owned(),
            }),
            (one, _) => Ok(one),
        }
    }

    fn marker_of(&self, path: &Path) -> Option<PathBuf> {
        let mut name = path.file_name()?.to_owned();
        name.push(self.marker.as_ref()?);
        Some(path.with_file_name(name))
    }

    /// Takes in or refuses one file, and puts it away. `None` where it was dealt with before and has
    /// to stay.
    ///
    /// # Errors
    /// Fails when the file can neither be read nor put away. A refusal is an outcome.
    pub async fn deal_with(
        &mut self,
        intake: &Intake<'_>,
        landed: Landed<'_>,
    ) -> Result<Option<Outcome>, LandingError> {
        let Landed { path, feed, look } = landed;
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let folder = self.folder.to_string_lossy().into_owned();
        let hash = tokio::task::block_in_place(|| hash(&path))
            .map_err(|source| LandingError::Read { path: path.clone(), source })?;
        let before = landed::hash(&mut *intake.store.read().await?, &folder, &file).await?;
        if before == Some(hash) {
            self.dealt_with.insert(path, look);
            return Ok(None);
        }
        let result = intake.take_in(feed, &path).await;
        // What is wrong here and not with the file is tried again.
        if let Err(IngestError::Open { .. } | IngestError::Store(_)) = &result {
            return Ok(Some(Outcome { feed: feed.id().to_owned(), file, result }));
        }
        let stays = match self.keep {
            true => true,
            false => match self.put_away(&path, &file, &hash, &result) {
                Ok(()) => false,
                Err(error) if is_fixed(&error) => true,
                Err(source) => return Err(LandingError::Move { path, source }),
            },
        };
        if stays {
            let mut tx = intake.store.begin().await?;
            landed::put(&mut tx, &folder, &file, hash).await?;
            tx.commit().await.map_err(StoreError::from)?;
            self.dealt_with.insert(path, look);
        }
        Ok(Some(Outcome { feed: feed.id().to_owned(), file, result }))
    }

    /// Moves a file, with its receipt before it: whatever is in `done` says how it came there.
    fn put_away(
        &self,
        path: &Path,
        file: &str,
        hash: &[u8; 32],
        result: &Result<Receipt, IngestError>,
    ) -> io::Result<()> {
        let away = self.folder.join(if result.is_ok() { "done" } else { "refused" });
        fs::create_dir_all(&away)?;
        // Two files of one name are two files.
        let short: String = hash[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        let name = match away.join(file).exists() {
            true => format!("{file}.{short}"),
            false => file.to_owned(),
        };
        let receipt = away.join(format!("{name}.receipt.json"));
        // A node that was killed after it wrote one has nothing new to say.
        let again = matches!(result, Ok(receipt) if receipt.same_as_last) && receipt.exists();
        if !again {
            let draft = away.join(format!(".{name}.receipt.tmp"));
            fs::write(&draft, receipt_text(file, hash, result))?;
            fs::rename(&draft, &receipt)?;
        }
        fs::rename(path, away.join(&name))?;
        match self.marker_of(path) {
            Some(marker) => fs::remove_file(marker),
            None => Ok(()),
        }
    }
}

/// Counts, places and rules; nothing that a row says.
fn receipt_text(file: &str, hash: &[u8; 32], result: &Result<Receipt, IngestError>) -> String {
    let sha256: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let receipt = match result {
        Ok(receipt) => json!({ "file": file, "sha256": sha256, "taken_in": receipt }),
        Err(error) => json!({ "file": file, "sha256": sha256, "refused": reason(error) }),
    };
    format!("{receipt:#}\n")
}

/// Why a file was refused, in one line.
pub fn reason(error: &IngestError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

/// Returns whether a folder is one that this user may not change.
fn is_fixed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

fn hash(path: &Path) -> io::Result<[u8; 32]> {
    let mut context = digest::Context::new(&digest::SHA256);
    let mut file = fs::File::open(path)?;
    io::copy(&mut file, &mut Hashing(&mut context))?;
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    Ok(hash)
}

/// Hashes what is written to it.
struct Hashing<'a>(&'a mut digest::Context);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{store::Store, tokenise::recipe::MatchKeys};

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
            fs::File::options().write(true).open(path).unwrap().set_modified(changed).unwrap();
        }

        fn intake(&self) -> Intake<'_> {
            let as_at = "2025-03-01".parse().unwrap();
            Intake { store: &self.store, feeds: &self.feeds, keys: &self.keys, as_at, now_ms: 1 }
        }

        /// Looks twice, deals with what is whole, and says whose it was and whether it was good.
        async fn round(&self, landing: &mut Landing) -> Vec<(String, bool)> {
            landing.look(&self.feeds).unwrap();
            let mut outcomes = Vec::new();
            for landed in landing.look(&self.feeds).unwrap() {
                let outcome = landing.deal_with(&self.intake(), landed).await.unwrap();
                outcomes.extend(outcome.map(|outcome| (outcome.file, outcome.result.is_ok())));
            }
            outcomes
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

    #[tokio::test]
    async fn a_file_that_two_feeds_claim_is_nobodys() {
        let mut share = Share::new().await;
        let text = "id = 'other'\nabout = 'people'\nkey = ['REF']\nfiles = ['*.csv']\n\
                    [columns]\nsurname = 'NAME'\n";
        share.feeds.push(Feed::from_toml(text).unwrap());
        share.write("tenants-a.csv", "", 1);
        let error = share.landing(None, false).look(&share.feeds).unwrap_err().to_string();
        assert!(error.ends_with("by the mappings of `tenants` and `other`: change `files` in one"));
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
        let last = crate::store::imports::last_taken(&mut conn, "tenants").await.unwrap().unwrap();
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
}
