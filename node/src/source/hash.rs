//! Tells rows and files that were seen before from new and changed ones.
//!
//! These hashes carry no key, and whoever has one can test guesses against it. They stay in the
//! node's own store, beside the records they are of.

use std::fmt;

use ring::digest;

/// A hash of what one row says under its mapping: equal for a row delivered again.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RowHash([u8; 16]);

/// The SHA-256 of a file as it was delivered.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct FileHash([u8; 32]);

impl RowHash {
    /// Returns the bytes, for the store.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FileHash {
    /// Returns the bytes, for the store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub(super) fn of(context: digest::Context) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        Self(hash)
    }
}

/// Hashes the parts of a row so that neither order nor boundaries can be confused: every part goes
/// in behind its length.
pub(super) fn row<'a>(parts: impl IntoIterator<Item = &'a str>) -> RowHash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part.as_bytes());
    }
    let mut hash = [0; 16];
    hash.copy_from_slice(&context.finish().as_ref()[..16]);
    RowHash(hash)
}

impl fmt::Debug for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, ..] = self.0;
        write!(f, "RowHash({a:02x}{b:02x}{c:02x}{d:02x}..)")
    }
}

impl fmt::Display for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for FileHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileHash({self})")
    }
}

impl serde::Serialize for FileHash {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_cannot_run_into_each_other() {
        assert_eq!(row(["a", "b"]), row(["a", "b"]));
        assert_ne!(row(["ab", "c"]), row(["a", "bc"]));
        assert_ne!(row(["a", ""]), row(["a"]));
    }

    #[test]
    fn a_files_hash_is_its_sha256() {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"abc");
        let hash = FileHash::of(context).to_string();
        assert_eq!(hash, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
