//! What needs a real database server.

mod ledger;
