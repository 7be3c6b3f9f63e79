//! One agency's node.
//!
//! Modules are listed in the order a record meets them:
//!
//! ```text
//! source -> normalise -> tokenise -> store -> serve -> (coordinator)
//!                                      ^
//!              (coordinator) -> inbox -+-> (the agency's own people)
//! ```
//!
//! `source`, `normalise`, `tokenise` and `policy` decide and don't act: no async, no database, no
//! clock. `ingest` runs them over one export; `serve` answers from the store and cannot reach a
//! person; `app` is the one that knows everybody.

pub mod app;
pub mod cause;
pub mod cli;
pub mod clock;
pub mod config;
pub mod policy;
pub mod progress;

pub mod extract;
pub mod normalise;
pub mod source;
pub mod tokenise;

pub mod store;

pub mod doctor;
pub mod inbox;
pub mod ingest;
pub mod measure;
pub mod serve;
pub mod setup;
