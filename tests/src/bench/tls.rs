//! How fast this machine moves bytes through TLS, as a measure for how fast tokens could stream.

use std::{path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// How much is sent.
const BYTES: usize = 1 << 30;
/// How much at a time, as in a message of the token stream.
const CHUNK: usize = 256 << 10;

/// Sends a gibibyte through one TLS 1.3 connection on the loopback interface, with a town's node as
/// the server. Returns bytes per second.
///
/// # Errors
/// Fails when the identity cannot be read or the connection cannot be made.
pub(super) async fn raw_throughput(identity: &Path, dns_name: &str) -> anyhow::Result<f64> {
    let pem = |name: &str| identity.join(name);
    let chain = CertificateDer::pem_file_iter(pem("certificate.pem"))?.collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_file(pem("key.pem"))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(pem("ca.pem"))? {
        roots.add(certificate?)?;
    }
    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let sender = tokio::spawn(async move {
        let (tcp, _) = listener.accept().await?;
        let mut tls = TlsAcceptor::from(Arc::new(server)).accept(tcp).await?;
        let chunk = vec![7; CHUNK];
        for _ in 0..BYTES / CHUNK {
            tls.write_all(&chunk).await?;
        }
        tls.shutdown().await
    });
    let name = ServerName::try_from(dns_name.to_owned()).context("no server name")?;
    let tcp = TcpStream::connect(address).await?;
    let mut tls = TlsConnector::from(Arc::new(client)).connect(name, tcp).await?;
    let (mut buffer, mut read) = (vec![0; CHUNK], 0);
    let began = Instant::now();
    while read < BYTES {
        match tls.read(&mut buffer).await? {
            0 => break,
            n => read += n,
        }
    }
    let seconds = began.elapsed().as_secs_f64();
    sender.await??;
    Ok(read as f64 / seconds)
}
