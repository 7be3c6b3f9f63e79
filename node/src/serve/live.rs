//! What an open sweep says now, and how that differs from what was told at a position.
//!
//! The truth is on disk: what the stream said, and every difference since, written before it is sent.
//! What is in memory only makes the next difference cheap. So a stream that goes on, one that is
//! resumed, and one after a restart are the same computation, and all end at what a fresh sweep over
//! the same records would say.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    sync::Arc,
};

use causeway_proto::{kind::MatchKeyKind, limits::SEGMENT_ROWS};
use sqlx::SqliteConnection;

use super::{
    crowds::Crowds,
    holders::{self, Holders},
    session::{SegmentRows, Session},
    standing::{self, Standing},
};
use crate::{
    policy::Policy,
    store::{
        Store, StoreError, changes, sweeps,
        told::{self, Told},
    },
};

/// What an open sweep says now.
pub(super) struct Live {
    /// The last change that is in it.
    position: u64,
    /// By row.
    standings: Vec<Standing>,
    /// By kind; made when they are first needed.
    holders: Vec<Holders>,
}

/// What somebody who followed the sweep up to a position has not been told.
#[derive(Default)]
pub(super) struct News {
    /// The position they will be at.
    pub(super) position: u64,
    /// What happened, row by row.
    pub(super) steps: VecDeque<Step>,
    /// By kind: match-keys that no token is made of.
    pub(super) crowds: Vec<Arc<Crowds>>,
}

/// What happened to somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// In the sweep with these tokens, in the place of whoever had the other row.
    Upsert { row: u64, replaces: Option<u64>, standing: Standing },
    /// No longer in the sweep.
    Retraction { row: u64 },
    /// Other answers.
    Facts { row: u64, standing: Standing },
}

impl Step {
    /// Returns the row of somebody who is in the sweep with other tokens than before.
    pub(super) fn upserted(&self) -> Option<u64> {
        match self {
            Self::Upsert { row, .. } => Some(*row),
            Self::Retraction { .. } | Self::Facts { .. } => None,
        }
    }
}

impl Session {
    /// Brings what the sweep says up to date, and returns what is new after a position. `None` when
    /// the sweep is no longer open.
    pub(super) async fn news(
        &self,
        store: &Store,
        policy: &Policy,
        after: u64,
    ) -> Result<Option<News>, StoreError> {
        let mut slot = self.live.lock().await;
        let mut conn = store.snapshot().await?;
        // Taken out: what is given up half-way is put together again from the disk.
        let mut live = Live::indexed(slot.take(), &mut conn, self).await?;
        let told = live.advance(&mut conn, self, policy).await?;
        drop(conn);
        if !told.is_empty() {
            let mut tx = store.begin().await?;
            let open = sweeps::current(&mut tx).await?;
            if open.is_none_or(|open| open.id != self.id()) {
                return Ok(None);
            }
            told::put(&mut tx, live.position, &told).await?;
            tx.commit().await?;
            self.say(&told);
        }
        let mut conn = store.snapshot().await?;
        let news = live.since(&mut conn, after).await?;
        *slot = Some(live);
        Ok(Some(news))
    }
}

impl Session {
    /// Counts which match-keys no token is made of, as the sweep said last, unless it is known: a
    /// process that was started again in the middle of a sweep is asked before it is followed.
    pub(super) async fn count_crowds(&self, store: &Store) -> Result<(), StoreError> {
        let mut slot = self.live.lock().await;
        let mut conn = store.snapshot().await?;
        *slot = Some(Live::indexed(slot.take(), &mut conn, self).await?);
        Ok(())
    }
}

impl Live {
    /// Returns what is kept, or what the disk says, with the holders of its match-keys.
    async fn indexed(
        kept: Option<Self>,
        conn: &mut SqliteConnection,
        session: &Session,
    ) -> Result<Self, StoreError> {
        let mut live = match kept {
            Some(live) => live,
            None => Self::load(conn, session).await?,
        };
        if live.holders.is_empty() {
            live.holders = Holders::of_all(conn, &session.shelf, &live.standings).await?;
            for (kind, holders) in MatchKeyKind::ALL.iter().zip(&live.holders) {
                session.set_crowds(*kind, holders.crowds());
            }
        }
        Ok(live)
    }

    /// Reads what the sweep said last.
    async fn load(conn: &mut SqliteConnection, session: &Session) -> Result<Self, StoreError> {
        let mut standings = session.streamed.clone();
        for told in told::since(conn, session.sweep.position).await? {
            *place(&mut standings, told.row) = Standing(told.after);
        }
        let position = told::position(conn).await?.max(session.sweep.position);
        Ok(Self { position, standings, holders: Vec::new() })
    }

    /// Takes in what happened in the store, and returns what the sweep says differently.
    async fn advance(
        &mut self,
        conn: &mut SqliteConnection,
        session: &Session,
        policy: &Policy,
    ) -> Result<Vec<Told>, StoreError> {
        let position = changes::position(conn).await?;
        let touched = changes::rows_after(conn, self.position).await?;
        let now = standing::some(conn, policy, &session.sweep, &touched).await?;
        let mut told: BTreeMap<u64, Told> = BTreeMap::new();
        let (mut entered, mut left) = (Vec::new(), Vec::new());
        for row in touched {
            let after = now.get(&row).copied().unwrap_or(Standing::OUT);
            let before = std::mem::replace(place(&mut self.standings, row), after);
            if !before.is_in() && !after.is_in() {
                continue;
            }
            // Who comes back after having left may find other keys crowded than before.
            let tokens = !before.is_in();
            told.insert(row, Told { row, before: before.0, after: after.0, tokens });
            match (before.is_in(), after.is_in()) {
                (false, true) => entered.push(row),
                (true, false) => left.push(row),
                _ => (),
            }
        }
        self.position = position;
        let (entered, left) = (segments_of(&entered), segments_of(&left));
        for row in self.recrowded(conn, session, &entered, &left).await? {
            let row = u64::from(row);
            let standing = *place(&mut self.standings, row);
            let (before, after) = (standing.0, standing.0);
            told.entry(row).or_insert(Told { row, before, after, tokens: false }).tokens = true;
        }
        Ok(told.into_values().collect())
    }

    /// Records that hold a match-key which too many hold now and did not before, or the other way
    /// round, since some records entered and some left.
    async fn recrowded(
        &mut self,
        conn: &mut SqliteConnection,
        session: &Session,
        entered: &[SegmentRows],
        left: &[SegmentRows],
    ) -> Result<BTreeSet<u32>, StoreError> {
        let mut concerned = BTreeSet::new();
        if entered.is_empty() && left.is_empty() {
            return Ok(concerned);
        }
        let shelf = &session.shelf;
        for (kind, holders) in MatchKeyKind::ALL.iter().zip(&mut self.holders) {
            let came = holders::held((&mut *conn, shelf), *kind, entered).await?;
            let left = holders::held((&mut *conn, shelf), *kind, left).await?;
            let crossed =
                holders.change((&mut *conn, shelf), &self.standings, &came, &left).await?;
            if !crossed.is_empty() {
                session.set_crowds(*kind, holders.crowds());
                concerned.extend(crossed);
            }
        }
        Ok(concerned)
    }

    /// What is new after a position.
    async fn since(&self, conn: &mut SqliteConnection, after: u64) -> Result<News, StoreError> {
        let (mut steps, mut entered, mut left) = (VecDeque::new(), Vec::new(), HashSet::new());
        // Whoever came and is gone again was told of all the same where a stream broke in between.
        let mut passed = Vec::new();
        for Told { row, before, after, tokens } in told::since(conn, after).await? {
            let standing = Standing(after);
            match (Standing(before).is_in(), standing.is_in()) {
                (false, false) => passed.push(row),
                (false, true) => entered.push((row, standing)),
                (true, false) => _ = left.insert(row),
                (true, true) if tokens => {
                    steps.push_back(Step::Upsert { row, replaces: Some(row), standing });
                }
                (true, true) => steps.push_back(Step::Facts { row, standing }),
            }
        }
        // Whoever has another row now is replaced, whatever rows there were in between.
        let replaced = changes::replaced_after(conn, after).await?;
        for (row, standing) in entered {
            let mut chain = std::iter::successors(replaced.get(&row), |row| replaced.get(row));
            let replaces = chain.find(|row| left.contains(*row)).copied();
            replaces.inspect(|row| _ = left.remove(row));
            steps.push_back(Step::Upsert { row, replaces, standing });
        }
        let mut gone: Vec<u64> = left.into_iter().chain(passed).collect();
        gone.sort_unstable();
        steps.extend(gone.into_iter().map(|row| Step::Retraction { row }));
        let crowds = self.holders.iter().map(|holders| holders.crowds().clone());
        Ok(News { position: self.position.max(after), steps, crowds: crowds.collect() })
    }
}

/// The place of a row in a list that grows with the store.
fn place(standings: &mut Vec<Standing>, row: u64) -> &mut Standing {
    let at = usize::try_from(row).expect("rows fit the memory that lists them");
    if standings.len() <= at {
        standings.resize(at + 1, Standing::OUT);
    }
    &mut standings[at]
}

/// The rows of a sweep, segment by segment.
pub(super) fn in_sweep(standings: &[Standing]) -> Vec<SegmentRows> {
    let segments = standings.chunks(SEGMENT_ROWS).zip(0..).map(|(standings, segment)| {
        let places = standings.iter().zip(0..).filter(|(standing, _)| standing.is_in());
        SegmentRows { segment, places: places.map(|(_, place)| place).collect() }
    });
    segments.filter(|segment| !segment.places.is_empty()).collect()
}

/// Some rows, segment by segment.
pub(super) fn segments_of(rows: &[u64]) -> Vec<SegmentRows> {
    let mut segments: BTreeMap<u64, Vec<u16>> = BTreeMap::new();
    for row in rows {
        let place = u16::try_from(row % SEGMENT_ROWS as u64).expect("4096 rows a segment");
        segments.entry(row / SEGMENT_ROWS as u64).or_default().push(place);
    }
    let rows = segments.into_iter().map(|(segment, places)| SegmentRows { segment, places });
    rows.collect()
}
