//! The `landed` table: files that were dealt with in a folder where they have to stay.

use std::collections::HashSet;

use sqlx::SqliteConnection;

use super::{StoreError, fixed};

/// What became of a file that stays where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Landed {
    /// Hash of the whole file.
    pub sha256: [u8; 32],
    /// The fingerprint of the mapping under which it was refused; `None` when it was taken in.
    pub refused_under: Option<[u8; 32]>,
}

/// Remembers what became of a file as it is.
pub async fn put(
    conn: &mut SqliteConnection,
    folder: &str,
    name: &str,
    landed: &Landed,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert or replace into landed (folder, name, sha256, refused_under) values (?, ?, ?, ?)",
    )
    .bind(folder)
    .bind(name)
    .bind(&landed.sha256[..])
    .bind(landed.refused_under.as_ref().map(|mapping| &mapping[..]))
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns what became of the file of this name that was dealt with last.
pub async fn get(
    conn: &mut SqliteConnection,
    folder: &str,
    name: &str,
) -> Result<Option<Landed>, StoreError> {
    let row: Option<(Vec<u8>, Option<Vec<u8>>)> =
        sqlx::query_as("select sha256, refused_under from landed where folder = ? and name = ?")
            .bind(folder)
            .bind(name)
            .fetch_optional(conn)
            .await?;
    row.map(|(sha256, mapping)| {
        let refused_under = mapping.map(|mapping| fixed("mapping hash", mapping)).transpose()?;
        Ok(Landed { sha256: fixed("file hash", sha256)?, refused_under })
    })
    .transpose()
}

/// Returns the names of a folder's files that were taken in.
pub async fn taken(
    conn: &mut SqliteConnection,
    folder: &str,
) -> Result<HashSet<String>, StoreError> {
    let rows: Vec<(String,)> =
        sqlx::query_as("select name from landed where folder = ? and refused_under is null")
            .bind(folder)
            .fetch_all(conn)
            .await?;
    Ok(rows.into_iter().map(|(name,)| name).collect())
}
