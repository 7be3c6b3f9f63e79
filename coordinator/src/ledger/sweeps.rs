//! The `sweep` table: which sweeps there were. A counter is never used twice.

use causeway_proto::{day::Day, ids::SweepId};

use super::{LedgerError, Tx, id, on, signed, unsigned};

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
}

/// Records a new sweep and returns its id, with a counter above every earlier one.
pub async fn open(
    tx: &mut Tx,
    random: [u8; 8],
    as_at: Day,
    (model, model_sha256): (&str, &str),
    now_ms: u64,
) -> Result<SweepId, LedgerError> {
    let select = "select coalesce(max(counter), 0) from sweep";
    let (last,): (i64,) = on!(tx, |conn| sqlx::query_as(select).fetch_one(conn).await)?;
    let sweep = SweepId::new(unsigned("counter", last)? + 1, random);
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

/// Records a sweep's end and its result.
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
    type Row = (Vec<u8>, i64, String, String, i64, Option<i64>);
    let select = "select id, as_at_day, model, model_sha256, opened_ms, closed_ms
         from sweep order by counter desc limit 1";
    let row: Option<Row> = on!(tx, |conn| sqlx::query_as(select).fetch_optional(conn).await)?;
    let Some((sweep, as_at, model, model_sha256, opened_ms, closed_ms)) = row else {
        return Ok(None);
    };
    Ok(Some(PastSweep {
        id: SweepId::from_bytes(id("sweep id", sweep)?),
        as_at: super::alerts::day(as_at)?,
        model,
        model_sha256,
        opened_ms: unsigned("time", opened_ms)?,
        closed_ms: closed_ms.map(|ms| unsigned("time", ms)).transpose()?,
    }))
}

/// Returns the report of the newest sweep that came to an end.
pub async fn last_report(tx: &mut Tx) -> Result<Option<String>, LedgerError> {
    let select = "select report from sweep where report is not null order by counter desc limit 1";
    let row: Option<(String,)> = on!(tx, |conn| sqlx::query_as(select).fetch_optional(conn).await)?;
    Ok(row.map(|(report,)| report))
}
