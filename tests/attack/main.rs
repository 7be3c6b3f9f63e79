//! Nobody is to be found in what a coordinator receives, and the attack has to be good enough to say so.

use std::path::Path;

use causeway_tests::{
    attack::{self, AttackReport},
    bench::{self, Settings},
    town::process::Launcher,
};

/// The most that may be re-identified in the small town by the shape of the token graph. A guess at
/// random is right in .17 %.
const MOST_BY_TOKENS: f64 = 0.006;
/// The most that second looks may add to that. A record of 600 is easier to tell than one of 20,000, of
/// whom .4 % are.
const MOST_BY_LOOKS: f64 = 0.02;

/// What chance may add to a share: twelve people of 600.
const LUCK: f64 = 0.02;

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
    // What one comparison shows without another beside it adds nothing to the token graph but luck,
    // which is another in every sweep: 0.3 points less to 1.2 points more were measured.
    for part in ["equal_atoms", "set_bits"] {
        assert!(report.by_part[part] <= report.without_second_look[0] + LUCK, "{report:?}");
    }
    // What is reached today, with room for chance: to be lowered with every improvement, and never raised.
    assert!(report.without_second_look[0] <= MOST_BY_TOKENS, "{report:?}");
    let by_looks = report.nobody_known - report.without_second_look[0];
    assert!(by_looks <= MOST_BY_LOOKS, "{report:?}");
    // Whoever knows everything anyway finds most: it is reported beside the rest.
    let unique = report.structural_uniqueness;
    assert!(unique > report.nobody_known && unique <= 1.0, "{report:?}");
    // Those who are known tell about others, or the attack does not follow them up.
    assert!(report.ten_percent_known >= report.nobody_known - 0.01, "{report:?}");
    Ok(())
}
