//! The `record` table: one row per record of a source system, as it was last exported.
//!
//! This is the agency's own data in the agency's own file. Nothing outside the node ever reads it.

use std::collections::HashMap;

use causeway_proto::day::Day;
use sqlx::{QueryBuilder, SqliteConnection};

use super::{StoreError, fixed, many, signed, unsigned};
use crate::source::Restriction;

/// A record as an export gives it.
pub struct NewRecord {
    /// The source system's own reference.
    pub key: String,
    /// Recognises a row that has not changed.
    pub hash: [u8; 16],
    /// What the export says, packed by `source`.
    pub fields: String,
    /// Why its keys must never be emitted.
    pub restricted: Option<String>,
    /// When the person died.
    pub deceased: Option<Day>,
}

/// What is remembered of a record when the next export is compared with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its number here.
    pub id: i64,
    /// What it looked like.
    pub hash: [u8; 16],
    /// Good full exports in a row that lacked it.
    pub missed: u32,
    /// The source no longer has it, and what it said is kept: it is not looked for again.
    pub gone: bool,
}

/// A record with what is known of it.
#[derive(Clone)]
pub struct Stored {
    /// Its number here.
    pub id: i64,
    /// The feed it comes from.
    pub feed: String,
    /// The source system's own reference.
    pub key: String,
    /// What the export says.
    pub fields: String,
    /// Restricted records belong to nobody and emit nothing.
    pub restricted: bool,
    /// Whose it is.
    pub person: Option<i64>,
}

type Row = (i64, String, String, String, Option<String>, Option<i64>);

/// Returns what is known of every record of a feed, by its key.
pub async fn known(
    conn: &mut SqliteConnection,
    feed: &str,
) -> Result<HashMap<String, Known>, StoreError> {
    sqlx::query_as("select id, key, hash, missed from record where feed = ?")
        .bind(feed)
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(read_known)
        .collect()
}

/// Returns what is known of some records of a feed, by its key.
pub async fn known_among(
    conn: &mut SqliteConnection,
    feed: &str,
    keys: &[&str],
) -> Result<HashMap<String, Known>, StoreError> {
    let query = "select id, key, hash, missed from record where feed = ";
    many::of_feed(conn, query, feed, keys).await?.into_iter().map(read_known).collect()
}

/// Stores new and changed records of a feed; each keeps the person it had.
pub async fn put(
    conn: &mut SqliteConnection,
    feed: &str,
    records: &[NewRecord],
) -> Result<(), StoreError> {
    for records in many::parts("records written", records) {
        QueryBuilder::new("insert into record (feed, key, hash, fields, restricted, deceased) ")
            .push_values(records, |mut values, record| {
                values
                    .push_bind(feed)
                    .push_bind(&record.key)
                    .push_bind(&record.hash[..])
                    .push_bind(&record.fields)
                    .push_bind(&record.restricted)
                    .push_bind(record.deceased.map(Day::number));
            })
            .push(
                " on conflict (feed, key) do update set
                 hash = excluded.hash, fields = excluded.fields, missed = 0,
                 restricted = excluded.restricted, deceased = excluded.deceased",
            )
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Closes records of which a row that cannot be believed otherwise says so. The next good row of theirs
/// counts as news.
pub async fn close(
    conn: &mut SqliteConnection,
    feed: &str,
    closed: impl Iterator<Item = (&str, Restriction)>,
) -> Result<(), StoreError> {
    for (key, restriction) in closed {
        sqlx::query(
            "update record set restricted = ?, hash = zeroblob(16) where feed = ? and key = ?",
        )
        .bind(format!("{restriction:?}"))
        .bind(feed)
        .bind(key)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Counts one more good export that lacked these records; with `missed` 0, forgets the count.
pub async fn set_missed(
    conn: &mut SqliteConnection,
    ids: &[i64],
    missed: u32,
) -> Result<(), StoreError> {
    let update = || {
        let mut update = QueryBuilder::new("update record set missed = ");
        update.push_bind(missed).push(" where id in ");
        update
    };
    many::execute(conn, update, ids).await
}

/// Removes records.
pub async fn remove(conn: &mut SqliteConnection, ids: &[i64]) -> Result<(), StoreError> {
    many::execute(conn, || QueryBuilder::new("delete from record where id in "), ids).await
}

/// Assigns records to persons.
pub async fn assign(
    conn: &mut SqliteConnection,
    pairs: &[(i64, Option<i64>)],
) -> Result<(), StoreError> {
    for pairs in many::parts("records given to persons", pairs) {
        QueryBuilder::new("with assigned (record, person) as (")
            .push_values(pairs, |mut values, (record, person)| {
                values.push_bind(record).push_bind(person);
            })
            .push(
                ") update record set person = assigned.person
                 from assigned where record.id = assigned.record",
            )
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns records by their numbers.
pub async fn by_id(conn: &mut SqliteConnection, ids: &[i64]) -> Result<Vec<Stored>, StoreError> {
    let query = || {
        QueryBuilder::new(
            "select id, feed, key, fields, restricted, person from record where id in ",
        )
    };
    Ok(many::fetch(conn, query, ids).await?.into_iter().map(read).collect())
}

/// Returns every record, in order.
pub async fn all(conn: &mut SqliteConnection) -> Result<Vec<Stored>, StoreError> {
    let rows: Vec<Row> =
        sqlx::query_as("select id, feed, key, fields, restricted, person from record order by id")
            .fetch_all(conn)
            .await?;
    Ok(rows.into_iter().map(read).collect())
}

/// Returns the records of a feed by their keys, in no particular order.
pub async fn by_key(
    conn: &mut SqliteConnection,
    feed: &str,
    keys: &[&str],
) -> Result<Vec<Stored>, StoreError> {
    let query = "select id, feed, key, fields, restricted, person from record where feed = ";
    Ok(many::of_feed(conn, query, feed, keys).await?.into_iter().map(read).collect())
}

/// Returns every record of these persons.
pub async fn of_persons(
    conn: &mut SqliteConnection,
    persons: &[i64],
) -> Result<Vec<Stored>, StoreError> {
    let query = || {
        QueryBuilder::new(
            "select id, feed, key, fields, restricted, person from record where person in ",
        )
    };
    Ok(many::fetch(conn, query, persons).await?.into_iter().map(read).collect())
}

/// Returns how many records there are.
pub async fn count(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from record").fetch_one(conn).await?;
    unsigned("count", count)
}

/// Returns whether a feed has records or events that its last good export lacked.
pub async fn any_missed(conn: &mut SqliteConnection, feed: &str) -> Result<bool, StoreError> {
    let (any,): (bool,) = sqlx::query_as(
        "select exists(select 1 from record where feed = ?1 and missed > 0)
         or exists(select 1 from event where feed = ?1 and missed > 0 and gone = 0)",
    )
    .bind(feed)
    .fetch_one(conn)
    .await?;
    Ok(any)
}

/// Returns the records of a feed whose people have died, with the day.
pub async fn deceased(
    conn: &mut SqliteConnection,
    feed: &str,
) -> Result<HashMap<String, Day>, StoreError> {
    // Few are dead: of two indices that begin with the feed, SQLite takes the one of all records.
    let rows: Vec<(String, i32)> = sqlx::query_as(
        "select key, deceased from record indexed by record_deceased
         where feed = ? and deceased is not null",
    )
    .bind(feed)
    .fetch_all(conn)
    .await?;
    rows.into_iter()
        .map(|(key, day)| {
            Ok((key, Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"))?))
        })
        .collect()
}

/// Returns the rows of everybody who has died, with the first day that a record of theirs gives.
pub async fn died(conn: &mut SqliteConnection) -> Result<HashMap<u64, Day>, StoreError> {
    let rows: Vec<(i64, i32)> = sqlx::query_as(
        "select person.row, deceased from record indexed by record_deceased
         join person on person.id = record.person where deceased is not null",
    )
    .fetch_all(conn)
    .await?;
    first_days(rows)
}

/// The same of those whose rows these are.
pub async fn died_of(
    conn: &mut SqliteConnection,
    rows: &[u64],
) -> Result<HashMap<u64, Day>, StoreError> {
    let rows: Vec<i64> = rows.iter().map(|row| signed(*row)).collect();
    let query = || {
        QueryBuilder::new(
            "select person.row, deceased from person join record on record.person = person.id
             where deceased is not null and person.row in ",
        )
    };
    first_days(many::fetch(conn, query, &rows).await?)
}

fn first_days(rows: Vec<(i64, i32)>) -> Result<HashMap<u64, Day>, StoreError> {
    let mut first: HashMap<u64, Day> = HashMap::new();
    for (row, day) in rows {
        let day = Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"))?;
        let died = first.entry(unsigned("row", row)?).or_insert(day);
        *died = day.min(*died);
    }
    Ok(first)
}

fn read_known(
    (id, key, hash, missed): (i64, String, Vec<u8>, u32),
) -> Result<(String, Known), StoreError> {
    Ok((key, Known { id, hash: fixed("record hash", hash)?, missed, gone: false }))
}

fn read((id, feed, key, fields, restricted, person): Row) -> Stored {
    Stored { id, feed, key, fields, restricted: restricted.is_some(), person }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stored(record {})", self.id)
    }
}

impl std::fmt::Debug for NewRecord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("NewRecord(..)")
    }
}
