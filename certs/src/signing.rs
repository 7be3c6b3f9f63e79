//! Signatures that people put to documents, such as a scoring model: keys that are nobody's place in
//! the deployment.
//!
//! ECDSA over P-256 and SHA-256, the signature in DER, so that `openssl dgst -verify` reads it too.

use std::{fmt, path::Path};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, SigningKey as _};
use ring::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey},
};
use rustls::pki_types::SubjectPublicKeyInfoDer;
use x509_parser::{prelude::FromDer, x509::SubjectPublicKeyInfo};
use zeroize::Zeroizing;

use crate::{
    certificate::hex,
    files::{self, FilesError},
};

/// The length of an uncompressed point of P-256.
const POINT: usize = 65;

/// A private key that signs documents. `Debug` says whose it is by its public half.
pub struct DocumentKey(KeyPair);

/// The public half, as settings name it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct DocumentPublicKey {
    point: Vec<u8>,
}

/// A key could not be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FilesError),
    /// It holds a key of another kind.
    #[error(
        "{0} holds no P-256 key: `causeway-coordinator model keygen` makes one, and so does \
         `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256`"
    )]
    NotP256(String),
    /// The library refused.
    #[error("could not make or use a key")]
    Crypto(#[from] rcgen::Error),
}

/// Returns a label and parts, each with its length before it, so that no two lists read the same.
pub fn labelled(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let all = std::iter::once(label.as_bytes()).chain(parts.iter().copied());
    let mut bytes = Vec::new();
    for part in all {
        let length = u32::try_from(part.len()).expect("parts are short");
        bytes.extend(length.to_be_bytes());
        bytes.extend(part);
    }
    bytes
}

impl DocumentKey {
    /// Makes a new key.
    pub fn generate() -> Result<Self, SigningError> {
        Ok(Self(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?))
    }

    /// Reads a PKCS#8 PEM file that nobody else may read.
    pub fn load(path: &Path) -> Result<Self, SigningError> {
        let not_p256 = || SigningError::NotP256(path.display().to_string());
        let der = files::key(path)?;
        let pair = KeyPair::from_der_and_sign_algo(&der, &PKCS_ECDSA_P256_SHA256);
        pair.map(Self).map_err(|_| not_p256())
    }

    /// Writes it to a file that only this user may read.
    pub fn save(&self, path: &Path) -> Result<(), SigningError> {
        let pem = Zeroizing::new(self.0.serialize_pem());
        Ok(files::write_secret(path, pem.as_bytes())?)
    }

    /// Returns the public half in PEM form.
    pub fn public_pem(&self) -> String {
        self.0.public_key_pem()
    }

    /// Returns the public half.
    pub fn public(&self) -> DocumentPublicKey {
        DocumentPublicKey { point: self.0.public_key_raw().to_vec() }
    }

    /// Signs a message.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        Ok(self.0.sign(message)?)
    }
}

impl DocumentPublicKey {
    /// Reads a PEM file (`PUBLIC KEY`).
    pub fn load(path: &Path) -> Result<Self, SigningError> {
        let not_p256 = || SigningError::NotP256(path.display().to_string());
        let der: SubjectPublicKeyInfoDer<'static> = files::public_key(path)?;
        let (_, info) = SubjectPublicKeyInfo::from_der(&der).map_err(|_| not_p256())?;
        let point = info.subject_public_key.data.to_vec();
        // Other curves' points have other lengths, and RSA keys do not begin like this.
        let is_point = point.len() == POINT && point[0] == 4;
        if is_point { Ok(Self { point }) } else { Err(not_p256()) }
    }

    /// Returns a short name that only this key has: 16 hexadecimal digits of its hash.
    pub fn fingerprint(&self) -> String {
        hex(&digest(&SHA256, &self.point).as_ref()[..8])
    }

    /// Returns whether this key signed the message.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.point);
        key.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for DocumentKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentKey({})", self.public().fingerprint())
    }
}

impl fmt::Debug for DocumentPublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DocumentPublicKey({})", self.fingerprint())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_key_signed_its_saved_public_half_knows_and_another_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let [private, public] = ["key.pem", "public.pem"].map(|name| folder.path().join(name));
        let key = DocumentKey::generate().unwrap();
        key.save(&private).unwrap();
        files::write_public(&public, key.public_pem().as_bytes()).unwrap();

        let signature = DocumentKey::load(&private).unwrap().sign(b"this").unwrap();
        let known = DocumentPublicKey::load(&public).unwrap();
        assert_eq!(known, key.public());
        assert!(known.verify(b"this", &signature));
        assert!(!known.verify(b"that", &signature));
        assert!(!DocumentKey::generate().unwrap().public().verify(b"this", &signature));
        let refused = DocumentPublicKey::load(&private).unwrap_err().to_string();
        assert!(refused.contains("public key"), "{refused}");
    }

    #[test]
    fn where_one_part_ends_and_the_next_begins_is_signed_too() {
        assert_ne!(labelled("l", &[b"ab", b"c"]), labelled("l", &[b"a", b"bc"]));
        assert_eq!(labelled("l", &[b"ab"]), b"\0\0\0\x01l\0\0\0\x02ab");
    }
}
