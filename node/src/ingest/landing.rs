//! A folder that exports land in: which files are whole, whose they are, and what becomes of them.
//!
//! A file counts as whole once it looks the same twice, or once its marker is there. It is taken in
//! or refused, and then moved to `done` or `refused` beside it, with a receipt that holds counts. A
//! folder that this node may not change stays as it is, and what was dealt with is remembered by
//! content. Killed at any moment, the node comes back to the same files: what is in the store
//! already is no news, and what was not moved is moved. A file that takes another's place while that
//! one is taken in is a file of its own: it is looked at next.

mod away;

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use self::away::{Away, Opened};
use super::{IngestError, Intake, Receipt, delivery::Delivery};
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

impl Look {
    fn of(meta: &fs::Metadata) -> Self {
        let changed = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        Self { size: meta.len(), changed }
    }
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
            let look = Look::of(&meta);
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
    /// to stay, or changed since it was looked at.
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
        let opened = tokio::task::block_in_place(|| Opened::open(&path))
            .map_err(|source| LandingError::Read { path: path.clone(), source })?;
        let Opened { file: handle, stamp, hash } = opened;
        // Whether this one is whole was never seen.
        if stamp.look != look {
            return Ok(None);
        }
        let before = landed::hash(&mut *intake.store.read().await?, &folder, &file).await?;
        if before == Some(hash) {
            self.dealt_with.insert(path, look);
            return Ok(None);
        }
        let result = intake.take(feed, Ok(Delivery::opened(&path, handle))).await;
        // What is wrong here and not with the file is tried again.
        if let Err(IngestError::Open { .. } | IngestError::Store(_)) = &result {
            return Ok(Some(Outcome { feed: feed.id().to_owned(), file, result }));
        }
        let put_away = match self.keep {
            true => away::is_still(&path, &stamp).map(|still| (!still).then_some(Away::Replaced)),
            false => {
                let marker = self.marker_of(&path);
                away::put_away(&path, marker.as_deref(), (&stamp, &hash), &result).map(Some)
            }
        };
        let stays = match put_away {
            Ok(Some(Away::Moved)) => false,
            Ok(Some(Away::Replaced)) => {
                tracing::info!(file, "another one took its place, and is looked at next");
                false
            }
            Ok(None) => true,
            Err(error) if away::is_fixed(&error) => true,
            Err(source) => return Err(LandingError::Move { path, source }),
        };
        if stays {
            let mut tx = intake.store.begin().await?;
            landed::put(&mut tx, &folder, &file, hash).await?;
            tx.commit().await.map_err(StoreError::from)?;
            self.dealt_with.insert(path, look);
        }
        Ok(Some(Outcome { feed: feed.id().to_owned(), file, result }))
    }
}

/// Why a file was refused, in one line.
pub fn reason(error: &IngestError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => cause.to_string(),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
