//! A replay as people read it.

use std::{cmp::Reverse, fmt};

use super::{HouseholdReport, Report};
use crate::score::Tenths;

impl fmt::Display for Report {
    /// Writes the households with the highest scores first.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let many = match self.households.len() {
            1 => "1 household".to_owned(),
            many => format!("{many} households"),
        };
        writeln!(f, "Model {}, as at {}: {many}", self.model, self.as_at.in_words())?;
        let mut ranked: Vec<_> = self.households.iter().collect();
        ranked.sort_by_key(|household| Reverse(household.score));
        ranked.iter().try_for_each(|household| write!(f, "\n{household}"))
    }
}

impl fmt::Display for HouseholdReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}, score {} of 100", self.household, self.tier, self.score)?;
        for line in &self.lines {
            writeln!(f, "  {:>6}  {}", line.points, line.sentence)?;
        }
        for rule in &self.interactions {
            writeln!(f, "  {:>6}  {} [{}]", rule.points, rule.sentence, rule.id)?;
        }
        let over = self.rules_over_their_cap();
        if over > Tenths::default() {
            writeln!(f, "  {:>6}  Rules together reach their cap", format!("-{over}"))?;
        }
        writeln!(f, "  {:>6}  Several agencies see harm", self.breadth)?;
        writeln!(f, "  {:>6}  In all: {} on the scale of 0 to 100", self.raw, self.score)?;

        let alone = self.agency_alone.iter().map(|(kind, score)| (kind.0.in_words(), score));
        write_scores(f, "Each agency alone", alone)?;
        write_scores(f, "Each person alone", self.persons.iter())
    }
}

impl HouseholdReport {
    /// Returns what the rules would add beyond what they may.
    fn rules_over_their_cap(&self) -> Tenths {
        let rules = self.interactions.iter().map(|rule| rule.points).sum();
        let lines = self.lines.iter().map(|line| line.points);
        let counted = lines.fold(self.raw - self.breadth, |rest, line| rest - line);
        Tenths::whole(rules) - counted
    }
}

fn write_scores<N: fmt::Display, S: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    scores: impl Iterator<Item = (N, S)>,
) -> fmt::Result {
    let scores: Vec<_> = scores.map(|(name, score)| format!("{name} {score}")).collect();
    if scores.is_empty() { Ok(()) } else { writeln!(f, "  {title}: {}", scores.join(", ")) }
}
