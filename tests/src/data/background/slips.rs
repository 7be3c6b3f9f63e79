//! The mistakes that people make when they write down who somebody is.

use causeway_proto::day::Day;

use rand::{RngExt, rngs::StdRng};

/// Returns the first letter of a name.
pub(super) fn initial(name: &str) -> String {
    name.chars().take(1).collect()
}

/// Drops, doubles or changes one letter, or exchanges two neighbours. The first letter stays.
pub(super) fn typo(name: &str, dice: &mut StdRng) -> String {
    let mut letters: Vec<char> = name.chars().collect();
    if letters.len() < 3 {
        return name.to_owned();
    }
    let at = dice.random_range(1..letters.len());
    match dice.random_range(0..4) {
        0 => {
            letters.remove(at);
        }
        1 => letters.insert(at, letters[at]),
        2 if at + 1 < letters.len() && letters[at] != letters[at + 1] => letters.swap(at, at + 1),
        _ => letters[at] = near(letters[at], dice),
    }
    letters.into_iter().collect()
}

/// Returns a letter that is heard or struck for another.
fn near(letter: char, dice: &mut StdRng) -> char {
    let others = match letter {
        'a' => "eo",
        'e' => "ai",
        'i' => "ye",
        'o' => "au",
        'u' => "oi",
        'y' => "ie",
        'm' => "n",
        'n' => "mb",
        's' => "zc",
        'c' => "ks",
        'k' => "c",
        't' => "dr",
        'd' => "st",
        'l' => "k",
        _ => "aeinrst",
    };
    let others: Vec<char> = others.chars().filter(|other| *other != letter).collect();
    others[dice.random_range(0..others.len())]
}

/// Returns a date that stands for one not known: the year's first day, in children's services the
/// middle of the month, or a day long ago.
pub(super) fn stand_in(born: Day, month_only: bool, dice: &mut StdRng) -> String {
    let (year, month, _) = born.ymd();
    match dice.random_range(0..4) {
        0 => "1900-01-01".to_owned(),
        _ if month_only => format!("{year:04}-{month:02}-15"),
        _ => format!("{year:04}-01-01"),
    }
}

/// Exchanges day and month, or mistakes the year or the day by a little.
pub(super) fn wrong_day(born: Day, dice: &mut StdRng) -> String {
    let (year, month, day) = born.ymd();
    let swapped = Day::new(year, day, month).filter(|_| day != month && dice.random_bool(0.7));
    let later = if dice.random_bool(0.5) { 1 } else { -1 };
    let wrong = swapped.or_else(|| match dice.random_bool(0.5) {
        true => Day::new(year - 1, month, day),
        false => Day::new(year, month, day + later),
    });
    wrong.unwrap_or_else(|| born.plus(1)).to_string()
}

/// Changes one of the last two letters of a postcode, or the digit before them.
pub(super) fn wrong_postcode(postcode: &str, dice: &mut StdRng) -> String {
    let mut letters: Vec<char> = postcode.chars().collect();
    let last = letters.len() - 1;
    match dice.random_range(0..3) {
        0 => letters.swap(last, last - 1),
        1 => letters[last] = if letters[last] == 'B' { 'D' } else { 'B' },
        _ => letters[last - 2] = if letters[last - 2] == '7' { '1' } else { '7' },
    }
    letters.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn a_typo_is_one_slip_away_from_the_name() {
        let mut dice = StdRng::seed_from_u64(1);
        for name in ["Denholm", "Łukasz", "Ali", "Hughes"] {
            for _ in 0..200 {
                let slip = typo(name, &mut dice);
                assert!(slip.chars().count().abs_diff(name.chars().count()) <= 1, "{slip}");
                assert_eq!(initial(&slip), initial(name));
            }
        }
    }

    #[test]
    fn a_wrong_birthday_is_a_day_and_not_the_right_one() {
        let mut dice = StdRng::seed_from_u64(1);
        for born in ["1987-04-06", "2004-02-29", "1990-05-05", "2001-12-31"] {
            let born: Day = born.parse().expect("it is a day");
            for _ in 0..50 {
                let wrong: Day = wrong_day(born, &mut dice).parse().expect("it is a day");
                assert_ne!(wrong, born);
            }
        }
    }
}
