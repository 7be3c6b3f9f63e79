//! How an export differs from what is there.

use std::collections::HashMap;

use causeway_proto::day::Day;

use super::delivery::Read;
use crate::{
    source::{Feed, SourceReport, mapping::Mode},
    store::{imports::Import, records::Known},
};

/// Rows that are absent from this many good full exports in a row are gone.
const GONE_AFTER: u32 = 2;

/// How an export differs from what is there.
#[derive(Default)]
pub(super) struct Difference<T> {
    pub(super) changed: Vec<T>,
    /// Of these, rows that are as before and are read under another mapping.
    pub(super) anew: u64,
    pub(super) unchanged: u64,
    /// Absent for the first time.
    pub(super) missed: Vec<i64>,
    /// Here again after having been absent.
    pub(super) back: Vec<i64>,
    /// Absent once too often.
    pub(super) gone: Vec<i64>,
    /// There, and left out now: gone at once.
    pub(super) left_out: Vec<i64>,
}

/// Returns whether a feed's mapping is another one than for its last good export: then the same rows may
/// say something else.
pub(super) fn is_read_anew(feed: &Feed, last: &Import) -> bool {
    last.mapping.is_some_and(|mapping| mapping != feed.fingerprint())
}

/// How a feed's rows are held against what is there.
#[derive(Clone, Copy)]
pub(super) struct How {
    mode: Mode,
    /// Every row counts as changed.
    anew: bool,
}

impl How {
    pub(super) fn of(feed: &Feed, last: Option<&Import>) -> Self {
        let anew = last.is_some_and(|last| is_read_anew(feed, last));
        Self { mode: feed.mapping().mode, anew }
    }

    /// Returns whether what is absent is as it was.
    pub(super) fn is_of_changes(&self) -> bool {
        self.mode == Mode::Delta
    }

    /// Holds what comes against what is there. A file that is the last one again says of nothing for the
    /// second time that it is absent.
    pub(super) fn again<T>(self, read: &Read<T>, last: Option<&Import>) -> Self {
        let same = read.live.is_none() && last.is_some_and(|last| last.sha256 == read.hash());
        Self { mode: if same { Mode::Delta } else { self.mode }, ..self }
    }
}

/// The day that a feed's last good export speaks of.
pub(super) fn last_day(last: Option<&Import>) -> Option<Day> {
    last.map(|last| last.as_at.unwrap_or_else(|| Day::of_unix_ms(last.taken_ms.cast_signed())))
}

/// Returns the keys of whatever a file of changes may concern: of its rows, and of those that are left out.
pub(super) fn keys_of<'a>(
    rows: impl Iterator<Item = &'a str>,
    file: &'a SourceReport,
) -> Vec<&'a str> {
    rows.chain(file.keys_sensitive.iter()).chain(file.keys_left_out.iter()).collect()
}

/// Compares an export with what is there. Where it is read anew, every row counts as changed.
pub(super) fn compare<T>(
    known: &HashMap<String, Known>,
    rows: Vec<T>,
    of: impl Fn(&T) -> (&str, [u8; 16]),
    How { mode, anew }: How,
    file: &SourceReport,
) -> Difference<T> {
    let mut difference = Difference {
        changed: Vec::new(),
        anew: 0,
        unchanged: 0,
        missed: Vec::new(),
        back: Vec::new(),
        gone: Vec::new(),
        left_out: Vec::new(),
    };
    let mut present: HashMap<String, ()> = HashMap::with_capacity(rows.len());
    for row in rows {
        let (key, hash) = of(&row);
        present.insert(key.to_owned(), ());
        match known.get(key) {
            Some(before) if before.hash == hash && !before.gone && !anew => {
                difference.unchanged += 1;
                if before.missed > 0 {
                    difference.back.push(before.id);
                }
            }
            before => {
                difference.anew +=
                    u64::from(before.is_some_and(|before| before.hash == hash && !before.gone));
                difference.changed.push(row);
            }
        }
    }
    // A row that was set aside is not gone; where one has no key, nobody can tell which.
    let counts_absence = mode == Mode::Full && file.keyless == 0;
    if !counts_absence && file.keys_sensitive.is_empty() && file.keys_left_out.is_empty() {
        return difference;
    }
    for (key, before) in known {
        if present.contains_key(key) {
            continue;
        }
        // Of what is sensitive nothing stays, also where it ended.
        let sensitive = file.keys_sensitive.contains(key);
        if sensitive || !before.gone && file.keys_left_out.contains(key) {
            difference.left_out.push(before.id);
            continue;
        }
        if !counts_absence || before.gone || file.keys_set_aside.contains(key) {
            continue;
        }
        match before.missed + 1 {
            missed if missed >= GONE_AFTER => difference.gone.push(before.id),
            _ => difference.missed.push(before.id),
        }
    }
    difference.left_out.sort_unstable();
    difference.gone.sort_unstable();
    difference.missed.sort_unstable();
    difference
}
