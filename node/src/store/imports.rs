//! The `import` and `quarantine` tables: what became of each export.

use sqlx::{QueryBuilder, SqliteConnection};

use super::{INSERT_ROWS, StoreError, fixed, signed, unsigned};

/// What became of one export.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Import {
    /// The feed's short name.
    pub feed: String,
    /// Hash of the whole file.
    pub sha256: [u8; 32],
    /// Why it was refused; `None` when it was taken in.
    pub refused: Option<String>,
    /// Rows read.
    pub rows: u64,
    /// Rows taken in.
    pub accepted: u64,
    /// Rows left out for breaking a rule.
    pub quarantined: u64,
    /// Rows that were new or different.
    pub changed: u64,
    /// Rows that were gone for the second time.
    pub removed: u64,
    /// Unix milliseconds.
    pub taken_ms: u64,
}

/// One row that was left out: where and by which rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Line in the file, counted from 1.
    pub line: u64,
    /// The agency's own name of the column; empty when the whole line is meant.
    pub column: String,
    /// The rule, in plain words.
    pub rule: String,
}

/// Records what became of an export. Returns its number.
pub async fn put(conn: &mut SqliteConnection, import: &Import) -> Result<i64, StoreError> {
    let (id,): (i64,) = sqlx::query_as(
        "insert into import
         (feed, sha256, outcome, reason, row_count, accepted, quarantined, changed, removed, taken_ms)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id",
    )
    .bind(&import.feed)
    .bind(&import.sha256[..])
    .bind(if import.refused.is_some() { "refused" } else { "taken" })
    .bind(&import.refused)
    .bind(signed(import.rows))
    .bind(signed(import.accepted))
    .bind(signed(import.quarantined))
    .bind(signed(import.changed))
    .bind(signed(import.removed))
    .bind(signed(import.taken_ms))
    .fetch_one(conn)
    .await?;
    Ok(id)
}

/// Records the rows that an export left out.
pub async fn quarantine(
    conn: &mut SqliteConnection,
    import: i64,
    rows: &[Quarantined],
) -> Result<(), StoreError> {
    for rows in rows.chunks(INSERT_ROWS) {
        let insert = "insert into quarantine (import, line, column_name, rule) ";
        QueryBuilder::new(insert)
            .push_values(rows, |mut values, row| {
                values
                    .push_bind(import)
                    .push_bind(signed(row.line))
                    .push_bind(&row.column)
                    .push_bind(&row.rule);
            })
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns the last export of a feed that was taken in.
pub async fn last_taken(
    conn: &mut SqliteConnection,
    feed: &str,
) -> Result<Option<Import>, StoreError> {
    type Row = (Vec<u8>, i64, i64, i64, i64, i64, i64);
    let row: Option<Row> = sqlx::query_as(
        "select sha256, row_count, accepted, quarantined, changed, removed, taken_ms
         from import where feed = ? and outcome = 'taken' order by id desc limit 1",
    )
    .bind(feed)
    .fetch_optional(conn)
    .await?;
    row.map(|(sha256, rows, accepted, quarantined, changed, removed, taken_ms)| {
        Ok(Import {
            feed: feed.to_owned(),
            sha256: fixed("import hash", sha256)?,
            refused: None,
            rows: unsigned("count", rows)?,
            accepted: unsigned("count", accepted)?,
            quarantined: unsigned("count", quarantined)?,
            changed: unsigned("count", changed)?,
            removed: unsigned("count", removed)?,
            taken_ms: unsigned("time", taken_ms)?,
        })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_refused_export_does_not_count_as_the_last_one() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let taken = Import { feed: "tenancies".into(), rows: 3, ..Import::default() };
        let id = put(&mut conn, &taken).await.unwrap();
        let row = Quarantined { line: 2, column: "DOB".into(), rule: "no date".into() };
        quarantine(&mut conn, id, &[row]).await.unwrap();
        let refused =
            Import { refused: Some("half a file".into()), sha256: [1; 32], ..taken.clone() };
        put(&mut conn, &refused).await.unwrap();
        assert_eq!(last_taken(&mut conn, "tenancies").await.unwrap(), Some(taken));
        assert_eq!(last_taken(&mut conn, "repairs").await.unwrap(), None);
    }
}
