//! What an address says beside where it is: that it is no home, many homes, or nobody's business.

use std::{collections::HashMap, sync::LazyLock};

use super::street;

/// What stands in an address beside a place, weightiest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Remark {
    /// It is withheld, or a refuge: nothing of it may be used.
    Withheld,
    /// There is no home.
    NoFixedAbode,
    /// Many unrelated people live there.
    Institution,
    /// It is somebody else's, a box, or a place near by.
    NotHome,
}

/// Finds the weightiest remark in the segments of an address.
pub(super) fn find(segments: &[Vec<String>]) -> Option<Remark> {
    let near = segments.first().and_then(|words| words.first());
    let near = near.filter(|word| NEAR.contains(&word.as_str())).map(|_| Remark::NotHome);
    segments.iter().filter_map(|words| find_in(words)).chain(near).min()
}

/// Finds the weightiest remark in one segment. A phrase that merely names a street is none:
/// `Hospital Lane` is a place to live.
fn find_in(words: &[String]) -> Option<Remark> {
    let found = words.iter().enumerate().flat_map(|(at, word)| {
        let phrases = PHRASES.get(word.as_str()).map_or(&[][..], Vec::as_slice);
        phrases.iter().filter_map(move |(phrase, remark)| {
            let after = words[at..].get(phrase.len()..)?;
            let there = words[at..].iter().zip(*phrase).all(|(word, wanted)| word == wanted);
            (there && !ends_here(after)).then_some(*remark)
        })
    });
    found.min()
}

/// Returns whether a street's name ends with the first of these words: what stands before them names it. Not so in
/// `Oak Refuge Park Road`, where a street of its own follows.
fn ends_here(after: &[String]) -> bool {
    let Some((first, rest)) = after.split_first() else { return false };
    let another = match first.as_str() {
        // `St` begins as many names as it ends.
        "st" | "saint" => rest.iter().skip(1).any(|word| street::ends_street(word)),
        _ if street::ends_street(first) => false,
        _ => rest.iter().take(2).any(|word| street::ends_street(word)),
    };
    street::may_end_street(first) && !another
}

type Phrase = &'static [&'static str];

/// Every phrase and what it says, by its first word.
static PHRASES: LazyLock<HashMap<&'static str, Vec<(Phrase, Remark)>>> = LazyLock::new(|| {
    let mut phrases: HashMap<_, Vec<_>> = HashMap::new();
    for (list, remark) in [
        (WITHHELD, Remark::Withheld),
        (NO_FIXED_ABODE, Remark::NoFixedAbode),
        (INSTITUTIONS, Remark::Institution),
        (NOT_HOME, Remark::NotHome),
    ] {
        for phrase in list {
            phrases.entry(phrase[0]).or_default().push((*phrase, remark));
        }
    }
    phrases
});

/// Returns whether the words say only that something is not known: `n/a`, `not known`, a house `0`.
pub(super) fn is_unknown(words: &[impl AsRef<str>]) -> bool {
    let said: String = words.iter().map(AsRef::as_ref).collect();
    UNKNOWN.contains(&said.as_str()) || (!said.is_empty() && said.bytes().all(|b| b == b'0'))
}

const WITHHELD: &[&[&str]] = &[
    &["confidential"],
    &["withheld"],
    &["redacted"],
    &["undisclosed"],
    &["not", "disclosed"],
    &["non", "disclosure"],
    &["protected", "address"],
    &["address", "protected"],
    &["refuge"],
    &["womens", "aid"],
    &["womens", "shelter"],
    &["not", "disclose"],
    &["not", "to", "be", "disclosed"],
    &["not", "for", "disclosure"],
    &["restricted", "address"],
    &["address", "restricted"],
    &["safe", "house"],
    &["safe", "address"],
];

const NO_FIXED_ABODE: &[&[&str]] = &[
    &["nfa"],
    &["no", "fixed"],
    &["no", "permanent", "address"],
    &["homeless"],
    &["rough", "sleeper"],
    &["rough", "sleeping"],
    &["sleeping", "rough"],
    &["sofa", "surfing"],
    &["sofa", "surfer"],
];

/// Without the spaces and strokes between their words.
#[rustfmt::skip]
const UNKNOWN: &[&str] = &[
    "unknown", "notknown", "unk", "nk", "uk", "na", "none", "nil", "null", "tbc", "tba", "noaddress",
    "addressunknown", "addressnotknown", "notrecorded", "notgiven", "notstated", "notprovided",
    "notavailable", "notapplicable", "x", "xx", "xxx",
];

#[rustfmt::skip]
const INSTITUTIONS: &[&[&str]] = &[
    &["care", "home"], &["nursing", "home"], &["residential", "home"], &["rest", "home"],
    &["residential", "care"], &["childrens", "home"], &["extra", "care"], &["sheltered", "housing"],
    &["sheltered", "scheme"], &["supported", "housing"], &["supported", "living"],
    &["supported", "accommodation"], &["temporary", "accommodation"], &["assisted", "living"],
    &["hostel"], &["night", "shelter"], &["foyer"], &["ymca"], &["salvation", "army"],
    &["bed", "and", "breakfast"], &["b", "and", "b"], &["guest", "house"], &["hotel"],
    &["approved", "premises"], &["prison"], &["hmp"], &["hmyoi"], &["yoi"],
    &["young", "offender"], &["young", "offenders"], &["removal", "centre"], &["detention", "centre"],
    &["secure", "unit"], &["secure", "centre"], &["barracks"], &["army", "camp"], &["raf"],
    &["halls", "of", "residence"], &["hall", "of", "residence"], &["student", "halls"],
    &["student", "hall"], &["university", "hall"], &["university", "halls"],
    &["student", "village"], &["student", "accommodation"], &["boarding", "school"], &["hmo"],
    &["house", "in", "multiple", "occupation"], &["bedsit"], &["bedsits"], &["hospital"],
    &["hospice"], &["convent"], &["monastery"],
];

const NOT_HOME: &[&[&str]] =
    &[&["po", "box"], &["p", "o", "box"], &["pobox"], &["c/o"], &["care", "of"]];

/// Words that begin the place of an incident.
const NEAR: &[&str] = &[
    "outside", "opposite", "opp", "near", "nr", "adjacent", "adj", "junction", "jct", "j/w",
    "behind", "land", "o/s",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normalise::address::token::segments;

    #[test]
    fn an_address_says_what_it_is() {
        use Remark::{Institution, NoFixedAbode, NotHome, Withheld};
        for (address, remark) in [
            ("confidential", Some(Withheld)),
            ("address withheld", Some(Withheld)),
            ("oak refuge 12 high street", Some(Withheld)),
            ("oak refuge park road", Some(Withheld)),
            ("oak refuge hill top lane", Some(Withheld)),
            ("oak refuge st johns st", Some(Withheld)),
            ("do not disclose 12 high street", Some(Withheld)),
            ("not to be disclosed", Some(Withheld)),
            ("bluebell care home hill lane", Some(Institution)),
            ("ymca park street leicester", Some(Institution)),
            ("nfa", Some(NoFixedAbode)),
            ("of no fixed abode leicester", Some(NoFixedAbode)),
            ("not known", None),
            ("the elms care home high street", Some(Institution)),
            ("hmp leicester", Some(Institution)),
            ("room 4 hmo", Some(Institution)),
            ("albert barracks", Some(Institution)),
            ("po box 12", Some(NotHome)),
            ("c/o 12 high street", Some(NotHome)),
            ("outside 14 larkrise cl", Some(NotHome)),
            ("12 hospital lane", None),
            ("12 barracks road", None),
            ("3 refuge close", None),
            ("3 refuge park leicester", None),
            ("3 refuge lane st albans", None),
            ("3 hospital st leicester", None),
            ("12 unknown street", None),
            ("12 hotel street", None),
            ("14 larkrise close", None),
        ] {
            assert_eq!(find(&segments(address)), remark, "{address}");
        }
    }
}
