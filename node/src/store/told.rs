//! The `told` table: when the open sweep began to say something else of a row, and of which.
//!
//! Written before it is sent. So a stream that is resumed, also by another process, says exactly what
//! was missed, and nothing of anybody who was never in the sweep.

use sqlx::{QueryBuilder, SqliteConnection};

use super::{INSERT_ROWS, StoreError, segments::ALIVE, signed, unsigned};

/// One row of which the sweep says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// The row.
    pub row: u64,
    /// What the sweep said.
    pub before: u8,
    /// What it says.
    pub after: u8,
    /// It may have other tokens, too.
    pub tokens: bool,
}

/// Records what the sweep says from a position on.
pub async fn put(
    conn: &mut SqliteConnection,
    position: u64,
    news: &[Told],
) -> Result<(), StoreError> {
    for news in news.chunks(INSERT_ROWS) {
        QueryBuilder::new("insert into told (position, row, before, after, tokens) ")
            .push_values(news, |mut values, told| {
                values
                    .push_bind(signed(position))
                    .push_bind(signed(told.row))
                    .push_bind(told.before)
                    .push_bind(told.after)
                    .push_bind(told.tokens);
            })
            .build()
            .execute(&mut *conn)
            .await?;
    }
    Ok(())
}

/// Returns what changed after a position, each row once: as it was then and is now.
pub async fn since(conn: &mut SqliteConnection, after: u64) -> Result<Vec<Told>, StoreError> {
    let rows: Vec<(i64, u8, u8, bool)> = sqlx::query_as(
        "select row, before, after, tokens from told where position > ? order by row, position",
    )
    .bind(signed(after))
    .fetch_all(conn)
    .await?;
    let mut news: Vec<Told> = Vec::with_capacity(rows.len());
    for (row, before, after, tokens) in rows {
        let row = unsigned("row", row)?;
        match news.last_mut().filter(|last| last.row == row) {
            Some(last) => {
                // Of whoever was out for a while nobody noted that a token is another one.
                last.tokens |= tokens || before & ALIVE == 0;
                last.after = after;
            }
            None => news.push(Told { row, before, after, tokens }),
        }
    }
    Ok(news)
}

/// Returns the last position at which anything changed, or 0.
pub async fn position(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    let (position,): (Option<i64>,) =
        sqlx::query_as("select max(position) from told").fetch_one(conn).await?;
    unsigned("position", position.unwrap_or(0))
}

/// Forgets everything, with the sweep it was said in.
pub(super) async fn forget(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    sqlx::query("delete from told").execute(conn).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn several_changes_of_a_row_are_one() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let told = |row, before, after, tokens| Told { row, before, after, tokens };
        let (out, one, other) = (0, ALIVE | 1, ALIVE | 2);
        put(&mut conn, 3, &[told(1, out, one, false), told(2, one, one, true)]).await.unwrap();
        put(&mut conn, 5, &[told(2, one, other, false), told(1, one, other, false)]).await.unwrap();
        let all = [told(1, out, other, false), told(2, one, other, true)];
        assert_eq!(since(&mut conn, 2).await.unwrap(), all);
        let rest = [told(1, one, other, false), told(2, one, other, false)];
        assert_eq!(since(&mut conn, 3).await.unwrap(), rest);
        put(&mut conn, 6, &[told(1, other, out, false)]).await.unwrap();
        put(&mut conn, 7, &[told(1, out, one, false)]).await.unwrap();
        assert_eq!(since(&mut conn, 5).await.unwrap(), [told(1, other, one, true)]);
        assert_eq!(since(&mut conn, 6).await.unwrap(), [told(1, out, one, false)]);
        assert_eq!(position(&mut conn).await.unwrap(), 7);
    }
}
