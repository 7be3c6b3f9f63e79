//! Why a whole file is refused. The feed then stays as it was, and counts as stale in time.

use std::io;

/// A file that cannot be taken in. Says where and what to do, and never what stands there.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// Reading failed.
    #[error("could not read the file")]
    Io(#[source] io::Error),
    /// Whoever gives the rows stopped.
    #[error("{0}")]
    Source(Box<dyn std::error::Error + Send + Sync>),
    /// Two bytes a letter.
    #[error("the file is UTF-16 text (\"Unicode\" in Windows programs): have it exported as UTF-8")]
    Utf16,
    /// No text at all.
    #[error("line {line} holds {what}, so this is no delimited text: have it exported as CSV")]
    Binary {
        /// Where.
        line: u64,
        /// What was found.
        what: &'static str,
    },
    /// Declared or detected UTF-8, and is not.
    #[error(
        "byte {byte} (line {line}) is not UTF-8: {}, or have the file exported as UTF-8",
        if *declared { "set `encoding = \"windows-1252\"` in the mapping" }
        else { "most of the file is, so two encodings were mixed; set `encoding` in the mapping" }
    )]
    NotUtf8 {
        /// Where, counting bytes from 1.
        byte: u64,
        /// Where, counting lines from 1.
        line: u64,
        /// Whether the mapping says UTF-8.
        declared: bool,
    },
    /// Declared Windows-1252, and has bytes that are nothing there.
    #[error(
        "byte {byte} (line {line}) stands for nothing in Windows-1252: find out which encoding the \
         system exports, or have the file exported as UTF-8"
    )]
    NotWindows1252 {
        /// Where, counting bytes from 1.
        byte: u64,
        /// Where, counting lines from 1.
        line: u64,
    },
    /// Declared Windows-1252, and is UTF-8 throughout.
    #[error(
        "every accented letter is written as UTF-8 (the first on line {line}): set `encoding = \
         \"utf-8\"` in the mapping"
    )]
    LooksLikeUtf8 {
        /// The first such line.
        line: u64,
    },
    /// One row is longer than any row should be.
    #[error(
        "the row at line {line} is longer than 1 MiB: check `delimiter` and `quote`, and that the \
         file has line breaks"
    )]
    LongRow {
        /// Where the row begins.
        line: u64,
    },
    /// A quote is never closed.
    #[error(
        "the quote that opens on line {line} is never closed, so rows after it are lost: the file \
         was cut off, or the system does not double the quotes inside fields (`quote = \"\"` reads \
         them as they are)"
    )]
    OpenQuote {
        /// Where the quoted field begins.
        line: u64,
    },
    /// The last line is incomplete.
    #[error("the file ends in the middle of line {line}: have it delivered again")]
    CutOff {
        /// The last line.
        line: u64,
    },
    /// The caller asked for people of a feed about events, or the other way round.
    #[error("the feed is not about {0}: use the mapping of one that is")]
    OtherKind(&'static str),
    /// Nothing in it.
    #[error("the file is empty: not even a header")]
    Empty,
    /// The first line is no header that the mapping knows. What stands there instead may be
    /// somebody's name, so it is not shown.
    #[error(
        "the first line names none of the mapping's columns: check `delimiter`, and set `header = \
         false` if the file has no header"
    )]
    NoHeader,
    /// Two columns of one name.
    #[error("the header has the column `{column}` twice, so its values cannot be told apart")]
    RepeatedColumn {
        /// Their column.
        column: String,
    },
    /// A column that the mapping needs is not there.
    #[error("the file has no column `{column}`, which `{key}` in the mapping names{hint}")]
    MissingColumn {
        /// The key in the mapping.
        key: String,
        /// Their column.
        column: String,
        /// What it may have been renamed to.
        hint: String,
    },
}

impl FileError {
    /// Wraps the error for a reader that only knows I/O errors.
    pub(super) fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => error,
            error => io::Error::other(error),
        }
    }

    /// Takes the error out again.
    pub(super) fn of_io(error: io::Error) -> Self {
        error.downcast().unwrap_or_else(Self::Io)
    }
}
