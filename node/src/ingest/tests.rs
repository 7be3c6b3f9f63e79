//! Exports that come in night after night, as they really do.

use std::fs;

use causeway_proto::catalogue::SignalCode;
use tempfile::TempDir;

use super::*;
use crate::store::{changes, events, persons, records, segments};

/// An agency with one feed about people and one about events.
pub(super) struct Agency {
    pub(super) store: Store,
    pub(super) feeds: Vec<Feed>,
    pub(super) keys: MatchKeys,
    folder: TempDir,
}

pub(super) const PEOPLE: &str = "
    id = 'nominals'
    about = 'people'
    dates = ['%d/%m/%Y']
    key = ['REF']
    accept_test_ranges = true

    [columns]
    forename = 'FORENAME'
    surname = 'SURNAME'
    dob = 'DOB'
    sex = 'SEX'
    address = 'ADDRESS'
    postcode = 'POSTCODE'
    nhs = 'NHS'
    deceased = 'DIED'

    [restricted]
    column = 'MARK'
    open = ['']
    values = { 'R' = 'restricted' }
";

pub(super) const EVENTS: &str = "
    id = 'incidents'
    about = 'events'
    person_feed = 'nominals'
    dates = ['%d/%m/%Y']
    key = ['INCIDENT', 'REF']

    [columns]
    person = 'REF'
    event_ref = 'INCIDENT'
    type = 'TYPE'
    role = 'ROLE'
    start = 'DATE'

    [roles]
    'V' = 'victim'
    'W' = 'witness'

    [codes]
    'ASB' = 'POL_ASB_VICTIM'
";

const HEADER: &str = "REF,FORENAME,SURNAME,DOB,SEX,ADDRESS,POSTCODE,NHS,DIED,MARK\n";
pub(super) const CAROL: &str = "N-1001,CAROL ANNE,DENHOLM,06/04/1987,F,14 LARKRISE CL,ZX14AB,,,\n";
pub(super) const CAROL_AGAIN: &str =
    "N-2207,Carole,Denham,04/06/1987,F,14 Larkrise Close,ZX1 4AB,,,\n";
pub(super) const KIERAN: &str = "N-3311,KEIRAN,PRICE,20/11/2008,M,14 LARKRISE CLOSE,ZX1 4AB,,,\n";

impl Agency {
    pub(super) async fn new() -> Self {
        Self {
            store: Store::in_memory().await,
            feeds: vec![Feed::from_toml(PEOPLE).unwrap(), Feed::from_toml(EVENTS).unwrap()],
            keys: MatchKeys::of_tests(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) async fn take_in(&self, feed: usize, text: &str) -> Result<Receipt, IngestError> {
        let path = self.folder.path().join("export.csv");
        fs::write(&path, text).unwrap();
        self.intake().take_in(&self.feeds[feed], &path).await
    }

    async fn dry_run(&self, feed: usize, text: &str) -> DryRun {
        let path = self.folder.path().join("export.csv");
        fs::write(&path, text).unwrap();
        self.intake().dry_run(&self.feeds[feed], Some(&path)).await.unwrap()
    }

    pub(super) fn intake(&self) -> Intake<'_> {
        Intake {
            store: &self.store,
            feeds: &self.feeds,
            keys: &self.keys,
            keyring: None,
            as_at: "2025-03-01".parse().unwrap(),
            now_ms: 7,
        }
    }

    pub(super) async fn people(&self, rows: &[&str]) -> Receipt {
        self.take_in(0, &(HEADER.to_owned() + &rows.concat())).await.unwrap()
    }

    /// Records, persons and live rows of match-keys.
    pub(super) async fn counts(&self) -> (u64, u64, usize) {
        let mut conn = self.store.read().await.unwrap();
        let states = segments::states(&mut conn).await.unwrap();
        let alive = states.iter().filter(|state| **state & segments::ALIVE != 0).count();
        let records = records::count(&mut conn).await.unwrap();
        (records, persons::count(&mut conn).await.unwrap(), alive)
    }

    pub(super) async fn position(&self) -> u64 {
        changes::position(&mut self.store.read().await.unwrap()).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nominals_of_one_woman_are_one_person_and_her_son_is_not() {
    let police = Agency::new().await;
    let receipt = police.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    assert_eq!((receipt.changed, receipt.persons_changed), (3, 2));
    assert_eq!(police.counts().await, (3, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_written_down_a_hundred_times_in_three_ways_is_one_person_and_her_son_another() {
    let police = Agency::new().await;
    let of = |who: &str, n: usize| who.replacen("N-", &format!("N-{n}-"), 1);
    let many = (0..100).flat_map(|n| [of(CAROL, n), of(KIERAN, n)]);
    let rows: Vec<String> = many.chain((0..20).map(|n| of(CAROL_AGAIN, n))).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    police.people(&rows).await;
    assert_eq!(police.counts().await, (220, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn newborns_without_a_name_are_one_person_only_by_their_number() {
    let hospital = Agency::new().await;
    let newborn = |key: &str, name: &str, nhs: &str| {
        format!("{key},{name},MARSH,03/02/2025,F,14 LARKRISE CLOSE,ZX1 4AB,{nhs},,\n")
    };
    let (a, b) = (newborn("1", "TWIN A", ""), newborn("2", "TWIN B", ""));
    hospital.people(&[&a, &b]).await;
    assert_eq!(hospital.counts().await, (2, 2, 2), "twins");
    let (one, again) = (newborn("3", "BABY", "9990000018"), newborn("4", "BABY", "9990000018"));
    hospital.people(&[&one, &again]).await;
    hospital.people(&[&one, &again, &newborn("5", "BABY", "")]).await;
    assert_eq!(hospital.counts().await, (3, 2, 2), "one with a number, and another");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_file_twice_is_no_news_and_one_changed_row_is_one_change() {
    let police = Agency::new().await;
    police.people(&[CAROL, KIERAN]).await;
    let before = police.position().await;
    let again = police.people(&[CAROL, KIERAN]).await;
    assert!(again.same_as_last);
    assert_eq!(police.position().await, before);

    let moved = KIERAN.replace("14 LARKRISE CLOSE", "3 MOORFIELD TERRACE");
    let receipt = police.people(&[CAROL, &moved]).await;
    assert_eq!((receipt.changed, receipt.unchanged, receipt.persons_changed), (1, 1, 1));
    assert_eq!(police.position().await, before + 1);
    assert_eq!(police.counts().await, (2, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_is_absent_once_is_kept_and_twice_is_gone() {
    let police = Agency::new().await;
    police.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    let first = police.people(&[CAROL, CAROL_AGAIN, "N-1,ADA,BYRON,10/12/1985,F,,,,,\n"]).await;
    assert_eq!((first.missed, first.removed), (1, 0));
    let second = police.people(&[CAROL, CAROL_AGAIN, "N-1,ADA,BYRON,11/12/1985,F,,,,,\n"]).await;
    assert_eq!((second.missed, second.removed), (0, 1));
    assert_eq!(police.counts().await, (3, 2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_comes_back_was_never_gone() {
    let police = Agency::new().await;
    police.people(&[CAROL, KIERAN]).await;
    police.people(&[CAROL, "N-1,ADA,BYRON,10/12/1985,F,,,,,\n"]).await;
    police.people(&[CAROL, KIERAN]).await;
    let receipt = police.people(&[CAROL, "N-2,EVE,BYRON,10/12/1985,F,,,,,\n"]).await;
    assert_eq!(receipt.missed, 1, "Kieran is absent for the first time again");
    assert_eq!(receipt.removed, 1, "N-1 is absent for the second time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_row_is_set_aside_and_its_record_stays() {
    let police = Agency::new().await;
    police.people(&[CAROL, KIERAN]).await;
    let damaged = KIERAN.replace("20/11/2008", "39772");
    for mark in ["X", "Y"] {
        let other = format!("N-{mark},ADA,BYRON,10/12/1985,F,,,,,\n");
        let receipt = police.people(&[CAROL, &damaged, &other]).await;
        assert_eq!((receipt.file.quarantined, receipt.removed), (1, 0));
    }
    assert!(police.counts().await.0 >= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_file_is_refused_and_what_was_there_stands() {
    let police = Agency::new().await;
    let rows: Vec<String> = (0..40)
        .map(|n| format!("N-{n},ADA,BYRON{n},10/12/1985,F,{n} High Street,ZX1 4AB,,,\n"))
        .collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    police.people(&rows).await;
    let before = police.counts().await;
    let text = HEADER.to_owned() + &rows[..20].concat();
    let refused = police.take_in(0, &text).await.unwrap_err();
    assert!(matches!(refused, IngestError::Refused { .. }), "{refused}");
    let cut = &text[..text.len() - 30];
    let refused = police.take_in(0, cut).await.unwrap_err();
    assert!(matches!(refused, IngestError::File { .. }), "{refused}");
    assert_eq!(police.counts().await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restricted_record_belongs_to_nobody_and_emits_nothing() {
    let police = Agency::new().await;
    police.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    let restricted = CAROL_AGAIN.trim_end().to_owned() + "R\n";
    let receipt = police.people(&[CAROL, &restricted, KIERAN]).await;
    assert_eq!(receipt.persons_changed, 1, "Carol has other match-keys without it");
    let unknown_mark = KIERAN.trim_end().to_owned() + "?\n";
    police.people(&[CAROL, &restricted, &unknown_mark]).await;
    assert_eq!(police.counts().await, (3, 1, 1), "a mark that nobody explained restricts");
}

#[tokio::test(flavor = "multi_thread")]
async fn events_come_in_by_role_and_not_after_death() {
    let police = Agency::new().await;
    let dead = "N-9,EDITH,HOLROYD,11/02/1937,F,,,,01/02/2025,\n";
    police.people(&[CAROL, dead]).await;
    let header = "INCIDENT,REF,TYPE,ROLE,DATE\n";
    let rows = "POL0,N-1001,ASB,V,11/01/2025\nPOL1,N-1001,ASB,W,12/01/2025\n\
                POL2,N-9,ASB,V,31/01/2025\nPOL3,N-9,ASB,V,02/02/2025\n";
    let receipt = police.take_in(1, &(header.to_owned() + rows)).await.unwrap();
    assert_eq!((receipt.changed, receipt.after_death), (2, 1));
    let mut conn = police.store.read().await.unwrap();
    let known = events::up_to(&mut conn, "2025-03-01".parse().unwrap()).await.unwrap();
    let asb: SignalCode = "POL_ASB_VICTIM".parse().unwrap();
    assert_eq!(known.iter().filter(|event| event.code == asb).count(), 2);
    drop(conn);
    assert_eq!(police.position().await, 4, "two persons, and what happened to each");
}

/// Whoever tries an export first is told what taking it in would say.
#[tokio::test(flavor = "multi_thread")]
async fn a_trial_says_what_taking_in_would_and_changes_nothing() {
    let police = Agency::new().await;
    let people: Vec<String> = (0..40)
        .map(|n| format!("N-{n},ADA,BYRON{n},10/12/1985,F,{n} High Street,ZX1 4AB,,,\n"))
        .collect();
    let dead = "N-9999,EDITH,HOLROYD,11/02/1937,F,,,,01/02/2025,\n";
    police.take_in(0, &(HEADER.to_owned() + &people.concat() + dead)).await.unwrap();
    let before = (police.counts().await, police.position().await);

    // One number changed hands, and then everybody's.
    let other = |n: usize| format!("N-{n},EVE,LOVELACE{n},{:02}/03/1961,F,,,,,\n", n % 28 + 1);
    let one = HEADER.to_owned() + &other(0) + &people[1..].concat() + dead;
    let all = HEADER.to_owned() + &(0..40).map(other).collect::<String>() + dead;
    let (tried_one, tried_all) = (police.dry_run(0, &one).await, police.dry_run(0, &all).await);
    let header = "INCIDENT,REF,TYPE,ROLE,DATE\n";
    let events = format!("{header}POL1,N-1,ASB,V,11/01/2025\nPOL3,N-9999,ASB,V,02/02/2025\n");
    let tried_events = police.dry_run(1, &events).await;
    assert_eq!((police.counts().await, police.position().await), before, "nothing was touched");

    let refused = police.take_in(0, &all).await.unwrap_err();
    let why = std::error::Error::source(&refused).unwrap().to_string();
    assert_eq!(tried_all.refused, Some(why));
    let taken = police.take_in(0, &one).await.unwrap();
    assert_eq!((tried_one.refused, tried_one.file.quarantined), (None, 1));
    assert_eq!((taken.file.quarantined, taken.file.taken), (1, tried_one.file.taken));
    let taken = police.take_in(1, &events).await.unwrap();
    assert_eq!((tried_events.refused, tried_events.file.quarantined), (None, 1));
    assert_eq!((taken.after_death, taken.file.taken), (1, tried_events.file.taken));
}
