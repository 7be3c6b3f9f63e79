//! The `keyed` table: what the stored match-keys were made with. And which feeds are told of no more.

use sqlx::{QueryBuilder, SqliteConnection};

use super::{StoreError, fixed};

/// What match-keys are made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The commitment to the epoch's linkage key.
    pub commitment: [u8; 32],
    /// The recipe's revision.
    pub revision: u16,
    /// The feeds about people, in order, commas between.
    pub feeds: String,
}

/// Returns what the stored match-keys were made with; `None` before anything is known of it.
pub async fn load(conn: &mut SqliteConnection) -> Result<Option<Keyed>, StoreError> {
    let row: Option<(Vec<u8>, u16, String)> =
        sqlx::query_as("select commitment, revision, feeds from keyed")
            .fetch_optional(conn)
            .await?;
    let read = |(commitment, revision, feeds)| {
        Ok(Keyed { commitment: fixed("commitment", commitment)?, revision, feeds })
    };
    row.map(read).transpose()
}

/// Keeps what they are made with from now on.
pub async fn save(conn: &mut SqliteConnection, keyed: &Keyed) -> Result<(), StoreError> {
    sqlx::query(
        "insert or replace into keyed (id, commitment, revision, feeds) values (1, ?, ?, ?)",
    )
    .bind(&keyed.commitment[..])
    .bind(keyed.revision)
    .bind(&keyed.feeds)
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns the feeds about events that are told of no more, in order.
pub async fn retired(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    let feeds: Vec<(String,)> =
        sqlx::query_as("select feed from retired_feed order by feed").fetch_all(conn).await?;
    Ok(feeds.into_iter().map(|(feed,)| feed).collect())
}

/// Returns the feeds that events came from, in order, whether or not they are told of.
pub async fn event_feeds(conn: &mut SqliteConnection) -> Result<Vec<String>, StoreError> {
    // From each feed straight to the next: reading every event would take long, and this is asked often.
    let feeds: Vec<(String,)> = sqlx::query_as(
        "with recursive known (feed) as (
             select min(feed) from event
             union all
             select (select min(feed) from event where feed > known.feed) from known
             where known.feed is not null
         )
         select feed from known where feed is not null",
    )
    .fetch_all(conn)
    .await?;
    Ok(feeds.into_iter().map(|(feed,)| feed).collect())
}

/// Tells of these feeds no more, and of all others again.
pub async fn retire(conn: &mut SqliteConnection, feeds: &[String]) -> Result<(), StoreError> {
    sqlx::query("delete from retired_feed").execute(&mut *conn).await?;
    if !feeds.is_empty() {
        QueryBuilder::new("insert into retired_feed (feed) ")
            .push_values(feeds, |mut values, feed| {
                values.push_bind(feed);
            })
            .build()
            .execute(conn)
            .await?;
    }
    Ok(())
}

/// Returns the rows of the persons whom a feed's events are about.
pub async fn rows_of(conn: &mut SqliteConnection, feed: &str) -> Result<Vec<u64>, StoreError> {
    let rows: Vec<(i64,)> = sqlx::query_as(
        "select distinct person.row from event
         join record on record.feed = event.record_feed and record.key = event.record_key
         join person on person.id = record.person
         where event.feed = ?",
    )
    .bind(feed)
    .fetch_all(conn)
    .await?;
    rows.into_iter().map(|(row,)| super::unsigned("row", row)).collect()
}
