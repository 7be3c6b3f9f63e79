//! Numbers in steps of 0.1, as people and files see them.

use std::{
    fmt,
    ops::{Add, Sub},
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of points in steps of 0.1.
///
/// Thresholds are held against these and not against the floating-point number behind them: what
/// is shown as 65.0 is 65.0 everywhere, and a difference of 10.0 is 10.0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tenths(i32);

impl Tenths {
    /// Takes a whole number of points.
    pub const fn whole(points: u32) -> Self {
        Self(points.saturating_mul(10).cast_signed())
    }

    /// Takes a number of tenths.
    pub const fn of(tenths: i32) -> Self {
        Self(tenths)
    }

    /// Rounds to the nearest step, and to the even one from half-way between.
    pub fn round(points: f64) -> Self {
        Self((points * 10.0).round_ties_even() as i32)
    }

    /// Returns how many tenths.
    pub const fn count(self) -> i32 {
        self.0
    }
}

impl<'de> Deserialize<'de> for Tenths {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        f64::deserialize(deserializer).map(Self::round)
    }
}

impl Add for Tenths {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl Sub for Tenths {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}

impl From<Tenths> for f64 {
    fn from(tenths: Tenths) -> Self {
        Self::from(tenths.0) / 10.0
    }
}

impl fmt::Display for Tenths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:.1}", f64::from(*self)))
    }
}

impl Serialize for Tenths {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_f64((*self).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_reads_the_same_in_text_and_json() {
        assert_eq!(Tenths::round(73.555).to_string(), "73.6");
        assert_eq!(serde_json::to_string(&Tenths::round(73.555)).unwrap(), "73.6");
        assert_eq!(Tenths::round(-0.04), Tenths::whole(0));
        assert_eq!(Tenths::whole(65).to_string(), "65.0");
    }

    #[test]
    fn a_difference_of_ten_is_ten() {
        assert_eq!(Tenths::round(38.3) - Tenths::round(28.3), Tenths::whole(10));
    }
}
