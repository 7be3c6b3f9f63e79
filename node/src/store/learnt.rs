//! The tables `default_birth` and `changed_since`: which dates of birth stand for "not known" at this agency, and
//! how long ago that and the weights were learnt.

use std::collections::BTreeSet;

use causeway_proto::day::Day;
use sqlx::SqliteConnection;

use super::{StoreError, signed, unsigned};

/// Keeps dates of birth, replacing those before.
pub async fn save_births(
    conn: &mut SqliteConnection,
    days: &BTreeSet<Day>,
) -> Result<(), StoreError> {
    sqlx::query("delete from default_birth").execute(&mut *conn).await?;
    for day in days {
        sqlx::query("insert into default_birth (day) values (?)")
            .bind(day.number())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns the dates of birth that stand for "not known".
pub async fn births(conn: &mut SqliteConnection) -> Result<BTreeSet<Day>, StoreError> {
    let days: Vec<(i32,)> = sqlx::query_as("select day from default_birth").fetch_all(conn).await?;
    let day = |(day,)| Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"));
    days.into_iter().map(day).collect()
}

/// Returns how many records had changed since everybody was looked at; `None` where nobody ever was.
pub async fn changed_since(conn: &mut SqliteConnection) -> Result<Option<u64>, StoreError> {
    let row: Option<(i64,)> =
        sqlx::query_as("select records from changed_since").fetch_optional(conn).await?;
    row.map(|(records,)| unsigned("count", records)).transpose()
}

/// Keeps how many records have changed since everybody was looked at.
pub async fn set_changed_since(
    conn: &mut SqliteConnection,
    records: u64,
) -> Result<(), StoreError> {
    sqlx::query("insert or replace into changed_since (id, records) values (1, ?)")
        .bind(signed(records))
        .execute(conn)
        .await?;
    Ok(())
}
