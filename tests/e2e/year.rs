//! What `town year` promises, over three weeks of it: the whole year is a command.

use std::process::Command;

use anyhow::{Context, ensure};
use causeway_coordinator::score::Model;
use serde_json::Value;

#[test]
fn larkrise_is_pushed_on_the_day_of_the_disclosure_and_again_when_nobody_followed_up()
-> anyhow::Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_town"))
        .args(["year", "--json", "--from", "2025-02-20", "--to", "2025-03-12", "--people", "60"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the year failed: {said}");
    let report: Value = serde_json::from_slice(&output.stdout).context("no JSON")?;
    let pushes = report["pushes"].as_array().context("pushes")?;
    let said = |push: &Value| {
        let text = |name: &str| push[name].as_str().unwrap_or("?").to_owned();
        (text("household"), text("day"), text("kind"), text("tier"))
    };
    let expected = [("HA", "2025-02-24", "NEW", "T3"), ("HA", "2025-03-10", "UPDATE", "T3")];
    let expected = expected.map(|(a, b, c, d)| (a.into(), b.into(), c.into(), d.into()));
    assert_eq!(pushes.iter().map(said).collect::<Vec<_>>(), expected);
    for push in pushes {
        assert!(push["reason"].as_str().is_some_and(|reason| !reason.is_empty()));
        assert_eq!(push["recipients"][0], "adult_social_care");
    }
    let k = Model::builtin().surfacing.top_k as u64;
    let weeks = report["weeks"].as_array().context("weeks")?;
    assert_eq!(weeks.len(), 4);
    assert!(weeks.iter().all(|week| week["pushes"].as_u64().is_some_and(|pushes| pushes <= k)));
    assert_eq!(report["precision"], 1.0);
    Ok(())
}
