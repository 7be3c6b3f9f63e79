//! Both sides' keys, each used towards the other side.

use std::sync::Arc;

use causeway_certs::files::IdentityFiles;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

type Chain = Vec<CertificateDer<'static>>;

fn material(
    files: &IdentityFiles,
) -> anyhow::Result<(Chain, PrivateKeyDer<'static>, RootCertStore)> {
    let chain = CertificateDer::pem_file_iter(&files.certificate)?.collect::<Result<_, _>>()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&files.ca)?)?;
    Ok((chain, PrivateKeyDer::from_pem_file(&files.key)?, roots))
}

pub(super) fn as_server(node: &IdentityFiles) -> anyhow::Result<ServerConfig> {
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

pub(super) fn as_client(coordinator: &IdentityFiles) -> anyhow::Result<ClientConfig> {
    let (chain, key, roots) = material(coordinator)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(config)
}
