//! The `position` table: where the last answer of a database ended.

use sqlx::SqliteConnection;

use super::StoreError;

/// Remembers where a feed's last answer ended.
pub async fn put(conn: &mut SqliteConnection, feed: &str, reached: &str) -> Result<(), StoreError> {
    sqlx::query("insert or replace into position (feed, reached) values (?, ?)")
        .bind(feed)
        .bind(reached)
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns where a feed's last answer ended.
pub async fn of(conn: &mut SqliteConnection, feed: &str) -> Result<Option<String>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select reached from position where feed = ?")
        .bind(feed)
        .fetch_optional(conn)
        .await?;
    Ok(row.map(|(reached,)| reached))
}
