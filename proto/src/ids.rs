//! Names for the things both sides talk about.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::wire::{self, WireError};

/// The short name of a public agency, such as `housing` or `east-health`.
///
/// Always 2 to 32 characters of lowercase ASCII letters, digits and inner hyphens, so it is safe
/// to put in a certificate, a path, a log field or a URL without escaping.
///
/// ```
/// # use causeway_proto::ids::AgencyId;
/// let id: AgencyId = "east-health".parse()?;
/// assert_eq!(id.as_str(), "east-health");
/// assert!("East Health".parse::<AgencyId>().is_err());
/// # Ok::<_, causeway_proto::ids::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AgencyId(Box<str>);

/// The text is not a usable short name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a short name: use 2 to 32 lowercase letters, digits and inner hyphens")]
pub struct InvalidName(String);

impl AgencyId {
    /// Returns the name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AgencyId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let well_formed = (2..=32).contains(&text.len())
            && text.chars().all(allowed)
            && !text.starts_with('-')
            && !text.ends_with('-');

        if well_formed { Ok(Self(text.into())) } else { Err(InvalidName(text.to_owned())) }
    }
}

impl TryFrom<String> for AgencyId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<AgencyId> for String {
    fn from(id: AgencyId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for AgencyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for AgencyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AgencyId({self})")
    }
}

/// Makes a 16-byte opaque id. `Debug` shows four bytes: enough to follow one through a log, too
/// little to join on.
macro_rules! opaque_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// Takes bytes that were made for this purpose.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Returns the bytes, for storage and the wire.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Reads one from a message; a refusal names `field`.
            pub fn from_wire(field: &'static str, bytes: &[u8]) -> Result<Self, WireError> {
                wire::fixed(field, bytes).map(Self)
            }

            /// Reads a packed column of them; a refusal names `field`.
            pub fn from_column(
                field: &'static str,
                bytes: &[u8],
            ) -> Result<Vec<Self>, WireError> {
                let (ids, rest) = bytes.as_chunks::<16>();
                if rest.is_empty() {
                    Ok(ids.iter().copied().map(Self).collect())
                } else {
                    Err(WireError::Ragged { field, width: 16, actual: bytes.len() })
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let [a, b, c, d, ..] = self.0;
                write!(f, concat!(stringify!($name), "({:02x}{:02x}{:02x}{:02x}..)"), a, b, c, d)
            }
        }
    };
}

opaque_id! {
    /// One sweep: a counter that only grows, then 8 random bytes of the coordinator's.
    SweepId
}
opaque_id! {
    /// A node's name for one person inside one sweep, meaningless anywhere else.
    Handle
}
opaque_id! {
    /// One alert, in all its revisions and at all its recipients.
    AlertId
}
opaque_id! {
    /// One line of an alert, so that a review can point at it.
    LineId
}
opaque_id! {
    /// A finding that a node keeps with its own record.
    MemoId
}
opaque_id! {
    /// One review, made by the node where it was typed.
    ReviewId
}
opaque_id! {
    /// One source event inside one sweep.
    EventKey
}
opaque_id! {
    /// One dwelling inside one sweep.
    DwellingKey
}

impl SweepId {
    /// Puts a sweep's id together from its counter and the coordinator's random part.
    pub fn new(counter: u64, random: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&counter.to_be_bytes());
        bytes[8..].copy_from_slice(&random);
        Self(bytes)
    }

    /// Returns the counter.
    pub fn counter(&self) -> u64 {
        u64::from_be_bytes(self.0[..8].try_into().expect("8 of 16 bytes"))
    }
}

/// An alert id is not secret: professionals read it out over the phone.
impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The text is not an alert's id.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("an alert id is 32 hexadecimal digits, as `alerts` and `inbox list` print it")]
pub struct InvalidAlertId;

impl FromStr for AlertId {
    type Err = InvalidAlertId;

    fn from_str(text: &str) -> Result<Self, InvalidAlertId> {
        let value = (text.len() == 32 && text.is_ascii())
            .then(|| u128::from_str_radix(text, 16).ok())
            .flatten()
            .ok_or(InvalidAlertId)?;
        Ok(Self(value.to_be_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_names_that_would_need_escaping_somewhere() {
        for bad in ["", "x", "-housing", "housing-", "Housing", "east health", "a/b", "é-gov"] {
            assert_eq!(bad.parse::<AgencyId>(), Err(InvalidName(bad.into())));
        }
    }

    #[test]
    fn a_sweep_id_begins_with_its_counter() {
        let id = SweepId::new(2, [0x33; 8]);
        assert_eq!(id.counter(), 2);
        assert_eq!(format!("{id:?}"), "SweepId(00000000..)");
    }

    #[test]
    fn alert_ids_survive_being_read_out() {
        let id = AlertId::from_bytes([0xa5; 16]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!("a5".parse::<AlertId>(), Err(InvalidAlertId));
        assert_eq!("+5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5x".parse::<AlertId>(), Err(InvalidAlertId));
    }

    #[test]
    fn a_ragged_column_is_refused_by_name() {
        let refused = Handle::from_column("handles", &[0; 17]).unwrap_err();
        assert_eq!(refused.to_string(), "`handles` should be a multiple of 16 bytes and is 17");
    }
}
