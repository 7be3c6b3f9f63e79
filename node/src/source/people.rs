//! Reads a feed about people.

use std::io::Read;

use super::{
    damage::Kind,
    feed::Feed,
    file::FileError,
    hash,
    mapping::About,
    record::{PersonField, PersonRow, RawPerson},
    report::SourceReport,
    table::{Fault, Table},
};

/// The rows of a file about people, one at a time.
///
/// Gives rows until the file ends or must be refused; [`People::finish`] says what became of it.
pub struct People<'f, R> {
    table: Table<'f, R>,
    fields: Vec<(PersonField, Vec<usize>)>,
    mark: Option<usize>,
    ended: bool,
}

impl<'f, R: Read> People<'f, R> {
    /// Opens a file and reads its header.
    pub fn open(feed: &'f Feed, source: R) -> Result<Self, FileError> {
        if feed.mapping().about != About::People {
            return Err(FileError::OtherKind("people"));
        }
        let table = Table::open(feed, source)?;
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
        Ok(Self { table, fields, mark, ended: false })
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
            *raw.field_mut(*field) = self.table.joined(columns, kind, " ")?;
        }
        let restricted = self.mark.and_then(|at| self.table.feed.restriction(self.table.value(at)));
        let mark = restricted.map_or(String::new(), |restriction| format!("{restriction:?}"));
        let parts = [self.table.feed.id(), &key, &mark];
        let hash =
            hash::row(parts.into_iter().chain(self.fields.iter().flat_map(|(field, at)| {
                [field.as_str()].into_iter().chain(at.iter().map(|at| self.table.value(*at)))
            })));
        if !self.table.is_new(&key, hash)? {
            return Ok(None);
        }
        if let Some(restriction) = restricted {
            *self.table.report.restricted.entry(restriction).or_default() += 1;
        }
        Ok(Some(PersonRow { line, key, raw, restricted, hash }))
    }

    fn next_row(&mut self) -> Result<Option<PersonRow>, FileError> {
        while let Some(line) = self.table.next_line()? {
            match self.row(line) {
                Ok(Some(row)) => {
                    self.table.report.taken += 1;
                    return Ok(Some(row));
                }
                Ok(None) => {}
                Err(fault) => self.table.set_aside(line, &fault),
            }
        }
        Ok(None)
    }
}

impl<R: Read> Iterator for People<'_, R> {
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

#[cfg(test)]
mod tests;
