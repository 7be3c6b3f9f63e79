//! Who lives together, as far as several agencies' dwellings agree.
//!
//! A household is the people of one dwelling. Somebody with two addresses belongs to two, and
//! households never chain through them: an address that an agency forgot to update must not pool a
//! family with strangers. What cannot be told apart is left out: a building whose flats are not
//! named, a house of many unrelated adults (DOMAIN.md 5.5, D8).

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use causeway_proto::{
    day::Day,
    dwelling::{Dwelling, Residence},
    ids::DwellingKey,
    linkage::cluster::Groups,
};
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

    /// Where it stands among others: larger ones come first.
    fn place(&self) -> (Reverse<usize>, Option<u32>) {
        (Reverse(self.members.len()), self.members.first().map(|member| member.record))
    }

    /// Leaves out records that professionals found not to belong with one of the others, and returns
    /// them.
    pub fn leave_out_strangers(&mut self, is_stranger: impl Fn(u32, u32) -> bool) -> Vec<Member> {
        let all = self.members.clone();
        let belongs = |one: &Member| !all.iter().any(|other| is_stranger(one.record, other.record));
        self.members.retain(belongs);
        all.iter().filter(|one| !belongs(one)).copied().collect()
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

/// Puts people together who share a dwelling; everybody else is a household of one. Larger ones come first.
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

/// The household of a resident with whom nobody shares anything, and who has one home at most.
fn by_itself(resident: &Resident) -> Option<Household> {
    let home = resident.homes().iter().find(|home| home.property.or(home.address).is_some());
    let (record, person) = (resident.record, resident.person);
    let member = Member { record, person, attached: false, until: home.and_then(|home| home.to) };
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
    without_subsets(found)
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
        let end = |stay: &Self| stay.to.map_or(i64::MAX / 4, |day| day.number().into());
        end(self).min(end(other)) - start(self).max(start(other))
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

/// Firm people whom no dwelling puts with anybody.
fn alone(residents: &[&Resident], found: &[Household]) -> Vec<Household> {
    let housed: BTreeSet<u32> =
        found.iter().flat_map(|household| household.members.iter().map(|m| m.person)).collect();
    let mut by_person: BTreeMap<u32, Household> = BTreeMap::new();
    for resident in residents.iter().filter(|r| !r.thin && !housed.contains(&r.person)) {
        let (record, person) = (resident.record, resident.person);
        let member = Member { record, person, attached: false, until: None };
        by_person.entry(person).or_default().members.push(member);
    }
    by_person.into_values().collect()
}

/// Leaves out households whose people all belong to a larger one: the same family at an address
/// that one agency wrote without its flat.
fn without_subsets(mut found: Vec<Household>) -> Vec<Household> {
    found.sort_by_cached_key(Household::place);
    let mut kept: Vec<Household> = Vec::new();
    let mut by_person: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for household in found {
        let persons = household.persons();
        let first = persons.first().copied();
        let rivals = first.and_then(|person| by_person.get(&person)).cloned().unwrap_or_default();
        if rivals.iter().any(|at| persons.is_subset(&kept[*at].persons())) {
            continue;
        }
        for person in &persons {
            by_person.entry(*person).or_default().push(kept.len());
        }
        kept.push(household);
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(byte: u8) -> DwellingKey {
        DwellingKey::from_bytes([byte; 16])
    }

    fn at(address: u8) -> Dwelling {
        Dwelling {
            address: Some(key(address)),
            surname_tags: vec![[1, 1]],
            adult: true,
            ..Dwelling::default()
        }
    }

    fn resident(record: u32, person: u32, homes: Vec<Dwelling>) -> Resident {
        Resident { record, person, thin: false, residence: Arc::new(Residence::Known(homes)) }
    }

    fn persons(found: &[Household]) -> Vec<Vec<u32>> {
        let mut all: Vec<Vec<u32>> =
            found.iter().map(|household| household.persons().into_iter().collect()).collect();
        all.sort();
        all
    }

    fn day(text: &str) -> Option<Day> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn one_dwelling_is_one_household_whichever_key_names_it() {
        let both = Dwelling { property: Some(key(9)), ..at(1) };
        let property = Dwelling { property: Some(key(9)), address: None, ..at(1) };
        let residents = [
            resident(0, 0, vec![both]),
            resident(1, 1, vec![property]),
            resident(2, 2, vec![at(1)]),
        ];
        assert_eq!(persons(&households(&residents, Limits::default())), [[0, 1, 2]]);
    }

    #[test]
    fn a_building_with_two_properties_is_no_dwelling() {
        let flat = |property| Dwelling { property: Some(key(property)), ..at(1) };
        let residents = [
            resident(0, 0, vec![flat(8)]),
            resident(1, 1, vec![flat(9)]),
            resident(2, 2, vec![at(1)]),
            resident(3, 3, vec![at(1)]),
        ];
        assert_eq!(
            persons(&households(&residents, Limits::default())),
            [[0], [1], [2], [3]].map(Vec::from)
        );
    }

    #[test]
    fn somebody_with_two_addresses_does_not_pool_two_families() {
        let residents = [
            resident(0, 0, vec![at(1), at(2)]),
            resident(1, 1, vec![at(1)]),
            resident(2, 2, vec![at(2)]),
        ];
        assert_eq!(
            persons(&households(&residents, Limits::default())),
            [[0, 1], [0, 2]].map(Vec::from)
        );
    }

    #[test]
    fn many_unrelated_adults_are_no_household() {
        let residents: Vec<Resident> = (0..8u8)
            .map(|n| {
                let home = Dwelling { surname_tags: vec![[n, n]], ..at(1) };
                resident(n.into(), n.into(), vec![home])
            })
            .collect();
        assert!(households(&residents, Limits::default()).iter().all(|h| h.members.len() == 1));
    }

    #[test]
    fn a_thin_record_attaches_by_surname_or_by_address_alone() {
        let thin = |record, tags: Vec<[u8; 2]>| Resident {
            thin: true,
            ..resident(record, record, vec![Dwelling { surname_tags: tags, ..at(1) }])
        };
        let family = [
            resident(0, 0, vec![at(1)]),
            thin(1, vec![[1, 1]]),
            thin(2, vec![]),
            thin(3, vec![[7, 7]]),
        ];
        let found = households(&family, Limits::default());
        assert_eq!(persons(&found), [[0, 1, 2]]);
        let attached: Vec<bool> = found[0].members.iter().map(|member| member.attached).collect();
        assert_eq!(attached, [false, true, true]);
        let nobody = [thin(0, vec![]), thin(1, vec![])];
        assert_eq!(households(&nobody, Limits::default()), []);
    }

    #[test]
    fn who_moved_out_before_the_others_came_did_not_live_with_them() {
        let left = Dwelling { to: day("2025-01-10"), ..at(1) };
        let came = Dwelling { from: day("2025-01-01"), ..at(1) };
        let stayed = Dwelling { to: day("2025-06-30"), ..at(1) };
        let residents = [
            resident(0, 0, vec![left]),
            resident(1, 1, vec![came.clone()]),
            resident(2, 2, vec![came]),
            resident(3, 3, vec![stayed]),
        ];
        let found = households(&residents, Limits::default());
        // The first lived with the last, so they are of one household, up to the day they left.
        assert_eq!(persons(&found), [[0, 1, 2, 3]]);
        assert_eq!(found[0].members[0].until, day("2025-01-10"));
        let found = households(&residents[..3], Limits::default());
        assert_eq!(persons(&found), [vec![0], vec![1, 2]]);
    }

    #[test]
    fn who_was_found_to_be_a_stranger_is_left_out() {
        let member = |record| Member { record, person: 0, attached: false, until: None };
        let mut household = Household { members: (0..4).map(member).collect() };
        let gone = household.leave_out_strangers(|one, other| one == 1 && other == 3);
        assert_eq!(gone, [member(1)]);
        let left: Vec<u32> = household.members.iter().map(|member| member.record).collect();
        assert_eq!(left, [0, 2, 3]);
    }

    #[test]
    fn an_address_without_its_flat_does_not_make_a_second_household() {
        let residents = [
            resident(0, 0, vec![at(1)]),
            resident(1, 0, vec![at(2)]),
            resident(2, 1, vec![at(1)]),
            resident(3, 1, vec![at(2)]),
            resident(4, 2, vec![at(1)]),
        ];
        let found = households(&residents, Limits::default());
        assert_eq!(persons(&found), [[0, 1, 2]]);
        assert_eq!(found[0].members.len(), 5);
    }

    fn a_home() -> impl Strategy<Value = Dwelling> {
        let key_of = |keys| proptest::option::of(keys).prop_map(|byte| byte.map(key));
        let day = || {
            proptest::option::of(
                (0..4).prop_map(|n| "2025-01-01".parse::<Day>().unwrap().plus(n * 20)),
            )
        };
        (key_of(0u8..6), key_of(100u8..104), day(), day(), 0u8..3, any::<bool>()).prop_map(
            |(address, property, from, to, tag, adult)| Dwelling {
                address,
                property,
                from,
                to,
                surname_tags: vec![[tag; 2]],
                adult,
            },
        )
    }

    proptest! {
        #[test]
        fn what_shares_nothing_can_be_told_apart_before_households_are_made(
            people in proptest::collection::vec(
                (0u32..12, any::<bool>(), proptest::collection::vec(a_home(), 0..3)), 1..20),
        ) {
            let resident = |(record, (person, thin, homes)): (u32, (u32, bool, Vec<Dwelling>))| {
                Resident { thin, ..resident(record, person, homes) }
            };
            let residents: Vec<Resident> = (0..).zip(people).map(resident).collect();
            let all: Vec<&Resident> = residents.iter().collect();
            let limits = Limits { most_surnames: 2, most_people: 4, least_days: 14 };
            prop_assert_eq!(households(&residents, limits), among(&all, limits));
        }
    }
}
