//! Nobody is to be found in what a coordinator receives, and the attack has to be good enough to say so.

use std::path::Path;

use causeway_tests::{
    attack::{self, AttackReport},
    bench::{self, Settings},
    town::process::Launcher,
};

fn attack_a_small_town(folder: &Path) -> anyhow::Result<AttackReport> {
    let people = folder.join("people");
    bench::people(&Settings { agencies: 3, people: 600, seed: 7 }, &people)?;
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_town"));
    attack::attack(&people, folder, None, &launcher)
}

#[test]
fn the_controls_succeed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let report = attack_a_small_town(folder.path())?;
    assert!(report.controls.single_field > 0.9, "{report:?}");
    assert!(report.controls.leaked_key > 0.9, "{report:?}");
    Ok(())
}
