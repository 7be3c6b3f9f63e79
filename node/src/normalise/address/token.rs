//! Splits a folded address into words, and tells numbers from words.

use super::remark;

/// Longest text that is read, in bytes. More is no address.
const LONGEST: usize = 300;

/// Words that announce a flat.
pub(super) const UNITS: &[&str] = &[
    "flat",
    "flt",
    "apartment",
    "apt",
    "aprt",
    "unit",
    "maisonette",
    "studio",
    "penthouse",
    "caravan",
    "pitch",
    "plot",
    "room",
    "rm",
    "bedroom",
    "bedsit",
];

/// Units of which several strangers share a house.
pub(super) const ROOMS: &[&str] = &["room", "rm", "bedroom", "bedsit"];

/// Splits a folded text at its commas into words; parts that only say "not known" are left out.
pub(super) fn segments(folded: &str) -> Vec<Vec<String>> {
    let folded = &folded[..folded.len().min(LONGEST)];
    let segments = folded.split([',', ';', '|']).map(words);
    segments.filter(|words| !words.is_empty() && !remark::is_unknown(words)).collect()
}

/// Splits one segment. A hyphen or slash between numbers means something and is kept; elsewhere it
/// separates.
fn words(segment: &str) -> Vec<String> {
    // First of all: what stands around an apostrophe is next to each other.
    let segment = segment.replace('\'', "");
    let mut words = Vec::new();
    let mut word = String::new();
    let bytes = segment.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    for (at, byte) in bytes.iter().copied().enumerate() {
        let next = at + 1;
        let after_number =
            at > 0 && (digit(at - 1) || (at > 1 && digit(at - 2) && !word.is_empty()));
        match byte {
            b'a'..=b'z' if at > 0 && digit(at - 1) && digit(next) => word.push(digit_like(byte)),
            b'a'..=b'z' | b'0'..=b'9' => word.push(char::from(byte)),
            b'-' | b'/' if after_number && digit(next) => word.push(char::from(byte)),
            b'/' if word == "c" && bytes.get(next) == Some(&b'o') => word.push('/'),
            _ => {
                finish_word(&mut word, &mut words);
                match byte {
                    b'&' => words.push("and".into()),
                    b'-' if bytes.get(next) == Some(&b' ') => words.push("-".into()),
                    _ => {}
                }
            }
        }
    }
    finish_word(&mut word, &mut words);
    if words.iter().any(|word| word == "-") { joined_ranges(words) } else { words }
}

/// Returns the digit that a letter between digits was typed or scanned for.
const fn digit_like(letter: u8) -> char {
    match letter {
        b'o' => '0',
        b'i' | b'l' => '1',
        _ => letter as char,
    }
}

/// Adds a word, separating what was typed without a space: `14larkrise`, `flat2`.
fn finish_word(word: &mut String, words: &mut Vec<String>) {
    if word.is_empty() {
        return;
    }
    let word = std::mem::take(word);
    let digits = word.bytes().take_while(u8::is_ascii_digit).count();
    let after = &word[digits..];
    if digits > 0 && after.len() >= 3 && after.bytes().all(|b| b.is_ascii_lowercase()) {
        words.extend([word[..digits].to_owned(), after.to_owned()]);
        return;
    }
    let letters = word.bytes().take_while(u8::is_ascii_lowercase).count();
    if letters < word.len() && UNITS.contains(&&word[..letters]) {
        words.extend([word[..letters].to_owned(), word[letters..].to_owned()]);
        return;
    }
    words.push(word);
}

/// Joins `12 - 14` to `12-14`, and drops other lone hyphens.
fn joined_ranges(words: Vec<String>) -> Vec<String> {
    let mut joined: Vec<String> = Vec::with_capacity(words.len());
    let mut words = words.into_iter().peekable();
    while let Some(word) = words.next() {
        if word != "-" {
            joined.push(word);
        } else if let Some(last) = joined.last_mut()
            && is_number(last)
            && let Some(next) = words.next_if(|next| is_number(next))
        {
            last.push('-');
            last.push_str(&next);
        }
    }
    joined
}

/// Returns whether a word is a house number: `60`, `12a`, `12-14`, `2/60`.
pub(super) fn is_number(word: &str) -> bool {
    let plain = |part: &str| {
        let digits = part.bytes().take_while(u8::is_ascii_digit).count();
        let rest = &part.as_bytes()[digits..];
        digits > 0 && matches!(rest, [] | [b'a'..=b'z'])
    };
    word.len() <= 12 && word.split(['-', '/']).all(plain)
}

/// Returns whether a word names a flat after `Flat`: a number, a letter, `2f1`.
pub(super) fn is_unit_id(word: &str) -> bool {
    let mixed = word.len() <= 5 && word.bytes().any(|b| b.is_ascii_digit());
    word.len() == 1 || mixed || is_number(word)
}

/// Writes a number without leading zeros.
pub(super) fn agreed_number(number: &str) -> String {
    let mut agreed = String::with_capacity(number.len());
    let mut leading = true;
    let mut rest = number.bytes().peekable();
    while let Some(byte) = rest.next() {
        let spare = byte == b'0' && leading && rest.peek().is_some_and(u8::is_ascii_digit);
        if !spare {
            agreed.push(char::from(byte));
            leading = matches!(byte, b'-' | b'/');
        }
    }
    agreed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_where_they_were_meant_to_be() {
        for (segment, expected) in [
            ("14 larkrise cl", &["14", "larkrise", "cl"][..]),
            ("14larkrise cl.", &["14", "larkrise", "cl"]),
            ("flat2 60 st. john's rd", &["flat", "2", "60", "st", "johns", "rd"]),
            ("2/60 station road", &["2/60", "station", "road"]),
            ("12 - 14 high street", &["12-14", "high", "street"]),
            ("12a-14b high", &["12a-14b", "high"]),
            ("stoke-on-trent - uk", &["stoke", "on", "trent", "uk"]),
            ("c/o smith & co", &["c/o", "smith", "and", "co"]),
            ("4o00 nw 1l2", &["4000", "nw", "112"]),
            ("0o'0 road", &["000", "road"]),
            ("3rd road 12th avenue", &["3rd", "road", "12th", "avenue"]),
            (" -- ", &[]),
        ] {
            assert_eq!(words(segment), expected, "{segment}");
        }
    }

    #[test]
    fn numbers_are_told_from_words() {
        for number in ["6", "60", "12a", "12-14", "2/60", "12a-14b"] {
            assert!(is_number(number), "{number}");
        }
        for word in ["", "a", "12th", "a12", "12ab", "-", "12-", "/2"] {
            assert!(!is_number(word), "{word}");
        }
        for (number, agreed) in
            [("060", "60"), ("0", "0"), ("00", "0"), ("02/060", "2/60"), ("100", "100")]
        {
            assert_eq!(agreed_number(number), agreed);
        }
    }
}
