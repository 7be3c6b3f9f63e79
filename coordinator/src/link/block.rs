//! Which pairs of records are worth a look: those that share a token.
//!
//! One kind at a time, so that only one kind's column is in memory; what remains of it is the pairs
//! and a bit each. Tokens are uniform already, so a partition by their upper bits spreads them
//! evenly, and the lower bits serve as the hash within (STACK.md 5).

use causeway_proto::kind::MatchKeyKind;
use hashbrown::HashTable;
use rayon::prelude::*;

use super::{Pair, Records};

/// A token that more records than this share names a crowd, not a person. LINKAGE.md 2.2.
const MOST_IN_BLOCK: usize = 200;

/// Partitions by the upper bits: more scatter over too many pages. STACK.md 5.
const PARTITION_BITS: u32 = 8;

/// One token of one record.
#[derive(Clone, Copy, Debug)]
struct Entry {
    token: u64,
    record: u32,
    slot: u8,
}

/// The tokens of one kind, of every agency.
#[derive(Debug)]
pub struct Column {
    kind: MatchKeyKind,
    partitions: Vec<Vec<Entry>>,
}

impl Column {
    /// Begins an empty column.
    pub fn new(kind: MatchKeyKind) -> Self {
        Self { kind, partitions: vec![Vec::new(); 1 << PARTITION_BITS] }
    }

    /// Adds an agency's tokens, `slots` a row, row after row from its first record on.
    pub fn add(&mut self, first_record: u32, tokens: &[u64]) {
        let slots = self.kind.slots();
        for (record, row) in (first_record..).zip(tokens.chunks_exact(slots)) {
            for (slot, token) in (0..).zip(row) {
                let partition = &mut self.partitions[(token >> (64 - PARTITION_BITS)) as usize];
                partition.push(Entry { token: *token, record, slot });
            }
        }
    }

    /// Returns every pair of records of different agencies that share a token, once, in order.
    pub fn pairs(self, records: &Records) -> Vec<Pair> {
        let (kind, carrier) = (1 << self.kind.index(), self.kind.index());
        let carrier = u8::try_from(carrier).expect("few kinds");
        let mut pairs: Vec<Pair> = self
            .partitions
            .into_par_iter()
            .flat_map_iter(|entries| {
                let mut pairs = Vec::new();
                for block in blocks(&entries) {
                    for (at, x) in block.iter().enumerate() {
                        let agency = records.agency(x.record);
                        for y in &block[at + 1..] {
                            if records.agency(y.record) != agency {
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
        pairs.par_sort_unstable();
        pairs.dedup_by_key(|pair| (pair.a, pair.b));
        pairs
    }
}

/// A token is as good as a hash already; but the table looks at the upper bits first, and those are
/// the same throughout a partition.
const fn hash(token: u64) -> u64 {
    token.rotate_left(PARTITION_BITS)
}

/// The sets of entries with one token, of a size worth pairing.
fn blocks(entries: &[Entry]) -> Vec<Vec<Entry>> {
    // The table holds the first entry of each token; the chain leads to the others.
    let mut firsts: HashTable<u32> = HashTable::with_capacity(entries.len());
    let mut next = vec![u32::MAX; entries.len()];
    let mut sizes = vec![1u32; entries.len()];
    let mut shared = Vec::new();
    for (at, entry) in (0u32..).zip(entries) {
        let same = |other: &u32| entries[*other as usize].token == entry.token;
        match firsts.find(hash(entry.token), same) {
            Some(first) => {
                let first = *first as usize;
                if sizes[first] == 1 {
                    shared.push(first);
                }
                sizes[first] += 1;
                next[at as usize] = next[first];
                next[first] = at;
            }
            None => {
                let rehash = |other: &u32| hash(entries[*other as usize].token);
                firsts.insert_unique(hash(entry.token), at, rehash);
            }
        }
    }
    shared.retain(|first| sizes[*first] as usize <= MOST_IN_BLOCK);
    shared
        .into_iter()
        .map(|first| {
            let mut block = Vec::with_capacity(sizes[first] as usize);
            let mut at = first as u32;
            while at != u32::MAX {
                block.push(entries[at as usize]);
                at = next[at as usize];
            }
            block
        })
        .collect()
}

/// Merges the pairs of one more kind into those known so far; both are in order.
pub fn merge(known: Vec<Pair>, found: Vec<Pair>) -> Vec<Pair> {
    if known.is_empty() {
        return found;
    }
    let mut merged = Vec::with_capacity(known.len() + found.len());
    let mut found = found.into_iter().peekable();
    for mut pair in known {
        let place = |pair: &Pair| (pair.a, pair.b);
        while let Some(new) = found.next_if(|new| place(new) < place(&pair)) {
            merged.push(new);
        }
        if let Some(again) = found.next_if(|new| place(new) == place(&pair)) {
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

    use causeway_proto::{ids::Handle, token::PersonFlags};
    use proptest::prelude::*;

    use super::{super::Roll, *};

    fn records(sizes: &[usize]) -> Records {
        let roll = |rows: &usize| Roll {
            handles: vec![Handle::from_bytes([0; 16]); *rows],
            flags: vec![PersonFlags(0); *rows],
            strong_ids: vec![[0; 3]; *rows],
        };
        Records::new(sizes.iter().map(roll).collect())
    }

    /// Spreads a small number over all bits, as tokens are.
    fn token(n: u64) -> u64 {
        (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    #[test]
    fn a_pair_is_found_once_with_the_slots_of_both() {
        let records = records(&[1, 1]);
        let mut column = Column::new(MatchKeyKind::NamesYears);
        column.add(0, &[token(1), token(2)]);
        column.add(1, &[token(2), token(1)]);
        let pairs = column.pairs(&records);
        assert_eq!(pairs.len(), 1);
        assert_eq!((pairs[0].a, pairs[0].b), (0, 1));
        let (kind, [a, b]) = pairs[0].carrier();
        assert_eq!((kind, a + b), (MatchKeyKind::NamesYears, 1));
    }

    #[test]
    fn a_crowd_is_no_block_and_an_agency_is_not_paired_with_itself() {
        let records = records(&[150, 60, 2]);
        let mut column = Column::new(MatchKeyKind::Phone);
        column.add(0, &[token(1); 150]);
        column.add(150, &[token(1); 60]);
        column.add(210, &[token(2), token(2)]);
        assert_eq!(column.pairs(&records), []);
    }

    proptest! {
        #[test]
        fn blocks_of_partitions_are_the_pairs_that_a_plain_join_finds(
            tokens in prop::collection::vec(0u64..40, 60),
        ) {
            let records = records(&[20, 20, 20]);
            let mut expected = BTreeMap::new();
            let mut known = Vec::new();
            for (kind, shift) in [(MatchKeyKind::Nhs, 0), (MatchKeyKind::Email, 13)] {
                let mut column = Column::new(kind);
                let value = |record: usize| token(tokens[(record + shift) % 60] + shift as u64 * 100);
                for agency in 0..3 {
                    let mine: Vec<u64> = (0..20).map(|row| value(agency * 20 + row)).collect();
                    column.add(agency as u32 * 20, &mine);
                }
                for a in 0..60 {
                    for b in a + 1..60 {
                        if a / 20 != b / 20 && value(a) == value(b) {
                            *expected.entry((a as u32, b as u32)).or_insert(0) |= 1 << kind.index();
                        }
                    }
                }
                known = merge(known, column.pairs(&records));
            }
            let found: BTreeMap<_, _> = known.iter().map(|p| ((p.a, p.b), p.kinds)).collect();
            prop_assert_eq!(found.len(), known.len());
            prop_assert_eq!(found, expected);
        }
    }
}
