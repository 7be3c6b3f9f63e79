//! What becomes of a store when the linkage key, the version or the settings are others.

use causeway_proto::kind::MatchKeyKind;
use zeroize::Zeroizing;

use super::{
    tests::{Agency, CAROL, CAROL_AGAIN, EVENTS, KIERAN, PEOPLE},
    *,
};
use crate::{
    store::{changes, events, persons, segments, sweeps},
    tokenise::{
        chain::EpochKey,
        keyring::Keyring,
        recipe::{MatchKeys, Y},
    },
};

/// Every live row of one kind.
pub(super) async fn rows_of(agency: &Agency, kind: MatchKeyKind) -> Vec<Vec<Y>> {
    let mut conn = agency.store.read().await.unwrap();
    let states = segments::states(&mut conn).await.unwrap();
    let column = segments::keys(&mut conn, 0, kind).await.unwrap();
    let rows = column.as_chunks::<16>().0.chunks(kind.slots()).zip(&states);
    let alive = rows.filter(|(_, state)| **state & segments::ALIVE != 0);
    alive.map(|(keys, _)| keys.to_vec()).collect()
}

/// Every live match-key of one kind, in order.
async fn keys(agency: &Agency, kind: MatchKeyKind) -> Vec<Y> {
    let mut keys = rows_of(agency, kind).await.concat();
    keys.retain(|key| *key != [0; 16]);
    keys.sort_unstable();
    keys
}

fn other_key(n: u8) -> MatchKeys {
    MatchKeys::new(&[[n; 32]; MatchKeyKind::COUNT], [n; 32])
}

#[tokio::test(flavor = "multi_thread")]
async fn another_linkage_key_makes_every_match_key_again_before_anything_else_comes_in() {
    let kind = MatchKeyKind::SoundsBirth;
    let (mut police, mut fresh) = (Agency::new().await, Agency::new().await);
    police.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    let (before, counts) = (keys(&police, kind).await, police.counts().await);
    police.keys = other_key(9);
    fresh.keys = other_key(9);
    fresh.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;

    // The same file, which says nothing new.
    let receipt = police.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    assert!(receipt.same_as_last);
    assert_eq!(keys(&police, kind).await, keys(&fresh, kind).await);
    assert_ne!(keys(&police, kind).await, before);
    assert_eq!(police.counts().await, counts, "who is who stays");
    let position = police.position().await;
    police.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    assert_eq!(police.position().await, position, "once is enough");
    let mut conn = police.store.read().await.unwrap();
    assert_eq!(sweeps::current(&mut conn).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intake_that_began_with_an_older_linkage_key_undoes_nothing_of_a_newer_one() {
    let mut police = Agency::new().await;
    let folder = tempfile::tempdir().unwrap();
    let keyring = Keyring::new(folder.path(), "town".parse().unwrap());
    let epoch = |epoch: u64, key: u8| EpochKey {
        epoch,
        roster_hash: [0; 32],
        key: Zeroizing::new([key; 32]),
    };
    keyring.put_epoch(&epoch(1, 1)).unwrap();
    let older = keyring.match_keys().unwrap();
    keyring.put_epoch(&epoch(2, 2)).unwrap();
    police.keys = keyring.match_keys().unwrap();
    police.people(&[CAROL, KIERAN]).await;
    let (before, position) =
        (keys(&police, MatchKeyKind::SoundsBirth).await, police.position().await);
    let waited = Intake { keys: &older, keyring: Some(&keyring), ..police.intake() };
    let refused = waited.bring_up_to_date().await.unwrap_err();
    assert!(matches!(refused, IngestError::KeyReplaced), "{refused}");
    assert_eq!(keys(&police, MatchKeyKind::SoundsBirth).await, before);
    assert_eq!(police.position().await, position);
    let newest = Intake { keyring: Some(&keyring), ..police.intake() };
    assert_eq!(newest.bring_up_to_date().await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_about_people_that_is_gone_from_the_settings_tells_of_nobody_and_stops_nothing() {
    let mut police = Agency::new().await;
    police.people(&[CAROL, KIERAN]).await;
    let moved = std::mem::replace(
        &mut police.feeds[0],
        Feed::from_toml(&PEOPLE.replace("'nominals'", "'custody'")).unwrap(),
    );
    police.feeds[1] = Feed::from_toml(&EVENTS.replace("'nominals'", "'custody'")).unwrap();
    police.people(&[CAROL]).await;
    assert_eq!(police.counts().await, (3, 1, 1), "records stay, and belong to nobody");
    police.feeds.push(moved);
    police.people(&[CAROL, KIERAN]).await;
    assert_eq!(police.counts().await, (4, 2, 2), "it is back, and they are two people");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_about_events_that_is_gone_from_the_settings_is_told_of_no_more() {
    let mut police = Agency::new().await;
    police.people(&[CAROL]).await;
    let told = async |police: &Agency| {
        let mut conn = police.store.read().await.unwrap();
        let day = "2025-03-01".parse().unwrap();
        let all = events::up_to(&mut conn, day).await.unwrap();
        let person = persons::by_row(&mut conn, &[all.first().map_or(0, |e| e.row)]).await.unwrap();
        let person: Vec<i64> = person.iter().map(|person| person.id).collect();
        let of = events::of_persons(&mut conn, &person, day).await.unwrap();
        assert_eq!(all.len(), of.len());
        all.len()
    };
    police.take_in(1, "INCIDENT,REF,TYPE,ROLE,DATE\nI-1,N-1001,ASB,V,01/02/2025\n").await.unwrap();
    assert_eq!(told(&police).await, 1);
    let position = police.position().await;
    let gone = police.feeds.remove(1);
    police.people(&[CAROL]).await;
    assert_eq!((told(&police).await, police.position().await), (0, position + 1));
    let mut conn = police.store.read().await.unwrap();
    let told_anew = changes::rows_after(&mut conn, position).await.unwrap();
    assert_eq!(told_anew.len(), 1, "whoever follows hears of it");
    drop(conn);
    police.feeds.push(gone);
    police.people(&[CAROL]).await;
    assert_eq!(told(&police).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_of_a_version_with_other_match_keys_is_brought_up_to_date() {
    let (police, fresh) = (Agency::new().await, Agency::new().await);
    police.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    fresh.people(&[CAROL, CAROL_AGAIN, KIERAN]).await;
    // It had one kind less, and another with fewer slots.
    let mut tx = police.store.begin().await.unwrap();
    for sql in [
        "delete from segment where column_kind = 256 + 56",
        "update segment set body = zeroblob(16 * row_count) where column_kind = 256 + 4",
        "update keyed set revision = revision - 1",
    ] {
        sqlx::query(sql).execute(&mut *tx).await.unwrap();
    }
    tx.commit().await.unwrap();
    assert_eq!(police.intake().bring_up_to_date().await.unwrap(), 3);
    assert_eq!(police.counts().await, fresh.counts().await);
    for kind in MatchKeyKind::ALL {
        let known = rows_of(&fresh, *kind).await;
        assert_eq!(known.len(), 2);
        assert_eq!(rows_of(&police, *kind).await, known, "{kind}");
    }
    assert_eq!(police.intake().bring_up_to_date().await.unwrap(), 0);
}
