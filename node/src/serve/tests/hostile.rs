//! A coordinator that asks for more than it should: what it is refused, and what it cannot find out.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
};

use causeway_proto::{
    alert::{Alert, AlertChange},
    change::{Change, ToKeep},
    dwelling::Residence,
    ids::{AlertId, Handle, MemoId},
    kind::MatchKeyKind,
    limits::MESSAGE_BYTES,
    pb::{
        self, alert_service_server::AlertService, change_service_server::ChangeService,
        comparison_service_server::ComparisonService, dwelling_service_server::DwellingService,
        inbox_service_server::InboxService, quality_service_server::QualityService,
        signal_service_server::SignalService, stream_tokens_response::Column,
        sweep_service_server::SweepService, token_service_server::TokenService,
    },
    quality::{Bits, CountLinked},
    refusal,
    sweep::{Memo, MemoKind},
};
use futures::StreamExt;
use prost::Message;
use tonic::{Code, Request};

use super::following::{Agency, Follower, crowd, id, sweep};
use crate::store::{audit, memos};

const DAY_MS: u64 = 86_400_000;
/// Noon of 25 February 2025.
const NOON_MS: u64 = 1_740_484_800_000;

fn reason<T>(answer: Result<T, tonic::Status>) -> Option<String> {
    refusal::reason(&answer.err().expect("it is refused"))
}

static A_DAY: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_speaks_of_about_today_and_its_day_never_goes_back() {
    let mut agency = Agency::strict(|| A_DAY.load(SeqCst)).await;
    for (at, far) in ["1980-01-01", "2025-01-24", "2025-02-27", "2120-01-01"].iter().enumerate() {
        let refused = agency.open_as_at(1 + at as u64, far).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange);
        assert_eq!(refusal::reason(&refused).as_deref(), Some("DAY_OUT_OF_RANGE"));
        assert!(refused.message().contains("any_day"), "{}", refused.message());
    }
    // A refusal uses nothing up, and what was opened is opened again for a month.
    agency.open_as_at(1, "2025-02-24").await.unwrap();
    A_DAY.fetch_add(30 * DAY_MS, SeqCst);
    agency.restart().await;
    agency.open_as_at(1, "2025-02-24").await.unwrap();
    A_DAY.fetch_add(30 * DAY_MS, SeqCst);
    assert_eq!(reason(agency.open_as_at(1, "2025-02-24").await), Some("SWEEP_REPLAYED".into()));
    agency.open_as_at(2, "2025-04-26").await.unwrap();
    assert_eq!(reason(agency.open_as_at(3, "2025-04-25").await), Some("DAY_OUT_OF_RANGE".into()));
    agency.open_as_at(3, "2025-04-26").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_expired_does_not_come_back_with_an_earlier_day() {
    let agency = Agency::strict(|| NOON_MS).await;
    let policy = super::POLICY.replace(
        "lawful_basis = \"6(1)(e)\"",
        "lawful_basis = \"6(1)(e)\"\nexpires = \"2025-02-24\"",
    );
    let agency = agency.with_policy(&policy).await;
    assert_eq!(reason(agency.open_as_at(1, "2025-02-20").await), Some("DENIED_POLICY".into()));
}

/// What is to be kept about somebody.
fn memo(kind: MemoKind, id: u16, handle: Handle) -> Memo {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    let made = "2025-02-25".parse().unwrap();
    Memo { kind, id: MemoId::from_bytes(bytes), handle, score_tenths: 0, made }
}

async fn keep(agency: &Agency, counter: u64, memos: Vec<Memo>) -> Result<(), tonic::Status> {
    let request = pb::KeepMemosRequest::from(ToKeep { sweep: sweep(counter), memos });
    agency.node.keep_memos(Request::new(request)).await.map(|_| ())
}

/// An alert about some people, with the handles of a sweep.
async fn deliver(agency: &Agency, id: u8, counter: u64, change: AlertChange, handles: &[Handle]) {
    let revision = if change == AlertChange::New { 1 } else { 2 };
    let alert = Alert {
        id: AlertId::from_bytes([id; 16]),
        revision,
        change,
        sweep: sweep(counter),
        handles: handles.to_vec(),
        ..crate::inbox::an_alert()
    };
    let request = pb::DeliverAlertRequest { alert: Some(alert.into()) };
    agency.node.deliver_alert(Request::new(request)).await.unwrap();
}

async fn listed(agency: &Agency) -> Vec<pb::InboxEntry> {
    let list = pb::ListAlertsRequest { include_closed: true, ..Default::default() };
    agency.node.list_alerts(Request::new(list)).await.unwrap().into_inner().entries
}

/// How many people are handed back with a finding.
fn people_of(opened: &pb::OpenSweepResponse) -> usize {
    opened.memos.iter().map(|memo| &memo.handle).collect::<BTreeSet<_>>().len()
}

async fn handles(agency: &Agency, counter: u64) -> Vec<Handle> {
    let request = pb::StreamTokensRequest { sweep_id: id(counter), after: 0 };
    let mut stream = agency.node.stream_tokens(Request::new(request)).await.unwrap().into_inner();
    match stream.next().await.unwrap().unwrap().column.unwrap() {
        Column::People(people) => Handle::from_column("handles", &people.handles).unwrap(),
        Column::Tokens(_) => panic!("people come first"),
    }
}

async fn town_of_260(now_ms: fn() -> u64) -> Agency {
    let agency = Agency::strict(now_ms).await;
    let (people, events) = crowd(260);
    agency.people(&people).await;
    agency.events(&events).await;
    agency
}

static A_WEEK: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn findings_cannot_join_the_sweeps_of_everybody() {
    let agency = town_of_260(|| A_WEEK.load(SeqCst)).await;
    agency.open(1).await;
    let all = handles(&agency, 1).await;
    assert_eq!(all.len(), 260);
    let about = |all: &[Handle], kind, id: u16| -> Vec<Memo> {
        all.iter().zip(0..).map(|(handle, at)| memo(kind, id + at, *handle)).collect()
    };
    let too_many = Some("TOO_MANY_MEMOS".to_owned());
    assert_eq!(reason(keep(&agency, 1, about(&all, MemoKind::NotLinked, 0)).await), too_many);
    keep(&agency, 1, about(&all[..200], MemoKind::NotLinked, 0)).await.unwrap();
    keep(&agency, 1, about(&all[..200], MemoKind::Reviewed, 1000)).await.unwrap();
    assert_eq!(reason(keep(&agency, 1, about(&all[200..201], MemoKind::Alert, 7)).await), too_many);
    // Whoever has a duty hears of it all the same.
    deliver(&agency, 7, 1, AlertChange::New, &all[190..]).await;
    assert_eq!(listed(&agency).await[0].records.len(), 70);
    let mut conn = agency.node.store.read().await.unwrap();
    assert_eq!(audit::count(&mut conn, "KeepMemos").await.unwrap(), 5, "each is on record");
    drop(conn);

    // Nor sweep by sweep.
    assert_eq!(people_of(&agency.open(2).await), 200);
    let carries: BTreeSet<Vec<u8>> =
        agency.open(2).await.memos.into_iter().map(|memo| memo.handle).collect();
    let all = handles(&agency, 2).await;
    let (old, new): (Vec<Handle>, Vec<Handle>) =
        all.iter().partition(|handle| carries.contains(&handle.as_bytes()[..]));
    assert_eq!(reason(keep(&agency, 2, about(&new[..1], MemoKind::Alert, 7)).await), too_many);
    keep(&agency, 2, about(&old, MemoKind::Alert, 2000)).await.unwrap();
    A_WEEK.fetch_add(8 * DAY_MS, SeqCst);
    agency.open_as_at(3, "2025-03-05").await.unwrap();
    deliver(&agency, 8, 2, AlertChange::New, &new).await;
    assert_eq!(people_of(&agency.open_as_at(4, "2025-03-05").await.unwrap()), 260);

    let one = handles(&agency, 4).await[0];
    let findings = |n: u16| (0..n).map(|id| memo(MemoKind::NotLinked, 3000 + id, one)).collect();
    assert_eq!(reason(keep(&agency, 4, findings(65)).await), too_many);
    keep(&agency, 4, findings(50)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_of_a_sweep_long_ago_leave_no_finding_and_the_alert_arrives() {
    let agency = town_of_260(|| NOON_MS).await;
    agency.open(1).await;
    let all = handles(&agency, 1).await;
    for counter in 2..=8 {
        agency.open(counter).await;
    }
    // Redelivered after seven more sweeps, and after eight.
    deliver(&agency, 1, 1, AlertChange::New, &all[..2]).await;
    assert_eq!(people_of(&agency.open(9).await), 2);
    deliver(&agency, 2, 1, AlertChange::New, &all[2..5]).await;
    assert_eq!(people_of(&agency.open(10).await), 2);
    assert_eq!(listed(&agency).await[0].records.len(), 3);
}

static YEARS: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn findings_end_with_their_alert_or_when_nobody_renews_them() {
    let agency = town_of_260(|| YEARS.load(SeqCst)).await;
    agency.open(1).await;
    let all = handles(&agency, 1).await;
    deliver(&agency, 1, 1, AlertChange::New, &all[..1]).await;
    deliver(&agency, 2, 1, AlertChange::New, &all[1..3]).await;
    keep(&agency, 1, vec![memo(MemoKind::NotLinked, 3, all[3])]).await.unwrap();
    deliver(&agency, 1, 1, AlertChange::Cancel, &[]).await;
    let mut counter = 1;
    for (days, people) in [(59, 4), (2, 3), (338, 3), (2, 1)] {
        YEARS.fetch_add(days * DAY_MS, SeqCst);
        counter += 1;
        let today = agency.node.today().to_string();
        let opened = agency.open_as_at(counter, &today).await.unwrap();
        assert_eq!(people_of(&opened), people, "{days} days later");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_number_of_findings_keeps_a_sweep_from_being_opened() {
    let agency = town_of_260(|| NOON_MS).await;
    let mut tx = agency.node.store.begin().await.unwrap();
    for at in 0..30_000_u32 {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&at.to_be_bytes());
        let kept = memos::KeptMemo {
            // The first ones are the oldest.
            kind: if at < 100 { MemoKind::NotLinked } else { MemoKind::Reviewed },
            id: MemoId::from_bytes(bytes),
            record: ("nominals".to_owned(), format!("C-{}", at % 260)),
            score_tenths: 1000,
            made: "2025-02-25".parse().unwrap(),
        };
        memos::put(&mut tx, &kept, NOON_MS - DAY_MS + u64::from(at)).await.unwrap();
    }
    tx.commit().await.unwrap();
    let opened = agency.open(1).await;
    assert!((20_000..30_000).contains(&opened.memos.len()), "{}", opened.memos.len());
    assert!(opened.encoded_len() <= MESSAGE_BYTES);
    let of = |at: u32| opened.memos.iter().any(|memo| memo.memo_id[..4] == at.to_be_bytes());
    assert!((0..100).all(of), "who is kept apart");
    assert!((29_000..30_000).all(of) && !of(100), "the oldest of the others are left out");
}

const CAROL: &str = "N-1,CAROL,DENHOLM,1987-04-06,14 Larkrise Close,ZX1 4AB,,,\n";
const EVE: &str = "N-4,EVE,MARSH,1996-07-19,16 Larkrise Close,ZX1 4AB,,,\n";

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_of_whoever_is_out_of_scope_until_they_are_in() {
    let mut agency = Agency::new().await;
    agency.people(&[CAROL, EVE].concat()).await;
    agency.events("I-1,N-1,ASB,2025-02-19\n").await;
    let mut conn = agency.node.store.read().await.unwrap();
    for key in ["N-1", "N-4"] {
        let kept = memos::KeptMemo {
            kind: MemoKind::NotLinked,
            id: MemoId::from_bytes([4; 16]),
            record: ("nominals".into(), key.into()),
            score_tenths: 1,
            made: "2025-02-20".parse().unwrap(),
        };
        memos::put(&mut conn, &kept, 1).await.unwrap();
    }
    drop(conn);
    let mut follower = Follower::begin(&agency).await;
    let carol = *follower.people.keys().next().unwrap();
    let opened = agency.open(1).await;
    let named: Vec<&[u8]> = opened.memos.iter().map(|memo| &memo.handle[..]).collect();
    assert_eq!(named, [&carol.as_bytes()[..]], "Eve is not in the sweep");

    let (_, keys) = agency.node.keyring.open_sweep(&sweep(1)).unwrap();
    let eve = (0..2).map(|row| keys.own.handle(row)).find(|handle| *handle != carol).unwrap();
    assert!(!says_anything(&agency, eve).await);
    assert!(says_anything(&agency, carol).await);

    let mut changes = follower.watch(&agency).await;
    follower.catch_up(&agency, &mut changes).await;
    agency.events("I-1,N-1,ASB,2025-02-19\nI-4,N-4,ASB,2025-02-21\n").await;
    let happened = follower.catch_up(&agency, &mut changes).await;
    let Change::Upsert(upsert) = &happened[0] else { panic!("{happened:?}") };
    assert_eq!(upsert.handle, eve);
    let brought: Vec<(MemoKind, Handle)> =
        upsert.memos.iter().map(|m| (m.kind, m.handle)).collect();
    assert_eq!(brought, [(MemoKind::NotLinked, eve)], "who must not be linked still must not be");
    assert!(says_anything(&agency, eve).await);

    // And out again, whoever remembers it.
    agency.events("I-1,N-1,ASB,2025-02-19\nI-4,N-1,ASB,2025-02-21\n").await;
    follower.catch_up(&agency, &mut changes).await;
    assert!(!says_anything(&agency, eve).await);
    drop(changes);
    agency.restart().await;
    assert!(!says_anything(&agency, eve).await);
    assert!(says_anything(&agency, carol).await);
}

/// Whether any question about somebody gets an answer.
async fn says_anything(agency: &Agency, of: Handle) -> bool {
    let handles = of.as_bytes().to_vec();
    let request = pb::QueryDwellingsRequest { sweep_id: id(1), handles: handles.clone() };
    let homes = agency.node.query_dwellings(Request::new(request)).await.unwrap().into_inner();
    let home = Residence::try_from(homes.residences[0].clone()).unwrap() != Residence::Uncertain;
    let (kinds, slots) = (vec![MatchKeyKind::SurnameBirth.number()], vec![0]);
    let request = pb::CompareRequest { sweep_id: id(1), handles: handles.clone(), kinds, slots };
    let compared = agency.node.compare(Request::new(request)).await.unwrap().into_inner();
    let compared = compared.comparisons.iter().any(|byte| *byte != 0);
    let request = pb::QuerySignalsRequest { sweep_id: id(1), handles };
    let signals = agency.node.query_signals(Request::new(request)).await.unwrap().into_inner();
    let signals = !signals.subjects[0].signals.is_empty();
    assert_eq!((home, signals), (compared, compared), "each answers alike");
    compared
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_about_twice_in_one_question() {
    let agency = town_of_260(|| NOON_MS).await;
    agency.open(1).await;
    let two = handles(&agency, 1).await[..2].to_vec();
    for (handles, answered) in [(two.clone(), true), ([&two[..], &two[..1]].concat(), false)] {
        let handles = super::column(&handles);
        let request = pb::QuerySignalsRequest { sweep_id: id(1), handles: handles.clone() };
        let signals = agency.node.query_signals(Request::new(request)).await;
        let request = pb::QueryDwellingsRequest { sweep_id: id(1), handles };
        let homes = agency.node.query_dwellings(Request::new(request)).await;
        let codes = [signals.err(), homes.err()].map(|refused| refused.map(|it| it.code()));
        assert_eq!(codes, if answered { [None; 2] } else { [Some(Code::InvalidArgument); 2] });
    }
}

static MONTH: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn people_are_counted_by_kinds_once_in_three_weeks() {
    let mut agency = town_of_260(|| MONTH.load(SeqCst)).await;
    let count = async |agency: &Agency, counter: u64, but: usize| {
        let bits = |bit: &dyn Fn(usize) -> bool| Bits::pack((0..260).map(bit));
        let set = bits(&|at| (at % 2 == 0) != (at == but));
        let question = CountLinked::new(sweep(counter), bits(&|_| true), set).unwrap();
        agency.node.count_linked(Request::new(question.into())).await
    };
    agency.open(1).await;
    let first = count(&agency, 1, 0).await.unwrap().into_inner();
    assert_eq!(count(&agency, 1, 0).await.unwrap().into_inner(), first, "noise and all");
    let already = Some("COUNTED_ALREADY".to_owned());
    assert_eq!(reason(count(&agency, 1, 1).await), already);
    // The next sweep is no excuse, nor is a restart.
    agency.open(2).await;
    assert_eq!(reason(count(&agency, 2, 1).await), already);
    agency.restart().await;
    MONTH.fetch_add(20 * DAY_MS, SeqCst);
    agency.open_as_at(3, "2025-03-17").await.unwrap();
    assert_eq!(reason(count(&agency, 3, 1).await), already);
    MONTH.fetch_add(DAY_MS, SeqCst);
    let second = count(&agency, 3, 1).await.unwrap().into_inner();
    assert_ne!(second, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_holds_a_few_streams_open_and_no_more() {
    let agency = town_of_260(|| NOON_MS).await;
    let after = agency.open(1).await.position;
    let tokens = || pb::StreamTokensRequest { sweep_id: id(1), after: 0 };
    let changes = || pb::WatchChangesRequest { sweep_id: id(1), after };
    let too_many = Some("TOO_MANY_STREAMS".to_owned());
    let inbox = || Request::new(pb::WatchInboxRequest { after: 0 });
    let mut open = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..16 {
        open.0.push(agency.node.stream_tokens(Request::new(tokens())).await.unwrap());
        open.1.push(agency.node.watch_changes(Request::new(changes())).await.unwrap());
        open.2.push(agency.node.watch_inbox(inbox()).await.unwrap());
    }
    assert_eq!(reason(agency.node.stream_tokens(Request::new(tokens())).await), too_many);
    assert_eq!(reason(agency.node.watch_changes(Request::new(changes())).await), too_many);
    assert_eq!(reason(agency.node.watch_inbox(inbox()).await), too_many);
    open.0.pop();
    open.1.pop();
    open.2.pop();
    agency.node.stream_tokens(Request::new(tokens())).await.unwrap();
    agency.node.watch_changes(Request::new(changes())).await.unwrap();
    agency.node.watch_inbox(inbox()).await.unwrap();
}
