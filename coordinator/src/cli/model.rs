//! `causeway-coordinator model`: whether a model is fit to be used, and what it would change.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, bail, ensure};
use causeway_certs::{files::write_public, signing::DocumentKey};
use causeway_proto::day::Day;
use clap::Subcommand;
use serde_json::json;

use crate::{
    score::{Event, Model, compare, promises, replay},
    sign_off,
};

/// Households between two lines of progress.
const TELL: usize = 1000;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a model: its bounds, and what it promises of every household, on made-up ones
    ///
    /// Bounds are those of every model: weak evidence adds 5 points at most, rules together no more
    /// than their cap, being poor never reaches T2. Then the seven promises of the scoring model are
    /// tried on random households. Where one does not hold, the household that shows it is printed
    /// as CSV, which `score` takes.
    #[command(after_help = "\
Example:
  causeway-coordinator model check new.toml --households 10000 --seed 1")]
    Check {
        /// The model file
        file: PathBuf,
        /// How many households
        #[arg(long, default_value_t = 10_000)]
        households: usize,
        /// Which households; the same number gives the same ones
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Say what differs between two models and, given past data, who would newly surface or vanish
    #[command(after_help = "\
Example:
  causeway-coordinator model diff old.toml new.toml --history events.csv --as-at 2025-08-25")]
    Diff {
        /// The model in use
        old: PathBuf,
        /// The other
        new: PathBuf,
        /// Past events, as for `score`
        #[arg(long, value_name = "FILE", requires = "as_at")]
        history: Option<PathBuf>,
        /// The day to score as at
        #[arg(long, value_name = "YYYY-MM-DD", requires = "history")]
        as_at: Option<Day>,
    },
    /// Make a key for signing models off, and its public half for the coordinator's settings
    #[command(after_help = "\
Example:
  causeway-coordinator model keygen safeguarding-key.pem     also writes safeguarding-key.pem.pub")]
    Keygen {
        /// Where to write the private key, which only you may read; `.pub` is added for the public half
        file: PathBuf,
    },
    /// Sign a model off, beside others: it is used once two people have
    ///
    /// Adds a signature to FILE.sig, over the file's SHA-256 and its version. The coordinator takes a model
    /// file, in use or in a shadow sweep, with the signatures of two different keys that its settings list
    /// as `[[model_signer]]`. Whatever changes the file makes them void.
    #[command(after_help = "\
Example:
  causeway-coordinator model sign new.toml --key my-key.pem --name \"head of safeguarding\"")]
    Sign {
        /// The model file
        file: PathBuf,
        /// Your private key, P-256 in PKCS#8 PEM, as `keygen` or `causeway-certs` makes it
        #[arg(long, value_name = "FILE")]
        key: PathBuf,
        /// Your role
        #[arg(long)]
        name: String,
    },
}

/// Runs one command; results go to `out`, progress to standard error.
pub(super) fn run(
    command: &Command,
    as_json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    match command {
        Command::Check { file, households, seed } => check(file, *households, *seed, as_json, out),
        Command::Diff { old, new, history, as_at } => {
            let history = history.as_deref().zip(*as_at);
            diff(old, new, history, as_json, out)
        }
        Command::Keygen { file } => keygen(file, as_json, out),
        Command::Sign { file, key, name } => sign(file, key, name, as_json, out),
    }
}

fn keygen(file: &Path, as_json: bool, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let mut public = file.as_os_str().to_owned();
    public.push(".pub");
    let public = PathBuf::from(public);
    for path in [file, &public] {
        ensure!(!path.exists(), "{} is there already: choose another name", path.display());
    }
    let key = DocumentKey::generate()?;
    key.save(file)?;
    write_public(&public, key.public_pem().as_bytes())?;
    let (fingerprint, public) = (key.public().fingerprint(), public.display());
    if as_json {
        let result = json!({ "key": fingerprint, "public_key": public.to_string() });
        return Ok(writeln!(out, "{result}")?);
    }
    writeln!(out, "Key {fingerprint}. Keep {} to yourself.", file.display())?;
    Ok(writeln!(
        out,
        "Send {public} to whoever runs the coordinator, who lists it as [[model_signer]]."
    )?)
}

fn sign(
    file: &Path,
    key: &Path,
    name: &str,
    as_json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let key = DocumentKey::load(key)?;
    let signatures = sign_off::sign(file, &key, name)?;
    let model = Model::load(file)?;
    let (fingerprint, signatures) = (key.public().fingerprint(), signatures.display());
    if as_json {
        let result = json!({
            "model": model.version, "model_sha256": model.sha256, "key": fingerprint,
            "name": name, "signatures": signatures.to_string(),
        });
        return Ok(writeln!(out, "{result}")?);
    }
    writeln!(out, "Signed {} ({}) with key {fingerprint}.", model.version, model.sha256)?;
    Ok(writeln!(out, "Keep {signatures} beside the model file.")?)
}

fn check(
    file: &Path,
    households: usize,
    seed: u64,
    as_json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let model = Model::load(file)?;
    let rules = model.rules.len();
    let tell = |done: usize| {
        if !as_json
            && (done.is_multiple_of(TELL) || done == households)
            && io::stderr().is_terminal()
        {
            // Progress that nobody can read is no reason to stop.
            let _ = writeln!(io::stderr(), "{done} of {households} households");
        }
    };
    let kept = promises::keep(&model, households, seed, tell);
    if as_json {
        let breach = kept.as_ref().err();
        let result = json!({
            "model": model.version, "households": households, "seed": seed, "breach": breach,
        });
        writeln!(out, "{result}")?;
    } else {
        writeln!(out, "{}: within its bounds, {rules} rules", model.version)?;
        match &kept {
            Ok(()) => {
                for promise in promises::PROMISES {
                    writeln!(out, "  held for {households} households: {promise}")?;
                }
            }
            Err(breach) => write!(out, "{}", breach.csv)?,
        }
    }
    if let Err(breach) = kept {
        let promises::Breach { promise, means, household, as_at, .. } = *breach;
        bail!(
            "promise {promise} does not hold ({means}): household {household} of seed {seed} shows \
             it; save the CSV and run `score` on it as at {as_at} to see why"
        );
    }
    Ok(())
}

fn diff(
    old: &Path,
    new: &Path,
    history: Option<(&Path, Day)>,
    as_json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let load = |file: &Path| {
        Model::load(file).with_context(|| format!("{} cannot be used", file.display()))
    };
    let models = [load(old)?, load(new)?];
    let entries = entries(&leaves_of(old)?, &leaves_of(new)?);
    let comparison = history
        .map(|(file, as_at)| -> anyhow::Result<_> {
            let name = file.display();
            let opened = File::open(file).with_context(|| format!("could not open {name}"))?;
            let households =
                replay::read(opened).with_context(|| format!("could not replay {name}"))?;
            let events = |h: &replay::Household| -> (String, Vec<Event>) {
                (h.name.clone(), h.events.clone())
            };
            let households: Vec<_> = households.iter().map(events).collect();
            let each =
                households.iter().map(|(name, events)| (name.clone(), [events.as_slice(); 2]));
            Ok(compare::compare([&models[0], &models[1]], each, as_at, |_| true))
        })
        .transpose()?;
    if as_json {
        let entries: Vec<_> = entries
            .iter()
            .map(|(entry, [old, new])| json!({ "entry": entry, "old": old, "new": new }))
            .collect();
        let versions = models.each_ref().map(|model| &model.version);
        let [old, new] = versions;
        let result =
            json!({ "old": old, "new": new, "entries": entries, "households": comparison });
        return Ok(writeln!(out, "{result}")?);
    }
    for (entry, [old, new]) in &entries {
        let said = |value: &Option<String>| value.clone().unwrap_or_else(|| "absent".to_owned());
        writeln!(out, "{entry}: {} -> {}", said(old), said(new))?;
    }
    if entries.is_empty() {
        writeln!(out, "The models are the same.")?;
    }
    if let Some(comparison) = comparison {
        write!(out, "\n{comparison}")?;
    }
    Ok(())
}

/// Reads every single value of a model file, by its path in the file.
fn leaves_of(file: &Path) -> anyhow::Result<BTreeMap<String, String>> {
    let mut leaves = BTreeMap::new();
    let text = fs::read_to_string(file)?;
    gather(String::new(), &toml::Value::Table(toml::from_str(&text)?), &mut leaves);
    Ok(leaves)
}

fn gather(path: String, value: &toml::Value, leaves: &mut BTreeMap<String, String>) {
    let within = |name: &str| match path.as_str() {
        "" => name.to_owned(),
        path => format!("{path}.{name}"),
    };
    match value {
        toml::Value::Table(table) => {
            table.iter().for_each(|(name, value)| gather(within(name), value, leaves));
        }
        // A rule goes by its id, so that one more does not make all that follow differ.
        toml::Value::Array(items) if items.iter().any(|item| item.get("id").is_some()) => {
            for item in items {
                let id = item.get("id").and_then(toml::Value::as_str).unwrap_or_default();
                gather(within(id), item, leaves);
            }
        }
        value => {
            leaves.insert(path, value.to_string());
        }
    }
}

type Entries = BTreeMap<String, [Option<String>; 2]>;

fn entries(old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Entries {
    let names = old.keys().chain(new.keys());
    let both = names.map(|name| (name.clone(), [old.get(name).cloned(), new.get(name).cloned()]));
    both.filter(|(_, [old, new])| old != new).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILTIN: &str = include_str!("../../model/causeway-1.toml");

    fn said(command: &Command, as_json: bool) -> (anyhow::Result<()>, String) {
        let mut out = Vec::new();
        let result = run(command, as_json, &mut out);
        (result, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_model_that_keeps_its_promises_passes() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.toml");
        fs::write(&file, BUILTIN).unwrap();
        let (passed, json) = said(&Command::Check { file, households: 50, seed: 3 }, true);
        passed.unwrap();
        let expected =
            json!({ "model": "causeway-1", "households": 50, "seed": 3, "breach": null });
        assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap(), expected);
    }

    #[test]
    fn a_diff_names_entries_and_households() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new, history] =
            ["old.toml", "new.toml", "history.csv"].map(|name| folder.path().join(name));
        fs::write(&old, BUILTIN).unwrap();
        fs::write(&new, BUILTIN.replacen("points = 16", "points = 4", 1)).unwrap();
        fs::write(&history, include_str!("../score/vectors/scenarios.csv")).unwrap();
        let as_at = Some("2025-08-25".parse().unwrap());
        let (done, text) = said(&Command::Diff { old, new, history: Some(history), as_at }, false);
        done.unwrap();
        assert!(text.starts_with("rules.X01.points: 16 -> 4\n"), "{text}");
        assert!(text.contains("B vanishes: T3 71.1 [X01] -> T2"), "{text}");
    }

    #[test]
    fn a_diff_says_which_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let [old, new] = ["old.toml", "new.toml"].map(|name| folder.path().join(name));
        fs::write(&old, BUILTIN).unwrap();
        fs::write(&new, BUILTIN.replacen("points = 16", "points = 1600", 1)).unwrap();
        let (refused, _) = said(&Command::Diff { old, new, history: None, as_at: None }, false);
        let said = format!("{:#}", refused.unwrap_err());
        assert!(said.contains("new.toml cannot be used: "), "{said}");
    }
}
