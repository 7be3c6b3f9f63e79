//! Reads a feed about people.

use std::io::Read;

use super::{
    cells::Cells,
    damage::Kind,
    feed::{Feed, MERGED_INTO},
    file::FileError,
    hash,
    mapping::About,
    record::{PersonField, PersonRow, RawPerson, Restriction},
    report::{Rule, SourceReport},
    table::{Fault, Table},
};

/// The rows of a file about people, one at a time.
///
/// Gives rows until the file ends or must be refused; [`People::finish`] says what became of it.
pub struct People<'f> {
    table: Table<'f>,
    fields: Vec<(PersonField, Vec<usize>)>,
    merged_into: Vec<usize>,
    mark: Option<usize>,
    ended: bool,
}

impl<'f> People<'f> {
    /// Opens a file and reads its header.
    pub fn open(feed: &'f Feed, source: impl Read + 'f) -> Result<Self, FileError> {
        check(feed)?;
        Ok(Self::of(Table::file(feed, source)?))
    }

    /// Reads the rows of any source, such as a query.
    pub fn of_cells(feed: &'f Feed, source: Box<dyn Cells + 'f>) -> Result<Self, FileError> {
        check(feed)?;
        Ok(Self::of(Table::open(feed, source)?))
    }

    fn of(table: Table<'f>) -> Self {
        let feed = table.feed;
        let field = |name: &str| PersonField::ALL.iter().find(|field| field.as_str() == name);
        let fields = feed
            .columns
            .iter()
            .filter_map(|(name, theirs)| {
                let at = theirs.iter().filter_map(|column| table.column(column)).collect();
                Some((*field(name)?, at))
            })
            .collect();
        let mark = feed.mapping().restricted.as_ref().and_then(|mark| table.column(&mark.column));
        let merged = feed.columns.iter().find(|(name, _)| name == MERGED_INTO);
        let merged = merged.map_or(&[][..], |(_, columns)| columns);
        let merged_into = merged.iter().filter_map(|column| table.column(column)).collect();
        Self { table, fields, merged_into, mark, ended: false }
    }

    /// Reads what is left, and returns what became of the file.
    pub fn finish(mut self) -> Result<SourceReport, FileError> {
        for row in self.by_ref() {
            row?;
        }
        Ok(self.table.report)
    }

    fn row(&mut self, line: u64) -> Result<Option<PersonRow>, Fault> {
        let key = self.table.key()?;
        let mut raw = RawPerson::default();
        for (field, columns) in &self.fields {
            let kind = Kind::of(field.as_str());
            // Where one line of an address ends says what is a house's name and what a street.
            let between = if *field == PersonField::Address { ", " } else { " " };
            *raw.field_mut(*field) = self.table.joined(columns, kind, between)?;
        }
        let merged_into = self.merged_into(&key)?;
        let restricted = self.restricted();
        let mark = restricted.map_or(String::new(), |restriction| format!("{restriction:?}"));
        // Without a merge, the hash is what it was before there were any.
        let merged = merged_into.as_deref();
        let parts = [self.table.feed.id(), &key, &mark].into_iter().chain(merged);
        let hash = hash::row(parts.chain(self.fields.iter().flat_map(|(field, at)| {
            [field.as_str()].into_iter().chain(at.iter().map(|at| self.table.value(*at)))
        })));
        if !self.table.is_new(&key, hash)? {
            return Ok(None);
        }
        if let Some(restriction) = restricted {
            *self.table.report.restricted.entry(restriction).or_default() += 1;
        }
        Ok(Some(PersonRow { line, key, raw, restricted, merged_into, hash }))
    }

    /// Returns what the row at hand says closes it.
    fn restricted(&self) -> Option<Restriction> {
        self.mark.and_then(|at| self.table.feed.restriction(self.table.value(at)))
    }

    /// Sets the row at hand aside. Whatever else is wrong with it, a mark that closes a record closes it.
    fn set_aside(&mut self, line: u64, fault: &Fault) {
        if let (Some(restriction), Ok(key)) = (self.restricted(), self.table.key()) {
            self.table.report.closed.insert(key, restriction);
        }
        self.table.set_aside(line, fault);
    }

    /// Returns the key of the record that took this one over, if one did.
    fn merged_into(&self, key: &str) -> Result<Option<String>, Fault> {
        let Some(first) = self.merged_into.first() else { return Ok(None) };
        if self.merged_into.iter().all(|at| self.table.value(*at).is_empty()) {
            return Ok(None);
        }
        let into = self.table.key_of(&self.merged_into, Rule::MergedIntoNobody)?;
        match into == key {
            true => Err(Fault { column: Some(*first), rule: Rule::MergedIntoNobody }),
            false => Ok(Some(into)),
        }
    }

    fn next_row(&mut self) -> Result<Option<PersonRow>, FileError> {
        while let Some(line) = self.table.next_line()? {
            match self.row(line) {
                Ok(Some(row)) => {
                    self.table.report.taken += 1;
                    return Ok(Some(row));
                }
                Ok(None) => {}
                Err(fault) => self.set_aside(line, &fault),
            }
        }
        Ok(None)
    }
}

impl Iterator for People<'_> {
    type Item = Result<PersonRow, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.next_row().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

fn check(feed: &Feed) -> Result<(), FileError> {
    match feed.mapping().about {
        About::People => Ok(()),
        About::Events => Err(FileError::OtherKind("people")),
    }
}

#[cfg(test)]
mod tests;
