//! Answers the coordinator, and the agency's own systems.
//!
//! Handlers decode, ask, and encode. Who may call was settled by a layer before they run; what may
//! be told is settled by the policy; and every answer is in the audit table before it leaves.

mod agreement;
mod alerts;
mod allowed;
mod answer;
mod arrivals;
mod changes;
mod comparisons;
mod crowds;
mod days;
mod dwellings;
mod feeds;
mod holders;
mod inbox;
mod later;
mod live;
mod memos;
mod quality;
mod session;
mod shelf;
mod signals;
mod standing;
mod status;
mod streams;
mod sweeps;
mod tokens;

use std::{collections::HashSet, sync::Arc};

use causeway_proto::{
    DESCRIPTORS,
    catalogue::AgencyKind,
    ids::{Handle, SweepId},
    limits::{HANDLES_PER_QUERY, MESSAGE_BYTES},
    pb::{
        alert_service_server::AlertServiceServer, change_service_server::ChangeServiceServer,
        comparison_service_server::ComparisonServiceServer,
        dwelling_service_server::DwellingServiceServer, inbox_service_server::InboxServiceServer,
        quality_service_server::QualityServiceServer,
        referral_delivery_service_server::ReferralDeliveryServiceServer,
        signal_service_server::SignalServiceServer, sweep_service_server::SweepServiceServer,
        token_service_server::TokenServiceServer,
    },
    refusal,
    sweep::Contact,
    wire::WireError,
};
use tokio::sync::{Mutex, Notify, watch};
use tonic::{Code, Status, service::Routes};
use tonic_health::server::HealthReporter;

use self::session::Session;
use crate::{
    policy::current::Current,
    source::Feed,
    store::{self, Store, StoreError},
    tokenise::keyring::Keyring,
};

/// Why nothing is answered of a sweep that is not open, or no more.
const NO_SUCH_SWEEP: &str = "NO_SUCH_SWEEP";

/// What every service of a node works with. Cheap to clone.
#[derive(Clone)]
pub struct Node(Arc<Parts>);

/// The parts of a [`Node`].
pub struct Parts {
    /// What the agency is for.
    pub kind: AgencyKind,
    /// Its records.
    pub store: Store,
    /// Its keys.
    pub keyring: Keyring,
    /// What it allows.
    pub policy: Arc<Current>,
    /// Its exports.
    pub feeds: Vec<Feed>,
    /// Whom a colleague can ring.
    pub contact: Option<Contact>,
    /// Unix milliseconds, now.
    pub now_ms: fn() -> u64,
    /// Whether sweeps may speak of any day, as in trials with made-up data.
    pub any_day: bool,
    /// Rung when somebody answered an alert.
    pub reviewed: Arc<Notify>,
    session: Mutex<Option<Arc<Session>>>,
    going: watch::Sender<bool>,
    /// Held while people are counted by kinds.
    counting: Mutex<()>,
    /// Token streams that are open, streams of changes, and those that follow the inbox.
    token_streams: streams::Places,
    change_streams: streams::Places,
    inbox_streams: streams::Places,
}

impl Node {
    /// Puts the services' common parts together.
    pub fn new(
        kind: AgencyKind,
        (store, keyring): (Store, Keyring),
        policy: impl Into<Current>,
        (feeds, contact): (Vec<Feed>, Option<Contact>),
        (now_ms, any_day): (fn() -> u64, bool),
    ) -> Self {
        let (reviewed, session, counting) = Default::default();
        let (token_streams, change_streams, inbox_streams) = Default::default();
        let going = watch::Sender::new(false);
        Self(Arc::new(Parts {
            kind,
            store,
            keyring,
            policy: Arc::new(policy.into()),
            feeds,
            contact,
            now_ms,
            any_day,
            reviewed,
            session,
            going,
            counting,
            token_streams,
            change_streams,
            inbox_streams,
        }))
    }

    /// Ends the streams that would stay open, so that the server can go down.
    pub fn drain(&self) {
        self.going.send_replace(true);
    }

    /// Returns the open session of a sweep of which the agency may still say something.
    async fn session(&self, sweep: SweepId) -> Result<Arc<Session>, Status> {
        let session = self.any_session(sweep).await?;
        self.allowed(session.purposes(), session.as_at())?;
        Ok(session)
    }

    /// Returns the open session of a sweep, putting it together again after a restart.
    async fn any_session(&self, sweep: SweepId) -> Result<Arc<Session>, Status> {
        self.check_going()?;
        let mut current = self.0.session.lock().await;
        self.end_out_of_date(&mut current).await?;
        let mut conn = self.0.store.snapshot().await.map_err(status::store)?;
        let known = store::sweeps::current(&mut conn).await.map_err(status::store)?;
        let is_it = |session: &mut Arc<Session>| session.id() == sweep;
        let Some(known) = known.filter(|known| known.id == sweep) else {
            // Whoever takes another linkage key in breaks it off, and may be another process.
            if let Some(before) = current.take_if(is_it) {
                before.end();
            }
            let message = "the node has no such sweep open: open it first";
            return Err(refusal::status(Code::FailedPrecondition, NO_SUCH_SWEEP, message));
        };
        if let Some(session) = current.as_ref().filter(|session| session.id() == sweep) {
            return Ok(session.clone());
        }
        let (chain, keys) = self.0.keyring.open_sweep(&sweep).map_err(status::keyring)?;
        let key = (chain.epoch(), chain.commit());
        let session = Session::build(&mut conn, known, keys, key).await;
        let session = Arc::new(session.map_err(status::store)?);
        if let Some(before) = current.replace(session.clone()) {
            before.end();
        }
        Ok(session)
    }

    /// Returns whether a sweep is over for certain, once nobody is opening another.
    async fn is_over(&self, sweep: SweepId) -> bool {
        let found = self.any_session(sweep).await;
        found.is_err_and(|status| refusal::reason(&status).as_deref() == Some(NO_SUCH_SWEEP))
    }

    /// Returns the persons that some rows stand for, also where the row was replaced since.
    async fn whose(
        &self,
        conn: &mut sqlx::SqliteConnection,
        rows: &[u64],
    ) -> Result<Vec<i64>, StoreError> {
        let mut now = Vec::with_capacity(rows.len());
        for row in rows {
            now.extend(store::changes::successor(conn, *row).await?);
        }
        let persons = store::persons::by_row(conn, &now).await?;
        Ok(persons.into_iter().map(|person| person.id).collect())
    }
}

impl std::ops::Deref for Node {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

/// Reads the handles of a query and finds their rows.
fn rows_of(session: &Session, handles: &[u8]) -> Result<Vec<u64>, Status> {
    let handles = Handle::from_column("handles", handles)?;
    if handles.len() > HANDLES_PER_QUERY {
        return Err(WireError::Invalid { field: "handles", rule: "at most 4096" }.into());
    }
    session.resolve(&handles).map_err(|_| unknown_handle())
}

/// The same for a question that asks about each of them once: one person's answer may be as large as a message,
/// and so would each of its copies.
fn distinct_rows_of(session: &Session, handles: &[u8]) -> Result<Vec<u64>, Status> {
    let rows = rows_of(session, handles)?;
    let distinct: HashSet<u64> = rows.iter().copied().collect();
    match distinct.len() == rows.len() {
        true => Ok(rows),
        false => Err(WireError::Invalid { field: "handles", rule: "each of them once" }.into()),
    }
}

fn unknown_handle() -> Status {
    let message = "the node never made one of these handles in this sweep";
    refusal::status(Code::InvalidArgument, "UNKNOWN_HANDLE", message)
}

/// Returns the node's services behind the layer that decides who may call what.
///
/// Health is among them: whoever holds the reporter says when the node stops serving.
pub fn routes(node: &Node, reflection: bool) -> (Routes, HealthReporter) {
    macro_rules! sized {
        ($server:ident) => {
            $server::new(node.clone())
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(MESSAGE_BYTES)
        };
    }
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::new(health)
        .add_service(sized!(SweepServiceServer))
        .add_service(sized!(TokenServiceServer))
        .add_service(sized!(ComparisonServiceServer))
        .add_service(sized!(DwellingServiceServer))
        .add_service(sized!(SignalServiceServer))
        .add_service(sized!(ChangeServiceServer))
        .add_service(sized!(QualityServiceServer))
        .add_service(sized!(AlertServiceServer))
        .add_service(sized!(ReferralDeliveryServiceServer))
        .add_service(sized!(InboxServiceServer));
    if reflection {
        let described = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .build_v1()
            .expect("our own descriptors are well-formed");
        routes = routes.add_service(described);
    }
    (routes, reporter)
}

#[cfg(test)]
mod tests;
