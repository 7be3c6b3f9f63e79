//! Splits a folded name into words, and knows the words that are no part of anybody's name:
//! titles, suffixes, placeholders.

/// Longest stretch of a name that is read. Longer is a remark somebody typed into a name field.
const LONGEST: usize = 160;

/// One word of a name: lower-case letters only, never empty.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    /// True when a hyphen or slash ties it to the word before.
    pub(super) tied: bool,
}

/// Splits folded text into words. Apostrophes vanish, a digit that stands for a letter becomes
/// the letter, everything else that is no letter separates.
pub(super) fn split(folded: &str) -> Vec<Word> {
    let folded = &folded[..folded.len().min(LONGEST)];
    let mut words: Vec<Word> = Vec::new();
    let mut tied = false;
    for token in folded.split_whitespace() {
        if is_newborn_shorthand(token) {
            words.extend(["baby", "of"].map(|text| Word { text: text.into(), tied: false }));
            continue;
        }
        if is_ordinal(token) {
            continue;
        }
        let letters = letters_of(token);
        for piece in letters.split_inclusive(|c: char| !c.is_ascii_lowercase()) {
            let text = piece.trim_end_matches(|c: char| !c.is_ascii_lowercase());
            if !text.is_empty() {
                words.push(Word { text: text.into(), tied: tied && !words.is_empty() });
            }
            if text.len() < piece.len() {
                tied = piece.ends_with(['-', '/']);
            } else {
                tied = false;
            }
        }
        // "Denholm - Price" and "Denholm- Price" are tied; two tokens with a space only are not.
        if !letters.ends_with(['-', '/']) {
            tied = false;
        }
    }
    words
}

/// Returns whether a token is clerks' shorthand for "baby of".
fn is_newborn_shorthand(token: &str) -> bool {
    matches!(token, "b/o" | "b.o." | "b.o" | "b/of")
}

/// Returns whether a token is `1st`, `2nd`, `3rd` or the like.
fn is_ordinal(token: &str) -> bool {
    let digits = token.bytes().take_while(u8::is_ascii_digit).count();
    digits > 0 && matches!(&token[digits..], "st" | "nd" | "rd" | "th")
}

/// Removes apostrophes, and reads digits and bars that were typed or scanned for letters.
///
/// Only between letters, or at the start of a word of four or more: a number at the end is a
/// clerk's way to tell two records apart.
fn letters_of(token: &str) -> String {
    let bytes: Vec<u8> = token.bytes().filter(|b| *b != b'\'').collect();
    let letter = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_lowercase);
    let mut out = String::with_capacity(bytes.len());
    for (at, byte) in bytes.iter().copied().enumerate() {
        let inside = at > 0 && letter(at - 1) && letter(at + 1);
        let leading = at == 0 && (1..=3).all(letter);
        let vowel = |at: usize| bytes.get(at).is_some_and(|b| b"aeiouy".contains(b));
        let by_vowel = vowel(at.wrapping_sub(1)) || vowel(at + 1);
        out.push(match byte {
            b'0' if inside || leading => 'o',
            b'1' if inside && by_vowel => 'l',
            b'1' if inside || leading => 'i',
            b'|' if inside || leading => 'l',
            b'3' if inside => 'e',
            b'4' if inside || leading => 'a',
            b'5' if inside || leading => 's',
            b'8' if inside => 'b',
            b'9' if inside => 'g',
            other => char::from(other),
        });
    }
    out
}

/// Titles: never part of a name, wherever they lead.
pub(super) fn is_title(word: &str) -> bool {
    matches!(
        word,
        "mr" | "mrs"
            | "ms"
            | "miss"
            | "mx"
            | "master"
            | "mstr"
            | "dr"
            | "prof"
            | "professor"
            | "rev"
            | "revd"
            | "reverend"
            | "sir"
            | "lady"
            | "lord"
            | "dame"
            | "fr"
            | "sr"
            | "cllr"
            | "councillor"
            | "pc"
            | "ps"
            | "wpc"
            | "ds"
            | "dc"
            | "dci"
            | "insp"
            | "inspector"
            | "sgt"
            | "capt"
            | "captain"
            | "lt"
            | "cpl"
            | "pte"
    )
}

/// Titles that are also names: left alone where dropping one would leave no forename. Not those that more people
/// are called than hold: Dean, Earl, Major, Prince.
pub(super) fn is_title_or_name(word: &str) -> bool {
    matches!(word, "di" | "col" | "hon" | "sister")
}

/// What follows a name and is no part of it.
pub(super) fn is_suffix(word: &str) -> bool {
    matches!(
        word,
        "jr" | "jnr"
            | "sr"
            | "snr"
            | "junior"
            | "senior"
            | "ii"
            | "iii"
            | "iv"
            | "esq"
            | "esquire"
            | "mbe"
            | "obe"
            | "cbe"
            | "bem"
            | "qc"
            | "kc"
            | "jp"
            | "phd"
            | "deceased"
            | "decd"
            | "dec"
    )
}

/// Suffixes that mean nothing else, and so go even when they stand alone.
pub(super) fn is_only_suffix(word: &str) -> bool {
    matches!(word, "jr" | "jnr" | "snr" | "ii" | "iii" | "esq" | "deceased" | "decd")
}

/// Words for somebody who has no name yet.
pub(super) fn is_newborn(word: &str) -> bool {
    matches!(word, "baby" | "babyboy" | "babygirl" | "infant" | "newborn" | "neonate" | "twin")
}

/// Returns which of twins or triplets a word after `twin` means.
pub(super) fn twin_number(word: &str) -> Option<u8> {
    Some(match word {
        "a" | "i" | "one" => 1,
        "b" | "ii" | "two" => 2,
        "c" | "iii" | "three" => 3,
        _ => return None,
    })
}

/// Words that fill a name field when the name is not known.
pub(super) fn is_placeholder(word: &str) -> bool {
    let repeated = |word: &str| {
        let first = word.as_bytes().first();
        word.bytes().all(|b| Some(&b) == first)
            && (word.len() >= 3 || matches!(word, "x" | "xx" | "zz"))
    };
    is_newborn(word)
        || matches!(
            word,
            "unknown"
                | "unk"
                | "nk"
                | "notknown"
                | "none"
                | "nil"
                | "null"
                | "tbc"
                | "tba"
                | "test"
                | "dummy"
                | "donotuse"
                | "duplicate"
                | "dupe"
                | "occupier"
                | "occupant"
                | "resident"
                | "tenant"
                | "householder"
                | "refuge"
                | "respondent"
                | "inmate"
                | "male"
                | "female"
                | "boy"
                | "girl"
                | "woman"
                | "wife"
                | "daughter"
                | "grandchild"
                | "one"
                | "two"
                | "anon"
                | "anonymous"
                | "withheld"
                | "redacted"
                | "confidential"
                | "unnamed"
                | "noname"
                | "unidentified"
                | "unspecified"
                | "unallocated"
                | "notgiven"
                | "notstated"
                | "notrecorded"
                | "notprovided"
                | "notapplicable"
                | "notdisclosed"
                | "nameunknown"
                | "tobeconfirmed"
                | "fnu"
                | "lnu"
                | "nfn"
                | "nln"
                | "noforename"
                | "nofirstname"
                | "nosurname"
                | "nolastname"
                | "refused"
                | "void"
                | "aka"
                | "alias"
                | "formerly"
                | "previously"
        )
        || repeated(word)
}

/// Words that describe a person or hold a phrase together. A name of nothing else is no name.
pub(super) fn is_filler(word: &str) -> bool {
    is_role(word) || matches!(word, "of" | "the" | "in" | "at" | "house" | "this" | "address")
}

fn is_role(word: &str) -> bool {
    matches!(
        word,
        "adult"
            | "child"
            | "person"
            | "man"
            | "woman"
            | "lady"
            | "gentleman"
            | "son"
            | "daughter"
            | "mother"
            | "father"
            | "mum"
            | "dad"
            | "parent"
            | "wife"
            | "husband"
            | "partner"
            | "sibling"
            | "unborn"
    )
}

/// Returns whether a whole field says that there is no name: `N/K`, `Not known`, `son of`,
/// `adult male`, `do not use`.
pub(super) fn is_no_name(folded: &str, words: &[Word]) -> bool {
    let compact: String = words.iter().map(|word| word.text.as_str()).collect();
    if matches!(folded.trim(), "n/a" | "n.a." | "n/k" | "n.k." | "u/k" | "?" | "-" | ".")
        || (words.iter().any(|word| word.text.len() > 1) && is_placeholder(&compact))
    {
        return true;
    }
    let text = |at: usize| words.get(at).map_or("", |word| word.text.as_str());
    let spoilt = (0..words.len()).any(|at| {
        matches!(text(at), "duplicate" | "dummy")
            || (text(at) == "do" && text(at + 1) == "not" && text(at + 2) == "use")
    });
    let described = words.len() > 1
        && words.iter().any(|word| is_filler(&word.text) || is_placeholder(&word.text))
        && words.iter().all(|word| {
            is_filler(&word.text) || is_placeholder(&word.text) || word.text.len() == 1
        });
    spoilt || described
}

/// Prefixes that belong to the part of the surname after them.
pub(super) fn is_particle(word: &str) -> bool {
    is_inner_particle(word) || is_article(word) || matches!(word, "ben" | "o")
}

/// Articles: part of a surname where a particle stands before them, as in `de la Cruz`.
pub(super) fn is_article(word: &str) -> bool {
    matches!(word, "la" | "las" | "le" | "los")
}

/// Particles that cannot be taken for a middle name, and so begin the surname of a full name.
pub(super) fn is_inner_particle(word: &str) -> bool {
    matches!(
        word,
        "van"
            | "der"
            | "den"
            | "ter"
            | "ten"
            | "von"
            | "zu"
            | "de"
            | "del"
            | "della"
            | "da"
            | "di"
            | "du"
            | "das"
            | "dos"
            | "al"
            | "el"
            | "bin"
            | "bint"
            | "ibn"
            | "abu"
            | "mac"
            | "mc"
            | "fitz"
            | "saint"
            | "st"
    )
}

#[cfg(test)]
mod tests;
