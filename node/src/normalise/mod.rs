//! Brings a record into the one spelling that every node agrees on.
//!
//! Two agencies get equal match-keys only if they get equal bytes here, so the rules are part of
//! the contract between nodes: a change that alters any result raises
//! [`REVISION`](crate::tokenise::recipe::REVISION), and one after which nodes must not compare raises
//! [`RECIPE`](causeway_proto::kind::RECIPE), which is in the context of every key. The rules are
//! those of DOMAIN.md 5.4 and 5.5 and LINKAGE.md 2.1; canonical text is lower-case ASCII.
//!
//! ```text
//! fold                  any letter to lower-case ASCII
//! name, variant, rarity who: names and aliases; other forms of a name; how common it is
//! birth                 when born, how much of the date is known, the swapped reading
//! postcode, address     where: flat, house, street, postcode, and whether it is a dwelling
//! identifier, contact   numbers that agencies share, each by its own check
//! quality               what had to be left out or mended, counted
//! ```
//!
//! Nothing is rejected here: a field that cannot be trusted is missing, and a note says so. What
//! is left of a record may still tell a person or a dwelling.

use std::fmt;

use causeway_proto::day::Day;

use crate::source::{
    Feed, RawPerson,
    dates::{DateFormats, NOT_KNOWN, is_real},
};

pub mod address;
pub mod birth;
mod contact;
pub mod fold;
mod frequent;
pub mod identifier;
pub mod name;
mod postcode;
pub mod quality;
pub mod rarity;
pub mod variant;

pub use address::{Address, AddressKind};
pub use birth::{Birth, BirthDate};
pub use frequent::over_frequent;
pub use identifier::{NhsNumber, Nino, Upn, Uprn};
pub use name::{Generation, Name};
pub use quality::{Note, Notes, Quality};

/// What a feed declares about its records, and the day they are read on.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How the feed writes dates.
    pub dates: DateFormats,
    /// The day of the export. Dates of birth after it are mistakes.
    pub as_at: Day,
    /// A birth on 1 January means that only the year is known, as in health and police records.
    pub year_only_first_january: bool,
    /// A birth on the 15th means that only year and month are known, as in children's services.
    pub month_only_fifteenth: bool,
    /// The first year of birth that a register of the past may speak of.
    pub born_from: Option<i16>,
    /// Takes identifiers from ranges that are never issued. For tests and demonstrations only.
    pub accept_test_ranges: bool,
}

impl Rules {
    /// Returns the rules that a feed's mapping declares, for a file exported on the day `as_at`.
    pub fn of(feed: &Feed, as_at: Day) -> Self {
        let mapping = feed.mapping();
        Self {
            dates: feed.dates().clone(),
            as_at,
            year_only_first_january: mapping.year_only_first_january,
            month_only_fifteenth: mapping.month_only_fifteenth,
            born_from: mapping.born_from,
            accept_test_ranges: mapping.accept_test_ranges,
        }
    }
}

/// Sex as recorded. Evidence, never decisive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sex {
    /// Female.
    Female,
    /// Male.
    Male,
}

/// A person in agreed spelling. Exists only inside a node: it has no wire form.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Person {
    /// The recorded name first, then other names the person goes by. Empty if none is known.
    pub names: Vec<Name>,
    /// Date of birth, as far as it is known.
    pub birth: Birth,
    /// Sex, where it was recorded as female or male.
    pub sex: Option<Sex>,
    /// Where the person lives.
    pub address: Address,
    /// NHS or CHI number.
    pub nhs: Option<NhsNumber>,
    /// Unique pupil number, permanent or temporary.
    pub upn: Option<Upn>,
    /// National insurance number.
    pub nino: Option<Nino>,
    /// Another reference that several agencies carry.
    pub other_id: Option<String>,
    /// The last nine digits of the telephone number.
    pub phone: Option<String>,
    /// E-mail address.
    pub email: Option<String>,
    /// Elder or younger of two people of one name.
    pub generation: Option<Generation>,
    /// True when the name is a newborn's stand-in: the surname is the mother's.
    pub newborn: bool,
    /// Which of twins a newborn's stand-in says.
    pub twin: Option<u8>,
    /// Day of death.
    pub deceased: Option<Day>,
    /// First day at the address.
    pub residence_from: Option<Day>,
    /// Last day at the address.
    pub residence_to: Option<Day>,
}

/// Normalises one record, and notes what had to be left out or mended.
pub fn normalise(raw: &RawPerson, rules: &Rules) -> (Person, Notes) {
    let mut notes = Notes::default();
    let names = name::read(raw, &mut notes);
    let address = address::read(raw, &mut notes);
    let birth = birth::read(&raw.dob, rules, &mut notes);
    let sex = sex(&raw.sex, &mut notes);
    let tests = rules.accept_test_ranges;
    let mut read = Fields { notes: &mut notes };
    let person = Person {
        names: names.names,
        birth,
        sex,
        address,
        nhs: read.field(&raw.nhs, |text| NhsNumber::read(text, tests)),
        upn: read.field(&raw.upn, Upn::read).flatten(),
        nino: read.field(&raw.nino, |text| Nino::read(text, tests)),
        other_id: read.field(&raw.other_id, contact::other_id),
        phone: read.field(&raw.phone, contact::phone),
        email: read.field(&raw.email, contact::email),
        generation: names.generation,
        newborn: names.newborn,
        twin: names.twin,
        deceased: read.death(&raw.deceased, rules),
        residence_from: read.residence(&raw.residence_from, &rules.dates),
        residence_to: read.residence(&raw.residence_to, &rules.dates),
    };
    (person, notes)
}

/// Reads fields that are either good or missing.
struct Fields<'a> {
    notes: &'a mut Notes,
}

impl Fields<'_> {
    fn field<T>(&mut self, text: &str, read: impl Fn(&str) -> Result<T, Note>) -> Option<T> {
        if text.trim().is_empty() {
            return None;
        }
        read(text).map_err(|note| self.notes.add(note)).ok()
    }

    /// Reads the day of a death, which is none where it lies ahead or at the beginning of a system's time.
    fn death(&mut self, text: &str, rules: &Rules) -> Option<Day> {
        let day = self.day(text, &rules.dates)?;
        if day.ymd().0 <= NOT_KNOWN || day > rules.as_at {
            self.notes.add(Note::DeathPlaceholder);
            return None;
        }
        Some(day)
    }

    /// Reads an end of a stay; what systems write for "not known" or "no end" is none.
    fn residence(&mut self, text: &str, dates: &DateFormats) -> Option<Day> {
        self.day(text, dates).filter(is_real)
    }

    fn day(&mut self, text: &str, dates: &DateFormats) -> Option<Day> {
        self.field(text, |text| dates.day(text).ok_or(Note::DateUnreadable))
    }
}

/// Reads sex as letters, words, or the digits of health records.
fn sex(text: &str, notes: &mut Notes) -> Option<Sex> {
    match fold::fold(text).trim() {
        "f" | "female" | "woman" | "girl" | "2" => Some(Sex::Female),
        "m" | "male" | "man" | "boy" | "1" => Some(Sex::Male),
        // 0 and 9 are "not known" and "not specified" in the same records.
        "" | "0" | "9" | "u" | "unknown" => None,
        _ => {
            notes.add(Note::SexOther);
            None
        }
    }
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Person(..)")
    }
}

impl fmt::Debug for Sex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sex(..)")
    }
}

#[cfg(test)]
impl Rules {
    /// Returns rules as a feed of health records would declare them, on 1 November 2025.
    pub(crate) fn example() -> Self {
        let formats = ["%Y-%m-%d", "%d/%m/%Y", "%Y-%m", "%Y"];
        Self {
            dates: DateFormats::new(&formats, None).unwrap(),
            as_at: "2025-11-01".parse().unwrap(),
            year_only_first_january: true,
            month_only_fifteenth: false,
            born_from: None,
            accept_test_ranges: true,
        }
    }
}

#[cfg(test)]
mod tests;
