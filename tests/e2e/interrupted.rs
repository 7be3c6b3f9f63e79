//! A town that is interrupted leaves no process and no file behind.

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not so after a minute: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// The processes whose command line names a folder.
fn at_work_in(folder: &Path) -> usize {
    let folder = folder.display().to_string();
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    lines.filter(|line| String::from_utf8_lossy(line).contains(&folder)).count()
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().next().is_none()
}

/// Starts `town` with a folder of its own for whatever is temporary, and waits until a child works there.
fn started(args: &[&str], temporary: &Path) -> Child {
    let mut town = Command::new(env!("CARGO_BIN_EXE_town"));
    town.args(args).env("TMPDIR", temporary).stdout(Stdio::null()).stderr(Stdio::null());
    let town = town.spawn().unwrap();
    until("a node works", || at_work_in(temporary) > 0);
    town
}

fn send(town: &Child, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(town.id()).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

#[test]
fn a_town_that_is_interrupted_ends_its_nodes_and_takes_its_folder_with_it() -> anyhow::Result<()> {
    for (args, signal, code) in [
        (["year", "--people", "50"], Signal::INT, 130),
        (["demo", "--people", "300"], Signal::TERM, 143),
        (["up", "--people", "300"], Signal::TERM, 143),
    ] {
        let temporary = tempfile::tempdir()?;
        let mut town = started(&args, temporary.path());
        let made = fs::read_dir(temporary.path()).unwrap().flatten().next().unwrap().file_name();
        assert!(made.to_string_lossy().starts_with("town-"), "{made:?}");
        send(&town, signal);
        let status = town.wait()?;
        assert_eq!(status.code(), Some(code), "{args:?}");
        assert_eq!(at_work_in(temporary.path()), 0, "{args:?}");
        assert!(is_empty(temporary.path()), "{args:?}");
    }
    Ok(())
}

#[test]
fn the_nodes_of_a_town_that_is_killed_end_by_themselves() -> anyhow::Result<()> {
    let temporary = tempfile::tempdir()?;
    let mut town = started(&["year", "--people", "50"], temporary.path());
    send(&town, Signal::KILL);
    town.wait()?;
    until("its nodes end, too", || at_work_in(temporary.path()) == 0);
    Ok(())
}
