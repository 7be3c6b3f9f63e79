//! What of a person must be found nowhere but at its owner's, and the search for it: as text in any
//! case, in hexadecimal, and in base64 wherever in a group it begins.

use std::{collections::BTreeSet, ops::Range};

use aho_corasick::AhoCorasick;
use base64::{
    Engine,
    alphabet::STANDARD,
    engine::{
        DecodePaddingMode,
        general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD_NO_PAD},
    },
};

use crate::data::Record;

/// Shorter words are found in everything.
const SHORTEST: usize = 6;
/// Words of an address that are told apart from ordinary English by their length.
const SHORTEST_STREET: usize = 8;

/// What to look for.
pub struct Needles {
    what: Vec<String>,
    /// Text and hexadecimal, in any case.
    plain: AhoCorasick,
    plain_of: Vec<(usize, &'static str)>,
    /// Base64, where case matters.
    encoded: AhoCorasick,
    /// With how many bytes into a group the text begins.
    encoded_of: Vec<(usize, usize)>,
}

/// Something that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// What.
    pub what: String,
    /// As what it was written.
    pub form: &'static str,
    /// Where it begins.
    pub at: usize,
}

impl Needles {
    /// Looks for these texts.
    pub fn new(texts: impl IntoIterator<Item = String>) -> anyhow::Result<Self> {
        let what: Vec<String> = texts.into_iter().collect();
        let (mut plain, mut plain_of) = (Vec::new(), Vec::new());
        let (mut encoded, mut encoded_of) = (Vec::new(), Vec::new());
        for (at, text) in what.iter().enumerate() {
            plain.push(text.clone());
            plain_of.push((at, "text"));
            let (lower, upper) = (text.to_lowercase(), text.to_uppercase());
            for cased in BTreeSet::from([text.clone(), capitals(&lower), lower, upper]) {
                plain.push(cased.bytes().map(|byte| format!("{byte:02x}")).collect());
                plain_of.push((at, "hexadecimal"));
                for shift in 0..3 {
                    encoded.push(base64(cased.as_bytes(), shift));
                    encoded_of.push((at, shift));
                }
            }
        }
        Ok(Self {
            what,
            plain: AhoCorasick::builder().ascii_case_insensitive(true).build(&plain)?,
            plain_of,
            encoded: AhoCorasick::new(&encoded)?,
            encoded_of,
        })
    }

    /// Looks for everything that says who these people are.
    pub fn of<'r>(records: impl IntoIterator<Item = &'r Record>) -> anyhow::Result<Self> {
        Self::new(records.into_iter().flat_map(identity).collect::<BTreeSet<_>>())
    }

    /// Returns everything that is looked for.
    pub fn texts(&self) -> &[String] {
        &self.what
    }

    /// Searches bytes.
    pub fn search(&self, bytes: &[u8]) -> Vec<Found> {
        let found = |of: usize, form, at| Found { what: self.what[of].clone(), form, at };
        let plain = self.plain.find_overlapping_iter(bytes).filter_map(|hit| {
            let (of, form) = self.plain_of[hit.pattern().as_usize()];
            let by_chance = is_short_number(&self.what[of]) && is_in_longer(bytes, hit.range());
            (form != "text" || !by_chance).then(|| found(of, form, hit.start()))
        });
        let encoded = self.encoded.find_overlapping_iter(bytes).filter_map(|hit| {
            let (of, shift) = self.encoded_of[hit.pattern().as_usize()];
            let what = &self.what[of];
            let by_chance = is_short_number(what) && {
                let (decoded, at) = decoded_around(bytes, hit.start(), shift);
                decoded.get(at..at + what.len()) == Some(what.as_bytes())
                    && is_in_longer(&decoded, at..at + what.len())
            };
            (!by_chance).then(|| found(of, "base64", hit.start()))
        });
        plain.chain(encoded).collect()
    }
}

/// A date as eight digits, which any long number may hold by chance.
fn is_short_number(text: &str) -> bool {
    text.len() <= 8 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether the signs around a range make it part of a longer number, decimal or hexadecimal.
fn is_in_longer(bytes: &[u8], range: Range<usize>) -> bool {
    let before = range.start.checked_sub(1).and_then(|at| bytes.get(at));
    let after = bytes.get(range.end);
    before.into_iter().chain(after).any(u8::is_ascii_hexdigit)
}

/// Decodes base64 from the group before a hit on, and returns where in it the text begins: nothing where
/// that is not base64. Lines may break it.
fn decoded_around(bytes: &[u8], hit: usize, shift: usize) -> (Vec<u8>, usize) {
    /// Longer than any short number with the groups around it.
    const SIGNS: usize = 24;
    let is_sign = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    let is_one = |byte: &&u8| is_sign(byte) || matches!(byte, b'\r' | b'\n');
    let (before, after) = bytes.split_at(hit.saturating_sub(first_sign(shift)));
    let before = before.iter().rev().take_while(is_one).filter(|byte| is_sign(byte)).take(4);
    let mut signs: Vec<u8> = before.copied().collect();
    signs.reverse();
    // What stands before by itself is no group.
    signs.truncate(signs.len() / 4 * 4);
    let at = signs.len() / 4 * 3 + shift;
    signs.extend(after.iter().take_while(is_one).filter(|byte| is_sign(byte)).take(SIGNS));
    // Of a group that is cut off, one sign alone says nothing.
    signs.truncate(signs.len() - usize::from(signs.len() % 4 == 1));
    let lenient = GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone);
    let decoded = GeneralPurpose::new(&STANDARD, lenient).decode(signs);
    (decoded.unwrap_or_default(), at)
}

/// Everything in a record that says who it is of, in the spellings that systems use.
pub fn identity(record: &Record) -> BTreeSet<String> {
    let person = &record.person;
    let mut texts = BTreeSet::new();
    let mut add = |text: &str, shortest: usize| {
        if text.len() >= shortest {
            texts.insert(text.to_lowercase());
        }
    };
    let names = [&person.forename, &person.middle, &person.surname, &person.alias];
    for name in names {
        add(name, SHORTEST);
        name.split(['-', ' ']).for_each(|part| add(part, SHORTEST));
    }
    add(&format!("{} {}", person.forename, person.surname), SHORTEST);
    add(&format!("{} {}", person.surname, person.forename), SHORTEST);
    if let [year, month, day] = person.dob.split('-').collect::<Vec<_>>()[..] {
        for written in [
            format!("{year}-{month}-{day}"),
            format!("{year}{month}{day}"),
            format!("{day}/{month}/{year}"),
            format!("{day}-{month}-{year}"),
            format!("{day}.{month}.{year}"),
            format!("{day}{month}{year}"),
        ] {
            add(&written, 8);
        }
    }
    add(&person.address, SHORTEST);
    add(
        person.address.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' '),
        SHORTEST_STREET,
    );
    person.address.split(' ').for_each(|word| add(word, SHORTEST_STREET));
    let numbers = [
        &person.postcode,
        &person.uprn,
        &person.nhs,
        &person.upn,
        &person.nino,
        &person.other_id,
        &person.phone,
        &person.email,
        &record.local_id,
    ];
    for number in numbers {
        add(number, SHORTEST);
        add(&number.replace(' ', ""), SHORTEST);
    }
    let nhs = person.nhs.as_str();
    if nhs.len() == 10 && nhs.is_ascii() {
        add(&format!("{} {} {}", &nhs[..3], &nhs[3..6], &nhs[6..]), SHORTEST);
    }
    texts
}

/// Writes every word with a capital letter, as names mostly are.
fn capitals(text: &str) -> String {
    let mut begins = true;
    let capital = |c: char| {
        let shown = if begins { c.to_ascii_uppercase() } else { c };
        begins = !c.is_alphanumeric();
        shown
    };
    text.chars().map(capital).collect()
}

/// The signs that a text makes in base64 for certain when it begins `shift` bytes into a group.
fn base64(text: &[u8], shift: usize) -> String {
    let mut padded = vec![0; shift];
    padded.extend_from_slice(text);
    let signs = STANDARD_NO_PAD.encode(&padded);
    // Signs that hold bits of what stands before and after are not certain.
    let first = first_sign(shift);
    let last = padded.len() * 8 / 6;
    signs[first..last].to_owned()
}

/// The first sign of a group that says nothing of what stands in it before the place `shift`.
fn first_sign(shift: usize) -> usize {
    (shift * 8).div_ceil(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(bytes: &[u8]) -> Vec<&'static str> {
        let needles = Needles::new(["ravenscar".to_owned()]).expect("a search");
        let mut forms: Vec<_> = needles.search(bytes).into_iter().map(|f| f.form).collect();
        // Two spellings may have the same signs in base64.
        forms.dedup();
        forms
    }

    #[test]
    fn a_date_is_found_as_a_number_of_its_own_and_not_by_chance_inside_another() {
        let needles = Needles::new(["19870406".to_owned()]).expect("a search");
        let count = |bytes: &[u8]| needles.search(bytes).len();
        assert_eq!(
            [&b"\x08"[..], b"born ", b"\""].map(|b| count(&[b, b"19870406\n"].concat())),
            [1; 3]
        );
        assert_eq!(count(b"elapsed=0.0019870406, id=a19870406f"), 0);
        // In base64, with the line broken before it or not: a time as certificates write it, and a date.
        for before in ["", "x", "xy", "xyz"] {
            let encoded = |text: &str| {
                let mut signs = STANDARD_NO_PAD.encode(format!("abcdef{before}{text}"));
                let whole = signs.clone();
                signs.insert(8, '\n');
                [whole, signs]
            };
            for (text, times) in [("26198704063Z", 0), ("y:19870406.", 1), ("y:19870406", 1)] {
                for signs in encoded(text) {
                    assert_eq!(count(signs.as_bytes()), times, "{before}{text} {signs}");
                }
            }
        }
    }

    #[test]
    fn a_name_is_found_as_text_as_hexadecimal_and_in_base64_wherever_it_begins() {
        assert_eq!(forms(b"..RavensCAR.."), ["text"]);
        for digits in ["726176656E73636172", "526176656e73636172", "524156454e53434152"] {
            assert_eq!(forms(digits.as_bytes()), ["hexadecimal"], "{digits}");
        }
        for before in ["", "a", "ab", "abc"] {
            for name in ["ravenscar", "RAVENSCAR", "Ravenscar"] {
                let encoded = STANDARD_NO_PAD.encode(format!("{before}{name} and more"));
                assert_eq!(forms(encoded.as_bytes()), ["base64"], "{before}{name}");
            }
        }
        assert_eq!(forms(b"raven scar, cmF2ZW4gc2Nhcg"), Vec::<&str>::new());
    }
}
