//! Where a person lives, in words that only agree inside one sweep.

use crate::{day::Day, ids::DwellingKey, pb, wire::WireError};

/// What an agency says of one person's home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Residence {
    /// These dwellings.
    Known(Vec<Dwelling>),
    /// Nothing that names one dwelling. Never forms a household.
    Uncertain,
    /// It will not say.
    Withheld,
}

/// One dwelling and the time of residence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dwelling {
    /// By property reference.
    pub property: Option<DwellingKey>,
    /// By postal address.
    pub address: Option<DwellingKey>,
    /// First day of residence; open when unknown.
    pub from: Option<Day>,
    /// Last day of residence; open while it lasts.
    pub to: Option<Day>,
    /// Agree for people of one surname in one dwelling: the whole surname first, then its parts.
    pub surname_tags: Vec<[u8; 2]>,
    /// An adult, as far as is known.
    pub adult: bool,
}

// === wire ===

impl From<Residence> for pb::Residence {
    fn from(residence: Residence) -> Self {
        let (state, dwellings) = match residence {
            Residence::Known(dwellings) => (pb::ResidenceState::Known, dwellings),
            Residence::Uncertain => (pb::ResidenceState::Uncertain, Vec::new()),
            Residence::Withheld => (pb::ResidenceState::Withheld, Vec::new()),
        };
        Self { state: state.into(), dwellings: dwellings.into_iter().map(Into::into).collect() }
    }
}

impl TryFrom<pb::Residence> for Residence {
    type Error = WireError;

    fn try_from(residence: pb::Residence) -> Result<Self, WireError> {
        match residence.state() {
            pb::ResidenceState::Known => residence
                .dwellings
                .into_iter()
                .map(Dwelling::try_from)
                .collect::<Result<_, _>>()
                .map(Self::Known),
            pb::ResidenceState::Uncertain => Ok(Self::Uncertain),
            pb::ResidenceState::Withheld => Ok(Self::Withheld),
            pb::ResidenceState::Unspecified => Err(WireError::Missing("state")),
        }
    }
}

impl From<Dwelling> for pb::Dwelling {
    fn from(dwelling: Dwelling) -> Self {
        let key =
            |key: Option<DwellingKey>| key.map(|key| key.as_bytes().to_vec()).unwrap_or_default();
        Self {
            property_key: key(dwelling.property),
            address_key: key(dwelling.address),
            from_day: dwelling.from.map(Day::number),
            to_day: dwelling.to.map(Day::number),
            surname_tags: dwelling.surname_tags.concat(),
            adult: dwelling.adult,
        }
    }
}

impl TryFrom<pb::Dwelling> for Dwelling {
    type Error = WireError;

    fn try_from(dwelling: pb::Dwelling) -> Result<Self, WireError> {
        let key = |field, bytes: &[u8]| match bytes {
            [] => Ok(None),
            bytes => DwellingKey::from_wire(field, bytes).map(Some),
        };
        let day = |field, day: Option<i32>| day.map(|day| Day::from_wire(field, day)).transpose();
        let (tags, rest) = dwelling.surname_tags.as_chunks::<2>();
        if !rest.is_empty() {
            let actual = dwelling.surname_tags.len();
            return Err(WireError::Ragged { field: "surname_tags", width: 2, actual });
        }
        Ok(Self {
            property: key("property_key", &dwelling.property_key)?,
            address: key("address_key", &dwelling.address_key)?,
            from: day("from_day", dwelling.from_day)?,
            to: day("to_day", dwelling.to_day)?,
            surname_tags: tags.to_vec(),
            adult: dwelling.adult,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn residences_survive_the_wire() {
        let dwelling = Dwelling {
            property: Some(DwellingKey::from_bytes([1; 16])),
            from: Day::new(2025, 2, 1),
            surname_tags: vec![[1, 2], [3, 4]],
            adult: true,
            ..Dwelling::default()
        };
        let known = Residence::Known(vec![dwelling]);
        for residence in [known, Residence::Uncertain, Residence::Withheld] {
            assert_eq!(pb::Residence::from(residence.clone()).try_into(), Ok(residence));
        }
        let short = pb::Dwelling { address_key: vec![0; 3], ..pb::Dwelling::default() };
        let refused = Dwelling::try_from(short).unwrap_err();
        assert_eq!(refused.to_string(), "`address_key` should be 16 bytes and is 3");
    }
}
