//! Recipe 1: which fields make which match-key.
//!
//! A missing field means no key, never an empty hash. Where a person has several forms of a name
//! or birth date, the slots of a kind are filled with the likeliest combinations first.

use std::fmt;

use causeway_proto::kind::MatchKeyKind as K;
use ring::hmac;

use super::{
    chain::keyed,
    profile::{Birth, Profile, Sounded},
};

/// A stored match-key: what is left of the fields after the epoch's key.
pub type Y = [u8; 16];

/// Rises with whatever makes something else of the same record: how names and homes are read, how a slot is
/// filled. Stored match-keys and homes of another revision are made again.
pub const REVISION: u16 = 8;

/// The epoch's keys for hashing fields, one a kind.
pub struct MatchKeys {
    keys: Vec<hmac::Key>,
    commitment: [u8; 32],
}

impl MatchKeys {
    /// Takes `K_y` by [`K::index`], and the commitment to the linkage key that they come from.
    pub fn new(keys: &[[u8; 32]], commitment: [u8; 32]) -> Self {
        let keys = keys.iter().map(|key| hmac::Key::new(hmac::HMAC_SHA256, key)).collect();
        Self { keys, commitment }
    }

    /// Returns the commitment to the linkage key: two sets of keys that share it are the same.
    pub fn commitment(&self) -> &[u8; 32] {
        &self.commitment
    }

    /// Keys of no secrecy.
    #[cfg(test)]
    pub fn of_tests() -> Self {
        Self::new(&(0..).take(K::COUNT).map(|n| [n; 32]).collect::<Vec<_>>(), [0; 32])
    }

    /// Hashes the canonical fields of one kind.
    pub fn hash(&self, kind: K, fields: &[&str]) -> Y {
        keyed(&self.keys[kind.index()], fields)
    }
}

impl fmt::Debug for MatchKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MatchKeys(..)")
    }
}

/// Calls `put` with every match-key of a person: kind, slot and hash.
pub fn match_keys(keys: &MatchKeys, profile: &Profile, mut put: impl FnMut(K, usize, Y)) {
    let parts = Parts::of(profile);
    for kind in K::ALL {
        let mut slots = Slots { keys, kind: *kind, filled: [[0; 16]; MOST_SLOTS], used: 0 };
        fill(&mut slots, profile, &parts);
        (0..slots.used).for_each(|slot| put(*kind, slot, slots.filled[slot]));
    }
}

/// No kind has more slots.
const MOST_SLOTS: usize = 3;
const _: () = {
    let mut at = 0;
    while at < K::COUNT {
        assert!(K::ALL[at].slots() <= MOST_SLOTS);
        at += 1;
    }
};

/// The slots of one kind, filled in order and without repeats.
struct Slots<'a> {
    keys: &'a MatchKeys,
    kind: K,
    filled: [Y; MOST_SLOTS],
    used: usize,
}

impl Slots<'_> {
    /// Hashes one combination of fields, unless one is missing, it is there already, or no slot is
    /// left.
    fn add(&mut self, fields: &[&str]) {
        if self.used == self.kind.slots() || fields.iter().any(|field| field.is_empty()) {
            return;
        }
        let y = self.keys.hash(self.kind, fields);
        if !self.filled[..self.used].contains(&y) {
            self.filled[self.used] = y;
            self.used += 1;
        }
    }
}

/// Texts that several kinds use, made once a person.
#[derive(Default)]
struct Parts<'a> {
    forenames: Vec<&'a Sounded>,
    surnames: Vec<&'a Sounded>,
    /// Pairs of forename and surname by their places, likeliest first.
    names: Vec<(usize, usize)>,
    births: Vec<BirthText>,
    middle: String,
    street5: String,
    email: String,
}

/// A birth date in the forms that match-keys use; empty where a part is missing.
#[derive(Default)]
struct BirthText {
    full: String,
    /// Year, then day and month in ascending order: the same when they were swapped.
    unordered: String,
    year: String,
    month: String,
    day: String,
    /// The two-year bins at both offsets.
    bins: [String; 2],
}

impl<'a> Parts<'a> {
    fn of(profile: &'a Profile) -> Self {
        let forenames: Vec<_> = profile.forenames.iter().chain(&profile.extra_forenames).collect();
        let surnames: Vec<_> = profile.surnames.iter().chain(&profile.extra_surnames).collect();
        let names = (0..forenames.len() + surnames.len())
            .flat_map(|sum| (0..=sum).map(move |forename| (forename, sum - forename)))
            .filter(|(forename, surname)| *forename < forenames.len() && *surname < surnames.len())
            .collect();
        Self {
            forenames,
            surnames,
            names,
            births: profile.births.iter().map(BirthText::of).collect(),
            middle: start(&profile.middle, 1).to_owned(),
            street5: start(&profile.street, 5).to_owned(),
            email: profile.email.clone(),
        }
    }
}

impl BirthText {
    fn of(birth: &Birth) -> Self {
        let two = |part: Option<i8>| part.map(|part| format!("{part:02}")).unwrap_or_default();
        let (month, day) = (two(birth.month), two(birth.day));
        let year = birth.year.map(|year| format!("{year:04}")).unwrap_or_default();
        let full = birth.is_full();
        let (low, high) = if day <= month { (&day, &month) } else { (&month, &day) };
        Self {
            full: if full { format!("{year}{month}{day}") } else { String::new() },
            unordered: if full { format!("{year}{low}{high}") } else { String::new() },
            bins: match birth.year {
                Some(year) => [format!("{}", year / 2), format!("{}b", (year + 1) / 2)],
                None => Default::default(),
            },
            year,
            month,
            day,
        }
    }
}

/// Returns the first `letters` of a text, or all of it. Canonical text is ASCII.
fn start(text: &str, letters: usize) -> &str {
    text.get(..letters).unwrap_or(text)
}

/// Returns how a text ends that has more letters than that, behind a hyphen: nobody's whole name is the same.
fn end(text: &str, letters: usize) -> Option<String> {
    let end = text.get(text.len().checked_sub(letters)?..)?;
    (end.len() < text.len()).then(|| format!("-{end}"))
}

/// Returns two texts in alphabetical order, so that swapped names give the same key.
fn in_order<'a>(a: &'a str, b: &'a str) -> [&'a str; 2] {
    if a <= b { [a, b] } else { [b, a] }
}

fn fill(slots: &mut Slots<'_>, profile: &Profile, parts: &Parts<'_>) {
    let p = profile;
    let forenames = || parts.forenames.iter().map(|name| name.text.as_str());
    let surnames = || parts.surnames.iter().map(|name| name.text.as_str());
    // An initial is no name: it would make `a+birth` a key of its own.
    let full_forenames = || forenames().filter(|name| name.len() > 1);
    let name_pairs = || parts.names.iter().map(|(g, s)| (parts.forenames[*g], parts.surnames[*s]));
    let births = &parts.births;
    match slots.kind {
        K::SoundsBirth => {
            for (g, s) in name_pairs().filter(|(g, _)| g.text.len() > 1) {
                let [first, second] = in_order(&g.sound, &s.sound);
                births.iter().for_each(|birth| slots.add(&[first, second, &birth.unordered]));
            }
        }
        K::ForenameBirth => {
            for g in full_forenames() {
                births.iter().for_each(|birth| slots.add(&[g, &birth.full]));
            }
        }
        K::SurnameBirth => {
            for s in &parts.surnames {
                births.iter().for_each(|birth| slots.add(&[&s.sound, &birth.full]));
            }
        }
        K::Surname3InitialBirth => {
            for (g, s) in name_pairs() {
                for birth in births {
                    slots.add(&[start(&s.text, 3), start(&g.text, 1), &birth.full]);
                }
            }
        }
        K::BirthPostcode => births.iter().for_each(|b| slots.add(&[&b.full, &p.postcode])),
        K::NamesYearDay | K::NamesMonthDay | K::NamesMiddleYear | K::NamesYears => {
            for (g, s) in name_pairs().filter(|(g, _)| g.text.len() > 1) {
                let [first, second] = in_order(&g.text, &s.text);
                for birth in births {
                    match slots.kind {
                        K::NamesYearDay => slots.add(&[first, second, &birth.year, &birth.day]),
                        K::NamesMonthDay => slots.add(&[first, second, &birth.month, &birth.day]),
                        K::NamesMiddleYear => {
                            slots.add(&[first, second, &parts.middle, &birth.year]);
                        }
                        _ => birth.bins.iter().for_each(|bin| slots.add(&[first, second, bin])),
                    }
                }
            }
        }
        K::Nhs => slots.add(&[&p.nhs]),
        K::Upn => slots.add(&[&p.upn]),
        K::Nino => slots.add(&[&p.nino]),
        K::OtherId => slots.add(&[&p.other_id]),
        K::OtherIdMasked => {
            let initial = forenames().next().map_or("", |name| start(name, 1));
            masked(&p.other_id).iter().for_each(|id| slots.add(&[id, initial]));
        }
        K::ForenameHouseStreet => {
            // Other keys hang on how a name begins; of its end a mistake there says nothing.
            for g in full_forenames() {
                slots.add(&[g, &p.house, &p.street]);
                if let Some(end) = end(g, 3) {
                    slots.add(&[&end, &p.house, &p.street]);
                }
            }
        }
        K::SurnameInitialHouseStreet => {
            for (g, s) in name_pairs() {
                slots.add(&[&s.text, start(&g.text, 1), &p.house, &p.street]);
            }
            surnames().take(1).for_each(|s| slots.add(&[start(s, 3), &parts.street5]));
        }
        K::ForenamePostcodeHouse => {
            full_forenames().for_each(|g| slots.add(&[g, &p.postcode, &p.house]));
        }
        K::SurnameInitialPostcode => {
            for (g, s) in name_pairs() {
                slots.add(&[&s.text, start(&g.text, 1), &p.postcode]);
            }
            if let Some(end) = surnames().next().and_then(|s| end(s, 3)) {
                slots.add(&[&end, &p.postcode]);
            }
        }
        K::Email => slots.add(&[&parts.email]),
        K::Phone => slots.add(&[&p.phone]),
        K::SoundPostcodeStreet => {
            for g in parts.forenames.iter().filter(|g| g.text.len() > 1) {
                slots.add(&[&g.sound, &p.postcode, &parts.street5]);
            }
        }
        K::InitialHouseStreetYear => {
            for (g, birth) in forenames().flat_map(|g| births.iter().map(move |b| (g, b))) {
                slots.add(&[start(g, 1), &p.house, &p.street, &birth.year]);
            }
        }
        K::BirthMiddleSex => {
            births.iter().for_each(|b| slots.add(&[&b.full, &parts.middle, &p.sex]));
            if p.sex.is_empty() {
                births.iter().for_each(|b| slots.add(&[&b.full]));
            }
        }
        K::RareNames => {
            // Whether they are rare is for the stream to tell, which sees everybody.
            if let Some((g, s)) = name_pairs().next().filter(|(g, _)| g.text.len() > 1) {
                let [first, second] = in_order(&g.text, &s.text);
                slots.add(&[first, second]);
                slots.add(&[first, second, &parts.middle]);
                let day = births.first().map_or("", |birth| &birth.day);
                slots.add(&[first, second, day]);
            }
        }
        K::RarePlaces => {
            slots.add(&["house", &p.house, &p.town]);
            slots.add(&["street", &p.street, &p.town]);
            let sound = parts.surnames.first().map_or("", |s| &s.sound);
            slots.add(&["surname", sound, &p.town]);
        }
        K::SurnameMiddleYear => {
            for (s, birth) in surnames().flat_map(|s| births.iter().map(move |b| (s, b))) {
                slots.add(&[s, &parts.middle, &birth.year]);
                if parts.middle.is_empty() {
                    slots.add(&[s, &birth.year]);
                }
            }
        }
        K::ForenameMiddleYear => {
            for (g, birth) in full_forenames().flat_map(|g| births.iter().map(move |b| (g, b))) {
                slots.add(&[g, &parts.middle, &birth.year]);
                if parts.middle.is_empty() {
                    slots.add(&[g, &birth.year]);
                }
            }
        }
        K::BirthStreet => births.iter().for_each(|b| slots.add(&[&b.full, &parts.street5])),
        K::PostcodeHouseInitial => {
            let initials = forenames().map(|name| start(name, 1));
            initials.for_each(|initial| slots.add(&[&p.postcode, &p.house, initial]));
        }
        K::PostcodeHouseYearOrDay => {
            for birth in births {
                slots.add(&[&p.postcode, &p.house, &birth.year]);
                slots.add(&[&p.postcode, &p.house, &birth.day]);
            }
        }
        K::InitialPostcodeYearOrDay => {
            let initial = forenames().next().map_or("", |name| start(name, 1));
            for birth in births {
                slots.add(&[initial, &p.postcode, &birth.year]);
                slots.add(&[initial, &p.postcode, &birth.day]);
            }
        }
        K::HouseStreetYearMonth => {
            births.iter().for_each(|b| slots.add(&[&p.house, &p.street, &b.year, &b.month]));
        }
    }
}

/// Returns a number three times, each time with another third masked: wherever one digit is wrong,
/// one of them still agrees. Numbers of fewer than six characters would be left with too little.
fn masked(id: &str) -> Vec<String> {
    if id.len() < 6 || !id.is_ascii() {
        return Vec::new();
    }
    let bounds = [0, id.len() / 3, 2 * id.len() / 3, id.len()];
    (0..3)
        .map(|third| {
            let (from, to) = (bounds[third], bounds[third + 1]);
            format!("{}{}{}", &id[..from], "_".repeat(to - from), &id[to..])
        })
        .collect()
}

#[cfg(test)]
mod tests;
