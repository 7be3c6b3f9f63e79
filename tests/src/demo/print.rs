//! A demonstration, told to a person.

use std::io::Write;

use serde_json::Value;

use super::{AlertReport, DemoReport, Scenario};

/// Lines of an alert that are printed before the rest is only counted.
const LINES: usize = 6;

/// Prints who is alerted and why, and who is not.
pub fn print(report: &DemoReport, out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "\nThe town as at {}", report.as_at.in_words())?;
    for agency in &report.agencies {
        let (id, records, people) = (agency.id.in_words(), agency.records, agency.people);
        writeln!(out, "  {id:<24} {records:>6} records of {people:>6} people")?;
    }
    let (persons, households) = (report.persons, report.households);
    writeln!(out, "  joined by hashes alone: {persons} persons in {households} households")?;
    let (precision, recall) = (report.linking.precision, report.linking.recall);
    writeln!(out, "  held against the truth: precision {precision:.4}, recall {recall:.4}")?;
    if report.alerts.is_empty() {
        writeln!(out, "\nNobody is alerted.")?;
    }
    for alert in &report.alerts {
        print_alert(alert, out)?;
    }
    if let Some(first) = report.alerts.first() {
        let lead = first.recipients.first().map_or("nobody", |kind| kind.in_words());
        writeln!(out, "\nWhat {lead} reads about {}, where the names are:\n", first.household)?;
        for line in first.letter.lines() {
            writeln!(out, "  | {line}")?;
        }
    }
    writeln!(out, "\nThe planted households")?;
    for scenario in &report.planted {
        print_scenario(scenario, out)?;
    }
    writeln!(
        out,
        "\nScores of those who are not alerted are the town's, which knows the truth: the product \
         keeps no list of them.\nTry another day: town demo --as-at 2025-08-25. \
         To keep a town running: town up."
    )?;
    Ok(())
}

fn print_alert(alert: &AlertReport, out: &mut impl Write) -> anyhow::Result<()> {
    let AlertReport { household, tier, score, range: [low, high], .. } = alert;
    writeln!(
        out,
        "\n{household} is alerted: {tier}, joined score {score:.1} ({low:.1} to {high:.1})"
    )?;
    let alone: Vec<String> = alert
        .agency_alone
        .iter()
        .map(|(kind, score)| format!("{} {score:.1}", kind.in_words()))
        .collect();
    writeln!(out, "  alone:  {}", alone.join(", "))?;
    let points = |value: &Value| value["points"].as_f64().unwrap_or(0.0);
    let words = |value: &Value| value["sentence"].as_str().unwrap_or_default().to_owned();
    for line in alert.lines.iter().filter(|line| points(line) > 0.0).take(LINES) {
        writeln!(out, "  {:>5.1}   {}", points(line), words(line))?;
    }
    for rule in &alert.rules {
        let id = rule["id"].as_str().unwrap_or_default();
        writeln!(out, "  {:>5.1}   {id} {}", points(rule), words(rule))?;
    }
    let told: Vec<&str> = alert.recipients.iter().map(|kind| kind.in_words()).collect();
    writeln!(out, "  told:   {}", told.join(", "))?;
    Ok(())
}

fn print_scenario(scenario: &Scenario, out: &mut impl Write) -> anyhow::Result<()> {
    let Scenario { household, score, tier, .. } = scenario;
    let alerted = if scenario.alerted { "alerted" } else { "not alerted" };
    write!(out, "  {household:<5} {tier} {score:>5.1}  {alerted:<12}")?;
    match scenario.merged.is_empty() {
        true => write!(out, " {} people, nobody mistaken for another", scenario.people.len())?,
        false => {
            let merged: Vec<&str> = scenario.merged.iter().map(String::as_str).collect();
            write!(out, " MISTAKEN for another: {}", merged.join(", "))?;
        }
    }
    if !scenario.ambiguous.is_empty() {
        write!(out, "; a record of {} fits two", scenario.ambiguous.join(", "))?;
    }
    Ok(writeln!(out)?)
}
