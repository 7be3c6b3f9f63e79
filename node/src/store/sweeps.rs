//! The `sweep` table: what a restarted node needs to go on with an open sweep.

use causeway_proto::{catalogue::Purpose, day::Day, ids::SweepId};
use sqlx::SqliteConnection;

use super::{StoreError, fixed, signed, told, unsigned};

/// A sweep as it was opened here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Which.
    pub id: SweepId,
    /// The day the scores speak of.
    pub as_at: Day,
    /// Why.
    pub purposes: Vec<Purpose>,
    /// Rows of match-keys from here on are changes, not stream.
    pub last_row: u64,
    /// The last change that the stream contains.
    pub position: u64,
}

/// Stores a newly opened sweep, with what it says of each row and of how many it says anything, and
/// closes the one before.
pub async fn open(
    conn: &mut SqliteConnection,
    sweep: &Sweep,
    (streamed, records): (&[u8], u64),
    now_ms: u64,
) -> Result<(), StoreError> {
    break_off(conn, now_ms).await?;
    let purposes: Vec<&str> = sweep.purposes.iter().map(|purpose| purpose.as_str()).collect();
    sqlx::query(
        "insert into sweep (id, as_at_day, purposes, last_row, position, opened_ms, streamed, records)
         values (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&sweep.id.as_bytes()[..])
    .bind(sweep.as_at.number())
    .bind(purposes.join(","))
    .bind(signed(sweep.last_row))
    .bind(signed(sweep.position))
    .bind(signed(now_ms))
    .bind(streamed)
    .bind(signed(records))
    .execute(conn)
    .await?;
    Ok(())
}

/// Closes the sweep that is open, if any: its linkage key is not the node's any more.
pub async fn break_off(conn: &mut SqliteConnection, now_ms: u64) -> Result<(), StoreError> {
    sqlx::query("update sweep set closed_ms = ?, streamed = null where closed_ms is null")
        .bind(signed(now_ms))
        .execute(&mut *conn)
        .await?;
    told::forget(conn).await
}

/// Returns what the stream of an open sweep says of each row, a byte a row.
pub async fn streamed(conn: &mut SqliteConnection, id: SweepId) -> Result<Vec<u8>, StoreError> {
    let streamed: Option<(Option<Vec<u8>>,)> =
        sqlx::query_as("select streamed from sweep where id = ?")
            .bind(&id.as_bytes()[..])
            .fetch_optional(conn)
            .await?;
    streamed.and_then(|(streamed,)| streamed).ok_or(StoreError::Corrupt("sweep"))
}

/// Returns the open sweep, if there is one.
pub async fn current(conn: &mut SqliteConnection) -> Result<Option<Sweep>, StoreError> {
    let row: Option<(Vec<u8>, i32, String, i64, i64)> = sqlx::query_as(
        "select id, as_at_day, purposes, last_row, position from sweep where closed_ms is null",
    )
    .fetch_optional(conn)
    .await?;
    let Some((id, as_at, purposes, last_row, position)) = row else { return Ok(None) };
    Ok(Some(Sweep {
        id: SweepId::from_bytes(fixed("sweep id", id)?),
        as_at: Day::from_wire("day", as_at).map_err(|_| StoreError::Corrupt("day"))?,
        purposes: purposes
            .split(',')
            .map(|purpose| purpose.parse().map_err(|_| StoreError::Corrupt("purpose")))
            .collect::<Result<_, _>>()?,
        last_row: unsigned("row", last_row)?,
        position: unsigned("position", position)?,
    }))
}

/// Returns the sweep of the highest counter that was ever opened here, and the day it spoke of.
pub async fn last(conn: &mut SqliteConnection) -> Result<Option<(SweepId, Day)>, StoreError> {
    // An id begins with its counter, big-endian.
    let row: Option<(Vec<u8>, i32)> =
        sqlx::query_as("select id, as_at_day from sweep order by id desc limit 1")
            .fetch_optional(conn)
            .await?;
    let Some((id, as_at)) = row else { return Ok(None) };
    let as_at = Day::from_wire("day", as_at).map_err(|_| StoreError::Corrupt("day"))?;
    Ok(Some((SweepId::from_bytes(fixed("sweep id", id)?), as_at)))
}

/// Returns when the last sweep was opened, in Unix milliseconds, and how many people were in it.
pub async fn last_opening(conn: &mut SqliteConnection) -> Result<Option<(u64, u64)>, StoreError> {
    let row: Option<(i64, i64)> =
        sqlx::query_as("select opened_ms, records from sweep order by id desc limit 1")
            .fetch_optional(conn)
            .await?;
    row.map(|(ms, records)| Ok((unsigned("time", ms)?, unsigned("count", records)?))).transpose()
}

/// Returns how many sweeps were opened after this one; `None` if it never was.
pub async fn opened_since(
    conn: &mut SqliteConnection,
    id: SweepId,
) -> Result<Option<u32>, StoreError> {
    let (was, since): (bool, u32) = sqlx::query_as(
        "select exists (select 1 from sweep where id = ?1),
         (select count(*) from sweep where id > ?1)",
    )
    .bind(&id.as_bytes()[..])
    .fetch_one(conn)
    .await?;
    Ok(was.then_some(since))
}

/// Returns the hash of the question by which people were counted in a sweep, if they were.
pub async fn counted(
    conn: &mut SqliteConnection,
    id: SweepId,
) -> Result<Option<[u8; 32]>, StoreError> {
    let row: Option<(Option<Vec<u8>>,)> =
        sqlx::query_as("select counted_hash from sweep where id = ?")
            .bind(&id.as_bytes()[..])
            .fetch_optional(conn)
            .await?;
    row.and_then(|(hash,)| hash).map(|hash| fixed("hash", hash)).transpose()
}

/// Returns when people were last counted in any sweep, in Unix milliseconds.
pub async fn last_counted_ms(conn: &mut SqliteConnection) -> Result<Option<u64>, StoreError> {
    let (last,): (Option<i64>,) =
        sqlx::query_as("select max(counted_ms) from sweep").fetch_one(conn).await?;
    last.map(|ms| unsigned("time", ms)).transpose()
}

/// Records by which question people are counted in a sweep.
pub async fn put_counted(
    conn: &mut SqliteConnection,
    id: SweepId,
    hash: [u8; 32],
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query("update sweep set counted_ms = ?, counted_hash = ? where id = ?")
        .bind(signed(now_ms))
        .bind(&hash[..])
        .bind(&id.as_bytes()[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// Closes a sweep. Closing twice is no error.
pub async fn close(
    conn: &mut SqliteConnection,
    id: SweepId,
    now_ms: u64,
) -> Result<(), StoreError> {
    let closed = sqlx::query(
        "update sweep set closed_ms = ?, streamed = null where id = ? and closed_ms is null",
    )
    .bind(signed(now_ms))
    .bind(&id.as_bytes()[..])
    .execute(&mut *conn)
    .await?;
    if closed.rows_affected() > 0 {
        told::forget(conn).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn one_sweep_is_open_at_a_time() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let sweep = |counter| Sweep {
            id: SweepId::new(counter, [0; 8]),
            as_at: Day::new(2025, 2, 25).unwrap(),
            purposes: vec![Purpose::AdultSafeguarding, Purpose::AsbHate],
            last_row: 5,
            position: 2,
        };
        open(&mut conn, &sweep(1), (&[7; 5], 5), 10).await.unwrap();
        open(&mut conn, &sweep(2), (&[8; 5], 4), 20).await.unwrap();
        assert_eq!(current(&mut conn).await.unwrap(), Some(sweep(2)));
        assert_eq!(streamed(&mut conn, sweep(2).id).await.unwrap(), [8; 5]);
        assert!(streamed(&mut conn, sweep(1).id).await.is_err(), "erased with the sweep");
        close(&mut conn, sweep(2).id, 30).await.unwrap();
        close(&mut conn, sweep(2).id, 31).await.unwrap();
        assert_eq!(current(&mut conn).await.unwrap(), None);
        assert_eq!(counted(&mut conn, sweep(2).id).await.unwrap(), None);
        put_counted(&mut conn, sweep(1).id, [3; 32], 15).await.unwrap();
        assert_eq!(counted(&mut conn, sweep(1).id).await.unwrap(), Some([3; 32]));
        assert_eq!(last_counted_ms(&mut conn).await.unwrap(), Some(15));
        assert_eq!(last_opening(&mut conn).await.unwrap(), Some((20, 4)));
        let since = [sweep(1).id, sweep(2).id, sweep(3).id];
        for (id, opened) in since.into_iter().zip([Some(1), Some(0), None]) {
            assert_eq!(opened_since(&mut conn, id).await.unwrap(), opened);
        }
        assert_eq!(last(&mut conn).await.unwrap(), Some((sweep(2).id, sweep(2).as_at)));
    }
}
