//! The `memo` table: findings that this node keeps with its own records.

use causeway_proto::{day::Day, ids::MemoId, sweep::MemoKind};
use sqlx::SqliteConnection;

use super::{StoreError, fixed, unsigned};

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

/// Keeps a finding; keeping it again changes its score and day.
pub async fn put(conn: &mut SqliteConnection, memo: &KeptMemo) -> Result<(), StoreError> {
    sqlx::query(
        "insert into memo (kind, id, record_feed, record_key, score_tenths, made_day)
         values (?, ?, ?, ?, ?, ?) on conflict do update
         set score_tenths = excluded.score_tenths, made_day = excluded.made_day",
    )
    .bind(memo.kind.as_str())
    .bind(&memo.id.as_bytes()[..])
    .bind(&memo.record.0)
    .bind(&memo.record.1)
    .bind(memo.score_tenths)
    .bind(memo.made.number())
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns every finding with the row of the person it belongs to now.
pub async fn with_rows(conn: &mut SqliteConnection) -> Result<Vec<(KeptMemo, u64)>, StoreError> {
    type Row = (String, Vec<u8>, String, String, u32, i32, i64);
    let rows: Vec<Row> = sqlx::query_as(
        "select memo.kind, memo.id, record_feed, record_key, score_tenths, made_day, person.row
         from memo join record on record.feed = record_feed and record.key = record_key
         join person on person.id = record.person",
    )
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(kind, id, feed, key, score_tenths, made, row)| {
            let memo = KeptMemo {
                kind: kind.parse().map_err(|_| StoreError::Corrupt("memo kind"))?,
                id: MemoId::from_bytes(fixed("memo id", id)?),
                record: (feed, key),
                score_tenths,
                made: Day::from_wire("day", made).map_err(|_| StoreError::Corrupt("day"))?,
            };
            Ok((memo, unsigned("row", row)?))
        })
        .collect()
}
