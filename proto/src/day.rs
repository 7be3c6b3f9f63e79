//! A calendar day without a time of day or zone.

use std::{fmt, str::FromStr};

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::wire::WireError;

/// A calendar day, counted from 1970-01-01, from year 1 to year 9999.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Day(i32);

/// The text or number is not a day.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a day: write it as YYYY-MM-DD")]
pub struct InvalidDay;

const EPOCH: Date = Date::constant(1970, 1, 1);

impl Day {
    /// Returns the day of a year, month and day of month, if there is one.
    pub fn new(year: i16, month: i8, day: i8) -> Option<Self> {
        Date::new(year, month, day).ok().filter(|date| date.year() >= 1).map(Self::from)
    }

    /// Returns the number of days since 1970-01-01.
    pub const fn number(self) -> i32 {
        self.0
    }

    /// Returns how many days `earlier` lies before this day; negative when it lies after.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0 - earlier.0
    }

    /// Returns the day so many days later.
    pub fn plus(self, days: i32) -> Self {
        Self(self.0.saturating_add(days).clamp(MIN, MAX))
    }

    /// Returns year, month and day of month.
    pub fn ymd(self) -> (i16, i8, i8) {
        let date = self.date();
        (date.year(), date.month(), date.day())
    }

    /// Returns the first day of its month.
    pub fn first_of_month(self) -> Self {
        self.date().first_of_month().into()
    }

    /// Returns full years from this day to `on`, as an age is counted: a birthday on 29 February
    /// falls on 1 March in other years.
    pub fn years_until(self, on: Self) -> i32 {
        let ((y0, m0, d0), (y1, m1, d1)) = (self.ymd(), on.ymd());
        i32::from(y1) - i32::from(y0) - i32::from((m1, d1) < (m0, d0))
    }

    /// Returns the day of a moment in Unix milliseconds, in UTC.
    pub fn of_unix_ms(ms: i64) -> Self {
        let days = ms.div_euclid(86_400_000).clamp(i64::from(MIN), i64::from(MAX));
        Self(i32::try_from(days).expect("clamped to a day's range"))
    }

    /// Writes the day as people do: `24 February 2025`.
    pub fn in_words(self) -> String {
        let (year, month, day) = self.ymd();
        format!("{day} {} {year}", MONTHS[usize::from(month.unsigned_abs()) - 1])
    }

    /// Writes the month as people do: `February 2025`.
    pub fn month_in_words(self) -> String {
        let (year, month, _) = self.ymd();
        format!("{} {year}", MONTHS[usize::from(month.unsigned_abs()) - 1])
    }

    /// Reads a day from a message; a refusal names `field`.
    pub fn from_wire(field: &'static str, number: i32) -> Result<Self, WireError> {
        if (MIN..=MAX).contains(&number) {
            Ok(Self(number))
        } else {
            Err(WireError::Invalid { field, rule: "a day between the years 1 and 9999" })
        }
    }

    fn date(self) -> Date {
        let span = jiff::Span::new().days(self.0);
        EPOCH.checked_add(span).expect("a day between the years 1 and 9999")
    }
}

/// 0001-01-01 and 9999-12-31.
const MIN: i32 = -719_162;
const MAX: i32 = 2_932_896;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

impl From<Date> for Day {
    fn from(date: Date) -> Self {
        Self(date.since(EPOCH).expect("dates are in range").get_days())
    }
}

impl FromStr for Day {
    type Err = InvalidDay;

    fn from_str(text: &str) -> Result<Self, InvalidDay> {
        let plain = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let date: Date = plain.then(|| text.parse().ok()).flatten().ok_or(InvalidDay)?;
        (date.year() >= 1).then(|| date.into()).ok_or(InvalidDay)
    }
}

impl TryFrom<String> for Day {
    type Error = InvalidDay;

    fn try_from(text: String) -> Result<Self, InvalidDay> {
        text.parse()
    }
}

impl From<Day> for String {
    fn from(day: Day) -> Self {
        day.to_string()
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date())
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Day({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    #[test]
    fn days_survive_text_and_number() {
        for text in ["0001-01-01", "1969-12-31", "1970-01-01", "2024-02-29", "9999-12-31"] {
            assert_eq!(day(text).to_string(), text);
            assert_eq!(Day::from_wire("d", day(text).number()), Ok(day(text)));
        }
        for bad in ["", "2025-2-1", "2025-02-30", "20250201", "2025-02-01T00:00", "0000-01-01"] {
            assert_eq!(bad.parse::<Day>(), Err(InvalidDay), "{bad}");
        }
        assert!(Day::from_wire("d", MAX + 1).is_err());
    }

    #[test]
    fn ages_turn_on_the_birthday() {
        assert_eq!(day("2007-05-06").years_until(day("2025-05-05")), 17);
        assert_eq!(day("2007-05-06").years_until(day("2025-05-06")), 18);
        assert_eq!(day("2004-02-29").years_until(day("2022-02-28")), 17);
    }

    #[test]
    fn people_read_months_in_words() {
        assert_eq!(day("2025-02-24").in_words(), "24 February 2025");
        assert_eq!(Day::of_unix_ms(-1), day("1969-12-31"));
    }
}
