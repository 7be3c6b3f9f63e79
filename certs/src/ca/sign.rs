//! Signing members' certificates.

use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, SerialNumber, SubjectPublicKeyInfo,
};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, DnsName, pem::PemObject};
use time::OffsetDateTime;
use x509_parser::prelude::{FromDer, X509Certificate, X509CertificationRequest};
use zeroize::Zeroizing;

use super::{CLOCK_SKEW, Ca, CaError, Issued, Signed, common_name, index::Index, random_serial};
use crate::{
    certificate::{Certificate, CertificateError, utc},
    files::{self, IdentityFiles},
    name::Identity,
};

/// Makes a key, and a request for a certificate that names it.
///
/// The key stays where it was made. The name in the request is a courtesy to whoever signs it: the
/// CA decides every name.
pub fn new_key_and_csr(identity: &Identity) -> Result<(Zeroizing<String>, String), CaError> {
    let key = Zeroizing::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?);
    let mut params = CertificateParams::default();
    params.distinguished_name = common_name(&identity.short());
    params.subject_alt_names = vec![SanType::URI(identity.to_string().try_into()?)];
    let csr = params.serialize_request(&*key)?.pem()?;
    Ok((Zeroizing::new(key.serialize_pem()), csr))
}

impl Ca {
    /// Makes a key and a certificate for it.
    ///
    /// `extra_dns` are additional DNS names, for clients that know nothing of identities.
    pub fn issue(
        &self,
        identity: &Identity,
        extra_dns: &[String],
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Issued, CaError> {
        let (key_pem, csr) = new_key_and_csr(identity)?;
        Ok(Issued { signed: self.sign(&csr, identity, extra_dns, days, now)?, key_pem })
    }

    /// Makes a key and a certificate, and writes all four files that a member needs.
    pub fn issue_to(
        &self,
        files: &IdentityFiles,
        identity: &Identity,
        extra_dns: &[String],
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Certificate, CaError> {
        let crl = self.latest_crl()?;
        let issued = self.issue(identity, extra_dns, days, now)?;
        files::write_secret(&files.key, issued.key_pem.as_bytes())?;
        files::write_public(&files.certificate, issued.signed.pem.as_bytes())?;
        files::write_public(&files.ca, self.pem.as_bytes())?;
        files::write_public(&files.crl, crl.as_bytes())?;
        Ok(issued.signed.certificate)
    }

    /// Signs a request. Only its public key is used, and only after the request has proved that
    /// whoever made it holds the other half.
    pub fn sign(
        &self,
        csr_pem: &str,
        identity: &Identity,
        extra_dns: &[String],
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Signed, CaError> {
        let der = CertificateSigningRequestDer::from_pem_slice(csr_pem.as_bytes())
            .map_err(|_| CaError::NotARequest)?;
        let (_, csr) =
            X509CertificationRequest::from_der(&der).map_err(|_| CaError::NotARequest)?;
        let key = p256(csr.certification_request_info.subject_pki.raw)?;
        csr.verify_signature().map_err(|_| CaError::RequestSignature)?;
        self.certify(&key, identity, extra_dns, days, now)
    }

    /// Signs a certificate again: the same key and names, new dates and serial number.
    ///
    /// One that has run out is renewed too: it is of use only to whoever holds the key. One that was
    /// revoked is not, and neither is another for the same key.
    pub fn renew(&self, cert_pem: &str, days: u32, now: OffsetDateTime) -> Result<Signed, CaError> {
        let (old, key) = self.ours(cert_pem)?;
        let index = Index::load(&self.index())?;
        let entry = index.get(&old.serial).ok_or(CaError::Foreign)?;
        if let Some(at) = entry.revoked_at {
            return Err(CaError::Revoked(utc(at)));
        }
        let logical = old.identity.dns_name();
        let extra_dns: Vec<String> = old.dns_names.into_iter().filter(|n| *n != logical).collect();
        self.certify(&key, &old.identity, &extra_dns, days, now)
    }

    /// Signs a certificate for a key, and puts it on record before anybody gets it. A key that was
    /// revoked may be stolen, so it gets none.
    fn certify(
        &self,
        key: &SubjectPublicKeyInfo,
        identity: &Identity,
        extra_dns: &[String],
        days: u32,
        now: OffsetDateTime,
    ) -> Result<Signed, CaError> {
        if identity.deployment != self.deployment {
            let (ours, theirs) = (self.deployment.clone(), identity.deployment.clone());
            return Err(CaError::OtherDeployment { ours, theirs });
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = common_name(&identity.short());
        params.subject_alt_names = vec![
            SanType::URI(identity.to_string().try_into()?),
            SanType::DnsName(identity.dns_name().try_into()?),
        ];
        for name in extra_dns {
            let name = additional(name).ok_or_else(|| CaError::DnsName(name.clone()))?;
            params.subject_alt_names.push(SanType::DnsName(name.try_into()?));
        }
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        // Both, because a node is the TLS client when it dials out to serve.
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from_slice(&random_serial()?));
        params.not_before = now - CLOCK_SKEW;
        params.not_after = self.until(days, now)?;

        let signed = params.signed_by(key, &self.issuer)?;
        let certificate = Certificate::from_der(signed.der())?;
        self.change(|index| {
            // Asked under the lock, so that no revocation comes in between.
            if let Some(at) = index.key_revoked(&certificate.key_fingerprint) {
                return Err(CaError::RevokedKey(utc(at)));
            }
            index.issued(&certificate);
            Ok(())
        })?;
        Ok(Signed { pem: signed.pem(), certificate })
    }

    /// Reads a certificate and checks that this CA signed it.
    pub(super) fn ours(
        &self,
        cert_pem: &str,
    ) -> Result<(Certificate, SubjectPublicKeyInfo), CaError> {
        let der = CertificateDer::from_pem_slice(cert_pem.as_bytes())
            .map_err(|_| CertificateError::Malformed)?;
        let certificate = Certificate::from_der(&der)?;
        let parse = |der| X509Certificate::from_der(der).map_err(|_| CertificateError::Malformed);
        let ((_, theirs), (_, ca)) = (parse(&der)?, parse(&self.der)?);
        theirs.verify_signature(Some(ca.public_key())).map_err(|_| CaError::Foreign)?;
        Ok((certificate, p256(theirs.public_key().raw)?))
    }
}

/// Returns the name in lower case, if it is one that a member may ask for.
fn additional(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let reserved = name.trim_end_matches('.').ends_with(".causeway");
    (!reserved && DnsName::try_from(name.as_str()).is_ok()).then_some(name)
}

fn p256(spki: &[u8]) -> Result<SubjectPublicKeyInfo, CaError> {
    let key = SubjectPublicKeyInfo::from_der(spki).map_err(|_| CaError::KeyKind)?;
    if key.algorithm() == &PKCS_ECDSA_P256_SHA256 { Ok(key) } else { Err(CaError::KeyKind) }
}
