//! Folds text in any spelling into lower-case ASCII.
//!
//! What a clerk's keyboard, a word processor or a bad conversion did to a letter must not show
//! afterwards: case, accents, ligatures, curly quotes, zero-width characters, letters of another
//! alphabet that merely look Latin. A word written wholly in Cyrillic or Greek is read as British records
//! write it, and one in any other script letter by letter. What stands for no letter, such as the sign for
//! one that could not be read, is dropped, and the caller is told.

use any_ascii::any_ascii_char;
use encoding_rs::WINDOWS_1252;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Text folded to lower-case ASCII.
#[derive(PartialEq, Eq)]
pub struct Folded {
    /// The text. Punctuation is kept for the rules that read it; control characters are spaces.
    pub text: String,
    /// True when letters were dropped because nobody can say which they were.
    pub lost_letters: bool,
}

/// Folds `text` to lower-case ASCII.
pub fn fold(text: &str) -> String {
    folded(text).text
}

/// Folds `text` to lower-case ASCII, and says whether letters were lost.
pub fn folded(text: &str) -> Folded {
    if text.is_ascii() {
        return Folded { text: fold_ascii(&without_entities(text)), lost_letters: false };
    }
    let repaired = repair_double_encoding(text);
    let text = without_entities(repaired.as_deref().unwrap_or(text));

    let mut out = Folded { text: String::with_capacity(text.len()), lost_letters: false };
    for (at, word) in text.split(char::is_whitespace).enumerate() {
        if at > 0 {
            out.text.push(' ');
        }
        fold_word(word, &mut out);
    }
    out
}

fn fold_ascii(text: &str) -> String {
    text.chars().map(plain_ascii).collect()
}

const fn plain_ascii(c: char) -> char {
    match c {
        '`' => '\'',
        _ if c.is_ascii_control() => ' ',
        _ => c.to_ascii_lowercase(),
    }
}

/// Folds one word. Whether a Cyrillic or Greek letter stands for its look or for its sound depends
/// on its company: among Latin letters somebody typed a look-alike.
fn fold_word(word: &str, out: &mut Folded) {
    let is_latin = |c: char| c.is_ascii_alphabetic() || latin(c).is_some();
    let mixed = word.chars().any(is_latin);
    for c in word.chars() {
        if is_invisible(c) {
            continue;
        }
        if let Some(mark) = punctuation(c) {
            out.text.push(mark);
            continue;
        }
        // Before decomposition, which takes some of these for other letters.
        if let Some(letters) = look_alike(c).filter(|_| mixed) {
            out.text.push_str(letters);
            continue;
        }
        decompose_compatible(c, |part| fold_char(part, mixed, out));
    }
}

fn fold_char(c: char, mixed: bool, out: &mut Folded) {
    if c.is_ascii() {
        out.text.push(plain_ascii(c));
    } else if is_accent(c) {
        // An accent: the letter before it is what every node agrees on.
    } else if let Some(letters) = latin(c) {
        out.text.push_str(letters);
    } else if let Some(letters) = (if mixed { look_alike(c) } else { None }).or_else(|| sound(c)) {
        out.text.push_str(letters);
    } else if c.is_alphanumeric() || is_combining_mark(c) || c == char::REPLACEMENT_CHARACTER {
        let letters = any_ascii_char(c).chars().filter(char::is_ascii_alphanumeric);
        let before = out.text.len();
        out.text.extend(letters.map(plain_ascii));
        out.lost_letters |= out.text.len() == before && !is_combining_mark(c);
    } else if let Some(mark) = punctuation(c) {
        out.text.push(mark);
    } else {
        out.text.push(' ');
    }
}

/// Returns whether a mark only says how the letter before it sounds. From Devanagari to Myanmar, and in
/// Khmer, marks are the vowels between consonants; in Hebrew and Arabic they are seldom written.
fn is_accent(c: char) -> bool {
    is_combining_mark(c) && !matches!(c, '\u{900}'..='\u{109f}' | '\u{1780}'..='\u{17ff}')
}

/// Returns whether a character has no width and no meaning: joiners, marks of direction, soft
/// hyphens, byte order marks, variation selectors.
const fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
    )
}

/// Returns the plain form of a typographic mark. Some of these must be read before decomposition,
/// which takes U+00B4, a common apostrophe, for a space and an accent.
const fn punctuation(c: char) -> Option<char> {
    match c {
        '\u{b4}'
        | '\u{2b9}'
        | '\u{2bb}'..='\u{2bd}'
        | '\u{2018}'..='\u{201b}'
        | '\u{2032}'
        | '\u{a78c}'
        | '\u{ff07}' => Some('\''),
        '\u{201c}'..='\u{201f}' | '\u{ab}' | '\u{bb}' | '\u{2033}' | '\u{ff02}' => Some('"'),
        '\u{2010}'..='\u{2015}' | '\u{2212}' | '\u{fe58}' | '\u{fe63}' | '\u{ff0d}' => Some('-'),
        _ => None,
    }
}

/// Returns the spelling of a Latin letter that no accent explains.
const fn latin(c: char) -> Option<&'static str> {
    Some(match c {
        'ß' | 'ẞ' => "ss",
        'Æ' | 'æ' => "ae",
        'Œ' | 'œ' => "oe",
        'Ø' | 'ø' => "o",
        'Ł' | 'ł' => "l",
        'Đ' | 'đ' | 'Ð' | 'ð' | 'Ɖ' | 'ɖ' | 'Ɗ' | 'ɗ' => "d",
        'Þ' | 'þ' => "th",
        'ı' => "i",
        'Ħ' | 'ħ' => "h",
        'Ŋ' | 'ŋ' => "ng",
        'Ŧ' | 'ŧ' => "t",
        'Ə' | 'ə' | 'Ɛ' | 'ɛ' => "e",
        'Ɔ' | 'ɔ' => "o",
        'Ɓ' | 'ɓ' => "b",
        'Ƙ' | 'ƙ' | 'ĸ' => "k",
        'Ƴ' | 'ƴ' => "y",
        'Ɣ' | 'ɣ' | 'ɡ' => "g",
        'ɑ' => "a",
        _ => return None,
    })
}

/// Returns the Latin letter that a Cyrillic or Greek one is taken for at a glance.
const fn look_alike(c: char) -> Option<&'static str> {
    Some(match c {
        'а' | 'А' | 'α' | 'Α' => "a",
        'В' | 'в' | 'Β' | 'β' => "b",
        'с' | 'С' | 'ϲ' | 'Ϲ' => "c",
        'ԁ' => "d",
        'е' | 'Е' | 'ε' | 'Ε' => "e",
        'Н' | 'н' | 'һ' | 'Һ' | 'Η' => "h",
        'і' | 'І' | 'ι' | 'Ι' => "i",
        'ј' | 'Ј' => "j",
        'к' | 'К' | 'κ' | 'Κ' => "k",
        'ӏ' | 'Ӏ' => "l",
        'м' | 'М' | 'Μ' => "m",
        'Ν' | 'η' => "n",
        'о' | 'О' | 'ο' | 'Ο' => "o",
        'р' | 'Р' | 'ρ' | 'Ρ' => "p",
        'ԛ' => "q",
        'ѕ' | 'Ѕ' => "s",
        'т' | 'Т' | 'τ' | 'Τ' => "t",
        'υ' => "u",
        'ν' | 'ѵ' => "v",
        'ԝ' => "w",
        'х' | 'Х' | 'χ' | 'Χ' => "x",
        'у' | 'У' | 'Υ' => "y",
        'Ζ' => "z",
        _ => return None,
    })
}

/// Returns how a Cyrillic or Greek letter is usually written in British records. Letters that
/// decompose, such as й and ё, arrive here without their mark.
fn sound(c: char) -> Option<&'static str> {
    let lower = c.to_lowercase().next().unwrap_or(c);
    Some(match lower {
        'а' | 'α' => "a",
        'б' => "b",
        'в' | 'β' => "v",
        'г' | 'ґ' | 'γ' => "g",
        'д' | 'δ' => "d",
        'е' | 'э' | 'ε' => "e",
        'ж' => "zh",
        'з' | 'ζ' => "z",
        'и' | 'і' | 'η' | 'ι' => "i",
        'к' | 'κ' => "k",
        'л' | 'λ' => "l",
        'м' | 'μ' => "m",
        'н' | 'ν' => "n",
        'о' | 'ο' | 'ω' => "o",
        'п' | 'π' => "p",
        'р' | 'ρ' => "r",
        'с' | 'ѕ' | 'σ' | 'ς' => "s",
        'т' | 'τ' => "t",
        'у' => "u",
        'ф' | 'φ' => "f",
        'х' => "kh",
        'ц' => "ts",
        'ч' | 'ћ' | 'χ' => "ch",
        'ш' => "sh",
        'щ' => "shch",
        'ы' | 'υ' => "y",
        'ъ' | 'ь' => "",
        'ю' => "yu",
        'я' => "ya",
        'є' => "ye",
        'ј' => "j",
        'љ' => "lj",
        'њ' => "nj",
        'ђ' | 'џ' => "dj",
        'θ' => "th",
        'ξ' => "x",
        'ψ' => "ps",
        _ => return None,
    })
}

/// Undoes UTF-8 that somebody once read as Windows-1252, such as `ZoÃ«` for `Zoë`.
///
/// Only text that is valid UTF-8 again from end to end, and then holds ordinary Latin letters and
/// quotes, is taken for damaged: honest text with an accent practically never is.
fn repair_double_encoding(text: &str) -> Option<String> {
    let (bytes, _, unmappable) = WINDOWS_1252.encode(text);
    if unmappable {
        return None;
    }
    let repaired = std::str::from_utf8(&bytes).ok()?;
    let plausible = |c: char| matches!(c, '\u{0}'..='\u{7f}' | '\u{a0}'..='\u{24f}' | '\u{2010}'..='\u{201f}' | '\u{2032}');
    repaired.chars().all(plausible).then(|| repaired.to_owned())
}

/// Undoes the few character entities that web forms leave in names and addresses.
fn without_entities(text: &str) -> std::borrow::Cow<'_, str> {
    if !text.contains('&') || !text.contains(';') {
        return text.into();
    }
    let mut out = text.to_owned();
    for (entity, plain) in [
        ("&amp;", "&"),
        ("&#39;", "'"),
        ("&#039;", "'"),
        ("&apos;", "'"),
        ("&rsquo;", "'"),
        ("&quot;", "\""),
        ("&nbsp;", " "),
    ] {
        out = out.replace(entity, plain);
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn letters_fold_to_what_every_node_agrees_on() {
        for (written, agreed) in [
            ("DENHOLM", "denholm"),
            ("Zoë Müller", "zoe muller"),
            ("Zoe\u{308}", "zoe"),
            ("Weiß", "weiss"),
            ("Æthelred Œuvre", "aethelred oeuvre"),
            ("Søren Łukasz Đorđe Guðrún Þór", "soren lukasz dorde gudrun thor"),
            ("IŞIK ılgaz İpek", "isik ilgaz ipek"),
            ("Nguyễn Đức", "nguyen duc"),
            ("Siân Llŷr Ŵyn", "sian llyr wyn"),
            ("ＳＭＩＴＨ", "smith"),
            ("ﬁnn", "finn"),
        ] {
            assert_eq!(fold(written), agreed, "{written}");
        }
    }

    #[test]
    fn invisible_characters_and_odd_spaces_do_not_matter() {
        for written in [
            "an\u{200b}na may",
            "an\u{ad}na\u{a0}may",
            "\u{feff}anna\tmay",
            "an\u{2060}na\u{2009}may",
            "\u{202b}anna\u{202c} may",
        ] {
            assert_eq!(fold(written), "anna may");
        }
    }

    #[test]
    fn typographic_marks_are_plain() {
        for written in
            ["O’Neill", "O‘Neill", "O`Neill", "O´Neill", "OʼNeill", "O′Neill", "O&#39;Neill"]
        {
            assert_eq!(fold(written), "o'neill", "{written}");
        }
        assert_eq!(fold("Denholm–Price"), "denholm-price");
        assert_eq!(fold("William “Bill” «B»"), "william \"bill\" \"b\"");
    }

    #[test]
    fn look_alikes_among_latin_letters_are_read_by_their_look() {
        for written in ["Сarol", "Cаrоl", "ϹAROL", "carοl"] {
            assert_eq!(fold(written), "carol", "{written}");
        }
        assert_eq!(fold("ΝATALIE"), "natalie");
    }

    #[test]
    fn whole_words_of_another_alphabet_are_read_by_their_sound() {
        for (written, agreed) in [
            ("Сергей", "sergei"),
            ("Юлия Щукина", "yuliya shchukina"),
            ("Зеленський", "zelenskii"),
            ("Γιώργος Παππάς", "giorgos pappas"),
        ] {
            assert_eq!(fold(written), agreed);
        }
    }

    #[test]
    fn lost_letters_are_reported() {
        assert!(folded("M\u{fffd}ller").lost_letters);
        assert!(!folded("Zoë 😀").lost_letters && !folded("محمد").lost_letters);
    }

    #[test]
    fn other_scripts_are_read_letter_by_letter() {
        for (written, agreed) in [
            ("王芳", "wangfang"),
            ("محمد مُحَمَّد", "mhmd mhmd"),
            ("सीता राम", "sita ram"),
            ("김민준", "gimminjun"),
            ("თამარ", "tamar"),
            ("דוד", "dvd"),
            ("٢٠ ২০", "20 20"),
        ] {
            let read = folded(written);
            assert_eq!((&*read.text, read.lost_letters), (agreed, false), "{written}");
        }
    }

    #[test]
    fn twice_encoded_text_is_read_once() {
        assert_eq!(fold("ZoÃ« Oâ€™Neill"), "zoe o'neill");
        for honest in ["RENÉ’S", "Ågren", "Ã", "Ä"] {
            assert_eq!(repair_double_encoding(honest), None, "{honest}");
        }
    }

    proptest! {
        #[test]
        fn the_result_is_lower_case_ascii_and_stays_what_it_is(text in any::<String>()) {
            let once = fold(&text);
            prop_assert!(once.bytes().all(|b| (b' '..=b'~').contains(&b) && !b.is_ascii_uppercase()));
            if !once.contains('&') {
                prop_assert_eq!(fold(&once), once);
            }
        }
    }
}
