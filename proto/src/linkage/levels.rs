//! How well two records agree, field by field.
//!
//! Levels are those of `linkage/LINKAGE.md`, section 2.4; a higher level is better agreement, and
//! the highest rule that holds wins. `D` is the Dice coefficient of the two sets of pairs of neighbouring
//! letters, which are the same in either order: two letters that changed places cost two pairs and not three.
//!
//! | field | levels |
//! |---|---|
//! | forename | 0 differs; 1 initial; 2 D >= .45; 3 D >= .65, or same sound and D >= .3; 4 formal name shared, or one is only that initial, or the other's middle name; 5 equal; 6 in the surname's place |
//! | surname | 0 differs; 1 D >= .4; 2 D >= .55 or same sound; 3 D >= .7 or a part equal; 4, 5 equal and common, rare; 6 in the forename's place |
//! | middle | 0 differs; 1 initial; 2 D >= .7 |
//! | birth | 0 differs; 1 year, or day and month on a partial date, or two digits differ, or within 2 years; 2 two of three parts, or within 31 days; 3 one digit differs or two are exchanged; 4 day and month swapped; 5 equal |
//! | sex | 0, 1 |
//! | address | 0 differs; 1 sector, or similar street, or similar postcode; 2 postcode, or house and similar postcode; 3 house and street, or postcode and street; 4 postcode and house; 5 all three |
//! | town | 0; 1 D >= .65; 2 equal |
//! | other id | 0; 1 D >= .55; 2 D >= .7; 3 equal |
//! | email | 0; 1 D >= .55; 2 part before the @ or D >= .75; 3 equal |
//! | phone | 0; 1 D >= .7; 2 equal |

mod names;

use self::names::{
    forename, formal_shared, known_by_middle, middle, names_swapped, shortened, surname,
};
use super::comparison::{Atom, Comparison, Presence, Word};
use crate::wire::wire_enum;

wire_enum! {
    /// What is compared.
    ComparisonField, "field" {
        /// First given name.
        Forename = "forename",
        /// Surname.
        Surname = "surname",
        /// Middle name.
        Middle = "middle",
        /// Birth date.
        Birth = "birth",
        /// Sex.
        Sex = "sex",
        /// House, street and postcode together.
        Address = "address",
        /// Town.
        Town = "town",
        /// Another national number.
        OtherId = "other_id",
        /// Email address.
        Email = "email",
        /// Phone number.
        Phone = "phone",
    }
}

use ComparisonField as F;

impl ComparisonField {
    /// How many fields are compared.
    pub const COUNT: usize = Self::ALL.len();

    /// The most levels any field has.
    pub const MOST_LEVELS: usize = 7;

    /// Returns how many levels the field has.
    pub const fn levels(self) -> usize {
        match self {
            F::Forename | F::Surname => 7,
            F::Birth | F::Address => 6,
            F::OtherId | F::Email => 4,
            F::Middle | F::Town | F::Phone => 3,
            F::Sex => 2,
        }
    }
}

/// The agreement of one pair: a level for each field or "missing", two remarks that guards need, and
/// whether nobody looked, and why. Packed, so that pairs can be counted by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Levels(u64);

const MISSING: u64 = 15;
const INITIAL_ONLY: u64 = 1 << 60;
const GENERATION_APART: u64 = 1 << 61;
const SUPPOSED: u64 = 1 << 62;
const OUTDONE: u64 = 1 << 63;

impl Levels {
    /// A pair of which nothing can be compared.
    pub const NONE: Self = Self(0x00ff_ffff_ffff);

    /// Returns the level of a field, or `None` where either side lacks it.
    pub const fn get(self, field: F) -> Option<usize> {
        match (self.0 >> (4 * field as u64)) & 15 {
            MISSING => None,
            level => Some(level as usize),
        }
    }

    /// Returns the level of a field, or `None` as less than every level.
    pub fn at_least(self, field: F, level: usize) -> bool {
        self.get(field).is_some_and(|reached| reached >= level)
    }

    /// Returns the same with one field at another level.
    #[must_use]
    pub const fn with(self, field: F, level: usize) -> Self {
        let shift = 4 * field as u64;
        Self(self.0 & !(15 << shift) | (level as u64 & 15) << shift)
    }

    /// Returns whether forenames agree only because one of them is an initial.
    pub const fn initial_only(self) -> bool {
        self.0 & INITIAL_ONLY != 0
    }

    /// Returns whether birth years are known and at least 12 years apart (10 and 11 sometimes).
    pub const fn generation_apart(self) -> bool {
        self.0 & GENERATION_APART != 0
    }

    /// Returns the same as what other pairs showed and this one is only supposed to.
    #[must_use]
    pub const fn supposed(self) -> Self {
        Self(self.0 | SUPPOSED)
    }

    /// Returns whether nobody looked at the pair: its match-keys decided it, and the levels are those
    /// of another pair that shares the same.
    pub const fn is_supposed(self) -> bool {
        self.0 & SUPPOSED != 0
    }

    /// Returns the same, supposed only as long as one of the two is somebody else's for certain.
    #[must_use]
    pub const fn outdone(self) -> Self {
        Self(self.0 | SUPPOSED | OUTDONE)
    }

    /// Returns whether nobody looked at the pair because one of the two is somebody else's for certain.
    pub const fn is_outdone(self) -> bool {
        self.0 & OUTDONE != 0
    }

    /// Returns the packed form, for counting and storage.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Takes a packed form back.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// Holds two records of one block against each other.
    pub fn of(a: &Comparison, b: &Comparison) -> Self {
        let mut levels = Self::NONE;
        let shared = a.shared(b);
        let both = |bits| shared.has(bits);
        let mut set = |field, level: usize| levels = levels.with(field, level);

        let swapped = both(Presence::FORENAME | Presence::SURNAME) && names_swapped(a, b);
        if both(Presence::FORENAME) {
            set(F::Forename, if swapped { 6 } else { forename(a, b, shared) });
        }
        if both(Presence::SURNAME) {
            set(F::Surname, if swapped { 6 } else { surname(a, b) });
        }
        // A middle name that went by as forename has spoken.
        if both(Presence::MIDDLE) && !known_by_middle(a, b) {
            set(F::Middle, middle(a, b, shared));
        }
        if let Some(level) = birth(a, b, shared) {
            set(F::Birth, level);
        }
        if both(Presence::SEX) {
            set(F::Sex, usize::from(same(a, b, Atom::Sex)));
        }
        if both(Presence::POSTCODE) || both(Presence::STREET) {
            set(F::Address, address(a, b, shared));
        }
        if both(Presence::TOWN) {
            set(F::Town, fuzzy(a, b, Atom::Town, Word::Town, &[0.65]));
        }
        if both(Presence::OTHER_ID) {
            set(F::OtherId, fuzzy(a, b, Atom::OtherId, Word::OtherId, &[0.55, 0.7]));
        }
        if both(Presence::EMAIL) {
            let level = fuzzy(a, b, Atom::Email, Word::Email, &[0.55, 0.75]);
            let local = if same(a, b, Atom::EmailLocal) { 2 } else { 0 };
            set(F::Email, level.max(local));
        }
        if both(Presence::PHONE) {
            set(F::Phone, fuzzy(a, b, Atom::Phone, Word::Phone, &[0.7]));
        }

        let spelt_out = formal_shared(a, b) || known_by_middle(a, b);
        if levels.get(F::Forename) == Some(4) && shortened(a, b, shared) && !spelt_out {
            levels.0 |= INITIAL_ONLY;
        }
        if both(Presence::YEAR) && !GENERATIONS.iter().any(|bin| same(a, b, *bin)) {
            levels.0 |= GENERATION_APART;
        }
        levels
    }
}

impl std::fmt::Debug for Levels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = f.debug_map();
        for field in F::ALL {
            if let Some(level) = self.get(*field) {
                map.entry(&format_args!("{field}"), &level);
            }
        }
        map.finish()
    }
}

const GENERATIONS: [Atom; 4] =
    [Atom::Generation0, Atom::Generation1, Atom::Generation2, Atom::Generation3];
fn same(a: &Comparison, b: &Comparison, atom: Atom) -> bool {
    a.atom(atom) == b.atom(atom)
}

/// Estimates the Dice coefficient of two sets of letter pairs: 1 for the same set, 0 for none in
/// common.
///
/// One-bit minwise hashes of sets with the Jaccard similarity J have (1 + J) / 2 of their bits in
/// common (Li and König, 2010), and Dice is 2 J / (1 + J). A record without a value has noise, which
/// is like nothing.
pub fn alike(a: u128, b: u128) -> f64 {
    dice((a ^ b).count_zeros())
}

fn dice(equal: u32) -> f64 {
    let jaccard = (2.0 * f64::from(equal) / 128.0 - 1.0).max(0.0);
    2.0 * jaccard / (1.0 + jaccard)
}

/// Returns 0, or the number of thresholds reached, or one more when equal.
///
/// Atoms of different values are the same in one of 65,536 cases, which is more often than strangers
/// share a phone number: equal values have letters in common, too.
fn fuzzy(a: &Comparison, b: &Comparison, atom: Atom, word: Word, steps: &[f64]) -> usize {
    let similarity = alike(a.word(word), b.word(word));
    let reached = steps.iter().filter(|step| similarity >= **step).count();
    reached + usize::from(reached == steps.len() && same(a, b, atom))
}

fn birth(a: &Comparison, b: &Comparison, shared: Presence) -> Option<usize> {
    let parts = [
        (Presence::YEAR, Atom::Year),
        (Presence::MONTH, Atom::Month),
        (Presence::DAY, Atom::DayOfMonth),
    ];
    let known = parts.map(|(bit, _)| shared.has(bit));
    let [year, month, day] = [0, 1, 2].map(|at| known[at] && same(a, b, parts[at].1));
    let (known, agree) = (count(known), count([year, month, day]));
    if known == 0 {
        return None;
    }
    if !shared.has(Presence::FULL_BIRTH) {
        return Some(if agree < known { 0 } else { agree.min(2) });
    }
    if agree == 3 {
        return Some(5);
    }
    if same(a, b, Atom::Unordered) {
        return Some(4);
    }
    let differing = digits_differing(a.word(Word::Digits), b.word(Word::Digits));
    if differing == 1 || (differing == 2 && same(a, b, Atom::SortedDigits)) {
        return Some(3);
    }
    if agree == 2 || same(a, b, Atom::Near0) || same(a, b, Atom::Near1) {
        return Some(2);
    }
    let close =
        year || differing == 2 || same(a, b, Atom::NearYears0) || same(a, b, Atom::NearYears1);
    Some(usize::from(close))
}

fn count(flags: [bool; 3]) -> usize {
    flags.into_iter().filter(|flag| *flag).count()
}

fn digits_differing(a: u128, b: u128) -> usize {
    let (a, b) = (a.to_le_bytes(), b.to_le_bytes());
    a.iter().zip(b).filter(|(x, y)| **x != *y).count()
}

fn address(a: &Comparison, b: &Comparison, shared: Presence) -> usize {
    let both = |bit| shared.has(bit);
    let near = |bit, word, least| both(bit) && alike(a.word(word), b.word(word)) >= least;
    let postcode = both(Presence::POSTCODE) && same(a, b, Atom::Postcode);
    let sector = both(Presence::POSTCODE) && same(a, b, Atom::Sector);
    let street = both(Presence::STREET) && same(a, b, Atom::Street);
    let house = both(Presence::HOUSE) && same(a, b, Atom::House);
    let near_street = street || near(Presence::STREET, Word::Street, 0.7);
    let near_postcode = postcode || near(Presence::POSTCODE, Word::Postcode, 0.6);

    if house && near_street && postcode {
        5
    } else if (postcode && house) || (house && street && near_postcode) {
        4
    } else if (house || postcode) && near_street {
        3
    } else if postcode || (house && near_postcode) {
        2
    } else {
        usize::from(sector || near_street || near_postcode)
    }
}
