//! Reads the numbers that agencies share: NHS number, UPN, NINO, UPRN.
//!
//! A number that fails its own check is worse than none, since it may be somebody else's. It is
//! left out and counted.

use std::fmt;

use super::quality::Note;
use crate::source::check_digit::is_nhs_number;

/// A number of the health services: an NHS number, or a Scottish CHI number, which has the same
/// form and check digit.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct NhsNumber(String);

/// A unique pupil number.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Upn(String);

/// A national insurance number without its suffix, which says nothing about the person.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Nino(String);

/// A unique property reference number, from 1 to 999,999,999,999.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Uprn(u64);

/// The letters that check a UPN, by remainder.
const UPN_LETTERS: &[u8; 23] = b"abcdefghjklmnpqrtuvwxyz";

impl NhsNumber {
    /// Reads ten digits with a valid check digit; spaces and hyphens do not matter.
    ///
    /// The range from 999 000 0000 is never issued and only taken with `accept_test_ranges`.
    pub fn read(text: &str, accept_test_ranges: bool) -> Result<Self, Note> {
        let digits = compact(text);
        if !is_nhs_number(&digits) {
            return Err(Note::NhsCheckDigit);
        }
        if digits.starts_with("999") && !accept_test_ranges {
            return Err(Note::NhsTestRange);
        }
        Ok(Self(digits))
    }

    /// Returns the ten digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the number also has the form of a CHI number, which begins with the day and
    /// month of birth.
    pub fn is_chi(&self) -> bool {
        let part = |from: usize| self.0[from..from + 2].parse::<u8>().unwrap_or(0);
        (1..=31).contains(&part(0)) && (1..=12).contains(&part(2))
    }
}

impl Upn {
    /// Reads a check letter, eleven digits, and a digit or, for a temporary number, a letter.
    ///
    /// `None` for the codes that say why a pupil has none.
    pub fn read(text: &str) -> Result<Option<Self>, Note> {
        let upn = compact(text);
        if matches!(upn.as_str(), "un1" | "un2" | "un3" | "un4" | "un5") {
            return Ok(None);
        }
        let bytes = upn.as_bytes();
        let value = |byte: u8| {
            let at = UPN_LETTERS.iter().position(|letter| *letter == byte);
            if byte.is_ascii_digit() { Some(usize::from(byte - b'0')) } else { at }
        };
        let well_formed = bytes.len() == 13 && bytes[1..12].iter().all(u8::is_ascii_digit);
        let sum: Option<usize> = bytes
            .iter()
            .enumerate()
            .skip(1)
            .map(|(at, byte)| value(*byte).map(|value| value * (at + 1)))
            .sum();
        match sum {
            Some(sum) if well_formed && UPN_LETTERS[sum % 23] == bytes[0] => Ok(Some(Self(upn))),
            _ => Err(Note::UpnCheckLetter),
        }
    }

    /// Returns the thirteen characters, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether the number stays with the pupil. A temporary one is a school's own and may
    /// be given twice, so it never decides who somebody is.
    pub fn is_permanent(&self) -> bool {
        self.0.ends_with(|c: char| c.is_ascii_digit())
    }
}

impl Nino {
    /// Reads two letters and six digits, with or without the suffix letter.
    ///
    /// Prefixes kept for administration are refused. QQ, which HMRC uses for examples, is only
    /// taken with `accept_test_ranges`.
    pub fn read(text: &str, accept_test_ranges: bool) -> Result<Self, Note> {
        let nino = compact(text);
        let bytes = nino.as_bytes();
        let suffix = match bytes.len() {
            8 => true,
            9 => matches!(bytes[8], b'a'..=b'd'),
            _ => false,
        };
        if !suffix || !bytes[2..8].iter().all(u8::is_ascii_digit) {
            return Err(Note::NinoForm);
        }
        let prefix = &nino[..2];
        if prefix == "qq" {
            return accept_test_ranges.then(|| Self(nino[..8].into())).ok_or(Note::NinoReserved);
        }
        let letter = |byte: u8, not: &[u8]| byte.is_ascii_lowercase() && !not.contains(&byte);
        if !letter(bytes[0], b"dfiquv") || !letter(bytes[1], b"dfiquvo") {
            // OO is administrative and has the wrong form besides.
            return Err(if prefix == "oo" { Note::NinoReserved } else { Note::NinoForm });
        }
        match prefix {
            "bg" | "gb" | "kn" | "nk" | "nt" | "tn" | "zz" => Err(Note::NinoForm),
            "cr" | "fy" | "mw" | "nc" | "pp" | "py" | "pz" => Err(Note::NinoReserved),
            _ => Ok(Self(nino[..8].into())),
        }
    }

    /// Returns the two letters and six digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Uprn {
    /// Reads a number from 1 to 999,999,999,999; leading zeros and spaces do not matter. A sign does: `-1` is
    /// what some systems write for none.
    pub fn read(text: &str) -> Result<Self, Note> {
        let digits: String = whole(text.trim()).chars().filter(|c| !is_blank(*c)).collect();
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok());
        match number.flatten() {
            Some(number @ 1..=999_999_999_999) => Ok(Self(number)),
            _ => Err(Note::UprnForm),
        }
    }

    /// Returns the number.
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Removes spaces, hyphens and full stops between the characters of an identifier.
fn compact(text: &str) -> String {
    whole(text.trim())
        .chars()
        .filter(|c| !is_blank(*c) && !matches!(c, '-' | '.'))
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Takes off the `.0` or `.00` that a spreadsheet, a data frame or a database adds to whole numbers.
fn whole(text: &str) -> &str {
    match text.split_once('.') {
        Some((number, zeros))
            if !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
                && !zeros.is_empty()
                && zeros.bytes().all(|b| b == b'0') =>
        {
            number
        }
        _ => text,
    }
}

fn is_blank(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{200b}' | '\u{feff}')
}

macro_rules! redacted {
    ($($name:ident),+) => {
        $(impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        })+
    };
}
redacted!(NhsNumber, Upn, Nino, Uprn);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nhs_numbers_have_ten_digits_and_a_check_digit() {
        for valid in ["9434765919", "9000000009", "9876543210", "450 557-7104"] {
            assert!(NhsNumber::read(valid, false).is_ok(), "{valid}");
        }
        for invalid in [
            "9991234560",
            "9876544321",
            "9111111124",
            "9222222228",
            "0000000000",
            "9999999999",
            "943476591",
            "94347659190",
            "943476591A",
            "",
            "9434765918",
        ] {
            assert_eq!(NhsNumber::read(invalid, true), Err(Note::NhsCheckDigit), "{invalid}");
        }
        assert_eq!(NhsNumber::read(" 943 476 5919 ", false).unwrap().as_str(), "9434765919");
        for decimal in ["9434765919.0", "9434765919.00"] {
            assert_eq!(NhsNumber::read(decimal, false).unwrap().as_str(), "9434765919");
        }
    }

    #[test]
    fn numbers_never_issued_are_refused_unless_a_feed_of_tests_says_so() {
        assert_eq!(NhsNumber::read("9990100012", false), Err(Note::NhsTestRange));
        assert!(NhsNumber::read("9990100012", true).is_ok());
    }

    #[test]
    fn chi_numbers_begin_with_a_birthday() {
        for (number, chi) in [("0101701004", true), ("9434765919", false)] {
            let number = NhsNumber::read(number, false);
            assert_eq!(number.is_ok_and(|number| number.is_chi()), chi);
        }
    }

    #[test]
    fn upns_have_a_check_letter() {
        for (text, permanent) in [
            ("B801200005001", true),
            ("u001400112011", true),
            ("P207000016049", true),
            ("A001 4001 2401B", false),
        ] {
            let upn = Upn::read(text).unwrap().unwrap();
            assert_eq!(upn.is_permanent(), permanent, "{text}");
        }
        for invalid in ["Q207000016049", "A801200005001", "B80120000500", "I801200005001", ""] {
            assert_eq!(Upn::read(invalid), Err(Note::UpnCheckLetter), "{invalid}");
        }
        assert_eq!(Upn::read("UN3"), Ok(None));
    }

    #[test]
    fn ninos_are_keyed_on_the_first_eight() {
        for text in ["AB123456C", "ab 12 34 56", "AB-12-34-56-D"] {
            assert_eq!(Nino::read(text, false).unwrap().as_str(), "ab123456", "{text}");
        }
        for (text, why) in [
            ("QQ123456C", Note::NinoReserved),
            ("BG123456A", Note::NinoForm),
            ("OO123456A", Note::NinoReserved),
            ("TN010203F", Note::NinoForm),
            ("AO123456A", Note::NinoForm),
            ("PP123456A", Note::NinoReserved),
            ("11 a1 11 11", Note::NinoForm),
            ("AB12345", Note::NinoForm),
            ("AB123456E", Note::NinoForm),
            ("", Note::NinoForm),
        ] {
            assert_eq!(Nino::read(text, false), Err(why), "{text}");
        }
        assert!(Nino::read("JG103759A", false).is_ok());
        assert_eq!(Nino::read("QQ123456C", true).unwrap().as_str(), "qq123456");
    }

    #[test]
    fn uprns_are_numbers_and_their_leading_zeros_mean_nothing() {
        for (text, number) in [
            ("999900000014", 999_900_000_014),
            ("000010002345678", 10_002_345_678),
            ("1", 1),
            ("12345678.00", 12_345_678),
            ("1 000 2345", 10_002_345),
        ] {
            assert_eq!(Uprn::read(text).unwrap().number(), number);
        }
        for invalid in ["0", "", "1000000000000", "12a", "-", "-1", "1.5", "10.002.345"] {
            assert_eq!(Uprn::read(invalid), Err(Note::UprnForm), "{invalid}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_panic(text in any::<String>()) {
            let _ = NhsNumber::read(&text, true);
            let _ = Upn::read(&text);
            let _ = Nino::read(&text, true);
            let _ = Uprn::read(&text);
        }
    }
}
