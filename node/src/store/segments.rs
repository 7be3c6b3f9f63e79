//! The `segment` table: match-keys by column, so that a kind streams without per-record work.
//!
//! A *row* is one version of one person's match-keys; its number is never used again. Rows stand in
//! segments of 4,096. A segment has a blob for each column: the state bytes, the days of birth, the
//! sketches, and each kind's slots, 16 bytes a slot, all zero where there is no key. Only the last segment grows, and
//! only state bytes of older rows ever change: a person whose keys change gets a new row, and the
//! old one is retired. So a stream that is resumed finds what it left. While no sweep is open, a segment of
//! which little is left is given up: only its state bytes and days of birth stay.

mod sparse;

use std::collections::{BTreeMap, HashMap};

use causeway_proto::{day::Day, kind::MatchKeyKind, limits::SEGMENT_ROWS, token::PersonFlags};
use futures::TryStreamExt;
use sqlx::{Row, SqliteConnection};

pub use self::sparse::give_up;
use super::{StoreError, unsigned};
use crate::{progress::Progress, tokenise::recipe::Y};

/// State byte: the flags of [`PersonFlags`] that come from the identity; this bit while the row is
/// its person's.
pub const ALIVE: u8 = 1 << 7;

const STATE: i64 = 0;
const SKETCHES: i64 = 1;
const BORN: i64 = 2;
/// What stands for a day of birth that is not known.
const NOT_BORN: i32 = i32::MIN;
/// Bytes of one stored match-key.
pub const KEY_BYTES: usize = 16;

/// Rows on their way into the table, column by column.
#[derive(Debug)]
pub struct Rows {
    states: Vec<u8>,
    born: Vec<u8>,
    sketches: Vec<Vec<u8>>,
    kinds: Vec<Vec<u8>>,
}

impl Default for Rows {
    fn default() -> Self {
        let kinds = vec![Vec::new(); MatchKeyKind::COUNT];
        Self { states: Vec::new(), born: Vec::new(), sketches: Vec::new(), kinds }
    }
}

impl Rows {
    /// Returns how many rows there are.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// Adds one person's row. `born` decides about age bands and may be approximate.
    pub fn push(
        &mut self,
        flags: PersonFlags,
        born: Option<Day>,
        sketch: Vec<u8>,
        keys: &[(MatchKeyKind, usize, Y)],
    ) {
        let at = self.len();
        self.states.push(flags.0 | ALIVE);
        self.born.extend_from_slice(&born.map_or(NOT_BORN, Day::number).to_le_bytes());
        self.sketches.push(sketch);
        for (kind, column) in MatchKeyKind::ALL.iter().zip(&mut self.kinds) {
            column.resize((at + 1) * kind.slots() * KEY_BYTES, 0);
        }
        for (kind, slot, y) in keys {
            let from = (at * kind.slots() + slot) * KEY_BYTES;
            self.kinds[kind.index()][from..from + KEY_BYTES].copy_from_slice(y);
        }
    }
}

/// Returns the number that the next row will have.
pub async fn next_row(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let last: Option<(i64, i64)> = sqlx::query_as(
        "select number, row_count from segment where column_kind = 0 order by number desc limit 1",
    )
    .fetch_optional(conn)
    .await?;
    let Some((number, rows)) = last else { return Ok(0) };
    Ok(unsigned("segment", number)? * SEGMENT_ROWS as u64 + unsigned("segment", rows)?)
}

/// Appends rows and returns the number of the first.
pub async fn append(conn: &mut SqliteConnection, mut rows: Rows) -> Result<u64, StoreError> {
    let first = next_row(conn).await?;
    let mut number = first / SEGMENT_ROWS as u64;
    let mut filled = (first % SEGMENT_ROWS as u64) as usize;
    let progress = Progress::begin("persons' match-keys written", rows.len());
    while !rows.is_empty() {
        let take = rows.len().min(SEGMENT_ROWS - filled);
        let rest = rows.states.split_off(take);
        extend(conn, number, STATE, take, &rows.states).await?;
        rows.states = rest;

        let rest = rows.born.split_off(4 * take);
        extend(conn, number, BORN, take, &rows.born).await?;
        rows.born = rest;

        let rest = rows.sketches.split_off(take);
        let packed = pack_sketches(&rows.sketches);
        extend(conn, number, SKETCHES, take, &packed).await?;
        rows.sketches = rest;

        for kind in MatchKeyKind::ALL {
            let column = &mut rows.kinds[kind.index()];
            let rest = column.split_off(take * kind.slots() * KEY_BYTES);
            extend(conn, number, i64::from(kind.number()) + KINDS, take, column).await?;
            *column = rest;
        }
        progress.add(take);
        number += 1;
        filled = 0;
    }
    Ok(first)
}

/// Column numbers of kinds begin above those of state and sketches.
const KINDS: i64 = 256;

async fn extend(
    conn: &mut SqliteConnection,
    number: u64,
    column: i64,
    rows: usize,
    bytes: &[u8],
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into segment (number, column_kind, row_count, body) values (?1, ?2, ?3, ?4)
         on conflict (number, column_kind) do update
         set row_count = row_count + ?3, body = cast(body || ?4 as blob)",
    )
    .bind(number.cast_signed())
    .bind(column)
    .bind(rows as i64)
    .bind(bytes)
    .execute(conn)
    .await?;
    Ok(())
}

/// Empties the match-keys of every row there is, in the columns that this version has: another version may
/// have had other kinds, or other slots of a kind.
pub async fn blank(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("delete from segment where column_kind >= ?")
        .bind(KINDS)
        .execute(&mut *conn)
        .await?;
    for kind in MatchKeyKind::ALL {
        sqlx::query(
            "insert into segment (number, column_kind, row_count, body)
             select number, ?1, row_count, zeroblob(row_count * ?2) from segment where column_kind = ?3",
        )
        .bind(i64::from(kind.number()) + KINDS)
        .bind((kind.slots() * KEY_BYTES) as i64)
        // Segments that were given up stay without.
        .bind(SKETCHES)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Each sketch behind its length, two bytes.
fn pack_sketches(sketches: &[Vec<u8>]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(sketches.iter().map(|sketch| sketch.len() + 2).sum());
    for sketch in sketches {
        let length = u16::try_from(sketch.len()).expect("a sketch is a few hundred bytes");
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(sketch);
    }
    packed
}

/// Cuts a packed column of sketches up.
pub fn sketches(packed: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = packed;
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (sketch, tail) = tail.split_at_checked(u16::from_le_bytes(*length).into())?;
        rest = tail;
        Some(sketch)
    })
}

/// Returns the segments that some rows are in, and their places there.
pub fn by_segment(rows: &[u64]) -> BTreeMap<u64, Vec<usize>> {
    let mut by_segment: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for row in rows {
        let (number, at) = (row / SEGMENT_ROWS as u64, (row % SEGMENT_ROWS as u64) as usize);
        by_segment.entry(number).or_default().push(at);
    }
    by_segment
}

/// Marks rows as no longer their person's.
pub async fn retire(conn: &mut SqliteConnection, rows: &[u64]) -> Result<(), StoreError> {
    for (number, places) in by_segment(rows) {
        let mut states = column(conn, number, STATE).await?;
        for at in places {
            *states.get_mut(at).ok_or(StoreError::Corrupt("row"))? &= !ALIVE;
        }
        sqlx::query("update segment set body = ? where number = ? and column_kind = 0")
            .bind(states)
            .bind(number.cast_signed())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns the state bytes of every row, in order.
pub async fn states(conn: &mut SqliteConnection) -> Result<Vec<u8>, StoreError> {
    let segments: Vec<(Vec<u8>,)> =
        sqlx::query_as("select body from segment where column_kind = 0 order by number")
            .fetch_all(conn)
            .await?;
    Ok(segments.into_iter().flat_map(|(body,)| body).collect())
}

/// Returns the day of birth of every row, in order, where it is known.
pub async fn born(conn: &mut SqliteConnection) -> Result<Vec<Option<Day>>, StoreError> {
    let segments: Vec<(Vec<u8>,)> =
        sqlx::query_as("select body from segment where column_kind = 2 order by number")
            .fetch_all(conn)
            .await?;
    let mut days = Vec::new();
    for (body,) in segments {
        days.extend(body.as_chunks::<4>().0.iter().map(|bytes| birth(*bytes)));
    }
    Ok(days)
}

/// Returns the state bytes of some rows; rows that were never written are left out.
pub async fn states_of(
    conn: &mut SqliteConnection,
    rows: &[u64],
) -> Result<HashMap<u64, u8>, StoreError> {
    let states = picked::<1>(conn, rows, STATE).await?;
    Ok(states.into_iter().map(|(row, [state])| (row, state)).collect())
}

/// Returns the day of birth of those of some rows where it is known.
pub async fn born_of(
    conn: &mut SqliteConnection,
    rows: &[u64],
) -> Result<HashMap<u64, Day>, StoreError> {
    let born = picked::<4>(conn, rows, BORN).await?;
    Ok(born.into_iter().filter_map(|(row, bytes)| Some((row, birth(bytes)?))).collect())
}

fn birth(bytes: [u8; 4]) -> Option<Day> {
    let number = i32::from_le_bytes(bytes);
    Day::from_wire("day", number).ok().filter(|_| number != NOT_BORN)
}

/// Reads some rows of a column of fixed width.
async fn picked<const N: usize>(
    conn: &mut SqliteConnection,
    rows: &[u64],
    of: i64,
) -> Result<Vec<(u64, [u8; N])>, StoreError> {
    let by_segment = by_segment(rows);
    let numbers: Vec<&u64> = by_segment.keys().collect();
    let numbers = serde_json::to_string(&numbers).expect("numbers are JSON");
    let bodies: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "select number, body from segment \
         where column_kind = ? and number in (select value from json_each(?))",
    )
    .bind(of)
    .bind(numbers)
    .fetch_all(conn)
    .await?;
    let mut picked = Vec::with_capacity(rows.len());
    for (number, body) in bodies {
        let (number, (cells, _)) = (unsigned("segment", number)?, body.as_chunks::<N>());
        picked.extend(
            by_segment[&number].iter().filter_map(|at| {
                Some((number * SEGMENT_ROWS as u64 + *at as u64, *cells.get(*at)?))
            }),
        );
    }
    Ok(picked)
}

/// Hands over the slots of some kinds: the segment's number, the kind, and its packed keys.
pub async fn each_column(
    conn: &mut SqliteConnection,
    kinds: &[MatchKeyKind],
    mut found: impl FnMut(u64, MatchKeyKind, &[u8]),
) -> Result<(), StoreError> {
    let numbers: Vec<i64> = kinds.iter().map(|kind| i64::from(kind.number()) + KINDS).collect();
    let wanted = serde_json::to_string(&numbers).expect("numbers are JSON");
    let mut columns = sqlx::query(
        "select number, column_kind, body from segment \
         where column_kind in (select value from json_each(?))",
    )
    .bind(wanted)
    .fetch(conn);
    while let Some(column) = columns.try_next().await? {
        let (number, of): (i64, i64) = (column.try_get(0)?, column.try_get(1)?);
        let at = numbers.iter().position(|number| *number == of);
        let kind = kinds[at.ok_or(StoreError::Corrupt("segment"))?];
        found(unsigned("segment", number)?, kind, column.try_get(2)?);
    }
    Ok(())
}

/// Returns one kind's slots of one segment.
pub async fn keys(
    conn: &mut SqliteConnection,
    number: u64,
    kind: MatchKeyKind,
) -> Result<Vec<u8>, StoreError> {
    column(conn, number, i64::from(kind.number()) + KINDS).await
}

/// Returns the packed sketches of one segment.
pub async fn packed_sketches(
    conn: &mut SqliteConnection,
    number: u64,
) -> Result<Vec<u8>, StoreError> {
    column(conn, number, SKETCHES).await
}

async fn column(
    conn: &mut SqliteConnection,
    number: u64,
    column: i64,
) -> Result<Vec<u8>, StoreError> {
    let (body,): (Vec<u8>,) =
        sqlx::query_as("select body from segment where number = ? and column_kind = ?")
            .bind(number.cast_signed())
            .bind(column)
            .fetch_optional(conn)
            .await?
            .ok_or(StoreError::Corrupt("segment"))?;
    Ok(body)
}

#[cfg(test)]
mod tests;
