use aes::cipher::KeyInit;
use causeway_proto::linkage::levels::{ComparisonField as F, Levels};

use super::{
    super::{
        profile::{Profile, Sounded},
        sketch,
    },
    *,
};

fn sounded(text: &str, sound: &str) -> Sounded {
    Sounded { text: text.into(), sound: sound.into() }
}

fn kieran() -> Profile {
    Profile {
        forenames: vec![sounded("kieran", "KRN")],
        surnames: vec![sounded("price", "PRS")],
        surname_ends: ["price".into(), "price".into()],
        births: vec![Birth { year: Some(2008), month: Some(11), day: Some(20) }],
        sex: "m".into(),
        postcode: "zx14ab".into(),
        sector: "zx14".into(),
        house: "14".into(),
        street: "larkrisecl".into(),
        ..Profile::default()
    }
}

fn levels(a: &Profile, b: &Profile, salts: [u8; 2]) -> Levels {
    let cipher = Aes128::new_from_slice(&[9; 16]).unwrap();
    let mut comparer = Comparer::new(&cipher);
    let (a, b) = (sketch::encode(a), sketch::encode(b));
    let a = comparer.compare(&[salts[0]; 16], 1, &Sketch::read(&a).unwrap());
    let b = comparer.compare(&[salts[1]; 16], 2, &Sketch::read(&b).unwrap());
    Levels::of(&a, &b)
}

#[test]
fn one_person_agrees_everywhere_inside_a_block_and_nowhere_across() {
    let inside = levels(&kieran(), &kieran(), [5, 5]);
    let expected = [(F::Forename, 5), (F::Surname, 5), (F::Birth, 5), (F::Sex, 1), (F::Address, 5)];
    for (field, level) in expected {
        assert_eq!(inside.get(field), Some(level), "{field}");
    }
    assert_eq!(inside.get(F::Phone), None);
    let across = levels(&kieran(), &kieran(), [5, 6]);
    for field in F::ALL {
        assert_eq!(across.get(*field), None, "{field}");
    }
}

#[test]
fn typing_errors_show_as_levels() {
    let with = |change: fn(&mut Profile)| {
        let mut other = kieran();
        change(&mut other);
        levels(&kieran(), &other, [5, 5])
    };
    assert_eq!(with(|p| p.forenames[0].text = "keiran".into()).get(F::Forename), Some(3));
    let birth = |year, month, day| Birth { year, month, day };
    let dates = [
        (birth(Some(2008), Some(11), Some(21)), Some(3)),
        (birth(Some(2008), Some(11), Some(50)), Some(3)),
        (birth(Some(2008), Some(71), Some(20)), Some(3)),
        (birth(Some(2008), None, None), Some(1)),
        (birth(Some(2008), Some(12), Some(1)), Some(2)),
        (birth(Some(1974), Some(3), Some(7)), Some(0)),
        (birth(None, None, None), None),
    ];
    for (at, (date, level)) in dates.into_iter().enumerate() {
        let mut other = kieran();
        other.births = vec![date];
        assert_eq!(levels(&kieran(), &other, [5, 5]).get(F::Birth), level, "date {at}");
    }
    let initial = with(|p| {
        p.forenames[0] = sounded("k", "K");
        p.initial_only = true;
    });
    assert!(initial.initial_only());
    let swapped = with(|p| std::mem::swap(&mut p.forenames, &mut p.surnames));
    assert_eq!((swapped.get(F::Forename), swapped.get(F::Surname)), (Some(6), Some(6)));
}

#[test]
fn two_letters_that_changed_places_are_a_typing_error() {
    let named =
        |name: &str, sound: &str| Profile { forenames: vec![sounded(name, sound)], ..kieran() };
    let (right, wrong) = (named("katrina", "KTRN"), named("kartina", "KRTN"));
    let reach = |other: &Profile| {
        let salts = 0..32;
        salts.filter(|salt| levels(&right, other, [*salt; 2]).at_least(F::Forename, 3)).count()
    };
    // Six pairs of letters in eight are the same: the estimate says so under most salts.
    assert!(reach(&wrong) >= 24, "{}", reach(&wrong));
    assert!(reach(&named("martina", "MRTN")) <= 4, "somebody else");
}

#[test]
fn one_comparison_does_not_show_what_a_record_lacks_and_two_show_what_both_have() {
    let cipher = Aes128::new_from_slice(&[9; 16]).unwrap();
    let mut comparer = Comparer::new(&cipher);
    let (full, lacking) = (sketch::encode(&kieran()), sketch::encode(&Profile::default()));
    let mut compare =
        |sketch: &[u8], noise| comparer.compare(&[5; 16], noise, &Sketch::read(sketch).unwrap());
    let (again, other) = (compare(&full, 4), compare(&lacking, 3));
    let (full, lacking) = (compare(&full, 1), compare(&lacking, 2));
    for comparison in [&full, &lacking] {
        let mut atoms = comparison.atoms.to_vec();
        atoms.extend(comparison.marks);
        assert!(atoms.iter().all(|atom| *atom != 0), "each of 61 is 0 by chance in 65,536");
        atoms.sort_unstable();
        atoms.dedup();
        assert_eq!(atoms.len(), Atom::COUNT + Presence::COUNT, "nothing is equal");
        for (word, bits) in comparison.words.iter().enumerate() {
            let (least, most) = if word == Word::Digits as usize { (16, 48) } else { (40, 88) };
            assert!((least..=most).contains(&bits.count_ones()), "word {word}");
        }
    }
    // Two that lack everything look no more alike than one that has something.
    assert_eq!(lacking.shared(&other), Presence(0));
    assert_eq!(lacking.shared(&full), Presence(0));
    let kieran = sketch::encode(&kieran());
    assert_eq!(full.shared(&again), Sketch::read(&kieran).unwrap().presence);
}

#[test]
fn a_name_that_agrees_does_not_show_how_many_forms_it_has() {
    let with = |forename: &str, formal: &[&str], ends: [&str; 2]| Profile {
        forenames: vec![sounded(forename, "X")],
        formal: formal.iter().map(|name| (*name).to_owned()).collect(),
        surname_ends: ends.map(str::to_owned),
        ..kieran()
    };
    let pairs = [
        with("liz", &["elizabeth", "eliza"], ["denholm", "price"]),
        with("kieran", &[], ["price", "price"]),
    ];
    let cipher = Aes128::new_from_slice(&[9; 16]).unwrap();
    for (at, profile) in pairs.iter().enumerate() {
        let packed = sketch::encode(profile);
        let sketch = Sketch::read(&packed).unwrap();
        let [a, b] = [1, 2].map(|noise| Comparer::new(&cipher).compare(&[5; 16], noise, &sketch));
        let forms = [Atom::Formal0, Atom::Formal1, Atom::Formal2, Atom::Formal3];
        let parts = [Atom::SurnameFirst, Atom::SurnameLast];
        assert!(forms.iter().chain(&parts).all(|atom| a.atom(*atom) == b.atom(*atom)), "{at}");
    }
    let short = levels(&pairs[0], &with("elizabeth", &[], ["price", "price"]), [5, 5]);
    assert_eq!(short.get(F::Forename), Some(4));
}

#[test]
fn a_father_is_a_generation_apart_and_a_brother_is_not() {
    let with = |year| {
        let mut other = kieran();
        other.births[0].year = Some(year);
        levels(&kieran(), &other, [5, 5])
    };
    for year in [1981, 1996, 2020] {
        assert!(with(year).generation_apart(), "{year}");
    }
    for year in [1999, 2008, 2017] {
        assert!(!with(year).generation_apart(), "{year}");
    }
}

#[test]
fn a_double_barrelled_name_agrees_with_either_half() {
    let mut double = kieran();
    double.surnames = vec![sounded("denholmprice", "TNLM")];
    double.surname_ends = ["denholm".into(), "price".into()];
    assert_eq!(levels(&kieran(), &double, [5, 5]).get(F::Surname), Some(3));
}
