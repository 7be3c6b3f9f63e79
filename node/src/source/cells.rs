//! Rows of text cells, wherever they come from: a delimited file, or a query's result.
//!
//! Everything after this is the same for both: columns, keys, damage, rules.

use ring::digest;

use super::{file::FileError, hash::FileHash};

/// What is known of a source once all of it was read.
#[derive(Clone, Copy, Debug)]
pub struct Seal {
    /// The encoding it turned out to be in.
    pub encoding: &'static str,
    /// Recognises the same content delivered again.
    pub hash: FileHash,
}

/// One row: its cells, and where it stands.
#[derive(Clone, Default)]
pub struct Row {
    /// Where it begins, counting from 1: the line of a file, or the number in a result.
    pub line: u64,
    /// As many as the source wrote, which need not be as many as the header has.
    pub cells: csv::StringRecord,
}

/// A source of rows.
pub trait Cells {
    /// Returns the names of the columns, as the source writes them.
    fn header(&self) -> &[String];

    /// Reads the next row into `row`; false at the end.
    fn next(&mut self, row: &mut Row) -> Result<bool, FileError>;

    /// Returns whether the source ended as one that is complete does.
    fn ended_whole(&self) -> bool {
        true
    }

    /// Returns what is known of the source, once it has ended.
    fn seal(&self) -> Seal;
}

/// Hashes rows as they go by, for sources that have no bytes of their own.
#[derive(Clone)]
pub(crate) struct Hasher(digest::Context);

impl Hasher {
    pub(crate) fn new(header: &[String]) -> Self {
        let mut hasher = Self(digest::Context::new(&digest::SHA256));
        hasher.add(&header.iter().map(String::as_str).collect());
        hasher
    }

    /// Adds one row, so that neither its end nor that of a cell can be confused.
    pub(crate) fn add(&mut self, cells: &csv::StringRecord) {
        self.0.update(&(cells.len() as u64).to_be_bytes());
        for cell in cells {
            self.0.update(&(cell.len() as u64).to_be_bytes());
            self.0.update(cell.as_bytes());
        }
    }

    pub(crate) fn hash(&self) -> FileHash {
        FileHash::of(self.0.clone())
    }
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Row(line {}, {} cells)", self.line, self.cells.len())
    }
}
