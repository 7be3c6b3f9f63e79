//! The planted people as `town link` sees them: records of one person are together at all agencies,
//! people who look alike are not, and what is left alone is too thin to be anybody for certain.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

use anyhow::{Context, ensure};
use causeway_node::source::RawPerson;
use causeway_tests::data::{Record, planted};

/// Records without a birth date, which a surname and an address do not make somebody: they attach to
/// the household. Everything else of a person has to be together.
const THIN: [&str; 4] = ["ASB-0447", "F-77", "R-87", "T-860"];
/// It could be of either twin.
const OF_TWO: &str = "ED-802";

/// What became of one record.
struct Linked {
    record: Record,
    person: String,
    ambiguous: bool,
}

#[test]
fn every_true_person_is_together_and_nobody_else_is() -> anyhow::Result<()> {
    let planted = link(planted::people()?.records)?;
    let mut persons: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut truths: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for linked in &planted {
        let (truth, id) = (&linked.record.truth.person, linked.record.local_id.as_str());
        truths.entry(&linked.person).or_default().insert(match truth.as_str() {
            "" => id,
            person => person,
        });
        if !THIN.contains(&id) && !truth.is_empty() {
            persons.entry(truth).or_default().insert(&linked.person);
        }
    }
    assert_eq!(persons.len(), 20, "{persons:?}");
    for (truth, persons) in &persons {
        assert_eq!(persons.len(), 1, "{truth} fell apart");
    }
    let merged: Vec<_> = truths.values().filter(|truths| truths.len() > 1).collect();
    assert!(merged.is_empty(), "two people became one: {merged:?}");
    for linked in &planted {
        let id = linked.record.local_id.as_str();
        if THIN.contains(&id) || id == OF_TWO {
            let same = planted.iter().filter(|other| other.person == linked.person).count();
            assert_eq!(same, 1, "{id} says too little to be given to anybody");
        }
    }
    let unclear = planted.iter().filter(|linked| linked.ambiguous);
    let unclear: Vec<&str> = unclear.map(|linked| linked.record.local_id.as_str()).collect();
    assert_eq!(unclear, [OF_TWO]);
    Ok(())
}

/// Links records with `town link`: a node for each agency, and a coordinator.
fn link(records: Vec<Record>) -> anyhow::Result<Vec<Linked>> {
    let folder = tempfile::tempdir()?;
    let (data, persons) = (folder.path().join("data"), folder.path().join("persons.csv"));
    fs::create_dir(&data)?;
    let mut by_agency: BTreeMap<String, BTreeMap<String, Record>> = BTreeMap::new();
    for record in records {
        let agency = by_agency.entry(record.agency.to_string()).or_default();
        let twice = agency.insert(record.local_id.clone(), record);
        ensure!(twice.is_none(), "{twice:?} has another's number");
    }
    for (agency, records) in &by_agency {
        write(&data.join(format!("{agency}.csv")), records.values())?;
    }
    let mut town = Command::new(env!("CARGO_BIN_EXE_town"));
    let output = town.args(["link", "--json", "--persons"]).arg(&persons).arg(&data).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "linking failed: {said}");
    // Agencies are numbered in the order of their files.
    let mut agencies: Vec<_> = by_agency.into_values().collect();
    let mut linked = Vec::new();
    for row in csv::Reader::from_path(&persons)?.records() {
        let row = row?;
        let [agency, key, _, _, person, ambiguous] = [0, 1, 2, 3, 4, 5].map(|at| &row[at]);
        let record = agencies[agency.parse::<usize>()?].remove(key).context("nobody's record")?;
        ensure!(!person.is_empty(), "{key} took no part");
        linked.push(Linked { record, person: person.to_owned(), ambiguous: ambiguous == "1" });
    }
    ensure!(agencies.iter().all(BTreeMap::is_empty), "records were lost");
    Ok(linked)
}

/// Writes an agency's records in the standard columns.
fn write<'a>(file: &Path, records: impl Iterator<Item = &'a Record>) -> anyhow::Result<()> {
    let mut writer = csv::Writer::from_path(file)?;
    writer.write_record([
        "local_id", "truth_id", "title", "forename", "middle", "surname", "alias", "dob", "sex",
        "address", "postcode", "uprn", "nhs", "upn", "nino", "phone", "email",
    ])?;
    for Record { local_id, truth, person, .. } in records {
        let RawPerson { title, forename, middle, surname, alias, dob, sex, .. } = person;
        let RawPerson { address, postcode, uprn, nhs, upn, nino, phone, email, .. } = person;
        writer.write_record([
            local_id,
            &truth.person,
            title,
            forename,
            middle,
            surname,
            alias,
            dob,
            sex,
            address,
            postcode,
            uprn,
            nhs,
            upn,
            nino,
            phone,
            email,
        ])?;
    }
    Ok(writer.flush()?)
}
