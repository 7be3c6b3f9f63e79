//! Nobody is to be found in what a coordinator receives, and the attack has to be good enough to say so.

use std::path::Path;

use causeway_tests::{
    attack::{self, AttackReport},
    bench::{self, Settings},
    town::process::Launcher,
};

fn attack_a_small_town(folder: &Path) -> anyhow::Result<AttackReport> {
    let people = folder.join("people");
    bench::people(&Settings { agencies: 3, people: 600, seed: 7, live: 0 }, &people)?;
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_town"));
    attack::attack(&people, folder, None, &launcher)
}

#[test]
fn the_controls_succeed_and_a_record_by_itself_shows_nothing() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let report = attack_a_small_town(folder.path())?;
    // An attack that cannot find anybody would pass every other check.
    assert!(report.controls.single_field > 0.9, "{report:?}");
    assert!(report.controls.leaked_key > 0.9, "{report:?}");
    // What one comparison shows without another beside it adds nothing to the token graph but a
    // lucky guess here and there: three people of 600.
    for part in ["equal_atoms", "set_bits"] {
        assert!(report.by_part[part] <= report.without_second_look[0] + 0.005, "{report:?}");
    }
    Ok(())
}
