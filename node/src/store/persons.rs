//! The `person` table: one row per person, over all records that this node takes for theirs.

use sqlx::{QueryBuilder, SqliteConnection};

use super::{INSERT_ROWS, StoreError, many, signed, unsigned};

/// A person and where their match-keys stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
    /// Stays the same while the node takes it for one person.
    pub id: i64,
    /// The row of match-keys.
    pub row: u64,
}

/// Returns the number that the next new person will have.
pub async fn next_id(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    let (last,): (Option<i64>,) =
        sqlx::query_as("select max(id) from person").fetch_one(conn).await?;
    Ok(last.unwrap_or(0) + 1)
}

/// Stores persons, or moves them to other rows of match-keys.
pub async fn put(conn: &mut SqliteConnection, persons: &[Person]) -> Result<(), StoreError> {
    for persons in many::parts("persons written", persons) {
        QueryBuilder::new("insert into person (id, row) ")
            .push_values(persons, |mut values, person| {
                values.push_bind(person.id).push_bind(signed(person.row));
            })
            .push(" on conflict (id) do update set row = excluded.row")
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Gives whoever has one row another: pairs of the row now and the new one.
pub async fn move_rows(conn: &mut SqliteConnection, rows: &[(u64, u64)]) -> Result<(), StoreError> {
    for rows in rows.chunks(INSERT_ROWS) {
        QueryBuilder::new("with moved (old, new) as (")
            .push_values(rows, |mut values, (old, new)| {
                values.push_bind(signed(*old)).push_bind(signed(*new));
            })
            .push(") update person set row = moved.new from moved where person.row = moved.old")
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Removes persons that no record is left of.
pub async fn remove(conn: &mut SqliteConnection, ids: &[i64]) -> Result<(), StoreError> {
    many::execute(conn, || QueryBuilder::new("delete from person where id in "), ids).await
}

/// Returns the ids of all persons.
pub async fn ids(conn: &mut SqliteConnection) -> Result<Vec<i64>, StoreError> {
    let rows: Vec<(i64,)> = sqlx::query_as("select id from person").fetch_all(conn).await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Returns persons by the rows of their match-keys; rows that are nobody's any more are left out.
pub async fn by_row(conn: &mut SqliteConnection, rows: &[u64]) -> Result<Vec<Person>, StoreError> {
    let rows: Vec<i64> = rows.iter().map(|row| signed(*row)).collect();
    let query = || QueryBuilder::new("select id, row from person where row in ");
    many::fetch(conn, query, &rows).await?.into_iter().map(read).collect()
}

/// Returns persons by their ids.
pub async fn by_id(conn: &mut SqliteConnection, ids: &[i64]) -> Result<Vec<Person>, StoreError> {
    let query = || QueryBuilder::new("select id, row from person where id in ");
    many::fetch(conn, query, ids).await?.into_iter().map(read).collect()
}

/// Returns the persons that some records belong to.
pub async fn of_records(
    conn: &mut SqliteConnection,
    records: &[i64],
) -> Result<Vec<i64>, StoreError> {
    let query = || {
        QueryBuilder::new("select distinct person from record where person is not null and id in ")
    };
    let rows: Vec<(i64,)> = many::fetch(conn, query, records).await?;
    Ok(rows.into_iter().map(|(person,)| person).collect())
}

/// Returns how many persons there are.
pub async fn count(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from person").fetch_one(conn).await?;
    unsigned("count", count)
}

fn read((id, row): (i64, i64)) -> Result<Person, StoreError> {
    Ok(Person { id, row: unsigned("row", row)? })
}
