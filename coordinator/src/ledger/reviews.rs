//! The `review` table: what professionals made of their alerts.

use causeway_proto::{
    ids::{AgencyId, AlertId, LineId, ReviewId},
    review::{Review, ReviewAction},
};

use super::{LedgerError, Tx, id, on, signed};

/// A review as a node sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// What it says.
    pub review: Review,
    /// Who sent it.
    pub agency: AgencyId,
    /// The score of the revision that was looked at, in tenths.
    pub score_tenths: u32,
}

impl Received {
    /// Returns whether there was something to do that was not in hand already.
    pub fn is_useful(&self) -> bool {
        let useless = [ReviewAction::NoFurtherAction, ReviewAction::AlreadyInHand];
        !useless.contains(&self.review.action)
    }
}

/// Keeps a review. Returns false when it was there already.
pub async fn put(tx: &mut Tx, received: &Received, now_ms: u64) -> Result<bool, LedgerError> {
    let insert =
        "insert into review (review_id, alert_id, revision, agency, action, reason, line_id,
         reviewed_day, score_tenths, received_ms)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) on conflict (review_id) do nothing";
    let Received { review, agency, score_tenths } = received;
    let rows = on!(tx, |conn| sqlx::query(insert)
        .bind(&review.id.as_bytes()[..])
        .bind(&review.alert.as_bytes()[..])
        .bind(i64::from(review.revision))
        .bind(agency.as_str())
        .bind(review.action.as_str())
        .bind(review.reason.map(|reason| reason.as_str()))
        .bind(review.line.map(|line| line.as_bytes().to_vec()))
        .bind(i64::from(review.day.number()))
        .bind(i64::from(*score_tenths))
        .bind(signed(now_ms))
        .execute(conn)
        .await
        .map(|done| done.rows_affected()))?;
    Ok(rows > 0)
}

/// Returns every review of one alert, newest first.
pub async fn of_alert(tx: &mut Tx, alert: AlertId) -> Result<Vec<Received>, LedgerError> {
    let select = "select review_id, alert_id, revision, agency, action, reason, line_id,
         reviewed_day, score_tenths from review
         where alert_id = $1 order by received_ms desc, review_id";
    let rows: Vec<Row> =
        on!(tx, |conn| sqlx::query_as(select).bind(&alert.as_bytes()[..]).fetch_all(conn).await)?;
    rows.into_iter().map(read).collect()
}

/// Returns which reviews of one alert are kept of one agency.
pub async fn of_agency(
    tx: &mut Tx,
    alert: AlertId,
    agency: &AgencyId,
) -> Result<Vec<ReviewId>, LedgerError> {
    let select = "select review_id from review where alert_id = $1 and agency = $2";
    let rows: Vec<(Vec<u8>,)> = on!(tx, |conn| sqlx::query_as(select)
        .bind(&alert.as_bytes()[..])
        .bind(agency.as_str())
        .fetch_all(conn)
        .await)?;
    rows.into_iter().map(|(review,)| Ok(ReviewId::from_bytes(id("review id", review)?))).collect()
}

/// Returns the reviews whose consequences the nodes do not keep yet, oldest first.
pub async fn unsettled(tx: &mut Tx) -> Result<Vec<Received>, LedgerError> {
    let select = "select review_id, alert_id, revision, agency, action, reason, line_id,
         reviewed_day, score_tenths from review where settled = 0 order by received_ms, review_id";
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(select).fetch_all(conn).await)?;
    rows.into_iter().map(read).collect()
}

/// Records that the nodes keep what follows from a review.
pub async fn settle(tx: &mut Tx, review: ReviewId) -> Result<(), LedgerError> {
    let update = "update review set settled = 1 where review_id = $1";
    on!(tx, |conn| sqlx::query(update)
        .bind(&review.as_bytes()[..])
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Returns the latest reviews of all, newest first: of each revision of an alert the last by each agency,
/// however often it answered.
pub async fn latest(tx: &mut Tx, limit: u32) -> Result<Vec<Received>, LedgerError> {
    let select = "select review_id, alert_id, revision, agency, action, reason, line_id,
         reviewed_day, score_tenths from review as r
         where not exists
         (select 1 from review as l where l.alert_id = r.alert_id and l.agency = r.agency
          and l.revision = r.revision and (l.received_ms > r.received_ms
          or (l.received_ms = r.received_ms and l.review_id < r.review_id)))
         order by received_ms desc, review_id limit $1";
    let rows: Vec<Row> =
        on!(tx, |conn| sqlx::query_as(select).bind(i64::from(limit)).fetch_all(conn).await)?;
    rows.into_iter().map(read).collect()
}

type Row = (Vec<u8>, Vec<u8>, i64, String, String, Option<String>, Option<Vec<u8>>, i64, i64);

fn read(row: Row) -> Result<Received, LedgerError> {
    let (review, alert, revision, agency, action, reason, line, day, score) = row;
    let reason = reason.map(|reason| reason.parse());
    Ok(Received {
        review: Review {
            id: ReviewId::from_bytes(id("review id", review)?),
            alert: AlertId::from_bytes(id("alert id", alert)?),
            revision: revision.try_into().map_err(|_| LedgerError::Corrupt("revision"))?,
            action: action.parse().map_err(|_| LedgerError::Corrupt("action"))?,
            reason: reason.transpose().map_err(|_| LedgerError::Corrupt("reason"))?,
            line: line.map(|line| id("line id", line)).transpose()?.map(LineId::from_bytes),
            day: super::alerts::day(day)?,
        },
        agency: agency.parse().map_err(|_| LedgerError::Corrupt("agency"))?,
        score_tenths: score.try_into().map_err(|_| LedgerError::Corrupt("score"))?,
    })
}
