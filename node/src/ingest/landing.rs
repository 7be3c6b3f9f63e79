//! A folder that exports land in: which files are whole, whose they are, and what becomes of them.
//!
//! A file counts as whole once it looks the same twice, or once its marker is there. It is taken in
//! or refused, and then moved to `done` or `refused` beside it, with a receipt that holds counts. A
//! folder that this node may not change stays as it is, and what was dealt with is remembered by
//! content. Killed at any moment, the node comes back to the same files: what is in the store
//! already is no news, and what was not moved is moved. A file that takes another's place while that
//! one is taken in is a file of its own: it is looked at next.

mod away;
mod claims;

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use self::{
    away::{Away, Opened},
    claims::Claims,
};
use super::{IngestError, Intake, Receipt, delivery::Delivery};
use crate::{
    cause::in_one_line,
    config::IntakeConfig,
    source::{Feed, FileError},
    store::{StoreError, landed},
};

/// How a file looks from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Look {
    size: u64,
    changed: SystemTime,
}

impl Look {
    /// Of a file that cannot be looked at.
    const NONE: Self = Self { size: 0, changed: SystemTime::UNIX_EPOCH };

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
    /// Files that several feeds claim, and files that none does.
    claimed_twice: Vec<LandingError>,
    strays: Vec<PathBuf>,
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
    /// What became of it. `None` where another process took it meanwhile.
    pub result: Result<Option<Receipt>, IngestError>,
    /// Why it could not be put away although it was dealt with, if it could not.
    pub not_put_away: Option<LandingError>,
}

impl Outcome {
    /// What became of a database's answer.
    pub(super) fn of_database(feed: &Feed, result: Result<Receipt, IngestError>) -> Self {
        let (feed, file) = (feed.id().to_owned(), String::from("database"));
        Self { feed, file, result: result.map(Some), not_put_away: None }
    }
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
    /// No mapping claims a file.
    #[error(
        "{}{} named by no mapping and not taken in: add the name to `files` in one, or keep it elsewhere",
        path.display(),
        if *others == 0 { " is".to_owned() } else { format!(" and {others} more beside it are") }
    )]
    NoFeed {
        /// The first, in the order of names.
        path: PathBuf,
        /// How many more there are in the folder.
        others: usize,
    },
    /// It became another one while it waited for its turn.
    #[error(
        "{} changed while it waited for its turn, and may not be whole: it was not taken in; try again",
        path.display()
    )]
    Changed {
        /// What.
        path: PathBuf,
    },
    /// That it was dealt with could not be remembered.
    #[error("could not remember that {} was dealt with: it is looked at again", path.display())]
    Remember {
        /// What.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
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
            claimed_twice: Vec::new(),
            strays: Vec::new(),
        }
    }

    /// Returns the folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Looks at the folder, and returns the files that are whole and have not been dealt with, the
    /// oldest first; of the same age, in order of their names. What cannot be looked at is among
    /// them, so that somebody hears of it. Files that no feed claims, or several, keep nobody waiting.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub fn look<'f>(&mut self, feeds: &'f [Feed]) -> Result<Vec<Landed<'f>>, LandingError> {
        let mut looks = HashMap::new();
        let mut whole = Vec::new();
        let Claims { files, claimed_twice, strays } = self.claims(feeds)?;
        (self.claimed_twice, self.strays) = (claimed_twice, strays);
        for landed in files {
            let Landed { path, look, .. } = &landed;
            looks.insert(path.clone(), *look);
            let is_whole = match &self.marker {
                Some(_) => self.marker_of(path).is_some_and(|marker| marker.is_file()),
                None => self.looks.get(path) == Some(look),
            };
            if is_whole && self.dealt_with.get(path) != Some(look) {
                whole.push(landed);
            }
        }
        self.dealt_with.retain(|path, _| looks.contains_key(path));
        self.looks = looks;
        whole.sort_by(|a, b| (a.look.changed, &a.path).cmp(&(b.look.changed, &b.path)));
        Ok(whole)
    }

    /// Returns what the last look found that several feeds claim, once.
    pub fn claimed_twice(&mut self) -> Vec<LandingError> {
        std::mem::take(&mut self.claimed_twice)
    }

    /// Returns what the last look found that no feed claims, if there was any.
    pub fn stray(&self) -> Option<LandingError> {
        let path = self.strays.first()?.clone();
        Some(LandingError::NoFeed { path, others: self.strays.len() - 1 })
    }

    /// Looks at the folder, tries to open every file, and returns what nobody can take in: because it
    /// cannot be opened, or because several feeds claim it.
    ///
    /// # Errors
    /// Fails when the folder cannot be read.
    pub fn unreadable(&mut self, feeds: &[Feed]) -> Result<Vec<LandingError>, LandingError> {
        let Claims { files, mut claimed_twice, strays } = self.claims(feeds)?;
        self.strays = strays;
        let tried = files.into_iter().map(|Landed { path, .. }| {
            let opened = File::open(&path);
            opened.map_err(|source| LandingError::Read { path, source })
        });
        claimed_twice.extend(tried.filter_map(Result::err));
        Ok(claimed_twice)
    }

    /// Returns whether a file is there and was not dealt with as it is.
    pub(super) fn is_waiting(&self, path: &Path) -> bool {
        let look = fs::metadata(path).ok().map(|found| Look::of(&found));
        look.is_some_and(|look| self.dealt_with.get(path) != Some(&look))
    }

    fn marker_of(&self, path: &Path) -> Option<PathBuf> {
        let mut name = path.file_name()?.to_owned();
        name.push(self.marker.as_ref()?);
        Some(path.with_file_name(name))
    }

    /// Takes in or refuses one file, and puts it away. `None` where it was dealt with before and has
    /// to stay, or changed since it was looked at. Whatever goes wrong with one file is an outcome:
    /// others are not to wait for it.
    pub async fn deal_with(&mut self, intake: &Intake<'_>, landed: Landed<'_>) -> Option<Outcome> {
        let Landed { path, feed, look } = landed;
        let file = name_of(&path);
        let outcome = |result, not_put_away| {
            let (feed, file) = (feed.id().to_owned(), file.clone());
            Some(Outcome { feed, file, result, not_put_away })
        };
        // Where another process had its turn before, the file may have been dealt with.
        let _claim = match intake.claim().await {
            Ok(claim) => claim,
            Err(error) => return outcome(Err(error.into()), None),
        };
        let opened = match tokio::task::block_in_place(|| Opened::open(&path)) {
            Ok(opened) => opened,
            Err(error) if is_gone(&path, &error) => return outcome(Ok(None), None),
            Err(source) => {
                let place = path.display().to_string();
                return outcome(Err(IngestError::Open { place, source }), None);
            }
        };
        let Opened { file: handle, stamp, hash } = opened;
        // Whether this one is whole was never seen.
        if stamp.look != look {
            return None;
        }
        match self.was_dealt_with(intake, feed, (&file, look), hash).await {
            Ok(true) => {
                self.dealt_with.insert(path, look);
                return None;
            }
            Ok(false) => {}
            Err(error) => return outcome(Err(error.into()), None),
        }
        let result = intake.take(feed, Ok(Delivery::opened(&path, handle))).await;
        if result.as_ref().is_err_and(is_ours) {
            return outcome(result.map(Some), None);
        }
        let away = match self.keep {
            true => away::left(&path, &stamp),
            false => {
                let marker = self.marker_of(&path);
                away::put_away(&path, marker.as_deref(), (&stamp, &hash), &result)
            }
        };
        match away {
            Ok(Away::Moved) => outcome(result.map(Some), None),
            Ok(Away::Taken) => {
                // Whoever took it has its receipt, unless this process was the first to read it.
                let news = |receipt: Receipt| (!receipt.same_as_last).then_some(receipt);
                outcome(result.map(news), None)
            }
            Ok(Away::Replaced) => {
                tracing::info!(file, "another one took its place, and is looked at next");
                outcome(result.map(Some), None)
            }
            Ok(Away::Left) => {
                let refused_under = result.is_err().then(|| feed.fingerprint());
                let dealt_with = landed::Landed { sha256: hash, refused_under };
                let remembered = self.remember(intake, &file, &dealt_with).await;
                let problem = match remembered {
                    Ok(()) => {
                        self.dealt_with.insert(path, look);
                        None
                    }
                    Err(source) => Some(LandingError::Remember { path, source }),
                };
                outcome(result.map(Some), problem)
            }
            Err(source) => outcome(result.map(Some), Some(LandingError::Move { path, source })),
        }
    }

    /// Returns whether a file that has to stay was dealt with as it is. One that was refused under
    /// another mapping was not, unless a later one came in since: that says more than this one.
    async fn was_dealt_with(
        &self,
        intake: &Intake<'_>,
        feed: &Feed,
        (file, look): (&str, Look),
        hash: [u8; 32],
    ) -> Result<bool, StoreError> {
        let folder = self.folder.to_string_lossy();
        let mut conn = intake.store.read().await?;
        let refused_under = match landed::get(&mut conn, &folder, file).await? {
            Some(before) if before.sha256 == hash => before.refused_under,
            _ => return Ok(false),
        };
        if refused_under.is_none_or(|mapping| mapping == feed.fingerprint()) {
            return Ok(true);
        }
        let taken = landed::taken(&mut conn, &folder).await?;
        let later = self.looks.iter().filter(|(_, other)| other.changed > look.changed);
        let mut names = later.map(|(path, _)| name_of(path));
        Ok(names.any(|name| feed.takes_file(&name) && taken.contains(&name)))
    }

    async fn remember(
        &self,
        intake: &Intake<'_>,
        file: &str,
        dealt_with: &landed::Landed,
    ) -> Result<(), StoreError> {
        let mut tx = intake.store.begin().await?;
        landed::put(&mut tx, &self.folder.to_string_lossy(), file, dealt_with).await?;
        Ok(tx.commit().await?)
    }
}

/// Returns whether what went wrong is wrong here and not with the file, which is then tried again.
fn is_ours(error: &IngestError) -> bool {
    let here = matches!(
        error,
        IngestError::Open { .. }
            | IngestError::Store(_)
            | IngestError::Claim(_)
            | IngestError::KeyReplaced
            | IngestError::Keys(_)
    );
    here || matches!(error, IngestError::File { source: FileError::Io(_), .. })
}

/// Returns whether there is no file any more. A link to nowhere is there.
fn is_gone(path: &Path, error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound && !path.is_symlink()
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Why a file was refused, in one line. Which file it is stands beside it.
pub fn reason(error: &IngestError) -> String {
    match error {
        IngestError::Open { source, .. } => {
            format!("it could not be opened: {source}; this user has to be able to read it")
        }
        IngestError::NoDatabase { .. } | IngestError::KeyReplaced => error.to_string(),
        IngestError::File { source, .. } => in_one_line(source),
        IngestError::Refused { source, .. } => in_one_line(source),
        IngestError::Store(source) => in_one_line(source),
        IngestError::Claim(source) => in_one_line(source),
        IngestError::Keys(source) => in_one_line(source),
    }
}

#[cfg(test)]
mod tests;
