//! What a change does to the candidate pairs: records go, records come, and only the tokens that
//! they hold are looked up again.
//!
//! The pairs afterwards are those that a full pass over the same tokens finds. That a token names a
//! crowd, or that an agency holds it with more records than it may, may change with one record, and then
//! concerns all who share it, or all of that agency.

use std::collections::BTreeSet;

use causeway_proto::{ids::Handle, kind::MatchKeyKind, token::PersonFlags};
use rayon::prelude::*;

use super::{
    Pair, Records,
    decide::{self, Decision},
    holders::{Holder, admit, is_crowd},
    postings::{Postings, Token},
};

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
    pub touched: Vec<u32>,
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
    let kinds = MatchKeyKind::ALL.par_iter().zip(&mut records.postings);
    let posted = kinds.map(|(kind, postings)| {
        let tokens = arrived(come, &came, *kind, postings);
        postings.add(&tokens);
        tokens
    });
    let tokens: Vec<Vec<Token>> = posted.collect();
    let burst = Burst { records, leave, first: came.first().copied().unwrap_or(u32::MAX) };
    let (mut new, crossed) = burst.look_up(&tokens);
    let mut fresh = came.clone();
    if !crossed.is_empty() {
        let holders = crossed.iter().flat_map(|crossed| &crossed.holders).copied();
        let holders = decide::in_order(holders);
        new.extend(burst.look_up(&burst.tokens_of(&holders)).0);
        new = Pair::join_late(new, records);
        for Crossed { kind, name, is_crowd, over, .. } in crossed {
            let postings = &mut records.postings[kind];
            over.into_iter().for_each(|agency| postings.add_over(agency, name));
            if is_crowd {
                postings.add_crowd(name);
            }
        }
        fresh.extend(holders);
    }
    records.compare_all_numbers(&mut new);

    let all = || leave.iter().chain(&fresh).copied();
    let dropped = decide::in_order(all().flat_map(|record| decision.around.of(record)).copied());
    let gone: Vec<(u32, Pair)> = dropped.into_iter().map(|at| (at, pairs[at as usize])).collect();
    let changed = gone.iter().map(|(_, pair)| pair).chain(&new);
    let touched = decide::in_order(all().chain(changed.flat_map(|pair| [pair.a, pair.b])));
    Replaced { came, gone, new, touched }
}

/// Takes all records of some agencies out before anybody looked at a pair, as if they had never been there.
/// Where who holds a token is not kept, one that names a crowd only with them does so still.
pub fn leave_out(
    records: &mut Records,
    pairs: &mut Vec<Pair>,
    agencies: impl Iterator<Item = usize>,
) {
    let leave: BTreeSet<u32> = agencies.flat_map(|agency| records.all_of(agency)).collect();
    if leave.is_empty() {
        return;
    }
    leave.iter().for_each(|record| records.remove(*record));
    pairs.retain(|pair| !records.is_gone(pair.a) && !records.is_gone(pair.b));
    let burst = Burst { records, leave: &leave, first: u32::MAX };
    let (_, crossed) = burst.look_up(&vec![Vec::new(); MatchKeyKind::COUNT]);
    let holders = crossed.iter().flat_map(|crossed| &crossed.holders).copied();
    let holders = decide::in_order(holders);
    if holders.is_empty() {
        return;
    }
    let (mut new, _) = burst.look_up(&burst.tokens_of(&holders));
    records.compare_all_numbers(&mut new);
    let is_new = |record: u32| holders.binary_search(&record).is_ok();
    pairs.retain(|pair| !is_new(pair.a) && !is_new(pair.b));
    pairs.extend(new);
    pairs.par_sort_unstable_by_key(Pair::place);
}

/// The tokens of those who came, of one kind, in order.
fn arrived(come: &[Arrival], came: &[u32], kind: MatchKeyKind, postings: &Postings) -> Vec<Token> {
    let mut tokens = Vec::with_capacity(come.len() * kind.slots());
    for (new, record) in come.iter().zip(came) {
        let named = (0u8..).zip(&new.tokens[kind.index()]);
        let named = named.map(|(slot, token)| (postings.name(*token), slot));
        tokens.extend(named.map(|(name, slot)| Token { name, record: *record, slot }));
    }
    tokens.sort_unstable();
    tokens
}

/// A token that may count for others than before.
struct Crossed {
    /// The place of its kind.
    kind: usize,
    name: u64,
    /// Whether it names a crowd now.
    is_crowd: bool,
    /// Agencies that hold it with more records than they may now.
    over: Vec<usize>,
    /// Those who hold it, were there before and stay, and for whom it counts now and did not, or the other
    /// way round.
    holders: Vec<u32>,
}

/// For whom a token counts.
struct Counted {
    is_crowd: bool,
    over: Vec<usize>,
    /// In order.
    records: Vec<u32>,
}

/// What one burst does to the blocks.
struct Burst<'a> {
    records: &'a Records,
    leave: &'a BTreeSet<u32>,
    /// Who came has this number or a higher one.
    first: u32,
}

impl Burst<'_> {
    /// Returns every pair that some records' tokens make, in order, and the tokens that crossed. Tokens
    /// come in order.
    fn look_up(&self, tokens: &[Vec<Token>]) -> (Vec<Pair>, Vec<Crossed>) {
        let kinds = MatchKeyKind::ALL.par_iter().zip(&self.records.postings).zip(tokens);
        let found = kinds.map(|((kind, postings), tokens)| self.of_kind(*kind, postings, tokens));
        let (pairs, crossed): (Vec<Vec<Pair>>, Vec<Vec<Crossed>>) = found.unzip();
        (Pair::join_late(pairs.concat(), self.records), crossed.into_iter().flatten().collect())
    }

    fn of_kind(
        &self,
        kind: MatchKeyKind,
        postings: &Postings,
        tokens: &[Token],
    ) -> (Vec<Pair>, Vec<Crossed>) {
        let (mut pairs, mut odd) = (Vec::new(), Vec::new());
        let (mut last, mut counted) = (None, Vec::new());
        postings.each_block(tokens, |Token { name, record, slot }, block| {
            if block.len() < 2 {
                return;
            }
            // Tokens come in order: a block that several share is made once.
            if last.replace(*name) != Some(*name) {
                counted.clear();
                counted.extend(block.iter().filter(|(other, _)| !self.records.is_gone(*other)));
                let over = self.admit(kind, block);
                if !over.is_empty() || is_crowd(block) {
                    odd.push(*name);
                }
                self.admit(kind, &mut counted);
                if is_crowd(&counted) {
                    counted.clear();
                }
            }
            if counted.iter().all(|(other, _)| other != record) {
                return;
            }
            let agency = self.records.agency(*record);
            let others = counted.iter().filter(|(other, _)| self.records.agency(*other) != agency);
            pairs.extend(others.map(|other| Pair::of((*record, *slot), *other, kind)));
        });
        // Only a token of somebody who came can become odd, and only one that was can cease to be.
        if !self.leave.is_empty() {
            odd.extend(postings.crowds());
            let left: BTreeSet<usize> =
                self.leave.iter().map(|left| self.records.agency(*left)).collect();
            odd.extend(left.into_iter().flat_map(|agency| postings.over(agency)));
        }
        odd.sort_unstable();
        odd.dedup();
        let crossed = odd.into_iter().filter_map(|name| self.crossed(kind, postings, name));
        (pairs, crossed.collect())
    }

    /// Takes out those of agencies that hold a token with more records than they may, and returns these.
    fn admit(&self, kind: MatchKeyKind, block: &mut Vec<Holder>) -> Vec<usize> {
        admit(block, kind.most_records(), |record| self.records.agency(record))
    }

    fn crossed(&self, kind: MatchKeyKind, postings: &Postings, name: u64) -> Option<Crossed> {
        let is_here = |record: u32| !self.records.is_gone(record);
        let was_here =
            |record: u32| record < self.first && (is_here(record) || self.leave.contains(&record));
        let counted = |is_there: &dyn Fn(u32) -> bool| {
            let holders = postings.holders(name).filter(|(record, _)| is_there(*record));
            let mut block: Vec<Holder> = holders.collect();
            let over = self.admit(kind, &mut block);
            let is_crowd = is_crowd(&block);
            let records = if is_crowd { Vec::new() } else { block };
            let records = decide::in_order(records.into_iter().map(|(record, _)| record));
            Counted { is_crowd, over, records }
        };
        let (now, before) = (counted(&is_here), counted(&was_here));
        let counts = |of: &Counted, record: &u32| of.records.binary_search(record).is_ok();
        let holders = postings.holders(name).map(|(record, _)| record);
        let holders = holders.filter(|record| is_here(*record) && was_here(*record));
        let holders = holders.filter(|record| counts(&now, record) != counts(&before, record));
        let holders: Vec<u32> = holders.collect();
        let is_new = now.is_crowd && !before.is_crowd || now.over != before.over;
        let Counted { is_crowd, over, .. } = now;
        let kind = kind.index();
        (is_new || !holders.is_empty()).then_some(Crossed { kind, name, is_crowd, over, holders })
    }

    /// Returns the tokens of some records, by kind, in order.
    fn tokens_of(&self, records: &[u32]) -> Vec<Vec<Token>> {
        let tokens = self.records.postings.iter().map(|postings| postings.of(records));
        let sorted = tokens.map(|mut tokens| {
            tokens.sort_unstable();
            tokens
        });
        sorted.collect()
    }
}
