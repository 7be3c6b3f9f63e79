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
mod tests;
