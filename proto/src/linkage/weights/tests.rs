use super::*;
use crate::kind::MatchKeyKind as K;

const ONE_PERSON: Levels = Levels::NONE
    .with(F::Forename, 5)
    .with(F::Surname, 5)
    .with(F::Birth, 5)
    .with(F::Sex, 1)
    .with(F::Address, 5);

fn pattern(kind: K, levels: Levels, pairs: f64) -> Pattern {
    Pattern { levels, kinds: 1 << kind.index(), pairs }
}

fn supposed(records: f64) -> Weights {
    Weights::suppose(&[], &Strangers::new(), records)
}

#[test]
fn twins_are_likelier_than_doubles_in_an_agency_that_has_none() {
    let twins = ONE_PERSON.with(F::Forename, 0);
    assert!(supposed(50.0).score(ONE_PERSON, 0) > 10.0);
    assert!(supposed(50_000.0).score(ONE_PERSON, 0) > 0.0);
    assert!(supposed(50_000.0).score(twins, 0) < 0.0);
    assert!(supposed(50_000.0).score(twins, 0) < supposed(50.0).score(twins, 0));
}

#[test]
fn a_number_that_a_relative_lent_does_not_make_them_one_person() {
    let weights = supposed(10_000.0);
    let wife = Levels::NONE
        .with(F::Forename, 0)
        .with(F::Surname, 5)
        .with(F::Sex, 0)
        .with(F::Address, 5)
        .with(F::OtherId, 3);
    assert!(weights.score(wife, 0) < 0.0);
    assert!(weights.score(wife.with(F::Forename, 5).with(F::Sex, 1), 0) > 6.0);
}

#[test]
fn numbers_tell_whether_there_are_twins() {
    let relatives = ONE_PERSON.with(F::Forename, 0).with(F::OtherId, 0);
    let learnt = |twins: f64| {
        let pattern = |levels, pairs| pattern(K::SurnameBirth, levels, pairs);
        let patterns = [
            pattern(ONE_PERSON.with(F::OtherId, 3), 5_000.0),
            pattern(ONE_PERSON.with(F::Forename, 0).with(F::OtherId, 3), 100.0),
            pattern(ONE_PERSON.with(F::OtherId, 0), 100.0),
            pattern(relatives, twins),
        ];
        Weights::estimate(&patterns, &Strangers::new(), 1e7, Among::Agencies)
    };
    let (few, many) = (learnt(2.0), learnt(150.0));
    assert!(many.twins > 5.0 * few.twins, "{} and {}", many.twins, few.twins);
    assert!(many.score(relatives, 0) < few.score(relatives, 0));
}

#[test]
fn birth_dates_far_apart_and_none_that_are_near_tell_of_parents() {
    let wrong = ONE_PERSON.with(F::Birth, 0);
    let apart = Levels::from_bits(wrong.bits() | 1 << 61);
    let learnt = |near: f64, far: f64, among| {
        let pattern = |levels, pairs| pattern(K::ForenameHouseStreet, levels, pairs);
        let patterns = [pattern(ONE_PERSON, 2_000.0), pattern(wrong, near), pattern(apart, far)];
        Weights::estimate(&patterns, &Strangers::new(), 1e7, among)
    };
    let parents = learnt(2.0, 150.0, Among::Agencies);
    assert!(parents.tell_parents() && parents.score(apart, 0) < 0.0);
    // Dates that are simply wrong are near as well, in as many cases as chance has it.
    let wrong_dates = learnt(30.0, 150.0, Among::Agencies);
    assert!(!wrong_dates.tell_parents() && wrong_dates.score(apart, 0) > 0.0);
    // As few may be dates that were copied from somebody else in the family.
    assert!(!learnt(0.0, 50.0, Among::Agencies).tell_parents());
    let at_one = learnt(2.0, 150.0, Among::OneAgency);
    assert!(at_one.generations >= at_one.twins);
}

#[test]
fn what_the_data_shows_outweighs_what_was_supposed() {
    let matches =
        |forename| pattern(K::SurnameBirth, ONE_PERSON.with(F::Forename, forename), 500.0);
    let patterns = [matches(0), matches(6)];
    let weights = Weights::estimate(&patterns, &Strangers::new(), 1e6, Among::OneAgency);
    let before = supposed(10.0);
    assert!(weights.bits(F::Forename, 0) > before.bits(F::Forename, 0) + 3.0);
    assert!((weights.matched * 1e6 - 1_000.0).abs() < 700.0);
}

#[test]
fn relatives_at_agencies_that_share_few_people_do_not_teach_how_one_person_agrees() {
    // A parent at one agency and a child at the other, far more often than one person at both.
    let related = ONE_PERSON.with(F::Forename, 0).with(F::Birth, 0);
    let patterns = [
        pattern(K::PostcodeHouseYearOrDay, related, 300.0),
        pattern(K::PostcodeHouseYearOrDay, related.with(F::Sex, 0), 300.0),
        pattern(K::PostcodeHouseYearOrDay, ONE_PERSON, 50.0),
        pattern(K::ForenameBirth, ONE_PERSON, 50.0),
    ];
    for among in [Among::Agencies, Among::OneAgency] {
        let weights = Weights::estimate(&patterns, &Strangers::new(), 1e8, among);
        assert!(weights.score(related, 0) < -2.0, "{among:?} {}", weights.score(related, 0));
        assert!(weights.score(ONE_PERSON, 0) > 6.0, "{among:?} {}", weights.score(ONE_PERSON, 0));
    }
}

#[test]
fn at_one_agency_one_field_of_their_own_does_not_tell_relatives_from_mistakes() {
    let learnt = |unlike: Levels, like: Levels| {
        let pattern = |levels, pairs| pattern(K::PostcodeHouseYearOrDay, levels, pairs);
        let patterns = [pattern(unlike, 60.0), pattern(like, 600.0)];
        let weights = Weights::estimate(&patterns, &Strangers::new(), 1e7, Among::OneAgency);
        weights.shares(F::Forename, 0).0
    };
    let nameless = |levels: Levels| {
        Levels::NONE
            .with(F::Surname, 5)
            .with(F::Birth, 5)
            .with(F::Forename, levels.get(F::Forename).expect("it has one"))
    };
    let other = ONE_PERSON.with(F::Forename, 0);
    let mistakes = learnt(nameless(other), nameless(ONE_PERSON));
    let relatives = learnt(other.with(F::Sex, 0).with(F::Birth, 0), ONE_PERSON);
    assert!(mistakes > 0.05, "{mistakes}");
    assert!(relatives < 0.02, "{relatives}");
}

#[test]
fn namesakes_of_one_address_are_two_where_birth_dates_show_few_who_are_on_record_twice() {
    let apart = Levels::from_bits(ONE_PERSON.with(F::Birth, 0).bits() | 1 << 61);
    assert!(apart.generation_apart());
    let pattern = |levels, pairs| pattern(K::ForenameHouseStreet, levels, pairs);
    let unknown =
        Levels::NONE.with(F::Forename, 5).with(F::Surname, 5).with(F::Sex, 1).with(F::Address, 5);
    let score = |doubles: f64, namesakes: f64| {
        let patterns = [pattern(ONE_PERSON, doubles), pattern(apart, namesakes)];
        let weights = Weights::suppose(&patterns, &Strangers::new(), 5_000.0);
        weights.score(unknown, 0)
    };
    assert!(score(0.0, 0.0) > 1.0, "nothing tells of namesakes: {}", score(0.0, 0.0));
    assert!(score(0.0, 30.0) < 0.0, "fathers and sons: {}", score(0.0, 30.0));
    assert!(score(400.0, 30.0) > 2.0, "mostly doubles: {}", score(400.0, 30.0));
}

#[test]
fn an_agency_with_some_doubles_has_as_many_twins_as_any_other() {
    let twins = ONE_PERSON.with(F::Forename, 0);
    let pattern = |levels, pairs| pattern(K::SurnameBirth, levels, pairs);
    // Every second pair of twins is a brother and a sister.
    let brother_and_sister = twins.with(F::Sex, 0);
    let patterns =
        [pattern(ONE_PERSON, 300.0), pattern(twins, 9.0), pattern(brother_and_sister, 9.0)];
    let learnt = |among| Weights::estimate(&patterns, &Strangers::new(), 4.5e6, among);
    let (between, within) = (learnt(Among::Agencies), learnt(Among::OneAgency));
    assert!(within.twins > 2.0 * between.twins, "{} {}", within.twins, between.twins);
    assert!(within.score(twins, 0) < between.score(twins, 0) - 1.0);
    assert!(within.score(ONE_PERSON, 0) > 6.0);
}

#[test]
fn twins_have_two_phone_numbers_more_often_than_one_person_has() {
    let (weights, twins) = (supposed(5_000.0), ONE_PERSON.with(F::Forename, 0));
    let with = |levels: Levels, phone| weights.score(levels.with(F::Phone, phone), 0);
    assert!(with(twins, 0) < weights.score(twins, 0) - 1.0);
    let one_number = with(twins, 2) - weights.score(twins, 0);
    assert!(one_number > 0.5, "{one_number} {} {}", with(twins, 2), weights.score(twins, 0));
}

#[test]
fn twins_at_one_agency_do_not_teach_that_one_person_goes_by_two_forenames() {
    let twins = ONE_PERSON.with(F::Forename, 0);
    let pattern = |levels, pairs| pattern(K::SurnameBirth, levels, pairs);
    let patterns =
        [pattern(ONE_PERSON, 3_000.0), pattern(twins, 40.0), pattern(twins.with(F::Sex, 0), 40.0)];
    let learnt = |among| Weights::estimate(&patterns, &Strangers::new(), 2e7, among);
    let (within, between) = (learnt(Among::OneAgency), learnt(Among::Agencies));
    let other_forename = |weights: &Weights| weights.shares(F::Forename, 0).0;
    assert!(other_forename(&within) < 0.3 * other_forename(&between));
    assert!(within.score(twins, 0) < 0.0, "{}", within.score(twins, 0));
}

#[test]
fn where_everybody_is_on_record_twice_there_are_no_more_twins_for_it() {
    let pattern = |levels, pairs| pattern(K::SurnameBirth, levels, pairs);
    let told = |levels: Levels, number| levels.with(F::OtherId, number);
    let patterns = [
        pattern(told(ONE_PERSON, 3), 5_000.0),
        pattern(told(ONE_PERSON.with(F::Forename, 0), 3), 700.0),
        pattern(told(ONE_PERSON, 0), 400.0),
        pattern(told(ONE_PERSON.with(F::Forename, 0), 0), 50.0),
    ];
    // 50 pairs are what mistakes in both make of so many; 5,000 records have some 15 pairs of twins.
    let weights = Weights::estimate(&patterns, &Strangers::new(), 1.25e7, Among::OneAgency);
    assert!(weights.twins < 0.01 * weights.matched, "{}", weights.twins / weights.matched);
    let mistakes = told(ONE_PERSON.with(F::Forename, 0), 0);
    assert!(weights.score(mistakes, 0) > crate::linkage::guards::CLEAR_BITS);
}
