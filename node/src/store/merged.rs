//! The `merged` table: records that their source merged into others.

use std::collections::HashMap;

use sqlx::SqliteConnection;

use super::StoreError;

/// A chain of mergers is never longer than this; one that is goes round in a circle.
const LONGEST_CHAIN: usize = 32;

/// Which records of a feed were taken over by which.
#[derive(Clone, Default)]
pub struct Merged(HashMap<String, String>);

impl Merged {
    /// Returns the key under which a record is known now.
    pub fn now<'k>(&'k self, key: &'k str) -> &'k str {
        let mut now = key;
        for _ in 0..LONGEST_CHAIN {
            match self.0.get(now) {
                Some(into) => now = into,
                None => return now,
            }
        }
        // In a circle nobody can tell which is the last: each stays what it was.
        key
    }

    /// Takes note that one record took another over.
    pub fn note(&mut self, old: &str, into: &str) {
        self.0.insert(old.to_owned(), into.to_owned());
    }

    /// Takes note that a record is one of its own.
    pub fn forget(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Returns the record that took this one over.
    pub fn into_whom(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// Returns which records of a feed were taken over.
pub async fn of(conn: &mut SqliteConnection, feed: &str) -> Result<Merged, StoreError> {
    let rows = sqlx::query_as("select old_key, into_key from merged where feed = ?")
        .bind(feed)
        .fetch_all(conn)
        .await?;
    Ok(Merged(rows.into_iter().collect()))
}

/// Records that one record took another over.
pub async fn put(
    conn: &mut SqliteConnection,
    feed: &str,
    old: &str,
    into: &str,
) -> Result<(), StoreError> {
    sqlx::query("insert or replace into merged (feed, old_key, into_key) values (?, ?, ?)")
        .bind(feed)
        .bind(old)
        .bind(into)
        .execute(&mut *conn)
        .await?;
    // What is known of the old one goes on with the new one.
    for update in [
        "update or ignore memo set record_key = ? where record_feed = ? and record_key = ?",
        "update or ignore alert_record set record_key = ? where record_feed = ? and record_key = ?",
    ] {
        sqlx::query(update).bind(into).bind(feed).bind(old).execute(&mut *conn).await?;
    }
    Ok(())
}

/// Forgets that a record was taken over: its source has it again.
pub async fn remove(conn: &mut SqliteConnection, feed: &str, old: &str) -> Result<(), StoreError> {
    sqlx::query("delete from merged where feed = ? and old_key = ?")
        .bind(feed)
        .bind(old)
        .execute(conn)
        .await?;
    Ok(())
}

impl std::fmt::Debug for Merged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} merged records", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_chain_leads_to_its_end_and_a_circle_nowhere() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        for (old, into) in [("1", "2"), ("2", "3"), ("8", "9"), ("9", "8")] {
            put(&mut conn, "f", old, into).await.unwrap();
        }
        let merged = of(&mut conn, "f").await.unwrap();
        for (key, now) in [("1", "3"), ("2", "3"), ("3", "3"), ("8", "8"), ("7", "7")] {
            assert_eq!(merged.now(key), now);
        }
        remove(&mut conn, "f", "2").await.unwrap();
        assert_eq!(of(&mut conn, "f").await.unwrap().now("1"), "2");
        assert_eq!(of(&mut conn, "g").await.unwrap().now("1"), "1");
    }
}
