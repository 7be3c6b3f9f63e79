//! A sweep as a coordinator sees it, call by call.

use causeway_proto::{
    catalogue::{AgencyKind, Purpose},
    day::Day,
    ids::{Handle, SweepId},
    kind::MatchKeyKind,
    linkage::{comparison::Comparison, levels::Levels},
    pb::{
        self, comparison_service_server::ComparisonService,
        dwelling_service_server::DwellingService, quality_service_server::QualityService,
        signal_service_server::SignalService, stream_tokens_response::Column,
        sweep_service_server::SweepService, token_service_server::TokenService,
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

mod alerts;
mod changes;
mod counts;
mod deaths;
mod ending;
mod following;
mod histories;
mod hostile;
mod policies;
mod sparse;

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
            let intake = Intake {
                store: &store,
                feeds: &feeds,
                keys: &match_keys,
                keyring: None,
                as_at,
                now_ms: 1,
            };
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
            let intake = Intake { store, feeds, keys: &keys, keyring: None, as_at, now_ms: 2 };
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
