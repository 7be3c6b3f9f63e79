//! The `import` and `quarantine` tables: what became of each export.

use causeway_proto::day::Day;
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
    /// The day that it speaks of.
    pub as_at: Option<Day>,
    /// Unix milliseconds.
    pub taken_ms: u64,
    /// Tells the feed's mapping from others; `None` of what an older version took in.
    pub mapping: Option<[u8; 32]>,
}

/// A row of the last good export of a feed that was left out.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct LeftOut {
    /// The feed.
    pub feed: String,
    /// Line in the file, or number in a query's result, counted from 1.
    pub line: u64,
    /// The agency's own name of the column; empty when the whole line is meant.
    pub column: String,
    /// The rule, in plain words.
    pub rule: String,
    /// When the export was taken in: unix milliseconds.
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
         (feed, sha256, outcome, reason, row_count, accepted, quarantined, changed, removed,
          as_at_day, taken_ms, mapping)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) returning id",
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
    .bind(import.as_at.map(Day::number))
    .bind(signed(import.taken_ms))
    .bind(import.mapping.as_ref().map(|mapping| &mapping[..]))
    .fetch_one(conn)
    .await?;
    Ok(id)
}

/// Records that an export was refused; the same refusal again is the same one, later.
pub async fn refuse(
    conn: &mut SqliteConnection,
    feed: &str,
    reason: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    let again = sqlx::query(
        "update import set taken_ms = ? where outcome = 'refused' and reason = ?
         and id = (select max(id) from import where feed = ?)",
    )
    .bind(signed(now_ms))
    .bind(reason)
    .bind(feed)
    .execute(&mut *conn)
    .await?;
    if again.rows_affected() == 0 {
        let refused = Import {
            feed: feed.to_owned(),
            refused: Some(reason.to_owned()),
            taken_ms: now_ms,
            ..Import::default()
        };
        put(conn, &refused).await?;
    }
    Ok(())
}

/// Records that a feed still says what it said last. What was refused since is settled by it.
pub async fn seen_again(
    conn: &mut SqliteConnection,
    feed: &str,
    as_at: Day,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "update import set taken_ms = ?, as_at_day = ?
         where id = (select max(id) from import where feed = ? and outcome = 'taken')",
    )
    .bind(signed(now_ms))
    .bind(as_at.number())
    .bind(feed)
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns whether something of one feed was taken in after the last export of another.
pub async fn is_newer(
    conn: &mut SqliteConnection,
    feed: &str,
    than: &str,
) -> Result<bool, StoreError> {
    let (newer,): (bool,) = sqlx::query_as(
        "select coalesce((select max(id) from import where feed = ? and outcome = 'taken'), 0)
         > coalesce((select max(id) from import where feed = ? and outcome = 'taken'), 0)",
    )
    .bind(feed)
    .bind(than)
    .fetch_one(conn)
    .await?;
    Ok(newer)
}

/// Returns why a feed's newest export was refused, if it was: the feed is as it was before. The newest
/// is what was looked at last, which may be what is there already.
pub async fn refusal(
    conn: &mut SqliteConnection,
    feed: &str,
) -> Result<Option<String>, StoreError> {
    let row: Option<(Option<String>,)> = sqlx::query_as(
        "select reason from import where feed = ? order by taken_ms desc, id desc limit 1",
    )
    .bind(feed)
    .fetch_optional(conn)
    .await?;
    Ok(row.and_then(|(reason,)| reason))
}

/// Returns the rows that the last good export of each feed left out.
pub async fn left_out(conn: &mut SqliteConnection) -> Result<Vec<LeftOut>, StoreError> {
    let rows: Vec<(String, i64, String, String, i64)> = sqlx::query_as(
        "select feed, line, column_name, rule, taken_ms from import
         join quarantine on quarantine.import = import.id
         where import.id in (select max(id) from import where outcome = 'taken' group by feed)
         order by feed, line",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(feed, line, column, rule, taken_ms)| {
            let (line, taken_ms) = (unsigned("line", line)?, unsigned("time", taken_ms)?);
            Ok(LeftOut { feed, line, column, rule, taken_ms })
        })
        .collect()
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
    type Row = (Vec<u8>, i64, i64, i64, i64, i64, Option<i32>, i64, Option<Vec<u8>>);
    let row: Option<Row> = sqlx::query_as(
        "select sha256, row_count, accepted, quarantined, changed, removed, as_at_day, taken_ms, mapping
         from import where feed = ? and outcome = 'taken' order by id desc limit 1",
    )
    .bind(feed)
    .fetch_optional(conn)
    .await?;
    row.map(|(sha256, rows, accepted, quarantined, changed, removed, as_at, taken_ms, mapping)| {
        let day = |day| Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"));
        Ok(Import {
            feed: feed.to_owned(),
            sha256: fixed("import hash", sha256)?,
            refused: None,
            rows: unsigned("count", rows)?,
            accepted: unsigned("count", accepted)?,
            quarantined: unsigned("count", quarantined)?,
            changed: unsigned("count", changed)?,
            removed: unsigned("count", removed)?,
            as_at: as_at.map(day).transpose()?,
            taken_ms: unsigned("time", taken_ms)?,
            mapping: mapping.map(|mapping| fixed("mapping", mapping)).transpose()?,
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

    #[tokio::test]
    async fn the_same_refusal_again_is_one_and_what_is_seen_again_is_fresh() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let day = Day::new(2025, 3, 1).unwrap();
        let taken = Import { feed: "f".into(), rows: 3, ..Import::default() };
        put(&mut conn, &taken).await.unwrap();
        for now_ms in 1..4 {
            refuse(&mut conn, "f", "half a file", now_ms).await.unwrap();
        }
        assert_eq!(refusal(&mut conn, "f").await.unwrap().as_deref(), Some("half a file"));
        let (count,): (i64,) =
            sqlx::query_as("select count(*) from import").fetch_one(&mut *conn).await.unwrap();
        assert_eq!(count, 2);
        seen_again(&mut conn, "f", day, 9).await.unwrap();
        let again = Import { as_at: Some(day), taken_ms: 9, ..taken };
        assert_eq!(last_taken(&mut conn, "f").await.unwrap(), Some(again));
    }

    #[tokio::test]
    async fn the_queue_shows_what_the_last_good_export_left_out() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        for (line, now_ms) in [(2, 1), (5, 2)] {
            let taken = Import { feed: "f".into(), taken_ms: now_ms, ..Import::default() };
            let id = put(&mut conn, &taken).await.unwrap();
            let row = Quarantined { line, column: "DOB".into(), rule: "no date".into() };
            quarantine(&mut conn, id, &[row]).await.unwrap();
        }
        let left_out = left_out(&mut conn).await.unwrap();
        let [only] = &left_out[..] else { panic!("{left_out:?}") };
        assert_eq!((only.line, only.taken_ms), (5, 2));
    }
}
