use std::collections::BTreeMap;

use super::*;

fn sounded(text: &str) -> Sounded {
    Sounded { text: text.into(), sound: text.to_uppercase() }
}

fn person() -> Profile {
    Profile {
        forenames: vec![sounded("ada")],
        surnames: vec![sounded("byron")],
        births: vec![Birth { year: Some(1985), month: Some(12), day: Some(10) }],
        sex: "f".into(),
        postcode: "zx14ab".into(),
        house: "14".into(),
        street: "larkrisecl".into(),
        ..Profile::default()
    }
}

fn hashed(profile: &Profile) -> BTreeMap<(K, usize), Y> {
    let mut all = BTreeMap::new();
    match_keys(&MatchKeys::of_tests(), profile, |kind, slot, y| {
        assert!(all.insert((kind, slot), y).is_none());
    });
    all
}

#[test]
fn a_missing_field_means_no_key() {
    let all = hashed(&person());
    for absent in [K::Nhs, K::Email, K::Phone, K::BirthMiddleSex, K::OtherIdMasked] {
        assert!(!all.contains_key(&(absent, 0)), "{absent}");
    }
    assert!(all.contains_key(&(K::ForenameBirth, 0)));
    assert!(hashed(&Profile::default()).is_empty());
}

#[test]
fn swapped_names_and_swapped_day_and_month_give_the_same_keys() {
    let (plain, mut swapped) = (person(), person());
    std::mem::swap(&mut swapped.forenames, &mut swapped.surnames);
    swapped.births[0] = Birth { year: Some(1985), month: Some(10), day: Some(12) };
    let (plain, swapped) = (hashed(&plain), hashed(&swapped));
    assert_eq!(plain[&(K::SoundsBirth, 0)], swapped[&(K::SoundsBirth, 0)]);
    assert_eq!(plain[&(K::NamesYears, 1)], swapped[&(K::NamesYears, 1)]);
    assert_ne!(plain[&(K::NamesYearDay, 0)], swapped[&(K::NamesYearDay, 0)]);
}

#[test]
fn a_second_surname_takes_a_slot_of_its_own() {
    let mut married = person();
    married.surnames.push(sounded("lovelace"));
    let mut maiden = person();
    maiden.surnames = vec![sounded("lovelace")];
    let (married, maiden) = (hashed(&married), hashed(&maiden));
    assert_eq!(married[&(K::SurnameBirth, 1)], maiden[&(K::SurnameBirth, 0)]);
}

#[test]
fn a_surname_that_sounds_the_same_is_found_whatever_became_of_the_forename() {
    let (mut heard, mut typed) = (person(), person());
    heard.surnames = vec![Sounded { text: "duklos".into(), sound: "TKLS".into() }];
    typed.surnames = vec![Sounded { text: "duclos".into(), sound: "TKLS".into() }];
    typed.forenames = vec![sounded("niholas")];
    let (heard, typed) = (hashed(&heard), hashed(&typed));
    assert_eq!(heard[&(K::SurnameBirth, 0)], typed[&(K::SurnameBirth, 0)]);
    assert_ne!(heard[&(K::SoundsBirth, 0)], typed[&(K::SoundsBirth, 0)]);
}

#[test]
fn a_forename_that_is_mistyped_where_it_begins_is_found_by_its_end() {
    let named = |name: &str| hashed(&Profile { forenames: vec![sounded(name)], ..person() });
    let (right, wrong) = (named("gesse"), named("jesse"));
    assert_ne!(right[&(K::ForenameHouseStreet, 0)], wrong[&(K::ForenameHouseStreet, 0)]);
    assert_eq!(right[&(K::ForenameHouseStreet, 1)], wrong[&(K::ForenameHouseStreet, 1)]);
    assert!(!named("sse").contains_key(&(K::ForenameHouseStreet, 1)), "it is all of the name");
    let whole = named("sse")[&(K::ForenameHouseStreet, 0)];
    assert_ne!(right[&(K::ForenameHouseStreet, 1)], whole, "somebody else of the same house");
}

#[test]
fn an_initial_is_no_forename() {
    let mut short = person();
    short.forenames = vec![sounded("a")];
    let all = hashed(&short);
    assert!(!all.contains_key(&(K::ForenameBirth, 0)));
    assert_eq!(
        all[&(K::PostcodeHouseInitial, 0)],
        hashed(&person())[&(K::PostcodeHouseInitial, 0)]
    );
}

#[test]
fn one_wrong_digit_leaves_one_of_the_masked_numbers_equal() {
    let (right, wrong) = (masked("123456789"), masked("123956789"));
    assert_eq!(right[1], "123___789");
    assert_eq!(right.iter().zip(&wrong).filter(|(a, b)| a == b).count(), 1);
    assert!(masked("12345").is_empty());
}

#[test]
fn a_surname_is_found_by_its_beginning_and_its_end_where_a_slot_is_left() {
    let named = |name: &str| {
        let one = Profile { surnames: vec![sounded(name)], forenames: vec![], ..person() };
        hashed(&one)
    };
    let with_street = |name: &str| named(name).get(&(K::SurnameInitialHouseStreet, 0)).copied();
    let with_postcode = |name: &str| named(name).get(&(K::SurnameInitialPostcode, 0)).copied();
    assert_eq!(with_street("byron"), with_street("byrne"));
    assert_ne!(with_street("byron"), with_street("bryon"));
    assert_eq!(with_postcode("byron"), with_postcode("vyron"));
    assert_ne!(with_postcode("byron"), with_postcode("byrne"));
    assert_eq!(with_postcode("ron"), None, "it is all of the name");
    let mut married = person();
    married.surnames.push(sounded("lovelace"));
    let both = hashed(&married);
    let maiden = hashed(&Profile { surnames: vec![sounded("lovelace")], ..person() });
    for kind in [K::SurnameInitialHouseStreet, K::SurnameInitialPostcode] {
        assert_eq!(both[&(kind, 1)], maiden[&(kind, 0)], "a name of her own comes first");
    }
}

#[test]
fn a_place_is_a_house_a_street_or_a_family_in_one_town() {
    let all = |profile: Profile| hashed(&Profile { town: "coldmarsh".into(), ..profile });
    let (here, moved) = (all(person()), all(Profile { house: "9".into(), ..person() }));
    let place = |slot| (K::RarePlaces, slot);
    assert_ne!(here[&place(0)], moved[&place(0)]);
    assert_eq!((here[&place(1)], here[&place(2)]), (moved[&place(1)], moved[&place(2)]));
    assert!(!hashed(&person()).contains_key(&place(0)), "no town, no place");
}

#[test]
fn what_stands_empty_without_middle_name_or_sex_is_filled_with_less() {
    let with = |middle: &str, sex: &str| {
        hashed(&Profile { middle: middle.into(), sex: sex.into(), ..person() })
    };
    let (bare, whole) = (with("", ""), with("may", "f"));
    let other =
        Profile { births: vec![Birth { month: Some(3), ..person().births[0] }], ..person() };
    for kind in [K::SurnameMiddleYear, K::ForenameMiddleYear] {
        assert_eq!(bare[&(kind, 0)], hashed(&other)[&(kind, 0)], "{kind}: its year is the same");
        assert_ne!(bare[&(kind, 0)], whole[&(kind, 0)], "{kind}");
        assert_eq!(
            whole[&(kind, 0)],
            with("m", "")[&(kind, 0)],
            "{kind}: its middle initial is the same"
        );
    }
    let stranger = Profile { births: person().births, ..Profile::default() };
    let birth = (K::BirthMiddleSex, 0);
    assert_eq!(bare[&birth], hashed(&stranger)[&birth]);
    assert_ne!(bare[&birth], whole[&birth]);
    assert!(!with("", "f").contains_key(&birth), "whose sex is known has a key with it or none");
}
