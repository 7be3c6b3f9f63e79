//! What is known of a household, and which of it counts as at a day.

use std::{cmp::Ordering, sync::Arc};

use causeway_proto::{
    catalogue::{AgencyKind, SignalCode, SignalSpan},
    day::Day,
    ids::EventKey,
};

use super::model::Model;

/// One signal about one person, as it reached the coordinator.
///
/// Of several with one key, a household has one: the most severe code, the one still open or ended
/// last, the surest, the earliest, and then the first in the order of the catalogue. Context
/// therefore never hides harm.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Whom it is about: the caller's own numbering inside the household.
    pub person: u32,
    /// What.
    pub code: SignalCode,
    /// When it happened or began.
    pub start: Day,
    /// When it ended; `None` while it lasts, and for what has no end.
    pub end: Option<Day>,
    /// The source event behind it: counted once in a household, whoever carries it.
    pub key: EventKey,
    /// From 0 to 1: how sure the link is, times how sure the source is of its own record.
    pub confidence: f64,
    /// Whether other agencies may carry the same source event under this key.
    pub shared: bool,
    /// The agency that reported it, for naming it. Points go by the owner of the code.
    pub agency: Arc<str>,
}

impl Event {
    /// Returns whether it still lasts at the end of a day.
    pub(super) fn is_open(&self, as_at: Day) -> bool {
        self.end.is_none_or(|end| end > as_at)
    }

    /// Returns how many days ago it happened or began.
    pub(super) fn age(&self, as_at: Day) -> i32 {
        as_at.since(self.start)
    }

    /// Returns how many days it has been fading: none while a state lasts.
    pub(super) fn faded_days(&self, as_at: Day) -> i32 {
        match (self.code.spec().span, self.end) {
            (SignalSpan::State, Some(end)) if end <= as_at => as_at.since(end),
            (SignalSpan::State, _) => 0,
            (SignalSpan::Event, _) => self.age(as_at),
        }
    }
}

/// Returns who owns a code; `None` for the bands that any node derives.
pub(super) fn owner(code: SignalCode) -> Option<AgencyKind> {
    code.spec().owner
}

/// A household's events as at one day: begun by then, each source event once, in one order.
///
/// The order depends on what the events say and never on the order in which they came, so sums
/// over it have the same last bit on every machine.
pub(super) struct Pool<'a> {
    pub(super) as_at: Day,
    /// By code, then by start.
    events: Vec<&'a Event>,
}

impl<'a> Pool<'a> {
    /// Takes in events. Of several with one key, the one that says most stays.
    pub(super) fn new(
        model: &Model,
        events: impl IntoIterator<Item = &'a Event>,
        as_at: Day,
    ) -> Self {
        let mut events: Vec<_> = events.into_iter().filter(|e| e.start <= as_at).collect();
        events.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| says_more(model, a, b)));
        events.dedup_by_key(|event| event.key);
        events.sort_by(|a, b| in_order(a, b));
        Self { as_at, events }
    }

    /// Returns all events.
    pub(super) fn events(&self) -> &[&'a Event] {
        &self.events
    }

    /// Returns the events of one code, by start.
    pub(super) fn of(&self, code: SignalCode) -> &[&'a Event] {
        let from = self.events.partition_point(|event| event.code < code);
        let rest = &self.events[from..];
        &rest[..rest.partition_point(|event| event.code == code)]
    }

    /// Returns the codes that it has events of, in the order of the catalogue.
    pub(super) fn codes(&self) -> impl Iterator<Item = SignalCode> {
        self.events.chunk_by(|a, b| a.code == b.code).map(|of_one| of_one[0].code)
    }

    /// Returns whether something of a code is open.
    pub(super) fn is_open(&self, code: SignalCode) -> bool {
        self.of(code).iter().any(|event| event.is_open(self.as_at))
    }

    /// Returns how many events of a code began in the last so many days.
    pub(super) fn count(&self, code: SignalCode, within_days: i32) -> usize {
        self.of(code).iter().filter(|event| event.age(self.as_at) <= within_days).count()
    }

    /// Returns whether a code began in the last so many days, or is a state that still lasts.
    pub(super) fn is_recent(&self, code: SignalCode, within_days: i32) -> bool {
        self.count(code, within_days) > 0
            || (code.spec().span == SignalSpan::State && self.is_open(code))
    }
}

fn says_more(model: &Model, a: &Event, b: &Event) -> Ordering {
    (weight_of(model, b).cmp(&weight_of(model, a)))
        .then_with(|| b.confidence.total_cmp(&a.confidence))
        .then_with(|| a.start.cmp(&b.start))
        .then_with(|| a.code.cmp(&b.code))
        .then_with(|| (a.person, &a.agency).cmp(&(b.person, &b.agency)))
}

/// What decides first which of several events with one key stays: how severe it is, and how long it
/// lasts.
pub(super) fn weight_of(model: &Model, event: &Event) -> (u8, bool, Option<Day>) {
    (model.signal(event.code).severity, event.end.is_none(), event.end)
}

/// Two events that are equal in this order are worth the same.
fn in_order(a: &Event, b: &Event) -> Ordering {
    (a.code, a.start, a.end)
        .cmp(&(b.code, b.start, b.end))
        .then_with(|| a.confidence.total_cmp(&b.confidence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::{day, event};

    #[test]
    fn one_source_event_that_two_people_carry_counts_once() {
        let model = Model::builtin();
        let sure = event("POL_ASB_VICTIM", "2025-05-13", 7);
        let attached = Event { person: 2, confidence: 0.6, ..sure.clone() };
        let other = event("POL_ASB_VICTIM", "2025-05-13", 8);
        let events = [attached, sure.clone(), other];

        let pool = Pool::new(model, &events, day("2025-06-01"));
        assert_eq!(pool.events().len(), 2);
        assert!(pool.events().contains(&&sure));
        assert_eq!(pool.count(sure.code, 19), 2);
        assert_eq!(pool.count(sure.code, 18), 0);
    }

    #[test]
    fn context_never_hides_harm_that_shares_its_source_event() {
        let model = Model::builtin();
        let harm = Event { confidence: 0.2, ..event("HOU_NO_ACCESS", "2025-05-13", 7) };
        let context = event("ASC_CARE_NEED", "2020-01-01", 7);

        let pool = Pool::new(model, [&context, &harm], day("2025-06-01"));
        assert_eq!(pool.events(), [&harm]);
    }

    #[test]
    fn what_has_not_begun_is_not_there_and_what_ends_today_is_closed() {
        let model = Model::builtin();
        let mut plan = event("CSC_CIN", "2025-06-02", 1);
        plan.end = Some(day("2025-07-01"));
        assert!(Pool::new(model, [&plan], day("2025-06-01")).events().is_empty());
        assert!(Pool::new(model, [&plan], day("2025-06-30")).is_open(plan.code));
        assert!(!Pool::new(model, [&plan], day("2025-07-01")).is_open(plan.code));
        assert_eq!(plan.faded_days(day("2025-07-01")), 0);
        assert_eq!(plan.faded_days(day("2025-07-11")), 10);
    }
}
