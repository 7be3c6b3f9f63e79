//! Reading messages from the other side, which may be newer, older or broken.

use tonic::Code;

use crate::refusal;

/// A message that does not say what the contract says it should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// A field the contract requires was left out.
    #[error("`{0}` is missing")]
    Missing(&'static str),
    /// A field has a value that this version of the contract does not know.
    #[error("`{0}` has a value that this side does not know: is the other side newer?")]
    Unknown(&'static str),
    /// A field has a value outside what the contract allows.
    #[error("`{field}` should be {rule}")]
    Invalid {
        /// The field, as the `.proto` file names it.
        field: &'static str,
        /// What the contract says.
        rule: &'static str,
    },
    /// A fixed-size field has the wrong size.
    #[error("`{field}` should be {expected} bytes and is {actual}")]
    Length {
        /// The field, as the `.proto` file names it.
        field: &'static str,
        /// What the contract says.
        expected: usize,
        /// What arrived.
        actual: usize,
    },
    /// A packed column does not hold a whole number of elements.
    #[error("`{field}` should be a multiple of {width} bytes and is {actual}")]
    Ragged {
        /// The field, as the `.proto` file names it.
        field: &'static str,
        /// Bytes in one element.
        width: usize,
        /// What arrived.
        actual: usize,
    },
}

/// Reads a fixed-size field.
pub fn fixed<const N: usize>(field: &'static str, value: &[u8]) -> Result<[u8; N], WireError> {
    let wrong = |_| WireError::Length { field, expected: N, actual: value.len() };
    value.try_into().map_err(wrong)
}

/// Reads a message field that has to be there.
pub fn required<T>(field: &'static str, value: Option<T>) -> Result<T, WireError> {
    value.ok_or(WireError::Missing(field))
}

impl From<WireError> for tonic::Status {
    fn from(error: WireError) -> Self {
        refusal::status(Code::InvalidArgument, "INVALID_MESSAGE", error.to_string())
    }
}

/// Makes a domain enum out of a generated one: no `UNSPECIFIED`, a stable text name, and checked
/// conversions both ways.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])*
        $name:ident, $field:literal {
            $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+
        }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
        }

        impl $name {
            /// Every value, in the order of the contract.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name used in files, settings and JSON.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }

            /// Reads a value from a message.
            pub fn from_wire(value: i32) -> Result<Self, $crate::wire::WireError> {
                match $crate::pb::$name::try_from(value) {
                    $(Ok($crate::pb::$name::$variant) => Ok(Self::$variant),)+
                    Ok($crate::pb::$name::Unspecified) => {
                        Err($crate::wire::WireError::Missing($field))
                    }
                    Err(_) => Err($crate::wire::WireError::Unknown($field)),
                }
            }

            /// Returns the value for a message.
            pub const fn to_wire(self) -> i32 {
                match self {
                    $(Self::$variant => $crate::pb::$name::$variant as i32,)+
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::wire::UnknownName;

            fn from_str(text: &str) -> Result<Self, $crate::wire::UnknownName> {
                Self::ALL.iter().copied().find(|value| value.as_str() == text).ok_or_else(|| {
                    $crate::wire::UnknownName {
                        text: text.to_owned(),
                        known: Self::ALL.iter().map(|value| value.as_str()).collect(),
                    }
                })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(from)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use wire_enum;

/// A name in a file or setting that stands for nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What was written.
    pub text: String,
    /// What could have been.
    pub known: Vec<&'static str>,
}

impl std::fmt::Display for UnknownName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` is not one of {}", self.text, self.known.join(", "))
    }
}

impl std::error::Error for UnknownName {}
