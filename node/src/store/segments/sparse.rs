//! Gives up segments of which little is left: a row is never used again, so every change leaves a hole behind.

use causeway_proto::{kind::MatchKeyKind, limits::SEGMENT_ROWS};
use sqlx::SqliteConnection;

use super::{
    ALIVE, BORN, KEY_BYTES, KINDS, Rows, SKETCHES, STATE, append, column, retire, sketches, states,
};
use crate::store::{StoreError, unsigned};

/// A full segment of which fewer rows than this are somebody's is given up.
const FEWEST: usize = SEGMENT_ROWS / 2;

/// Segments that are given up at once, so that nobody waits long: 150 MB of rows at most.
const AT_ONCE: usize = 64;

/// Moves the rows that are left of some sparse segments behind all others, and lets go of what these held.
///
/// State bytes and days of birth stay, by which rows are counted. Returns each row with the one that it is now,
/// for the caller to tell whose they are. No sweep may be open: its stream comes back to the rows it began with.
pub async fn give_up(conn: &mut SqliteConnection) -> Result<Vec<(u64, u64)>, StoreError> {
    let states = states(conn).await?;
    let left = |number: u64| -> Vec<usize> {
        let from = number as usize * SEGMENT_ROWS;
        let rows = states[from..from + SEGMENT_ROWS].iter().enumerate();
        rows.filter(|(_, state)| **state & ALIVE != 0).map(|(at, _)| at).collect()
    };
    // The last one still grows.
    let full = (states.len() / SEGMENT_ROWS) as u64;
    let held = held(conn).await?.into_iter().filter(|number| *number < full);
    let sparse = held.map(|number| (number, left(number))).filter(|(_, left)| left.len() < FEWEST);
    let mut moved = Vec::new();
    for (number, left) in sparse.take(AT_ONCE) {
        let first = copied(conn, number, &left).await?;
        let old = left.iter().map(|at| number * SEGMENT_ROWS as u64 + *at as u64);
        moved.extend(old.zip(first..));
        sqlx::query(
            "delete from segment where number = ? and (column_kind = ? or column_kind >= ?)",
        )
        .bind(number.cast_signed())
        .bind(SKETCHES)
        .bind(KINDS)
        .execute(&mut *conn)
        .await?;
    }
    retire(conn, &moved.iter().map(|(old, _)| *old).collect::<Vec<u64>>()).await?;
    Ok(moved)
}

/// The segments that were not given up, in order.
async fn held(conn: &mut SqliteConnection) -> Result<Vec<u64>, StoreError> {
    let numbers: Vec<(i64,)> =
        sqlx::query_as("select number from segment where column_kind = ? order by number")
            .bind(SKETCHES)
            .fetch_all(conn)
            .await?;
    numbers.into_iter().map(|(number,)| unsigned("segment", number)).collect()
}

/// Appends some rows of a segment again, as they stand. Returns the number of the first.
async fn copied(
    conn: &mut SqliteConnection,
    number: u64,
    places: &[usize],
) -> Result<u64, StoreError> {
    let (states, born) = (column(conn, number, STATE).await?, column(conn, number, BORN).await?);
    let packed = column(conn, number, SKETCHES).await?;
    let of_all: Vec<&[u8]> = sketches(&packed).collect();
    let mut rows = Rows::default();
    for at in places {
        rows.states.extend_from_slice(cell(&states, *at, 1)?);
        rows.born.extend_from_slice(cell(&born, *at, 4)?);
        rows.sketches.push(of_all.get(*at).ok_or(StoreError::Corrupt("sketch"))?.to_vec());
    }
    for kind in MatchKeyKind::ALL {
        let keys = column(conn, number, i64::from(kind.number()) + KINDS).await?;
        for at in places {
            let of_one = cell(&keys, *at, kind.slots() * KEY_BYTES)?;
            rows.kinds[kind.index()].extend_from_slice(of_one);
        }
    }
    append(conn, rows).await
}

/// One row of a column of fixed width.
fn cell(column: &[u8], at: usize, width: usize) -> Result<&[u8], StoreError> {
    column.get(at * width..(at + 1) * width).ok_or(StoreError::Corrupt("row"))
}
