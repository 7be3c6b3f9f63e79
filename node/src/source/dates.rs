//! Reads dates by the formats a feed declares, in their order, and never by guessing.

use std::fmt;

use causeway_proto::day::Day;

/// One way of writing a date, such as `%d/%m/%Y`.
///
/// Understands `%d`, `%m`, `%Y`, `%y` (two digits, told apart by a pivot), `%b` and `%B` (English
/// month names); anything else stands for itself. A time of day after the date is ignored. A
/// format may leave out the day, or day and month.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DateFormat {
    text: String,
    items: Vec<Item>,
}

/// The formats of one feed, tried in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DateFormats {
    formats: Vec<DateFormat>,
    pivot: Option<u8>,
}

/// A text that is no usable date format.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFormat {
    /// The format says something this reader does not know.
    #[error("`{0}` is no date format: use %d, %m, %Y, %y, %b or %B with signs between them")]
    Unknown(String),
    /// The same text would be two different days.
    #[error(
        "`{0}` and `{1}` differ only in the order of day and month, so `01/02/2025` would be two \
         days: keep the one this system writes"
    )]
    Ambiguous(String, String),
    /// There is a `%y` and no pivot.
    #[error(
        "`{0}` has a two-digit year: set `pivot`, the last year of this century it may mean \
         (`pivot = 30` reads 30 as 2030 and 31 as 1931)"
    )]
    NoPivot(String),
}

/// What a text says under a feed's formats.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DateRead {
    /// A day of the calendar.
    Day(Day),
    /// A month and no day.
    Month(i16, i8),
    /// A year and nothing else.
    Year(i16),
    /// The text has a declared form and names no day of the calendar, as in `2003-25-04`.
    Impossible(Written),
    /// The text has none of the declared forms.
    Unreadable,
}

/// Year, month and day as they were written, whether or not there is such a day.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// The year, four digits.
    pub year: i16,
    /// Where the month was expected, 0 to 99.
    pub month: i8,
    /// Where the day was expected, 0 to 99.
    pub day: i8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Item {
    Day,
    Month,
    MonthName,
    Year,
    ShortYear,
    Sign(char),
}

/// Up to this year, a date is a system's way to say that it is not known, or that there is none.
pub(crate) const NOT_KNOWN: i16 = 1901;

/// From this year on, it is a way to say that there is no end.
const NEVER_ENDS: i16 = 2099;

/// Returns whether a date that begins or ends something is none that systems write for "not known" or "no end".
pub(crate) fn is_real(day: &Day) -> bool {
    (NOT_KNOWN + 1..NEVER_ENDS).contains(&day.ymd().0)
}

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];

impl DateFormat {
    fn new(text: &str) -> Result<Self, InvalidFormat> {
        let unknown = || InvalidFormat::Unknown(text.to_owned());
        let mut items = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            items.push(match c {
                '%' => match chars.next() {
                    Some('d') => Item::Day,
                    Some('m') => Item::Month,
                    Some('b' | 'B') => Item::MonthName,
                    Some('Y') => Item::Year,
                    Some('y') => Item::ShortYear,
                    _ => return Err(unknown()),
                },
                c if c.is_ascii_alphanumeric() => return Err(unknown()),
                c => Item::Sign(c),
            });
        }
        let count = |wanted: &[Item]| items.iter().filter(|item| wanted.contains(item)).count();
        let years = count(&[Item::Year, Item::ShortYear]);
        let months = count(&[Item::Month, Item::MonthName]);
        let days = count(&[Item::Day]);
        if years != 1 || months > 1 || days > months {
            return Err(unknown());
        }
        Ok(Self { text: text.to_owned(), items })
    }

    /// Returns whether another format has the same form with day and month exchanged.
    fn mirrors(&self, other: &Self) -> bool {
        let exchanged = self.items.iter().map(|item| match item {
            Item::Day => Item::Month,
            Item::Month => Item::Day,
            item => *item,
        });
        self != other && exchanged.eq(other.items.iter().copied())
    }

    /// Reads a text of this form; `None` if it has another.
    fn read(&self, text: &str, pivot: Option<u8>) -> Option<(i16, Option<i8>, Option<i8>)> {
        let (mut year, mut month, mut day) = (None, None, None);
        let mut rest = text;
        for (at, item) in self.items.iter().enumerate() {
            // Numbers that run into each other must have their full width.
            let number_at = |at: usize| {
                let item = self.items.get(at);
                matches!(item, Some(Item::Day | Item::Month | Item::Year | Item::ShortYear))
            };
            let exact = number_at(at + 1) || at.checked_sub(1).is_some_and(number_at);
            let least = if exact { 2 } else { 1 };
            match item {
                Item::Day => day = Some(number(&mut rest, least, 2)?),
                Item::Month => month = Some(number(&mut rest, least, 2)?),
                Item::MonthName => month = Some(month_name(&mut rest)?),
                Item::Year => year = Some(number(&mut rest, 4, 4)?),
                Item::ShortYear => {
                    let short: i16 = number(&mut rest, 2, 2)?;
                    let last = i16::from(pivot?);
                    year = Some(if short > last { 1900 + short } else { 2000 + short });
                }
                Item::Sign(sign) => rest = rest.strip_prefix(*sign)?,
            }
        }
        (rest.is_empty() || is_time(rest)).then_some((year?, month, day))
    }
}

/// Takes a number of `least` to `most` digits off the front of a text.
fn number<N: std::str::FromStr>(rest: &mut &str, least: usize, most: usize) -> Option<N> {
    let digits = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
    if digits < least {
        return None;
    }
    let (number, after) = rest.split_at(digits);
    *rest = after;
    number.parse().ok()
}

/// Takes an English month name, whole or cut to three letters, off the front of a text.
fn month_name(rest: &mut &str) -> Option<i8> {
    let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
    let (name, after) = rest.split_at(letters);
    let start = name.get(..3)?;
    let at = MONTHS.iter().position(|month| month.eq_ignore_ascii_case(start))?;
    *rest = after;
    i8::try_from(at + 1).ok()
}

/// Returns whether what follows a date is a time of day: `T00:00:00Z`, ` 12:30`, ` 0:00:00.000`.
fn is_time(rest: &str) -> bool {
    let Some(time) = rest.strip_prefix(['T', ' ']) else {
        return false;
    };
    time.trim_start().starts_with(|c: char| c.is_ascii_digit())
        && time.contains(':')
        && time.chars().all(|c| c.is_ascii_digit() || " :.+-ZAPM".contains(c.to_ascii_uppercase()))
}

impl DateFormats {
    /// Checks the formats of a feed: each is understood, and no two can disagree about a text.
    pub fn new(formats: &[impl AsRef<str>], pivot: Option<u8>) -> Result<Self, InvalidFormat> {
        let formats = formats
            .iter()
            .map(|format| DateFormat::new(format.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        for (at, format) in formats.iter().enumerate() {
            if let Some(other) = formats[at + 1..].iter().find(|other| format.mirrors(other)) {
                return Err(InvalidFormat::Ambiguous(format.text.clone(), other.text.clone()));
            }
            if format.items.contains(&Item::ShortYear) && pivot.is_none() {
                return Err(InvalidFormat::NoPivot(format.text.clone()));
            }
        }
        Ok(Self { formats, pivot })
    }

    /// Reads a text by the first format that makes a day, month or year of it.
    pub fn read(&self, text: &str) -> DateRead {
        let text = text.trim();
        let mut impossible = None;
        for format in &self.formats {
            match format.read(text, self.pivot) {
                None => {}
                Some((year, None, _)) => return DateRead::Year(year),
                Some((year, Some(month), None)) if (1..=12).contains(&month) => {
                    return DateRead::Month(year, month);
                }
                Some((_, Some(_), None)) => {}
                Some((year, Some(month), Some(day))) => match Day::new(year, month, day) {
                    Some(day) => return DateRead::Day(day),
                    None => impossible = impossible.or(Some(Written { year, month, day })),
                },
            }
        }
        impossible.map_or(DateRead::Unreadable, DateRead::Impossible)
    }

    /// Reads a text that must be a whole day.
    pub fn day(&self, text: &str) -> Option<Day> {
        match self.read(text) {
            DateRead::Day(day) => Some(day),
            _ => None,
        }
    }
}

impl Written {
    /// Returns the day that is meant if day and month were written in the other order.
    pub fn exchanged(self) -> Option<Day> {
        Day::new(self.year, self.day, self.month)
    }
}

impl fmt::Debug for DateRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Day(_) => "Day(..)",
            Self::Month(..) => "Month(..)",
            Self::Year(_) => "Year(..)",
            Self::Impossible(_) => "Impossible(..)",
            Self::Unreadable => "Unreadable",
        })
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Written(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn formats(formats: &[&str]) -> DateFormats {
        DateFormats::new(formats, Some(30)).unwrap()
    }

    fn day(text: &str) -> DateRead {
        DateRead::Day(text.parse().unwrap())
    }

    #[test]
    fn each_format_reads_what_it_declares() {
        for (format, text, read) in [
            ("%d/%m/%Y", "06/04/1987", day("1987-04-06")),
            ("%d/%m/%Y", "6/4/1987", day("1987-04-06")),
            ("%d/%m/%Y", "06/04/1987 00:00:00", day("1987-04-06")),
            ("%Y-%m-%d", "1987-04-06T12:30:00.000Z", day("1987-04-06")),
            ("%Y%m%d", "19870406", day("1987-04-06")),
            ("%d%m%Y", "06041987", day("1987-04-06")),
            ("%d%m%y", "060487", day("1987-04-06")),
            ("%d-%b-%Y", "06-APR-1987", day("1987-04-06")),
            ("%d %B %Y", "6 April 1987", day("1987-04-06")),
            ("%d-%b-%y", "06-Apr-30", day("2030-04-06")),
            ("%d-%b-%y", "06-Apr-31", day("1931-04-06")),
            ("%m/%d/%Y", "04/06/1987", day("1987-04-06")),
            ("%Y-%m", "1987-04", DateRead::Month(1987, 4)),
            ("%Y", "1987", DateRead::Year(1987)),
            ("%d/%m/%Y", "06/04/87", DateRead::Unreadable),
            ("%d/%m/%Y", "06-04-1987", DateRead::Unreadable),
            ("%d/%m/%Y", "06/04/19870", DateRead::Unreadable),
            ("%d/%m/%Y", "06/04/1987 or so", DateRead::Unreadable),
            ("%Y%m%d", "1987406", DateRead::Unreadable),
            ("%Y-%m", "1987-13", DateRead::Unreadable),
        ] {
            assert!(formats(&[format]).read(text) == read, "{format} {text}");
        }
    }

    #[test]
    fn formats_are_tried_in_order_and_a_day_beats_an_impossible_one() {
        let formats = formats(&["%Y-%m-%d", "%d/%m/%Y", "%Y-%m"]);
        assert!(formats.read("06/04/1987") == day("1987-04-06"));
        assert!(formats.read("1987-04") == DateRead::Month(1987, 4));
    }

    #[test]
    fn an_impossible_day_is_reported_and_not_turned_round() {
        let DateRead::Impossible(written) = formats(&["%Y-%m-%d"]).read("2003-25-04") else {
            panic!("2003-25-04 is no day");
        };
        assert_eq!(written.exchanged(), Some("2003-04-25".parse().unwrap()));
        let DateRead::Impossible(written) = formats(&["%Y-%m-%d"]).read("1944-87-20") else {
            panic!("1944-87-20 is no day");
        };
        assert_eq!(written.exchanged(), None);
    }

    #[test]
    fn formats_that_would_be_guesses_are_refused() {
        for (bad, message) in [
            (&["%d/%m/%Y", "%m/%d/%Y"][..], "differ only in the order"),
            (&["%d/%m/%y"], "set `pivot`"),
            (&["%d/%m"], "is no date format"),
            (&["dd/mm/yyyy"], "is no date format"),
            (&["%d/%Y"], "is no date format"),
            (&["%H:%M"], "is no date format"),
        ] {
            let refused = DateFormats::new(bad, None).unwrap_err().to_string();
            assert!(refused.contains(message), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            formats(&["%d/%m/%Y", "%Y%m%d", "%d %B %y", "%Y-%m", "%Y"]).read(&text);
        }
    }
}
