//! Turns a person into keyed hashes that say nothing to anyone without the key.
//!
//! ```text
//! Profile  --recipe-->  y = HMAC(K_y[kind], fields)     at ingest, stored by kind
//!          --sketch-->  what the second look needs      at ingest, stored beside it
//! y        --chain--->  token = AES(K_kind[sweep], y)   in a sweep, streamed
//! sketch   --compare->  Comparison, salted by a token   in a sweep, when asked
//! ```
//!
//! Two agencies only get equal tokens if they get equal bytes here, so a change to these rules is
//! a change to the contract: a new recipe number.

pub mod chain;
pub mod compare;
pub mod keyring;
mod minhash;
pub mod profile;
pub mod recipe;
pub mod sketch;
pub mod strangers;
