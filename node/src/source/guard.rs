//! Watches delimited text go by, so that no row, and no quote left open, fills the memory.
//!
//! The CSV reader behind it collects a whole row before anybody can look at it. One stray quote
//! would make a row of the rest of the file.

use std::{
    collections::VecDeque,
    io::{self, Read},
};

use super::file::FileError;

/// No honest row is longer.
const LONGEST_ROW: usize = 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    FieldStart,
    Field,
    Quoted,
    QuoteInQuoted,
}

/// A source of UTF-8 that fails when a row grows too long or ends inside quotes.
pub(super) struct Guarded<R> {
    source: R,
    delimiter: u8,
    quote: Option<u8>,
    state: State,
    row_bytes: usize,
    line: u64,
    row_line: u64,
    quote_line: u64,
    /// The quoted field at hand goes over several lines.
    quoted_break: bool,
    bytes: u64,
    last: Option<u8>,
    /// Where the lines begin that are not empty, by byte, and their numbers. Those that were read
    /// ahead and nobody asked for yet.
    lines: VecDeque<(u64, u64)>,
}

impl<R> Guarded<R> {
    pub(super) fn new(source: R, delimiter: u8, quote: Option<u8>) -> Self {
        Self {
            source,
            delimiter,
            quote,
            state: State::FieldStart,
            row_bytes: 0,
            line: 1,
            row_line: 1,
            quote_line: 1,
            quoted_break: false,
            bytes: 0,
            last: None,
            lines: VecDeque::new(),
        }
    }

    pub(super) fn source(&self) -> &R {
        &self.source
    }

    /// Returns whether what was read so far ends with a line break.
    pub(super) fn ends_with_line_break(&self) -> bool {
        matches!(self.last, None | Some(b'\n' | b'\r'))
    }

    /// Returns the number of the first line that is not empty and begins at a byte or after it. Has to
    /// be asked in the order of the file.
    pub(super) fn line_from(&mut self, byte: u64) -> Option<u64> {
        while self.lines.front().is_some_and(|(begin, _)| *begin < byte) {
            self.lines.pop_front();
        }
        self.lines.front().map(|(_, line)| *line)
    }

    fn watch(&mut self, byte: u8) -> Result<(), FileError> {
        self.row_bytes += 1;
        let line_break = matches!(byte, b'\n' | b'\r');
        let ends_field = line_break || byte == self.delimiter || matches!(byte, b' ' | b'\t');
        if self.state == State::QuoteInQuoted
            && self.quoted_break
            && self.quote != Some(byte)
            && !ends_field
        {
            // What closed it opens a field of a later row: two rows would become one.
            return Err(FileError::OpenQuote { line: self.quote_line });
        }
        if self.ends_with_line_break() && !line_break {
            self.lines.push_back((self.bytes, self.line));
        }
        self.state = match self.state {
            State::FieldStart if self.quote == Some(byte) => {
                (self.quote_line, self.quoted_break) = (self.line, false);
                State::Quoted
            }
            State::Quoted if self.quote == Some(byte) => State::QuoteInQuoted,
            State::QuoteInQuoted if self.quote == Some(byte) => State::Quoted,
            State::Quoted => {
                self.quoted_break |= line_break;
                State::Quoted
            }
            _ if line_break => {
                self.row_bytes = 0;
                State::FieldStart
            }
            _ if byte == self.delimiter => State::FieldStart,
            _ => State::Field,
        };
        // A line ends with CR, LF or both.
        if line_break && (self.last, byte) != (Some(b'\r'), b'\n') {
            self.line += 1;
        }
        self.bytes += 1;
        self.last = Some(byte);
        if self.row_bytes == 0 {
            self.row_line = self.line;
        }
        if self.row_bytes <= LONGEST_ROW {
            Ok(())
        } else if self.state == State::Quoted && self.quote_line < self.line {
            Err(FileError::OpenQuote { line: self.quote_line })
        } else {
            Err(FileError::LongRow { line: self.row_line })
        }
    }
}

impl<R: Read> Read for Guarded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(buffer)?;
        for byte in &buffer[..count] {
            self.watch(*byte).map_err(FileError::into_io)?;
        }
        if count == 0 && !buffer.is_empty() && self.state == State::Quoted {
            return Err(FileError::OpenQuote { line: self.quote_line }.into_io());
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(source: impl Read) -> Result<(), String> {
        let mut source = Guarded::new(source, b',', Some(b'"'));
        let mut buffer = vec![0; 8192];
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(FileError::of_io(error).to_string()),
            }
        }
    }

    #[test]
    fn a_line_of_a_gigabyte_is_refused_after_a_megabyte() {
        let gigabyte = 1 << 30;
        let mut source = io::repeat(b'a').take(gigabyte);
        let refused = read_all(&mut source).unwrap_err();
        assert!(refused.starts_with("the row at line 1 is longer than 1 MiB"), "{refused}");
        assert!(gigabyte - source.limit() <= 2 * LONGEST_ROW as u64);
    }

    #[test]
    fn a_quote_left_open_is_refused_where_it_opens() {
        let open = "a,b\n1,\"x\n2,y\n3,z\n";
        let refused = read_all(open.as_bytes()).unwrap_err();
        assert!(refused.starts_with("the quote that opens on line 2 is never closed"), "{refused}");

        let long = open.to_owned() + &"4,z\n".repeat(LONGEST_ROW / 4);
        let refused = read_all(long.as_bytes()).unwrap_err();
        assert!(refused.starts_with("the quote that opens on line 2"), "{refused}");
    }

    #[test]
    fn a_quote_that_a_later_row_closes_is_refused_where_it_opens() {
        let open = "a,b,c\n1,\"1 Mill Lane,x\n2,\"2 Mill Lane\",y\n3,\"3 Mill Lane\",z\n";
        let refused = read_all(open.as_bytes()).unwrap_err();
        assert!(refused.starts_with("the quote that opens on line 2"), "{refused}");
    }

    #[test]
    fn lines_end_with_cr_lf_or_both() {
        for end in ["\n", "\r", "\r\n"] {
            let text = ["a,b", "", "1,\"two", "lines\"", "3,x"].join(end);
            let mut source = Guarded::new(text.as_bytes(), b',', Some(b'"'));
            io::copy(&mut source, &mut io::sink()).unwrap();
            let at = |line: &str| text.find(line).unwrap() as u64;
            // The one before the line, too: readers count an empty line to the row behind it.
            let asked = [at("a,b"), at("1,") - 1, at("1,"), at("3,x")];
            assert_eq!(asked.map(|byte| source.line_from(byte)), [1, 3, 3, 5].map(Some), "{end:?}");
            let refused = read_all(["a,b", "1,\"x", "2,y"].join(end).as_bytes()).unwrap_err();
            assert!(refused.starts_with("the quote that opens on line 2 is"), "{refused}");
        }
    }

    #[test]
    fn quotes_inside_fields_open_nothing() {
        for text in [
            "a,5\" pipe\n",
            "\"a \"\"quoted\"\" word\",b\n",
            "\"two\nlines\",b\n",
            "\"two\n\"\"quoted\"\" lines\" ,b\r\n",
            "\"a\"b,c",
        ] {
            assert_eq!(read_all(text.as_bytes()), Ok(()), "{text}");
        }
        assert_eq!(read_all("a,b\n".repeat(LONGEST_ROW).as_bytes()), Ok(()));
    }
}
