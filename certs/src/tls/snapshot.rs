//! One consistent set of certificate, key, CA and revocation list, checked and ready for handshakes.

use std::{collections::HashSet, path::PathBuf, sync::Arc, time::Duration};

use rustls::{
    CertificateError as Reason, ClientConfig, Error, RootCertStore, ServerConfig,
    client::{Resumption, WebPkiServerVerifier},
    crypto::{CryptoProvider, ring},
    pki_types::UnixTime,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
    version::TLS13,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use super::{
    ALPN_H2, ALPN_REVERSE,
    lists::{Lists, Numbers},
};
use crate::{
    certificate::{Certificate, CertificateError, utc},
    files::{FilesError, IdentityFiles, Material},
    verify::{Callers, Servers, date},
};

pub(crate) struct Snapshot {
    /// Takes connections of both kinds.
    pub(crate) server: Arc<ServerConfig>,
    /// Dials, to call.
    pub(crate) client: Arc<ClientConfig>,
    /// Dials, to be called.
    pub(crate) client_reverse: Arc<ClientConfig>,
    pub(crate) me: Certificate,
    pub(super) revoked: HashSet<Vec<u8>>,
    pub(super) crl_until: OffsetDateTime,
    numbers: Numbers,
    material: Material,
}

/// The files do not make an identity that works. What was in use before still is.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing, exposed, or of the wrong kind.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// Our own certificate is not a member's.
    #[error("the certificate {path} is not a member's")]
    Certificate {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: CertificateError,
    },
    /// Our own certificate ran out.
    #[error("the certificate {path} expired on {on}: have it renewed (`causeway-certs renew`)")]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        on: String,
    },
    /// Our own certificate is from the future, or our clock is from the past.
    #[error("the certificate {path} holds from {from} only: check this machine's clock")]
    NotYet {
        /// The file.
        path: PathBuf,
        /// When it begins.
        from: String,
    },
    /// Our own certificate is on the revocation list.
    #[error("the certificate {path} was revoked: have one issued for a new key")]
    Revoked {
        /// The file.
        path: PathBuf,
    },
    /// Our own certificate is not one that our peers would believe.
    #[error("the certificate {path} is not signed by the CA in {ca}")]
    OtherCa {
        /// The certificate.
        path: PathBuf,
        /// The CA's file.
        ca: PathBuf,
    },
    /// Certificate and key are not a pair.
    #[error(
        "the key {key} does not belong to the certificate {path}: one of them was replaced alone"
    )]
    NotAPair {
        /// The certificate.
        path: PathBuf,
        /// The key.
        key: PathBuf,
    },
    /// A CA in the bundle has no revocation list of its own.
    #[error("the revocation list {path} is not by the CA in {ca}: fetch both from the CA again")]
    ForeignCrl {
        /// The list.
        path: PathBuf,
        /// The CA's file.
        ca: PathBuf,
    },
    /// The revocation list is older than one that was in use.
    #[error(
        "the revocation list {path} is number {number} and number {before} was in use: fetch the \
         newest from the CA, which has to count on from there if it was restored from a copy"
    )]
    OlderCrl {
        /// The list.
        path: PathBuf,
        /// Its number.
        number: String,
        /// The number it should have at least.
        before: String,
    },
    /// The revocation list ran out, and every handshake would fail.
    #[error("the revocation list {path} ran out on {on}: fetch a new one from the CA")]
    StaleCrl {
        /// The list.
        path: PathBuf,
        /// When.
        on: String,
    },
    /// The certificate on disk is somebody else's now.
    #[error(
        "the certificate {path} is {new} and this process runs as {old}: restart it if that is meant"
    )]
    SomebodyElse {
        /// The file.
        path: PathBuf,
        /// Who it is now.
        new: String,
        /// Who we are.
        old: String,
    },
    /// The CA's certificate or list is nothing that rustls can use.
    #[error("the CA certificate {ca} or the revocation list {crl} is damaged")]
    Damaged {
        /// The CA's file.
        ca: PathBuf,
        /// The list.
        crl: PathBuf,
    },
    /// Anything else that the TLS library holds against the files.
    #[error("could not set up TLS with the certificate {path}")]
    Tls {
        /// The certificate.
        path: PathBuf,
        /// Why not.
        source: Error,
    },
}

impl Snapshot {
    /// Loads the files of a process that begins.
    pub(super) fn first(files: &IdentityFiles, now: OffsetDateTime) -> Result<Self, TlsError> {
        let (first, verdict) = Self::build(files, files.load()?, &Numbers::new(), now)?;
        verdict.map(|()| first)
    }

    /// Loads the files again, to take the place of this one.
    pub(super) fn next(
        &self,
        files: &IdentityFiles,
        now: OffsetDateTime,
    ) -> Result<Self, TlsError> {
        let (next, verdict) = Self::build(files, files.load()?, &self.numbers, now)?;
        let (new, old) = (&next.me.identity, &self.me.identity);
        if new != old {
            let (new, old) = (new.to_string(), old.to_string());
            return Err(TlsError::SomebodyElse { path: files.certificate.clone(), new, old });
        }
        verdict.map(|()| next)
    }

    /// Loads the revocation list alone, and returns this one with it if it is another and good.
    ///
    /// What is wrong with the list is said by [`next`](Self::next), once nothing else is.
    pub(super) fn relisted(&self, files: &IdentityFiles, now: OffsetDateTime) -> Option<Self> {
        let crls = files.load_crls().ok().filter(|crls| *crls != self.material.crls)?;
        let Material { chain, key, cas, crls: _ } = &self.material;
        let (chain, key, cas) = (chain.clone(), Zeroizing::new(key.clone_key()), cas.clone());
        let built = Self::build(files, Material { chain, key, cas, crls }, &self.numbers, now);
        // Our own certificate may have run out or be on the list. Others are on it too.
        built.ok().map(|(next, _)| next)
    }

    /// Builds what handshakes need, and says whether it would do at `now`: our own certificate may
    /// have run out, or be on the list itself.
    fn build(
        files: &IdentityFiles,
        material: Material,
        in_use: &Numbers,
        now: OffsetDateTime,
    ) -> Result<(Self, Result<(), TlsError>), TlsError> {
        let path = || files.certificate.clone();
        let refused = |error| explain_own(files, error);
        let unusable = || unusable(files);
        let (first, rest) = material.chain.split_first().ok_or_else(unusable)?;
        let me = Certificate::from_der(first)
            .map_err(|source| TlsError::Certificate { path: path(), source })?;
        let Lists { ders, revoked, until, numbers } = Lists::read(files, &material, in_use)?;
        if until < now {
            return Err(TlsError::StaleCrl { path: files.crl.clone(), on: utc(until) });
        }

        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for ca in &material.cas {
            roots.add(ca.clone()).map_err(|_| unusable())?;
        }
        let roots = Arc::new(roots);
        let callers = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .with_crls(ders.clone())
            .enforce_revocation_expiration()
            .build()
            .map_err(|_| unusable())?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .with_crls(ders)
            .enforce_revocation_expiration()
            .build()
            .map_err(|_| unusable())?;
        // Would we believe ourselves? Then so do our peers, unless their files differ.
        let verdict = callers.verify_client_cert(first, rest, unix_time(now));
        let verdict = verdict.map(|_| ()).map_err(refused);

        let callers = Arc::new(Callers { inner: callers, me: me.identity.clone() });
        let servers = Arc::new(Servers { inner: servers, me: me.identity.clone() });
        let client = |alpn| client(&material, &provider, &servers, alpn).map_err(refused);
        let snapshot = Self {
            server: server(&material, &provider, callers).map_err(refused)?,
            client: client(ALPN_H2)?,
            client_reverse: client(ALPN_REVERSE)?,
            me,
            revoked,
            crl_until: until,
            numbers,
            material,
        };
        Ok((snapshot, verdict))
    }
}

fn server(
    material: &Material,
    provider: &Arc<CryptoProvider>,
    callers: Arc<Callers>,
) -> Result<Arc<ServerConfig>, Error> {
    let mut config = ServerConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(callers)
        .with_single_cert(material.chain.clone(), material.key.clone_key())?;
    config.alpn_protocols = vec![ALPN_H2.to_vec(), ALPN_REVERSE.to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Arc::new(config))
}

fn client(
    material: &Material,
    provider: &Arc<CryptoProvider>,
    servers: &Arc<Servers>,
    alpn: &[u8],
) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&TLS13])?
        // "Dangerous" is any verifier but rustls' own. Ours only adds to it.
        .dangerous()
        .with_custom_certificate_verifier(servers.clone())
        .with_client_auth_cert(material.chain.clone(), material.key.clone_key())?;
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

pub(super) fn unusable(files: &IdentityFiles) -> TlsError {
    TlsError::Damaged { ca: files.ca.clone(), crl: files.crl.clone() }
}

/// Turns what rustls holds against our own certificate into what to do about it.
fn explain_own(files: &IdentityFiles, error: Error) -> TlsError {
    let path = files.certificate.clone();
    match error {
        Error::InconsistentKeys(_) => TlsError::NotAPair { path, key: files.key.clone() },
        Error::InvalidCertificate(Reason::ExpiredContext { not_after, .. }) => {
            TlsError::Expired { path, on: date(not_after) }
        }
        Error::InvalidCertificate(Reason::NotValidYetContext { not_before, .. }) => {
            TlsError::NotYet { path, from: date(not_before) }
        }
        Error::InvalidCertificate(Reason::Revoked) => TlsError::Revoked { path },
        Error::InvalidCertificate(
            Reason::UnknownIssuer | Reason::BadSignature | Reason::UnknownRevocationStatus,
        ) => TlsError::OtherCa { path, ca: files.ca.clone() },
        source => TlsError::Tls { path, source },
    }
}

fn unix_time(at: OffsetDateTime) -> UnixTime {
    let seconds = u64::try_from(at.unix_timestamp()).unwrap_or(0);
    UnixTime::since_unix_epoch(Duration::from_secs(seconds))
}
