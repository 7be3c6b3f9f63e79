//! The linkage key of an epoch: one secret that every node of a deployment holds, and nobody else.
//!
//! It has nothing to do with certificates. It is made here because whoever governs the deployment does
//! so, once, on the machine that holds the CA.

use std::path::{Path, PathBuf};

use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::{
    certificate::hex,
    files::{FilesError, write_secret},
};

/// No key file was made.
#[derive(Debug, thiserror::Error)]
pub enum EpochError {
    /// Another key of the same name would leave nodes that cannot be linked.
    #[error(
        "{} is there already: every node needs the same key, so copy that one to them, or choose another file \
         for a new epoch", .0.display()
    )]
    Exists(PathBuf),
    /// The machine has no randomness to give.
    #[error("this machine's random number generator failed: no key was made")]
    NoRandomness,
    /// The file could not be written.
    #[error(transparent)]
    Files(#[from] FilesError),
}

/// Makes a key and writes it to a file that only this user may read, in the form that nodes take in.
pub fn make(path: &Path, epoch: u64) -> Result<(), EpochError> {
    if path.exists() {
        return Err(EpochError::Exists(path.to_owned()));
    }
    let mut key = Zeroizing::new([0; 32]);
    SystemRandom::new().fill(&mut key[..]).map_err(|_| EpochError::NoRandomness)?;
    let digits = Zeroizing::new(hex(&key[..]));
    let (key, no_roster) = (digits.as_str(), hex(&[0; 32]));
    let text = Zeroizing::new(format!(
        "# Causeway linkage key, secret: the same file goes to every node, which takes it in and erases it.\n\
         epoch = {epoch}\n\
         # Which roster of members it is for; zeros as long as no custodian keeps one.\n\
         roster_hash = \"{no_roster}\"\n\
         key = \"{key}\"\n"
    ));
    Ok(write_secret(path, text.as_bytes())?)
}
