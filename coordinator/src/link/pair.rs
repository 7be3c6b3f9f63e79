//! Two records that share a match-key.

use causeway_proto::{kind::MatchKeyKind, linkage::guards::StrongIds};
use rayon::prelude::*;

use super::Records;

/// Two records that share a match-key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// The record with the lower number.
    pub a: u32,
    /// The other.
    pub b: u32,
    /// Which kinds they share: bit [`MatchKeyKind::index`].
    pub kinds: u32,
    /// The kind whose token salts the second look.
    pub carrier: u8,
    /// The slots in which the two hold it: `a`'s in the low half, `b`'s in the high half.
    pub slots: u8,
    /// How many national numbers of theirs agree, in the low half, and how many differ, in the high half.
    pub numbers: u8,
}

impl Pair {
    /// Two records that hold a token of one kind, each in a slot.
    pub(super) fn of((x, slot): (u32, u8), (y, theirs): (u32, u8), kind: MatchKeyKind) -> Self {
        let (a, b) = (x.min(y), x.max(y));
        let slots = if a == x { slot | theirs << 4 } else { theirs | slot << 4 };
        let carrier = u8::try_from(kind.index()).expect("few kinds");
        Self { a, b, kinds: 1 << kind.index(), carrier, slots, numbers: 0 }
    }

    /// Puts pairs in order, and makes one of all that are about the same records: with every kind, and the
    /// first carrier and slots. For records that came with the streams, which are in the order of their
    /// agencies.
    pub(super) fn join(pairs: Vec<Self>) -> Vec<Self> {
        Self::join_by(pairs, |_| false)
    }

    /// Does the same whenever the records came: which slots are first does not depend on it.
    pub(super) fn join_late(pairs: Vec<Self>, records: &Records) -> Vec<Self> {
        Self::join_by(pairs, |pair| records.agency(pair.a) > records.agency(pair.b))
    }

    /// `is_turned` says of which pairs the agencies are in the other order than the records.
    fn join_by(mut pairs: Vec<Self>, is_turned: impl Fn(&Self) -> bool + Sync) -> Vec<Self> {
        let slots = |pair: &Self| pair.slots.rotate_left(if is_turned(pair) { 4 } else { 0 });
        let carriers =
            |x: &Self, y: &Self| x.carrier.cmp(&y.carrier).then_with(|| slots(x).cmp(&slots(y)));
        // Whose agency is first is asked of pairs of one carrier only.
        pairs.par_sort_unstable_by(|x, y| x.place().cmp(&y.place()).then_with(|| carriers(x, y)));
        pairs.dedup_by(|pair, first| {
            let same = pair.place() == first.place();
            first.kinds |= if same { pair.kinds } else { 0 };
            same
        });
        pairs
    }

    /// Returns the other record.
    pub fn other(&self, record: u32) -> u32 {
        if self.a == record { self.b } else { self.a }
    }

    /// Returns the two records as one number, in the order of pairs.
    pub fn place(&self) -> u64 {
        u64::from(self.a) << 32 | u64::from(self.b)
    }

    /// Returns what the national numbers of the two say.
    pub fn strong_ids(&self) -> StrongIds {
        StrongIds { agreeing: self.numbers & 15, conflicting: self.numbers >> 4 }
    }

    /// Returns the carrier and the slots of both.
    pub fn carrier(&self) -> (MatchKeyKind, [u8; 2]) {
        (MatchKeyKind::ALL[usize::from(self.carrier)], [self.slots & 15, self.slots >> 4])
    }
}
