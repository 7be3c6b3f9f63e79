//! The ledger keeps its promises, word for word the same, in a file and on a PostgreSQL server.

use causeway_coordinator::ledger::{
    Ledger, LedgerError,
    alerts::{self, Decided},
    outbox,
    reviews::{self, Received},
    sweeps,
};
use causeway_proto::{
    alert::{AlertChange, AlertSubject, Tier},
    day::Day,
    ids::{AgencyId, AlertId, ReviewId, SweepId},
    review::{Review, ReviewAction, ReviewReason},
};
use causeway_tests::postgres::Postgres;
use tempfile::TempDir;

/// Both ledgers, empty, and what keeps them alive.
struct Both {
    ledgers: [Ledger; 2],
    _folder: TempDir,
    _server: Postgres,
}

async fn both() -> Both {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Postgres::start().expect("a PostgreSQL server");
    let file = Ledger::open_file(&folder.path().join("ledger.db")).await.expect("a ledger");
    let url = server.database("ledger").expect("a database");
    let shared = Ledger::connect(&url).await.expect("a ledger");
    Both { ledgers: [file, shared], _folder: folder, _server: server }
}

fn day() -> Day {
    Day::new(2025, 2, 25).expect("a day")
}

fn alert(id: u8, revision: u32) -> Decided {
    Decided {
        id: AlertId::from_bytes([id; 16]),
        revision,
        change: if revision == 1 { AlertChange::New } else { AlertChange::Update },
        sweep: SweepId::new(1, [7; 8]),
        subject: AlertSubject::Household,
        tier: Tier::T3,
        score_tenths: 700 + revision,
        as_at: day(),
        created_ms: 1_000 + u64::from(id),
        explanation: "{}".into(),
        reason: "entered".into(),
    }
}

fn agency(name: &str) -> AgencyId {
    name.parse().expect("a name")
}

#[tokio::test]
async fn a_decision_and_its_deliveries_are_written_together_or_not_at_all() {
    for ledger in &both().await.ledgers {
        let mut tx = ledger.begin().await.unwrap();
        alerts::put(&mut tx, &alert(1, 1)).await.unwrap();
        outbox::put(&mut tx, alert(1, 1).id, 1, &agency("police"), b"body", 5).await.unwrap();
        drop(tx);
        let mut tx = ledger.read().await.unwrap();
        assert_eq!(alerts::count(&mut tx).await.unwrap(), 0);
        assert_eq!(outbox::waiting(&mut tx).await.unwrap(), (0, None));
    }
}

#[tokio::test]
async fn an_alert_is_read_back_as_it_was_written_and_the_newest_revision_counts() {
    for ledger in &both().await.ledgers {
        let mut tx = ledger.begin().await.unwrap();
        for decided in [alert(1, 1), alert(2, 1), alert(1, 2)] {
            alerts::put(&mut tx, &decided).await.unwrap();
        }
        tx.commit().await.unwrap();
        let mut tx = ledger.read().await.unwrap();
        assert_eq!(alerts::latest(&mut tx, 9).await.unwrap(), [alert(2, 1), alert(1, 2)]);
        assert_eq!(alerts::find(&mut tx, alert(1, 1).id).await.unwrap(), Some(alert(1, 2)));
        assert_eq!(alerts::find(&mut tx, AlertId::from_bytes([9; 16])).await.unwrap(), None);
        assert_eq!(alerts::count(&mut tx).await.unwrap(), 2);
    }
}

#[tokio::test]
async fn a_revision_is_decided_once() {
    for ledger in &both().await.ledgers {
        let mut tx = ledger.begin().await.unwrap();
        alerts::put(&mut tx, &alert(1, 1)).await.unwrap();
        let again = alerts::put(&mut tx, &alert(1, 1)).await;
        assert!(matches!(again, Err(LedgerError::Statement(_))));
    }
}

#[tokio::test]
async fn a_delivery_is_leased_to_one_courier_until_the_lease_runs_out() {
    for ledger in &both().await.ledgers {
        let mut tx = ledger.begin().await.unwrap();
        let id = alert(1, 1).id;
        outbox::put(&mut tx, id, 1, &agency("police"), b"body", 100).await.unwrap();
        // Deciding it twice is one delivery.
        outbox::put(&mut tx, id, 1, &agency("police"), b"body", 100).await.unwrap();
        assert_eq!(outbox::waiting(&mut tx).await.unwrap(), (1, Some(100)));
        assert!(outbox::lease(&mut tx, 99, 200, 9).await.unwrap().is_empty(), "not due yet");
        let leased = outbox::lease(&mut tx, 100, 200, 9).await.unwrap();
        assert_eq!((leased.len(), &*leased[0].body, leased[0].attempts), (1, &b"body"[..], 1));
        assert!(outbox::lease(&mut tx, 150, 250, 9).await.unwrap().is_empty(), "leased");
        assert_eq!(outbox::waiting(&mut tx).await.unwrap(), (1, Some(200)));
        let again = outbox::lease(&mut tx, 200, 300, 9).await.unwrap();
        assert_eq!((again[0].id, again[0].attempts), (leased[0].id, 2));
    }
}

#[tokio::test]
async fn a_delivery_that_failed_is_due_again_later_and_one_that_arrived_keeps_no_handles() {
    for ledger in &both().await.ledgers {
        let mut tx = ledger.begin().await.unwrap();
        let id = alert(1, 1).id;
        outbox::put(&mut tx, id, 1, &agency("police"), b"body", 0).await.unwrap();
        outbox::put(&mut tx, id, 1, &agency("housing"), b"body", 0).await.unwrap();
        let leased = outbox::lease(&mut tx, 0, 30, 9).await.unwrap();
        outbox::delivered(&mut tx, leased[0].id, 10).await.unwrap();
        outbox::retry(&mut tx, leased[1].id, 500, "it is down").await.unwrap();
        assert!(outbox::lease(&mut tx, 499, 600, 9).await.unwrap().is_empty());
        let reached = outbox::reached(&mut tx, id, 1).await.unwrap();
        assert_eq!(reached.recipients, [agency("housing"), agency("police")]);
        assert_eq!(reached.delivered, 1);
        assert_eq!(
            outbox::on_its_way_to(&mut tx, id).await.unwrap(),
            [leased[1].recipient.clone()]
        );
        let again = outbox::lease(&mut tx, 500, 600, 9).await.unwrap();
        assert_eq!((again.len(), again[0].id), (1, leased[1].id));
    }
}

#[tokio::test]
async fn what_waits_can_be_hurried_and_what_is_on_its_way_is_left_alone() {
    for ledger in &both().await.ledgers {
        let mut tx = ledger.begin().await.unwrap();
        let id = alert(1, 1).id;
        outbox::put(&mut tx, id, 1, &agency("police"), b"body", 0).await.unwrap();
        outbox::put(&mut tx, id, 1, &agency("housing"), b"body", 0).await.unwrap();
        let leased = outbox::lease(&mut tx, 0, 30, 9).await.unwrap();
        outbox::retry(&mut tx, leased[0].id, 500, "it is down").await.unwrap();
        assert_eq!(outbox::under_way(&mut tx, 20).await.unwrap(), 1, "one waits for later");
        outbox::hurry(&mut tx, 20).await.unwrap();
        assert_eq!(outbox::under_way(&mut tx, 20).await.unwrap(), 2);
        let again = outbox::lease(&mut tx, 20, 50, 9).await.unwrap();
        assert_eq!((again.len(), again[0].id), (1, leased[0].id), "the other is leased");
        for delivery in &leased {
            outbox::delivered(&mut tx, delivery.id, 25).await.unwrap();
        }
        assert_eq!(outbox::under_way(&mut tx, 60).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn couriers_at_the_same_time_never_hold_the_same_delivery() {
    for ledger in &both().await.ledgers {
        let mut tx = ledger.begin().await.unwrap();
        for number in 0..40 {
            let id = AlertId::from_bytes([number; 16]);
            outbox::put(&mut tx, id, 1, &agency("police"), b"body", 0).await.unwrap();
        }
        tx.commit().await.unwrap();
        let couriers = (0..8).map(|_| {
            let ledger = ledger.clone();
            tokio::spawn(async move {
                let mut mine = Vec::new();
                loop {
                    let mut tx = ledger.begin().await.unwrap();
                    let leased = outbox::lease(&mut tx, 0, 1_000, 3).await.unwrap();
                    tx.commit().await.unwrap();
                    if leased.is_empty() {
                        return mine;
                    }
                    mine.extend(leased.into_iter().map(|delivery| delivery.id));
                }
            })
        });
        let mut all = Vec::new();
        for courier in couriers.collect::<Vec<_>>() {
            all.extend(courier.await.unwrap());
        }
        let leased = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!((leased, all.len()), (all.len(), 40), "held twice, or passed over");
    }
}

#[tokio::test]
async fn a_sweep_counter_only_goes_up() {
    for ledger in &both().await.ledgers {
        let mut counters = Vec::new();
        for number in 1..=3 {
            let mut tx = ledger.begin().await.unwrap();
            let sweep = sweeps::open(&mut tx, [number; 8], day(), ("m", "5ha"), 5).await.unwrap();
            counters.push(sweep.counter());
            tx.commit().await.unwrap();
        }
        assert_eq!(counters, [1, 2, 3]);
        let mut tx = ledger.begin().await.unwrap();
        let last = sweeps::last(&mut tx).await.unwrap().expect("a sweep");
        assert_eq!((last.id.counter(), last.as_at, last.closed_ms), (3, day(), None));
        assert_eq!((&*last.model, &*last.model_sha256), ("m", "5ha"));
        sweeps::close(&mut tx, last.id, "{}", 9).await.unwrap();
        assert_eq!(sweeps::last(&mut tx).await.unwrap().and_then(|last| last.closed_ms), Some(9));
    }
}

#[tokio::test]
async fn a_review_is_kept_once_and_waits_until_the_nodes_keep_what_follows() {
    for ledger in &both().await.ledgers {
        let received = Received {
            review: Review {
                id: ReviewId::from_bytes([4; 16]),
                alert: alert(1, 1).id,
                revision: 1,
                action: ReviewAction::NoFurtherAction,
                reason: Some(ReviewReason::Duplicate),
                line: None,
                day: day(),
            },
            agency: agency("police"),
            score_tenths: 701,
        };
        let mut tx = ledger.begin().await.unwrap();
        alerts::put(&mut tx, &alert(1, 1)).await.unwrap();
        assert!(reviews::put(&mut tx, &received, 5).await.unwrap());
        assert!(!reviews::put(&mut tx, &received, 6).await.unwrap());
        let waiting = reviews::unsettled(&mut tx).await.unwrap();
        assert_eq!(waiting, std::slice::from_ref(&received));
        reviews::settle(&mut tx, received.review.id).await.unwrap();
        assert_eq!(reviews::unsettled(&mut tx).await.unwrap(), []);
        assert_eq!(reviews::of_alert(&mut tx, received.review.alert).await.unwrap(), [received]);
        assert_eq!(reviews::latest(&mut tx, 9).await.unwrap().len(), 1);
        let pushed = |after: i32| (day().plus(after - 7), day().plus(after));
        for (after, tiers) in [(-1, 0), (0, 1), (6, 1), (7, 0)] {
            let (from, to) = pushed(after);
            assert_eq!(alerts::pushed(&mut tx, from, to).await.unwrap().len(), tiers, "{after}");
        }
        tx.commit().await.unwrap();
    }
}
#[tokio::test]
async fn of_several_coordinators_on_one_server_one_sweeps_at_a_time() {
    let both = both().await;
    let [file, shared] = &both.ledgers;
    let is_claimed = async || {
        let mut tx = shared.read().await.expect("a transaction");
        sweeps::is_claimed(&mut tx).await.expect("an answer")
    };
    let mine = sweeps::claim(shared).await.expect("an answer").expect("nobody sweeps");
    assert!(is_claimed().await);
    assert!(sweeps::claim(shared).await.expect("an answer").is_none());
    drop(mine);
    // It is free as soon as it is given back.
    let again = sweeps::claim(shared).await.expect("an answer");
    assert!(again.is_some() && is_claimed().await);
    assert!(sweeps::claim(file).await.expect("an answer").is_some(), "a file has one coordinator");
}
