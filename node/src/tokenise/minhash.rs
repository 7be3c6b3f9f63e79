//! Packs a set of letter pairs into 128 bits that say how alike two sets are, and not how large
//! either is.
//!
//! One-bit minwise hashing (Li and König, 2010): for each of 128 orders of all possible pairs, one
//! bit of the set's first pair. Two sets give the same bit where they have the same first pair,
//! which is as often as their Jaccard similarity says, and half the time otherwise. A Bloom filter
//! of the pairs would show by its weight how long a name is.

use aes::Block;

/// How many orders there are.
const ORDERS: usize = 128;

/// Each pair of them sets keyed hashes in another order. `SplitMix64` from seeds of no meaning. Sixteen
/// bits, because every processor multiplies and compares eight of those at a time.
static MULTIPLIERS: [[i16; ORDERS]; 2] =
    [multipliers(0x1234_5678_9abc_def0), multipliers(0x0fed_cba9_8765_4321)];

const fn multipliers(seed: u64) -> [i16; ORDERS] {
    let mut all = [0; ORDERS];
    let mut state = seed;
    let mut at = 0;
    while at < ORDERS {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        all[at] = (mixed >> 48) as i16 | 1;
        at += 1;
    }
    all
}

/// Packs the keyed hashes of a set's pairs; nothing is packed as nothing.
///
/// A pair's rank in an order is a sum of two of its words, each times a multiplier of the order; the bit
/// that is kept of the first pair comes from two other words in the same way, so that it says nothing of
/// the rank and thus of how many pairs had to be beaten.
pub(super) fn pack(pairs: &[Block]) -> u128 {
    if pairs.is_empty() {
        return 0;
    }
    let [low, high] = pulp::Arch::new().dispatch(|| firsts(pairs));
    u128::from(high) << 64 | u128::from(low)
}

/// A bit of the first pair in each order. Inlined where the processor's widest registers may be used.
#[inline(always)]
fn firsts(pairs: &[Block]) -> [u64; 2] {
    let word = |pair: &Block, at: usize| i16::from_le_bytes([pair[2 * at], pair[2 * at + 1]]);
    let [by, and] = &MULTIPLIERS;
    let mixed =
        |x: i16, y: i16, at: usize| x.wrapping_mul(by[at]).wrapping_add(y.wrapping_mul(and[at]));
    let (mut least, mut kept) = ([i16::MAX; ORDERS], [0i16; ORDERS]);
    for pair in pairs {
        let [x, y, z, w] = [0, 1, 2, 3].map(|at| word(pair, at));
        for at in 0..ORDERS {
            let rank = mixed(x, y, at);
            // All bits where it comes before the first so far.
            let before = -i16::from(rank < least[at]);
            least[at] = least[at].min(rank);
            kept[at] ^= (kept[at] ^ mixed(z, w, at)) & before;
        }
    }
    // The upper bit of a product depends on all bits of its factors.
    let bits = |kept: &[i16]| {
        let each =
            kept.iter().enumerate().map(|(at, kept)| u64::from(kept.cast_unsigned() >> 15) << at);
        each.fold(0, |bits, bit| bits | bit)
    };
    [bits(&kept[..64]), bits(&kept[64..])]
}

#[cfg(test)]
mod tests {
    use causeway_proto::linkage::levels::alike;
    use ring::digest::{SHA256, digest};

    use super::*;

    /// Keyed hashes of numbers, as the comparer makes of letter pairs.
    fn set(numbers: impl IntoIterator<Item = u32>) -> Vec<Block> {
        let hash = |n: u32| {
            let hashed = digest(&SHA256, &n.to_le_bytes());
            Block::from(<[u8; 16]>::try_from(&hashed.as_ref()[..16]).unwrap())
        };
        numbers.into_iter().map(hash).collect()
    }

    #[test]
    fn the_share_of_equal_bits_says_how_alike_two_sets_are() {
        let mut off = 0.0;
        for run in 0..40 {
            let from = run * 100;
            let (a, b) = (pack(&set(from..from + 9)), pack(&set(from + 3..from + 12)));
            // 6 of 9 and 9: a Dice coefficient of 2/3.
            off += alike(a, b) - 2.0 / 3.0;
        }
        assert!((off / 40.0).abs() < 0.05, "{}", off / 40.0);
        assert!((alike(pack(&set(1..9)), pack(&set(1..9))) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_set_does_not_show_how_large_it_is() {
        let weight = |size: u32| {
            let runs = (0..60).map(|run| pack(&set(run * 50..run * 50 + size)).count_ones());
            f64::from(runs.sum::<u32>()) / 60.0
        };
        for size in [3, 6, 12, 24] {
            assert!((weight(size) - 64.0).abs() < 5.0, "{size}: {}", weight(size));
        }
    }
}
