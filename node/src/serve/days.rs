//! Which days a sweep may speak of.
//!
//! A coordinator that chose freely would find out by trial when a child's band changes, and so the day
//! of birth; and what policy lets be told for two years, it would hear after ten. So the day is about
//! today's, and never goes back; and a sweep whose day is no longer about today's is over.

use causeway_proto::{day::Day, refusal};
use tonic::{Code, Status};

use super::Node;

/// Clocks differ, and a day begins earlier in the east.
const DAYS_AHEAD: i32 = 1;
/// A sweep is left open for a while, or is made of exports that came late.
const DAYS_BACK: i32 = 31;

impl Node {
    /// Returns the day it is here, in UTC.
    pub(super) fn today(&self) -> Day {
        Day::of_unix_ms((self.now_ms)().cast_signed())
    }

    /// Refuses a sweep as at a day that is not about today's, or before that of the last sweep.
    pub(super) fn check_day(&self, as_at: Day, last: Option<Day>) -> Result<(), Status> {
        match self.any_day {
            true => Ok(()),
            false => check(as_at, self.today(), last),
        }
    }

    /// Returns whether a sweep as at a day has been open for too long.
    pub(super) fn is_out_of_date(&self, as_at: Day) -> bool {
        !self.any_day && self.today().since(as_at) > DAYS_BACK
    }

    /// Returns the day on which agreements have to be in force for a sweep.
    pub(super) fn day_of_agreements(&self, as_at: Day) -> Day {
        if self.any_day { as_at } else { as_at.max(self.today()) }
    }
}

fn check(as_at: Day, today: Day, last: Option<Day>) -> Result<(), Status> {
    let latest = today.plus(DAYS_AHEAD);
    // One that lies ahead of us was opened while any day would do, and binds nobody.
    let last = last.filter(|last| *last <= latest);
    let earliest = today.plus(-DAYS_BACK);
    let earliest = last.map_or(earliest, |last| last.max(earliest));
    if (earliest..=latest).contains(&as_at) {
        return Ok(());
    }
    let message = format!(
        "the node answers for {earliest} to {latest} and not for {as_at}: sweep as at today; where all \
         data are made up, its operator may set `[serve] any_day = true`"
    );
    Err(refusal::status(Code::OutOfRange, "DAY_OUT_OF_RANGE", message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_is_about_today_and_never_before_the_last_one() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let today = day("2025-02-25");
        let check = |as_at, last: Option<&str>| check(day(as_at), today, last.map(day));
        for (as_at, last) in [
            ("2025-01-25", None),
            ("2025-02-26", None),
            ("2025-02-20", Some("2025-02-20")),
            ("2025-02-25", Some("2030-01-01")),
        ] {
            assert!(check(as_at, last).is_ok(), "{as_at} after {last:?}");
        }
        for (as_at, last) in
            [("2025-01-24", None), ("2025-02-27", None), ("2025-02-19", Some("2025-02-20"))]
        {
            let refused = check(as_at, last).unwrap_err();
            assert_eq!(refusal::reason(&refused).as_deref(), Some("DAY_OUT_OF_RANGE"));
            assert!(refused.message().contains("[serve] any_day"), "{}", refused.message());
        }
    }
}
