//! Prints how good the links of a sweep probably are: by level, by match weight, by pair of agencies.

use std::fmt;

use crate::link::quality::{AgencyPair, LevelQuality, LinkQuality, Step};

/// Characters of the longest bar of the histogram.
const BAR: f64 = 40.0;

impl fmt::Display for LinkQuality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |share: f64| 100.0 * share;
        let [precision, recall] = [self.precision, self.recall];
        writeln!(
            f,
            "By their own weights {:.2} % of the links are right ({:.2} to {:.2}), and {:.2} % ({:.2} to \
             {:.2}) of what is one person and shares a match-key was found; bounds allow for weights that are \
             three bits off.",
            percent(precision.estimate),
            percent(precision.low),
            percent(precision.high),
            percent(recall.estimate),
            percent(recall.low),
            percent(recall.high)
        )?;
        levels(f, &self.levels)?;
        histogram(f, &self.histogram, self.without_weight)?;
        agencies(f, &self.agencies)
    }
}

fn levels(f: &mut fmt::Formatter<'_>, levels: &[LevelQuality]) -> fmt::Result {
    writeln!(f, "How often one person's records (m) and strangers' (u) reach each level:")?;
    writeln!(f, "  {:<10} {:>5} {:>10} {:>10} {:>7}", "field", "level", "m", "u", "bits")?;
    let mut last = None;
    for LevelQuality { field, level, m, u, bits } in levels {
        let name = if last == Some(field) { String::new() } else { field.to_string() };
        writeln!(f, "  {name:<10} {level:>5} {m:>10.4} {u:>10.2e} {bits:>+7.1}")?;
        last = Some(field);
    }
    Ok(())
}

fn histogram(f: &mut fmt::Formatter<'_>, steps: &[Step], without_weight: u64) -> fmt::Result {
    writeln!(f, "Candidate pairs by match weight in bits; from 0 on they are one person:")?;
    let most = steps.iter().map(|step| step.pairs).max().unwrap_or(0).max(1) as f64;
    let filled = |step: &Step| step.pairs > 0;
    let first = steps.iter().position(filled).unwrap_or(0);
    let last = steps.iter().rposition(filled).map_or(0, |last| last + 1);
    for (at, Step { from, pairs }) in (first..last).zip(&steps[first..last]) {
        let until = steps.get(at + 1).map(|next| next.from);
        let range = match (at, until) {
            (0, Some(until)) => format!("below {until:.0}"),
            (_, Some(until)) => format!("{from:.0} to {until:.0}"),
            (_, None) => format!("{from:.0} and more"),
        };
        let bar = "#".repeat((*pairs as f64 / most * BAR).ceil() as usize);
        writeln!(f, "{}", format!("  {range:<12} {pairs:>9} {bar}").trim_end())?;
    }
    writeln!(f, "  {:<12} {without_weight:>9} (never one person: a guard says so)", "no weight")
}

fn agencies(f: &mut fmt::Formatter<'_>, pairs: &[AgencyPair]) -> fmt::Result {
    writeln!(
        f,
        "Pairs of records by agencies: that share a match-key, by their own weight, joined:"
    )?;
    let mut sum = [0; 3];
    let line = |f: &mut fmt::Formatter<'_>, who: &str, numbers: [u64; 3]| {
        let [candidates, by_weight, links] = numbers;
        writeln!(f, "  {who:<42} {candidates:>9} {by_weight:>9} {links:>9}")
    };
    for pair in pairs {
        let who = match &pair.ids {
            Some([a, b]) => format!("{a} - {b}"),
            None => format!("{} - {}", pair.agencies[0], pair.agencies[1]),
        };
        let numbers = [pair.candidates, pair.by_weight, pair.links];
        sum.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number);
        line(f, &who, numbers)?;
    }
    line(f, "all", sum)
}

#[cfg(test)]
mod tests {
    use causeway_proto::linkage::levels::ComparisonField;

    use super::*;
    use crate::link::quality::Estimate;

    #[test]
    fn all_of_it_is_printed_and_adds_up() {
        let share = |estimate, low, high| Estimate { estimate, low, high };
        let pair = |ids: [&str; 2], [candidates, by_weight, links]: [u64; 3]| AgencyPair {
            agencies: [0, 1],
            ids: Some(ids.map(|id| id.parse().unwrap())),
            candidates,
            by_weight,
            links,
        };
        let level = |level, m: f64, u: f64| LevelQuality {
            field: ComparisonField::Birth,
            level,
            m,
            u,
            bits: (m / u).log2(),
        };
        let steps = [(-30.0, 400), (-28.0, 0), (-26.0, 1), (28.0, 200)];
        let quality = LinkQuality {
            precision: share(0.9991, 0.9985, 1.0),
            recall: share(0.98, 0.97, 0.99),
            levels: vec![level(0, 0.01, 0.95), level(5, 0.9, 0.00004)],
            strangers: 1e5,
            histogram: steps.map(|(from, pairs)| Step { from, pairs }).to_vec(),
            without_weight: 9,
            agencies: vec![
                pair(["police", "housing"], [600, 150, 180]),
                pair(["police", "nhs"], [10, 1, 2]),
            ],
        };
        let text = quality.to_string();
        let bar = "#".repeat(40);
        for part in [
            "99.91 % of the links are right (99.85 to 100.00)",
            "98.00 % (97.00 to 99.00)",
            "  birth          0     0.0100    9.50e-1    -6.6\n",
            "                 5     0.9000    4.00e-5   +14.5\n",
            &format!("  below -28          400 {bar}\n"),
            "  -28 to -26           0\n",
            "  -26 to 28            1 #\n",
            "  28 and more        200 ####################\n",
            "  no weight            9 ",
            "  police - nhs                                      10         1         2\n",
            "  all                                              610       151       182\n",
        ] {
            assert!(text.contains(part), "{part:?} in\n{text}");
        }
    }
}
