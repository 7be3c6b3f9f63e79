//! What `town bench` prints, over a federation that is small enough for a test: speed is measured by the
//! command, never here.

use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

#[test]
fn a_bench_sweeps_follows_changes_and_sees_every_alert_arrive() -> anyhow::Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_town"))
        .args(["bench", "--agencies", "3", "--people", "600,900", "--live", "2", "--json"])
        .output()?;
    let printed = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{printed}");
    let line = String::from_utf8(output.stdout)?;
    let report: Value = serde_json::from_str(line.lines().next().context("nothing printed")?)?;
    assert_eq!((&report["records"], &report["live"]["samples"]), (&1800.into(), &2.into()));
    assert!(report["persons"].as_u64() < Some(1800), "some are known to several: {report:#}");
    for step in ["stream", "group", "compare", "cluster", "total"] {
        assert!(report["full"]["steps"][step].as_f64() > Some(0.0), "{step}: {report:#}");
    }
    let share = report["stream"]["share_of_raw_tls"].as_f64().context("a share")?;
    assert!(share > 0.0 && share < 1.0, "{report:#}");
    let peaks = report["peak_rss_mib"].as_object().context("peaks")?;
    assert_eq!(peaks.keys().filter(|name| name.starts_with("node ")).count(), 3, "{report:#}");
    for name in ["coordinator", "coordinator_watching", "nodes"] {
        assert!(peaks[name].as_u64() > Some(0), "{name}: {report:#}");
    }
    for state in ["coordinator_bytes_per_record", "watching_bytes_per_record"] {
        assert!(report[state].as_f64() > Some(0.0), "{report:#}");
    }
    // One percent of everybody left, came or is another than before.
    assert!(report["change_1pct"]["records"].as_u64() >= Some(18), "{report:#}");
    let growth: Value = serde_json::from_str(line.lines().nth(2).context("no growth")?)?;
    let growth = growth.get("growth").unwrap_or(&growth);
    assert!(growth["n_log_n"].as_f64() > Some(1.0), "{growth:#}");
    assert_eq!(growth["full_by_size"].as_array().map(Vec::len), Some(1), "{growth:#}");
    Ok(())
}
