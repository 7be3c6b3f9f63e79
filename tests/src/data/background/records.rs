//! What the agencies' systems hold: each person as each system has them, with its mistakes.

use causeway_node::{normalise::Sex, source::RawPerson};
use causeway_proto::{catalogue::AgencyKind, day::Day};

use rand::{RngExt, rngs::StdRng, seq::SliceRandom};

use super::{
    super::{Record, Truth},
    agencies::{SYSTEMS, System, holds},
    names::Names,
    residents::{Person, Town},
    slips,
};

/// The first number of every system.
const FIRST_NUMBER: usize = 100_001;

/// A record, and whose it is.
pub(super) struct Held {
    /// What the system has.
    pub(super) record: Record,
    /// The person's place among the people.
    pub(super) person: usize,
    /// Whether it holds the address of today.
    pub(super) current: bool,
}

/// Writes every agency's records, in the order of their numbers, which says nothing.
pub(super) fn write(town: &Town, as_at: Day, dice: &mut StdRng) -> Vec<Held> {
    let names = Names::read();
    let mut all = Vec::new();
    for system in SYSTEMS {
        let mut held = Vec::new();
        for person in &town.people {
            if dice.random_range(0..1000) >= holds(system.agency, person, town, as_at) {
                continue;
            }
            let mut writer = Writer { town, names: &names, system, as_at, dice: &mut *dice };
            held.push(writer.record(person));
            while writer.happens(system.again) {
                held.push(writer.record(person));
            }
        }
        held.shuffle(dice);
        for (number, held) in (FIRST_NUMBER..).zip(&mut held) {
            held.record.local_id = format!("{}{number}", system.prefix);
        }
        all.append(&mut held);
    }
    all
}

struct Writer<'a> {
    town: &'a Town,
    names: &'a Names,
    system: &'a System,
    as_at: Day,
    dice: &'a mut StdRng,
}

impl Writer<'_> {
    fn happens(&mut self, permille: u32) -> bool {
        self.dice.random_range(0..1000) < permille
    }

    fn record(&mut self, person: &Person) -> Held {
        let mut raw = RawPerson::default();
        let members = self.town.household_of(person).members.len();
        let nameless = self.system.agency == AgencyKind::Fire && self.happens(600);
        if nameless {
            (raw.forename, raw.surname) = ("UNKNOWN".into(), "OCCUPIER".into());
        } else {
            self.name(person, &mut raw);
            self.birth(person, &mut raw);
            self.numbers(person, &mut raw);
        }
        let current = self.address(person, &mut raw);
        if self.happens(self.system.capitals) {
            let fields = [&mut raw.forename, &mut raw.middle, &mut raw.surname, &mut raw.address];
            fields.into_iter().for_each(|field| *field = field.to_uppercase());
        }
        let whose = if nameless && members > 1 { None } else { Some(person.number) };
        Held {
            record: Record {
                agency: self.system.agency,
                source: self.system.source.to_owned(),
                local_id: String::new(),
                person: raw,
                restriction: None,
                truth: Truth {
                    person: whose.map(|number| format!("bg-p-{number:06}")).unwrap_or_default(),
                    household: format!("bg-{:06}", person.household),
                },
            },
            person: person.number,
            current,
        }
    }

    fn name(&mut self, person: &Person, raw: &mut RawPerson) {
        let system = self.system;
        raw.forename.clone_from(&person.forename);
        raw.surname.clone_from(&person.surname);
        if let Some((before, since)) = &person.before {
            // A change of these three years has not reached everybody.
            let recent = self.as_at.since(*since) < 1_095;
            let share = if recent { system.old_name * 3 / 2 } else { system.old_name };
            if self.happens(share) {
                raw.surname.clone_from(before);
            }
        }
        if let Some((one, other)) = raw.surname.clone().split_once('-')
            && self.happens(system.half_name)
        {
            raw.surname = if self.dice.random_bool(0.5) { one.into() } else { other.into() };
        }
        if self.happens(system.middle) {
            raw.middle.clone_from(&person.middle);
        } else if system.middle > 0 && self.dice.random_bool(0.5) {
            raw.middle = slips::initial(&person.middle);
        }
        if self.happens(system.nickname)
            && let Some(short) = self.names.short(&person.forename, self.dice)
        {
            if system.agency == AgencyKind::Police && self.dice.random_bool(0.4) {
                raw.alias = format!("{short} {}", person.surname);
            } else {
                raw.forename = short.to_owned();
            }
        }
        if self.happens(system.typo) {
            let field =
                if self.dice.random_bool(0.5) { &mut raw.forename } else { &mut raw.surname };
            *field = slips::typo(field, self.dice);
        }
        if self.happens(system.exchanged) {
            std::mem::swap(&mut raw.forename, &mut raw.surname);
        }
        if self.happens(system.initial) {
            raw.forename = slips::initial(&raw.forename);
            raw.middle.clear();
        }
        let newborn = self.as_at.since(person.born) < 120;
        if system.agency == AgencyKind::Nhs && newborn && self.dice.random_bool(0.4) {
            (raw.forename, raw.middle) = ("BABY OF".into(), String::new());
        }
        if person.age(self.as_at) >= 18 && self.happens(system.title) {
            raw.title = match (person.sex, person.before.is_some()) {
                (Sex::Male, _) => "Mr",
                (Sex::Female, true) => "Mrs",
                (Sex::Female, false) => ["Miss", "Ms"][self.dice.random_range(0..2)],
            }
            .to_owned();
        }
    }

    fn birth(&mut self, person: &Person, raw: &mut RawPerson) {
        if !self.happens(self.system.no_birth) {
            let month_only = self.system.agency == AgencyKind::ChildrensSocialCare;
            raw.dob = if self.happens(self.system.stand_in) {
                slips::stand_in(person.born, month_only, self.dice)
            } else if self.happens(self.system.wrong_birth) {
                slips::wrong_day(person.born, self.dice)
            } else {
                person.born.to_string()
            };
        }
        if self.system.agency != AgencyKind::Revenues && !self.happens(15) {
            raw.sex = if person.sex == Sex::Female { "F".into() } else { "M".into() };
        }
        // A death reaches some agencies late or never.
        let told = match self.system.agency {
            AgencyKind::Nhs => 970,
            AgencyKind::Dwp | AgencyKind::AdultSocialCare => 850,
            AgencyKind::Housing | AgencyKind::ChildrensSocialCare => 500,
            _ => 100,
        };
        if let Some(day) = person.died
            && self.happens(told)
        {
            raw.deceased = day.to_string();
        }
    }

    fn numbers(&mut self, person: &Person, raw: &mut RawPerson) {
        let system = self.system;
        let numbers = [
            (&mut raw.nhs, &person.nhs, system.nhs),
            (&mut raw.upn, &person.upn, system.upn),
            (&mut raw.nino, &person.nino, system.nino),
        ];
        for (field, number, share) in numbers {
            if self.happens(share) {
                field.clone_from(number);
            }
        }
    }

    /// Writes where the person lives or lived. Returns whether it is where they live today.
    fn address(&mut self, person: &Person, raw: &mut RawPerson) -> bool {
        let system = self.system;
        let today = self.town.household_of(person).home;
        let old = person.moved.filter(|_| self.happens(system.old_home));
        let home = self.town.homes.get(old.map_or(today, |(home, _)| home));
        let (flat, short) = (!self.happens(system.no_flat), self.happens(system.short_street));
        raw.address = home.line(flat, short);
        raw.postcode.clone_from(&home.postcode);
        if self.happens(system.wrong_postcode) {
            raw.postcode = slips::wrong_postcode(&raw.postcode, self.dice);
        }
        if self.happens(system.tight) {
            raw.postcode.retain(|c| c != ' ');
        }
        if self.happens(system.uprn) {
            raw.uprn = home.uprn.to_string();
        }
        let dated = matches!(system.agency, AgencyKind::Housing | AgencyKind::Revenues);
        match (person.moved, old) {
            (Some((_, day)), None) if dated => raw.residence_from = day.to_string(),
            (_, Some((_, day))) if dated => raw.residence_to = day.to_string(),
            _ => {}
        }
        old.is_none()
    }
}
