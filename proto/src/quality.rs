//! Who is missed when records are linked: bits that chance has blurred, counted by kinds of people.
//!
//! The coordinator knows which records were linked and may not know what kind of people they are; the
//! node knows its people and may not learn who of them is known elsewhere. So the coordinator sends
//! blurred bits, the node counts them, and the coordinator takes the blur out of the counts.

use crate::{ids::SweepId, pb, wire::WireError, wire::wire_enum};

/// How often a bit is the opposite of the truth.
pub const FLIPPED: f64 = 0.25;

/// Questions about fewer records would say too much of each.
pub const LEAST_ASKED: usize = 100;

/// How often a coin does not fail that makes the noise of a number: e^(-1/4).
///
/// A node adds to each number it tells how often one such coin comes up before it fails, and takes off how
/// often another does. Somebody who is of another kind
/// changes four numbers of a division by one, and so no answer becomes more than e times as likely.
pub const NOISE_GOES_ON: f64 = 0.778_800_783_071_404_9;

/// The variance of that noise.
pub const NOISE_VARIANCE: f64 =
    2.0 * NOISE_GOES_ON / ((1.0 - NOISE_GOES_ON) * (1.0 - NOISE_GOES_ON));

/// Kinds that come out at fewer people once noise is added are not told of.
pub const LEAST_TOLD: u32 = 20;

/// Bits that chance made have this many standard deviations to spare.
const SPARE: f64 = 6.0;

wire_enum! {
    /// A kind of people.
    Subgroup, "subgroup" {
        /// Recorded as female.
        Female = "recorded as female",
        /// Recorded as male.
        Male = "recorded as male",
        /// Sex not recorded.
        SexUnknown = "of unrecorded sex",
        /// Under 5 years old.
        Age0To4 = "aged 0 to 4",
        /// School age.
        Age5To17 = "aged 5 to 17",
        /// Of working age.
        Age18To64 = "aged 18 to 64",
        /// 65 or older.
        Age65AndOver = "aged 65 and over",
        /// Birth date not recorded.
        AgeUnknown = "of unknown age",
        /// Holds a valid national number.
        NationalNumber = "with a national number",
        /// Holds none.
        NoNationalNumber = "without a national number",
        /// Surname that 300 in a million or more bear, by public tables.
        CommonSurname = "with a common surname",
        /// Surname that fewer bear, or none.
        RareSurname = "with a rare surname",
        /// Address on record.
        Address = "with an address",
        /// None.
        NoAddress = "without an address",
    }
}

impl Subgroup {
    /// Everybody is in one kind of each of these divisions.
    pub const DIVISIONS: [&[Self]; 5] = {
        use Subgroup as S;
        [
            &[S::Female, S::Male, S::SexUnknown],
            &[S::Age0To4, S::Age5To17, S::Age18To64, S::Age65AndOver, S::AgeUnknown],
            &[S::NationalNumber, S::NoNationalNumber],
            &[S::CommonSurname, S::RareSurname],
            &[S::Address, S::NoAddress],
        ]
    };
}

/// One bit a record, in the order of the token stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bits(Vec<u8>);

impl Bits {
    /// Packs bits.
    pub fn pack(bits: impl ExactSizeIterator<Item = bool>) -> Self {
        let mut packed = vec![0; bits.len().div_ceil(8)];
        bits.enumerate()
            .filter(|(_, bit)| *bit)
            .for_each(|(at, _)| packed[at / 8] |= 1 << (at % 8));
        Self(packed)
    }

    /// Returns a record's bit; false past the end.
    pub fn get(&self, at: usize) -> bool {
        self.0.get(at / 8).is_some_and(|byte| byte >> (at % 8) & 1 == 1)
    }

    /// Returns how many are set.
    pub fn count(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }
}

/// What the coordinator asks: bits that chance has blurred, about enough records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountLinked {
    sweep: SweepId,
    asked: Bits,
    indicators: Bits,
}

impl CountLinked {
    /// Takes bits that chance has blurred.
    ///
    /// # Errors
    /// Refuses bits that say something of records that are not asked about, questions about too few
    /// records, and bits of which more or fewer are set than chance would set.
    pub fn new(sweep: SweepId, asked: Bits, indicators: Bits) -> Result<Self, WireError> {
        let invalid = |field, rule| Err(WireError::Invalid { field, rule });
        let inside = asked.0.len() == indicators.0.len()
            && asked.0.iter().zip(&indicators.0).all(|(asked, set)| set & !asked == 0);
        if !inside {
            return invalid("indicators", "as long as `asked`, and set only where that is");
        }
        let (of, set) = (asked.count(), indicators.count() as f64);
        if of < LEAST_ASKED {
            return invalid("asked", "about at least 100 records");
        }
        let of = of as f64;
        let spare = SPARE * (of * FLIPPED * (1.0 - FLIPPED)).sqrt();
        if set < of * FLIPPED - spare || set > of * (1.0 - FLIPPED) + spare {
            return invalid("indicators", "flipped by chance, one in four");
        }
        Ok(Self { sweep, asked, indicators })
    }

    /// Which sweep.
    pub fn sweep(&self) -> SweepId {
        self.sweep
    }

    /// Returns a record's blurred bit, or `None` where nothing is asked.
    pub fn indicator(&self, at: usize) -> Option<bool> {
        self.asked.get(at).then(|| self.indicators.get(at))
    }
}

/// What a node counted of one kind of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkedCount {
    /// Which kind.
    pub subgroup: Subgroup,
    /// Records that were asked about, more or less.
    pub records: u32,
    /// Those with their bit set, more or less.
    pub indicated: u32,
}

// === wire ===

impl From<CountLinked> for pb::CountLinkedRequest {
    fn from(asked: CountLinked) -> Self {
        Self {
            sweep_id: asked.sweep.as_bytes().to_vec(),
            asked: asked.asked.0,
            indicators: asked.indicators.0,
        }
    }
}

impl TryFrom<pb::CountLinkedRequest> for CountLinked {
    type Error = WireError;

    fn try_from(request: pb::CountLinkedRequest) -> Result<Self, WireError> {
        let sweep = SweepId::from_wire("sweep_id", &request.sweep_id)?;
        Self::new(sweep, Bits(request.asked), Bits(request.indicators))
    }
}

impl From<LinkedCount> for pb::LinkedCount {
    fn from(count: LinkedCount) -> Self {
        let LinkedCount { subgroup, records, indicated } = count;
        Self { subgroup: subgroup.to_wire(), records, indicated }
    }
}

impl TryFrom<pb::LinkedCount> for LinkedCount {
    type Error = WireError;

    fn try_from(count: pb::LinkedCount) -> Result<Self, WireError> {
        let pb::LinkedCount { subgroup, records, indicated } = count;
        if records < LEAST_TOLD || indicated > records {
            let rule = "at least 20, and as many as are indicated";
            return Err(WireError::Invalid { field: "records", rule });
        }
        Ok(Self { subgroup: Subgroup::from_wire(subgroup)?, records, indicated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(asked: usize, set: usize) -> Result<CountLinked, WireError> {
        let bits = |first: usize| Bits::pack((0..1000).map(move |at| at < first));
        CountLinked::new(SweepId::from_bytes([1; 16]), bits(asked), bits(set))
    }

    #[test]
    fn only_blurred_bits_about_enough_records_are_asked() {
        let fair = question(1000, 500).unwrap();
        let wire = pb::CountLinkedRequest::from(fair.clone());
        assert_eq!(CountLinked::try_from(wire).as_ref(), Ok(&fair));
        assert_eq!([499, 500, 1000].map(|at| fair.indicator(at)), [Some(true), Some(false), None]);
        for (asked, set, why) in [
            (99, 50, "too few records"),
            (1000, 1, "one record pointed at"),
            (1000, 999, "one record left out"),
            (400, 401, "a record that is not asked about"),
        ] {
            assert!(question(asked, set).is_err(), "{why}");
        }
    }

    #[test]
    fn everybody_is_in_one_kind_of_each_division() {
        let mut all: Vec<Subgroup> = Subgroup::DIVISIONS.concat();
        all.sort_unstable();
        assert_eq!(all, Subgroup::ALL);
    }

    #[test]
    fn a_count_of_few_people_is_refused() {
        let count = |records, indicated| {
            LinkedCount::try_from(pb::LinkedCount { subgroup: 1, records, indicated })
        };
        assert!(count(20, 20).is_ok());
        assert!(count(19, 3).is_err());
        assert!(count(20, 21).is_err());
    }
}
