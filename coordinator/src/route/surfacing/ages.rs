//! What grows too old to be told while an alert rests on it.

use std::collections::BTreeMap;

use causeway_proto::{catalogue::SignalCode, day::Day};
use serde::{Deserialize, Serialize};

/// By code: up to which day each event is told for certain, of those that grow old. After it, an agency
/// is silent because of its policy, and nothing was withdrawn.
///
/// Days are the first of their month: nothing here says more of an event than an alert does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ages(BTreeMap<SignalCode, Vec<Day>>);

impl FromIterator<(SignalCode, Day)> for Ages {
    /// Takes in until when each event is told.
    fn from_iter<T: IntoIterator<Item = (SignalCode, Day)>>(events: T) -> Self {
        let mut ages = Self::default();
        for (code, told_until) in events {
            ages.0.entry(code).or_default().push(told_until.first_of_month());
        }
        ages.0.values_mut().for_each(|days| days.sort_unstable());
        ages
    }
}

impl Ages {
    /// Returns the codes of events that grow old.
    pub(super) fn codes(&self) -> impl Iterator<Item = SignalCode> {
        self.0.keys().copied()
    }

    /// Returns what is known of all that was in either: a state that was open may have ended since, and
    /// what has grown old is told no more.
    #[must_use]
    pub fn and(&self, later: &Self) -> Self {
        let mut both = self.clone();
        for (code, days) in &later.0 {
            let known = both.0.entry(*code).or_default();
            for of_day in days.chunk_by(|x, y| x == y) {
                let count = known.iter().filter(|day| **day == of_day[0]).count();
                known.extend(&of_day[count.min(of_day.len())..]);
            }
            known.sort_unstable();
        }
        both
    }

    /// Returns what is known when all of it has been looked at again: until when each is told that is there,
    /// and what may have grown old. Who should be told of still and is not there was corrected or withdrawn.
    #[must_use]
    pub fn seen(&self, now: &Self, today: Day) -> Self {
        let mut known = self.clone();
        known.0.values_mut().for_each(|days| days.retain(|day| *day < today));
        known.and(now)
    }

    /// Returns what is not among those that are told still.
    #[must_use]
    pub fn without(mut self, still: &Self) -> Self {
        for (code, days) in &still.0 {
            let known = self.0.entry(*code).or_default();
            for day in days {
                if let Some(at) = known.iter().position(|known| known == day) {
                    known.remove(at);
                }
            }
        }
        self
    }

    /// Returns how many events of a code may have grown too old by a day.
    pub(super) fn grown_old(&self, code: SignalCode, today: Day) -> usize {
        self.0.get(&code).map_or(0, |days| days.iter().filter(|day| **day < today).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::day;

    fn ages(days: &[&str]) -> Ages {
        let code: SignalCode = "POL_ASB_VICTIM".parse().unwrap();
        days.iter().map(|told_until| (code, day(told_until))).collect()
    }

    #[test]
    fn what_is_known_of_events_adds_up_and_each_is_one_event() {
        let (first, later) =
            (ages(&["2026-02-19", "2026-02-20"]), ages(&["2026-02-20", "2026-05-01"]));
        assert_eq!(first.and(&later), ages(&["2026-02-01", "2026-02-01", "2026-05-01"]));
        assert_eq!(first.and(&first), first);
        assert_eq!(first.and(&later).without(&first), ages(&["2026-05-01"]));
    }

    /// An event that was corrected is still one: its earlier day excuses nobody else's absence later.
    #[test]
    fn an_event_that_is_told_for_longer_is_not_known_by_its_earlier_day_any_more() {
        let (first, later) =
            (ages(&["2026-02-19", "2026-05-01"]), ages(&["2026-05-01", "2026-07-01"]));
        assert_eq!(first.seen(&later, day("2026-01-20")), later);
        // Which of the two it is that is not there, nobody can say any more.
        let all = ages(&["2026-02-19", "2026-05-01", "2026-07-01"]);
        assert_eq!(first.seen(&later, day("2026-02-20")), all);
        assert_eq!(first.seen(&first, day("2026-02-10")), first);
    }

    #[test]
    fn an_event_may_be_gone_from_its_last_month_on() {
        let code = "POL_ASB_VICTIM".parse().unwrap();
        let old = |today: &str| ages(&["2026-02-19", "2026-05-01"]).grown_old(code, day(today));
        assert_eq!(["2026-02-01", "2026-02-02", "2026-05-02"].map(old), [0, 1, 2]);
    }
}
