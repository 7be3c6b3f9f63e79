//! Reads who a record names: one name, and other names the same person goes by.
//!
//! The rules of DOMAIN.md 5.5, "Names", in their order. Nothing here replaces what was written by
//! what it might mean: a nickname's formal name, a family's common spelling and the code of a
//! sound are additional forms, in [`variant`](super::variant).

use super::{
    fold::{Folded, folded},
    quality::{Note, Notes},
    rarity::{self, Part},
};
use crate::source::RawPerson;

mod aside;
mod form;
mod words;

pub use form::Name;

use aside::{Aside, Intro};
use words::Word;

/// No person's record needs more names than this; more is a field that was misused.
const MOST_NAMES: usize = 8;

/// Longest field that is read, in bytes: of several names, too.
const LONGEST: usize = 1000;

/// Whether somebody is the elder or the younger of two people of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Generation {
    /// `Jr`, `Jnr`, `Junior`.
    Junior,
    /// `Snr`, `Senior`; `Sr` after a name.
    Senior,
}

/// What the name fields of a record say.
#[derive(Default)]
pub(super) struct NamesRead {
    pub(super) names: Vec<Name>,
    pub(super) generation: Option<Generation>,
    pub(super) newborn: bool,
    pub(super) twin: Option<u8>,
}

/// Reads the name fields of a record.
pub(super) fn read(raw: &RawPerson, notes: &mut Notes) -> NamesRead {
    let mut reader = Reader { notes, read: NamesRead::default() };
    reader.title(&raw.title);
    let (forename, forename_asides) = reader.field(&raw.forename);
    let (middle, middle_asides) = reader.field(&raw.middle);
    let (surname, surname_asides) = reader.field(&raw.surname);
    let (full, full_asides) = reader.field(&raw.full_name);

    let primary = if forename.trim().is_empty() && is_whole_name(&surname) {
        reader.whole(&surname, &middle)
    } else if surname.trim().is_empty() && forename.contains(',') {
        reader.whole(&forename, &middle)
    } else if forename.trim().is_empty() && surname.trim().is_empty() {
        reader.whole(&full, &middle)
    } else {
        reader.parts(&forename, &middle, &surname)
    };
    reader.read.names.extend(primary);
    // Two surnames stand for two people of a joint record: other names would be anybody's.
    if reader.read.names.len() < 2 {
        reader.others(forename_asides.into_iter().chain(middle_asides), Field::Forename);
        reader.others(surname_asides, Field::Surname);
        reader.others(full_asides, Field::Whole);
        let (alias, alias_asides) = reader.field(&raw.alias);
        reader.aliases(&alias);
        reader.others(alias_asides, Field::Whole);
    }
    reader.read.names.truncate(MOST_NAMES);
    reader.read
}

/// Returns whether a surname field holds a whole name: `DENHOLM, CAROL` or `Mrs C Price`.
fn is_whole_name(surname: &str) -> bool {
    let words = words::split(surname);
    surname.contains(',')
        || (words.len() > 2 && words.first().is_some_and(|word| words::is_title(&word.text)))
}

/// Which field a piece of a name came from, which says what a lone word in it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    Forename,
    Middle,
    Surname,
    Whole,
}

struct Reader<'a> {
    notes: &'a mut Notes,
    read: NamesRead,
}

impl Reader<'_> {
    /// Folds a field and takes other names out of it.
    fn field(&mut self, text: &str) -> (String, Vec<Aside>) {
        if text.is_empty() {
            return (String::new(), Vec::new());
        }
        let Folded { text, lost_letters } = folded(text);
        if lost_letters {
            self.notes.add(Note::NameScript);
        }
        aside::split_off(&text[..text.len().min(LONGEST)])
    }

    /// Reads what a title says beside itself.
    fn title(&mut self, title: &str) {
        for word in words::split(&folded(title).text) {
            self.read.newborn |= words::is_newborn(&word.text);
            match word.text.as_str() {
                "jr" | "jnr" | "junior" => self.read.generation = Some(Generation::Junior),
                "snr" | "senior" => self.read.generation = Some(Generation::Senior),
                _ => {}
            }
        }
    }

    /// Reads a name that came in parts.
    fn parts(&mut self, forename: &str, middle: &str, surname: &str) -> Vec<Name> {
        let mut forenames = self.component(forename, Field::Forename);
        let middle = self.component(middle, Field::Middle);
        let (surname, beyond) = surname.split_once(',').unwrap_or((surname, ""));
        let mut surnames = self.component(surname, Field::Surname);
        words::split(beyond).iter().for_each(|word| self.suffix(&word.text));
        if forenames.iter().chain(&surnames).any(|word| words::is_newborn(&word.text)) {
            let rest = self.newborn(std::mem::take(&mut forenames));
            surnames = self.newborn(surnames);
            if surnames.is_empty() {
                surnames = last_group(&rest).to_vec();
            }
        }
        let (mut forenames, surnames) = (self.named(forenames), self.named(surnames));
        let repeats = forenames.len().checked_sub(surnames.len()).filter(|at| {
            let same = |(one, other): (&Word, &Word)| one.text == other.text;
            *at > 0 && forenames[*at..].iter().zip(&surnames).all(same)
        });
        // Some clerks type the surname behind the forename as well.
        forenames.truncate(repeats.unwrap_or(forenames.len()));
        Name::new(&forenames, &self.named(middle), &surnames).into_iter().collect()
    }

    /// Reads a name that came as one text; `middle` may still stand apart.
    ///
    /// Two names come back for a joint record of two people of different surnames.
    fn whole(&mut self, text: &str, middle: &str) -> Vec<Name> {
        if let Some((surname, forenames)) = text.split_once(',') {
            if self.is_said_of(surname, forenames) {
                return self.whole(surname, middle);
            }
            let title_only =
                |part: &&str| words::split(part).iter().all(|word| words::is_title(&word.text));
            let forenames: Vec<&str> =
                forenames.split(',').filter(|part| !title_only(part)).collect();
            return self.parts(&forenames.join(" "), middle, surname);
        }
        if let Some((first, second)) = joint(text) {
            return self.joint(first, second);
        }
        let mut words = self.component(text, Field::Whole);
        if words.iter().any(|word| words::is_newborn(&word.text)) {
            let of = words.iter().any(|word| word.text == "of");
            let rest = self.newborn(words);
            let surname = if of { last_group(&rest) } else { &rest[..] };
            return Name::new(&[], &[], &self.named(surname.to_vec())).into_iter().collect();
        }
        let surname = words.split_off(surname_start(&words));
        let (forenames, surname) = (self.named(words), self.named(surname));
        let middle = self.component(middle, Field::Middle);
        Name::new(&forenames, &self.named(middle), &surname).into_iter().collect()
    }

    /// Returns whether what stands behind a comma is said of a whole name before it, and notes it: `John Carver, Jr`,
    /// `John Carver, MBE`. In `Carver, Junior` it is a forename.
    fn is_said_of(&mut self, before: &str, behind: &str) -> bool {
        let (name, said) = (words::split(before), words::split(behind));
        let spare = |word: &Word| {
            let sure = words::is_title(&word.text) || words::is_only_suffix(&word.text);
            sure || (name.len() > 1 && words::is_suffix(&word.text))
        };
        let all = !said.is_empty() && said.iter().all(spare);
        if all {
            said.iter().for_each(|word| self.suffix(&word.text));
        }
        all
    }

    /// Reads the surnames of a record of two people: whose forename it holds is anybody's guess.
    fn joint(&mut self, first: &str, second: &str) -> Vec<Name> {
        self.notes.add(Note::NameJoint);
        let first = self.component(first, Field::Whole);
        let second = self.component(second, Field::Whole);
        let surname = |words: &[Word]| words[surname_start(words)..].to_vec();
        let mut surnames = vec![surname(&second)];
        if first.len() > 1 && surname(&first) != surnames[0] {
            surnames.insert(0, surname(&first));
        }
        surnames.into_iter().filter_map(|words| Name::new(&[], &[], &self.named(words))).collect()
    }

    /// Splits one field into words, without titles and suffixes; none if it says that there is no
    /// name.
    fn component(&mut self, text: &str, field: Field) -> Vec<Word> {
        let mut words = words::split(text);
        let given = matches!(field, Field::Forename | Field::Middle);
        if given && joint(text).is_some() {
            self.notes.add(Note::NameJoint);
            return Vec::new();
        }
        let newborn = words.iter().any(|word| words::is_newborn(&word.text));
        let twins = words.windows(2).filter(|pair| pair[0].text == "twin");
        let number = twins.filter_map(|pair| words::twin_number(&pair[1].text)).next();
        self.read.twin = self.read.twin.or(number);
        if words::is_no_name(text, &words) {
            self.notes.add(Note::NamePlaceholder);
            self.read.newborn |= newborn;
            return Vec::new();
        }
        self.strip_suffixes(&mut words, field);
        strip_titles(&mut words, field);
        words
    }

    fn strip_suffixes(&mut self, words: &mut Vec<Word>, field: Field) {
        // A whole name keeps two words, for `John Senior`; a lone `Junior` is a forename.
        let keep = if field == Field::Whole { 2 } else { 1 };
        while let Some(word) = words.last().map(|word| word.text.as_str()) {
            let spare = words.len() > keep || (words.len() > 1 && words::is_only_suffix(word));
            let given = matches!(field, Field::Forename | Field::Middle);
            let alone = given && words::is_only_suffix(word);
            if !words::is_suffix(word) || !(spare || alone) {
                break;
            }
            if let Some(word) = words.pop() {
                self.suffix(&word.text);
            }
        }
    }

    /// Notes what a suffix says of the person.
    fn suffix(&mut self, word: &str) {
        match word {
            "jr" | "jnr" | "junior" => self.read.generation = Some(Generation::Junior),
            "sr" | "snr" | "senior" => self.read.generation = Some(Generation::Senior),
            "deceased" | "decd" | "dec" => self.notes.add(Note::SaidDeceased),
            _ => {}
        }
    }

    /// Removes what a newborn's name field says instead of a name; what remains is the mother's.
    fn newborn(&mut self, words: Vec<Word>) -> Vec<Word> {
        self.read.newborn = true;
        self.notes.add(Note::NamePlaceholder);
        let mut after_twin = false;
        let mut rest = Vec::with_capacity(words.len());
        for word in words {
            let text = word.text.as_str();
            let number = after_twin && words::twin_number(text).is_some();
            after_twin = text == "twin";
            if !(number || words::is_placeholder(text) || words::is_filler(text)) {
                rest.push(word);
            }
        }
        rest
    }

    /// Removes placeholders from the words of one component.
    fn named(&mut self, mut words: Vec<Word>) -> Vec<Word> {
        let before = words.len();
        words.retain(|word| !words::is_placeholder(&word.text));
        if words.len() < before {
            self.notes.add(Note::NamePlaceholder);
        }
        words
    }

    /// Adds the other names found in a field.
    fn others(&mut self, asides: impl IntoIterator<Item = Aside>, field: Field) {
        for Aside { intro, text } in asides {
            self.other(intro, &text, field);
        }
    }

    /// Adds the names of an alias field, which may hold several.
    fn aliases(&mut self, text: &str) {
        if words::is_no_name(text, &words::split(text)) {
            return;
        }
        for alias in text.split([';', '|', '/']) {
            self.other(Intro::Known, alias, Field::Whole);
        }
    }

    fn other(&mut self, intro: Intro, text: &str, field: Field) {
        let (had_generation, had_newborn) = (self.read.generation, self.read.newborn);
        let remark = words::split(text);
        if remark.iter().map(|word| word.text.len()).sum::<usize>() <= 1 {
            return;
        }
        if remark.iter().all(|word| words::is_suffix(&word.text) || words::is_filler(&word.text)) {
            // `(Jnr)`, `(dec)`: a remark on the name beside it.
            remark.iter().for_each(|word| self.suffix(&word.text));
            return;
        }
        let primary = self.read.names.first().cloned().unwrap_or_default();
        let groups = remark.iter().filter(|word| !word.tied).count();
        let mut named = |field| {
            let words = self.component(text, field);
            self.named(words)
        };
        let name = match (intro, field) {
            (Intro::Former, _) | (_, Field::Surname) => {
                primary.with_surname(&named(Field::Surname))
            }
            (_, Field::Forename | Field::Middle) => primary.with_forenames(&named(Field::Forename)),
            (_, Field::Whole) if groups > 1 || text.contains(',') => {
                self.whole(text, "").into_iter().next()
            }
            (_, Field::Whole)
                if rarity::is_mostly_surname(&remark[0].text) || groups < remark.len() =>
            {
                primary.with_surname(&named(Field::Surname))
            }
            (_, Field::Whole) => primary.with_forenames(&named(Field::Forename)),
        };
        // What a nickname in quotes or an alias says of age and birth, it says of nobody.
        (self.read.generation, self.read.newborn) =
            (had_generation.or(self.read.generation), had_newborn);
        if let Some(name) = name
            && !self.read.names.contains(&name)
        {
            self.read.names.push(name);
        }
    }
}

/// Splits a text that names two people: `Mr & Mrs Smith`, `J Smith and M Jones`.
fn joint(text: &str) -> Option<(&str, &str)> {
    text.split_once('&').or_else(|| text.split_once('+')).or_else(|| text.split_once(" and "))
}

fn strip_titles(words: &mut Vec<Word>, field: Field) {
    let mut titles = 0;
    for (at, word) in words.iter().enumerate() {
        let after = words.len() - at - 1;
        let title = match field {
            Field::Forename => words::is_title(&word.text),
            // Initials: nobody has a title in the middle.
            Field::Middle => false,
            Field::Surname => words::is_title(&word.text) && after > 0,
            Field::Whole => {
                words::is_title(&word.text) || (words::is_title_or_name(&word.text) && after > 1)
            }
        };
        // `Lord-Taylor` is one name.
        if !title || word.tied || words.get(at + 1).is_some_and(|next| next.tied) {
            break;
        }
        titles = at + 1;
    }
    words.drain(..titles);
}

/// Returns where the surname of a whole name begins: the last group of tied words, and any
/// particles before it.
fn surname_start(words: &[Word]) -> usize {
    let mut start = words.iter().rposition(|word| !word.tied).unwrap_or(0);
    let text = |at: usize| words[at].text.as_str();
    while start > 1 && !words[start - 1].tied {
        let before = text(start - 1);
        let of_particle = || start > 2 && words::is_inner_particle(text(start - 2));
        // Also an initial, so that only `O Neill` and the like are taken for Irish.
        let irish = || rarity::frequency(Part::Surname, &format!("o{}", text(start))).is_some();
        let joins = words::is_inner_particle(before)
            || (words::is_article(before) && of_particle())
            || (before == "o" && irish());
        if !joins {
            break;
        }
        start -= 1;
    }
    start
}

fn last_group(words: &[Word]) -> &[Word] {
    &words[surname_start(words)..]
}

#[cfg(test)]
mod tests;
