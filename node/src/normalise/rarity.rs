//! How common names are, from public tables, so that agreement on a rare one can weigh more.
//!
//! Every node carries the same table and asks nobody. The numbers are rough: they tell `smith`
//! from `denholm`, not `carter` from `cooper`.

use std::{collections::HashMap, sync::LazyLock};

use super::variant;

/// Names less common than this are not in the table.
pub const FLOOR_PER_MILLION: f32 = 30.0;

/// A spelling that belongs to a family of spellings counts as at least this common.
///
/// The tables count spellings one by one and mostly American ones, and so call names rare that every British
/// town knows well.
pub const FAMILY_PER_MILLION: f32 = 500.0;

/// Which part of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Part {
    /// The first given name.
    Forename,
    /// The family name.
    Surname,
}

static FREQUENCIES: LazyLock<HashMap<(Part, &'static str), f32>> = LazyLock::new(|| {
    let table = include_str!("../../data/name_frequencies.csv");
    let rows = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.filter_map(|line| {
        let (part, rest) = line.split_once(',')?;
        let (name, per_million) = rest.split_once(',')?;
        let part = if part == "f" { Part::Forename } else { Part::Surname };
        Some(((part, name), per_million.parse().ok()?))
    })
    .collect()
});

/// Returns how many people in a million bear a name, or `None` when it is rarer than
/// [`FLOOR_PER_MILLION`].
pub fn frequency(part: Part, name: &str) -> Option<f32> {
    let listed = FREQUENCIES.get(&(part, name)).copied();
    if variant::is_family_spelling(name) {
        return Some(listed.unwrap_or_default().max(FAMILY_PER_MILLION));
    }
    listed
}

/// Returns how many bearers of a forename and surname together to expect among `population`
/// people.
///
/// Supposes that one name says nothing about the other. An unlisted name counts as
/// [`FLOOR_PER_MILLION`], so the result errs towards common.
pub fn expected_bearers(forename: &str, surname: &str, population: u32) -> f64 {
    let share =
        |part, name| f64::from(frequency(part, name).unwrap_or(FLOOR_PER_MILLION)) / 1_000_000.0;
    f64::from(population) * share(Part::Forename, forename) * share(Part::Surname, surname)
}

/// Returns whether a word is better known as a surname than as a forename.
pub(super) fn is_mostly_surname(word: &str) -> bool {
    if !variant::formal_names(word).is_empty() {
        return false;
    }
    frequency(Part::Surname, word) > frequency(Part::Forename, word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_names_are_common_and_rare_ones_unlisted() {
        assert!(frequency(Part::Surname, "smith").unwrap() > 5_000.0);
        assert!(frequency(Part::Forename, "john").unwrap() > 5_000.0);
        assert!(frequency(Part::Surname, "patel").unwrap() > 1_000.0);
        assert_eq!(frequency(Part::Surname, "denholm"), None);
        assert_eq!(frequency(Part::Forename, "john2"), None);
    }

    #[test]
    fn a_spelling_of_a_common_name_is_never_rare() {
        for spelling in ["muhammad", "mohamud", "maxamed"] {
            assert!(frequency(Part::Forename, spelling) >= Some(FAMILY_PER_MILLION));
        }
    }

    #[test]
    fn rare_pairs_are_told_from_common_ones() {
        let town = 250_000;
        assert!(expected_bearers("john", "smith", town) > 4.0);
        assert!(expected_bearers("rosalind", "denholm", town) < 0.01);
        assert!(expected_bearers("mohammed", "hussain", 60_000_000) > 4.0);
    }

    #[test]
    fn price_is_a_surname_and_daz_is_not() {
        for (word, surname) in
            [("price", true), ("tanner", true), ("carol", false), ("daz", false), ("zq", false)]
        {
            assert_eq!(is_mostly_surname(word), surname, "{word}");
        }
    }
}
