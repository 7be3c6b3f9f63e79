//! Which pairs of records are worth a look: those that share a token.
//!
//! One kind at a time, so that only one kind's column is in memory; what remains of it is the pairs
//! and a bit each. Tokens are uniform already, so a partition by their upper bits spreads them
//! evenly (STACK.md 5), and the lower bits serve as the hash within. Most tokens are one record's
//! alone: a bitmap that fits the processor's cache sets those aside before anything is sorted.

use causeway_proto::kind::MatchKeyKind;
use rayon::prelude::*;

use super::Pair;

/// A token that more records than this share names a crowd, not a person. LINKAGE.md 2.2.
pub(super) const MOST_IN_BLOCK: usize = 200;

/// Partitions by the upper bits: more scatter over too many pages. STACK.md 5.
const PARTITION_BITS: u32 = 8;

/// Bits of the bitmap for each token: one in eight of the lonely ones is sorted for nothing.
const BITS_PER_TOKEN: usize = 8;

/// One token of one record.
#[derive(Clone, Copy, Debug)]
struct Entry {
    token: u64,
    record: u32,
    agency: u16,
    slot: u8,
}

/// The tokens of one kind, of every agency.
#[derive(Debug)]
pub struct Column {
    kind: MatchKeyKind,
    partitions: Vec<Vec<Entry>>,
}

impl Column {
    /// Begins an empty column for about so many records.
    pub fn new(kind: MatchKeyKind, records: usize) -> Self {
        let expected = (records * kind.slots()) >> PARTITION_BITS;
        // A little more than on average, so that most partitions never grow.
        let partition = || Vec::with_capacity(expected + expected / 16 + 16);
        Self { kind, partitions: (0..1 << PARTITION_BITS).map(|_| partition()).collect() }
    }

    /// Adds an agency's tokens, `slots` a row, row after row from its first record on.
    ///
    /// # Panics
    /// If there are more than 65,536 agencies: the settings bound them.
    pub fn add(&mut self, agency: usize, first_record: u32, tokens: &[u64]) {
        let agency = u16::try_from(agency).expect("the settings bound the agencies");
        let slots = self.kind.slots();
        for (record, row) in (first_record..).zip(tokens.chunks_exact(slots)) {
            for (slot, token) in (0..).zip(row) {
                let partition = &mut self.partitions[(token >> (64 - PARTITION_BITS)) as usize];
                partition.push(Entry { token: *token, record, slot, agency });
            }
        }
    }

    /// Returns every pair of records of different agencies that share a token, once, in order.
    pub fn pairs(self) -> Vec<Pair> {
        let (kind, carrier) = (1 << self.kind.index(), self.kind.index());
        let carrier = u8::try_from(carrier).expect("few kinds");
        let mut pairs: Vec<Pair> = self
            .partitions
            .into_par_iter()
            .flat_map_iter(|entries| {
                let mut pairs = Vec::new();
                let shared = shared(entries);
                for block in shared.chunk_by(|x, y| x.token == y.token) {
                    if block.len() > MOST_IN_BLOCK {
                        continue;
                    }
                    for (at, x) in block.iter().enumerate() {
                        for y in &block[at + 1..] {
                            if x.agency != y.agency {
                                let (a, b) = if x.record < y.record { (x, y) } else { (y, x) };
                                let slots = a.slot | b.slot << 4;
                                let (a, b) = (a.record, b.record);
                                pairs.push(Pair { a, b, kinds: kind, carrier, slots });
                            }
                        }
                    }
                }
                pairs
            })
            .collect();
        pairs.par_sort_unstable_by_key(|pair| (Pair::place(pair), pair.slots));
        pairs.dedup_by_key(|pair| pair.place());
        pairs
    }
}

/// Returns the entries whose token may be another's, too, in the order of their tokens.
fn shared(mut entries: Vec<Entry>) -> Vec<Entry> {
    let bits = (BITS_PER_TOKEN * entries.len()).next_power_of_two().max(64);
    let place = |entry: &Entry| {
        let bit = entry.token as usize & (bits - 1);
        (bit / 64, 1u64 << (bit % 64))
    };
    let (mut once, mut again) = (vec![0u64; bits / 64], vec![0u64; bits / 64]);
    for (word, bit) in entries.iter().map(place) {
        again[word] |= once[word] & bit;
        once[word] |= bit;
    }
    entries.retain(|entry| {
        let (word, bit) = place(entry);
        again[word] & bit != 0
    });
    entries.sort_unstable_by_key(|entry| entry.token);
    entries
}

/// Merges the pairs of one more kind into those known so far; both are in order.
pub fn merge(known: Vec<Pair>, found: Vec<Pair>) -> Vec<Pair> {
    if known.is_empty() || found.is_empty() {
        return if known.is_empty() { found } else { known };
    }
    // Slices of both that hold the same records can be merged side by side.
    let size = known.len().div_ceil(rayon::current_num_threads() * 4);
    let parts: Vec<(&[Pair], &[Pair])> = known
        .chunks(size)
        .enumerate()
        .map(|(at, part)| {
            let from = match at {
                0 => 0,
                _ => found.partition_point(|pair| pair.place() < part[0].place()),
            };
            let to = known.get((at + 1) * size).map_or(found.len(), |next| {
                found.partition_point(|pair| pair.place() < next.place())
            });
            (part, &found[from..to])
        })
        .collect();
    let merged: Vec<Vec<Pair>> =
        parts.into_par_iter().map(|(known, found)| merge_part(known, found)).collect();
    merged.concat()
}

fn merge_part(known: &[Pair], found: &[Pair]) -> Vec<Pair> {
    let mut merged = Vec::with_capacity(known.len() + found.len());
    let mut found = found.iter().copied().peekable();
    for mut pair in known.iter().copied() {
        while let Some(new) = found.next_if(|new| new.place() < pair.place()) {
            merged.push(new);
        }
        if let Some(again) = found.next_if(|new| new.place() == pair.place()) {
            pair.kinds |= again.kinds;
        }
        merged.push(pair);
    }
    merged.extend(found);
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// Spreads a small number over all bits, as tokens are.
    fn token(n: u64) -> u64 {
        (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_pair_is_found_once_with_the_slots_of_both() {
        let mut column = Column::new(MatchKeyKind::NamesYears, 2);
        column.add(0, 0, &[token(1), token(2)]);
        column.add(1, 1, &[token(2), token(1)]);
        let pairs = column.pairs();
        assert_eq!(pairs.len(), 1);
        assert_eq!((pairs[0].a, pairs[0].b), (0, 1));
        let (kind, [a, b]) = pairs[0].carrier();
        assert_eq!((kind, a + b), (MatchKeyKind::NamesYears, 1));
    }

    #[test]
    fn a_crowd_is_no_block_and_an_agency_is_not_paired_with_itself() {
        let mut column = Column::new(MatchKeyKind::Phone, 212);
        column.add(0, 0, &[token(1); 150]);
        column.add(1, 150, &[token(1); 60]);
        column.add(2, 210, &[token(2), token(2)]);
        assert_eq!(column.pairs(), []);
    }

    proptest! {
        #[test]
        fn blocks_of_partitions_are_the_pairs_that_a_plain_join_finds(
            tokens in prop::collection::vec(0u64..40, 60),
        ) {
            let mut expected = BTreeMap::new();
            let mut known = Vec::new();
            for (kind, shift) in [(MatchKeyKind::Nhs, 0), (MatchKeyKind::Email, 13)] {
                let mut column = Column::new(kind, 60);
                let value = |record: usize| token(tokens[(record + shift) % 60] + shift as u64 * 100);
                for agency in 0..3 {
                    let mine: Vec<u64> = (0..20).map(|row| value(agency * 20 + row)).collect();
                    column.add(agency, agency as u32 * 20, &mine);
                }
                for a in 0..60 {
                    for b in a + 1..60 {
                        if a / 20 != b / 20 && value(a) == value(b) {
                            *expected.entry((a as u32, b as u32)).or_insert(0) |= 1 << kind.index();
                        }
                    }
                }
                known = merge(known, column.pairs());
            }
            let found: BTreeMap<_, _> = known.iter().map(|p| ((p.a, p.b), p.kinds)).collect();
            prop_assert_eq!(found.len(), known.len());
            prop_assert_eq!(found, expected);
        }
    }
}
