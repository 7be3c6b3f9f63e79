//! What became of a file: counts, and which rows were set aside under which rule.

use std::{
    collections::{BTreeMap, HashSet},
    fmt,
};

use serde::Serialize;

use super::{
    hash::FileHash,
    record::{Restriction, Role},
};

/// How many entries are kept one by one. More than this is a mistake in the mapping or the export,
/// and more of the same tells nobody more.
const LISTED: usize = 1_000;

/// Declares the rules with their ids and words.
macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $id:literal, $words:literal;)+) => {
        /// A rule that a row can break.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $rule,)+
        }

        impl Rule {
            /// Returns the id in reports.
            pub const fn id(self) -> &'static str {
                match self {
                    $(Self::$rule => $id,)+
                }
            }

            /// Returns the rule in plain words.
            pub const fn in_words(self) -> &'static str {
                match self {
                    $(Self::$rule => $words,)+
                }
            }
        }
    };
}

rules! {
    /// The row is ragged.
    FieldCount = "field-count",
        "the row has more or fewer fields than the header; a stray quote or delimiter may have \
         joined or split it";
    /// A key column is empty.
    KeyMissing = "key-missing", "a key column is empty";
    /// Another row has the same key and says something else.
    KeyRepeated = "key-repeated",
        "an earlier row has the same key and says something else; the key needs another column";
    /// An error value of a spreadsheet.
    SpreadsheetError = "spreadsheet-error", "the value is a spreadsheet's error message";
    /// A number in scientific notation.
    ScientificNumber = "scientific-number",
        "a spreadsheet has rounded the number; export the column as text";
    /// A date as a count of days.
    SerialDate = "serial-date",
        "a spreadsheet has turned the date into a count of days; export the column as text";
    /// A house number or reference as a date.
    TurnedIntoDate = "turned-into-date",
        "a spreadsheet has turned the value into a date; export the column as text";
    /// An NHS number that lost its leading zero.
    LostZero = "lost-zero",
        "a spreadsheet has dropped the zero in front; export the column as text";
    /// An event without a person.
    PersonMissing = "person-missing", "the reference to the person is empty";
    /// An event without a readable date.
    DateUnreadable = "date-unreadable",
        "the date is empty, stands for \"not known\", or is not written as `dates` says";
    /// An event before it began.
    EndBeforeStart = "end-before-start", "it ends before it starts";
    /// A record that was taken over by itself, or by a key of which a part is missing.
    MergedIntoNobody = "merged-into-nobody",
        "the record is said to be merged, and into no other; its key needs all its columns";
    /// A record that seems to be somebody else's now.
    IdentityDrift = "identity-drift",
        "surname and date of birth are both others than before, so the number seems to be somebody \
         else's now; `identity_drift = \"replace\"` believes it";
    /// An event after the death of its person.
    AfterDeath = "after-death",
        "the person had died before; a family is not alerted because of a record that was closed \
         late";
    /// A confidence that is no share.
    ConfidenceForm = "confidence-form", "the confidence is no number from 0 to 1";
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.id())
    }
}

/// One row that was set aside. Says where and which rule, and never what the row says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Where the row begins in the file, counting from 1.
    pub line: u64,
    /// Their column, where the rule is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// The rule.
    pub rule: Rule,
}

impl fmt::Display for Quarantined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", column `{column}`")?;
        }
        write!(f, ": {} ({})", self.rule.in_words(), self.rule.id())
    }
}

/// Why an event was counted as a contact and left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Contact {
    /// Somebody who saw it.
    Witness,
    /// Somebody who told of it.
    Reporter,
    /// Somebody at work.
    Professional,
    /// A role that the mapping does not list.
    UnknownRole,
    /// A type of event that the mapping does not list.
    UnmappedType,
    /// A type that means nothing of somebody in this role.
    NotOfThisRole,
}

impl Contact {
    /// Returns why such a row is left out, in plain words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Witness => "the person is a witness",
            Self::Reporter => "the person only told of it",
            Self::Professional => "the person is there at work",
            Self::UnknownRole => "`roles` in the mapping does not list the role",
            Self::UnmappedType => "`codes` in the mapping does not list the type",
            Self::NotOfThisRole => "the type means nothing of somebody in this role",
        }
    }

    /// Returns the kind of contact that somebody in a role is; `None` for roles of concern.
    pub(super) const fn of(role: Role) -> Option<Self> {
        match role {
            Role::Witness => Some(Self::Witness),
            Role::Reporter => Some(Self::Reporter),
            Role::Professional => Some(Self::Professional),
            Role::Victim | Role::Subject | Role::Suspect => None,
        }
    }
}

/// What became of one file. Counts and line numbers only, so it may be shown and passed around.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SourceReport {
    /// The feed.
    pub feed: String,
    /// The encoding the file turned out to be in.
    pub encoding: &'static str,
    /// The file's SHA-256, once all of it was read.
    pub sha256: Option<FileHash>,
    /// Rows in the file, without the header.
    pub rows: u64,
    /// Rows handed on.
    pub taken: u64,
    /// Rows that `where` leaves out.
    pub filtered: u64,
    /// Rows that say exactly what an earlier row says.
    pub repeated: u64,
    /// Events that their source marks sensitive; left out.
    pub sensitive: u64,
    /// Events left out because they are contacts, by kind.
    pub contacts: BTreeMap<Contact, u64>,
    /// People taken in of whom nothing may leave the node, by mark.
    pub restricted: BTreeMap<Restriction, u64>,
    /// Rows set aside.
    pub quarantined: u64,
    /// Rows set aside, by rule.
    pub by_rule: BTreeMap<Rule, u64>,
    /// The first thousand rows set aside.
    pub quarantine: Vec<Quarantined>,
    /// Keys of rows set aside, as far as they can be read: what they are about is not gone. Never
    /// shown.
    #[serde(skip)]
    pub(crate) keys_set_aside: Keys,
    /// Keys of rows that the mapping leaves out: what was taken in of them before goes. Never shown.
    #[serde(skip)]
    pub(crate) keys_left_out: Keys,
    /// Keys of rows that are marked sensitive, of which nothing stays. Never shown.
    #[serde(skip)]
    pub(crate) keys_sensitive: Keys,
    /// Records that a row set aside says are closed: so much of it is believed. Never shown.
    #[serde(skip)]
    pub(crate) closed: Closed,
    /// Rows set aside whose key cannot be read.
    #[serde(skip)]
    pub(crate) keyless: u64,
    /// The key of the last row, where the file ends without a line break, so that its very last field may
    /// be cut off. Never shown.
    #[serde(skip)]
    pub(crate) unfinished: Keys,
}

/// Keys of rows, which may be people's numbers: they are looked up, and never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys(HashSet<String>);

impl Keys {
    /// Remembers a key.
    pub(crate) fn insert(&mut self, key: String) {
        self.0.insert(key);
    }

    /// Remembers a key, where it can be read.
    pub(crate) fn extend<E>(&mut self, key: Result<String, E>) {
        self.0.extend(key);
    }

    /// Returns every key.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Forgets a key.
    pub(crate) fn remove(&mut self, key: &str) {
        self.0.remove(key);
    }

    /// Returns whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns whether a key is among them.
    pub(crate) fn contains(&self, key: &str) -> bool {
        self.0.contains(key)
    }
}

/// Keys of records and what closes them: they are looked up, and never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Closed(BTreeMap<String, Restriction>);

impl Closed {
    /// Remembers that a record is closed.
    pub(crate) fn insert(&mut self, key: String, restriction: Restriction) {
        self.0.insert(key, restriction);
    }

    /// Returns every key and what closes it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, Restriction)> {
        self.0.iter().map(|(key, restriction)| (key.as_str(), *restriction))
    }
}

impl fmt::Debug for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} closed", self.0.len())
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl SourceReport {
    pub(crate) fn set_aside(&mut self, line: u64, column: Option<&str>, rule: Rule) {
        self.quarantined += 1;
        *self.by_rule.entry(rule).or_default() += 1;
        if self.quarantine.len() < LISTED {
            let column = column.map(str::to_owned);
            self.quarantine.push(Quarantined { line, column, rule });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(rows: u64, bad: u64) -> SourceReport {
        let mut report = SourceReport { rows, ..SourceReport::default() };
        (0..bad).for_each(|line| report.set_aside(line, Some("REF"), Rule::KeyMissing));
        report
    }

    #[test]
    fn a_report_serialises_as_counts_and_places() {
        let mut report = report(3, 1);
        *report.contacts.entry(Contact::Witness).or_default() += 2;
        *report.restricted.entry(Restriction::Shielded).or_default() += 1;
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["contacts"], serde_json::json!({ "witness": 2 }));
        assert_eq!(json["restricted"], serde_json::json!({ "shielded": 1 }));
        assert_eq!(json["by_rule"], serde_json::json!({ "key-missing": 1 }));
        assert_eq!(
            json["quarantine"],
            serde_json::json!([{ "line": 0, "column": "REF", "rule": "key-missing" }])
        );
        let said = "line 0, column `REF`: a key column is empty (key-missing)";
        assert_eq!(report.quarantine[0].to_string(), said);
    }
}
