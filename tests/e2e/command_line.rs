//! What others script against: help, exit codes, and the shape of what `--json` prints.

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::{Command, Output},
};

use causeway_tests::data::planted;
use clap::CommandFactory;
use serde_json::Value;

use crate::village::{self, AS_AT, FIVE, id};

/// Runs `town`, which is also every agent.
fn town(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_town")).args(args).output().unwrap()
}

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs `town` and reads the JSON that it prints.
fn json(args: &[&str]) -> Value {
    let output = town(args);
    assert_eq!(output.status.code(), Some(0), "{}", err(&output));
    serde_json::from_str(&out(&output)).unwrap()
}

/// The names in an object.
fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn set<'a>(names: &[&'a str]) -> BTreeSet<&'a str> {
    names.iter().copied().collect()
}

#[test]
fn every_command_and_every_argument_says_what_it_is_for() {
    fn taught(path: &str, command: &clap::Command) {
        let path = format!("{path} {}", command.get_name());
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 10, "`{path}` does not say what it is for");
        for argument in command.get_arguments() {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(!help.is_empty(), "`{path}`: {} has no help", argument.get_id());
        }
        command.get_subcommands().for_each(|command| taught(&path, command));
    }
    taught("", &causeway_tests::cli::Args::command());
    taught("", &causeway_node::cli::Args::command());
    taught("", &causeway_coordinator::cli::Args::command());
    taught("", &causeway_certs::cli::Args::command());
}

#[test]
fn help_goes_to_standard_output_and_ends_well() {
    for command in [
        "link",
        "node init",
        "node check",
        "node ingest",
        "node serve",
        "node inbox",
        "node inbox list",
        "node inbox show",
        "coordinator serve",
        "coordinator sweep",
        "coordinator status",
        "coordinator alerts",
        "coordinator explain",
        "coordinator score",
    ] {
        let args: Vec<&str> = command.split(' ').chain(["--help"]).collect();
        let output = town(&args);
        assert_eq!(output.status.code(), Some(0), "{command}");
        let text = out(&output);
        assert!(text.contains("Usage:") && text.contains("--help"), "{command}: {text}");
        assert!(!text.contains("\\\""), "{command} shows what only the source needs: {text}");
        assert_eq!(err(&output), "", "{command}");
    }
}

#[test]
fn the_exit_code_tells_wrong_use_from_what_failed() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let missing = folder.path().join("missing").display().to_string();
    let nowhere = folder.path().join("missing/pairs.csv").display().to_string();
    let events = folder.path().join("events.csv").display().to_string();
    fs::write(&events, "household,person,agency,code,start,end,event_ref,confidence\n")?;
    for (code, args, why) in [
        (2, &["link"][..], "Usage:"),
        (2, &["--nonsense"], "Usage:"),
        (2, &["coordinator", "score", &events, "--as-at", "2025-02-31"], "--as-at"),
        (2, &["coordinator", "explain", "not-an-id"], "not-an-id"),
        (2, &["node", "ingest"], "<FEED>"),
        (2, &["node", "--log", "xx=yy=zz", "check"], "PART=LEVEL"),
        (2, &["coordinator", "--log", "inffo", "example"], "PART=LEVEL"),
        (1, &["link", &missing], &missing),
        (1, &["node", "--config", &missing, "check"], &missing),
        (1, &["coordinator", "--config", &missing, "sweep"], &missing),
        (1, &["coordinator", "score", &missing, "--as-at", AS_AT], &missing),
        (2, &["bench", "--people", "0"], "--people"),
        (2, &["bench", "--agencies", "0"], "two agencies at least"),
        (1, &["link", &missing, "--pairs", &nowhere], &nowhere),
        (0, &["coordinator", "score", &events, "--as-at", AS_AT], ""),
        (0, &["coordinator", "example"], ""),
    ] {
        let output = town(args);
        let said = err(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {said}");
        assert!(said.contains(why), "{args:?}: {said}");
        if code != 0 {
            assert_eq!(out(&output), "", "{args:?}: what failed prints no result");
            assert!(!said.contains("panicked"), "{said}");
        }
    }
    Ok(())
}

#[test]
fn a_score_says_where_every_point_comes_from() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("events.csv");
    household_a(&file)?;
    let file = file.display().to_string();
    let args = ["coordinator", "score", &file, "--as-at", AS_AT, "--json"];
    let report = json(&args);
    assert_eq!(keys(&report), set(&["model", "model_sha256", "as_at", "households"]));
    assert_eq!((&report["model"], &report["as_at"]), (&"causeway-1".into(), &AS_AT.into()));
    let household = &report["households"][0];
    let names = [
        "household",
        "score",
        "raw",
        "tier",
        "agency_alone",
        "lines",
        "interactions",
        "breadth",
        "persons",
    ];
    assert_eq!(keys(household), set(&names));
    assert_eq!((&household["household"], &household["tier"]), (&"HA".into(), &"T3".into()));
    let score = household["score"].as_f64().unwrap();
    assert!((69.0..=76.0).contains(&score), "{score}");
    let points = |what: &str| -> f64 {
        let list = household[what].as_array().unwrap();
        assert!(!list.is_empty(), "{what}");
        list.iter().map(|line| line["points"].as_f64().unwrap()).sum()
    };
    let line = &household["lines"][0];
    assert_eq!(keys(line), set(&["agency", "code", "points", "count", "sentence"]));
    assert_eq!(keys(&household["interactions"][0]), set(&["id", "points", "sentence"]));
    let sum = points("lines") + points("interactions") + household["breadth"].as_f64().unwrap();
    assert!((sum - household["raw"].as_f64().unwrap()).abs() < 0.05, "{sum} {household:#}");
    let alone = household["agency_alone"].as_object().unwrap();
    assert!(alone.contains_key("police") && alone.values().all(|a| a.as_f64().unwrap() < score));
    assert!(household["persons"].as_object().unwrap().contains_key("carol"));
    // The same file gives the same bytes.
    assert_eq!(town(&args).stdout, town(&args).stdout);
    Ok(())
}

/// Writes what happened to household A, as somebody writes it who knows who is who.
fn household_a(path: &Path) -> anyhow::Result<()> {
    let people = planted::people()?;
    let mut writer = csv::Writer::from_path(path)?;
    let header = "household,person,agency,code,start,end,event_ref,confidence";
    writer.write_record(header.split(','))?;
    for h in &people.happenings {
        let whose = |r: &&causeway_tests::data::Record| {
            (r.agency, &r.local_id) == (h.agency, &h.local_id) && r.truth.household == "HA"
        };
        let Some(record) = people.records.iter().find(whose) else { continue };
        if !FIVE.contains(&h.agency) {
            continue;
        }
        let end = h.end.map(|day| day.to_string()).unwrap_or_default();
        let (code, start) = (h.code.to_string(), h.start.to_string());
        writer.write_record([
            "HA",
            &record.truth.person,
            "",
            &code,
            &start,
            &end,
            &h.event_ref,
            "",
        ])?;
    }
    Ok(writer.flush()?)
}

#[test]
fn linking_a_folder_says_how_well_it_went() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let village = village::Making::of(&FIVE[..2]).make()?;
    for kind in &FIVE[..2] {
        let mut writer = csv::Writer::from_path(folder.path().join(format!("{kind}.csv")))?;
        let header = "local_id,truth_id,forename,middle,surname,dob,sex,address,postcode,uprn,nhs";
        writer.write_record(header.split(','))?;
        for record in village.people.records.iter().filter(|record| record.agency == *kind) {
            let p = &record.person;
            writer.write_record([
                &record.local_id,
                &record.truth.person,
                &p.forename,
                &p.middle,
                &p.surname,
                &p.dob,
                &p.sex,
                &p.address,
                &p.postcode,
                &p.uprn,
                &p.nhs,
            ])?;
        }
        writer.flush()?;
    }
    let report = json(&["link", &folder.path().display().to_string(), "--json"]);
    let names = [
        "records",
        "agencies",
        "candidate_pairs",
        "compared_pairs",
        "links",
        "persons",
        "pairwise",
        "cluster",
        "estimated",
        "ambiguous",
        "seconds",
        "peak_rss_mib",
    ];
    assert_eq!(keys(&report), set(&names));
    for share in ["precision", "recall"] {
        assert_eq!(keys(&report["estimated"][share]), set(&["estimate", "low", "high"]));
    }
    for quality in ["pairwise", "cluster"] {
        assert_eq!(keys(&report[quality]), set(&["precision", "recall", "f1"]));
        assert_eq!(report[quality]["precision"], 1.0, "{report:#}");
        assert!(report[quality]["recall"].as_f64().unwrap() > 0.8, "{report:#}");
    }
    let steps = ["ingest", "stream", "group", "compare", "cluster", "total"];
    assert_eq!(keys(&report["seconds"]), set(&steps));
    assert_eq!((&report["agencies"], keys(&report["peak_rss_mib"]).len()), (&2.into(), 2));
    let records = village.people.records.len();
    assert_eq!(report["records"], records);
    assert!(report["persons"].as_u64().unwrap() < records as u64, "some are linked");
    Ok(())
}

#[test]
fn a_sweep_and_its_alerts_read_the_same_for_machines_from_every_side() -> anyhow::Result<()> {
    let mut village = village::five()?;
    let report = village.sweep()?;
    let alert = village::alert(&report)?;
    for name in [
        "alert_id",
        "tier",
        "score",
        "range",
        "best_single_agency",
        "agency_alone",
        "lines",
        "interactions",
        "recipients",
        "unknowns",
    ] {
        assert!(keys(alert).contains(name), "{name}");
    }
    let alert_id = alert["alert_id"].as_str().unwrap();
    let (listed, _) = village.town.coordinate(&["alerts"])?;
    assert_eq!(listed[0]["alert_id"], alert_id, "{listed:#}");
    let (explained, _) = village.town.coordinate(&["explain", alert_id])?;
    assert_eq!(&explained, alert);
    // Whatever decided a link, its fields are shown, and the sum ends where the link's weight is.
    let links = explained["links"].as_array().unwrap();
    assert!(!links.is_empty());
    for link in links {
        let fields = link["fields"].as_array().unwrap();
        assert!(fields.len() > 1, "{link:#}");
        let weight = if link["by_pattern"] == true { &link["looked_at"] } else { &link["bits"] };
        let bits = |of: &Value| of["bits"].as_f64().unwrap();
        let [prior, context] = ["prior", "context"].map(|name| link[name].as_f64().unwrap());
        let sum = prior + fields.iter().map(bits).sum::<f64>() + context;
        assert!(weight.as_f64().is_none_or(|weight| (sum - weight).abs() < 0.11), "{link:#}");
    }
    let lead = alert["recipients"][0]["agency"].as_str().unwrap().parse()?;
    let shown = village.town.ask_node(&lead, &["inbox", "show", alert_id])?;
    assert_eq!((&shown["tier"], &shown["model"]), (&alert["tier"], &report["model"]));
    assert_eq!(shown["duty"], "lead");

    let config = village.town.coordinator_config();
    let nobody =
        ["coordinator", "--config", &config.display().to_string(), "explain", &"0".repeat(32)];
    let refused = town(&nobody);
    assert_eq!(refused.status.code(), Some(1));
    assert!(err(&refused).contains("was never issued"), "{}", err(&refused));
    let node = village.town.node_config(&id(FIVE[0])).display().to_string();
    let check = ["node", "--config", &node, "check", "--json"];
    // Nobody serves as coordinator yet, and that is the one thing that is wrong.
    let checked = town(&check);
    assert_eq!(checked.status.code(), Some(1));
    let findings: Vec<Value> = serde_json::from_str(&out(&checked))?;
    let failed: Vec<&Value> = findings.iter().filter(|f| f["state"] == "failed").collect();
    assert_eq!(failed.len(), 1, "{findings:#?}");
    assert_eq!(failed[0]["what"], "coordinator");
    village.town.start_coordinator()?;
    json(&check);
    Ok(())
}
