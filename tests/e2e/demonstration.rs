//! What `town demo` promises: who surfaces, when, who is told, and who must never surface.

use std::{collections::BTreeMap, process::Command};

use anyhow::{Context, ensure};
use serde_json::Value;

/// Background people at each agency: enough for weights to be learnt from.
const PEOPLE: &str = "300";

fn demo(as_at: &str) -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO_BIN_EXE_town"))
        .args(["demo", "--json", "--as-at", as_at, "--people", PEOPLE])
        .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the demonstration failed: {said}");
    serde_json::from_slice(&output.stdout).context("no JSON")
}

fn alerts(report: &Value) -> BTreeMap<String, &Value> {
    let alerts = report["alerts"].as_array().into_iter().flatten();
    alerts.map(|alert| (alert["household"].as_str().unwrap_or("?").to_owned(), alert)).collect()
}

/// The scenarios that must never surface, and never be taken for one another.
fn nobody_is_mistaken(report: &Value) {
    let surfaced = alerts(report);
    for scenario in report["planted"].as_array().into_iter().flatten() {
        let household = scenario["household"].as_str().unwrap_or("?");
        assert_eq!(scenario["merged"], Value::Array(vec![]), "{household}: {scenario}");
        if household.starts_with("HD") {
            assert!(!surfaced.contains_key(household), "{household} surfaced");
        }
        let score = scenario["score"].as_f64().unwrap_or(100.0);
        match household {
            "HD5" => assert!(score == 0.0, "hard of hearing is no risk: {score}"),
            "HD7" => assert!(score < 40.0, "poverty alone is never above T1: {score}"),
            "HD2" => assert_eq!(scenario["ambiguous"], serde_json::json!(["nhs"])),
            _ => {}
        }
    }
    for household in surfaced.keys() {
        assert!(!household.starts_with("bg-"), "{household} was not planted");
    }
}

#[test]
fn one_household_surfaces_that_no_agency_would_have_raised() -> anyhow::Result<()> {
    let report = demo("2025-02-25")?;
    nobody_is_mistaken(&report);
    let surfaced = alerts(&report);
    assert_eq!(surfaced.keys().collect::<Vec<_>>(), ["HA"]);
    let alert = surfaced["HA"];
    assert_eq!(alert["tier"], "T3");
    let score = alert["score"].as_f64().context("a score")?;
    assert!((69.0..=76.0).contains(&score), "{score}");
    // T2 begins at 40: no agency alone sees more than T1.
    for (agency, alone) in alert["agency_alone"].as_object().context("by agency")? {
        assert!(alone.as_f64().is_some_and(|alone| alone < 40.0), "{agency} alone: {alone}");
    }
    let recipients = alert["recipients"].as_array().context("recipients")?;
    for agency in ["adult_social_care", "police"] {
        assert!(recipients.iter().any(|told| told == agency), "{recipients:?}");
    }
    assert!(!recipients.iter().any(|told| told == "dwp"), "who has no duty is not told");
    Ok(())
}

#[test]
fn the_other_stories_surface_when_they_should() -> anyhow::Result<()> {
    let august = demo("2025-08-25")?;
    nobody_is_mistaken(&august);
    assert_eq!(alerts(&august)["HB"]["tier"], "T3");
    let september = demo("2025-09-23")?;
    nobody_is_mistaken(&september);
    assert_eq!(alerts(&september)["HC"]["tier"], "T4");
    Ok(())
}
