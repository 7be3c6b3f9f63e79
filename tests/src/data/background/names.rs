//! What people are called: by where their family comes from, by sex and by year of birth.

use rand::{RngExt, rngs::StdRng};

use causeway_node::normalise::Sex;

/// Forenames, most common first, by group, sex and years of birth.
const FORENAMES: &str = include_str!("../../../data/forenames.csv");
/// Surnames, most common first, by group; and parts that make the many rare ones.
const SURNAMES: &str = include_str!("../../../data/surnames.csv");
/// The short forms of forenames.
const NICKNAMES: &str = include_str!("../../../data/nicknames.csv");

/// Where families come from, per thousand.
const GROUPS: &[(Group, u32)] = &[
    ("british", 730),
    ("irish", 40),
    ("muslim", 85),
    ("indian", 35),
    ("polish", 40),
    ("african", 35),
    ("somali", 10),
    ("romanian", 15),
    ("chinese", 10),
];

/// Where a family comes from, as the files of names call it.
pub(super) type Group = &'static str;

/// The names to draw from.
pub(super) struct Names {
    forenames: Vec<Era>,
    surnames: Vec<(Group, Ranked)>,
    shorts: Vec<(&'static str, Vec<&'static str>)>,
}

/// The forenames of those born in some years.
struct Era {
    group: Group,
    sex: Sex,
    from: i16,
    to: i16,
    names: Ranked,
}

/// Names, most common first.
struct Ranked(Vec<&'static str>);

impl Ranked {
    fn of(names: &'static str) -> Self {
        Self(names.split(' ').collect())
    }

    /// Draws a name. Drawing twice makes the first names common and the last ones rare.
    fn draw(&self, dice: &mut StdRng) -> &'static str {
        let most = dice.random_range(0..self.0.len());
        self.0[dice.random_range(0..=most)]
    }
}

impl Names {
    /// Reads the files.
    pub(super) fn read() -> Self {
        let forenames = rows(FORENAMES).map(|[group, sex, from, to, names]| Era {
            group,
            sex: if sex == "F" { Sex::Female } else { Sex::Male },
            from: from.parse().expect("the file's years are numbers"),
            to: to.parse().expect("the file's years are numbers"),
            names: Ranked::of(names),
        });
        let surnames = rows(SURNAMES).map(|[group, names]| (group, Ranked::of(names)));
        let shorts = rows(NICKNAMES).map(|[formal, shorts]| (formal, shorts.split(' ').collect()));
        Self {
            forenames: forenames.collect(),
            surnames: surnames.collect(),
            shorts: shorts.collect(),
        }
    }

    /// Draws where a family comes from.
    pub(super) fn group(dice: &mut StdRng) -> Group {
        let mut at = dice.random_range(0..GROUPS.iter().map(|(_, share)| share).sum::<u32>());
        for (group, share) in GROUPS {
            if at < *share {
                return group;
            }
            at -= share;
        }
        GROUPS[0].0
    }

    /// Draws a forename as it was usual in a year. One in eight is of other years.
    pub(super) fn forename(
        &self,
        group: Group,
        sex: Sex,
        year: i16,
        dice: &mut StdRng,
    ) -> &'static str {
        let of_group = || self.forenames.iter().filter(|era| era.group == group && era.sex == sex);
        let eras: Vec<_> = if dice.random_bool(0.125) {
            of_group().collect()
        } else {
            of_group().filter(|era| (era.from..=era.to).contains(&year)).collect()
        };
        let era = eras[dice.random_range(0..eras.len())];
        era.names.draw(dice)
    }

    /// Draws the surname of a family. A third of the British ones are rare.
    pub(super) fn surname(&self, group: Group, dice: &mut StdRng) -> String {
        if group == "british" && dice.random_bool(0.33) {
            let part = |list, dice: &mut StdRng| {
                let parts = &self.surnames_of(list).0;
                parts[dice.random_range(0..parts.len())]
            };
            return format!("{}{}", part("stems", dice), part("endings", dice));
        }
        self.surnames_of(group).draw(dice).to_owned()
    }

    /// Returns a short form of a forename, if it has one.
    pub(super) fn short(&self, forename: &str, dice: &mut StdRng) -> Option<&'static str> {
        let (_, shorts) = self.shorts.iter().find(|(formal, _)| *formal == forename)?;
        Some(shorts[dice.random_range(0..shorts.len())])
    }

    fn surnames_of(&self, group: Group) -> &Ranked {
        let found = self.surnames.iter().find(|(name, _)| *name == group);
        &found.expect("every group has surnames").1
    }
}

/// The form of a family's surname that its women bear: `Kowalska`, and `Begum` for some.
pub(super) fn womans(surname: &str, group: Group, dice: &mut StdRng) -> String {
    match (group, surname.strip_suffix("ki")) {
        ("polish", Some(stem)) => format!("{stem}ka"),
        ("muslim", _) if dice.random_bool(0.25) => {
            ["Begum", "Bibi", "Khatun", "Akhtar"][dice.random_range(0..4)].to_owned()
        }
        _ => surname.to_owned(),
    }
}

/// The rows of a file below its header.
fn rows<const N: usize>(text: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    text.lines().skip(1).map(|line| {
        let mut fields = line.split(',');
        std::array::from_fn(|_| fields.next().expect("every row has every column"))
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rand::SeedableRng;

    use super::*;

    #[test]
    fn every_group_has_forenames_for_both_sexes_and_every_year() {
        let names = Names::read();
        let mut dice = StdRng::seed_from_u64(1);
        for (group, _) in GROUPS {
            for (sex, year) in [(Sex::Female, 1921), (Sex::Male, 1980), (Sex::Male, 2025)] {
                for _ in 0..50 {
                    assert!(!names.forename(group, sex, year, &mut dice).is_empty());
                    assert!(!names.surname(group, &mut dice).is_empty());
                }
            }
        }
    }

    #[test]
    fn common_names_are_common_and_most_names_are_not() {
        let names = Names::read();
        let mut dice = StdRng::seed_from_u64(1);
        let mut counts = BTreeMap::new();
        for _ in 0..10_000 {
            let group = Names::group(&mut dice);
            *counts.entry(names.surname(group, &mut dice)).or_insert(0) += 1;
        }
        assert!((50..400).contains(&counts["Smith"]), "{}", counts["Smith"]);
        assert!(counts.values().filter(|count| **count < 10).count() > 300);
    }
}
