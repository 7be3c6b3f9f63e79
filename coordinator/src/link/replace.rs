//! What a change does to the candidate pairs: records go, records come, and only the tokens that
//! they hold are looked up again.
//!
//! The pairs afterwards are those that a full pass over the same tokens finds. That a token names a
//! crowd ([`MOST_IN_BLOCK`]) may change with one record, and then concerns all who share it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use causeway_proto::{ids::Handle, kind::MatchKeyKind, token::PersonFlags};
use rayon::prelude::*;

use super::{Pair, Records, block::MOST_IN_BLOCK, decide::Decision};

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

/// Who holds a token: record and slot.
type Holders = Vec<(u32, u8)>;

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
    let moved: BTreeSet<u32> = leave.iter().chain(&came).copied().collect();
    let mut fresh: BTreeSet<u32> = came.iter().copied().collect();
    let mut blocks = Blocks::of(records, &moved);
    let crowds = blocks.crossed(records, leave, &fresh);
    if !crowds.is_empty() {
        fresh.extend(crowds);
        blocks = Blocks::of(records, &fresh.union(leave).copied().collect());
    }

    let dropped: BTreeSet<u32> = leave
        .iter()
        .chain(&fresh)
        .flat_map(|record| decision.around.of(*record))
        .copied()
        .collect();
    let gone: Vec<(u32, Pair)> = dropped.into_iter().map(|at| (at, pairs[at as usize])).collect();
    let new = blocks.pairs(records, &fresh);
    let mut touched: BTreeSet<u32> = moved;
    touched.extend(&fresh);
    touched.extend(gone.iter().map(|(_, pair)| pair).chain(&new).flat_map(|pair| [pair.a, pair.b]));
    Replaced { came, gone, new, touched }
}

/// The blocks of some records' tokens, by kind.
struct Blocks(Vec<Holding>);

/// Who holds some tokens of one kind.
struct Holding {
    /// In order.
    tokens: Vec<u64>,
    /// By their places.
    holders: Vec<Holders>,
}

impl Holding {
    /// Looks up everybody who holds a token of some records.
    fn of(records: &Records, kind: MatchKeyKind, whose: &BTreeSet<u32>) -> Self {
        let wanted = whose.iter().flat_map(|record| tokens(records, *record, kind));
        let mut wanted: Vec<u64> = wanted.copied().collect();
        wanted.sort_unstable();
        wanted.dedup();
        let holders = vec![Holders::new(); wanted.len()];
        let mut holding = Self { tokens: wanted, holders };
        for (token, record, slot) in scan(records, kind, &holding) {
            if let Ok(at) = holding.tokens.binary_search(&token) {
                holding.holders[at].push((record, slot));
            }
        }
        holding
    }

    fn get(&self, token: u64) -> Option<&Holders> {
        Some(&self.holders[self.tokens.binary_search(&token).ok()?])
    }
}

impl Blocks {
    /// Looks up everybody who holds a token of some records. Who is gone holds none.
    fn of(records: &Records, whose: &BTreeSet<u32>) -> Self {
        let kinds = MatchKeyKind::ALL.par_iter().map(|kind| Holding::of(records, *kind, whose));
        Self(kinds.collect())
    }

    /// Those who hold a token that named a crowd before and does not now, or the other way round.
    fn crossed(
        &self,
        records: &Records,
        left: &BTreeSet<u32>,
        came: &BTreeSet<u32>,
    ) -> BTreeSet<u32> {
        let mut crossed = BTreeSet::new();
        for (kind, blocks) in MatchKeyKind::ALL.iter().zip(&self.0) {
            let mut lost: HashMap<u64, usize> = HashMap::new();
            for record in left {
                for token in tokens(records, *record, *kind) {
                    *lost.entry(*token).or_default() += 1;
                }
            }
            for (token, holders) in blocks.tokens.iter().zip(&blocks.holders) {
                let stayed = holders.iter().filter(|(record, _)| !came.contains(record));
                let before = stayed.clone().count() + lost.get(token).copied().unwrap_or(0);
                if (before > MOST_IN_BLOCK) != (holders.len() > MOST_IN_BLOCK) {
                    crossed.extend(stayed.map(|(record, _)| record));
                }
            }
        }
        crossed
    }

    /// Every pair of some records, with the kinds they share.
    fn pairs(&self, records: &Records, whose: &BTreeSet<u32>) -> Vec<Pair> {
        let mut found: BTreeMap<(u32, u32), Pair> = BTreeMap::new();
        for (kind, blocks) in MatchKeyKind::ALL.iter().zip(&self.0) {
            let (bit, carrier) = (1u32 << kind.index(), kind.index());
            let carrier = u8::try_from(carrier).expect("few kinds");
            for record in whose {
                for (slot, token) in (0u8..).zip(tokens(records, *record, *kind)) {
                    let Some(block) = blocks.get(*token).filter(|b| b.len() <= MOST_IN_BLOCK)
                    else {
                        continue;
                    };
                    for (other, theirs) in block {
                        if records.agency(*record) == records.agency(*other) {
                            continue;
                        }
                        let (a, b) = ((*record).min(*other), (*record).max(*other));
                        let slots =
                            if a == *record { slot | theirs << 4 } else { theirs | slot << 4 };
                        let pair = Pair { a, b, kinds: bit, carrier, slots, numbers: 0 };
                        let known = found.entry((a, b)).or_insert(pair);
                        known.kinds |= bit;
                        if known.carrier == carrier {
                            known.slots = known.slots.min(slots);
                        }
                    }
                }
            }
        }
        let mut found: Vec<Pair> = found.into_values().collect();
        records.compare_all_numbers(&mut found);
        found
    }
}

/// A record's tokens of one kind.
fn tokens(records: &Records, record: u32, kind: MatchKeyKind) -> &[u64] {
    let (agency, row) = records.place(record);
    let from = row * kind.slots();
    &records.rolls[agency].columns[kind.index()][from..from + kind.slots()]
}

/// Finds every place where one of some tokens may stand, in the order of rows.
fn scan(records: &Records, kind: MatchKeyKind, wanted: &Holding) -> Vec<(u64, u32, u8)> {
    let filter = Filter::of(&wanted.tokens);
    let mut found = Vec::new();
    for (agency, roll) in records.rolls.iter().enumerate() {
        let column = roll.columns[kind.index()].iter().enumerate();
        for (at, token) in column.filter(|(_, token)| filter.may_hold(**token)) {
            let record = records.number(agency, at / kind.slots());
            let slot = u8::try_from(at % kind.slots()).expect("few slots");
            if !records.is_gone(record) {
                found.push((*token, record, slot));
            }
        }
    }
    found
}

/// A bitmap that most tokens fail: tokens are uniform, so two parts of one say enough.
struct Filter {
    words: Vec<u64>,
    mask: u64,
}

impl Filter {
    fn of(tokens: &[u64]) -> Self {
        let bits = (64 * tokens.len() as u64).next_power_of_two().max(1 << 12);
        let mut filter = Self { words: vec![0; bits as usize / 64], mask: bits - 1 };
        for bit in tokens.iter().flat_map(|token| filter.bits(*token)).collect::<Vec<u64>>() {
            filter.words[bit as usize / 64] |= 1 << (bit % 64);
        }
        filter
    }

    fn bits(&self, token: u64) -> [u64; 2] {
        [token & self.mask, (token >> 32) & self.mask]
    }

    fn may_hold(&self, token: u64) -> bool {
        self.bits(token).iter().all(|bit| self.words[*bit as usize / 64] & (1 << (bit % 64)) != 0)
    }
}
