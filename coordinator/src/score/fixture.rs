//! Shorthand for tests.

use causeway_proto::{day::Day, ids::EventKey};

use super::Event;

pub(crate) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

/// A certain event about person 1 that has not ended.
pub(crate) fn event(code: &str, start: &str, key: u128) -> Event {
    Event {
        person: 1,
        code: code.parse().unwrap(),
        start: day(start),
        end: None,
        key: EventKey::from_bytes(key.to_be_bytes()),
        confidence: 1.0,
        shared: false,
        agency: "test".into(),
    }
}

/// The events of one household of `vectors/scenarios.csv`.
pub(crate) fn scenario(name: &str) -> Vec<Event> {
    let file = include_bytes!("vectors/scenarios.csv").as_slice();
    let households = super::replay::read(file).unwrap();
    households.into_iter().find(|household| household.name == name).unwrap().events
}
