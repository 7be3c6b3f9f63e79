//! What a model has promised about every household, tried on made-up ones.
//!
//! `model::check` looks at the file; this looks at what comes of it. A breach comes with the
//! household that shows it, to be replayed.

use std::collections::BTreeSet;

use causeway_proto::{catalogue::SignalClass, day::Day};
use serde::Serialize;

use super::{
    Domain, Event, Model, Scored, Tenths, alone,
    model::Condition,
    random::{Households, csv},
    replay, score,
};

/// The day that everything is tried on.
const AS_AT: (i16, i8, i8) = (2026, 3, 1);
/// How far time is let pass.
const LATER: i32 = 120;

/// A promise that did not hold for a household.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Breach {
    /// Its number, 1 to 7.
    pub promise: u8,
    /// What should have held.
    pub means: &'static str,
    /// Which household of the seed's.
    pub household: usize,
    /// The day on which it shows.
    pub as_at: Day,
    /// The household, for `causeway-coordinator score`.
    pub csv: String,
}

/// The promises, in their order.
pub const PROMISES: [&str; 7] = [
    "with nothing new a score does not rise, except by a rule that time triggers",
    "context alone scores nothing, and more of it changes a score only through a named rule",
    "joined records never score less than one agency's alone",
    "lines, rules and breadth add up to the raw points",
    "the order of events and the numbering of people change nothing",
    "money, home and context alone stay below T2",
    "a replay from a file gives the same score",
];

/// Holds a model against its promises for so many households. Calls `tell` with how many are done.
pub fn keep(
    model: &Model,
    households: usize,
    seed: u64,
    mut tell: impl FnMut(usize),
) -> Result<(), Box<Breach>> {
    let as_at = Day::new(AS_AT.0, AS_AT.1, AS_AT.2).expect("it is a day");
    let mut made = Households::new(model, seed);
    for household in 0..households {
        let events = made.another(as_at);
        let more = made.another(as_at);
        let later = as_at.plus(made.days(LATER));
        if let Some((promise, events)) = broken(model, &events, &more, as_at, later) {
            return Err(Box::new(Breach {
                promise,
                means: PROMISES[usize::from(promise) - 1],
                household,
                as_at: if promise == 1 { later } else { as_at },
                csv: csv(&format!("H{household}"), &events),
            }));
        }
        tell(household + 1);
    }
    Ok(())
}

/// Returns the first promise that does not hold, and the events that show it.
fn broken(
    model: &Model,
    events: &[Event],
    more: &[Event],
    as_at: Day,
    later: Day,
) -> Option<(u8, Vec<Event>)> {
    let at = |events: &[Event], day: Day| score(model, events, day, |_| true);
    let now = at(events, as_at);
    let of_class = |events: &[Event], wanted: &dyn Fn(SignalClass) -> bool| -> Vec<Event> {
        events.iter().filter(|event| wanted(event.code.spec().class)).cloned().collect()
    };

    let begun: Vec<Event> = events.iter().filter(|event| event.start <= as_at).cloned().collect();
    if rises(model, &at(&begun, as_at), &at(&begun, later)) {
        return Some((1, begun));
    }
    let context = of_class(events, &|class| class == SignalClass::Context);
    if at(&context, as_at).raw != Tenths::default() {
        return Some((2, context));
    }
    let mut with = events.to_vec();
    with.extend(of_class(more, &|class| class == SignalClass::Context));
    let after = at(&with, as_at);
    if after.score != now.score && fired(&after) == fired(&now) {
        return Some((2, with));
    }
    let harm = of_class(events, &|class| class != SignalClass::Protective);
    let joined = at(&harm, as_at).score;
    if alone(model, &harm, as_at, |_| true).values().any(|alone| *alone > joined) {
        return Some((3, harm));
    }
    let lines: i32 = now.lines.iter().map(|line| line.points.count()).sum();
    let added = Tenths::whole(now.rule_points + now.breadth).count();
    if Tenths::of(lines + added) != now.raw {
        return Some((4, events.to_vec()));
    }
    let renumbered = |event: &Event| Event { person: 7 - event.person, ..event.clone() };
    let backwards: Vec<Event> = events.iter().rev().map(renumbered).collect();
    if at(&backwards, as_at).exact_score.to_bits() != now.exact_score.to_bits() {
        return Some((5, events.to_vec()));
    }
    let is_poor = |event: &&Event| {
        let is_context = event.code.spec().class == SignalClass::Context;
        is_context || matches!(model.signal(event.code).domain, Domain::Hard | Domain::Hous)
    };
    let poor: Vec<Event> = events.iter().chain(more).filter(is_poor).cloned().collect();
    if at(&poor, as_at).score >= Tenths::whole(model.tiers.t2) {
        return Some((6, poor));
    }
    let replayed = replay::replay(model, csv("H", events).as_bytes(), as_at).ok();
    let replayed = replayed.map(|report| report.households.first().map(|house| house.score));
    if replayed.map(Option::unwrap_or_default) != Some(now.score) {
        return Some((7, events.to_vec()));
    }
    None
}

/// Returns whether time alone raised a score in a way that was not promised. Beside the rules that
/// time triggers there is one more way, of one agency's points each: while one agency's harm fades,
/// another's line of the same kind gets a larger share and may begin to count for breadth.
fn rises(model: &Model, now: &Scored, later: &Scored) -> bool {
    let (before, after) = (fired(now), fired(later));
    let mut new = after.difference(&before).peekable();
    let may_rise = new.peek().is_some() || later.agencies.len() > now.agencies.len();
    let by_time = |id: &&str| {
        let rule = model.rule(id);
        rule.is_some_and(|rule| {
            matches!(rule.when, Condition::Doubled(_) | Condition::Unfollowed(_))
        })
    };
    !new.all(by_time) || (later.score > now.score && !may_rise)
}

fn fired(scored: &Scored) -> BTreeSet<&str> {
    scored.rules.iter().map(|rule| rule.id.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUILTIN: &str = include_str!("../../model/causeway-1.toml");

    #[test]
    fn the_built_in_model_keeps_its_promises() {
        assert_eq!(keep(Model::builtin(), 500, 1, |_| ()), Ok(()));
    }

    #[test]
    fn every_rule_is_met_by_some_household() {
        let (model, as_at) = (Model::builtin(), "2026-03-01".parse().unwrap());
        let mut made = Households::new(model, 1);
        let met: BTreeSet<String> = (0..1500)
            .flat_map(|_| score(model, &made.another(as_at), as_at, |_| true).rules)
            .map(|rule| rule.id)
            .collect();
        assert_eq!(met.len(), model.rules.len(), "{met:?}");
    }

    #[test]
    fn a_rule_that_grows_with_time_is_found_with_the_household_that_shows_it() {
        // A condition of two parts, one of which waits for time to pass, is no rule that says so.
        let from = "when.unfollowed = { of = \"ASC_SUICIDAL_DISCLOSURE\", by = \"ASC_FOLLOWED_UP\", after_days = 14, within_days = 180, needs_fresh = true }";
        assert!(BUILTIN.contains(from));
        let to = format!("when.all = [{{ {} }}]", from.trim_start_matches("when."));
        let model = Model::parse(&BUILTIN.replacen(from, &to, 1)).unwrap();
        let breach = keep(&model, 10_000, 1, |_| ()).unwrap_err();
        assert_eq!(breach.promise, 1);
        let replayed = replay::replay(&model, breach.csv.as_bytes(), breach.as_at).unwrap();
        assert!(!replayed.households.is_empty());
        // The same seed finds the same household.
        assert_eq!(keep(&model, 10_000, 1, |_| ()), Err(breach));
    }
}
