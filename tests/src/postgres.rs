//! A PostgreSQL server of our own, for tests: its own folder, its own port, gone when it is dropped.

use std::{
    fs,
    os::unix::{fs::chown, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tempfile::TempDir;

use crate::ports;

/// How long the server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Where Debian puts the programs, by version.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Nobody's records are in here, and only this machine can reach it.
const USER: &str = "causeway";

/// A running server with one empty database.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    server: Child,
    programs: PathBuf,
    port: u16,
}

impl Postgres {
    /// Makes a cluster in a temporary folder and starts it on a free port of the loopback address.
    ///
    /// # Errors
    /// Fails with what to install when the machine has no PostgreSQL.
    pub fn start() -> anyhow::Result<Self> {
        let programs = programs().context(
            "this machine has no PostgreSQL server: `apt-get install postgresql`, or `tests/all`, \
             which does it",
        )?;
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir(&data)?;
        // The server refuses to run as root; Debian's own user for it is there when it is.
        let user =
            rustix::process::geteuid().is_root().then(|| user_ids("postgres")).transpose()?;
        if let Some((uid, gid)) = user {
            chown(folder.path(), Some(uid), Some(gid))?;
            chown(&data, Some(uid), Some(gid))?;
        }
        let as_user = |command: &mut Command| {
            if let Some((uid, gid)) = user {
                command.uid(uid).gid(gid);
            }
        };
        let mut init = Command::new(programs.join("initdb"));
        init.args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "-U", USER, "-D"]);
        init.arg(&data).current_dir(folder.path());
        as_user(&mut init);
        let made = init.output().context("could not run initdb")?;
        ensure!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr).trim());

        let port = ports::free()?;
        let mut serve = Command::new(programs.join("postgres"));
        serve.arg("-D").arg(&data).args(["-h", "127.0.0.1", "-p", &port.to_string(), "-k"]);
        serve.arg(folder.path()).current_dir(folder.path());
        let log = fs::File::create(folder.path().join("log.txt"))?;
        serve.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        as_user(&mut serve);
        let server = serve.spawn().context("could not run postgres")?;
        let mut postgres = Self { folder, server, programs, port };
        postgres.wait()?;
        Ok(postgres)
    }

    /// Returns the address of a new, empty database.
    pub fn database(&self, name: &str) -> anyhow::Result<String> {
        let made = Command::new(self.programs.join("createdb"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", USER, name])
            .output()
            .context("could not run createdb")?;
        ensure!(
            made.status.success(),
            "createdb: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );
        Ok(format!("postgres://{USER}@127.0.0.1:{}/{name}", self.port))
    }

    fn wait(&mut self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            let ready = Command::new(self.programs.join("pg_isready"))
                .args(["-q", "-h", "127.0.0.1", "-p", &self.port.to_string()])
                .status()
                .context("could not run pg_isready")?;
            if ready.success() {
                return Ok(());
            }
            let log = || fs::read_to_string(self.folder.path().join("log.txt")).unwrap_or_default();
            if let Some(status) = self.server.try_wait()? {
                bail!("postgres ended ({status}): {}", log());
            }
            ensure!(Instant::now() < until, "postgres does not answer: {}", log());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its data is thrown away with the folder, so it need not end in order.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Finds the newest installed server's programs.
fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> =
        fs::read_dir(DEBIAN).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    versions.sort_by_key(|path| version(path));
    versions.into_iter().rev().map(|path| path.join("bin")).find(|bin| bin.join("initdb").is_file())
}

fn version(path: &Path) -> u32 {
    path.file_name().and_then(|name| name.to_str()?.parse().ok()).unwrap_or(0)
}

fn user_ids(name: &str) -> anyhow::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let line = users.lines().find(|line| line.split(':').next() == Some(name));
    let mut fields = line.with_context(|| format!("there is no user {name}"))?.split(':').skip(2);
    let mut next = || fields.next().context("a broken line in the user list");
    Ok((next()?.parse()?, next()?.parse()?))
}
