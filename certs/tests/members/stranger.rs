//! Clients and servers that do not follow the rules.

use std::{net::SocketAddr, sync::Arc};

use causeway_certs::files::IdentityFiles;
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject},
};
use time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::town::{Town, identity, now};

/// A certificate to show, and its key.
pub(crate) struct Shown {
    certificate: CertificateDer<'static>,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Shown {
    pub(crate) fn from_files(files: &IdentityFiles) -> Self {
        Self {
            certificate: CertificateDer::from_pem_file(&files.certificate).unwrap(),
            key: PrivatePkcs8KeyDer::from_pem_file(&files.key).unwrap(),
        }
    }

    /// Signs what our CA never would, with its key.
    pub(crate) fn forged(town: &Town, names: &[&str]) -> Self {
        Self::forged_for(town, names, "forged.example")
    }

    pub(crate) fn forged_for(town: &Town, names: &[&str], dns_name: &str) -> Self {
        let ca_key = std::fs::read_to_string(town.folder.path().join("ca/ca.key")).unwrap();
        let ca_key = KeyPair::from_pem(&ca_key).unwrap();
        let issuer = Issuer::from_ca_cert_pem(town.ca.pem(), ca_key).unwrap();
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            names.iter().map(|&name| SanType::URI(name.try_into().unwrap())).collect();
        params.subject_alt_names.push(SanType::DnsName(dns_name.try_into().unwrap()));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.not_before = now() - Duration::hours(1);
        params.not_after = now() + Duration::hours(1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap().der().clone();
        Self { certificate, key: key.serialize_der().into() }
    }
}

/// What came of shaking hands.
pub(crate) struct Met {
    pub(crate) answer: String,
    pub(crate) kind: Option<HandshakeKind>,
    pub(crate) from: SocketAddr,
}

/// A TLS client that checks nothing but the chain.
pub(crate) struct Client(Arc<ClientConfig>);

impl Client {
    pub(crate) fn new(town: &Town, shown: Option<Shown>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(town.ca.pem().as_bytes()).unwrap()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match shown {
            Some(Shown { certificate, key }) => {
                config.with_client_auth_cert(vec![certificate], key.into()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Self(Arc::new(config))
    }

    /// Shakes hands with the node `housing` and returns what came of it. Under TLS 1.3 the
    /// verdict is the first thing to read.
    pub(crate) async fn meet(&self, address: SocketAddr) -> Met {
        self.meet_from("127.0.0.1", address).await
    }

    /// Shakes hands from another address of this machine.
    pub(crate) async fn meet_from(&self, ip: &str, address: SocketAddr) -> Met {
        let name = ServerName::try_from(identity("node/housing").dns_name()).unwrap();
        let tcp = connect_from(ip, address).await;
        let from = tcp.local_addr().unwrap();
        let mut io = TlsConnector::from(self.0.clone()).connect(name, tcp).await.unwrap();
        let answer = match io.read(&mut [0; 64]).await {
            Ok(0) => "closed".to_owned(),
            Ok(_) => "let in".to_owned(),
            Err(error) => error.to_string(),
        };
        Met { answer, kind: io.get_ref().1.handshake_kind(), from }
    }
}

/// Connects from one of the addresses of this machine.
pub(crate) async fn connect_from(ip: &str, address: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(ip.parse().unwrap(), 0)).unwrap();
    socket.connect(address).await.unwrap()
}

/// Meets the node once.
pub(crate) async fn meet(town: &Town, address: SocketAddr, shown: Option<Shown>) -> String {
    Client::new(town, shown).meet(address).await.answer
}

/// Listens with a certificate, lets anybody in, and says something.
pub(crate) async fn listen(Shown { certificate, key }: Shown) -> SocketAddr {
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (tcp, _) = listener.accept().await.unwrap();
        let mut io = TlsAcceptor::from(Arc::new(config)).accept(tcp).await.unwrap();
        io.write_all(b"anything").await.unwrap();
        let _ = io.read(&mut [0; 64]).await;
    });
    address
}
