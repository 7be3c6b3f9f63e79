//! Rows on their way in, from a file or from a database.

use std::{collections::HashSet, fs::File, io, path::Path};

use super::IngestError;
use crate::{
    extract::{self, Extract, Position},
    progress::Progress,
    source::{
        EventRow, Events, Feed, FileError, People, PersonRow, SourceReport, cells::Cells,
        mapping::Mode,
    },
};

/// Rows on their way in.
pub(super) struct Delivery {
    /// What to call it.
    place: String,
    rows: Rows,
    /// Set for what was asked for just now: that it says the same as last time is news, too.
    live: Option<Position>,
}

enum Rows {
    File(File),
    Query(Box<dyn Cells + Send>),
}

impl Delivery {
    /// A file.
    pub(super) fn file(path: &Path) -> Result<Self, IngestError> {
        match File::open(path) {
            Ok(file) => Ok(Self::opened(path, file)),
            Err(source) => Err(IngestError::Open { place: path.display().to_string(), source }),
        }
    }

    /// A file that is open already. What lies at its path may be another one meanwhile.
    pub(super) fn opened(path: &Path, file: File) -> Self {
        Self { place: path.display().to_string(), rows: Rows::File(file), live: None }
    }

    /// What a feed's database answers, from where it ended last.
    pub(super) async fn query(feed: &Feed, since: Option<&str>) -> Result<Self, IngestError> {
        let place = place(feed);
        let database = feed.mapping().database.as_ref();
        let database =
            database.ok_or_else(|| IngestError::NoDatabase { feed: feed.id().to_owned() })?;
        match extract::begin(database, since).await {
            Ok(Extract { cells, position }) => {
                Ok(Self { place, rows: Rows::Query(cells), live: Some(position) })
            }
            Err(error) => {
                Err(IngestError::File { place, source: FileError::Source(Box::new(error)) })
            }
        }
    }

    /// Reads every person, so that a fault at the end refuses all before anything is written.
    pub(super) fn people(self, feed: &Feed) -> Result<Read<PersonRow>, IngestError> {
        let Self { place, rows, live } = self;
        let refuse = |source| IngestError::File { place: place.clone(), source };
        let mut people = match rows {
            Rows::File(file) => People::open(feed, counted(file)),
            Rows::Query(cells) => People::of_cells(feed, cells),
        }
        .map_err(refuse)?;
        let rows = people.by_ref().collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        let mut file = people.finish().map_err(refuse)?;
        let rows = counting(feed, rows, &mut file, |row| &row.key);
        Ok(Read { place, rows, file, live })
    }

    /// Reads every event, in the same way.
    pub(super) fn events(self, feed: &Feed) -> Result<Read<EventRow>, IngestError> {
        let Self { place, rows, live } = self;
        let refuse = |source| IngestError::File { place: place.clone(), source };
        let mut events = match rows {
            Rows::File(file) => Events::open(feed, counted(file)),
            Rows::Query(cells) => Events::of_cells(feed, cells),
        }
        .map_err(refuse)?;
        let rows = events.by_ref().collect::<Result<Vec<_>, _>>().map_err(refuse)?;
        let mut file = events.finish().map_err(refuse)?;
        let rows = counting(feed, rows, &mut file, |row| &row.key);
        Ok(Read { place, rows, file, live })
    }
}

/// Returns the rows that count: none whose key is marked sensitive elsewhere in the file, and in a file
/// of changes the last of each key, if that is for this node.
fn counting<T>(
    feed: &Feed,
    mut rows: Vec<T>,
    file: &mut SourceReport,
    key: impl Fn(&T) -> &String,
) -> Vec<T> {
    let before = rows.len();
    let is_delta = feed.mapping().mode == Mode::Delta;
    rows.retain(|row| {
        let ends_left_out = is_delta && file.keys_left_out.contains(key(row));
        !ends_left_out && !file.keys_sensitive.contains(key(row))
    });
    file.taken -= (before - rows.len()) as u64;
    if is_delta {
        let mut later = HashSet::with_capacity(rows.len());
        let last: Vec<bool> =
            rows.iter().rev().map(|row| later.insert(key(row).as_str())).collect();
        let mut last = last.into_iter().rev();
        rows.retain(|_| last.next().unwrap_or(true));
    }
    rows
}

/// A file of which it is said how much was read.
fn counted(file: File) -> impl io::Read {
    let bytes = file.metadata().map_or(0, |meta| meta.len());
    Progress::begin("read, in bytes", bytes as usize).reading(file)
}

/// What a feed's database is called in messages.
fn place(feed: &Feed) -> String {
    format!("the database of feed `{}`", feed.id())
}

/// Rows that were all read.
pub(super) struct Read<T> {
    pub(super) place: String,
    pub(super) rows: Vec<T>,
    pub(super) file: SourceReport,
    pub(super) live: Option<Position>,
}

impl<T> Read<T> {
    /// Returns the hash of all that was read.
    pub(super) fn hash(&self) -> [u8; 32] {
        self.file.sha256.as_ref().map_or([0; 32], |hash| *hash.as_bytes())
    }
}
