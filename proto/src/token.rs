//! What a node says of a person beside the match-key tokens.

/// One byte of flags.
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
