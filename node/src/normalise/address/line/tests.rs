use proptest::prelude::*;

use super::*;
use crate::normalise::{address::token::segments, fold::fold};

fn parsed(line: &str) -> [Option<String>; 4] {
    let Parsed { flat, house, street, town, .. } = parse(&segments(&fold(line)));
    [flat, house, street, town]
}

#[test]
fn every_way_to_write_a_dwelling_is_one_dwelling() {
    for (line, flat, house, street, town) in [
        ("14 LARKRISE CL", "", "14", "larkrise cl", ""),
        ("14 Larkrise Close", "", "14", "larkrise cl", ""),
        ("14larkrise close", "", "14", "larkrise cl", ""),
        ("No. 14 Larkrise Close", "", "14", "larkrise cl", ""),
        ("3, Moorfield Terr.", "", "3", "moorfield tce", ""),
        ("3 Moorfield Tce", "", "3", "moorfield tce", ""),
        ("Flat 2, 60 Station Rd", "2", "60", "station rd", ""),
        ("Flat 2 60 Station Road", "2", "60", "station rd", ""),
        ("FLAT 2 60 STATION RD", "2", "60", "station rd", ""),
        ("2/60 Station Road", "2", "60", "station rd", ""),
        ("2, 60 Station Road", "2", "60", "station rd", ""),
        ("60 Station Road, Flat 2", "2", "60", "station rd", ""),
        ("60 Station Road Flat 2", "2", "60", "station rd", ""),
        ("Flat2, 60 Station Road", "2", "60", "station rd", ""),
        ("Flat 02, 060 Station Road", "2", "60", "station rd", ""),
        ("Station Road 60", "", "60", "station rd", ""),
        ("2/1, 60 Station Road", "2/1", "60", "station rd", ""),
        ("Flat 4b Rose Court 12 High St", "4b", "12", "high st", ""),
        ("Flat 4b, Rose Court, 12 High St, Leicester", "4b", "12", "high st", "leicester"),
        ("12A High Street", "", "12a", "high st", ""),
        ("12 A High Street", "", "12a", "high st", ""),
        ("12-14 High Street", "", "12-14", "high st", ""),
        ("12 - 14 High Street", "", "12-14", "high st", ""),
        ("Ground Floor Flat, 60 Station Road", "ground", "60", "station rd", ""),
        ("GFF 60 Station Road", "ground", "60", "station rd", ""),
        ("Basement Flat 60 Station Rd", "basement", "60", "station rd", ""),
        ("2nd Floor Flat, 60 Station Rd", "second", "60", "station rd", ""),
        ("Rear of 60 Station Road", "", "60", "station rd", ""),
        ("Flat 3, Rose Court", "", "3", "rose ct", ""),
        ("3 Rose Court", "", "3", "rose ct", ""),
        ("Flat 3, Rose Court, High Street", "3", "rosect", "high st", ""),
        ("Rose Cottage, Church Lane, Wigston", "", "rosecottage", "church ln", "wigston"),
        ("Rose Cottage Church Lane", "", "rosecottage", "church ln", ""),
        ("The Old Forge, 3 Church Lane", "", "3", "church ln", ""),
        ("Church Lane, Wigston", "", "", "church ln", "wigston"),
        ("12 High Street, Wigston, Leicester, Leics", "", "12", "high st", "leicester"),
        ("12 HIGH STREET LEICESTER", "", "12", "high st", "leicester"),
        ("12 St. John's Road, St Albans", "", "12", "st johns rd", "st albans"),
        ("22 Quarry Rise", "", "22", "quarry rise", ""),
        ("70 Ash Park", "", "70", "ash park", ""),
        ("12 Mill View", "", "12", "mill view", ""),
        ("88 Dock Road", "", "88", "dock rd", ""),
        ("9 Bell Lane", "", "9", "bell ln", ""),
        ("W 66 St", "", "", "w 66 st", ""),
        ("S Hwy 701", "", "", "s hwy 701", ""),
        ("3 12th Avenue", "", "3", "12th ave", ""),
        ("Stoke-on-Trent", "", "", "stoke on trent", ""),
        ("", "", "", "", ""),
    ] {
        let expected = [flat, house, street, town]
            .map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
        assert_eq!(parsed(line), expected, "{line}");
    }
}

#[test]
fn a_house_column_may_hold_a_flat() {
    for (text, flat, house) in [
        ("60", "", "60"),
        ("20 a", "", "20a"),
        ("12 - 14", "", "12-14"),
        ("Flat 2", "2", ""),
        ("Flat 2, 60", "2", "60"),
        ("60 Flat 2", "2", "60"),
        ("2/60", "2", "60"),
        ("Rose Cottage", "", "rosecottage"),
        ("5905 1 4", "", "590514"),
        ("s15w 37284", "", "s15w37284"),
        ("", "", ""),
    ] {
        let parsed = parse_house(&segments(&fold(text)));
        let expected =
            [flat, house].map(|part| Some(part.to_owned()).filter(|part| !part.is_empty()));
        assert_eq!([parsed.flat, parsed.house], expected, "{text}");
    }
}

proptest! {
    #[test]
    fn any_line_is_parsed_without_panic(
        text in any::<String>(),
        line in "((flat|room|no|ground floor|[0-9]{1,3}[a-z]?|[0-9]/[0-9]{2}|rose|court|st|road|,|-) ?){0,12}",
    ) {
        for text in [text, line] {
            parsed(&text);
            let segments = segments(&fold(&text));
            parse_street(&segments, &parse_house(&segments));
        }
    }
}
