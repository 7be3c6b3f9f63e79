//! The `change` table: what happened to persons, in order, for a coordinator to follow.

use std::collections::HashMap;

use sqlx::{QueryBuilder, SqliteConnection};

use super::{StoreError, many, signed, unsigned};

/// What happened to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// New, or with other match-keys; `replaces` is the row it had before.
    Upsert {
        /// The row it has now.
        row: u64,
        /// The row it had.
        replaces: Option<u64>,
    },
    /// Gone from this row.
    Retraction {
        /// The row it had.
        row: u64,
        /// The row that most of its records have now, if it was merged into another person.
        heir: Option<u64>,
    },
    /// Other events or another home, same match-keys.
    Signals {
        /// The row it has.
        row: u64,
    },
}

/// Records changes, in order.
pub async fn put(conn: &mut SqliteConnection, changes: &[Change]) -> Result<(), StoreError> {
    for changes in many::parts("changes written", changes) {
        QueryBuilder::new("insert into change (what, row, replaces, heir) ")
            .push_values(changes, |mut values, change| {
                let (what, row, replaces, heir) = match *change {
                    Change::Upsert { row, replaces } => ("upsert", row, replaces, None),
                    Change::Retraction { row, heir } => ("retraction", row, None, heir),
                    Change::Signals { row } => ("signals", row, None, None),
                };
                values.push_bind(what).push_bind(signed(row));
                values.push_bind(replaces.map(signed)).push_bind(heir.map(signed));
            })
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns the position of the last change, or 0.
pub async fn position(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let (position,): (Option<i64>,) =
        sqlx::query_as("select max(position) from change").fetch_one(conn).await?;
    unsigned("position", position.unwrap_or(0))
}

/// Returns every row that changed after a position, old rows and new ones, each once.
pub async fn rows_after(conn: &mut SqliteConnection, after: u64) -> Result<Vec<u64>, StoreError> {
    let rows: Vec<(i64,)> = sqlx::query_as(
        "select row from change where position > ?1
         union select replaces from change where position > ?1 and replaces is not null",
    )
    .bind(signed(after))
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|(row,)| unsigned("row", row)).collect()
}

/// Returns, for each row that is new after a position, the row it replaces.
pub async fn replaced_after(
    conn: &mut SqliteConnection,
    after: u64,
) -> Result<HashMap<u64, u64>, StoreError> {
    let rows: Vec<(i64, i64)> = sqlx::query_as(
        "select row, replaces from change where position > ? and replaces is not null",
    )
    .bind(signed(after))
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(row, replaces)| Ok((unsigned("row", row)?, unsigned("row", replaces)?)))
        .collect()
}

/// Returns the row that whoever had this row has now; `None` if nobody is left of them.
pub async fn successor(conn: &mut SqliteConnection, row: u64) -> Result<Option<u64>, StoreError> {
    let next: Option<(Option<i64>,)> = sqlx::query_as(
        "with recursive step (row) as (
             values (?1)
             union
             select coalesce(
                 (select change.row from change where change.replaces = step.row),
                 (select heir from change where what = 'retraction' and change.row = step.row)
             ) from step where step.row is not null
         )
         select row from step where exists (select 1 from person where person.row = step.row)",
    )
    .bind(signed(row))
    .fetch_optional(conn)
    .await?;
    next.and_then(|(row,)| row).map(|row| unsigned("row", row)).transpose()
}

/// How far the store is: the last change, and the last export that was taken in or refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    /// Position of the last change, or 0.
    pub position: u64,
    /// Number of the last export, or 0.
    pub import: i64,
}

/// Returns how far the store is. Cheap enough to ask many times a second.
pub async fn pulse(conn: &mut SqliteConnection) -> Result<Pulse, StoreError> {
    let (position, import): (Option<i64>, Option<i64>) =
        sqlx::query_as("select (select max(position) from change), (select max(id) from import)")
            .fetch_one(conn)
            .await?;
    let position = unsigned("position", position.unwrap_or(0))?;
    Ok(Pulse { position, import: import.unwrap_or(0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, persons};

    #[tokio::test]
    async fn whoever_had_a_row_is_found_through_merges_and_new_rows() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        persons::put(&mut conn, &[persons::Person { id: 1, row: 7 }]).await.unwrap();
        let happened = [
            Change::Upsert { row: 3, replaces: Some(1) },
            Change::Upsert { row: 4, replaces: Some(2) },
            Change::Retraction { row: 3, heir: Some(4) },
            Change::Upsert { row: 7, replaces: Some(4) },
            Change::Retraction { row: 5, heir: None },
        ];
        put(&mut conn, &happened).await.unwrap();
        for (row, now) in [(1, Some(7)), (2, Some(7)), (7, Some(7)), (5, None), (6, None)] {
            assert_eq!(successor(&mut conn, row).await.unwrap(), now, "{row}");
        }
        assert_eq!(rows_after(&mut conn, 3).await.unwrap(), [4, 5, 7]);
        assert_eq!(replaced_after(&mut conn, 3).await.unwrap(), HashMap::from([(7, 4)]));
        assert_eq!(pulse(&mut conn).await.unwrap(), Pulse { position: 5, import: 0 });
    }
}
