//! One name, put together from the words of its parts.

use std::fmt;

use super::words::{self, Word};

/// One name of a person, in agreed spelling: lower-case ASCII letters only.
///
/// Either part may be missing, never both.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Name {
    /// The first given name; an initial where no more was recorded.
    pub forename: Option<String>,
    /// Further given names, without spaces.
    pub middle: Option<String>,
    /// The whole surname, without spaces: `denholmprice`, `vanderberg`.
    pub surname: Option<String>,
    /// The parts of three letters or more of a surname of several parts: `denholm`, `price`.
    pub surname_parts: Vec<String>,
    /// True when the forename is one letter.
    pub forename_initial_only: bool,
}

impl Name {
    /// Returns the same name with forename and surname exchanged, for the record where a clerk
    /// did just that. `None` unless both are known in full.
    pub fn transposed(&self) -> Option<Self> {
        let (forename, surname) = (self.forename.clone()?, self.surname.clone()?);
        (forename.len() > 1 && surname.len() > 1).then(|| Self {
            forename: Some(surname),
            surname: Some(forename),
            middle: self.middle.clone(),
            surname_parts: Vec::new(),
            forename_initial_only: false,
        })
    }

    /// Puts a name together; `None` when nothing is left of it.
    pub(super) fn new(forenames: &[Word], middle: &[Word], surname: &[Word]) -> Option<Self> {
        let no_name = |word: &&str| words::is_only_suffix(word) || words::is_title(word);
        let mut forenames = forenames.iter().map(|word| word.text.as_str()).skip_while(no_name);
        let forename = forenames.next().map(str::to_owned);

        let mut further: Vec<&str> = forenames.collect();
        let middle: Vec<&str> = middle.iter().map(|word| word.text.as_str()).collect();
        if further != middle {
            further.extend(middle);
        }
        let middle = Some(further.concat()).filter(|text| {
            !text.is_empty() && !words::is_placeholder(text) && !words::is_only_suffix(text)
        });

        let parts = surname_parts(surname);
        let whole =
            Some(parts.concat()).filter(|text| !text.is_empty() && !words::is_placeholder(text));
        let surname_parts = if parts.len() > 1 && whole.is_some() {
            parts.into_iter().filter(|part| part.len() >= 3).collect()
        } else {
            Vec::new()
        };
        let known = [&forename, &middle, &whole].into_iter().any(Option::is_some);
        known.then(|| Self {
            forename_initial_only: forename.as_ref().is_some_and(|name| name.len() == 1),
            forename,
            middle,
            surname: whole,
            surname_parts,
        })
    }

    /// Returns this name under another forename.
    pub(super) fn with_forenames(&self, forenames: &[Word]) -> Option<Self> {
        let mut other = Self::new(forenames, &[], &[])?;
        other.surname.clone_from(&self.surname);
        other.surname_parts.clone_from(&self.surname_parts);
        Some(other)
    }

    /// Returns this name under another surname.
    pub(super) fn with_surname(&self, surname: &[Word]) -> Option<Self> {
        let other = Self::new(&[], &[], surname)?;
        Some(Self { surname: other.surname, surname_parts: other.surname_parts, ..self.clone() })
    }
}

/// Joins particles to the part they belong to: `mc donald`, `van der berg`, `saint john`.
fn surname_parts(surname: &[Word]) -> Vec<String> {
    let mut parts = Vec::new();
    let mut pending = String::new();
    for (at, word) in surname.iter().enumerate() {
        let last = at + 1 == surname.len();
        pending.push_str(if word.text == "saint" && !last { "st" } else { &word.text });
        if last || !words::is_particle(&word.text) {
            parts.push(std::mem::take(&mut pending));
        }
    }
    parts
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(..)")
    }
}
