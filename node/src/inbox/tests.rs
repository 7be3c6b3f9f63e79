use super::*;
use crate::store::{Store, events::Event, persons, records::NewRecord};

/// A store in which one person was followed up on each of these days.
async fn followed_up(days: &[&str]) -> Store {
    let store = Store::in_memory().await;
    let mut conn = store.read().await.unwrap();
    let (key, fields) = ("A-1".to_owned(), String::new());
    let record = NewRecord { key, hash: [1; 16], fields, restricted: None, deceased: None };
    records::put(&mut conn, "clients", &[record]).await.unwrap();
    persons::put(&mut conn, &[persons::Person { id: 1, row: 0 }]).await.unwrap();
    let id = records::by_key(&mut conn, "clients", &["A-1"]).await.unwrap()[0].id;
    records::assign(&mut conn, &[(id, Some(1))]).await.unwrap();
    let event = |day: &&str| Event {
        key: (*day).to_owned(),
        hash: [1; 16],
        record: ("clients".to_owned(), "A-1".to_owned()),
        reference: (*day).to_owned(),
        system: None,
        code: "ASC_FOLLOWED_UP".parse().unwrap(),
        suspect: false,
        start: day.parse().unwrap(),
        end: None,
        confidence_permille: 1000,
        arrived: None,
    };
    let all: Vec<Event> = days.iter().map(event).collect();
    events::put(&mut conn, "follow_ups", &all).await.unwrap();
    drop(conn);
    store
}

async fn arrives(conn: &mut SqliteConnection, revision: u32, as_at: &str, now_ms: u64) {
    let alert = Alert { revision, as_at: as_at.parse().unwrap(), ..an_alert() };
    let body = pb::Alert::from(alert.clone()).encode_to_vec();
    let concerned = [("clients".to_owned(), "A-1".to_owned())];
    alerts::put(conn, alert.id, revision, &body, &concerned, now_ms).await.unwrap();
}

#[tokio::test]
async fn what_was_done_before_a_revision_is_no_answer_to_it() {
    let store = followed_up(&["2025-02-20", "2025-03-01", "2025-03-20"]).await;
    let mut conn = store.read().await.unwrap();
    let id = an_alert().id;
    for (revision, as_at, seen) in [
        (1, "2025-02-25", Some("2025-03-01")),
        (2, "2025-03-10", Some("2025-03-20")),
        (3, "2025-03-25", None),
    ] {
        arrives(&mut conn, revision, as_at, 1).await;
        let shown = get(&mut conn, id).await.unwrap().unwrap();
        assert_eq!(shown.action_seen, seen.map(|day| day.parse().unwrap()), "{revision}");
        assert_eq!(shown.is_open(), seen.is_none(), "{revision}");
    }
}

#[tokio::test]
async fn an_alert_counts_as_unopened_after_a_day_unless_somebody_acts() {
    for (days, expected) in [(&[][..], 1), (&["2025-03-01"], 0)] {
        let store = followed_up(days).await;
        let mut conn = store.read().await.unwrap();
        arrives(&mut conn, 1, "2025-02-25", 5).await;
        assert_eq!(unopened(&mut conn, DAY_MS).await.unwrap(), 0);
        assert_eq!(unopened(&mut conn, DAY_MS + 5).await.unwrap(), expected);
    }
}
