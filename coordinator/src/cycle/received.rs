//! Keeps what a sweep receives, for measuring what it gives away. Off in daily work.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use causeway_certs::certificate::hex;
use causeway_proto::{
    dwelling::{Dwelling, Residence},
    kind::MatchKeyKind,
    linkage::comparison::WIDTH,
};

use super::second_look::Ask;

/// Everything that one sweep received, filled while it goes on.
#[derive(Default)]
pub struct Received(Mutex<Kept>);

/// What was received. Records have the sweep's numbers.
#[derive(Default)]
pub struct Kept {
    /// Columns of tokens as they were re-keyed, by kind and by the first record of their agency.
    columns: BTreeMap<(MatchKeyKind, u32), Vec<u64>>,
    /// Comparisons as they came, decoys among them.
    pub looks: Vec<(Ask, Vec<u8>)>,
    /// By record: the keys of its dwellings, hexadecimal.
    pub homes: BTreeMap<u32, Vec<String>>,
}

impl Received {
    /// Returns what was received so far.
    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps one agency's column of one kind.
    pub(super) fn tokens(&self, kind: MatchKeyKind, first: u32, tokens: &[u64]) {
        self.lock().columns.insert((kind, first), tokens.to_vec());
    }

    /// Keeps one comparison.
    pub(super) fn look(&self, ask: Ask, answer: &[u8; WIDTH]) {
        self.lock().looks.push((ask, answer.to_vec()));
    }

    /// Keeps who lives where.
    pub(super) fn homes(&self, homes: &BTreeMap<u32, Residence>) {
        let keys = |residence: &Residence| match residence {
            Residence::Known(dwellings) => dwellings.iter().flat_map(keys_of).collect(),
            Residence::Uncertain | Residence::Withheld => Vec::new(),
        };
        let homes = homes.iter().map(|(record, residence)| (*record, keys(residence)));
        self.lock().homes.extend(homes);
    }
}

impl Kept {
    /// Returns a record's tokens with their kinds and slots.
    pub fn tokens_of(&self, record: u32) -> impl Iterator<Item = (MatchKeyKind, usize, u64)> {
        MatchKeyKind::ALL.iter().flat_map(move |kind| {
            let slots = kind.slots();
            let column = self.columns.range((*kind, 0)..=(*kind, record)).next_back();
            let row = column.and_then(|((_, first), tokens)| {
                let from = (record - first) as usize * slots;
                tokens.get(from..from + slots)
            });
            let row = row.unwrap_or_default().iter().copied().enumerate();
            row.map(|(slot, token)| (*kind, slot, token))
        })
    }
}

fn keys_of(dwelling: &Dwelling) -> Vec<String> {
    let keys = [&dwelling.property, &dwelling.address];
    keys.into_iter().flatten().map(|key| hex(key.as_bytes())).collect()
}
