//! What somebody who runs the coordinator gets to see, whether it serves or not, and when things go wrong.

use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader},
};

use anyhow::Context;
use causeway_proto::catalogue::AgencyKind::{AdultSocialCare, Police};
use causeway_tests::town::process::{Agent, Output};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::{
    reviews::{corrected, state, told, withdrawn_everywhere},
    village::{self, AS_AT, FIVE, Village, id},
};

/// Runs one command of the coordinator, for people.
fn say(village: &Village, args: &[&str]) -> anyhow::Result<Output> {
    let town = &village.town;
    town.launcher().run(Agent::Coordinator, &town.coordinator_config(), args)
}

/// Runs one command of the coordinator that is refused, and returns why.
fn refused(village: &Village, args: &[&str]) -> anyhow::Result<String> {
    let output = say(village, args)?;
    assert_eq!(output.status.code(), Some(1), "{args:?}: {}", output.out);
    assert_eq!(output.out, "", "{args:?}: what failed prints no result");
    Ok(output.err)
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect()
}

#[test]
fn a_sweep_speaks_of_no_day_that_is_to_come_and_takes_nothing_back_for_it() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village::alert(&village.sweep()?)?;
    for serving in [false, true] {
        if serving {
            village.town.start_coordinator()?;
        }
        for (day, why) in [("2999-01-01", "still to come"), ("0225-02-25", "before 2000")] {
            let said = refused(&village, &["sweep", "--as-at", day])?;
            assert!(said.contains(day) && said.contains(why), "{said}");
        }
        assert_eq!(state(&village)?, "open");
        assert_eq!(village.sweep()?["alerts"], Value::Array(Vec::new()), "it is no news");
    }
    Ok(())
}

#[test]
fn a_sweep_reads_the_same_for_people_whoever_makes_it() -> anyhow::Result<()> {
    let mut village = village::five()?;
    for serving in [false, true] {
        if serving {
            village.town.start_coordinator()?;
        }
        let output = say(&village, &["sweep", "--as-at", AS_AT])?;
        assert!(output.status.success(), "{}", output.err);
        for part in [
            &format!("as at {AS_AT}, model causeway-1 ("),
            "of the links are right (",
            "reach each level:\n  field      level          m          u    bits\n  forename ",
            "Candidate pairs by match weight in bits",
            "\n  police - housing ",
            "\n  all  ",
            "places are taken.",
        ] {
            assert!(output.out.contains(part), "{part:?} in\n{}", output.out);
        }
        let lines: Vec<&str> = output.err.lines().collect();
        let steps = lines.iter().filter(|line| line.starts_with("group")).count();
        assert_eq!(steps, 1, "a step that is over is a line: {lines:#?}");
        assert!(lines.iter().any(|line| line.starts_with("open      police ")), "{lines:#?}");
    }
    Ok(())
}

#[test]
fn a_sweep_that_is_watched_ends_well_when_it_is_told_to_stop_whoever_makes_it() -> anyhow::Result<()>
{
    let mut village = village::five()?;
    for serving in [false, true] {
        if serving {
            village.town.start_coordinator()?;
        }
        let mut watch = village.begin_sweep(&["--watch"])?;
        // Kept until the end: who cannot print ends, too.
        let mut lines = BufReader::new(watch.stdout.take().context("its output")?).lines();
        let first = lines.next().context("a line")??;
        assert!(first.starts_with("Sweep "), "{first}");
        let pid = Pid::from_raw(i32::try_from(watch.id())?).context("a process")?;
        kill_process(pid, Signal::INT)?;
        assert_eq!(watch.wait()?.code(), Some(0), "serving: {serving}");
    }
    // It made way.
    village.sweep()?;
    Ok(())
}

#[test]
fn the_numbers_of_a_sweep_add_up() -> anyhow::Result<()> {
    let village = village::five()?;
    let report = village.sweep()?;
    let quality = &report["quality"];
    let sum = |list: &Value, key: &str| -> u64 {
        let items = list.as_array().into_iter().flatten();
        items.map(|item| item[key].as_u64().unwrap()).sum()
    };
    let agencies = &quality["agencies"];
    assert_eq!(report["candidate_pairs"], sum(agencies, "candidates"));
    assert_eq!(report["links"], sum(agencies, "by_weight"));
    assert_eq!(report["joined_pairs"], sum(agencies, "links"));
    let weighed = sum(&quality["histogram"], "pairs");
    let without = quality["without_weight"].as_u64().context("a number")?;
    assert_eq!(report["candidate_pairs"], weighed + without);
    let ids: BTreeSet<String> = FIVE.iter().map(|kind| id(*kind).to_string()).collect();
    for pair in agencies.as_array().context("a list")? {
        for (at, name) in pair["ids"].as_array().context("ids")?.iter().enumerate() {
            let place = usize::try_from(pair["agencies"][at].as_u64().context("a place")?)?;
            assert_eq!(*name, id(FIVE[place]).as_str());
            assert!(ids.contains(name.as_str().unwrap()));
        }
    }
    Ok(())
}

#[test]
fn a_withdrawn_alert_says_why_and_what_was_told_before_can_be_looked_up() -> anyhow::Result<()> {
    let (village, alert, told) = told()?;
    let (before, _) = village.town.coordinate(&["explain", &alert])?;
    corrected(&village)?;
    village.sweep()?;
    withdrawn_everywhere(&village, &alert, &told)?;
    let text = say(&village, &["explain", &alert])?.out;
    assert!(text.contains("  withdrawn: "), "{text}");
    assert!(!text.contains("score") && !text.contains("see harm"), "{text}");
    let (now, _) = village.town.coordinate(&["explain", &alert])?;
    assert_eq!((&now["breadth"], &now["raw"]), (&0.into(), &0.0.into()), "{now:#}");
    let (again, _) = village.town.coordinate(&["explain", &alert, "--revision", "1"])?;
    assert_eq!(again, before);
    assert!(text.contains(&format!("`explain {alert} --revision 1`")), "{text}");
    let said = refused(&village, &["explain", &alert, "--revision", "7"])?;
    assert!(said.contains("no revision 7: the latest is 2"), "{said}");
    Ok(())
}

#[test]
fn the_status_has_the_same_shape_and_says_what_waits_whether_anybody_serves_or_not()
-> anyhow::Result<()> {
    let mut village = village::five()?;
    village::alert(&village.sweep()?)?;
    let (at_rest, _) = village.town.coordinate(&["status"])?;
    village.town.start_coordinator()?;
    let (serving, _) = village.town.coordinate(&["status"])?;
    assert_eq!(keys(&at_rest), keys(&serving));
    assert_eq!((&at_rest["serving"], &serving["serving"]), (&false.into(), &true.into()));
    for key in ["deployment", "model", "alerts", "deliveries_waiting", "capacity", "alarms"] {
        assert_eq!(at_rest[key], serving[key], "{key}");
    }
    assert_eq!((&at_rest["alerts"], &at_rest["alarms"]), (&1.into(), &Value::Array(Vec::new())));
    Ok(())
}

#[test]
fn where_no_node_is_there_a_sweep_says_why_of_each_and_an_alarm_stays() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.town.start_coordinator()?;
    village.sweep()?;
    for kind in FIVE {
        village.node(kind)?.kill()?;
    }
    let said = refused(&village, &["--json", "sweep", "--as-at", AS_AT])?;
    for kind in FIVE {
        assert!(said.contains(&format!("{} ", id(kind))), "{kind}: {said}");
    }
    assert!(said.contains("not one of 5 nodes could take part"), "{said}");
    let alarm = |village: &Village| -> anyhow::Result<String> {
        let (status, _) = village.town.coordinate(&["status"])?;
        Ok(status["alarms"][0].as_str().unwrap_or_default().to_owned())
    };
    let said = alarm(&village)?;
    assert!(said.starts_with("the last sweep failed") && said.contains("police "), "{said}");
    village.town.coordinator_mut().context("it runs")?.stop()?;
    assert_eq!(alarm(&village)?, said, "the ledger knows, too");
    village.town.start_coordinator()?;
    assert_eq!(alarm(&village)?, said);
    Ok(())
}

#[test]
fn a_second_coordinator_says_that_there_is_another() -> anyhow::Result<()> {
    let mut village = village::five()?;
    village.settings(|text| text.replace("measure_links = false", "measure_links = true"))?;
    village.town.start_coordinator()?;
    let links = village.scratch().join("links.csv").display().to_string();
    for args in [&["serve"][..], &["sweep", "--links-out", &links]] {
        let said = refused(&village, args)?;
        assert!(said.contains("another coordinator answers on"), "{args:?}: {said}");
    }
    village.town.coordinate(&["status"])?;
    Ok(())
}

#[test]
fn an_answer_that_is_not_whole_is_refused_in_the_words_of_the_command_line() -> anyhow::Result<()> {
    let (village, alert, _) = told()?;
    let config = village.town.node_config(&id(AdultSocialCare));
    for (rest, code, why) in [
        (
            &["in-hand"][..],
            1,
            "the answer is not whole: `--reason` is missing; `inbox review --help`",
        ),
        (
            &["wrong-record"],
            1,
            "the answer is not whole: `--line` is missing; `inbox review --help`",
        ),
        (&["foo"], 2, "acting, pass-on, in-hand, no-further-action, wrong-record"),
    ] {
        let args = [&["inbox", "review", &alert, "--action"], rest].concat();
        let output = village.town.launcher().run(Agent::Node, &config, &args)?;
        let said = output.err.trim();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(why), "{said}");
        assert_eq!(said.matches("missing").count(), usize::from(code == 1), "{said}");
    }
    let none = say(&village, &["alerts", "--limit", "0"])?;
    assert_eq!(none.status.code(), Some(2), "{}", none.out);
    assert!(village.inbox(Police)?.len() == 1);
    Ok(())
}
