//! Connections the other way round: a node whose firewall lets nothing in dials its coordinator,
//! and serves on that connection.
//!
//! The node keeps one connection up ([`keep_dialled`]). The coordinator has a [`Registry`] with one
//! [`Channel`] per enrolled node, which is the same channel for ever, connected or not: whoever
//! calls a node cannot tell, and need not know, which side dialled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use causeway_proto::ids::AgencyId;
use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use ring::rand::{SecureRandom, SystemRandom};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, timeout_at},
};
use tonic::transport::Channel;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

use crate::{
    accept::Incoming,
    dial::{DialError, Direction, connect, connect_problem, endpoint},
    name::{Identity, Role},
    stream::{Cut, PeerStream},
    tls::TlsState,
};

// === the node's side ===

/// The first pause before dialling again, and the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A connection that held this long was a good one, and the next pause is short again. Being let
/// in is no such sign: a refusal may come after it.
const SETTLED: Duration = Duration::from_secs(30);

/// Keeps one connection to `peer` at `address` (`host:port`) up until `stop` resolves, and hands
/// each to the server behind `out`.
///
/// The server has to be one of [`accept::server`](crate::accept::server): its keepalive is how a
/// dead connection is noticed here.
pub async fn keep_dialled(
    tls: TlsState,
    address: String,
    peer: Identity,
    out: Incoming,
    stop: impl Future<Output = ()> + Send,
) {
    tokio::select! {
        () = stop => {}
        () = dial_for_ever(&tls, &address, &peer, &out) => {}
    }
}

async fn dial_for_ever(tls: &TlsState, address: &str, peer: &Identity, out: &Incoming) {
    let mut pause = PAUSE;
    let mut last_problem = String::new();
    loop {
        match connect(tls, address, peer, Direction::Reverse).await {
            Ok(mut stream) => {
                let (over, up) = (stream.over(), Instant::now());
                tracing::info!(peer = %peer.short(), address, "dialled out and is being served");
                if out.send(Ok(stream)).await.is_err() {
                    return;
                }
                over.await;
                if up.elapsed() >= SETTLED {
                    pause = PAUSE;
                }
                last_problem.clear();
                tracing::info!(peer = %peer.short(), address, "connection is over; dials again");
            }
            Err(error) => {
                let problem = connect_problem(&error);
                // The same every half minute would bury the rest of the log.
                if problem != last_problem {
                    tracing::warn!(reason = problem, "could not dial out; keeps trying");
                    last_problem = problem;
                }
            }
        }
        sleep(with_jitter(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Returns between half and all of a pause, so that nodes do not come back in step.
fn with_jitter(pause: Duration) -> Duration {
    let mut random = [u8::MAX];
    // Without randomness the pause is whole, which is only less polite.
    let _ = SystemRandom::new().fill(&mut random);
    pause / 2 + pause / 2 * u32::from(random[0]) / u32::from(u8::MAX)
}

// === the coordinator's side ===

/// How long a node may take to answer the first question on a new connection.
const GREETING: Duration = Duration::from_secs(10);

/// The coordinator's connections to nodes that dial in.
pub struct Registry {
    nodes: HashMap<AgencyId, Enrolled>,
}

struct Enrolled {
    slot: Arc<Slot>,
    channel: Channel,
}

/// Where a node's newest connection is put, and its channel picks it up.
struct Slot {
    node: Identity,
    patience: Duration,
    state: Mutex<State>,
    arrived: Notify,
}

struct State {
    /// Counts connections, so that an old one's end says nothing about a newer one.
    newest: u64,
    /// Arrived, and not picked up yet.
    waiting: Option<PeerStream>,
    /// Ends the newest connection, wherever it is by now.
    cut: Option<Cut>,
    /// Since when there has been no connection.
    gone: Option<Instant>,
}

impl Registry {
    /// Makes one channel for each enrolled node. Has to be called inside a Tokio runtime.
    ///
    /// A call to a node that is not connected waits for it, until `patience` after it was last
    /// there; then it fails as unavailable, and so does every further call, at once.
    pub fn new(
        me: &Identity,
        nodes: impl IntoIterator<Item = AgencyId>,
        patience: Duration,
    ) -> Arc<Self> {
        let enrol = |id: AgencyId| {
            let node = Identity::new(me.deployment.clone(), Role::Node, id.clone());
            let endpoint = endpoint(&node);
            let slot = Arc::new(Slot::new(node, patience));
            let channel = endpoint.connect_with_connector_lazy(SlotConnector(slot.clone()));
            (id, Enrolled { slot, channel })
        };
        Arc::new(Self { nodes: nodes.into_iter().map(enrol).collect() })
    }

    /// Returns the channel to an enrolled node, connected or not. It is always the same one.
    pub fn channel(&self, node: &AgencyId) -> Option<Channel> {
        Some(self.nodes.get(node)?.channel.clone())
    }

    /// Returns whether a node is connected now, as far as this side can tell.
    pub fn is_connected(&self, node: &AgencyId) -> bool {
        self.nodes.get(node).is_some_and(|enrolled| enrolled.slot.state().gone.is_none())
    }

    /// Takes in a connection on which a node wants to be called. A newer one ends the one before:
    /// the node would not have dialled if that were any good.
    pub(crate) fn take_in(&self, mut stream: PeerStream) -> Result<(), &'static str> {
        let identity = &stream.peer().identity;
        if identity.role != Role::Node {
            return Err("only nodes are called back");
        }
        let Some(Enrolled { slot, channel }) = self.nodes.get(&identity.id) else {
            return Err("this node is not enrolled here");
        };
        let (over, cut) = (stream.over(), stream.cut());
        let number = slot.put(stream, cut);
        let (slot, channel) = (slot.clone(), channel.clone());
        tokio::spawn(async move {
            greet(channel, &slot.node).await;
            over.await;
            slot.gone(number);
        });
        Ok(())
    }
}

/// Asks a node how it is. That makes the channel pick the connection up now and not when somebody
/// has a question, and gives the node the first word it waits for.
async fn greet(channel: Channel, node: &Identity) {
    let mut client = HealthClient::new(channel);
    let mut request = tonic::Request::new(HealthCheckRequest::default());
    request.set_timeout(GREETING);
    if let Err(status) = client.check(request).await {
        let reason = connect_problem(&status);
        tracing::debug!(peer = %node.short(), reason, "a node that dialled in did not say how it is");
    }
}

impl Slot {
    fn new(node: Identity, patience: Duration) -> Self {
        let gone = Some(Instant::now());
        let state = Mutex::new(State { newest: 0, waiting: None, cut: None, gone });
        Self { node, patience, state, arrived: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held, and what is in it makes sense after every line.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, stream: PeerStream, cut: Option<Cut>) -> u64 {
        let mut state = self.state();
        state.newest += 1;
        state.gone = None;
        state.waiting = Some(stream);
        if let Some(older) = std::mem::replace(&mut state.cut, cut) {
            older.replaced();
        }
        self.arrived.notify_one();
        state.newest
    }

    fn gone(&self, number: u64) {
        let mut state = self.state();
        if state.newest == number {
            state.gone = Some(Instant::now());
            tracing::info!(peer = %self.node.short(), "a node that had dialled in is gone");
        }
    }

    async fn next(&self) -> Result<PeerStream, DialError> {
        let since = self.state().gone.unwrap_or_else(Instant::now);
        let arrives = async {
            loop {
                let arrived = self.arrived.notified();
                if let Some(stream) = self.state().waiting.take() {
                    return stream;
                }
                arrived.await;
            }
        };
        timeout_at(since + self.patience, arrives)
            .await
            .map_err(|_| DialError::NotConnected { peer: self.node.clone() })
    }
}

/// Connects a channel by waiting for the node to do it.
struct SlotConnector(Arc<Slot>);

impl tower::Service<Uri> for SlotConnector {
    type Response = TokioIo<PeerStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<TokioIo<PeerStream>, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let slot = self.0.clone();
        Box::pin(async move { slot.next().await.map(TokioIo::new) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_with_jitter_is_between_half_and_whole() {
        for _ in 0..100 {
            let pause = with_jitter(Duration::from_secs(30));
            assert!((15..=30).contains(&pause.as_secs()), "{pause:?}");
        }
    }

    #[test]
    fn the_end_of_an_older_connection_says_nothing_about_a_newer_one() {
        let node = "spiffe://town.causeway/node/housing".parse().unwrap();
        let slot = Slot::new(node, Duration::ZERO);
        *slot.state() = State { newest: 2, waiting: None, cut: None, gone: None };
        slot.gone(1);
        assert!(slot.state().gone.is_none());
        slot.gone(2);
        assert!(slot.state().gone.is_some());
    }
}
