use causeway_proto::{
    ids::Handle, kind::MatchKeyKind, linkage::levels::ComparisonField as F, token::PersonFlags,
};

use super::{
    super::{
        Roll,
        clear::Clear,
        quality::{Estimate, LinkQuality},
    },
    *,
};

/// One agency a record, except where `agencies` says otherwise.
fn records(agencies: &[usize], strong: &[[u64; 3]]) -> Records {
    let mut rolls: Vec<Roll> =
        (0..=*agencies.iter().max().unwrap()).map(|_| Roll::default()).collect();
    for (at, (agency, strong)) in agencies.iter().zip(strong).enumerate() {
        let roll = &mut rolls[*agency];
        roll.handles.push(Handle::from_bytes([at as u8 + 1; 16]));
        let flags = (0..3).filter(|s| strong[*s] != 0).map(|s| [4, 8, 16][s]).sum();
        roll.flags.push(PersonFlags(flags));
        roll.strong_ids.push(*strong);
    }
    Records::new(rolls)
}

fn pair(a: u32, b: u32) -> Pair {
    let kinds = 1 << MatchKeyKind::SurnameBirth.index();
    Pair { a, b, kinds, carrier: 0, slots: 0, numbers: 0 }
}

fn agreeing(forename: usize) -> Levels {
    Levels::NONE
        .with(F::Forename, forename)
        .with(F::Surname, 5)
        .with(F::Birth, 5)
        .with(F::Sex, 1)
        .with(F::Address, 5)
}

/// Decides pairs that were all looked at.
fn decided(records: &Records, pairs: &[Pair], levels: &[Levels]) -> Decision {
    let mut pairs = pairs.to_vec();
    records.compare_all_numbers(&mut pairs);
    let looked_at: Vec<_> = pairs.iter().copied().zip(levels.iter().copied()).collect();
    let weights =
        learn(records, &looked_at, (1.0, records.possible_pairs(|_| true)), &Strangers::new());
    decide(records, &pairs, levels, weights)
}

#[test]
fn the_same_person_links_and_a_stranger_does_not() {
    let records = records(&[0, 1, 2], &[[0; 3]; 3]);
    let stranger =
        Levels::NONE.with(F::Forename, 5).with(F::Surname, 0).with(F::Birth, 5).with(F::Address, 0);
    let decision = decided(
        &records,
        &[pair(0, 1), pair(0, 2), pair(1, 2)],
        &[agreeing(5), stranger, stranger],
    );
    assert_eq!(decision.persons, [0, 0, 2]);
    assert_eq!(decision.person_count(), 2);
}

#[test]
fn a_record_that_fits_both_twins_is_nobody() {
    // Two twins with different pupil numbers, and an initial that fits both.
    let records = records(&[0, 1, 2], &[[0, 7, 0], [0, 8, 0], [0; 3]]);
    let initial = agreeing(4);
    let decision =
        decided(&records, &[pair(0, 1), pair(0, 2), pair(1, 2)], &[agreeing(2), initial, initial]);
    assert_eq!(decision.persons, [0, 1, 2]);
    assert_eq!(decision.ambiguous, [false, false, true]);
}

/// Two candidates at one agency exclude each other, and who was joined by way of a third is as safe as the way.
#[test]
fn estimates_know_rivals_and_thirds() {
    let records = records(&[0, 1, 1, 2], &[[0; 3]; 4]);
    let pairs = [pair(0, 1), pair(0, 2), pair(0, 3), pair(1, 3)];
    let decision = decided(&records, &pairs, &[agreeing(5); 4]);
    let bits = [6.0, 5.0, -4.0, 8.0].map(Some).to_vec();
    let decision = Decision { bits, persons: vec![0, 0, 2, 0], ..decision };
    let quality = LinkQuality::of(&records, &pairs, &decision, &Clear::default());
    let (best, rival, third) = (64.0 / 97.0, 32.0 / 97.0, 256.0 / 257.0);
    let right = best + third + best * third;
    let (precision, recall) = (quality.precision, quality.recall);
    assert!((precision.estimate - right / 3.0).abs() < 1e-9, "{precision:?}");
    assert!((recall.estimate - right / (right + rival)).abs() < 1e-9, "{recall:?}");
    for Estimate { estimate, low, high } in [precision, recall] {
        assert!(low < estimate && estimate < high, "{low} {estimate} {high}");
    }
}

/// One in a thousand of them is one person, and the weight that stands for them all says next to none.
#[test]
fn what_a_pattern_of_two_people_missed_in_the_sample_is_missed_in_the_estimate() {
    let records = records(&[0, 1, 0, 1], &[[0; 3]; 4]);
    let by_pattern = Pair { kinds: 1 << MatchKeyKind::Phone.index(), ..pair(1, 2) };
    let pairs = [pair(0, 1), by_pattern];
    let decision = decided(&records, &pairs, &[agreeing(5), Levels::NONE]);
    let bits = [30.0, -25.0].map(Some).to_vec();
    let decision = Decision { bits, persons: vec![0, 0, 2, 3], ..decision };
    let recall = |clear: &Clear| LinkQuality::of(&records, &pairs, &decision, clear).recall;
    assert!(recall(&Clear::default()).estimate > 0.999_999);
    let clear = Clear::seldom(by_pattern.kinds, Levels::NONE, 0.001);
    let told = recall(&clear);
    assert!((told.estimate - 1.0 / 1.001).abs() < 1e-6, "{told:?}");
    assert!(told.low < 0.995, "{told:?}");
}

/// Two agencies that hold so many people each: at the second some have another forename, and so many
/// others are twins of whom both agencies hold both.
fn two_agencies(people: u32, renamed: u32, twins: u32) -> Decision {
    let roll = || Roll {
        handles: (0..people).map(|at| Handle::from_bytes(u128::from(at).to_be_bytes())).collect(),
        flags: vec![PersonFlags(0); people as usize],
        strong_ids: vec![[0; 3]; people as usize],
    };
    let records = Records::new(vec![roll(), roll()]);
    let mut found: Vec<(Pair, Levels)> = (0..people)
        .map(|at| (pair(at, people + at), agreeing(if at < renamed { 0 } else { 5 })))
        .collect();
    for twin in (0..twins).map(|at| people - 2 * at - 2) {
        found.push((pair(twin, people + twin + 1), agreeing(0)));
        found.push((pair(twin + 1, people + twin), agreeing(0)));
    }
    found.sort_unstable_by_key(|(pair, _)| pair.place());
    let (pairs, levels): (Vec<Pair>, Vec<Levels>) = found.into_iter().unzip();
    decided(&records, &pairs, &levels)
}

#[test]
fn twins_are_as_many_as_are_on_record_at_both() {
    let (few, many) = (two_agencies(4000, 8, 0), two_agencies(4000, 8, 40));
    let ratio = |of: &Decision| of.learnt.weights.twins / of.learnt.weights.matched;
    assert!(ratio(&few) < 0.4 * ratio(&many), "{} and {}", ratio(&few), ratio(&many));
    assert_eq!(few.person_count(), 4000, "nobody there has a twin");
    assert!(many.persons[7990] == 3990 && many.persons[7991] == 3991, "twins are two");
}

#[test]
fn twins_and_father_and_son_stay_two_where_little_is_known() {
    let records = records(&[0, 1], &[[0; 3]; 2]);
    let twins = agreeing(1);
    let father = Levels::from_bits(agreeing(5).with(F::Birth, 2).bits() | 1 << 61);
    assert!(father.generation_apart());
    for relatives in [twins, father] {
        let decision = decided(&records, &[pair(0, 1)], &[relatives]);
        assert_eq!(decision.persons, [0, 1], "{relatives:?}");
        assert!(decision.bits[0].is_none_or(|bits| bits < 0.0), "{relatives:?}");
    }
}

#[test]
fn two_equal_names_with_different_numbers_stay_two() {
    let records = records(&[0, 1], &[[5, 0, 0], [6, 0, 0]]);
    let decision = decided(&records, &[pair(0, 1)], &[agreeing(5)]);
    assert_eq!(decision.persons, [0, 1]);
    assert_eq!(decision.bits, [None]);
}
