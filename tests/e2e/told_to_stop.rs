//! A coordinator that is stopped, killed, or has lost its ledger.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use causeway_proto::catalogue::AgencyKind::{self, Nhs};
use causeway_tests::town::process::Agent;
use serde_json::Value;

use crate::village::{self, AS_AT, FIVE, Village};

fn status(village: &Village) -> anyhow::Result<Value> {
    Ok(village.town.coordinate(&["status"])?.0)
}

/// Runs a sweep that nobody takes part in, and returns why.
fn refused(village: &Village) -> anyhow::Result<String> {
    let (launcher, config) = (village::launcher(), village.town.coordinator_config());
    let output = launcher.run(Agent::Coordinator, &config, &["sweep", "--as-at", AS_AT])?;
    ensure!(output.status.code() == Some(1), "{}{}", output.out, output.err);
    Ok(output.err)
}

fn closed(village: &mut Village, kind: AgencyKind) -> anyhow::Result<usize> {
    Ok(village.node(kind)?.log().matches("CloseSweep").count())
}

#[test]
fn a_coordinator_that_is_told_to_stop_closes_its_sweep_and_says_so() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.town.start_coordinator()?;
    let mut watch = village.begin_sweep(&["--watch"])?;
    let mut lines = BufReader::new(watch.stdout.take().context("its output")?).lines();
    let first = lines.next().context("a line")??;
    assert!(first.starts_with("Sweep "), "{first}");
    for kind in FIVE {
        assert_eq!(closed(&mut village, kind)?, 0, "it is open");
    }
    village.town.coordinator_mut().context("it serves")?.stop()?;
    for kind in FIVE {
        assert_eq!(closed(&mut village, kind)?, 1, "{kind:?}");
    }
    let mut said = String::new();
    watch.stderr.take().context("its errors")?.read_to_string(&mut said)?;
    assert_eq!(watch.wait()?.code(), Some(1), "whoever supervises it has to know");
    assert!(said.contains("the coordinator was told to stop"), "{said}");
    assert_eq!(status(&village)?["alarms"], Value::Array(Vec::new()));
    Ok(())
}

#[test]
fn a_sweep_that_makes_way_tells_whoever_follows_it() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.town.start_coordinator()?;
    let mut watch = village.begin_sweep(&["--watch"])?;
    let mut lines = BufReader::new(watch.stdout.take().context("its output")?).lines();
    lines.next().context("a line")??;
    village.sweep()?;
    let mut said = String::new();
    watch.stderr.take().context("its errors")?.read_to_string(&mut said)?;
    assert_eq!(watch.wait()?.code(), Some(1));
    assert!(said.contains("another one was asked for"), "{said}");
    Ok(())
}

#[test]
fn a_sweep_that_a_crash_broke_off_is_an_alarm() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.town.start_coordinator()?;
    // Whom it waits for.
    village.node(Nhs)?.freeze()?;
    let mut sweep = village.begin_sweep(&[])?;
    let mut lines = BufReader::new(sweep.stderr.take().context("its errors")?).lines();
    let opened = |line: &String| line.starts_with("open ");
    lines.by_ref().map_while(Result::ok).find(opened).context("somebody opened it")?;
    village.town.coordinator_mut().context("it serves")?.kill()?;
    village.node(Nhs)?.thaw()?;
    let said: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(sweep.wait()?.code(), Some(1));
    let gone = "the coordinator that was asked is gone";
    assert!(said.iter().any(|line| line.contains(gone)), "{said:#?}");
    for serving in [false, true] {
        if serving {
            village.town.start_coordinator()?;
        }
        let alarms = status(&village)?["alarms"].to_string();
        assert!(alarms.contains("the coordinator went down in it"), "{serving}: {alarms}");
    }
    village.sweep()?;
    assert_eq!(status(&village)?["alarms"], Value::Array(Vec::new()));
    Ok(())
}

#[test]
fn a_pass_that_is_told_to_stop_closes_its_sweep() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.town.start_coordinator()?;
    village.node(Nhs)?.freeze()?;
    let mut sweep = village.begin_sweep(&[])?;
    let mut lines = BufReader::new(sweep.stderr.take().context("its errors")?).lines();
    let opened = |line: &String| line.starts_with("open ");
    lines.by_ref().map_while(Result::ok).find(opened).context("somebody opened it")?;
    village.town.coordinator_mut().context("it serves")?.stop()?;
    village.node(Nhs)?.thaw()?;
    assert_eq!(sweep.wait()?.code(), Some(1));
    let alarms = status(&village)?["alarms"].to_string();
    assert!(alarms.contains("the coordinator was told to stop"), "{alarms}");
    let others = FIVE.into_iter().filter(|kind| *kind != Nhs);
    for kind in others {
        let until = Instant::now() + Duration::from_secs(10);
        while closed(&mut village, kind)? == 0 {
            ensure!(Instant::now() < until, "{kind:?} keeps it open");
            thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

#[test]
fn who_lost_the_ledger_goes_on_above_the_sweeps_that_nodes_have_seen() -> anyhow::Result<()> {
    let village = village::five()?;
    (0..3).try_for_each(|_| village.sweep().map(drop))?;
    let folder = village.town.coordinator_config();
    let folder = folder.parent().context("its folder")?;
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.to_string_lossy().contains("ledger.db") {
            fs::remove_file(path)?;
        }
    }
    let said = refused(&village)?;
    assert!(said.contains("has opened sweep 3 before"), "{said}");
    assert!(said.contains("`causeway-coordinator skip` and that number"), "{said}");
    assert_eq!(village.town.coordinate(&["skip", "3"])?.0["next_sweep"], 4);
    assert_eq!(village.town.coordinate(&["skip", "2"])?.0["next_sweep"], 4, "none is used again");
    assert_eq!(village.sweep()?["sweep"], 4);
    Ok(())
}
