//! What was wrong with records, counted: which fields were there, which rules had to step in.
//!
//! Counts only. They go into a dry run's report, which a data steward may pass around.

use serde::Serialize;

use super::Person;
use crate::source::{ALWAYS_ALLOWED, FileRefused, RawPerson};

/// Declares the notes with the names they have in reports.
macro_rules! notes {
    ($($(#[$doc:meta])* $note:ident = $name:literal,)+) => {
        /// Something a rule found while normalising one record.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Note {
            $($(#[$doc])* $note,)+
        }

        impl Note {
            /// Every note, in the order of reports.
            pub const ALL: &[Self] = &[$(Self::$note,)+];

            /// Returns the name in reports.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$note => $name,)+
                }
            }
        }
    };
}

notes! {
    /// A name field said that there is no name, or held a newborn's stand-in.
    NamePlaceholder = "name_placeholder",
    /// A name field named two people; the forename is left out.
    NameJoint = "name_joint",
    /// Letters were dropped that nobody can read, such as the sign for one that was lost.
    NameScript = "name_script",
    /// A name field said that the person has died. Without a date nothing follows from it.
    SaidDeceased = "said_deceased",
    /// The birth date fits none of the feed's formats.
    BirthUnreadable = "birth_unreadable",
    /// The birth date fits a format and is no day of the calendar.
    BirthImpossible = "birth_impossible",
    /// The birth date is one that systems use for "not known".
    BirthPlaceholder = "birth_placeholder",
    /// The birth date is too long ago or in the future.
    BirthImplausible = "birth_implausible",
    /// The birth date lies ahead: a delivery is expected.
    BirthExpected = "birth_expected",
    /// The birth date stands for a year or a month only.
    BirthPartial = "birth_partial",
    /// Sex was recorded and is neither female nor male, or cannot be read.
    SexOther = "sex_other",
    /// The postcode does not have the British form.
    PostcodeForm = "postcode_form",
    /// A letter and a digit that look alike were exchanged in the postcode.
    PostcodeRepaired = "postcode_repaired",
    /// The postcode stands for no place: no fixed abode, forces mail.
    PostcodePseudo = "postcode_pseudo",
    /// The address says that it is withheld; all of it is left out.
    AddressWithheld = "address_withheld",
    /// The UPRN is no number from 1 to 999,999,999,999.
    UprnForm = "uprn_form",
    /// The NHS number has the wrong form or check digit.
    NhsCheckDigit = "nhs_check_digit",
    /// The NHS number is from the range never issued.
    NhsTestRange = "nhs_test_range",
    /// The UPN has the wrong form or check letter.
    UpnCheckLetter = "upn_check_letter",
    /// The NINO has the wrong form.
    NinoForm = "nino_form",
    /// The NINO is a temporary or administrative one, or an example.
    NinoReserved = "nino_reserved",
    /// The other identifier is too short or a filler.
    OtherIdForm = "other_id_form",
    /// The telephone number is too short or a filler.
    PhoneForm = "phone_form",
    /// The e-mail address is not one.
    EmailForm = "email_form",
    /// The date of death lies ahead, or is one that systems use for "none".
    DeathPlaceholder = "death_placeholder",
    /// A date of death or residence cannot be read.
    DateUnreadable = "date_unreadable",
}

/// The notes on one record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes(u32);

impl Notes {
    /// Adds a note; adding it again changes nothing.
    pub fn add(&mut self, note: Note) {
        self.0 |= 1 << note as u32;
    }

    /// Returns whether a note was made.
    pub fn has(self, note: Note) -> bool {
        self.0 & (1 << note as u32) != 0
    }

    /// Returns the notes that were made.
    pub fn iter(self) -> impl Iterator<Item = Note> {
        Note::ALL.iter().copied().filter(move |note| self.has(*note))
    }
}

/// Counts over the records of a feed.
///
/// Serialises as one object of counts: `{"records": 3, "with": {"nhs": 2, …}, "notes": {…}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Quality {
    /// Records counted.
    pub records: u64,
    /// Records with something where the date of birth stands.
    pub dated: u64,
    /// How many records carry each identity field after normalising.
    pub with: Coverage,
    /// How many records each note was made on; notes never made are left out.
    #[serde(serialize_with = "by_name")]
    notes: [u64; Note::ALL.len()],
}

/// How many records carry each identity field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// A forename of two letters or more.
    pub forename: u64,
    /// A surname.
    pub surname: u64,
    /// A full date of birth.
    pub birth: u64,
    /// Sex.
    pub sex: u64,
    /// A postcode of British form.
    pub postcode: u64,
    /// An address that tells a dwelling.
    pub dwelling: u64,
    /// A UPRN.
    pub uprn: u64,
    /// An NHS number.
    pub nhs: u64,
    /// A permanent UPN.
    pub upn: u64,
    /// A NINO.
    pub nino: u64,
    /// A telephone number.
    pub phone: u64,
    /// An e-mail address.
    pub email: u64,
}

impl Quality {
    /// Decides whether the dates are written as the mapping says: a few are odd everywhere, and not most. Read with
    /// day and month the wrong way round, three in five are no days of the calendar.
    pub fn judge(&self) -> Result<(), FileRefused> {
        let noted = |note| self.noted(note);
        let (unreadable, impossible) = (noted(Note::BirthUnreadable), noted(Note::BirthImpossible));
        let (odd, dated) = (unreadable + impossible, self.dated);
        if odd <= ALWAYS_ALLOWED {
            return Ok(());
        }
        if impossible * 4 > dated {
            return Err(FileRefused::DatesImpossible { impossible, dated });
        }
        match odd * 2 > dated {
            true => Err(FileRefused::DatesUnreadable { unreadable: odd, dated }),
            false => Ok(()),
        }
    }

    /// Counts one record.
    pub fn count(&mut self, raw: &RawPerson, person: &Person, notes: Notes) {
        self.records += 1;
        self.dated += u64::from(!raw.dob.trim().is_empty());
        for note in notes.iter() {
            self.notes[note as usize] += 1;
        }
        let name = person.names.first();
        let with = &mut self.with;
        for (count, carried) in [
            (
                &mut with.forename,
                name.is_some_and(|name| name.forename.is_some() && !name.forename_initial_only),
            ),
            (&mut with.surname, name.is_some_and(|name| name.surname.is_some())),
            (&mut with.birth, person.birth.day().is_some()),
            (&mut with.sex, person.sex.is_some()),
            (&mut with.postcode, person.address.sector.is_some()),
            (&mut with.dwelling, person.address.is_dwelling()),
            (&mut with.uprn, person.address.uprn.is_some()),
            (&mut with.nhs, person.nhs.is_some()),
            (&mut with.upn, person.upn.as_ref().is_some_and(|upn| upn.is_permanent())),
            (&mut with.nino, person.nino.is_some()),
            (&mut with.phone, person.phone.is_some()),
            (&mut with.email, person.email.is_some()),
        ] {
            *count += u64::from(carried);
        }
    }

    /// Returns how many records a note was made on.
    pub fn noted(&self, note: Note) -> u64 {
        self.notes[note as usize]
    }
}

fn by_name<S: serde::Serializer>(counts: &[u64], to: S) -> Result<S::Ok, S::Error> {
    let named = Note::ALL.iter().zip(counts).filter(|(_, count)| **count > 0);
    to.collect_map(named.map(|(note, count)| (note.as_str(), count)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_has_its_own_bit() {
        let mut notes = Notes::default();
        for (at, note) in Note::ALL.iter().enumerate() {
            assert!(!notes.has(*note), "{}", note.as_str());
            notes.add(*note);
            assert_eq!(notes.iter().count(), at + 1);
        }
    }

    #[test]
    fn a_report_holds_counts_and_nothing_else() {
        let mut quality = Quality::default();
        let mut notes = Notes::default();
        notes.add(Note::NhsCheckDigit);
        quality.count(&RawPerson::default(), &Person::default(), notes);

        let report = serde_json::to_value(&quality).unwrap();
        assert_eq!(report["records"], 1);
        assert_eq!(report["with"]["nhs"], 0);
        assert_eq!(report["notes"], serde_json::json!({ "nhs_check_digit": 1 }));
    }
}
