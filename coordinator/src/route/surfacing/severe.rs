//! Severe things that a household's events hold, by who reports them.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::{catalogue::AgencyKind, day::Day, ids::EventKey};
use serde::{Deserialize, Serialize};

use super::{Told, month_under_way};
use crate::score::{Event, Model};

/// By kind of agency: what severe things there are. What one source reports of one day is one change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Severe(pub BTreeMap<AgencyKind, SevereThings>);

/// What severe things one kind of agency reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SevereThings {
    /// On how many days one began.
    pub days: usize,
    /// The latest of those days.
    pub latest: Day,
    /// How many events there are.
    pub events: usize,
    /// How many of them began on the latest day; `None` in what an older build remembers.
    #[serde(default)]
    pub on_latest: Option<usize>,
}

impl SevereThings {
    /// Returns whether the latest day stands for its whole month, where only the month is told, and more
    /// came in it than was known. Several events of a month are told as one day, so days say nothing.
    fn has_more_of_a_month_than(&self, known: &Self) -> bool {
        let month = self.latest.first_of_month();
        let stands_for_it = self.latest == month || self.latest == month.plus(14);
        let more = match (self.on_latest, known.on_latest) {
            (Some(now), Some(known)) => now > known,
            _ => self.events > known.events,
        };
        let known = known.latest.first_of_month();
        stands_for_it && (known < month || known == month && more)
    }
}

impl Severe {
    pub(super) fn of(model: &Model, events: &[Event], as_at: Day) -> Self {
        let mut all: BTreeMap<AgencyKind, BTreeSet<(Day, EventKey)>> = BTreeMap::new();
        for event in events.iter().filter(|event| event.start <= as_at) {
            let severe = model.signal(event.code).severity >= model.surfacing.new_severity;
            let recent = as_at.since(event.start) <= model.scale.window_days;
            if let Some(owner) = event.code.spec().owner.filter(|_| severe && recent) {
                all.entry(owner).or_default().insert((event.start, event.key));
            }
        }
        let things = |all: BTreeSet<(Day, EventKey)>| {
            let (latest, _) = *all.last()?;
            let days = all.iter().map(|(day, _)| day).collect::<BTreeSet<_>>().len();
            let events = all.iter().map(|(_, key)| key).collect::<BTreeSet<_>>().len();
            let on_latest = Some(all.iter().filter(|(day, _)| *day == latest).count());
            Some(SevereThings { days, latest, events, on_latest })
        };
        Self(all.into_iter().filter_map(|(kind, all)| Some((kind, things(all)?))).collect())
    }

    /// Returns whether there is something severe, as at a day, that was not there when it was told of.
    pub(super) fn has_more_than(&self, told: &Told, as_at: Day) -> bool {
        self.0.iter().any(|(kind, now)| {
            let Some(known) = told.severe.0.get(kind) else { return true };
            // What came in today from a source that was told of today is the same change.
            let same_day = known.latest == told.day && now.latest == told.day;
            // A month that was under way when it was told of has only got its middle since.
            let same_month = known.events == now.events
                && month_under_way(now.latest, told.day) != now.latest
                && month_under_way(now.latest, told.day) == known.latest;
            let by_day = !same_day && (now.days > known.days || now.latest > told.day);
            // A day that stands for a month may well be the one on which it was told of.
            let by_month = as_at > told.day && now.has_more_of_a_month_than(known);
            !same_month && (by_day || by_month)
        })
    }
}
