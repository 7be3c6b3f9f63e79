//! Folders with one CSV file per agency in the standard columns, and the truth beside them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, ensure};
use causeway_proto::day::Day;

/// The share of dates of birth that have to lie before the day that a folder speaks of; the others
/// are typing errors.
const PLAUSIBLE: f64 = 0.995;

/// One agency's file.
#[derive(Clone, Debug)]
pub struct StandardAgency {
    /// The columns' names.
    pub header: Vec<String>,
    /// The records.
    pub rows: Vec<Vec<String>>,
    /// Who each record's person is, by the record's own number.
    pub truth: BTreeMap<String, String>,
}

/// Reads every CSV file of a folder, in the order of their names.
pub fn read_folder(folder: &Path) -> anyhow::Result<Vec<StandardAgency>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "csv") {
            files.push(path);
        }
    }
    files.sort();
    files.iter().map(|file| read(file).with_context(|| file.display().to_string())).collect()
}

fn read(file: &Path) -> anyhow::Result<StandardAgency> {
    let mut reader = csv::Reader::from_path(file)?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let (mut rows, mut truth) = (Vec::new(), BTreeMap::new());
    let place = |name| header.iter().position(|column| column == name);
    let local = place("local_id").context("has no column `local_id`")?;
    let person = place("truth_id").context("has no column `truth_id`")?;
    for row in reader.records() {
        let row: Vec<String> = row?.iter().map(str::to_owned).collect();
        truth.insert(row[local].clone(), row[person].clone());
        rows.push(row);
    }
    Ok(StandardAgency { header, rows, truth })
}

/// Writes an agency's export without the truth, and the mapping that reads it. Returns the feed's
/// id, the mapping and the export.
pub fn export(
    agency: &StandardAgency,
    folder: &Path,
) -> anyhow::Result<(String, PathBuf, PathBuf)> {
    fs::create_dir_all(folder)?;
    let (file, mapping) = (folder.join("people.csv"), folder.join("people.toml"));
    let header = &agency.header;
    let kept: Vec<usize> = (0..header.len()).filter(|at| header[*at] != "truth_id").collect();
    let mut writer = csv::Writer::from_path(&file)?;
    writer.write_record(kept.iter().map(|at| &header[*at]))?;
    for row in &agency.rows {
        writer.write_record(kept.iter().map(|at| &row[*at]))?;
    }
    writer.flush()?;
    let kept: Vec<&str> = kept.iter().map(|at| header[*at].as_str()).collect();
    let text = self::mapping(&kept);
    fs::write(&mapping, text)?;
    Ok(("people".into(), mapping, file))
}

/// Returns the mapping of an export with these of the standard columns.
pub fn mapping(header: &[&str]) -> String {
    let ours = header.iter().filter(|column| !["local_id", "truth_id"].contains(column));
    let columns: String = ours.map(|column| format!("{column} = \"{column}\"\n")).collect();
    format!(
        "id = \"people\"\nabout = \"people\"\ndates = [\"%Y-%m-%d\", \"%Y-%m\", \"%Y\"]\nkey = [\"local_id\"]\n\
         max_quarantine_pct = 50\naccept_test_ranges = true\nyear_only_first_january = false\n\n\
         [columns]\n{columns}"
    )
}

/// Returns a day after nearly everybody's birth: the end of the year in which the youngest are born.
pub fn as_at(agencies: &[StandardAgency]) -> anyhow::Result<Day> {
    let mut years: Vec<i16> = Vec::new();
    for agency in agencies {
        let Some(dob) = agency.header.iter().position(|column| column == "dob") else { continue };
        let year = |row: &Vec<String>| row[dob].get(..4).and_then(|year| year.parse::<i16>().ok());
        years.extend(agency.rows.iter().filter_map(year));
    }
    ensure!(!years.is_empty(), "not one record has a date of birth");
    years.sort_unstable();
    let last = years[((years.len() - 1) as f64 * PLAUSIBLE) as usize];
    Day::new(last + 1, 12, 31).context("the dates of birth are of no time")
}

/// Returns a policy that gives match-keys for everybody and not one signal.
pub fn policy(agency: &str) -> String {
    format!(
        "[node]\nid = \"{agency}\"\ncontroller = \"measuring\"\nregime = \"part2\"\n\n\
         [purpose.adult_safeguarding]\nlawful_basis = \"6(1)(e)\"\n\n\
         [release]\ndefault = \"deny\"\n\n[scope]\npeople = \"everybody\"\n"
    )
}
