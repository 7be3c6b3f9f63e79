//! Takes in one export: source, normalise, tokenise, store. All of it, or nothing.
//!
//! Reading and checking happen before the store is touched. What an export changes is found by
//! comparing it with what is there, so the same file twice is no news, and one changed row in a
//! hundred thousand is one change.

pub mod dedupe;
mod events;
mod homes;
mod people;
mod persons;

use std::{
    collections::HashMap,
    fs::File,
    io,
    path::{Path, PathBuf},
};

use causeway_proto::day::Day;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::{
    normalise::quality::Quality,
    source::{
        Feed, FileError, FileRefused, SourceReport,
        mapping::{About, Mode},
    },
    store::{
        Store, StoreError,
        imports::{self, Import, Quarantined},
        records::Known,
    },
    tokenise::recipe::MatchKeys,
};

/// Rows that are absent from this many good full exports in a row are gone.
const GONE_AFTER: u32 = 2;

/// What taking in exports needs.
pub struct Intake<'a> {
    /// Where records are kept.
    pub store: &'a Store,
    /// Every feed of the agency.
    pub feeds: &'a [Feed],
    /// The epoch's keys.
    pub keys: &'a MatchKeys,
    /// The day of the export.
    pub as_at: Day,
    /// Unix milliseconds, now.
    pub now_ms: u64,
}

/// What became of an export. Safe to log and to show an operator.
#[derive(Debug, Default, Serialize)]
pub struct Receipt {
    /// Which feed.
    pub feed: String,
    /// The same file was the last one taken in: nothing was done.
    pub same_as_last: bool,
    /// Rows that were new or different.
    pub changed: u64,
    /// Rows that were as before.
    pub unchanged: u64,
    /// Rows that this export lacks for the first time; still there.
    pub missed: u64,
    /// Rows that are gone.
    pub removed: u64,
    /// Persons that are new or have other match-keys.
    pub persons_changed: u64,
    /// Events after the death of their person; left out.
    pub after_death: u64,
    /// What the file was like.
    pub file: SourceReport,
    /// What the records were like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
}

/// The export was not taken in. What was there before stands.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The file could not be opened.
    #[error("could not open {}", path.display())]
    Open {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file as a whole is bad.
    #[error("{} was refused, and what was there before stands", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: FileError,
    },
    /// Too many rows are missing or bad.
    #[error("{} was refused, and what was there before stands", path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: FileRefused,
    },
    /// The store could not be written, so nothing was.
    #[error("nothing was taken in")]
    Store(#[from] StoreError),
}

/// How an export differs from what is there.
#[derive(Default)]
struct Difference<T> {
    changed: Vec<T>,
    unchanged: u64,
    /// Absent for the first time.
    missed: Vec<(i64, u32)>,
    /// Here again after having been absent.
    back: Vec<i64>,
    /// Absent once too often.
    gone: Vec<i64>,
}

impl Intake<'_> {
    /// Takes in a whole export or, if anything is wrong with it, none of it.
    pub async fn take_in(&self, feed: &Feed, path: &Path) -> Result<Receipt, IngestError> {
        match feed.mapping().about {
            About::People => self.people(feed, path).await,
            About::Events => self.events(feed, path).await,
        }
    }

    /// Says what taking in an export would find, and touches nothing.
    pub async fn dry_run(&self, feed: &Feed, path: &Path) -> Result<DryRun, IngestError> {
        let mut conn = self.store.snapshot().await?;
        let last = imports::last_taken(&mut conn, feed.id()).await?;
        let last_rows = last.map(|last| last.rows);
        match feed.mapping().about {
            About::People => {
                tokio::task::block_in_place(|| people::dry_run(self, feed, path, last_rows))
            }
            About::Events => tokio::task::block_in_place(|| events::dry_run(feed, path, last_rows)),
        }
    }

    /// Records that an export was refused, so that the operator sees why its feed grows stale.
    async fn refuse(&self, feed: &Feed, error: &IngestError) -> Result<(), StoreError> {
        let reason = match error {
            IngestError::File { source, .. } => source.to_string(),
            IngestError::Refused { source, .. } => source.to_string(),
            IngestError::Open { .. } | IngestError::Store(_) => return Ok(()),
        };
        let import = Import {
            feed: feed.id().to_owned(),
            refused: Some(reason),
            taken_ms: self.now_ms,
            ..Import::default()
        };
        let mut tx = self.store.begin().await?;
        imports::put(&mut tx, &import).await?;
        Ok(tx.commit().await?)
    }

    /// Records what became of an export that is taken in.
    async fn taken(
        &self,
        conn: &mut SqliteConnection,
        feed: &Feed,
        receipt: &Receipt,
        more: Vec<Quarantined>,
    ) -> Result<(), StoreError> {
        let file = &receipt.file;
        let import = Import {
            feed: feed.id().to_owned(),
            sha256: file.sha256.as_ref().map_or([0; 32], |hash| *hash.as_bytes()),
            refused: None,
            rows: file.rows,
            accepted: file.taken,
            quarantined: file.quarantined + more.len() as u64,
            changed: receipt.changed,
            removed: receipt.removed,
            taken_ms: self.now_ms,
        };
        let id = imports::put(conn, &import).await?;
        let rows = file.quarantine.iter().map(|row| Quarantined {
            line: row.line,
            column: row.column.clone().unwrap_or_default(),
            rule: row.rule.in_words().to_owned(),
        });
        let rows: Vec<Quarantined> = rows.chain(more).collect();
        imports::quarantine(conn, id, &rows).await
    }
}

/// What taking in an export would find.
#[derive(Debug, Serialize)]
pub struct DryRun {
    /// What the file is like.
    pub file: SourceReport,
    /// Why it would be refused, if it would.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// What the records are like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<Quality>,
    /// Records that are somebody else's record again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duplicates: Option<u64>,
    /// Match-keys a record, on average.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub match_keys_per_record: Option<f64>,
}

/// Opens an export.
fn open(path: &Path) -> Result<File, IngestError> {
    File::open(path).map_err(|source| IngestError::Open { path: path.to_owned(), source })
}

/// Compares an export with what is there.
fn compare<T>(
    known: &HashMap<String, Known>,
    rows: Vec<T>,
    of: impl Fn(&T) -> (&str, [u8; 16]),
    mode: Mode,
    file: &SourceReport,
) -> Difference<T> {
    let mut difference = Difference {
        changed: Vec::new(),
        unchanged: 0,
        missed: Vec::new(),
        back: Vec::new(),
        gone: Vec::new(),
    };
    let mut present: HashMap<String, ()> = HashMap::with_capacity(rows.len());
    for row in rows {
        let (key, hash) = of(&row);
        present.insert(key.to_owned(), ());
        match known.get(key) {
            Some(before) if before.hash == hash => {
                difference.unchanged += 1;
                if before.missed > 0 {
                    difference.back.push(before.id);
                }
            }
            _ => difference.changed.push(row),
        }
    }
    // A row that was set aside is not gone; where one has no key, nobody can tell which.
    if mode == Mode::Delta || file.keyless > 0 {
        return difference;
    }
    for (key, before) in known {
        if present.contains_key(key) || file.keys_set_aside.contains(key) {
            continue;
        }
        match before.missed + 1 {
            missed if missed >= GONE_AFTER => difference.gone.push(before.id),
            missed => difference.missed.push((before.id, missed)),
        }
    }
    difference.gone.sort_unstable();
    difference.missed.sort_unstable();
    difference
}

#[cfg(test)]
mod tests;
