//! Turns a file's bytes into UTF-8, and refuses what is no text or not the text it was said to be.
//!
//! Works on a stream in bounded memory. Refusing early and saying why matters here: a file read in
//! the wrong encoding loses every accented name without anybody noticing.

use std::io::{self, Read};

use encoding_rs::{Decoder, DecoderResult, UTF_8, WINDOWS_1252};
use ring::digest;

use super::{file::FileError, hash::FileHash, mapping::Encoding};

/// How much is read at a time.
const CHUNK: usize = 64 * 1024;

/// Bytes that Windows-1252 leaves undefined.
const UNDEFINED: [u8; 5] = [0x81, 0x8d, 0x8f, 0x90, 0x9d];

/// A source of bytes, read as UTF-8.
pub(super) struct Decoded<R> {
    source: R,
    declared: Encoding,
    decoder: Option<Decoder>,
    /// What the file turned out to be; `None` while it is plain ASCII.
    found: Option<Encoding>,
    out: Vec<u8>,
    taken: usize,
    /// Bytes and line breaks before the chunk at hand.
    offset: u64,
    lines: u64,
    ends_in_return: bool,
    started: bool,
    ended: bool,
    hash: digest::Context,
    high: HighBytes,
}

/// What the bytes beyond ASCII look like.
#[derive(Default)]
struct HighBytes {
    as_utf8: u64,
    other: u64,
    first_line: u64,
}

impl<R: Read> Decoded<R> {
    pub(super) fn new(source: R, declared: Encoding) -> Self {
        Self {
            source,
            declared,
            decoder: None,
            found: None,
            out: Vec::new(),
            taken: 0,
            offset: 0,
            lines: 0,
            ends_in_return: false,
            started: false,
            ended: false,
            hash: digest::Context::new(&digest::SHA256),
            high: HighBytes::default(),
        }
    }

    /// Returns the hash of everything read so far; of the whole file at its end.
    pub(super) fn hash(&self) -> FileHash {
        FileHash::of(self.hash.clone())
    }

    /// Returns the encoding the file turned out to be in.
    pub(super) fn encoding(&self) -> &'static str {
        match self.found {
            None => "ascii",
            Some(Encoding::Windows1252) => "windows-1252",
            Some(Encoding::Utf8 | Encoding::Detect) => "utf-8",
        }
    }

    /// Reads and decodes one chunk into `out`.
    fn fill(&mut self) -> Result<(), FileError> {
        self.out.clear();
        self.taken = 0;
        let mut chunk = vec![0; CHUNK];
        let read = read_full(&mut self.source, &mut chunk).map_err(FileError::Io)?;
        chunk.truncate(read);
        self.ended = read < CHUNK;
        self.hash.update(&chunk);
        let mut bytes = &chunk[..];
        if !self.started {
            self.started = true;
            check_magic(bytes)?;
            if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
                (bytes, self.declared, self.found) = (rest, Encoding::Utf8, Some(Encoding::Utf8));
                self.offset = 3;
            }
        }
        // The line break lies across two chunks.
        if self.ends_in_return && bytes.first() == Some(&b'\n') {
            self.lines -= 1;
        }
        if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
            return Err(FileError::Binary { line: self.line_at(bytes, at), what: "a NUL byte" });
        }
        self.decode(bytes)?;
        self.ends_in_return = bytes.last() == Some(&b'\r');
        self.offset += bytes.len() as u64;
        self.lines += count_lines(bytes);
        if self.ended
            && self.declared == Encoding::Windows1252
            && self.high.other == 0
            && self.high.as_utf8 > 0
        {
            return Err(FileError::LooksLikeUtf8 { line: self.high.first_line });
        }
        Ok(())
    }

    fn decode(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        if self.found.is_none() && !bytes.is_ascii() {
            self.found = Some(match self.declared {
                Encoding::Detect => detect(bytes, self.ended),
                declared => declared,
            });
        }
        if self.declared == Encoding::Windows1252 {
            self.check_windows_1252(bytes)?;
        }
        let decoder = self.decoder.get_or_insert_with(|| match self.found {
            Some(Encoding::Windows1252) => WINDOWS_1252.new_decoder_without_bom_handling(),
            _ => UTF_8.new_decoder_without_bom_handling(),
        });
        // Plain ASCII so far says nothing: decide when the first other byte comes.
        if self.found.is_none() {
            self.decoder = None;
            self.out.extend_from_slice(bytes);
            return Ok(());
        }
        let room = decoder.max_utf8_buffer_length_without_replacement(bytes.len());
        self.out.resize(room.unwrap_or(4 * CHUNK), 0);
        let (result, read, written) =
            decoder.decode_to_utf8_without_replacement(bytes, &mut self.out, self.ended);
        self.out.truncate(written);
        match result {
            DecoderResult::InputEmpty => Ok(()),
            DecoderResult::Malformed(length, after) => {
                let at = read.saturating_sub(usize::from(length) + usize::from(after));
                Err(FileError::NotUtf8 {
                    byte: self.offset + at as u64 + 1,
                    line: self.line_at(bytes, at),
                    declared: self.declared == Encoding::Utf8,
                })
            }
            DecoderResult::OutputFull => {
                unreachable!("the buffer has the room the decoder asked for")
            }
        }
    }

    /// Counts what the bytes beyond ASCII look like, and refuses those that stand for nothing.
    fn check_windows_1252(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let mut at = 0;
        while let Some(next) = bytes[at..].iter().position(|byte| !byte.is_ascii()) {
            at += next;
            let before = self.high.as_utf8 + self.high.other;
            if before == 0 {
                self.high.first_line = self.line_at(bytes, at);
            }
            if let Some(length) = utf8_length(&bytes[at..], self.ended) {
                self.high.as_utf8 += 1;
                at += length;
                continue;
            }
            self.high.other += 1;
            if UNDEFINED.contains(&bytes[at]) {
                let byte = self.offset + at as u64 + 1;
                return Err(FileError::NotWindows1252 { byte, line: self.line_at(bytes, at) });
            }
            at += 1;
        }
        Ok(())
    }

    fn line_at(&self, bytes: &[u8], at: usize) -> u64 {
        self.lines + count_lines(&bytes[..at]) + 1
    }
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.taken == self.out.len() {
            if self.ended {
                return Ok(0);
            }
            self.fill().map_err(FileError::into_io)?;
        }
        let rest = &self.out[self.taken..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.taken += count;
        Ok(count)
    }
}

/// Reads until the buffer is full or the source ends.
fn read_full(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Refuses files that announce themselves as something else than delimited text.
fn check_magic(bytes: &[u8]) -> Result<(), FileError> {
    let binary = |what| Err(FileError::Binary { line: 1, what });
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        return Err(FileError::Utf16);
    }
    for (magic, what) in [
        (&b"PK\x03\x04"[..], "a workbook or zip archive"),
        (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"%PDF", "a PDF"),
        (b"{\\rtf", "a rich text document"),
        (b"SQLite format 3", "a database"),
    ] {
        if bytes.starts_with(magic) {
            return binary(what);
        }
    }
    let text: Vec<u8> =
        bytes.trim_ascii_start().iter().take(16).map(u8::to_ascii_lowercase).collect();
    if text.starts_with(b"<!doctype") || text.starts_with(b"<html") || text.starts_with(b"<?xml") {
        return binary("a web page or XML");
    }
    // Every other byte zero: UTF-16 without a mark.
    let start = &bytes[..bytes.len().min(64)];
    if start.len() >= 4 && start.iter().filter(|byte| **byte == 0).count() * 3 > start.len() {
        return Err(FileError::Utf16);
    }
    Ok(())
}

/// Takes bytes for UTF-8 if at least as many of the sequences beyond ASCII are as are not.
fn detect(bytes: &[u8], ended: bool) -> Encoding {
    let (mut valid, mut invalid) = (0_u64, 0_u64);
    let mut at = 0;
    while let Some(next) = bytes[at..].iter().position(|byte| !byte.is_ascii()) {
        at += next;
        match utf8_length(&bytes[at..], ended) {
            Some(length) => (valid, at) = (valid + 1, at + length),
            None => (invalid, at) = (invalid + 1, at + 1),
        }
    }
    if valid >= invalid { Encoding::Utf8 } else { Encoding::Windows1252 }
}

/// Returns the length of a well-formed UTF-8 sequence of several bytes at the front, if there is
/// one. The end of a chunk may cut it off, the end of the file may not.
fn utf8_length(bytes: &[u8], ended: bool) -> Option<usize> {
    let length = match bytes.first()? {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    let start = &bytes[..bytes.len().min(length)];
    match std::str::from_utf8(start) {
        Ok(_) => Some(start.len()),
        Err(error) => (error.error_len().is_none() && !ended).then_some(start.len()),
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    let count = |wanted| bytes.iter().filter(|byte| **byte == wanted).count();
    let (feeds, returns) = (count(b'\n'), count(b'\r'));
    let both = match returns {
        0 => 0,
        _ => bytes.windows(2).filter(|pair| pair == b"\r\n").count(),
    };
    (feeds + returns - both) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(bytes: &[u8], declared: Encoding) -> Result<(String, &'static str), FileError> {
        let mut source = Decoded::new(bytes, declared);
        let mut text = String::new();
        source.read_to_string(&mut text).map_err(FileError::of_io)?;
        Ok((text, source.encoding()))
    }

    #[test]
    fn text_is_read_in_the_encoding_it_is_in() {
        use Encoding::{Detect, Utf8, Windows1252};
        for (bytes, declared, text, found) in [
            (&b"a,b\n"[..], Detect, "a,b\n", "ascii"),
            ("Zoë".as_bytes(), Detect, "Zoë", "utf-8"),
            ("Zoë".as_bytes(), Utf8, "Zoë", "utf-8"),
            (b"Zo\xeb", Detect, "Zoë", "windows-1252"),
            (b"Zo\xeb", Windows1252, "Zoë", "windows-1252"),
            (b"O\x92Neill", Detect, "O’Neill", "windows-1252"),
            (b"\xef\xbb\xbfZo\xc3\xab", Detect, "Zoë", "utf-8"),
            (b"\xef\xbb\xbfZo\xc3\xab", Windows1252, "Zoë", "utf-8"),
            (b"", Detect, "", "ascii"),
        ] {
            assert_eq!(decoded(bytes, declared).unwrap(), (text.to_owned(), found));
        }
    }

    #[test]
    fn a_letter_across_two_chunks_is_one_letter() {
        for before in CHUNK - 3..=CHUNK {
            let text = "a".repeat(before) + "ë,€,ë";
            assert_eq!(decoded(text.as_bytes(), Encoding::Detect).unwrap().0, text);
        }
    }

    #[test]
    fn bytes_that_are_not_the_declared_text_are_refused_with_place_and_setting() {
        for (bytes, declared, message) in [
            (
                &b"a\nZo\xeb"[..],
                Encoding::Utf8,
                "byte 5 (line 2) is not UTF-8: set `encoding = \"windows-1252\"` in the mapping, \
                 or have the file exported as UTF-8",
            ),
            (
                "a\nZoë".as_bytes(),
                Encoding::Windows1252,
                "every accented letter is written as UTF-8 (the first on line 2): set `encoding = \
                 \"utf-8\"` in the mapping",
            ),
            (
                b"Zo\xeb\n\x81",
                Encoding::Windows1252,
                "byte 5 (line 2) stands for nothing in Windows-1252: find out which encoding the \
                 system exports, or have the file exported as UTF-8",
            ),
        ] {
            assert_eq!(decoded(bytes, declared).unwrap_err().to_string(), message);
        }
        let mixed = decoded(
            "ë ë ë \n".as_bytes().iter().chain(b"Zo\xeb").copied().collect::<Vec<_>>().as_slice(),
            Encoding::Detect,
        );
        assert!(mixed.unwrap_err().to_string().contains("byte 13 (line 2)"));
    }

    #[test]
    fn files_that_are_no_text_are_refused_by_what_they_are() {
        for (bytes, message) in [
            (&b"\xff\xfea\0,\0"[..], "UTF-16"),
            (b"\xfe\xff\0a\0,", "UTF-16"),
            (b"a\0,\0b\0\n\0", "UTF-16"),
            (b"PK\x03\x04zip", "workbook or zip"),
            (b"\xd0\xcf\x11\xe0xls", "old Excel workbook"),
            (b"  <!DOCTYPE html><html>", "web page"),
            (b"a,b\n1,2\nsome\0text", "line 3 holds a NUL byte"),
        ] {
            let refused = decoded(bytes, Encoding::Detect).unwrap_err().to_string();
            assert!(refused.contains(message), "{refused}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused(bytes in any::<Vec<u8>>()) {
            for declared in [Encoding::Detect, Encoding::Utf8, Encoding::Windows1252] {
                let _ = decoded(&bytes, declared);
            }
        }

        #[test]
        fn any_text_without_nul_survives_as_utf8(text in "[^\u{0}]*") {
            if let Ok((read, _)) = decoded(text.as_bytes(), Encoding::Utf8) {
                prop_assert_eq!(read, text.strip_prefix('\u{feff}').unwrap_or(&text));
            }
        }
    }
}
