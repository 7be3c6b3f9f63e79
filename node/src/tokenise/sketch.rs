//! What the second look needs of a person, packed at ingest so that answering costs no parsing.
//!
//! A sketch stays in the node's store: it holds letters. What leaves is made from it by
//! [`super::compare`], salted anew for every block.

use causeway_proto::linkage::comparison::Presence;

use super::profile::{Birth, Profile};

/// Values that are compared whole, by place in [`Sketch::values`].
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
#[expect(missing_docs, reason = "each is named like its field of a profile")]
pub enum Value {
    Forename,
    ForenameSound,
    Formal0,
    Formal1,
    Formal2,
    Formal3,
    ForenameOther0,
    ForenameOther1,
    Surname,
    SurnameSound,
    SurnameFirst,
    SurnameLast,
    SurnameOther0,
    SurnameOther1,
    Postcode,
    Sector,
    House,
    Street,
    Town,
    OtherId,
    Email,
    EmailLocal,
    Phone,
    Middle,
}

/// How many values are compared whole.
pub const VALUES: usize = Value::Middle as usize + 1;

/// Texts that are compared letter by letter, by place in [`Sketch::texts`].
#[derive(Clone, Copy, Debug)]
#[repr(usize)]
#[expect(missing_docs, reason = "each is named like its field of a profile")]
pub enum Text {
    Forename,
    ForenameOther0,
    ForenameOther1,
    Surname,
    SurnameOther0,
    SurnameOther1,
    Middle,
    Postcode,
    Street,
    Town,
    OtherId,
    Email,
    Phone,
}

/// How many texts are compared letter by letter.
pub const TEXTS: usize = Text::Phone as usize + 1;

/// A person's sketch, read in place.
#[derive(Clone, Copy)]
pub struct Sketch<'a> {
    /// Which fields there are.
    pub presence: Presence,
    /// Short hashes of whole values; 0 where there is none. They are keyed before they leave.
    pub values: [u32; VALUES],
    /// Letters; empty where there are none.
    pub texts: [&'a [u8]; TEXTS],
    /// The leading birth date.
    pub birth: Birth,
    /// `f` or `m`, or 0.
    pub sex: u8,
    /// First letters of forename and middle name, or 0.
    pub initials: [u8; 2],
    /// How many of the surname's rarity thresholds are passed.
    pub rarity: u8,
}

/// Surname thresholds: fewer bearers in a million than this. LINKAGE.md 2.4.
const SURNAME_RARITY: [u32; 2] = [1_500, 300];

/// Packs a person.
pub fn encode(profile: &Profile) -> Vec<u8> {
    let p = profile;
    let forename = |at: usize| p.forenames.get(at).map_or("", |name| &name.text);
    let surname = |at: usize| p.surnames.get(at).map_or("", |name| &name.text);
    let formal = |at: usize| p.formal.get(at).map_or("", String::as_str);
    let local = p.email.split('@').next().unwrap_or_default();
    let values: [&str; VALUES] = [
        forename(0),
        p.forenames.first().map_or("", |name| &name.sound),
        formal(0),
        formal(1),
        formal(2),
        formal(3),
        forename(1),
        forename(2),
        surname(0),
        p.surnames.first().map_or("", |name| &name.sound),
        &p.surname_ends[0],
        &p.surname_ends[1],
        surname(1),
        surname(2),
        &p.postcode,
        &p.sector,
        &p.house,
        &p.street,
        &p.town,
        &p.other_id,
        &p.email,
        local,
        &p.phone,
        if p.middle.len() > 1 { &p.middle } else { "" },
    ];
    let texts: [&str; TEXTS] = [
        forename(0),
        forename(1),
        forename(2),
        surname(0),
        surname(1),
        surname(2),
        &p.middle,
        &p.postcode,
        &p.street,
        &p.town,
        &p.other_id,
        &p.email,
        &p.phone,
    ];
    let birth = p.births.first().copied().unwrap_or_default();
    let rarity = SURNAME_RARITY.iter().filter(|step| p.surname_per_million < **step).count();
    let first = |text: &str| text.bytes().next().unwrap_or(0);

    let mut out = Vec::with_capacity(4 + 4 * VALUES + TEXTS + 160);
    out.extend_from_slice(&presence(p, birth).0.to_le_bytes());
    values.iter().for_each(|value| out.extend_from_slice(&short_hash(value).to_le_bytes()));
    out.extend_from_slice(&birth.year.unwrap_or(0).to_le_bytes());
    let shape = [
        birth.month.unwrap_or(0).unsigned_abs(),
        birth.day.unwrap_or(0).unsigned_abs(),
        first(&p.sex),
        first(forename(0)),
        first(&p.middle),
        u8::try_from(rarity).expect("two thresholds"),
    ];
    out.extend_from_slice(&shape);
    for text in texts {
        let text = &text.as_bytes()[..text.len().min(255)];
        out.push(u8::try_from(text.len()).expect("cut to 255"));
        out.extend_from_slice(text);
    }
    out
}

fn presence(p: &Profile, birth: Birth) -> Presence {
    let named = |names: &[super::profile::Sounded]| !names.is_empty() && !names[0].text.is_empty();
    let flags = [
        (Presence::FORENAME, named(&p.forenames)),
        (Presence::SURNAME, named(&p.surnames)),
        (Presence::MIDDLE, !p.middle.is_empty()),
        (Presence::YEAR, birth.year.is_some()),
        (Presence::MONTH, birth.month.is_some()),
        (Presence::DAY, birth.day.is_some()),
        (Presence::SEX, !p.sex.is_empty()),
        (Presence::POSTCODE, !p.postcode.is_empty()),
        (Presence::HOUSE, !p.house.is_empty()),
        (Presence::STREET, !p.street.is_empty()),
        (Presence::TOWN, !p.town.is_empty()),
        (Presence::OTHER_ID, !p.other_id.is_empty()),
        (Presence::EMAIL, !p.email.is_empty()),
        (Presence::PHONE, !p.phone.is_empty()),
        (Presence::FORENAME_INITIAL, p.initial_only),
        (Presence::MIDDLE_LONG, p.middle.len() > 1),
    ];
    Presence(flags.iter().filter(|(_, set)| *set).map(|(bit, _)| bit).sum())
}

/// FNV-1a folded to 32 bits, never 0 for a text. Spreads values for the keyed function that
/// follows; hides nothing by itself. Two values in four thousand million fall together.
fn short_hash(text: &str) -> u32 {
    if text.is_empty() {
        return 0;
    }
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folded = hash ^ (hash >> 32);
    (folded & 0xffff_ffff) as u32 | 1
}

/// Hashes an initial as [`Value::Forename`] is hashed of somebody who is known by it.
pub(super) fn initial_as_name(initial: u8) -> u32 {
    short_hash(char::from(initial).encode_utf8(&mut [0; 4]))
}

impl std::fmt::Debug for Sketch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sketch(..)")
    }
}

impl<'a> Sketch<'a> {
    /// Returns whether fewer than 15 in 10,000 bear the surname.
    pub const fn has_rare_surname(&self) -> bool {
        self.rarity >= 1
    }

    /// Returns whether fewer than 3 in 10,000 bear the surname.
    pub const fn has_very_rare_surname(&self) -> bool {
        self.rarity >= 2
    }

    /// Reads a packed person, or `None` if the bytes are not one.
    pub fn read(mut packed: &'a [u8]) -> Option<Self> {
        let from = &mut packed;
        let presence = Presence(u32::from_le_bytes(take(from)?));
        let mut values = [0; VALUES];
        for value in &mut values {
            *value = u32::from_le_bytes(take(from)?);
        }
        let year = i16::from_le_bytes(take(from)?);
        let [month, day, sex, forename, middle, rarity] = take(from)?;
        let mut texts: [&[u8]; TEXTS] = [&[]; TEXTS];
        for text in &mut texts {
            let [length] = take(from)?;
            let (head, rest) = from.split_at_checked(length.into())?;
            (*text, *from) = (head, rest);
        }
        let part = |part: u8| i8::try_from(part).ok().filter(|part| *part > 0);
        Some(Self {
            presence,
            values,
            texts,
            birth: Birth { year: (year != 0).then_some(year), month: part(month), day: part(day) },
            sex,
            initials: [forename, middle],
            rarity,
        })
    }
}

fn take<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::{super::profile::Sounded, *};

    #[test]
    fn a_sketch_survives_packing() {
        let ada = Sounded { text: "ada".into(), sound: "AT".into() };
        let profile = Profile {
            forenames: vec![ada],
            births: vec![Birth { year: Some(1985), month: Some(12), day: None }],
            street: "larkrisecl".into(),
            surname_per_million: 1_499,
            ..Profile::default()
        };
        let packed = encode(&profile);
        let sketch = Sketch::read(&packed).unwrap();
        assert_eq!(sketch.texts[Text::Street as usize], b"larkrisecl");
        assert_eq!(sketch.birth.month, Some(12));
        assert_eq!((sketch.rarity, sketch.initials), (1, [b'a', 0]));
        assert!(sketch.presence.has(Presence::FORENAME | Presence::MONTH));
        assert!(!sketch.presence.any(Presence::DAY | Presence::SURNAME));
        assert_eq!(sketch.values[Value::Town as usize], 0);
        assert!(Sketch::read(&packed[..40]).is_none());
    }
}
