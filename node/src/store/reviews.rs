//! The `review` table: what was typed here, until the coordinator has it on disk.

use causeway_proto::{
    day::Day,
    ids::{AlertId, LineId, ReviewId},
    review::Review,
};
use sqlx::SqliteConnection;

use super::{StoreError, fixed, signed, unsigned};

/// A review as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptReview {
    /// What it says.
    pub review: Review,
    /// How often it was sent in vain.
    pub attempts: u32,
    /// When the coordinator had it on disk, in Unix milliseconds.
    pub sent_ms: Option<u64>,
    /// What the last attempt ran into.
    pub problem: Option<String>,
    /// Whether the coordinator will never take it, so that it is not sent again.
    pub refused: bool,
}

/// Keeps a review, to be sent at once.
pub async fn put(
    conn: &mut SqliteConnection,
    review: &Review,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into review (review_id, alert_id, revision, action, reason, line_id, reviewed_day,
         made_ms, next_try_ms) values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(&review.id.as_bytes()[..])
    .bind(&review.alert.as_bytes()[..])
    .bind(review.revision)
    .bind(review.action.as_str())
    .bind(review.reason.map(|reason| reason.as_str()))
    .bind(review.line.map(|line| line.as_bytes().to_vec()))
    .bind(review.day.number())
    .bind(signed(now_ms))
    .bind(signed(now_ms))
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns up to `limit` reviews that are due to be sent, oldest first.
pub async fn due(
    conn: &mut SqliteConnection,
    now_ms: u64,
    limit: u32,
) -> Result<Vec<KeptReview>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select review_id, alert_id, revision, action, reason, line_id, reviewed_day, attempts,
         sent_ms, problem, next_try_ms from review
         where sent_ms is null and next_try_ms <= ? order by made_ms, review_id limit ?",
    )
    .bind(signed(now_ms))
    .bind(limit)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(read).collect()
}

/// Records that the coordinator has it on disk.
pub async fn sent(
    conn: &mut SqliteConnection,
    review: ReviewId,
    now_ms: u64,
) -> Result<(), StoreError> {
    sqlx::query("update review set sent_ms = ?, problem = null where review_id = ?")
        .bind(signed(now_ms))
        .bind(&review.as_bytes()[..])
        .execute(conn)
        .await?;
    Ok(())
}

/// Puts a review off that could not be sent.
pub async fn retry(
    conn: &mut SqliteConnection,
    review: ReviewId,
    next_try_ms: u64,
    problem: &str,
) -> Result<(), StoreError> {
    sqlx::query(
        "update review set attempts = attempts + 1, next_try_ms = ?, problem = ?
         where review_id = ?",
    )
    .bind(signed(next_try_ms))
    .bind(problem)
    .bind(&review.as_bytes()[..])
    .execute(conn)
    .await?;
    Ok(())
}

/// When a review is due that is never sent again.
const NEVER_MS: u64 = i64::MAX.cast_unsigned();

/// Lets a review rest that the coordinator will never take.
pub async fn give_up(
    conn: &mut SqliteConnection,
    review: ReviewId,
    problem: &str,
) -> Result<(), StoreError> {
    retry(conn, review, NEVER_MS, problem).await
}

/// Returns the latest review of an alert.
pub async fn latest(
    conn: &mut SqliteConnection,
    alert: AlertId,
) -> Result<Option<KeptReview>, StoreError> {
    let row: Option<Row> = sqlx::query_as(
        "select review_id, alert_id, revision, action, reason, line_id, reviewed_day, attempts,
         sent_ms, problem, next_try_ms from review where alert_id = ? order by made_ms desc, rowid desc limit 1",
    )
    .bind(&alert.as_bytes()[..])
    .fetch_optional(conn)
    .await?;
    row.map(read).transpose()
}

type Row = (
    Vec<u8>,
    Vec<u8>,
    u32,
    String,
    Option<String>,
    Option<Vec<u8>>,
    i32,
    u32,
    Option<i64>,
    Option<String>,
    i64,
);

fn read(row: Row) -> Result<KeptReview, StoreError> {
    let (id, alert, revision, action, reason, line, day, attempts, sent, problem, next_try) = row;
    let reason = reason.map(|reason| reason.parse());
    Ok(KeptReview {
        review: Review {
            id: ReviewId::from_bytes(fixed("review id", id)?),
            alert: AlertId::from_bytes(fixed("alert id", alert)?),
            revision,
            action: action.parse().map_err(|_| StoreError::Corrupt("action"))?,
            reason: reason.transpose().map_err(|_| StoreError::Corrupt("reason"))?,
            line: line.map(|line| fixed("line id", line)).transpose()?.map(LineId::from_bytes),
            day: Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"))?,
        },
        attempts,
        sent_ms: sent.map(|ms| unsigned("time", ms)).transpose()?,
        problem,
        refused: sent.is_none() && next_try == signed(NEVER_MS),
    })
}

#[cfg(test)]
mod tests {
    use causeway_proto::review::ReviewAction;

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_review_waits_until_it_was_sent() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let review = Review {
            id: ReviewId::from_bytes([1; 16]),
            alert: AlertId::from_bytes([2; 16]),
            revision: 1,
            action: ReviewAction::WrongRecord,
            reason: None,
            line: Some(LineId::from_bytes([3; 16])),
            day: Day::new(2025, 2, 25).unwrap(),
        };
        put(&mut conn, &review, 5).await.unwrap();
        assert_eq!(due(&mut conn, 5, 9).await.unwrap()[0].review, review);
        retry(&mut conn, review.id, 50, "nobody there").await.unwrap();
        assert_eq!(due(&mut conn, 49, 9).await.unwrap(), []);
        assert_eq!(due(&mut conn, 50, 9).await.unwrap()[0].attempts, 1);
        give_up(&mut conn, review.id, "never").await.unwrap();
        assert_eq!(due(&mut conn, u64::MAX >> 2, 9).await.unwrap(), []);
        let given_up = latest(&mut conn, review.alert).await.unwrap().unwrap();
        assert!(given_up.refused && given_up.problem.as_deref() == Some("never"));
        sent(&mut conn, review.id, 60).await.unwrap();
        assert_eq!(due(&mut conn, 99, 9).await.unwrap(), []);
        let latest = latest(&mut conn, review.alert).await.unwrap().unwrap();
        assert_eq!((latest.sent_ms, latest.problem), (Some(60), None));
    }
}
