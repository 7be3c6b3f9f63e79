//! What `town year` promises, over a few weeks of it: the whole year is a command.

use std::process::Command;

use anyhow::{Context, ensure};
use causeway_coordinator::score::Model;
use serde_json::Value;

/// A push that has to come: the household, the day, the kind, the tier, and who is told.
type Expected = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

#[test]
fn larkrise_is_pushed_on_the_day_of_the_disclosure_and_again_when_nobody_followed_up()
-> anyhow::Result<()> {
    let told = &["adult_social_care", "police", "housing"];
    let report = lived("2025-02-22", "2025-03-12")?;
    pushed(
        &report,
        &[("HA", "2025-02-24", "NEW", "T3", told), ("HA", "2025-03-10", "UPDATE", "T3", told)],
    )?;
    assert_eq!(report["weeks"].as_array().context("weeks")?.len(), 4);
    assert_eq!(report["precision"], 1.0);
    assert_eq!(report["lead_days"], serde_json::json!({}), "its crisis is in another month");
    Ok(())
}

/// Two households are known from before. What carries Station Road is a child's age band, which its
/// node tells from today on every day anew: that is no correction.
#[test]
fn station_road_is_pushed_once_and_the_days_after_it_are_quiet() -> anyhow::Result<()> {
    let larkrise = &["adult_social_care", "police", "schools", "housing", "childrens_social_care"];
    let report = lived("2025-07-11", "2025-07-18")?;
    pushed(
        &report,
        &[
            ("HA", "2025-07-11", "NEW", "T4", larkrise),
            ("HB", "2025-07-11", "NEW", "T3", &["adult_social_care", "police", "housing"]),
            (
                "HC",
                "2025-07-14",
                "NEW",
                "T3",
                &["childrens_social_care", "police", "schools", "nhs"],
            ),
        ],
    )
}

/// Lets a town live from one day to another.
fn lived(from: &str, to: &str) -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_town"))
        .args(["year", "--json", "--from", from, "--to", to, "--people", "25"])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the year failed: {said}");
    serde_json::from_slice(&output.stdout).context("no JSON")
}

/// Holds the pushes against what has to come, and the weeks against what people can bear.
fn pushed(report: &Value, expected: &[Expected]) -> anyhow::Result<()> {
    let pushes = report["pushes"].as_array().context("pushes")?;
    let said = |push: &Value| {
        let text = |name: &str| push[name].as_str().unwrap_or("?").to_owned();
        let told = push["recipients"].as_array().cloned().unwrap_or_default();
        let told = told.iter().map(|kind| kind.as_str().unwrap_or("?").to_owned()).collect();
        (text("household"), text("day"), text("kind"), text("tier"), told)
    };
    let owned = |(household, day, kind, tier, told): &Expected| {
        let told: Vec<String> = told.iter().map(|kind| (*kind).to_owned()).collect();
        let [household, day, kind, tier] = [household, day, kind, tier].map(|s| (*s).to_owned());
        (household, day, kind, tier, told)
    };
    let expected: Vec<_> = expected.iter().map(owned).collect();
    assert_eq!(pushes.iter().map(said).collect::<Vec<_>>(), expected);
    assert!(pushes.iter().all(|push| push["reason"].as_str().is_some_and(|why| !why.is_empty())));
    let k = Model::builtin().surfacing.top_k as u64;
    let weeks = report["weeks"].as_array().context("weeks")?;
    let few = |week: &Value| week["pushes"].as_u64().is_some_and(|pushes| pushes <= k);
    assert!(!weeks.is_empty() && weeks.iter().all(few));
    Ok(())
}
