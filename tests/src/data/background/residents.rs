//! Who lives together: couples, families, people alone, rooms that strangers share.

use causeway_node::normalise::Sex;
use causeway_proto::day::Day;

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    homes::Homes,
    names::{self, Group, Names},
    numbers::Numbers,
};

/// Everybody who lives in the town, and where.
pub(super) struct Town {
    /// Every home, let or left.
    pub(super) homes: Homes,
    /// By number.
    pub(super) people: Vec<Person>,
    /// By number.
    pub(super) households: Vec<Household>,
}

/// One person as they really are.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The place among the people.
    pub(super) number: usize,
    /// The place among the households.
    pub(super) household: usize,
    pub(super) group: Group,
    pub(super) forename: String,
    pub(super) middle: String,
    pub(super) surname: String,
    /// The name before, and since when the other.
    pub(super) before: Option<(String, Day)>,
    pub(super) sex: Sex,
    pub(super) born: Day,
    pub(super) died: Option<Day>,
    /// The home before, and the day of the move.
    pub(super) moved: Option<(usize, Day)>,
    pub(super) nhs: String,
    /// Of those who have been to school lately.
    pub(super) upn: String,
    /// From the age of sixteen.
    pub(super) nino: String,
}

/// People who live together.
#[derive(Clone, Debug)]
pub(super) struct Household {
    /// The place among the homes.
    pub(super) home: usize,
    /// The places among the people, adults first.
    pub(super) members: Vec<usize>,
    /// Strangers who share a house.
    pub(super) rooms: bool,
    /// Whether the home is the council's or a housing association's.
    pub(super) social: bool,
    /// Whether the doctor is of the practices that take part.
    pub(super) practice: bool,
}

/// What kind of household, per thousand households.
const KINDS: &[(Kind, u32)] = &[
    (Kind::Family, 345),
    (Kind::Couple, 170),
    (Kind::Parent, 160),
    (Kind::Alone, 120),
    (Kind::OldAlone, 90),
    (Kind::OldCouple, 55),
    (Kind::ThreeGenerations, 25),
    (Kind::Rooms, 20),
    (Kind::FatherAndSon, 15),
];

#[derive(Clone, Copy)]
enum Kind {
    Family,
    Couple,
    Parent,
    Alone,
    OldAlone,
    OldCouple,
    ThreeGenerations,
    Rooms,
    FatherAndSon,
}

/// Moves people in.
pub(super) struct Settler {
    pub(super) town: Town,
    pub(super) as_at: Day,
    pub(super) dice: StdRng,
    names: Names,
    numbers: Numbers,
}

impl Settler {
    /// Begins an empty town.
    pub(super) fn new(seed: u64, as_at: Day) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let homes = Homes::new(&mut dice);
        let town = Town { homes, people: Vec::new(), households: Vec::new() };
        Self { town, as_at, dice, names: Names::read(), numbers: Numbers::default() }
    }

    /// Moves in households until there are so many people.
    pub(super) fn settle(&mut self, people: usize) {
        while self.town.people.len() < people {
            let mut at = self.dice.random_range(0..KINDS.iter().map(|(_, share)| share).sum());
            let kind = KINDS.iter().find(|(_, share)| {
                let found = at < *share;
                at = at.saturating_sub(*share);
                found
            });
            self.household(kind.expect("the shares cover the range").0);
        }
    }

    fn household(&mut self, kind: Kind) {
        let group = Names::group(&mut self.dice);
        let rooms = matches!(kind, Kind::Rooms);
        let home = self.town.homes.let_one(rooms, &mut self.dice);
        self.town.households.push(Household {
            home,
            members: Vec::new(),
            rooms,
            social: self.dice.random_bool(0.42),
            practice: self.dice.random_bool(0.4),
        });
        match kind {
            Kind::Family => {
                let (one, other) = self.couple(group, 24..46);
                let children = [1, 1, 2, 2, 2, 2, 3, 3, 4][self.dice.random_range(0..9)];
                self.children(Some(one), other, children);
            }
            Kind::Couple => {
                self.couple(group, 20..66);
            }
            Kind::Parent => {
                let (sex, age) = (self.mostly(Sex::Female, 0.88), self.age(19..46));
                let parent = self.person(group, sex, age, None);
                let children = [1, 1, 1, 2, 2, 3][self.dice.random_range(0..6)];
                let father = self.dice.random_bool(0.35).then(|| self.parted(parent));
                self.children(father, parent, children);
            }
            Kind::Alone | Kind::OldAlone => {
                let old = matches!(kind, Kind::OldAlone);
                let (share, ages) = if old { (0.68, 68..96) } else { (0.42, 20..67) };
                let (sex, age) = (self.mostly(Sex::Female, share), self.age(ages));
                self.person(group, sex, age, None);
            }
            Kind::OldCouple => {
                self.couple(group, 66..91);
            }
            Kind::ThreeGenerations => {
                let (one, other) = self.couple(group, 28..46);
                let surname = self.town.people[one].surname.clone();
                let age = self.age(66..90);
                self.person(group, Sex::Female, age, Some(&surname));
                self.children(Some(one), other, 2);
            }
            Kind::Rooms => {
                for _ in 0..self.dice.random_range(4..=7) {
                    let group = Names::group(&mut self.dice);
                    let (sex, age) = (self.mostly(Sex::Male, 0.65), self.age(19..52));
                    self.person(group, sex, age, None);
                }
            }
            Kind::FatherAndSon => {
                let (father, _) = self.couple(group, 48..72);
                let (forename, middle, surname, born) = {
                    let father = &self.town.people[father];
                    let name = (father.forename.clone(), father.middle.clone());
                    (name.0, name.1, father.surname.clone(), father.born)
                };
                let days = self.dice.random_range(8_000..11_000);
                let son = self.person(group, Sex::Male, born.plus(days), Some(&surname));
                self.town.people[son].forename = forename;
                self.town.people[son].middle = middle;
            }
        }
    }

    /// Adds two adults of about one age, most of them a man and a woman who took his name.
    fn couple(&mut self, group: Group, ages: std::ops::Range<i32>) -> (usize, usize) {
        let born = self.age(ages);
        let (sex, apart) = (self.mostly(Sex::Male, 0.97), self.dice.random_range(-2_000..1_500));
        let one = self.person(group, sex, born, None);
        let latest = self.as_at.plus(-365 * 19);
        let other_born = born.plus(-apart).min(latest);
        let of = if self.dice.random_bool(0.9) { group } else { Names::group(&mut self.dice) };
        let other = self.person(of, Sex::Female, other_born, None);
        let custom = if matches!(group, "polish" | "muslim") { 0.8 } else { 0.62 };
        if sex == Sex::Male && self.dice.random_bool(custom) {
            self.marry(one, other);
        }
        (one, other)
    }

    /// Gives her his name, or both, from a day of their lives on.
    fn marry(&mut self, one: usize, other: usize) {
        let his = self.town.people[one].surname.clone();
        let group = self.town.people[one].group;
        let grown = self.town.people[other].born.plus(365 * 19);
        let span = self.as_at.since(grown).max(1);
        // One in ten did so within the last three years.
        let ago = if self.dice.random_bool(0.1) { span.min(1_095) } else { span };
        let day = self.as_at.plus(-self.dice.random_range(0..ago));
        let her = &mut self.town.people[other];
        let name = if self.dice.random_bool(0.08) {
            format!("{}-{his}", her.surname)
        } else {
            names::womans(&his, group, &mut self.dice)
        };
        if name != her.surname {
            her.before = Some((std::mem::replace(&mut her.surname, name), day));
        }
    }

    /// Adds children of a woman and perhaps a man; some are twins.
    fn children(&mut self, father: Option<usize>, mother: usize, count: usize) {
        let (group, born) = (self.town.people[mother].group, self.town.people[mother].born);
        let of_mother = self.town.people[mother].surname.clone();
        let of_father = father.map(|at| self.town.people[at].surname.clone());
        let surname = match of_father {
            None => of_mother,
            Some(his) if his == of_mother || of_mother.contains('-') => of_mother,
            Some(his) => match self.dice.random_range(0..20) {
                0..=3 => format!("{of_mother}-{his}"),
                4..=6 => of_mother,
                _ => his,
            },
        };
        let span = self.as_at.since(born.plus(365 * 18)).clamp(30, 365 * 19);
        let mut last: Option<usize> = None;
        for _ in 0..count {
            let sex = self.mostly(Sex::Male, 0.51);
            let twin = last.filter(|_| self.dice.random_bool(0.03));
            let (sex, born) = match twin.map(|at| &self.town.people[at]) {
                Some(twin) if self.dice.random_bool(0.65) => (twin.sex, twin.born),
                Some(twin) => (sex, twin.born),
                None => (sex, self.as_at.plus(-self.dice.random_range(5..span))),
            };
            let name = match sex {
                Sex::Female if group == "polish" => names::womans(&surname, group, &mut self.dice),
                _ => surname.clone(),
            };
            last = Some(self.person(group, sex, born, Some(&name)));
        }
    }

    /// Moves in the man who has left a woman's home, nearby.
    fn parted(&mut self, parent: usize) -> usize {
        let household = self.town.people[parent].household;
        let (group, born) = (self.town.people[parent].group, self.town.people[parent].born);
        let left = self.town.households[household].home;
        let home = self.town.homes.let_one(false, &mut self.dice);
        let new =
            Household { home, members: Vec::new(), ..self.town.households[household].clone() };
        self.town.households.push(new);
        let born = born.plus(-self.dice.random_range(0..1_500));
        let father = self.person(group, Sex::Male, born, None);
        self.town.people[father].moved =
            Some((left, self.as_at.plus(-self.dice.random_range(30..1_095))));
        // Whoever comes next lives with the mother.
        let at = self.town.households.len() - 1;
        self.town.households.swap(household, at);
        self.town.people[father].household = household;
        for member in self.town.households[at].members.clone() {
            self.town.people[member].household = at;
        }
        father
    }

    /// Adds a person to the last household.
    fn person(&mut self, group: Group, sex: Sex, born: Day, surname: Option<&str>) -> usize {
        let (number, household) = (self.town.people.len(), self.town.households.len() - 1);
        let dice = &mut self.dice;
        let year = born.ymd().0;
        let own = match surname {
            Some(surname) => surname.to_owned(),
            None => {
                let surname = self.names.surname(group, dice);
                if sex == Sex::Female { names::womans(&surname, group, dice) } else { surname }
            }
        };
        let members = &self.town.households[household].members;
        let taken = |name: &str| {
            let mut people = members.iter().map(|at| &self.town.people[*at]);
            people.any(|person| person.forename == name && person.surname == own)
        };
        let mut forename = self.names.forename(group, sex, year, dice);
        while taken(forename) {
            forename = self.names.forename(group, sex, year, dice);
        }
        let middle = match dice.random_bool(0.7) {
            true => self.names.forename(group, sex, year, dice),
            false => "",
        };
        let age = born.years_until(self.as_at);
        let first_year = year + 4;
        self.town.people.push(Person {
            number,
            household,
            group,
            forename: forename.to_owned(),
            middle: if middle == forename { String::new() } else { middle.to_owned() },
            surname: own,
            before: None,
            sex,
            born,
            died: None,
            moved: None,
            nhs: self.numbers.nhs(),
            upn: if (3..25).contains(&age) { self.numbers.upn(first_year) } else { String::new() },
            nino: if age >= 16 { self.numbers.nino() } else { String::new() },
        });
        self.town.households[household].members.push(number);
        number
    }

    /// Draws a day of birth for an age.
    fn age(&mut self, years: std::ops::Range<i32>) -> Day {
        let days = self.dice.random_range(years.start * 365..years.end * 365);
        self.as_at.plus(-days - days / 1_460)
    }

    fn mostly(&mut self, sex: Sex, share: f64) -> Sex {
        let other = if sex == Sex::Male { Sex::Female } else { Sex::Male };
        if self.dice.random_bool(share) { sex } else { other }
    }
}

impl Town {
    /// Returns the household of a person.
    pub(super) fn household_of(&self, person: &Person) -> &Household {
        &self.households[person.household]
    }
}

impl Person {
    /// Returns the age on a day, in years.
    pub(super) fn age(&self, on: Day) -> i32 {
        self.born.years_until(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_town_has_twins_sons_named_for_fathers_rooms_and_people_who_moved() {
        let mut settler = Settler::new(1, "2025-11-01".parse().expect("it is a day"));
        settler.settle(6_000);
        settler.move_house();
        settler.die();
        let Settler { town, as_at, .. } = settler;

        let (mut twins, mut namesakes) = (0, 0);
        for household in &town.households {
            let members: Vec<_> = household.members.iter().map(|at| &town.people[*at]).collect();
            for (at, one) in members.iter().enumerate() {
                assert!(std::ptr::eq(town.household_of(one), household));
                for other in &members[at + 1..] {
                    let names = |person: &Person| (person.forename.clone(), person.surname.clone());
                    twins += usize::from(one.born == other.born && names(one) != names(other));
                    namesakes += usize::from(one.born != other.born && names(one) == names(other));
                }
            }
        }
        let share = |is: &dyn Fn(&Person) -> bool| {
            town.people.iter().filter(|person| is(person)).count() * 100 / town.people.len()
        };
        assert!((5..100).contains(&twins), "{twins}");
        assert!((10..100).contains(&namesakes), "{namesakes}");
        assert!((20..80).contains(&town.households.iter().filter(|h| h.rooms).count()));
        assert!((25..40).contains(&share(&|person| person.age(as_at) < 18)));
        assert!((5..20).contains(&share(&|person| person.age(as_at) >= 66)));
        assert!((8..18).contains(&share(&|person| person.moved.is_some())));
        assert!((8..30).contains(&share(&|person| person.before.is_some())));
        assert!(town.people.iter().any(|person| person.died.is_some()));
        assert!(town.people.iter().all(|person| person.born <= as_at));
    }
}
