//! Gives tokens other names as soon as they arrive, under a key that only this sweep's memory holds.
//!
//! What a memory dump of the coordinator shows is then worth nothing against what a node knows.

use aes::{
    Aes128, Block,
    cipher::{BlockEncrypt, KeyInit},
};
use causeway_proto::{kind::MatchKeyKind, limits::TOKEN_BYTES};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

/// The key of one sweep. Erased when it is dropped; never written anywhere.
pub struct Rekey(Aes128);

/// The machine has no randomness to give.
#[derive(Debug, thiserror::Error)]
#[error("this machine's random number generator failed")]
pub struct NoRandomness;

impl Rekey {
    /// Makes a new random key.
    pub fn random() -> Result<Self, NoRandomness> {
        let mut key = Zeroizing::new([0; 16]);
        SystemRandom::new().fill(&mut key[..]).map_err(|_| NoRandomness)?;
        Ok(Self(Aes128::new(&(*key).into())))
    }

    /// Appends the new names of a packed column of tokens of one kind.
    pub fn column(&self, kind: MatchKeyKind, tokens: &[u8], out: &mut Vec<u64>) {
        /// Blocks in flight: enough to fill the processor's pipeline, few enough for its cache.
        const BATCH: usize = 64;
        let (tokens, _) = tokens.as_chunks::<TOKEN_BYTES>();
        out.reserve(tokens.len());
        let mut blocks = [Block::default(); BATCH];
        for batch in tokens.chunks(BATCH) {
            for (block, token) in blocks.iter_mut().zip(batch) {
                *block = Block::default();
                block[..TOKEN_BYTES].copy_from_slice(token);
                block[TOKEN_BYTES] = kind.number();
            }
            self.0.encrypt_blocks(&mut blocks[..batch.len()]);
            let name =
                |block: &Block| u64::from_le_bytes(block[..8].try_into().expect("8 of 16 bytes"));
            out.extend(blocks[..batch.len()].iter().map(name));
        }
    }
}

impl std::fmt::Debug for Rekey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Rekey(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_tokens_keep_equal_names_within_a_kind_and_a_sweep() {
        let tokens: Vec<u8> = (0..200u64).flat_map(|n| (n % 100).to_le_bytes()).collect();
        let named = |rekey: &Rekey, kind| {
            let mut out = Vec::new();
            rekey.column(kind, &tokens, &mut out);
            out
        };
        let (today, tomorrow) = (Rekey::random().unwrap(), Rekey::random().unwrap());
        let nhs = named(&today, MatchKeyKind::Nhs);
        assert_eq!(nhs[..100], nhs[100..]);
        assert!(
            nhs[..100].iter().all(|name| nhs[..100].iter().filter(|n| *n == name).count() == 1)
        );
        assert_ne!(nhs, named(&today, MatchKeyKind::Upn));
        assert_ne!(nhs, named(&tomorrow, MatchKeyKind::Nhs));
    }
}
