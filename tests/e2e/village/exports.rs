//! The village's records as its agencies' systems export them, and the policies that let signals go.

use std::{
    fs,
    path::{Path, PathBuf},
};

use causeway_node::source::{Restriction, Role};
use causeway_proto::catalogue::{AgencyKind, SignalCode};
use causeway_tests::{
    data::{People, Record},
    town::FeedFile,
};

use super::id;

/// Columns of a people export, as [`person_row`] fills them.
const PEOPLE_HEADER: &str =
    "REF,TITLE,FORENAME,MIDDLE,SURNAME,DOB,SEX,ADDRESS,POSTCODE,UPRN,NHS,UPN,NINO,ACCESS";

/// Writes a record as a line of an export.
fn person_row(record: &Record) -> Vec<String> {
    let p = &record.person;
    let mark = match record.restriction {
        None => "",
        Some(Restriction::Restricted) => "R",
        Some(Restriction::Shielded) => "S",
        Some(Restriction::PreAdoption) => "A",
    };
    [
        &record.local_id,
        &p.title,
        &p.forename,
        &p.middle,
        &p.surname,
        &p.dob,
        &p.sex,
        &p.address,
        &p.postcode,
        &p.uprn,
        &p.nhs,
        &p.upn,
        &p.nino,
        mark,
    ]
    .map(str::to_owned)
    .into()
}

/// Returns the mapping that reads people exports.
fn people_mapping() -> String {
    let columns = "TITLE,FORENAME,MIDDLE,SURNAME,DOB,SEX,ADDRESS,POSTCODE,UPRN,NHS,UPN,NINO";
    let columns: String = columns
        .split(',')
        .map(|column| format!("{} = \"{column}\"\n", column.to_lowercase()))
        .collect();
    format!(
        "id = \"people\"\nabout = \"people\"\ndates = [\"%Y-%m-%d\"]\nkey = [\"REF\"]\n\
         accept_test_ranges = true\nmax_drop_pct = 45\n\n[columns]\n{columns}\n\
         [restricted]\ncolumn = \"ACCESS\"\nopen = []\n\
         values = {{ R = \"restricted\", S = \"shielded\", A = \"pre_adoption\" }}\n"
    )
}

const EVENTS_MAPPING: &str = "id = \"events\"\nabout = \"events\"\nperson_feed = \"people\"\n\
    dates = [\"%Y-%m-%d\"]\nkey = [\"EVENT\", \"REF\"]\nmax_drop_pct = 45\n\n\
    [columns]\nperson = \"REF\"\nevent_ref = \"EVENT\"\ntype = \"TYPE\"\nrole = \"ROLE\"\n\
    start = \"START\"\nend = \"END\"\n\n\
    [roles]\nVICTIM = \"victim\"\nSUBJECT = \"subject\"\nSUSPECT = \"suspect\"\nWITNESS = \"witness\"\n\n\
    [codes]\n";

/// Writes an agency's exports and the mappings that read them.
pub(super) fn export(
    people: &People,
    kind: AgencyKind,
    folder: &Path,
) -> anyhow::Result<Vec<FeedFile>> {
    fs::create_dir_all(folder)?;
    let file = |name: &str| -> PathBuf { folder.join(name) };
    let mut writer = csv::Writer::from_path(file("people.csv"))?;
    writer.write_record(PEOPLE_HEADER.split(','))?;
    for record in people.records.iter().filter(|record| record.agency == kind) {
        writer.write_record(person_row(record))?;
    }
    writer.flush()?;
    fs::write(file("people.toml"), people_mapping())?;

    let mut writer = csv::Writer::from_path(file("events.csv"))?;
    writer.write_record(["EVENT", "REF", "TYPE", "ROLE", "START", "END"])?;
    for h in people.happenings.iter().filter(|happening| happening.agency == kind) {
        let role = match h.role {
            Role::Victim => "VICTIM",
            Role::Suspect => "SUSPECT",
            Role::Witness => "WITNESS",
            _ => "SUBJECT",
        };
        let end = h.end.map(|day| day.to_string()).unwrap_or_default();
        let (code, start) = (h.code.to_string(), h.start.to_string());
        writer.write_record([&h.event_ref, &h.local_id, &code, role, &start, &end])?;
    }
    writer.flush()?;
    let codes: String = own_codes(kind).map(|code| format!("{code} = \"{code}\"\n")).collect();
    fs::write(file("events.toml"), format!("{EVENTS_MAPPING}{codes}"))?;

    let feed = |id: &str| FeedFile {
        id: id.into(),
        mapping: file(&format!("{id}.toml")),
        file: file(&format!("{id}.csv")),
    };
    Ok(vec![feed("people"), feed("events")])
}

fn own_codes(kind: AgencyKind) -> impl Iterator<Item = SignalCode> {
    SignalCode::all().filter(move |code| code.spec().owner == Some(kind))
}

/// A policy that lets go of everything the agency may say at all.
pub(super) fn policy(kind: AgencyKind) -> String {
    let purposes = ["adult_safeguarding", "child_safeguarding", "asb_hate"];
    let basis: String = purposes
        .iter()
        .map(|purpose| format!("[purpose.{purpose}]\nlawful_basis = \"6(1)(e)\"\n\n"))
        .collect();
    let codes: Vec<String> = SignalCode::all()
        .filter(|code| code.spec().owner.is_none_or(|owner| owner == kind))
        .map(|code| format!("\"{code}\""))
        .collect();
    format!(
        "[node]\nid = \"{}\"\ncontroller = \"the head of {}\"\nregime = \"part2\"\n\n{basis}\
         [release]\ndefault = \"deny\"\n\n[[release.rule]]\ncode = [{}]\npurpose = {purposes:?}\n\
         max_age_days = 3650\ndetail = \"code+day\"\n\n[scope]\npeople = \"everybody\"\n\n\
         [disclose]\ncontact = true\n",
        id(kind),
        kind.in_words(),
        codes.join(", "),
    )
}
