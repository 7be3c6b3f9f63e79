//! The `event` table: what the source systems say happened, in the catalogue's codes.

use std::collections::HashMap;

use causeway_proto::{
    catalogue::{SignalCode, SignalSpan},
    day::Day,
};
use sqlx::{QueryBuilder, SqliteConnection};

use super::{INSERT_ROWS, StoreError, fixed, many, records::Known, unsigned};

/// One event or state of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The row's own key in its feed.
    pub key: String,
    /// Recognises a row that has not changed.
    pub hash: [u8; 16],
    /// Whose event it is: the feed and key of a record.
    pub record: (String, String),
    /// Equal for one event that several people carry.
    pub reference: String,
    /// Which agencies' numbering the reference belongs to; `None` is this feed's own.
    pub system: Option<String>,
    /// What.
    pub code: SignalCode,
    /// The person is in it as one who may have done harm.
    pub suspect: bool,
    /// Since when.
    pub start: Day,
    /// Until when; `None` while it lasts, and for what has no end.
    pub end: Option<Day>,
    /// How sure the source is, in thousandths.
    pub confidence_permille: u16,
    /// When it came in, where its feed had come in before.
    pub arrived: Option<Day>,
}

/// An event of a person, as a sweep needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonEvent {
    /// The person.
    pub person: i64,
    /// The row of their match-keys.
    pub row: u64,
    /// The feed it comes from.
    pub feed: String,
    /// Equal for one event that several people carry.
    pub reference: String,
    /// Which agencies' numbering the reference belongs to; `None` is this feed's own.
    pub system: Option<String>,
    /// What.
    pub code: SignalCode,
    /// The person is in it as one who may have done harm.
    pub suspect: bool,
    /// Since when.
    pub start: Day,
    /// Until when.
    pub end: Option<Day>,
    /// How sure the source is, in thousandths.
    pub confidence_permille: u16,
    /// When it came in, where its feed had come in before.
    pub arrived: Option<Day>,
    /// When the person died, if they did.
    pub deceased: Option<Day>,
}

/// Returns what is known of every event of a feed, by its key.
pub async fn known(
    conn: &mut SqliteConnection,
    feed: &str,
) -> Result<HashMap<String, Known>, StoreError> {
    sqlx::query_as("select id, key, hash, missed, gone from event where feed = ?")
        .bind(feed)
        .fetch_all(conn)
        .await?
        .into_iter()
        .map(read_known)
        .collect()
}

/// Returns what is known of some events of a feed, by its key.
pub async fn known_among(
    conn: &mut SqliteConnection,
    feed: &str,
    keys: &[&str],
) -> Result<HashMap<String, Known>, StoreError> {
    let query = "select id, key, hash, missed, gone from event where feed = ";
    many::of_feed(conn, query, feed, keys).await?.into_iter().map(read_known).collect()
}

fn read_known(
    (id, key, hash, missed, gone): (i64, String, Vec<u8>, u32, bool),
) -> Result<(String, Known), StoreError> {
    Ok((key, Known { id, hash: fixed("event hash", hash)?, missed, gone }))
}

/// Stores new and changed events of a feed.
pub async fn put(
    conn: &mut SqliteConnection,
    feed: &str,
    events: &[Event],
) -> Result<(), StoreError> {
    for events in many::parts("events written", events) {
        QueryBuilder::new(
            "insert into event (feed, key, hash, record_feed, record_key, reference, system, code,
             suspect, start_day, end_day, confidence, arrived_day) ",
        )
        .push_values(events, |mut values, event| {
            values
                .push_bind(feed)
                .push_bind(&event.key)
                .push_bind(&event.hash[..])
                .push_bind(&event.record.0)
                .push_bind(&event.record.1)
                .push_bind(&event.reference)
                .push_bind(&event.system)
                .push_bind(event.code.to_wire())
                .push_bind(event.suspect)
                .push_bind(event.start.number())
                .push_bind(event.end.map(Day::number))
                .push_bind(event.confidence_permille)
                .push_bind(event.arrived.map(Day::number));
        })
        // What is corrected has still come in when it did.
        .push(
            " on conflict (feed, key) do update set hash = excluded.hash, missed = 0, gone = 0,
             seen_day = null, system = excluded.system, record_feed = excluded.record_feed, record_key = excluded.record_key,
             reference = excluded.reference, code = excluded.code, suspect = excluded.suspect,
             start_day = excluded.start_day, end_day = excluded.end_day,
             confidence = excluded.confidence",
        )
        .build()
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

/// Counts one more good export that lacked these events, and when they were last in one; with
/// `missed` 0, forgets both.
pub async fn set_missed(
    conn: &mut SqliteConnection,
    ids: &[i64],
    missed: u32,
    seen: Option<Day>,
) -> Result<(), StoreError> {
    let update = || {
        let mut update = QueryBuilder::new("update event set missed = ");
        update.push_bind(missed).push(", seen_day = ").push_bind(seen.map(Day::number));
        update.push(" where id in ");
        update
    };
    many::execute(conn, update, ids).await
}

/// Ends those of these events that are states and still last on the day they were last seen, and
/// returns them. They are kept, and no longer looked for.
pub async fn end_open(conn: &mut SqliteConnection, ids: &[i64]) -> Result<Vec<i64>, StoreError> {
    let states = SignalCode::all().filter(|code| code.spec().span == SignalSpan::State);
    let states: Vec<i32> = states.map(SignalCode::to_wire).collect();
    let mut ended = Vec::new();
    for ids in ids.chunks(INSERT_ROWS) {
        let rows: Vec<(i64,)> = QueryBuilder::new(
            "update event set gone = 1, end_day = max(start_day, coalesce(seen_day, start_day))
             where end_day is null and code in ",
        )
        .push_tuples(&states, |mut values, code| {
            values.push_bind(*code);
        })
        .push(" and id in ")
        .push_tuples(ids, |mut values, id| {
            values.push_bind(id);
        })
        .push(" returning id")
        .build_query_as()
        .fetch_all(&mut *conn)
        .await?;
        ended.extend(rows.into_iter().map(|(id,)| id));
    }
    Ok(ended)
}

/// Makes what one record's events say be about another record of the feed.
pub async fn move_over(
    conn: &mut SqliteConnection,
    record_feed: &str,
    from: &str,
    to: &str,
) -> Result<(), StoreError> {
    sqlx::query("update event set record_key = ? where record_feed = ? and record_key = ?")
        .bind(to)
        .bind(record_feed)
        .bind(from)
        .execute(conn)
        .await?;
    Ok(())
}

/// Makes the next export of a record's events count as news, since whose they are is open again.
pub async fn doubt(
    conn: &mut SqliteConnection,
    record_feed: &str,
    key: &str,
) -> Result<(), StoreError> {
    sqlx::query("update event set hash = zeroblob(16) where record_feed = ? and record_key = ?")
        .bind(record_feed)
        .bind(key)
        .execute(conn)
        .await?;
    Ok(())
}

/// Removes events.
pub async fn remove(conn: &mut SqliteConnection, ids: &[i64]) -> Result<(), StoreError> {
    many::execute(conn, || QueryBuilder::new("delete from event where id in "), ids).await
}

/// What the join of events, records and persons gives.
type Row = (
    i64,
    i64,
    String,
    String,
    Option<String>,
    i32,
    bool,
    i32,
    Option<i32>,
    u16,
    Option<i32>,
    Option<i32>,
);

/// Returns every event of every person up to a day.
pub async fn up_to(
    conn: &mut SqliteConnection,
    as_at: Day,
) -> Result<Vec<PersonEvent>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(
        "select person.id, person.row, event.feed, reference, system, code, suspect,
         start_day, end_day, confidence, arrived_day,
         (select min(deceased) from record as r where r.person = person.id)
         from event
         join record on record.feed = event.record_feed and record.key = event.record_key
         join person on person.id = record.person
         where event.start_day <= ? and event.feed not in (select feed from retired_feed)",
    )
    .bind(as_at.number())
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(read).collect()
}

/// Returns every event of some persons up to a day.
pub async fn of_persons(
    conn: &mut SqliteConnection,
    persons: &[i64],
    as_at: Day,
) -> Result<Vec<PersonEvent>, StoreError> {
    let query = || {
        let mut query = QueryBuilder::new(
            "select person.id, person.row, event.feed, reference, system, code, suspect,
             start_day, end_day, confidence, arrived_day,
             (select min(deceased) from record as r where r.person = person.id)
             from person
             join record on record.person = person.id
             join event on event.record_feed = record.feed and event.record_key = record.key
             where event.start_day <= ",
        );
        query.push_bind(as_at.number());
        query.push(" and event.feed not in (select feed from retired_feed) and person.id in ");
        query
    };
    many::fetch(conn, query, persons).await?.into_iter().map(read).collect()
}

fn read(row: Row) -> Result<PersonEvent, StoreError> {
    let day = |day: i32| Day::from_wire("day", day).map_err(|_| StoreError::Corrupt("day"));
    let (person, at, feed, reference, system, code, suspect, start, end, sure, arrived, died) = row;
    Ok(PersonEvent {
        person,
        row: unsigned("row", at)?,
        feed,
        reference,
        system,
        code: SignalCode::from_wire(code).map_err(|_| StoreError::Corrupt("code"))?,
        suspect,
        start: day(start)?,
        end: end.map(day).transpose()?,
        confidence_permille: sure,
        arrived: arrived.map(day).transpose()?,
        deceased: died.map(day).transpose()?,
    })
}

/// Returns which records these events belong to, as feed and key.
pub async fn records_of(
    conn: &mut SqliteConnection,
    ids: &[i64],
) -> Result<Vec<(String, String)>, StoreError> {
    let query =
        || QueryBuilder::new("select distinct record_feed, record_key from event where id in ");
    many::fetch(conn, query, ids).await
}

/// Returns which records the events with these keys belong to, as feed and key.
pub async fn records_by_key(
    conn: &mut SqliteConnection,
    feed: &str,
    keys: &[&str],
) -> Result<Vec<(String, String)>, StoreError> {
    let query = "select distinct record_feed, record_key from event where feed = ";
    many::of_feed(conn, query, feed, keys).await
}

/// Returns how many events of a feed are said of somebody who is in no feed about people.
pub async fn of_nobody(conn: &mut SqliteConnection, feed: &str) -> Result<u64, StoreError> {
    let (count,): (i64,) = sqlx::query_as(
        "select count(*) from event where feed = ? and not exists
         (select 1 from record where feed = event.record_feed and key = event.record_key)",
    )
    .bind(feed)
    .fetch_one(conn)
    .await?;
    unsigned("count", count)
}

/// Returns how many events there are.
pub async fn count(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from event").fetch_one(conn).await?;
    unsigned("count", count)
}

/// Returns which persons these events belong to now.
pub async fn persons_of(
    conn: &mut SqliteConnection,
    records: &[(String, String)],
) -> Result<Vec<i64>, StoreError> {
    let mut persons = Vec::new();
    for records in records.chunks(INSERT_ROWS) {
        let rows: Vec<(Option<i64>,)> =
            QueryBuilder::new("select distinct person from record where (feed, key) in (")
                .push_values(records, |mut values, (feed, key)| {
                    values.push_bind(feed).push_bind(key);
                })
                .push(")")
                .build_query_as()
                .fetch_all(&mut *conn)
                .await?;
        persons.extend(rows.into_iter().filter_map(|(person,)| person));
    }
    persons.sort_unstable();
    persons.dedup();
    Ok(persons)
}
