//! Holds a year's pushes against what was planted.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::day::Day;

use super::{Push, Settings, Week, YearReport};
use crate::data::{People, Truth};

/// The planted households that somebody should look at, each with what its story ends in: the last
/// such event is its crisis.
const TO_BE_SEEN: [(&str, &str); 3] = [
    // Larkrise Close: the last attack before the October anchor.
    ("HA", "POL_ASB_VICTIM"),
    // Moorfield Terrace: the fire.
    ("HB", "FRS_DELIBERATE_FIRE"),
    // Station Road: the injured baby.
    ("HC", "NHS_U1_INJURY"),
];

/// Counts by week, and measures precision and lead time. The caller fills in the rest.
pub(super) fn judge(pushes: &[Push], settings: &Settings, people: &People) -> YearReport {
    let planted = |push: &&Push| TO_BE_SEEN.iter().any(|(name, _)| *name == push.household);
    let right = pushes.iter().filter(planted).count();
    YearReport {
        pushes: Vec::new(),
        weeks: weeks(pushes, settings),
        precision: (!pushes.is_empty()).then(|| right as f64 / pushes.len() as f64),
        lead_days: lead_days(pushes, settings, people),
        days: 0,
        seconds: 0.0,
    }
}

fn weeks(pushes: &[Push], settings: &Settings) -> Vec<Week> {
    let mut weeks = Vec::new();
    let mut known: BTreeSet<&str> = BTreeSet::new();
    let mut from = monday(settings.from);
    while from <= settings.to {
        let mut week = Week { from, pushes: 0, repeats: 0 };
        for push in pushes.iter().filter(|push| monday(push.day) == from) {
            week.pushes += 1;
            week.repeats += usize::from(!known.insert(&push.household));
        }
        weeks.push(week);
        from = from.plus(7);
    }
    weeks
}

/// Returns the Monday of a day's week.
fn monday(day: Day) -> Day {
    // Day 0 was a Thursday.
    day.plus(-(day.number() + 3).rem_euclid(7))
}

fn lead_days(
    pushes: &[Push],
    settings: &Settings,
    people: &People,
) -> BTreeMap<String, Option<i32>> {
    let mut lead_days = BTreeMap::new();
    for (household, code) in TO_BE_SEEN {
        let Some(crisis) = crisis(people, household, code) else { continue };
        if !(settings.from..=settings.to).contains(&crisis) {
            continue;
        }
        let first = pushes.iter().find(|push| push.household == household);
        lead_days.insert(household.to_owned(), first.map(|push| crisis.since(push.day)));
    }
    lead_days
}

fn crisis(people: &People, household: &str, code: &str) -> Option<Day> {
    let records = people.records.iter();
    let of_household: BTreeMap<_, &Truth> = records
        .filter(|record| record.truth.household == household)
        .map(|record| ((record.agency, record.local_id.as_str()), &record.truth))
        .collect();
    let happenings = people.happenings.iter().filter(|happening| happening.code.as_str() == code);
    happenings
        .filter(|h| of_household.contains_key(&(h.agency, h.local_id.as_str())))
        .map(|happening| happening.start)
        .max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::planted;

    fn day(text: &str) -> Day {
        text.parse().expect("a day")
    }

    fn push(household: &str, on: &str) -> Push {
        Push {
            household: household.to_owned(),
            day: day(on),
            kind: "NEW".to_owned(),
            tier: "T3".to_owned(),
            score: 70.0,
            reason: String::new(),
            recipients: Vec::new(),
        }
    }

    #[test]
    fn a_year_is_judged_by_what_was_planted() -> anyhow::Result<()> {
        let settings =
            Settings { from: day("2025-01-01"), to: day("2025-12-31"), seed: 1, people: 0 };
        let pushes = [
            push("HA", "2025-02-24"),
            push("bg-7", "2025-02-24"),
            push("HA", "2025-03-02"),
            push("HC", "2025-07-14"),
        ];
        let judged = judge(&pushes, &settings, &planted::people()?);
        assert_eq!(judged.precision, Some(0.75));
        let lead = [("HA", Some(231)), ("HB", None), ("HC", Some(70))];
        let lead = lead.map(|(household, days)| (household.to_owned(), days));
        assert_eq!(judged.lead_days, BTreeMap::from(lead));
        assert_eq!(judged.weeks.len(), 53);
        assert_eq!(judged.weeks[0].from, day("2024-12-30"));
        let busy: Vec<_> = judged.weeks.iter().filter(|week| week.pushes > 0).collect();
        assert_eq!(*busy[0], Week { from: day("2025-02-24"), pushes: 3, repeats: 1 });
        assert_eq!(busy.len(), 2);
        Ok(())
    }
}
