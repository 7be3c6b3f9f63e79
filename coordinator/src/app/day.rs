//! Which days a sweep may speak of.

use causeway_proto::day::Day;

/// Days after today that may be today somewhere else.
const ELSEWHERE: i32 = 1;

/// A sweep cannot speak of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DayError {
    /// Everything would have grown old by then: open alerts would be closed, and be new again later.
    #[error(
        "a sweep cannot speak of {0}, which is still to come: name a day up to today, {1}, or leave \
         --as-at out"
    )]
    ToCome(Day, Day),
    /// Nobody's records reach back so far: it is a slip of the keys.
    #[error("a sweep cannot speak of {0}, before 2000-01-01: look whether the year is right")]
    LongAgo(Day),
}

/// Returns the day that a sweep speaks of: the one that was named, or today.
///
/// # Errors
/// Fails where the named day lies after today, or before the year 2000.
pub fn sweep_day(named: Option<Day>, today: Day) -> Result<Day, DayError> {
    match named {
        Some(day) if day.since(today) > ELSEWHERE => Err(DayError::ToCome(day, today)),
        Some(day) if day.ymd().0 < 2000 => Err(DayError::LongAgo(day)),
        named => Ok(named.unwrap_or(today)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_speaks_of_no_day_that_is_to_come_or_long_ago() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let today = day("2025-02-28");
        let of = |text: &str| sweep_day(Some(day(text)), today);
        assert_eq!(sweep_day(None, today), Ok(today));
        for fit in ["2000-01-01", "2025-02-25", "2025-02-28", "2025-03-01"] {
            assert_eq!(of(fit), Ok(day(fit)));
        }
        assert_eq!(of("2025-03-02"), Err(DayError::ToCome(day("2025-03-02"), today)));
        assert_eq!(of("9999-12-31"), Err(DayError::ToCome(day("9999-12-31"), today)));
        assert_eq!(of("1999-12-31"), Err(DayError::LongAgo(day("1999-12-31"))));
    }
}
