//! What a certificate says of its holder. Whether to believe it is for [`tls`](crate::tls).

use std::fmt::Write;

use ring::digest::{SHA256, digest};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use time::{OffsetDateTime, UtcOffset, format_description::well_known::Rfc3339};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use crate::name::{Identity, InvalidIdentity};

/// The parts of a member's certificate that we act on.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Whose it is.
    pub identity: Identity,
    /// The serial number as it is encoded, which is how revocation lists name it.
    pub serial: Vec<u8>,
    /// The first moment it holds.
    pub not_before: OffsetDateTime,
    /// The last moment it holds.
    pub not_after: OffsetDateTime,
    /// The DNS names in it: the logical one, then any that were asked for.
    pub dns_names: Vec<String>,
    /// SHA-256 of the whole certificate.
    pub fingerprint: [u8; 32],
    /// SHA-256 of the public key, which stays the same when the certificate is renewed.
    pub key_fingerprint: [u8; 32],
}

/// A certificate that is not one of ours, whoever signed it.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The bytes are no certificate.
    #[error("it is not an X.509 certificate")]
    Malformed,
    /// There is no name in it, or more than one.
    #[error("it should have exactly one URI name and has {0}")]
    UriNames(usize),
    /// The name is of another form.
    #[error("its URI name is not an identity")]
    Identity(#[from] InvalidIdentity),
    /// A date is outside the calendar.
    #[error("its dates make no sense")]
    Dates,
}

impl Certificate {
    /// Reads the first certificate in a PEM text.
    pub fn from_pem(pem: &[u8]) -> Result<Self, CertificateError> {
        let der = CertificateDer::from_pem_slice(pem).map_err(|_| CertificateError::Malformed)?;
        Self::from_der(&der)
    }

    /// Reads a certificate. Exactly one URI name is expected, and it has to be an [`Identity`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let (_, parsed) =
            X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed)?;
        let names = parsed
            .subject_alternative_name()
            .map_err(|_| CertificateError::Malformed)?
            .map(|extension| extension.value.general_names.as_slice())
            .unwrap_or_default();
        let uris: Vec<&str> = names.iter().filter_map(uri).collect();
        let [uri] = uris[..] else { return Err(CertificateError::UriNames(uris.len())) };

        Ok(Self {
            identity: uri.parse()?,
            serial: parsed.raw_serial().to_vec(),
            not_before: date(parsed.validity().not_before.timestamp())?,
            not_after: date(parsed.validity().not_after.timestamp())?,
            dns_names: names.iter().filter_map(dns_name).map(str::to_owned).collect(),
            fingerprint: sha256(der),
            key_fingerprint: sha256(parsed.public_key().raw),
        })
    }
}

fn uri<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    if let GeneralName::URI(uri) = name { Some(uri) } else { None }
}

fn dns_name<'a>(name: &GeneralName<'a>) -> Option<&'a str> {
    if let GeneralName::DNSName(name) = name { Some(name) } else { None }
}

fn date(unix_seconds: i64) -> Result<OffsetDateTime, CertificateError> {
    OffsetDateTime::from_unix_timestamp(unix_seconds).map_err(|_| CertificateError::Dates)
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 is 32 bytes")
}

/// Writes bytes as lowercase hexadecimal, as serials and fingerprints are shown.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads what [`hex`] wrote; also takes capitals and the colons that OpenSSL puts in.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> =
        text.chars().filter(|&c| c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    (rest.is_empty() && !pairs.is_empty()).then(|| pairs.iter().filter_map(byte).collect())
}

/// Writes a moment as it stands in messages, JSON and the CA's index: UTC, whole seconds.
pub fn utc(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC)
        .replace_nanosecond(0)
        .ok()
        .and_then(|at| at.format(&Rfc3339).ok())
        .unwrap_or_else(|| "a date outside the calendar".to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SanType};

    use super::*;

    fn with_uris(uris: &[&str]) -> Result<Certificate, CertificateError> {
        let mut params = CertificateParams::default();
        params.subject_alt_names =
            uris.iter().map(|&uri| SanType::URI(uri.try_into().unwrap())).collect();
        let der = params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
        Certificate::from_der(&der)
    }

    #[test]
    fn a_certificate_names_exactly_one_identity() {
        let housing = "spiffe://town.causeway/node/housing";
        assert_eq!(with_uris(&[housing]).unwrap().identity.to_string(), housing);

        let refused = with_uris(&[housing, "https://housing.example"]).unwrap_err();
        assert_eq!(refused.to_string(), "it should have exactly one URI name and has 2");
        assert!(matches!(with_uris(&[]), Err(CertificateError::UriNames(0))));
        let deeper = with_uris(&["spiffe://town.causeway/node/housing/admin"]);
        assert!(matches!(deeper, Err(CertificateError::Identity(_))));
    }

    #[test]
    fn hexadecimal_survives_being_pasted_from_elsewhere() {
        assert_eq!(unhex("4A:0f"), Some(vec![0x4a, 0x0f]));
        assert_eq!(unhex(&hex(&[0, 255])), Some(vec![0, 255]));
        assert_eq!(unhex("4a0"), None);
        assert_eq!(unhex("+a"), None);
        assert_eq!(unhex(""), None);
    }

    #[test]
    fn moments_are_written_in_utc_and_whole_seconds() {
        let at = OffsetDateTime::from_unix_timestamp_nanos(1_790_000_000_123_456_789).unwrap();
        assert_eq!(utc(at), "2026-09-21T14:13:20Z");
    }
}
