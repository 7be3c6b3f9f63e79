//! Somebody who listens inside the TLS, between the coordinator and one node.
//!
//! Holds both sides' keys, as no attacker does, so that a test can read what an honest coordinator
//! and an honest node tell each other: every byte as it comes out of the TLS, and every call taken
//! out of the HTTP/2, headers in plain text.

use std::{
    fmt::Write as _,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context as TaskContext, Poll, ready},
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use causeway_certs::{files::IdentityFiles, name::Identity};
use http::{HeaderMap, Request, Response};
use http_body_util::combinators::BoxBody;
use hyper::{
    body::{Body, Frame, Incoming, SizeHint},
    client, server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A listener on one line. Stops when it is dropped.
pub struct Wiretap {
    address: SocketAddr,
    heard: Shared,
    // Its tasks end with it.
    _runtime: Runtime,
}

/// What came over the line.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Every byte that the coordinator sent, as it came out of the TLS.
    pub from_coordinator: Vec<u8>,
    /// Every byte that the node sent.
    pub from_node: Vec<u8>,
    /// The same as calls, in the order in which they began.
    pub calls: Vec<Call>,
}

/// One call.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// Service and method, such as `/causeway.v1.SweepService/OpenSweep`.
    pub path: String,
    /// Every header and trailer of both sides, a line each.
    pub headers: String,
    /// What the coordinator sent: gRPC frames.
    pub asked: Vec<u8>,
    /// What the node sent: gRPC frames.
    pub answered: Vec<u8>,
}

type Shared = Arc<Mutex<Heard>>;

/// Which way a body goes.
#[derive(Clone, Copy)]
enum Way {
    Asked,
    Answered,
}

impl Wiretap {
    /// Listens in front of the node `node` at `address`, whose identity it shows to the coordinator,
    /// and shows the coordinator's to the node.
    pub fn between(
        coordinator: &IdentityFiles,
        node: (&IdentityFiles, &Identity),
        address: String,
    ) -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let acceptor = TlsAcceptor::from(Arc::new(as_server(node.0)?));
        let connector = TlsConnector::from(Arc::new(as_client(coordinator)?));
        let name = ServerName::try_from(node.1.dns_name())?;
        let heard = Shared::default();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let line = Line { connector, name, address, heard: heard.clone() };
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, line) = (acceptor.clone(), line.clone());
                // A line that breaks is the two sides' to notice.
                tokio::spawn(async move { line.join(acceptor, tcp).await });
            }
        });
        Ok(Self { address, heard, _runtime: runtime })
    }

    /// Returns where the coordinator should dial.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns what came over the line since the last time, and forgets it.
    pub fn take(&self) -> Heard {
        std::mem::take(&mut lock(&self.heard))
    }
}

impl Heard {
    /// Returns the calls of one method.
    pub fn of(&self, method: &str) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.path.rsplit('/').next() == Some(method))
    }
}

impl Call {
    /// Reads the messages of a body.
    ///
    /// # Errors
    /// Fails when one of them is compressed or cut off: then it was not read.
    pub fn messages<M: prost::Message + Default>(mut body: &[u8]) -> anyhow::Result<Vec<M>> {
        let mut messages = Vec::new();
        while let Some((head, rest)) = body.split_at_checked(5) {
            ensure!(head[0] == 0, "a compressed message cannot be searched");
            let length = u32::from_be_bytes(head[1..].try_into()?) as usize;
            let (message, rest) = rest.split_at_checked(length).context("a message is cut off")?;
            messages.push(M::decode(message)?);
            body = rest;
        }
        ensure!(body.is_empty(), "a message is cut off");
        Ok(messages)
    }
}

/// What stands between one node and its coordinator.
#[derive(Clone)]
struct Line {
    connector: TlsConnector,
    name: ServerName<'static>,
    address: String,
    heard: Shared,
}

impl Line {
    async fn join(self, acceptor: TlsAcceptor, tcp: TcpStream) -> anyhow::Result<()> {
        let near = acceptor.accept(tcp).await?;
        let far = TcpStream::connect(&self.address).await?;
        let far = self.connector.connect(self.name, far).await?;
        let keep = |keep: fn(&mut Heard) -> &mut Vec<u8>| (self.heard.clone(), keep);
        let near = Listening { io: near, keep: keep(|heard| &mut heard.from_coordinator) };
        let far = Listening { io: far, keep: keep(|heard| &mut heard.from_node) };

        let executor = TokioExecutor::new();
        let (sender, connection) =
            client::conn::http2::handshake(executor.clone(), TokioIo::new(far)).await?;
        tokio::spawn(connection);
        let heard = self.heard;
        let pass_on = service_fn(move |request| pass_on(request, sender.clone(), heard.clone()));
        server::conn::http2::Builder::new(executor)
            .serve_connection(TokioIo::new(near), pass_on)
            .await?;
        Ok(())
    }
}

type Sender = client::conn::http2::SendRequest<BoxBody<Bytes, hyper::Error>>;

async fn pass_on(
    request: Request<Incoming>,
    mut sender: Sender,
    heard: Shared,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> {
    let call = {
        let mut heard = lock(&heard);
        let path = request.uri().path().to_owned();
        heard.calls.push(Call { path, ..Call::default() });
        heard.calls.len() - 1
    };
    note(&heard, call, request.headers());
    let body = |body, way| BoxBody::new(Copied { body, way, call, heard: heard.clone() });
    let request = request.map(|asked| body(asked, Way::Asked));
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    note(&heard, call, response.headers());
    Ok(response.map(|answered| body(answered, Way::Answered)))
}

fn note(heard: &Shared, call: usize, headers: &HeaderMap) {
    // Forgotten in the middle of a call: nobody asks for it any more.
    let mut heard = lock(heard);
    let Some(call) = heard.calls.get_mut(call) else { return };
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        writeln!(call.headers, "{name}: {value}").expect("writing to a text cannot fail");
    }
}

fn lock(heard: &Shared) -> MutexGuard<'_, Heard> {
    heard.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A body that is copied while it goes by.
struct Copied {
    body: Incoming,
    way: Way,
    call: usize,
    heard: Shared,
}

impl Body for Copied {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            if let Some(trailers) = frame.trailers_ref() {
                note(&self.heard, self.call, trailers);
            }
            if let Some(data) = frame.data_ref()
                && let Some(call) = lock(&self.heard).calls.get_mut(self.call)
            {
                match self.way {
                    Way::Asked => call.asked.extend_from_slice(data),
                    Way::Answered => call.answered.extend_from_slice(data),
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection of which everything that is read is kept.
struct Listening<S> {
    io: S,
    keep: (Shared, fn(&mut Heard) -> &mut Vec<u8>),
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let (heard, keep) = &self.keep;
        keep(&mut lock(heard)).extend_from_slice(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut TaskContext<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut TaskContext<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

// === TLS ===

type Chain = Vec<CertificateDer<'static>>;

fn material(
    files: &IdentityFiles,
) -> anyhow::Result<(Chain, PrivateKeyDer<'static>, RootCertStore)> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<_, _>>()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca)?)?;
    Ok((chain, PrivateKeyDer::from_pem_file(&files.key)?, roots))
}

fn as_server(node: &IdentityFiles) -> anyhow::Result<ServerConfig> {
    let (chain, key, roots) = material(node)?;
    let provider = Arc::new(ring::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider.clone());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(clients.build()?)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}

fn as_client(coordinator: &IdentityFiles) -> anyhow::Result<ClientConfig> {
    let (chain, key, roots) = material(coordinator)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
