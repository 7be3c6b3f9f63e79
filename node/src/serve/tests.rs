//! A sweep as a coordinator sees it, call by call.

use causeway_proto::{
    alert::{Alert, AlertChange, AlertSubject, Duty, Tier},
    catalogue::{AgencyKind, Purpose},
    day::Day,
    ids::{AlertId, Handle, SweepId},
    kind::MatchKeyKind,
    linkage::{comparison::Comparison, levels::Levels},
    pb::{
        self, alert_service_server::AlertService, comparison_service_server::ComparisonService,
        dwelling_service_server::DwellingService, inbox_service_server::InboxService,
        quality_service_server::QualityService, signal_service_server::SignalService,
        stream_tokens_response::Column, sweep_service_server::SweepService,
        token_service_server::TokenService,
    },
    quality::{Bits, CountLinked, LinkedCount, Subgroup},
    refusal,
    sweep::Opening,
    token::PersonFlags,
};
use futures::TryStreamExt;
use tempfile::TempDir;
use tonic::{Code, Request};
use zeroize::Zeroizing;

use super::*;
use crate::{
    ingest::Intake,
    policy::Policy,
    tokenise::{chain::EpochKey, keyring::Keyring},
};

const PEOPLE: &str = "
    id = 'nominals'
    about = 'people'
    dates = ['%Y-%m-%d']
    key = ['REF']

    [columns]
    forename = 'FORENAME'
    surname = 'SURNAME'
    dob = 'DOB'
    sex = 'SEX'
    address = 'ADDRESS'
    postcode = 'POSTCODE'
";
const EVENTS: &str = "
    id = 'incidents'
    about = 'events'
    person_feed = 'nominals'
    dates = ['%Y-%m-%d']
    key = ['INCIDENT', 'REF']
    default_role = 'victim'

    [columns]
    person = 'REF'
    event_ref = 'INCIDENT'
    type = 'TYPE'
    start = 'DATE'

    [codes]
    'ASB' = 'POL_ASB_VICTIM'
    'HATE' = 'POL_HATE_INCIDENT'
";
const POLICY: &str = r#"
    [node]
    id = "police"
    controller = "Chief Constable"
    regime = "part2"
    [purpose.adult_safeguarding]
    lawful_basis = "6(1)(e)"
    [release]
    default = "deny"
    [[release.rule]]
    code = ["POL_ASB_VICTIM", "DER_CHILD_U18"]
    purpose = ["adult_safeguarding"]
    detail = "code+day"
"#;

mod changes;
mod following;
mod histories;
mod hostile;
mod policies;

struct Police {
    node: Node,
    folder: TempDir,
}

fn keyring(folder: &TempDir) -> Keyring {
    Keyring::new(folder.path(), "pilot".parse().unwrap())
}

impl Police {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ring = keyring(&folder);
        ring.init().unwrap();
        let key = Zeroizing::new([1; 32]);
        ring.put_epoch(&EpochKey { epoch: 1, roster_hash: [0; 32], key }).unwrap();
        let store = Store::open(&folder.path().join("node.db")).await.unwrap();
        let feeds = vec![Feed::from_toml(PEOPLE).unwrap(), Feed::from_toml(EVENTS).unwrap()];
        let people = "REF,FORENAME,SURNAME,DOB,SEX,ADDRESS,POSTCODE\n\
                      N-1,CAROL,DENHOLM,1987-04-06,F,14 Larkrise Close,ZX1 4AB\n\
                      N-2,KIERAN,PRICE,2008-11-20,M,14 Larkrise Close,ZX1 4AB\n\
                      N-3,ADA,BYRON,1985-12-10,F,Flat 2 60 Station Road,ZX3 9HT\n\
                      N-4,EVE,MARSH,1996-07-19,F,60 Station Road,ZX3 9HT\n";
        let events = "INCIDENT,REF,TYPE,DATE\nPOL4,N-1,ASB,2025-02-19\nPOL4,N-2,ASB,2025-02-19\n\
                      POL5,N-1,HATE,2025-02-20\nPOL6,N-4,ASB,2025-02-21\nPOL7,N-1,ASB,2025-12-01\n";
        let match_keys = ring.match_keys().unwrap();
        for (at, text) in [people, events].into_iter().enumerate() {
            let path = folder.path().join("export.csv");
            std::fs::write(&path, text).unwrap();
            let as_at = day("2025-02-25");
            let intake =
                Intake { store: &store, feeds: &feeds, keys: &match_keys, as_at, now_ms: 1 };
            intake.take_in(&feeds[at], &path).await.unwrap();
        }
        let node = Self::node(&folder, store);
        Self { node, folder }
    }

    fn node(folder: &TempDir, store: Store) -> Node {
        let path = folder.path().join("policy.toml");
        std::fs::write(&path, POLICY).unwrap();
        let kind = AgencyKind::Police;
        let policy = Policy::load(&path, &"police".parse().unwrap(), kind).unwrap();
        let feeds = vec![Feed::from_toml(PEOPLE).unwrap(), Feed::from_toml(EVENTS).unwrap()];
        Node::new(kind, (store, keyring(folder)), policy, (feeds, None), (|| 1, true))
    }

    /// As many women again as a count needs, and nine men of whom nothing may be told.
    async fn take_in_a_crowd(&self) {
        let mut people = String::from("REF,FORENAME,SURNAME,DOB,SEX,ADDRESS,POSTCODE\n");
        let mut events = String::from("INCIDENT,REF,TYPE,DATE\n");
        for at in 0..200_u8 {
            let letters = [at / 15, at % 15].map(|letter| char::from(b'A' + letter));
            let (year, month, dom) = (1940 + u16::from(at) % 60, 1 + at % 12, 1 + at % 28);
            let sex = if at < 9 { 'M' } else { 'F' };
            let [first, second] = letters;
            people += &format!(
                "C-{at},{first}AL{second}A,{second}OR{first}ISH,{year}-{month:02}-{dom:02},{sex},,\n"
            );
            events += &format!("POL9,C-{at},ASB,2025-02-19\n");
        }
        let keys = keyring(&self.folder).match_keys().unwrap();
        for (at, text) in [people, events].into_iter().enumerate() {
            let path = self.folder.path().join("crowd.csv");
            std::fs::write(&path, text).unwrap();
            let (store, feeds) = (&self.node.store, &self.node.feeds);
            let as_at = day("2025-02-25");
            let intake = Intake { store, feeds, keys: &keys, as_at, now_ms: 2 };
            intake.take_in(&feeds[at], &path).await.unwrap();
        }
    }

    async fn count(&self, indicated: fn(usize) -> bool) -> Result<Vec<LinkedCount>, Status> {
        let records = self.people().await.0.len();
        let bits = |bit: fn(usize) -> bool| Bits::pack((0..records).map(bit));
        let sweep = SweepId::new(1, [9; 8]);
        let question = CountLinked::new(sweep, bits(|_| true), bits(indicated)).unwrap();
        let answer = self.node.count_linked(Request::new(question.into())).await?.into_inner();
        Ok(answer.counts.into_iter().map(|count| count.try_into().unwrap()).collect())
    }

    /// The same node after its process was killed and started again.
    async fn restarted(self) -> Self {
        let Self { node, folder } = self;
        drop(node);
        let store = Store::open(&folder.path().join("node.db")).await.unwrap();
        Self { node: Self::node(&folder, store), folder }
    }

    async fn open(&self, counter: u64) -> Result<pb::OpenSweepResponse, Status> {
        let opening = Opening {
            sweep: SweepId::new(counter, [9; 8]),
            purposes: vec![Purpose::AdultSafeguarding],
            model_version: "m".into(),
            as_at: day("2025-02-25"),
        };
        Ok(self.node.open_sweep(Request::new(opening.into())).await?.into_inner())
    }

    async fn stream(&self, after: u64) -> Vec<pb::StreamTokensResponse> {
        let sweep_id = sweep(1);
        let request = Request::new(pb::StreamTokensRequest { sweep_id, after });
        self.node.stream_tokens(request).await.unwrap().into_inner().try_collect().await.unwrap()
    }

    async fn people(&self) -> (Vec<Handle>, Vec<PersonFlags>) {
        match self.stream(0).await.remove(0).column.unwrap() {
            Column::People(people) => (
                Handle::from_column("handles", &people.handles).unwrap(),
                people.flags.into_iter().map(PersonFlags).collect(),
            ),
            Column::Tokens(_) => panic!("people come first"),
        }
    }
}

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn sweep(counter: u64) -> Vec<u8> {
    SweepId::new(counter, [9; 8]).as_bytes().to_vec()
}

fn column(handles: &[Handle]) -> Vec<u8> {
    handles.iter().flat_map(|handle| *handle.as_bytes()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_nothing_to_be_said_of_is_not_in_the_sweep() {
    let police = Police::new().await;
    let opened = police.open(1).await.unwrap();
    // Carol, her son, and Eve; of Ada nothing may be said.
    assert_eq!(opened.records, 3);
    let (_, flags) = police.people().await;
    assert!(flags.iter().all(|flags| flags.any(PersonFlags::HARM)));
    assert_eq!(flags.iter().filter(|flags| flags.any(PersonFlags::CONTEXT)).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_where_it_was_after_a_restart() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let whole = police.stream(0).await;
    assert_eq!(whole.len(), 1 + MatchKeyKind::COUNT);
    assert_eq!(whole.iter().map(|r| r.first_row).max(), Some(0));
    let police = police.restarted().await;
    let rest = police.stream(whole[4].position).await;
    assert_eq!(rest, whole[5..], "padding included");
    assert_eq!(police.stream(whole.last().unwrap().position).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_slot_is_filled_and_two_sweeps_share_nothing() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let first = police.stream(0).await;
    for response in &first[1..] {
        let Some(Column::Tokens(tokens)) = &response.column else { panic!("a kind") };
        let kind = MatchKeyKind::from_wire(tokens.kind).unwrap();
        assert_eq!(tokens.tokens.len(), 3 * 8 * kind.slots());
        assert!(tokens.tokens.chunks(8).all(|token| token != [0; 8]), "{kind}");
    }
    let (before, _) = police.people().await;
    police.open(2).await.unwrap();
    let request = Request::new(pb::StreamTokensRequest { sweep_id: sweep(1), after: 0 });
    let refused = police.node.stream_tokens(request).await.err().unwrap();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("NO_SUCH_SWEEP"));
    let request = Request::new(pb::StreamTokensRequest { sweep_id: sweep(2), after: 0 });
    let second: Vec<_> =
        police.node.stream_tokens(request).await.unwrap().into_inner().try_collect().await.unwrap();
    let bytes = |responses: &[pb::StreamTokensResponse]| {
        let all = responses.iter().flat_map(|response| match response.column.clone().unwrap() {
            Column::People(people) => people.handles.to_vec(),
            Column::Tokens(tokens) => tokens.tokens.to_vec(),
        });
        all.collect::<Vec<u8>>()
    };
    let (first, second) = (bytes(&first), bytes(&second));
    assert!(first.chunks(8).all(|token| !second.chunks(8).any(|other| other == token)));
    let unknown = pb::QuerySignalsRequest { sweep_id: sweep(2), handles: column(&before) };
    let refused = police.node.query_signals(Request::new(unknown)).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("UNKNOWN_HANDLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_that_is_over_is_never_opened_again() {
    let police = Police::new().await;
    police.open(5).await.unwrap();
    police.open(5).await.unwrap();
    let close = || Request::new(pb::CloseSweepRequest { sweep_id: sweep(5) });
    police.node.close_sweep(close()).await.unwrap();
    police.node.close_sweep(close()).await.unwrap();
    for counter in [4, 5] {
        let refused = police.open(counter).await.unwrap_err();
        assert_eq!(refusal::reason(&refused).as_deref(), Some("SWEEP_REPLAYED"));
    }
    police.open(6).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_counter_is_good_for_one_sweep_also_while_that_is_open() {
    let police = Police::new().await;
    police.open(5).await.unwrap();
    let again = |counter, random| Opening {
        sweep: SweepId::new(counter, [random; 8]),
        purposes: vec![Purpose::AdultSafeguarding],
        model_version: "m".into(),
        as_at: day("2025-02-25"),
    };
    for opening in [again(5, 8), again(4, 9)] {
        let refused = police.node.open_sweep(Request::new(opening.into())).await.unwrap_err();
        assert_eq!(refusal::reason(&refused).as_deref(), Some("SWEEP_REPLAYED"));
    }
    let police = police.restarted().await;
    police.open(5).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purpose_that_policy_does_not_name_is_denied() {
    let police = Police::new().await;
    let opening = Opening {
        sweep: SweepId::new(1, [9; 8]),
        purposes: vec![Purpose::MultipleDisadvantage],
        model_version: "m".into(),
        as_at: day("2025-02-25"),
    };
    let refused = police.node.open_sweep(Request::new(opening.into())).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    assert_eq!(refusal::reason(&refused).as_deref(), Some("DENIED_POLICY"));
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_are_those_of_the_policy_and_one_event_has_one_key() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let request = pb::QuerySignalsRequest { sweep_id: sweep(1), handles: column(&handles) };
    let answer = police.node.query_signals(Request::new(request)).await.unwrap().into_inner();
    let all: Vec<pb::Signal> = answer.subjects.into_iter().flat_map(|s| s.signals).collect();
    let of = |code: pb::SignalCode| all.iter().filter(move |s| s.code == code as i32);
    assert_eq!(of(pb::SignalCode::PolAsbVictim).count(), 3, "not the one of December");
    assert_eq!(of(pb::SignalCode::PolHateIncident).count(), 0);
    let child = of(pb::SignalCode::DerChildU18).next().unwrap();
    assert_eq!(child.start_day, day("2025-02-25").number(), "no date of birth in it");
    let mut keys: Vec<_> = of(pb::SignalCode::PolAsbVictim).map(|s| s.event_key.clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 2, "POL4 is one event of two people");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_building_with_flats_is_no_dwelling() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let request = pb::QueryDwellingsRequest { sweep_id: sweep(1), handles: column(&handles) };
    let answer = police.node.query_dwellings(Request::new(request)).await.unwrap().into_inner();
    let known: Vec<_> = answer.residences.iter().flat_map(|r| r.dwellings.clone()).collect();
    assert_eq!(known.len(), 2, "Carol and her son; Eve's building has a flat 2");
    assert_eq!(known[0].address_key, known[1].address_key);
    assert_ne!(known[0].surname_tags, known[1].surname_tags);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_agrees_inside_a_block_only() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let ask = |kinds: Vec<MatchKeyKind>| pb::CompareRequest {
        sweep_id: sweep(1),
        handles: column(&vec![handles[0]; kinds.len()]),
        slots: vec![0; kinds.len()],
        kinds: kinds.into_iter().map(MatchKeyKind::number).collect(),
    };
    let kinds = vec![MatchKeyKind::SurnameBirth, MatchKeyKind::SurnameBirth, MatchKeyKind::Nhs];
    let answer = police.node.compare(Request::new(ask(kinds))).await.unwrap().into_inner();
    let compared = Comparison::column(&answer.comparisons).unwrap();
    let compared: Vec<Comparison> = compared.iter().map(Comparison::read).collect();
    assert_eq!(compared[0], compared[1]);
    let within = Levels::of(&compared[0], &compared[1]);
    let across = Levels::of(&compared[0], &compared[2]);
    assert_ne!(within, across, "an empty slot is salted by noise");
    let mut wrong = ask(vec![MatchKeyKind::Nhs]);
    wrong.slots = vec![1];
    let refused = police.node.compare(Request::new(wrong)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

/// An alert about nobody yet.
fn an_alert() -> Alert {
    Alert {
        id: AlertId::from_bytes([7; 16]),
        revision: 1,
        change: AlertChange::New,
        sweep: SweepId::new(1, [9; 8]),
        handles: vec![],
        subject: AlertSubject::Household,
        tier: Tier::T3,
        duty: Duty::Lead,
        news: vec![],
        lines: vec![],
        rules: vec![],
        involved: vec![],
        unknowns: vec![],
        question: "?".into(),
        limits: "Not proof.".into(),
        as_at: day("2025-02-25"),
        model_version: "m".into(),
        link_confidence: "Sure.".into(),
        hide_address: false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_kept_once_and_points_at_our_own_records() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let alert = Alert { handles: handles.clone(), ..an_alert() };
    // Delivery may come after the sweep was closed.
    let close = Request::new(pb::CloseSweepRequest { sweep_id: sweep(1) });
    police.node.close_sweep(close).await.unwrap();
    let deliver =
        |alert: &Alert| Request::new(pb::DeliverAlertRequest { alert: Some(alert.clone().into()) });
    let first = police.node.deliver_alert(deliver(&alert)).await.unwrap().into_inner();
    let again = police.node.deliver_alert(deliver(&alert)).await.unwrap().into_inner();
    assert_eq!((first.duplicate, again.duplicate), (false, true));
    let list = Request::new(pb::ListAlertsRequest::default());
    let listed = police.node.list_alerts(list).await.unwrap().into_inner();
    assert_eq!(listed.entries.len(), 1);
    let mut references: Vec<_> =
        listed.entries[0].records.iter().map(|record| record.reference.as_str()).collect();
    references.sort_unstable();
    assert_eq!(references, ["N-1", "N-2", "N-4"]);

    // The next sweep brings the finding back, under new handles.
    let opened = police.open(2).await.unwrap();
    assert_eq!(opened.memos.len(), 3);
    assert!(opened.memos.iter().all(|memo| memo.memo_id == [7; 16]));
    let strange = Alert { handles: vec![Handle::from_bytes([1; 16])], ..alert };
    let refused = police.node.deliver_alert(deliver(&strange)).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("UNKNOWN_HANDLE"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worklist_that_watches_hears_of_every_alert_once_and_in_order() {
    let police = Police::new().await;
    police.open(1).await.unwrap();
    let (handles, _) = police.people().await;
    let deliver = async |id: u8, revision: u32| {
        let id = AlertId::from_bytes([id; 16]);
        let alert = Alert { id, revision, handles: handles.clone(), ..an_alert() };
        let request = pb::DeliverAlertRequest { alert: Some(alert.into()) };
        police.node.deliver_alert(Request::new(request)).await.unwrap();
    };
    let watch = async |after| {
        let request = Request::new(pb::WatchInboxRequest { after });
        police.node.watch_inbox(request).await.unwrap().into_inner()
    };
    let heard = |response: pb::WatchInboxResponse| {
        let entry = response.entry.unwrap();
        let alert = entry.alert.unwrap();
        (alert.alert_id[0], alert.revision, entry.position)
    };
    deliver(1, 1).await;
    deliver(2, 1).await;
    deliver(1, 2).await;
    let mut stream = watch(0).await;
    let first = heard(stream.try_next().await.unwrap().unwrap());
    let second = heard(stream.try_next().await.unwrap().unwrap());
    assert_eq!([(first.0, first.1), (second.0, second.1)], [(2, 1), (1, 2)], "only the latest");
    deliver(3, 1).await;
    let third = heard(stream.try_next().await.unwrap().unwrap());
    assert_eq!((third.0, third.1), (3, 1));
    // Whoever was away goes on where it was.
    let mut resumed = watch(second.2).await;
    assert_eq!(heard(resumed.try_next().await.unwrap().unwrap()), third);
    // Nobody has opened what was only announced.
    let list = Request::new(pb::ListAlertsRequest::default());
    let listed = police.node.list_alerts(list).await.unwrap().into_inner();
    assert!(listed.entries.iter().all(|entry| entry.read_ms.is_none()));
    police.node.drain();
    let gone = resumed.try_next().await.unwrap_err();
    assert_eq!(refusal::reason(&gone).as_deref(), Some("GOING_DOWN"));
}

#[tokio::test(flavor = "multi_thread")]
async fn blurred_bits_are_counted_once_by_kinds_of_many_people() {
    let police = Police::new().await;
    police.take_in_a_crowd().await;
    let opened = police.open(1).await.unwrap();
    assert!(opened.records >= 200, "{}", opened.records);
    let counts = police.count(|at| at % 2 == 0).await.unwrap();
    let of = |subgroup| counts.iter().find(|count| count.subgroup == subgroup).copied();
    let women = of(Subgroup::Female).unwrap();
    assert!((150..=250).contains(&women.records), "{women:?}");
    assert!((50..=150).contains(&women.indicated), "{women:?}");
    assert!(counts.iter().all(|count| count.records >= 20), "{counts:?}");

    assert_eq!(police.count(|at| at % 2 == 0).await.unwrap(), counts, "asked again");
    let refused = police.count(|at| at % 2 == 1).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("COUNTED_ALREADY"));
    let police = police.restarted().await;
    let refused = police.count(|at| at % 2 == 1).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("COUNTED_ALREADY"), "after a restart");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_may_refuse_to_tell_counts() {
    let mut police = Police::new().await;
    police.take_in_a_crowd().await;
    let refusing = format!("{POLICY}\n[disclose]\nsubgroup_counts = false\n");
    let path = police.folder.path().join("silent.toml");
    std::fs::write(&path, refusing).unwrap();
    let kind = AgencyKind::Police;
    let policy = Policy::load(&path, &"police".parse().unwrap(), kind).unwrap();
    let store = Store::open(&police.folder.path().join("node.db")).await.unwrap();
    let feeds = vec![Feed::from_toml(PEOPLE).unwrap(), Feed::from_toml(EVENTS).unwrap()];
    let ring = keyring(&police.folder);
    police.node = Node::new(kind, (store, ring), policy, (feeds, None), (|| 1, true));
    police.open(1).await.unwrap();
    let refused = police.count(|at| at % 2 == 0).await.unwrap_err();
    assert_eq!(refusal::reason(&refused).as_deref(), Some("POLICY_REFUSES"));
}
