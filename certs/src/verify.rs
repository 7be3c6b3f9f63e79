//! What a handshake accepts beyond a good chain: our deployment, and a role that has business here.
//!
//! rustls' own verifiers come first and do the cryptography, dates and revocation. A certificate
//! that passes them and is not for this connection is refused with a [`NotForUs`], which both the
//! log and the dialler can explain.

use std::{error::Error as StdError, io, sync::Arc};

use rustls::{
    AlertDescription, CertificateError, DigitallySignedStruct, DistinguishedName, Error,
    OtherError, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::danger::{ClientCertVerified, ClientCertVerifier},
};
use time::OffsetDateTime;

use crate::{
    certificate::{Certificate, utc},
    name::{Identity, Role},
};

/// A certificate of our own CA that is not good for this connection.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotForUs {
    /// It does not name one identity.
    #[error("its certificate does not say who it is")]
    Nameless,
    /// It is somebody of another deployment.
    #[error("it belongs to deployment `{0}`")]
    OtherDeployment(String),
    /// It has no business here.
    #[error("its role is {caller}, which has no call to make to a {server}")]
    Caller {
        /// Who calls.
        caller: Role,
        /// What we are.
        server: Role,
    },
    /// It holds a role that answers nobody.
    #[error("its role is {0}, which does not answer calls")]
    Server(Role),
    /// It is somebody else than the dialler wanted.
    #[error("it is {}", .0.short())]
    SomebodyElse(Identity),
}

/// Verifies whoever connects to us.
#[derive(Debug)]
pub(crate) struct Callers {
    pub(crate) inner: Arc<dyn ClientCertVerifier>,
    pub(crate) me: Identity,
}

/// Verifies whomever we connect to.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) inner: Arc<dyn ServerCertVerifier>,
    pub(crate) me: Identity,
}

impl Callers {
    fn judge(&self, certificate: &CertificateDer<'_>) -> Result<(), NotForUs> {
        let caller = ours(certificate, &self.me)?;
        let (caller, server) = (caller.role, self.me.role);
        if caller.may_call(server) { Ok(()) } else { Err(NotForUs::Caller { caller, server }) }
    }
}

impl Servers {
    fn judge(&self, certificate: &CertificateDer<'_>) -> Result<Identity, NotForUs> {
        let server = ours(certificate, &self.me)?;
        if server.role.serves() { Ok(server) } else { Err(NotForUs::Server(server.role)) }
    }
}

fn ours(certificate: &CertificateDer<'_>, me: &Identity) -> Result<Identity, NotForUs> {
    let certificate = Certificate::from_der(certificate).map_err(|_| NotForUs::Nameless)?;
    let identity = certificate.identity;
    if identity.deployment == me.deployment {
        Ok(identity)
    } else {
        Err(NotForUs::OtherDeployment(identity.deployment.to_string()))
    }
}

fn refuse(reason: NotForUs) -> Error {
    Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(reason))))
}

impl ClientCertVerifier for Callers {
    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        self.judge(end_entity).map_err(refuse)?;
        Ok(verified)
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

impl ServerCertVerifier for Servers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verified = self.inner.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match verified {
            Ok(verified) => self.judge(end_entity).map(|_| verified).map_err(refuse),
            // rustls looks at the name last, so the chain is good and we may say who it is.
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { .. })) => {
                let found = self.judge(end_entity).map_err(refuse)?;
                Err(refuse(NotForUs::SomebodyElse(found)))
            }
            Err(error) => Err(error),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

// === explaining ===

/// Returns the TLS error inside an I/O error, if that is what it is.
pub(crate) fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref().and_then(|inner| (inner as &(dyn StdError + 'static)).downcast_ref())
}

/// Returns our own reason for refusing a certificate, if that is what the error is.
pub(crate) fn not_for_us(error: &Error) -> Option<&NotForUs> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(reason))) => {
            (reason.as_ref() as &(dyn StdError + 'static)).downcast_ref()
        }
        _ => None,
    }
}

/// Says in a few words what was wrong with the other side, as a sentence about "it".
pub(crate) fn explain(error: &Error) -> String {
    if let Some(reason) = not_for_us(error) {
        return reason.to_string();
    }
    match error {
        Error::NoCertificatesPresented => "it showed no certificate".to_owned(),
        Error::InvalidCertificate(reason) => explain_certificate(reason),
        Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
            "it does not take this kind of connection".to_owned()
        }
        Error::AlertReceived(alert) => match verdict(*alert) {
            Some(verdict) => format!("it refused our certificate: {verdict}"),
            None => format!("it broke off the handshake ({alert:?})"),
        },
        Error::NoApplicationProtocol => "it does not take this kind of connection".to_owned(),
        Error::InvalidMessage(_) => "it does not speak TLS".to_owned(),
        Error::PeerIncompatible(_) => "it does not speak TLS 1.3 as we do".to_owned(),
        other => other.to_string(),
    }
}

fn explain_certificate(reason: &CertificateError) -> String {
    match reason {
        CertificateError::ExpiredContext { not_after, .. } => {
            format!("its certificate expired on {}", date(*not_after))
        }
        CertificateError::NotValidYetContext { not_before, .. } => {
            let from = date(*not_before);
            format!("its certificate holds from {from} only: compare the two machines' clocks")
        }
        CertificateError::Revoked => "its certificate was revoked".to_owned(),
        CertificateError::UnknownIssuer
        | CertificateError::BadSignature
        | CertificateError::UnknownRevocationStatus => {
            "its certificate is signed by another CA".to_owned()
        }
        CertificateError::ExpiredRevocationListContext { next_update, .. } => format!(
            "our own revocation list ran out on {}: fetch a new one from the CA",
            date(*next_update)
        ),
        other => format!("its certificate is not acceptable: {other}"),
    }
}

/// Returns what the other side held against our certificate, if that is what the error says.
pub(crate) fn refused_us(error: &Error) -> Option<&'static str> {
    if let Error::AlertReceived(alert) = error { verdict(*alert) } else { None }
}

/// Says what the other side held against our certificate, if that is what the alert is about.
fn verdict(alert: AlertDescription) -> Option<&'static str> {
    Some(match alert {
        AlertDescription::CertificateRevoked => "revoked",
        AlertDescription::CertificateExpired => {
            "expired or not valid yet, by its clock: renew it, or compare the clocks"
        }
        AlertDescription::UnknownCA => {
            "signed by a CA it does not know, or its own revocation list ran out"
        }
        AlertDescription::CertificateUnknown => {
            "of another deployment, or of a role that has no business there"
        }
        AlertDescription::CertificateRequired => "there was none",
        AlertDescription::BadCertificate | AlertDescription::UnsupportedCertificate => {
            "not acceptable"
        }
        _ => return None,
    })
}

/// Writes a moment as rustls gives it.
pub(crate) fn date(at: UnixTime) -> String {
    i64::try_from(at.as_secs())
        .ok()
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .map_or_else(|| "a date outside the calendar".to_owned(), utc)
}
