//! Recipe 1: which match-keys there are and how many slots each has.
//!
//! Numbers are the K-numbers of `linkage/LINKAGE.md`, go into key derivation, and are for ever. How
//! a node fills a slot is in its `tokenise` module; what everybody can rely on is here.

use crate::{limits::TOKEN_MAX_RECORDS, pb, wire::wire_enum};

/// The recipe this version follows. Nodes of different recipes are not linked.
pub const RECIPE: u16 = 1;

wire_enum! {
    /// Which normalised fields were hashed together.
    MatchKeyKind, "kind" {
        /// Sound of forename and surname in order; birth date, day and month sorted.
        SoundsBirth = "sounds+birth",
        /// Forename, birth date.
        ForenameBirth = "forename+birth",
        /// How the surname sounds, birth date.
        SurnameBirth = "surname+birth",
        /// First three letters of the surname, initial, birth date.
        Surname3InitialBirth = "surname3+initial+birth",
        /// Birth date, postcode.
        BirthPostcode = "birth+postcode",
        /// Names in order, birth year and day.
        NamesYearDay = "names+year+day",
        /// Names in order, birth month and day.
        NamesMonthDay = "names+month+day",
        /// NHS number.
        Nhs = "nhs",
        /// Forename, house, street; and the end of the forename in its place.
        ForenameHouseStreet = "forename+house+street",
        /// Surname, initial, house, street; and how surname and street begin, where there is room.
        SurnameInitialHouseStreet = "surname+initial+house+street",
        /// Forename, postcode, house.
        ForenamePostcodeHouse = "forename+postcode+house",
        /// Surname, initial, postcode; and the end of the surname with it, where there is room.
        SurnameInitialPostcode = "surname+initial+postcode",
        /// Email address.
        Email = "email",
        /// Phone number.
        Phone = "phone",
        /// Names in order, middle initial, birth year.
        NamesMiddleYear = "names+middle+year",
        /// Names in order, two-year birth bin at two offsets.
        NamesYears = "names+years",
        /// Other national number with one third masked (one slot for each third), initial.
        OtherIdMasked = "other-id-masked+initial",
        /// Sound of forename, postcode, start of the street.
        SoundPostcodeStreet = "sound+postcode+street",
        /// Initial, house, street, birth year.
        InitialHouseStreetYear = "initial+house+street+year",
        /// Birth date, middle initial, sex; of unknown sex the birth date alone.
        BirthMiddleSex = "birth+middle+sex",
        /// Names in order, alone and with middle initial or day of birth, only where they are one person's at
        /// the node.
        RareNames = "rare-names",
        /// Surname, middle initial, birth year; without a middle name surname and birth year.
        SurnameMiddleYear = "surname+middle+year",
        /// Forename, middle initial, birth year; without a middle name forename and birth year.
        ForenameMiddleYear = "forename+middle+year",
        /// Birth date, start of the street.
        BirthStreet = "birth+street",
        /// House, street or the sound of the surname with the town, only where they are one person's at the node.
        RarePlaces = "rare-places",
        /// Postcode, house, initial.
        PostcodeHouseInitial = "postcode+house+initial",
        /// House, street, birth year and month.
        HouseStreetYearMonth = "house+street+year+month",
        /// Permanent unique pupil number.
        Upn = "upn",
        /// National Insurance number without its suffix.
        Nino = "nino",
        /// Another number that several agencies hold.
        OtherId = "other-id",
        /// Postcode, house, and birth year or day of birth.
        PostcodeHouseYearOrDay = "postcode+house+year-or-day",
        /// Initial, postcode, and birth year or day of birth.
        InitialPostcodeYearOrDay = "initial+postcode+year-or-day",
    }
}

impl MatchKeyKind {
    /// Returns the number used in key derivation and on the wire.
    pub fn number(self) -> u8 {
        u8::try_from(self.to_wire()).expect("kind numbers fit a byte")
    }

    /// Returns a dense number below [`MatchKeyKind::COUNT`], for tables and bit sets.
    pub const fn index(self) -> usize {
        // `ALL` lists the kinds in the order in which they are declared.
        self as usize
    }

    /// How many kinds there are.
    pub const COUNT: usize = Self::ALL.len();

    /// Returns the tokens per row that every record sends. More than one where a person may have
    /// several forms: a second surname, an alias, a nickname's formal name.
    pub const fn slots(self) -> usize {
        use MatchKeyKind as M;
        match self {
            M::SoundsBirth | M::SurnameBirth | M::OtherIdMasked | M::RareNames | M::RarePlaces => 3,
            M::ForenameBirth
            | M::ForenameHouseStreet
            | M::Surname3InitialBirth
            | M::SurnameInitialHouseStreet
            | M::SurnameInitialPostcode
            | M::InitialPostcodeYearOrDay
            | M::PostcodeHouseYearOrDay
            | M::NamesYears => 2,
            _ => 1,
        }
    }

    /// Returns how many of a node's records may share a token of this kind; the node suppresses
    /// tokens that more of them share.
    ///
    /// One for most: a key that two people share tells neither of them apart, and would show who
    /// belongs together. Only what nobody but a twin or a double shares stands for each of them, so that two
    /// candidates who cannot be told apart are both seen.
    pub const fn most_records(self) -> usize {
        use MatchKeyKind as M;
        match self {
            M::SoundsBirth
            | M::ForenameBirth
            | M::SurnameBirth
            | M::Surname3InitialBirth
            | M::Nhs
            | M::Upn
            | M::Nino => TOKEN_MAX_RECORDS,
            _ => 1,
        }
    }

    /// Returns whether it is a national number, of which a person has one per scheme: two records
    /// that both carry one and differ are not one person.
    pub const fn is_strong(self) -> bool {
        matches!(self, Self::Nhs | Self::Upn | Self::Nino)
    }
}

const _: () = assert!(pb::MatchKeyKind::Nhs as i32 == 12, "the vectors use kind 12");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_survive_the_wire_and_fit_a_bit_set() {
        const { assert!(MatchKeyKind::COUNT <= 32) };
        for (at, kind) in MatchKeyKind::ALL.iter().enumerate() {
            assert_eq!(MatchKeyKind::from_wire(i32::from(kind.number())), Ok(*kind));
            assert_eq!(kind.index(), at);
        }
    }
}
