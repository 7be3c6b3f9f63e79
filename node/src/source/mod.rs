//! Reads the files that an agency's systems export, as one mapping per feed describes them.
//!
//! ```text
//! mapping, feed        what a mapping file may say; a mapping that makes sense
//! cells                rows of text, from a file or a query
//! delimited, decode,   files: bytes to UTF-8, in bounded memory; no row without end
//!   guard
//! table, damage        rows of the mapped columns; ruined values set aside
//! people, events       rows as records: whom they are about, what they say
//! dates, hash, report  how a feed writes dates; what was seen before; what became of a file
//! ```
//!
//! Knows nothing of what a name or an address is: that is [`normalise`](crate::normalise). What a
//! file says of people is shown nowhere; a rejection names line, column and rule.

pub mod cells;
pub(crate) mod check_digit;
mod damage;
pub mod dates;
mod decode;
mod delimited;
mod events;
mod feed;
mod file;
mod guard;
mod hash;
mod judge;
pub mod mapping;
mod people;
mod record;
mod report;
mod suggest;
mod table;

pub use events::Events;
pub use feed::{Feed, MappingError};
pub use file::FileError;
pub use hash::{FileHash, RowHash};
pub(crate) use judge::{ALWAYS_ALLOWED, drops};
pub use judge::{Before, FileRefused};
pub use mapping::Mapping;
pub use people::People;
pub use record::{EventRow, PersonField, PersonRow, RawPerson, Restriction, Role};
pub use report::{Contact, Quarantined, Rule, SourceReport};
