//! Statements about some of many rows, as many at a time as one statement may name.

use sqlx::{Encode, FromRow, QueryBuilder, Sqlite, SqliteConnection, Type, sqlite::SqliteRow};

use super::{INSERT_ROWS, StoreError};
use crate::progress::Progress;

/// The rows of a list part by part, and says how far that is.
pub(super) fn parts<'a, T>(step: &'static str, rows: &'a [T]) -> impl Iterator<Item = &'a [T]> {
    let progress = Progress::begin(step, rows.len());
    rows.chunks(INSERT_ROWS).inspect(move |part| progress.add(part.len()))
}

/// Executes a statement that ends in `in` for all of these values.
pub(super) async fn execute<T>(
    conn: &mut SqliteConnection,
    statement: impl Fn() -> QueryBuilder<Sqlite>,
    values: &[T],
) -> Result<(), StoreError>
where
    T: Copy + for<'q> Encode<'q, Sqlite> + Type<Sqlite>,
{
    for some in values.chunks(INSERT_ROWS) {
        among(statement(), some).build().execute(&mut *conn).await?;
    }
    Ok(())
}

/// Returns what a query that ends in `in` gives for all of these values.
pub(super) async fn fetch<T, Row>(
    conn: &mut SqliteConnection,
    query: impl Fn() -> QueryBuilder<Sqlite>,
    values: &[T],
) -> Result<Vec<Row>, StoreError>
where
    T: Copy + for<'q> Encode<'q, Sqlite> + Type<Sqlite>,
    Row: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let mut rows = Vec::with_capacity(values.len());
    for some in values.chunks(INSERT_ROWS) {
        rows.extend(among(query(), some).build_query_as().fetch_all(&mut *conn).await?);
    }
    Ok(rows)
}

/// Returns what a query that ends in `feed =` gives for these keys of one feed.
pub(super) async fn of_feed<Row>(
    conn: &mut SqliteConnection,
    query: &'static str,
    feed: &str,
    keys: &[&str],
) -> Result<Vec<Row>, StoreError>
where
    Row: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
{
    let query = || {
        let mut query = QueryBuilder::new(query);
        query.push_bind(feed).push(" and key in ");
        query
    };
    fetch(conn, query, keys).await
}

/// Appends values in brackets.
fn among<T>(mut statement: QueryBuilder<Sqlite>, values: &[T]) -> QueryBuilder<Sqlite>
where
    T: Copy + for<'q> Encode<'q, Sqlite> + Type<Sqlite>,
{
    statement.push_tuples(values, |mut tuple, value| {
        tuple.push_bind(*value);
    });
    statement
}
