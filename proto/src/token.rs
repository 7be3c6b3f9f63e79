//! Match-key tokens: keyed hashes that nodes send so that the coordinator can find equal ones.

use std::fmt;

use crate::limits::TOKEN_BYTES;

/// A keyed hash of some of a person's fields, as it travels in one sweep.
///
/// Equal tokens of one kind mean equal fields, and that is all they say. `Debug` shows two bytes:
/// too little to match on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Token(pub [u8; TOKEN_BYTES]);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:02x}{:02x}..)", self.0[0], self.0[1])
    }
}

/// What a node says of a person beside the tokens, one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PersonFlags(pub u8);

impl PersonFlags {
    /// Has harm signals that policy releases.
    pub const HARM: u8 = 1;
    /// Has context signals that policy releases.
    pub const CONTEXT: u8 = 1 << 1;
    /// Carries a valid NHS number.
    pub const NHS: u8 = 1 << 2;
    /// Carries a permanent unique pupil number.
    pub const UPN: u8 = 1 << 3;
    /// Carries a National Insurance number.
    pub const NINO: u8 = 1 << 4;
    /// No birth date, and no forename beyond an initial: proves no person.
    pub const THIN: u8 = 1 << 6;

    /// Returns whether any of `bits` is set.
    pub const fn any(self, bits: u8) -> bool {
        self.0 & bits != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_too_little_to_match_on() {
        assert_eq!(format!("{:?}", Token([0xab; 8])), "Token(abab..)");
    }
}
