//! Prints a sweep's result for a person.

use std::fmt;

use causeway_proto::alert::{AlertChange, Duty};

use super::{AlertReport, LinkReport, SweepReport};
use crate::{
    cycle::waterfall,
    route::surfacing::{Capacity, Why},
};

impl fmt::Display for SweepReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hash = self.model_sha256.get(..12).unwrap_or_default();
        writeln!(f, "Sweep {} as at {}, model {} ({hash})", self.sweep, self.as_at, self.model)?;
        for agency in &self.agencies {
            let state = match (&agency.problem, agency.stale) {
                (Some(problem), _) => format!("LEFT OUT: {problem}"),
                (None, true) => format!("{} records, an export is stale", agency.records),
                (None, false) => format!("{} records", agency.records),
            };
            writeln!(f, "  {:<24} {state}", agency.id.as_str())?;
            for warning in &agency.warnings {
                writeln!(f, "  !  {}: {warning}", agency.id)?;
            }
        }
        writeln!(
            f,
            "{} records are {} persons in {} households; {} ambiguous records",
            self.records, self.persons, self.households, self.ambiguous
        )?;
        writeln!(
            f,
            "Of {} candidate pairs {} were looked at, {} are one person by their own weight, and {} were \
             joined.",
            self.candidate_pairs, self.compared_pairs, self.links, self.joined_pairs
        )?;
        writeln!(f, "Signals were asked for on {} records.", self.signals_asked_for)?;
        write!(f, "{}", self.quality)?;
        if let Some(subgroups) = &self.subgroups {
            write!(f, "{subgroups}")?;
        }
        self.drift.iter().try_for_each(|drift| writeln!(f, "  !  {drift}"))?;
        let Capacity { places, used, braked, .. } = self.capacity;
        let why = if braked { ", halved because reviewers find too little to do" } else { "" };
        writeln!(f, "This week {used} of {places} places are taken{why}.")?;
        if self.capacity.is_flooded() {
            let Capacity { highest, ceiling, .. } = self.capacity;
            writeln!(
                f,
                "  !  {highest} households in T4 this week; more than {ceiling} mean a fault"
            )?;
        }
        if let Some(shadow) = &self.shadow {
            write!(f, "Shadow: {shadow}")?;
        }
        if self.reminders > 0 {
            writeln!(f, "{} alerts wait for an answer; everybody was reminded.", self.reminders)?;
        }
        match self.alerts.len() {
            0 => writeln!(f, "No alert.")?,
            1 => writeln!(f, "1 alert:")?,
            several => writeln!(f, "{several} alerts:")?,
        }
        self.alerts.iter().try_for_each(|alert| write!(f, "\n{alert}"))?;
        if !self.weakest_links.is_empty() {
            writeln!(f, "\nThe weakest links that held:")?;
        }
        self.weakest_links.iter().try_for_each(|link| write!(f, "{link}"))
    }
}

impl AlertReport {
    /// Returns what the rules would add beyond what they may, in points of `raw`.
    fn rules_over_their_cap(&self) -> f64 {
        let lines: f64 = self.lines.iter().map(|line| line.points).sum();
        let rules: u32 = self.interactions.iter().map(|rule| rule.points).sum();
        lines + f64::from(rules) + f64::from(self.breadth) - self.raw
    }
}

impl fmt::Display for AlertReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { alert_id, revision, change, subject, people, tier, score, range, .. } = self;
        let people = if *people == 1 { "1 person".to_owned() } else { format!("{people} people") };
        writeln!(f, "{alert_id}  {change} (revision {revision})  {subject} of {people}")?;
        if !self.model.is_empty() {
            let hash = self.model_sha256.get(..12).unwrap_or_default();
            writeln!(f, "  model {} ({hash})", self.model)?;
        }
        if *change == AlertChange::Cancel {
            let why = self.reason.map_or("it does not stand any more", Why::in_words);
            writeln!(f, "  withdrawn: {why}")?;
            if let Some(before) = revision.checked_sub(1).filter(|before| *before > 0) {
                writeln!(f, "  what was told before: `explain {alert_id} --revision {before}`")?;
            }
        } else {
            writeln!(
                f,
                "  {tier}, joined score {score:.1} (between {:.1} and {:.1}); the best agency alone {:.1}",
                range[0], range[1], self.best_single_agency
            )?;
        }
        for line in &self.lines {
            writeln!(f, "  {:>5.1}  {}", line.points, line.sentence)?;
        }
        for rule in &self.interactions {
            writeln!(f, "  {:>5.1}  {} [{}]", f64::from(rule.points), rule.sentence, rule.id)?;
        }
        // Earlier versions kept it with a withdrawal.
        if *change != AlertChange::Cancel {
            let capped = self.rules_over_their_cap();
            if capped >= 0.05 {
                writeln!(f, "  {:>5.1}  rules together reach their cap", -capped)?;
            }
            if self.breadth > 0 {
                writeln!(f, "  {:>5.1}  several agencies see harm", f64::from(self.breadth))?;
            }
            writeln!(f, "  {:>5.1}  in all: {score:.1} on the scale of 0 to 100", self.raw)?;
        }
        for recipient in &self.recipients {
            let asked = match recipient.duty {
                Duty::Lead => "is asked to lead",
                Duty::Inform => "is informed",
            };
            writeln!(f, "  -> {} {asked} ({} records)", recipient.agency, recipient.records)?;
        }
        self.unknowns.iter().try_for_each(|unknown| writeln!(f, "  ?  {unknown}"))
    }
}

impl fmt::Display for LinkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = &self.agencies;
        match self.bits {
            Some(bits) => writeln!(f, "\n  link {a} - {b}: {bits:+.1} bits")?,
            None => writeln!(f, "\n  link {a} - {b}: {}", waterfall::without_weight(self))?,
        }
        writeln!(f, "    shared match-keys: {}", self.kinds.join(", "))?;
        write!(f, "{}", waterfall::text(self))
    }
}
