//! Makes a comparison out of a sketch: every value keyed and salted by one token.
//!
//! The salt is the whole AES block of the token, of which only half travels, encrypted once more
//! under a key that the coordinator does not have. So equal values give equal atoms for two
//! records of one block, and nothing anywhere else.

use aes::{Aes128, Block, cipher::BlockEncrypt};
use causeway_proto::{
    day::Day,
    linkage::comparison::{Atom, Comparison, Word},
};

use super::minhash;
use super::{
    profile::Birth,
    sketch::{Sketch, Text, Value},
};

/// Where a keyed block of the batch goes.
#[derive(Clone, Copy)]
enum Target {
    Atom(usize),
    Pair(usize),
    Digit(usize),
}

/// Hash domains. Names share one, so that a forename in the surname's place agrees.
const NAME: u8 = 1;
const NAME_PAIRS: u8 = 2;
/// Atoms of other kinds: this plus the atom's number.
const ATOM: u8 = 32;
/// Letter pairs of other texts: this plus the word's number.
const PAIRS: u8 = 128;
const DIGITS: u8 = 160;
const NOISE: u8 = 192;

/// Makes comparisons; keeps its buffers from one to the next.
pub struct Comparer<'k> {
    cipher: &'k Aes128,
    blocks: Vec<Block>,
    targets: Vec<Target>,
}

impl<'k> Comparer<'k> {
    /// Keys everything under the sweep's comparing key.
    pub fn new(cipher: &'k Aes128) -> Self {
        Self { cipher, blocks: Vec::with_capacity(192), targets: Vec::with_capacity(192) }
    }

    /// Makes one record's comparison inside the block of `salt`.
    ///
    /// `noise` fills atoms that have nothing to say: the same for one record in one sweep, and
    /// different for every record of every node.
    pub fn compare(&mut self, salt: &[u8; 16], noise: u64, sketch: &Sketch<'_>) -> Comparison {
        self.blocks.clear();
        self.targets.clear();
        self.ask(sketch, noise);

        let mut tweak = Block::from(*salt);
        self.cipher.encrypt_block(&mut tweak);
        for block in &mut self.blocks {
            block.iter_mut().zip(tweak).for_each(|(byte, salt)| *byte ^= salt);
        }
        self.cipher.encrypt_blocks(&mut self.blocks);

        let mut comparison = Comparison { presence: sketch.presence, ..Comparison::EMPTY };
        let mut from = 0;
        for alike in self
            .targets
            .chunk_by(|x, y| matches!((x, y), (Target::Pair(x), Target::Pair(y)) if x == y))
        {
            let blocks = &self.blocks[from..from + alike.len()];
            from += alike.len();
            match alike[0] {
                Target::Atom(atom) => {
                    comparison.atoms[atom] = u16::from_le_bytes([blocks[0][0], blocks[0][1]]);
                }
                Target::Pair(word) => comparison.words[word] = minhash::pack(blocks),
                Target::Digit(place) => {
                    comparison.words[Word::Digits as usize] |=
                        u128::from(blocks[0][0]) << (8 * place);
                }
            }
        }
        comparison
    }

    fn put(&mut self, target: Target, domain: u8, value: u64) {
        let mut block = Block::default();
        block[0] = domain;
        block[8..].copy_from_slice(&value.to_le_bytes());
        self.blocks.push(block);
        self.targets.push(target);
    }

    fn atom(&mut self, atom: Atom, value: u64) {
        let at = atom as usize;
        self.put(Target::Atom(at), ATOM + u8::try_from(at).expect("few atoms"), value);
    }

    /// A name, or noise where the person has none.
    fn name(&mut self, atom: Atom, value: u32, noise: u64) {
        match value {
            0 => self.noise(atom, noise),
            value => self.put(Target::Atom(atom as usize), NAME, value.into()),
        }
    }

    fn noise(&mut self, atom: Atom, noise: u64) {
        let at = atom as usize;
        self.put(Target::Atom(at), NOISE + u8::try_from(at).expect("few atoms"), noise);
    }

    /// Every pair of neighbouring letters, the ends included.
    fn pairs(&mut self, word: Word, domain: u8, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        let mut before = b'^';
        for letter in text.iter().copied().chain([b'$']) {
            let pair = u64::from(before) << 8 | u64::from(letter);
            self.put(Target::Pair(word as usize), domain, pair);
            before = letter;
        }
    }

    fn ask(&mut self, sketch: &Sketch<'_>, noise: u64) {
        let value = |value: Value| sketch.values[value as usize];
        let text = |text: Text| sketch.texts[text as usize];

        let names = [
            (Atom::Forename, Value::Forename),
            (Atom::Formal0, Value::Formal0),
            (Atom::Formal1, Value::Formal1),
            (Atom::Formal2, Value::Formal2),
            (Atom::Formal3, Value::Formal3),
            (Atom::ForenameOther0, Value::ForenameOther0),
            (Atom::ForenameOther1, Value::ForenameOther1),
            (Atom::Surname, Value::Surname),
            (Atom::SurnameFirst, Value::SurnameFirst),
            (Atom::SurnameLast, Value::SurnameLast),
            (Atom::SurnameOther0, Value::SurnameOther0),
            (Atom::SurnameOther1, Value::SurnameOther1),
            (Atom::Middle, Value::Middle),
        ];
        names.iter().for_each(|(atom, from)| self.name(*atom, value(*from), noise));

        let rarer = [Atom::ForenameUncommon, Atom::ForenameRare];
        self.rarity(&rarer, sketch.rarity[0], value(Value::Forename), noise);
        let rarer = [Atom::SurnameUncommon, Atom::SurnameScarce, Atom::SurnameRare];
        self.rarity(&rarer, sketch.rarity[1], value(Value::Surname), noise);

        let whole = [
            (Atom::ForenameSound, Value::ForenameSound),
            (Atom::SurnameSound, Value::SurnameSound),
            (Atom::Postcode, Value::Postcode),
            (Atom::Sector, Value::Sector),
            (Atom::House, Value::House),
            (Atom::Street, Value::Street),
            (Atom::Town, Value::Town),
            (Atom::OtherId, Value::OtherId),
            (Atom::Email, Value::Email),
            (Atom::EmailLocal, Value::EmailLocal),
            (Atom::Phone, Value::Phone),
        ];
        for (atom, from) in whole {
            match value(from) {
                0 => self.noise(atom, noise),
                value => self.atom(atom, value.into()),
            }
        }
        let [forename, middle] = sketch.initials;
        self.atom(Atom::ForenameInitial, forename.into());
        self.atom(Atom::MiddleInitial, middle.into());
        self.atom(Atom::Sex, sketch.sex.into());
        self.birth(sketch.birth, noise);

        let name_pairs = [
            (Word::Forename, Text::Forename),
            (Word::ForenameOther0, Text::ForenameOther0),
            (Word::ForenameOther1, Text::ForenameOther1),
            (Word::Surname, Text::Surname),
            (Word::SurnameOther0, Text::SurnameOther0),
            (Word::SurnameOther1, Text::SurnameOther1),
        ];
        name_pairs.iter().for_each(|(word, from)| self.pairs(*word, NAME_PAIRS, text(*from)));
        let other_pairs = [
            (Word::Middle, Text::Middle),
            (Word::Postcode, Text::Postcode),
            (Word::Street, Text::Street),
            (Word::Town, Text::Town),
            (Word::OtherId, Text::OtherId),
            (Word::Email, Text::Email),
            (Word::Phone, Text::Phone),
        ];
        for (word, from) in other_pairs {
            let domain = PAIRS + u8::try_from(word as usize).expect("few words");
            self.pairs(word, domain, text(from));
        }
    }

    /// The value again for every threshold it passes, noise for the others.
    fn rarity(&mut self, atoms: &[Atom], passed: u8, value: u32, noise: u64) {
        for (step, atom) in (0..).zip(atoms) {
            if value != 0 && step < passed {
                self.atom(*atom, value.into());
            } else {
                self.noise(*atom, noise);
            }
        }
    }

    fn birth(&mut self, birth: Birth, noise: u64) {
        let Birth { year, month, day } = birth;
        let number = |part: i64| part as u64;
        let year_number = i64::from(year.unwrap_or(0));
        let (month_number, day_number) = (month.unwrap_or(0), day.unwrap_or(0));
        self.atom(Atom::Year, number(year_number));
        self.atom(Atom::Month, number(month_number.into()));
        self.atom(Atom::DayOfMonth, number(day_number.into()));
        let (low, high) = (month_number.min(day_number), month_number.max(day_number));
        let unordered = year_number * 10_000 + i64::from(low) * 100 + i64::from(high);
        self.atom(Atom::Unordered, number(unordered));

        let written = format!("{year_number:04}{month_number:02}{day_number:02}").into_bytes();
        for (place, digit) in written.iter().take(8).enumerate() {
            let domain = DIGITS + u8::try_from(place).expect("eight digits");
            self.put(Target::Digit(place), domain, u64::from(*digit));
        }
        let mut sorted = written;
        sorted.sort_unstable();
        let sorted = sorted.iter().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
        self.atom(Atom::SortedDigits, sorted);

        let near = [Atom::Near0, Atom::Near1, Atom::NearYears0, Atom::NearYears1];
        let known = year.zip(month).and_then(|(y, m)| Day::new(y, m, day.unwrap_or(15)));
        for ((width, offset), atom) in [(62, 0), (62, 31), (730, 0), (730, 365)].iter().zip(near) {
            match known {
                Some(date) => {
                    self.atom(atom, number(i64::from((date.number() + offset).div_euclid(*width))));
                }
                None => self.noise(atom, noise),
            }
        }
        let generations =
            [Atom::Generation0, Atom::Generation1, Atom::Generation2, Atom::Generation3];
        for (offset, atom) in [0, 3, 6, 9].iter().zip(generations) {
            self.atom(atom, number((year_number + offset).div_euclid(12)));
        }
    }
}

#[cfg(test)]
mod tests {
    use aes::cipher::KeyInit;
    use causeway_proto::linkage::levels::{ComparisonField as F, Levels};

    use super::{
        super::{
            profile::{Profile, Sounded},
            sketch,
        },
        *,
    };

    fn sounded(text: &str, sound: &str) -> Sounded {
        Sounded { text: text.into(), sound: sound.into() }
    }

    fn kieran() -> Profile {
        Profile {
            forenames: vec![sounded("kieran", "KRN")],
            surnames: vec![sounded("price", "PRS")],
            surname_ends: ["price".into(), "price".into()],
            births: vec![Birth { year: Some(2008), month: Some(11), day: Some(20) }],
            sex: "m".into(),
            postcode: "zx14ab".into(),
            sector: "zx14".into(),
            house: "14".into(),
            street: "larkrisecl".into(),
            ..Profile::default()
        }
    }

    fn levels(a: &Profile, b: &Profile, salts: [u8; 2]) -> Levels {
        let cipher = Aes128::new_from_slice(&[9; 16]).unwrap();
        let mut comparer = Comparer::new(&cipher);
        let (a, b) = (sketch::encode(a), sketch::encode(b));
        let a = comparer.compare(&[salts[0]; 16], 1, &Sketch::read(&a).unwrap());
        let b = comparer.compare(&[salts[1]; 16], 2, &Sketch::read(&b).unwrap());
        Levels::of(&a, &b)
    }

    #[test]
    fn one_person_agrees_everywhere_inside_a_block_and_nowhere_across() {
        let inside = levels(&kieran(), &kieran(), [5, 5]);
        let expected =
            [(F::Forename, 7), (F::Surname, 7), (F::Birth, 5), (F::Sex, 1), (F::Address, 5)];
        for (field, level) in expected {
            assert_eq!(inside.get(field), Some(level), "{field}");
        }
        assert_eq!(inside.get(F::Phone), None);
        let across = levels(&kieran(), &kieran(), [5, 6]);
        for field in [F::Birth, F::Sex, F::Address] {
            assert_eq!(across.get(field), Some(0), "{field}");
        }
        assert!(across.get(F::Surname) < Some(3));
    }

    #[test]
    fn typing_errors_show_as_levels() {
        let with = |change: fn(&mut Profile)| {
            let mut other = kieran();
            change(&mut other);
            levels(&kieran(), &other, [5, 5])
        };
        assert_eq!(with(|p| p.forenames[0].text = "keiran".into()).get(F::Forename), Some(3));
        let birth = |year, month, day| Birth { year, month, day };
        let dates = [
            (birth(Some(2008), Some(11), Some(21)), Some(3)),
            (birth(Some(2008), Some(11), Some(50)), Some(3)),
            (birth(Some(2008), Some(71), Some(20)), Some(3)),
            (birth(Some(2008), None, None), Some(1)),
            (birth(Some(2008), Some(12), Some(1)), Some(2)),
            (birth(Some(1974), Some(3), Some(7)), Some(0)),
            (birth(None, None, None), None),
        ];
        for (at, (date, level)) in dates.into_iter().enumerate() {
            let mut other = kieran();
            other.births = vec![date];
            assert_eq!(levels(&kieran(), &other, [5, 5]).get(F::Birth), level, "date {at}");
        }
        let initial = with(|p| {
            p.forenames[0] = sounded("k", "K");
            p.initial_only = true;
        });
        assert!(initial.initial_only());
        let swapped = with(|p| std::mem::swap(&mut p.forenames, &mut p.surnames));
        assert_eq!((swapped.get(F::Forename), swapped.get(F::Surname)), (Some(8), Some(8)));
    }

    #[test]
    fn a_father_is_a_generation_apart_and_a_brother_is_not() {
        let with = |year| {
            let mut other = kieran();
            other.births[0].year = Some(year);
            levels(&kieran(), &other, [5, 5])
        };
        for year in [1981, 1996, 2020] {
            assert!(with(year).generation_apart(), "{year}");
        }
        for year in [1999, 2008, 2017] {
            assert!(!with(year).generation_apart(), "{year}");
        }
    }

    #[test]
    fn a_double_barrelled_name_agrees_with_either_half() {
        let mut double = kieran();
        double.surnames = vec![sounded("denholmprice", "TNLM")];
        double.surname_ends = ["denholm".into(), "price".into()];
        assert_eq!(levels(&kieran(), &double, [5, 5]).get(F::Surname), Some(3));
    }
}
