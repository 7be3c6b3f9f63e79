//! One process at a time answers for a store: two would each hold a session of their own, and what is
//! closed at one would stay open at the other.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The right to answer for a store, until it is dropped or the process ends, however that ends.
#[derive(Debug)]
pub struct Claim(#[expect(dead_code, reason = "locked for as long as it is open")] File);

/// The store cannot be claimed.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// Another process has it.
    #[error("another node serves the records in {}: stop it first", .0.display())]
    Taken(PathBuf),
    /// The file that is locked cannot be made or locked.
    #[error("could not lock {}", path.display())]
    Lock {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Claim {
    /// Claims a store that is there.
    ///
    /// What is locked is an empty file beside it, which stays: the lock goes with the process, and
    /// whoever removed the file would let two in. Reading and taking in need no claim.
    pub fn of(store: &Path) -> Result<Self, ClaimError> {
        // By another name it is the same store.
        let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
        let mut path = store.clone().into_os_string();
        path.push(".serving");
        let path = PathBuf::from(path);
        let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
        let locked = opened.map_err(TryLockError::Error).and_then(|file| {
            file.try_lock()?;
            Ok(file)
        });
        match locked {
            Ok(file) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(ClaimError::Taken(store)),
            Err(TryLockError::Error(source)) => Err(ClaimError::Lock { path, source }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_served_once_by_whatever_name_and_again_when_that_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("node.db");
        std::fs::write(&store, "").unwrap();
        let other_name = folder.path().join("also.db");
        std::os::unix::fs::symlink(&store, &other_name).unwrap();
        let claim = Claim::of(&store).unwrap();
        for name in [&store, &other_name] {
            let refused = Claim::of(name).unwrap_err().to_string();
            assert!(refused.starts_with("another node serves"), "{refused}");
        }
        drop(claim);
        Claim::of(&other_name).unwrap();
    }
}
