//! The `default_birth` table: dates of birth that stand for "not known" at this agency.

use std::collections::BTreeSet;

use causeway_proto::day::Day;
use sqlx::SqliteConnection;

use super::StoreError;

/// Keeps dates, replacing those before.
pub async fn save(conn: &mut SqliteConnection, days: &BTreeSet<Day>) -> Result<(), StoreError> {
    sqlx::query("delete from default_birth").execute(&mut *conn).await?;
    for day in days {
        sqlx::query("insert into default_birth (day) values (?)")
            .bind(day.number())
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns the dates.
pub async fn load(conn: &mut SqliteConnection) -> Result<BTreeSet<Day>, StoreError> {
    let days: Vec<(i32,)> = sqlx::query_as("select day from default_birth").fetch_all(conn).await?;
    let day = |(day,)| Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"));
    days.into_iter().map(day).collect()
}
