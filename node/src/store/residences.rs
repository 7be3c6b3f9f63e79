//! The `residence` table: where each record's person lives, in the spelling every node agrees on.

use std::collections::{HashMap, HashSet};

use causeway_proto::day::Day;
use sqlx::{QueryBuilder, SqliteConnection};

use super::{StoreError, many};

/// What is known of a home.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It names one dwelling.
    Known,
    /// It names none, or several.
    Uncertain,
    /// It must not be told.
    Withheld,
}

/// Where one record's person lives.
#[derive(Clone, PartialEq, Eq)]
pub struct Home {
    /// The record.
    pub record: i64,
    /// Whether it names one dwelling.
    pub certainty: Certainty,
    /// Unique property reference number.
    pub property: Option<String>,
    /// Postcode, house and start of the street.
    pub building: Option<String>,
    /// Which part of the building.
    pub flat: Option<String>,
    /// The whole surname first, then its parts; spaces between.
    pub surnames: String,
    /// First day of residence.
    pub from: Option<Day>,
    /// Last day of residence.
    pub to: Option<Day>,
}

/// Stores homes, replacing what was there.
pub async fn put(conn: &mut SqliteConnection, homes: &[Home]) -> Result<(), StoreError> {
    for homes in many::parts("homes written", homes) {
        QueryBuilder::new(
            "insert or replace into residence
             (record, state, property, building, flat, surnames, from_day, to_day) ",
        )
        .push_values(homes, |mut values, home| {
            values
                .push_bind(home.record)
                .push_bind(match home.certainty {
                    Certainty::Known => "known",
                    Certainty::Uncertain => "uncertain",
                    Certainty::Withheld => "withheld",
                })
                .push_bind(&home.property)
                .push_bind(&home.building)
                .push_bind(&home.flat)
                .push_bind(&home.surnames)
                .push_bind(home.from.map(Day::number))
                .push_bind(home.to.map(Day::number));
        })
        .build()
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

type Text = Option<String>;
type Row = (i64, i64, String, Text, Text, Text, String, Option<i32>, Option<i32>);

/// Keeps the homes that the people of these records leave for others, each until the day before the
/// source says that they came to the new one. To be called before the new ones are [`put`].
///
/// Where the source gives no such day, nobody can tell a move from a correction, and what was there
/// is replaced. A move that turns out to have been earlier cuts the stay shorter, or out.
pub async fn leave(conn: &mut SqliteConnection, homes: &[Home]) -> Result<(), StoreError> {
    let dated: Vec<&Home> = homes.iter().filter(|home| home.from.is_some()).collect();
    let records: Vec<i64> = dated.iter().map(|home| home.record).collect();
    let query = || QueryBuilder::new("select record from residence where record in ");
    let settled: Vec<(i64,)> = many::fetch(conn, query, &records).await?;
    let settled: HashSet<i64> = settled.into_iter().map(|(record,)| record).collect();
    for home in dated.into_iter().filter(|home| settled.contains(&home.record)) {
        let Some(from) = home.from.map(Day::number) else { continue };
        sqlx::query(
            "insert into former_residence
             (record, state, property, building, flat, surnames, from_day, to_day)
             select record, state, property, building, flat, surnames, from_day,
             min(coalesce(to_day, ?1 - 1), ?1 - 1) from residence
             where record = ?2 and (property is not ?3 or building is not ?4 or flat is not ?5)",
        )
        .bind(from)
        .bind(home.record)
        .bind(&home.property)
        .bind(&home.building)
        .bind(&home.flat)
        .execute(&mut *conn)
        .await?;
        sqlx::query("update former_residence set to_day = min(to_day, ?1 - 1) where record = ?2")
            .bind(from)
            .bind(home.record)
            .execute(&mut *conn)
            .await?;
        sqlx::query("delete from former_residence where record = ? and to_day < from_day")
            .bind(home.record)
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns the homes of some persons, present and former, each with the person.
pub async fn of_persons(
    conn: &mut SqliteConnection,
    persons: &[i64],
) -> Result<Vec<(i64, Home)>, StoreError> {
    let query = || {
        QueryBuilder::new(
            "select record.person, record, state, property, building, flat, surnames, from_day, to_day
             from (select * from residence union all
             select record, state, property, building, flat, surnames, from_day, to_day
             from former_residence) as home
             join record on record.id = home.record where record.person in ",
        )
    };
    many::fetch(conn, query, persons).await?.into_iter().map(read).collect()
}

/// Returns which of these buildings are known to have flats.
pub async fn divided(
    conn: &mut SqliteConnection,
    buildings: &[&str],
) -> Result<HashSet<String>, StoreError> {
    let query = || {
        QueryBuilder::new(
            "select distinct building from residence where flat is not null and building in ",
        )
    };
    let rows: Vec<(String,)> = many::fetch(conn, query, buildings).await?;
    Ok(rows.into_iter().map(|(building,)| building).collect())
}

/// Returns the homes of some records.
pub async fn of_records(
    conn: &mut SqliteConnection,
    records: &[i64],
) -> Result<HashMap<i64, Home>, StoreError> {
    let query = || {
        QueryBuilder::new(
            "select 0, record, state, property, building, flat, surnames, from_day, to_day
             from residence where record in ",
        )
    };
    let rows: Vec<Row> = many::fetch(conn, query, records).await?;
    rows.into_iter().map(|row| read(row).map(|(_, home)| (home.record, home))).collect()
}

/// Returns the persons that some record places in one of these buildings.
pub async fn residents(
    conn: &mut SqliteConnection,
    buildings: &[&str],
) -> Result<Vec<i64>, StoreError> {
    let query = || {
        QueryBuilder::new(
            "select distinct record.person from residence
             join record on record.id = residence.record
             where record.person is not null and building in ",
        )
    };
    let rows: Vec<(i64,)> = many::fetch(conn, query, buildings).await?;
    Ok(rows.into_iter().map(|(person,)| person).collect())
}

fn read(row: Row) -> Result<(i64, Home), StoreError> {
    let (person, record, state, property, building, flat, surnames, from, to) = row;
    let day = |day: i32| Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"));
    let certainty = match state.as_str() {
        "known" => Certainty::Known,
        "uncertain" => Certainty::Uncertain,
        _ => Certainty::Withheld,
    };
    let (from, to) = (from.map(day).transpose()?, to.map(day).transpose()?);
    Ok((person, Home { record, certainty, property, building, flat, surnames, from, to }))
}

impl std::fmt::Debug for Home {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Home(..)")
    }
}
