//! What of a person must be found nowhere but at its owner's, and the search for it: as text in any
//! case, in hexadecimal, and in base64 wherever in a group it begins.

use std::{collections::BTreeSet, ops::Range};

use aho_corasick::AhoCorasick;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

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
    encoded_of: Vec<usize>,
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
                    encoded_of.push(at);
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
        let encoded = self
            .encoded
            .find_overlapping_iter(bytes)
            .map(|hit| found(self.encoded_of[hit.pattern().as_usize()], "base64", hit.start()));
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
    let first = (shift * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    signs[first..last].to_owned()
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
