//! Joins what the agencies hold, scores it, and tells whoever has a duty of care.
//!
//! ```text
//! federation -> link -> household -> score -> route -> alert -> ledger -> outbox -> (nodes)
//! ```
//!
//! `federation` and `outbox` touch the network, `ledger` touches the database, and `link`,
//! `household`, `score`, `route` and `alert` are plain functions of their arguments: no async, no
//! database, no clock, no environment. `cycle` is one pass over all of them.

pub mod alert;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod cycle;
pub mod federation;
pub mod household;
pub mod ledger;
pub mod link;
pub mod measure;
pub mod outbox;
pub mod route;
pub mod score;
pub mod serve;
pub mod sign_off;
