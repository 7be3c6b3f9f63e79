//! Where people live: streets, houses, and blocks of flats that share a number.

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

/// The parts that names of streets are made of.
const STREETS: &str = include_str!("../../../data/streets.csv");
/// The letters that end a postcode.
const LETTERS: &[u8; 20] = b"ABDEFGHJLNPQRSTUWXYZ";
/// Where the property numbers begin: above those of the scenarios.
const FIRST_UPRN: u64 = 999_910_000_000;

/// A place of one household.
#[derive(Clone, Debug)]
pub(super) struct Home {
    /// In a block of flats.
    pub(super) flat: Option<u16>,
    /// On the street.
    pub(super) house: u16,
    /// `Acacia` and `Road`.
    pub(super) street: (&'static str, &'static str),
    /// With a space, in the area ZX that no place has: ZX10 and above.
    pub(super) postcode: String,
    /// Property number.
    pub(super) uprn: u64,
}

/// The town's homes, built street by street.
pub(super) struct Homes {
    /// Every home so far.
    all: Vec<Home>,
    names: Vec<(&'static str, &'static str)>,
    streets: usize,
    /// Houses still to be built on the street.
    left: u16,
    house: u16,
    postcodes: usize,
    /// Flats still to be let in the block at `house`, the lowest last.
    flats: Vec<u16>,
}

impl Homes {
    /// Begins an empty town.
    pub(super) fn new(dice: &mut StdRng) -> Self {
        let words = |kind: &str| {
            let line = STREETS.lines().find_map(|line| line.strip_prefix(kind));
            line.expect("the file has every kind").trim_start_matches(',').split(' ')
        };
        let mut names: Vec<_> =
            words("stem").flat_map(|stem| words("type").map(move |kind| (stem, kind))).collect();
        names.shuffle(dice);
        Self {
            all: Vec::new(),
            names,
            streets: 0,
            left: 0,
            house: 0,
            postcodes: 0,
            flats: Vec::new(),
        }
    }

    /// Lets a home that nobody had: a house, or a flat where the block has one left.
    pub(super) fn let_one(&mut self, whole_house: bool, dice: &mut StdRng) -> usize {
        if whole_house {
            self.flats.clear();
        }
        let mut flat = self.flats.pop();
        if flat.is_none() {
            self.build(dice);
            if !whole_house && dice.random_bool(0.05) {
                self.flats = (1..=dice.random_range(4..=12)).rev().collect();
                flat = self.flats.pop();
            }
        }
        self.all.push(Home {
            flat,
            house: self.house,
            street: self.names[self.streets % self.names.len()],
            postcode: self.postcode(),
            uprn: FIRST_UPRN + 17 * self.all.len() as u64,
        });
        self.all.len() - 1
    }

    /// Returns a home.
    pub(super) fn get(&self, home: usize) -> &Home {
        &self.all[home]
    }

    /// Goes on to the next building, and where the street ends, to the next street.
    fn build(&mut self, dice: &mut StdRng) {
        if self.left == 0 {
            self.streets += 1;
            self.left = dice.random_range(12..=60);
            self.house = 0;
            self.postcodes += 1;
        }
        self.left -= 1;
        let before = self.house / 40;
        self.house += dice.random_range(1..=3);
        // A postcode is some twenty doors.
        self.postcodes += usize::from(self.house / 40 != before);
    }

    /// Thirty postcodes are a sector, five sectors a district, eighty districts the area.
    fn postcode(&self) -> String {
        let at = self.postcodes;
        let (sector, district) = (at / 30 % 5 + 1, at / 150 % 80 + 10);
        let unit = (at % 30 + at / 12_000 * 30) % 400;
        let letter = |at: usize| char::from(LETTERS[at % LETTERS.len()]);
        format!("ZX{district} {sector}{}{}", letter(unit / 20 + 3), letter(unit))
    }
}

impl Home {
    /// Returns the address in one line, such as `Flat 2, 60 Station Road`.
    pub(super) fn line(&self, with_flat: bool, abbreviated: bool) -> String {
        let (stem, kind) = self.street;
        let kind = if abbreviated { short(kind) } else { kind };
        match self.flat.filter(|_| with_flat) {
            Some(flat) => format!("Flat {flat}, {} {stem} {kind}", self.house),
            None => format!("{} {stem} {kind}", self.house),
        }
    }
}

/// Abbreviates the last word of a street.
fn short(kind: &'static str) -> &'static str {
    let words = |at: usize| {
        let line = STREETS.lines().nth(at).expect("the file has four lines");
        line.split([',', ' ']).skip(1)
    };
    words(2).zip(words(3)).find(|(long, _)| *long == kind).map_or(kind, |(_, short)| short)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn no_two_homes_share_an_address() {
        let mut dice = StdRng::seed_from_u64(1);
        let mut homes = Homes::new(&mut dice);
        let mut seen = BTreeSet::new();
        let mut flats = 0;
        for at in 0..20_000 {
            let home = homes.let_one(at % 50 == 0, &mut dice);
            let home = homes.get(home);
            flats += usize::from(home.flat.is_some());
            assert!(seen.insert((home.line(true, false), home.postcode.clone())), "{home:?}");
        }
        assert!((2_000..10_000).contains(&flats), "{flats}");
    }

    #[test]
    fn a_street_is_abbreviated_by_its_last_word() {
        let home = Home {
            flat: Some(2),
            house: 60,
            street: ("Station", "Road"),
            postcode: "ZX10 1AA".into(),
            uprn: FIRST_UPRN,
        };
        assert_eq!(home.line(true, false), "Flat 2, 60 Station Road");
        assert_eq!(home.line(false, true), "60 Station Rd");
    }
}
