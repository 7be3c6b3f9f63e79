//! Records of one agency that say exactly the same of somebody: one person, whatever else is known.
//!
//! Custody and call systems write one person down hundreds of times, word for word. One of such records
//! is compared with the rest of the agency, and stands for all.

use std::collections::hash_map::Entry;

use foldhash::{HashMap, HashMapExt};

use super::dedupe::Piece;
use crate::tokenise::profile::{Profile, Sounded};

/// Records, each of which stands for those that say the same.
pub(super) struct Equals<'a> {
    /// One record of each kind, in order.
    pub(super) one_each: Vec<&'a Piece>,
    /// For how many it stands, itself among them.
    pub(super) times: Vec<f64>,
    /// Where each stands among all records.
    places: Vec<u32>,
    /// By record: which of `one_each` stands for it.
    of: Vec<u32>,
}

impl<'a> Equals<'a> {
    /// Finds who says the same.
    pub(super) fn of(pieces: &'a [Piece]) -> Self {
        let mut first: HashMap<&[u8], u32> = HashMap::with_capacity(pieces.len());
        let mut equals =
            Self { one_each: Vec::new(), times: Vec::new(), places: Vec::new(), of: Vec::new() };
        for (piece, place) in pieces.iter().zip(0u32..) {
            let next = u32::try_from(equals.one_each.len()).expect("fewer than records");
            let same = match names_somebody(&piece.profile).then(|| first.entry(&piece.sketch)) {
                Some(Entry::Occupied(same)) => Some(*same.get()),
                Some(Entry::Vacant(free)) => {
                    free.insert(next);
                    None
                }
                None => None,
            };
            // What the sketch does not tell apart, the whole profile does.
            let is_same = |one: &u32| equals.one_each[*one as usize].profile == piece.profile;
            match same.filter(is_same) {
                Some(one) => {
                    equals.times[one as usize] += 1.0;
                    equals.of.push(one);
                }
                None => {
                    equals.one_each.push(piece);
                    equals.times.push(1.0);
                    equals.places.push(place);
                    equals.of.push(next);
                }
            }
        }
        equals
    }

    /// Turns groups of one record each into groups of all: the lowest place stands for each.
    pub(super) fn spread(&self, groups: &[u32]) -> Vec<u32> {
        self.of.iter().map(|one| self.places[groups[*one as usize] as usize]).collect()
    }
}

/// Returns whether a record says enough for another that says just the same to be the same person: a whole
/// name, the day of birth, and a home or a number.
fn names_somebody(profile: &Profile) -> bool {
    let named = |names: &[Sounded]| names.first().is_some_and(|name| name.text.len() > 1);
    let born = profile
        .births
        .first()
        .is_some_and(|birth| birth.year.is_some() && birth.month.is_some() && birth.day.is_some());
    let numbers = [&profile.nhs, &profile.upn, &profile.nino, &profile.other_id, &profile.phone];
    let at_home = !profile.house.is_empty() && !profile.postcode.is_empty();
    let known_by = at_home || numbers.iter().any(|number| !number.is_empty());
    named(&profile.forenames) && named(&profile.surnames) && born && known_by
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenise::profile::Birth;

    fn somebody() -> Profile {
        let name = |text: &str| vec![Sounded { text: text.into(), sound: text.into() }];
        Profile {
            forenames: name("carol"),
            surnames: name("denholm"),
            births: vec![Birth { year: Some(1987), month: Some(4), day: Some(6) }],
            house: "14".into(),
            postcode: "zx14ab".into(),
            ..Profile::default()
        }
    }

    fn numbers(profiles: Vec<Profile>) -> Vec<u32> {
        let pieces: Vec<Piece> =
            profiles.into_iter().map(|profile| Piece::new(profile, Vec::new())).collect();
        let equals = Equals::of(&pieces);
        assert_eq!(equals.times.iter().sum::<f64>(), pieces.len() as f64);
        equals.spread(&(0..).take(equals.one_each.len()).collect::<Vec<u32>>())
    }

    #[test]
    fn who_says_the_same_is_one_and_who_says_more_is_not() {
        let other = || Profile { phone: "712345678".into(), ..somebody() };
        let all = vec![other(), somebody(), other(), somebody(), somebody()];
        assert_eq!(numbers(all), [0, 1, 0, 1, 1]);
    }

    #[test]
    fn records_that_say_too_little_stay_apart() {
        for little in [
            Profile { births: Vec::new(), ..somebody() },
            Profile {
                births: vec![Birth { year: Some(1987), month: None, day: None }],
                ..somebody()
            },
            Profile { forenames: Vec::new(), ..somebody() },
            Profile { house: String::new(), ..somebody() },
        ] {
            assert_eq!(numbers(vec![little.clone(), little]), [0, 1]);
        }
        let by_number = Profile { house: String::new(), nhs: "9990000018".into(), ..somebody() };
        assert_eq!(numbers(vec![by_number.clone(), by_number]), [0, 0]);
    }
}
