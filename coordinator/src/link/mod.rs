//! Decides which records of different agencies are one person, without knowing who anybody is.
//!
//! ```text
//! tokens --rekey--> columns --block--> candidate pairs, postings
//!        pairs --second look--> levels --weights, guards--> edges --cluster--> persons
//! changes --replace--> postings, pairs --second look--> levels --settle--> persons
//! ```
//!
//! A record is a number here: the agency's first record plus its row in the token stream, and for
//! those that came later the next free number. Pure functions; what the second look needs is asked
//! for by `cycle`, between [`block`] and [`decide`], or between [`replace`] and
//! [`decide::Decision::settle`].

pub mod around;
pub mod block;
pub mod clear;
pub mod decide;
mod holders;
mod pair;
pub mod postings;
pub mod quality;
pub mod rekey;
pub mod replace;
pub mod subgroups;
pub mod taken;

use std::collections::{BTreeMap, HashMap, HashSet};

use causeway_proto::{
    ids::{Handle, MemoId},
    kind::MatchKeyKind,
    linkage::guards::StrongIds,
    token::PersonFlags,
};
use rayon::prelude::*;

pub use self::pair::Pair;
use self::postings::Postings;

/// Everything known of one agency's records in this sweep.
#[derive(Default)]
pub struct Roll {
    /// By row: what the agency calls the record.
    pub handles: Vec<Handle>,
    /// By row: what it says of it.
    pub flags: Vec<PersonFlags>,
    /// By row: keyed national numbers (NHS, UPN, NINO); noise where there is none.
    pub strong_ids: Vec<[u64; 3]>,
}

/// All agencies' records under one numbering.
#[derive(Default)]
pub struct Records {
    /// One roll an agency, in the federation's order; empty for an agency that is missing.
    pub rolls: Vec<Roll>,
    /// By kind: who holds a token, where changes will be followed; otherwise empty.
    pub postings: Vec<Postings>,
    firsts: Vec<u32>,
    /// Agency and row of the records that came after the stream, in the order of their numbers.
    late: Vec<(u16, u32)>,
    /// Their numbers, by agency, in the order of their rows.
    late_numbers: Vec<Vec<u32>>,
    /// By record: whether it was taken out; of those beyond its end none was.
    gone: Vec<bool>,
    /// By agency: how many of its records were taken out.
    left: Vec<usize>,
    /// By agency: how many times one of its records was given other tokens.
    renewed: Vec<usize>,
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
        let (late, late_numbers) = (Vec::new(), vec![Vec::new(); rolls.len()]);
        let (gone, apart) = (Vec::new(), BTreeMap::new());
        let (left, renewed) = (vec![0; rolls.len()], vec![0; rolls.len()]);
        let postings = Vec::new();
        Self { rolls, postings, firsts, late, late_numbers, gone, left, renewed, apart }
    }

    /// Returns how many numbers there are, those of records that are gone among them.
    pub fn len(&self) -> usize {
        self.streamed() + self.late.len()
    }

    /// Returns how many came with the streams.
    fn streamed(&self) -> usize {
        self.firsts.last().map_or(0, |end| *end as usize)
    }

    /// Returns whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the number of an agency's first record in the stream.
    pub fn first(&self, agency: usize) -> u32 {
        self.firsts[agency]
    }

    /// Returns the number after an agency's last record in the stream.
    pub fn end(&self, agency: usize) -> u32 {
        self.firsts[agency + 1]
    }

    /// Returns the number of one of an agency's rows.
    pub fn number(&self, agency: usize, row: usize) -> u32 {
        let streamed = (self.firsts[agency + 1] - self.firsts[agency]) as usize;
        match row.checked_sub(streamed) {
            None => self.firsts[agency] + u32::try_from(row).expect("the caller bounds the rows"),
            Some(late) => self.late_numbers[agency][late],
        }
    }

    /// Returns how many rows an agency has had.
    pub fn rows(&self, agency: usize) -> usize {
        self.rolls[agency].handles.len()
    }

    /// Returns how much an agency has brought: a row, or other tokens for one.
    pub fn brought(&self, agency: usize) -> usize {
        self.rows(agency) + self.renewed[agency]
    }

    /// Returns a record's agency and row.
    pub fn place(&self, record: u32) -> (usize, usize) {
        if let Some(late) = (record as usize).checked_sub(self.streamed()) {
            let (agency, row) = self.late[late];
            return (agency.into(), row as usize);
        }
        let agency = self.firsts.partition_point(|first| *first <= record) - 1;
        (agency, (record - self.firsts[agency]) as usize)
    }

    /// Adds a record that came after the stream. Its tokens, by kind, are for the caller to post.
    ///
    /// # Panics
    /// If there are more than 2^32 records in one sweep.
    pub fn add(
        &mut self,
        agency: usize,
        handle: Handle,
        flags: PersonFlags,
        tokens: &[Vec<u64>],
    ) -> u32 {
        let number = u32::try_from(self.len()).expect("fewer than 2^32 records in one sweep");
        let roll = &mut self.rolls[agency];
        let row = u32::try_from(roll.handles.len()).expect("fewer rows than records");
        roll.handles.push(handle);
        roll.flags.push(flags);
        roll.strong_ids.push(STRONG_KINDS.map(|kind| tokens[kind.index()][0]));
        self.late.push((u16::try_from(agency).expect("the settings bound the agencies"), row));
        self.late_numbers[agency].push(number);
        number
    }

    /// Takes in what is said of a record that is there and has other tokens, by kind. These are for the caller to
    /// post.
    pub fn renew(&mut self, record: u32, flags: PersonFlags, tokens: &[Vec<u64>]) {
        let (agency, row) = self.place(record);
        let roll = &mut self.rolls[agency];
        roll.flags[row] = flags;
        roll.strong_ids[row] = STRONG_KINDS.map(|kind| tokens[kind.index()][0]);
        self.renewed[agency] += 1;
    }

    /// Takes a record out of the sweep. Its number is nobody's from now on.
    pub fn remove(&mut self, record: u32) {
        if !self.is_gone(record) {
            let at = record as usize;
            self.gone.resize(self.gone.len().max(at + 1), false);
            self.gone[at] = true;
            let agency = self.agency(record);
            self.left[agency] += 1;
        }
    }

    /// Returns all of an agency's records that are in the sweep.
    pub fn all_of(&self, agency: usize) -> impl Iterator<Item = u32> + '_ {
        let rows = 0..self.rows(agency);
        let all = rows.map(move |row| self.number(agency, row));
        all.filter(|record| !self.is_gone(*record))
    }

    /// Changes what is said of a record, but for the numbers that it has: those come with its tokens.
    pub fn set_flags(&mut self, record: u32, flags: PersonFlags) {
        let numbers = STRONG_FLAGS.iter().fold(0, |all, flag| all | flag);
        let (agency, row) = self.place(record);
        let known = &mut self.rolls[agency].flags[row];
        *known = PersonFlags(known.0 & numbers | flags.0 & !numbers);
    }

    /// Returns whether a record was taken out of the sweep.
    pub fn is_gone(&self, record: u32) -> bool {
        self.gone.get(record as usize).copied().unwrap_or(false)
    }

    /// Returns the records that are in the sweep, in order.
    pub fn present(&self) -> impl Iterator<Item = u32> {
        (0u32..).take(self.len()).filter(|record| !self.is_gone(*record))
    }

    /// Returns how many records each agency has in the sweep.
    pub fn held(&self) -> Vec<usize> {
        (0..self.rolls.len()).map(|agency| self.rows(agency) - self.left[agency]).collect()
    }

    /// Returns how many records are in the sweep.
    pub fn count(&self) -> usize {
        self.len() - self.left.iter().sum::<usize>()
    }

    /// Sorts records by their agency; they keep their order.
    pub fn by_agency(&self, records: impl IntoIterator<Item = u32>) -> Vec<Vec<u32>> {
        let mut parts = vec![Vec::new(); self.rolls.len()];
        records.into_iter().for_each(|record| parts[self.agency(record)].push(record));
        parts
    }

    /// Returns which records an agency's handles mean. Handles that are nobody's are left out.
    pub fn find(&self, agency: usize, handles: &HashSet<Handle>) -> HashMap<Handle, u32> {
        // Handles are random: their first two bytes rule out most.
        let begins = |handle: &Handle| {
            let [a, b, ..] = handle.as_bytes();
            usize::from(u16::from_le_bytes([*a, *b]))
        };
        let mut wanted = vec![false; 1 << 16];
        handles.iter().for_each(|handle| wanted[begins(handle)] = true);
        let rows = self.rolls[agency].handles.iter().enumerate();
        rows.filter(|(_, handle)| wanted[begins(handle)] && handles.contains(*handle))
            .map(|(row, handle)| (*handle, self.number(agency, row)))
            .filter(|(_, record)| !self.is_gone(*record))
            .collect()
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

    /// Returns what the national numbers of two records say: from flags and tokens alone.
    pub fn compare_numbers(&self, a: u32, b: u32) -> StrongIds {
        let (a, b) = (self.strong_ids(a), self.strong_ids(b));
        let mut ids = StrongIds::default();
        for scheme in 0..STRONG_KINDS.len() {
            let both = a[scheme] != 0 && b[scheme] != 0;
            ids.agreeing += u8::from(both && a[scheme] == b[scheme]);
            ids.conflicting += u8::from(both && a[scheme] != b[scheme]);
        }
        ids
    }

    /// Has every pair know what the national numbers of its records say.
    pub fn compare_all_numbers(&self, pairs: &mut [Pair]) {
        pairs.par_iter_mut().for_each(|pair| {
            let ids = self.compare_numbers(pair.a, pair.b);
            pair.numbers = ids.agreeing | ids.conflicting << 4;
        });
    }

    /// Takes in which records must never be one person: those that share a finding.
    pub fn keep_apart(&mut self, findings: BTreeMap<u32, Vec<Apart>>) {
        self.apart = findings;
    }

    /// Adds one finding of one record, unless it is known.
    pub fn add_apart(&mut self, record: u32, apart: Apart) {
        let known = self.apart.entry(record).or_default();
        if !known.contains(&apart) {
            known.push(apart);
        }
    }

    /// Returns what was found of a record.
    pub fn findings(&self, record: u32) -> &[Apart] {
        self.apart.get(&record).map_or(&[], Vec::as_slice)
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
        let (mine, theirs) = (self.findings(a), if a == b { &[] } else { self.findings(b) });
        let shared = |apart: &&Apart| theirs.iter().any(|their| their.finding == apart.finding);
        mine.iter().filter(move |apart| shared(apart)).copied()
    }

    /// Returns what was found of every record of which anything was, by record.
    pub fn found(&self) -> impl Iterator<Item = (u32, &[Apart])> {
        let present = self.apart.iter().filter(|(record, _)| !self.is_gone(**record));
        present.map(|(record, apart)| (*record, apart.as_slice()))
    }

    /// Returns whether somebody found anything of a record.
    pub fn has_findings(&self, record: u32) -> bool {
        self.apart.contains_key(&record)
    }

    /// Returns how many pairs of records of different agencies there are, of those that count.
    pub fn possible_pairs(&self, counts: impl Fn(usize) -> bool) -> f64 {
        let sizes = self.held().into_iter().enumerate().filter(|(agency, _)| counts(*agency));
        let sizes = sizes.map(|(_, records)| records as f64);
        let (sum, squares) =
            sizes.fold((0.0, 0.0), |(sum, squares), n| (sum + n, n.mul_add(n, squares)));
        (sum * sum - squares) / 2.0
    }
}

#[cfg(test)]
mod tests;
