//! Making connections to members, and saying in words why one failed.

use std::{
    error::Error as StdError,
    io,
    iter::successors,
    task::{Context, Poll},
    time::Duration,
};

use causeway_proto::{
    limits::{
        CONNECTION_WINDOW_BYTES, FRAME_BYTES, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT,
        STREAM_WINDOW_BYTES,
    },
    text::{STATUS_CHARS, plain},
};
use futures::future::BoxFuture;
use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::{io::AsyncBufReadExt, net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use tonic::{
    Status, TimeoutExpired,
    transport::{Channel, Endpoint},
};

use crate::{
    name::Identity,
    stream::PeerStream,
    tls::{ALPN_H2, ALPN_REVERSE, TlsState},
    verify::{NotForUs, explain, not_for_us, refused_us, tls_error},
};

/// How long reaching a member and shaking hands with it may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long to wait for the other side's first word, which is also where a refusal would be.
///
/// Under TLS 1.3 our half of the handshake is done before the other side has judged us.
const FIRST_WORD: Duration = Duration::from_secs(5);

/// No connection, and why, in words for whoever has to mend it.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Nobody answers at the address.
    #[error("could not reach {address}")]
    Unreachable {
        /// Where we dialled.
        address: String,
        /// Why not.
        source: io::Error,
    },
    /// Somebody may be there and does not get on with it.
    #[error("{address} did not complete the connection in {} s", CONNECT.as_secs())]
    TooSlow {
        /// Where we dialled.
        address: String,
    },
    /// We did not accept who answered.
    #[error("we refused {address}: {reason}")]
    WeRefused {
        /// Where we dialled.
        address: String,
        /// What is wrong with it.
        reason: String,
    },
    /// It did not accept us.
    #[error("the {peer} at {address} refused our certificate: {reason}", peer = .peer.role)]
    TheyRefused {
        /// Whom we dialled.
        peer: Identity,
        /// Where.
        address: String,
        /// What it held against us.
        reason: &'static str,
    },
    /// Somebody else answered than the one we wanted.
    #[error("{address} is {}", .found.told_apart(.wanted).join(", not "))]
    SomebodyElse {
        /// Where we dialled.
        address: String,
        /// Who answered.
        found: Identity,
        /// Who should have.
        wanted: Identity,
    },
    /// The connection was made and closed without a word.
    #[error("the {peer} at {address} closed the connection at once{hint}", peer = .peer.role)]
    Closed {
        /// Whom we dialled.
        peer: Identity,
        /// Where.
        address: String,
        /// What that may mean.
        hint: &'static str,
    },
    /// A member that dials in has not done so.
    #[error("{} is not connected", .peer.short())]
    NotConnected {
        /// Whom we wait for.
        peer: Identity,
    },
}

/// Which side makes the calls once the connection is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// We call.
    Forward,
    /// We answer.
    Reverse,
}

/// Returns a channel to the member `peer` at `address` (`host:port`).
///
/// It connects on the first call, and again whenever the connection was lost, with the identity
/// that `tls` holds by then. Has to be made inside a Tokio runtime.
pub fn channel(tls: &TlsState, address: String, peer: Identity) -> Channel {
    let connector = Connector { tls: tls.clone(), address, peer: peer.clone() };
    endpoint(&peer).connect_with_connector_lazy(connector)
}

/// Returns the settings of every channel, in either direction.
///
/// The scheme is `http` because TLS is below it, and no timeout is set because tonic would report
/// that one as unknown: ours is inside the connector, where it counts as unavailable.
pub(crate) fn endpoint(peer: &Identity) -> Endpoint {
    Endpoint::from_shared(format!("http://{}", peer.dns_name()))
        .expect("short names make a valid host")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES)
}

/// Connects to a member and makes sure that it is the one we mean and that it accepts us.
pub(crate) async fn connect(
    tls: &TlsState,
    address: &str,
    peer: &Identity,
    direction: Direction,
) -> Result<PeerStream, DialError> {
    timeout(CONNECT, handshake(tls, address, peer, direction))
        .await
        .unwrap_or_else(|_| Err(DialError::TooSlow { address: address.to_owned() }))
}

async fn handshake(
    tls: &TlsState,
    address: &str,
    peer: &Identity,
    direction: Direction,
) -> Result<PeerStream, DialError> {
    let unreachable = |source| DialError::Unreachable { address: address.to_owned(), source };
    let tcp = TcpStream::connect(address).await.map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;

    let snapshot = tls.current();
    let (config, alpn) = match direction {
        Direction::Forward => (snapshot.client.clone(), ALPN_H2),
        Direction::Reverse => (snapshot.client_reverse.clone(), ALPN_REVERSE),
    };
    let name = ServerName::try_from(peer.dns_name()).expect("short names make a valid DNS name");
    let failed = |error| explain_failure(error, address, peer, direction);
    let io = TlsConnector::from(config).connect(name, tcp).await.map_err(failed)?;
    let mut io = tokio_rustls::TlsStream::from(io);
    // Nothing is taken out of the stream by looking. Silence is fine: not everybody speaks first.
    if let Ok(first_word) = timeout(FIRST_WORD, io.fill_buf()).await
        && first_word.map_err(failed)?.is_empty()
    {
        return Err(failed(io::ErrorKind::UnexpectedEof.into()));
    }

    let refused = |reason: String| DialError::WeRefused { address: address.to_owned(), reason };
    let stream = PeerStream::new(io, tls).map_err(|error| refused(error.to_string()))?;
    let found = &stream.peer().identity;
    if found != peer {
        let (found, wanted) = (found.clone(), peer.clone());
        return Err(DialError::SomebodyElse { address: address.to_owned(), found, wanted });
    }
    if stream.alpn() != Some(alpn) {
        return Err(refused("it does not take this kind of connection".to_owned()));
    }
    Ok(stream)
}

fn explain_failure(
    error: io::Error,
    address: &str,
    peer: &Identity,
    direction: Direction,
) -> DialError {
    let (address, peer) = (address.to_owned(), peer.clone());
    match tls_error(&error) {
        Some(tls) => match (not_for_us(tls), refused_us(tls)) {
            (Some(NotForUs::SomebodyElse(found)), _) => {
                DialError::SomebodyElse { address, found: found.clone(), wanted: peer }
            }
            (_, Some(reason)) => DialError::TheyRefused { peer, address, reason },
            _ => DialError::WeRefused { address, reason: explain(tls) },
        },
        None if error.kind() == io::ErrorKind::UnexpectedEof => {
            let hint = match direction {
                Direction::Forward => "",
                Direction::Reverse => ": is this node enrolled there?",
            };
            DialError::Closed { peer, address, hint }
        }
        None => DialError::Unreachable { address, source: error },
    }
}

/// Makes a channel's connections.
struct Connector {
    tls: TlsState,
    address: String,
    peer: Identity,
}

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<PeerStream>;
    type Error = DialError;
    type Future = BoxFuture<'static, Result<TokioIo<PeerStream>, DialError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let (tls, address, peer) = (self.tls.clone(), self.address.clone(), self.peer.clone());
        Box::pin(async move {
            connect(&tls, &address, &peer, Direction::Forward).await.map(TokioIo::new)
        })
    }
}

// === explaining ===

/// Says in one line why a call failed, for a person: what the other side answered, or what is wrong
/// with the connection to it.
///
/// Takes a [`Status`] or a transport error. What tonic wraps around the cause is left out. The other side's
/// words are shown as one line, and cut where they go on for too long.
pub fn connect_problem(error: &(dyn StdError + 'static)) -> String {
    plain(in_words(error), STATUS_CHARS)
}

fn in_words(error: &(dyn StdError + 'static)) -> String {
    let chain: Vec<&dyn StdError> = chain(error).collect();
    if let Some(status) = error.downcast_ref::<Status>()
        && chain.len() == 1
    {
        return status.message().to_owned();
    }
    // Ours say the most; failing that, whoever is deepest.
    let ours = chain.iter().position(|error| error.is::<DialError>());
    let from = ours.unwrap_or(chain.len() - 1);
    let said: Vec<String> = chain[from..].iter().map(ToString::to_string).collect();
    match said.join(": ") {
        // What HTTP/2 says to every call on a connection whose keepalive found nobody.
        vague if vague == "stream closed because of a broken pipe" => {
            "the other side stopped answering".to_owned()
        }
        said => said,
    }
}

/// Returns whether a call failed because of the connection, so that it may pass on another.
///
/// Decided by where the failure comes from and not by its code: tonic reports lost connections as
/// unknown, unavailable or cancelled, and a peer may answer any of these itself.
pub fn is_connection_failure(status: &Status) -> bool {
    let mut causes = chain(status).skip(1).peekable();
    causes.peek().is_some() && !causes.any(|cause| cause.is::<TimeoutExpired>())
}

/// Returns an error and its causes, looking inside I/O errors as well.
fn chain<'a>(
    error: &'a (dyn StdError + 'static),
) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    fn cause<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
        match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn StdError + 'static)),
            None => error.source(),
        }
    }
    successors(Some(error), |&error| cause(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_of_another_deployment_is_told_apart_from_their_namesake() {
        let identity = |text: &str| text.parse::<Identity>().unwrap();
        let problem = |found: &str| {
            let address = "127.0.0.1:7440".to_owned();
            let wanted = identity("spiffe://city.causeway/coordinator/main");
            DialError::SomebodyElse { address, found: identity(found), wanted }.to_string()
        };
        assert_eq!(
            problem("spiffe://pilot.causeway/coordinator/main"),
            "127.0.0.1:7440 is coordinator/main of deployment `pilot`, not coordinator/main of deployment `city`"
        );
        let same = problem("spiffe://city.causeway/node/housing");
        assert_eq!(same, "127.0.0.1:7440 is node/housing, not coordinator/main");
    }

    #[test]
    fn what_a_peer_says_is_one_short_line_that_no_terminal_obeys() {
        let forged = "\u{1b}[2J there\n  housing                  there (forged)";
        let said = connect_problem(&Status::unavailable(forged));
        assert_eq!(said, "\u{fffd}[2J there   housing                  there (forged)");
        let said = connect_problem(&Status::internal("x".repeat(1 << 20)));
        assert_eq!(said.chars().count(), STATUS_CHARS);
        let honest = "the node could not read its store (error 1a2b in its log)";
        assert_eq!(connect_problem(&Status::internal(honest)), honest);
    }
}
