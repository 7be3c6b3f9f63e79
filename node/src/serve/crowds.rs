//! Match-keys that too many records share: of most kinds, more than one. They would show who belongs
//! together and tell nobody from the others, so a node sends noise in their place.
//!
//! Which they are is exact. Two bitmaps say of most keys that no other record holds them; only the rest
//! are counted.

use std::{
    collections::{HashMap, HashSet},
    hash::{BuildHasherDefault, Hasher},
};

use causeway_proto::kind::MatchKeyKind;

use super::session::SegmentRows;
use crate::store::segments::KEY_BYTES;

/// A stored match-key.
pub(super) type Key = [u8; KEY_BYTES];
/// Match-keys that too many records hold.
pub(super) type Crowds = HashSet<Key, BuildHasherDefault<Itself>>;

/// Bits of a bitmap for each slot: one key in eight is counted for nothing.
const BITS_PER_SLOT: usize = 8;

/// Hashes a key by its beginning: it is a keyed hash, which nobody can choose.
#[derive(Default)]
pub(super) struct Itself(u64);

impl Hasher for Itself {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    }

    /// The length before the bytes.
    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Returns the keys that too many of a sweep's records hold, of one kind's columns, segment by segment.
pub(super) fn crowds(kind: MatchKeyKind, records: &[SegmentRows], columns: &[Vec<u8>]) -> Crowds {
    let slots = kind.slots() * records.iter().map(|rows| rows.places.len()).sum::<usize>();
    let bits = (BITS_PER_SLOT * slots).next_power_of_two().max(64);
    let (mut once, mut again) = (vec![0u64; bits / 64], vec![0u64; bits / 64]);
    let place = |key: &Key| {
        let bit = beginning(key) as usize & (bits - 1);
        (bit / 64, 1u64 << (bit % 64))
    };
    each_key(kind, records, columns, |key| {
        let (word, bit) = place(key);
        again[word] |= once[word] & bit;
        once[word] |= bit;
    });
    let mut counts: HashMap<Key, usize, BuildHasherDefault<Itself>> = HashMap::default();
    each_key(kind, records, columns, |key| {
        let (word, bit) = place(key);
        if again[word] & bit != 0 {
            *counts.entry(*key).or_default() += 1;
        }
    });
    counts.retain(|_, count| *count > kind.most_records());
    counts.into_keys().collect()
}

fn each_key(
    kind: MatchKeyKind,
    records: &[SegmentRows],
    columns: &[Vec<u8>],
    mut see: impl FnMut(&Key),
) {
    for (rows, column) in records.iter().zip(columns) {
        let (keys, _) = column.as_chunks::<KEY_BYTES>();
        for place in &rows.places {
            let first = usize::from(*place) * kind.slots();
            distinct(&keys[first..first + kind.slots()]).for_each(&mut see);
        }
    }
}

/// The start of a key, which tells it from nearly all others.
pub(super) fn beginning(key: &Key) -> u64 {
    u64::from_le_bytes(key[..8].try_into().expect("8 of 16 bytes"))
}

/// A record counts once, in however many slots it holds a key.
pub(super) fn distinct(keys: &[Key]) -> impl Iterator<Item = &Key> {
    let first = |at: usize, key: &Key| !keys[..at].contains(key);
    keys.iter()
        .enumerate()
        .filter(move |(at, key)| **key != [0; KEY_BYTES] && first(*at, key))
        .map(|(_, key)| key)
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
        ];
        let records = [0, 1].map(|segment| SegmentRows { segment, places: vec![1, 0] });
        assert_eq!(crowds(kind, &records, &columns), Crowds::from_iter([key(1)]));
    }
}
