//! Match-keys that too many records share: of most kinds, more than one. They would show who belongs
//! together and tell nobody from the others, so a node sends noise in their place.
//!
//! Two bitmaps say of most keys that no other record holds them; only the rest are counted.

use std::{
    collections::HashSet,
    hash::{BuildHasherDefault, Hasher},
    sync::Arc,
};

use causeway_proto::kind::MatchKeyKind;

use super::session::SegmentRows;
use crate::store::segments::KEY_BYTES;

/// A stored match-key.
pub(super) type Key = [u8; KEY_BYTES];
/// The beginnings of match-keys that too many records hold. Of a million keys, two have the same one
/// once in ten million sweeps; then both are noise.
pub(super) type Crowds = HashSet<u64, BuildHasherDefault<Itself>>;

/// Bits of a bitmap for each key: one in eight is counted for nothing.
const BITS_PER_KEY: usize = 8;

/// Hashes the beginning of a key by itself: it is a keyed hash, which nobody can choose.
#[derive(Default)]
pub(super) struct Itself(u64);

impl Hasher for Itself {
    fn write_u64(&mut self, beginning: u64) {
        self.0 = beginning;
    }

    /// Nothing else is hashed with it.
    fn write(&mut self, _bytes: &[u8]) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns the keys that too many of a sweep's records hold, of one kind's columns, segment by segment.
pub(super) fn crowds(
    kind: MatchKeyKind,
    records: &[SegmentRows],
    columns: &[Arc<Vec<u8>>],
) -> Crowds {
    let rows: usize = records.iter().map(|rows| rows.places.len()).sum();
    let mut held: Vec<u64> = Vec::with_capacity(kind.slots() * rows);
    for (rows, column) in records.iter().zip(columns) {
        let (keys, _) = column.as_chunks::<KEY_BYTES>();
        for at in rows.places.iter().map(|place| usize::from(*place) * kind.slots()) {
            held.extend(distinct(&keys[at..at + kind.slots()]));
        }
    }
    of_more_than(kind.most_records(), held)
}

/// Returns the keys that are there more than so many times.
pub(super) fn of_more_than(limit: usize, mut held: Vec<u64>) -> Crowds {
    let bits = (BITS_PER_KEY * held.len()).next_power_of_two().max(64);
    let (mut once, mut again) = (vec![0u64; bits / 64], vec![0u64; bits / 64]);
    let place = |key: u64| {
        let bit = key as usize & (bits - 1);
        (bit / 64, 1u64 << (bit % 64))
    };
    for key in &held {
        let (word, bit) = place(*key);
        again[word] |= once[word] & bit;
        once[word] |= bit;
    }
    held.retain(|key| {
        let (word, bit) = place(*key);
        again[word] & bit != 0
    });
    held.sort_unstable();
    let same = held.chunk_by(|x, y| x == y);
    same.filter(|same| same.len() > limit).map(|same| same[0]).collect()
}

/// Returns whether too many records hold a key.
pub(super) fn is_crowd(crowds: &Crowds, key: &Key) -> bool {
    crowds.contains(&beginning(key))
}

/// The start of a key, which tells it from nearly all others.
pub(super) fn beginning(key: &Key) -> u64 {
    u64::from_le_bytes(key[..8].try_into().expect("8 of 16 bytes"))
}

/// The beginnings of a record's keys. One that it holds in several slots counts once.
pub(super) fn distinct(keys: &[Key]) -> impl Iterator<Item = u64> {
    let first = |at: usize, key: &Key| !keys[..at].contains(key);
    keys.iter()
        .enumerate()
        .filter(move |(at, key)| **key != [0; KEY_BYTES] && first(*at, key))
        .map(|(_, key)| beginning(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_more_records_than_the_limit_are_found_wherever_they_stand() {
        let kind = MatchKeyKind::RareNames;
        assert_eq!((kind.most_records(), kind.slots()), (1, 3));
        let key = |n: u8| [n; KEY_BYTES];
        let none = key(0);
        // The second record holds one key twice, and no key is everybody's.
        let columns = [
            [key(1), none, none, key(2), key(2), none].concat(),
            [none, key(3), key(1), none, none, key(4)].concat(),
        ]
        .map(Arc::new);
        let records = [0, 1].map(|segment| SegmentRows { segment, places: vec![1, 0] });
        assert_eq!(crowds(kind, &records, &columns), Crowds::from_iter([beginning(&key(1))]));
    }
}
