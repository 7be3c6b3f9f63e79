//! What a change does to the candidate pairs: records go, records come, some have other tokens, and only what they
//! hold is looked up again.
//!
//! The pairs afterwards are those that a full pass over the same tokens finds. That a token names a
//! crowd, or that an agency holds it with more records than it may, may change with one record, and then
//! concerns all who share it, or all of that agency.

mod burst;

use std::collections::BTreeSet;

use causeway_proto::{ids::Handle, kind::MatchKeyKind, token::PersonFlags};
use foldhash::HashSet;
use rayon::prelude::*;

use self::burst::{Burst, Crossed};
use super::{
    Pair, Records,
    decide::{self, Decision},
    postings::{Before, Postings, Token},
};

/// Somebody who comes into the sweep while it is open, or has other tokens than before.
#[derive(Clone)]
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

/// What happened to some records.
#[derive(Clone, Default)]
pub struct Change {
    /// Those that go.
    pub leave: BTreeSet<u32>,
    /// Those that come.
    pub come: Vec<Arrival>,
    /// Those that stay and have other tokens, in order: the same person, of whom another match-key counts.
    pub renew: Vec<(u32, Arrival)>,
}

/// What changed in the candidate pairs.
#[derive(Debug, Default)]
pub struct Replaced {
    /// The numbers of those who came, in the order they were given.
    pub came: Vec<u32>,
    /// Those who have other tokens, in order.
    pub renewed: Vec<u32>,
    /// Pairs that are no more, or were of other tokens, with their places.
    pub gone: Vec<(u32, Pair)>,
    /// New pairs, in order.
    pub new: Vec<Pair>,
    /// Every record that lost or gained a pair, came, went or has other tokens.
    pub touched: Vec<u32>,
}

/// Takes records out and others in, gives some other tokens, and finds what that does to the pairs. The caller then
/// forgets the pairs that are gone and looks at the new ones.
pub fn replace(
    records: &mut Records,
    decision: &Decision,
    pairs: &[Pair],
    change: &Change,
) -> Replaced {
    let Change { leave, come, renew } = change;
    leave.iter().for_each(|record| records.remove(*record));
    renew.iter().for_each(|(record, new)| records.renew(*record, new.flags, &new.tokens));
    let came: Vec<u32> = come
        .iter()
        .map(|new| records.add(new.agency, new.handle, new.flags, &new.tokens))
        .collect();
    let kinds = MatchKeyKind::ALL.par_iter().zip(&mut records.postings);
    let posted = kinds.map(|(kind, postings)| {
        let mut tokens = named(came.iter().copied().zip(come), *kind, postings);
        postings.add(&tokens);
        let others = named(renew.iter().map(|(record, new)| (*record, new)), *kind, postings);
        let before = postings.turn(&others);
        tokens.extend(others);
        tokens.sort_unstable();
        (tokens, before)
    });
    let (tokens, before): (Vec<Vec<Token>>, Vec<Before>) = posted.unzip();
    let renewed: Vec<u32> = renew.iter().map(|(record, _)| *record).collect();
    let first = came.first().copied().unwrap_or(u32::MAX);
    let burst = Burst::new(records, (leave, &renewed), first, &before);
    let (mut new, crossed) = burst.look_up(&tokens);
    let mut fresh: Vec<u32> = renewed.iter().chain(&came).copied().collect();
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

    let all: Vec<u32> = leave.iter().chain(&fresh).copied().collect();
    let around = decision.around.of_all(&all);
    // Most pairs of whoever has one other token are what they were.
    let is_same = |pair: &Pair| {
        let found = new.binary_search_by_key(&pair.place(), Pair::place);
        found.is_ok_and(|at| new[at] == *pair)
    };
    let around = around.into_iter().map(|at| (at, pairs[at as usize]));
    let (same, gone): (Vec<_>, Vec<_>) = around.partition(|(_, pair)| is_same(pair));
    let same: HashSet<u64> = same.iter().map(|(_, pair)| pair.place()).collect();
    new.retain(|pair| !same.contains(&pair.place()));
    let changed = gone.iter().map(|(_, pair)| pair).chain(&new);
    let changed = changed.flat_map(|pair| [pair.a, pair.b]);
    let touched = decide::in_order(all.into_iter().chain(changed));
    Replaced { came, renewed, gone, new, touched }
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
    let burst = Burst::new(records, (&leave, &[]), u32::MAX, &[]);
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

/// The tokens that some records have now, of one kind, in order.
fn named<'a>(
    new: impl Iterator<Item = (u32, &'a Arrival)>,
    kind: MatchKeyKind,
    postings: &Postings,
) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (record, new) in new {
        let named = (0u8..).zip(&new.tokens[kind.index()]);
        let named = named.map(|(slot, token)| (postings.name(*token), slot));
        tokens.extend(named.map(|(name, slot)| Token { name, record, slot }));
    }
    tokens.sort_unstable();
    tokens
}
