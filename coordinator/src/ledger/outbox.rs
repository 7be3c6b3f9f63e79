//! The `outbox` table: deliveries that were decided, leased to whoever tries them, retried until
//! the recipient has them on disk.
//!
//! A delivery that can never succeed is given up: it is settled like one that arrived, and keeps its
//! problem.

use causeway_proto::ids::{AgencyId, AlertId};

use super::{LedgerError, Tx, id, on, signed, unsigned};

/// A delivery on its way, leased to the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number.
    pub id: i64,
    /// Which alert.
    pub alert: AlertId,
    /// Which revision.
    pub revision: u32,
    /// To whom.
    pub recipient: AgencyId,
    /// The encoded `causeway.v1.Alert`.
    pub body: Vec<u8>,
    /// How often it was tried, this time included.
    pub attempts: u32,
}

/// What an agency will never get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Who.
    pub recipient: AgencyId,
    /// How many deliveries.
    pub deliveries: u64,
    /// What one of them ran into.
    pub problem: String,
}

/// How far an alert's deliveries have come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// The agencies it goes to or has reached, in order.
    pub recipients: Vec<AgencyId>,
    /// How many have it on disk.
    pub delivered: u32,
}

/// Decides a delivery. Deciding it twice is one delivery.
pub async fn put(
    tx: &mut Tx,
    alert: AlertId,
    revision: u32,
    recipient: &AgencyId,
    body: &[u8],
    now_ms: u64,
) -> Result<(), LedgerError> {
    let insert = "insert into outbox (alert_id, revision, recipient, body, next_try_ms)
         values ($1, $2, $3, $4, $5) on conflict (alert_id, revision, recipient) do nothing";
    on!(tx, |conn| sqlx::query(insert)
        .bind(&alert.as_bytes()[..])
        .bind(i64::from(revision))
        .bind(recipient.as_str())
        .bind(body)
        .bind(signed(now_ms))
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Leases up to `limit` deliveries that are due. A lease that is not settled in time runs out, and
/// the delivery is due again: its recipient recognises it.
pub async fn lease(
    tx: &mut Tx,
    now_ms: u64,
    until_ms: u64,
    limit: u32,
) -> Result<Vec<Delivery>, LedgerError> {
    // The outer conditions are checked again by PostgreSQL when another coordinator held the row.
    let update = "update outbox set lease_until_ms = $1, attempts = attempts + 1
         where delivered_ms is null and next_try_ms <= $2 and lease_until_ms <= $2 and id in
         (select id from outbox
          where delivered_ms is null and next_try_ms <= $2 and lease_until_ms <= $2
          order by id limit $3)
         returning id, alert_id, revision, recipient, body, attempts";
    type Row = (i64, Vec<u8>, i64, String, Vec<u8>, i64);
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(update)
        .bind(signed(until_ms))
        .bind(signed(now_ms))
        .bind(i64::from(limit))
        .fetch_all(conn)
        .await)?;
    let mut leased: Vec<Delivery> = rows
        .into_iter()
        .map(|(number, alert, revision, recipient, body, attempts)| {
            Ok(Delivery {
                id: number,
                alert: AlertId::from_bytes(id("alert id", alert)?),
                revision: revision.try_into().map_err(|_| LedgerError::Corrupt("revision"))?,
                recipient: recipient.parse().map_err(|_| LedgerError::Corrupt("recipient"))?,
                body,
                attempts: attempts.try_into().map_err(|_| LedgerError::Corrupt("attempts"))?,
            })
        })
        .collect::<Result<_, LedgerError>>()?;
    leased.sort_by_key(|delivery| delivery.id);
    Ok(leased)
}

/// Records that the recipient has it on disk, and forgets the handles.
pub async fn delivered(tx: &mut Tx, number: i64, now_ms: u64) -> Result<(), LedgerError> {
    settle(tx, number, now_ms, None).await
}

/// Gives a delivery back that did not succeed, to be tried again later.
pub async fn retry(
    tx: &mut Tx,
    number: i64,
    next_try_ms: u64,
    problem: &str,
) -> Result<(), LedgerError> {
    let update =
        "update outbox set lease_until_ms = 0, next_try_ms = $1, problem = $2 where id = $3";
    on!(tx, |conn| sqlx::query(update)
        .bind(signed(next_try_ms))
        .bind(problem)
        .bind(number)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Records that a delivery can never succeed, and why, and forgets the handles.
pub async fn give_up(
    tx: &mut Tx,
    number: i64,
    now_ms: u64,
    problem: &str,
) -> Result<(), LedgerError> {
    settle(tx, number, now_ms, Some(problem)).await
}

/// Ends a delivery, and forgets the handles.
async fn settle(
    tx: &mut Tx,
    number: i64,
    now_ms: u64,
    problem: Option<&str>,
) -> Result<(), LedgerError> {
    let empty: &[u8] = &[];
    let update = "update outbox set delivered_ms = $1, body = $2, problem = $3 where id = $4";
    on!(tx, |conn| sqlx::query(update)
        .bind(signed(now_ms))
        .bind(empty)
        .bind(problem)
        .bind(number)
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Returns what was given up since some time, by recipient.
pub async fn given_up(tx: &mut Tx, since_ms: u64) -> Result<Vec<GivenUp>, LedgerError> {
    let select = "select recipient, count(*), max(problem) from outbox
         where delivered_ms >= $1 and problem is not null group by recipient order by recipient";
    let rows: Vec<(String, i64, String)> =
        on!(tx, |conn| sqlx::query_as(select).bind(signed(since_ms)).fetch_all(conn).await)?;
    let row = |(name, count, problem): (String, i64, String)| {
        Ok(GivenUp {
            recipient: name.parse().map_err(|_| LedgerError::Corrupt("recipient"))?,
            deliveries: unsigned("count", count)?,
            problem,
        })
    };
    rows.into_iter().map(row).collect()
}

/// Makes everything that waits due now, except what is on its way.
pub async fn hurry(tx: &mut Tx, now_ms: u64) -> Result<(), LedgerError> {
    let update = "update outbox set next_try_ms = $1
         where delivered_ms is null and next_try_ms > $1 and lease_until_ms <= $1";
    on!(tx, |conn| sqlx::query(update).bind(signed(now_ms)).execute(conn).await.map(|_| ()))?;
    Ok(())
}

/// Returns how many deliveries are due or on their way: what waits for a later try is neither.
pub async fn under_way(tx: &mut Tx, now_ms: u64) -> Result<u64, LedgerError> {
    let select = "select count(*) from outbox
         where delivered_ms is null and (next_try_ms <= $1 or lease_until_ms > $1)";
    let (count,): (i64,) =
        on!(tx, |conn| sqlx::query_as(select).bind(signed(now_ms)).fetch_one(conn).await)?;
    unsigned("count", count)
}

/// Returns how many deliveries wait, and when the next of them is due.
pub async fn waiting(tx: &mut Tx) -> Result<(u64, Option<u64>), LedgerError> {
    let select = "select count(*), min(case when next_try_ms > lease_until_ms
         then next_try_ms else lease_until_ms end) from outbox where delivered_ms is null";
    let (count, due): (i64, Option<i64>) =
        on!(tx, |conn| sqlx::query_as(select).fetch_one(conn).await)?;
    Ok((unsigned("count", count)?, due.map(|ms| unsigned("time", ms)).transpose()?))
}

/// Returns how far one revision's deliveries have come.
pub async fn reached(tx: &mut Tx, alert: AlertId, revision: u32) -> Result<Reached, LedgerError> {
    let select = "select recipient, delivered_ms from outbox
         where alert_id = $1 and revision = $2 and (delivered_ms is null or problem is null)
         order by recipient";
    let rows: Vec<(String, Option<i64>)> = on!(tx, |conn| sqlx::query_as(select)
        .bind(&alert.as_bytes()[..])
        .bind(i64::from(revision))
        .fetch_all(conn)
        .await)?;
    let delivered = rows.iter().filter(|(_, delivered)| delivered.is_some()).count();
    let recipients = rows
        .into_iter()
        .map(|(name, _)| name.parse().map_err(|_| LedgerError::Corrupt("recipient")))
        .collect::<Result<_, _>>()?;
    Ok(Reached { recipients, delivered: u32::try_from(delivered).unwrap_or(u32::MAX) })
}

/// Returns every agency that was ever told of an alert, or will be, in order.
pub async fn told(tx: &mut Tx, alert: AlertId) -> Result<Vec<AgencyId>, LedgerError> {
    let select = "select distinct recipient from outbox
         where alert_id = $1 and (delivered_ms is null or problem is null) order by recipient";
    let rows: Vec<(String,)> =
        on!(tx, |conn| sqlx::query_as(select).bind(&alert.as_bytes()[..]).fetch_all(conn).await)?;
    let name = |(name,): (String,)| name.parse().map_err(|_| LedgerError::Corrupt("recipient"));
    rows.into_iter().map(name).collect()
}

/// Returns the agencies that have still not got some revision of an alert.
pub async fn on_its_way_to(tx: &mut Tx, alert: AlertId) -> Result<Vec<AgencyId>, LedgerError> {
    let select = "select distinct recipient from outbox
         where alert_id = $1 and delivered_ms is null order by recipient";
    let rows: Vec<(String,)> =
        on!(tx, |conn| sqlx::query_as(select).bind(&alert.as_bytes()[..]).fetch_all(conn).await)?;
    let name = |(name,): (String,)| name.parse().map_err(|_| LedgerError::Corrupt("recipient"));
    rows.into_iter().map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::Ledger;

    #[tokio::test]
    async fn what_was_given_up_waits_no_more_told_nobody_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_file(&folder.path().join("ledger.db")).await.unwrap();
        let mut tx = ledger.begin().await.unwrap();
        let id = AlertId::from_bytes([1; 16]);
        let [police, housing] = ["police", "housing"].map(|name| name.parse().unwrap());
        for recipient in [&police, &housing] {
            put(&mut tx, id, 1, recipient, b"body", 0).await.unwrap();
        }
        let leased = lease(&mut tx, 0, 30, 9).await.unwrap();
        give_up(&mut tx, leased[0].id, 10, "it is not enrolled any more").await.unwrap();
        assert_eq!(waiting(&mut tx).await.unwrap().0, 1);
        let others = vec![housing];
        assert_eq!(on_its_way_to(&mut tx, id).await.unwrap(), others);
        assert_eq!(told(&mut tx, id).await.unwrap(), others);
        let reached = reached(&mut tx, id, 1).await.unwrap();
        assert_eq!(reached, Reached { recipients: others, delivered: 0 });
        let problem = "it is not enrolled any more".to_owned();
        let expected = GivenUp { recipient: police, deliveries: 1, problem };
        assert_eq!(given_up(&mut tx, 10).await.unwrap(), [expected]);
        assert_eq!(given_up(&mut tx, 11).await.unwrap(), []);
    }
}
