//! Folders with one CSV file per agency in the standard columns, and the truth beside them.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use causeway_node::clock;
use causeway_proto::day::Day;

/// People who live at one time were born within so many years, but for typing errors.
const LIFETIME: i32 = 120;
/// The first year that a sweep may speak of.
const FIRST_YEAR: i16 = 2000;
/// The share of those births that has to lie before the day that a folder speaks of.
const PLAUSIBLE: f64 = 0.995;

/// One agency's file.
#[derive(Clone, Debug)]
pub struct StandardAgency {
    /// The file's name, without `.csv`.
    pub name: String,
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
    let read = |file: &PathBuf| read(file).with_context(|| file.display().to_string());
    let mut agencies: Vec<StandardAgency> = files.iter().map(read).collect::<Result<_, _>>()?;
    bring_to_our_time(&mut agencies);
    Ok(agencies)
}

/// Moves births on where the first are of people whom no sweep can speak of any more: a node believes in
/// nobody who would be older than a lifetime. By leap years, so that every day stays one.
fn bring_to_our_time(agencies: &mut [StandardAgency]) {
    let Some((first, _)) = lifetime(years(agencies).collect()) else { return };
    let too_early = i32::from(FIRST_YEAR) - LIFETIME - i32::from(first);
    let years = (too_early.max(0) + 3) / 4 * 4;
    if years == 0 {
        return;
    }
    for agency in agencies {
        let Some(dob) = agency.dob() else { continue };
        for row in &mut agency.rows {
            let year = row[dob].get(..4).and_then(|year| year.parse::<i32>().ok());
            if let Some(year) = year {
                row[dob].replace_range(..4, &format!("{:04}", year + years));
            }
        }
    }
}

fn read(file: &Path) -> anyhow::Result<StandardAgency> {
    let mut reader = csv::Reader::from_path(file)?;
    let header: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let (mut rows, mut truth) = (Vec::new(), BTreeMap::new());
    let place = |name| header.iter().position(|column| column == name);
    let local = place("local_id")
        .context("has no column `local_id`: a number of its own for each record")?;
    let person =
        place("truth_id").context("has no column `truth_id`: who each record's person is")?;
    for row in reader.records() {
        let row: Vec<String> = row?.iter().map(str::to_owned).collect();
        if truth.insert(row[local].clone(), row[person].clone()).is_some() {
            bail!("holds the local_id `{}` twice: it is a record's own number", row[local]);
        }
        rows.push(row);
    }
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    Ok(StandardAgency { name, header, rows, truth })
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
        StandardAgency { name, header: vec!["dob".into()], rows, truth }
    }

    #[test]
    fn people_of_any_century_can_be_linked() {
        let day = |dobs: &[&str]| -> (String, Vec<String>) {
            let mut agencies = [agency(dobs)];
            bring_to_our_time(&mut agencies);
            let born = agencies[0].rows.iter().map(|row| row[0].clone()).collect();
            (as_at(&agencies).unwrap().to_string(), born)
        };
        let as_written = |dobs: [&str; 2]| dobs.map(str::to_owned).to_vec();
        let grown_ups = ["1931-02-03", "1985"];
        assert_eq!(day(&grown_ups), ("2000-12-31".into(), as_written(grown_ups)));
        let children = ["2001-05-06", "2011-07-08"];
        assert_eq!(day(&children), ("2012-12-31".into(), as_written(children)));
        let long_dead = (String::from("2000-12-31"), as_written(["1882-02-03", "1944-02-29"]));
        assert_eq!(day(&["1786-02-03", "1848-02-29"]), long_dead);
    }
}
