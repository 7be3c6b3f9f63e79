//! The `memo` table: findings that this node keeps with its own records.

use causeway_proto::{day::Day, ids::MemoId, sweep::MemoKind};
use sqlx::{QueryBuilder, SqliteConnection};

use super::{INSERT_ROWS, StoreError, fixed, many, signed, unsigned};

/// How long a finding about an alert is kept when nobody renews it.
pub const KEPT_MS: u64 = 400 * 86_400_000;

/// A finding and the record it belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptMemo {
    /// What it is about.
    pub kind: MemoKind,
    /// Which finding.
    pub id: MemoId,
    /// The record: its feed and key.
    pub record: (String, String),
    /// The score at review, in tenths.
    pub score_tenths: u32,
    /// When it was made.
    pub made: Day,
}

/// A finding with the row of the person it belongs to now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfRow {
    /// The finding.
    pub memo: KeptMemo,
    /// The row.
    pub row: u64,
    /// When it was first kept, in Unix milliseconds.
    pub kept_ms: u64,
    /// When it is forgotten; `None` is never.
    pub until_ms: Option<u64>,
}

/// Keeps a finding; keeping it again changes its score and day, and renews it. Returns whether it is
/// new.
pub async fn put(
    conn: &mut SqliteConnection,
    memo: &KeptMemo,
    now_ms: u64,
) -> Result<bool, StoreError> {
    let until_ms = (memo.kind != MemoKind::NotLinked).then(|| signed(now_ms + KEPT_MS));
    let written = sqlx::query(
        "insert into memo (kind, id, record_feed, record_key, score_tenths, made_day, kept_ms,
         until_ms) values (?, ?, ?, ?, ?, ?, ?, ?) on conflict do nothing",
    )
    .bind(memo.kind.as_str())
    .bind(&memo.id.as_bytes()[..])
    .bind(&memo.record.0)
    .bind(&memo.record.1)
    .bind(memo.score_tenths)
    .bind(memo.made.number())
    .bind(signed(now_ms))
    .bind(until_ms)
    .execute(&mut *conn)
    .await?;
    if written.rows_affected() > 0 {
        return Ok(true);
    }
    sqlx::query(
        "update memo set score_tenths = ?, made_day = ?, until_ms = ?
         where kind = ? and id = ? and record_feed = ? and record_key = ?",
    )
    .bind(memo.score_tenths)
    .bind(memo.made.number())
    .bind(until_ms)
    .bind(memo.kind.as_str())
    .bind(&memo.id.as_bytes()[..])
    .bind(&memo.record.0)
    .bind(&memo.record.1)
    .execute(conn)
    .await?;
    Ok(false)
}

/// Lets go of what is kept for an alert that was taken back, at the latest at a time.
pub async fn let_go(
    conn: &mut SqliteConnection,
    id: MemoId,
    until_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "update memo set until_ms = min(until_ms, ?)
         where kind in ('alert', 'reviewed') and id = ? and until_ms is not null",
    )
    .bind(signed(until_ms))
    .bind(&id.as_bytes()[..])
    .execute(conn)
    .await?;
    Ok(())
}

/// Forgets what nobody renewed in time. Returns how many findings that were.
pub async fn forget(conn: &mut SqliteConnection, now_ms: u64) -> Result<u64, StoreError> {
    let gone = sqlx::query("delete from memo where until_ms < ?")
        .bind(signed(now_ms))
        .execute(conn)
        .await?;
    Ok(gone.rows_affected())
}

/// Returns how many people carry a finding and carried none before a time.
pub async fn people_since(conn: &mut SqliteConnection, since_ms: u64) -> Result<u64, StoreError> {
    let (people,): (i64,) = sqlx::query_as(
        "select count(*) from
         (select 1 from memo join record on record.feed = record_feed and record.key = record_key
          where record.person is not null group by record.person having min(kept_ms) >= ?)",
    )
    .bind(signed(since_ms))
    .fetch_one(conn)
    .await?;
    unsigned("count", people)
}

/// Returns how many different findings whoever of some persons has most of them carries.
pub async fn most_of_one(conn: &mut SqliteConnection, persons: &[i64]) -> Result<u64, StoreError> {
    let mut most = 0;
    for persons in persons.chunks(INSERT_ROWS) {
        let (of_these,): (Option<i64>,) = QueryBuilder::new(
            "select max(findings) from (select count(distinct memo.id) as findings
             from record join memo on record_feed = record.feed and record_key = record.key
             where record.person in ",
        )
        .push_tuples(persons, |mut values, person| {
            values.push_bind(person);
        })
        .push(" group by record.person)")
        .build_query_as()
        .fetch_one(&mut *conn)
        .await?;
        most = most.max(unsigned("count", of_these.unwrap_or(0))?);
    }
    Ok(most)
}

/// What every finding with the row of the person it belongs to now begins with.
const WITH_ROWS: &str = "
    select memo.kind, memo.id, record_feed, record_key, score_tenths, made_day, kept_ms, until_ms,
    person.row from memo join record on record.feed = record_feed and record.key = record_key
    join person on person.id = record.person";

/// Returns every finding with the row of the person it belongs to now.
pub async fn with_rows(conn: &mut SqliteConnection) -> Result<Vec<OfRow>, StoreError> {
    let mut all = QueryBuilder::new(WITH_ROWS);
    all.build_query_as().fetch_all(conn).await?.into_iter().map(read).collect()
}

/// Returns the findings about the people of some rows.
pub async fn of_rows(conn: &mut SqliteConnection, rows: &[u64]) -> Result<Vec<OfRow>, StoreError> {
    let rows: Vec<i64> = rows.iter().map(|row| signed(*row)).collect();
    let query = || {
        let mut query = QueryBuilder::new(WITH_ROWS);
        query.push(" where person.row in ");
        query
    };
    many::fetch(conn, query, &rows).await?.into_iter().map(read).collect()
}

type Row = (String, Vec<u8>, String, String, u32, i32, i64, Option<i64>, i64);

fn read(
    (kind, id, feed, key, score_tenths, made, kept_ms, until_ms, row): Row,
) -> Result<OfRow, StoreError> {
    let memo = KeptMemo {
        kind: kind.parse().map_err(|_| StoreError::Corrupt("memo kind"))?,
        id: MemoId::from_bytes(fixed("memo id", id)?),
        record: (feed, key),
        score_tenths,
        made: Day::from_wire("day", made).map_err(|_| StoreError::Corrupt("day"))?,
    };
    Ok(OfRow {
        memo,
        row: unsigned("row", row)?,
        kept_ms: unsigned("time", kept_ms)?,
        until_ms: until_ms.map(|ms| unsigned("time", ms)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn what_nobody_renews_is_forgotten_and_who_was_kept_apart_stays_so() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let memo = |kind, id| KeptMemo {
            kind,
            id: MemoId::from_bytes([id; 16]),
            record: ("nominals".into(), "N-1".into()),
            score_tenths: 0,
            made: Day::new(2025, 2, 25).unwrap(),
        };
        let (old, renewed) = (memo(MemoKind::Alert, 1), memo(MemoKind::Alert, 2));
        let apart = memo(MemoKind::NotLinked, 3);
        for memo in [&old, &renewed, &apart] {
            assert!(put(&mut conn, memo, 10).await.unwrap());
        }
        assert!(!put(&mut conn, &renewed, 20).await.unwrap(), "kept already");
        let_go(&mut conn, apart.id, 0).await.unwrap();
        assert_eq!(forget(&mut conn, KEPT_MS + 10).await.unwrap(), 0);
        assert_eq!(forget(&mut conn, KEPT_MS + 11).await.unwrap(), 1);
        let_go(&mut conn, renewed.id, 30).await.unwrap();
        assert_eq!(forget(&mut conn, 31).await.unwrap(), 1);
        let left: Vec<(Vec<u8>,)> =
            sqlx::query_as("select id from memo").fetch_all(&mut *conn).await.unwrap();
        assert_eq!(left, [(vec![3; 16],)]);
    }
}
