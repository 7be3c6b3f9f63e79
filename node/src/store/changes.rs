//! The `change` table: what happened to persons, in order, for a coordinator to follow.

use sqlx::{QueryBuilder, SqliteConnection};

use super::{INSERT_ROWS, StoreError, signed, unsigned};

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
    },
    /// Other events, same match-keys.
    Signals {
        /// The row it has.
        row: u64,
    },
}

/// Records changes, in order.
pub async fn put(conn: &mut SqliteConnection, changes: &[Change]) -> Result<(), StoreError> {
    for changes in changes.chunks(INSERT_ROWS) {
        QueryBuilder::new("insert into change (what, row, replaces) ")
            .push_values(changes, |mut values, change| {
                let (what, row, replaces) = match *change {
                    Change::Upsert { row, replaces } => ("upsert", row, replaces),
                    Change::Retraction { row } => ("retraction", row, None),
                    Change::Signals { row } => ("signals", row, None),
                };
                values.push_bind(what).push_bind(signed(row)).push_bind(replaces.map(signed));
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
