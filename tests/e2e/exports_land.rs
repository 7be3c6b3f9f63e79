//! Exports land in a folder that a node watches: they come in by themselves, half a file changes no
//! alert, and a node that is killed meanwhile loses and doubles nothing.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context;
use causeway_node::source::Feed;
use causeway_proto::catalogue::AgencyKind::{self, Housing};
use causeway_tests::{needles::Needles, town::process::Agent};
use serde_json::Value;

use crate::village::{self, AS_AT, FIVE, Making, PATIENCE, Village, until};

/// Names the exports of an agency in its mappings, and has its node watch a folder.
fn watched(village: &Village, kind: AgencyKind) -> anyhow::Result<PathBuf> {
    let folder = village.scratch().join("landing");
    fs::create_dir(&folder)?;
    let node = &village.town.nodes()[village.place(kind)];
    for feed in &node.agency.feeds {
        let mapping = fs::read_to_string(&feed.mapping)?;
        fs::write(&feed.mapping, format!("files = [\"{}-*.csv\"]\n{mapping}", feed.id))?;
    }
    let config = village.town.node_config(&village::id(kind));
    let landing = folder.display();
    let watch = format!("[[intake]]\nfolder = \"{landing}\"\nevery_seconds = 0.05\n");
    fs::write(&config, fs::read_to_string(&config)? + "\n" + &watch)?;
    Ok(folder)
}

/// Puts a file into a folder as careful programs do.
fn land(folder: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    fs::write(folder.join(format!(".{name}")), text)?;
    Ok(fs::rename(folder.join(format!(".{name}")), folder.join(name))?)
}

/// Waits until a file was dealt with, and returns its receipt.
fn receipt(folder: &Path, away: &str, name: &str) -> anyhow::Result<Value> {
    let file = folder.join(away).join(name);
    let dealt_with = || Ok(file.exists().then_some(()));
    until(&format!("{name} to be {away}"), PATIENCE, dealt_with)?;
    let text = fs::read_to_string(folder.join(away).join(format!("{name}.receipt.json")))?;
    Ok(serde_json::from_str(&text)?)
}

#[test]
fn what_lands_is_taken_in_and_half_a_file_changes_no_alert() -> anyhow::Result<()> {
    let mut village = Making::of(&FIVE).make()?;
    let folder = watched(&village, Housing)?;
    village.town.start_nodes()?;
    village.settings(|text| text)?;
    let needles = Needles::of(&village.people.records)?;
    let events = village.town.nodes()[village.place(Housing)].agency.feeds[1].clone();
    let good = fs::read_to_string(&events.file)?;
    let alerts = |village: &Village| village.inbox(Housing);

    village.sweep()?;
    let before = alerts(&village)?;
    assert!(!before.is_empty(), "there is an alert to lose");
    // Half the file is refused, and so is one that ends in the middle of a row.
    let lines: Vec<&str> = good.lines().collect();
    let half = lines[..lines.len() / 2].join("\n") + "\n";
    let cut = &good[..good.rfind(',').context("rows have fields")?];
    for (name, text, why) in [
        ("half.csv", half.as_str(), "it may be cut off"),
        ("torn.csv", cut, "in the middle of line"),
    ] {
        let name = format!("{}-{name}", events.id);
        land(&folder, &name, text)?;
        let receipt = receipt(&folder, "refused", &name)?;
        let refused = receipt["refused"].as_str().context("it says why")?;
        assert!(refused.contains(why), "{refused}");
        assert!(needles.search(receipt.to_string().as_bytes()).is_empty());
    }
    village.sweep()?;
    assert_eq!(alerts(&village)?, before, "the alerts are as they were");

    // A whole one is taken in, by the running node.
    let name = format!("{}-whole.csv", events.id);
    let mut reversed = lines.clone();
    reversed[1..].reverse();
    land(&folder, &name, &(reversed.join("\n") + "\n"))?;
    let receipt = receipt(&folder, "done", &name)?;
    assert_eq!(receipt["taken_in"]["changed"], 0, "the same rows in another order: {receipt}");
    assert!(needles.search(receipt.to_string().as_bytes()).is_empty());
    Ok(())
}

#[test]
fn a_node_killed_at_any_moment_loses_no_file_and_takes_none_twice() -> anyhow::Result<()> {
    let village = Making::of(&[Housing]).make()?;
    let folder = watched(&village, Housing)?;
    let config = village.town.node_config(&village::id(Housing));
    let people = village.town.nodes()[0].agency.feeds[0].clone();
    let good = fs::read_to_string(&people.file)?;
    // Every file has one more person than the one before.
    let mut text = good.clone();
    let mut names = Vec::new();
    for night in 0..4_u64 {
        let letters = ["Ada", "Bea", "Cleo", "Dora"][usize::try_from(night)?];
        text += &format!(
            "NIGHT-{night},,{letters},,Newcomer{letters},1950-02-0{},F,{night} New \
                          Way,ZX1 1AA,,,,,\n",
            night + 2
        );
        let name = format!("{}-{night}.csv", people.id);
        land(&folder, &name, &text)?;
        let landed = fs::File::options().write(true).open(folder.join(&name))?;
        landed.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + night))?;
        names.push(name);
    }
    let args = ["ingest", "--all", "--as-at", AS_AT];
    let mut killed = 0;
    for longer in 1..40_u64 {
        let mut child = Command::new(env!("CARGO_BIN_EXE_town"))
            .args(["node", "--config"])
            .arg(&config)
            .args(args)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        // Later every time, so that it is killed wherever it may be.
        let end = Instant::now() + Duration::from_millis(60 * longer);
        let ended = until("the node to end or its time to come", PATIENCE, || {
            let late = Instant::now() >= end;
            Ok(child.try_wait()?.map(Some).or_else(|| late.then_some(None)))
        })?;
        child.kill()?;
        child.wait()?;
        if ended.is_some() {
            break;
        }
        killed += 1;
    }
    assert!(killed > 0, "nobody was killed in time");
    let output = village.town.launcher().run(Agent::Node, &config, &args)?;
    assert!(output.status.success(), "{}", output.err);
    for name in &names {
        assert!(folder.join("done").join(name).is_file(), "{name} was put away");
        receipt(&folder, "done", name)?;
    }
    let left = fs::read_dir(&folder)?
        .filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_file()));
    assert_eq!(left.count(), 0, "nothing waits");
    // As if nobody had ever been killed.
    let answer = village.town.ask_node(
        &village::id(Housing),
        &["ingest", &people.id, &folder.join("done").join(&names[3]).display().to_string()],
    )?;
    assert_eq!(answer["same_as_last"], true, "{answer}");
    let queue = village.town.ask_node(&village::id(Housing), &["quarantine", "list"])?;
    assert_eq!(queue, Value::Array(Vec::new()), "no row was left out");
    Ok(())
}

#[test]
fn every_example_is_a_mapping() -> anyhow::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/feeds");
    let mut read = 0;
    for entry in fs::read_dir(folder)? {
        Feed::load(&entry?.path())?;
        read += 1;
    }
    assert!(read >= 20, "{read}");
    Ok(())
}
