//! A deployment to break: a CA, files for its members, and nodes that serve.

use std::{
    fmt::Debug,
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use causeway_certs::{
    accept::{self, Incoming},
    admit::AdmitLayer,
    ca::Ca,
    dial::{self, connect_problem},
    files::{IdentityFiles, write_public},
    name::Identity,
    reverse::Registry,
    stream::{Peer, PeerStream},
    tls::TlsState,
};
use causeway_proto::{
    ids::AgencyId,
    pb::{
        StreamTokensRequest, StreamTokensResponse,
        token_service_client::TokenServiceClient,
        token_service_server::{TokenService, TokenServiceServer},
    },
};
use futures::{Stream, StreamExt, stream::BoxStream};
use tempfile::TempDir;
use time::OffsetDateTime;
use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc},
};
use tokio_stream::wrappers::{BroadcastStream, ReceiverStream};
use tonic::{Request, Response, Status, Streaming, transport::Channel};

/// Long enough for a busy machine, and short enough to notice that it hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn now() -> OffsetDateTime {
    OffsetDateTime::now_utc()
}

pub(crate) fn id(text: &str) -> AgencyId {
    text.parse().unwrap()
}

pub(crate) fn identity(short: &str) -> Identity {
    format!("spiffe://town.causeway/{short}").parse().unwrap()
}

/// Waits for a fact.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < PATIENCE, "gave up waiting until {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A CA and a folder with each member's files.
pub(crate) struct Town {
    pub(crate) folder: TempDir,
    pub(crate) ca: Ca,
}

impl Town {
    pub(crate) fn new() -> Self {
        Self::founded(now())
    }

    /// Founds a town at another time. Its first revocation list holds for a year.
    pub(crate) fn founded(at: OffsetDateTime) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::init(folder.path().join("ca"), &id("town"), at).unwrap();
        ca.crl(365, at).unwrap();
        Self { folder, ca }
    }

    /// Issues a certificate to a member, replacing the one it has.
    pub(crate) fn issue(&self, short: &str) -> IdentityFiles {
        self.issue_at(short, now())
    }

    pub(crate) fn issue_at(&self, short: &str, at: OffsetDateTime) -> IdentityFiles {
        let folder = self.folder.path().join(short.replace('/', "-"));
        std::fs::create_dir_all(&folder).unwrap();
        let files = IdentityFiles::in_folder(folder);
        self.ca.issue_to(&files, &identity(short), &[], 7, at).unwrap();
        files
    }

    /// Issues a certificate and loads it.
    pub(crate) fn member(&self, short: &str) -> TlsState {
        TlsState::load(&self.issue(short), now()).unwrap()
    }

    /// Revokes the certificate that a member uses, and returns the list that says so.
    pub(crate) fn revoke(&self, member: &TlsState) -> String {
        self.ca.revoke(&member.certificate().serial, now()).unwrap();
        self.ca.crl(7, now()).unwrap().pem
    }

    /// Gives a running member a new revocation list.
    pub(crate) fn tell(&self, member: &TlsState, crl: &str) {
        let short = member.identity().short().replace('/', "-");
        let files = IdentityFiles::in_folder(self.folder.path().join(short));
        write_public(&files.crl, crl.as_bytes()).unwrap();
        member.reload(&files, now()).unwrap();
    }
}

/// A node that serves one service, and tells callers who it thinks they are.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) tls: TlsState,
    /// Each number sent here goes to every stream that is open.
    pub(crate) rows: broadcast::Sender<u64>,
}

#[tonic::async_trait]
impl TokenService for Node {
    type StreamTokensStream = BoxStream<'static, Result<StreamTokensResponse, Status>>;

    async fn stream_tokens(
        &self,
        request: Request<StreamTokensRequest>,
    ) -> Result<Response<Self::StreamTokensStream>, Status> {
        let peer: Peer = request.extensions().get().cloned().expect("admitted without a peer");
        let rows = BroadcastStream::new(self.rows.subscribe()).map(|position| {
            let position = position.map_err(|_| Status::data_loss("too slow"))?;
            Ok(StreamTokensResponse { position, ..Default::default() })
        });
        let mut response = Response::new(rows.boxed());
        let described = peer.identity.short().parse().unwrap();
        response.metadata_mut().insert("caller", described);
        Ok(response)
    }
}

impl Node {
    pub(crate) fn new(tls: TlsState) -> Self {
        Self { tls, rows: broadcast::Sender::new(64) }
    }

    /// Serves what comes in, admitting `coordinator/main` and the operator `duty-desk`.
    pub(crate) fn serve(
        &self,
        incoming: impl Stream<Item = io::Result<PeerStream>> + Send + 'static,
    ) {
        let (tls, me) = (self.tls.clone(), self.tls.identity());
        let rules = AdmitLayer::for_node(tls, me, id("main"), vec![id("duty-desk")], false);
        let (_, health) = tonic_health::server::health_reporter();
        let server = accept::server()
            .layer(rules)
            .add_service(health)
            .add_service(TokenServiceServer::new(self.clone()))
            .serve_with_incoming(incoming);
        tokio::spawn(server);
    }

    /// Listens, and returns where.
    pub(crate) async fn listen(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        self.serve(accept::serve_incoming(listener, self.tls.clone(), None));
        address
    }

    /// Serves what is sent here.
    pub(crate) fn answer(&self) -> Incoming {
        let (out, incoming) = mpsc::channel(4);
        self.serve(ReceiverStream::new(incoming));
        out
    }
}

/// Listens as a coordinator that only keeps nodes' connections.
pub(crate) async fn keep(tls: &TlsState, registry: &Arc<Registry>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut calls = accept::serve_incoming(listener, tls.clone(), Some(registry.clone()));
    tokio::spawn(async move { while calls.next().await.is_some() {} });
    address
}

/// Starts a stream, so that the connection is made and the caller is judged.
pub(crate) async fn stream(channel: Channel) -> Result<Streaming<StreamTokensResponse>, Status> {
    called(channel).await.map(|(_, stream)| stream)
}

/// Starts a stream and returns who the node says called.
pub(crate) async fn called(
    channel: Channel,
) -> Result<(String, Streaming<StreamTokensResponse>), Status> {
    let mut client = TokenServiceClient::new(channel);
    let call = client.stream_tokens(StreamTokensRequest::default());
    let response = tokio::time::timeout(PATIENCE, call).await.expect("the call hangs")?;
    let caller = response.metadata().get("caller").unwrap().to_str().unwrap().to_owned();
    Ok((caller, response.into_inner()))
}

/// Waits until a stream ends, and returns what ended it.
pub(crate) async fn end_of(rows: &mut Streaming<StreamTokensResponse>) -> Status {
    let next = tokio::time::timeout(PATIENCE, rows.message());
    next.await.expect("the stream goes on").expect_err("the stream should break")
}

pub(crate) fn channel(tls: &TlsState, address: SocketAddr, peer: &str) -> Channel {
    dial::channel(tls, address.to_string(), identity(peer))
}

/// Returns in words why a call did not come about.
pub(crate) fn problem<T: Debug>(outcome: Result<T, Status>) -> String {
    connect_problem(&outcome.map(|answer| format!("{answer:?}")).unwrap_err())
}
