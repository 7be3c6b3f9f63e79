//! The `standing` table: what was last told by alert, so that only news is told again.

use causeway_proto::{
    day::Day,
    ids::{AgencyId, AlertId},
};

use super::{LedgerError, Tx, id, on};
use crate::route::surfacing::Told;

/// How an alert stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Which.
    pub alert: AlertId,
    /// Whether it may still be told of.
    pub state: State,
    /// What was last told.
    pub told: Told,
    /// The agencies that held records of it then.
    pub holders: Vec<AgencyId>,
    /// Whether everybody was reminded since.
    pub reminded: bool,
    /// When a recipient's own records showed that somebody acts.
    pub action_seen: Option<Day>,
}

/// Whether an alert may still be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may.
    Open,
    /// It faded.
    Closed,
    /// What it said was taken back.
    Cancelled,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
        }
    }
}

/// Records how an alert stands now.
pub async fn put(tx: &mut Tx, standing: &Standing) -> Result<(), LedgerError> {
    let insert = "insert into standing (alert_id, state, told, holders, reminded, action_seen_day)
         values ($1, $2, $3, $4, $5, $6) on conflict (alert_id) do update
         set state = excluded.state, told = excluded.told, holders = excluded.holders,
         reminded = excluded.reminded, action_seen_day = excluded.action_seen_day";
    let told = serde_json::to_string(&standing.told).expect("plain data");
    let holders: Vec<&str> = standing.holders.iter().map(AgencyId::as_str).collect();
    on!(tx, |conn| sqlx::query(insert)
        .bind(&standing.alert.as_bytes()[..])
        .bind(standing.state.as_str())
        .bind(told)
        .bind(holders.join(","))
        .bind(i64::from(standing.reminded))
        .bind(standing.action_seen.map(|day| i64::from(day.number())))
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

type Row = (Vec<u8>, String, String, String, i64, Option<i64>);

/// Returns how one alert stands.
pub async fn find(tx: &mut Tx, alert: AlertId) -> Result<Option<Standing>, LedgerError> {
    let select = "select alert_id, state, told, holders, reminded, action_seen_day
         from standing where alert_id = $1";
    let row: Option<Row> = on!(tx, |conn| sqlx::query_as(select)
        .bind(&alert.as_bytes()[..])
        .fetch_optional(conn)
        .await)?;
    row.map(read).transpose()
}

/// Returns every open alert, in the order of their ids.
pub async fn open(tx: &mut Tx) -> Result<Vec<Standing>, LedgerError> {
    let select = "select alert_id, state, told, holders, reminded, action_seen_day
         from standing where state = 'open' order by alert_id";
    let rows: Vec<Row> = on!(tx, |conn| sqlx::query_as(select).fetch_all(conn).await)?;
    rows.into_iter().map(read).collect()
}

fn read((alert, state, told, holders, reminded, seen): Row) -> Result<Standing, LedgerError> {
    let holders = holders.split(',').filter(|name| !name.is_empty());
    Ok(Standing {
        alert: AlertId::from_bytes(id("alert id", alert)?),
        state: match state.as_str() {
            "open" => State::Open,
            "closed" => State::Closed,
            "cancelled" => State::Cancelled,
            _ => return Err(LedgerError::Corrupt("state")),
        },
        told: serde_json::from_str(&told).map_err(|_| LedgerError::Corrupt("standing"))?,
        holders: holders
            .map(|name| name.parse().map_err(|_| LedgerError::Corrupt("holder")))
            .collect::<Result<_, _>>()?,
        reminded: reminded != 0,
        action_seen: seen.map(super::alerts::day).transpose()?,
    })
}
