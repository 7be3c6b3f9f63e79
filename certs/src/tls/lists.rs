//! What the revocation lists say, all together, and whether they are as new as those before.

use std::collections::{HashMap, HashSet};

use rustls::pki_types::CertificateRevocationListDer;
use time::OffsetDateTime;
use x509_parser::{
    num_bigint::BigUint,
    prelude::{FromDer, X509Certificate},
    revocation_list::CertificateRevocationList,
};

use super::snapshot::{TlsError, unusable};
use crate::files::{IdentityFiles, Material};

/// The highest number of a list that was in use, by the public key of the CA that signed it.
pub(super) type Numbers = HashMap<Vec<u8>, BigUint>;

pub(super) struct Lists {
    /// The newest first: of several by one CA, rustls asks the first.
    pub(super) ders: Vec<CertificateRevocationListDer<'static>>,
    pub(super) revoked: HashSet<Vec<u8>>,
    pub(super) until: OffsetDateTime,
    pub(super) numbers: Numbers,
}

impl Lists {
    /// Reads the lists. Each CA has to have one: rustls would refuse everybody signed by a CA
    /// without, and with no list at all it would check nobody.
    ///
    /// A list with a lower number than one that was `in_use` is refused. A copy that lags behind,
    /// or comes out of a backup, would let back in whom the newer one keeps out.
    pub(super) fn read(
        files: &IdentityFiles,
        material: &Material,
        in_use: &Numbers,
    ) -> Result<Self, TlsError> {
        let unusable = || unusable(files);
        let mut lists = Vec::new();
        for der in &material.crls {
            let (_, list) = CertificateRevocationList::from_der(der).map_err(|_| unusable())?;
            lists.push((der, list));
        }
        lists.sort_by(|(_, one), (_, other)| other.crl_number().cmp(&one.crl_number()));

        let mut numbers = in_use.clone();
        for der in &material.cas {
            let (_, ca) = X509Certificate::from_der(der).map_err(|_| unusable())?;
            let by_it = |list: &CertificateRevocationList<'_>| {
                list.verify_signature(ca.public_key()).is_ok()
            };
            let Some((_, newest)) = lists.iter().find(|(_, list)| by_it(list)) else {
                let (path, ca) = (files.crl.clone(), files.ca.clone());
                return Err(TlsError::ForeignCrl { path, ca });
            };
            let number = newest.crl_number().cloned().unwrap_or_default();
            let before = numbers.entry(ca.public_key().raw.to_vec()).or_default();
            if number < *before {
                let (number, before) = (number.to_string(), before.to_string());
                return Err(TlsError::OlderCrl { path: files.crl.clone(), number, before });
            }
            *before = number;
        }

        let mut revoked = HashSet::new();
        let mut ends = Vec::new();
        for (_, list) in &lists {
            revoked.extend(list.iter_revoked_certificates().map(|one| one.raw_serial().to_vec()));
            let end = list.next_update().map(|end| end.timestamp()).ok_or_else(unusable)?;
            ends.push(OffsetDateTime::from_unix_timestamp(end).map_err(|_| unusable())?);
        }
        let until = ends.into_iter().min().ok_or_else(unusable)?;
        let ders = lists.iter().map(|(der, _)| (*der).clone()).collect();
        Ok(Self { ders, revoked, until, numbers })
    }
}
