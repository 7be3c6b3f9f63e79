//! One process at a time answers for a store, and one at a time takes exports in.
//!
//! Two that answer would each hold a session of their own, and what is closed at one would stay open at the
//! other. Of two that take in, what one read before would take the place of what the other has brought since.

use std::{
    fs::{File, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use causeway_certs::files;
use tokio::time::sleep;

/// The right to answer for a store, or to take exports in, until it is dropped or the process ends, however that
/// ends.
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
    /// Claims to answer for a store that is there.
    ///
    /// What is locked is an empty file beside it, which stays: the lock goes with the process, and
    /// whoever removed the file would let two in. Reading needs no claim.
    pub fn of(store: &Path) -> Result<Self, ClaimError> {
        let (path, file) = beside(store, ".serving")?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(ClaimError::Taken(store.to_owned())),
            Err(TryLockError::Error(source)) => Err(ClaimError::Lock { path, source }),
        }
    }

    /// Waits until nobody else is taking an export in. To be called before the export is read.
    pub async fn of_intake(store: &Path) -> Result<Self, ClaimError> {
        /// How often to look whether it is over: whoever is told to stop does not wait for another process.
        const LOOK_EVERY: Duration = Duration::from_millis(100);
        let (path, file) = beside(store, ".intake")?;
        let mut waits = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self(file)),
                Err(TryLockError::WouldBlock) => {
                    if !std::mem::replace(&mut waits, true) {
                        tracing::info!("waits for another process that is taking an export in");
                    }
                    sleep(LOOK_EVERY).await;
                }
                Err(TryLockError::Error(source)) => return Err(ClaimError::Lock { path, source }),
            }
        }
    }
}

/// Opens an empty file beside a store, the same one by whatever name the store goes.
fn beside(store: &Path, ending: &str) -> Result<(PathBuf, File), ClaimError> {
    let store = store.canonicalize().unwrap_or_else(|_| store.to_owned());
    let mut path = store.into_os_string();
    path.push(ending);
    let path = PathBuf::from(path);
    match files::to_lock(&path) {
        Ok(file) => Ok((path, file)),
        Err(source) => Err(ClaimError::Lock { path, source }),
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

    #[tokio::test]
    async fn exports_are_taken_in_by_one_after_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("node.db");
        let first = Claim::of_intake(&store).await.unwrap();
        let mut second = Box::pin(Claim::of_intake(&store));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        second.await.unwrap();
    }
}
