//! The `sweep` table: which sweeps there were. A counter is never used twice.

use causeway_proto::{day::Day, ids::SweepId, limits::SWEEP_JUMP};
use serde::Deserialize;
use sqlx::PgConnection;

use super::{Ledger, LedgerError, Tx, id, on, signed, unsigned};

/// A sweep as the ledger remembers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastSweep {
    /// Which.
    pub id: SweepId,
    /// The day its scores speak of.
    pub as_at: Day,
    /// The version of the scoring model.
    pub model: String,
    /// SHA-256 of the model's file, in hexadecimal; empty for sweeps of before this was kept.
    pub model_sha256: String,
    /// Unix milliseconds.
    pub opened_ms: u64,
    /// Unix milliseconds; `None` while it is open, or when it never came to an end.
    pub closed_ms: Option<u64>,
    /// Why it was given up, if it was.
    pub failed: Option<String>,
}

/// The right to sweep, among all coordinators on one ledger. Dropping it gives it back.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "held, not read")] Option<PgConnection>);

/// Why a sweep was given up, as its report says it.
#[derive(Deserialize)]
struct Ending {
    failed: Option<String>,
}

/// Claims the right to sweep; `None` while another coordinator has it. Whoever has a file has it alone.
///
/// The right is bound to a connection, so that it is free when its holder dies. A moment is waited for one
/// that was just given back: the server has to see the connection go.
pub async fn claim(ledger: &Ledger) -> Result<Option<Claim>, LedgerError> {
    let Ledger::Postgres(pool) = ledger else { return Ok(Some(Claim(None))) };
    let mut conn = pool.acquire().await?.detach();
    // A machine that lost its power says no goodbye.
    let patience = "set lock_timeout = '2s'; set tcp_keepalives_idle = 30;
         set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3";
    sqlx::raw_sql(patience).execute(&mut conn).await?;
    let lock = "select pg_advisory_lock(1128353619, 1)";
    match sqlx::query(lock).execute(&mut conn).await {
        Ok(_) => Ok(Some(Claim(Some(conn)))),
        Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some("55P03") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns whether some coordinator has the right to sweep.
pub async fn is_claimed(tx: &mut Tx) -> Result<bool, LedgerError> {
    let Tx::Postgres(tx) = tx else { return Ok(false) };
    let select = "select count(*) from pg_locks
         where locktype = 'advisory' and classid = 1128353619 and objid = 1 and objsubid = 2 and granted
         and database = (select oid from pg_database where datname = current_database())";
    let (held,): (i64,) = sqlx::query_as(select).fetch_one(&mut **tx).await?;
    Ok(held > 0)
}

/// Records a new sweep and returns its id, with a counter above every earlier one.
pub async fn open(
    tx: &mut Tx,
    random: [u8; 8],
    as_at: Day,
    (model, model_sha256): (&str, &str),
    now_ms: u64,
) -> Result<SweepId, LedgerError> {
    let sweep = SweepId::new(last_counter(tx).await? + 1, random);
    let insert = "insert into sweep (id, counter, as_at_day, model, model_sha256, opened_ms)
         values ($1, $2, $3, $4, $5, $6)";
    on!(tx, |conn| sqlx::query(insert)
        .bind(&sweep.as_bytes()[..])
        .bind(signed(sweep.counter()))
        .bind(i64::from(as_at.number()))
        .bind(model)
        .bind(model_sha256)
        .bind(signed(now_ms))
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(sweep)
}

/// Returns the highest counter that was used, 0 before the first.
async fn last_counter(tx: &mut Tx) -> Result<u64, LedgerError> {
    let select = "select coalesce(max(counter), 0) from sweep";
    let (last,): (i64,) = on!(tx, |conn| sqlx::query_as(select).fetch_one(conn).await)?;
    unsigned("counter", last)
}

/// Leaves out the counters up to `through`, which another ledger used. Returns the next sweep's.
///
/// # Errors
/// Fails where nodes that know of this ledger's last sweep would refuse the next one, and all after it.
pub async fn skip(tx: &mut Tx, through: u64, as_at: Day, now_ms: u64) -> Result<u64, LedgerError> {
    let last = last_counter(tx).await?;
    if through <= last {
        return Ok(last + 1);
    }
    if last > 0 && through - last >= SWEEP_JUMP {
        return Err(LedgerError::Jump { last, furthest: last + SWEEP_JUMP - 1 });
    }
    let insert =
        "insert into sweep (id, counter, as_at_day, model, model_sha256, opened_ms, closed_ms)
         values ($1, $2, $3, '', '', $4, $4)";
    on!(tx, |conn| sqlx::query(insert)
        .bind(&SweepId::new(through, [0; 8]).as_bytes()[..])
        .bind(signed(through))
        .bind(i64::from(as_at.number()))
        .bind(signed(now_ms))
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(through + 1)
}

/// Records what a sweep's pass came to, while it goes on.
pub async fn keep(tx: &mut Tx, sweep: SweepId, report: &str) -> Result<(), LedgerError> {
    let update = "update sweep set report = $1 where id = $2";
    on!(tx, |conn| sqlx::query(update)
        .bind(report)
        .bind(&sweep.as_bytes()[..])
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Records a sweep's end and its result. That of one that was given up says why, as `failed`.
pub async fn close(
    tx: &mut Tx,
    sweep: SweepId,
    report: &str,
    now_ms: u64,
) -> Result<(), LedgerError> {
    let update = "update sweep set closed_ms = $1, report = $2 where id = $3";
    on!(tx, |conn| sqlx::query(update)
        .bind(signed(now_ms))
        .bind(report)
        .bind(&sweep.as_bytes()[..])
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Returns the newest sweep.
pub async fn last(tx: &mut Tx) -> Result<Option<PastSweep>, LedgerError> {
    type Row = (Vec<u8>, i64, String, String, i64, Option<i64>, Option<String>);
    let select = "select id, as_at_day, model, model_sha256, opened_ms, closed_ms, report
         from sweep order by counter desc limit 1";
    let row: Option<Row> = on!(tx, |conn| sqlx::query_as(select).fetch_optional(conn).await)?;
    let Some((sweep, as_at, model, model_sha256, opened_ms, closed_ms, report)) = row else {
        return Ok(None);
    };
    let ending = report.and_then(|report| serde_json::from_str::<Ending>(&report).ok());
    Ok(Some(PastSweep {
        id: SweepId::from_bytes(id("sweep id", sweep)?),
        as_at: super::alerts::day(as_at)?,
        model,
        model_sha256,
        opened_ms: unsigned("time", opened_ms)?,
        closed_ms: closed_ms.map(|ms| unsigned("time", ms)).transpose()?,
        failed: ending.and_then(|ending| ending.failed),
    }))
}

/// Returns the report of the newest sweep that came to a result. One that was given up before it did says
/// nothing but why.
pub async fn last_report(tx: &mut Tx) -> Result<Option<String>, LedgerError> {
    let select = "select report from sweep where report is not null
         and report not like '{\"failed\":%' order by counter desc limit 1";
    let row: Option<(String,)> = on!(tx, |conn| sqlx::query_as(select).fetch_optional(conn).await)?;
    Ok(row.map(|(report,)| report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sweep_that_was_given_up_says_why_and_hides_no_earlier_result() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_file(&folder.path().join("ledger.db")).await.unwrap();
        let mut tx = ledger.begin().await.unwrap();
        let day = Day::new(2025, 2, 25).unwrap();
        let made = r#"{"sweep":1,"persons":7}"#;
        let first = open(&mut tx, [1; 8], day, ("m", ""), 1).await.unwrap();
        keep(&mut tx, first, made).await.unwrap();
        let last_sweep = last(&mut tx).await.unwrap().unwrap();
        assert_eq!((last_sweep.closed_ms, last_sweep.failed), (None, None), "it goes on");
        assert_eq!(last_report(&mut tx).await.unwrap().as_deref(), Some(made));
        close(&mut tx, first, made, 2).await.unwrap();

        let second = open(&mut tx, [2; 8], day, ("m", ""), 3).await.unwrap();
        let why = serde_json::json!({ "failed": "nobody came" }).to_string();
        close(&mut tx, second, &why, 4).await.unwrap();
        let last_sweep = last(&mut tx).await.unwrap().unwrap();
        assert_eq!(last_sweep.failed.as_deref(), Some("nobody came"));
        assert_eq!(last_report(&mut tx).await.unwrap().as_deref(), Some(made));
    }

    #[tokio::test]
    async fn counters_that_another_ledger_used_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_file(&folder.path().join("ledger.db")).await.unwrap();
        let mut tx = ledger.begin().await.unwrap();
        let day = Day::new(2025, 2, 25).unwrap();
        assert_eq!(skip(&mut tx, 17, day, 1).await.unwrap(), 18);
        assert_eq!(skip(&mut tx, 16, day, 2).await.unwrap(), 18);
        let next = open(&mut tx, [1; 8], day, ("m", ""), 3).await.unwrap();
        assert_eq!(next.counter(), 18);
    }

    #[tokio::test]
    async fn no_slip_numbers_a_sweep_that_every_node_would_refuse() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_file(&folder.path().join("ledger.db")).await.unwrap();
        let mut tx = ledger.begin().await.unwrap();
        let day = Day::new(2025, 2, 25).unwrap();
        // A ledger that knows of no sweep has nothing to measure it by.
        assert_eq!(skip(&mut tx, 412, day, 1).await.unwrap(), 413);
        let slip = skip(&mut tx, 412 + SWEEP_JUMP, day, 2).await.unwrap_err();
        assert!(matches!(slip, LedgerError::Jump { last: 412, furthest: 1411 }), "{slip}");
        assert_eq!(skip(&mut tx, 1411, day, 3).await.unwrap(), 412 + SWEEP_JUMP);
    }
}
