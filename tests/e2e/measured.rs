//! What `town bench` prints, over a federation that is small enough for a test: speed is measured by the
//! command, never here.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

#[test]
fn a_bench_sweeps_follows_changes_and_sees_every_alert_arrive() -> anyhow::Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_town"))
        .args(["bench", "--agencies", "3", "--people", "600", "--live", "2", "--json"])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{printed}");
    let line = String::from_utf8(output.stdout)?;
    let report: Value = serde_json::from_str(line.lines().next().context("nothing printed")?)?;
    assert_eq!((&report["records"], &report["live"]["samples"]), (&1800.into(), &2.into()));
    assert!(report["persons"].as_u64() < Some(1800), "some are known to several: {report:#}");
    // One percent of everybody left, came or is another than before.
    assert!(report["change_1pct"]["records"].as_u64() >= Some(18), "{report:#}");
    Ok(())
}
