//! How many streams of one kind may be open at once: the coordinator's, and those of the agency's own systems.
//!
//! One of each kind is enough for a caller, and a few more until a connection that broke is noticed. Each of
//! them holds memory here, and looks at the store many times a second.

use std::sync::Arc;

use causeway_proto::refusal;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Code, Status};

/// Streams of one kind at once.
pub(super) const MOST_OPEN: usize = 16;

/// The places of one kind of stream.
pub(super) struct Places(Arc<Semaphore>);

/// A place that is taken, until it is dropped.
pub(super) struct Taken(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

impl Default for Places {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MOST_OPEN)))
    }
}

impl Places {
    /// Takes a place for as long as the stream is there.
    pub(super) fn take(&self) -> Result<Taken, Status> {
        self.0.clone().try_acquire_owned().map(Taken).map_err(|_| {
            let message = format!(
                "the node has {MOST_OPEN} such streams open already: end some of them first"
            );
            refusal::status(Code::ResourceExhausted, "TOO_MANY_STREAMS", message)
        })
    }
}
