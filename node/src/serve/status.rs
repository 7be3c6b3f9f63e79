//! What callers are told when something fails here: that it did, and which line of our log knows.

use std::time::Duration;

use causeway_proto::refusal;
use ring::rand::{SecureRandom, SystemRandom};
use tonic::{Code, Status};

use crate::{store::StoreError, tokenise::keyring::KeyringError};

/// Logs what went wrong in the store, and tells the caller only that something did.
pub(super) fn store(error: StoreError) -> Status {
    internal("the node could not read or write its store", &error)
}

/// Logs what went wrong with the keys. A sweep that is over is the caller's mistake and said so.
pub(super) fn keyring(error: KeyringError) -> Status {
    match error {
        KeyringError::Chain(error) => {
            let reason = "SWEEP_REPLAYED";
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
