//! Members of a small deployment meet over real TLS on loopback, with real files, and are let in or
//! refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod cli;
mod crowd;
mod identity;
mod lists;
mod log;
mod meeting;
mod reasons;
mod relay;
mod reverse;
mod rotation;
mod stranger;
mod town;
