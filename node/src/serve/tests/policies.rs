//! A policy that is changed, broken or runs out while the node is up.

use std::{
    fs,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use causeway_proto::pb::{
    alert_service_server::AlertService, change_service_server::ChangeService,
};

use super::{
    following::{Agency, Follower, id},
    *,
};
use crate::store::audit;

const DAY_MS: u64 = 86_400_000;
/// Noon of 25 February 2025.
const NOON_MS: u64 = 1_740_484_800_000;

async fn agency(now_ms: fn() -> u64) -> Agency {
    let agency = Agency::strict(now_ms).await;
    agency.people("N-1,CAROL,DENHOLM,1987-04-06,14 Larkrise Close,ZX1 4AB,,,\n").await;
    agency.events("POL4,N-1,ASB,2025-02-19\n").await;
    agency
}

impl Agency {
    fn policy_says(&self, text: &str) {
        fs::write(self.folder.path().join("policy.toml"), text).unwrap();
    }

    async fn handles(&self) -> Vec<Handle> {
        let Some(Column::People(people)) = self.streamed(0).await.remove(0).column else {
            panic!("people come first")
        };
        Handle::from_column("handles", &people.handles).unwrap()
    }

    /// How many signals are told of some people, or why none.
    async fn told(&self, handles: &[Handle]) -> Result<usize, String> {
        let request = pb::QuerySignalsRequest { sweep_id: id(1), handles: column(handles) };
        let answer = self.node.query_signals(Request::new(request)).await;
        let answer = answer.map_err(|refused| refusal::reason(&refused).unwrap())?.into_inner();
        Ok(answer.subjects.into_iter().map(|subject| subject.signals.len()).sum())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_file_that_is_changed_decides_at_once() {
    let agency = agency(|| NOON_MS).await;
    agency.open(1).await;
    let handles = agency.handles().await;
    assert_eq!(agency.told(&handles).await, Ok(1));

    agency.policy_says(&POLICY.replace("\"POL_ASB_VICTIM\", ", ""));
    assert_eq!(agency.told(&handles).await, Ok(0));
    agency.policy_says(POLICY);
    assert_eq!(agency.told(&handles).await, Ok(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_file_that_cannot_be_followed_releases_nothing_until_it_is_mended() {
    let agency = agency(|| NOON_MS).await;
    agency.open(1).await;
    let handles = agency.handles().await;
    let unusable = || Some("POLICY_UNUSABLE".to_owned());
    for broken in ["", "[node", &POLICY.replace("deny", "allow"), &format!("{POLICY}\nmor = 1")] {
        agency.policy_says(broken);
        assert_eq!(agency.told(&handles).await.err(), unusable(), "{broken}");
        let request = pb::StreamTokensRequest { sweep_id: id(1), after: 0 };
        let refused = agency.node.stream_tokens(Request::new(request)).await.err().unwrap();
        assert_eq!(refusal::reason(&refused), unusable());
        let refused = agency.open_as_at(2, "2025-02-25").await.unwrap_err();
        assert_eq!(refusal::reason(&refused), unusable());
    }
    fs::remove_file(agency.folder.path().join("policy.toml")).unwrap();
    assert_eq!(agency.told(&handles).await.err(), unusable());

    agency.policy_says(POLICY);
    assert_eq!(agency.told(&handles).await, Ok(1));
    // To close a sweep needs no policy.
    agency.policy_says("");
    let request = pb::CloseSweepRequest { sweep_id: id(1) };
    agency.node.close_sweep(Request::new(request)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_stopped_tells_nothing_and_its_open_streams_end() {
    let agency = agency(|| NOON_MS).await;
    agency.open(1).await;
    let handles = agency.handles().await;
    let request = pb::WatchChangesRequest { sweep_id: id(1), after: 0 };
    let followed = agency.node.watch_changes(Request::new(request)).await.unwrap().into_inner();
    let killed = || Some("KILLED".to_owned());

    agency.policy_says(&format!("{POLICY}\n[kill]\nlocal = true\n"));
    let told: Result<Vec<_>, Status> = followed.try_collect().await;
    assert_eq!(refusal::reason(&told.unwrap_err()), killed());
    assert_eq!(agency.told(&handles).await.err(), killed());
    let request = pb::StreamTokensRequest { sweep_id: id(1), after: 0 };
    let refused = agency.node.stream_tokens(Request::new(request)).await.err().unwrap();
    assert_eq!(refusal::reason(&refused), killed());
    let refused = agency.open_as_at(2, "2025-02-25").await.unwrap_err();
    assert_eq!(refusal::reason(&refused), killed());
    let request = pb::KeepMemosRequest { sweep_id: id(1), memos: Vec::new() };
    let refused = agency.node.keep_memos(Request::new(request)).await.unwrap_err();
    assert_eq!(refusal::reason(&refused), killed());
    let request = pb::DeliverAlertRequest { alert: None };
    let refused = agency.node.deliver_alert(Request::new(request)).await.unwrap_err();
    assert_eq!(refusal::reason(&refused), killed());

    agency.policy_says(POLICY);
    assert_eq!(agency.told(&handles).await, Ok(1));
}

static A_DAY: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_ends_while_a_sweep_is_open_ends_what_it_is_told() {
    let agency = agency(|| A_DAY.load(SeqCst)).await;
    agency.policy_says(&POLICY.replace(
        "lawful_basis = \"6(1)(e)\"",
        "lawful_basis = \"6(1)(e)\"\nexpires = \"2025-02-26\"",
    ));
    agency.open(1).await;
    let handles = agency.handles().await;
    A_DAY.fetch_add(DAY_MS, SeqCst);
    assert_eq!(agency.told(&handles).await, Ok(1));
    A_DAY.fetch_add(DAY_MS, SeqCst);
    assert_eq!(agency.told(&handles).await, Err("DENIED_POLICY".into()));
    let refused = agency.open_as_at(2, "2025-02-25").await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("DENIED_POLICY"));
}

static DAY_OF_STREAMS: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn streams_that_are_open_when_the_last_agreement_ends_say_nothing_more() {
    let agency = agency(|| DAY_OF_STREAMS.load(SeqCst)).await;
    agency.policy_says(&POLICY.replace(
        "lawful_basis = \"6(1)(e)\"",
        "lawful_basis = \"6(1)(e)\"\nexpires = \"2025-02-25\"",
    ));
    let mut follower = Follower::begin(&agency).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    let request = pb::StreamTokensRequest { sweep_id: id(1), after: 0 };
    let tokens = agency.node.stream_tokens(Request::new(request)).await;
    let mut tokens = tokens.unwrap().into_inner();
    tokens.try_next().await.unwrap().unwrap();

    // Two come; between the first and the second of them the day ends.
    let people = ["N-1,CAROL,DENHOLM,1987-04-06,14", "N-2,KIERAN,PRICE,2008-11-20,15"];
    let people = people.map(|person| format!("{person} Larkrise Close,ZX1 4AB,,,\n"));
    agency.people(&people.concat()).await;
    agency.events("POL4,N-1,HATE,2025-02-19\nPOL5,N-2,ASB,2025-02-20\n").await;
    changes.try_next().await.unwrap().unwrap();
    DAY_OF_STREAMS.fetch_add(DAY_MS, SeqCst);
    let denied = Some("DENIED_POLICY".to_owned());
    assert_eq!(refusal::reason(&changes.try_next().await.unwrap_err()), denied);
    assert!(changes.try_next().await.unwrap().is_none());
    assert_eq!(refusal::reason(&tokens.try_next().await.unwrap_err()), denied);
    // That they end is on record, as what they said is.
    let mut conn = agency.node.store.read().await.unwrap();
    assert_eq!(audit::count(&mut conn, "WatchChanges").await.unwrap(), 1 + 2 + 1);
    assert_eq!(audit::count(&mut conn, "StreamTokens").await.unwrap(), 1 + 1 + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_waits_while_the_policy_file_is_written_and_ends_where_it_stays_broken() {
    let agency = agency(|| NOON_MS).await;
    let mut follower = Follower::begin(&agency).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    agency.policy_says("[node");
    let (next, _) = tokio::join!(changes.try_next(), async {
        agency.policy_says(POLICY);
        agency.events("POL4,N-1,ASB,2025-02-19\nPOL5,N-1,ASB,2025-02-20\n").await
    });
    next.unwrap().unwrap();
    agency.policy_says("[node");
    let ended = changes.try_next().await.unwrap_err();
    assert_eq!(refusal::reason(&ended).as_deref(), Some("POLICY_UNUSABLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn when_an_export_is_stale_follows_the_policy_file() {
    // Exports come in the first hour of all, and their mappings allow a day.
    let agency = Agency::at(|| 5 * 3_600_000).await;
    agency.people("N-1,CAROL,DENHOLM,1987-04-06,14 Larkrise Close,ZX1 4AB,,,\n").await;
    agency.events("POL4,N-1,ASB,2025-02-19\n").await;
    let mut follower = Follower::begin(&agency).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    assert!(follower.feeds.iter().all(|feed| !feed.stale));
    for (hours, stale) in [(2, true), (20, false)] {
        agency.policy_says(&format!("{POLICY}\n[kill]\non_stale_feed_hours = {hours}\n"));
        follower.catch_up(&agency, &mut changes).await;
        assert!(follower.feeds.iter().all(|feed| feed.stale == stale), "{:?}", follower.feeds);
    }
}
