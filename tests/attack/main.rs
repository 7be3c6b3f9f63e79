//! Nobody is to be found in what a coordinator receives, and the attack has to be good enough to say so.

use causeway_tests::{
    attack::{self, AttackReport},
    bench::{self, Settings},
    town::process::Launcher,
};

/// More than this is a gain and no accident of a small town.
const NO_GAIN: f64 = 0.005;

#[test]
fn second_looks_help_an_attack_little_and_the_controls_succeed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let people = folder.path().join("people");
    bench::people(&Settings { agencies: 3, people: 600, seed: 7 }, &people)?;
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_town"));
    let report = attack::attack(&people, folder.path(), None, &launcher)?;

    let AttackReport { controls, without_second_look, .. } = &report;
    assert!(controls.single_field > 0.9, "{report:?}");
    assert!(controls.leaked_key > 0.9, "{report:?}");
    let with = [report.nobody_known, report.one_percent_known, report.ten_percent_known];
    for (with, without) in with.into_iter().zip(without_second_look) {
        assert!(with <= without + NO_GAIN, "{report:?}");
    }
    Ok(())
}
