use super::*;
use crate::cause::in_one_line;

const PEOPLE: &str = r#"
id = "nominals"
about = "people"
dates = ["%d/%m/%Y"]
key = ["REF"]
[columns]
surname = "SURNAME"
dob = "DOB"
"#;

const EVENTS: &str = r#"
id = "incidents"
about = "events"
person_feed = "nominals"
dates = ["%d/%m/%Y"]
key = ["REF", "NOMINAL"]
[columns]
person = "NOMINAL"
type = "TYPE"
role = "ROLE"
start = "DATE"
[roles]
VIC = "victim"
SUS = "suspect"
WIT = "witness"
[codes]
ASB = "POL_ASB_VICTIM"
ASSAULT = { victim = "POL_VICTIM_VIOLENCE", suspect = "POL_SUSPECT_VIOLENCE" }
"#;

fn refused(text: &str) -> String {
    in_one_line(&Feed::from_toml(text).unwrap_err())
}

#[test]
fn a_misspelt_setting_is_an_error_and_not_a_default() {
    let error = refused(&format!("freshnes_h = 3\n{PEOPLE}"));
    assert!(error.contains("freshnes_h"), "{error}");
}

#[test]
fn a_setting_that_makes_no_sense_names_its_key_and_a_fix() {
    for (base, from, to, expected) in [
        (PEOPLE, "\"nominals\"", "\"Nominals!\"", "the mapping, `id`: use 1 to 64 lowercase"),
        (PEOPLE, "key = [\"REF\"]", "key = []", "`key`: name the columns"),
        (PEOPLE, "key", "max_drop_pct = 0\nkey", "`max_drop_pct`: use 1 to 100"),
        (PEOPLE, "key", "max_quarantine_pct = 0\nkey", "`max_quarantine_pct`: use 1 to 50"),
        (PEOPLE, "key", "born_from = 1950\nkey", "`born_from`: use 1000 to 1899"),
        (PEOPLE, "key", "freshness_h = 0\nkey", "`freshness_h`: use at least 1"),
        (PEOPLE, "key", "delimiter = \"::\"\nkey", "`delimiter`: use one sign"),
        (PEOPLE, "key", "delimiter = '\"'\nkey", "`quote`: is the same sign"),
        (
            PEOPLE,
            "surname =",
            "surnam =",
            "`columns.surnam`: is none of our fields; did you mean `surname`?",
        ),
        (PEOPLE, "\"SURNAME\"", "\"\"", "`columns.surname`: name a column"),
        (PEOPLE, "dob = \"DOB\"", "dob = [\"D\", \"M\"]", "`columns.dob`: a date stands in one"),
        (PEOPLE, "dates = [\"%d/%m/%Y\"]", "", "`dates`: `columns.dob` is a date"),
        (PEOPLE, "%d/%m/%Y", "%d/%m/%y", "`dates`: `%d/%m/%y` has a two-digit year: set `pivot`"),
        (PEOPLE, "key", "header = false\nkey", "`header`: `DOB` is no column"),
        (
            PEOPLE,
            "key",
            "default_role = \"victim\"\nkey",
            "`default_role`: belongs to feeds about events",
        ),
        (
            PEOPLE,
            "[columns]",
            "[sensitive]\ncolumn = \"S\"\nvalues = [\"Y\"]\n[columns]",
            "use `[restricted]`",
        ),
        (EVENTS, "person_feed = \"nominals\"", "", "`person_feed`: name the feed"),
        (EVENTS, "start = \"DATE\"", "", "`columns.start`: is needed"),
        (EVENTS, "role = \"ROLE\"", "", "`columns.role`: map it, or set `default_role`"),
        (EVENTS, "key", "default_role = \"victim\"\nkey", "`default_role`: leave it out"),
        (EVENTS, "type = \"TYPE\"", "", "`columns.type`: map it, or set `default_code`"),
        (
            EVENTS,
            "POL_ASB_VICTIM",
            "POL_ASB_VICTEM",
            "`codes.ASB`: `POL_ASB_VICTEM` is no code of the signal catalogue; did you mean `POL_ASB_VICTIM`?",
        ),
        (
            EVENTS,
            "victim = \"POL_VICTIM_VIOLENCE\"",
            "victim = \"POL_DRUG_WARRANT\"",
            "`codes.ASSAULT.victim`: `POL_DRUG_WARRANT` is never said of a victim",
        ),
        (
            EVENTS,
            "suspect = \"POL_SUSPECT_VIOLENCE\"",
            "suspect = \"POL_DA_HIGH\"",
            "`codes.ASSAULT.suspect`: `POL_DA_HIGH` is never said of a suspect; it is said of victims",
        ),
        (
            EVENTS,
            "suspect = \"POL_SUSPECT_VIOLENCE\"",
            "witness = \"POL_DA_HIGH\"",
            "never said of a witness; they are contacts",
        ),
        (EVENTS, "\"POL_ASB_VICTIM\"", "\"DER_CHILD_U5\"", "is derived by the node"),
        (EVENTS, "VIC = \"victim\"", "VIC = \"victim\"\nvic = \"victim\"", "stands twice"),
        (EVENTS, "VIC = \"victim\"", "VIC = \"victem\"", "victem"),
    ] {
        let error = refused(&base.replacen(from, to, 1));
        assert!(error.contains(expected), "{to}: {error}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Feed::load(Path::new("/nowhere/police.toml")).unwrap_err().to_string();
    assert_eq!(error, "could not read mapping file /nowhere/police.toml");
}

#[test]
fn their_words_are_read_in_any_case_and_by_role() {
    let feed = Feed::from_toml(EVENTS).unwrap();
    assert_eq!(feed.role(Some("vic")), Some(Role::Victim));
    assert_eq!(feed.role(Some("neighbour")), None);
    for (theirs, role, code) in [
        ("asb", Role::Victim, Some("POL_ASB_VICTIM")),
        ("asb", Role::Suspect, None),
        ("Assault", Role::Victim, Some("POL_VICTIM_VIOLENCE")),
        ("Assault", Role::Suspect, Some("POL_SUSPECT_VIOLENCE")),
        ("Assault", Role::Subject, None),
        ("lost property", Role::Victim, None),
    ] {
        let found = feed.code(Some(theirs), role).map(SignalCode::as_str);
        assert_eq!(found, code, "{theirs} {role:?}");
    }
    assert_eq!(feed.codes().len(), 3);
}

#[test]
fn a_feed_of_one_kind_needs_no_columns_for_it() {
    let feed = Feed::from_toml(
        r#"
        id = "plans"
        about = "events"
        person_feed = "children"
        dates = ["%d/%m/%Y"]
        key = ["PLAN"]
        default_role = "subject"
        default_code = "CSC_CP_PLAN"
        columns = { person = "CHILD", start = "FROM", end = "TO" }
        "#,
    )
    .unwrap();
    assert_eq!(feed.role(None), Some(Role::Subject));
    assert_eq!(feed.code(None, Role::Subject).map(SignalCode::as_str), Some("CSC_CP_PLAN"));
}

#[test]
fn a_mark_nobody_explained_restricts() {
    let marks = "[restricted]\ncolumn = \"ACCESS\"\nopen = [\"N\"]\nvalues = { W = \"shielded\" }";
    let feed = Feed::from_toml(&format!("{PEOPLE}\n{marks}")).unwrap();
    for (mark, restriction) in [
        ("", None),
        ("n", None),
        ("W", Some(Restriction::Shielded)),
        ("Z9", Some(Restriction::Restricted)),
    ] {
        assert_eq!(feed.restriction(mark), restriction, "{mark}");
    }
}

#[test]
fn a_mapping_that_is_read_otherwise_has_another_fingerprint() {
    let folder = tempfile::tempdir().unwrap();
    let load = |text: &str| {
        let path = folder.path().join("nominals.toml");
        std::fs::write(&path, text).unwrap();
        Feed::load(&path).unwrap().fingerprint()
    };
    assert_eq!(load(PEOPLE), Feed::from_toml(PEOPLE).unwrap().fingerprint());
    assert_ne!(load(PEOPLE), load(&PEOPLE.replace("SURNAME", "NAME")));
}
