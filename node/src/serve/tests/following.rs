//! An agency whose records change, and somebody who follows its open sweep.

use std::{collections::BTreeMap, path::Path};

use causeway_proto::{
    catalogue::{AgencyKind, Purpose},
    change::{Change, Step},
    ids::{Handle, SweepId},
    kind::MatchKeyKind,
    pb::{
        self, change_service_server::ChangeService, dwelling_service_server::DwellingService,
        signal_service_server::SignalService, stream_tokens_response::Column,
        sweep_service_server::SweepService, token_service_server::TokenService,
    },
    sweep::{Feed, Opening},
    token::PersonFlags,
};
use futures::{Stream, StreamExt, TryStreamExt};
use tempfile::TempDir;
use tonic::{Request, Status};
use zeroize::Zeroizing;

use super::super::{Node, session::Session, standing, tokens};
use crate::{
    ingest::{Intake, Receipt},
    policy::current::Current,
    source,
    store::{Store, changes, segments, sweeps},
    tokenise::{chain::EpochKey, keyring::Keyring},
};

const PEOPLE: &str = "
    id = 'nominals'
    about = 'people'
    dates = ['%Y-%m-%d']
    key = ['REF']
    freshness_h = 24

    [columns]
    forename = 'FORENAME'
    surname = 'SURNAME'
    dob = 'DOB'
    address = 'ADDRESS'
    postcode = 'POSTCODE'
    residence_to = 'LEFT'
    deceased = 'DIED'

    [restricted]
    column = 'MARK'
    open = ['']
    values = { 'R' = 'restricted' }
";
/// What an export about people begins with.
pub(super) const HEADER: &str = "REF,FORENAME,SURNAME,DOB,ADDRESS,POSTCODE,LEFT,DIED,MARK\n";
const EVENTS: &str = "
    id = 'incidents'
    about = 'events'
    person_feed = 'nominals'
    dates = ['%Y-%m-%d']
    key = ['INCIDENT']
    default_role = 'victim'
    freshness_h = 24

    [columns]
    person = 'REF'
    type = 'TYPE'
    start = 'DATE'

    [codes]
    'ASB' = 'POL_ASB_VICTIM'
    'HATE' = 'POL_HATE_INCIDENT'
";
/// What an export about events begins with.
pub(super) const EVENTS_HEADER: &str = "INCIDENT,REF,TYPE,DATE\n";

/// The node of an agency, and the folder of its exports and keys.
pub(super) struct Agency {
    pub(super) node: Node,
    pub(super) folder: TempDir,
    time: (fn() -> u64, bool),
}

impl Agency {
    pub(super) async fn new() -> Self {
        Self::at(|| 1).await
    }

    /// An agency of which any day may be spoken, as in trials.
    pub(super) async fn at(now_ms: fn() -> u64) -> Self {
        Self::made((now_ms, true)).await
    }

    /// An agency with real data.
    pub(super) async fn strict(now_ms: fn() -> u64) -> Self {
        Self::made((now_ms, false)).await
    }

    async fn made(time: (fn() -> u64, bool)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ring = keyring(folder.path());
        ring.init().unwrap();
        let key = Zeroizing::new([1; 32]);
        ring.put_epoch(&EpochKey { epoch: 1, roster_hash: [0; 32], key }).unwrap();
        Self { node: node(folder.path(), time).await, folder, time }
    }

    pub(super) async fn restart(&mut self) {
        self.node = node(self.folder.path(), self.time).await;
    }

    /// The same agency under another policy.
    pub(super) async fn with_policy(self, policy: &str) -> Self {
        let node = node_of(self.folder.path(), self.time, policy).await;
        Self { node, ..self }
    }

    pub(super) async fn people(&self, rows: &str) -> Receipt {
        take_in(&self.node.store, self.folder.path(), 0, &(HEADER.to_owned() + rows)).await
    }

    pub(super) async fn events(&self, rows: &str) -> Receipt {
        take_in(&self.node.store, self.folder.path(), 1, &(EVENTS_HEADER.to_owned() + rows)).await
    }

    pub(super) async fn open(&self, counter: u64) -> pb::OpenSweepResponse {
        self.open_as_at(counter, "2025-02-25").await.unwrap()
    }

    pub(super) async fn open_as_at(
        &self,
        counter: u64,
        as_at: &str,
    ) -> Result<pb::OpenSweepResponse, Status> {
        let opening = Opening {
            sweep: sweep(counter),
            purposes: vec![Purpose::AdultSafeguarding],
            model_version: "m".into(),
            as_at: as_at.parse().unwrap(),
        };
        Ok(self.node.open_sweep(Request::new(opening.into())).await?.into_inner())
    }

    pub(super) async fn streamed(&self, after: u64) -> Vec<pb::StreamTokensResponse> {
        let request = pb::StreamTokensRequest { sweep_id: id(1), after };
        let stream = self.node.stream_tokens(Request::new(request)).await.unwrap().into_inner();
        stream.try_collect().await.unwrap()
    }

    /// What a fresh sweep with the keys of the open one would stream.
    async fn fresh(&self) -> BTreeMap<Handle, Person> {
        let mut conn = self.node.store.read().await.unwrap();
        let open = sweeps::current(&mut conn).await.unwrap().unwrap();
        let last_row = segments::next_row(&mut conn).await.unwrap();
        let position = changes::position(&mut conn).await.unwrap();
        let now = sweeps::Sweep { last_row, position, ..open };
        let standings =
            standing::all(&mut conn, &self.node.policy.now().unwrap(), &now).await.unwrap();
        drop(conn);
        let (_, keys) = self.node.keyring.open_sweep(&now.id).unwrap();
        let session = Session::of(now, keys, (1, [0; 32]), standings.into_iter());
        let mut reader = tokens::Reader::after(&session, self.node.store.clone(), 0);
        let mut stream = Vec::new();
        while let Some(message) = reader.next(&session).await.unwrap() {
            stream.push(message);
        }
        people(stream)
    }

    pub(super) async fn homes(&self, handle: Handle) -> Vec<pb::Residence> {
        let handles = handle.as_bytes().to_vec();
        let request = pb::QueryDwellingsRequest { sweep_id: id(1), handles };
        self.node.query_dwellings(Request::new(request)).await.unwrap().into_inner().residences
    }

    async fn signals(&self, handle: Handle) -> Vec<pb::SubjectSignals> {
        let handles = handle.as_bytes().to_vec();
        let request = pb::QuerySignalsRequest { sweep_id: id(1), handles };
        self.node.query_signals(Request::new(request)).await.unwrap().into_inner().subjects
    }
}

fn keyring(folder: &Path) -> Keyring {
    Keyring::new(folder, "pilot".parse().unwrap())
}

async fn node(folder: &Path, time: (fn() -> u64, bool)) -> Node {
    node_of(folder, time, super::POLICY).await
}

async fn node_of(folder: &Path, time: (fn() -> u64, bool), policy: &str) -> Node {
    let path = folder.join("policy.toml");
    std::fs::write(&path, policy).unwrap();
    let policy = Current::load(&path, &"police".parse().unwrap(), AgencyKind::Police).unwrap();
    let store = Store::open(&folder.join("node.db")).await.unwrap();
    Node::new(AgencyKind::Police, (store, keyring(folder)), policy, (feeds(), None), time)
}

fn feeds() -> Vec<source::Feed> {
    [PEOPLE, EVENTS].map(|text| source::Feed::from_toml(text).unwrap()).into()
}

/// Takes in an export, over a store that need not be the node's own.
pub(super) async fn take_in(store: &Store, folder: &Path, feed: usize, text: &str) -> Receipt {
    let path = folder.join("export.csv");
    std::fs::write(&path, text).unwrap();
    let (feeds, keys) = (feeds(), keyring(folder).match_keys().unwrap());
    let as_at = "2025-02-25".parse().unwrap();
    let intake = Intake { store, feeds: &feeds, keys: &keys, keyring: None, as_at, now_ms: 1 };
    intake.take_in(&feeds[feed], &path).await.unwrap()
}

pub(super) fn sweep(counter: u64) -> SweepId {
    SweepId::new(counter, [9; 8])
}

pub(super) fn id(counter: u64) -> Vec<u8> {
    sweep(counter).as_bytes().to_vec()
}

/// What is known of one person.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Person {
    pub(super) flags: PersonFlags,
    /// By kind.
    pub(super) tokens: Vec<Vec<u8>>,
    homes: Vec<pb::Residence>,
    signals: Vec<pb::SubjectSignals>,
}

/// Reads a whole token stream.
pub(super) fn people(stream: Vec<pb::StreamTokensResponse>) -> BTreeMap<Handle, Person> {
    let mut handles: Vec<Handle> = Vec::new();
    let mut people: BTreeMap<Handle, Person> = BTreeMap::new();
    for response in stream {
        match response.column.unwrap() {
            Column::People(column) => {
                let of_these = Handle::from_column("handles", &column.handles).unwrap();
                for (handle, flags) in of_these.iter().zip(column.flags) {
                    let person = Person { flags: PersonFlags(flags), ..Person::default() };
                    people.insert(*handle, person);
                }
                handles.extend(of_these);
            }
            Column::Tokens(column) => {
                let kind = MatchKeyKind::from_wire(column.kind).unwrap();
                let first = usize::try_from(response.first_row).unwrap();
                for (at, tokens) in column.tokens.chunks(8 * kind.slots()).enumerate() {
                    let person = people.get_mut(&handles[first + at]).unwrap();
                    person.tokens.push(tokens.to_vec());
                }
            }
        }
    }
    people
}

type Changes = std::pin::Pin<Box<dyn Stream<Item = Result<Step, Status>> + Send>>;

/// Somebody who read the whole sweep and follows it.
#[derive(Clone, Default)]
pub(super) struct Follower {
    pub(super) position: u64,
    pub(super) people: BTreeMap<Handle, Person>,
    pub(super) feeds: Vec<Feed>,
    /// It heard a part of a burst, and not its end.
    halfway: bool,
}

impl Follower {
    /// Opens the sweep and reads it.
    pub(super) async fn begin(agency: &Agency) -> Self {
        let opened = agency.open(1).await;
        let people = people(agency.streamed(0).await);
        let mut follower = Self { position: opened.position, people, ..Self::default() };
        for handle in follower.people.keys().copied().collect::<Vec<_>>() {
            follower.ask(agency, handle).await;
        }
        follower
    }

    /// Goes on where it was.
    pub(super) async fn watch(&self, agency: &Agency) -> Changes {
        let request = pb::WatchChangesRequest { sweep_id: id(1), after: self.position };
        let stream = agency.node.watch_changes(Request::new(request)).await.unwrap().into_inner();
        stream.map(|response| Ok(Step::try_from(response?).unwrap())).boxed()
    }

    /// Follows until there is nothing more at present, and returns what happened.
    pub(super) async fn catch_up(&mut self, agency: &Agency, from: &mut Changes) -> Vec<Change> {
        let mut happened = Vec::new();
        loop {
            let Step { position, change } = from.next().await.unwrap().unwrap();
            assert!(position >= self.position, "a position goes back");
            if change == Change::CaughtUp {
                (self.position, self.halfway) = (position, false);
                return happened;
            }
            happened.push(change.clone());
            self.take(agency, change).await;
        }
    }

    /// Takes one change in, as the coordinator does. Who heard a part of a burst hears some of it again.
    async fn take(&mut self, agency: &Agency, change: Change) {
        match change {
            Change::Upsert(upsert) => {
                if let Some(before) = upsert.replaces {
                    let known = self.people.remove(&before).is_some();
                    assert!(known || self.halfway, "replaces nobody");
                }
                let (flags, tokens) = (upsert.flags, upsert.tokens);
                let person = Person { flags, tokens, ..Person::default() };
                let before = self.people.insert(upsert.handle, person);
                assert!(before.is_none() || self.halfway, "somebody new who was there");
                self.ask(agency, upsert.handle).await;
            }
            // Who came and left again was perhaps never heard of.
            Change::Retraction(handle) => _ = self.people.remove(&handle),
            Change::Facts(handle, flags) => {
                self.people.get_mut(&handle).expect("facts of nobody").flags = flags;
                self.ask(agency, handle).await;
            }
            Change::Feeds(feeds) => self.feeds = feeds,
            Change::CaughtUp => {}
        }
    }

    /// Hears so many changes at most, and then the stream breaks.
    pub(super) async fn hear_some(&mut self, agency: &Agency, changes: usize) {
        let mut from = self.watch(agency).await;
        self.halfway = true;
        for _ in 0..changes {
            match from.next().await.unwrap().unwrap().change {
                // The position does not count: it is lost with the rest.
                Change::CaughtUp => return,
                change => self.take(agency, change).await,
            }
        }
    }

    async fn ask(&mut self, agency: &Agency, handle: Handle) {
        let (homes, signals) = (agency.homes(handle).await, agency.signals(handle).await);
        let person = self.people.get_mut(&handle).unwrap();
        (person.homes, person.signals) = (homes, signals);
    }

    /// Compares what the follower holds with what a fresh sweep would bring.
    pub(super) async fn holds_what_is(&self, agency: &Agency) {
        let mut fresh = agency.fresh().await;
        for (handle, person) in &mut fresh {
            (person.homes, person.signals) =
                (agency.homes(*handle).await, agency.signals(*handle).await);
        }
        let handles =
            |people: &BTreeMap<Handle, Person>| people.keys().copied().collect::<Vec<_>>();
        assert_eq!(handles(&self.people), handles(&fresh), "who is in it");
        for (handle, person) in &fresh {
            let held = &self.people[handle];
            assert_eq!(held.flags, person.flags, "flags");
            for (kind, (held, is)) in
                MatchKeyKind::ALL.iter().zip(held.tokens.iter().zip(&person.tokens))
            {
                assert!(held == is, "tokens of {kind}");
            }
            assert_eq!(held.homes, person.homes, "homes");
            assert_eq!(held.signals, person.signals, "signals");
        }
    }
}

/// People of one surname who were born on one day: surname and birth date are a crowd when they are
/// more than fifty.
pub(super) fn crowd(count: usize) -> (String, String) {
    let (mut people, mut events) = (String::new(), String::new());
    for n in 0..count {
        let letters = ["BE", "DRA", "KO", "MUL", "TIS", "VEN", "WAR"];
        let (first, second, third) = (letters[n % 7], letters[n / 7 % 7], letters[n / 49 % 7]);
        let (house, street) = (100 + n, letters[n * 3 % 7]);
        people += &format!(
            "C-{n},{second}{first}{third}A,PRICE,1987-04-06,{house} {street}ING Lane,ZX6 {n}AA,,,\n"
        );
        events += &format!("CI-{n},C-{n},ASB,2025-02-01\n");
    }
    (people, events)
}
