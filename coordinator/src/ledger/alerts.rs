//! The `alert` table: what was decided, one row a revision, never changed.

use causeway_proto::{
    alert::{AlertChange, AlertSubject, Tier},
    day::Day,
    ids::{AlertId, SweepId},
};

use super::{LedgerError, Tx, id, on, signed, unsigned};

/// One revision of an alert, as it was decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decided {
    /// Which alert.
    pub id: AlertId,
    /// Which revision.
    pub revision: u32,
    /// What it does.
    pub change: AlertChange,
    /// The sweep it came from.
    pub sweep: SweepId,
    /// Whom it is about.
    pub subject: AlertSubject,
    /// How high.
    pub tier: Tier,
    /// The joined score in tenths.
    pub score_tenths: u32,
    /// The day it speaks of.
    pub as_at: Day,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// Why, as JSON; holds no handle.
    pub explanation: String,
    /// Why this revision was issued, in a word: see [`Why`](crate::route::surfacing::Why).
    pub reason: String,
}

type Row = (Vec<u8>, i64, String, Vec<u8>, String, String, i64, i64, i64, String, String);

/// Records a revision.
pub async fn put(tx: &mut Tx, alert: &Decided) -> Result<(), LedgerError> {
    let insert = "insert into alert (alert_id, revision, change, sweep_id, subject, tier,
         score_tenths, as_at_day, created_ms, explanation, reason)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    on!(tx, |conn| sqlx::query(insert)
        .bind(&alert.id.as_bytes()[..])
        .bind(i64::from(alert.revision))
        .bind(alert.change.as_str())
        .bind(&alert.sweep.as_bytes()[..])
        .bind(alert.subject.as_str())
        .bind(alert.tier.as_str())
        .bind(i64::from(alert.score_tenths))
        .bind(i64::from(alert.as_at.number()))
        .bind(signed(alert.created_ms))
        .bind(&alert.explanation)
        .bind(&alert.reason)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Returns the latest revision of every alert, newest first.
pub async fn latest(tx: &mut Tx, limit: u32) -> Result<Vec<Decided>, LedgerError> {
    let select = "select alert_id, revision, change, sweep_id, subject, tier, score_tenths,
         as_at_day, created_ms, explanation, reason from alert as a
         where not exists
         (select 1 from alert as b where b.alert_id = a.alert_id and b.revision > a.revision)
         order by created_ms desc, score_tenths desc, alert_id limit $1";
    let rows: Vec<Row> =
        on!(tx, |conn| sqlx::query_as(select).bind(i64::from(limit)).fetch_all(conn).await)?;
    rows.into_iter().map(read).collect()
}

/// Returns the latest revision of one alert.
pub async fn find(tx: &mut Tx, alert: AlertId) -> Result<Option<Decided>, LedgerError> {
    let select = "select alert_id, revision, change, sweep_id, subject, tier, score_tenths,
         as_at_day, created_ms, explanation, reason from alert
         where alert_id = $1 order by revision desc limit 1";
    let row: Option<Row> = on!(tx, |conn| sqlx::query_as(select)
        .bind(&alert.as_bytes()[..])
        .fetch_optional(conn)
        .await)?;
    row.map(read).transpose()
}

/// Returns one revision of one alert.
pub async fn revision(
    tx: &mut Tx,
    alert: AlertId,
    revision: u32,
) -> Result<Option<Decided>, LedgerError> {
    let select = "select alert_id, revision, change, sweep_id, subject, tier, score_tenths,
         as_at_day, created_ms, explanation, reason from alert
         where alert_id = $1 and revision = $2";
    let row: Option<Row> = on!(tx, |conn| sqlx::query_as(select)
        .bind(&alert.as_bytes()[..])
        .bind(i64::from(revision))
        .fetch_optional(conn)
        .await)?;
    row.map(read).transpose()
}

/// Returns the tiers of what was pushed as news after one day and up to another. What was taken back
/// or only said again, be it to somebody who was away, is no news.
pub async fn pushed(tx: &mut Tx, after: Day, up_to: Day) -> Result<Vec<Tier>, LedgerError> {
    let select = "select tier from alert
         where as_at_day > $1 and as_at_day <= $2 and change <> 'cancel'
         and reason not in ('withdrawn', 'unanswered', 'was_away')";
    let rows: Vec<(String,)> = on!(tx, |conn| sqlx::query_as(select)
        .bind(i64::from(after.number()))
        .bind(i64::from(up_to.number()))
        .fetch_all(conn)
        .await)?;
    let tier = |(tier,): (String,)| tier.parse().map_err(|_| LedgerError::Corrupt("tier"));
    rows.into_iter().map(tier).collect()
}

/// Returns how many alerts were issued.
pub async fn count(tx: &mut Tx) -> Result<u64, LedgerError> {
    let select = "select count(distinct alert_id) from alert";
    let (count,): (i64,) = on!(tx, |conn| sqlx::query_as(select).fetch_one(conn).await)?;
    unsigned("count", count)
}

fn read(row: Row) -> Result<Decided, LedgerError> {
    let (alert, revision, change, sweep, subject, tier, score, as_at, created, why, reason) = row;
    let number = |what, value: i64| u32::try_from(value).map_err(|_| LedgerError::Corrupt(what));
    Ok(Decided {
        id: AlertId::from_bytes(id("alert id", alert)?),
        revision: number("revision", revision)?,
        change: change.parse().map_err(|_| LedgerError::Corrupt("change"))?,
        sweep: SweepId::from_bytes(id("sweep id", sweep)?),
        subject: subject.parse().map_err(|_| LedgerError::Corrupt("subject"))?,
        tier: tier.parse().map_err(|_| LedgerError::Corrupt("tier"))?,
        score_tenths: number("score", score)?,
        as_at: day(as_at)?,
        created_ms: unsigned("time", created)?,
        explanation: why,
        reason,
    })
}

/// Reads a day.
pub(super) fn day(number: i64) -> Result<Day, LedgerError> {
    i32::try_from(number)
        .ok()
        .and_then(|number| Day::from_wire("day", number).ok())
        .ok_or(LedgerError::Corrupt("day"))
}
