//! The packed comparison: what a node says of one record so that it can be held against another.
//!
//! Layout 5, [`WIDTH`] bytes, little-endian: the marks of the fields that [`Presence`] numbers (16 bits
//! each), then every [`Atom`] (16 bits each), then every [`Word`] (128 bits each), in the order listed
//! here.
//!
//! An atom is a keyed hash of one value, a word a set of keyed bits, a mark a keyed hash that says
//! that there is a value. All are salted by the token that the two records share, so they can be
//! compared inside that block and nowhere else. Names, formal names, middle names and further forms
//! share one hash domain, so that a forename in another name's place still agrees.
//!
//! **What the coordinator learns.** Whatever a record has nothing to say about is filled with keyed
//! noise, so one comparison by itself is noise from end to end: it does not show which fields the
//! record has. Held against another of the same block it shows, for this pair alone:
//!
//! - which fields *both* have: where marks differ, one of them or both have none, and it does not
//!   show which;
//! - for those, how well they agree ([`Levels`](super::levels::Levels)), and for parts of a name, a
//!   birth date or an address, which of them agree;
//! - of an agreeing surname, whether it is a common one. More classes would link no better, and each
//!   of them would make it easier to tell somebody.
//!
//! A decoy has no counterpart and shows nothing. How many formal names a forename has, and whether a
//! surname is double-barrelled, does not show where the whole names agree.

use crate::wire::WireError;

/// Bytes in one comparison.
pub const WIDTH: usize = 2 * Presence::COUNT + 2 * Atom::COUNT + 16 * Word::COUNT;

/// The version of this layout, as `CompareResponse.layout` says it.
pub const LAYOUT: u32 = 5;

/// A keyed hash of one value, 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Atom {
    /// The first given name.
    Forename,
    /// Double metaphone of the first given name.
    ForenameSound,
    /// First letter of the first given name, where that is more than an initial; hashed as a name, so
    /// that it agrees with somebody's [`Atom::Forename`] who is known by the initial only.
    ForenameInitial,
    /// Four formal names that the given name may stand for.
    Formal0,
    /// See [`Atom::Formal0`].
    Formal1,
    /// See [`Atom::Formal0`].
    Formal2,
    /// See [`Atom::Formal0`].
    Formal3,
    /// Two further given names: of an alias, or of another record of the same person.
    ForenameOther0,
    /// See [`Atom::ForenameOther0`].
    ForenameOther1,
    /// The whole surname.
    Surname,
    /// Double metaphone of the surname.
    SurnameSound,
    /// First part of a double-barrelled surname.
    SurnameFirst,
    /// Last part of a double-barrelled surname.
    SurnameLast,
    /// The surname, where fewer than 15 in 10,000 bear it.
    SurnameRare,
    /// Two further surnames.
    SurnameOther0,
    /// See [`Atom::SurnameOther0`].
    SurnameOther1,
    /// First letter of the middle name.
    MiddleInitial,
    /// The middle name, where it is more than an initial.
    Middle,
    /// Birth year.
    Year,
    /// Birth month.
    Month,
    /// Day of birth.
    DayOfMonth,
    /// Birth year with day and month in ascending order: the same when they were swapped.
    Unordered,
    /// The eight digits in ascending order: the same when two were exchanged.
    SortedDigits,
    /// Two overlapping bins of 62 days.
    Near0,
    /// See [`Atom::Near0`].
    Near1,
    /// Two overlapping bins of 2 years.
    NearYears0,
    /// See [`Atom::NearYears0`].
    NearYears1,
    /// Four bins of 12 years at steps of 3: at 12 years and more none is shared.
    Generation0,
    /// See [`Atom::Generation0`].
    Generation1,
    /// See [`Atom::Generation0`].
    Generation2,
    /// See [`Atom::Generation0`].
    Generation3,
    /// Sex.
    Sex,
    /// Postcode.
    Postcode,
    /// Postcode without its last two letters.
    Sector,
    /// House number or name.
    House,
    /// Street.
    Street,
    /// Town.
    Town,
    /// Another national number.
    OtherId,
    /// Email address.
    Email,
    /// Email address before the @.
    EmailLocal,
    /// Phone number.
    Phone,
}

impl Atom {
    /// How many there are.
    pub const COUNT: usize = Self::Phone as usize + 1;
}

/// A value's pairs of neighbouring letters, in either order, in 128 keyed bits, of which two values that share most of
/// their pairs share most. How long a value is does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
pub enum Word {
    /// The first given name.
    Forename,
    /// Two further given names.
    ForenameOther0,
    /// See [`Word::ForenameOther0`].
    ForenameOther1,
    /// The surname.
    Surname,
    /// Two further surnames.
    SurnameOther0,
    /// See [`Word::SurnameOther0`].
    SurnameOther1,
    /// The middle name.
    Middle,
    /// Not letter pairs: the eight digits of the birth date, hashed in place to 8 bits each.
    Digits,
    /// Postcode.
    Postcode,
    /// Street.
    Street,
    /// Town.
    Town,
    /// Another national number.
    OtherId,
    /// Email address.
    Email,
    /// Phone number.
    Phone,
}

impl Word {
    /// How many there are.
    pub const COUNT: usize = Self::Phone as usize + 1;
}

/// Which fields a record has, and the shape of some; or which of them two records both have. Only
/// the latter leaves a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Presence(pub u32);

impl Presence {
    /// A forename.
    pub const FORENAME: u32 = 1;
    /// A surname.
    pub const SURNAME: u32 = 1 << 1;
    /// A middle name or initial.
    pub const MIDDLE: u32 = 1 << 2;
    /// A birth year.
    pub const YEAR: u32 = 1 << 3;
    /// A birth month.
    pub const MONTH: u32 = 1 << 4;
    /// A day of birth.
    pub const DAY: u32 = 1 << 5;
    /// A sex.
    pub const SEX: u32 = 1 << 6;
    /// A postcode.
    pub const POSTCODE: u32 = 1 << 7;
    /// A house number or name.
    pub const HOUSE: u32 = 1 << 8;
    /// A street.
    pub const STREET: u32 = 1 << 9;
    /// A town.
    pub const TOWN: u32 = 1 << 10;
    /// Another national number.
    pub const OTHER_ID: u32 = 1 << 11;
    /// An email address.
    pub const EMAIL: u32 = 1 << 12;
    /// A phone number.
    pub const PHONE: u32 = 1 << 13;
    /// The forename is an initial only.
    pub const FORENAME_INITIAL: u32 = 1 << 14;
    /// The middle name is more than an initial.
    pub const MIDDLE_LONG: u32 = 1 << 15;
    /// How many bits are used.
    pub const COUNT: usize = 16;
    /// Year, month and day of birth.
    pub const FULL_BIRTH: u32 = Self::YEAR | Self::MONTH | Self::DAY;

    /// Returns whether all of `bits` are set.
    pub const fn has(self, bits: u32) -> bool {
        self.0 & bits == bits
    }

    /// Returns whether any of `bits` is set.
    pub const fn any(self, bits: u32) -> bool {
        self.0 & bits != 0
    }
}

/// One record, as a node lets it be compared inside one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Keyed hashes that say that there is something to compare, by the bits of [`Presence`]; never 0.
    pub marks: [u16; Presence::COUNT],
    /// Keyed hashes, by [`Atom`].
    pub atoms: [u16; Atom::COUNT],
    /// Keyed bit sets, by [`Word`].
    pub words: [u128; Word::COUNT],
}

impl Comparison {
    /// A record of which nothing is known.
    pub const EMPTY: Self =
        Self { marks: [0; Presence::COUNT], atoms: [0; Atom::COUNT], words: [0; Word::COUNT] };

    /// Returns what both records have.
    pub fn shared(&self, other: &Self) -> Presence {
        let marks = self.marks.iter().zip(&other.marks).enumerate();
        let both = marks.filter(|(_, (mine, theirs))| mine == theirs && **mine != 0);
        Presence(both.map(|(bit, _)| 1 << bit).sum())
    }

    /// Returns one atom.
    pub const fn atom(&self, atom: Atom) -> u16 {
        self.atoms[atom as usize]
    }

    /// Returns one word.
    pub const fn word(&self, word: Word) -> u128 {
        self.words[word as usize]
    }

    /// Writes the packed form; that of [`Comparison::EMPTY`] is all zero.
    pub fn write(&self, packed: &mut [u8; WIDTH]) {
        let (marks, rest) = packed.split_at_mut(2 * Presence::COUNT);
        let (atoms, words) = rest.split_at_mut(2 * Atom::COUNT);
        for (bytes, mark) in marks.as_chunks_mut().0.iter_mut().zip(&self.marks) {
            *bytes = mark.to_le_bytes();
        }
        for (bytes, atom) in atoms.as_chunks_mut().0.iter_mut().zip(&self.atoms) {
            *bytes = atom.to_le_bytes();
        }
        for (bytes, word) in words.as_chunks_mut().0.iter_mut().zip(&self.words) {
            *bytes = word.to_le_bytes();
        }
    }

    /// Reads a packed form.
    pub fn read(packed: &[u8; WIDTH]) -> Self {
        let (marks, rest) = packed.split_at(2 * Presence::COUNT);
        let (atoms, words) = rest.split_at(2 * Atom::COUNT);
        let mut comparison = Self::EMPTY;
        for (mark, bytes) in comparison.marks.iter_mut().zip(marks.as_chunks().0) {
            *mark = u16::from_le_bytes(*bytes);
        }
        for (atom, bytes) in comparison.atoms.iter_mut().zip(atoms.as_chunks().0) {
            *atom = u16::from_le_bytes(*bytes);
        }
        for (word, bytes) in comparison.words.iter_mut().zip(words.as_chunks().0) {
            *word = u128::from_le_bytes(*bytes);
        }
        comparison
    }

    /// Takes a column of packed forms apart, as they come in a `CompareResponse`.
    pub fn column(packed: &[u8]) -> Result<&[[u8; WIDTH]], WireError> {
        let (chunks, rest) = packed.as_chunks::<WIDTH>();
        if rest.is_empty() {
            Ok(chunks)
        } else {
            let field = "comparisons";
            Err(WireError::Ragged { field, width: WIDTH, actual: packed.len() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comparison_survives_packing() {
        let mut comparison = Comparison::EMPTY;
        for (at, mark) in (0..).zip(&mut comparison.marks) {
            *mark = 0x1001 * at;
        }
        for (at, atom) in (0..).zip(&mut comparison.atoms) {
            *atom = 0x0101 * at;
        }
        for (at, word) in (1..).zip(&mut comparison.words) {
            *word = at << 60 | at;
        }
        let mut packed = [[0; WIDTH]; 2];
        comparison.write(&mut packed[1]);
        let packed = packed.concat();
        let column = Comparison::column(&packed).unwrap();
        assert_eq!(column.len(), 2);
        assert_eq!(Comparison::read(&column[0]), Comparison::EMPTY);
        assert_eq!(Comparison::read(&column[1]), comparison);
        assert!(Comparison::column(&packed[1..]).is_err());
    }

    #[test]
    fn two_records_share_what_has_equal_marks_and_nothing_shares_nothing() {
        let mut comparison = Comparison::EMPTY;
        comparison.marks[1] = 7;
        let mut other = comparison;
        (comparison.marks[2], other.marks[2]) = (8, 9);
        assert_eq!(comparison.shared(&other), Presence(Presence::SURNAME));
        assert_eq!(Comparison::EMPTY.shared(&Comparison::EMPTY), Presence(0));
    }
}
