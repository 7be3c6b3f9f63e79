//! Reads a feed row by row: the columns the mapping needs, cleaned, with bad rows set aside.
//!
//! A bad row costs itself. A file that is cut off, lacks a column or is no text costs all of it,
//! since what it seems to say may be wrong throughout.

use std::{collections::HashMap, io::Read};

use super::{
    cells::{Cells, Row},
    damage::{self, Kind},
    delimited::Delimited,
    feed::Feed,
    file::FileError,
    hash::{self, RowHash},
    mapping::Mode,
    report::{Rule, SourceReport},
    suggest::did_you_mean,
};

/// Stands between the columns of a key. No system writes it.
const KEY_SEPARATOR: &str = "\u{1f}";

/// A feed's file or query, opened and its header understood.
pub(super) struct Table<'f> {
    pub(super) feed: &'f Feed,
    pub(super) report: SourceReport,
    source: Box<dyn Cells + 'f>,
    header: Vec<String>,
    key: Vec<usize>,
    filter: Vec<(usize, &'f [String])>,
    row: Row,
    /// The row before that; the file may have ended in it.
    before: Row,
    /// A row with too few fields, until it is known whether the file ends in it.
    short: Option<u64>,
    seen: HashMap<RowHash, RowHash>,
}

impl<'f> Table<'f> {
    /// Opens a delimited file.
    pub(super) fn file(feed: &'f Feed, source: impl Read + 'f) -> Result<Self, FileError> {
        Self::open(feed, Box::new(Delimited::open(feed, source)?))
    }

    /// Opens any source of rows.
    pub(super) fn open(feed: &'f Feed, source: Box<dyn Cells + 'f>) -> Result<Self, FileError> {
        let mapping = feed.mapping();
        let mut table = Self {
            feed,
            report: SourceReport { feed: feed.id().to_owned(), ..SourceReport::default() },
            header: source.header().to_vec(),
            source,
            key: Vec::new(),
            filter: Vec::new(),
            row: Row::default(),
            before: Row::default(),
            short: None,
            seen: HashMap::new(),
        };
        table.check_header()?;
        table.key = mapping.key.iter().filter_map(|column| table.column(column)).collect();
        let filter = mapping.filter.iter();
        table.filter = filter
            .filter_map(|(column, values)| Some((table.column(column)?, values.all())))
            .collect();
        Ok(table)
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

    /// Moves to the next row that has the right form and that the filter lets through; returns its
    /// line, or `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<u64>, FileError> {
        loop {
            std::mem::swap(&mut self.row, &mut self.before);
            if !self.source.next(&mut self.row)? {
                self.end()?;
                return Ok(None);
            }
            if let Some(line) = self.short.take() {
                self.report.keyless += 1;
                self.report.set_aside(line, None, Rule::FieldCount);
            }
            self.report.rows += 1;
            let line = self.row.line;
            let width = self.header.len();
            if self.is_header() {
                self.report.repeated += 1;
            } else if self.row.cells.len() < width {
                self.short = Some(line);
            } else if self.row.cells.iter().skip(width).any(|field| !field.trim().is_empty()) {
                self.report.keyless += 1;
                self.report.set_aside(line, None, Rule::FieldCount);
            } else if !self.passes_filter() {
                self.report.filtered += 1;
                self.leave_out();
            } else {
                return Ok(Some(line));
            }
        }
    }

    /// Returns whether the row at hand is the header again, as where several exports were put together.
    fn is_header(&self) -> bool {
        let same = |(cell, name): (&str, &String)| cell.trim() == name;
        self.feed.mapping().header
            && self.row.cells.len() >= self.header.len()
            && self.row.cells.iter().zip(&self.header).all(same)
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
        let value = self.row.cells.get(at).unwrap_or("").trim_matches(invisible);
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

    /// Takes note that the row at hand is not for this node, so that nothing stays of what it said before: in
    /// a file of changes, earlier rows of it among that, unless a later one is.
    pub(super) fn leave_out(&mut self) {
        self.report.keys_left_out.extend(self.key());
    }

    /// The same of a row that is marked sensitive.
    pub(super) fn leave_sensitive_out(&mut self) {
        self.report.sensitive += 1;
        self.report.keys_sensitive.extend(self.key());
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
        if self.feed.mapping().mode == Mode::Delta {
            // The later row counts.
            self.report.keys_left_out.remove(key);
            self.report.keys_sensitive.remove(key);
        }
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
        if let Some(line) = self.short.take() {
            if !self.source.ended_whole() {
                return Err(FileError::CutOff { line });
            }
            self.report.keyless += 1;
            self.report.set_aside(line, None, Rule::FieldCount);
        }
        if !self.source.ended_whole() {
            std::mem::swap(&mut self.row, &mut self.before);
            self.report.unfinished.extend(self.key());
        }
        let seal = self.source.seal();
        self.report.encoding = seal.encoding;
        self.report.sha256 = Some(seal.hash);
        Ok(())
    }
}

/// Why the row at hand is set aside, and the column it is about.
pub(super) struct Fault {
    pub(super) column: Option<usize>,
    pub(super) rule: Rule,
}
