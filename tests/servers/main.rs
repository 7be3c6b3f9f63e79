//! What needs a real database server.

#![expect(clippy::unwrap_used, reason = "a story that cannot go on fails")]

mod databases;
mod desk;
mod ledger;
