//! What was decided and what is still to be delivered, in SQLite or PostgreSQL.
//!
//! SQLite by default; PostgreSQL when two coordinators share the work. One set of SQL runs on both:
//! only the types in the migrations differ. Each submodule owns one table, and its functions take a
//! transaction, so that a decision and its deliveries are written together or not at all.
//!
//! Nothing in here joins to a person without a node: handles stand in the outbox until they are
//! delivered, and nowhere else.

pub mod alerts;
pub mod heard;
pub mod outbox;
pub mod reviews;
pub mod standings;
pub mod sweeps;

use std::{io, path::Path, time::Duration};

use causeway_certs::files::make_secret_database;
use causeway_proto::limits::SWEEP_JUMP;
use sqlx::{
    Connection, PgPool, Postgres, SqlSafeStr, Sqlite, SqlitePool, Transaction,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    postgres::PgPoolOptions,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// A handle on the coordinator's database. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Ledger {
    /// One file, one coordinator.
    Sqlite(SqlitePool),
    /// A server that several coordinators share.
    Postgres(PgPool),
}

/// A transaction. Dropping it without `commit` undoes it.
#[derive(Debug)]
pub enum Tx {
    /// In the file.
    Sqlite(Transaction<'static, Sqlite>),
    /// On the server.
    Postgres(Transaction<'static, Postgres>),
}

/// The database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It could not be opened or reached.
    #[error("could not open the ledger")]
    Open(#[source] sqlx::Error),
    /// Its file could not be made, or be kept from others.
    #[error("could not make the ledger's file one that nobody else may read")]
    File(#[source] io::Error),
    /// A migration failed, or the database was written by a newer version.
    #[error("could not bring the ledger's schema up to date")]
    Migrate(#[from] MigrateError),
    /// A statement failed.
    #[error("a ledger statement failed")]
    Statement(#[from] sqlx::Error),
    /// Sweeps would be numbered so high that nodes open none any more.
    #[error(
        "the last sweep here was number {last}, and a node that knows of it refuses for good whatever is more than \
         {SWEEP_JUMP} above: look whether the number is right, and where it is, skip to {furthest} first"
    )]
    Jump {
        /// The highest number that was used.
        last: u64,
        /// The highest that may be left out.
        furthest: u64,
    },
    /// A row breaks a rule the schema should have kept.
    #[error("the ledger holds an impossible {0}")]
    Corrupt(&'static str),
}

/// Runs one expression on whichever database it is; both are checked by the compiler.
macro_rules! on {
    ($tx:expr, |$conn:ident| $body:expr) => {
        match $tx {
            $crate::ledger::Tx::Sqlite(tx) => {
                let $conn = &mut **tx;
                $body
            }
            $crate::ledger::Tx::Postgres(tx) => {
                let $conn = &mut **tx;
                $body
            }
        }
    };
}
use on;

impl Ledger {
    /// Opens the file at `path`, creating and migrating it as needed. Nobody but its owner may read it.
    pub async fn open_file(path: &Path) -> Result<Self, LedgerError> {
        // It holds scores, and alerts on their way.
        make_secret_database(path, "the ledger").map_err(LedgerError::File)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was decided survives a power cut, too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(Duration::from_secs(30))
            // Handles that were delivered are overwritten, not only unlinked.
            .pragma("secure_delete", "on")
            .foreign_keys(true);
        let pool = SqlitePoolOptions::new()
            // Where a write fails, as on a full disk, SQLite undoes the transaction by itself and the
            // driver goes on counting it: such a connection could never begin another.
            .before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }))
            .connect_with(options)
            .await
            .map_err(LedgerError::Open)?;
        migrator([
            include_str!("../../migrations/sqlite/0001_ledger.sql"),
            include_str!("../../migrations/sqlite/0010_reviews.sql"),
            include_str!("../../migrations/sqlite/0020_models.sql"),
        ])
        .run(&pool)
        .await?;
        Ok(Self::Sqlite(pool))
    }

    /// Connects to the PostgreSQL database at `url`, migrating it as needed.
    pub async fn connect(url: &str) -> Result<Self, LedgerError> {
        let pool = PgPoolOptions::new()
            .acquire_timeout(Duration::from_secs(10))
            .connect(url)
            .await
            .map_err(LedgerError::Open)?;
        migrator([
            include_str!("../../migrations/postgres/0001_ledger.sql"),
            include_str!("../../migrations/postgres/0010_reviews.sql"),
            include_str!("../../migrations/postgres/0020_models.sql"),
        ])
        .run(&pool)
        .await?;
        Ok(Self::Postgres(pool))
    }

    /// Takes what was erased off the disk as well. In the file, the write-ahead log still holds it until
    /// then; a PostgreSQL server does so by itself, when it vacuums.
    pub async fn forget(&self) -> Result<(), LedgerError> {
        if let Self::Sqlite(pool) = self {
            sqlx::query("pragma wal_checkpoint(truncate)").execute(pool).await?;
        }
        Ok(())
    }

    /// Begins a transaction that may write.
    pub async fn begin(&self) -> Result<Tx, LedgerError> {
        Ok(match self {
            // The write lock at once: a transaction that began by reading could not always take it
            // later.
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin_with("begin immediate").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Begins a transaction for reading only.
    pub async fn read(&self) -> Result<Tx, LedgerError> {
        Ok(match self {
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin().await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }
}

impl Tx {
    /// Makes everything that was written in it durable.
    pub async fn commit(self) -> Result<(), LedgerError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}

/// Every migration, by number and name; each database has its own spelling of them.
const MIGRATIONS: [(i64, &str); 3] = [(1, "ledger"), (10, "reviews"), (20, "models")];

/// Migrations only go forward and are never edited once merged.
fn migrator(sql: [&'static str; MIGRATIONS.len()]) -> Migrator {
    let migration = |((number, name), sql): ((i64, &'static str), &'static str)| {
        Migration::new(number, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    };
    Migrator::with_migrations(MIGRATIONS.into_iter().zip(sql).map(migration).collect())
}

/// Reads an unsigned number that the schema keeps as a signed one.
fn unsigned(what: &'static str, value: i64) -> Result<u64, LedgerError> {
    value.try_into().map_err(|_| LedgerError::Corrupt(what))
}

/// Writes an unsigned number. Counters and times stay far below 2^63.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a 16-byte id.
fn id(what: &'static str, value: Vec<u8>) -> Result<[u8; 16], LedgerError> {
    value.try_into().map_err(|_| LedgerError::Corrupt(what))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

    use super::*;

    #[tokio::test]
    async fn nobody_else_may_read_the_ledger_and_one_that_they_could_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let open = || async {
            let ledger = Ledger::open_file(&path).await.unwrap();
            let mut tx = ledger.begin().await.unwrap();
            heard::put(&mut tx, &"police".parse().unwrap(), "2026-02-25".parse().unwrap())
                .await
                .unwrap();
            tx.commit().await.unwrap();
            ledger
        };
        let modes = || {
            let files = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
            let modes = files.map(|file| file.metadata().unwrap().permissions().mode() & 0o777);
            modes.collect::<Vec<u32>>()
        };
        let ledger = open().await;
        assert_eq!(modes(), [0o600; 3], "the file, its log and its index");
        drop(ledger);
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let _ledger = open().await;
        assert!(modes().iter().all(|mode| *mode == 0o600), "{:?}", modes());
    }
}
