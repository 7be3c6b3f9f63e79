//! One open sweep, as this node sees it: its keys, the order of its rows, and their flags.
//!
//! Everything in it follows from the store, the keyring and the sweep's id. So a node that is
//! restarted in the middle of a sweep goes on where it was, whatever came in meanwhile.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use causeway_proto::{
    catalogue::Purpose,
    day::Day,
    ids::{Handle, SweepId},
    kind::MatchKeyKind,
    limits::SEGMENT_ROWS,
    token::PersonFlags,
};
use rand::{SeedableRng, rngs::StdRng, seq::SliceRandom};
use sqlx::SqliteConnection;
use tokio::sync::{Mutex, OnceCell, watch};

use super::{
    agreement::Agreement,
    crowds::Crowds,
    live::{self, Live},
    shelf::Shelf,
    standing::Standing,
};
use crate::{
    store::{
        StoreError,
        sweeps::{self, Sweep},
        told::{self, Told},
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
    pub(super) streamed: Vec<Standing>,
    /// What the sweep says now, once somebody follows it.
    pub(super) live: Mutex<Option<Live>>,
    /// How often its people agree, once somebody asked.
    pub(super) agreement: OnceCell<Agreement>,
    /// Turns true when the sweep is closed, or another one is opened.
    pub(super) over: watch::Sender<bool>,
    /// By row: what the sweep said since, where that is something else.
    said: RwLock<HashMap<u64, Standing>>,
    crowds: std::sync::Mutex<HashMap<MatchKeyKind, Arc<Crowds>>>,
    /// What the second look and live changes come back to.
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
        sweep: Sweep,
        keys: SweepKeys,
        key: (u64, [u8; 32]),
    ) -> Result<Self, StoreError> {
        let streamed = sweeps::streamed(conn, sweep.id).await?;
        let told = told::since(conn, sweep.position).await?;
        let session = Self::of(sweep, keys, key, streamed.into_iter().map(Standing));
        session.say(&told);
        Ok(session)
    }

    /// Puts a session together from what its stream says of each row.
    pub(super) fn of(
        sweep: Sweep,
        keys: SweepKeys,
        (key_epoch, key_commit): (u64, [u8; 32]),
        streamed: impl Iterator<Item = Standing>,
    ) -> Self {
        let streamed: Vec<Standing> = streamed.collect();
        let mut random = StdRng::from_seed(keys.own.order());
        let mut order = live::in_sweep(&streamed);
        order.shuffle(&mut random);
        order.iter_mut().for_each(|segment| segment.places.shuffle(&mut random));
        let (live, over) = (Mutex::default(), watch::Sender::new(false));
        let (crowds, shelf) = (std::sync::Mutex::default(), Shelf::default());
        let (said, agreement) = (RwLock::default(), OnceCell::new());
        Self {
            sweep,
            keys,
            key_epoch,
            key_commit,
            order,
            streamed,
            live,
            agreement,
            over,
            said,
            crowds,
            shelf,
        }
    }

    /// Returns how many rows the stream has.
    pub(super) fn rows(&self) -> u64 {
        self.order.iter().map(|segment| segment.places.len() as u64).sum()
    }

    /// Returns what the stream says of a row.
    pub(super) fn flags(&self, row: u64) -> PersonFlags {
        self.streamed_of(row).flags()
    }

    fn streamed_of(&self, row: u64) -> Standing {
        let at = usize::try_from(row).unwrap_or(usize::MAX);
        self.streamed.get(at).copied().unwrap_or_default()
    }

    /// Returns what the sweep says of a row by now.
    pub(super) fn standing(&self, row: u64) -> Standing {
        let said = self.said.read().unwrap_or_else(PoisonError::into_inner);
        said.get(&row).copied().unwrap_or_else(|| self.streamed_of(row))
    }

    /// Returns whether anything is said of a row by now: it is in the sweep, and carries a flag.
    pub(super) fn is_spoken_of(&self, row: u64) -> bool {
        let standing = self.standing(row);
        standing.is_in() && standing.flags().any(PersonFlags::HARM | PersonFlags::CONTEXT)
    }

    /// Remembers what the sweep says from now on.
    pub(super) fn say(&self, told: &[Told]) {
        let mut said = self.said.write().unwrap_or_else(PoisonError::into_inner);
        said.extend(told.iter().map(|told| (told.row, Standing(told.after))));
    }

    /// Keeps which match-keys of a kind no token is made of.
    pub(super) fn set_crowds(&self, kind: MatchKeyKind, crowds: &Arc<Crowds>) {
        let mut all = self.crowds.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(kind, crowds.clone());
    }

    /// The same as counted for the token stream, unless whoever follows the sweep knows later ones.
    pub(super) fn keep_crowds(&self, kind: MatchKeyKind, crowds: &Arc<Crowds>) {
        let mut all = self.crowds.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(kind).or_insert_with(|| crowds.clone());
    }

    /// Returns which match-keys of a kind no token is made of; `None` if nobody has counted them.
    pub(super) fn crowds(&self, kind: MatchKeyKind) -> Option<Arc<Crowds>> {
        let all = self.crowds.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&kind).cloned()
    }

    /// Ends the streams of the sweep.
    pub(super) fn end(&self) {
        self.over.send_replace(true);
    }

    /// Returns whether the sweep is closed, or another one is open.
    pub(super) fn is_over(&self) -> bool {
        *self.over.borrow()
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
