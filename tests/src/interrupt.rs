//! Interrupted, a town ends as a whole: no process of it goes on, and nothing of it stays on the disk.
//!
//! Somebody's records and a federation's keys may lie in its scratch folder. So SIGINT, SIGTERM and
//! SIGHUP end every child, remove the folder, and only then the town. Where the town itself is killed
//! without a word, its children notice by their standard input, which ends with it.

use std::{
    collections::BTreeSet,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::Duration,
};

use anyhow::Context;
use rustix::process::{Pid, Signal, getpid, kill_process};
use tokio::signal::unix::{SignalKind, signal};

/// Set for children that are to end with their town.
const TIED: &str = "TOWN_ENDS_WITH_STDIN";
/// How long a child may take to end by itself once its town is gone.
const GRACE: Duration = Duration::from_secs(5);
/// What the process ends with when its terminal is gone: as a shell says it, 128 and the signal's number.
const HUNG_UP: i32 = 129;
/// How often to look.
const LOOK: Duration = Duration::from_millis(10);

/// What an interrupted town leaves behind unless somebody cleans up.
#[derive(Default)]
struct Left {
    children: BTreeSet<u32>,
    folders: BTreeSet<PathBuf>,
    /// Whether somebody else waits for SIGINT and SIGTERM.
    is_released: bool,
}

static LEFT: Mutex<Option<Left>> = Mutex::new(None);

/// Works on what would be left behind. Whoever asks after an interruption waits until the process ends.
fn with_left<T>(work: impl FnOnce(&mut Left) -> T) -> T {
    work(lock().get_or_insert_default())
}

fn lock() -> MutexGuard<'static, Option<Left>> {
    LEFT.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that is gone when the town ends, however that comes about.
pub struct Scratch {
    path: PathBuf,
    is_kept: bool,
}

impl Scratch {
    /// Makes one in `$TMPDIR`, and from now on cleans up when the town is interrupted.
    pub fn new() -> anyhow::Result<Self> {
        watch()?;
        let made = with_left(|left| {
            let path = tempfile::Builder::new().prefix("town-").tempdir()?.keep();
            left.folders.insert(path.clone());
            Ok::<_, io::Error>(path)
        });
        Ok(Self { path: made.context("could not make a folder in $TMPDIR")?, is_kept: false })
    }

    /// Returns where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps it, also when the town is interrupted from now on.
    pub fn keep(mut self) {
        self.is_kept = true;
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        with_left(|left| {
            if !self.is_kept {
                // Nobody is left to be told that it stays.
                let _ = fs::remove_dir_all(&self.path);
            }
            left.folders.remove(&self.path);
        });
    }
}

/// Starts a child that ends with this process.
pub fn spawn(command: &mut Command) -> io::Result<Child> {
    command.env(TIED, "1").stdin(Stdio::piped());
    with_left(|left| {
        let child = command.spawn()?;
        left.children.insert(child.id());
        Ok(child)
    })
}

/// Forgets a child that has ended.
pub fn ended(child: &Child) {
    with_left(|left| left.children.remove(&child.id()));
}

/// Leaves SIGINT and SIGTERM to somebody else who waits for them.
pub fn release() {
    with_left(|left| left.is_released = true);
}

/// Cleans up and ends the process when it is interrupted.
pub fn watch() -> anyhow::Result<()> {
    static WATCHING: Mutex<bool> = Mutex::new(false);
    let mut watching = WATCHING.lock().unwrap_or_else(PoisonError::into_inner);
    if *watching {
        return Ok(());
    }
    let (ready, is_ready) = mpsc::channel();
    thread::spawn(move || {
        let waited = wait_for_signal(&ready);
        // Nobody listens when it could not wait, and then the signal itself ends the process.
        if let Ok(code) = waited {
            let left = lock();
            let is_released = left.as_ref().is_some_and(|left| left.is_released);
            if code == HUNG_UP || !is_released {
                clean_up(left.as_ref());
                std::process::exit(code);
            }
        }
    });
    is_ready.recv().context("could not wait for signals")?;
    *watching = true;
    Ok(())
}

/// Says when it is ready, waits, and returns what the process should end with.
fn wait_for_signal(ready: &mpsc::Sender<()>) -> anyhow::Result<i32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut hang_up = signal(SignalKind::hangup())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        ready.send(())?;
        Ok(tokio::select! {
            _ = hang_up.recv() => HUNG_UP,
            _ = interrupt.recv() => 130,
            _ = terminate.recv() => 143,
        })
    })
}

/// Kills the children, and removes the folders once nobody writes in them any more.
fn clean_up(left: Option<&Left>) {
    let Some(left) = left else { return };
    for child in &left.children {
        if let Some(pid) = i32::try_from(*child).ok().and_then(Pid::from_raw) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    while left.children.iter().any(|child| is_running(*child)) {
        thread::sleep(LOOK);
    }
    for folder in &left.folders {
        // The rest of this process may be writing there, and make some of it anew.
        for _ in 0..10 {
            let _ = fs::remove_dir_all(folder);
            thread::sleep(LOOK);
            if !folder.exists() {
                break;
            }
        }
    }
}

/// Returns whether a child still does anything. One that has ended stays in the list until it is waited for.
fn is_running(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

/// Ends this process with the town that started it, if one did.
pub fn end_with_town() {
    if std::env::var_os(TIED).is_none() {
        return;
    }
    thread::spawn(|| {
        // Nothing is ever written to it. It ends when the town does.
        let _ = io::stdin().read_to_end(&mut Vec::new());
        let _ = kill_process(getpid(), Signal::TERM);
        thread::sleep(GRACE);
        std::process::exit(1);
    });
}
