//! What a feed gives, one row at a time.

use std::fmt;

use causeway_proto::{catalogue::SignalCode, day::Day};
use serde::{Deserialize, Serialize};

use super::hash::RowHash;

/// Stands between packed fields. No export has one inside a field; if it had, it becomes a space.
const SEPARATOR: &str = "\u{1f}";

/// Declares the fields of a person once: the struct, and the names that mappings use for them.
macro_rules! person_fields {
    ($($(#[$doc:meta])* $field:ident $variant:ident,)+) => {
        /// One person as a source system wrote them, field by field; a field the feed lacks is
        /// empty.
        #[derive(Clone, PartialEq, Eq, Default)]
        pub struct RawPerson {
            $($(#[$doc])* pub $field: String,)+
        }

        /// One field of a person, as mappings name it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum PersonField {
            $($(#[$doc])* $variant,)+
        }

        impl PersonField {
            /// Every field, in the order of [`RawPerson`].
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// Returns the name in mappings.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($field),)+
                }
            }
        }

        impl RawPerson {
            /// Packs every field into one text, for the node's own store.
            pub fn pack(&self) -> String {
                [$(self.$field.as_str(),)+].map(|field| field.replace(SEPARATOR, " ")).join(SEPARATOR)
            }

            /// Takes a packed text apart; fields that it lacks are empty.
            pub fn unpack(packed: &str) -> Self {
                let mut fields = packed.split(SEPARATOR).map(str::to_owned);
                Self { $($field: fields.next().unwrap_or_default(),)+ }
            }

            /// Returns a field by its name in mappings.
            pub fn field_mut(&mut self, field: PersonField) -> &mut String {
                match field {
                    $(PersonField::$variant => &mut self.$field,)+
                }
            }
        }
    };
}

person_fields! {
    /// Title: `Mrs`, `Dr`.
    title Title,
    /// First given name, perhaps with further ones.
    forename Forename,
    /// Further given names.
    middle Middle,
    /// Family name.
    surname Surname,
    /// The whole name in one text, where the parts do not stand apart.
    full_name FullName,
    /// Other names the person goes by.
    alias Alias,
    /// Date of birth.
    dob Dob,
    /// Sex.
    sex Sex,
    /// The address in one line.
    address Address,
    /// House number or name.
    house House,
    /// Street.
    street Street,
    /// Town.
    town Town,
    /// Postcode.
    postcode Postcode,
    /// Unique property reference number.
    uprn Uprn,
    /// NHS or CHI number.
    nhs Nhs,
    /// Unique pupil number.
    upn Upn,
    /// National insurance number.
    nino Nino,
    /// A reference that several agencies carry for the same person.
    other_id OtherId,
    /// Telephone number.
    phone Phone,
    /// E-mail address.
    email Email,
    /// Date of death.
    deceased Deceased,
    /// First day at the address.
    residence_from ResidenceFrom,
    /// Last day at the address.
    residence_to ResidenceTo,
}

/// Why nothing of a person may leave the node, as the source marks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restriction {
    /// Access is restricted: staff, a public figure, an objection upheld.
    Restricted,
    /// The person or the address is protected: a refuge, a witness.
    Shielded,
    /// The identity before an adoption, never to be joined with the one after.
    PreAdoption,
}

/// What somebody was to an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Harm was done to them.
    Victim,
    /// It is about them: the child of a referral, the patient, the tenant.
    Subject,
    /// They may have done harm.
    Suspect,
    /// They saw it. A contact, never a concern.
    Witness,
    /// They told of it. A contact, never a concern.
    Reporter,
    /// They were at work. A contact, never a concern.
    Professional,
}

impl Role {
    /// Returns whether somebody in this role can carry a signal at all.
    pub const fn is_concern(self) -> bool {
        matches!(self, Self::Victim | Self::Subject | Self::Suspect)
    }

    /// Returns whether a signal may be said of somebody in this role: of a suspect only what is
    /// said of suspects, of a victim or subject only the rest.
    pub fn may_carry(self, code: SignalCode) -> bool {
        self.is_concern() && (self == Self::Suspect) == code.spec().of_suspect
    }
}

/// One row of a feed about people.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonRow {
    /// Where the row begins in the file, counting from 1.
    pub line: u64,
    /// The source's own key of the person. Never leaves the node.
    pub key: String,
    /// What the row says of the person.
    pub raw: RawPerson,
    /// Set when nothing of this person may leave the node.
    pub restricted: Option<Restriction>,
    /// The key of the record that took this one over: the row is nobody's any more.
    pub merged_into: Option<String>,
    /// Tells this row from a changed one.
    pub hash: RowHash,
}

/// One row of a feed about events: one person's part in one event.
#[derive(Clone, PartialEq, Eq)]
pub struct EventRow {
    /// Where the row begins in the file, counting from 1.
    pub line: u64,
    /// The source's own key of the row.
    pub key: String,
    /// The source's reference of the event, which rows about several people share.
    pub event_ref: String,
    /// The numbering that the reference belongs to, where several agencies use it.
    pub system: Option<String>,
    /// The person's key in the feed about people.
    pub person_key: String,
    /// What it says of the person.
    pub code: SignalCode,
    /// The person's part in it: victim, subject or suspect.
    pub role: Role,
    /// When it happened or began.
    pub start: Day,
    /// When it ended, for what lasts and is over.
    pub end: Option<Day>,
    /// How sure the source is, in thousandths.
    pub confidence_permille: u16,
    /// Tells this row from a changed one.
    pub hash: RowHash,
}

impl fmt::Debug for RawPerson {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RawPerson(..)")
    }
}

impl fmt::Debug for PersonRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PersonRow(line {})", self.line)
    }
}

impl fmt::Debug for EventRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EventRow(line {})", self.line)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suspects_and_victims_never_carry_each_others_signals() {
        let code = |name: &str| name.parse::<SignalCode>().unwrap();
        for (role, name, may) in [
            (Role::Victim, "POL_DA_HIGH", true),
            (Role::Subject, "CSC_S47", true),
            (Role::Suspect, "POL_SUSPECT_VIOLENCE", true),
            (Role::Suspect, "POL_DA_HIGH", false),
            (Role::Victim, "POL_SUSPECT_VIOLENCE", false),
            (Role::Subject, "YJS_ACTIVE", false),
            (Role::Witness, "POL_ASB_VICTIM", false),
            (Role::Reporter, "POL_SUSPECT_VIOLENCE", false),
        ] {
            assert_eq!(role.may_carry(code(name)), may, "{role:?} {name}");
        }
    }

    #[test]
    fn a_field_is_found_by_its_name() {
        let mut raw = RawPerson::default();
        for field in PersonField::ALL {
            *raw.field_mut(*field) = field.as_str().to_owned();
        }
        assert_eq!(
            (raw.full_name.as_str(), raw.residence_to.as_str()),
            ("full_name", "residence_to")
        );
    }
}
