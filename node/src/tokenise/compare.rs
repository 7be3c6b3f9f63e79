//! Makes a comparison out of a sketch: every value keyed and salted by one token.
//!
//! The salt is the whole AES block of the token, of which only half travels, encrypted once more
//! under a key that the coordinator does not have. So equal values give equal atoms for two
//! records of one block, and nothing anywhere else. What a record does not have is keyed noise of its
//! own: nobody who sees one comparison can tell which parts say something.

use aes::{Aes128, Block, cipher::BlockEncrypt};
use causeway_proto::{
    day::Day,
    linkage::comparison::{Atom, Comparison, Presence, Word},
};

use super::minhash;
use super::{
    profile::Birth,
    sketch::{self, Sketch, Text, Value},
};

/// Where a keyed block of the batch goes.
#[derive(Clone, Copy)]
enum Target {
    Atom(usize),
    Pair(usize),
    Digit(usize),
    /// Marks of fields that a record has, eight a block.
    Marks(usize),
    /// Marks of fields that it does not have.
    NoMarks(usize),
    /// Atoms that have nothing to say, eight a block.
    Atoms(usize),
    /// A word that has nothing to say.
    Word(usize),
}

/// Hash domains. Names share one, so that a forename in the surname's place agrees.
const NAME: u8 = 1;
const NAME_PAIRS: u8 = 2;
/// Atoms of other kinds: this plus the atom's number.
const ATOM: u8 = 32;
/// Letter pairs of other texts: this plus the word's number.
const PAIRS: u8 = 128;
const DIGITS: u8 = 160;
/// Names that stand in for formal names and parts that a name does not have: this plus the atom.
const STAND_IN: u8 = 168;
/// Noise in eight marks, in eight atoms or in a word: these plus which.
const NO_MARKS: u8 = 216;
const NO_ATOMS: u8 = 218;
const NO_WORD: u8 = 226;
const MARKS: u8 = 240;

/// Atoms or marks that come out of one keyed block.
const LANES: usize = 8;
const _: () = assert!(Atom::COUNT.div_ceil(LANES) <= (NO_WORD - NO_ATOMS) as usize);
const _: () = assert!(STAND_IN as usize + Atom::COUNT <= NO_MARKS as usize);
const _: () = assert!(Presence::COUNT == 2 * LANES);

/// Makes comparisons; keeps its buffers from one to the next.
pub struct Comparer<'k> {
    cipher: &'k Aes128,
    blocks: Vec<Block>,
    /// Where the blocks go, with how many go there one after the other.
    targets: Vec<(Target, usize)>,
}

impl<'k> Comparer<'k> {
    /// Keys everything under the sweep's comparing key.
    pub fn new(cipher: &'k Aes128) -> Self {
        Self { cipher, blocks: Vec::with_capacity(192), targets: Vec::with_capacity(96) }
    }

    /// Makes one record's comparison inside the block of `salt`.
    ///
    /// `noise` fills whatever has nothing to say: the same for one record in one sweep, and different
    /// for every record of every node.
    pub fn compare(&mut self, salt: &[u8; 16], noise: u64, sketch: &Sketch<'_>) -> Comparison {
        self.blocks.clear();
        self.targets.clear();
        self.ask(sketch, noise);

        let mut tweak = Block::from(*salt);
        self.cipher.encrypt_block(&mut tweak);
        let tweak = u128::from_ne_bytes(tweak.into());
        for block in &mut self.blocks {
            *block = (u128::from_ne_bytes((*block).into()) ^ tweak).to_ne_bytes().into();
        }
        self.cipher.encrypt_blocks(&mut self.blocks);

        let mut comparison = Comparison::EMPTY;
        let mut rest = &self.blocks[..];
        for (target, count) in &self.targets {
            let (blocks, after) = rest.split_at(*count);
            rest = after;
            let block = &blocks[0];
            match *target {
                Target::Atoms(first) => {
                    let atoms = comparison.atoms[first..].iter_mut();
                    atoms.zip(lanes(block)).for_each(|(atom, lane)| *atom = lane);
                }
                Target::Marks(first) | Target::NoMarks(first) => {
                    let there = matches!(target, Target::Marks(_));
                    for (at, lane) in (first..).zip(lanes(block)) {
                        if sketch.presence.has(1 << at) == there {
                            comparison.marks[at] = lane.max(1);
                        }
                    }
                }
                Target::Atom(atom) => {
                    comparison.atoms[atom] = u16::from_le_bytes([block[0], block[1]]);
                }
                Target::Word(word) => {
                    let noise = u128::from_le_bytes((*block).into());
                    let digits = word == Word::Digits as usize;
                    comparison.words[word] =
                        if digits { noise & u128::from(u64::MAX) } else { noise };
                }
                Target::Pair(word) => comparison.words[word] = minhash::pack(blocks),
                Target::Digit(place) => {
                    comparison.words[Word::Digits as usize] |= u128::from(block[0]) << (8 * place);
                }
            }
        }
        comparison
    }

    fn put(&mut self, target: Target, domain: u8, value: u64) {
        self.blocks.push(keyed(domain, value));
        self.targets.push((target, 1));
    }

    fn atom(&mut self, atom: Atom, value: u64) {
        let at = atom as usize;
        self.put(Target::Atom(at), ATOM + u8::try_from(at).expect("few atoms"), value);
    }

    /// A name; nothing where the person has none.
    fn name(&mut self, atom: Atom, value: u32) {
        if value != 0 {
            self.put(Target::Atom(atom as usize), NAME, value.into());
        }
    }

    /// Further forms of a name. Something of the name itself stands in for those that there are not
    /// and for repeats, so that how many there are does not show where the name agrees.
    fn forms(&mut self, name: u32, forms: &[(Atom, u32)]) {
        for (place, (atom, value)) in forms.iter().enumerate() {
            let before = &forms[..place];
            let again = *value == name || before.iter().any(|(_, other)| other == value);
            if *value != 0 && !again {
                self.name(*atom, *value);
            } else if name != 0 {
                let at = *atom as usize;
                let domain = STAND_IN + u8::try_from(at).expect("few atoms");
                self.put(Target::Atom(at), domain, name.into());
            }
        }
    }

    /// Noise everywhere; what there is to say replaces it.
    fn noise(&mut self, noise: u64) {
        let which = |at: usize| u8::try_from(at).expect("few blocks");
        for block in 0..Presence::COUNT / LANES {
            self.put(Target::Marks(block * LANES), MARKS + which(block), 0);
            self.put(Target::NoMarks(block * LANES), NO_MARKS + which(block), noise);
        }
        for block in 0..Atom::COUNT.div_ceil(LANES) {
            self.put(Target::Atoms(block * LANES), NO_ATOMS + which(block), noise);
        }
    }

    fn no_word(&mut self, word: Word, noise: u64) {
        let domain = NO_WORD + u8::try_from(word as usize).expect("few words");
        self.put(Target::Word(word as usize), domain, noise);
    }

    /// Every pair of neighbouring letters in either order, the ends included.
    fn pairs(&mut self, word: Word, domain: u8, text: &[u8], noise: u64) {
        if text.is_empty() {
            return self.no_word(word, noise);
        }
        let mut before = b'^';
        for letter in text.iter().copied().chain([b'$']) {
            // Two letters that changed places still make the same pair.
            let (low, high) = (before.min(letter), before.max(letter));
            let pair = u64::from(low) << 8 | u64::from(high);
            self.blocks.push(keyed(domain, pair));
            before = letter;
        }
        self.targets.push((Target::Pair(word as usize), text.len() + 1));
    }

    fn ask(&mut self, sketch: &Sketch<'_>, noise: u64) {
        let value = |value: Value| sketch.values[value as usize];
        let text = |text: Text| sketch.texts[text as usize];

        self.noise(noise);
        let names = [
            (Atom::Forename, Value::Forename),
            (Atom::ForenameOther0, Value::ForenameOther0),
            (Atom::ForenameOther1, Value::ForenameOther1),
            (Atom::Surname, Value::Surname),
            (Atom::SurnameOther0, Value::SurnameOther0),
            (Atom::SurnameOther1, Value::SurnameOther1),
            (Atom::Middle, Value::Middle),
        ];
        names.iter().for_each(|(atom, from)| self.name(*atom, value(*from)));
        let formal = [
            (Atom::Formal0, Value::Formal0),
            (Atom::Formal1, Value::Formal1),
            (Atom::Formal2, Value::Formal2),
            (Atom::Formal3, Value::Formal3),
        ];
        self.forms(value(Value::Forename), &formal.map(|(atom, from)| (atom, value(from))));
        let parts =
            [(Atom::SurnameFirst, Value::SurnameFirst), (Atom::SurnameLast, Value::SurnameLast)];
        self.forms(value(Value::Surname), &parts.map(|(atom, from)| (atom, value(from))));

        if sketch.has_rare_surname() && value(Value::Surname) != 0 {
            self.atom(Atom::SurnameRare, value(Value::Surname).into());
        }
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
            if value(from) != 0 {
                self.atom(atom, value(from).into());
            }
        }
        let [forename, middle] = sketch.initials;
        if forename != 0 && !sketch.presence.has(Presence::FORENAME_INITIAL) {
            self.name(Atom::ForenameInitial, sketch::initial_as_name(forename));
        }
        for (atom, letter) in [(Atom::MiddleInitial, middle), (Atom::Sex, sketch.sex)] {
            if letter != 0 {
                self.atom(atom, letter.into());
            }
        }
        self.birth(sketch.birth, noise);

        let name_pairs = [
            (Word::Forename, Text::Forename),
            (Word::ForenameOther0, Text::ForenameOther0),
            (Word::ForenameOther1, Text::ForenameOther1),
            (Word::Surname, Text::Surname),
            (Word::SurnameOther0, Text::SurnameOther0),
            (Word::SurnameOther1, Text::SurnameOther1),
        ];
        for (word, from) in name_pairs {
            self.pairs(word, NAME_PAIRS, text(from), noise);
        }
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
            self.pairs(word, domain, text(from), noise);
        }
    }

    fn birth(&mut self, birth: Birth, noise: u64) {
        let Birth { year, month, day } = birth;
        let number = |part: i64| part as u64;
        let parts = [
            (Atom::Year, year.map(i64::from)),
            (Atom::Month, month.map(i64::from)),
            (Atom::DayOfMonth, day.map(i64::from)),
        ];
        for (atom, part) in parts {
            if let Some(part) = part {
                self.atom(atom, number(part));
            }
        }
        match (year, month, day) {
            (Some(year), Some(month), Some(day)) => self.full_birth(year.into(), month, day),
            _ => self.no_word(Word::Digits, noise),
        }

        let near = [Atom::Near0, Atom::Near1, Atom::NearYears0, Atom::NearYears1];
        let known = year.zip(month).and_then(|(y, m)| Day::new(y, m, day.unwrap_or(15)));
        for ((width, offset), atom) in [(62, 0), (62, 31), (730, 0), (730, 365)].iter().zip(near) {
            if let Some(date) = known {
                self.atom(atom, number(i64::from((date.number() + offset).div_euclid(*width))));
            }
        }
        let generations =
            [Atom::Generation0, Atom::Generation1, Atom::Generation2, Atom::Generation3];
        for (offset, atom) in [0, 3, 6, 9].iter().zip(generations) {
            if let Some(year) = year {
                self.atom(atom, number((i64::from(year) + offset).div_euclid(12)));
            }
        }
    }

    fn full_birth(&mut self, year: i64, month: i8, day: i8) {
        let (low, high) = (month.min(day), month.max(day));
        let unordered = year * 10_000 + i64::from(low) * 100 + i64::from(high);
        self.atom(Atom::Unordered, unordered as u64);

        let number = year * 10_000 + i64::from(month) * 100 + i64::from(day);
        let mut rest = number.unsigned_abs();
        let mut written = [b'0'; 8];
        for digit in written.iter_mut().rev() {
            (*digit, rest) = (b'0' + (rest % 10) as u8, rest / 10);
        }
        for (place, digit) in written.iter().enumerate() {
            let domain = DIGITS + u8::try_from(place).expect("eight digits");
            self.put(Target::Digit(place), domain, u64::from(*digit));
        }
        let mut sorted = written;
        sorted.sort_unstable();
        let sorted = sorted.iter().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
        self.atom(Atom::SortedDigits, sorted);
    }
}

/// What is keyed of a value.
fn keyed(domain: u8, value: u64) -> Block {
    (u128::from(value) << 64 | u128::from(domain)).to_le_bytes().into()
}

/// The eight 16-bit numbers in a block.
fn lanes(block: &Block) -> impl Iterator<Item = u16> {
    block.as_chunks().0.iter().map(|lane| u16::from_le_bytes(*lane))
}

#[cfg(test)]
mod tests;
