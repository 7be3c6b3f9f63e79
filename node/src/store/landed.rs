//! The `landed` table: files that were dealt with in a folder where they have to stay.

use sqlx::SqliteConnection;

use super::{StoreError, fixed};

/// Remembers that a file was dealt with as it is.
pub async fn put(
    conn: &mut SqliteConnection,
    folder: &str,
    name: &str,
    sha256: [u8; 32],
) -> Result<(), StoreError> {
    sqlx::query("insert or replace into landed (folder, name, sha256) values (?, ?, ?)")
        .bind(folder)
        .bind(name)
        .bind(&sha256[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// Returns the hash of the file of this name that was dealt with last.
pub async fn hash(
    conn: &mut SqliteConnection,
    folder: &str,
    name: &str,
) -> Result<Option<[u8; 32]>, StoreError> {
    let row: Option<(Vec<u8>,)> =
        sqlx::query_as("select sha256 from landed where folder = ? and name = ?")
            .bind(folder)
            .bind(name)
            .fetch_optional(conn)
            .await?;
    row.map(|(sha256,)| fixed("file hash", sha256)).transpose()
}
