//! Reads the events of a replay.
//!
//! A refusal says where and which rule, and never what the file said: it holds real people's past.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io,
    sync::Arc,
};

use causeway_proto::{catalogue::SignalCode, day::Day, ids::EventKey};
use csv::StringRecord;

use crate::score::Event;

/// The people under one name in the file, and what is known of them.
#[derive(Clone, Debug, PartialEq)]
pub struct Household {
    /// Its name in the file.
    pub name: String,
    /// Its people's names in the file. Their places are the numbers in the events.
    pub persons: Vec<String>,
    /// What is known of them.
    pub events: Vec<Event>,
}

/// A file that cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The header lacks a column.
    #[error("line 1: the column `{0}` is missing: the header should be {HEADER}")]
    MissingColumn(&'static str),
    /// The header has a column that is not known, or has one twice.
    #[error("line 1: column {0} is unknown or there twice: the header should be {HEADER}")]
    StrayColumn(usize),
    /// A value breaks a rule.
    #[error("line {line}, column `{column}`: {rule}")]
    Value {
        /// Counting from 1, with the header.
        line: u64,
        /// As the header names it.
        column: &'static str,
        /// What it should be.
        rule: &'static str,
    },
    /// It is not CSV in UTF-8 with as many columns in each row, or the source failed.
    #[error("line {line}: {rule}")]
    Row {
        /// Counting from 1, with the header; 0 where it is not known.
        line: u64,
        /// What it should be.
        rule: &'static str,
        /// What the reader said. Holds no values.
        source: csv::Error,
    },
}

const HEADER: &str = "household,person,agency,code,start,end,event_ref,confidence";
const COLUMNS: [&str; 8] =
    ["household", "person", "agency", "code", "start", "end", "event_ref", "confidence"];
/// Columns that a file may leave out: each has a meaning when empty.
const OPTIONAL: [&str; 4] = ["agency", "end", "event_ref", "confidence"];

/// Reads households, in the order of their names.
///
/// `agency` is who reported it. An empty `event_ref` stands for person, code and start together;
/// an empty `confidence` for 1; an empty `end` for none; an empty `person` for nobody in
/// particular.
pub fn read(file: impl io::Read) -> Result<Vec<Household>, ReplayError> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
    let columns = columns(reader.headers().map_err(row_error)?)?;

    let mut rows: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    let mut record = StringRecord::new();
    while reader.read_record(&mut record).map_err(row_error)? {
        let (household, row) = Fields { record: &record, columns: &columns }.row()?;
        rows.entry(household).or_default().push(row);
    }
    Ok(rows.into_iter().map(|(name, rows)| household(name, rows)).collect())
}

/// One row, before its names become numbers.
struct Row {
    person: String,
    agency: String,
    code: SignalCode,
    start: Day,
    end: Option<Day>,
    event_ref: String,
    confidence: f64,
}

struct Fields<'a> {
    record: &'a StringRecord,
    columns: &'a HashMap<&'static str, usize>,
}

impl Fields<'_> {
    fn row(&self) -> Result<(String, Row), ReplayError> {
        let household = self.filled("household", "it should not be empty")?;
        let person = self.text("person");
        let code = self.filled("code", CODE)?.parse().map_err(|_| self.refuse("code", CODE))?;
        let start = self.day("start")?.ok_or_else(|| self.refuse("start", DAY))?;
        let end = self.day("end")?;
        if end.is_some_and(|end| end < start) {
            return Err(self.refuse("end", "it should not be before `start`"));
        }
        let event_ref = match self.text("event_ref") {
            "" => format!("{person}|{code}|{start}"),
            given => given.to_owned(),
        };
        let confidence = match self.text("confidence") {
            "" => 1.0,
            given => (given.parse().ok())
                .filter(|given| (0.0..=1.0).contains(given))
                .ok_or_else(|| self.refuse("confidence", "it should be between 0 and 1"))?,
        };
        let (person, agency) = (person.to_owned(), self.text("agency").to_owned());
        Ok((household.to_owned(), Row { person, agency, code, start, end, event_ref, confidence }))
    }

    fn text(&self, column: &'static str) -> &str {
        self.columns.get(column).and_then(|at| self.record.get(*at)).unwrap_or_default()
    }

    fn filled(&self, column: &'static str, rule: &'static str) -> Result<&str, ReplayError> {
        match self.text(column) {
            "" => Err(self.refuse(column, rule)),
            text => Ok(text),
        }
    }

    fn day(&self, column: &'static str) -> Result<Option<Day>, ReplayError> {
        match self.text(column) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| self.refuse(column, DAY)),
        }
    }

    fn refuse(&self, column: &'static str, rule: &'static str) -> ReplayError {
        let line = self.record.position().map_or(0, csv::Position::line);
        ReplayError::Value { line, column, rule }
    }
}

const CODE: &str = "it should be a code of the signal catalogue, such as POL_ASB_VICTIM";
const DAY: &str = "it should be a day, written YYYY-MM-DD";

fn columns(header: &StringRecord) -> Result<HashMap<&'static str, usize>, ReplayError> {
    let mut columns = HashMap::new();
    for (at, name) in header.iter().enumerate() {
        let stray = || ReplayError::StrayColumn(at + 1);
        let known = COLUMNS.into_iter().find(|known| *known == name).ok_or_else(stray)?;
        if columns.insert(known, at).is_some() {
            return Err(stray());
        }
    }
    let lacks = |column: &&&str| !columns.contains_key(**column) && !OPTIONAL.contains(column);
    match COLUMNS.iter().find(lacks) {
        Some(missing) => Err(ReplayError::MissingColumn(missing)),
        None => Ok(columns),
    }
}

/// Numbers the names of one household. Numbers go by the names' order and not by the rows'.
fn household(name: String, rows: Vec<Row>) -> Household {
    let persons: BTreeSet<&str> = rows.iter().map(|row| row.person.as_str()).collect();
    let persons: Vec<String> = persons.into_iter().map(str::to_owned).collect();
    let refs: BTreeSet<&str> = rows.iter().map(|row| row.event_ref.as_str()).collect();
    let person_ids: HashMap<&str, u32> = persons.iter().map(String::as_str).zip(0..).collect();
    let ref_ids: HashMap<&str, u128> = refs.into_iter().zip(0..).collect();
    let events = rows
        .iter()
        .map(|row| Event {
            person: person_ids[row.person.as_str()],
            code: row.code,
            start: row.start,
            end: row.end,
            key: EventKey::from_bytes(ref_ids[row.event_ref.as_str()].to_be_bytes()),
            confidence: row.confidence,
            // Several agencies' rows may name one event.
            shared: true,
            agency: Arc::from(row.agency.as_str()),
        })
        .collect();
    drop(person_ids);
    Household { name, persons, events }
}

fn row_error(source: csv::Error) -> ReplayError {
    let line = source.position().map_or(0, csv::Position::line);
    let rule = match source.kind() {
        csv::ErrorKind::UnequalLengths { .. } => "it should have as many columns as the header",
        csv::ErrorKind::Utf8 { .. } => "it should be written in UTF-8",
        _ => "it could not be read",
    };
    ReplayError::Row { line, rule, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(file: &str) -> String {
        read(file.as_bytes()).unwrap_err().to_string()
    }

    fn row(text: &str) -> String {
        format!("{HEADER}\nH,p,police,POL_ASB_VICTIM,2025-01-01,,,\n{text}\n")
    }

    #[test]
    fn a_refusal_says_where_and_which_rule_and_not_what() {
        let said = [
            (
                row(",p,police,POL_ASB_VICTIM,2025-01-01,,,"),
                "line 3, column `household`: it should not be empty",
            ),
            (
                row("H,p,police,CODE_SECRET,2025-01-01,,,"),
                "line 3, column `code`: it should be a code",
            ),
            (
                row("H,p,police,POL_ASB_VICTIM,01/01/2025,,,"),
                "line 3, column `start`: it should be a day",
            ),
            (row("H,p,police,POL_ASB_VICTIM,,,,"), "line 3, column `start`: it should be a day"),
            (
                row("H,p,police,POL_ASB_VICTIM,2025-01-02,2025-01-01,,"),
                "line 3, column `end`: it should not be before",
            ),
            (
                row("H,p,police,POL_ASB_VICTIM,2025-01-01,,,1.5"),
                "line 3, column `confidence`: it should be between",
            ),
            (
                row("H,p,police,POL_ASB_VICTIM,2025-01-01,,,nan"),
                "line 3, column `confidence`: it should be between",
            ),
            (row("H,p,police,SECRET"), "line 3: it should have as many columns"),
            ("household,person,agency,start\n".to_owned(), "line 1: the column `code` is missing"),
            ("household,person,code,start,SECRET\n".to_owned(), "line 1: column 5 is unknown"),
            (
                "household,person,code,start,code\n".to_owned(),
                "line 1: column 5 is unknown or there twice",
            ),
        ];
        for (file, said) in said {
            let refused = refusal(&file);
            assert!(refused.starts_with(said), "{refused}");
            assert!(!refused.contains("SECRET"), "{refused}");
        }
        let latin = [row("").as_bytes(), b"H,\xe9,police,POL_ASB_VICTIM,2025-01-01,,,\n"].concat();
        assert!(read(latin.as_slice()).unwrap_err().to_string().contains("UTF-8"));
    }

    #[test]
    fn empty_values_have_their_meaning() {
        let file = "\u{feff}code,start,household,person\r\n\
                    POL_ASB_VICTIM, 2025-01-01 ,H2,b\r\n\
                    POL_ASB_VICTIM,2025-01-01,H1,\r\n\
                    POL_ASB_VICTIM,2025-01-01,H1,\r\n";
        let households = read(file.as_bytes()).unwrap();
        assert_eq!(households.len(), 2);
        let [one, other] = households[0].events.as_slice() else { panic!("not two rows") };
        assert_eq!((one.confidence, one.end), (1.0, None));
        assert_eq!(one.key, other.key);
        assert_eq!(households[1].persons, ["b"]);
    }

    #[test]
    fn an_empty_reference_and_the_one_it_stands_for_are_one_event() {
        let file = row("H,q,police,POL_ASB_VICTIM,2025-01-01,,p|POL_ASB_VICTIM|2025-01-01,");
        let households = read(file.as_bytes()).unwrap();
        assert_eq!(households[0].events[0].key, households[0].events[1].key);
        assert_eq!(households[0].events[1].person, 1);
    }
}
