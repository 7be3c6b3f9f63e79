//! What the commands answer: the same facts for people and, in JSON, for programs.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use causeway_proto::ids::AgencyId;
use serde::Serialize;
use time::OffsetDateTime;

use crate::{
    ca::Crl,
    certificate::{Certificate, hex, utc},
};

/// An answer in both forms.
pub(super) trait Report: Serialize + fmt::Display {}

impl<T: Serialize + fmt::Display> Report for T {}

/// A CA was made.
#[derive(Debug, Serialize)]
pub(super) struct CaReport {
    deployment: AgencyId,
    folder: PathBuf,
}

/// What a certificate holds, and where it was written.
#[derive(Debug, Serialize)]
pub(super) struct CertificateReport {
    identity: String,
    member: String,
    serial: String,
    fingerprint_sha256: String,
    key_fingerprint_sha256: String,
    dns_names: Vec<String>,
    not_before: String,
    not_after: String,
    /// Negative when it ran out.
    days_left: i64,
    /// Absent when there was no list to look it up in.
    revoked: Option<bool>,
    #[serde(skip)]
    looked_up_in: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<PathBuf>,
}

/// A revocation list was signed.
#[derive(Debug, Serialize)]
pub(super) struct CrlReport {
    crl: PathBuf,
    number: u64,
    revoked: usize,
    next_update: String,
}

/// A linkage key was made. Says nothing of the key.
#[derive(Debug, Serialize)]
pub(super) struct EpochReport {
    pub(super) epoch: u64,
    pub(super) file: PathBuf,
}

/// Certificates were revoked, and a list that says so was signed.
#[derive(Debug, Serialize)]
pub(super) struct RevokedReport {
    pub(super) serials: Vec<String>,
    pub(super) list: CrlReport,
}

impl CaReport {
    pub(super) fn new(deployment: &AgencyId, folder: &Path) -> Self {
        Self { deployment: deployment.clone(), folder: folder.to_owned() }
    }
}

impl CertificateReport {
    pub(super) fn new(certificate: &Certificate, now: OffsetDateTime) -> Self {
        Self {
            identity: certificate.identity.to_string(),
            member: certificate.identity.short(),
            serial: hex(&certificate.serial),
            fingerprint_sha256: hex(&certificate.fingerprint),
            key_fingerprint_sha256: hex(&certificate.key_fingerprint),
            dns_names: certificate.dns_names.clone(),
            not_before: utc(certificate.not_before),
            not_after: utc(certificate.not_after),
            days_left: (certificate.not_after - now).whole_days(),
            revoked: None,
            looked_up_in: None,
            files: Vec::new(),
        }
    }

    pub(super) fn with_files<'a>(mut self, files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        self.files = files.into_iter().cloned().collect();
        self
    }

    pub(super) fn looked_up(mut self, listed: bool, crl: PathBuf) -> Self {
        self.revoked = Some(listed);
        self.looked_up_in = Some(crl);
        self
    }
}

impl CrlReport {
    pub(super) fn new(crl: &Crl, folder: &Path) -> Self {
        Self {
            crl: folder.join("crl.pem"),
            number: crl.number,
            revoked: crl.revoked,
            next_update: utc(crl.next_update),
        }
    }
}

impl fmt::Display for CaReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let folder = self.folder.display();
        writeln!(f, "made a CA for deployment {} in {folder}", self.deployment)?;
        writeln!(f, "next: causeway-certs issue coordinator/main --out coordinator --ca {folder}")
    }
}

impl fmt::Display for CertificateReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.member)?;
        writeln!(f, "  identity     {}", self.identity)?;
        writeln!(f, "  dns          {}", self.dns_names.join(", "))?;
        writeln!(f, "  serial       {}", self.serial)?;
        writeln!(f, "  fingerprint  {}", self.fingerprint_sha256)?;
        writeln!(f, "  key          {}", self.key_fingerprint_sha256)?;
        writeln!(f, "  from         {}", self.not_before)?;
        let left = match self.days_left {
            days @ ..0 => format!("EXPIRED {} days ago", -days),
            0 => "less than a day left".to_owned(),
            days => format!("{days} days left"),
        };
        writeln!(f, "  until        {} ({left})", self.not_after)?;
        if let (Some(revoked), Some(crl)) = (self.revoked, &self.looked_up_in) {
            let word = if revoked { "YES" } else { "no" };
            writeln!(f, "  revoked      {word}, by {}", crl.display())?;
        }
        self.files.iter().try_for_each(|file| writeln!(f, "  wrote        {}", file.display()))
    }
}

impl fmt::Display for CrlReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { crl, number, revoked, next_update } = self;
        let crl = crl.display();
        writeln!(f, "wrote {crl}: list {number}, {revoked} revoked, good until {next_update}")?;
        writeln!(f, "next: copy it to every member")
    }
}

impl fmt::Display for EpochReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "wrote {}: the linkage key of epoch {}", self.file.display(), self.epoch)?;
        writeln!(
            f,
            "next: put the same file into every node's keys folder as epoch.key, mode 0600,"
        )?;
        writeln!(f, "      and never let the coordinator's operators see it")
    }
}

impl fmt::Display for RevokedReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serials.iter().try_for_each(|serial| writeln!(f, "revoked {serial}"))?;
        self.list.fmt(f)
    }
}
