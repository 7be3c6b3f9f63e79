//! What a dispute leaves with the nodes: a finding for each record that does not belong and each agency with
//! records that it does not belong with, half of it with either's node.
//!
//! All of these records of one agency share the finding: no two of them are one person anyway, and a node keeps
//! few findings of anybody. An id is random but for its first half, which tells the dispute and the two agencies
//! to whoever knows the dispute. So a half whose other one a node could not keep is found again in any later
//! sweep, and the other is asked for under the same id: however often a node fails, nobody carries more findings
//! for it.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::{
    day::Day,
    ids::{MemoId, ReviewId},
    sweep::{Memo, MemoKind},
};
use ring::digest::{Context, SHA256};

use super::super::{
    Taking,
    continuity::{Continuity, Owed},
    surface::random_id,
};
use crate::link::{Apart, Records, rekey::NoRandomness};

/// How many bytes of an id say what it belongs to.
const KNOWN: usize = 8;

/// A dispute among the agencies of a sweep.
pub(super) struct Dispute {
    /// By place of the agency whose record does not belong, and of the other: how ids begin.
    beginnings: Vec<Vec<[u8; KNOWN]>>,
}

/// What the findings of a dispute say in a sweep of whom it is about.
#[derive(Default)]
pub(super) struct Sides {
    /// The records that do not belong.
    pub(super) wrong: BTreeSet<u32>,
    /// Those that they do not belong with.
    pub(super) others: BTreeSet<u32>,
    /// Agencies one of whose records does not belong, and none says that it is the one.
    pub(super) wrong_unsaid: BTreeSet<usize>,
    /// Agencies with records that one does not belong with, and none of these says so.
    pub(super) others_unsaid: BTreeSet<usize>,
}

impl Sides {
    /// Returns whether it is applied, and known of which records.
    pub(super) fn is_applied(&self) -> bool {
        !self.wrong.is_empty() && self.wrong_unsaid.is_empty()
    }
}

impl Dispute {
    /// Returns the dispute that a review opened.
    pub(super) fn of(review: ReviewId, agencies: &[Taking<'_>]) -> Self {
        let names: Vec<&[u8]> =
            agencies.iter().map(|agency| agency.member.id.as_str().as_bytes()).collect();
        Self::among(review, &names)
    }

    /// The first bytes of SHA-256 over the review's id and both agencies' names, each after its length.
    fn among(review: ReviewId, names: &[&[u8]]) -> Self {
        let beginning = |one: &[u8], other: &[u8]| {
            let mut hash = Context::new(&SHA256);
            for part in [review.as_bytes(), one, other] {
                hash.update(&(part.len() as u64).to_be_bytes());
                hash.update(part);
            }
            hash.finish().as_ref()[..KNOWN].try_into().expect("a hash is longer")
        };
        let row = |one: &&[u8]| names.iter().map(|other| beginning(one, other)).collect();
        Self { beginnings: names.iter().map(row).collect() }
    }

    /// Keeps the wrong records apart from the others in this sweep, but for those of the same agency. Returns
    /// the others from which one of them was not apart before.
    pub(super) fn keep_apart(
        &self,
        records: &mut Records,
        wrong: &BTreeSet<u32>,
        others: &BTreeSet<u32>,
    ) -> Result<Vec<u32>, NoRandomness> {
        let mut touched = Vec::new();
        for one in wrong {
            for other in others {
                let same = records.agency(*one) == records.agency(*other);
                if same || records.is_stranger(*one, *other) {
                    continue;
                }
                let finding = match self.known(records, *one, *other) {
                    Some(finding) => finding,
                    None => self.new_id(records.agency(*one), records.agency(*other))?,
                };
                touched.push(*other);
                for (which, stranger) in [(*one, true), (*other, false)] {
                    let apart = Apart { finding, stranger };
                    records.add_apart(which, apart);
                }
            }
        }
        Ok(touched)
    }

    /// Returns what its findings say in this sweep.
    pub(super) fn sides(&self, records: &Records) -> Sides {
        let mut sides = Sides::default();
        let mut halves: BTreeMap<MemoId, ((usize, usize), [bool; 2])> = BTreeMap::new();
        for (record, with, apart) in self.mine(records) {
            let agency = records.agency(record);
            let (side, pair) = match apart.stranger {
                true => (&mut sides.wrong, (agency, with)),
                false => (&mut sides.others, (with, agency)),
            };
            side.insert(record);
            let (_, said) = halves.entry(apart.finding).or_insert((pair, [false; 2]));
            said[usize::from(apart.stranger)] = true;
        }
        for ((one, other), [by_other, by_one]) in halves.into_values() {
            if !by_one {
                sides.wrong_unsaid.insert(one);
            }
            if !by_other {
                sides.others_unsaid.insert(other);
            }
        }
        sides
    }

    /// Returns what of it nodes have not said that they keep.
    pub(super) fn owed(&self, records: &Records, continuity: &Continuity, as_at: Day) -> Owed {
        let mut owed = Owed::new();
        for (record, _, apart) in self.mine(records) {
            let (agency, handle) = (records.agency(record), records.handle(record));
            if !continuity.findings(agency, handle).contains(&apart) {
                owed.entry(agency).or_default().push(Memo {
                    kind: MemoKind::NotLinked,
                    id: apart.finding,
                    handle,
                    score_tenths: u32::from(apart.stranger),
                    made: as_at,
                });
            }
        }
        owed
    }

    /// Every finding of it in this sweep, by record, with the place of the other record's agency.
    fn mine<'a>(&'a self, records: &'a Records) -> impl Iterator<Item = (u32, usize, Apart)> + 'a {
        let all =
            records.found().flat_map(|(record, found)| found.iter().map(move |one| (record, *one)));
        all.filter_map(|(record, apart)| {
            let agency = records.agency(record);
            let mut with = 0..self.beginnings.len();
            let with = with.find(|other| self.begins(&apart, agency, *other))?;
            Some((record, with, apart))
        })
    }

    /// Returns whether a finding of an agency's record is one with a record of the other.
    fn begins(&self, apart: &Apart, agency: usize, other: usize) -> bool {
        let (one, other) = if apart.stranger { (agency, other) } else { (other, agency) };
        apart.finding.as_bytes().starts_with(&self.beginnings[one][other])
    }

    /// Returns a finding for two records: one of the other whose first half nobody says, or one that the first has
    /// with the other's agency.
    fn known(&self, records: &Records, one: u32, other: u32) -> Option<MemoId> {
        let (mine, theirs) = (records.agency(one), records.agency(other));
        let said: BTreeSet<MemoId> = records
            .found()
            .filter(|(holder, _)| records.agency(*holder) == mine)
            .flat_map(|(_, found)| found.iter().filter(|apart| apart.stranger))
            .map(|apart| apart.finding)
            .collect();
        let unsaid = records.findings(other).iter().find(|apart| {
            !apart.stranger && self.begins(apart, theirs, mine) && !said.contains(&apart.finding)
        });
        let shared = || {
            let mut found = records.findings(one).iter();
            found.find(|apart| apart.stranger && self.begins(apart, mine, theirs))
        };
        unsaid.or_else(shared).map(|apart| apart.finding)
    }

    fn new_id(&self, one: usize, other: usize) -> Result<MemoId, NoRandomness> {
        let mut id = random_id()?;
        id[..KNOWN].copy_from_slice(&self.beginnings[one][other]);
        Ok(MemoId::from_bytes(id))
    }
}
