//! Streets: one spelling for each word, and which words end a street's name.

use super::remark;

/// Returns the agreed spelling of one word of a street name.
pub(super) fn agreed(word: &str) -> &str {
    match word {
        "street" | "str" | "saint" => "st",
        "road" => "rd",
        "avenue" | "av" | "avn" | "aven" => "ave",
        "drive" | "drv" | "dve" => "dr",
        "court" | "crt" => "ct",
        "place" => "pl",
        "lane" => "ln",
        "close" | "clo" | "cls" => "cl",
        "crescent" | "cresc" | "crs" => "cres",
        "terrace" | "terr" | "ter" => "tce",
        "gardens" | "garden" | "gdn" | "gards" => "gdns",
        "grove" | "grv" | "gro" => "gr",
        "square" | "sqr" => "sq",
        "parade" => "pde",
        "boulevard" | "bvd" => "blvd",
        "circuit" => "cct",
        "circle" => "cir",
        "highway" => "hwy",
        "parkway" => "pkwy",
        "loop" => "lp",
        "trail" => "trl",
        "walk" => "wlk",
        "way" => "wy",
        "yard" => "yd",
        "mount" => "mt",
        "estate" => "est",
        "heights" => "hts",
        "house" => "hse",
        "cottage" | "cott" => "cottage",
        "cottages" | "cotts" => "cottages",
        "upper" | "uppr" => "upr",
        "lower" | "lowr" => "lwr",
        "great" => "gt",
        "little" | "ltl" => "lt",
        "north" | "nth" => "n",
        "south" | "sth" => "s",
        "east" => "e",
        "west" => "w",
        "northeast" => "ne",
        "northwest" => "nw",
        "southeast" => "se",
        "southwest" => "sw",
        "&" => "and",
        other => other,
    }
}

/// Returns whether a word, in its agreed spelling, nearly always ends a street's name.
pub(super) fn ends_street(word: &str) -> bool {
    matches!(
        agreed(word),
        "st" | "rd"
            | "ave"
            | "dr"
            | "ct"
            | "pl"
            | "ln"
            | "cl"
            | "cres"
            | "tce"
            | "gdns"
            | "gr"
            | "sq"
            | "pde"
            | "blvd"
            | "cct"
            | "cir"
            | "hwy"
            | "pkwy"
            | "lp"
            | "trl"
            | "wlk"
            | "wy"
            | "mews"
            | "rise"
            | "row"
    )
}

/// Returns whether a word ends a street's name where no better one does: also common in the
/// names of towns and districts.
pub(super) fn may_end_street(word: &str) -> bool {
    ends_street(word)
        || matches!(
            agreed(word),
            "hill"
                | "park"
                | "green"
                | "gate"
                | "view"
                | "yd"
                | "quay"
                | "wharf"
                | "end"
                | "field"
                | "fields"
                | "meadow"
                | "meadows"
                | "croft"
                | "drove"
                | "causeway"
                | "vale"
                | "mt"
                | "bank"
                | "side"
                | "common"
                | "heath"
                | "cross"
                | "approach"
                | "path"
                | "passage"
                | "alley"
                | "hollow"
                | "copse"
                | "leys"
                | "brow"
                | "fold"
                | "est"
                | "villas"
                | "cottages"
                | "parc"
                | "heol"
                | "ffordd"
                | "broadway"
        )
}

/// Returns whether a word may follow the end of a street's name and still belong to it.
pub(super) fn is_direction(word: &str) -> bool {
    matches!(agreed(word), "n" | "s" | "e" | "w" | "ne" | "nw" | "se" | "sw" | "extension")
}

/// Returns whether a word usually ends the name of a building.
pub(super) fn ends_building(word: &str) -> bool {
    matches!(
        agreed(word),
        "cottage"
            | "hse"
            | "farm"
            | "farmhouse"
            | "lodge"
            | "villa"
            | "hall"
            | "bungalow"
            | "barn"
            | "manor"
            | "vicarage"
            | "rectory"
            | "mill"
            | "grange"
            | "tower"
            | "towers"
            | "point"
            | "building"
            | "buildings"
            | "block"
            | "apartments"
            | "flats"
            | "mansions"
            | "chambers"
            | "heights"
            | "hts"
            | "inn"
            | "arms"
    )
}

/// Returns how many of the words are the street: up to and with the word that ends it. All of
/// them where none does.
pub(super) fn length(words: &[String]) -> usize {
    let strong = |at: &usize| ends_street(&words[*at]);
    // "St" begins as many names as it ends: another ending further on decides.
    let plain = |at: &usize| strong(at) && words[*at] != "st";
    let after_first = || 1..words.len();
    let first = after_first()
        .find(strong)
        .map(|at| if words[at] == "st" { after_first().find(plain).unwrap_or(at) } else { at })
        .or_else(|| after_first().find(|at| may_end_street(&words[*at])));
    let Some(mut at) = first else {
        return words.len();
    };
    let belongs = |word: &String| (may_end_street(word) && word != "st") || is_direction(word);
    while words.get(at + 1).is_some_and(belongs) {
        at += 1;
    }
    let numbered = |word: &String| word.bytes().all(|b| b.is_ascii_digit());
    if agreed(&words[at]) == "hwy" && words.get(at + 1).is_some_and(numbered) {
        at += 1;
    }
    at + 1
}

/// Writes words in their agreed spelling, with single spaces; `None` for no words.
pub(super) fn write(words: &[String]) -> Option<String> {
    let words: Vec<&str> = words.iter().map(|word| agreed(word)).collect();
    (!words.is_empty() && !remark::is_unknown(&words)).then(|| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn habits_of_abbreviating_do_not_matter() {
        for (street, agreed) in [
            ("larkrise close", "larkrise cl"),
            ("larkrise cl", "larkrise cl"),
            ("moorfield terrace", "moorfield tce"),
            ("moorfield terr", "moorfield tce"),
            ("moorfield tce", "moorfield tce"),
            ("station road", "station rd"),
            ("saint johns street", "st johns st"),
            ("upper north crescent", "upr n cres"),
        ] {
            assert_eq!(write(&words(street)).as_deref(), Some(agreed));
        }
    }

    #[test]
    fn a_street_ends_where_its_last_word_does() {
        for (line, street) in [
            ("high street leicester", "high street"),
            ("high street notting hill", "high street"),
            ("st johns road leicester", "st johns road"),
            ("upper st johns road leicester", "upper st johns road"),
            ("church st st albans", "church st"),
            ("court road", "court road"),
            ("park view leicester", "park view"),
            ("station road east leicester", "station road east"),
            ("lark hill farm road", "lark hill farm road"),
            ("mill lane close wigston", "mill lane close"),
            ("broadway", "broadway"),
            ("quarry rise", "quarry rise"),
            ("the close", "the close"),
        ] {
            let words = words(line);
            assert_eq!(words[..length(&words)].join(" "), street, "{line}");
        }
    }
}
