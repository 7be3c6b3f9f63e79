//! Reads a feed about events: who was harmed, who is concerned, who is suspected.
//!
//! Contacts are no concerns. Witnesses, reporters and professionals, roles and types that nobody
//! mapped, and signals said of the wrong role are counted and go no further.

use std::io::Read;

use causeway_proto::day::Day;

use super::{
    cells::Cells,
    damage::Kind,
    dates::{NOT_KNOWN, is_real},
    feed::Feed,
    file::FileError,
    hash,
    mapping::About,
    record::EventRow,
    report::{Contact, Rule, SourceReport},
    table::{Fault, Table},
};

/// The rows of a file about events, one at a time.
///
/// Gives rows until the file ends or must be refused; [`Events::finish`] says what became of it.
pub struct Events<'f> {
    table: Table<'f>,
    person: Vec<usize>,
    event_ref: Vec<usize>,
    shared_ref: Option<usize>,
    kind: Vec<usize>,
    role: Vec<usize>,
    start: Option<usize>,
    end: Option<usize>,
    confidence: Option<usize>,
    sensitive: Option<(usize, &'f [String])>,
    ended: bool,
}

impl<'f> Events<'f> {
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
        let columns = |field: &str| -> Vec<usize> {
            let theirs = feed.columns.iter().find(|(name, _)| name == field);
            let names = theirs.map_or(&[][..], |(_, names)| names);
            names.iter().filter_map(|name| table.column(name)).collect()
        };
        let one = |field| columns(field).first().copied();
        let sensitive = feed
            .mapping()
            .sensitive
            .as_ref()
            .and_then(|mark| Some((table.column(&mark.column)?, mark.values.as_slice())));
        Self {
            person: columns("person"),
            event_ref: columns("event_ref"),
            shared_ref: feed
                .mapping()
                .shared_ref
                .as_ref()
                .and_then(|note| table.column(&note.column)),
            kind: columns("type"),
            role: columns("role"),
            start: one("start"),
            end: one("end"),
            confidence: one("confidence"),
            sensitive,
            table,
            ended: false,
        }
    }

    /// Reads what is left, and returns what became of the file.
    pub fn finish(mut self) -> Result<SourceReport, FileError> {
        for row in self.by_ref() {
            row?;
        }
        Ok(self.table.report)
    }

    fn row(&mut self, line: u64) -> Result<Option<EventRow>, Fault> {
        if self.is_sensitive() {
            self.table.leave_sensitive_out();
            return Ok(None);
        }
        let text = |columns: &[usize]| self.table.joined(columns, Kind::Text, " ");
        let theirs = if self.role.is_empty() { None } else { Some(text(&self.role)?) };
        let Some(role) = self.table.feed.role(theirs.as_deref()) else {
            return Ok(self.contact(Contact::UnknownRole));
        };
        if let Some(contact) = Contact::of(role) {
            return Ok(self.contact(contact));
        }
        let theirs = if self.kind.is_empty() { None } else { Some(text(&self.kind)?) };
        if !self.table.feed.knows_type(theirs.as_deref()) {
            return Ok(self.contact(Contact::UnmappedType));
        }
        let Some(code) = self.table.feed.code(theirs.as_deref(), role) else {
            return Ok(self.contact(Contact::NotOfThisRole));
        };

        let key = self.table.key()?;
        let person_key = self.table.key_of(&self.person, Rule::PersonMissing)?;
        let event_ref = self.table.joined(&self.event_ref, Kind::Reference, " ")?;
        let (event_ref, system) = self.reference(&key, event_ref)?;
        let start = self.day(self.start)?.filter(|day| day.ymd().0 > NOT_KNOWN);
        let start = start.ok_or(Fault { column: self.start, rule: Rule::DateUnreadable })?;
        let end = self.day(self.end)?.filter(is_real);
        if end.is_some_and(|end| end < start) {
            return Err(Fault { column: self.end, rule: Rule::EndBeforeStart });
        }
        let confidence_permille = self.confidence()?;

        let number = |number: i32| number.to_string();
        // Without a numbering that others use, the hash is what it was before there were any.
        let own = [
            self.table.feed.id(),
            &key,
            &person_key,
            &event_ref,
            code.as_str(),
            &format!("{role:?}"),
            &number(start.number()),
            &end.map_or(String::new(), |end| number(end.number())),
            &confidence_permille.to_string(),
        ];
        let hash = hash::row(system.as_deref().into_iter().chain(own));
        if !self.table.is_new(&key, hash)? {
            return Ok(None);
        }
        Ok(Some(EventRow {
            line,
            key,
            event_ref,
            system,
            person_key,
            code,
            role,
            start,
            end,
            confidence_permille,
            hash,
        }))
    }

    /// Returns by which reference, and in which agencies' numbering, an event is told from others.
    fn reference(&self, key: &str, own: String) -> Result<(String, Option<String>), Fault> {
        let mapping = self.table.feed.mapping();
        if let (Some(at), Some(note)) = (self.shared_ref, &mapping.shared_ref) {
            let noted = canonical(&self.table.joined(&[at], Kind::Reference, " ")?);
            if !noted.is_empty() {
                return Ok((noted, Some(note.system.clone())));
            }
        }
        Ok(match &mapping.event_ref_system {
            _ if own.is_empty() => (key.to_owned(), None),
            Some(system) => (canonical(&own), Some(system.clone())),
            None => (own, None),
        })
    }

    fn is_sensitive(&self) -> bool {
        self.sensitive.is_some_and(|(at, marks)| {
            let mark = self.table.value(at).to_lowercase();
            marks.iter().any(|sensitive| sensitive.trim().to_lowercase() == mark)
        })
    }

    fn contact(&mut self, contact: Contact) -> Option<EventRow> {
        *self.table.report.contacts.entry(contact).or_default() += 1;
        match contact {
            // Nobody can tell what a role means that the mapping does not know: what was there stands.
            Contact::UnknownRole => self.table.report.keys_set_aside.extend(self.table.key()),
            _ => self.table.leave_out(),
        }
        None
    }

    /// Reads a date column; `None` where it is empty.
    fn day(&self, column: Option<usize>) -> Result<Option<Day>, Fault> {
        let Some(at) = column else {
            return Ok(None);
        };
        let text = self.table.joined(&[at], Kind::Date, " ")?;
        if text.is_empty() {
            return Ok(None);
        }
        let day = self.table.feed.dates.day(&text);
        day.map(Some).ok_or(Fault { column, rule: Rule::DateUnreadable })
    }

    fn confidence(&self) -> Result<u16, Fault> {
        let text = self.confidence.map_or("", |at| self.table.value(at));
        if text.is_empty() {
            return Ok(1000);
        }
        let share = text.parse::<f64>().ok().filter(|share| (0.0..=1.0).contains(share));
        let share = share.ok_or(Fault { column: self.confidence, rule: Rule::ConfidenceForm })?;
        Ok((share * 1000.0).round() as u16)
    }

    fn next_row(&mut self) -> Result<Option<EventRow>, FileError> {
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

impl Iterator for Events<'_> {
    type Item = Result<EventRow, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let row = self.next_row().transpose();
        self.ended = !matches!(row, Some(Ok(_)));
        row
    }
}

/// A number that several agencies note, as all of them write it: `PO 2025/00113` is `po202500113`.
fn canonical(reference: &str) -> String {
    reference.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase()
}

fn check(feed: &Feed) -> Result<(), FileError> {
    match feed.mapping().about {
        About::Events => Ok(()),
        About::People => Err(FileError::OtherKind("events")),
    }
}

#[cfg(test)]
mod tests;
