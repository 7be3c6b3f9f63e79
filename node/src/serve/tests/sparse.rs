//! A node whose records changed so often that segments of match-keys were given up.

use std::collections::BTreeSet;

use causeway_proto::{kind::MatchKeyKind, limits::SEGMENT_ROWS};

use super::following::{Agency, crowd, people};
use crate::store::segments;

const PEOPLE: usize = SEGMENT_ROWS + 200;
const KIND: MatchKeyKind = MatchKeyKind::ForenameHouseStreet;

/// The tokens of forename and address that a sweep streams, and of how many people.
async fn streamed(agency: &Agency) -> (usize, BTreeSet<[u8; 8]>) {
    agency.open(1).await;
    let people = people(agency.streamed(0).await);
    let tokens = people.values().flat_map(|person| person.tokens[KIND.index()].as_chunks().0);
    (people.len(), tokens.copied().collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_moved_is_streamed_as_if_they_had_just_come() {
    let (agency, anew) = (Agency::new().await, Agency::new().await);
    let (before, events) = crowd(PEOPLE);
    let moved = |rows: &str, most: usize| -> String {
        let rows = rows.lines().enumerate();
        let rows =
            rows.map(|(n, row)| if n < most { row.replace("Lane", "Road") } else { row.into() });
        rows.map(|row| row + "\n").collect()
    };
    let after = moved(&before, SEGMENT_ROWS * 3 / 4);
    agency.people(&before).await;
    agency.people(&after).await;
    agency.events(&events).await;
    let mut conn = agency.node.store.read().await.unwrap();
    assert!(segments::keys(&mut conn, 0, KIND).await.is_err(), "the first segment was given up");
    drop(conn);
    anew.people(&after).await;
    anew.events(&events).await;
    let ((here, tokens), (there, expected)) = (streamed(&agency).await, streamed(&anew).await);
    assert_eq!((here, there), (PEOPLE, PEOPLE));
    // Whoever has no token has noise there, which is each node's own.
    assert!(tokens.intersection(&expected).count() >= PEOPLE);
}
