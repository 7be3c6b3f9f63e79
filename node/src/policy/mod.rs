//! The agency's policy file: what may be said of whom, for what purpose. Nothing is said by default.
//!
//! A rule a person in charge can read, checked when it is loaded. A misspelt key is an error: a
//! rule that is silently ignored is a leak or a death. What this version does not follow yet, it
//! refuses: a section that it knows and does not follow, too, and a rule that needs a second approver releases nothing.

pub mod concerns;
pub mod current;
pub mod file;

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::{
    catalogue::{AgencyKind, Purpose, SignalCode, SignalSpan},
    day::Day,
    signal::Disclosure,
};

pub use self::file::PolicyError;
use crate::store::events::PersonEvent;

/// What the agency allows, checked. [`Policy::in_force`] says what that is on a day.
#[derive(Clone, Debug)]
pub struct Policy {
    purposes: BTreeMap<Purpose, Option<Day>>,
    /// What nobody has filled in yet.
    unfilled: Vec<String>,
    rules: Vec<Option<Rule>>,
    /// Who is in a sweep at all.
    pub scope: Scope,
    /// Whether the contact desk may be told to other agencies.
    pub disclose_contact: bool,
    /// Whether the coordinator may be told how many people of each kind were linked.
    pub subgroup_counts: bool,
    /// Whether the agency has stopped its node: nothing is told to anybody elsewhere.
    pub killed: bool,
    /// Exports older than this are stale, whatever their feed says. Hours.
    pub stale_after_h: Option<u64>,
}

/// How one code is released.
#[derive(Clone, Debug)]
struct Rule {
    purposes: BTreeSet<Purpose>,
    most_days: i32,
    detail: Detail,
    disclosure: Disclosure,
}

/// How exactly dates are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// The day.
    Day,
    /// The month only: its 15th stands for it, and its 1st until then. Any other day that stood for a month
    /// under way would look like something new every morning.
    Month,
}

/// Who is in a sweep at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// People of whom something may be said.
    WithSignals,
    /// Everybody. For measuring linkage on data without signals.
    Everybody,
}

/// A signal that policy lets go, as it may be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Released {
    /// Since when, as exactly as policy allows.
    pub start: Day,
    /// Until when.
    pub end: Option<Day>,
    /// How far an alert's recipient may be told.
    pub disclosure: Disclosure,
    /// When it came in, where that was later than it happened and days are told.
    pub arrived: Option<Day>,
    /// The last day on which it may be told for certain; `None` while a state is open. Says no more of
    /// the day than the rest does.
    pub until: Option<Day>,
}

impl Policy {
    /// Returns those purposes that the agency answers for.
    pub fn allowed(&self, asked: &[Purpose]) -> Vec<Purpose> {
        asked.iter().filter(|purpose| self.purposes.contains_key(purpose)).copied().collect()
    }

    /// Returns what is left of it on a day: nothing that rests on an agreement that has ended.
    pub fn in_force(&self, on: Day) -> Self {
        let mut left = self.clone();
        left.purposes.retain(|_, expires| expires.is_none_or(|last| on <= last));
        for rule in left.rules.iter_mut().flatten() {
            rule.purposes.retain(|purpose| left.purposes.contains_key(purpose));
        }
        left
    }

    /// Returns what may be told of an event for these purposes as at a day; `None` for nothing.
    pub fn release(&self, event: &PersonEvent, asked: &[Purpose], as_at: Day) -> Option<Released> {
        let rule = self.rule(event.code, asked)?;
        // Nobody is told of what has not happened, what is over and old, or what a dead person's
        // records say came after.
        if event.start > as_at || event.deceased.is_some_and(|died| event.start > died) {
            return None;
        }
        // A state ends with whoever was in it.
        let is_state = event.code.spec().span == SignalSpan::State;
        let died = event.deceased.filter(|_| is_state);
        let end = event.end.into_iter().chain(died).min().filter(|end| *end <= as_at);
        let last = end.unwrap_or(event.start);
        // Where months are told, what is told must not show in its last days which day of the month it was.
        let oldest = match rule.detail {
            Detail::Day => last,
            Detail::Month => last.first_of_month(),
        };
        let open = end.is_none() && is_state;
        if !open && as_at.since(oldest) > rule.most_days {
            return None;
        }
        // Suspects carry what is said of suspects, and nobody else does.
        if event.suspect != event.code.spec().of_suspect {
            return None;
        }
        let told = |day: Day| match rule.detail {
            Detail::Day => day,
            Detail::Month => {
                let first = day.first_of_month();
                Some(first.plus(14)).filter(|middle| *middle <= as_at).unwrap_or(first)
            }
        };
        let late = |arrived: &Day| *arrived > event.start && *arrived <= as_at;
        Some(Released {
            start: told(event.start),
            end: end.map(told),
            disclosure: rule.disclosure,
            arrived: event.arrived.filter(|day| rule.detail == Detail::Day && late(day)),
            until: (!open).then(|| oldest.plus(rule.most_days)),
        })
    }

    /// Returns whether an age band may be told for these purposes.
    pub fn releases(&self, code: SignalCode, asked: &[Purpose]) -> bool {
        self.rule(code, asked).is_some()
    }

    /// Returns how many codes are released for some purpose.
    pub fn released_codes(&self) -> usize {
        self.rules.iter().flatten().count()
    }

    /// Returns the agency's own codes that it does not release for these purposes.
    pub fn withheld(&self, kind: AgencyKind, asked: &[Purpose]) -> Vec<SignalCode> {
        SignalCode::all()
            .filter(|code| code.spec().owner == Some(kind) && self.rule(*code, asked).is_none())
            .collect()
    }

    fn rule(&self, code: SignalCode, asked: &[Purpose]) -> Option<&Rule> {
        let rule = self.rules[code.index()].as_ref()?;
        asked.iter().any(|purpose| rule.purposes.contains(purpose)).then_some(rule)
    }
}

/// Returns the age band of a living child: no family is alerted to one that it has lost.
pub fn living_child_band(born: Day, died: Option<Day>, as_at: Day) -> Option<SignalCode> {
    child_band(born, as_at).filter(|_| died.is_none_or(|died| as_at < died))
}

/// Returns the age band of somebody born on a day, if it is a child's.
pub fn child_band(born: Day, as_at: Day) -> Option<SignalCode> {
    match born.years_until(as_at) {
        ..0 => None,
        0 => Some(SignalCode::CHILD_U1),
        1..=4 => Some(SignalCode::CHILD_U5),
        5..=17 => Some(SignalCode::CHILD_U18),
        _ => None,
    }
}
