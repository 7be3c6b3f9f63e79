//! A model is signed off by two people, is tried beside the one in use, and is named in every result;
//! and an alert says since when somebody is missing.

use std::{fs, path::Path};

use causeway_proto::catalogue::AgencyKind::Nhs;
use serde_json::Value;
use sqlx::{SqlitePool, sqlite::SqliteConnectOptions};

use crate::village::{self, AS_AT, Village, alert};

const BUILTIN: &str = include_str!("../../coordinator/model/causeway-1.toml");

/// Writes a model under which rules together count for little, so that household A does not surface.
fn weak_model(folder: &Path) -> anyhow::Result<String> {
    let text = BUILTIN.replacen("version = \"causeway-1\"", "version = \"causeway-2\"", 1);
    let weak = text.replacen("\ncap = 45", "\ncap = 16", 1);
    assert_ne!(text, weak, "the model has such a cap");
    let file = folder.join("weak.toml");
    fs::write(&file, weak)?;
    Ok(file.display().to_string())
}

/// Makes the keys of two people, and lists them in the settings.
fn two_signers(village: &Village) -> anyhow::Result<[String; 2]> {
    let keys = ["one", "two"].map(|name| village.scratch().join(name).display().to_string());
    let mut listed = String::new();
    for key in &keys {
        let made = village.town.coordinate(&["model", "keygen", key])?.0;
        let public = made["public_key"].as_str().unwrap_or_default();
        listed +=
            &format!("[[model_signer]]\nname = \"holder of {key}\"\npublic_key = \"{public}\"\n");
    }
    village.settings(|text| format!("{text}\n{listed}"))?;
    Ok(keys)
}

/// What was kept of every sweep that came to an end.
fn kept(village: &Village) -> anyhow::Result<Vec<(String, String)>> {
    let ledger = village.town.coordinator_config().with_file_name("ledger.db");
    tokio::runtime::Runtime::new()?.block_on(async {
        let options = SqliteConnectOptions::new().filename(&ledger).read_only(true);
        let pool = SqlitePool::connect_with(options).await?;
        let select =
            "select model_sha256, report from sweep where report is not null order by counter";
        Ok(sqlx::query_as(select).fetch_all(&pool).await?)
    })
}

#[test]
fn a_signed_model_is_tried_beside_the_one_in_use_and_then_used() -> anyhow::Result<()> {
    let village = village::five()?;
    let keys = two_signers(&village)?;
    let model = weak_model(village.scratch())?;
    let shadow = ["sweep", "--as-at", AS_AT, "--shadow", &model];
    let sign = |key: &str| {
        village.town.coordinate(&["model", "sign", &model, "--key", key, "--name", "analyst"])
    };

    let refused = format!("{:#}", village.town.coordinate(&shadow).unwrap_err());
    assert!(refused.contains("is signed off by 0 of 2 people"), "{refused}");
    sign(&keys[0])?;
    let refused = format!("{:#}", village.town.coordinate(&shadow).unwrap_err());
    assert!(refused.contains("is signed off by 1 of 2 people"), "{refused}");
    let signed = sign(&keys[1])?.0;

    let (report, _) = village.town.coordinate(&shadow)?;
    assert_eq!(alert(&report)?["tier"], "T3", "the model in use decides");
    let beside = &report["shadow"];
    assert_eq!(
        (&beside["new"], &beside["new_sha256"]),
        (&"causeway-2".into(), &signed["model_sha256"])
    );
    assert_eq!((&beside["surface_old"], &beside["surface_new"]), (&1.into(), &0.into()));
    let gone = &beside["vanish"][0];
    assert_eq!((&gone["household"], &gone["old"]["tier"]), (&"household 1".into(), &"T3".into()));
    let kept_reports = kept(&village)?;
    let [(sha256, report_kept)] = &kept_reports[..] else { panic!("one sweep came to an end") };
    assert_eq!(report["model_sha256"], sha256.as_str());
    assert_eq!(alert(&report)?["model_sha256"], sha256.as_str());
    let report_kept: Value = serde_json::from_str(report_kept)?;
    assert_eq!(report_kept["shadow"]["surface_old"], 1);
    assert_eq!(report_kept["shadow"]["vanish"], serde_json::json!([]), "only counts are kept");

    // In use, the same file decides; and whoever changes it afterwards is found out.
    let config = village.town.coordinator_config();
    let text = fs::read_to_string(&config)?;
    fs::write(&config, format!("model = \"{model}\"\n{text}"))?;
    let (report, _) = village.town.coordinate(&["sweep", "--as-at", AS_AT])?;
    assert_eq!(
        (&report["model"], &report["model_sha256"]),
        (&"causeway-2".into(), &signed["model_sha256"])
    );
    fs::write(&model, fs::read_to_string(&model)?.replacen("cap = 16", "cap = 17", 1))?;
    let refused = village.town.coordinate(&["sweep", "--as-at", AS_AT]).unwrap_err();
    let refused = format!("{refused:#}");
    assert!(refused.contains("was changed after it was signed"), "{refused}");
    Ok(())
}

#[test]
fn an_alert_says_since_when_somebody_is_missing() -> anyhow::Result<()> {
    let mut village = village::five()?;
    let (earlier, _) = village.town.coordinate(&["sweep", "--as-at", "2025-02-01"])?;
    assert_eq!(earlier["alerts"], serde_json::json!([]), "nothing is to be told yet");
    village.node(Nhs)?.kill()?;
    let report = village.sweep()?;
    let unknowns = alert(&report)?["unknowns"].to_string();
    assert!(unknowns.contains("(nhs) since 1 February 2025"), "{unknowns}");
    Ok(())
}
