//! The certificate authority of one deployment: a folder with a key, a certificate, a revocation
//! list and an index of what it did.
//!
//! It belongs to whoever governs the deployment and not to the coordinator's operator. Leaves are
//! short-lived (a week) and renewed on the same key, so that a key can be pinned for longer.
//!
//! There is no name constraint in the CA's certificate: rustls refuses every URI name under a URI
//! constraint, and a DNS constraint would rule out the extra names that members may ask for. What
//! keeps deployments apart is that each trusts its own CA only, and that both ends check the
//! deployment in every name. The path length is zero: a member cannot sign for another.

mod index;
mod sign;

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use causeway_proto::ids::AgencyId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
    PublicKeyData, RevokedCertParams, SanType, SerialNumber,
};
use ring::rand::{SecureRandom, SystemRandom};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::{Duration, OffsetDateTime};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use self::index::Index;
pub use self::{index::Entry, sign::new_key_and_csr};
use crate::{
    certificate::{Certificate, CertificateError, utc},
    files::{self, FilesError},
    name::Identity,
};

/// How many days a member's certificate holds unless told otherwise.
pub const CERTIFICATE_DAYS: u32 = 7;

/// How many days a revocation list holds unless told otherwise. Issue one daily all the same: a
/// list that ran out stops every new connection.
pub const CRL_DAYS: u32 = 7;

const CA_DAYS: i64 = 3650;

/// Two machines' clocks may be this far apart when a fresh certificate is first used.
const CLOCK_SKEW: Duration = Duration::minutes(5);

/// The certificate authority in one folder.
///
/// Every change takes the folder's lock and reads the index afresh, so several processes may work
/// in one folder.
pub struct Ca {
    folder: PathBuf,
    deployment: AgencyId,
    pem: String,
    der: CertificateDer<'static>,
    not_after: OffsetDateTime,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate that was just signed.
#[derive(Clone, Debug)]
pub struct Signed {
    /// The file to hand over.
    pub pem: String,
    /// What it says.
    pub certificate: Certificate,
}

/// A certificate that was just signed, and the key that was made for it.
pub struct Issued {
    /// The certificate.
    pub signed: Signed,
    /// The private key.
    pub key_pem: Zeroizing<String>,
}

/// A revocation list that was just signed.
#[derive(Clone, Debug)]
pub struct Crl {
    /// The file to hand over.
    pub pem: String,
    /// It goes up with every list.
    pub number: u64,
    /// When it has to have been replaced.
    pub next_update: OffsetDateTime,
    /// How many certificates are on it.
    pub revoked: usize,
}

/// The CA could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// A file is missing, exposed or not writable.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// One of the CA's own files could not be read.
    #[error("could not read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The folder holds no CA.
    #[error("there is no CA in {0}: make one with `causeway-certs ca init`")]
    NotHere(PathBuf),
    /// The folder holds a CA that cannot sign.
    #[error("the CA's key {0} is not there: put it back from where it is kept")]
    NoKey(PathBuf),
    /// The folder holds one already, and making another would orphan every certificate.
    #[error("there is a CA in {0} already: choose another folder")]
    Exists(PathBuf),
    /// The CA's certificate or key is not what this program wrote.
    #[error("the CA in {0} is damaged: ca.pem and ca.key should be a pair that `ca init` made")]
    Damaged(PathBuf),
    /// A line of the index makes no sense.
    #[error("{path} is damaged in line {line}: restore it from a copy")]
    Index {
        /// The index.
        path: PathBuf,
        /// Counted from one.
        line: usize,
    },
    /// The name belongs to another deployment.
    #[error("this CA signs for deployment `{ours}` and not for `{theirs}`")]
    OtherDeployment {
        /// The CA's.
        ours: AgencyId,
        /// The one asked for.
        theirs: AgencyId,
    },
    /// An additional name is no DNS name, or one that is reserved for identities.
    #[error("`{0}` cannot be an additional name: use a DNS name that does not end in .causeway")]
    DnsName(String),
    /// The dates asked for cannot be.
    #[error(
        "a certificate or list should hold for at least a day and end before the CA does ({0})"
    )]
    Days(String),
    /// The request is no request.
    #[error("the file should hold a certificate request in PEM form (BEGIN CERTIFICATE REQUEST)")]
    NotARequest,
    /// The request was changed, or made by somebody who does not hold the key.
    #[error("the request is not signed by the key in it: have it made again")]
    RequestSignature,
    /// Another kind of key.
    #[error("the key should be on the curve P-256")]
    KeyKind,
    /// The file is no certificate of a member.
    #[error("the file should hold a member's certificate")]
    Certificate(#[from] CertificateError),
    /// Another CA's certificate.
    #[error("this CA did not issue that certificate")]
    Foreign,
    /// A number that is not in the index.
    #[error("this CA issued no certificate with that serial number: `grep` its index for the name")]
    UnknownSerial,
    /// Renewing would undo the revocation.
    #[error("the certificate was revoked on {0} and cannot be renewed: issue one with a new key")]
    Revoked(String),
    /// Signing the key under another serial number would undo the revocation as well.
    #[error("a certificate for this key was revoked on {0}: have a new key made and signed")]
    RevokedKey(String),
    /// The library could not sign or encode.
    #[error("could not sign")]
    Sign(#[from] rcgen::Error),
    /// The system has no randomness to give.
    #[error("the system gave no random bytes")]
    Random,
}

// === impl Ca ===

impl Ca {
    /// Makes a CA in `folder`, with an empty revocation list.
    pub fn init(
        folder: impl AsRef<Path>,
        deployment: &AgencyId,
        now: OffsetDateTime,
    ) -> Result<Self, CaError> {
        let folder = folder.as_ref();
        fs::create_dir_all(folder)
            .map_err(|source| CaError::Unreadable { path: folder.to_owned(), source })?;
        let lock = Index::lock(folder)?;
        if ["ca.key", "ca.pem", "index"].iter().any(|name| folder.join(name).exists()) {
            return Err(CaError::Exists(folder.to_owned()));
        }

        let key = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?);
        let serial = random_serial()?;
        let mut params = CertificateParams::default();
        // Told apart by the end: revocation lists are matched to their CA by this name.
        let unique = u32::from_be_bytes(serial[12..].try_into().expect("4 of 16 bytes"));
        params.distinguished_name = common_name(&format!("Causeway {deployment} CA {unique:08x}"));
        params.subject_alt_names = vec![SanType::URI(trust_domain(deployment).try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from_slice(&serial));
        params.not_before = now - CLOCK_SKEW;
        params.not_after = now + Duration::days(CA_DAYS);
        let pem = params.self_signed(&*key)?.pem();

        files::write_secret(folder.join("ca.key"), key.serialize_pem().as_bytes())?;
        files::write_public(folder.join("ca.pem"), pem.as_bytes())?;
        Index::new().save(&folder.join("index"))?;
        drop(lock);
        let ca = Self::open(folder)?;
        ca.crl(CRL_DAYS, now)?;
        Ok(ca)
    }

    /// Opens the CA in `folder`.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, CaError> {
        let folder = folder.as_ref().to_owned();
        let path = folder.join("ca.pem");
        let pem = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(CaError::NotHere(folder));
            }
            Err(source) => return Err(CaError::Unreadable { path, source }),
            Ok(pem) => pem,
        };
        let damaged = || CaError::Damaged(folder.clone());
        let key = files::key(&folder.join("ca.key")).map_err(|error| match error {
            FilesError::Missing { path, .. } => CaError::NoKey(path),
            other => CaError::Files(other),
        })?;
        let key = KeyPair::from_der_and_sign_algo(&key, &PKCS_ECDSA_P256_SHA256)
            .map_err(|_| damaged())?;
        let der = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| damaged())?;
        let (_, parsed) = X509Certificate::from_der(&der).map_err(|_| damaged())?;
        if key.der_bytes() != parsed.public_key().subject_public_key.as_ref() {
            return Err(damaged());
        }
        let not_after = parsed.validity().not_after.timestamp();

        Ok(Self {
            deployment: deployment_of(&parsed).ok_or_else(damaged)?,
            not_after: OffsetDateTime::from_unix_timestamp(not_after).map_err(|_| damaged())?,
            issuer: Issuer::from_ca_cert_der(&der, key)?,
            folder,
            pem,
            der,
        })
    }

    /// Returns the deployment that this CA signs for.
    pub fn deployment(&self) -> &AgencyId {
        &self.deployment
    }

    /// Returns the CA's own certificate, which every member needs.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Revokes a certificate by its serial number. It takes effect with the next
    /// [`crl`](Self::crl), at each member that has fetched it. Once revoked, always revoked.
    pub fn revoke(&self, serial: &[u8], now: OffsetDateTime) -> Result<(), CaError> {
        self.change(|index| match index.get(serial) {
            None => Err(CaError::UnknownSerial),
            Some(entry) if entry.revoked_at.is_some() => Ok(()),
            Some(_) => {
                index.revoked(serial, now);
                Ok(())
            }
        })
    }

    /// Revokes a certificate that this CA issued, and returns its serial number. See
    /// [`revoke`](Self::revoke).
    pub fn revoke_certificate(
        &self,
        cert_pem: &str,
        now: OffsetDateTime,
    ) -> Result<Vec<u8>, CaError> {
        let (certificate, _) = self.ours(cert_pem)?;
        self.revoke(&certificate.serial, now)?;
        Ok(certificate.serial)
    }

    /// Revokes every certificate of a member, and returns their serial numbers. Those that have run
    /// out as well, or their keys could be signed again.
    pub fn revoke_identity(
        &self,
        identity: &Identity,
        now: OffsetDateTime,
    ) -> Result<Vec<Vec<u8>>, CaError> {
        self.change(|index| {
            let theirs = |entry: &&Entry| entry.identity == *identity && entry.revoked_at.is_none();
            let serials: Vec<Vec<u8>> =
                index.entries().filter(theirs).map(|entry| entry.serial.clone()).collect();
            serials.iter().for_each(|serial| index.revoked(serial, now));
            Ok(serials)
        })
    }

    /// Signs a new revocation list, which is also kept in the folder as `crl.pem`.
    pub fn crl(&self, days: u32, now: OffsetDateTime) -> Result<Crl, CaError> {
        let next_update = self.until(days, now)?;
        // Until it is written, so that an older list never takes the place of a newer one.
        let lock = Index::lock(&self.folder)?;
        let (number, revoked_certs) = Index::change(&lock, &self.index(), |index| {
            let revoked = index.entries().filter_map(|entry| {
                Some(RevokedCertParams {
                    serial_number: SerialNumber::from_slice(&entry.serial),
                    revocation_time: entry.revoked_at?,
                    reason_code: None,
                    invalidity_date: None,
                })
            });
            let revoked: Vec<_> = revoked.collect();
            Ok((index.listed(next_update), revoked))
        })?;
        let revoked = revoked_certs.len();
        let params = CertificateRevocationListParams {
            this_update: now - CLOCK_SKEW,
            next_update,
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        };
        let pem = params.signed_by(&self.issuer)?.pem()?;
        files::write_public(self.folder.join("crl.pem"), pem.as_bytes())?;
        Ok(Crl { pem, number, next_update, revoked })
    }

    /// Returns the revocation list signed last.
    pub fn latest_crl(&self) -> Result<String, CaError> {
        let path = self.folder.join("crl.pem");
        fs::read_to_string(&path).map_err(|source| CaError::Unreadable { path, source })
    }

    /// Returns every certificate that this CA ever issued.
    pub fn entries(&self) -> Result<Vec<Entry>, CaError> {
        Ok(Index::load(&self.index())?.entries().cloned().collect())
    }

    fn until(&self, days: u32, now: OffsetDateTime) -> Result<OffsetDateTime, CaError> {
        now.checked_add(Duration::days(days.into()))
            .filter(|&end| days > 0 && end <= self.not_after)
            .ok_or_else(|| CaError::Days(utc(self.not_after)))
    }

    fn index(&self) -> PathBuf {
        self.folder.join("index")
    }

    fn change<T>(&self, with: impl FnOnce(&mut Index) -> Result<T, CaError>) -> Result<T, CaError> {
        Index::change(&Index::lock(&self.folder)?, &self.index(), with)
    }
}

/// Shows where it is and nothing of the key.
impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ca({} in {})", self.deployment, self.folder.display())
    }
}

/// Shows the certificate and nothing of the key.
impl fmt::Debug for Issued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issued({})", self.signed.certificate.identity)
    }
}

fn common_name(name: &str) -> DistinguishedName {
    let mut names = DistinguishedName::new();
    names.push(DnType::CommonName, name);
    names
}

fn trust_domain(deployment: &AgencyId) -> String {
    format!("spiffe://{deployment}.causeway")
}

fn deployment_of(ca: &X509Certificate<'_>) -> Option<AgencyId> {
    let names = &ca.subject_alternative_name().ok()??.value.general_names;
    let [GeneralName::URI(uri)] = names[..] else { return None };
    uri.strip_prefix("spiffe://")?.strip_suffix(".causeway")?.parse().ok()
}

/// Returns 16 random bytes whose first bits make them a positive number of full length.
fn random_serial() -> Result<[u8; 16], CaError> {
    let mut serial = [0; 16];
    SystemRandom::new().fill(&mut serial).map_err(|_| CaError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

#[cfg(test)]
mod tests;
