use proptest::prelude::*;

use super::*;
use crate::source::Role;

const MAPPING: &str = r#"
id = "niche-incidents"
about = "events"
person_feed = "niche-nominals"
dates = ["%d/%m/%Y"]
key = ["INCIDENT", "NOMINAL"]

[columns]
person = "NOMINAL"
event_ref = "INCIDENT"
type = "TYPE"
role = "ROLE"
start = "FROM"
end = "TO"
confidence = "SURE"

[roles]
VICTIM = "victim"
SUSPECT = "suspect"
WITNESS = "witness"
INFORMANT = "reporter"
OFFICER = "professional"

[codes]
ASB = "POL_ASB_VICTIM"
ASSAULT = { victim = "POL_VICTIM_VIOLENCE", suspect = "POL_SUSPECT_VIOLENCE" }
"DA HIGH" = "POL_DA_HIGH"

[sensitive]
column = "MARK"
values = ["SECRET"]
"#;

const HEADER: &str = "INCIDENT,NOMINAL,TYPE,ROLE,FROM,TO,SURE,MARK\n";

fn read(rows: &str) -> (Vec<EventRow>, SourceReport) {
    read_by(MAPPING, rows)
}

fn read_by(mapping: &str, rows: &str) -> (Vec<EventRow>, SourceReport) {
    let feed = Feed::from_toml(mapping).unwrap();
    let file = format!("{HEADER}{rows}");
    let mut events = Events::open(&feed, file.as_bytes()).unwrap();
    let rows = events.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
    (rows, events.finish().unwrap())
}

#[test]
fn rows_are_signals_of_people() {
    let (rows, report) = read(
        "I-1,N-1,asb,Victim,11/01/2025,,,\n\
         I-2,N-2,ASSAULT,SUSPECT,02/02/2025 10:30,31/12/9999,0.6,\n\
         I-3,N-1,ASSAULT,VICTIM,02/02/2025,03/02/2025,1,OPEN\n",
    );
    let said: Vec<_> = rows
        .iter()
        .map(|row| {
            let end = row.end.map(|end| end.to_string());
            let EventRow { event_ref, person_key, confidence_permille, .. } = row;
            format!(
                "{event_ref} {person_key} {} {:?} {} {end:?} {confidence_permille}",
                row.code, row.role, row.start
            )
        })
        .collect();
    assert_eq!(
        said,
        [
            "I-1 N-1 POL_ASB_VICTIM Victim 2025-01-11 None 1000",
            "I-2 N-2 POL_SUSPECT_VIOLENCE Suspect 2025-02-02 None 600",
            "I-3 N-1 POL_VICTIM_VIOLENCE Victim 2025-02-02 Some(\"2025-02-03\") 1000",
        ]
    );
    assert_eq!((report.rows, report.taken, report.quarantined), (3, 3, 0));
}

#[test]
fn contacts_are_counted_and_dropped() {
    let (rows, report) = read(
        "I-1,N-1,ASB,WITNESS,11/01/2025,,,\n\
         I-1,N-2,ASB,INFORMANT,11/01/2025,,,\n\
         I-1,N-3,ASB,OFFICER,11/01/2025,,,\n\
         I-1,N-4,ASB,PASSER-BY,11/01/2025,,,\n\
         I-1,N-4,ASB,,11/01/2025,,,\n\
         I-1,N-5,LOST PROPERTY,VICTIM,11/01/2025,,,\n\
         I-1,N-6,DA HIGH,SUSPECT,11/01/2025,,,\n\
         I-1,N-7,ASB,WITNESS,no date at all,,,\n\
         I-1,N-8,ASB,VICTIM,11/01/2025,,,secret\n",
    );
    assert!(rows.is_empty());
    let contacts: Vec<_> =
        report.contacts.iter().map(|(contact, count)| (*contact, *count)).collect();
    assert_eq!(
        contacts,
        [
            (Contact::Witness, 2),
            (Contact::Reporter, 1),
            (Contact::Professional, 1),
            (Contact::UnknownRole, 2),
            (Contact::UnmappedType, 1),
            (Contact::NotOfThisRole, 1),
        ]
    );
    assert_eq!((report.sensitive, report.quarantined), (1, 0));
}

#[test]
fn an_event_without_person_or_date_is_set_aside() {
    let (rows, report) = read(
        "I-1,,ASB,VICTIM,11/01/2025,,,\n\
         I-2,N-1,ASB,VICTIM,,,,\n\
         I-3,N-1,ASB,VICTIM,2025-01-11,,,\n\
         I-4,N-1,ASB,VICTIM,01/01/1900,,,\n\
         I-5,N-1,ASB,VICTIM,45678,,,\n\
         I-6,N-1,ASB,VICTIM,11/01/2025,10/01/2025,,\n\
         I-7,N-1,ASB,VICTIM,11/01/2025,soon,,\n\
         I-8,N-1,ASB,VICTIM,11/01/2025,,60%,\n\
         1.2E+09,N-1,ASB,VICTIM,11/01/2025,,,\n",
    );
    assert!(rows.is_empty());
    let found: Vec<_> = report
        .quarantine
        .iter()
        .map(|bad| (bad.line, bad.column.as_deref().unwrap_or(""), bad.rule))
        .collect();
    assert_eq!(
        found,
        [
            (2, "NOMINAL", Rule::KeyMissing),
            (3, "FROM", Rule::DateUnreadable),
            (4, "FROM", Rule::DateUnreadable),
            (5, "FROM", Rule::DateUnreadable),
            (6, "FROM", Rule::SerialDate),
            (7, "TO", Rule::EndBeforeStart),
            (8, "TO", Rule::DateUnreadable),
            (9, "SURE", Rule::ConfidenceForm),
            (10, "INCIDENT", Rule::ScientificNumber),
        ]
    );
}

#[test]
fn the_fixtures_events_are_all_signals_but_the_contacts() {
    let mapping = r#"
        id = "fixtures"
        about = "events"
        person_feed = "people"
        dates = ["%Y-%m-%d"]
        key = ["event_ref", "local_id"]
        columns = { person = "local_id", event_ref = "event_ref", type = "event_type", role = "role", start = "start", end = "end" }
        roles = { VICTIM = "victim", SUBJECT = "subject", SUSPECT = "suspect", WITNESS = "witness" }
        [codes]
    "#;
    let codes: String = causeway_proto::catalogue::SignalCode::all()
        .filter(|code| code.spec().owner.is_some())
        .map(|code| format!("{code} = \"{code}\"\n"))
        .collect();
    let feed = Feed::from_toml(&format!("{mapping}{codes}")).unwrap();
    let file = include_str!("../testdata/events.csv");
    let mut events = Events::open(&feed, file.as_bytes()).unwrap();
    let rows = events.by_ref().collect::<Result<Vec<_>, _>>().unwrap();
    let report = events.finish().unwrap();
    // A witness, and the suspect of domestic abuse, whose code is the victim's.
    assert_eq!(
        report.contacts.into_iter().collect::<Vec<_>>(),
        [(Contact::Witness, 1), (Contact::NotOfThisRole, 1),]
    );
    assert_eq!((report.rows, report.quarantined, report.repeated), (89, 0, 0));
    assert_eq!(rows.len(), 87);
    assert!(rows.iter().all(|row| (row.role == Role::Suspect) == row.code.spec().of_suspect));
}

#[test]
fn a_row_delivered_again_has_the_same_hash_and_a_closed_one_another() {
    let hash = |row: &str| read(row).0[0].hash;
    let open = hash("I-1,N-1,ASB,VICTIM,11/01/2025,,,\n");
    assert_eq!(open, hash("I-1,N-1,asb,victim,11/1/2025,31/12/2999,1.0,\n"));
    assert_ne!(open, hash("I-1,N-1,ASB,VICTIM,11/01/2025,12/01/2025,,\n"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in any::<Vec<u8>>()) {
        let feed = Feed::from_toml(MAPPING).unwrap();
        let file = [HEADER.as_bytes(), &bytes].concat();
        if let Ok(events) = Events::open(&feed, &file[..]) {
            let _ = events.finish();
        }
    }
}

#[test]
fn in_a_file_of_changes_the_last_mark_counts_also_where_the_row_says_what_it_said() {
    let (open, secret) =
        ("I-1,N-1,ASB,VICTIM,11/01/2025,,,", "I-1,N-1,ASB,VICTIM,11/01/2025,,,SECRET");
    let delta = format!("mode = \"delta\"\n{MAPPING}");
    let is_left_out = |rows: &[&str], mapping: &str| {
        let rows: String = rows.iter().map(|row| format!("{row}\n")).collect();
        !read_by(mapping, &rows).1.keys_sensitive.is_empty()
    };
    assert!(!is_left_out(&[open, secret, open], &delta), "it was lifted");
    assert!(!is_left_out(&[secret, open], &delta));
    assert!(is_left_out(&[open, secret, open, secret], &delta));
    // Of a whole extract one mark is enough.
    assert!(is_left_out(&[open, secret, open], MAPPING));
}
