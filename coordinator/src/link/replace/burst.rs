//! Looks the tokens of a burst up: which pairs they make, and which of them count for others than before.

use std::collections::BTreeSet;

use causeway_proto::kind::MatchKeyKind;
use rayon::prelude::*;

use super::super::{
    Pair, Records, decide,
    holders::{Holder, admit, is_crowd},
    postings::{Before, Postings, Token},
};

/// A token that may count for others than before.
pub(super) struct Crossed {
    /// The place of its kind.
    pub(super) kind: usize,
    /// What it is known by.
    pub(super) name: u64,
    /// Whether it names a crowd now.
    pub(super) is_crowd: bool,
    /// Agencies that hold it with more records than they may now.
    pub(super) over: Vec<usize>,
    /// Those who hold it, were there before and stay, and for whom it counts now and did not, or the other
    /// way round.
    pub(super) holders: Vec<u32>,
}

/// For whom a token counts.
struct Counted {
    is_crowd: bool,
    over: Vec<usize>,
    /// In order.
    records: Vec<u32>,
}

/// What one burst does to the blocks.
pub(super) struct Burst<'a> {
    records: &'a Records,
    leave: &'a BTreeSet<u32>,
    /// Those who have other tokens, in order.
    renewed: &'a [u32],
    /// Who came has this number or a higher one.
    first: u32,
    /// By kind: what was in a slot that has another token now; empty where nobody has.
    before: &'a [Before],
    /// A bit for each record: whether it goes or has other tokens.
    moves: Vec<u64>,
}

impl<'a> Burst<'a> {
    /// Begins with who is leaving, and who has other tokens than `before`; both are so already.
    pub(super) fn new(
        records: &'a Records,
        (leave, renewed): (&'a BTreeSet<u32>, &'a [u32]),
        first: u32,
        before: &'a [Before],
    ) -> Self {
        let mut moves = vec![0; records.len().div_ceil(64)];
        for record in leave.iter().chain(renewed) {
            moves[*record as usize / 64] |= 1 << (record % 64);
        }
        Self { records, leave, renewed, first, before, moves }
    }

    fn moves(&self, record: u32) -> bool {
        self.moves[record as usize / 64] >> (record % 64) & 1 != 0
    }

    /// Returns every pair that some records' tokens make, in order, and the tokens that crossed. Tokens
    /// come in order.
    pub(super) fn look_up(&self, tokens: &[Vec<Token>]) -> (Vec<Pair>, Vec<Crossed>) {
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
        let mut counted = Vec::new();
        postings.each_block(tokens, |same, block| {
            if block.len() < 2 {
                return;
            }
            let name = same[0].name;
            counted.clear();
            counted.extend(block.iter().filter(|holder| self.is_here(postings, name, **holder)));
            let over = self.admit(kind, block);
            if !over.is_empty() || is_crowd(block) {
                odd.push(name);
            }
            self.admit(kind, &mut counted);
            if is_crowd(&counted) {
                return;
            }
            for Token { record, slot, .. } in same {
                if counted.iter().all(|(other, _)| other != record) {
                    continue;
                }
                let agency = self.records.agency(*record);
                let others =
                    counted.iter().filter(|(other, _)| self.records.agency(*other) != agency);
                pairs.extend(others.map(|other| Pair::of((*record, *slot), *other, kind)));
            }
        });
        // Only a token that somebody has now can become odd, and only one that somebody had can cease to be.
        if !self.leave.is_empty() || !self.renewed.is_empty() {
            let was_odd = postings.crowds().chain(postings.over());
            let concerns =
                |name: &u64| postings.holders(*name).any(|(record, _)| self.moves(record));
            odd.extend(was_odd.filter(concerns));
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

    /// Returns whether a record that holds a token, or did, is there and holds it.
    fn is_here(&self, postings: &Postings, name: u64, holder: Holder) -> bool {
        !self.records.is_gone(holder.0) && postings.counts(name, holder)
    }

    /// Returns whether that was so before.
    fn was_here(&self, kind: MatchKeyKind, postings: &Postings, name: u64, holder: Holder) -> bool {
        let counts = || postings.counts(name, holder);
        let held = || match self.before.get(kind.index()).and_then(|before| before.get(&holder)) {
            None => counts(),
            Some(Some(before)) => *before == name,
            Some(None) => !counts(),
        };
        self.was_there(holder.0) && held()
    }

    fn was_there(&self, record: u32) -> bool {
        record < self.first && (!self.records.is_gone(record) || self.leave.contains(&record))
    }

    fn crossed(&self, kind: MatchKeyKind, postings: &Postings, name: u64) -> Option<Crossed> {
        let counted = |is_there: &dyn Fn(Holder) -> bool| {
            let holders = postings.holders(name).filter(|holder| is_there(*holder));
            let mut block: Vec<Holder> = holders.collect();
            let over = self.admit(kind, &mut block);
            let is_crowd = is_crowd(&block);
            let records = if is_crowd { Vec::new() } else { block };
            let records = decide::in_order(records.into_iter().map(|(record, _)| record));
            Counted { is_crowd, over, records }
        };
        let now = counted(&|holder| self.is_here(postings, name, holder));
        let before = counted(&|holder| self.was_here(kind, postings, name, holder));
        let counts = |of: &Counted, record: &u32| of.records.binary_search(record).is_ok();
        let holders = postings.holders(name).map(|(record, _)| record);
        // Whoever has other tokens is looked up anyway.
        let stays = |record: &u32| {
            self.was_there(*record) && !self.records.is_gone(*record) && !self.moves(*record)
        };
        let holders = holders.filter(stays);
        let holders = holders.filter(|record| counts(&now, record) != counts(&before, record));
        let holders: Vec<u32> = holders.collect();
        let is_new = now.is_crowd && !before.is_crowd || now.over != before.over;
        let Counted { is_crowd, over, .. } = now;
        let kind = kind.index();
        (is_new || !holders.is_empty()).then_some(Crossed { kind, name, is_crowd, over, holders })
    }

    /// Returns the tokens of some records, by kind, in order.
    pub(super) fn tokens_of(&self, records: &[u32]) -> Vec<Vec<Token>> {
        let tokens = self.records.postings.iter().map(|postings| postings.of(records));
        let sorted = tokens.map(|mut tokens| {
            tokens.sort_unstable();
            tokens
        });
        sorted.collect()
    }
}
