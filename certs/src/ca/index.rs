//! What the CA issued and revoked, as a text file that only grows.
//!
//! One line per event, oldest first, words separated by single spaces, so that `grep` and `tail`
//! answer most questions. A change is written before what it is about leaves the folder: a
//! certificate that somebody holds is always in here.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    path::Path,
};

use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::CaError;
use crate::{
    certificate::{Certificate, hex, unhex, utc},
    files,
    name::Identity,
};

const TITLE: &str = "# causeway-certs index 1: what this CA did; lines are only ever added\n";

/// One certificate that the CA issued.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its serial number.
    pub serial: Vec<u8>,
    /// Whose it is.
    pub identity: Identity,
    /// The last moment it holds.
    pub not_after: OffsetDateTime,
    /// SHA-256 of its public key. Lines that an older program wrote do not say.
    pub key_fingerprint: Option<Vec<u8>>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<OffsetDateTime>,
}

/// The index, in memory while it is read or changed.
pub(super) struct Index {
    text: String,
    entries: BTreeMap<Vec<u8>, Entry>,
    crl_number: u64,
}

impl Index {
    /// Returns the index of a CA that has done nothing yet.
    pub(super) fn new() -> Self {
        Self { text: TITLE.to_owned(), entries: BTreeMap::new(), crl_number: 0 }
    }

    /// Waits until no other process is changing the CA in `folder`. The lock lasts as long as the
    /// file that is returned.
    pub(super) fn lock(folder: &Path) -> Result<File, CaError> {
        let path = folder.join("lock");
        files::lock(&path).map_err(|source| CaError::Unreadable { path, source })
    }

    /// Changes the index at `path`, under the lock of its folder.
    pub(super) fn change<T>(
        _lock: &File,
        path: &Path,
        with: impl FnOnce(&mut Self) -> Result<T, CaError>,
    ) -> Result<T, CaError> {
        let mut index = Self::load(path)?;
        let done = with(&mut index)?;
        index.save(path)?;
        Ok(done)
    }

    pub(super) fn load(path: &Path) -> Result<Self, CaError> {
        let text = fs::read_to_string(path)
            .map_err(|source| CaError::Unreadable { path: path.to_owned(), source })?;
        let mut index = Self { text: String::new(), ..Self::new() };
        for (number, line) in (1..).zip(text.lines()) {
            let damaged = || CaError::Index { path: path.to_owned(), line: number };
            index.take_in(line).ok_or_else(damaged)?;
        }
        Ok(Self { text, ..index })
    }

    pub(super) fn save(&self, path: &Path) -> Result<(), CaError> {
        Ok(files::write_public(path, self.text.as_bytes())?)
    }

    pub(super) fn issued(&mut self, certificate: &Certificate) {
        let Certificate { identity, serial, not_after, key_fingerprint, .. } = certificate;
        let (serial, key) = (hex(serial), hex(key_fingerprint));
        self.add(format!("issued {serial} {identity} {} {key}", utc(*not_after)));
    }

    pub(super) fn revoked(&mut self, serial: &[u8], now: OffsetDateTime) {
        self.add(format!("revoked {} {}", hex(serial), utc(now)));
    }

    /// Counts one more revocation list and returns its number.
    pub(super) fn listed(&mut self, next_update: OffsetDateTime) -> u64 {
        self.add(format!("crl {} {}", self.crl_number + 1, utc(next_update)));
        self.crl_number
    }

    pub(super) fn get(&self, serial: &[u8]) -> Option<&Entry> {
        self.entries.get(serial)
    }

    /// Returns when a certificate for this key was first revoked, if one was.
    pub(super) fn key_revoked(&self, fingerprint: &[u8]) -> Option<OffsetDateTime> {
        self.entries()
            .filter(|entry| entry.key_fingerprint.as_deref() == Some(fingerprint))
            .filter_map(|entry| entry.revoked_at)
            .min()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    fn add(&mut self, line: String) {
        self.take_in(&line).expect("we write what we can read");
        self.text.push_str(&line);
        self.text.push('\n');
    }

    /// Takes in one line, or returns nothing when it makes no sense here.
    fn take_in(&mut self, line: &str) -> Option<()> {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["#", ..] => {}
            ["issued", serial, identity, not_after, ref key @ ..] => {
                let serial = unhex(serial)?;
                let entry = Entry {
                    serial: serial.clone(),
                    identity: identity.parse().ok()?,
                    not_after: date(not_after)?,
                    key_fingerprint: match key {
                        [] => None,
                        [key] => Some(unhex(key)?),
                        _ => return None,
                    },
                    revoked_at: None,
                };
                self.entries.insert(serial, entry);
            }
            ["revoked", serial, at] => {
                self.entries.get_mut(&unhex(serial)?)?.revoked_at = Some(date(at)?);
            }
            ["crl", number, next_update] => {
                date(next_update)?;
                self.crl_number = number.parse().ok()?;
            }
            _ => return None,
        }
        Some(())
    }
}

fn date(text: &str) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(text, &Rfc3339).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_reads_back_as_it_was_and_names_a_line_that_makes_no_sense() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let at = OffsetDateTime::from_unix_timestamp(1_790_000_000).unwrap();
        let housing = Certificate {
            identity: "spiffe://town.causeway/node/housing".parse().unwrap(),
            serial: vec![0x4a, 1],
            not_before: at,
            not_after: at,
            dns_names: Vec::new(),
            fingerprint: [0; 32],
            key_fingerprint: [7; 32],
        };

        let mut index = Index::new();
        index.issued(&housing);
        index.revoked(&[0x4a, 1], at);
        assert_eq!(index.listed(at), 1);
        index.save(&path).unwrap();
        let mut again = Index::load(&path).unwrap();
        assert_eq!(again.text, index.text);
        assert_eq!(again.get(&[0x4a, 1]).unwrap().revoked_at, Some(at));
        assert_eq!(again.key_revoked(&[7; 32]), Some(at));
        assert_eq!(again.listed(at), 2);

        fs::write(&path, format!("{}revoked 4a02 {}\n", index.text, utc(at))).unwrap();
        let refused = Index::load(&path).err().unwrap().to_string();
        assert!(
            refused.ends_with("index is damaged in line 5: restore it from a copy"),
            "{refused}"
        );
    }

    #[test]
    fn a_line_of_an_older_program_says_nothing_of_the_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("index");
        let line = "issued 4a01 spiffe://town.causeway/node/housing 2026-09-21T14:13:20Z";
        fs::write(&path, format!("{TITLE}{line}\n")).unwrap();
        assert!(Index::load(&path).unwrap().get(&[0x4a, 1]).unwrap().key_fingerprint.is_none());
        fs::write(&path, format!("{TITLE}{line} 07 07\n")).unwrap();
        assert!(Index::load(&path).is_err());
    }
}
