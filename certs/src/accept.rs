//! Taking connections: TLS first, then whoever it is meant for.
//!
//! The loop outlives everything that a peer or the system does to it. A refused handshake is one
//! line in the log with the address and the reason; the peer is told as much as TLS can say.

use std::{
    io,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use causeway_proto::limits::{
    CONNECTION_WINDOW_BYTES, FRAME_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
    STREAM_WINDOW_BYTES,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, mpsc},
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;
use tower::layer::util::{Identity, Stack};

use crate::{
    name,
    places::Places,
    reasons::ReasonLayer,
    reverse::Registry,
    stream::PeerStream,
    tls::{ALPN_REVERSE, TlsState},
    verify::{explain, tls_error},
};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How many handshakes may be under way. Strangers can make us spend this much and no more; past
/// it, the kernel's queue holds the rest.
const HANDSHAKES: usize = 256;

/// How many of them one address may have under way. Generous, for many members may be behind one.
const HANDSHAKES_FROM_ONE: usize = HANDSHAKES / 2;

/// How many connections one member may have open. A channel needs one, and an operator's program
/// a channel each; what is beyond a few is a fault, or somebody who means to use us up.
const CONNECTIONS: usize = 64;

/// How many connections may wait for the server to take them on.
const QUEUE: usize = 16;

/// The longest pause after the system refused us a connection.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Where proven connections go: into tonic's `serve_with_incoming_shutdown`.
pub type Incoming = mpsc::Sender<io::Result<PeerStream>>;

/// Returns a tonic server with the keepalive, windows and frames that both ends agree on.
///
/// Without keepalive on both sides, a peer behind a dead firewall looks alive for ever.
///
/// Every refusal has a reason, whoever refuses.
pub fn server() -> Server<Stack<ReasonLayer, Identity>> {
    Server::builder()
        .layer(ReasonLayer)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
}

/// Accepts on `listener` in the background and returns the proven connections, for tonic's
/// `serve_with_incoming_shutdown`. Stops when the stream is dropped.
///
/// With a `registry`, nodes may also dial in to be called; their connections go there.
pub fn serve_incoming(
    listener: TcpListener,
    tls: TlsState,
    registry: Option<Arc<Registry>>,
) -> ReceiverStream<io::Result<PeerStream>> {
    let (out, incoming) = mpsc::channel(QUEUE);
    tokio::spawn(accept_into(listener, tls, registry, out));
    ReceiverStream::new(incoming)
}

/// Accepts on `listener` until nobody takes connections out of `out` any more.
///
/// For a node that listens and dials out: give the same `out` to
/// [`keep_dialled`](crate::reverse::keep_dialled), and one server serves both.
pub async fn accept_into(
    listener: TcpListener,
    tls: TlsState,
    registry: Option<Arc<Registry>>,
    out: Incoming,
) {
    let members = Places::new(CONNECTIONS);
    let door = Arc::new(Door { tls, registry, out: out.clone(), members });
    tokio::select! {
        () = out.closed() => {}
        () = accept_for_ever(&listener, door) => {}
    }
}

async fn accept_for_ever(listener: &TcpListener, door: Arc<Door>) {
    let room = Arc::new(Semaphore::new(HANDSHAKES));
    let addresses = Places::new(HANDSHAKES_FROM_ONE);
    loop {
        let Ok(permit) = room.clone().acquire_owned().await else { return };
        let (tcp, from) = insist(|| listener.accept()).await;
        let place = match addresses.take(origin(from.ip())) {
            Ok(place) => place,
            Err(full) => {
                if !full.told {
                    let reason = "too many handshakes from its address are under way";
                    tracing::warn!(remote = %from, reason, "refused a connection");
                }
                continue;
            }
        };
        let door = door.clone();
        tokio::spawn(async move {
            let proven = door.shake_hands(tcp).await;
            drop((permit, place));
            match proven {
                Ok(stream) => door.hand_on(stream, from).await,
                Err(reason) => tracing::warn!(remote = %from, reason, "refused a connection"),
            }
        });
    }
}

/// Returns what counts as one address: under IPv6, whoever has one has all that begin alike.
fn origin(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
        v4 => v4,
    }
}

/// Tries until it works, and pauses between tries: what is missing (file handles, memory) comes
/// back, and a loop that spins does not help it to.
async fn insist<T, F>(mut accept: impl FnMut() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let mut pause = Duration::from_millis(20);
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error) => {
                tracing::error!(%error, pause_ms = pause.as_millis(), "could not accept");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

/// What stands between the listener and the servers behind it.
struct Door {
    tls: TlsState,
    registry: Option<Arc<Registry>>,
    out: Incoming,
    members: Arc<Places<name::Identity>>,
}

impl Door {
    async fn shake_hands(&self, tcp: TcpStream) -> Result<PeerStream, String> {
        // A connection that is already gone fails in the handshake, with a better reason.
        let _ = tcp.set_nodelay(true);
        let acceptor = TlsAcceptor::from(self.tls.current().server.clone());
        let io = match timeout(HANDSHAKE, acceptor.accept(tcp)).await {
            Ok(Ok(io)) => io,
            Ok(Err(error)) => return Err(reason(&error)),
            Err(_) => {
                return Err(format!("no handshake in {} s", HANDSHAKE.as_secs()));
            }
        };
        PeerStream::new(io.into(), &self.tls).map_err(|error| error.to_string())
    }

    async fn hand_on(&self, mut stream: PeerStream, from: SocketAddr) {
        match self.members.take(stream.peer().identity.clone()) {
            Ok(place) => stream.hold(place),
            Err(full) => {
                if !full.told {
                    let (peer, reason) = (stream.peer(), "it has too many connections open");
                    tracing::warn!(remote = %from, ?peer, reason, "refused a connection");
                }
                return;
            }
        }
        if stream.alpn() == Some(ALPN_REVERSE) {
            let peer = stream.peer().clone();
            let kept = match &self.registry {
                Some(registry) => registry.take_in(stream),
                None => Err("this side keeps no connections to call back on"),
            };
            match kept {
                Ok(()) => tracing::info!(remote = %from, ?peer, "a node dialled in"),
                Err(reason) => {
                    tracing::warn!(remote = %from, ?peer, reason, "refused a connection");
                }
            }
        } else if self.out.send(Ok(stream)).await.is_err() {
            tracing::debug!(remote = %from, "dropped a connection: the server has stopped");
        }
    }
}

fn reason(error: &io::Error) -> String {
    match tls_error(error) {
        Some(tls) => explain(tls),
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            "it went away during the handshake".to_owned()
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use tokio::time::Instant;

    use super::*;

    #[test]
    fn a_network_of_ipv6_and_an_address_of_ipv4_count_as_one() {
        let origin = |ip: &str| origin(ip.parse().unwrap()).to_string();
        assert_eq!(origin("2001:db8:0:7:1234::9"), "2001:db8:0:7::");
        assert_eq!(origin("192.0.2.9"), "192.0.2.9");
        assert_eq!(origin("::ffff:192.0.2.9"), "192.0.2.9");
    }

    #[tokio::test(start_paused = true)]
    async fn running_out_of_file_handles_is_waited_out() {
        let begun = Instant::now();
        let mut left = 20;
        let accepted = insist(|| {
            left -= 1;
            let full = io::Error::other("too many open files");
            ready(if left > 0 { Err(full) } else { Ok("a caller") })
        })
        .await;

        assert_eq!(accepted, "a caller");
        assert!(begun.elapsed() > Duration::from_secs(10), "it did not spin");
        assert!(begun.elapsed() < 20 * LONGEST_PAUSE);
    }
}
