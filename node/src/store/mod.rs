//! What a node keeps, in one SQLite file.
//!
//! Each submodule owns one table, and its functions take a connection: the caller decides what
//! belongs in one transaction. SQL appears nowhere else in this crate.

pub mod alerts;
pub mod audit;
pub mod changes;
pub mod events;
pub mod imports;
pub mod landed;
pub mod memos;
pub mod merged;
pub mod persons;
pub mod positions;
pub mod records;
pub mod residences;
pub mod reviews;
pub mod segments;
pub mod sweeps;
pub mod told;
pub mod weights;

use std::path::Path;

use sqlx::{
    Connection, SqlSafeStr, Sqlite, SqlitePool, Transaction,
    migrate::{Migration, MigrationType, Migrator},
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// A handle on the node's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
}

/// The database could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file could not be opened.
    #[error("could not open the store")]
    Open(#[source] sqlx::Error),
    /// A migration failed, or the file was written by a newer version.
    #[error("could not bring the store's schema up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("a store statement failed")]
    Statement(#[from] sqlx::Error),
    /// A row breaks a rule the schema should have kept.
    #[error("the store holds an impossible {0}")]
    Corrupt(&'static str),
}

/// Rows in one multi-row insert: far below SQLite's limit of 32,766 values a statement.
const INSERT_ROWS: usize = 2_000;
/// A new store's pages.
const PAGE_BYTES: u32 = 16 << 10;
/// How much of the file is read without copying: 16 GiB of address space, not of memory.
const MAPPED_BYTES: &str = "17179869184";

impl Store {
    /// Opens the store at `path`, creating and migrating it as needed.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was accepted survives a power cut, too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(60))
            // Segments are blobs of 64 KiB and more: few large pages, read where they lie.
            .page_size(PAGE_BYTES)
            .pragma("mmap_size", MAPPED_BYTES)
            .pragma("cache_size", "-65536")
            .foreign_keys(true);
        Self::connect(SqlitePoolOptions::new(), options).await
    }

    /// Opens an empty store that lives as long as the handle.
    #[cfg(test)]
    pub(crate) async fn in_memory() -> Self {
        // Every new connection to `:memory:` is a new database, so keep exactly one.
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None);
        Self::connect(pool, SqliteConnectOptions::new().in_memory(true)).await.unwrap()
    }

    async fn connect(
        pool: SqlitePoolOptions,
        options: SqliteConnectOptions,
    ) -> Result<Self, StoreError> {
        // Where a write fails, as on a full disk, SQLite undoes the transaction by itself and the driver
        // goes on counting it: such a connection could never begin another.
        let pool =
            pool.before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }));
        let pool = pool.connect_with(options).await.map_err(StoreError::Open)?;
        migrator().run(&pool).await?;
        Ok(Self { pool })
    }

    /// Borrows a connection for reading.
    pub async fn read(&self) -> Result<PoolConnection<Sqlite>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// Begins a transaction that may write. Dropping it without `commit` undoes it.
    ///
    /// It takes the write lock at once: a transaction that began by reading could not take it later
    /// if another process wrote in between.
    pub async fn begin(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin_with("begin immediate").await?)
    }

    /// Begins a transaction that sees the store as it is now, whatever is written meanwhile.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// Closes the store and waits until the file is whole.
    pub async fn close(self) {
        self.pool.close().await;
    }
}

/// Migrations only go forward and are never edited once merged.
fn migrator() -> Migrator {
    let migrations = [
        (1, "intake", include_str!("../../migrations/0001_intake.sql")),
        (2, "sweep", include_str!("../../migrations/0002_sweep.sql")),
        (10, "live", include_str!("../../migrations/0010_live.sql")),
        (20, "reviews", include_str!("../../migrations/0020_reviews.sql")),
        (30, "feeds", include_str!("../../migrations/0030_feeds.sql")),
        (40, "segments", include_str!("../../migrations/0040_segments.sql")),
        (60, "mappings", include_str!("../../migrations/0060_mappings.sql")),
    ];
    Migrator::with_migrations(
        migrations
            .into_iter()
            .map(|(version, name, sql)| {
                let sql = sql.into_sql_str();
                Migration::new(version, name.into(), MigrationType::Simple, sql, false)
            })
            .collect(),
    )
}

/// Reads an unsigned number that the schema keeps as a signed one.
fn unsigned(what: &'static str, value: i64) -> Result<u64, StoreError> {
    value.try_into().map_err(|_| StoreError::Corrupt(what))
}

/// Writes an unsigned number. Row numbers, positions and times stay far below 2^63.
fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Reads a fixed-size blob.
fn fixed<const N: usize>(what: &'static str, value: Vec<u8>) -> Result<[u8; N], StoreError> {
    value.try_into().map_err(|_| StoreError::Corrupt(what))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_of_an_older_release_keeps_its_segments() {
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None);
        let pool = pool.connect_with(SqliteConnectOptions::new().in_memory(true)).await.unwrap();
        let older = migrator().iter().filter(|one| one.version < 40).cloned().collect();
        Migrator::with_migrations(older).run(&pool).await.unwrap();
        sqlx::query("insert into segment values (7, 1, 2, x'c0ffee'), (7, 0, 2, x'8001')")
            .execute(&pool)
            .await
            .unwrap();
        migrator().run(&pool).await.unwrap();
        let store = Store { pool };
        let mut conn = store.read().await.unwrap();
        let sketches = segments::packed_sketches(&mut conn, 7).await.unwrap();
        assert_eq!(sketches, [0xc0, 0xff, 0xee]);
        let first = 7 * causeway_proto::limits::SEGMENT_ROWS as u64;
        let states = segments::states_of(&mut conn, &[first, first + 1]).await.unwrap();
        assert_eq!(states, [(first, 0x80), (first + 1, 1)].into());
    }
}
