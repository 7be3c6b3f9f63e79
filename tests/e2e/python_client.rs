//! An integrator's program in another language, made from nothing but the proto files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use anyhow::{Context, ensure};
use causeway_certs::{
    files::IdentityFiles,
    name::{Identity, Role},
};
use causeway_proto::catalogue::AgencyKind::Housing;
use serde_json::Value;
use time::OffsetDateTime;

use crate::village::{self, Village, alert, id};

/// Makes what `grpc_tools` makes of the proto files. Returns where.
fn generated(folder: &Path) -> anyhow::Result<PathBuf> {
    let protos = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/proto");
    let out = folder.join("generated");
    fs::create_dir_all(&out)?;
    let mut command = Command::new(python());
    command.args(["-m", "grpc_tools.protoc"]).arg("-I").arg(&protos);
    for kind in ["python", "grpc_python"] {
        command.arg(format!("--{kind}_out={}", out.display()));
    }
    for entry in fs::read_dir(protos.join("causeway/v1"))? {
        command.arg(entry?.path());
    }
    let made = command.output().context("could not start Python: `tests/all` installs it")?;
    let said = String::from_utf8_lossy(&made.stderr);
    ensure!(made.status.success(), "`tests/all` installs what is missing here: {said}");
    Ok(out)
}

/// The Python that `tests/all` made.
fn python() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/python/bin/python")
}

/// Runs the client as an operator of this name.
fn client(village: &Village, generated: &Path, operator: &str) -> anyhow::Result<Output> {
    let folder = village.scratch().join(operator);
    fs::create_dir_all(&folder)?;
    let deployment = village.town.ca().deployment().clone();
    let identity = Identity::new(deployment, Role::Operator, operator.parse()?);
    let files = IdentityFiles::in_folder(&folder);
    village.town.ca().issue_to(&files, &identity, &[], 1, OffsetDateTime::now_utc())?;
    let node = &village.town.nodes()[village.place(Housing)];
    let address = node.address.as_ref().context("it listens")?;
    Ok(Command::new(python())
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e/client.py"))
        .args([address, &village.name(Housing).dns_name()])
        .arg(&folder)
        .env("PYTHONPATH", generated)
        .output()?)
}

#[test]
fn a_worklist_in_python_reads_its_own_agencys_inbox() -> anyhow::Result<()> {
    let village = village::five()?;
    let generated = generated(village.scratch())?;
    let worklist = format!("{}-worklist", id(Housing));
    let empty = client(&village, &generated, &worklist)?;
    assert!(empty.status.success(), "{}", String::from_utf8_lossy(&empty.stderr));
    assert_eq!(empty.stdout, b"", "nothing has happened yet");

    let report = village.sweep()?;
    let read = client(&village, &generated, &worklist)?;
    assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
    let entry: Value = serde_json::from_slice(&read.stdout)?;
    assert_eq!(entry["alert_id"], alert(&report)?["alert_id"]);
    assert_eq!((&entry["tier"], &entry["duty"]), (&"TIER_T3".into(), &"DUTY_INFORM".into()));
    assert_eq!(entry["records"], serde_json::json!(["ASB-0447"]), "its own references");
    let alert_id = entry["alert_id"].as_str().context("an id")?;
    let shown = village.town.ask_node(&id(Housing), &["inbox", "show", alert_id])?;
    let lines = shown["lines"].as_array().context("lines")?;
    let reasons: Vec<Value> = lines.iter().map(|line| line["sentence"].clone()).collect();
    assert!(reasons.len() > 2 && entry["reasons"] == Value::from(reasons), "{entry:#}");

    let refused = client(&village, &generated, "somebody")?;
    let said = String::from_utf8(refused.stderr)?;
    let why = "PERMISSION_DENIED: node housing refused operator somebody: only operators that its \
               configuration lists may call InboxService";
    assert_eq!((refused.status.code(), said.trim()), (Some(1), why));
    Ok(())
}

#[test]
fn the_readme_shows_the_program_that_is_tested() {
    let readme = include_str!("../../README.md");
    let program = include_str!("client.py");
    let shown = readme.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    let shown = shown.expect("the README shows a client in Python");
    let mut rest = program;
    for line in shown.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let at = rest.find(line).unwrap_or_else(|| panic!("the program has no `{line}` there"));
        rest = &rest[at + line.len()..];
    }
}
