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
    let residents =
        [resident(0, 0, vec![both]), resident(1, 1, vec![property]), resident(2, 2, vec![at(1)])];
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
    assert_eq!(persons(&found), [vec![0], vec![0, 1, 2, 3], vec![3]]);
    assert_eq!(found[0].members[0].until, day("2025-01-10"));
    let found = households(&residents[..3], Limits::default());
    assert_eq!(persons(&found), [vec![0], vec![1, 2]]);
}

/// Where somebody lived until summer, and where they live now.
fn moved(from: u8, to: u8) -> Vec<Dwelling> {
    vec![Dwelling { to: day("2025-06-30"), ..at(from) }, at(to)]
}

/// By household: its people, each with the last day that it is theirs.
fn stays(found: &[Household]) -> Vec<Vec<(u32, Option<Day>)>> {
    let stays = |household: &Household| {
        household.members.iter().map(|member| (member.person, member.until)).collect()
    };
    found.iter().map(stays).collect()
}

#[test]
fn who_fled_together_is_a_household_of_its_own_from_then_on() {
    let residents =
        [resident(0, 0, moved(1, 2)), resident(1, 1, moved(1, 2)), resident(2, 2, vec![at(1)])];
    let left = day("2025-06-30");
    assert_eq!(
        stays(&households(&residents, Limits::default())),
        [vec![(0, None), (1, None)], vec![(0, left), (1, left), (2, None)]]
    );
}

#[test]
fn who_moved_house_lives_in_the_new_one_whatever_the_keys_of_both() {
    for (from, to) in [(1, 2), (2, 1)] {
        let family = [resident(0, 0, moved(from, to)), resident(1, 1, moved(from, to))];
        let found = households(&family, Limits::default());
        assert_eq!(stays(&found), [[(0, None), (1, None)]]);
        let found = households(&family[..1], Limits::default());
        assert_eq!(stays(&found), [[(0, None)]]);
    }
}

#[test]
fn who_was_put_out_and_is_nowhere_now_is_a_household_of_one() {
    let home = Dwelling { to: day("2025-06-30"), ..at(1) };
    let residents = [resident(0, 0, vec![home]), resident(1, 1, vec![at(1)])];
    assert_eq!(
        stays(&households(&residents, Limits::default())),
        [vec![(0, day("2025-06-30")), (1, None)], vec![(0, None)]]
    );
    assert_eq!(stays(&households(&residents[..1], Limits::default())), [[(0, None)]]);
}

#[test]
fn of_two_homes_that_were_left_the_one_that_lasted_longer_stands() {
    let home = |address, to| Dwelling { to: day(to), ..at(address) };
    for days in [["2025-03-31", "2025-06-30"], ["2025-06-30", "2025-03-31"]] {
        let homes = vec![home(1, days[0]), home(2, days[1])];
        let family = [resident(0, 0, homes.clone()), resident(1, 1, homes)];
        let left = day("2025-06-30");
        assert_eq!(
            stays(&households(&family, Limits::default())),
            [vec![(0, None)], vec![(1, None)], vec![(0, left), (1, left)]]
        );
    }
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
        proptest::option::of((0..4).prop_map(|n| "2025-01-01".parse::<Day>().unwrap().plus(n * 20)))
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
