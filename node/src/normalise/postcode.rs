//! Reads British postcodes, and mends the few mistakes that have one remedy.

use super::{
    fold::fold,
    quality::{Note, Notes},
};

/// A postcode as far as it can be used: lower case, letters and digits only.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct Postcode {
    /// The whole code, `zx14ab`. One without the British form is kept as written, since other
    /// countries write others and a mistyped one can still be compared.
    pub(super) unit: Option<String>,
    /// Outward code and first inward digit, `zx14`; only of a British postcode.
    pub(super) sector: Option<String>,
    /// Outward code, `zx1`; only of a British postcode.
    pub(super) district: Option<String>,
    /// True for the code that stands for people without a home.
    pub(super) no_fixed_abode: bool,
}

/// Reads a postcode.
pub(super) fn read(text: &str, notes: &mut Notes) -> Postcode {
    let folded = fold(text);
    let written: String = folded.chars().filter(char::is_ascii_alphanumeric).collect();
    if written.is_empty() {
        return Postcode::default();
    }
    if is_pseudo(&written) {
        notes.add(Note::PostcodePseudo);
        return Postcode { no_fixed_abode: written == "zz993vz", ..Postcode::default() };
    }
    if let Some((outward, inward)) = parts(&written) {
        if !has_leading_zero(outward) {
            return British { outward, inward }.into();
        }
        if let Some(mended) = mend(&written) {
            notes.add(Note::PostcodeRepaired);
            return mended;
        }
        return British { outward, inward }.into();
    }
    if is_outward(&written) {
        return Postcode { district: Some(written), ..Postcode::default() };
    }
    if let Some(mended) = mend(&written) {
        notes.add(Note::PostcodeRepaired);
        return mended;
    }
    notes.add(Note::PostcodeForm);
    Postcode { unit: Some(written).filter(|text| is_usable(text)), ..Postcode::default() }
}

/// Finds a whole postcode at the end of a folded address, and where it begins.
pub(super) fn at_end(folded: &str) -> Option<usize> {
    let trimmed = folded.trim_end_matches([' ', ',', '.']);
    let last = trimmed.rfind([' ', ',']).map_or(0, |at| at + 1);
    let before = trimmed[..last].trim_end_matches([' ', ',']);
    let two = before.rfind([' ', ',']).map_or(0, |at| at + 1);
    let compact = |from: usize| -> String {
        trimmed[from..].chars().filter(char::is_ascii_alphanumeric).collect()
    };
    let whole = |from: usize| {
        let text = compact(from);
        parts(&text).is_some() || is_pseudo(&text)
    };
    if last > 0 && whole(last) {
        Some(last)
    } else if trimmed[last..].len() == 3 && two > 0 && whole(two) {
        Some(two)
    } else {
        None
    }
}

struct British<'a> {
    outward: &'a str,
    inward: &'a str,
}

impl From<British<'_>> for Postcode {
    fn from(British { outward, inward }: British<'_>) -> Self {
        Self {
            unit: Some(format!("{outward}{inward}")),
            sector: Some(format!("{outward}{}", &inward[..1])),
            district: Some(outward.to_owned()),
            no_fixed_abode: false,
        }
    }
}

/// Returns whether a code stands for no place: unknown or abroad in health records, forces mail,
/// the old Girobank.
fn is_pseudo(text: &str) -> bool {
    text.starts_with("zz99")
        || text.starts_with("bfpo")
        || text == "gir0aa"
        || (text.starts_with("bf1") && text.len() == 6)
}

/// Splits a postcode of valid form into outward and inward code.
fn parts(text: &str) -> Option<(&str, &str)> {
    if !(5..=7).contains(&text.len()) || !text.is_ascii() {
        return None;
    }
    let (outward, inward) = text.split_at(text.len() - 3);
    (is_outward(outward) && is_inward(inward)).then_some((outward, inward))
}

fn is_inward(text: &str) -> bool {
    let letter = |b: u8| b.is_ascii_lowercase() && !b"cikmov".contains(&b);
    matches!(text.as_bytes(), [d, x, y] if d.is_ascii_digit() && letter(*x) && letter(*y))
}

/// Returns whether a text is an outward code: `a9`, `a99`, `a9a`, `aa9`, `aa99` or `aa9a`, with
/// the letters each place allows.
fn is_outward(text: &str) -> bool {
    let digit = |b: &u8| b.is_ascii_digit();
    let first = |b: &u8| b.is_ascii_lowercase() && !b"qvx".contains(b);
    let second = |b: &u8| b.is_ascii_lowercase() && !b"ijz".contains(b);
    let third = |b: &u8| b"abcdefghjkpstuw".contains(b);
    let fourth = |b: &u8| b"abehmnprvwxy".contains(b);
    match text.as_bytes() {
        [a, b] => first(a) && digit(b),
        [a, b, c] => first(a) && (digit(b) && (digit(c) || third(c)) || second(b) && digit(c)),
        [a, b, c, d] => first(a) && second(b) && digit(c) && (digit(d) || fourth(d)),
        _ => false,
    }
}

fn has_leading_zero(outward: &str) -> bool {
    let digits = outward.trim_start_matches(|c: char| c.is_ascii_lowercase());
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Exchanges look-alikes (0 and O, 1 and I, 5 and S) where a place asks for the other kind, and
/// drops the zero of a district such as `LE01`. Only where exactly one postcode comes out, or one
/// whose area exists.
fn mend(text: &str) -> Option<Postcode> {
    if !(5..=8).contains(&text.len()) {
        return None;
    }
    let (outward, inward) = text.split_at(text.len() - 3);
    let inward: String = inward
        .chars()
        .enumerate()
        .map(|(at, c)| if at == 0 { as_digit(c) } else { as_letter(c) })
        .collect();
    if !is_inward(&inward) {
        return None;
    }
    let mut candidates: Vec<String> = ["ld", "ldd", "ldl", "lld", "lldd", "lldl"]
        .iter()
        .filter(|shape| shape.len() == outward.len())
        .map(|shape| {
            let place = |(c, kind)| if kind == 'l' { as_letter(c) } else { as_digit(c) };
            outward.chars().zip(shape.chars()).map(place).collect()
        })
        .collect();
    let letters = outward.chars().take_while(char::is_ascii_lowercase).count();
    if outward[letters..].starts_with('0') {
        candidates.push(format!("{}{}", &outward[..letters], &outward[letters + 1..]));
    }
    candidates.retain(|candidate| is_outward(candidate) && !has_leading_zero(candidate));
    candidates.sort_unstable();
    candidates.dedup();
    if candidates.len() > 1 {
        candidates.retain(|candidate| {
            let area = candidate.trim_end_matches(|c: char| c.is_ascii_digit());
            AREAS.contains(&area)
        });
    }
    match &candidates[..] {
        [one] => Some(British { outward: one, inward: &inward }.into()),
        _ => None,
    }
}

const fn as_digit(c: char) -> char {
    match c {
        'o' => '0',
        'i' | 'l' => '1',
        's' => '5',
        _ => c,
    }
}

const fn as_letter(c: char) -> char {
    match c {
        '0' => 'o',
        '1' => 'i',
        '5' => 's',
        _ => c,
    }
}

/// Returns whether text without the British form may be some other country's postcode, or this
/// country's mistyped.
fn is_usable(text: &str) -> bool {
    let first = text.as_bytes().first();
    (4..=8).contains(&text.len())
        && text.bytes().any(|b| b.is_ascii_digit())
        && !text.bytes().all(|b| Some(&b) == first)
}

/// The postcode areas in use, to choose between two repairs and for nothing else.
#[rustfmt::skip]
const AREAS: &[&str] = &[
    "ab", "al", "b", "ba", "bb", "bd", "bh", "bl", "bn", "br", "bs", "bt", "ca", "cb", "cf", "ch",
    "cm", "co", "cr", "ct", "cv", "cw", "da", "dd", "de", "dg", "dh", "dl", "dn", "dt", "dy", "e",
    "ec", "eh", "en", "ex", "fk", "fy", "g", "gl", "gu", "gy", "ha", "hd", "hg", "hp", "hr", "hs",
    "hu", "hx", "ig", "im", "ip", "iv", "je", "ka", "kt", "kw", "ky", "l", "la", "ld", "le", "ll",
    "ln", "ls", "lu", "m", "me", "mk", "ml", "n", "ne", "ng", "nn", "np", "nr", "nw", "ol", "ox",
    "pa", "pe", "ph", "pl", "po", "pr", "rg", "rh", "rm", "s", "sa", "se", "sg", "sk", "sl", "sm",
    "sn", "so", "sp", "sr", "ss", "st", "sw", "sy", "ta", "td", "tf", "tn", "tq", "tr", "ts", "tw",
    "ub", "w", "wa", "wc", "wd", "wf", "wn", "wr", "ws", "wv", "yo", "ze",
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn postcode(text: &str) -> (Postcode, Notes) {
        let mut notes = Notes::default();
        (read(text, &mut notes), notes)
    }

    #[test]
    fn british_postcodes_have_unit_sector_and_district() {
        for (text, unit, sector, district) in [
            ("ZX1 4AB", "zx14ab", "zx14", "zx1"),
            ("zx14ab", "zx14ab", "zx14", "zx1"),
            (" SW1A-1AA ", "sw1a1aa", "sw1a1", "sw1a"),
            ("EC1A1BB", "ec1a1bb", "ec1a1", "ec1a"),
            ("W1A 0AX", "w1a0ax", "w1a0", "w1a"),
            ("M1 1AE", "m11ae", "m11", "m1"),
            ("B33 8TH", "b338th", "b338", "b33"),
            ("CR2 6XH", "cr26xh", "cr26", "cr2"),
            ("DN55 1PT", "dn551pt", "dn551", "dn55"),
            ("E20 2ST", "e202st", "e202", "e20"),
            ("N1C 4AG", "n1c4ag", "n1c4", "n1c"),
            ("SE1P 5LX", "se1p5lx", "se1p5", "se1p"),
        ] {
            let (read, notes) = postcode(text);
            let expected = [unit, sector, district].map(|text| Some(text.to_owned()));
            assert!([read.unit, read.sector, read.district] == expected, "{text}");
            assert_eq!(notes, Notes::default(), "{text}");
        }
    }

    #[test]
    fn codes_for_no_place_are_missing() {
        for text in ["ZZ99 3VZ", "zz993cz", "BFPO 57", "BF1 4AB", "GIR 0AA"] {
            let (read, notes) = postcode(text);
            assert!(read.unit.is_none() && read.district.is_none(), "{text}");
            assert!(notes.has(Note::PostcodePseudo), "{text}");
            assert_eq!(read.no_fixed_abode, text == "ZZ99 3VZ");
        }
    }

    #[test]
    fn look_alikes_are_exchanged_where_one_postcode_comes_out() {
        for (text, mended) in [
            ("P01 3AX", "po13ax"),
            ("LE01 1AA", "le11aa"),
            ("B01 1AA", "b11aa"),
            ("ZXI 4AB", "zx14ab"),
            ("LE1 IAA", "le11aa"),
            ("LE1 OAA", "le10aa"),
            ("5W1A 1AA", "sw1a1aa"),
            ("ZX01 4AB", "zx14ab"),
            ("LE1 1A5", "le11as"),
        ] {
            let (read, notes) = postcode(text);
            assert_eq!(read.unit.as_deref(), Some(mended), "{text}");
            assert!(notes.has(Note::PostcodeRepaired), "{text}");
        }
    }

    #[test]
    fn other_forms_are_kept_as_written_or_left_out() {
        for (text, unit) in [
            ("5009", Some("5009")),
            ("02138", Some("02138")),
            ("po113t", Some("po113t")),
            ("LE1 1CC", Some("le11cc")),
            ("LE1 CIK", Some("le1cik")),
            ("unknown", None),
            ("0000", None),
            ("123", None),
            ("", None),
        ] {
            let (read, _) = postcode(text);
            assert_eq!(read.unit.as_deref(), unit, "{text}");
            assert!(read.sector.is_none(), "{text}");
        }
        assert_eq!(postcode("LE14").0.district.as_deref(), Some("le14"));
    }

    #[test]
    fn a_postcode_is_found_at_the_end_of_an_address() {
        for (address, rest) in [
            ("14 larkrise cl, zx1 4ab", Some("14 larkrise cl, ")),
            ("14 larkrise cl zx14ab.", Some("14 larkrise cl ")),
            ("14 larkrise cl", None),
            ("zx1 4ab", None),
        ] {
            assert_eq!(at_end(address).map(|at| &address[..at]), rest, "{address}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_stays_what_it_is(text in any::<String>(), code in "[a-zA-Z0-9 ]{0,9}") {
            for text in [text, code] {
                let (once, _) = postcode(&text);
                at_end(&fold(&text));
                if let Some(unit) = &once.unit {
                    prop_assert!(postcode(unit).0 == once);
                }
            }
        }
    }
}
