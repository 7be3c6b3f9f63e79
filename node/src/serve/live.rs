//! What an open sweep says now, and how that differs from what was told at a position.
//!
//! The truth is on disk: what the stream said, and every difference since, written before it is sent.
//! What is in memory only makes the next difference cheap. So a stream that goes on, one that is
//! resumed, and one after a restart are the same computation, and all end at what a fresh sweep over
//! the same records would say.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use causeway_proto::{kind::MatchKeyKind, limits::SEGMENT_ROWS};
use sqlx::SqliteConnection;

use super::{
    crowds::{self, Counts, Key},
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
    counts: Vec<Option<Counts>>,
}

/// What somebody who followed the sweep up to a position has not been told.
#[derive(Default)]
pub(super) struct News {
    /// The position they will be at.
    pub(super) position: u64,
    /// What happened, row by row.
    pub(super) steps: VecDeque<Step>,
    /// By kind: match-keys that no token is made of.
    pub(super) crowds: Vec<HashSet<Key>>,
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
        let mut live = Live::counted(slot.take(), &mut conn, self).await?;
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
        *slot = Some(Live::counted(slot.take(), &mut conn, self).await?);
        Ok(())
    }
}

impl Live {
    /// Returns what is kept, or what the disk says, with its match-keys counted.
    async fn counted(
        kept: Option<Self>,
        conn: &mut SqliteConnection,
        session: &Session,
    ) -> Result<Self, StoreError> {
        let mut live = match kept {
            Some(live) => live,
            None => Self::load(conn, session).await?,
        };
        live.warm(conn, session).await?;
        Ok(live)
    }

    /// Reads what the sweep said last.
    async fn load(conn: &mut SqliteConnection, session: &Session) -> Result<Self, StoreError> {
        let mut standings = session.streamed.clone();
        for told in told::since(conn, session.sweep.position).await? {
            *place(&mut standings, told.row) = Standing(told.after);
        }
        let counts = MatchKeyKind::ALL.iter().map(|_| None).collect();
        let position = told::position(conn).await?.max(session.sweep.position);
        Ok(Self { position, standings, counts })
    }

    /// Counts match-keys, unless they are counted.
    async fn warm(
        &mut self,
        conn: &mut SqliteConnection,
        session: &Session,
    ) -> Result<(), StoreError> {
        let mut records = None;
        for kind in MatchKeyKind::ALL {
            let counts = &mut self.counts[kind.index()];
            if counts.is_some() {
                continue;
            }
            // The token stream may have counted just these records.
            let as_streamed = self.position == session.sweep.position;
            let streamed = session.counted(*kind).filter(|_| as_streamed);
            let counted = match streamed {
                Some(counts) => counts,
                None => {
                    let records = records.get_or_insert_with(|| in_sweep(&self.standings));
                    Counts::count(conn, *kind, records).await?.0
                }
            };
            session.set_crowds(*kind, counted.crowds());
            *counts = Some(counted);
        }
        Ok(())
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
            told.insert(row, Told { row, before: before.0, after: after.0, tokens: false });
            match (before.is_in(), after.is_in()) {
                (false, true) => entered.push(row),
                (true, false) => left.push(row),
                _ => (),
            }
        }
        self.position = position;
        let (entered, left) = (segments_of(&entered), segments_of(&left));
        for row in self.recrowded(conn, session, &entered, &left).await? {
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
    ) -> Result<Vec<u64>, StoreError> {
        let mut concerned = Vec::new();
        if entered.is_empty() && left.is_empty() {
            return Ok(concerned);
        }
        let records = in_sweep(&self.standings);
        for kind in MatchKeyKind::ALL {
            let mut by = HashMap::new();
            crowds::weigh(conn, *kind, entered, 1, &mut by).await?;
            crowds::weigh(conn, *kind, left, -1, &mut by).await?;
            let Some(counts) = &mut self.counts[kind.index()] else { continue };
            let crossed = counts.change(conn, &records, &by).await?;
            if !crossed.is_empty() {
                session.set_crowds(*kind, counts.crowds());
                concerned.extend(crowds::holders(conn, *kind, &records, &crossed).await?);
            }
        }
        Ok(concerned)
    }

    /// What is new after a position.
    async fn since(&self, conn: &mut SqliteConnection, after: u64) -> Result<News, StoreError> {
        let (mut steps, mut entered, mut left) = (VecDeque::new(), Vec::new(), HashSet::new());
        for Told { row, before, after, tokens } in told::since(conn, after).await? {
            let standing = Standing(after);
            match (Standing(before).is_in(), standing.is_in()) {
                (false, false) => (),
                (false, true) => entered.push((row, standing)),
                (true, false) => _ = left.insert(row),
                (true, true) if tokens => {
                    steps.push_back(Step::Upsert { row, replaces: Some(row), standing });
                }
                (true, true) => steps.push_back(Step::Facts { row, standing }),
            }
        }
        // Whoever has another row now is replaced; rows in between were never told.
        let replaced = changes::replaced_after(conn, after).await?;
        for (row, standing) in entered {
            let mut chain = std::iter::successors(replaced.get(&row), |row| replaced.get(row));
            let replaces = chain.find(|row| left.contains(*row)).copied();
            replaces.inspect(|row| _ = left.remove(row));
            steps.push_back(Step::Upsert { row, replaces, standing });
        }
        let mut gone: Vec<u64> = left.into_iter().collect();
        gone.sort_unstable();
        steps.extend(gone.into_iter().map(|row| Step::Retraction { row }));
        let crowds = self
            .counts
            .iter()
            .map(|counts| counts.as_ref().map(Counts::crowds).unwrap_or_default());
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
