//! The node's keys between runs: two files that only this user may read.
//!
//! `epoch.key` is what a custodian, or IT by hand, puts in place: one epoch's linkage key. The node
//! takes it in, begins the chain, and removes it. `chain.key` is the node's own: the keys that hash
//! fields for this epoch, and the chain key of the next sweep. `handle.key` is 32 random bytes that
//! no other machine ever has.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
};

use causeway_certs::files::{self, FilesError, read_secret, write_secret};
use causeway_proto::{
    ids::{AgencyId, SweepId},
    kind::{MatchKeyKind, RECIPE},
    limits::SWEEP_JUMP,
};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

use super::{
    chain::{Chain, ChainError, EpochKey, Secret, SweepKeys},
    recipe::MatchKeys,
};

/// The folder of a node's keys.
#[derive(Clone, Debug)]
pub struct Keyring {
    folder: PathBuf,
    deployment: AgencyId,
}

/// The keys could not be read, written or used.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// A file could not be read or written, or others may read it.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// There is no linkage key yet.
    #[error(
        "this node has no linkage key yet: put the epoch's key at {}, readable by this user only; \
         whoever governs the federation makes it once, with `causeway-certs epoch-key`, for all nodes", .0.display()
    )]
    NoKey(PathBuf),
    /// A file does not hold what it should.
    #[error("{} is not a key file of this version: {problem}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, without what it says.
        problem: &'static str,
    },
    /// The epoch's key is older than the one in use.
    #[error("{} holds epoch {found}, and this node already uses epoch {current}", path.display())]
    OldEpoch {
        /// Which file.
        path: PathBuf,
        /// What it holds.
        found: u64,
        /// What is in use.
        current: u64,
    },
    /// The sweep cannot be opened any more, or not yet.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// Nobody could be kept from the keys while they are read or changed.
    #[error("could not lock {}: may this user write its folder?", path.display())]
    Locked {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The machine has no randomness to give.
    #[error("this machine's random number generator failed")]
    NoRandomness,
}

/// What `epoch.key` should hold, for whoever has one that does not.
const EPOCH_FORMAT: &str = "it should hold three lines as `causeway-certs epoch-key` writes them: \
                            epoch = 1, roster_hash = \"64 hexadecimal digits\" and key = \"64 \
                            hexadecimal digits\"";

/// `epoch.key` as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EpochFile {
    epoch: u64,
    roster_hash: String,
    key: String,
}

/// `chain.key` as it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainFile {
    recipe: u16,
    epoch: u64,
    commit: String,
    sweep: u64,
    chain_key: String,
    match_keys: Vec<String>,
}

impl Drop for EpochFile {
    fn drop(&mut self) {
        self.key.zeroize();
    }
}

impl Drop for ChainFile {
    fn drop(&mut self) {
        self.chain_key.zeroize();
        self.match_keys.zeroize();
    }
}

impl Keyring {
    /// Names the folder that holds the keys.
    pub fn new(folder: impl Into<PathBuf>, deployment: AgencyId) -> Self {
        Self { folder: folder.into(), deployment }
    }

    /// Returns where the epoch's key is to be put.
    pub fn epoch_file(&self) -> PathBuf {
        self.folder.join("epoch.key")
    }

    fn chain_file(&self) -> PathBuf {
        self.folder.join("chain.key")
    }

    /// Makes and removes a file in the folder, and says why that does not go: a key that cannot be
    /// replaced is one that is never erased.
    pub fn try_write(&self) -> Result<(), KeyringError> {
        let path = self.folder.join(".writable");
        write_secret(&path, b"")?;
        erase(&path);
        Ok(())
    }

    /// Makes the node's own key, unless it has one.
    pub fn init(&self) -> Result<(), KeyringError> {
        let path = self.folder.join("handle.key");
        if path.exists() {
            return Ok(());
        }
        let mut key = Zeroizing::new([0; 32]);
        SystemRandom::new().fill(&mut key[..]).map_err(|_| KeyringError::NoRandomness)?;
        Ok(write_secret(&path, Zeroizing::new(hex(&key[..])).as_bytes())?)
    }

    /// Returns the key that only this node has.
    pub fn handle_key(&self) -> Result<Secret, KeyringError> {
        let path = self.folder.join("handle.key");
        let text = read_secret(&path)?;
        let text = std::str::from_utf8(&text).unwrap_or_default().trim();
        let problem = "it should be 64 hexadecimal digits";
        unhex(text).map(Zeroizing::new).ok_or(KeyringError::Unreadable { path, problem })
    }

    /// Puts an epoch's key in place, as a custodian or `town` does.
    pub fn put_epoch(&self, key: &EpochKey) -> Result<(), KeyringError> {
        let file = EpochFile {
            epoch: key.epoch,
            roster_hash: hex(&key.roster_hash),
            key: hex(&key.key[..]),
        };
        let text = toml::to_string(&file).expect("numbers and hexadecimal digits");
        let text = Zeroizing::new(format!("# Causeway linkage key. The node takes it in.\n{text}"));
        Ok(write_secret(self.epoch_file(), text.as_bytes())?)
    }

    /// Returns the chain, after taking in an epoch's key if one was put in place.
    pub fn chain(&self) -> Result<Chain, KeyringError> {
        let _lock = self.lock()?;
        self.newest_chain()
    }

    /// Waits until no other process or thread is at the keys: whoever writes a chain has read the newest. The
    /// lock lasts as long as the file that is returned; nobody changes a folder that is not there, or that
    /// cannot be written.
    fn lock(&self) -> Result<Option<File>, KeyringError> {
        let path = self.folder.join("lock");
        match files::lock(&path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if files::is_fixed(&error) || error.kind() == ErrorKind::NotFound => {
                Ok(None)
            }
            Err(source) => Err(KeyringError::Locked { path, source }),
        }
    }

    fn newest_chain(&self) -> Result<Chain, KeyringError> {
        let current = self.read_chain()?;
        let Some(new) = self.read_epoch()? else {
            return current.ok_or_else(|| KeyringError::NoKey(self.epoch_file()));
        };
        let path = self.epoch_file();
        if let Some(current) = &current {
            if new.epoch == current.epoch() && new.commit() == current.commit() {
                // Taken in before, and the file was not gone when the machine stopped, or cannot be removed.
                erase(&path);
                return Ok(current.clone());
            }
            if new.epoch <= current.epoch() {
                let (found, current) = (new.epoch, current.epoch());
                return Err(KeyringError::OldEpoch { path, found, current });
            }
        }
        let chain = new.begin(&self.deployment);
        self.write_chain(&chain)?;
        erase(&path);
        tracing::info!(key.epoch = chain.epoch(), "took in the epoch's linkage key");
        Ok(chain)
    }

    /// Returns the keys for hashing fields.
    pub fn match_keys(&self) -> Result<MatchKeys, KeyringError> {
        let chain = self.chain()?;
        Ok(MatchKeys::new(chain.match_keys(), chain.commit()))
    }

    /// Moves the chain to a sweep and returns the sweep's keys. Every key before it is erased.
    pub fn open_sweep(&self, sweep: &SweepId) -> Result<(Chain, SweepKeys), KeyringError> {
        let _lock = self.lock()?;
        let mut chain = self.newest_chain()?;
        let before = chain.index();
        chain.advance(sweep.counter(), furthest_jump(&chain))?;
        if chain.index() != before {
            self.write_chain(&chain)?;
        }
        let keys = chain.sweep(sweep, &self.handle_key()?)?;
        Ok((chain, keys))
    }

    /// Moves the chain past a sweep that was opened, so that its keys are gone.
    pub fn close_sweep(&self, sweep: &SweepId) -> Result<(), KeyringError> {
        let _lock = self.lock()?;
        let mut chain = self.newest_chain()?;
        // Opening a sweep moves the chain to it: one further ahead was never opened with this key.
        if chain.index() == sweep.counter() {
            chain.advance(sweep.counter().saturating_add(1), 1)?;
            self.write_chain(&chain)?;
        }
        Ok(())
    }

    fn read_epoch(&self) -> Result<Option<EpochKey>, KeyringError> {
        let path = self.epoch_file();
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        if !bytes.is_empty() && bytes.iter().all(|byte| *byte == 0) {
            // Overwritten, and not removed.
            erase(&path);
            return Ok(None);
        }
        let problem = EPOCH_FORMAT;
        let file: EpochFile = parsed(&path, &bytes, problem)?;
        let (Some(roster_hash), Some(key)) = (unhex(&file.roster_hash), unhex(&file.key)) else {
            return Err(KeyringError::Unreadable { path, problem });
        };
        Ok(Some(EpochKey { epoch: file.epoch, roster_hash, key: Zeroizing::new(key) }))
    }

    fn read_chain(&self) -> Result<Option<Chain>, KeyringError> {
        let path = self.chain_file();
        let Some(bytes) = read_if_there(&path)? else { return Ok(None) };
        let problem = "it is not as this node writes it";
        let file: ChainFile = parsed(&path, &bytes, problem)?;
        let keys: Option<Vec<[u8; 32]>> = file.match_keys.iter().map(|key| unhex(key)).collect();
        match (unhex(&file.commit), unhex(&file.chain_key), keys) {
            (Some(commit), Some(chain_key), Some(keys))
                if file.recipe == RECIPE && keys.len() == MatchKeyKind::COUNT =>
            {
                Ok(Some(Chain::restore(file.epoch, commit, keys, file.sweep, chain_key)))
            }
            _ => Err(KeyringError::Unreadable { path, problem }),
        }
    }

    fn write_chain(&self, chain: &Chain) -> Result<(), KeyringError> {
        let file = ChainFile {
            recipe: RECIPE,
            epoch: chain.epoch(),
            commit: hex(&chain.commit()),
            sweep: chain.index(),
            chain_key: hex(chain.chain_key()),
            match_keys: chain.match_keys().iter().map(|key| hex(key)).collect(),
        };
        let text = Zeroizing::new(toml::to_string(&file).expect("numbers and hexadecimal digits"));
        Ok(write_secret(self.chain_file(), text.as_bytes())?)
    }
}

/// A key that was never used takes in a federation at whatever sweep that is: to move on so far takes about a
/// second.
const FIRST_JUMP: u64 = 1_000_000;

/// Returns how far ahead of the chain a sweep's counter may be.
fn furthest_jump(chain: &Chain) -> u64 {
    if chain.index() == 0 { FIRST_JUMP } else { SWEEP_JUMP }
}

/// Reads a secret file, or `None` if there is none.
fn read_if_there(path: &Path) -> Result<Option<Zeroizing<Vec<u8>>>, KeyringError> {
    Ok(path.exists().then(|| read_secret(path)).transpose()?)
}

fn parsed<T: for<'a> Deserialize<'a>>(
    path: &Path,
    bytes: &[u8],
    problem: &'static str,
) -> Result<T, KeyringError> {
    // The parser's own message would quote the line, and so the key.
    let parsed = std::str::from_utf8(bytes).ok().and_then(|text| toml::from_str(text).ok());
    parsed.ok_or_else(|| KeyringError::Unreadable { path: path.to_owned(), problem })
}

/// Removes a file and overwrites what it held. What a file system keeps of it is beyond us: the key's folder
/// should be on an encrypted volume.
///
/// It is removed first: where it cannot be written, or the machine stops in between, it is gone all the same.
fn erase(path: &Path) {
    let opened = OpenOptions::new().write(true).open(path);
    let removed = fs::remove_file(path);
    let overwritten = opened.and_then(|mut file| {
        let length = usize::try_from(file.metadata()?.len()).unwrap_or(0);
        file.write_all(&vec![0; length])?;
        file.sync_all()
    });
    let path = path.display();
    match (removed, overwritten) {
        (Err(error), _) if error.kind() != ErrorKind::NotFound => {
            tracing::warn!(%path, %error, "could not remove the epoch's key; remove it by hand");
        }
        (Ok(()), Err(error)) => {
            tracing::warn!(%path, %error, "removed the epoch's key and could not overwrite it");
        }
        _ => {}
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = fmt::Write::write_fmt(&mut text, format_args!("{byte:02x}"));
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
