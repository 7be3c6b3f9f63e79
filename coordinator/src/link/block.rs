//! Which pairs of records are worth a look: those that share a token.
//!
//! One kind at a time, so that only one kind's column is in memory; what remains of it is the pairs
//! and a bit each. Tokens are uniform already, so a partition by their upper bits spreads them
//! evenly (STACK.md 5), and the lower bits serve as the hash within. Most tokens are one record's
//! alone: a bitmap that fits the processor's cache sets those aside before anything is sorted.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

use causeway_proto::kind::MatchKeyKind;
use rayon::prelude::*;

use super::{
    Pair,
    holders::{Holder, admit, is_crowd},
    postings::{self, Indexed, Postings},
};

/// A token that more records than this share names a crowd, not a person. LINKAGE.md 2.2.
pub(crate) const MOST_IN_BLOCK: usize = 200;

/// Partitions by the upper bits: more scatter over too many pages. STACK.md 5.
pub(super) const PARTITION_BITS: u32 = 8;

/// Bits of the bitmap for each token: one in eight of the lonely ones is sorted for nothing.
const BITS_PER_TOKEN: usize = 8;

/// One token of one record: 12 bytes, because a kind has as many as there are records and slots.
///
/// The upper bits of the token are its partition; in their place stands the slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry([u32; 3]);

impl Entry {
    fn new(token: u64, slot: u8, record: u32) -> Self {
        let key = token << PARTITION_BITS | u64::from(slot);
        Self([(key >> 32) as u32, key as u32, record])
    }

    fn key(self) -> u64 {
        u64::from(self.0[0]) << 32 | u64::from(self.0[1])
    }

    fn token(self) -> u64 {
        self.key() >> PARTITION_BITS
    }

    pub(super) fn slot(self) -> u8 {
        self.key() as u8
    }

    pub(super) fn record(self) -> u32 {
        self.0[2]
    }

    fn holder(self) -> Holder {
        (self.record(), self.slot())
    }
}

/// The tokens that have their upper bits in common.
#[derive(Debug)]
pub(super) struct Partition {
    upper: u64,
    pub(super) entries: Vec<Entry>,
}

impl Partition {
    /// Returns the whole token of one of its entries.
    pub(super) fn token(&self, entry: Entry) -> u64 {
        self.upper << (u64::BITS - PARTITION_BITS) | entry.token()
    }
}

/// The tokens of one kind, of every agency.
#[derive(Debug)]
pub struct Column {
    kind: MatchKeyKind,
    partitions: Vec<Partition>,
    /// The number after an agency's last record, and which agency it is.
    ends: Vec<(u32, usize)>,
}

impl Column {
    /// Begins an empty column for about so many records.
    pub fn new(kind: MatchKeyKind, records: usize) -> Self {
        let expected = (records * kind.slots()) >> PARTITION_BITS;
        // A little more than on average, so that most partitions never grow.
        let room = expected + expected / 16 + 16;
        let partition = |upper| Partition { upper, entries: Vec::with_capacity(room) };
        let partitions = (0..1 << PARTITION_BITS).map(partition).collect();
        Self { kind, partitions, ends: Vec::new() }
    }

    /// Adds an agency's tokens, `slots` a row, row after row from its first record on. Agencies come
    /// in the order of their records.
    ///
    /// # Panics
    /// If there are more than 2^32 records: the caller bounds what each node may send.
    pub fn add(&mut self, agency: usize, first_record: u32, tokens: &[u64]) {
        let slots = self.kind.slots();
        let rows = u32::try_from(tokens.len() / slots).expect("the caller bounds the rows");
        self.ends.push((first_record + rows, agency));
        for (record, row) in (first_record..).zip(tokens.chunks_exact(slots)) {
            for (slot, token) in (0..).zip(row) {
                let partition = &mut self.partitions[(token >> (64 - PARTITION_BITS)) as usize];
                partition.entries.push(Entry::new(*token, slot, record));
            }
        }
    }

    /// Returns every pair of records of different agencies that share a token, once, in order, and what was
    /// left out of account. What their numbers say is for
    /// [`compare_all_numbers`](super::Records::compare_all_numbers).
    pub fn pairs(self) -> (Vec<Pair>, Excess) {
        let blocks = Blocks::of(&self);
        let agencies = self.ends.iter().map(|(_, agency)| (*agency, AtomicU64::new(0)));
        let counts: BTreeMap<usize, AtomicU64> = agencies.collect();
        let count = |odd| {
            if let Odd::Over(agency, _) = odd {
                counts[&agency].fetch_add(1, Ordering::Relaxed);
            }
        };
        let found = self.partitions.into_par_iter();
        let found = found.flat_map_iter(|partition| blocks.pairs(partition, count)).collect();
        let counts = counts.into_iter().map(|(agency, count)| (agency, count.into_inner()));
        (Pair::join(found), counts.filter(|(_, count)| *count > 0).collect())
    }

    /// Returns the same pairs, and who holds a token.
    pub fn pairs_and_postings(self) -> (Vec<Pair>, Postings) {
        let blocks = Blocks::of(&self);
        let tokens = self.partitions.iter().map(|partition| partition.entries.len()).sum();
        let bits = postings::bucket_bits(tokens);
        let found = self.partitions.into_par_iter().map(|partition| {
            let mut indexed = Indexed::of(&partition, bits);
            let pairs = blocks.pairs(partition, |odd| indexed.odd.push(odd));
            (pairs, indexed)
        });
        let (pairs, parts): (Vec<Vec<Pair>>, Vec<Indexed>) = found.unzip();
        (Pair::join(pairs.concat()), Postings::new(bits, parts))
    }
}

/// By agency: how many tokens it sent for more of its records than it may. Its records do not share them
/// with anybody.
pub type Excess = BTreeMap<usize, u64>;

/// A token that is not simply shared by whoever holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Odd {
    /// It names a crowd.
    Crowd(u64),
    /// An agency holds it with more of its records than it may.
    Over(usize, u64),
}

/// How the blocks of one kind become pairs.
struct Blocks {
    kind: MatchKeyKind,
    /// The number after an agency's last record, and which agency it is.
    ends: Vec<(u32, usize)>,
}

impl Blocks {
    fn of(column: &Column) -> Self {
        Self { kind: column.kind, ends: column.ends.clone() }
    }

    fn agency(&self, record: u32) -> usize {
        self.ends[self.ends.partition_point(|(end, _)| *end <= record)].1
    }

    /// Returns the pairs in one partition, and tells of its odd tokens.
    fn pairs(&self, mut partition: Partition, mut odd: impl FnMut(Odd)) -> Vec<Pair> {
        let most = self.kind.most_records();
        let mut pairs = Vec::new();
        let mut agencies = Vec::new();
        let shared = shared(std::mem::take(&mut partition.entries));
        for block in shared.chunk_by(|x, y| x.token() == y.token()) {
            if block.len() > MOST_IN_BLOCK {
                self.odd_block(partition.token(block[0]), block, &mut pairs, &mut odd);
                continue;
            }
            let (before, mut doubled) = (pairs.len(), false);
            agencies.clear();
            agencies.extend(block.iter().map(|entry| self.agency(entry.record())));
            for (at, x) in block.iter().enumerate() {
                for (after, y) in block.iter().enumerate().skip(at + 1) {
                    if agencies[at] != agencies[after] {
                        pairs.push(Pair::of(x.holder(), y.holder(), self.kind));
                    } else {
                        doubled |= x.record() != y.record();
                    }
                }
            }
            // Of an honest agency no more records hold it.
            if doubled && block.len() > most {
                pairs.truncate(before);
                self.odd_block(partition.token(block[0]), block, &mut pairs, &mut odd);
            }
        }
        pairs
    }

    /// Adds the pairs of a block that an agency may fill with too many, or too many altogether.
    fn odd_block(
        &self,
        token: u64,
        block: &[Entry],
        pairs: &mut Vec<Pair>,
        odd: &mut impl FnMut(Odd),
    ) {
        let agency = |record: u32| self.agency(record);
        let mut block: Vec<Holder> = block.iter().map(|entry| entry.holder()).collect();
        for over in admit(&mut block, self.kind.most_records(), agency) {
            odd(Odd::Over(over, token));
        }
        if is_crowd(&block) {
            return odd(Odd::Crowd(token));
        }
        let agencies: Vec<usize> = block.iter().map(|(record, _)| agency(*record)).collect();
        for (at, x) in block.iter().enumerate() {
            let others = (at + 1..block.len()).filter(|other| agencies[*other] != agencies[at]);
            pairs.extend(others.map(|other| Pair::of(*x, block[other], self.kind)));
        }
    }
}

/// Returns the entries whose token may be another's, too, in the order of their tokens.
fn shared(mut entries: Vec<Entry>) -> Vec<Entry> {
    let bits = (BITS_PER_TOKEN * entries.len()).next_power_of_two().max(64);
    let place = |entry: &Entry| {
        let bit = entry.token() as usize & (bits - 1);
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
    entries.sort_unstable_by_key(|entry| entry.key());
    entries
}

/// Merges the pairs of one more kind into those known so far; both are in order.
///
/// Most pairs share several kinds and are known after the first few, so what is known is changed in
/// place and only what is new is put between.
pub fn merge(mut known: Vec<Pair>, mut found: Vec<Pair>) -> Vec<Pair> {
    if known.is_empty() {
        found.shrink_to_fit();
        return found;
    }
    // Slices of both that hold the same records can be done side by side.
    let size = known.len().div_ceil(rayon::current_num_threads() * 4);
    let firsts: Vec<u64> = known.chunks(size).skip(1).map(|part| part[0].place()).collect();
    let mut rest = &found[..];
    let mut parts = Vec::with_capacity(firsts.len() + 1);
    for first in firsts {
        let (mine, after) = rest.split_at(rest.partition_point(|pair| pair.place() < first));
        parts.push(mine);
        rest = after;
    }
    parts.push(rest);
    let mut new: Vec<Pair> = known
        .par_chunks_mut(size)
        .zip(parts)
        .flat_map_iter(|(known, found)| add_kinds(known, found))
        .collect();
    drop(found);
    insert(&mut known, &mut new);
    known
}

/// Adds the kinds of pairs that are known, and returns those that are not.
fn add_kinds(mut known: &mut [Pair], found: &[Pair]) -> Vec<Pair> {
    let mut new = Vec::new();
    for pair in found {
        // Where few were found, most of what is known is jumped over.
        let mut step = 1;
        while step < known.len() && known[step].place() < pair.place() {
            step *= 2;
        }
        let within = &known[..known.len().min(step + 1)];
        let at = within.partition_point(|known| known.place() < pair.place());
        known = &mut known[at..];
        match known.first_mut() {
            Some(known) if known.place() == pair.place() => known.kinds |= pair.kinds,
            _ => new.push(*pair),
        }
    }
    new
}

/// Puts new pairs where they belong, from the end on, so that no second list is needed.
fn insert(known: &mut Vec<Pair>, new: &mut Vec<Pair>) {
    let mut before = known.len();
    let mut at = before + new.len();
    if let Some(last) = new.last() {
        known.reserve_exact(new.len());
        known.resize(at, *last);
    }
    while let Some(pair) = new.pop() {
        while before > 0 && known[before - 1].place() > pair.place() {
            (before, at) = (before - 1, at - 1);
            known[at] = known[before];
        }
        at -= 1;
        known[at] = pair;
    }
}

#[cfg(test)]
mod tests;
