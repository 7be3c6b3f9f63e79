//! What callers are told when something fails here: that it did, and which line of our log knows.

use std::time::Duration;

use causeway_proto::refusal;
use ring::rand::{SecureRandom, SystemRandom};
use tonic::{Code, Status};

use crate::{
    store::StoreError,
    tokenise::{chain::ChainError, keyring::KeyringError},
};

/// Logs what went wrong in the store, and tells the caller only that something did. While a large export is
/// written, nothing else can be: that passes.
pub(super) fn store(error: StoreError) -> Status {
    if error.is_busy() {
        tracing::warn!(
            "an export is being taken in, and a call that had to write could wait no longer"
        );
        let message = "the node is taking in an export and cannot write what it answers: ask again";
        return refusal::retry_later("BUSY", message, Duration::from_secs(5));
    }
    internal("the node could not read or write its store", &error)
}

/// Logs what went wrong with the keys. A sweep that is over, or too far ahead, is the caller's mistake and
/// said so.
pub(super) fn keyring(error: KeyringError) -> Status {
    match error {
        KeyringError::Chain(error) => {
            let reason = match error {
                ChainError::Passed { .. } => "SWEEP_REPLAYED",
                ChainError::TooFar { .. } => "SWEEP_TOO_FAR",
            };
            refusal::status(Code::FailedPrecondition, reason, format!("the node: {error}"))
        }
        KeyringError::NoKey(_) => {
            tracing::error!(error = %error, "cannot take part in a sweep");
            let message = "the node has no linkage key yet; its operator has to put one in place";
            refusal::status(Code::FailedPrecondition, "NO_LINKAGE_KEY", message)
        }
        error => internal("the node could not use its keys", &error),
    }
}

/// Ends the streams of a sweep that is over.
pub(super) fn sweep_closed() -> Status {
    let message = "the sweep is closed: what it said holds until now, and the next one says more";
    refusal::status(Code::FailedPrecondition, "SWEEP_CLOSED", message)
}

/// Tells whoever follows something that it has to be followed anew, soon.
pub(super) fn going_down() -> Status {
    let message = "the node is going down: resume at the last position when it is back";
    refusal::retry_later("GOING_DOWN", message, Duration::from_secs(1))
}

fn internal(message: &str, error: &(dyn std::error::Error + 'static)) -> Status {
    let id = error_id();
    tracing::error!(error.id = %id, error, "a call failed");
    refusal::status_with_id(Code::Internal, "NODE_FAILED", message, &id)
}

/// A number that finds the line of the log.
fn error_id() -> String {
    let mut bytes = [0; 4];
    // Without randomness the lines still carry the time.
    let _ = SystemRandom::new().fill(&mut bytes);
    format!("{:08x}", u32::from_be_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use sqlx::{ConnectOptions, sqlite::SqliteConnectOptions};

    use super::*;
    use crate::store::Store;

    #[tokio::test]
    async fn a_call_that_waited_for_an_export_in_vain_may_come_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.db");
        let taking_in = Store::open(&path).await.unwrap();
        let _writing = taking_in.begin().await.unwrap();
        let impatient = SqliteConnectOptions::new().filename(&path).busy_timeout(Duration::ZERO);
        let mut conn = impatient.connect().await.unwrap();
        let refused = sqlx::query("begin immediate").execute(&mut conn).await.unwrap_err();
        let refused = store(refused.into());
        assert_eq!(refused.code(), Code::Unavailable);
        assert_eq!(refusal::reason(&refused).as_deref(), Some("BUSY"));
        assert_eq!(store(StoreError::Corrupt("row")).code(), Code::Internal);
    }
}
