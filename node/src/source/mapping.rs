//! What a mapping file may say: one TOML file per feed, which is all that onboarding a feed takes.
//!
//! This module holds the settings as they are written; [`Feed`](super::Feed) checks them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::record::{Restriction, Role};
use crate::extract::settings::Database;

/// The settings of one feed.
///
/// A feed about people says which of their columns are our fields:
///
/// ```
/// # use causeway_node::source::Feed;
/// let feed = Feed::from_toml(r##"
///     id = "niche-nominals"
///     about = "people"
///     encoding = "windows-1252"
///     delimiter = "|"
///     quote = '"'
///     header = true
///     dates = ["%d/%m/%Y", "%d-%b-%y"]
///     pivot = 30
///     nulls = ["NULL", "-"]
///     key = ["NOMINAL_REF"]
///     mode = "full"
///     expected_rows = 120000
///     max_drop_pct = 10
///     max_quarantine_pct = 5
///     freshness_h = 36
///     year_only_first_january = true
///     month_only_fifteenth = false
///     born_from = 1850
///     accept_test_ranges = false
///
///     [columns]
///     forename = "FORENAME1"
///     middle = ["FORENAME2", "FORENAME3"]
///     surname = "SURNAME"
///     alias = "AKA"
///     dob = "DOB"
///     sex = "SEX"
///     address = "ADDRESS"
///     postcode = "POSTCODE"
///
///     [where]
///     STATUS = ["LIVE", "OPEN"]
///
///     [restricted]
///     column = "ACCESS_LEVEL"
///     open = ["0", "N"]
///     values = { "R" = "restricted", "W" = "shielded", "ADOPT" = "pre_adoption" }
/// "##)?;
/// assert_eq!(feed.id(), "niche-nominals");
/// # Ok::<_, causeway_node::source::MappingError>(())
/// ```
///
/// A feed about events says besides what their words mean:
///
/// ```
/// # use causeway_node::source::Feed;
/// let feed = Feed::from_toml(r##"
///     id = "niche-incidents"
///     about = "events"
///     person_feed = "niche-nominals"
///     dates = ["%d/%m/%Y"]
///     key = ["INCIDENT", "NOMINAL_REF", "ROLE"]
///
///     [columns]
///     person = "NOMINAL_REF"
///     event_ref = "INCIDENT"
///     type = "OFFENCE"
///     role = "ROLE"
///     start = "DATE"
///
///     [roles]
///     "VICTIM" = "victim"
///     "SUSPECT" = "suspect"
///     "WITNESS" = "witness"
///     "INFORMANT" = "reporter"
///
///     [codes]
///     "ASB PERSONAL" = "POL_ASB_VICTIM"
///     "ASSAULT" = { victim = "POL_VICTIM_VIOLENCE", suspect = "POL_SUSPECT_VIOLENCE" }
///
///     [sensitive]
///     column = "PROTECTIVE_MARKING"
///     values = ["SECRET"]
/// "##)?;
/// assert_eq!(feed.mapping().person_feed.as_deref(), Some("niche-nominals"));
/// # Ok::<_, causeway_node::source::MappingError>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// The feed's name at this node: 1 to 64 lowercase letters, digits and hyphens.
    pub id: String,
    /// Whether a row is a person, or a person's part in an event.
    pub about: About,
    /// How the file's bytes stand for letters. A byte order mark is always honoured.
    #[serde(default)]
    pub encoding: Encoding,
    /// What stands between fields: one sign, or `tab`.
    #[serde(default = "default_delimiter")]
    pub delimiter: String,
    /// What stands around a field that holds the delimiter: one sign, or nothing at all.
    #[serde(default = "default_quote")]
    pub quote: String,
    /// Whether the first line names the columns. If not, columns are called `1`, `2` and so on.
    #[serde(default = "yes")]
    pub header: bool,
    /// How this system writes dates, tried in order, with `%d`, `%m`, `%Y`, `%y`, `%b`. A time of
    /// day after the date is ignored. Day and month are never guessed at.
    #[serde(default)]
    pub dates: Vec<String>,
    /// The last year of this century that a two-digit year may mean. Needed for `%y`.
    pub pivot: Option<u8>,
    /// What this feed's files are called in a folder that `serve` watches: `tenants-*.csv`. `*` is
    /// any text and `?` any sign.
    #[serde(default)]
    pub files: Vec<String>,
    /// A database to ask, instead of files.
    pub database: Option<Database>,
    /// What this system writes for "nothing", in any case. An empty field is always nothing.
    #[serde(default = "default_nulls")]
    pub nulls: Vec<String>,
    /// Their columns that together tell one row from every other.
    pub key: Vec<String>,
    /// Whether a file holds everything, so that what is absent is gone, or only what changed.
    #[serde(default)]
    pub mode: Mode,
    /// About how many rows a full file has. Guards the first delivery against truncation; later
    /// ones are measured against the last good one.
    pub expected_rows: Option<u64>,
    /// How many per cent fewer rows than last time a full file may have, or may be for this node, 1 to
    /// 100. A half-written file, or a status that is spelt otherwise, must not look like half the people
    /// leaving. One or two are never too many.
    #[serde(default = "default_max_drop_pct")]
    pub max_drop_pct: u8,
    /// How many per cent of rows may be quarantined before the file is refused, 1 to 50. Not 0,
    /// since one clerk's typing mistake should not keep everybody else's rows out, and five rows
    /// are always allowed.
    #[serde(default = "default_max_quarantine_pct")]
    pub max_quarantine_pct: u8,
    /// After how many hours without a new file the feed counts as stale. A stale feed's silence
    /// proves nothing, and alerts say so.
    #[serde(default = "default_freshness_h")]
    pub freshness_h: u32,
    /// A birth on 1 January stands for its year, as where systems write that for "not known".
    #[serde(default = "yes")]
    pub year_only_first_january: bool,
    /// A birth on the 15th stands for its month, as in children's services.
    #[serde(default)]
    pub month_only_fifteenth: bool,
    /// For a register of the past: the first year in which anybody in it was born, 1000 at the earliest. Otherwise
    /// a date before 1900, or one that would make somebody older than 120, counts as not known.
    pub born_from: Option<i16>,
    /// Takes NHS numbers and NINOs that are never issued. For tests and demonstrations only.
    #[serde(default)]
    pub accept_test_ranges: bool,
    /// What to do with a row whose surname and date of birth are both others than last time: most
    /// often the system gave somebody's number to somebody else. If it was a correction, say
    /// `replace` for one delivery.
    #[serde(default)]
    pub identity_drift: Drift,
    /// Our field = their column, or several: joined with a space, and the lines of an `address` with a comma. Fields
    /// of people are those of
    /// [`RawPerson`](super::RawPerson), and `merged_into`: the key of the record that took this one
    /// over. Fields of events are `person`, `event_ref`, `type`, `role`, `start`, `end` and
    /// `confidence` (0 to 1). Several columns of `person` or `merged_into` stand in the order of the
    /// `key` that they hold.
    pub columns: BTreeMap<String, Columns>,
    /// For events: the id of the feed whose keys `person` holds.
    pub person_feed: Option<String>,
    /// For events: the numbering that `event_ref` belongs to, where other agencies note these numbers
    /// too, such as `police-incidents`. An event that carries one number at two agencies is one.
    pub event_ref_system: Option<String>,
    /// For events: where this system notes another agency's number of the same event.
    pub shared_ref: Option<SharedRef>,
    /// For events without a `role` column: what everybody in them is.
    pub default_role: Option<Role>,
    /// For events without a `type` column: what all of them mean.
    pub default_code: Option<String>,
    /// Their role = ours, in any case. A role not listed is a contact: counted, never taken in.
    #[serde(default)]
    pub roles: BTreeMap<String, Role>,
    /// Their type of event = a code of the catalogue, in any case, or one code per role. A type not
    /// listed is a contact: counted, never taken in.
    #[serde(default)]
    pub codes: BTreeMap<String, Codes>,
    /// Only rows where each of these columns of theirs has one of the values, in any case.
    #[serde(default, rename = "where")]
    pub filter: BTreeMap<String, Values>,
    /// For people: how the source marks those of whom nothing may leave the node.
    pub restricted: Option<Restricted>,
    /// For events: how the source marks those that are not taken in at all.
    pub sensitive: Option<Sensitive>,
}

/// What a row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum About {
    /// A person.
    People,
    /// One person's part in an event.
    Events,
}

/// How bytes stand for letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encoding {
    /// UTF-8.
    #[serde(rename = "utf-8")]
    Utf8,
    /// The Western code page of Windows.
    #[serde(rename = "windows-1252")]
    Windows1252,
    /// UTF-8 if the file's first accented letters are, else Windows-1252.
    #[default]
    Detect,
}

/// What to do with a record that seems to be somebody else's now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Drift {
    /// Set the row aside; the record stays as it was.
    #[default]
    Quarantine,
    /// Believe the row.
    Replace,
}

/// Where a system notes another agency's number of the same event.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SharedRef {
    /// Their column. An empty field means that nobody else is known to have it.
    pub column: String,
    /// The numbering it belongs to; the same word at every agency, such as `police-incidents`.
    pub system: String,
}

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Everything: what is absent is gone.
    #[default]
    Full,
    /// Changes since the last file: what is absent is as it was, and a later row wins.
    Delta,
}

/// One column of theirs, or several that are joined.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Columns {
    /// One column.
    One(String),
    /// Several, in this order.
    Joined(Vec<String>),
}

/// One code, or one for each role.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Codes {
    /// For every role that can carry it.
    One(String),
    /// The same words mean one thing of a victim and another of a suspect.
    ByRole(BTreeMap<Role, String>),
}

/// One value or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Values {
    /// One value.
    One(String),
    /// Any of these.
    Any(Vec<String>),
}

/// How a source marks people of whom nothing may leave the node.
///
/// A mark that is neither listed nor `open` restricts: a new code at the source must not open a
/// record that somebody closed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restricted {
    /// Their column that holds the mark.
    pub column: String,
    /// Marks of ordinary records. An empty field is ordinary, too.
    pub open: Vec<String>,
    /// Their mark = `restricted`, `shielded` or `pre_adoption`.
    pub values: BTreeMap<String, Restriction>,
}

/// How a source marks events that are not taken in.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sensitive {
    /// Their column that holds the mark.
    pub column: String,
    /// Marks of events to leave out.
    pub values: Vec<String>,
}

impl Columns {
    /// Returns the columns in order.
    pub fn names(&self) -> &[String] {
        match self {
            Self::One(name) => std::slice::from_ref(name),
            Self::Joined(names) => names,
        }
    }
}

impl Values {
    /// Returns the values.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Any(values) => values,
        }
    }
}

fn default_delimiter() -> String {
    ",".into()
}

fn default_quote() -> String {
    "\"".into()
}

fn default_nulls() -> Vec<String> {
    ["NULL", "(null)", "\\N"].map(String::from).into()
}

const fn default_max_drop_pct() -> u8 {
    10
}

const fn default_max_quarantine_pct() -> u8 {
    5
}

const fn default_freshness_h() -> u32 {
    36
}

const fn yes() -> bool {
    true
}
