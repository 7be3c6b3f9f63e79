//! Who holds a token: an inverted index of one kind, kept while changes are followed.
//!
//! Eight bytes a token, and half a byte for its bucket. What a full pass partitioned by the upper bits of
//! tokens is put in buckets by the next bits, and of the token each posting keeps [`REST_BITS`] more: 44
//! bits of a small federation's tokens, and 51 or 52 of those of five million records. Two different tokens
//! that agree in so many are taken for one in fewer than one of ten million lookups, and then a pair
//! is looked at that has nothing in common. Tokens that come later are few, and stand apart until
//! there are many.

use std::{collections::BTreeSet, fmt, hint::black_box, ops::RangeInclusive};

use foldhash::HashMap;
use rayon::prelude::*;

use super::{
    block::{Excess, Odd, PARTITION_BITS, Partition},
    holders::Holder,
};

/// Bits of a token that a posting keeps.
const REST_BITS: u32 = 30;

/// Postings in a bucket, on average.
const IN_BUCKET: usize = 8;

/// One token of one record: what the bucket does not say of the token, its slot, and the record.
#[derive(Clone, Copy)]
struct Posting {
    rest: u32,
    record: u32,
}

/// A token by its name ([`Postings::name`]), whose it is, and in which slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Token {
    /// What it is known by.
    pub name: u64,
    /// Who holds it.
    pub record: u32,
    /// Where.
    pub slot: u8,
}

/// Everybody who holds a token of one kind, those who are gone among them, and those who hold another one in its
/// place now.
#[derive(Default)]
pub struct Postings {
    bucket_bits: u32,
    /// By the upper bits of the token.
    parts: Vec<Part>,
    /// What came later, in order.
    late: Vec<Token>,
    /// By record and slot: which token is there, where there was another one before.
    turned: HashMap<Holder, u64>,
    /// The names of tokens that name crowds, or did once.
    crowds: BTreeSet<u64>,
    /// Agencies with tokens that they hold with more records than they may, or did once.
    over: BTreeSet<(usize, u64)>,
}

/// By record and slot: which token was there before a change, where that is known; otherwise it was the one that
/// the record came with.
pub type Before = HashMap<Holder, Option<u64>>;

/// One partition, bucket after bucket.
#[derive(Default)]
struct Part {
    /// Where each bucket begins, and where the last one ends.
    firsts: Vec<u32>,
    postings: Vec<Posting>,
}

/// How many bits of a token name its bucket within its partition, for about so many tokens.
pub(super) fn bucket_bits(tokens: usize) -> u32 {
    let buckets = (tokens >> PARTITION_BITS) / IN_BUCKET;
    buckets.next_power_of_two().ilog2().clamp(6, 20)
}

/// The beginning of a token, by which it is known here.
fn name(bucket_bits: u32, token: u64) -> u64 {
    token >> (u64::BITS - PARTITION_BITS - bucket_bits - REST_BITS)
}

impl Postings {
    /// Puts an index together out of its partitions.
    pub(super) fn new(bucket_bits: u32, parts: Vec<Indexed>) -> Self {
        let (mut crowds, mut over) = (BTreeSet::new(), BTreeSet::new());
        for odd in parts.iter().flat_map(|part| &part.odd) {
            match odd {
                Odd::Crowd(token) => crowds.insert(name(bucket_bits, *token)),
                Odd::Over(agency, token) => over.insert((*agency, name(bucket_bits, *token))),
            };
        }
        let parts = parts.into_iter().map(|part| part.part).collect();
        let (late, turned) = (Vec::new(), HashMap::default());
        Self { bucket_bits, parts, late, turned, crowds, over }
    }

    /// Returns by what a token is known here.
    pub fn name(&self, token: u64) -> u64 {
        name(self.bucket_bits, token)
    }

    /// Adds what came later.
    pub fn add(&mut self, tokens: &[Token]) {
        /// So many are put in their places one by one.
        const FEW: usize = 16;
        if tokens.len() > FEW {
            self.late.extend(tokens);
            self.late.sort();
            return self.take_in();
        }
        for token in tokens {
            let at = self.late.partition_point(|other| other < token);
            self.late.insert(at, *token);
        }
    }

    /// Gives records that are there these tokens, which come in order, in place of those that they have. Returns
    /// what was there before where it is another one now.
    pub fn turn(&mut self, tokens: &[Token]) -> Before {
        let (mut turned, mut new) = (Vec::new(), Vec::new());
        self.each_block(tokens, |same, block| {
            // Many are looked up in order: whoever sends one token for everybody is not to cost more.
            let is_sorted = same.len() > 1;
            if is_sorted {
                block.sort_unstable();
            }
            for token in same {
                let holder = token.holder();
                let is_posted = match is_sorted {
                    true => block.binary_search(&holder).is_ok(),
                    false => block.contains(&holder),
                };
                if !is_posted {
                    new.push(*token);
                }
                if !is_posted || !self.counts(token.name, holder) {
                    turned.push(*token);
                }
            }
        });
        self.add(&new);
        let before =
            |token: Token| (token.holder(), self.turned.insert(token.holder(), token.name));
        turned.into_iter().map(before).collect()
    }

    /// Returns whether a record that holds a token, or did, holds it now.
    pub fn counts(&self, name: u64, holder: Holder) -> bool {
        self.turned.is_empty() || self.turned.get(&holder).is_none_or(|now| *now == name)
    }

    /// Returns every record that holds a token, and in which slot, by the token's name.
    pub fn holders(&self, name: u64) -> impl Iterator<Item = Holder> + '_ {
        let (_, rest) = place(self.bucket_bits, name);
        let same = move |posting: &&Posting| posting.rest >> 2 == rest;
        let streamed = self.bucket(name).iter().filter(same);
        let streamed = streamed.map(|posting| (posting.record, posting.slot()));
        let late = self.late_in(name..=name).iter();
        streamed.chain(late.map(|token| (token.record, token.slot)))
    }

    /// Finds every record that holds each of some tokens, which come in order of their names, and in which
    /// slot, and hands both over: once for all tokens of one name, as many as an agency may send of it. Looks
    /// ahead, so that one bucket comes out of memory while others are on their way.
    pub fn each_block(&self, tokens: &[Token], mut found: impl FnMut(&[Token], &mut Vec<Holder>)) {
        const AHEAD: usize = 32;
        let (mut late, mut block) = (&self.late[..], Vec::new());
        let mut names = tokens.chunk_by(|one, other| one.name == other.name);
        let mut ahead: Vec<(&[Token], &[Posting])> = Vec::with_capacity(AHEAD);
        loop {
            let some = names.by_ref().take(AHEAD).map(|same| (same, self.bucket(same[0].name)));
            ahead.clear();
            ahead.extend(some);
            if ahead.is_empty() {
                return;
            }
            let firsts = ahead.iter().filter_map(|(_, bucket)| bucket.first());
            black_box(firsts.fold(0, |all, posting| all ^ posting.record));
            for (tokens, bucket) in &ahead {
                let name = tokens[0].name;
                late = from(late, name);
                let (_, rest) = place(self.bucket_bits, name);
                let same = bucket.iter().filter(|posting| posting.rest >> 2 == rest);
                let later = late.iter().take_while(|other| other.name == name);
                block.clear();
                block.extend(same.map(|posting| (posting.record, posting.slot())));
                block.extend(later.map(|token| (token.record, token.slot)));
                found(tokens, &mut block);
            }
        }
    }

    /// What came with the streams and may hold a token of a name.
    fn bucket(&self, name: u64) -> &[Posting] {
        let part = self.parts.get((name >> (self.bucket_bits + REST_BITS)) as usize);
        part.map_or(&[], |part| part.bucket(place(self.bucket_bits, name).0))
    }

    fn late_in(&self, names: RangeInclusive<u64>) -> &[Token] {
        let from = self.late.partition_point(|token| token.name < *names.start());
        let late = &self.late[from..];
        &late[..late.partition_point(|token| token.name <= *names.end())]
    }

    /// Returns the tokens that some records hold, which come in order. Reads everything.
    pub fn of(&self, records: &[u32]) -> Vec<Token> {
        let Some((first, last)) = records.first().zip(records.last()) else {
            return Vec::new();
        };
        let mut wanted = vec![false; (last - first) as usize + 1];
        records.iter().for_each(|record| wanted[(record - first) as usize] = true);
        let is_wanted = |record: u32| {
            let at = record.checked_sub(*first);
            at.and_then(|at| wanted.get(at as usize)).is_some_and(|wanted| *wanted)
        };
        let streamed = self.parts.par_iter().enumerate().flat_map_iter(|(upper, part)| {
            let found = part.postings.iter().enumerate();
            found.filter(|(_, posting)| is_wanted(posting.record)).map(move |(at, posting)| {
                let bucket = part.firsts.partition_point(|first| *first as usize <= at) as u64 - 1;
                let upper = (upper as u64) << self.bucket_bits | bucket;
                let name = upper << REST_BITS | u64::from(posting.rest >> 2);
                Token { name, record: posting.record, slot: posting.slot() }
            })
        });
        let mut found: Vec<Token> = streamed.collect();
        found.extend(self.late.iter().filter(|token| is_wanted(token.record)));
        found.retain(|token| self.counts(token.name, token.holder()));
        found
    }

    /// The names of tokens that name crowds, or did once.
    pub fn crowds(&self) -> impl Iterator<Item = u64> + '_ {
        self.crowds.iter().copied()
    }

    /// The names of tokens that an agency holds with more records than it may, or did once.
    pub fn over(&self) -> impl Iterator<Item = u64> + '_ {
        self.over.iter().map(|(_, name)| *name)
    }

    /// Takes note of a token that an agency holds with more records than it may.
    pub fn add_over(&mut self, agency: usize, name: u64) {
        self.over.insert((agency, name));
    }

    /// Counts the tokens that agencies hold with more records than they may, or did once.
    pub fn excess(&self) -> Excess {
        let mut excess = Excess::new();
        self.over.iter().for_each(|(agency, _)| *excess.entry(*agency).or_default() += 1);
        excess
    }

    /// Takes note of a token that names a crowd now.
    pub fn add_crowd(&mut self, name: u64) {
        self.crowds.insert(name);
    }

    /// Puts what came later among the rest, if it has become much.
    fn take_in(&mut self) {
        /// Fewer are found fast enough where they are.
        const FEW: usize = 1 << 16;
        let held: usize = self.parts.iter().map(|part| part.postings.len()).sum();
        if self.parts.is_empty() || self.late.len() < FEW + held / 8 {
            return;
        }
        let parts = std::mem::take(&mut self.parts);
        let (shift, buckets) = (self.bucket_bits + REST_BITS, 1 << self.bucket_bits);
        let settled = parts.into_par_iter().enumerate().map(|(upper, part)| {
            let first = (upper as u64) << shift;
            let new = self.late_in(first..=first + ((1 << shift) - 1)).iter();
            let new = new.map(|token| token.posted(self.bucket_bits));
            Part::of(part.entries().chain(new), buckets)
        });
        let settled = settled.collect();
        (self.parts, self.late) = (settled, Vec::new());
    }
}

/// Those of some tokens in order whose name is this or a later one, where it is most often near.
fn from(tokens: &[Token], name: u64) -> &[Token] {
    let mut near = 1;
    while tokens.get(near).is_some_and(|token| token.name < name) {
        near *= 2;
    }
    let near = &tokens[..tokens.len().min(near + 1)];
    &tokens[near.partition_point(|token| token.name < name)..]
}

/// The bucket of a token within its partition, and what is kept of it there.
fn place(bucket_bits: u32, name: u64) -> (usize, u32) {
    let bucket = name >> REST_BITS & ((1 << bucket_bits) - 1);
    (bucket as usize, (name & ((1 << REST_BITS) - 1)) as u32)
}

impl fmt::Debug for Token {
    /// Shows no token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a token in slot {} of record {}", self.slot, self.record)
    }
}

impl Token {
    fn holder(&self) -> Holder {
        (self.record, self.slot)
    }

    /// The bucket within its partition, and what stands there.
    fn posted(&self, bucket_bits: u32) -> (usize, Posting) {
        let (bucket, rest) = place(bucket_bits, self.name);
        let rest = rest << 2 | u32::from(self.slot);
        (bucket, Posting { rest, record: self.record })
    }
}

/// One partition, and its odd tokens.
pub(super) struct Indexed {
    part: Part,
    pub(super) odd: Vec<Odd>,
}

impl Indexed {
    /// Takes one partition of a column in.
    pub(super) fn of(partition: &Partition, bucket_bits: u32) -> Self {
        let entries = partition.entries.iter().map(|entry| {
            let name = name(bucket_bits, partition.token(*entry));
            Token { name, record: entry.record(), slot: entry.slot() }.posted(bucket_bits)
        });
        Self { part: Part::of(entries, 1 << bucket_bits), odd: Vec::new() }
    }
}

impl Part {
    fn of(entries: impl Iterator<Item = (usize, Posting)> + Clone, buckets: usize) -> Self {
        let mut firsts = vec![0u32; buckets + 1];
        entries.clone().for_each(|(bucket, _)| firsts[bucket] += 1);
        let mut sum = 0;
        for first in &mut firsts {
            sum += *first;
            *first = sum;
        }
        // Every bucket from its end on, so that the ends become the beginnings.
        let mut postings = vec![Posting { rest: 0, record: 0 }; sum as usize];
        for (bucket, posting) in entries {
            firsts[bucket] -= 1;
            postings[firsts[bucket] as usize] = posting;
        }
        Self { firsts, postings }
    }

    fn bucket(&self, bucket: usize) -> &[Posting] {
        &self.postings[self.firsts[bucket] as usize..self.firsts[bucket + 1] as usize]
    }

    fn entries(&self) -> impl Iterator<Item = (usize, Posting)> + Clone + '_ {
        (0..self.firsts.len() - 1)
            .flat_map(|bucket| self.bucket(bucket).iter().map(move |posting| (bucket, *posting)))
    }
}

impl Posting {
    fn slot(self) -> u8 {
        (self.rest & 3) as u8
    }
}

#[cfg(test)]
mod tests;
