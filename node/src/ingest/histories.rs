//! Whatever was delivered, refused and corrected before: what stands is what the last good state says.

use std::{collections::BTreeMap, fs};

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::store::{events, persons, records, segments};

/// What one delivery says of some keys: a version of each.
type Says = BTreeMap<u8, u8>;

struct Node {
    store: Store,
    feeds: [Feed; 2],
    keys: MatchKeys,
    folder: TempDir,
}

/// What stands: people by key with what is said of them, how many persons and match-keys, and events.
type Stands = (Vec<(String, String)>, u64, usize, Vec<(String, String, i32)>);

impl Node {
    async fn new(mode: &str) -> Self {
        let rest = format!("mode = '{mode}'\nmax_drop_pct = 50\ndates = ['%Y-%m-%d']\n");
        let people = format!(
            "id = 'people'\nabout = 'people'\nkey = ['REF']\n{rest}[columns]\nforename = 'F'\n\
             surname = 'S'\ndob = 'DOB'\npostcode = 'P'\n"
        );
        let events = format!(
            "id = 'events'\nabout = 'events'\nperson_feed = 'people'\nkey = ['CASE']\n\
             default_role = 'victim'\ndefault_code = 'POL_ASB_VICTIM'\n{rest}[columns]\n\
             person = 'REF'\nstart = 'DATE'\n"
        );
        Self {
            store: Store::in_memory().await,
            feeds: [Feed::from_toml(&people).unwrap(), Feed::from_toml(&events).unwrap()],
            keys: MatchKeys::of_tests(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Delivers both feeds; `cut` ends each in the middle of its last row. Returns which were taken.
    async fn deliver(&self, says: &Says, turned: bool, cut: bool) -> [bool; 2] {
        let people = says.iter().map(|(key, version)| {
            format!("{key},Fore{key},Sur{}x{key},19{:02}-03-02,ZX1 4AB\n", letters(*key), 20 + key)
                .replace("Fore", &"Fo".repeat(1 + usize::from(*version)))
        });
        let events =
            says.iter().map(|(key, version)| format!("E{key},{key},2025-01-{:02}\n", 1 + version));
        let files: [(&str, Vec<String>); 2] =
            [("REF,F,S,DOB,P\n", people.collect()), ("CASE,REF,DATE\n", events.collect())];
        let mut taken = [false; 2];
        for (at, (header, mut rows)) in files.into_iter().enumerate() {
            if turned {
                rows.reverse();
            }
            let mut text = header.to_owned() + &rows.concat();
            if cut {
                text.truncate(text.rfind(',').unwrap());
            }
            let path = self.folder.path().join("export.csv");
            fs::write(&path, text).unwrap();
            let as_at = "2025-03-01".parse().unwrap();
            let (store, feeds, keys) = (&self.store, &self.feeds, &self.keys);
            let intake = Intake { store, feeds, keys, keyring: None, as_at, now_ms: 7 };
            taken[at] = intake.take_in(&self.feeds[at], &path).await.is_ok();
        }
        taken
    }

    async fn stands(&self) -> Stands {
        let mut conn = self.store.read().await.unwrap();
        let known = records::known(&mut conn, "people").await.unwrap();
        let ids: Vec<i64> = known.values().map(|known| known.id).collect();
        let people = records::by_id(&mut conn, &ids).await.unwrap();
        let mut people: Vec<_> = people.into_iter().map(|r| (r.key, r.fields)).collect();
        people.sort();
        let states = segments::states(&mut conn).await.unwrap();
        let alive = states.iter().filter(|state| **state & segments::ALIVE != 0).count();
        let events = events::up_to(&mut conn, "2025-03-01".parse().unwrap()).await.unwrap();
        let mut events: Vec<_> =
            events.into_iter().map(|e| (e.reference, e.feed, e.start.number())).collect();
        events.sort();
        (people, persons::count(&mut conn).await.unwrap(), alive, events)
    }
}

/// Surnames that nobody takes for each other.
fn letters(key: u8) -> String {
    (0..4).map(|place| char::from(b'a' + (key * 7 + place * 5) % 26)).collect()
}

fn delivery() -> impl Strategy<Value = (Says, bool, bool)> {
    // Two rows at least: turned around, one would be the same file, which is no second absence.
    let says = proptest::collection::btree_map(0..8_u8, 0..3_u8, 2..8);
    (says, any::<bool>(), proptest::bool::weighted(0.2))
}

async fn ends_where_the_last_good_one_does(history: &[(Says, bool, bool)]) {
    let node = Node::new("full").await;
    let mut last = None;
    for (says, turned, cut) in history {
        let taken = node.deliver(says, *turned, *cut).await;
        assert_eq!(taken[0], taken[1], "the same is wrong with both");
        assert!(!(*cut && taken[0]), "a file that is cut off is never good");
        if taken[0] {
            last = Some(says);
        }
    }
    let Some(last) = last else { return };
    // What is absent is gone once it was absent twice, in two files.
    for turned in [false, true, false] {
        node.deliver(last, turned, false).await;
    }
    let direct = Node::new("full").await;
    direct.deliver(last, false, false).await;
    let (stands, wanted) = (node.stands().await, direct.stands().await);
    assert_eq!(stands, wanted);
    assert!(!wanted.0.is_empty() && !wanted.3.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_fitted_somebody_that_left_is_looked_at_again() {
    // While the first two are there, the others could be either of them, too.
    let history = [[2, 7], [1, 4]].map(|keys| (keys.map(|key| (key, 0)).into(), false, false));
    ends_where_the_last_good_one_does(&history).await;
}

/// Who has on record what only one of somebody's earlier records says, beside an initial.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_in_later_is_whoever_they_would_be_had_all_come_at_once_after_a_while() {
    const FEED: &str = "
        id = 'people'
        about = 'people'
        key = ['REF']
        dates = ['%Y-%m-%d']
        mode = 'delta'
        [columns]
        forename = 'F'
        surname = 'S'
        dob = 'DOB'
        email = 'MAIL'
        phone = 'TEL'
    ";
    const HEADER: &str = "REF,F,S,DOB,MAIL,TEL\n";
    let born = |n: usize| format!("19{:02}-{:02}-14", 30 + n % 60, 1 + n % 12);
    let other = |n: usize| {
        let (forename, surname) = (letters((n % 26) as u8), letters((n / 3 + 9) as u8));
        format!("{n},{forename},{surname},{},{forename}{n}@x.example,01632 9602{n:02}\n", born(n))
    };
    let others: String = (10..70).map(other).collect();
    let hers = "1,KAREN,BYRON,1981-05-17,kb@x.example,01632 960111\n\
                2,KAREN,BYRON,1981-05-17,kb@x.example,01632 960111\n\
                3,KAREN,BYRON,1981-05-17,karen@y.example,01632 960222\n";
    let later = "4,K,,,karen@y.example,01632 960222\n";
    let feeds = [Feed::from_toml(FEED).unwrap()];
    let (keys, folder) = (MatchKeys::of_tests(), tempfile::tempdir().unwrap());
    let persons_after = async |deliveries: &[String]| {
        let store = Store::in_memory().await;
        let path = folder.path().join("export.csv");
        for rows in deliveries {
            fs::write(&path, HEADER.to_owned() + rows).unwrap();
            let as_at = "2025-03-01".parse().unwrap();
            let intake = Intake {
                store: &store,
                feeds: &feeds,
                keys: &keys,
                keyring: None,
                as_at,
                now_ms: 7,
            };
            intake.take_in(&feeds[0], &path).await.unwrap();
        }
        let mut conn = store.read().await.unwrap();
        persons::count(&mut conn).await.unwrap()
    };
    let at_once = persons_after(&[others.clone() + hers + later]).await;
    assert_eq!(at_once, 61, "the others, and she");
    let moved = |which: std::ops::Range<usize>| -> String {
        which.map(|n| other(n).replace("x.example", "z.example")).collect()
    };
    let before = [others + hers, later.into()];
    assert_eq!(persons_after(&before).await, at_once + 1, "held against who is there alone");
    let much = [&before[..], &[moved(10..31)]].concat();
    assert_eq!(persons_after(&much).await, at_once);
    let bit_by_bit = [&before[..], &[moved(10..20), moved(20..30)]].concat();
    assert_eq!(persons_after(&bit_by_bit).await, at_once);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_history_of_full_extracts_ends_where_its_last_good_one_does(
        history in proptest::collection::vec(delivery(), 1..6)
    ) {
        let ends = ends_where_the_last_good_one_does(&history);
        tokio::runtime::Runtime::new().unwrap().block_on(ends);
    }

    #[test]
    fn a_history_of_changes_ends_where_all_of_them_at_once_do(
        history in proptest::collection::vec(delivery(), 1..6)
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let node = Node::new("delta").await;
            let mut all = Says::new();
            for (says, turned, cut) in &history {
                let taken = node.deliver(says, *turned, *cut).await;
                if taken[0] {
                    all.extend(says);
                }
            }
            let direct = Node::new("delta").await;
            direct.deliver(&all, false, false).await;
            if !all.is_empty() {
                assert_eq!(node.stands().await, direct.stands().await);
            }
        });
    }
}
