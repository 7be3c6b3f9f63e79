//! A `MariaDB` server of our own, for tests: its own folder, its own port, gone when it is dropped.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use sqlx::{
    AssertSqlSafe, Connection, MySqlConnection,
    mysql::{MySqlConnectOptions, MySqlSslMode},
};
use tempfile::TempDir;

use crate::ports;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where Debian puts the server.
const SERVER: &str = "/usr/sbin/mariadbd";

/// A running server with one user, who may do everything.
#[derive(Debug)]
pub struct MariaDb {
    folder: TempDir,
    server: Child,
    port: u16,
}

impl MariaDb {
    /// Makes a server in a temporary folder and starts it on a free port of the loopback address.
    ///
    /// # Errors
    /// Fails with what to install when the machine has no `MariaDB`.
    pub async fn start() -> anyhow::Result<Self> {
        ensure!(
            Path::new(SERVER).is_file(),
            "this machine has no MariaDB server: `apt-get install mariadb-server`, or `tests/all`, \
             which does it"
        );
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        let root = rustix::process::geteuid().is_root();
        // The server refuses to run as root by accident; here it is meant.
        let as_user = |command: &mut Command| {
            if root {
                command.arg("--user=root");
            }
        };
        let mut init = Command::new("mariadb-install-db");
        init.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        init.arg(format!("--datadir={}", data.display()));
        as_user(&mut init);
        let made = init.output().context("could not run mariadb-install-db")?;
        ensure!(
            made.status.success(),
            "mariadb-install-db: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );

        let port = ports::free()?;
        let mut serve = Command::new(SERVER);
        serve.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin"]);
        serve.arg("--innodb-flush-log-at-trx-commit=0").arg(format!("--port={port}"));
        for (setting, file) in
            [("datadir", "data"), ("socket", "socket"), ("pid-file", "pid"), ("tmpdir", "")]
        {
            serve.arg(format!("--{setting}={}", folder.path().join(file).display()));
        }
        as_user(&mut serve);
        let log = fs::File::create(folder.path().join("log.txt"))?;
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let server = serve.spawn().context("could not run mariadbd")?;
        let mut mariadb = Self { folder, server, port };
        mariadb.wait().await?;
        Ok(mariadb)
    }

    /// Returns a connection that may do everything.
    pub async fn connect(&self) -> anyhow::Result<MySqlConnection> {
        let options = MySqlConnectOptions::new().socket(self.socket()).username("root");
        let options = options.ssl_mode(MySqlSslMode::Disabled);
        Ok(MySqlConnection::connect_with(&options).await?)
    }

    /// Makes an empty database and a user who may only read it, and returns their address.
    #[expect(clippy::disallowed_methods, reason = "names and passwords of tests")]
    pub async fn database(&self, name: &str, password: &str) -> anyhow::Result<String> {
        let statements = format!(
            "create database {name} character set utf8mb4;
             create user reader_{name}@'127.0.0.1' identified by '{password}';
             grant select, execute on {name}.* to reader_{name}@'127.0.0.1'"
        );
        // Names and passwords of tests.
        sqlx::raw_sql(AssertSqlSafe(statements)).execute(&mut self.connect().await?).await?;
        Ok(format!("mysql://reader_{name}:{password}@127.0.0.1:{}/{name}", self.port))
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    async fn wait(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            if self.connect().await.is_ok() {
                return Ok(());
            }
            let log = || fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default();
            if let Some(status) = self.server.try_wait()? {
                bail!("mariadbd ended ({status}): {}", log());
            }
            ensure!(Instant::now() < until, "mariadbd does not answer: {}", log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

impl Drop for MariaDb {
    fn drop(&mut self) {
        // Its data is thrown away with the folder, so it need not end in order.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
