//! How well names agree, whose name stands in another one's place among them.

use super::{
    super::comparison::{Atom, Comparison, Presence, Word},
    alike, dice, same,
};

const FORMAL: [Atom; 5] =
    [Atom::Forename, Atom::Formal0, Atom::Formal1, Atom::Formal2, Atom::Formal3];
/// A surname and its parts, which are noise where there is one part only.
const SURNAME_PARTS: [Atom; 3] = [Atom::Surname, Atom::SurnameFirst, Atom::SurnameLast];
/// From here on a further form of a name is like another one. A record without further forms has noise
/// there, which is less like anything in all but one of a million cases.
const LEAST_OF_FURTHER_FORMS: f64 = 0.6;
const FORENAMES: [Atom; 3] = [Atom::Forename, Atom::ForenameOther0, Atom::ForenameOther1];
const FORENAME_WORDS: [Word; 3] = [Word::Forename, Word::ForenameOther0, Word::ForenameOther1];
const SURNAMES: [Atom; 3] = [Atom::Surname, Atom::SurnameOther0, Atom::SurnameOther1];
const SURNAME_WORDS: [Word; 3] = [Word::Surname, Word::SurnameOther0, Word::SurnameOther1];

fn shares(a: &Comparison, b: &Comparison, atoms: &[Atom]) -> bool {
    atoms.iter().any(|x| atoms.iter().any(|y| a.atom(*x) == b.atom(*y)))
}

/// The best Dice coefficient between any two forms of a name.
fn best_dice(a: &Comparison, b: &Comparison, words: &[Word]) -> f64 {
    let pairs = words.iter().flat_map(|x| words.iter().map(move |y| (*x, *y))).skip(1);
    let further = pairs.map(|(x, y)| (a.word(x) ^ b.word(y)).count_zeros()).max().map(dice);
    let further = further.filter(|similarity| *similarity >= LEAST_OF_FURTHER_FORMS);
    let first = alike(a.word(words[0]), b.word(words[0]));
    further.map_or(first, |further| further.max(first))
}

pub(super) fn names_swapped(a: &Comparison, b: &Comparison) -> bool {
    if same(a, b, Atom::Forename) || same(a, b, Atom::Surname) {
        return false;
    }
    let crossed = |x: &Comparison, y: &Comparison| x.atom(Atom::Forename) == y.atom(Atom::Surname);
    let near = |x: &Comparison, y: &Comparison| {
        alike(x.word(Word::Forename), y.word(Word::Surname)) >= 0.6
    };
    (crossed(a, b) && crossed(b, a)) || (near(a, b) && near(b, a))
}

/// Returns whether one is known by the other's initial only, or both by the same.
pub(super) fn shortened(a: &Comparison, b: &Comparison, shared: Presence) -> bool {
    let crossed =
        |x: &Comparison, y: &Comparison| x.atom(Atom::Forename) == y.atom(Atom::ForenameInitial);
    let both = shared.has(Presence::FORENAME_INITIAL) && same(a, b, Atom::Forename);
    both || crossed(a, b) || crossed(b, a)
}

/// Returns whether one goes by the other's middle name. Otherwise the atom holds noise.
pub(super) fn known_by_middle(a: &Comparison, b: &Comparison) -> bool {
    let crossed = |x: &Comparison, y: &Comparison| x.atom(Atom::Forename) == y.atom(Atom::Middle);
    !same(a, b, Atom::Forename) && (crossed(a, b) || crossed(b, a))
}

pub(super) fn formal_shared(a: &Comparison, b: &Comparison) -> bool {
    shares(a, b, &FORMAL)
}

pub(super) fn forename(a: &Comparison, b: &Comparison, shared: Presence) -> usize {
    if same(a, b, Atom::Forename) {
        // An initial that equals an initial says little, however rare the letter.
        return match shared.has(Presence::FORENAME_INITIAL) {
            true => 4,
            false => 5,
        };
    }
    if shares(a, b, &FORENAMES) {
        return 5;
    }
    if formal_shared(a, b) || shortened(a, b, shared) || known_by_middle(a, b) {
        return 4;
    }
    let similarity = best_dice(a, b, &FORENAME_WORDS);
    if similarity >= 0.65 || (similarity >= 0.3 && same(a, b, Atom::ForenameSound)) {
        3
    } else if similarity >= 0.45 {
        2
    } else {
        usize::from(same(a, b, Atom::ForenameInitial))
    }
}

pub(super) fn surname(a: &Comparison, b: &Comparison) -> usize {
    if same(a, b, Atom::Surname) {
        return 4 + usize::from(same(a, b, Atom::SurnameRare));
    }
    if shares(a, b, &SURNAMES) {
        return 4;
    }
    let similarity = best_dice(a, b, &SURNAME_WORDS);
    if similarity >= 0.7 || shares(a, b, &SURNAME_PARTS) {
        3
    } else if similarity >= 0.55 || same(a, b, Atom::SurnameSound) {
        2
    } else {
        usize::from(similarity >= 0.4)
    }
}

pub(super) fn middle(a: &Comparison, b: &Comparison, shared: Presence) -> usize {
    if !same(a, b, Atom::MiddleInitial) {
        return 0;
    }
    let long = shared.has(Presence::MIDDLE_LONG);
    1 + usize::from(long && alike(a.word(Word::Middle), b.word(Word::Middle)) >= 0.7)
}
