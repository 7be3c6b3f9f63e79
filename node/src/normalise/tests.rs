//! The whole of the domain's fixtures, and what must hold for any record.

use proptest::prelude::*;

use super::*;
use crate::source::People;

/// How `people.csv` would be mapped.
const MAPPING: &str = r#"
    id = "fixtures"
    about = "people"
    dates = ["%Y-%m-%d"]
    key = ["local_id"]
    accept_test_ranges = true
    [columns]
    title = "title"
    forename = "forename"
    middle = "middle"
    surname = "surname"
    alias = "alias"
    dob = "dob"
    sex = "sex"
    address = "addr"
    postcode = "postcode"
    uprn = "uprn"
    nhs = "nhs"
    upn = "upn"
    nino = "nino"
"#;

/// Reads `people.csv` as a feed would hand it over.
fn people() -> Vec<(String, RawPerson)> {
    let feed = Feed::from_toml(MAPPING).unwrap();
    let rows = People::open(&feed, include_str!("testdata/people.csv").as_bytes()).unwrap();
    rows.map(|row| row.unwrap()).map(|row| (row.key, row.raw)).collect()
}

fn fixture(local_id: &str) -> (Person, Notes) {
    let (_, raw) = people().into_iter().find(|(id, _)| id == local_id).unwrap();
    normalise(&raw, &Rules::example())
}

/// Writes the parts of a person that tests compare, in one line.
fn written(person: &Person) -> String {
    let names: Vec<String> = person
        .names
        .iter()
        .map(|name| {
            let part = |part: &Option<String>| part.clone().unwrap_or_else(|| "?".into());
            let middle = name.middle.as_ref().map(|middle| format!(" {middle}"));
            format!(
                "{}{} {}",
                part(&name.forename),
                middle.unwrap_or_default(),
                part(&name.surname)
            )
        })
        .collect();
    let birth = match person.birth.date {
        BirthDate::Full(day) => day.to_string(),
        BirthDate::YearMonth(year, month) => format!("{year}-{month:02}"),
        BirthDate::Year(year) => year.to_string(),
        BirthDate::Missing => "-".into(),
    };
    let swapped = person.birth.swapped.map(|day| format!("~{day}")).unwrap_or_default();
    let sex = match person.sex {
        Some(Sex::Female) => "f",
        Some(Sex::Male) => "m",
        None => "-",
    };
    let Address { flat, house, street, postcode, kind, .. } = &person.address;
    let place = [flat, house, street, postcode].map(|part| part.as_deref().unwrap_or("-"));
    format!("{} | {birth}{swapped} | {sex} | {} {kind:?}", names.join(" + "), place.join(","))
}

#[test]
fn the_fixtures_read_as_a_professional_would_read_them() {
    for (local_id, expected) in [
        (
            "N-1001",
            "carol anne denholm | 1987-04-06~1987-06-04 | f | -,14,larkrise cl,zx14ab Dwelling",
        ),
        ("N-2207", "carole denham | 1987-06-04~1987-04-06 | f | -,14,larkrise cl,zx14ab Dwelling"),
        ("ASB-0447", "c price | - | - | -,14,larkrise cl,zx14ab Dwelling"),
        (
            "M-55120",
            "carol denholmprice | 1987-04-06~1987-06-04 | f | -,14,larkrise cl,zx14ab Dwelling",
        ),
        (
            "L-7781",
            "rosalind mary denholmprice | 2007-05-06~2007-06-05 | f | -,14,larkrise cl,zx14ab Dwelling",
        ),
        ("N-3310", "rosie denholm | 2007 | f | -,14,larkrise cl,zx14ab Dwelling"),
        ("N-3311", "keiran price | 2008-11-20 | m | -,14,larkrise cl,zx14ab Dwelling"),
        (
            "A-88",
            "dennis arthur holroyd | 1961-09-03~1961-03-09 | m | -,3,moorfield tce,zx72qd Dwelling",
        ),
        (
            "E-12",
            "dennis a holroyd | 1961-09-03~1961-03-09 | m | -,3,moorfield tce,zx72qd Dwelling",
        ),
        ("N-5003", "alan holroyd | 1964-12-30 | m | -,3,moorfield tce,zx72qd Dwelling"),
        ("F-77", " | - | - | -,3,moorfield tce,zx72qd Dwelling"),
        ("N-7001", "leanne marsh | 1996-07-19 | f | 2,60,station rd,zx39ht Dwelling"),
        ("N-7002", "darren pike + daz pike | 1993-01-28 | m | 2,60,station rd,zx39ht Dwelling"),
        ("T-612", "leanne tanner | 1996-07-19 | f | -,60,station rd,zx39ht Dwelling"),
        ("L-9001", "jay marshtanner | 2018-02-01~2018-01-02 | m | 2,60,station rd,zx39ht Dwelling"),
        ("TPP-4", "? marsh | 2024-11-02~2024-02-11 | f | 2,60,station rd,zx39ht Dwelling"),
        ("ED-5", "phillipa marsh | 2024-11-02~2024-02-11 | f | 2,60,station rd,zx39ht Dwelling"),
        ("M-801", "john michael carver | 1962-05-17 | m | -,9,bell ln,zx22aa Dwelling"),
        ("ED-802", "e j wilcox | 2013-10-02~2013-02-10 | m | -,22,quarry rise,zx27ll Dwelling"),
        ("T-832", "maria jones | 1990-03-12~1990-12-03 | f | -,88,dock rd,zx41zz Dwelling"),
        ("S-841", "noah greenwood | 2020-01-20 | m | -,70,ash park,zx66bb Dwelling"),
        ("T-860", " | - | f | -,-,-,- Withheld"),
        ("R-87", "p venn | - | - | -,5,harbour wlk,zx81aa Dwelling"),
    ] {
        assert_eq!(written(&fixture(local_id).0), expected, "{local_id}");
    }
}

#[test]
fn the_fixtures_carry_their_identifiers() {
    let rules = Rules::example();
    let people = people();
    assert_eq!(people.len(), 46);
    for (local_id, raw) in people {
        let (person, notes) = normalise(&raw, &rules);
        for (given, read) in [
            (&raw.nhs, person.nhs.is_some()),
            (&raw.upn, person.upn.is_some()),
            (&raw.nino, person.nino.is_some()),
            (&raw.uprn, person.address.uprn.is_some()),
        ] {
            assert_eq!(!given.is_empty(), read, "{local_id}");
        }
        let expected = match local_id.as_str() {
            "N-3310" => vec![Note::BirthPartial],
            "TPP-4" | "F-77" => vec![Note::NamePlaceholder],
            "T-860" => vec![Note::NamePlaceholder, Note::AddressWithheld],
            _ => vec![],
        };
        assert_eq!(notes.iter().collect::<Vec<_>>(), expected, "{local_id}");
    }
}

#[test]
fn one_person_under_many_hands_meets_somewhere() {
    let name = |local_id| fixture(local_id).0.names[0].clone();
    // Carol, married, divorced and misspelt.
    assert!(name("M-55120").surname_parts.contains(&name("N-1001").surname.unwrap()));
    assert!(name("M-55120").surname_parts.contains(&name("ASB-0447").surname.unwrap()));
    let sound = |name: Name| variant::sound(&name.surname.unwrap());
    assert_ne!(sound(name("N-1001")), "");
    // Rosie is Rosalind, Jay is Jayden, Keiran sounds like Kieran.
    let forms = |local_id| -> Vec<String> {
        let forename = name(local_id).forename.unwrap();
        variant::forename_forms(&forename).iter().map(ToString::to_string).collect()
    };
    assert!(forms("N-3310").contains(&"rosalind".to_owned()));
    assert!(forms("L-9001").contains(&"jayden".to_owned()));
    assert_eq!(
        variant::sound(&name("N-3311").forename.unwrap()),
        variant::sound(&name("S-332").forename.unwrap()),
    );
    assert!(fixture("TPP-4").0.newborn && !fixture("ED-5").0.newborn);
}

#[test]
fn sex_is_recorded_as_f_or_m_or_missing() {
    for (text, sex_, noted) in [
        ("F", Some(Sex::Female), false),
        ("female", Some(Sex::Female), false),
        ("2", Some(Sex::Female), false),
        (" m ", Some(Sex::Male), false),
        ("1", Some(Sex::Male), false),
        ("", None, false),
        ("9", None, false),
        ("X", None, true),
        ("Indeterminate", None, true),
    ] {
        let mut notes = Notes::default();
        assert!(sex(text, &mut notes) == sex_, "{text}");
        assert_eq!(notes.has(Note::SexOther), noted, "{text}");
    }
}

#[test]
fn dates_of_death_and_residence_are_read_or_missing() {
    let raw = RawPerson {
        deceased: "01/02/2025".into(),
        residence_from: "2020-01-01".into(),
        residence_to: "soon".into(),
        ..RawPerson::default()
    };
    let (person, notes) = normalise(&raw, &Rules::example());
    assert_eq!(person.deceased, "2025-02-01".parse().ok());
    assert_eq!(person.residence_from, "2020-01-01".parse().ok());
    assert_eq!(person.residence_to, None);
    assert!(notes.has(Note::DateUnreadable));
    // What systems write for "no end" or "not known" is neither.
    for (from, to) in [("0001-01-01", "31/12/9999"), ("1900-01-01", "01/01/1900")] {
        let raw = RawPerson { residence_from: from.into(), residence_to: to.into(), ..raw.clone() };
        let (person, _) = normalise(&raw, &Rules::example());
        assert_eq!((person.residence_from, person.residence_to), (None, None));
    }
}

#[test]
fn nothing_personal_shows_in_debug() {
    let (person, _) = fixture("L-7781");
    let (_, raw) = people().swap_remove(0);
    let shown = format!(
        "{person:?} {raw:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        person.names, person.birth, person.address, person.nhs, person.upn, person.sex
    );
    assert_eq!(
        shown,
        "Person(..) RawPerson(..) [Name(..)] Birth(..) Address(..) Some(NhsNumber(..)) \
         Some(Upn(..)) Some(Sex(..))"
    );
}

/// Writes a person out again, as a feed of tidy records would.
fn raw_again(person: &Person) -> RawPerson {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    let name = person.names.first().cloned().unwrap_or_default();
    let dob = match person.birth.date {
        BirthDate::Full(day) => day.to_string(),
        BirthDate::YearMonth(year, month) => format!("{year}-{month:02}"),
        BirthDate::Year(year) => year.to_string(),
        BirthDate::Missing => String::new(),
    };
    RawPerson {
        forename: text(&name.forename),
        middle: text(&name.middle),
        surname: text(&name.surname),
        dob,
        house: text(&person.address.house),
        street: text(&person.address.street),
        town: text(&person.address.town),
        postcode: text(&person.address.postcode),
        nhs: person.nhs.as_ref().map(|nhs| nhs.as_str().to_owned()).unwrap_or_default(),
        nino: person.nino.as_ref().map(|nino| nino.as_str().to_owned()).unwrap_or_default(),
        upn: person.upn.as_ref().map(|upn| upn.as_str().to_owned()).unwrap_or_default(),
        other_id: text(&person.other_id),
        phone: text(&person.phone),
        email: text(&person.email),
        deceased: day(person.deceased),
        ..RawPerson::default()
    }
}

/// Any text, and text that looks like what clerks type.
fn field() -> impl Strategy<Value = String> {
    let clerk = "((mr|dr|baby of|twin|unknown|o'|mc |van |st\\. |-|/|,|\\(|\\)|\"|'| |[A-Z][a-zé]{0,6}|nee |aka |jr|[0-9]{1,2}|&) ?){0,8}";
    prop_oneof![any::<String>(), clerk, "[a-z]{1,8}"]
}

proptest! {
    #[test]
    fn any_record_is_normalised_without_panic_and_to_plain_ascii(
        fields in proptest::collection::vec(field(), 23)
    ) {
        let [title, forename, middle, surname, full_name, alias, dob, sex, address, house, street,
            town, postcode, uprn, nhs, upn, nino, other_id, phone, email, deceased,
            residence_from, residence_to] = <[String; 23]>::try_from(fields).unwrap();
        let raw = RawPerson {
            title, forename, middle, surname, full_name, alias, dob, sex, address, house, street,
            town, postcode, uprn, nhs, upn, nino, other_id, phone, email, deceased,
            residence_from, residence_to,
        };
        let (person, _) = normalise(&raw, &Rules::example());
        for name in &person.names {
            let parts = [&name.forename, &name.middle, &name.surname];
            prop_assert!(parts.into_iter().any(Option::is_some));
            for part in parts.into_iter().flatten() {
                prop_assert!(!part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase()));
                variant::sound(part);
                variant::forename_forms(part);
            }
        }
        let Address { flat, house, street, town, .. } = &person.address;
        for part in [flat, house, street, town].into_iter().flatten() {
            prop_assert!(!part.is_empty() && part.bytes().all(|b| b"abcdefghijklmnopqrstuvwxyz0123456789 -/".contains(&b)), "{:?}", part);
        }
    }

    #[test]
    fn normalising_what_was_normalised_changes_nothing(
        forename in field(), middle in field(), surname in field(), street in field(),
        house in "[0-9]{1,3}[a-c]?", town in "[A-Za-z ]{0,12}", postcode in "[A-Z]{1,2}[0-9]{1,2} ?[0-9][A-Z]{2}",
        dob in "[0-3][0-9]/[01][0-9]/(19|20)[0-9]{2}", phone in "0[0-9]{10}",
    ) {
        let raw = RawPerson {
            forename, middle, surname, street, house, town, postcode, dob, phone,
            ..RawPerson::default()
        };
        let rules = Rules::example();
        let (once, _) = normalise(&raw, &rules);
        let (twice, _) = normalise(&raw_again(&once), &rules);
        let name = |person: &Person| {
            let name = person.names.first().cloned().unwrap_or_default();
            [name.forename, name.middle, name.surname]
        };
        prop_assert_eq!(name(&once), name(&twice));
        prop_assert!(once.birth.date == twice.birth.date);
        prop_assert_eq!(&once.address.house, &twice.address.house);
        prop_assert_eq!(&once.address.street, &twice.address.street);
        prop_assert_eq!(&once.address.town, &twice.address.town);
        prop_assert_eq!(&once.address.postcode, &twice.address.postcode);
        prop_assert_eq!(&once.phone, &twice.phone);
    }
}
