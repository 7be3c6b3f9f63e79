//! A shadow sweep: the households of a sweep under a model that is not in use yet, beside the one that
//! is. Tells nobody, and leaves nothing behind but counts.

use std::{borrow::Cow, cmp::Reverse, collections::BTreeSet};

use causeway_proto::{catalogue::SignalCode, day::Day};

use super::homes::House;
use crate::score::{
    Event, Model,
    compare::{Comparison, compare},
};

/// Scores every house with both models. Households go by a number of this report alone.
pub fn beside(
    [old, new]: [&Model; 2],
    houses: &[House],
    as_at: Day,
    is_told: impl Fn(SignalCode) -> bool,
) -> Comparison {
    let then: Vec<Cow<'_, [Event]>> = houses.iter().map(|house| under([old, new], house)).collect();
    let households = houses
        .iter()
        .zip(&then)
        .map(|(house, then)| (String::new(), [house.events.as_slice(), then.as_ref()]));
    let mut comparison = compare([old, new], households, as_at, is_told);
    // By what it would change most, so that a number says nothing of where a record stood.
    comparison.appear.sort_by_key(|change| Reverse(change.new.score));
    comparison.vanish.sort_by_key(|change| Reverse(change.old.score));
    let changes = comparison.appear.iter_mut().chain(&mut comparison.vanish);
    for (number, change) in (1..).zip(changes) {
        change.household = format!("household {number}");
    }
    comparison
}

/// A household's events as they would be under the new model: a record that attaches to the household
/// alone counts for what that model says.
fn under<'a>([old, new]: [&Model; 2], house: &'a House) -> Cow<'a, [Event]> {
    let [now, then] = [old, new].map(|model| model.surfacing.household_only_confidence);
    if now == then || now <= 0.0 {
        return Cow::Borrowed(&house.events);
    }
    let members = house.household.members.iter();
    let attached: BTreeSet<u32> = members.filter(|m| m.attached).map(|m| m.person).collect();
    let mut events = house.events.clone();
    for event in events.iter_mut().filter(|event| attached.contains(&event.person)) {
        event.confidence *= then / now;
    }
    Cow::Owned(events)
}
