//! `ingest` and `quarantine`: taking exports in, and what was left out of them.

use std::io::Write;

use anyhow::{bail, ensure};
use causeway_proto::day::Day;
use serde_json::json;

use super::{Args, Ingest};
use crate::{
    app::App,
    cause::in_one_line,
    ingest::{
        DryRun, IngestError, Receipt,
        landing::{self, Outcome},
        watch::Round,
    },
    store::imports,
};

/// Why a round of everything comes to nothing.
const NO_FOLDER: &str = "There is no folder to look in: add [[intake]] with the `folder` that exports land in to the settings, \
     and their names as `files` to the mappings.";

pub(super) async fn take_in(
    args: &Args,
    ingest: &Ingest,
    app: &App,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Ingest { feed, file, dry_run, as_at, .. } = ingest;
    let Some(feed) = feed else {
        return take_in_all(args, *as_at, app, out).await;
    };
    let file = file.as_deref();
    let name = file.map_or("the database".to_owned(), |file| file.display().to_string());
    if *dry_run {
        let found = app.dry_run(feed, file, *as_at).await?;
        if args.json {
            writeln!(out, "{}", serde_json::to_string(&found)?)?;
        } else {
            print_dry_run(&name, &found, out)?;
        }
        return match found.refused {
            Some(why) => bail!("it would be refused: {why}"),
            None => Ok(()),
        };
    }
    let receipt = app.ingest(feed, file, *as_at).await?;
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&receipt)?)?;
    } else {
        print_receipt(&name, &receipt, out)?;
    }
    Ok(())
}

async fn take_in_all(
    args: &Args,
    as_at: Option<Day>,
    app: &App,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let Round { outcomes, problems, strays } = app.ingest_all(as_at).await?;
    let mut told = Vec::new();
    for outcome in &outcomes {
        match args.json {
            true => told.push(outcome_as_json(outcome)),
            false => print_outcome(outcome, out)?,
        }
    }
    for problem in problems.iter().map(|problem| in_one_line(problem)) {
        match args.json {
            true => told.push(json!({ "problem": problem })),
            false => writeln!(out, "{problem}")?,
        }
    }
    for stray in strays.iter().map(|stray| in_one_line(stray)) {
        match args.json {
            true => told.push(json!({ "ignored": stray })),
            false => writeln!(out, "{stray}")?,
        }
    }
    let nothing = outcomes.is_empty() && problems.is_empty();
    if args.json {
        if nothing && !app.has_folders() {
            told.push(json!({ "problem": NO_FOLDER }));
        }
        writeln!(out, "{}", serde_json::Value::from(told))?;
    } else if nothing {
        let why = if app.has_folders() { "Nothing new lies in the folders." } else { NO_FOLDER };
        writeln!(out, "{why}")?;
    }
    failures(&outcomes, problems.len(), app)
}

fn outcome_as_json(outcome: &Outcome) -> serde_json::Value {
    let Outcome { feed, file, result, not_put_away } = outcome;
    let mut told = match result {
        Ok(Some(receipt)) => json!({ "file": file, "taken_in": receipt }),
        Ok(None) => json!({ "feed": feed, "file": file, "taken_by_another_process": true }),
        Err(error @ IngestError::Open { .. }) => {
            json!({ "feed": feed, "file": file, "unreadable": landing::reason(error) })
        }
        Err(error) => json!({ "feed": feed, "file": file, "refused": landing::reason(error) }),
    };
    if let Some(problem) = not_put_away {
        told["problem"] = in_one_line(problem).into();
    }
    told
}

fn print_outcome(outcome: &Outcome, out: &mut dyn Write) -> anyhow::Result<()> {
    let Outcome { feed, file, result, not_put_away } = outcome;
    match result {
        Ok(Some(receipt)) => print_receipt(file, receipt, out)?,
        Ok(None) => writeln!(out, "{file} ({feed}) was taken by another process meanwhile.")?,
        Err(error @ IngestError::Open { .. }) => {
            writeln!(out, "{file} ({feed}) is still there: {}", landing::reason(error))?;
        }
        Err(error) => writeln!(out, "{file} ({feed}) was refused: {}", landing::reason(error))?,
    }
    if let Some(problem) = not_put_away {
        writeln!(out, "{}", in_one_line(problem))?;
    }
    Ok(())
}

/// Fails where not everything came in and was put away, and says what that means.
fn failures(outcomes: &[Outcome], folders: usize, app: &App) -> anyhow::Result<()> {
    let errors = || outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err());
    let unreadable = errors().filter(|error| matches!(error, IngestError::Open { .. })).count();
    let stuck = outcomes.iter().filter(|outcome| outcome.not_put_away.is_some()).count();
    let mut all = Vec::new();
    match errors().count() - unreadable {
        0 => {}
        1 => all.push("1 export was refused; what was there before stands".to_owned()),
        n => all.push(format!("{n} exports were refused; what was there before stands")),
    }
    match unreadable + stuck + folders {
        0 => {}
        1 => all.push("1 file or folder could not be worked with".to_owned()),
        n => all.push(format!("{n} files or folders could not be worked with")),
    }
    if errors().any(|error| matches!(error, IngestError::Store(_) | IngestError::Claim(_))) {
        all.push(format!("the records are in {}", app.store().path().display()));
    }
    ensure!(all.is_empty(), "{}", all.join("; "));
    Ok(())
}

pub(super) async fn list_quarantine(
    args: &Args,
    feed: Option<&str>,
    app: &App,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    feed.map(|feed| app.feed(feed)).transpose()?;
    let mut conn = app.store().read().await?;
    let mut rows = imports::left_out(&mut conn).await?;
    rows.retain(|row| feed.is_none_or(|feed| row.feed == feed));
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&rows)?)?;
        return Ok(());
    }
    for row in &rows {
        let column = match row.column.as_str() {
            "" => String::new(),
            column => format!(", column `{column}`"),
        };
        writeln!(out, "{} line {}{column}: {}", row.feed, row.line, row.rule)?;
    }
    if rows.is_empty() {
        writeln!(out, "Nothing was left out.")?;
    }
    Ok(())
}

fn print_receipt(path: &str, receipt: &Receipt, out: &mut dyn Write) -> anyhow::Result<()> {
    if receipt.same_as_last {
        writeln!(out, "{path} is what feed {} took in last: nothing to do.", receipt.feed)?;
        return Ok(());
    }
    writeln!(
        out,
        "{path}: {} rows; {} new or different, {} as before, {} missing for the first time, {} gone",
        receipt.file.rows, receipt.changed, receipt.unchanged, receipt.missed, receipt.removed
    )?;
    writeln!(out, "{} persons changed.", receipt.persons_changed)?;
    if receipt.ended > 0 {
        let ended = receipt.ended;
        writeln!(out, "{ended} states that the source no longer has were ended.")?;
    }
    if receipt.read_anew > 0 {
        let anew = receipt.read_anew;
        writeln!(
            out,
            "{anew} of those as before were read anew: their mapping is another one now."
        )?;
    }
    if receipt.left_out > 0 {
        let left_out = receipt.left_out;
        writeln!(out, "{left_out} that were there are left out by the mapping now, and gone.")?;
    }
    if receipt.keyless > 0 {
        let keyless = receipt.keyless;
        writeln!(out, "{keyless} rows have no readable key, so no row counts as missing or gone.")?;
    }
    if receipt.merged > 0 {
        writeln!(out, "{} records were merged into others.", receipt.merged)?;
    }
    if receipt.after_death > 0 {
        writeln!(out, "{} events after a person's death were left out.", receipt.after_death)?;
    }
    if receipt.of_nobody > 0 {
        let of_nobody = receipt.of_nobody;
        writeln!(out, "{of_nobody} events are of people whom no feed about people has.")?;
    }
    let file = &receipt.file;
    if file.filtered > 0 {
        writeln!(out, "{} rows were left out by `where`.", file.filtered)?;
    }
    if file.sensitive > 0 {
        writeln!(out, "{} rows were left out as sensitive.", file.sensitive)?;
    }
    for (contact, count) in &file.contacts {
        writeln!(out, "{count} rows were left out: {}.", contact.in_words())?;
    }
    print_quarantine(file, out)
}

fn print_dry_run(name: &str, found: &DryRun, out: &mut dyn Write) -> anyhow::Result<()> {
    writeln!(out, "{name}: {} rows, {} usable", found.file.rows, found.file.taken)?;
    for (contact, count) in &found.file.contacts {
        writeln!(out, "  left out: {count}: {}", contact.in_words())?;
    }
    if let Some(quality) = &found.quality {
        let all = quality.records.max(1) as f64;
        let shares = serde_json::to_value(&quality.with)?;
        for (field, count) in shares.as_object().into_iter().flatten() {
            let count = count.as_u64().unwrap_or(0);
            writeln!(out, "  {field:<10} {count:>9}  {:>5.1} %", 100.0 * count as f64 / all)?;
        }
        let noted = serde_json::to_value(quality)?;
        for (note, count) in noted["notes"].as_object().into_iter().flatten() {
            writeln!(out, "  noted: {note}: {count}")?;
        }
    }
    if let (Some(duplicates), Some(keys)) = (found.duplicates, found.match_keys_per_record) {
        writeln!(out, "  {duplicates} records are somebody's second record")?;
        writeln!(out, "  {keys:.1} match-keys a record")?;
    }
    print_quarantine(&found.file, out)
}

fn print_quarantine(file: &crate::source::SourceReport, out: &mut dyn Write) -> anyhow::Result<()> {
    /// More of the same tells nobody more.
    const SHOWN: usize = 10;
    if file.quarantined == 0 {
        return Ok(());
    }
    writeln!(out, "{} rows were set aside:", file.quarantined)?;
    for row in file.quarantine.iter().take(SHOWN) {
        writeln!(out, "  {row}")?;
    }
    if file.quarantine.len() > SHOWN {
        writeln!(out, "  and {} more", file.quarantined - SHOWN as u64)?;
    }
    Ok(())
}
