//! Made-up households for holding a model against its promises.
//!
//! Everything follows from a seed, so that whatever goes wrong can be looked at again. Codes that
//! one rule asks for come together, or hardly any rule would apply; some codes are withheld, and
//! some agencies missing, as in real life.

use std::fmt::Write as _;

use causeway_proto::{
    catalogue::{AgencyKind, SignalCode},
    day::Day,
    ids::EventKey,
};
use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    event::{Event, owner},
    model::Model,
};

/// The columns of a replay.
const HEADER: &str = "household,person,agency,code,start,end,event_ref,confidence\n";

/// Makes households, each another.
pub struct Households<'a> {
    model: &'a Model,
    dice: StdRng,
}

impl<'a> Households<'a> {
    /// The same seed gives the same households under the same model.
    pub fn new(model: &'a Model, seed: u64) -> Self {
        Self { model, dice: StdRng::seed_from_u64(seed) }
    }

    /// Makes another household as at a day: up to 25 events of up to three people.
    pub fn another(&mut self, as_at: Day) -> Vec<Event> {
        let all: Vec<SignalCode> = SignalCode::all().collect();
        let missing = self.dice.random_range(0..4);
        let missing: Vec<AgencyKind> = (0..missing)
            .map(|_| AgencyKind::ALL[self.dice.random_range(0..AgencyKind::ALL.len())])
            .collect();
        let withheld = self.dice.random_range(0..12);
        let withheld: Vec<SignalCode> =
            (0..withheld).map(|_| all[self.dice.random_range(0..all.len())]).collect();
        let mut codes = all;
        for _ in 0..self.dice.random_range(0..3) {
            let rule = &self.model.rules[self.dice.random_range(0..self.model.rules.len())];
            let asked =
                |code: &SignalCode| rule.when.mentions(*code, self.model.signal(*code).domain);
            let asked: Vec<SignalCode> = SignalCode::all().filter(asked).collect();
            // As many again as there are codes in all, so that about half the events are of these.
            let times = 72_usize.div_ceil(asked.len().max(1));
            (0..times).for_each(|_| codes.extend(&asked));
        }
        codes.retain(|code| {
            !withheld.contains(code) && owner(*code).is_none_or(|kind| !missing.contains(&kind))
        });
        let most_days = [60, 200, 400, 900][self.dice.random_range(0..4)];
        let count = self.dice.random_range(1..=25);
        if codes.is_empty() {
            return Vec::new();
        }
        (0..count).map(|_| self.event(&codes, as_at, most_days)).collect()
    }

    fn event(&mut self, codes: &[SignalCode], as_at: Day, most_days: i32) -> Event {
        let code = codes[self.dice.random_range(0..codes.len())];
        let start = as_at.plus(-self.dice.random_range(-5..most_days));
        let ended = self.dice.random_bool(0.4);
        let confidence = match self.dice.random_range(0..4) {
            0 => 0.6,
            1 => f64::from(self.dice.random_range(0..=100)) / 100.0,
            _ => 1.0,
        };
        // One source event is of one code; several people may carry it.
        let key = code.index() as u128 * 1000 + self.dice.random_range(0..20);
        Event {
            person: self.dice.random_range(0..3),
            code,
            start,
            end: ended.then(|| start.plus(self.dice.random_range(0..300))),
            key: EventKey::from_bytes(key.to_be_bytes()),
            confidence,
            shared: false,
            agency: owner(code).map_or("derived", AgencyKind::as_str).into(),
        }
    }

    /// Returns a number from 1 up to and with `most`.
    pub fn days(&mut self, most: i32) -> i32 {
        self.dice.random_range(1..=most)
    }
}

/// Writes a household as `causeway-coordinator score` reads it, with its header.
pub fn csv(name: &str, events: &[Event]) -> String {
    format!("{HEADER}{}", rows(name, events))
}

/// Writes a household's rows without a header.
pub fn rows(name: &str, events: &[Event]) -> String {
    let mut text = String::new();
    for event in events {
        let key = u128::from_be_bytes(*event.key.as_bytes());
        let end = event.end.map(|end| end.to_string()).unwrap_or_default();
        let Event { person, agency, code, start, confidence, .. } = event;
        let row = format!("{name},p{person},{agency},{code},{start},{end},{key},{confidence}");
        writeln!(text, "{row}").expect("text takes everything");
    }
    text
}
