//! Where keys and certificates live on disk: reading them with care, writing them whole or not at
//! all.

mod write;

use std::{
    collections::HashSet,
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use ring::digest::{Context, SHA256, digest};
use rustls::pki_types::{
    CertificateDer, CertificateRevocationListDer, PrivateKeyDer, SubjectPublicKeyInfoDer,
    pem::{self, PemObject},
};
use serde::Deserialize;
use x509_parser::{prelude::FromDer, revocation_list::CertificateRevocationList};
use zeroize::Zeroizing;

pub use self::write::{make_secret_database, write_public, write_secret};

/// Waits until nobody else holds the lock at `path`, an empty file that is made where there is none. It is held for
/// as long as the file that is returned.
pub fn lock(path: &Path) -> io::Result<File> {
    let file = to_lock(path)?;
    file.lock()?;
    Ok(file)
}

/// Opens an empty file to be locked, and makes it where there is none. Whose it is does not matter: one that a
/// command run by another user has left locks as well.
pub fn to_lock(path: &Path) -> io::Result<File> {
    let opened = OpenOptions::new().create(true).append(true).mode(0o644).open(path);
    match opened {
        Err(error) if is_fixed(&error) && path.exists() => File::open(path)
            .map_err(|error| io::Error::other(format!("it is another user's: {error}"))),
        opened => opened,
    }
}

/// Returns whether a file could not be written because it is where this user may not change anything.
pub fn is_fixed(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied)
}

/// The four files that make a member who it is. Paths only, so it is safe to log.
///
/// ```
/// # use causeway_certs::files::IdentityFiles;
/// let files: IdentityFiles = serde_json::from_str(r#"{
///     "certificate": "/etc/causeway/certificate.pem",
///     "key": "/etc/causeway/key.pem",
///     "ca": "/etc/causeway/ca.pem",
///     "crl": "/etc/causeway/crl.pem"
/// }"#)?;
/// assert_eq!(files.key, IdentityFiles::in_folder("/etc/causeway").key);
/// # Ok::<_, serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityFiles {
    /// This member's certificate, renewed every few days.
    pub certificate: PathBuf,
    /// Its private key. Only this member's user may read it (`chmod 600`).
    pub key: PathBuf,
    /// The certificate of the deployment's CA. Two, one after the other, while a CA is replaced.
    pub ca: PathBuf,
    /// The CA's revocation list. It goes out of date on purpose: fetch it daily.
    pub crl: PathBuf,
}

/// What the four files hold. `Debug` shows how much, never what.
pub struct Material {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key: Zeroizing<PrivateKeyDer<'static>>,
    pub(crate) cas: Vec<CertificateDer<'static>>,
    pub(crate) crls: Vec<CertificateRevocationListDer<'static>>,
}

/// A file is not there, not fit to use, or cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// There is no such file.
    #[error("there is no {what} at {path}: {advice}")]
    Missing {
        /// What should be there.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// How to get it.
        advice: &'static str,
    },
    /// The file is there and the system will not let us read it.
    #[error("could not read the {what} {path}")]
    Unreadable {
        /// What should be there.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A secret that others on the machine can read is not one.
    #[error("{path} can be read by other users (mode {mode:04o}): run `chmod 600 {path}`")]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file holds something else.
    #[error("{path} should hold the {what} in PEM form and holds {found}")]
    WrongKind {
        /// What should be there.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What is there instead, by its PEM label.
        found: String,
    },
    /// A file could not be written. What was there before still is.
    #[error("could not write {path}: {advice}")]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What to do about it.
        advice: String,
        /// Why not.
        source: io::Error,
    },
}

/// What one of the files is, and what to do when it is not there.
struct Kind {
    what: &'static str,
    label: &'static str,
    advice: &'static str,
}

const CERTIFICATE: Kind = Kind {
    what: "certificate",
    label: "CERTIFICATE",
    advice: "send this member's request to whoever runs the CA (`causeway-certs sign`), or have \
             key and certificate made together (`causeway-certs issue`)",
};
const KEY: Kind = Kind {
    what: "private key",
    label: "PRIVATE KEY",
    advice: "it never leaves its machine, so nobody can send it: make a new one and have it signed",
};
const SECRET: Kind =
    Kind { what: "secret", label: "", advice: "`causeway-node init` makes what a node needs" };
const PUBLIC_KEY: Kind = Kind {
    what: "public key",
    label: "PUBLIC KEY",
    advice: "ask its owner for the public half (`causeway-coordinator model keygen` writes it, and \
             `openssl pkey -in KEY -pubout` gives it again)",
};
const CA: Kind = Kind {
    what: "CA certificate",
    label: "CERTIFICATE",
    advice: "copy ca.pem from whoever runs the CA",
};
const CRL: Kind = Kind {
    what: "revocation list",
    label: "X509 CRL",
    advice: "copy crl.pem from whoever runs the CA (`causeway-certs crl`); it is needed even when \
             nothing was revoked",
};

// === impl IdentityFiles ===

impl IdentityFiles {
    /// Names the files as `causeway-certs issue` lays them out in `folder`.
    pub fn in_folder(folder: impl AsRef<Path>) -> Self {
        let folder = folder.as_ref();
        Self {
            certificate: folder.join("certificate.pem"),
            key: folder.join("key.pem"),
            ca: folder.join("ca.pem"),
            crl: folder.join("crl.pem"),
        }
    }

    /// Reads the files. Whether they belong together and are still good is for
    /// [`TlsState`](crate::tls::TlsState).
    pub fn load(&self) -> Result<Material, FilesError> {
        Ok(Material {
            chain: public(&self.certificate, &CERTIFICATE)?,
            key: key(&self.key)?,
            cas: public(&self.ca, &CA)?,
            crls: self.load_crls()?,
        })
    }

    /// Reads the revocation lists alone.
    pub(crate) fn load_crls(
        &self,
    ) -> Result<Vec<CertificateRevocationListDer<'static>>, FilesError> {
        public(&self.crl, &CRL)
    }

    /// Returns a digest that changes whenever any of the files does.
    pub(crate) fn digest(&self) -> Vec<u8> {
        let mut all = Context::new(&SHA256);
        for path in [&self.certificate, &self.key, &self.ca, &self.crl] {
            let one = match fs::read(path).map(Zeroizing::new) {
                Ok(bytes) => digest(&SHA256, &bytes),
                Err(error) => digest(&SHA256, error.to_string().as_bytes()),
            };
            all.update(one.as_ref());
        }
        all.finish().as_ref().to_vec()
    }
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { chain, key: _, cas, crls } = self;
        write!(f, "Material({} + {} certificates, {} lists)", chain.len(), cas.len(), crls.len())
    }
}

// === reading ===

/// Reads a file that nobody else may read, such as another crate's key.
pub fn read_secret(path: impl AsRef<Path>) -> Result<Zeroizing<Vec<u8>>, FilesError> {
    secret(path.as_ref(), &SECRET)
}

/// Reads a PEM private key that nobody else may read.
pub(crate) fn key(path: &Path) -> Result<Zeroizing<PrivateKeyDer<'static>>, FilesError> {
    let bytes = secret(path, &KEY)?;
    PrivateKeyDer::from_pem_slice(&bytes)
        .map(Zeroizing::new)
        .map_err(|_| wrong_kind(path, &KEY, &bytes))
}

fn secret(path: &Path, kind: &Kind) -> Result<Zeroizing<Vec<u8>>, FilesError> {
    let mut file = File::open(path).map_err(|source| unreadable(path, kind, source))?;
    // Asked of the open file, so that it cannot be swapped in between.
    let mode =
        file.metadata().map_err(|source| unreadable(path, kind, source))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(FilesError::Exposed { path: path.to_owned(), mode: mode & 0o7777 });
    }
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes).map_err(|source| unreadable(path, kind, source))?;
    Ok(bytes)
}

/// Reads a PEM public key.
pub(crate) fn public_key(path: &Path) -> Result<SubjectPublicKeyInfoDer<'static>, FilesError> {
    public(path, &PUBLIC_KEY)?.pop().ok_or_else(|| wrong_kind(path, &PUBLIC_KEY, b""))
}

/// Reads a PEM file in which every section is of one kind, and there is at least one. A private
/// key that somebody left in there as well is refused too.
fn public<T: PemObject>(path: &Path, kind: &Kind) -> Result<Vec<T>, FilesError> {
    let bytes = fs::read(path).map_err(|source| unreadable(path, kind, source))?;
    let items: Result<Vec<T>, pem::Error> = T::pem_slice_iter(&bytes).collect();
    match items {
        Ok(items) if !items.is_empty() && labels(&bytes).iter().all(|l| l == kind.label) => {
            Ok(items)
        }
        _ => Err(wrong_kind(path, kind, &bytes)),
    }
}

fn unreadable(path: &Path, kind: &Kind, source: io::Error) -> FilesError {
    let (what, path) = (kind.what, path.to_owned());
    match source.kind() {
        ErrorKind::NotFound => FilesError::Missing { what, path, advice: kind.advice },
        _ => FilesError::Unreadable { what, path, source },
    }
}

fn wrong_kind(path: &Path, kind: &Kind, bytes: &[u8]) -> FilesError {
    let labels = labels(bytes);
    let found = if labels.is_empty() {
        "no PEM at all".to_owned()
    } else if labels.iter().all(|label| label.ends_with(kind.label)) {
        format!("a damaged or protected {}", labels.join(", "))
    } else {
        labels.join(", ")
    };
    FilesError::WrongKind { what: kind.what, path: path.to_owned(), found }
}

/// Returns the label of each PEM section.
fn labels(bytes: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(|line| line.trim().strip_prefix("-----BEGIN ")?.strip_suffix("-----"))
        .map(str::to_owned)
        .collect()
}

/// Returns the serial numbers on a revocation list, without asking who signed it.
pub(crate) fn revoked_serials(path: &Path) -> Result<HashSet<Vec<u8>>, FilesError> {
    let mut serials = HashSet::new();
    for der in public::<CertificateRevocationListDer<'static>>(path, &CRL)? {
        let (_, list) = CertificateRevocationList::from_der(&der)
            .map_err(|_| wrong_kind(path, &CRL, b"-----BEGIN X509 CRL-----"))?;
        serials.extend(list.iter_revoked_certificates().map(|one| one.raw_serial().to_vec()));
    }
    Ok(serials)
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair};
    use tempfile::TempDir;

    use super::*;

    fn folder() -> (TempDir, IdentityFiles) {
        let folder = tempfile::tempdir().unwrap();
        let files = IdentityFiles::in_folder(&folder);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap().pem();
        write_secret(&files.key, key.serialize_pem().as_bytes()).unwrap();
        write_public(&files.certificate, certificate.as_bytes()).unwrap();
        write_public(&files.ca, certificate.as_bytes()).unwrap();
        (folder, files)
    }

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_command_that_fixes_it() {
        let (_folder, files) = folder();
        for mode in [0o644, 0o640, 0o604, 0o610] {
            chmod(&files.key, mode);
            let path = files.key.display();
            assert_eq!(
                files.load().unwrap_err().to_string(),
                format!(
                    "{path} can be read by other users (mode {mode:04o}): run `chmod 600 {path}`"
                ),
            );
        }
        chmod(&files.key, 0o400);
        assert!(key(&files.key).is_ok());
    }

    #[test]
    fn a_missing_file_is_named_with_the_way_to_get_it() {
        let (_folder, files) = folder();
        let refused = files.load().unwrap_err().to_string();
        assert!(refused.starts_with("there is no revocation list at "), "{refused}");
        assert!(refused.contains("causeway-certs crl"), "{refused}");
    }

    #[test]
    fn a_file_of_another_kind_is_refused_by_what_it_holds() {
        let (_folder, mut files) = folder();
        files.crl.clone_from(&files.certificate);
        let refused = files.load().unwrap_err().to_string();
        assert!(refused.ends_with("the revocation list in PEM form and holds CERTIFICATE"));

        let key = fs::read(&files.key).unwrap();
        fs::write(&files.ca, [fs::read(&files.certificate).unwrap(), key].concat()).unwrap();
        let refused = files.load().unwrap_err().to_string();
        assert!(refused.ends_with("holds CERTIFICATE, PRIVATE KEY"), "{refused}");

        fs::write(&files.ca, "-----BEGIN CERTIFICATE-----\n####\n-----END CERTIFICATE-----")
            .unwrap();
        let refused = files.load().unwrap_err().to_string();
        assert!(refused.ends_with("holds a damaged or protected CERTIFICATE"), "{refused}");

        chmod(&files.certificate, 0o600);
        files.key.clone_from(&files.certificate);
        let refused = files.load().unwrap_err().to_string();
        assert!(refused.ends_with("the private key in PEM form and holds CERTIFICATE"));
    }

    #[test]
    fn nothing_secret_shows_in_debug() {
        let (_folder, files) = folder();
        fs::write(&files.crl, "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----").unwrap();
        let shown = format!("{:?}", files.load().unwrap());
        assert_eq!(shown, "Material(1 + 1 certificates, 1 lists)");
    }
}
