//! One local person in agreed spelling: every form that a match-key or a comparison may use.

use std::{cmp::Reverse, collections::HashMap, fmt, hash::Hash};

use causeway_proto::day::Day;

use crate::normalise::{
    Name, Person, Sex,
    address::Address,
    rarity::{self, Part},
    variant,
};

/// The forms of one person that this node knows, over all their source records. Exists only inside
/// a node.
///
/// Text is lowercase ASCII without spaces, as `normalise` gives it; an empty text is a missing
/// value. The first form of a name or birth date is the leading record's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Profile {
    /// First given names.
    pub forenames: Vec<Sounded>,
    /// Forms that no record has, for match-keys only: what a short form stands for.
    pub extra_forenames: Vec<Sounded>,
    /// The leading forename is an initial.
    pub initial_only: bool,
    /// Formal names that the leading forename may stand for, and its family's common spelling.
    pub formal: Vec<String>,
    /// Whole surnames.
    pub surnames: Vec<Sounded>,
    /// Parts of a double-barrelled surname, for match-keys only.
    pub extra_surnames: Vec<Sounded>,
    /// First and last part of the leading surname; the whole twice when it has one part.
    pub surname_ends: [String; 2],
    /// How many in a million bear the leading surname; 0 when rarer than public tables say.
    pub surname_per_million: u32,
    /// Middle names of the leading record.
    pub middle: String,
    /// Birth dates.
    pub births: Vec<Birth>,
    /// `f`, `m`, or missing.
    pub sex: String,
    /// Postcode.
    pub postcode: String,
    /// Postcode without its last two letters, where it has that shape.
    pub sector: String,
    /// House number or name, without a flat's.
    pub house: String,
    /// Street with its type abbreviated.
    pub street: String,
    /// Town.
    pub town: String,
    /// Valid NHS number.
    pub nhs: String,
    /// Valid permanent unique pupil number.
    pub upn: String,
    /// Valid National Insurance number without its suffix.
    pub nino: String,
    /// Another number that several agencies hold.
    pub other_id: String,
    /// Last nine digits of a phone number.
    pub phone: String,
    /// Email address.
    pub email: String,
}

/// A name and how it sounds.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Sounded {
    /// The name.
    pub text: String,
    /// Its double metaphone, or its first three letters where that is empty.
    pub sound: String,
}

/// A birth date of which parts may be missing.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Birth {
    /// Year.
    pub year: Option<i16>,
    /// Month, 1 to 12.
    pub month: Option<i8>,
    /// Day of month.
    pub day: Option<i8>,
}

impl Profile {
    /// Returns whether it proves no person: no birth year, and no forename beyond an initial.
    pub fn is_thin(&self) -> bool {
        let named = self.forenames.first().is_some_and(|name| !name.text.is_empty());
        let dated = self.births.iter().any(|birth| birth.year.is_some());
        !dated && (!named || self.initial_only)
    }
}

/// Forms of a name that a profile keeps.
const FORMS: usize = 3;
/// Formal names that a comparison can carry.
const FORMAL: usize = 4;

impl Profile {
    /// Puts a person together from all their source records.
    ///
    /// Where records differ, what most of them say comes first, and of what as many say the one of the record
    /// that says most; of names and birth dates other forms are kept, too. An address comes whole, from one
    /// record.
    pub fn of(records: &[&Person]) -> Self {
        let mut records = records.to_vec();
        // A stable sort: of records that say as much, the first given leads.
        records.sort_by_key(|person| Reverse(fullness(person)));
        let names: Vec<&Name> = records.iter().flat_map(|person| &person.names).collect();
        let forenames = forms(names.iter().filter_map(|name| name.forename.as_deref()));
        let surnames = forms(names.iter().filter_map(|name| name.surname.as_deref()));
        let (forename, surname) = (leading(&forenames), leading(&surnames));
        let per_million = |part, name: &str| match rarity::frequency(part, name) {
            Some(listed) => listed as u32,
            None => 0,
        };
        let full = names.iter().find(|name| name.surname.as_deref() == Some(surname));
        let parts = full.map(|name| &name.surname_parts);
        let ends = match parts.map(Vec::as_slice) {
            Some([first, .., last]) => [first.clone(), last.clone()],
            _ => [surname.to_owned(), surname.to_owned()],
        };
        let address = address(&records);
        let of_address = |field: fn(&Address) -> &Option<String>| {
            address.and_then(|address| field(address).clone()).unwrap_or_default()
        };
        let first = |field: &dyn Fn(&Person) -> Option<String>| {
            let values = by_votes(records.iter().filter_map(|person| field(person)));
            values.into_iter().next().unwrap_or_default()
        };
        Self {
            extra_forenames: extra_forenames(forename, &forenames),
            extra_surnames: parts.into_iter().flatten().map(|part| sounded(part)).collect(),
            initial_only: forename.len() == 1,
            formal: formal(forename),
            surname_per_million: per_million(Part::Surname, surname),
            surname_ends: ends,
            middle: by_votes(names.iter().filter_map(|name| name.middle.as_deref()))
                .first()
                .map_or_else(String::new, |middle| middle.replace(' ', "")),
            births: births(&records),
            sex: first(&|person| {
                person.sex.map(|sex| if sex == Sex::Female { "f" } else { "m" }.to_owned())
            }),
            postcode: of_address(|a| &a.postcode),
            sector: of_address(|a| if a.sector.is_some() { &a.sector } else { &a.postcode }),
            house: of_address(|a| &a.house),
            street: of_address(|a| &a.street).replace(' ', ""),
            town: of_address(|a| &a.town).replace(' ', ""),
            nhs: first(&|person| person.nhs.as_ref().map(|id| id.as_str().to_owned())),
            upn: first(&|person| {
                let permanent = person.upn.as_ref().filter(|upn| upn.is_permanent());
                permanent.map(|upn| upn.as_str().to_lowercase())
            }),
            nino: first(&|person| person.nino.as_ref().map(|id| id.as_str().to_lowercase())),
            other_id: first(&|person| person.other_id.clone()),
            phone: first(&|person| person.phone.clone()),
            email: first(&|person| person.email.clone()),
            forenames,
            surnames,
        }
    }
}

/// How much a record says of who somebody is.
fn fullness(person: &Person) -> (usize, usize) {
    let name = person.names.first();
    let full_name = name
        .is_some_and(|n| n.surname.is_some() && n.forename.is_some() && !n.forename_initial_only);
    let strong = usize::from(full_name) + usize::from(person.birth.day().is_some());
    let more = [
        name.is_some_and(|name| name.middle.is_some()),
        person.sex.is_some(),
        person.address.is_dwelling(),
        person.nhs.is_some() || person.upn.is_some() || person.nino.is_some(),
        person.phone.is_some(),
        person.email.is_some(),
    ];
    (strong, more.into_iter().filter(|there| *there).count())
}

/// The address that says most; of those that say as much one where the person still lives, who moved there last,
/// and with most in common with the others.
fn address<'a>(records: &[&'a Person]) -> Option<&'a Address> {
    let parts = |address: &'a Address| [&address.postcode, &address.house, &address.street];
    let mut votes: HashMap<(usize, &Option<String>), usize> = HashMap::new();
    for part in records.iter().flat_map(|person| parts(&person.address).into_iter().enumerate()) {
        *votes.entry(part).or_default() += 1;
    }
    let leading = records.iter().max_by_key(|person| {
        let Person { address, residence_from, residence_to, .. } = person;
        let says =
            (address.postcode.is_some() && address.house.is_some(), address.street.is_some());
        let votes = parts(address).into_iter().enumerate().map(|part| votes[&part]);
        (says, residence_to.is_none(), *residence_from, votes.sum::<usize>())
    });
    leading.map(|person| &person.address)
}

/// Each of some values once: what is said most often first, and of what is said as often the first given.
fn by_votes<T: Eq + Hash>(values: impl Iterator<Item = T>) -> Vec<T> {
    let mut counts: HashMap<T, (usize, usize)> = HashMap::new();
    for (place, value) in values.enumerate() {
        counts.entry(value).or_insert((0, place)).0 += 1;
    }
    let mut counts: Vec<(T, (usize, usize))> = counts.into_iter().collect();
    counts.sort_by_key(|(_, (count, first))| (Reverse(*count), *first));
    counts.into_iter().map(|(value, _)| value).collect()
}

fn forms<'a>(names: impl Iterator<Item = &'a str>) -> Vec<Sounded> {
    let mut forms = by_votes(names.filter(|name| !name.is_empty()));
    // A full name says more than the initial that another record has.
    forms.sort_by_key(|form| form.len() == 1);
    forms.into_iter().take(FORMS).map(sounded).collect()
}

fn sounded(name: &str) -> Sounded {
    Sounded { text: name.to_owned(), sound: variant::sound(name) }
}

fn leading(forms: &[Sounded]) -> &str {
    forms.first().map_or("", |form| &form.text)
}

fn formal(forename: &str) -> Vec<String> {
    let mut formal: Vec<String> =
        variant::formal_names(forename).iter().map(|name| (*name).to_owned()).collect();
    if let Some(family) = variant::family(forename) {
        formal.insert(0, family.into_owned());
    }
    formal.truncate(FORMAL);
    formal
}

/// Forms that no record has, for match-keys only: the one formal name that a short form stands for,
/// and a family's common spelling.
fn extra_forenames(forename: &str, known: &[Sounded]) -> Vec<Sounded> {
    let formal = match variant::formal_names(forename) {
        [one] => Some((*one).to_owned()),
        _ => None,
    };
    let family = variant::family(forename).map(|family| family.into_owned());
    let forms = family.into_iter().chain(formal);
    forms.filter(|form| !known.iter().any(|name| name.text == *form)).map(|f| sounded(&f)).collect()
}

/// Every birth date of the records, as exactly as each knows it: real ones first, then mistyped and
/// partial ones.
fn births(records: &[&Person]) -> Vec<Birth> {
    let births = records.iter().map(|person| {
        let birth = &person.birth;
        // Only the other order of day and month is a real date, so that is the date.
        let day = birth.day().or(birth.swapped.filter(|_| birth.day().is_none()));
        match (day.map(Day::ymd), birth.typed) {
            (Some((year, month, day)), _) => {
                Birth { year: Some(year), month: Some(month), day: Some(day) }
            }
            (None, Some(typed)) => Birth::mistyped(birth.year(), typed),
            (None, None) => Birth { year: birth.year(), month: birth.month(), day: None },
        }
    });
    let mut births = by_votes(births.filter(|birth| birth.year.is_some()));
    births.sort_by_key(|birth| (birth.real().is_none(), !birth.is_full()));
    births.truncate(FORMS);
    births
}

impl Birth {
    /// Returns whether year, month and day are all known.
    pub fn is_full(self) -> bool {
        self.year.is_some() && self.month.is_some() && self.day.is_some()
    }

    /// Returns the day of the calendar, where it is fully known and there is such a day.
    pub fn real(self) -> Option<Day> {
        Day::new(self.year?, self.month?, self.day?)
    }

    /// A date of which there is no such day: what was typed still agrees in most digits.
    fn mistyped(year: Option<i16>, typed: [u8; 8]) -> Self {
        let part = |at: usize| {
            let digits = [typed[at], typed[at + 1]].map(|digit| digit.wrapping_sub(b'0'));
            let number = 10 * i8::try_from(digits[0]).ok()? + i8::try_from(digits[1]).ok()?;
            // What systems write for a part that nobody knows.
            (!matches!(number, 0 | 99)).then_some(number)
        };
        Self { year, month: part(4), day: part(6) }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Profile(..)")
    }
}

impl fmt::Debug for Sounded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sounded(..)")
    }
}

impl fmt::Debug for Birth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Birth(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::{Birth as Read, BirthDate};

    fn named(forename: &str, number: Option<&str>) -> Person {
        let name = Name {
            forename: Some(forename.to_owned()),
            surname: Some("hart".to_owned()),
            ..Name::default()
        };
        let other_id = number.map(str::to_owned);
        Person { names: vec![name], other_id, ..Person::default() }
    }

    #[test]
    fn what_most_records_say_leads_and_of_as_many_the_fullest() {
        let mut mistaken = named("ana", Some("91"));
        mistaken.phone = Some("7700900123".to_owned());
        let records = [&mistaken, &named("anna", Some("19")), &named("anna", Some("19"))];
        let profile = Profile::of(&records);
        let forenames: Vec<&str> = profile.forenames.iter().map(|name| &*name.text).collect();
        assert_eq!(forenames, ["anna", "ana"]);
        assert_eq!((&*profile.other_id, &*profile.phone), ("19", "7700900123"));
        assert_eq!(leading(&Profile::of(&records[..2]).forenames), "ana");
        let initials = [&named("a", None), &named("a", None), &named("anna", None)];
        assert_eq!(leading(&Profile::of(&initials).forenames), "anna");
    }

    #[test]
    fn an_address_that_somebody_left_stands_behind_where_they_live() {
        let living = |street: &str, to: Option<Day>| {
            let text = |text: &str| Some(text.to_owned());
            let address = Address {
                postcode: text("zz11zz"),
                house: text("1"),
                street: text(street),
                ..Address::default()
            };
            Person { address, residence_to: to, ..Person::default() }
        };
        let left = living("mill lane", Day::new(2024, 5, 1));
        let here = living("high street", None);
        for records in [[&left, &here, &left], [&left, &left, &here], [&here, &left, &left]] {
            assert_eq!(Profile::of(&records).street, "highstreet");
        }
        let (mistaken, again) = (living("hihg street", None), living("high street", None));
        assert_eq!(Profile::of(&[&here, &again, &mistaken]).street, "highstreet");
    }

    #[test]
    fn a_mistyped_birth_date_keeps_its_digits_and_stands_behind_a_real_one() {
        let mistyped = Birth::mistyped(Some(1990), *b"19902628");
        assert_eq!((mistyped.month, mistyped.day, mistyped.real()), (Some(26), Some(28), None));
        assert_eq!(Birth::mistyped(Some(1990), *b"19900099").day, None);

        let born = |date, typed| Person {
            birth: Read { date, swapped: None, typed },
            ..Person::default()
        };
        let wrong = born(BirthDate::Year(1990), Some(*b"19902628"));
        let right = born(BirthDate::Full(Day::new(1990, 6, 28).unwrap()), None);
        let births = births(&[&wrong, &right]);
        assert_eq!(births.len(), 2);
        assert_eq!(births[0].real(), Day::new(1990, 6, 28));
    }
}
