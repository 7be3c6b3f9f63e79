//! Reads the rows of a delimited file.

use std::io::Read;

use csv::StringRecord;

use super::{
    cells::{Cells, Row, Seal},
    decode::Decoded,
    feed::Feed,
    file::FileError,
    guard::Guarded,
};

/// A delimited file whose header has been read.
pub(super) struct Delimited<R> {
    csv: csv::Reader<Guarded<Decoded<R>>>,
    header: Vec<String>,
    /// The first row, where there is no header.
    first: Option<StringRecord>,
}

impl<R: Read> Delimited<R> {
    pub(super) fn open(feed: &Feed, source: R) -> Result<Self, FileError> {
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
        let mut file = Self { csv, header: Vec::new(), first: None };
        file.read_header(mapping.header)?;
        Ok(file)
    }

    fn read_header(&mut self, named: bool) -> Result<(), FileError> {
        let mut record = StringRecord::new();
        if !self.read(&mut record)? {
            return Err(FileError::Empty);
        }
        // A line for Excel's eyes only.
        if record.get(0).is_some_and(|field| field.starts_with("sep="))
            && !self.read(&mut record)?
        {
            return Err(FileError::Empty);
        }
        if !named {
            self.header = (1..=record.len()).map(|at| at.to_string()).collect();
            self.first = Some(record);
            return Ok(());
        }
        self.header = record.iter().map(|name| name.trim().to_owned()).collect();
        // Trailing delimiters name nothing.
        while self.header.last().is_some_and(String::is_empty) {
            self.header.pop();
        }
        Ok(())
    }

    fn read(&mut self, record: &mut StringRecord) -> Result<bool, FileError> {
        self.csv.read_record(record).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => FileError::of_io(error),
            other => FileError::Io(std::io::Error::other(format!("{other:?}"))),
        })
    }
}

impl<R: Read> Cells for Delimited<R> {
    fn header(&self) -> &[String] {
        &self.header
    }

    fn next(&mut self, row: &mut Row) -> Result<bool, FileError> {
        let more = match self.first.take() {
            Some(first) => {
                row.cells = first;
                true
            }
            None => self.read(&mut row.cells)?,
        };
        row.line = row
            .cells
            .position()
            .map_or(0, |at| self.csv.get_mut().line_from(at.byte()).unwrap_or_else(|| at.line()));
        Ok(more)
    }

    fn ended_whole(&self) -> bool {
        self.csv.get_ref().ends_with_line_break()
    }

    fn seal(&self) -> Seal {
        let text = self.csv.get_ref().source();
        Seal { encoding: text.encoding(), hash: text.hash() }
    }
}
