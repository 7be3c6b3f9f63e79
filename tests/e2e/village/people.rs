//! Who lives in the village, and what its agencies know of them.

use anyhow::Context;
use causeway_node::source::{RawPerson, Role};
use causeway_proto::{catalogue::AgencyKind, day::Day};
use causeway_tests::data::{Happening, People, Record, Truth, planted};

/// The household whose alert the stories wait for.
const HOUSEHOLD: &str = "HA";
/// How many neighbours there are.
const NEIGHBOURS: usize = 48;

/// Makes everybody whom these agencies know: household A of the scenarios, and the neighbours.
pub(super) fn everybody(kinds: &[AgencyKind]) -> anyhow::Result<People> {
    let mut people = planted::people()?;
    people.records.retain(|r| r.truth.household == HOUSEHOLD && kinds.contains(&r.agency));
    let ours: Vec<(AgencyKind, String)> =
        people.records.iter().map(|r| (r.agency, r.local_id.clone())).collect();
    people.happenings.retain(|h| ours.contains(&(h.agency, h.local_id.clone())));
    for number in 0..NEIGHBOURS {
        neighbour(number, kinds, &mut people)?;
    }
    Ok(people)
}

const FORENAMES: [&str; 8] = [
    "Gwendolen",
    "Bertram",
    "Philippa",
    "Cornelius",
    "Marigold",
    "Tarquin",
    "Ottoline",
    "Lysander",
];
const SURNAMES: [&str; 12] = [
    "Thistlewood",
    "Ravenscar",
    "Applegarth",
    "Winterbourne",
    "Kettlewell",
    "Oakeshott",
    "Farthingale",
    "Mossgrove",
    "Birkenshaw",
    "Cranmore",
    "Hawksworth",
    "Penhallow",
];
const STREETS: [&str; 6] = [
    "Quillfeather Lane",
    "Bramblewick Road",
    "Copperkettle Mews",
    "Saltmarsh Parade",
    "Windlestraw Avenue",
    "Tollgate Rise",
];

/// Somebody known to one agency, or to two, to whom little or nothing has happened.
fn neighbour(number: usize, kinds: &[AgencyKind], people: &mut People) -> anyhow::Result<()> {
    let (year, month, day) = (1938 + (number * 7) % 62, 1 + number % 12, 2 + (number * 5) % 27);
    let person = RawPerson {
        forename: FORENAMES[number % FORENAMES.len()].into(),
        surname: SURNAMES[(number / 4) % SURNAMES.len()].into(),
        dob: format!("{year}-{month:02}-{day:02}"),
        sex: if number.is_multiple_of(2) { "F" } else { "M" }.into(),
        address: format!("{} {}", 20 + number, STREETS[number % STREETS.len()]),
        postcode: format!(
            "ZX{} {}{}Q",
            2 + number % 7,
            1 + number / 8,
            char::from(b'A' + (number % 8) as u8)
        ),
        uprn: format!("99997{:07}", 1_340_077 + number * 7919),
        nhs: nhs_number(number),
        ..RawPerson::default()
    };
    let first = kinds[number % kinds.len()];
    let second = kinds[(number + 1) % kinds.len()];
    let known_to =
        if number.is_multiple_of(3) && second != first { vec![first, second] } else { vec![first] };
    for agency in known_to {
        let local_id = format!("{}-REF-{:05}", agency.to_string().to_uppercase(), 70_000 + number);
        people.records.push(Record {
            agency,
            source: "neighbours".into(),
            local_id: local_id.clone(),
            person: person.clone(),
            restriction: None,
            truth: Truth { person: format!("n{number}"), household: format!("bg-{number}") },
        });
        if agency == AgencyKind::Housing && number.is_multiple_of(2) {
            people.happenings.push(Happening {
                agency,
                local_id,
                event_ref: format!("ARREARS-{number}"),
                code: "HOU_ARREARS_8W".parse()?,
                role: Role::Subject,
                start: Day::new(2024, 11, 4).context("a day")?,
                end: None,
            });
        }
    }
    Ok(())
}

/// A number of the range that is kept for tests, with its check digit.
fn nhs_number(number: usize) -> String {
    (number * 11..)
        .map(|tail| format!("999{:06}", 310_000 + tail))
        .find_map(|nine| {
            let digits = nine.bytes().map(|digit| usize::from(digit - b'0'));
            let sum: usize = digits.zip((2..=10).rev()).map(|(digit, weight)| digit * weight).sum();
            match 11 - sum % 11 {
                10 => None,
                11 => Some(format!("{nine}0")),
                check => Some(format!("{nine}{check}")),
            }
        })
        .expect("most numbers have a check digit")
}
