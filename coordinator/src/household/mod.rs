//! Who lives together, as far as several agencies' dwellings agree.
//!
//! A household is the people of one dwelling. Somebody with two addresses belongs to two, and
//! households never chain through them: an address that an agency forgot to update must not pool a
//! family with strangers. What cannot be told apart is left out: a building whose flats are not
//! named, a house of many unrelated adults (DOMAIN.md 5.5, D8).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use causeway_proto::{
    day::Day,
    dwelling::{Dwelling, Residence},
    ids::DwellingKey,
    linkage::cluster::Groups,
};
use foldhash::{HashMap, HashMapExt};
use rayon::prelude::*;

/// One record of a person, and where its agency says they live.
#[derive(Clone, Debug)]
pub struct Resident {
    /// The record.
    pub record: u32,
    /// The person that linking found.
    pub person: u32,
    /// The record proves no person: it attaches to a household and nothing more.
    pub thin: bool,
    /// What the agency says.
    pub residence: Arc<Residence>,
}

impl Resident {
    /// Returns where they live or lived, as far as it is known and told.
    fn homes(&self) -> &[Dwelling] {
        match &*self.residence {
            Residence::Known(homes) => homes,
            Residence::Uncertain | Residence::Withheld => &[],
        }
    }
}

/// People who share a home, or one person alone.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Household {
    /// Every record of theirs, in order.
    pub members: Vec<Member>,
}

/// One record in a household.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Member {
    /// The record.
    pub record: u32,
    /// Whose it is.
    pub person: u32,
    /// Attached by address only.
    pub attached: bool,
    /// They moved out then: later events are not this household's.
    pub until: Option<Day>,
}

impl Member {
    /// Returns whether they live there on a day. Whoever moves out does so at its end.
    pub fn is_there(&self, as_at: Day) -> bool {
        self.until.is_none_or(|left| left >= as_at)
    }

    /// The last day of the stay, as a number; of those who still live there, one that never comes.
    fn last_day(&self) -> i64 {
        last_day(self.until)
    }
}

/// What is held for one household.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// More surnames among the adults of one dwelling are not a household. DOMAIN.md 5.5 says eight;
    /// D8, eight unrelated adults, needs fewer.
    pub most_surnames: usize,
    /// More people in one dwelling are not a household.
    pub most_people: usize,
    /// People who lived together for fewer days did not. DOMAIN.md 5.5.
    pub least_days: i32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { most_surnames: 5, most_people: 15, least_days: 14 }
    }
}

impl Household {
    /// Returns the people, in order.
    pub fn persons(&self) -> BTreeSet<u32> {
        self.members.iter().map(|member| member.person).collect()
    }

    /// Where it stands among others: those where more live today come first, then larger ones, then those
    /// where people stayed longer.
    fn place(&self) -> impl Ord + Send + use<> {
        let current = self.members.iter().filter(|member| member.until.is_none()).count();
        let ends = self.members.iter().map(|member| (member.record, Reverse(member.last_day())));
        (Reverse(current), Reverse(self.members.len()), ends.collect::<Vec<_>>())
    }

    /// Returns whether everybody in another one is in this one, and for as long: but for fewer days than make
    /// a stay.
    fn covers(&self, other: &Self, limits: Limits) -> bool {
        let stays = |here: &Self| -> BTreeMap<u32, i64> {
            here.members.iter().map(|member| (member.person, member.last_day())).collect()
        };
        let mine = stays(self);
        stays(other).iter().all(|(person, theirs)| {
            mine.get(person).is_some_and(|mine| theirs - mine < i64::from(limits.least_days))
        })
    }

    /// Leaves out records that professionals found not to belong with one of the others, and returns
    /// them.
    pub fn leave_out_strangers(&mut self, is_stranger: impl Fn(u32, u32) -> bool) -> Vec<Member> {
        let belongs =
            |one: &&Member| !self.members.iter().any(|other| is_stranger(one.record, other.record));
        let (stay, out): (Vec<Member>, Vec<Member>) =
            self.members.iter().partition(|one| belongs(one));
        self.members = stay;
        out
    }
}

/// Somebody's stay in one dwelling.
#[derive(Clone, Debug)]
struct Stay {
    from: Option<Day>,
    to: Option<Day>,
    tags: BTreeSet<[u8; 2]>,
    adult: bool,
    attached: bool,
    records: Vec<u32>,
}

/// The last day of a stay, as a number; where it lasts, one that never comes.
fn last_day(until: Option<Day>) -> i64 {
    until.map_or(i64::MAX / 4, |day| day.number().into())
}

/// Puts people together who share a dwelling; everybody else, and whoever moved out and is nowhere now, is a
/// household of one. Those where more live today come first.
pub fn households(residents: &[Resident], limits: Limits) -> Vec<Household> {
    let mut found: Vec<Household> = connected(residents)
        .into_par_iter()
        .flat_map_iter(|group| match &group[..] {
            [resident] if resident.homes().len() < 2 => Vec::from_iter(by_itself(resident)),
            group => among(group, limits),
        })
        .collect();
    found.par_sort_by_cached_key(Household::place);
    found
}

/// Sets of residents that share persons or keys of dwellings, directly or through others: nothing in one
/// set says anything of another.
fn connected(residents: &[Resident]) -> Vec<Vec<&Resident>> {
    let mut groups = Groups::new(residents.len());
    let mut persons: HashMap<u32, u32> = HashMap::with_capacity(residents.len());
    let mut keys: HashMap<DwellingKey, u32> = HashMap::with_capacity(residents.len());
    for (at, resident) in (0u32..).zip(residents) {
        groups.join(*persons.entry(resident.person).or_insert(at), at);
        for key in
            resident.homes().iter().flat_map(|home| home.property.iter().chain(&home.address))
        {
            groups.join(*keys.entry(*key).or_insert(at), at);
        }
    }
    let roots = (0u32..).zip(residents).map(|(at, resident)| (groups.root(at), resident));
    let mut roots: Vec<(u32, &Resident)> = roots.collect();
    roots.sort_by_key(|(root, _)| *root);
    let sets = roots.chunk_by(|x, y| x.0 == y.0);
    sets.map(|set| set.iter().map(|(_, resident)| *resident).collect()).collect()
}

/// The household of a resident with whom nobody shares anything, and who has one home at most. Wherever they
/// move, it is theirs.
fn by_itself(resident: &Resident) -> Option<Household> {
    let (record, person) = (resident.record, resident.person);
    let member = Member { record, person, attached: false, until: None };
    (!resident.thin).then(|| Household { members: vec![member] })
}

/// The households of residents that may share dwellings.
fn among(residents: &[&Resident], limits: Limits) -> Vec<Household> {
    let dwellings = Dwellings::of(residents);
    // By dwelling, then by person.
    let mut stays: BTreeMap<usize, BTreeMap<u32, Stay>> = BTreeMap::new();
    for resident in residents {
        for home in resident.homes() {
            let Some(place) = dwellings.place(home) else { continue };
            let stay = Stay::of(resident, home);
            stays
                .entry(place)
                .or_default()
                .entry(resident.person)
                .and_modify(|known| known.extend(&stay))
                .or_insert(stay);
        }
    }
    let mut of_person: HashMap<u32, Vec<&Resident>> = HashMap::new();
    residents
        .iter()
        .for_each(|resident| of_person.entry(resident.person).or_default().push(resident));
    let mut found: Vec<Household> = stays
        .into_values()
        .filter_map(|people| together(people, limits))
        .map(|people| household(&people, &of_person))
        .collect();
    found.extend(alone(residents, &found));
    without_subsets(found, limits)
}

/// Names of dwellings: every key that means the same place has one number.
struct Dwellings {
    by_property: BTreeMap<DwellingKey, usize>,
    by_address: BTreeMap<DwellingKey, usize>,
}

impl Dwellings {
    /// Learns which addresses are which properties, from agencies that know both.
    ///
    /// An address that goes with two properties names a building and no dwelling.
    fn of(residents: &[&Resident]) -> Self {
        let mut properties: BTreeMap<DwellingKey, BTreeSet<DwellingKey>> = BTreeMap::new();
        let mut by_property = BTreeMap::new();
        for home in residents.iter().flat_map(|resident| resident.homes()) {
            if let Some(address) = home.address {
                properties.entry(address).or_default().extend(home.property);
            }
            if let Some(property) = home.property {
                let next = by_property.len();
                by_property.entry(property).or_insert(next);
            }
        }
        let mut next = by_property.len();
        let mut by_address = BTreeMap::new();
        for (address, properties) in properties {
            let mut properties = properties.into_iter();
            match (properties.next(), properties.next()) {
                (Some(_), Some(_)) => {}
                (Some(property), None) => {
                    by_address.insert(address, by_property[&property]);
                }
                (None, _) => {
                    by_address.insert(address, next);
                    next += 1;
                }
            }
        }
        Self { by_property, by_address }
    }

    fn place(&self, home: &Dwelling) -> Option<usize> {
        let by_property = home.property.and_then(|key| self.by_property.get(&key));
        by_property.or_else(|| self.by_address.get(&home.address?)).copied()
    }
}

impl Stay {
    fn of(resident: &Resident, home: &Dwelling) -> Self {
        Self {
            from: home.from,
            to: home.to,
            tags: home.surname_tags.iter().copied().collect(),
            adult: home.adult,
            attached: resident.thin,
            records: vec![resident.record],
        }
    }

    /// Adds what another record says of the same stay: the longest of both.
    fn extend(&mut self, other: &Self) {
        self.from = self.from.zip(other.from).map(|(x, y)| x.min(y));
        self.to = self.to.zip(other.to).map(|(x, y)| x.max(y));
        self.tags.extend(&other.tags);
        self.adult |= other.adult;
        self.attached &= other.attached;
        self.records.extend(&other.records);
    }

    /// Returns how many days two stays overlap.
    fn overlap(&self, other: &Self) -> i64 {
        let start = |stay: &Self| stay.from.map_or(i64::MIN / 4, |day| day.number().into());
        last_day(self.to).min(last_day(other.to)) - start(self).max(start(other))
    }
}

/// Leaves out who did not live with anybody there; `None` where it is no household at all.
fn together(mut people: BTreeMap<u32, Stay>, limits: Limits) -> Option<BTreeMap<u32, Stay>> {
    let surnames: BTreeSet<[u8; 2]> = people
        .values()
        .filter(|stay| stay.adult && !stay.attached)
        .filter_map(|stay| stay.tags.first().copied())
        .collect();
    if surnames.len() > limits.most_surnames || people.len() > limits.most_people {
        return None;
    }
    let known: BTreeSet<[u8; 2]> =
        people.values().filter(|stay| !stay.attached).flat_map(|stay| stay.tags.clone()).collect();
    // A record that proves no person attaches by surname, or by address where it has none.
    people
        .retain(|_, stay| !stay.attached || stay.tags.is_empty() || !stay.tags.is_disjoint(&known));
    if !people.values().any(|stay| !stay.attached) {
        return None;
    }
    let stays: Vec<(u32, Stay)> = people.iter().map(|(id, stay)| (*id, stay.clone())).collect();
    people.retain(|id, stay| {
        stays.len() == 1
            || stays.iter().any(|(other, theirs)| {
                other != id && stay.overlap(theirs) >= i64::from(limits.least_days)
            })
    });
    (!people.is_empty()).then_some(people)
}

/// Makes a household of stays, with every record of its firm people wherever it says they live.
fn household(people: &BTreeMap<u32, Stay>, of_person: &HashMap<u32, Vec<&Resident>>) -> Household {
    let mut members = Vec::new();
    for (person, stay) in people {
        let records = of_person.get(person).into_iter().flatten().map(|resident| resident.record);
        let here = records.filter(|record| !stay.attached || stay.records.contains(record));
        members.extend(here.map(|record| Member {
            record,
            person: *person,
            attached: stay.attached,
            until: stay.to,
        }));
    }
    members.sort_by_key(|member| member.record);
    members.dedup();
    Household { members }
}

/// Firm people whom no dwelling puts with anybody today: whoever moved out and is in no other household keeps
/// what happens to them from then on.
fn alone(residents: &[&Resident], found: &[Household]) -> Vec<Household> {
    let members = found.iter().flat_map(|household| &household.members);
    let housed: BTreeSet<u32> =
        members.filter(|member| member.until.is_none()).map(|member| member.person).collect();
    let mut by_person: BTreeMap<u32, Household> = BTreeMap::new();
    for resident in residents.iter().filter(|r| !r.thin && !housed.contains(&r.person)) {
        let (record, person) = (resident.record, resident.person);
        let member = Member { record, person, attached: false, until: None };
        by_person.entry(person).or_default().members.push(member);
    }
    by_person.into_values().collect()
}

/// Leaves out households whose people all belong to another one that lasts as long: the same family at an
/// address that one agency wrote without its flat, or at the one they left together.
fn without_subsets(mut found: Vec<Household>, limits: Limits) -> Vec<Household> {
    found.sort_by_cached_key(Household::place);
    let mut kept: Vec<Household> = Vec::new();
    let mut by_person: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for household in found {
        let persons = household.persons();
        let first = persons.first().copied();
        let rivals = first.and_then(|person| by_person.get(&person)).cloned().unwrap_or_default();
        if rivals.iter().any(|at| kept[*at].covers(&household, limits)) {
            continue;
        }
        for person in persons {
            by_person.entry(person).or_default().push(kept.len());
        }
        kept.push(household);
    }
    kept
}

#[cfg(test)]
mod tests;
