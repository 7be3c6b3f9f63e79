//! The evidence for a link, field by field, for whoever runs the coordinator and for whoever measures it.

use std::{fs, process::Command};

use anyhow::{Context, ensure};
use causeway_tests::town::process::Agent;
use serde_json::Value;

use crate::village::{self, AS_AT};

/// What the parts of a link's evidence come to, and what is said that it comes to, in bits.
fn sums(link: &Value) -> Option<[f64; 2]> {
    let fields = link["fields"].as_array()?.iter().map(|field| field["bits"].as_f64());
    let fields: f64 = fields.sum::<Option<f64>>()?;
    let parts = link["prior"].as_f64()? + fields + link["context"].as_f64()?;
    Some([parts, link["looked_at"].as_f64().or(link["bits"].as_f64())?])
}

fn assert_adds_up(link: &Value) {
    let [parts, whole] = sums(link).unwrap();
    assert!((parts - whole).abs() < 0.06, "{parts} {whole}: {link:#}");
}

#[test]
fn a_sweep_explains_its_weakest_links_and_keeps_nothing_of_it() -> anyhow::Result<()> {
    let mut village = village::five()?;
    let picture = village.scratch().join("evidence.svg");
    let svg = picture.display().to_string();
    for serving in [false, true] {
        if serving {
            village.town.start_coordinator()?;
        }
        let args = ["sweep", "--as-at", AS_AT, "--weakest", "3", "--svg", &svg];
        let (report, _) = village.town.coordinate(&args)?;
        let links = report["weakest_links"].as_array().context("links")?;
        assert_eq!(links.len(), 3, "{report:#}");
        let weights: Vec<f64> = links.iter().map(|link| link["bits"].as_f64().unwrap()).collect();
        assert!(weights.is_sorted() && weights[0] >= 0.0, "{weights:?}");
        for link in links {
            assert_adds_up(link);
            let fields = link["fields"].as_array().context("fields")?;
            assert!(!fields.is_empty(), "somebody looked: {link:#}");
            assert!(link["kinds"].as_array().is_some_and(|kinds| !kinds.is_empty()), "{link:#}");
        }
        let drawn = fs::read_to_string(&picture)?;
        assert_eq!(drawn.matches("match weight; a link from 0 on").count(), 3, "{drawn}");
        fs::remove_file(&picture)?;

        let args = ["sweep", "--as-at", AS_AT, "--weakest", "1"];
        let (launcher, config) = (village::launcher(), village.town.coordinator_config());
        let said = launcher.run(Agent::Coordinator, &config, &args)?.out;
        let (_, links) = said.split_once("The weakest links that held:").context("links")?;
        assert_eq!(links.matches("match weight").count(), 1, "{links}");
        assert_eq!(village.sweep()?.get("weakest_links"), None, "nobody asked");
    }
    village.town.coordinator_mut().context("it serves")?.stop()?;
    let ledger = village.town.coordinator_config().with_file_name("ledger.db");
    let ledger = fs::read(&ledger).with_context(|| ledger.display().to_string())?;
    let has = |text: &str| ledger.windows(text.len()).any(|bytes| bytes == text.as_bytes());
    assert!(has("joined_pairs") && !has("weakest_links"), "reports are kept without them");
    Ok(())
}

#[test]
fn whoever_measures_can_ask_about_any_two_records() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let data = folder.path().join("data");
    let town = |args: &[&str]| Command::new(env!("CARGO_BIN_EXE_town")).args(args).output();
    let path = data.display().to_string();
    let made = town(&["people", &path, "--agencies", "2", "--people", "300"])?;
    ensure!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&data)? {
        names.push(entry?.path().file_stem().context("a name")?.to_string_lossy().into_owned());
    }
    names.sort();
    let records = |name: &str| -> anyhow::Result<Vec<[String; 2]>> {
        let mut reader = csv::Reader::from_path(data.join(format!("{name}.csv")))?;
        let header = reader.headers()?.clone();
        let place = |column| header.iter().position(|name| name == column).context("a column");
        let (local, truth) = (place("local_id")?, place("truth_id")?);
        reader
            .records()
            .map(|row| Ok(row.map(|row| [row[local].into(), row[truth].into()])?))
            .collect()
    };
    let (ours, theirs) = (records(&names[0])?, records(&names[1])?);
    let same = ours.iter().find_map(|[id, truth]| {
        let other = theirs.iter().find(|other| other[1] == *truth)?;
        Some((id.clone(), other[0].clone(), truth.clone()))
    });
    let (ours, same, truth) = same.context("somebody whom both know")?;
    let other = theirs.iter().find(|other| other[1] != truth).context("somebody else")?;
    let svg = folder.path().join("evidence.svg");
    for (theirs, is_same) in [(&same, true), (&other[0], false)] {
        let asked = [format!("{}:{ours}", names[0]), format!("{}:{theirs}", names[1])];
        let [a, b] = asked.each_ref().map(String::as_str);
        let svg = svg.display().to_string();
        let output = town(&["link", &path, "--json", "--explain", a, b, "--svg", &svg])?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout)?;
        let explained = &report["explained"];
        assert_eq!((&explained["same"], &explained["joined"]), (&is_same.into(), &is_same.into()));
        if is_same {
            assert_adds_up(&explained["evidence"]);
            assert!(fs::read_to_string(&svg)?.contains("match weight"), "{svg}");
        } else {
            assert_eq!(explained["how"], "they share no match-key, so nobody compared them");
        }
    }
    for (asked, why) in [("nowhere:1", "holds no `nowhere.csv`"), ("nothing", "FILE:LOCAL_ID")] {
        let output = town(&["link", &path, "--explain", &format!("{}:{ours}", names[0]), asked])?;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(why), "{said}");
    }
    Ok(())
}
