//! A disk is full for a while: what fails meanwhile is told, and all goes on once there is room.

use std::{fs, os::unix::fs::PermissionsExt};

use causeway_proto::catalogue::AgencyKind::Police;
use causeway_tests::town::process::Launcher;
use tempfile::TempDir;

use crate::village::{FIVE, Making, Village, alert, problem};

/// More than there are connections that could be left unusable.
const OFTEN: usize = 12;

/// A village whose agents outlive a write that finds no room, and the folder of the program they run.
fn sturdy() -> anyhow::Result<(Village, TempDir)> {
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("town");
    let town = env!("CARGO_BIN_EXE_town");
    fs::write(&program, format!("#!/bin/sh\ntrap '' XFSZ\nexec '{town}' \"$@\"\n"))?;
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700))?;
    let making = Making { launcher: Launcher::new(program), ..Making::of(&FIVE) };
    Ok((making.up()?, folder))
}

#[test]
fn a_coordinator_sweeps_again_once_its_disk_has_room() -> anyhow::Result<()> {
    let (mut village, _program) = sturdy()?;
    village.town.start_coordinator()?;
    let coordinator = village.town.coordinator_mut().unwrap();
    coordinator.limit_files(Some(1))?;
    for _ in 0..3 {
        assert!(village.sweep().is_err(), "nothing can be written down");
    }
    village.town.coordinator_mut().unwrap().limit_files(None)?;
    for _ in 0..OFTEN {
        village.sweep()?;
    }
    Ok(())
}

#[test]
fn a_node_takes_part_again_once_its_disk_has_room() -> anyhow::Result<()> {
    let (mut village, _program) = sturdy()?;
    alert(&village.sweep()?)?;
    village.node(Police)?.limit_files(Some(1))?;
    for _ in 0..3 {
        assert!(problem(&village.sweep()?, Police).is_some(), "nothing can be written down");
    }
    village.node(Police)?.limit_files(None)?;
    for _ in 0..OFTEN {
        assert_eq!(problem(&village.sweep()?, Police), None);
    }
    Ok(())
}
