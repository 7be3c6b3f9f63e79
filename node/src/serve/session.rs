//! One open sweep, as this node sees it: its keys, the order of its rows, and their flags.
//!
//! Everything in it follows from the store, the keyring and the sweep's id. So a node that is
//! restarted in the middle of a sweep goes on where it was.

use std::collections::HashMap;

use causeway_proto::{
    catalogue::{Purpose, SignalClass},
    day::Day,
    ids::{Handle, SweepId},
    limits::SEGMENT_ROWS,
    token::PersonFlags,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use sqlx::SqliteConnection;

use super::shelf::Shelf;
use crate::{
    policy::{Policy, Scope, child_band},
    store::{
        StoreError, events,
        segments::{self, ALIVE},
        sweeps::Sweep,
    },
    tokenise::chain::SweepKeys,
};

/// An open sweep.
pub(super) struct Session {
    /// As it was opened.
    pub(super) sweep: Sweep,
    /// Its keys.
    pub(super) keys: SweepKeys,
    /// Which linkage key it uses, and the commitment to it.
    pub(super) key_epoch: u64,
    /// See `key_epoch`.
    pub(super) key_commit: [u8; 32],
    /// Rows in the order of the stream, segment by segment.
    pub(super) order: Vec<SegmentRows>,
    /// By row: what the stream says of it.
    flags: Vec<PersonFlags>,
    /// What the second look is busy with.
    pub(super) shelf: Shelf,
}

/// Some rows of one segment, in the order of the stream.
pub(super) struct SegmentRows {
    /// Which segment.
    pub(super) segment: u64,
    /// Places in it.
    pub(super) places: Vec<u16>,
}

impl SegmentRows {
    /// Returns the row numbers.
    pub(super) fn rows(&self) -> impl Iterator<Item = u64> {
        self.places.iter().map(|place| self.segment * SEGMENT_ROWS as u64 + u64::from(*place))
    }
}

impl Session {
    /// Puts the session of an open sweep together.
    pub(super) async fn build(
        conn: &mut SqliteConnection,
        policy: &Policy,
        sweep: Sweep,
        keys: SweepKeys,
        key: (u64, [u8; 32]),
    ) -> Result<Self, StoreError> {
        let mut states = segments::states(conn).await?;
        states.truncate(usize::try_from(sweep.last_row).unwrap_or(usize::MAX));
        let flags = flags(conn, policy, &sweep, &states).await?;

        let in_sweep = |row: usize| {
            let spoken_of = flags[row].any(PersonFlags::HARM | PersonFlags::CONTEXT);
            states[row] & ALIVE != 0 && (policy.scope == Scope::Everybody || spoken_of)
        };
        let mut random = StdRng::from_seed(keys.own.order());
        let mut order: Vec<SegmentRows> = (0..states.len().div_ceil(SEGMENT_ROWS))
            .map(|segment| {
                let first = segment * SEGMENT_ROWS;
                let rows = first..states.len().min(first + SEGMENT_ROWS);
                let place = |row: usize| u16::try_from(row - first).expect("4096 rows a segment");
                let places = rows.filter(|row| in_sweep(*row)).map(place).collect();
                SegmentRows { segment: segment as u64, places }
            })
            .filter(|segment| !segment.places.is_empty())
            .collect();
        order.shuffle(&mut random);
        order.iter_mut().for_each(|segment| segment.places.shuffle(&mut random));
        let (key_epoch, key_commit) = key;
        Ok(Self { sweep, keys, key_epoch, key_commit, order, flags, shelf: Shelf::default() })
    }

    /// Returns how many rows the stream has.
    pub(super) fn rows(&self) -> u64 {
        self.order.iter().map(|segment| segment.places.len() as u64).sum()
    }

    /// Returns what the stream says of a row.
    pub(super) fn flags(&self, row: u64) -> PersonFlags {
        self.flags.get(usize::try_from(row).unwrap_or(usize::MAX)).copied().unwrap_or_default()
    }

    /// Returns the rows of handles, or the first handle that this node never made in this sweep.
    pub(super) fn resolve(&self, handles: &[Handle]) -> Result<Vec<u64>, Handle> {
        handles.iter().map(|handle| self.keys.own.record(*handle).ok_or(*handle)).collect()
    }

    /// Returns which sweep it is.
    pub(super) fn id(&self) -> SweepId {
        self.sweep.id
    }

    /// Returns the day it speaks of.
    pub(super) fn as_at(&self) -> Day {
        self.sweep.as_at
    }

    /// Returns what it is for, as far as the agency answers.
    pub(super) fn purposes(&self) -> &[Purpose] {
        &self.sweep.purposes
    }
}

/// What the stream says of each row: the identity's flags, and whether there is anything to tell.
async fn flags(
    conn: &mut SqliteConnection,
    policy: &Policy,
    sweep: &Sweep,
    states: &[u8],
) -> Result<Vec<PersonFlags>, StoreError> {
    let mut flags: Vec<PersonFlags> =
        states.iter().map(|state| PersonFlags(state & !ALIVE)).collect();
    for event in events::up_to(conn, sweep.as_at).await? {
        let row = usize::try_from(event.row).unwrap_or(usize::MAX);
        let Some(flags) = flags.get_mut(row) else { continue };
        if policy.release(&event, &sweep.purposes, sweep.as_at).is_some() {
            flags.0 |= match event.code.spec().class {
                SignalClass::Harm => PersonFlags::HARM,
                SignalClass::Context | SignalClass::Protective => PersonFlags::CONTEXT,
            };
        }
    }
    let mut bands = HashMap::new();
    for (flags, born) in flags.iter_mut().zip(segments::born(conn).await?) {
        let Some(band) = born.and_then(|born| child_band(born, sweep.as_at)) else { continue };
        let told = *bands.entry(band).or_insert_with(|| policy.releases(band, &sweep.purposes));
        flags.0 |= if told { PersonFlags::CONTEXT } else { 0 };
    }
    Ok(flags)
}
