//! What a process has on its disk, value by value, and the search for anything in it that would tell
//! that two sweeps speak of the same person.
//!
//! Knows no table and no column: whatever a database in the folder holds is walked through, so that
//! what somebody adds tomorrow is looked at as well. What may be the same in two sweeps is the caller's
//! to say; everything else that is, joins them.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs,
    path::Path,
};

use anyhow::Context;
use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use serde_json::Value as Json;
use sqlx::{Connection, SqliteConnection, sqlite::SqliteConnectOptions};

/// Fewer bytes are the same by chance.
const SHORTEST: usize = 8;

/// A folder of files as they were at one moment, with its databases read out.
#[derive(Clone, Debug, Default)]
pub struct Stored {
    cells: BTreeMap<Place, Cell>,
    files: Vec<(String, Vec<u8>)>,
}

/// Where a value stands in a database.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    table: String,
    row: i64,
    column: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Cell {
    Number(String),
    Text(String),
    Bytes(Vec<u8>),
}

/// One thing that a cell says: something that may be the same elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// A number, with its table, column and the fields that lead to it.
    Number(String, String),
    /// A run of signs of which names and keys are made: at least eight.
    Run(String),
    /// Eight bytes out of a value that is no text.
    Bytes([u8; SHORTEST]),
}

/// Something that was there before and was written again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// What.
    pub part: Part,
    /// Where it stood before, and where it was written.
    pub places: [String; 2],
}

impl Stored {
    /// Reads a folder. Databases are read out of a copy, with what stands in their write-ahead logs.
    ///
    /// # Errors
    /// Fails when a file cannot be read, or when a database is none.
    pub fn of(folder: &Path) -> anyhow::Result<Self> {
        let copy = tempfile::tempdir()?;
        let mut stored = Self::default();
        let mut databases = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // No agent keeps anything it heard in a folder of its folder; keys stand there.
            if entry.file_type()?.is_file() {
                let (name, bytes) = (entry.file_name(), fs::read(entry.path())?);
                fs::write(copy.path().join(&name), &bytes)?;
                if bytes.starts_with(b"SQLite format 3\0") {
                    databases.push(copy.path().join(&name));
                }
                stored.files.push((name.to_string_lossy().into_owned(), bytes));
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        for database in databases {
            stored.cells.extend(runtime.block_on(cells(&database)).context("a database")?);
        }
        Ok(stored)
    }

    /// Writes the files into a folder, which is emptied first.
    ///
    /// # Errors
    /// Fails when the folder cannot be written.
    pub fn write(&self, folder: &Path) -> anyhow::Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        for (name, bytes) in &self.files {
            fs::write(folder.join(name), bytes)?;
        }
        Ok(())
    }

    /// Returns how many values its databases hold.
    pub fn values(&self) -> usize {
        self.cells.len()
    }

    /// Returns everything that was written since `before` and says something that was stored by then;
    /// `may` says of what that is no matter.
    pub fn common(&self, before: &Self, may: impl Fn(&Part) -> bool) -> Vec<Common> {
        let mut known: BTreeMap<Part, &Place> = BTreeMap::new();
        for (place, cell) in &before.cells {
            cell.parts(place, |part| {
                known.entry(part).or_insert(place);
            });
        }
        let mut common: BTreeMap<Part, Common> = BTreeMap::new();
        let written =
            self.cells.iter().filter(|(place, cell)| before.cells.get(place) != Some(cell));
        for (place, cell) in written {
            cell.parts(place, |part| {
                if let Some(first) = known.get(&part).filter(|_| !may(&part)) {
                    let places = [first.words(), place.words()];
                    common.entry(part.clone()).or_insert(Common { part, places });
                }
            });
        }
        common.into_values().collect()
    }

    /// Returns the names of the files that hold one of these, from its first eight bytes on: as they are,
    /// backwards, in hexadecimal or in base64.
    pub fn files_with<'a>(
        &self,
        wanted: impl IntoIterator<Item = &'a Vec<u8>>,
    ) -> anyhow::Result<BTreeSet<&str>> {
        let first = |bytes: &Vec<u8>| anyhow::Ok(*bytes.first_chunk().context("too short")?);
        let wanted: HashSet<[u8; SHORTEST]> =
            wanted.into_iter().map(first).collect::<Result<_, _>>()?;
        let holds = |bytes: &[u8]| readings(bytes).any(|eight| wanted.contains(&eight));
        let found = self.files.iter().filter(|(_, bytes)| holds(bytes));
        Ok(found.map(|(name, _)| name.as_str()).collect())
    }
}

impl Place {
    fn words(&self) -> String {
        format!("{}.{}, row {}", self.table, self.column, self.row)
    }
}

impl Cell {
    /// Tells everything that it says.
    fn parts(&self, place: &Place, mut tell: impl FnMut(Part)) {
        let name = format!("{}.{}", place.table, place.column);
        match self {
            Self::Number(number) => tell(Part::Number(name, number.clone())),
            Self::Bytes(bytes) => {
                windows(bytes).filter(says_something).map(Part::Bytes).for_each(tell);
            }
            Self::Text(text) => match serde_json::from_str::<Json>(text) {
                Ok(json) if json.is_object() || json.is_array() => fields(&name, &json, &mut tell),
                _ => runs(text, &mut tell),
            },
        }
    }
}

/// Tells everything that a piece of JSON says, keys among it.
fn fields(name: &str, json: &Json, tell: &mut impl FnMut(Part)) {
    match json {
        Json::Null | Json::Bool(_) => {}
        Json::Number(number) => tell(Part::Number(name.to_owned(), number.to_string())),
        Json::String(text) => runs(text, tell),
        Json::Array(values) => values.iter().for_each(|value| fields(name, value, tell)),
        Json::Object(values) => {
            for (key, value) in values {
                runs(key, tell);
                fields(&format!("{name}.{key}"), value, tell);
            }
        }
    }
}

/// Tells every run of signs that names, numbers and keys are written in.
fn runs(text: &str, tell: &mut impl FnMut(Part)) {
    let is_sign = |sign: char| sign.is_alphanumeric() || "+/=_-".contains(sign);
    let runs = text.split(|sign| !is_sign(sign)).filter(|run| run.len() >= SHORTEST);
    runs.map(|run| Part::Run(run.to_owned())).for_each(tell);
}

fn windows(bytes: &[u8]) -> impl Iterator<Item = [u8; SHORTEST]> {
    bytes.windows(SHORTEST).filter_map(|window| window.try_into().ok())
}

/// Padding, tags and small numbers are the same everywhere.
fn says_something(eight: &[u8; SHORTEST]) -> bool {
    eight.iter().collect::<BTreeSet<_>>().len() > SHORTEST / 2
}

/// Every eight bytes that some bytes may be read as.
fn readings(bytes: &[u8]) -> impl Iterator<Item = [u8; SHORTEST]> {
    let plain = windows(bytes).flat_map(|eight| {
        let mut backwards = eight;
        backwards.reverse();
        [eight, backwards]
    });
    let hexadecimal = bytes.windows(2 * SHORTEST).filter_map(|text| {
        let text = text.iter().all(u8::is_ascii_hexdigit).then(|| str::from_utf8(text).ok())??;
        Some(u64::from_str_radix(text, 16).ok()?.to_be_bytes())
    });
    // Four groups, in which eight bytes may begin at any place of the first.
    let encoded = bytes.windows(16).filter_map(|text| STANDARD_NO_PAD.decode(text).ok());
    let encoded = encoded.flat_map(|bytes| windows(&bytes).collect::<Vec<_>>());
    plain.chain(hexadecimal).chain(encoded)
}

/// Reads every value of every table of a database.
#[expect(clippy::disallowed_methods, reason = "tables and columns are not known beforehand")]
async fn cells(database: &Path) -> Result<BTreeMap<Place, Cell>, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(database);
    let mut conn = SqliteConnection::connect_with(&options).await?;
    let tables: Vec<(String,)> =
        sqlx::query_as("select name from sqlite_schema where type = 'table'")
            .fetch_all(&mut conn)
            .await?;
    let mut cells = BTreeMap::new();
    for (table,) in tables {
        let columns: Vec<(String,)> = sqlx::query_as("select name from pragma_table_info(?)")
            .bind(&table)
            .fetch_all(&mut conn)
            .await?;
        for (column,) in columns {
            let select = format!(
                "select rowid, typeof(\"{column}\"), cast(\"{column}\" as blob) from \"{table}\"
                 where \"{column}\" is not null"
            );
            let rows: Vec<(i64, String, Vec<u8>)> =
                sqlx::query_as(sqlx::AssertSqlSafe(select)).fetch_all(&mut conn).await?;
            for (row, kind, bytes) in rows {
                let text = || String::from_utf8_lossy(&bytes).into_owned();
                let cell = match kind.as_str() {
                    "blob" => Cell::Bytes(bytes),
                    "text" => Cell::Text(text()),
                    _ => Cell::Number(text()),
                };
                let (table, column) = (table.clone(), column.clone());
                cells.insert(Place { table, row, column }, cell);
            }
        }
    }
    conn.close().await?;
    Ok(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_bytes_are_read_in_whatever_way_they_were_written() {
        let eight = [0xfe, 0x01, 0x92, 0x83, 0x74, 0x65, 0x56, 0xc7];
        let number = u64::from_be_bytes(eight);
        let long = |shift: usize| {
            let bytes = [&[9, 8, 7][..shift], &eight[..], &[1; 8]].concat();
            STANDARD_NO_PAD.encode(bytes).into_bytes()
        };
        for written in [
            eight.to_vec(),
            number.to_le_bytes().to_vec(),
            format!("who: {number:x}.").into_bytes(),
            format!("{number:X}").into_bytes(),
            long(0),
            long(1),
            long(2),
        ] {
            let file = [b"some ", &written[..], b" more"].concat();
            assert!(readings(&file).any(|read| read == eight), "{written:02x?}");
        }
        assert!(!readings(b"some words, and 1234567890 numbers").any(|read| read == eight));
    }

    #[test]
    fn a_text_says_its_runs_and_a_piece_of_json_its_keys_and_numbers_too() {
        let place = Place { table: "alert".into(), row: 1, column: "why".into() };
        let says = |text: &str| {
            let mut parts = BTreeSet::new();
            Cell::Text(text.into()).parts(&place, |part| _ = parts.insert(part));
            parts
        };
        let run = |text: &str| Part::Run(text.into());
        let number = |of: &str, number: &str| Part::Number(of.into(), number.into());
        assert_eq!(says("of 0123abcd-4, so"), [run("0123abcd-4")].into());
        let json = r#"{"people": [{"person": 17, "household": 4}], "ffeeddccbbaa": "x"}"#;
        let expected = [
            number("alert.why.people.household", "4"),
            number("alert.why.people.person", "17"),
            run("ffeeddccbbaa"),
        ];
        assert!(expected.iter().all(|part| says(json).contains(part)), "{:?}", says(json));
    }
}
