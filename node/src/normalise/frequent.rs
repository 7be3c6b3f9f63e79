//! Finds dates of birth that a system writes where it knows none. DOMAIN.md 5.5, "DOB", 4.

use std::collections::{BTreeSet, HashMap, HashSet};

use causeway_proto::day::Day;

use super::Person;

/// How many times its share of a year's births a date must have to be taken for a default.
const TIMES_EXPECTED: f64 = 5.0;

/// So many people have a default at least, told apart by the initials of their names: twins, chance, and one
/// person who is on record hundreds of times explain fewer.
const FEWEST: usize = 100;

/// Who has a date of birth.
#[derive(Default)]
struct Holders {
    records: u64,
    initials: HashSet<[Option<char>; 2]>,
}

/// Returns the dates of birth that an agency holds too often to be all true: more than five times their share of
/// that year's births, and of a hundred people at least. Takes all of its people, or most.
pub fn over_frequent<'a>(people: impl Iterator<Item = &'a Person>) -> BTreeSet<Day> {
    let mut by_year: HashMap<i16, u64> = HashMap::new();
    let mut by_day: HashMap<Day, Holders> = HashMap::new();
    for person in people {
        let Some(day) = person.birth.day() else { continue };
        let name = person.names.first();
        let initial = |text: Option<&String>| text.and_then(|text| text.chars().next());
        let forename = initial(name.and_then(|name| name.forename.as_ref()));
        let surname = initial(name.and_then(|name| name.surname.as_ref()));
        *by_year.entry(day.ymd().0).or_default() += 1;
        let holders = by_day.entry(day).or_default();
        holders.records += 1;
        if holders.initials.len() < FEWEST {
            holders.initials.insert([forename, surname]);
        }
    }
    let is_default = |(day, holders): &(Day, Holders)| {
        let share = by_year[&day.ymd().0] as f64 / 365.25;
        holders.initials.len() >= FEWEST && holders.records as f64 > TIMES_EXPECTED * share
    };
    by_day.into_iter().filter(is_default).map(|(day, _)| day).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::{Birth, BirthDate, Name};

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    /// So many people of different initials, each on record so many times, born on a day.
    fn born(people: usize, times: usize, day: Day) -> Vec<Person> {
        let letter = |n: usize| char::from(b'a' + (n % 26) as u8).to_string();
        let person = |n: usize| Person {
            names: vec![Name {
                forename: Some(letter(n)),
                surname: Some(letter(n / 26)),
                ..Name::default()
            }],
            birth: Birth { date: BirthDate::Full(day), ..Birth::default() },
            ..Person::default()
        };
        (0..people).flat_map(|n| (0..times).map(move |_| n)).map(person).collect()
    }

    #[test]
    fn a_date_of_many_people_that_is_too_frequent_for_its_year_is_a_default() {
        let mut all: Vec<Person> = Vec::new();
        (0..365).for_each(|n| all.extend(born(30, 1, day("1985-01-01").plus(n))));
        assert!(over_frequent(all.iter()).is_empty());
        all.extend(born(140, 1, day("1985-07-01")));
        all.extend(born(110, 1, day("1985-03-03")));
        // One person on record hundreds of times, and a date of few people.
        all.extend(born(1, 400, day("1971-05-05")));
        all.extend(born(90, 1, day("1990-03-03")));
        assert_eq!(over_frequent(all.iter()), [day("1985-07-01")].into(), "170 where 31 would be");
    }
}
