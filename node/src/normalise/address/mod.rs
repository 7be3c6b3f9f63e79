//! Reads where somebody lives, and whether that place can be a household's.
//!
//! The rules of DOMAIN.md 5.5, "Postcode" and "Address". An address that may be somebody else's, a
//! box, a place shared by strangers or nobody's business never counts as a dwelling, because a
//! household wrongly formed shows one family's troubles to another's.

use std::fmt;

use super::{
    fold::fold,
    identifier::Uprn,
    postcode,
    quality::{Note, Notes},
};
use crate::source::RawPerson;

mod line;
mod remark;
mod street;
mod token;

use line::Parsed;
use remark::Remark;

/// What kind of place an address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AddressKind {
    /// One dwelling: a UPRN, or a house on a street or in a postcode.
    Dwelling,
    /// A place that unrelated people share: care home, hostel, prison, barracks, hall, rooms.
    Institution,
    /// No home at all. Nothing else is known of the address.
    NoFixedAbode,
    /// Nobody may be told where, and nothing of it is used: a refuge, or a home that is confidential.
    Withheld,
    /// Too little to tell a dwelling, or somebody else's address.
    #[default]
    Incomplete,
}

/// Where a record says somebody lives, in agreed spelling: lower-case ASCII.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// Flat or unit: `2`, `4b`, `ground`.
    pub flat: Option<String>,
    /// House number or, without one, its name: `60`, `12a`, `12-14`, `rosecottage`.
    pub house: Option<String>,
    /// Street: `station rd`.
    pub street: Option<String>,
    /// Town: `leicester`.
    pub town: Option<String>,
    /// The whole postcode, `zx14ab`. One without the British form is kept as written and has
    /// neither sector nor district.
    pub postcode: Option<String>,
    /// Outward code and first inward digit: `zx14`.
    pub sector: Option<String>,
    /// Outward code: `zx1`.
    pub district: Option<String>,
    /// Unique property reference number.
    pub uprn: Option<Uprn>,
    /// What kind of place it is.
    pub kind: AddressKind,
}

impl Address {
    /// Returns whether the address tells one dwelling.
    pub fn is_dwelling(&self) -> bool {
        self.kind == AddressKind::Dwelling
    }
}

/// Reads the address fields of a record.
pub(super) fn read(raw: &RawPerson, notes: &mut Notes) -> Address {
    let [house, street, town] =
        [&raw.house, &raw.street, &raw.town].map(|text| token::segments(&fold(text)));
    let mut line = fold(&raw.address.replace(['\n', '\r'], ","));
    let mut code = postcode::read(&raw.postcode, notes);
    if let Some(at) = postcode::at_end(&line) {
        if code == postcode::Postcode::default() {
            code = postcode::read(&line[at..], notes);
        }
        line.truncate(at);
    }
    let line = token::segments(&line);
    let remark =
        [&house, &street, &town, &line].into_iter().filter_map(|field| remark::find(field)).min();

    let uprn = read_uprn(&raw.uprn, notes);
    match remark {
        Some(Remark::Withheld) => {
            notes.add(Note::AddressWithheld);
            return Address { kind: AddressKind::Withheld, ..Address::default() };
        }
        Some(Remark::NoFixedAbode) => return no_fixed_abode(),
        _ if code.no_fixed_abode => return no_fixed_abode(),
        _ => {}
    }
    let parsed = parse(&house, &street, &without_care_of(line));
    let town = if town.is_empty() { parsed.town } else { Some(line::agreed_town(&town.concat())) };
    let placed = parsed.house.is_some() && (parsed.street.is_some() || code.sector.is_some());
    let kind = match remark {
        Some(Remark::Institution) => AddressKind::Institution,
        _ if parsed.room => AddressKind::Institution,
        Some(_) => AddressKind::Incomplete,
        None if uprn.is_some() || placed => AddressKind::Dwelling,
        None => AddressKind::Incomplete,
    };
    Address {
        flat: parsed.flat,
        house: parsed.house,
        street: parsed.street,
        town,
        postcode: code.unit,
        sector: code.sector,
        district: code.district,
        uprn,
        kind,
    }
}

fn no_fixed_abode() -> Address {
    Address { kind: AddressKind::NoFixedAbode, ..Address::default() }
}

fn read_uprn(text: &str, notes: &mut Notes) -> Option<Uprn> {
    if text.trim().is_empty() {
        return None;
    }
    Uprn::read(text).map_err(|note| notes.add(note)).ok()
}

type Segments = [Vec<String>];

/// Parses house and street columns where there are any, and the line for what they leave open.
fn parse(house: &Segments, street: &Segments, line: &Segments) -> Parsed {
    let from_line = line::parse(line);
    if house.is_empty() && street.is_empty() {
        return from_line;
    }
    let house_column = line::parse_house(house);
    let from_columns = if house_column.house.is_some() {
        let street = line::parse_street(street, &house_column);
        Parsed {
            flat: house_column.flat.or(street.flat),
            street: street.street,
            room: house_column.room || street.room,
            house: house_column.house,
            town: None,
        }
    } else {
        let parsed = line::parse(street);
        Parsed { flat: house_column.flat.or(parsed.flat), ..parsed }
    };
    Parsed {
        flat: from_columns.flat.or(from_line.flat),
        house: from_columns.house.or(from_line.house),
        street: from_columns.street.or(from_line.street),
        town: from_columns.town.or(from_line.town),
        room: from_columns.room || from_line.room,
    }
}

/// Cuts `c/o Mrs Smith` off the front of a line, up to the house number or the next comma.
fn without_care_of(mut line: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let Some(first) = line.first_mut() else {
        return line;
    };
    let word = |at: usize| first.get(at).map_or("", String::as_str);
    if word(0) != "c/o" && (word(0), word(1)) != ("care", "of") {
        return line;
    }
    match first.iter().position(|word| token::is_number(word)) {
        Some(number) => drop(first.drain(..number)),
        None => drop(line.remove(0)),
    }
    line
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

#[cfg(test)]
mod tests {
    use AddressKind::{Dwelling, Incomplete, Institution, NoFixedAbode, Withheld};

    use super::*;

    fn line(address: &str, postcode: &str) -> Address {
        let raw = RawPerson {
            address: address.into(),
            postcode: postcode.into(),
            ..RawPerson::default()
        };
        read(&raw, &mut Notes::default())
    }

    #[test]
    fn an_address_is_of_one_kind() {
        for (address, kind) in [
            ("14 Larkrise Close", Dwelling),
            ("Rose Cottage, Church Lane", Dwelling),
            ("Church Lane", Incomplete),
            ("", Incomplete),
            ("Not known", Incomplete),
            ("PO Box 12, Leicester", Incomplete),
            ("c/o Mrs Smith, 12 High Street", Incomplete),
            ("Outside 14 Larkrise Close", Incomplete),
            ("The Elms Care Home, 12 High Street", Institution),
            ("HMP Leicester, Welford Road", Institution),
            ("Room 4, 12 High Street", Institution),
            ("12 Hospital Lane", Dwelling),
            ("NFA", NoFixedAbode),
            ("No fixed abode c/o Civic Centre", NoFixedAbode),
            ("Confidential", Withheld),
        ] {
            assert_eq!(line(address, "ZX1 4AB").kind, kind, "{address}");
        }
        assert_eq!(line("14 Larkrise Close", "ZZ99 3VZ").kind, NoFixedAbode);
    }

    #[test]
    fn a_withheld_address_leaves_nothing_at_all() {
        for address in ["Confidential", "Address withheld, 12 High Street", "Oak Women's Aid"] {
            let mut notes = Notes::default();
            let raw = RawPerson {
                address: address.into(),
                postcode: "ZX9 9ZZ".into(),
                uprn: "999900000014".into(),
                town: "Anytown".into(),
                ..RawPerson::default()
            };
            let withheld = Address { kind: Withheld, ..Address::default() };
            assert!(read(&raw, &mut notes) == withheld, "{address}");
            assert!(notes.has(Note::AddressWithheld));
        }
    }

    #[test]
    fn columns_win_over_the_line_and_the_line_fills_gaps() {
        let raw = RawPerson {
            address: "Flat 2, 61 Station Road, Leicester, ZX3 9HT".into(),
            house: "60".into(),
            street: "60 Station Rd".into(),
            ..RawPerson::default()
        };
        let address = read(&raw, &mut Notes::default());
        assert_eq!(address.house.as_deref(), Some("60"));
        assert_eq!(address.street.as_deref(), Some("station rd"));
        assert_eq!(address.flat.as_deref(), Some("2"));
        assert_eq!(address.town.as_deref(), Some("leicester"));
        assert_eq!(address.sector.as_deref(), Some("zx39"));
    }

    #[test]
    fn a_street_column_may_hold_the_number() {
        let raw = RawPerson { street: "Flat 2, 60 Station Road".into(), ..RawPerson::default() };
        let address = read(&raw, &mut Notes::default());
        assert_eq!(address.flat.as_deref(), Some("2"));
        assert_eq!(address.house.as_deref(), Some("60"));
        assert_eq!(address.kind, Dwelling);
    }

    #[test]
    fn a_house_that_nobody_knows_is_none() {
        for unknown in ["N/A", "N/K", "UNK", "0", "00", "Not stated"] {
            let raw = RawPerson {
                house: unknown.into(),
                street: "Station Road".into(),
                town: unknown.into(),
                postcode: "ZX3 9HT".into(),
                ..RawPerson::default()
            };
            let address = read(&raw, &mut Notes::default());
            assert_eq!((address.house, address.town), (None, None), "{unknown}");
            assert_eq!(address.kind, Incomplete, "{unknown}");
        }
    }

    #[test]
    fn somebody_elses_address_still_tells_where_post_goes() {
        let address = line("c/o Mrs Smith, 12 High Street", "ZX1 4AB");
        assert_eq!(address.house.as_deref(), Some("12"));
        assert_eq!(address.street.as_deref(), Some("high st"));
    }
}
