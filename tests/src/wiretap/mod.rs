//! Somebody who listens inside the TLS, between the coordinator and one node.
//!
//! Holds both sides' keys, as no attacker does, so that a test can read what an honest coordinator
//! and an honest node tell each other: every byte as it comes out of the TLS, and every call taken
//! out of the HTTP/2, headers in plain text. It can also meddle with a call, so that a process can be
//! killed at a moment that would otherwise be a matter of luck.

mod copy;
mod tls;

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use causeway_certs::{files::IdentityFiles, name::Identity};
use futures::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Empty, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    client, server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use self::{
    copy::{Copied, Listening},
    tls::{as_client, as_server},
};

/// A listener on one line. Stops when it is dropped.
pub struct Wiretap {
    address: SocketAddr,
    heard: Shared,
    line: Arc<Mutex<Conduct>>,
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
    /// How many calls were taken before these.
    taken: usize,
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

/// What to do to a call.
#[derive(Clone, Copy, Debug)]
pub enum Meddling {
    /// It never reaches the node, and fails as if nobody were there.
    Refuse,
    /// The same, and then nobody meddles any more.
    RefuseOnce,
    /// The node does what it is asked, and its answer never arrives.
    HoldAnswer,
    /// So many bytes of the answer arrive, and then nothing more.
    CutAnswer(usize),
    /// Something else arrives, as from a hostile node: what is made of the node's answer.
    Instead(fn(Vec<u8>) -> Served),
}

/// What arrives instead of an answer.
#[derive(Clone, Debug, Default)]
pub struct Served {
    /// The body, in pieces.
    pub pieces: Vec<Vec<u8>>,
    /// How long to wait before each of them.
    pub pause: Duration,
    /// Whether to begin again at the end, for ever.
    pub endless: bool,
}

/// Where the line leads, and what it does on the way.
struct Conduct {
    address: String,
    meddling: Option<(&'static str, Meddling)>,
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
        let conduct = Arc::new(Mutex::new(Conduct { address, meddling: None }));
        let line = Line { connector, name, conduct: conduct.clone(), heard: heard.clone() };
        let address = listener.local_addr()?;
        runtime.spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, line) = (acceptor.clone(), line.clone());
                // A line that breaks is the two sides' to notice.
                tokio::spawn(async move { line.join(acceptor, tcp).await });
            }
        });
        Ok(Self { address, heard, line: conduct, _runtime: runtime })
    }

    /// Meddles with the calls of one method from now on, or with none.
    pub fn meddle(&self, with: Option<(&'static str, Meddling)>) {
        lock(&self.line).meddling = with;
    }

    /// Returns whether calls are meddled with.
    pub fn meddles(&self) -> bool {
        lock(&self.line).meddling.is_some()
    }

    /// Leads new connections to the node where it answers now.
    pub fn lead_to(&self, address: String) {
        lock(&self.line).address = address;
    }

    /// Returns where the coordinator should dial.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Returns what came over the line since the last time, and forgets it. What is still to come of a
    /// call that was taken is lost.
    pub fn take(&self) -> Heard {
        let mut heard = lock(&self.heard);
        let taken = heard.taken + heard.calls.len();
        std::mem::replace(&mut heard, Heard { taken, ..Heard::default() })
    }

    /// Looks at what came over the line so far.
    pub fn look<T>(&self, at: impl FnOnce(&Heard) -> T) -> T {
        at(&lock(&self.heard))
    }
}

impl Heard {
    /// Returns the calls of one method.
    pub fn of(&self, method: &str) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.path.rsplit('/').next() == Some(method))
    }

    /// A call by its number, unless it was taken.
    fn call(&mut self, number: usize) -> Option<&mut Call> {
        self.calls.get_mut(number.checked_sub(self.taken)?)
    }
}

impl Call {
    /// Writes messages as a body.
    pub fn body<M: prost::Message>(messages: &[M]) -> Vec<u8> {
        let mut body = Vec::new();
        for message in messages {
            let message = message.encode_to_vec();
            let length = u32::try_from(message.len()).expect("a message is small");
            body.push(0);
            body.extend(length.to_be_bytes());
            body.extend(message);
        }
        body
    }

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
    conduct: Arc<Mutex<Conduct>>,
    heard: Shared,
}

impl Line {
    async fn join(self, acceptor: TlsAcceptor, tcp: TcpStream) -> anyhow::Result<()> {
        let address = lock(&self.conduct).address.clone();
        let far = TcpStream::connect(address).await?;
        let far = self.connector.clone().connect(self.name.clone(), far).await?;
        let near = acceptor.accept(tcp).await?;
        let keep = |keep: fn(&mut Heard) -> &mut Vec<u8>| (self.heard.clone(), keep);
        let near = Listening { io: near, keep: keep(|heard| &mut heard.from_coordinator) };
        let far = Listening { io: far, keep: keep(|heard| &mut heard.from_node) };

        let executor = TokioExecutor::new();
        let (sender, connection) =
            client::conn::http2::handshake(executor.clone(), TokioIo::new(far)).await?;
        let pass_on = service_fn(move |request| self.clone().pass_on(request, sender.clone()));
        let server = server::conn::http2::Builder::new(executor);
        // When one side's connection ends, the other's does: neither can tell that we are here.
        tokio::select! {
            ended = server.serve_connection(TokioIo::new(near), pass_on) => ended?,
            ended = connection => ended?,
        }
        Ok(())
    }

    async fn pass_on(
        self,
        request: Request<Incoming>,
        mut sender: Sender,
    ) -> Result<Response<Answer>, hyper::Error> {
        let path = request.uri().path().to_owned();
        let method = path.rsplit('/').next().unwrap_or_default();
        let meddling = {
            let mut conduct = lock(&self.conduct);
            let meddling = conduct.meddling.filter(|(with, _)| *with == method);
            let meddling = meddling.map(|(_, meddling)| meddling);
            if matches!(meddling, Some(Meddling::RefuseOnce)) {
                conduct.meddling = None;
            }
            meddling
        };
        if matches!(meddling, Some(Meddling::Refuse | Meddling::RefuseOnce)) {
            return Ok(nobody_there());
        }
        let heard = self.heard;
        let call = {
            let mut heard = lock(&heard);
            heard.calls.push(Call { path, ..Call::default() });
            heard.taken + heard.calls.len() - 1
        };
        note(&heard, call, request.headers());
        let copied = |body, way, left| Copied { body, way, left, call, heard: heard.clone() };
        let request = request.map(|asked| BoxBody::new(copied(asked, Way::Asked, None)));
        sender.ready().await?;
        let response = sender.send_request(request).await?;
        note(&heard, call, response.headers());
        let left = match meddling {
            Some(Meddling::CutAnswer(left)) => Some(left),
            _ => None,
        };
        let response = response.map(|answered| copied(answered, Way::Answered, left));
        match meddling {
            // Read to the end, so that the node has done everything it will do.
            Some(Meddling::HoldAnswer) => {
                response.into_body().collect().await?;
                std::future::pending().await
            }
            Some(Meddling::Instead(make)) => {
                let (parts, body) = response.into_parts();
                let honest = body.collect().await?.to_bytes();
                Ok(Response::from_parts(parts, make(honest.to_vec()).body()))
            }
            _ => Ok(response.map(BoxBody::new)),
        }
    }
}

impl Served {
    /// Serves the pieces, and says that all is well.
    fn body(self) -> Answer {
        let Self { pieces, pause, endless } = self;
        let pieces: Vec<Bytes> = pieces.into_iter().map(Bytes::from).collect();
        let rounds = if endless { usize::MAX } else { 1 };
        let count = pieces.len();
        let places = (0..rounds).flat_map(move |_| 0..count).map(move |at| pieces[at].clone());
        let data = stream::iter(places).then(move |piece| async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            Ok(Frame::data(piece))
        });
        let trailers = HeaderMap::from_iter([(
            HeaderName::from_static("grpc-status"),
            HeaderValue::from_static("0"),
        )]);
        let end = stream::iter([Ok(Frame::trailers(trailers))]);
        BoxBody::new(StreamBody::new(data.chain(end)))
    }
}

type Answer = BoxBody<Bytes, hyper::Error>;
type Sender = client::conn::http2::SendRequest<Answer>;

/// What gRPC answers where nobody is there.
fn nobody_there() -> Response<Answer> {
    let nothing = Empty::new().map_err(|never| match never {});
    let mut response = Response::new(BoxBody::new(nothing));
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", HeaderValue::from_static("14"));
    response
}

fn note(heard: &Shared, call: usize, headers: &HeaderMap) {
    let mut heard = lock(heard);
    let Some(call) = heard.call(call) else { return };
    for (name, value) in headers {
        let value = String::from_utf8_lossy(value.as_bytes());
        writeln!(call.headers, "{name}: {value}").expect("writing to a text cannot fail");
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
