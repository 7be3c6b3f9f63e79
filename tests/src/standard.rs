//! Folders with one CSV file per agency in the standard columns, and the truth beside them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use causeway_node::{clock, source::PersonField};
use causeway_proto::day::Day;

/// People who live at one time were born within so many years, but for typing errors.
const LIFETIME: i32 = 120;
/// The first year that a sweep may speak of.
const FIRST_YEAR: i16 = 2000;
/// No more of the years of birth than this are taken for mistyped ones.
const MOST_MISTYPED: f64 = 0.05;
/// The share of those births that has to lie before the day that a folder speaks of.
const PLAUSIBLE: f64 = 0.995;

/// Columns that say nothing of a person.
const OURS: [&str; 2] = ["local_id", "truth_id"];

/// One agency's file.
#[derive(Clone, Debug)]
pub struct StandardAgency {
    /// The file's name, without `.csv`.
    pub name: String,
    /// The columns' names: those that a mapping knows, and `local_id` and `truth_id`.
    pub header: Vec<String>,
    /// Columns of the file that are none of these and were left out.
    pub left_out: Vec<String>,
    /// The records.
    pub rows: Vec<Vec<String>>,
    /// Who each record's person is, by the record's own number.
    pub truth: BTreeMap<String, String>,
    /// Of a register of the past, the first year of birth in it.
    pub born_from: Option<i16>,
}

/// Reads every CSV file of a folder, in the order of their names.
pub fn read_folder(folder: &Path) -> anyhow::Result<Vec<StandardAgency>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("could not read {}", folder.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let is_csv = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
        if is_csv && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    let read = |file: &PathBuf| read(file).with_context(|| file.display().to_string());
    let mut agencies: Vec<StandardAgency> = files.iter().map(read).collect::<Result<_, _>>()?;
    let born_from = born_from(&agencies);
    agencies.iter_mut().for_each(|agency| agency.born_from = born_from);
    Ok(agencies)
}

/// Returns the first year of birth, but for typing errors, where people were born before the lifetime that ends on
/// the day that the folder speaks of: a node does not believe in such a year unless it is told to.
fn born_from(agencies: &[StandardAgency]) -> Option<i16> {
    let (_, last) = lifetime(years(agencies).collect())?;
    let first = (last.max(FIRST_YEAR - 1) + 1 - LIFETIME as i16).min(1900);
    let mut born: Vec<i16> = years(agencies).filter(|year| (1000..=last).contains(year)).collect();
    born.sort_unstable();
    let early = born.partition_point(|year| *year < first) as f64;
    let is_of_the_past = early > born.len() as f64 * MOST_MISTYPED;
    is_of_the_past.then(|| born[(born.len() as f64 * (1.0 - PLAUSIBLE)) as usize])
}

fn read(file: &Path) -> anyhow::Result<StandardAgency> {
    let mut reader = csv::Reader::from_path(file)?;
    let known = |column: &str| {
        OURS.contains(&column) || PersonField::ALL.iter().any(|field| field.as_str() == column)
    };
    let columns = reader.headers()?.clone();
    let (header, left_out): (Vec<String>, _) =
        columns.iter().map(str::to_owned).partition(|column| known(column));
    let (mut rows, mut truth) = (Vec::new(), BTreeMap::new());
    let place = |name| header.iter().position(|column| column == name);
    let local = place("local_id").with_context(|| {
        format!(
            "has no column `local_id`: a number of its own for each record. The first line has to name the columns in \
             lower-case letters, with commas between; of those it names, {} are known",
            header.len()
        )
    })?;
    let person =
        place("truth_id").context("has no column `truth_id`: who each record's person is")?;
    for row in reader.records() {
        let row = row?;
        let line = row.position().map_or(0, csv::Position::line);
        let kept = row.iter().zip(&columns).filter(|(_, column)| known(column));
        let mut row: Vec<String> = kept.map(|(value, _)| value.to_owned()).collect();
        // As a node reads it.
        row[local] = row[local].trim().to_owned();
        if row[local].is_empty() {
            bail!("has no local_id in line {line}: each record needs a number of its own");
        }
        if truth.insert(row[local].clone(), row[person].clone()).is_some() {
            bail!("holds the local_id `{}` twice: it is a record's own number", row[local]);
        }
        rows.push(row);
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(StandardAgency { name, header, left_out, rows, truth, born_from: None })
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
    let text = self::mapping(&kept, agency.born_from);
    fs::write(&mapping, text)?;
    Ok(("people".into(), mapping, file))
}

/// Returns the mapping of an export with these of the standard columns, and of births from this year on where they
/// are of the past.
pub fn mapping(header: &[&str], born_from: Option<i16>) -> String {
    let ours = header.iter().filter(|column| !OURS.contains(column));
    let columns: String = ours.map(|column| format!("{column} = \"{column}\"\n")).collect();
    let born_from = born_from.map(|year| format!("born_from = {year}\n")).unwrap_or_default();
    format!(
        "id = \"people\"\nabout = \"people\"\ndates = [\"%Y-%m-%d\", \"%Y-%m\", \"%Y\"]\nkey = [\"local_id\"]\n\
         max_quarantine_pct = 50\naccept_test_ranges = true\nyear_only_first_january = false\n\
         {born_from}\n[columns]\n{columns}"
    )
}

/// Returns a day after nearly everybody's birth: the end of the year in which the youngest are born, or of
/// the first that a sweep may speak of.
///
/// Mistyped years are births of another time. Today where not one record has a date of birth, and where
/// that year has not ended yet.
pub fn as_at(agencies: &[StandardAgency]) -> anyhow::Result<Day> {
    match lifetime(years(agencies).collect()) {
        Some((_, last)) => {
            let year = (last + 1).max(FIRST_YEAR);
            let end = Day::new(year, 12, 31).context("the dates of birth are of no time")?;
            Ok(end.min(clock::today()))
        }
        None => Ok(clock::today()),
    }
}

/// The year of birth of everybody who has one.
fn years(agencies: &[StandardAgency]) -> impl Iterator<Item = i16> {
    agencies.iter().filter_map(|agency| Some((agency, agency.dob()?))).flat_map(|(agency, dob)| {
        agency.rows.iter().filter_map(move |row| row[dob].get(..4)?.parse().ok())
    })
}

impl StandardAgency {
    /// Returns the place of the date of birth.
    fn dob(&self) -> Option<usize> {
        self.header.iter().position(|column| column == "dob")
    }
}

/// Returns the years between which nearly all are born who were born within one lifetime: the one that most
/// years lie in.
fn lifetime(mut years: Vec<i16>) -> Option<(i16, i16)> {
    years.sort_unstable();
    let lifetime = |from: &usize| {
        let end = i32::from(years[*from]) + LIFETIME;
        years.partition_point(|year| i32::from(*year) < end) - from
    };
    let from = (0..years.len()).rev().max_by_key(lifetime)?;
    let born = &years[from..from + lifetime(&from)];
    let last = (born.len() - 1) as f64;
    let (first, last) = (last * (1.0 - PLAUSIBLE), last * PLAUSIBLE);
    Some((born[first.floor() as usize], born[last.ceil() as usize]))
}

/// Returns a policy that gives match-keys for everybody and not one signal.
pub fn policy(agency: &str) -> String {
    format!(
        "[node]\nid = \"{agency}\"\ncontroller = \"measuring\"\nregime = \"part2\"\n\n\
         [purpose.adult_safeguarding]\nlawful_basis = \"6(1)(e)\"\n\n\
         [release]\ndefault = \"deny\"\n\n[scope]\npeople = \"everybody\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistyped_years_do_not_move_the_day_that_a_folder_speaks_of() {
        let born: Vec<i16> = (1925..2021).flat_map(|year| [year; 10]).collect();
        assert_eq!(lifetime(born.clone()), Some((1925, 2020)));
        let mistyped = [3999, 9010, 1099, 6001, 2975, 20];
        let years = born.into_iter().chain((0..20).flat_map(|_| mistyped)).collect();
        assert_eq!(lifetime(years), Some((1925, 2020)));
        assert_eq!(lifetime(Vec::new()), None);
    }

    fn agency(dobs: &[&str]) -> StandardAgency {
        let rows = dobs.iter().map(|dob| vec![(*dob).to_owned()]).collect();
        let (name, truth) = ("a".to_owned(), BTreeMap::new());
        let (header, left_out) = (vec!["dob".into()], Vec::new());
        StandardAgency { name, header, left_out, rows, truth, born_from: None }
    }

    #[test]
    fn columns_that_no_mapping_knows_are_left_out_and_named() {
        let folder = tempfile::tempdir().unwrap();
        let text = "notes,local_id,dob,truth_id,Forename,forename\nx,1,1950-03-04,p,y,ivy\n";
        fs::write(folder.path().join("a.CSV"), text).unwrap();
        let [agency] = &read_folder(folder.path()).unwrap()[..] else { panic!("one file") };
        assert_eq!(agency.header, ["local_id", "dob", "truth_id", "forename"]);
        assert_eq!(agency.left_out, ["notes", "Forename"]);
        assert_eq!(agency.rows, [["1", "1950-03-04", "p", "ivy"]]);
        assert_eq!(agency.truth, BTreeMap::from([("1".to_owned(), "p".to_owned())]));
    }

    #[test]
    fn people_of_any_century_can_be_linked() {
        let read = |dobs: &[&str]| {
            let agencies = [agency(dobs)];
            (as_at(&agencies).unwrap().to_string(), born_from(&agencies))
        };
        assert_eq!(read(&["1931-02-03", "1985"]), ("2000-12-31".into(), None));
        assert_eq!(read(&["2001-05-06", "2011-07-08"]), ("2012-12-31".into(), None));
        assert_eq!(read(&["1786-02-03", "1848-02-29"]), ("2000-12-31".into(), Some(1786)));
        let of_any = ["1630-08-01", "1861-03-04", "1872-05-06", "1944-02-29"];
        assert_eq!(read(&of_any), ("2000-12-31".into(), Some(1630)));
        assert_eq!(read(&["", "soon"]).1, None);
        let mistyped = ["1099-01-02"].into_iter().chain([["1950-03-04"; 10]; 3].concat());
        assert_eq!(read(&mistyped.collect::<Vec<_>>()).1, None);
        assert!(mapping(&["dob"], Some(1630)).contains("\nborn_from = 1630\n"));
    }
}
