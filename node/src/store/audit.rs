//! The `audit` table: what was asked, by whom, and what became of it. Only ever added to.

use causeway_proto::ids::SweepId;
use sqlx::SqliteConnection;

use super::{StoreError, signed};

/// One call, answered or refused. Counts and hashes, never content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Unix milliseconds.
    pub at_ms: u64,
    /// SPIFFE ID of the caller, or `local`.
    pub peer: String,
    /// Such as `StreamTokens`.
    pub call: &'static str,
    /// The sweep it belongs to.
    pub sweep: Option<SweepId>,
    /// `ok`, or the reason of the refusal.
    pub outcome: String,
    /// Handles, rows or items in the question.
    pub asked: u64,
    /// And in the answer.
    pub answered: u64,
    /// SHA-256 of the question as it was sent.
    pub request_hash: [u8; 32],
    /// SHA-256 of the answer as it is sent.
    pub response_hash: [u8; 32],
}

impl Entry {
    /// Something that this machine's operator did with one thing.
    pub fn local(at_ms: u64, call: &'static str, about: &[u8]) -> Self {
        let hash = ring::digest::digest(&ring::digest::SHA256, about);
        Self {
            at_ms,
            peer: "local".to_owned(),
            call,
            sweep: None,
            outcome: "ok".to_owned(),
            asked: 1,
            answered: 1,
            request_hash: hash.as_ref().try_into().expect("SHA-256 gives 32 bytes"),
            response_hash: [0; 32],
        }
    }
}

/// Adds an entry.
pub async fn put(conn: &mut SqliteConnection, entry: &Entry) -> Result<(), StoreError> {
    sqlx::query(
        "insert into audit
         (at_ms, peer, call, sweep, outcome, asked, answered, request_hash, response_hash)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(signed(entry.at_ms))
    .bind(&entry.peer)
    .bind(entry.call)
    .bind(entry.sweep.map(|sweep| sweep.as_bytes().to_vec()))
    .bind(&entry.outcome)
    .bind(signed(entry.asked))
    .bind(signed(entry.answered))
    .bind(&entry.request_hash[..])
    .bind(&entry.response_hash[..])
    .execute(conn)
    .await?;
    Ok(())
}

/// Returns how many entries of a call there are, for the node's operator.
pub async fn count(conn: &mut SqliteConnection, call: &str) -> Result<u64, StoreError> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from audit where call = ?")
        .bind(call)
        .fetch_one(conn)
        .await?;
    super::unsigned("count", count)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn nothing_in_it_can_be_changed_or_erased() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        let entry = Entry {
            at_ms: 1,
            peer: "local".into(),
            call: "OpenSweep",
            sweep: None,
            outcome: "ok".into(),
            asked: 1,
            answered: 1,
            request_hash: [0; 32],
            response_hash: [0; 32],
        };
        put(&mut conn, &entry).await.unwrap();
        for forbidden in ["update audit set peer = 'x'", "delete from audit"] {
            let refused = sqlx::query(forbidden).execute(&mut *conn).await.unwrap_err();
            assert!(refused.to_string().contains("append-only"), "{refused}");
        }
        assert_eq!(count(&mut conn, "OpenSweep").await.unwrap(), 1);
    }
}
