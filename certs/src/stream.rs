//! A connection that knows whose it is, and that ends when it may not go on.

use std::{
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::oneshot,
};
use tokio_rustls::TlsStream;
use tonic::transport::server::Connected;

use crate::{
    certificate::{Certificate, hex},
    name::Identity,
    places::Place,
    tls::{TlsState, clock},
    verify::{self, tls_error},
};

/// How long a revoked peer's connection stays up: time for its next call to be told why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The caller, as proved by its certificate and by nothing in the request.
///
/// Every request that came through a [`PeerStream`] carries one in its extensions.
#[derive(Clone, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub identity: Identity,
    /// The serial number of the certificate it showed.
    pub serial: Vec<u8>,
}

/// A TLS connection of either direction with its proven [`Peer`].
///
/// It ends by itself when the peer's certificate is revoked or runs out, so a stream that runs for
/// days is no way around either. The peer dials again and shows its new certificate.
pub struct PeerStream {
    io: TlsStream<TcpStream>,
    peer: Peer,
    ending: BoxFuture<'static, Ended>,
    ended: Option<Ended>,
    cut: Option<Cut>,
    /// Dropped with the stream, which is how others learn that it is over.
    over: Option<oneshot::Sender<()>>,
    /// Dropped with the stream as well.
    place: Option<Place<Identity>>,
}

/// Ends a connection from afar.
pub(crate) struct Cut(oneshot::Sender<Ended>);

/// Why we ended a connection that was up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Ended {
    #[error("we closed the connection: the other side's certificate was revoked")]
    Revoked,
    #[error("we closed the connection: the other side's certificate ran out while it was up")]
    RanOut,
    #[error("we closed the connection: the other side made a newer one")]
    Replaced,
}

/// A handshake that passed and still tells us nobody we know.
#[derive(Debug, thiserror::Error)]
#[error("the other side's certificate does not say who it is")]
pub(crate) struct NoIdentity;

impl PeerStream {
    /// Wraps a connection whose handshake `tls` just passed.
    pub(crate) fn new(io: TlsStream<TcpStream>, tls: &TlsState) -> Result<Self, NoIdentity> {
        let shown = io.get_ref().1.peer_certificates().and_then(<[_]>::first).ok_or(NoIdentity)?;
        let Certificate { identity, serial, not_after, .. } =
            Certificate::from_der(shown).map_err(|_| NoIdentity)?;
        let left = Duration::try_from(not_after - clock()).unwrap_or_default();
        let (cut, cut_off) = oneshot::channel();
        let ending = ending(tls.clone(), serial.clone(), left, cut_off).boxed();
        let peer = Peer { identity, serial };
        Ok(Self { io, peer, ending, ended: None, cut: Some(Cut(cut)), over: None, place: None })
    }

    /// Returns who is on the other end.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Returns what the two ends agreed to speak.
    pub(crate) fn alpn(&self) -> Option<&[u8]> {
        self.io.get_ref().1.alpn_protocol()
    }

    /// Resolves when the stream was dropped, whoever holds it by then.
    pub(crate) fn over(&mut self) -> impl Future<Output = ()> + Send + 'static {
        let (over, dropped) = oneshot::channel();
        self.over = Some(over);
        dropped.map(|_| ())
    }

    /// Holds a place for as long as the stream is there.
    pub(crate) fn hold(&mut self, place: Place<Identity>) {
        self.place = Some(place);
    }

    /// Hands out the means to end the stream, once.
    pub(crate) fn cut(&mut self) -> Option<Cut> {
        self.cut.take()
    }

    /// Fails once the stream has to end, and otherwise sees to it that its task wakes up for that.
    ///
    /// Asked before reading and before writing: a frozen peer may block either.
    fn go_on(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.ended.is_none()
            && let Poll::Ready(why) = self.ending.poll_unpin(cx)
        {
            tracing::info!(peer = ?self.peer, reason = %why, "ended a connection");
            self.ended = Some(why);
        }
        self.ended.map_or(Ok(()), |why| Err(io::Error::new(io::ErrorKind::ConnectionAborted, why)))
    }

    /// Says in words what broke. HTTP/2 passes on the text of an error and nothing else of it.
    fn explain(&self, error: &io::Error) -> io::Error {
        let why = match tls_error(error) {
            Some(tls) => verify::explain(tls),
            None if error.kind() == io::ErrorKind::UnexpectedEof => "it was cut off".to_owned(),
            None => error.to_string(),
        };
        let peer = self.peer.identity.short();
        io::Error::new(error.kind(), format!("the connection to {peer} broke: {why}"))
    }
}

impl Cut {
    /// Ends the connection, if it is still there.
    pub(crate) fn replaced(self) {
        // Nobody listens when the stream is gone already.
        let _ = self.0.send(Ended::Replaced);
    }
}

async fn ending(
    tls: TlsState,
    serial: Vec<u8>,
    left: Duration,
    cut: oneshot::Receiver<Ended>,
) -> Ended {
    let cut = async {
        match cut.await {
            Ok(why) => why,
            // Nobody will ever cut it.
            Err(_) => std::future::pending().await,
        }
    };
    let revoked = async {
        tls.revoked(&serial).await;
        tokio::time::sleep(LAST_WORDS).await;
    };
    tokio::select! {
        why = cut => why,
        () = revoked => Ended::Revoked,
        () = tokio::time::sleep(left) => Ended::RanOut,
    }
}

/// Shows the name and the first bytes of the serial number.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let serial = hex(&self.serial[..self.serial.len().min(4)]);
        write!(f, "{} (certificate {serial}..)", self.identity.short())
    }
}

impl fmt::Debug for PeerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerStream({:?})", self.peer)
    }
}

impl Connected for PeerStream {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for PeerStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.go_on(cx)?;
        let read = Pin::new(&mut self.io).poll_read(cx, buf);
        read.map_err(|error| self.explain(&error))
    }
}

impl AsyncWrite for PeerStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.go_on(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.go_on(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.go_on(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
