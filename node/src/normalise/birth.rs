//! Reads dates of birth: which are real, which stand for "not known", which are partial.

use std::fmt;

use causeway_proto::day::Day;

use super::Rules;
use super::quality::{Note, Notes};
use crate::source::dates::{DateRead, Written};

/// Nobody has been older, so the year is mistyped or made up.
const OLDEST_YEARS: i32 = 120;

/// A date this far ahead may be when a child is due; further ahead it is a mistake.
const EXPECTED_DAYS: i32 = 300;

/// Dates that systems write where none is known.
const PLACEHOLDERS: [(i16, i8, i8); 9] = [
    (1900, 1, 1),
    (1901, 1, 1),
    (1800, 1, 1),
    (1753, 1, 1),
    (1899, 12, 30),
    (1899, 12, 31),
    (1111, 11, 11),
    (9999, 12, 31),
    (1, 1, 1),
];

/// When somebody was born, as far as a record tells.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Birth {
    /// The date as the feed's formats read it.
    pub date: BirthDate,
    /// The date with day and month exchanged, where that is a real and different day. Also set
    /// where *only* the exchanged reading is real: the date is then known by its year alone.
    pub swapped: Option<Day>,
    /// Year, month and day as eight digits as they were typed, also where there is no such day, for
    /// comparing a mistyped date digit by digit. `None` for partial and missing dates.
    pub typed: Option<[u8; 8]>,
}

/// How much of a date of birth is known.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub enum BirthDate {
    /// All of it.
    Full(Day),
    /// Year and month.
    YearMonth(i16, i8),
    /// The year.
    Year(i16),
    /// Nothing.
    #[default]
    Missing,
}

impl Birth {
    /// Returns the day, where all of the date is known.
    pub fn day(&self) -> Option<Day> {
        match self.date {
            BirthDate::Full(day) => Some(day),
            _ => None,
        }
    }

    /// Returns the year, where at least that is known.
    pub fn year(&self) -> Option<i16> {
        match self.date {
            BirthDate::Full(day) => Some(day.ymd().0),
            BirthDate::YearMonth(year, _) | BirthDate::Year(year) => Some(year),
            BirthDate::Missing => None,
        }
    }

    /// Returns the month of the year, where it is known.
    pub fn month(&self) -> Option<i8> {
        match self.date {
            BirthDate::Full(day) => Some(day.ymd().1),
            BirthDate::YearMonth(_, month) => Some(month),
            BirthDate::Year(_) | BirthDate::Missing => None,
        }
    }

    /// Returns the same birth known by its year alone, as a date too frequent to be true is.
    #[must_use]
    pub fn year_only(self) -> Self {
        Self::partial(self.year().map_or(BirthDate::Missing, BirthDate::Year))
    }

    fn partial(date: BirthDate) -> Self {
        Self { date, swapped: None, typed: None }
    }

    fn full(day: Day, rules: &Rules) -> Self {
        let (year, month, dom) = day.ymd();
        let swapped = if dom <= 12 && dom != month { Day::new(year, dom, month) } else { None };
        Self {
            date: BirthDate::Full(day),
            swapped: swapped.filter(|day| doubt(*day, rules).is_none()),
            typed: Some(digits(year, month, dom)),
        }
    }
}

/// Reads a date of birth; an empty text is simply missing.
pub(super) fn read(text: &str, rules: &Rules, notes: &mut Notes) -> Birth {
    if text.trim().is_empty() {
        return Birth::default();
    }
    let (birth, note) = match rules.dates.read(text) {
        DateRead::Day(day) => of_day(day, rules),
        DateRead::Month(year, month) => of_part(year, BirthDate::YearMonth(year, month), rules),
        DateRead::Year(year) => of_part(year, BirthDate::Year(year), rules),
        DateRead::Impossible(written) => (of_no_day(written, rules), Some(Note::BirthImpossible)),
        DateRead::Unreadable => (Birth::default(), Some(Note::BirthUnreadable)),
    };
    if let Some(note) = note {
        notes.add(note);
    }
    birth
}

fn of_day(day: Day, rules: &Rules) -> (Birth, Option<Note>) {
    if let Some(note) = doubt(day, rules) {
        return (Birth::default(), Some(note));
    }
    match day.ymd() {
        (year, 1, 1) if rules.year_only_first_january => {
            (Birth::partial(BirthDate::Year(year)), Some(Note::BirthPartial))
        }
        (year, month, 15) if rules.month_only_fifteenth => {
            (Birth::partial(BirthDate::YearMonth(year, month)), Some(Note::BirthPartial))
        }
        _ => (Birth::full(day, rules), None),
    }
}

fn of_part(year: i16, date: BirthDate, rules: &Rules) -> (Birth, Option<Note>) {
    if is_plausible_year(year, rules) {
        (Birth::partial(date), Some(Note::BirthPartial))
    } else {
        (Birth::default(), Some(Note::BirthImplausible))
    }
}

/// Reads a date that has a declared form and names no day. Its year is as good as any other's; if
/// the other order of day and month makes a day, that is the alternate reading and no more.
fn of_no_day(written: Written, rules: &Rules) -> Birth {
    if !is_plausible_year(written.year, rules) {
        return Birth::default();
    }
    Birth {
        date: BirthDate::Year(written.year),
        swapped: written.exchanged().filter(|day| doubt(*day, rules).is_none()),
        typed: Some(digits(written.year, written.month, written.day)),
    }
}

/// Returns why a day cannot be somebody's date of birth.
fn doubt(day: Day, rules: &Rules) -> Option<Note> {
    let ahead = day.since(rules.as_at);
    if PLACEHOLDERS.contains(&day.ymd()) {
        Some(Note::BirthPlaceholder)
    } else if (1..=EXPECTED_DAYS).contains(&ahead) {
        Some(Note::BirthExpected)
    } else if ahead > 0 || is_before_our_time(day, rules) {
        Some(Note::BirthImplausible)
    } else {
        None
    }
}

fn is_plausible_year(year: i16, rules: &Rules) -> bool {
    let (this_year, ..) = rules.as_at.ymd();
    let oldest = i32::from(this_year) - OLDEST_YEARS;
    // 1900 and 1901 stand for "not known" as years, too.
    let first = rules.born_from.map_or_else(|| oldest.max(1902), i32::from);
    (first..=i32::from(this_year)).contains(&i32::from(year))
}

/// Returns whether nobody whom the feed may speak of was born that long ago.
fn is_before_our_time(day: Day, rules: &Rules) -> bool {
    let (year, ..) = day.ymd();
    match rules.born_from {
        Some(first) => year < first,
        None => year < 1900 || day.years_until(rules.as_at) > OLDEST_YEARS,
    }
}

fn digits(year: i16, month: i8, day: i8) -> [u8; 8] {
    let number = i64::from(year) * 10_000 + i64::from(month) * 100 + i64::from(day);
    let mut digits = [0; 8];
    digits.copy_from_slice(&format!("{number:08}").as_bytes()[..8]);
    digits
}

impl fmt::Debug for Birth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Birth(..)")
    }
}

impl fmt::Debug for BirthDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "Full(..)",
            Self::YearMonth(..) => "YearMonth(..)",
            Self::Year(_) => "Year(..)",
            Self::Missing => "Missing",
        })
    }
}

#[cfg(test)]
mod tests {
    use BirthDate::{Full, Missing, Year, YearMonth};

    use super::*;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn born(text: &str) -> (Birth, Notes) {
        let mut notes = Notes::default();
        let birth = read(text, &Rules::example(), &mut notes);
        (birth, notes)
    }

    #[test]
    fn a_date_is_full_partial_or_missing() {
        for (text, date, note) in [
            ("1987-04-06", Full(day("1987-04-06")), None),
            ("06/04/1987", Full(day("1987-04-06")), None),
            ("2007-01-01", Year(2007), Some(Note::BirthPartial)),
            ("2007-04", YearMonth(2007, 4), Some(Note::BirthPartial)),
            ("2007", Year(2007), Some(Note::BirthPartial)),
            ("", Missing, None),
            ("  ", Missing, None),
            ("about 1987", Missing, Some(Note::BirthUnreadable)),
            ("1984601", Missing, Some(Note::BirthUnreadable)),
            ("1899-06-01", Missing, Some(Note::BirthImplausible)),
            ("1559-07-19", Missing, Some(Note::BirthImplausible)),
            ("1559", Missing, Some(Note::BirthImplausible)),
            ("2026-02-01", Missing, Some(Note::BirthExpected)),
            ("2029-02-01", Missing, Some(Note::BirthImplausible)),
            ("2003-25-04", Year(2003), Some(Note::BirthImpossible)),
            ("1944-87-20", Year(1944), Some(Note::BirthImpossible)),
            ("2023-02-30", Year(2023), Some(Note::BirthImpossible)),
        ] {
            let (birth, notes) = born(text);
            assert!(birth.date == date, "{text}: {:?}", birth.date);
            assert_eq!(notes.iter().next(), note, "{text}");
        }
    }

    #[test]
    fn dates_that_mean_not_known_are_missing() {
        for text in [
            "1900-01-01",
            "1901-01-01",
            "1800-01-01",
            "1753-01-01",
            "1899-12-30",
            "1899-12-31",
            "1111-11-11",
            "9999-12-31",
            "0001-01-01",
        ] {
            let (birth, notes) = born(text);
            assert!(birth == Birth::default() && notes.has(Note::BirthPlaceholder), "{text}");
        }
    }

    #[test]
    fn day_and_month_exchanged_is_an_alternate_where_it_is_another_real_day() {
        for (text, swapped) in [
            ("1987-06-04", Some("1987-04-06")),
            ("1961-03-09", Some("1961-09-03")),
            ("1987-04-13", None),
            ("1987-04-04", None),
            ("2003-25-04", Some("2003-04-25")),
            ("1944-87-20", None),
            // The other reading lies in the future, so nobody was born then.
            ("2025-02-11", None),
        ] {
            assert!(born(text).0.swapped == swapped.map(day), "{text}");
        }
    }

    #[test]
    fn a_mistyped_date_keeps_its_digits() {
        assert_eq!(born("1944-87-20").0.typed, Some(*b"19448720"));
        assert_eq!(born("1987-04-06").0.typed, Some(*b"19870406"));
        assert_eq!(born("2007-01-01").0.typed, None);
    }

    #[test]
    fn feeds_decide_which_days_stand_for_less() {
        let mut rules = Rules::example();
        let date = |text, rules: &Rules| read(text, rules, &mut Notes::default()).date;
        assert!(date("2008-04-15", &rules) == Full(day("2008-04-15")));

        (rules.year_only_first_january, rules.month_only_fifteenth) = (false, true);
        assert!(date("2008-04-15", &rules) == YearMonth(2008, 4));
        assert!(date("2008-01-01", &rules) == Full(day("2008-01-01")));
    }

    #[test]
    fn a_register_of_the_past_says_when_it_begins() {
        let mut rules = Rules::example();
        rules.born_from = Some(1700);
        let read = |text| {
            let mut notes = Notes::default();
            (read(text, &rules, &mut notes).date, notes.iter().next())
        };
        assert!(read("1786-02-03") == (Full(day("1786-02-03")), None));
        assert!(read("1786") == (Year(1786), Some(Note::BirthPartial)));
        assert!(read("1786-02-30") == (Year(1786), Some(Note::BirthImpossible)));
        assert!(read("1987-04-06") == (Full(day("1987-04-06")), None));
        for (text, why) in [
            ("1699-12-31", Note::BirthImplausible),
            ("1699", Note::BirthImplausible),
            ("2029-02-01", Note::BirthImplausible),
            ("1800-01-01", Note::BirthPlaceholder),
        ] {
            assert!(read(text) == (Missing, Some(why)), "{text}");
        }
    }
}
