//! Takes in one export: source, normalise, tokenise, store. All of it, or nothing.
//!
//! Reading and checking happen before the store is touched. What an export changes is found by
//! comparing it with what is there, so the same file twice is no news, and one changed row in a
//! hundred thousand is one change.

mod blocking;
pub mod dedupe;
mod delivery;
mod difference;
mod drift;
mod equals;
mod events;
mod everybody;
pub mod freshness;
mod homes;
pub mod landing;
mod looked;
mod mergers;
mod people;
mod persons;
mod prepared;
mod rekey;
mod sharing;
mod unfinished;
pub mod watch;

use std::{io, path::Path};

use causeway_proto::day::Day;
use serde::Serialize;
use sqlx::SqliteConnection;

use self::{
    delivery::{Delivery, Read},
    difference::{How, compare, is_read_anew, last_day},
};
use crate::{
    cause::in_one_line,
    extract::Position,
    normalise::quality::Quality,
    source::{
        Before, Feed, FileError, FileRefused, SourceReport,
        mapping::{About, Mode},
    },
    store::{
        Store, StoreError,
        claim::{Claim, ClaimError},
        imports::{self, Import, Quarantined},
        positions, records,
        tidy::tidy,
    },
    tokenise::{
        keyring::{Keyring, KeyringError},
        recipe::MatchKeys,
    },
};

/// What taking in exports needs.
pub struct Intake<'a> {
    /// Where records are kept.
    pub store: &'a Store,
    /// Every feed of the agency.
    pub feeds: &'a [Feed],
    /// The epoch's keys.
    pub keys: &'a MatchKeys,
    /// Where they are from, and newer ones may be meanwhile; `None` for keys that stay.
    pub keyring: Option<&'a Keyring>,
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
    /// Of these, rows that were read anew, because their mapping is another one now.
    pub read_anew: u64,
    /// Rows that this export lacks for the first time; still there.
    pub missed: u64,
    /// Rows that are gone.
    pub removed: u64,
    /// Rows that the mapping leaves out now, or that are marked sensitive; what was there of them is gone.
    pub left_out: u64,
    /// Rows without a readable key, because of which no row of this export counts as missing.
    pub keyless: u64,
    /// States that the source no longer has, ended on the day they were last seen.
    pub ended: u64,
    /// Records that their source merged into others.
    pub merged: u64,
    /// Persons that are new or have other match-keys.
    pub persons_changed: u64,
    /// Events after the death of their person; left out.
    pub after_death: u64,
    /// Events of the feed whose person no feed about people has: they wait for the person to come in. Of changes,
    /// only those that came with them.
    pub of_nobody: u64,
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
    #[error("could not open {place}")]
    Open {
        /// Which file.
        place: String,
        /// Why not.
        source: io::Error,
    },
    /// The feed's rows come in files.
    #[error("feed `{feed}` has no `[database]` in its mapping, so name the file to take in")]
    NoDatabase {
        /// The feed.
        feed: String,
    },
    /// The file or the answer as a whole is bad.
    #[error("{place} was refused, and what was there before stands")]
    File {
        /// Which file.
        place: String,
        /// Why.
        #[source]
        source: FileError,
    },
    /// Too many rows are missing or bad.
    #[error("{place} was refused, and what was there before stands")]
    Refused {
        /// Which file.
        place: String,
        /// Why.
        #[source]
        source: FileRefused,
    },
    /// The store could not be written, so nothing was.
    #[error("nothing was taken in")]
    Store(#[from] StoreError),
    /// The keys at hand are of an epoch that is over.
    #[error(
        "the linkage key was replaced while this waited for its turn, so nothing was taken in: take it in again"
    )]
    KeyReplaced,
    /// The keys could not be read.
    #[error("nothing was taken in")]
    Keys(#[from] KeyringError),
    /// Others could not be kept from taking in another export meanwhile.
    #[error("nothing was taken in")]
    Claim(#[from] ClaimError),
}

impl Intake<'_> {
    /// Takes in a whole export or, if anything is wrong with it, none of it.
    pub async fn take_in(&self, feed: &Feed, path: &Path) -> Result<Receipt, IngestError> {
        let _claim = self.claim().await?;
        self.take(feed, Delivery::file(path)).await
    }

    /// Asks the feed's database, and takes in the whole answer or none of it.
    pub async fn ask(&self, feed: &Feed) -> Result<Receipt, IngestError> {
        let _claim = self.claim().await?;
        let delivery = self.query(feed).await?;
        self.take(feed, delivery).await
    }

    /// Waits for its turn, before anything is read: what was read first is taken in first.
    async fn claim(&self) -> Result<Option<Claim>, ClaimError> {
        match self.store.file() {
            Some(file) => Claim::of_intake(file).await.map(Some),
            None => Ok(None),
        }
    }

    async fn query(&self, feed: &Feed) -> Result<Result<Delivery, IngestError>, StoreError> {
        let since = positions::of(&mut *self.store.read().await?, feed.id()).await?;
        Ok(Delivery::query(feed, since.as_deref()).await)
    }

    async fn take(
        &self,
        feed: &Feed,
        delivery: Result<Delivery, IngestError>,
    ) -> Result<Receipt, IngestError> {
        let taken = match delivery {
            Err(error) => Err(error),
            Ok(delivery) => {
                self.bring_up_to_date().await?;
                match feed.mapping().about {
                    About::People => self.people(feed, delivery).await,
                    About::Events => self.events(feed, delivery).await,
                }
            }
        };
        match &taken {
            Ok(_) => self.look_again().await,
            Err(error) => self.refuse(feed, error).await?,
        }
        taken
    }

    /// Says what taking in an export would find, and touches nothing. Without a file, asks the
    /// feed's database.
    pub async fn dry_run(&self, feed: &Feed, path: Option<&Path>) -> Result<DryRun, IngestError> {
        let delivery = match path {
            Some(path) => Delivery::file(path)?,
            None => self.query(feed).await??,
        };
        let mut conn = self.store.snapshot().await?;
        let last = imports::last_taken(&mut conn, feed.id()).await?;
        let last = last.as_ref().map(before);
        match feed.mapping().about {
            About::People => people::dry_run(self, &mut conn, feed, delivery, last).await,
            About::Events => events::dry_run(&mut conn, feed, delivery, last).await,
        }
    }

    /// Records that an export was refused, so that the operator sees why its feed grows stale.
    async fn refuse(&self, feed: &Feed, error: &IngestError) -> Result<(), StoreError> {
        let reason = match error {
            IngestError::File { source, .. } => in_one_line(source),
            IngestError::Refused { source, .. } => in_one_line(source),
            IngestError::Open { .. }
            | IngestError::NoDatabase { .. }
            | IngestError::Store(_)
            | IngestError::KeyReplaced
            | IngestError::Keys(_)
            | IngestError::Claim(_) => return Ok(()),
        };
        let mut tx = self.store.begin().await?;
        imports::refuse(&mut tx, feed.id(), &reason, self.now_ms).await?;
        Ok(tx.commit().await?)
    }

    /// Returns whether an export says what the last one said, so that nothing is left to do. It is
    /// fresh all the same: its source delivered.
    async fn is_no_news<T>(
        &self,
        conn: &mut SqliteConnection,
        feed: &Feed,
        read: &Read<T>,
        last: Option<&Import>,
    ) -> Result<bool, StoreError> {
        if last.is_none_or(|last| last.sha256 != read.hash() || is_read_anew(feed, last)) {
            return Ok(false);
        }
        // Who merged, split or died since decides again whose the events are, and which of them.
        let people = feed.mapping().person_feed.as_deref();
        if let Some(people) = people
            && imports::is_newer(conn, people, feed.id()).await?
        {
            return Ok(false);
        }
        // What an answer lacked before is absent for the second time now. A file may be the same one,
        // sent twice.
        let is_asked = read.live.is_some() && feed.mapping().mode == Mode::Full;
        if is_asked && records::any_missed(conn, feed.id()).await? {
            return Ok(false);
        }
        imports::seen_again(conn, feed.id(), self.as_at, self.now_ms).await?;
        if let Some(reached) = read.live.as_ref().and_then(Position::reached) {
            positions::put(conn, feed.id(), &reached).await?;
        }
        Ok(true)
    }

    /// Ends an export that is taken in: records what became of it, and tidies the store up behind it.
    async fn taken(
        &self,
        conn: &mut SqliteConnection,
        feed: &Feed,
        receipt: &Receipt,
        live: Option<&Position>,
    ) -> Result<(), StoreError> {
        if let Some(reached) = live.and_then(Position::reached) {
            positions::put(conn, feed.id(), &reached).await?;
        }
        let file = &receipt.file;
        let import = Import {
            feed: feed.id().to_owned(),
            sha256: file.sha256.as_ref().map_or([0; 32], |hash| *hash.as_bytes()),
            refused: None,
            rows: file.rows,
            accepted: file.taken,
            quarantined: file.quarantined,
            changed: receipt.changed,
            removed: receipt.removed,
            as_at: Some(self.as_at),
            taken_ms: self.now_ms,
            mapping: Some(feed.fingerprint()),
        };
        tidy(conn).await?;
        let id = imports::put(conn, &import).await?;
        let rows = file.quarantine.iter().map(|row| Quarantined {
            line: row.line,
            column: row.column.clone().unwrap_or_default(),
            rule: row.rule.in_words().to_owned(),
        });
        let rows: Vec<Quarantined> = rows.collect();
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

/// What the last good export of a feed was like.
fn before(last: &Import) -> Before {
    Before { rows: last.rows, taken: last.accepted }
}

#[cfg(test)]
mod changes_only;
#[cfg(test)]
mod corrections;
#[cfg(test)]
mod default_dates;
#[cfg(test)]
mod histories;
#[cfg(test)]
mod housing;
#[cfg(test)]
mod learning;
#[cfg(test)]
mod quality_problems;
#[cfg(test)]
mod rekeyed;
#[cfg(test)]
mod tests;
