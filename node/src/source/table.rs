//! Reads a feed's file row by row: the columns the mapping needs, cleaned, with bad rows set aside.
//!
//! A bad row costs itself. A file that is cut off, lacks a column or is no text costs all of it,
//! since what it seems to say may be wrong throughout.

use std::{collections::HashMap, io::Read};

use csv::StringRecord;

use super::{
    damage::{self, Kind},
    decode::Decoded,
    feed::Feed,
    file::FileError,
    guard::Guarded,
    hash::{self, RowHash},
    mapping::Mode,
    report::{Rule, SourceReport},
    suggest::did_you_mean,
};

/// Stands between the columns of a key. No system writes it.
const KEY_SEPARATOR: &str = "\u{1f}";

/// A feed's file, opened and its header understood.
pub(super) struct Table<'f, R> {
    pub(super) feed: &'f Feed,
    pub(super) report: SourceReport,
    csv: csv::Reader<Guarded<Decoded<R>>>,
    header: Vec<String>,
    key: Vec<usize>,
    filter: Vec<(usize, &'f [String])>,
    record: StringRecord,
    /// The first row, where there is no header.
    first: Option<StringRecord>,
    /// A row with too few fields, until it is known whether the file ends in it.
    short: Option<u64>,
    seen: HashMap<RowHash, RowHash>,
}

impl<'f, R: Read> Table<'f, R> {
    pub(super) fn open(feed: &'f Feed, source: R) -> Result<Self, FileError> {
        let mapping = feed.mapping();
        let delimiter = match mapping.delimiter.as_str() {
            "tab" => b'\t',
            sign => sign.bytes().next().unwrap_or(b','),
        };
        let quote = mapping.quote.bytes().next();
        let source = Guarded::new(Decoded::new(source, mapping.encoding), delimiter, quote);
        let csv = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .quoting(quote.is_some())
            .quote(quote.unwrap_or(b'"'))
            .has_headers(false)
            .flexible(true)
            .from_reader(source);
        let mut table = Self {
            feed,
            report: SourceReport { feed: feed.id().to_owned(), ..SourceReport::default() },
            csv,
            header: Vec::new(),
            key: Vec::new(),
            filter: Vec::new(),
            record: StringRecord::new(),
            first: None,
            short: None,
            seen: HashMap::new(),
        };
        table.read_header()?;
        table.check_header()?;
        table.key = mapping.key.iter().filter_map(|column| table.column(column)).collect();
        let filter = mapping.filter.iter();
        table.filter = filter
            .filter_map(|(column, values)| Some((table.column(column)?, values.all())))
            .collect();
        Ok(table)
    }

    fn read_header(&mut self) -> Result<(), FileError> {
        if !self.read_record()? {
            return Err(FileError::Empty);
        }
        // A line for Excel's eyes only.
        if self.record.get(0).is_some_and(|field| field.starts_with("sep="))
            && !self.read_record()?
        {
            return Err(FileError::Empty);
        }
        if !self.feed.mapping().header {
            self.header = (1..=self.record.len()).map(|at| at.to_string()).collect();
            self.first = Some(self.record.clone());
            return Ok(());
        }
        self.header = self.record.iter().map(|name| name.trim().to_owned()).collect();
        // Trailing delimiters name nothing.
        while self.header.last().is_some_and(String::is_empty) {
            self.header.pop();
        }
        Ok(())
    }

    /// Checks that the header is one, that its columns can be told apart, and that none is missing.
    fn check_header(&self) -> Result<(), FileError> {
        let needed = self.feed.needed_columns();
        if needed.iter().all(|(_, column)| self.column(column).is_none()) {
            return Err(FileError::NoHeader);
        }
        for (at, column) in self.header.iter().enumerate() {
            if !column.is_empty() && self.header[..at].contains(column) {
                return Err(FileError::RepeatedColumn { column: column.clone() });
            }
        }
        needed.iter().try_for_each(|(key, column)| self.check_column(key, column))
    }

    fn check_column(&self, key: &str, column: &str) -> Result<(), FileError> {
        if self.column(column).is_some() {
            return Ok(());
        }
        Err(FileError::MissingColumn {
            key: key.to_owned(),
            column: column.to_owned(),
            hint: did_you_mean(column, self.header.iter().map(String::as_str)),
        })
    }

    /// Returns where a column of theirs is.
    pub(super) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().position(|column| column == name.trim())
    }

    /// Reads one record; false at the end of the file.
    fn read_record(&mut self) -> Result<bool, FileError> {
        if let Some(first) = self.first.take() {
            self.record = first;
            return Ok(true);
        }
        self.csv.read_record(&mut self.record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => FileError::of_io(error),
            other => FileError::Io(std::io::Error::other(format!("{other:?}"))),
        })
    }

    /// Moves to the next row that has the right form and that the filter lets through; returns its
    /// line, or `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<u64>, FileError> {
        loop {
            if !self.read_record()? {
                self.end()?;
                return Ok(None);
            }
            if let Some(line) = self.short.take() {
                self.report.keyless += 1;
                self.report.set_aside(line, None, Rule::FieldCount);
            }
            self.report.rows += 1;
            let line = self.record.position().map_or(0, csv::Position::line);
            let width = self.header.len();
            if self.record.len() < width {
                self.short = Some(line);
            } else if self.record.iter().skip(width).any(|field| !field.trim().is_empty()) {
                self.report.keyless += 1;
                self.report.set_aside(line, None, Rule::FieldCount);
            } else if !self.passes_filter() {
                self.report.filtered += 1;
            } else {
                return Ok(Some(line));
            }
        }
    }

    fn passes_filter(&self) -> bool {
        self.filter.iter().all(|(at, values)| {
            let value = self.value(*at);
            values.iter().any(|wanted| wanted.trim().to_lowercase() == value.to_lowercase())
        })
    }

    /// Returns the value of a column, cleaned; empty where it stands for nothing.
    pub(super) fn value(&self, at: usize) -> &str {
        let invisible = |c: char| c.is_whitespace() || matches!(c, '\u{feff}' | '\u{200b}');
        let value = self.record.get(at).unwrap_or("").trim_matches(invisible);
        let value = damage::unwrapped(value);
        if self.feed.is_null(value) { "" } else { value }
    }

    /// Returns the values of several columns, joined; sets the row aside if a spreadsheet has
    /// ruined one.
    pub(super) fn joined(&self, at: &[usize], kind: Kind, between: &str) -> Result<String, Fault> {
        let mut joined = String::new();
        for at in at {
            let value = self.value(*at);
            if let Some(rule) = damage::find(kind, value) {
                return Err(Fault { column: Some(*at), rule });
            }
            if !value.is_empty() {
                if !joined.is_empty() {
                    joined.push_str(between);
                }
                joined.push_str(value);
            }
        }
        Ok(joined)
    }

    /// Returns the values of a key's columns, joined so that no two keys come out alike.
    pub(super) fn key_of(&self, at: &[usize], missing: Rule) -> Result<String, Fault> {
        if let Some(empty) = at.iter().find(|at| self.value(**at).is_empty()) {
            return Err(Fault { column: Some(*empty), rule: missing });
        }
        self.joined(at, Kind::Reference, KEY_SEPARATOR)
    }

    /// Returns the row's own key.
    pub(super) fn key(&self) -> Result<String, Fault> {
        self.key_of(&self.key, Rule::KeyMissing)
    }

    /// Sets the row at hand aside.
    pub(super) fn set_aside(&mut self, line: u64, fault: &Fault) {
        match self.key() {
            Ok(key) => {
                self.report.keys_set_aside.insert(key);
            }
            Err(_) => self.report.keyless += 1,
        }
        let column = fault.column.and_then(|at| self.header.get(at)).map(String::as_str);
        self.report.set_aside(line, column, fault.rule);
    }

    /// Returns whether a row is new. One that says what an earlier one said is counted; one that
    /// contradicts an earlier one is a fault, except in a file of changes, where the later wins.
    pub(super) fn is_new(&mut self, key: &str, row: RowHash) -> Result<bool, Fault> {
        match self.seen.insert(hash::row([key]), row) {
            None => Ok(true),
            Some(earlier) if earlier == row => {
                self.report.repeated += 1;
                Ok(false)
            }
            Some(_) if self.feed.mapping().mode == Mode::Delta => Ok(true),
            Some(_) => Err(Fault { column: self.key.first().copied(), rule: Rule::KeyRepeated }),
        }
    }

    fn end(&mut self) -> Result<(), FileError> {
        let source = self.csv.get_ref();
        if let Some(line) = self.short.take() {
            if !source.ends_with_line_break() {
                return Err(FileError::CutOff { line });
            }
            self.report.keyless += 1;
            self.report.set_aside(line, None, Rule::FieldCount);
        }
        self.report.encoding = source.source().encoding();
        self.report.sha256 = Some(source.source().hash());
        Ok(())
    }
}

/// Why the row at hand is set aside, and the column it is about.
pub(super) struct Fault {
    pub(super) column: Option<usize>,
    pub(super) rule: Rule,
}
