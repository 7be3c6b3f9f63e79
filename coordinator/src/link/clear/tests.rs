use causeway_proto::{
    ids::Handle,
    linkage::{
        levels::ComparisonField as F,
        weights::{self, Among, Strangers},
    },
    token::PersonFlags,
};

use super::{
    super::{Roll, decide},
    *,
};

fn records(strong: [[u64; 3]; 2]) -> Records {
    let roll = |strong: [u64; 3]| Roll {
        handles: vec![Handle::from_bytes([0; 16])],
        flags: vec![PersonFlags(if strong[0] == 0 { 0 } else { PersonFlags::NHS })],
        strong_ids: vec![strong],
    };
    Records::new(strong.map(roll).into())
}

fn pair(kinds: u32) -> Pair {
    Pair { a: 0, b: 1, kinds, carrier: 0, slots: 0, numbers: 0 }
}

#[test]
fn a_pattern_is_clear_when_it_never_came_out_otherwise() {
    let records = records([[0; 3]; 2]);
    let top = |field: F| field.levels() - 1;
    let same = [F::Forename, F::Surname, F::Birth, F::Address]
        .into_iter()
        .fold(Levels::NONE, |levels, field| levels.with(field, top(field)));
    let other = same.with(F::Birth, 0).with(F::Forename, 0);
    let mut looked_at = vec![(pair(1), same); 60];
    looked_at.extend(vec![(pair(2), same); 60]);
    looked_at.push((pair(2), other));
    looked_at.extend(vec![(pair(4), same); 10]);
    let weights = decide::learn(
        &records,
        &looked_at,
        (1.0, records.possible_pairs(|_| true)),
        &Strangers::new(),
    );
    let clear = Clear::learn(&records, &looked_at, &weights, &[]).0;
    assert_eq!(
        clear.levels(&records, &pair(1), |_| 0),
        Some(same.supposed()),
        "{} bits",
        weights.score(same, 0)
    );
    assert_eq!(clear.levels(&records, &pair(2), |_| 0), None, "it came out otherwise once");
    assert_eq!(clear.levels(&records, &pair(4), |_| 0), None, "too few were seen");
    assert!(clear.levels(&records, &pair(9), |_| 0).is_some(), "it has more in common");
    assert_eq!(clear.levels(&records, &pair(3), |_| 0), clear.levels(&records, &pair(1), |_| 0));
}

#[test]
fn a_pattern_is_not_clear_if_one_with_more_in_common_is_not() {
    let records = records([[0; 3]; 2]);
    let top = |field: F| field.levels() - 1;
    let same = [F::Forename, F::Surname, F::Birth, F::Address]
        .into_iter()
        .fold(Levels::NONE, |levels, field| levels.with(field, top(field)));
    let mut looked_at = vec![(pair(1), same); 60];
    looked_at.push((pair(3), same.with(F::Birth, 0).with(F::Forename, 0)));
    let weights = decide::learn(
        &records,
        &looked_at,
        (1.0, records.possible_pairs(|_| true)),
        &Strangers::new(),
    );
    let clear = Clear::learn(&records, &looked_at, &weights, &[pair(1), pair(3)]).0;
    assert_eq!(clear.levels(&records, &pair(1), |_| 0), None);
    assert_eq!(clear.levels(&records, &pair(3), |_| 0), None);
}

#[test]
fn a_pattern_that_is_hardly_ever_one_person_is_clear_and_one_mistake_in_thousands_is_none() {
    let records = records([[0; 3]; 2]);
    let top = |field: F| field.levels() - 1;
    let all = |level: fn(usize) -> usize| {
        [F::Forename, F::Surname, F::Birth, F::Address]
            .into_iter()
            .fold(Levels::NONE, |all, field| all.with(field, level(top(field))))
    };
    let (same, chance) = (all(|top| top.min(5)), all(|_| 0));
    let mut looked_at = vec![(pair(1), same); 9000];
    looked_at.push((pair(1), chance));
    looked_at.extend(vec![(pair(2), chance); 4000]);
    looked_at.push((pair(2), same));
    looked_at.extend(vec![(pair(4), chance); 400]);
    looked_at.push((pair(4), same));
    let met = [(same, 1, 9e5), (chance, 2, 4e5)];
    let met = met.map(|(levels, kinds, pairs)| weights::Pattern { levels, kinds, pairs });
    let weights = Weights::estimate(&met, &Strangers::new(), 1e10, Among::Agencies);
    assert!(weights.score(chance, 0) < SURELY_NOT, "{}", weights.score(chance, 0));
    assert!(weights.score(same, 0) > 13.0, "{}", weights.score(same, 0));
    let clear = Clear::learn(&records, &looked_at, &weights, &[]).0;
    assert_eq!(clear.levels(&records, &pair(1), |_| 0), Some(same.supposed()));
    assert_eq!(clear.levels(&records, &pair(2), |_| 0), Some(chance.supposed()));
    assert!((clear.missed(&pair(2)) - 1.0 / 4001.0).abs() < 1e-6, "{}", clear.missed(&pair(2)));
    assert_eq!(clear.missed(&pair(1)), 0.0);
    assert_eq!(clear.levels(&records, &pair(4), |_| 0), None, "one in 400 is too many");
}

#[test]
fn numbers_that_differ_need_no_look() {
    let records = records([[1, 0, 0], [2, 0, 0]]);
    let mut pairs = [pair(1)];
    records.compare_all_numbers(&mut pairs);
    assert!(is_vetoed(&records, &pairs[0]));
    assert_eq!(Clear::default().levels(&records, &pairs[0], |_| 0), Some(Levels::NONE));
}

#[test]
fn few_pairs_are_all_looked_at_and_many_evenly() {
    assert_eq!(sample(1000, 4096).collect::<Vec<_>>(), (0..1000).collect::<Vec<_>>());
    let places: Vec<usize> = sample(10_000_000, 4096).collect();
    assert_eq!(places.len(), MOST_SAMPLED);
    assert!(places.windows(2).all(|two| (76..=77).contains(&(two[1] - two[0]))));
}
