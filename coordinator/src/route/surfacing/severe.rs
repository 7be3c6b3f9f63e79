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
}

impl Severe {
    pub(super) fn of(model: &Model, events: &[Event], as_at: Day) -> Self {
        let mut all: BTreeMap<AgencyKind, (BTreeSet<Day>, BTreeSet<EventKey>)> = BTreeMap::new();
        for event in events.iter().filter(|event| event.start <= as_at) {
            let severe = model.signal(event.code).severity >= model.surfacing.new_severity;
            let recent = as_at.since(event.start) <= model.scale.window_days;
            if let Some(owner) = event.code.spec().owner.filter(|_| severe && recent) {
                let (days, keys) = all.entry(owner).or_default();
                days.insert(event.start);
                keys.insert(event.key);
            }
        }
        let things = |(days, keys): (BTreeSet<Day>, BTreeSet<EventKey>)| {
            let latest = *days.last()?;
            Some(SevereThings { days: days.len(), latest, events: keys.len() })
        };
        Self(all.into_iter().filter_map(|(kind, all)| Some((kind, things(all)?))).collect())
    }

    /// Returns whether there is something severe that was not there before.
    pub(super) fn has_more_than(&self, told: &Told) -> bool {
        self.0.iter().any(|(kind, now)| {
            let Some(known) = told.severe.0.get(kind) else { return true };
            // What came in today from a source that was told of today is the same change.
            let same_day = known.latest == told.day && now.latest == told.day;
            // A month that was under way when it was told of has only got its middle since.
            let same_month = known.events == now.events
                && month_under_way(now.latest, told.day) != now.latest
                && month_under_way(now.latest, told.day) == known.latest;
            !same_day && !same_month && (now.days > known.days || now.latest > told.day)
        })
    }
}
