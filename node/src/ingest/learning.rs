//! From which records an agency learns how two of one person agree.

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::*;
use crate::{source::Feed, store::persons};

const FEED: &str = "
    id = 'register'
    about = 'people'
    dates = ['%Y-%m-%d']
    key = ['REF']

    [columns]
    forename = 'FORENAME'
    surname = 'SURNAME'
    dob = 'DOB'
";

/// Takes rows of forename, surname and date of birth in, and returns how many persons they come to.
async fn persons_of(rows: &[[String; 3]]) -> u64 {
    let store = Store::in_memory().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("export.csv");
    let rows = rows.iter().enumerate().map(|(at, row)| format!("{at},{}\n", row.join(",")));
    std::fs::write(&path, "REF,FORENAME,SURNAME,DOB\n".to_owned() + &rows.collect::<String>())
        .unwrap();
    let (feeds, keys) = ([Feed::from_toml(FEED).unwrap()], MatchKeys::of_tests());
    let as_at = "2025-03-01".parse().unwrap();
    let intake =
        Intake { store: &store, feeds: &feeds, keys: &keys, keyring: None, as_at, now_ms: 7 };
    intake.take_in(&feeds[0], &path).await.unwrap();
    persons::count(&mut store.read().await.unwrap()).await.unwrap()
}

/// A name of two or three syllables, of so many there are.
fn name(random: &mut StdRng, syllables: &[&str], of: u32) -> String {
    // Some are far more frequent than others.
    let which = (random.random_range(0.0..1.0f64).powi(2) * f64::from(of)) as usize;
    let count = syllables.len();
    format!(
        "{}{}{}",
        syllables[which % count],
        syllables[which / count % count],
        syllables[(which * 7 + 3) % count]
    )
}

fn born(random: &mut StdRng) -> [u32; 3] {
    [random.random_range(1930..2000), random.random_range(1..=12), random.random_range(1..=28)]
}

fn written([year, month, day]: [u32; 3]) -> String {
    format!("{year}-{month:02}-{day:02}")
}

/// One in twelve is on record twice, with another end to the surname or with one part of the date of birth wrong.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_relatives_show_a_few_doubles_teach() {
    let mut random = StdRng::seed_from_u64(1);
    let syllables =
        ["ma", "ri", "jo", "han", "kar", "lin", "pet", "er", "sus", "an", "wol", "gang"];
    let mut rows = Vec::new();
    for person in 0..3000 {
        let [forename, surname] = [144, 1728].map(|of| name(&mut random, &syllables, of));
        let birth = born(&mut random);
        let mut double = (surname.clone(), birth);
        match person % 24 {
            0 => double.0.push('e'),
            12 => double.1[2] = 1 + (birth[2] + random.random_range(4..24)) % 28,
            _ => {}
        }
        let doubles = [(surname, birth), double];
        let times = if person % 12 == 0 { 2 } else { 1 };
        let row =
            |(surname, birth): &(String, _)| [forename.clone(), surname.clone(), written(*birth)];
        rows.extend(doubles.iter().take(times).map(row));
    }
    let persons = persons_of(&rows).await;
    assert!((2980..=3010).contains(&persons), "{persons}");
}

/// Few names of two words each: without their date of birth nobody is told from many others.
#[tokio::test(flavor = "multi_thread")]
async fn people_of_like_names_do_not_teach_that_they_are_one() {
    let mut random = StdRng::seed_from_u64(2);
    let (given, family) = (
        [
            "van minh",
            "van hung",
            "duc anh",
            "quoc tuan",
            "thanh long",
            "thi lan",
            "thi mai",
            "ngoc anh",
            "thu ha",
            "kim anh",
        ],
        ["nguyen", "tran", "le", "pham", "hoang", "vo"],
    );
    let mut rows = Vec::new();
    for person in 0..3000 {
        let forename = given[random.random_range(0..given.len())].to_owned();
        let surname = family[random.random_range(0..family.len())].to_owned();
        let date = written(born(&mut random));
        let times = if person % 8 == 0 { 2 } else { 1 };
        rows.extend(std::iter::repeat_n([forename, surname, date], times));
    }
    let persons = persons_of(&rows).await;
    assert!((2900..=3010).contains(&persons), "{persons}");
}
