//! Decides which records of different agencies are one person, without knowing who anybody is.
//!
//! ```text
//! tokens --rekey--> columns --block--> candidate pairs --second look--> levels
//!        levels --weights, guards--> edges --cluster--> persons
//! ```
//!
//! A record is a number here: the agency's first record plus its row in the token stream. Pure
//! functions; what the second look needs is asked for by `cycle`, between [`block`] and [`decide`].

pub mod block;
pub mod clear;
pub mod decide;
pub mod quality;
pub mod rekey;

use std::collections::BTreeMap;

use causeway_proto::{
    ids::{Handle, MemoId},
    kind::MatchKeyKind,
    token::PersonFlags,
};

/// Everything known of one agency's records in this sweep.
#[derive(Debug, Default)]
pub struct Roll {
    /// By row: what the agency calls the record.
    pub handles: Vec<Handle>,
    /// By row: what it says of it.
    pub flags: Vec<PersonFlags>,
    /// By row: keyed national numbers (NHS, UPN, NINO); zero where there is none.
    pub strong_ids: Vec<[u64; 3]>,
}

/// All agencies' records under one numbering.
#[derive(Debug, Default)]
pub struct Records {
    /// One roll an agency, in the federation's order; empty for an agency that is missing.
    pub rolls: Vec<Roll>,
    firsts: Vec<u32>,
    /// By record: findings that it shares with records that are somebody else.
    apart: BTreeMap<u32, Vec<Apart>>,
}

/// A professional's finding that a record is not the same person as those that share the finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Which finding.
    pub finding: MemoId,
    /// Whether this record is the one that does not belong.
    pub stranger: bool,
}

/// The national schemes whose numbers cannot differ for one person, in the order of
/// [`Roll::strong_ids`].
pub const STRONG_KINDS: [MatchKeyKind; 3] =
    [MatchKeyKind::Nhs, MatchKeyKind::Upn, MatchKeyKind::Nino];
const STRONG_FLAGS: [u8; 3] = [PersonFlags::NHS, PersonFlags::UPN, PersonFlags::NINO];

impl Records {
    /// Numbers the records of all agencies.
    ///
    /// # Panics
    /// If there are more than 2^32 records: the caller bounds what each node may send.
    pub fn new(rolls: Vec<Roll>) -> Self {
        let mut firsts = Vec::with_capacity(rolls.len() + 1);
        let mut next = 0u32;
        for roll in &rolls {
            firsts.push(next);
            let rows = u32::try_from(roll.handles.len()).expect("the caller bounds the rows");
            next = next.checked_add(rows).expect("the caller bounds the rows");
        }
        firsts.push(next);
        Self { rolls, firsts, apart: BTreeMap::new() }
    }

    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.firsts.last().map_or(0, |end| *end as usize)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of an agency's first record.
    pub fn first(&self, agency: usize) -> u32 {
        self.firsts[agency]
    }

    /// Returns the number after an agency's last record.
    pub fn end(&self, agency: usize) -> u32 {
        self.firsts[agency + 1]
    }

    /// Returns a record's agency and row.
    pub fn place(&self, record: u32) -> (usize, usize) {
        let agency = self.firsts.partition_point(|first| *first <= record) - 1;
        (agency, (record - self.firsts[agency]) as usize)
    }

    /// Returns a record's agency.
    pub fn agency(&self, record: u32) -> usize {
        self.place(record).0
    }

    /// Returns what the agency calls a record.
    pub fn handle(&self, record: u32) -> Handle {
        let (agency, row) = self.place(record);
        self.rolls[agency].handles[row]
    }

    /// Returns what the agency says of a record.
    pub fn flags(&self, record: u32) -> PersonFlags {
        let (agency, row) = self.place(record);
        self.rolls[agency].flags[row]
    }

    /// Returns a record's keyed national numbers; zero where it has none.
    ///
    /// A slot without a number holds noise, so the flags decide whether there is one.
    pub fn strong_ids(&self, record: u32) -> [u64; 3] {
        let (agency, row) = self.place(record);
        let roll = &self.rolls[agency];
        std::array::from_fn(|scheme| match roll.flags[row].any(STRONG_FLAGS[scheme]) {
            true => roll.strong_ids[row][scheme],
            false => 0,
        })
    }

    /// Takes in which records must never be one person: those that share a finding.
    pub fn keep_apart(&mut self, findings: BTreeMap<u32, Vec<Apart>>) {
        self.apart = findings;
    }

    /// Adds one finding of one record.
    pub fn add_apart(&mut self, record: u32, apart: Apart) {
        self.apart.entry(record).or_default().push(apart);
    }

    /// Returns whether somebody found that two records are two people.
    pub fn is_apart(&self, a: u32, b: u32) -> bool {
        self.shared(a, b).next().is_some()
    }

    /// Returns whether somebody found that `a` does not belong with `b`.
    pub fn is_stranger(&self, a: u32, b: u32) -> bool {
        self.shared(a, b).any(|apart| apart.stranger)
    }

    /// What is said of `a` in findings that it shares with `b`.
    fn shared(&self, a: u32, b: u32) -> impl Iterator<Item = Apart> {
        let of = |record| self.apart.get(&record).map_or(&[][..], Vec::as_slice);
        let (mine, theirs) = (of(a), if a == b { &[] } else { of(b) });
        let shared = |apart: &&Apart| theirs.iter().any(|their| their.finding == apart.finding);
        mine.iter().filter(move |apart| shared(apart)).copied()
    }

    /// Returns every pair of records that somebody found to be two people, in order.
    pub fn apart(&self) -> Vec<(u32, u32)> {
        let mut by_finding: BTreeMap<MemoId, Vec<u32>> = BTreeMap::new();
        for (record, findings) in &self.apart {
            for apart in findings {
                by_finding.entry(apart.finding).or_default().push(*record);
            }
        }
        let mut pairs = Vec::new();
        for records in by_finding.into_values() {
            for (at, a) in records.iter().enumerate() {
                pairs.extend(records[at + 1..].iter().map(|b| (*a, *b)));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    /// Returns how many pairs of records of different agencies there are.
    pub fn possible_pairs(&self) -> f64 {
        let sizes = self.rolls.iter().map(|roll| roll.handles.len() as f64);
        let (sum, squares) =
            sizes.fold((0.0, 0.0), |(sum, squares), n| (sum + n, n.mul_add(n, squares)));
        (sum * sum - squares) / 2.0
    }
}

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
}

impl Pair {
    /// Returns the two records as one number, in the order of pairs.
    pub fn place(&self) -> u64 {
        u64::from(self.a) << 32 | u64::from(self.b)
    }

    /// Returns the carrier and the slots of both.
    pub fn carrier(&self) -> (MatchKeyKind, [u8; 2]) {
        (MatchKeyKind::ALL[usize::from(self.carrier)], [self.slots & 15, self.slots >> 4])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roll(rows: usize) -> Roll {
        Roll {
            handles: vec![Handle::from_bytes([0; 16]); rows],
            flags: vec![PersonFlags(0); rows],
            strong_ids: vec![[0; 3]; rows],
        }
    }

    #[test]
    fn records_are_numbered_through_and_an_absent_agency_has_none() {
        let records = Records::new(vec![roll(3), roll(0), roll(2)]);
        assert_eq!(records.len(), 5);
        assert_eq!([0, 2, 3, 4].map(|r| records.place(r)), [(0, 0), (0, 2), (2, 0), (2, 1)]);
        assert!((records.possible_pairs() - 6.0).abs() < 1e-9);
    }
}
