//! Match-keys that too many records share: of most kinds, more than one. They would show who belongs
//! together and tell nobody from the others, so a node sends noise in their place.
//!
//! Which they are is exact. A byte for each of some buckets bounds from above how many records hold a
//! key; only keys whose bucket is full are counted themselves. So a change of one record is weighed
//! without looking at the others, and a column is read again only when a key may have crossed the
//! limit. Up to 8 bytes for each slot of a record while a sweep is followed.

use std::collections::{HashMap, HashSet};

use causeway_proto::kind::MatchKeyKind;
use sqlx::SqliteConnection;

use super::session::SegmentRows;
use crate::store::{
    StoreError,
    segments::{self, KEY_BYTES},
};

/// A stored match-key.
pub(super) type Key = [u8; KEY_BYTES];

/// How many of a sweep's records hold each match-key of one kind.
pub(super) struct Counts {
    kind: MatchKeyKind,
    /// By the start of the key, never less than there are. A full one stays full.
    buckets: Vec<u8>,
    /// Keys that were counted themselves.
    exact: HashMap<Key, u32>,
}

impl Counts {
    /// Counts a whole column, and returns it with the counts, segment by segment.
    pub(super) async fn count(
        conn: &mut SqliteConnection,
        kind: MatchKeyKind,
        records: &[SegmentRows],
    ) -> Result<(Self, Vec<Vec<u8>>), StoreError> {
        let slots = kind.slots() * records.iter().map(|rows| rows.places.len()).sum::<usize>();
        // So many that chance alone seldom fills one beyond the limit, and no more: they should fit
        // the processor's cache.
        let buckets = (16 * slots / kind.most_records().max(4)).next_power_of_two();
        let buckets = vec![0; buckets.clamp(1 << 12, 1 << 28)];
        let mut counts = Self { kind, buckets, exact: HashMap::new() };
        let mut columns = Vec::with_capacity(records.len());
        for rows in records {
            columns.push(segments::keys(conn, rows.segment, kind).await?);
        }
        let held =
            || records.iter().zip(&columns).flat_map(|(r, column)| each_row(kind, column, r));
        for (_, keys) in held() {
            distinct(keys).for_each(|key| counts.add(key, 1));
        }
        let limit = counts.limit();
        if counts.buckets.iter().any(|count| u32::from(*count) > limit) {
            let mut exact: HashMap<Key, u32> = HashMap::new();
            for (_, keys) in held() {
                for key in distinct(keys).filter(|key| counts.may_be_crowd(key)) {
                    *exact.entry(*key).or_default() += 1;
                }
            }
            // Those that share a full bucket by chance would only be carried along.
            exact.retain(|_, count| *count > (limit / 2).max(1));
            counts.exact = exact;
        }
        Ok((counts, columns))
    }

    /// Returns the keys that too many records hold.
    pub(super) fn crowds(&self) -> HashSet<Key> {
        let limit = self.limit();
        let crowds = self.exact.iter().filter(|(_, count)| **count > limit);
        crowds.map(|(key, _)| *key).collect()
    }

    /// Takes it into account that so many more, or fewer, records hold some keys. `records` are the
    /// sweep's as they are now. Returns the keys that crossed the limit.
    pub(super) async fn change(
        &mut self,
        conn: &mut SqliteConnection,
        records: &[SegmentRows],
        by: &HashMap<Key, i32>,
    ) -> Result<HashSet<Key>, StoreError> {
        let limit = self.limit();
        let by = || by.iter().filter(|(_, more)| **more != 0);
        let mut doubtful: HashSet<Key> =
            by().map(|(key, _)| key).filter(|key| self.may_be_crowd(key)).copied().collect();
        by().for_each(|(key, more)| self.add(key, *more));
        doubtful.extend(by().map(|(key, _)| key).filter(|key| self.may_be_crowd(key)));
        for (key, more) in by() {
            if let Some(count) = self.exact.get_mut(key) {
                *count = count.saturating_add_signed(*more);
            }
        }
        doubtful.retain(|key| !self.exact.contains_key(key));
        self.verify(conn, records, &doubtful).await?;
        let mut crossed = HashSet::new();
        for (key, more) in by() {
            // A key that was never counted itself was never near the limit.
            let Some(now) = self.exact.get(key).copied() else { continue };
            let before = now.saturating_add_signed(-more);
            if (before > limit) != (now > limit) {
                crossed.insert(*key);
            }
        }
        Ok(crossed)
    }

    /// Counts some keys themselves.
    async fn verify(
        &mut self,
        conn: &mut SqliteConnection,
        records: &[SegmentRows],
        keys: &HashSet<Key>,
    ) -> Result<(), StoreError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.exact.extend(keys.iter().map(|key| (*key, 0)));
        let wanted = Wanted::new(keys);
        for rows in records {
            let column = segments::keys(conn, rows.segment, self.kind).await?;
            for (_, held) in each_row(self.kind, &column, rows) {
                for key in distinct(held).filter(|key| wanted.has(key)) {
                    *self.exact.entry(*key).or_default() += 1;
                }
            }
        }
        Ok(())
    }

    fn limit(&self) -> u32 {
        u32::try_from(self.kind.most_records()).expect("a few dozen")
    }

    fn may_be_crowd(&self, key: &Key) -> bool {
        u32::from(self.buckets[self.bucket(key)]) > self.limit()
    }

    fn add(&mut self, key: &Key, more: i32) {
        let bucket = self.bucket(key);
        let count = &mut self.buckets[bucket];
        if *count < u8::MAX {
            let more = i16::try_from(more).unwrap_or(if more > 0 { i16::MAX } else { i16::MIN });
            let sum = i16::from(*count).saturating_add(more).clamp(0, u8::MAX.into());
            *count = u8::try_from(sum).expect("clamped");
        }
    }

    /// Keys are uniform already.
    fn bucket(&self, key: &Key) -> usize {
        let prefix = u64::from_le_bytes(key[..8].try_into().expect("8 of 16 bytes"));
        prefix as usize & (self.buckets.len() - 1)
    }
}

/// Some keys among very many, most of which one bit rules out.
struct Wanted<'a> {
    keys: &'a HashSet<Key>,
    /// By the first two bytes.
    begin: Vec<bool>,
}

impl<'a> Wanted<'a> {
    fn new(keys: &'a HashSet<Key>) -> Self {
        let mut begin = vec![false; 1 << 16];
        keys.iter().for_each(|key| begin[Self::beginning(key)] = true);
        Self { keys, begin }
    }

    fn beginning(key: &Key) -> usize {
        usize::from(u16::from_le_bytes([key[0], key[1]]))
    }

    fn has(&self, key: &Key) -> bool {
        self.begin[Self::beginning(key)] && self.keys.contains(key)
    }
}

/// Returns the rows that hold one of some keys of a kind.
pub(super) async fn holders(
    conn: &mut SqliteConnection,
    kind: MatchKeyKind,
    records: &[SegmentRows],
    keys: &HashSet<Key>,
) -> Result<Vec<u64>, StoreError> {
    let mut holders = Vec::new();
    let wanted = Wanted::new(keys);
    for rows in records {
        let column = segments::keys(conn, rows.segment, kind).await?;
        let held = each_row(kind, &column, rows);
        let held = held.filter(|(_, held)| held.iter().any(|key| wanted.has(key)));
        holders.extend(held.map(|(row, _)| row));
    }
    Ok(holders)
}

/// Adds the keys of some rows to, or takes them from, how many more records hold each.
pub(super) async fn weigh(
    conn: &mut SqliteConnection,
    kind: MatchKeyKind,
    records: &[SegmentRows],
    one: i32,
    by: &mut HashMap<Key, i32>,
) -> Result<(), StoreError> {
    for rows in records {
        let column = segments::keys(conn, rows.segment, kind).await?;
        for (_, keys) in each_row(kind, &column, rows) {
            distinct(keys).for_each(|key| *by.entry(*key).or_default() += one);
        }
    }
    Ok(())
}

/// The slots of each of some rows.
fn each_row<'a>(
    kind: MatchKeyKind,
    column: &'a [u8],
    rows: &'a SegmentRows,
) -> impl Iterator<Item = (u64, &'a [Key])> {
    let (column, _) = column.as_chunks::<KEY_BYTES>();
    rows.places.iter().zip(rows.rows()).map(move |(place, row)| {
        let first = usize::from(*place) * kind.slots();
        (row, &column[first..first + kind.slots()])
    })
}

/// A record counts once, in however many slots it holds a key.
fn distinct(keys: &[Key]) -> impl Iterator<Item = &Key> {
    let first = |at: usize, key: &Key| !keys[..at].contains(key);
    keys.iter()
        .enumerate()
        .filter(move |(at, key)| **key != [0; KEY_BYTES] && first(*at, key))
        .map(|(_, key)| key)
}
