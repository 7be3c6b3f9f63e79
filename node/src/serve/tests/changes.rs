//! What follows a sweep while things happen.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::Duration,
};

use causeway_proto::{
    alert::{Alert, AlertChange},
    change::{Change, Step},
    kind::MatchKeyKind,
    linkage::comparison::{Comparison, Presence},
    pb::{
        self, alert_service_server::AlertService, change_service_client::ChangeServiceClient,
        comparison_service_server::ComparisonService, inbox_service_server::InboxService,
        sweep_service_server::SweepService,
    },
    refusal,
};
use futures::StreamExt;
use tokio::{net::TcpListener, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Code, Request,
    transport::{Channel, Server},
};

use super::following::{Agency, Follower, HEADER, crowd, id, sweep, take_in};
use crate::store::{Store, audit};

const CAROL: &str = "N-1,CAROL,DENHOLM,1987-04-06,14 Larkrise Close,ZX1 4AB,,,\n";
const EVE: &str = "N-4,EVE,MARSH,1996-07-19,60 Station Road,ZX3 9HT,,,\n";
const ADA: &str = "N-3,ADA,BYRON,1985-12-10,Flat 2 60 Station Road,ZX3 9HT,,,\n";
const ASB: &str = "I-1,N-1,ASB,2025-02-19\nI-4,N-4,ASB,2025-02-21\n";

async fn agency() -> Agency {
    let agency = Agency::new().await;
    agency.people(&[CAROL, EVE].concat()).await;
    agency.events(ASB).await;
    agency
}

fn kinds(happened: &[Change]) -> Vec<&'static str> {
    let name = |change: &Change| match change {
        Change::Upsert(upsert) if upsert.replaces.is_none() => "new",
        Change::Upsert(upsert) if upsert.replaces == Some(upsert.handle) => "tokens",
        Change::Upsert(_) => "replaced",
        Change::Retraction(_) => "gone",
        Change::Facts(..) => "facts",
        Change::Feeds(_) => "feeds",
        Change::CaughtUp => "caught up",
    };
    happened.iter().map(name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn people_enter_change_and_leave() {
    let agency = agency().await;
    let mut follower = Follower::begin(&agency).await;
    let mut changes = follower.watch(&agency).await;
    assert_eq!(kinds(&follower.catch_up(&agency, &mut changes).await), ["feeds"]);

    // A flat in Eve's building: her own record is as it was, and she has no dwelling any more.
    agency.people(&[CAROL, EVE, ADA].concat()).await;
    assert_eq!(kinds(&follower.catch_up(&agency, &mut changes).await), ["facts", "feeds"]);
    follower.holds_what_is(&agency).await;

    // Ada has something to be said of her; of Carol there is more; of Eve nothing any more.
    let more = "I-1,N-1,ASB,2025-02-19\nI-2,N-1,ASB,2025-02-20\nI-4,N-3,ASB,2025-02-21\n";
    agency.events(more).await;
    let mut happened = kinds(&follower.catch_up(&agency, &mut changes).await);
    happened.sort_unstable();
    assert_eq!(happened, ["facts", "feeds", "gone", "new"]);
    follower.holds_what_is(&agency).await;

    agency.people(&[&CAROL.replace("14 L", "15 L"), EVE, ADA].concat()).await;
    assert_eq!(kinds(&follower.catch_up(&agency, &mut changes).await), ["replaced", "feeds"]);
    let restricted = ADA.replace(",,,\n", ",,,R\n");
    agency.people(&[&CAROL.replace("14 L", "15 L"), EVE, &restricted].concat()).await;
    assert_eq!(kinds(&follower.catch_up(&agency, &mut changes).await), ["gone", "feeds"]);
    follower.holds_what_is(&agency).await;

    let mut conn = agency.node.store.read().await.unwrap();
    assert_eq!(audit::count(&mut conn, "WatchChanges").await.unwrap(), 1 + 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_takes_the_tokens_of_all_along_both_ways() {
    let mut agency = Agency::new().await;
    let (people, events) = crowd(51);
    let without: Vec<&str> = people.lines().take(50).collect();
    agency.people(&(without.join("\n") + "\n")).await;
    agency.events(&events).await;
    let mut follower = Follower::begin(&agency).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    let fifty = follower.people.len();
    assert!(salted_alike(&agency, &follower).await, "fifty share a token");

    agency.people(&people).await;
    let happened = kinds(&follower.catch_up(&agency, &mut changes).await);
    let tokens = |happened: &[&str]| happened.iter().filter(|kind| **kind == "tokens").count();
    assert_eq!((fifty, tokens(&happened)), (50, 50), "{happened:?}");
    follower.holds_what_is(&agency).await;
    assert!(!salted_alike(&agency, &follower).await, "the salt would tell who is in the crowd");

    // Also where the node does not remember how many there were.
    let crowded = follower.clone();
    agency.restart().await;
    let moved = people.replacen("1987-04-06", "1978-06-04", 1);
    agency.people(&moved).await;
    let mut changes = follower.watch(&agency).await;
    let happened = kinds(&follower.catch_up(&agency, &mut changes).await);
    assert_eq!(tokens(&happened), 50, "{happened:?}");
    follower.holds_what_is(&agency).await;

    // And for somebody who was away, after another restart.
    agency.restart().await;
    let mut away = crowded;
    let mut changes = away.watch(&agency).await;
    away.catch_up(&agency, &mut changes).await;
    away.holds_what_is(&agency).await;
}

/// Whether two people of the crowd can be held against each other in the slot that all of it shares.
async fn salted_alike(agency: &Agency, follower: &Follower) -> bool {
    let two: Vec<_> = follower.people.keys().take(2).collect();
    let request = pb::CompareRequest {
        sweep_id: id(1),
        handles: two.iter().flat_map(|handle| *handle.as_bytes()).collect(),
        kinds: vec![MatchKeyKind::SurnameBirth.number(); 2],
        slots: vec![0; 2],
    };
    let answer = agency.node.compare(Request::new(request)).await.unwrap().into_inner();
    let both = Comparison::column(&answer.comparisons).unwrap();
    let both: Vec<Comparison> = both.iter().map(Comparison::read).collect();
    both[0].shared(&both[1]) != Presence(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_the_sweep_opening_another_and_going_down_end_the_stream() {
    let agency = agency().await;
    let mut follower = Follower::begin(&agency).await;
    let close = async || {
        let request = pb::CloseSweepRequest { sweep_id: id(1) };
        agency.node.close_sweep(Request::new(request)).await.unwrap();
    };
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    let (ended, ()) = tokio::join!(changes.next(), close());
    let ended = ended.unwrap().unwrap_err();
    assert_eq!(ended.code(), Code::FailedPrecondition);
    assert_eq!(refusal::reason(&ended).as_deref(), Some("SWEEP_CLOSED"));
    assert!(changes.next().await.is_none());

    for (opened, reason) in [(2, "SWEEP_CLOSED"), (3, "GOING_DOWN")] {
        let after = agency.open(opened).await.position;
        let request = pb::WatchChangesRequest { sweep_id: id(opened), after };
        let mut stream = watch(&agency, request).await.unwrap();
        while stream.next().await.unwrap().unwrap().change != Change::CaughtUp {}
        let next = async || match opened {
            2 => _ = agency.open(3).await,
            _ => agency.node.drain(),
        };
        let (ended, ()) = tokio::join!(stream.next(), next());
        assert_eq!(refusal::reason(&ended.unwrap().unwrap_err()).as_deref(), Some(reason));
    }
    let request = pb::WatchChangesRequest { sweep_id: id(3), after: 1_000_000 };
    let refused = watch(&agency, request).await.err().unwrap();
    assert_eq!(refused.code(), Code::OutOfRange);
}

async fn watch(
    agency: &Agency,
    request: pb::WatchChangesRequest,
) -> Result<impl futures::Stream<Item = Result<Step, tonic::Status>> + Unpin, tonic::Status> {
    use causeway_proto::pb::change_service_server::ChangeService;
    let stream = agency.node.watch_changes(Request::new(request)).await?.into_inner();
    Ok(stream.map(|response| Ok(Step::try_from(response?).unwrap())))
}

static NOW_MS: AtomicU64 = AtomicU64::new(1);

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_grows_stale_is_announced() {
    let agency = Agency::at(|| NOW_MS.load(SeqCst)).await;
    agency.people(CAROL).await;
    agency.events(ASB).await;
    let mut follower = Follower::begin(&agency).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    assert!(follower.feeds.iter().all(|feed| !feed.stale));
    NOW_MS.store(1 + 25 * 3_600_000, SeqCst);
    assert_eq!(kinds(&follower.catch_up(&agency, &mut changes).await), ["feeds"]);
    assert!(follower.feeds.iter().all(|feed| feed.stale));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_process_takes_in_reaches_a_channel() {
    let agency = agency().await;
    let after = agency.open(1).await.position;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (routes, _) = super::super::routes(&agency.node, false);
    let draining = agency.node.clone();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::builder().add_routes(routes).serve_with_incoming_shutdown(
        TcpListenerStream::new(listener),
        async move {
            stopped.await.unwrap();
            draining.drain();
        },
    );
    let server = tokio::spawn(server);
    let channel = Channel::from_shared(address).unwrap().connect().await.unwrap();
    let mut client = ChangeServiceClient::new(channel);
    let request = pb::WatchChangesRequest { sweep_id: id(1), after };
    let mut stream = client.watch_changes(request).await.unwrap().into_inner();
    let mut until_caught_up = async || {
        let mut happened = Vec::new();
        loop {
            let next = timeout(Duration::from_secs(60), stream.next()).await.unwrap();
            let step = Step::try_from(next.unwrap()?).unwrap();
            if step.change == Change::CaughtUp {
                return Ok::<_, tonic::Status>((happened, step.position));
            }
            happened.push(step.change);
        }
    };
    assert_eq!(kinds(&until_caught_up().await.unwrap().0), ["feeds"]);

    let child = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "serve::tests::changes::takes_in_for_another_process"])
        .env(FOLDER, agency.folder.path())
        .output();
    let output = child.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let (happened, position) = until_caught_up().await.unwrap();
    assert_eq!((kinds(&happened), position), (vec!["replaced", "feeds"], after + 1));

    stop.send(()).unwrap();
    let ended = until_caught_up().await.unwrap_err();
    assert_eq!(refusal::reason(&ended).as_deref(), Some("GOING_DOWN"));
    server.await.unwrap().unwrap();
}

const FOLDER: &str = "CAUSEWAY_TEST_FOLDER";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other process of `what_another_process_takes_in_reaches_a_channel`"]
async fn takes_in_for_another_process() {
    let folder = std::path::PathBuf::from(std::env::var_os(FOLDER).expect("started by the test"));
    let store = Store::open(&folder.join("node.db")).await.unwrap();
    let rows = HEADER.to_owned() + &CAROL.replace("14 L", "15 L") + EVE;
    assert_eq!(take_in(&store, &folder, 0, &rows).await.changed, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_finds_the_records_of_a_row_that_was_replaced_and_nobody_else_does() {
    let agency = agency().await;
    let follower = Follower::begin(&agency).await;
    let handles: Vec<_> = follower.people.keys().copied().collect();
    // The coordinator decides; meanwhile Carol moves twice.
    agency.people(&[&CAROL.replace("14 L", "15 L"), EVE].concat()).await;
    agency.people(&[&CAROL.replace("14 L", "16 L"), EVE].concat()).await;
    let alert = Alert {
        change: AlertChange::New,
        sweep: sweep(1),
        handles: handles.clone(),
        ..crate::inbox::an_alert()
    };
    let request = pb::DeliverAlertRequest { alert: Some(alert.into()) };
    agency.node.deliver_alert(Request::new(request)).await.unwrap();
    let list = Request::new(pb::ListAlertsRequest::default());
    let listed = agency.node.list_alerts(list).await.unwrap().into_inner();
    let mut references: Vec<_> =
        listed.entries[0].records.iter().map(|record| record.reference.as_str()).collect();
    references.sort_unstable();
    assert_eq!(references, ["N-1", "N-4"]);

    // Whoever asks by the old handle hears nothing, and by the new one everything.
    let mut follower = follower;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    follower.holds_what_is(&agency).await;
    let new = follower.people.keys().find(|handle| !handles.contains(handle)).copied().unwrap();
    let old = handles.iter().find(|handle| !follower.people.contains_key(handle)).copied().unwrap();
    let compare = async |handle: causeway_proto::ids::Handle| {
        let request = pb::CompareRequest {
            sweep_id: id(1),
            handles: handle.as_bytes().to_vec(),
            kinds: vec![MatchKeyKind::SurnameBirth.number()],
            slots: vec![0],
        };
        let answer = agency.node.compare(Request::new(request)).await.unwrap().into_inner();
        Comparison::read(&Comparison::column(&answer.comparisons).unwrap()[0])
    };
    let nothing = Comparison::EMPTY;
    assert_eq!(compare(old).await, nothing);
    assert_ne!(compare(new).await, nothing);
}

/// Two people, of whom only the first moves house.
fn home(address: &str) -> String {
    format!("N-0,ALMA,PRICE,1987-04-06,{address},,,\n{KIERAN}")
}
const KIERAN: &str = "N-1,KIERAN,BYRON,1971-04-06,2 Station Road,ZX3 9HT,,,\n";
const BOTH: &str = "I-0,N-0,ASB,2025-02-01\nI-1,N-1,ASB,2025-02-01\n";

#[tokio::test(flavor = "multi_thread")]
async fn who_fled_is_placed_in_no_home_and_once_that_is_over_in_those_that_are_known() {
    use pb::ResidenceState::{Known, Withheld};
    let agency = Agency::new().await;
    let twice =
        |second: &str| home("60 Station Road,ZX3 9HT") + "N-2,ALMA,PRICE,1987-04-06," + second;
    agency.people(&twice("60 Station Road,ZX3 9HT,,,\n")).await;
    agency.events(BOTH).await;
    let mut follower = Follower::begin(&agency).await;
    let fled = "REFUGE ADDRESS CONFIDENTIAL,,,,\n";
    let is_back = "REFUGE ADDRESS CONFIDENTIAL,,2025-01-31,,\n";
    let told = [("", Known), (fled, Withheld), (is_back, Known)];
    for (second, state) in told {
        if !second.is_empty() {
            agency.people(&twice(second)).await;
        }
        let mut changes = follower.watch(&agency).await;
        follower.catch_up(&agency, &mut changes).await;
        let mut states = BTreeMap::new();
        for handle in follower.people.keys() {
            let [home] = &agency.homes(*handle).await[..] else { panic!("one was asked about") };
            let dwellings = !home.dwellings.is_empty();
            *states.entry((home.state(), dwellings)).or_insert(0) += 1;
        }
        let mut expected = BTreeMap::from([((Known, true), 1)]);
        *expected.entry((state, state == Known)).or_insert(0) += 1;
        assert_eq!(states, expected, "{second}");
    }
}

/// An agency that has the two, and a coordinator that has heard of all.
async fn followed() -> (Agency, Follower) {
    let agency = Agency::new().await;
    agency.people(&home("60 Station Road,ZX3 9HT")).await;
    agency.events(BOTH).await;
    let mut follower = Follower::begin(&agency).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    (agency, follower)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_came_in_a_burst_that_broke_off_and_is_another_by_now_leaves_no_ghost() {
    let (agency, mut follower) = followed().await;
    agency.people(&home("9 Long Lane,ZX5 5AA")).await;
    follower.hear_some(&agency, 1).await;
    agency.people(&home("14 Larkrise Close,ZX1 4AB")).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    follower.holds_what_is(&agency).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_left_in_a_burst_that_broke_off_and_is_back_by_now_is_not_lost() {
    let (agency, mut follower) = followed().await;
    for n in 1..3 {
        agency.events(&format!("I-1,N-1,ASB,2025-02-01\nI-9,N-1,ASB,2025-02-0{n}\n")).await;
    }
    follower.hear_some(&agency, 2).await;
    agency.events(&format!("{BOTH}I-9,N-1,ASB,2025-02-05\n")).await;
    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    follower.holds_what_is(&agency).await;
}
