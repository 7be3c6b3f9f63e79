//! The `alert` and `alert_record` tables: what reached this node, and whom of ours it concerns.

use causeway_proto::ids::AlertId;
use sqlx::SqliteConnection;

use super::{StoreError, fixed, signed, unsigned};

/// One revision of an alert, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAlert {
    /// Grows with every revision that arrives.
    pub position: u64,
    /// Which alert.
    pub id: AlertId,
    /// Which revision.
    pub revision: u32,
    /// The encoded `causeway.v1.Alert`.
    pub body: Vec<u8>,
    /// Unix milliseconds.
    pub received_ms: u64,
}

type Row = (i64, Vec<u8>, u32, Vec<u8>, i64);

/// Keeps a revision and the records it concerns. Returns false when it was there already.
pub async fn put(
    conn: &mut SqliteConnection,
    id: AlertId,
    revision: u32,
    body: &[u8],
    records: &[(String, String)],
    now_ms: u64,
) -> Result<bool, StoreError> {
    let written = sqlx::query(
        "insert into alert (alert_id, revision, body, received_ms) values (?, ?, ?, ?)
         on conflict (alert_id, revision) do nothing",
    )
    .bind(&id.as_bytes()[..])
    .bind(revision)
    .bind(body)
    .bind(signed(now_ms))
    .execute(&mut *conn)
    .await?;
    if written.rows_affected() == 0 {
        return Ok(false);
    }
    for (feed, key) in records {
        sqlx::query(
            "insert into alert_record (alert_id, revision, record_feed, record_key)
             values (?, ?, ?, ?) on conflict do nothing",
        )
        .bind(&id.as_bytes()[..])
        .bind(revision)
        .bind(feed)
        .bind(key)
        .execute(&mut *conn)
        .await?;
    }
    Ok(true)
}

/// Returns the latest revision of every alert, newest first, at most `limit` before a position.
pub async fn latest(
    conn: &mut SqliteConnection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<KeptAlert>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select position, alert_id, revision, body, received_ms from alert as a
         where position < ? and not exists
         (select 1 from alert as b where b.alert_id = a.alert_id and b.revision > a.revision)
         order by position desc limit ?",
    )
    .bind(before.map_or(i64::MAX, signed))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(read).collect()
}

/// Returns the latest revision of every alert, oldest first, at most `limit` after a position.
pub async fn after(
    conn: &mut SqliteConnection,
    position: u64,
    limit: u32,
) -> Result<Vec<KeptAlert>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select position, alert_id, revision, body, received_ms from alert as a
         where position > ? and not exists
         (select 1 from alert as b where b.alert_id = a.alert_id and b.revision > a.revision)
         order by position limit ?",
    )
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(read).collect()
}

/// Returns the latest revision of those alerts that reached us before a time and whose latest revision nobody has
/// opened, newest first, at most `limit`.
pub async fn unopened(
    conn: &mut SqliteConnection,
    before_ms: u64,
    limit: u32,
) -> Result<Vec<KeptAlert>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select position, alert_id, revision, body, received_ms from alert as a
         where received_ms <= ? and not exists
         (select 1 from alert as b where b.alert_id = a.alert_id and b.revision > a.revision)
         and not exists (select 1 from alert_reading as r
         where r.alert_id = a.alert_id and r.revision = a.revision)
         order by position desc limit ?",
    )
    .bind(signed(before_ms))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(read).collect()
}

/// Returns the latest revision of one alert.
pub async fn newest(
    conn: &mut SqliteConnection,
    id: AlertId,
) -> Result<Option<KeptAlert>, StoreError> {
    let row: Option<Row> = sqlx::query_as(
        "select position, alert_id, revision, body, received_ms from alert
         where alert_id = ? order by revision desc limit 1",
    )
    .bind(&id.as_bytes()[..])
    .fetch_optional(conn)
    .await?;
    row.map(read).transpose()
}

/// Returns the records of ours that the latest revision of an alert concerns, as feed and key. One that takes
/// the alert back names nobody: it concerns those of the revision before.
pub async fn records(
    conn: &mut SqliteConnection,
    id: AlertId,
) -> Result<Vec<(String, String)>, StoreError> {
    Ok(sqlx::query_as(
        "select record_feed, record_key from alert_record where alert_id = ?1 and revision =
         (select max(revision) from alert_record where alert_id = ?1) order by 1, 2",
    )
    .bind(&id.as_bytes()[..])
    .fetch_all(conn)
    .await?)
}

/// Records that somebody opened a revision; the first time counts.
pub async fn mark_read(
    conn: &mut SqliteConnection,
    id: AlertId,
    revision: u32,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into alert_reading (alert_id, revision, read_ms) values (?, ?, ?)
         on conflict do nothing",
    )
    .bind(&id.as_bytes()[..])
    .bind(revision)
    .bind(signed(now_ms))
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns when a revision was first opened, in Unix milliseconds.
pub async fn read_ms(
    conn: &mut SqliteConnection,
    id: AlertId,
    revision: u32,
) -> Result<Option<u64>, StoreError> {
    let row: Option<(i64,)> =
        sqlx::query_as("select read_ms from alert_reading where alert_id = ? and revision = ?")
            .bind(&id.as_bytes()[..])
            .bind(revision)
            .fetch_optional(conn)
            .await?;
    row.map(|(ms,)| unsigned("time", ms)).transpose()
}

fn read((position, id, revision, body, received_ms): Row) -> Result<KeptAlert, StoreError> {
    Ok(KeptAlert {
        position: unsigned("position", position)?,
        id: AlertId::from_bytes(fixed("alert id", id)?),
        revision,
        body,
        received_ms: unsigned("time", received_ms)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    fn names(kept: &[KeptAlert]) -> Vec<(AlertId, u32)> {
        kept.iter().map(|alert| (alert.id, alert.revision)).collect()
    }

    #[tokio::test]
    async fn a_revision_is_kept_once_and_the_latest_is_shown() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let (id, other) = (AlertId::from_bytes([1; 16]), AlertId::from_bytes([2; 16]));
        let records = [("nominals".to_owned(), "N-1".to_owned())];
        assert!(put(&mut conn, id, 1, b"one", &records, 5).await.unwrap());
        assert!(!put(&mut conn, id, 1, b"one", &records, 6).await.unwrap());
        assert!(put(&mut conn, other, 1, b"other", &[], 7).await.unwrap());
        assert!(put(&mut conn, id, 2, b"two", &records, 8).await.unwrap());
        assert!(put(&mut conn, id, 1, b"one", &[], 9).await.is_ok_and(|new| !new));

        let shown = latest(&mut conn, None, 10).await.unwrap();
        assert_eq!(names(&shown), [(id, 2), (other, 1)]);
        assert_eq!(super::records(&mut conn, id).await.unwrap(), records);
        assert_eq!(newest(&mut conn, id).await.unwrap().unwrap().body, b"two");
    }

    #[tokio::test]
    async fn whoever_an_update_leaves_out_is_concerned_no_more() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let id = AlertId::from_bytes([1; 16]);
        let of = |keys: &[&str]| -> Vec<(String, String)> {
            keys.iter().map(|key| ("nominals".to_owned(), (*key).to_owned())).collect()
        };
        let revisions = [(1, of(&["N-1", "N-2"])), (3, of(&["N-2"])), (4, vec![])];
        for ((revision, records), shown) in
            revisions.iter().zip([&["N-1", "N-2"][..], &["N-2"], &["N-2"]])
        {
            put(&mut conn, id, *revision, b"", records, 1).await.unwrap();
            assert_eq!(super::records(&mut conn, id).await.unwrap(), of(shown));
        }
        put(&mut conn, id, 2, b"", &of(&["N-1"]), 1).await.unwrap();
        assert_eq!(records(&mut conn, id).await.unwrap(), of(&["N-2"]), "it came too late");
    }

    #[tokio::test]
    async fn an_alert_is_unopened_until_its_latest_revision_was_read() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let (id, other) = (AlertId::from_bytes([1; 16]), AlertId::from_bytes([2; 16]));
        put(&mut conn, id, 1, b"", &[], 5).await.unwrap();
        put(&mut conn, other, 1, b"", &[], 9).await.unwrap();
        assert_eq!(names(&unopened(&mut conn, 8, 9).await.unwrap()), [(id, 1)]);
        assert_eq!(names(&unopened(&mut conn, 9, 9).await.unwrap()), [(other, 1), (id, 1)]);
        mark_read(&mut conn, id, 1, 10).await.unwrap();
        assert_eq!(names(&unopened(&mut conn, 20, 9).await.unwrap()), [(other, 1)]);
        put(&mut conn, id, 2, b"", &[], 11).await.unwrap();
        assert_eq!(names(&unopened(&mut conn, 20, 9).await.unwrap()), [(id, 2), (other, 1)]);
    }
}
