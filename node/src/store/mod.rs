//! What a node keeps, in one SQLite file.
//!
//! Each submodule owns one table, and its functions take a connection: the caller decides what
//! belongs in one transaction. SQL appears nowhere else in this crate.

pub mod alerts;
pub mod audit;
pub mod changes;
pub mod claim;
mod error;
pub mod events;
pub mod imports;
pub mod keyed;
pub mod landed;
pub mod learnt;
mod many;
pub mod memos;
pub mod merged;
pub mod persons;
pub mod positions;
pub mod records;
pub mod residences;
pub mod reviews;
pub mod segments;
pub mod sweeps;
pub mod tidy;
pub mod told;
pub mod weights;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

pub use self::error::{Cause, StoreError};

use causeway_certs::files::make_secret_database;
use sqlx::{
    ConnectOptions, Connection, SqlSafeStr, Sqlite, SqliteConnection, SqlitePool, Transaction,
    migrate::{Migrate, Migration, MigrationType, Migrator},
    pool::PoolConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

/// A handle on the node's database. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    pool: SqlitePool,
    path: PathBuf,
}

/// How long to wait for another process.
const BUSY: Duration = Duration::from_secs(60);
/// Rows in one multi-row insert: far below SQLite's limit of 32,766 values a statement.
const INSERT_ROWS: usize = 2_000;
/// A new store's pages.
const PAGE_BYTES: u32 = 16 << 10;
/// How much of the file is read without copying: 16 GiB of address space, not of memory.
const MAPPED_BYTES: &str = "17179869184";
/// How large the write-ahead log stays once it is in the file: 64 MiB.
const KEPT_LOG_BYTES: &str = "67108864";

impl Store {
    /// Opens the store at `path`, creating and migrating it as needed.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        // For this user only, also where an older release made it.
        make_secret_database(path, "the records").map_err(StoreError::Create)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            // What was accepted survives a power cut, too.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            // Segments are blobs of 64 KiB and more: few large pages, read where they lie.
            .page_size(PAGE_BYTES)
            .pragma("mmap_size", MAPPED_BYTES)
            .pragma("cache_size", "-65536")
            // What a large export was written to first goes back to the disk.
            .pragma("journal_size_limit", KEPT_LOG_BYTES)
            .foreign_keys(true)
            // To read a million records takes seconds, and is nothing to be warned of.
            .disable_statement_logging();
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
        let path = options.get_filename().to_owned();
        // Where a write fails, as on a full disk, SQLite undoes the transaction by itself and the driver
        // goes on counting it: such a connection could never begin another.
        let pool =
            pool.before_acquire(|conn, _| Box::pin(async move { Ok(!conn.is_in_transaction()) }));
        let pool = open_in_turn(pool, options).await.map_err(|error| StoreError::open(&error))?;
        migrate(&pool).await?;
        Ok(Self { pool, path })
    }

    /// Returns where the database file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the file; `None` of a store in memory, which is nobody else's.
    pub fn file(&self) -> Option<&Path> {
        Some(self.path.as_path()).filter(|path| *path != Path::new(":memory:"))
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

    /// Fails where the store cannot be written, and changes nothing.
    pub async fn try_write(&self) -> Result<(), StoreError> {
        let mut tx = self.begin().await?;
        // SQLite begins to write where it may not, and fails at the first statement.
        sqlx::query("delete from landed where false").execute(&mut *tx).await?;
        Ok(tx.rollback().await?)
    }

    /// Begins a transaction that sees the store as it is now, whatever is written meanwhile.
    pub async fn snapshot(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.pool.begin().await?)
    }

    /// Closes the store, for every handle on it, and waits until all is in the file itself. Whoever opens one that
    /// was not closed has to go through its write-ahead log first.
    pub async fn close(&self) {
        self.pool.close().await;
    }
}

/// Opens the file. While another process turns a new one into a store with a log, SQLite says at once
/// that it is locked, however patient it otherwise is.
async fn open_in_turn(
    pool: SqlitePoolOptions,
    options: SqliteConnectOptions,
) -> Result<SqlitePool, sqlx::Error> {
    let end = Instant::now() + BUSY;
    loop {
        match pool.clone().connect_with(options.clone()).await {
            Err(error) if error::is_busy(&error) && Instant::now() < end => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            opened => return opened,
        }
    }
}

/// Brings the schema up to date. Of two processes that begin at once, one waits for the other, and
/// finds nothing left to do.
async fn migrate(pool: &SqlitePool) -> Result<(), StoreError> {
    if is_up_to_date(&mut *pool.acquire().await?).await? {
        return Ok(());
    }
    let mut tx = pool.begin_with("begin immediate").await?;
    // `run` is of no use to a future that may move between threads.
    migrator().run_direct(None, &mut *tx, false).await?;
    Ok(tx.commit().await?)
}

/// Returns whether nothing is left to do, without waiting for whoever writes at the moment.
async fn is_up_to_date(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    let (tables,): (i64,) =
        sqlx::query_as("select count(*) from sqlite_master where name = '_sqlx_migrations'")
            .fetch_one(&mut *conn)
            .await?;
    if tables == 0 {
        return Ok(false);
    }
    let migrator = migrator();
    let applied = conn.list_applied_migrations("_sqlx_migrations").await?;
    Ok(applied.len() == migrator.iter().count()
        && migrator.iter().zip(&applied).all(|(ours, theirs)| {
            (ours.version, &ours.checksum) == (theirs.version, &theirs.checksum)
        }))
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
        (50, "memos", include_str!("../../migrations/0050_memos.sql")),
        (60, "mappings", include_str!("../../migrations/0060_mappings.sql")),
        (61, "landed", include_str!("../../migrations/0061_landed.sql")),
        (62, "counted", include_str!("../../migrations/0062_counted.sql")),
        (70, "keyed", include_str!("../../migrations/0070_keyed.sql")),
        (71, "deceased", include_str!("../../migrations/0071_deceased.sql")),
        (72, "learnt", include_str!("../../migrations/0072_learnt.sql")),
        (73, "merged", include_str!("../../migrations/0073_merged.sql")),
        (74, "alert_records", include_str!("../../migrations/0074_alert_records.sql")),
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
    use std::{
        fs::{self, Permissions},
        os::unix::fs::PermissionsExt,
    };

    use super::*;

    #[test]
    fn every_migration_that_is_written_is_made() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations");
        assert_eq!(migrator().iter().count(), fs::read_dir(folder).unwrap().count());
    }

    /// A store of the release before a migration.
    async fn before(version: i64) -> SqlitePool {
        let pool = SqlitePoolOptions::new().max_connections(1).idle_timeout(None);
        let pool = pool.connect_with(SqliteConnectOptions::new().in_memory(true)).await.unwrap();
        let older = migrator().iter().filter(|one| one.version < version).cloned().collect();
        Migrator::with_migrations(older).run(&pool).await.unwrap();
        pool
    }

    #[tokio::test]
    async fn a_store_of_an_older_release_keeps_whom_its_alerts_concern() {
        let pool = before(74).await;
        sqlx::query(
            "insert into alert (alert_id, revision, body, received_ms)
             values (zeroblob(16), 1, x'', 1), (zeroblob(16), 2, x'', 2);
             insert into alert_record values (zeroblob(16), 'nominals', 'N-1')",
        )
        .execute(&pool)
        .await
        .unwrap();
        migrate(&pool).await.unwrap();
        let mut conn = pool.acquire().await.unwrap();
        let id = causeway_proto::ids::AlertId::from_bytes([0; 16]);
        let kept = [("nominals".to_owned(), "N-1".to_owned())];
        assert_eq!(alerts::records(&mut conn, id).await.unwrap(), kept);
        alerts::put(&mut conn, id, 3, b"", &[], 3).await.unwrap();
        assert_eq!(alerts::records(&mut conn, id).await.unwrap(), kept);
    }

    #[tokio::test]
    async fn a_store_of_an_older_release_keeps_its_segments() {
        let pool = before(40).await;
        sqlx::query("insert into segment values (7, 1, 2, x'c0ffee'), (7, 0, 2, x'8001')")
            .execute(&pool)
            .await
            .unwrap();
        migrate(&pool).await.unwrap();
        let store = Store { pool, path: PathBuf::new() };
        let mut conn = store.read().await.unwrap();
        let sketches = segments::packed_sketches(&mut conn, 7).await.unwrap();
        assert_eq!(sketches, [0xc0, 0xff, 0xee]);
        let first = 7 * causeway_proto::limits::SEGMENT_ROWS as u64;
        let states = segments::states_of(&mut conn, &[first, first + 1]).await.unwrap();
        assert_eq!(states, [(first, 0x80), (first + 1, 1)].into());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_new_store_is_this_users_only_and_may_be_opened_by_many_at_once() {
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("node.db");
            let open = || {
                let path = path.clone();
                tokio::spawn(async move { Store::open(&path).await })
            };
            let opened = futures::future::join_all([open(), open(), open(), open()]).await;
            let stores: Vec<Store> = opened.into_iter().map(|one| one.unwrap().unwrap()).collect();
            stores[0].begin().await.unwrap().commit().await.unwrap();
            let mut files = 0;
            for entry in fs::read_dir(folder.path()).unwrap() {
                let mode = entry.unwrap().metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
                files += 1;
            }
            assert_eq!(files, 3, "the database, its log and the index of that");
        }
    }

    #[tokio::test]
    async fn a_store_that_others_could_read_is_mended() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("node.db");
        let store = Store::open(&path).await.unwrap();
        store.begin().await.unwrap().commit().await.unwrap();
        // As an older release left them: the log stays where the process is killed.
        for entry in fs::read_dir(folder.path()).unwrap() {
            fs::set_permissions(entry.unwrap().path(), Permissions::from_mode(0o644)).unwrap();
        }
        let _again = Store::open(&path).await.unwrap();
        let files = fs::read_dir(folder.path()).unwrap().map(Result::unwrap);
        let modes = files.map(|file| file.metadata().unwrap().permissions().mode() & 0o777);
        assert_eq!(modes.collect::<Vec<u32>>(), [0o600; 3]);
    }

    #[tokio::test]
    async fn a_folder_that_is_not_there_is_the_cause() {
        let error = Store::open(Path::new("/nowhere/node.db")).await.unwrap_err();
        let said = crate::cause::in_one_line(&error);
        assert_eq!(said, "could not make the store: No such file or directory (os error 2)");
    }
}
