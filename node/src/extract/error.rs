//! Why a database gave no rows: which side, what, and what to do. Never the address, since it holds
//! a password, and never the database's own words, since they may hold a row's.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::settings::Kind;

/// Why a database gave no rows. What was there before stands.
#[derive(Debug, thiserror::Error)]
pub enum ExtractError {
    /// The file with the address cannot be read.
    #[error("could not read {}: put the database's address there, in one line", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Others can read the address.
    #[error("other users can read {0}, which holds a password: run `chmod 600 {0}`", file.display())]
    Permissions {
        /// Which file.
        file: PathBuf,
    },
    /// The address is none.
    #[error("{} holds no address of this kind of database: write one like `{}`", file.display(), kind.example())]
    Address {
        /// Which file.
        file: PathBuf,
        /// The kind.
        kind: Kind,
    },
    /// Nobody answers there.
    #[error(
        "the agency's {kind} database does not answer ({why}): check host and port in {}, the \
         firewall, and whether the server is up", file.display()
    )]
    Unreachable {
        /// The kind.
        kind: Kind,
        /// The kind of failure.
        why: String,
        /// Where the address is.
        file: PathBuf,
    },
    /// It lets nobody in.
    #[error(
        "the agency's {kind} database refused the login ({code}): check user, password and database \
         in {}", file.display()
    )]
    Login {
        /// The kind.
        kind: Kind,
        /// The database's code.
        code: String,
        /// Where the address is.
        file: PathBuf,
    },
    /// It cannot answer this.
    #[error("the agency's {kind} database refused the query ({code}): {hint}")]
    Query {
        /// The kind.
        kind: Kind,
        /// The database's code.
        code: String,
        /// What to do.
        hint: &'static str,
    },
    /// It took too long.
    #[error(
        "the agency's {kind} database did not answer in full within {seconds} s: raise \
         `database.timeout_seconds`, or have an index made"
    )]
    Timeout {
        /// The kind.
        kind: Kind,
        /// The setting.
        seconds: u64,
    },
    /// A value is bytes.
    #[error("column `{column}` holds bytes that are no text: convert it in the query")]
    NotText {
        /// Their column.
        column: String,
    },
    /// A row or a value is longer than any should be.
    #[error("a row of the result is too long: leave columns of free text out of the query")]
    LongRow,
    /// The result has no such column.
    #[error("the result has no column `{column}`, which `database.cursor` names")]
    NoCursor {
        /// The setting.
        column: String,
    },
    /// A cursor that cannot stand in a statement.
    #[error(
        "in row {row} `database.cursor` is neither a number nor a time nor a plain word: convert it \
         in the query, or leave `cursor` out and read everything"
    )]
    CursorForm {
        /// Which row.
        row: u64,
    },
    /// Built without.
    #[error("this node was built without ODBC: install one that was built with `--features odbc`")]
    NoOdbc,
    /// It stopped without a word.
    #[error("the agency's {kind} database stopped in the middle of its answer: it is asked again")]
    Silent {
        /// The kind.
        kind: Kind,
    },
}

/// What went wrong while reading, before it is put into words.
#[derive(Debug)]
pub(super) enum Problem {
    Address,
    Login(String),
    Unreachable(String),
    Query(String, &'static str),
    Timeout,
    NotText(String),
    LongRow,
    #[cfg_attr(feature = "odbc", expect(dead_code, reason = "only said by nodes without it"))]
    NoOdbc,
    /// The reader has seen enough.
    NobodyListens,
}

impl Problem {
    /// Puts a problem into words.
    pub(super) fn of(self, kind: Kind, file: &Path, seconds: u64) -> ExtractError {
        let file = file.to_owned();
        match self {
            Self::Address => ExtractError::Address { file, kind },
            Self::Login(code) => ExtractError::Login { kind, code, file },
            Self::Unreachable(why) => ExtractError::Unreachable { kind, why, file },
            Self::Query(code, hint) => ExtractError::Query { kind, code, hint },
            Self::Timeout => ExtractError::Timeout { kind, seconds },
            Self::NotText(column) => ExtractError::NotText { column },
            Self::LongRow => ExtractError::LongRow,
            Self::NoOdbc => ExtractError::NoOdbc,
            Self::NobodyListens => ExtractError::Silent { kind },
        }
    }

    /// Tells what an SQLSTATE means, as PostgreSQL and every ODBC driver give them.
    pub(super) fn of_sqlstate(code: &str) -> Self {
        match code {
            "57014" | "HYT00" | "HYT01" => Self::Timeout,
            _ if code.starts_with("28") || code == "3D000" => Self::Login(code.to_owned()),
            _ if code.starts_with("08") || code.starts_with("57P") || code == "IM002" => {
                Self::Unreachable(code.to_owned())
            }
            _ => Self::Query(code.to_owned(), hint(code)),
        }
    }
}

/// What to do about an SQLSTATE.
fn hint(code: &str) -> &'static str {
    match code {
        "25006" => WRITES,
        "42501" => NOT_ALLOWED,
        "42P01" | "42S02" => NO_TABLE,
        "42703" | "42S22" => NO_COLUMN,
        _ if code.starts_with("42") || code == "37000" => SYNTAX,
        _ => TRY_IT,
    }
}

pub(super) const WRITES: &str =
    "it tries to change something, and this node only reads; ask with a `select`";
pub(super) const NOT_ALLOWED: &str = "the user may not read all of it: have `select` granted";
pub(super) const NO_TABLE: &str =
    "a table or view is not there: check the names and the database in the address";
pub(super) const NO_COLUMN: &str = "a column is not there: check `query` and `cursor`";
pub(super) const SYNTAX: &str =
    "it does not understand it: try `query` with the database's own tool";
pub(super) const TRY_IT: &str = "try `query` with the database's own tool, as the same user";
