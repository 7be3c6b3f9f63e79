//! What needs a real database server.

mod databases;
mod desk;
mod ledger;
