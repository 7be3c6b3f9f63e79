use proptest::prelude::*;

use super::*;
use crate::source::{Restriction, Rule};

const MAPPING: &str = r#"
id = "housing-tenants"
about = "people"
encoding = "detect"
dates = ["%d/%m/%Y"]
nulls = ["NULL", "-"]
key = ["REF"]

[columns]
forename = ["FORE1", "FORE2"]
surname = "SURNAME"
dob = "DOB"
nhs = "NHS"
house = "HOUSE"

[where]
STATUS = ["LIVE", "OPEN"]

[restricted]
column = "ACCESS"
open = ["N"]
values = { W = "shielded", A = "pre_adoption" }
"#;

const HEADER: &str = "REF,FORE1,FORE2,SURNAME,DOB,NHS,HOUSE,STATUS,ACCESS\n";

fn read_with(mapping: &str, file: &[u8]) -> Result<(Vec<PersonRow>, SourceReport), FileError> {
    let feed = Feed::from_toml(mapping).unwrap();
    let mut people = People::open(&feed, file)?;
    let rows = people.by_ref().collect::<Result<Vec<_>, _>>()?;
    Ok((rows, people.finish()?))
}

fn read(rows: &str) -> (Vec<PersonRow>, SourceReport) {
    read_with(MAPPING, format!("{HEADER}{rows}").as_bytes()).unwrap()
}

fn refused(mapping: &str, file: &[u8]) -> String {
    read_with(mapping, file).unwrap_err().to_string()
}

#[test]
fn the_lines_of_an_address_stay_apart() {
    let mapping = MAPPING.replace("house = \"HOUSE\"", "address = [\"A1\", \"A2\", \"A3\"]");
    let mapping = mapping.split("[where]").next().unwrap();
    let file = b"REF,FORE1,FORE2,SURNAME,DOB,NHS,A1,A2,A3\nT-1,Jo,,Price,,,Flat 3,Rose Court,High Street\n";
    let (rows, _) = read_with(mapping, file).unwrap();
    assert_eq!(rows[0].raw.address, "Flat 3, Rose Court, High Street");
    assert_eq!(rows[0].raw.forename, "Jo");
}

#[test]
fn rows_are_people_in_our_fields() {
    let (rows, report) = read(
        "T-1, Mary ,Jane,\"O'Neill, Jr\",06/04/1987,NULL,=\"014\",LIVE,\n\
         T-2,-,,Price,,,12,open,W\n\
         T-3,Jo,,Price,,,12,CLOSED,\n",
    );
    let [mary, price] = &rows[..] else { panic!("two rows are live") };
    assert_eq!((mary.line, mary.key.as_str()), (2, "T-1"));
    assert_eq!(mary.raw.forename, "Mary Jane");
    assert_eq!(mary.raw.surname, "O'Neill, Jr");
    assert_eq!(mary.raw.nhs, "");
    assert_eq!(mary.raw.house, "014");
    assert_eq!(mary.restricted, None);
    assert_eq!((price.raw.forename.as_str(), price.restricted), ("", Some(Restriction::Shielded)));
    assert_eq!((report.rows, report.taken, report.filtered, report.quarantined), (3, 2, 1, 0));
    assert_eq!(report.restricted[&Restriction::Shielded], 1);
    assert_eq!(report.encoding, "ascii");
    assert!(report.sha256.is_some());
}

#[test]
fn a_bad_row_is_set_aside_by_line_column_and_rule() {
    let (rows, report) = read(
        "T-1,A,,Price,06/04/1987,,1,LIVE,\n\
         ,A,,Price,06/04/1987,,1,LIVE,\n\
         T-3,A,,Price,06/04/1987,,1\n\
         T-4,A,,Price,06/04/1987,,1,LIVE,,extra\n\
         T-5,A,,Price,31872,,1,LIVE,\n\
         T-6,A,,Price,,9.99E+09,1,LIVE,\n\
         T-7,A,,Price,,101701004,1,LIVE,\n\
         T-8,A,,Price,,,Feb-60,LIVE,\n\
         T-9,#N/A,,Price,,,1,LIVE,\n\
         1.2E+05,A,,Price,,,1,LIVE,\n\
         T-1,B,,Price,06/04/1987,,1,LIVE,\n\
         T-1,A,,Price,06/04/1987,,1,LIVE,\n",
    );
    assert_eq!(rows.len(), 1);
    assert_eq!(report.repeated, 0, "the row between them took the key's place");
    let found: Vec<_> = report
        .quarantine
        .iter()
        .map(|bad| (bad.line, bad.column.as_deref().unwrap_or(""), bad.rule))
        .collect();
    assert_eq!(
        found,
        [
            (3, "REF", Rule::KeyMissing),
            (4, "", Rule::FieldCount),
            (5, "", Rule::FieldCount),
            (6, "DOB", Rule::SerialDate),
            (7, "NHS", Rule::ScientificNumber),
            (8, "NHS", Rule::LostZero),
            (9, "HOUSE", Rule::TurnedIntoDate),
            (10, "FORE1", Rule::SpreadsheetError),
            (11, "REF", Rule::ScientificNumber),
            (12, "REF", Rule::KeyRepeated),
            (13, "REF", Rule::KeyRepeated),
        ]
    );
}

#[test]
fn a_row_delivered_again_has_the_same_hash_and_a_changed_one_another() {
    let hash = |row: &str| read(row).0[0].hash;
    let before = hash("T-1,Mary,,Price,06/04/1987,,1,LIVE,\n");
    assert_eq!(before, hash("T-1, Mary ,NULL,Price,06/04/1987,-,1,OPEN,n\n"));
    assert_ne!(before, hash("T-1,Mary,,Price,06/04/1987,,2,LIVE,\n"));
    assert_ne!(before, hash("T-1,Mary,,Price,06/04/1987,,1,LIVE,W\n"));
    assert_ne!(before, hash("T-1,,Mary,Price,06/04/1987,,1,LIVE,\n"));
}

#[test]
fn a_row_that_stands_twice_counts_once() {
    let row = "T-1,Mary,,Price,06/04/1987,,1,LIVE,\n";
    let (rows, report) = read(&row.repeat(3));
    assert_eq!((rows.len(), report.repeated, report.quarantined), (1, 2, 0));
}

#[test]
fn in_a_file_of_changes_the_later_row_wins() {
    let mapping = format!("mode = \"delta\"\n{MAPPING}");
    let file = format!("{HEADER}T-1,A,,Price,,,1,LIVE,\nT-1,B,,Price,,,1,LIVE,\n");
    let (rows, report) = read_with(&mapping, file.as_bytes()).unwrap();
    assert_eq!((rows.len(), report.quarantined), (2, 0));
}

#[test]
fn a_file_that_may_say_something_else_is_refused_whole() {
    let file = |rows: &str| format!("{HEADER}{rows}");
    let row = "T-1,A,,Price,,,1,LIVE,\n";
    for (mapping, file, message) in [
        (MAPPING, String::new(), "the file is empty"),
        (MAPPING, "REF,REF\n".into(), "has the column `REF` twice"),
        (MAPPING, "Rob,Dobb,Dobb\n".into(), "names none of the mapping's columns"),
        (MAPPING, HEADER.replace(',', ";"), "names none of the mapping's columns"),
        (
            MAPPING,
            HEADER.replace("SURNAME", "SUR_NAME"),
            "the file has no column `SURNAME`, which `columns.surname` in the mapping names; did \
             you mean `SUR_NAME`?",
        ),
        (MAPPING, HEADER.replace("STATUS", "X"), "no column `STATUS`, which `where`"),
        (MAPPING, HEADER.replace("ACCESS", "X"), "no column `ACCESS`, which `restricted.column`"),
        (MAPPING, file(&format!("{row}T-2,A,,Pri")), "ends in the middle of line 3"),
        (MAPPING, file(&format!("{row}\"T-2,A,,Price,,,1,LIVE,\n")), "opens on line 3"),
    ] {
        let refused = refused(mapping, file.as_bytes());
        assert!(refused.contains(message), "{refused}");
    }
    let latin = [HEADER.as_bytes(), b"T-1,Zo\xeb,,Price,,,1,LIVE,\n"].concat();
    let said = refused(&MAPPING.replace("detect", "utf-8"), &latin);
    assert!(said.contains("(line 2) is not UTF-8: set `encoding = \"windows-1252\"`"), "{said}");
    let events = Feed::from_toml(
        "id='e'\nabout='events'\nperson_feed='p'\nkey=['K']\ndates=['%Y-%m-%d']\n\
         default_role='subject'\ndefault_code='CSC_CIN'\ncolumns={person='P',start='S'}",
    );
    assert!(matches!(
        People::open(&events.unwrap(), &b"K,P,S\n"[..]),
        Err(FileError::OtherKind("people"))
    ));
}

#[test]
fn a_line_of_a_gigabyte_is_refused_after_a_few_megabytes() {
    let feed = Feed::from_toml(MAPPING).unwrap();
    let gigabyte = 1 << 30;
    for start in [&b""[..], HEADER.as_bytes(), b"REF,\"", &[HEADER.as_bytes(), b"T-1,\""].concat()]
    {
        let mut source = start.chain(std::io::repeat(b'a').take(gigabyte));
        let refused = People::open(&feed, &mut source).and_then(People::finish).unwrap_err();
        assert!(refused.to_string().contains("is longer than 1 MiB"), "{refused}");
        assert!(gigabyte - source.get_ref().1.limit() < 4 << 20);
    }
}

#[test]
fn files_of_other_shapes_are_read_as_the_mapping_says() {
    let base = "id = 'f'\nabout = 'people'\nkey = ['REF']\n";
    let columns = "[columns]\nsurname = 'NAME'\n";
    for (settings, file, surname) in [
        ("", &b"REF,NAME\r\n1,Price\r\n"[..], "Price"),
        ("", b"REF,NAME\n1,Price", "Price"),
        ("", b"\xef\xbb\xbfREF,NAME\n1,Zo\xc3\xab\n", "Zoë"),
        ("", b"REF,NAME\n1,Zo\xeb\n", "Zoë"),
        ("", b"sep=,\nREF,NAME\n1,Price\n", "Price"),
        ("", b"REF,NAME,\n1,Price,\n", "Price"),
        ("", b"REF,NAME\n\n1,\"Pri\nce\"\n\n", "Pri\nce"),
        ("delimiter = 'tab'", b"REF\tNAME\n1\tPrice\n", "Price"),
        ("delimiter = '|'\nquote = ''", b"REF|NAME\n1|\"Price\n", "\"Price"),
        ("delimiter = ';'\nquote = \"'\"", b"REF;NAME\n1;'Pri;ce'\n", "Pri;ce"),
    ] {
        let (rows, _) = read_with(&format!("{base}{settings}\n{columns}"), file).unwrap();
        assert_eq!(rows[0].raw.surname, surname, "{settings}");
    }
    let headless =
        "id = 'f'\nabout = 'people'\nkey = ['1']\nheader = false\n[columns]\nsurname = '2'";
    let (rows, report) = read_with(headless, b"7,Price\n8,Venn\n").unwrap();
    assert_eq!((rows[0].key.as_str(), rows[1].raw.surname.as_str(), report.rows), ("7", "Venn", 2));
}

#[test]
fn nothing_of_a_row_is_shown() {
    let (rows, report) =
        read("TENANT-71,Mary,,Price,,,1,LIVE,\nTENANT-72,Mary,,Price,31872,,1,LIVE,\n");
    let shown = format!("{rows:?} {report:?} {}", report.quarantine[0]);
    let refused = refused(MAPPING, b"Mary,Price,Dob\nMary,Price,Dob\n");
    let shown = shown + &refused;
    for secret in ["Mary", "Price", "31872", "TENANT-71", "TENANT-72"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    assert!(shown.starts_with("[PersonRow(line 2)]"), "{shown}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let _ = read_with(MAPPING, &bytes);
        let _ = read_with(MAPPING, &[HEADER.as_bytes(), &bytes].concat());
    }

    #[test]
    fn any_text_of_quotes_and_delimiters_is_read_or_refused(text in "[A-Z0-9,\"\n\r'=#+E.é-]{0,200}") {
        let _ = read_with(MAPPING, &[HEADER.as_bytes(), text.as_bytes()].concat());
    }

    #[test]
    fn every_row_is_accounted_for(rows in proptest::collection::vec("(T-[0-9]|),[A-Z]{0,3},,X,([0-9]{5}|),,1,(LIVE|SHUT),(W|)", 0..20)) {
        let (taken, report) = read(&rows.iter().map(|row| format!("{row}\n")).collect::<String>());
        prop_assert_eq!(report.rows, rows.len() as u64);
        prop_assert_eq!(report.taken, taken.len() as u64);
        let told = report.taken + report.filtered + report.repeated + report.quarantined;
        prop_assert_eq!(told, report.rows);
    }
}

#[test]
fn a_row_stands_where_an_editor_shows_it_whatever_ends_the_lines() {
    let rows = "T-1,A,,Price,,,1,LIVE,\n\nT-2,A,,\"Pri\nce\",,,1,LIVE,\n,A,,Price,,,1,LIVE,\n";
    for end in ["\n", "\r", "\r\n"] {
        let (rows, report) = read(&rows.replace('\n', end));
        let lines: Vec<u64> = rows.iter().map(|row| row.line).collect();
        assert_eq!((lines, report.quarantine[0].line), (vec![2, 4], 6), "{end:?}");
    }
}
