//! The people of a town: what agencies know of whom, and who it really is.
//!
//! [`planted`] are the scenarios whose outcome is known, [`background`] everybody else, and
//! [`exports`] writes both as the agencies' systems would.

pub mod background;
pub mod planted;

use causeway_node::source::{RawPerson, Restriction, Role};
use causeway_proto::{
    catalogue::{AgencyKind, SignalCode},
    day::Day,
};

/// One record of one person, as one system of an agency holds it.
#[derive(Clone, Debug)]
pub struct Record {
    /// Whose record it is: a town has one agency of each kind.
    pub agency: AgencyKind,
    /// The system, such as `niche`.
    pub source: String,
    /// The record's own number, unlike every other at the agency.
    pub local_id: String,
    /// What the system holds: dates as `2025-02-19`, sex as `F`, `M` or nothing.
    pub person: RawPerson,
    /// Whether the system marks the record as closed to others.
    pub restriction: Option<Restriction>,
    /// Who it really is. Never exported.
    pub truth: Truth,
}

/// Who a record is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Truth {
    /// The person; empty where the record could be of several.
    pub person: String,
    /// The household.
    pub household: String,
}

/// One person's part in one event, as the agency that recorded it holds it.
#[derive(Clone, Debug)]
pub struct Happening {
    /// The agency.
    pub agency: AgencyKind,
    /// The record of the person, by its own number.
    pub local_id: String,
    /// The event's own number; the same for everybody who had a part in it.
    pub event_ref: String,
    /// What it means in the catalogue. Exports use the agency's own words.
    pub code: SignalCode,
    /// The person's part.
    pub role: Role,
    /// The day, or the first.
    pub start: Day,
    /// The last day of what lasted and has ended.
    pub end: Option<Day>,
}

/// What happened, and to whom.
#[derive(Clone, Debug, Default)]
pub struct People {
    /// Every record.
    pub records: Vec<Record>,
    /// Every part in an event.
    pub happenings: Vec<Happening>,
}
