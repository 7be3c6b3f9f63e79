//! From an epoch's linkage key to the keys of one sweep, and no way back.
//!
//! ```text
//! K_epoch -> PRK -> K_y[kind]                    hashes fields at ingest; kept for the epoch
//!              \--> CK_0 -> CK_1 -> … -> CK_i    the chain: CK_i is erased when sweep i closes
//!                                        \--> K_sweep[i] -> one key for each use in the sweep
//! ```
//!
//! Labels and sizes are those of `privacy/PRIVACY.md`, section 7, with the two levels of DESIGN.md,
//! section 4; `privacy/vectors.txt` holds the vectors that the tests check. `K_epoch` and PRK are
//! erased as soon as the chain has begun, so a node that is broken into later cannot compute the
//! tokens of earlier sweeps.

use aes::{
    Aes128, Block,
    cipher::{BlockDecrypt, BlockEncrypt, KeyInit},
};
use causeway_proto::{
    ids::{AgencyId, DwellingKey, EventKey, Handle, SweepId},
    kind::{MatchKeyKind, RECIPE},
};
use ring::{digest, hmac};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// 32 secret bytes that erase themselves.
pub type Secret = Zeroizing<[u8; 32]>;

/// What a custodian, or IT by hand, gives to every node of a federation.
pub struct EpochKey {
    /// Which epoch; grows by one with every new key.
    pub epoch: u64,
    /// Which roster of members it was made for.
    pub roster_hash: [u8; 32],
    /// 32 random bytes.
    pub key: Secret,
}

/// A node's place in the chain.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Chain {
    epoch: u64,
    commit: [u8; 32],
    /// `K_y` by [`MatchKeyKind::index`].
    match_keys: Vec<[u8; 32]>,
    index: u64,
    chain_key: [u8; 32],
}

/// The chain cannot be moved where it was asked to.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// The sweep's counter was used or passed before. Its keys are erased.
    #[error("sweep {asked} is over: this node's key is already at sweep {at}")]
    Passed {
        /// The counter that was asked for.
        asked: u64,
        /// Where the chain is.
        at: u64,
    },
    /// The counter is further ahead than any honest coordinator's.
    #[error("sweep {asked} is more than {most} ahead of sweep {at}, where this node's key is")]
    TooFar {
        /// The counter that was asked for.
        asked: u64,
        /// Where the chain is.
        at: u64,
        /// The furthest jump allowed.
        most: u64,
    },
}

/// Concatenates length-prefixed parts, so that neither their order nor where one ends and the next
/// begins can be confused.
pub fn enc(label: &str, parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    for part in std::iter::once(&label.as_bytes()).chain(parts) {
        let length = u32::try_from(part.len()).expect("parts are short");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// HKDF-Expand with SHA-256 to 32 bytes (RFC 5869, one block).
fn expand(prk: &[u8], info: &[u8]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, prk));
    context.update(info);
    context.update(&[1]);
    context.sign().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest::digest(&digest::SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

impl EpochKey {
    /// Returns the commitment that nodes compare to see that they hold the same key.
    pub fn commit(&self) -> [u8; 32] {
        sha256(&enc("causeway/v1/link-key-commit", &[&self.epoch.to_be_bytes(), &self.key[..]]))
    }

    /// Begins the chain of this epoch.
    pub fn begin(&self, deployment: &AgencyId) -> Chain {
        let epoch = self.epoch.to_be_bytes();
        let parts: [&[u8]; 3] = [deployment.as_str().as_bytes(), &epoch, &self.roster_hash];
        let salt = sha256(&enc("causeway/v1/link-epoch", &parts));
        let prk = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &salt), &self.key[..]);
        let recipe = RECIPE.to_be_bytes();
        let match_key = |kind: &MatchKeyKind| {
            expand(prk.as_ref(), &enc("causeway/v1/y", &[&recipe, &[kind.number()]]))
        };
        Chain {
            epoch: self.epoch,
            commit: self.commit(),
            match_keys: MatchKeyKind::ALL.iter().map(match_key).collect(),
            index: 0,
            chain_key: expand(prk.as_ref(), &enc("causeway/v1/chain", &[])),
        }
    }
}

impl Chain {
    /// Takes a chain back from where it was kept.
    pub fn restore(
        epoch: u64,
        commit: [u8; 32],
        match_keys: Vec<[u8; 32]>,
        index: u64,
        chain_key: [u8; 32],
    ) -> Self {
        Self { epoch, commit, match_keys, index, chain_key }
    }

    /// Returns which epoch's key this came from.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Returns the commitment to that key.
    pub fn commit(&self) -> [u8; 32] {
        self.commit
    }

    /// Returns the next sweep's counter: no lower one can be opened.
    pub fn index(&self) -> u64 {
        self.index
    }

    /// Returns the keys for hashing fields, by [`MatchKeyKind::index`], for keeping.
    pub fn match_keys(&self) -> &[[u8; 32]] {
        &self.match_keys
    }

    /// Returns the chain key, for keeping.
    pub fn chain_key(&self) -> &[u8; 32] {
        &self.chain_key
    }

    /// Moves on to a sweep's counter, erasing every key before it.
    ///
    /// # Errors
    /// Fails, and stays, when the counter lies behind, or more than `most` ahead.
    pub fn advance(&mut self, to: u64, most: u64) -> Result<(), ChainError> {
        let at = self.index;
        if to < at {
            return Err(ChainError::Passed { asked: to, at });
        }
        if to - at > most {
            return Err(ChainError::TooFar { asked: to, at, most });
        }
        let label = enc("causeway/v1/ratchet", &[]);
        while self.index < to {
            self.chain_key = expand(&self.chain_key, &label);
            self.index += 1;
        }
        Ok(())
    }

    /// Returns the keys of the sweep that the chain has been moved to.
    ///
    /// `handle_key` is this node's own and never leaves it.
    ///
    /// # Errors
    /// Fails when the chain is not at the sweep's counter.
    pub fn sweep(&self, sweep: &SweepId, handle_key: &Secret) -> Result<SweepKeys, ChainError> {
        if sweep.counter() != self.index {
            return Err(ChainError::Passed { asked: sweep.counter(), at: self.index });
        }
        let shared =
            Zeroizing::new(expand(&self.chain_key, &enc("causeway/v1/sweep", &[sweep.as_bytes()])));
        let recipe = RECIPE.to_be_bytes();
        let cipher = |key: [u8; 32]| Aes128::new_from_slice(&key[..16]).expect("16 bytes");
        let of_kind = |kind: &MatchKeyKind| {
            cipher(expand(&shared[..], &enc("causeway/v1/match-key", &[&recipe, &[kind.number()]])))
        };
        let hashing =
            |label| hmac::Key::new(hmac::HMAC_SHA256, &expand(&shared[..], &enc(label, &[])));
        Ok(SweepKeys {
            kinds: MatchKeyKind::ALL.iter().map(of_kind).collect(),
            comparing: cipher(expand(&shared[..], &enc("causeway/v1/compare", &[]))),
            dwellings: hashing("causeway/v1/dwelling"),
            events: hashing("causeway/v1/event"),
            own: OwnKeys::new(handle_key, sweep),
        })
    }
}

impl std::fmt::Debug for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Chain(epoch {}, sweep {})", self.epoch, self.index)
    }
}

/// The keys of one sweep.
pub struct SweepKeys {
    kinds: Vec<Aes128>,
    comparing: Aes128,
    dwellings: hmac::Key,
    events: hmac::Key,
    /// What this node shares with nobody.
    pub own: OwnKeys,
}

impl SweepKeys {
    /// Returns the cipher of one kind: a token is the first 8 bytes of its block over `y`.
    pub fn kind(&self, kind: MatchKeyKind) -> &Aes128 {
        &self.kinds[kind.index()]
    }

    /// Returns the cipher that comparisons are salted under.
    pub fn comparing(&self) -> &Aes128 {
        &self.comparing
    }

    /// Returns a dwelling's name in this sweep, from its canonical fields.
    pub fn dwelling(&self, fields: &[&str]) -> DwellingKey {
        DwellingKey::from_bytes(keyed(&self.dwellings, fields))
    }

    /// Returns two bytes that agree for one surname in one dwelling.
    pub fn surname_tag(&self, dwelling: DwellingKey, surname: &str) -> [u8; 2] {
        let mut context = hmac::Context::with_key(&self.dwellings);
        context.update(dwelling.as_bytes());
        context.update(surname.as_bytes());
        let tag = context.sign();
        [tag.as_ref()[0], tag.as_ref()[1]]
    }

    /// Returns the name in this sweep of an event that several agencies may carry, from the numbering
    /// they share and its number there.
    pub fn event(&self, fields: &[&str]) -> EventKey {
        EventKey::from_bytes(keyed(&self.events, fields))
    }
}

/// Hashes fields so that they cannot run into each other: every field goes in behind its length.
pub fn keyed(key: &hmac::Key, fields: &[&str]) -> [u8; 16] {
    let mut context = hmac::Context::with_key(key);
    for field in fields {
        let length = u16::try_from(field.len()).unwrap_or(u16::MAX);
        context.update(&length.to_be_bytes());
        context.update(field.as_bytes());
    }
    context.sign().as_ref()[..16].try_into().expect("SHA-256 gives 32 bytes")
}

/// The keys of one sweep that only this node has.
pub struct OwnKeys {
    handles: Aes128,
    padding: Aes128,
    events: hmac::Key,
    order: [u8; 32],
    counting: hmac::Key,
}

impl OwnKeys {
    /// Derives them from the node's own key. A closed sweep's handles can still be resolved.
    pub fn new(handle_key: &Secret, sweep: &SweepId) -> Self {
        let derive = |label| expand(&handle_key[..], &enc(label, &[sweep.as_bytes()]));
        let cipher = |key: [u8; 32]| Aes128::new_from_slice(&key[..16]).expect("16 bytes");
        Self {
            handles: cipher(derive("causeway/v1/handle")),
            padding: cipher(derive("causeway/v1/padding")),
            events: hmac::Key::new(hmac::HMAC_SHA256, &derive("causeway/v1/own-event")),
            order: derive("causeway/v1/order"),
            counting: hmac::Key::new(hmac::HMAC_SHA256, &derive("causeway/v1/counting")),
        }
    }

    /// Returns what a record is called in this sweep.
    pub fn handle(&self, record: u64) -> Handle {
        let mut block = Block::default();
        block[..8].copy_from_slice(&record.to_be_bytes());
        self.handles.encrypt_block(&mut block);
        Handle::from_bytes(block.into())
    }

    /// Returns the record that a handle stands for, or `None` if this node never made it.
    pub fn record(&self, handle: Handle) -> Option<u64> {
        let mut block = Block::from(*handle.as_bytes());
        self.handles.decrypt_block(&mut block);
        let (record, zeros) = block.split_at(8);
        (zeros == [0; 8]).then(|| u64::from_be_bytes(record.try_into().expect("8 of 16 bytes")))
    }

    /// Returns the name in this sweep of an event that only this node has, from its feed and its
    /// reference there.
    pub fn event(&self, fields: &[&str]) -> EventKey {
        EventKey::from_bytes(keyed(&self.events, fields))
    }

    /// Returns the cipher that noise for empty slots comes from.
    pub fn padding(&self) -> &Aes128 {
        &self.padding
    }

    /// Returns the seed of the noise that goes with the answer to a question.
    pub fn counting(&self, question: &[u8; 32]) -> [u8; 32] {
        let seed = hmac::sign(&self.counting, question);
        seed.as_ref().try_into().expect("SHA-256 gives 32 bytes")
    }

    /// Returns the seed of this sweep's row order.
    pub fn order(&self) -> [u8; 32] {
        self.order
    }
}

#[cfg(test)]
mod tests;
