//! The `heard` table: up to which day each agency's data was part of a sweep. Concerns no person.

use std::collections::BTreeMap;

use causeway_proto::{day::Day, ids::AgencyId};

use super::{LedgerError, Tx, alerts::day, on};

/// Records up to which day an agency's data reach. An earlier day than is known changes nothing.
pub async fn put(tx: &mut Tx, agency: &AgencyId, good: Day) -> Result<(), LedgerError> {
    let insert = "insert into heard (agency, good_day) values ($1, $2)
         on conflict (agency) do update set good_day = excluded.good_day
         where excluded.good_day > heard.good_day";
    on!(tx, |conn| sqlx::query(insert)
        .bind(agency.as_str())
        .bind(i64::from(good.number()))
        .execute(conn)
        .await
        .map(|_| ()))?;
    Ok(())
}

/// Returns up to which day each agency's data reach.
pub async fn all(tx: &mut Tx) -> Result<BTreeMap<String, Day>, LedgerError> {
    let select = "select agency, good_day from heard order by agency";
    let rows: Vec<(String, i64)> = on!(tx, |conn| sqlx::query_as(select).fetch_all(conn).await)?;
    rows.into_iter().map(|(agency, good)| Ok((agency, day(good)?))).collect()
}
