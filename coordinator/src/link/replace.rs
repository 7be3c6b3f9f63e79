//! What a change does to the candidate pairs: records go, records come, and only the tokens that
//! they hold are looked up again.
//!
//! The pairs afterwards are those that a full pass over the same tokens finds. That a token names a
//! crowd ([`MOST_IN_BLOCK`]) may change with one record, and then concerns all who share it.

use std::collections::BTreeSet;

use causeway_proto::{ids::Handle, kind::MatchKeyKind, token::PersonFlags};
use rayon::prelude::*;

use super::{Pair, Records, block::MOST_IN_BLOCK, decide::Decision, postings::Postings};

/// Somebody who comes into the sweep while it is open.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// At which agency.
    pub agency: usize,
    /// What it calls them.
    pub handle: Handle,
    /// What it says of them.
    pub flags: PersonFlags,
    /// By kind: re-keyed tokens, one a slot.
    pub tokens: Vec<Vec<u64>>,
}

/// What changed in the candidate pairs.
#[derive(Debug, Default)]
pub struct Replaced {
    /// The numbers of those who came, in the order they were given.
    pub came: Vec<u32>,
    /// Pairs that are no more, with their places.
    pub gone: Vec<(u32, Pair)>,
    /// New pairs, in order.
    pub new: Vec<Pair>,
    /// Every record that lost or gained a pair, came or went.
    pub touched: BTreeSet<u32>,
}

/// Takes records out and others in, and finds what that does to the pairs. The caller then forgets the
/// pairs that are gone and looks at the new ones.
pub fn replace(
    records: &mut Records,
    decision: &Decision,
    pairs: &[Pair],
    leave: &BTreeSet<u32>,
    come: &[Arrival],
) -> Replaced {
    leave.iter().for_each(|record| records.remove(*record));
    let came: Vec<u32> = come
        .iter()
        .map(|new| records.add(new.agency, new.handle, new.flags, &new.tokens))
        .collect();
    records.postings.par_iter_mut().for_each(Postings::settle);
    let mut moved: BTreeSet<u32> = came.iter().copied().collect();
    let tokens: Vec<Vec<Token>> = MatchKeyKind::ALL
        .iter()
        .zip(&records.postings)
        .map(|(kind, postings)| arrived(come, &came, *kind, postings))
        .collect();
    let burst = Burst { records, leave, came: &moved };
    let crossed = burst.crossed(&tokens);
    let mut new = burst.pairs(&tokens);
    if crossed.iter().any(|crossed| !crossed.holders.is_empty()) {
        let holders = crossed.iter().flat_map(|crossed| &crossed.holders).copied().collect();
        new.extend(burst.pairs(&burst.tokens_of(&holders)));
        new = joined(new);
        for (postings, crossed) in records.postings.iter_mut().zip(&crossed) {
            crossed.crowds.iter().for_each(|name| postings.add_crowd(*name));
        }
        moved.extend(holders);
    }
    records.compare_all_numbers(&mut new);

    let dropped: BTreeSet<u32> = leave
        .iter()
        .chain(&moved)
        .flat_map(|record| decision.around.of(*record))
        .copied()
        .collect();
    let gone: Vec<(u32, Pair)> = dropped.into_iter().map(|at| (at, pairs[at as usize])).collect();
    let mut touched = moved;
    touched.extend(leave);
    touched.extend(gone.iter().map(|(_, pair)| pair).chain(&new).flat_map(|pair| [pair.a, pair.b]));
    Replaced { came, gone, new, touched }
}

/// A token by its name, whose it is, and in which slot.
#[derive(Clone, Copy)]
struct Token {
    name: u64,
    record: u32,
    slot: u8,
}

/// The tokens of those who came, of one kind.
fn arrived(come: &[Arrival], came: &[u32], kind: MatchKeyKind, postings: &Postings) -> Vec<Token> {
    let of = |(new, record): (&Arrival, &u32)| {
        let record = *record;
        let tokens = (0u8..).zip(new.tokens[kind.index()].clone());
        tokens.map(move |(slot, token)| Token { name: postings.name(token), record, slot })
    };
    come.iter().zip(came).flat_map(of).collect()
}

/// What one kind's tokens name crowds now and did not before, or the other way round.
#[derive(Default)]
struct Crossed {
    /// Everybody who holds one and was there before.
    holders: BTreeSet<u32>,
    /// Those that name crowds now.
    crowds: Vec<u64>,
}

/// What one burst does to the blocks.
struct Burst<'a> {
    records: &'a Records,
    leave: &'a BTreeSet<u32>,
    came: &'a BTreeSet<u32>,
}

impl Burst<'_> {
    /// Finds, by kind, whom it concerns that a token names a crowd now, or does not any more.
    ///
    /// Only a token of somebody who came can come to name one, and only one that did can cease to.
    fn crossed(&self, tokens: &[Vec<Token>]) -> Vec<Crossed> {
        let kinds = self.records.postings.par_iter().zip(tokens);
        let crossed = kinds.map(|(postings, tokens)| {
            let mut crossed = Crossed::default();
            let mut names: Vec<u64> = tokens.iter().map(|token| token.name).collect();
            if !self.leave.is_empty() {
                names.extend(postings.crowds());
            }
            names.sort_unstable();
            names.dedup();
            for name in names {
                let holders = || postings.holders(name).map(|(record, _)| record);
                if holders().nth(MOST_IN_BLOCK).is_none() {
                    continue;
                }
                let is_here = |record: &u32| !self.records.is_gone(*record);
                let was_here = |record: &u32| {
                    !self.came.contains(record) && (is_here(record) || self.leave.contains(record))
                };
                let now = holders().filter(is_here).count() > MOST_IN_BLOCK;
                let before = holders().filter(was_here).count() > MOST_IN_BLOCK;
                if now != before {
                    let stayed = holders().filter(|record| is_here(record) && was_here(record));
                    crossed.holders.extend(stayed);
                    crossed.crowds.extend(now.then_some(name));
                }
            }
            crossed
        });
        crossed.collect()
    }

    /// Returns the tokens of some records, by kind.
    fn tokens_of(&self, records: &BTreeSet<u32>) -> Vec<Vec<Token>> {
        let tokens = self.records.postings.iter().map(|postings| {
            let held = postings.of(records).into_iter();
            held.flat_map(|(record, tokens)| {
                tokens.into_iter().map(move |(name, slot)| Token { name, record, slot })
            })
            .collect()
        });
        tokens.collect()
    }

    /// Returns every pair that some records' tokens make, with the kinds they share, in order.
    fn pairs(&self, tokens: &[Vec<Token>]) -> Vec<Pair> {
        let kinds = MatchKeyKind::ALL.par_iter().zip(&self.records.postings).zip(tokens);
        let found = kinds.flat_map_iter(|((kind, postings), tokens)| {
            tokens.iter().flat_map(move |token| self.pairs_of(token, *kind, postings))
        });
        joined(found.collect())
    }

    fn pairs_of(&self, token: &Token, kind: MatchKeyKind, postings: &Postings) -> Vec<Pair> {
        let Token { name, record, slot } = *token;
        let (kinds, carrier) = (1 << kind.index(), kind.index());
        let carrier = u8::try_from(carrier).expect("few kinds");
        let present = |(other, _): &(u32, u8)| !self.records.is_gone(*other);
        let block: Vec<(u32, u8)> = postings.holders(name).filter(present).collect();
        if block.len() < 2 || block.len() > MOST_IN_BLOCK {
            return Vec::new();
        }
        let agency = self.records.agency(record);
        let others = block.into_iter().filter(|(other, _)| self.records.agency(*other) != agency);
        let pairs = others.map(|(other, theirs)| {
            let (a, b) = (record.min(other), record.max(other));
            let slots = if a == record { slot | theirs << 4 } else { theirs | slot << 4 };
            Pair { a, b, kinds, carrier, slots, numbers: 0 }
        });
        pairs.collect()
    }
}

/// Makes one pair of all that are about the same records: with every kind, and the carrier and the slots
/// that a full pass finds first.
fn joined(mut found: Vec<Pair>) -> Vec<Pair> {
    found.par_sort_unstable_by_key(|pair| (pair.place(), pair.carrier, pair.slots));
    found.dedup_by(|pair, first| {
        let same = pair.place() == first.place();
        first.kinds |= if same { pair.kinds } else { 0 };
        same
    });
    found
}
