//! Why the database could not do what was asked: every cause once, and what to do about it.

use std::{fmt, io};

use sqlx::migrate::MigrateError;

/// SQLite's code for a file that another process holds.
const BUSY: u32 = 5;

/// The database could not do what was asked. Whoever shows it says which file it is.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be made, or be kept from others.
    #[error("could not make the store")]
    Create(#[source] io::Error),
    /// The file could not be opened.
    #[error("could not open the store")]
    Open(#[source] Cause),
    /// A migration failed, or the file was written by a newer version.
    #[error("could not bring the store's schema up to date")]
    Migrate(#[source] Cause),
    /// A statement failed.
    #[error("a store statement failed")]
    Statement(#[source] Cause),
    /// A row breaks a rule the schema should have kept.
    #[error("the store holds an impossible {0}")]
    Corrupt(&'static str),
}

/// What SQLite said, and what to do. Neither holds a value.
#[derive(Debug)]
pub struct Cause {
    said: String,
    advice: Option<&'static str>,
    busy: bool,
}

impl Cause {
    fn of(error: &sqlx::Error) -> Self {
        let busy = is_busy(error);
        match error {
            sqlx::Error::Database(error) => {
                let code = error.code().and_then(|code| code.parse().ok());
                let said = format!("{} (SQLite code {})", error.message(), code.unwrap_or(0));
                Self { said, advice: code.and_then(advice), busy }
            }
            sqlx::Error::Migrate(error) => Self::of_migration(error),
            // The others say their cause themselves.
            other => Self { said: other.to_string(), advice: None, busy },
        }
    }

    fn of_migration(error: &MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                Self::of(error)
            }
            MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => Self {
                said: error.to_string(),
                advice: Some("another version of causeway-node wrote it; use that one or a newer"),
                busy: false,
            },
            other => Self { said: other.to_string(), advice: None, busy: false },
        }
    }
}

/// Returns whether another process holds the file.
pub(super) fn is_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == BUSY)
}

/// Returns what to do about an error of SQLite's, by its code.
fn advice(code: u32) -> Option<&'static str> {
    // The lowest byte is the kind, the others say more.
    match code & 0xff {
        BUSY | 6 => Some("another process holds it; try again once that one is done"),
        8 => Some(
            "this user has to be able to write the file and its folder, and the disk must not be \
             mounted read-only",
        ),
        10 => Some("the disk or share failed or is full; make room, or look into the system's log"),
        11 | 26 => Some(
            "the file is damaged or is no store; put a copy back, or, where there is none, move it away \
             and take in the newest full exports: the inbox then begins anew",
        ),
        13 => Some("make room on the disk, and try again"),
        14 => Some("check that its folder is there, and that this user may read and write it"),
        _ => None,
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.said)?;
        match self.advice {
            Some(advice) => write!(f, ": {advice}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Cause {}

impl StoreError {
    /// Returns whether another process, or another task, is writing and was waited for in vain.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Open(cause) | Self::Migrate(cause) | Self::Statement(cause) if cause.busy)
    }

    pub(super) fn open(error: &sqlx::Error) -> Self {
        Self::Open(Cause::of(error))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Statement(Cause::of(&error))
    }
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        Self::Migrate(Cause::of_migration(&error))
    }
}
