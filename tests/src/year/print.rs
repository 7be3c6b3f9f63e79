//! A year, told to a person.

use std::{collections::BTreeSet, io::Write};

use super::YearReport;

/// Prints every push, and what they come to.
pub fn print(report: &YearReport, out: &mut impl Write) -> anyhow::Result<()> {
    let households: BTreeSet<&str> = report.pushes.iter().map(|p| p.household.as_str()).collect();
    for household in households {
        writeln!(out, "\n{household}")?;
        for push in report.pushes.iter().filter(|push| push.household == household) {
            let recipients: Vec<&str> =
                push.recipients.iter().map(|kind| kind.in_words()).collect();
            let (day, kind, tier) = (push.day.in_words(), &push.kind, &push.tier);
            writeln!(out, "  {day:<18} {kind:<6} {tier} {:5.1}  {}", push.score, push.reason)?;
            writeln!(out, "  {:<18} told: {}", "", recipients.join(", "))?;
        }
    }
    writeln!(out, "\nAlerts by week")?;
    for week in report.weeks.iter().filter(|week| week.pushes > 0) {
        writeln!(
            out,
            "  from {:<18} {} alerts, {} of them repeats",
            week.from.in_words(),
            week.pushes,
            week.repeats
        )?;
    }
    let busiest = report.weeks.iter().map(|week| week.pushes).max().unwrap_or(0);
    let repeats: usize = report.weeks.iter().map(|week| week.repeats).sum();
    let (pushes, weeks) = (report.pushes.len(), report.weeks.len());
    writeln!(out, "{pushes} in {weeks} weeks, {busiest} in the busiest; {repeats} were repeats")?;
    if let Some(precision) = report.precision {
        let right = (precision * pushes as f64).round();
        writeln!(
            out,
            "{right} of {pushes} are about a household that was planted to be seen ({:.0} %)",
            100.0 * precision
        )?;
    }
    for (household, days) in &report.lead_days {
        match days {
            Some(days) if *days >= 0 => {
                writeln!(out, "{household}: first alert {days} days before its crisis")?;
            }
            Some(days) => writeln!(out, "{household}: first alert {} days too late", -days)?,
            None => writeln!(out, "{household}: no alert before its crisis, nor after")?,
        }
    }
    writeln!(out, "{} days in {:.0} s", report.days, report.seconds)?;
    Ok(())
}
