//! Other forms a name is known to take: formal names behind a nickname, families of spellings,
//! how it sounds. Each is one more form beside the name itself and never replaces it.

use std::{borrow::Cow, collections::HashMap, sync::LazyLock};

use rphonetic::{DoubleMetaphone, Encoder};

static NICKNAMES: LazyLock<HashMap<&'static str, Vec<&'static str>>> = LazyLock::new(|| {
    let mut formal_by_nickname: HashMap<_, Vec<_>> = HashMap::new();
    for (nickname, formal) in pairs(include_str!("../../data/nicknames.csv")) {
        formal_by_nickname.entry(nickname).or_default().push(formal);
    }
    formal_by_nickname
});

static FAMILIES: LazyLock<HashMap<&'static str, &'static str>> =
    LazyLock::new(|| pairs(include_str!("../../data/name_families.csv")).collect());

/// Reads a table of two columns under a comment and a header.
fn pairs(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str)> {
    let rows = table.lines().filter(|line| !line.starts_with('#')).skip(1);
    rows.filter_map(|line| line.split_once(','))
}

/// Returns the formal names that `forename` may be short for: at most four, one hop away.
///
/// `jay` gives `jayden` among others; `jayden` gives nothing.
pub fn formal_names(forename: &str) -> &'static [&'static str] {
    NICKNAMES.get(forename).map_or(&[], Vec::as_slice)
}

/// Returns the spelling that stands for all spellings of a name, where it has several: `mohammed`
/// for `muhammad`. Polish `sz` is also read as `sh`.
pub fn family(name: &str) -> Option<Cow<'static, str>> {
    if let Some(family) = FAMILIES.get(name) {
        return Some(Cow::Borrowed(family));
    }
    name.contains("sz").then(|| Cow::Owned(name.replace("sz", "sh")))
}

/// Returns whether a name is a spelling of one of the listed families.
pub(super) fn is_family_spelling(name: &str) -> bool {
    FAMILIES.contains_key(name)
}

/// Returns every form a forename may be matched under: itself first, then its formal names, then
/// its family's spelling; no form twice.
pub fn forename_forms(forename: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![Cow::Borrowed(forename)];
    let formal = formal_names(forename).iter().copied().map(Cow::Borrowed);
    for form in formal.chain(family(forename)) {
        if !forms.contains(&form) {
            forms.push(form);
        }
    }
    forms
}

/// Returns how a name sounds: its primary Double Metaphone code in lower case, or its first three
/// letters where the code is empty.
///
/// Takes folded letters only; the code is not cut to a length.
pub fn sound(name: &str) -> String {
    let code = DoubleMetaphone::new(None).encode(name).to_ascii_lowercase();
    if code.is_empty() { name.chars().take(3).collect() } else { code }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_nickname_leads_to_formal_names_in_one_hop() {
        for (nickname, formal) in [
            ("bob", "robert"),
            ("rosie", "rosalind"),
            ("jay", "jayden"),
            ("pip", "phillipa"),
            ("bess", "elizabeth"),
            ("jack", "john"),
            ("daz", "darren"),
            ("mo", "mohammed"),
        ] {
            assert!(formal_names(nickname).contains(&formal), "{nickname}");
        }
        assert!(formal_names("jayden").is_empty());
        assert!(formal_names("no such name").is_empty());
    }

    #[test]
    fn no_nickname_has_more_than_four_formal_names_or_is_its_own() {
        for (nickname, formal) in NICKNAMES.iter() {
            assert!((1..=4).contains(&formal.len()), "{nickname}");
            assert!(!formal.contains(nickname), "{nickname}");
        }
    }

    #[test]
    fn a_family_has_one_spelling_that_stands_for_itself() {
        for spelling in ["muhammad", "mohamed", "md", "maxamed", "mohammed"] {
            assert_eq!(family(spelling).as_deref(), Some("mohammed"), "{spelling}");
        }
        for (spelling, common) in [("husain", "hussein"), ("ahmad", "ahmed"), ("serhii", "sergei")]
        {
            assert_eq!(family(spelling).as_deref(), Some(common));
        }
        assert_eq!(family("szymon").as_deref(), Some("shymon"));
        assert_eq!(family("carol"), None);
        assert!(FAMILIES.values().all(|family| FAMILIES.get(family) == Some(family)));
    }

    #[test]
    fn a_forename_keeps_its_own_form_first() {
        assert_eq!(forename_forms("darren"), ["darren"]);
        assert_eq!(forename_forms("jay"), ["jay", "jacob", "james", "jason", "jayden"]);
        assert_eq!(forename_forms("muhammad"), ["muhammad", "mohammed"]);
    }

    #[test]
    fn spellings_that_sound_alike_have_one_code() {
        for (one, other) in [
            ("holroyd", "holroid"),
            ("kieran", "keiran"),
            ("dennis", "denis"),
            ("carol", "carole"),
            ("stephen", "steven"),
        ] {
            assert_eq!(sound(one), sound(other), "{one}");
        }
        assert_eq!(sound("christopherson"), "krstfrsn");
        assert_eq!(sound("h"), "h");
        assert_eq!(sound(""), "");
    }

    proptest! {
        #[test]
        fn any_folded_name_has_a_sound(name in "[a-z]{0,40}") {
            prop_assert_eq!(sound(&name).is_empty(), name.is_empty());
        }
    }
}
