//! What is remembered of records while a sweep is open: findings that nodes handed back when it was
//! opened, and those that were made in it.
//!
//! Held in memory and gone with the sweep. The ledger knows alerts by their own random ids and never
//! which record they are about; only a node can say so, and says so again in every sweep.

use std::collections::{BTreeMap, HashMap};

use causeway_proto::{
    change::{MEMOS_PER_PERSON, MEMOS_PER_REQUEST},
    day::Day,
    ids::{AlertId, Handle, SweepId},
    sweep::{Memo, MemoKind},
};

use super::{Cycle, Taking};
use crate::link::{Apart, Records};

/// What is remembered of records, by agency and handle.
#[derive(Debug, Default)]
pub struct Continuity {
    memos: HashMap<(usize, Handle), Vec<Memo>>,
    /// By agency: how many it has told of, those that are no more among them.
    brought: HashMap<usize, usize>,
}

impl Continuity {
    /// Takes in what nodes handed back.
    pub fn of(agencies: &[Taking<'_>]) -> Self {
        let mut this = Self::default();
        for (at, agency) in agencies.iter().enumerate() {
            this.hand_back(at, agency.opened.as_ref().map_or(&[], |opened| &opened.memos));
        }
        this
    }

    /// Takes in what a node hands back when the sweep is opened there.
    pub fn hand_back(&mut self, agency: usize, memos: &[Memo]) {
        *self.brought.entry(agency).or_default() += memos.len();
        memos.iter().for_each(|memo| self.note(agency, memo.clone()));
    }

    /// Returns how many findings a node has told of in this sweep.
    pub fn brought(&self, agency: usize) -> usize {
        self.brought.get(&agency).copied().unwrap_or_default()
    }

    /// Remembers a finding. Made again, it changes its score and day. Of more than a person ever has, the
    /// latest count: a node that makes them up costs no more than that.
    pub fn note(&mut self, agency: usize, memo: Memo) {
        let memos = self.memos.entry((agency, memo.handle)).or_default();
        memos.retain(|known| (known.kind, known.id) != (memo.kind, memo.id));
        if memos.len() >= MEMOS_PER_PERSON {
            memos.remove(0);
        }
        memos.push(memo);
    }

    /// Remembers what a node kept with somebody who comes while the sweep is open.
    pub fn bring(&mut self, agency: usize, handle: Handle, memos: Vec<Memo>) {
        *self.brought.entry(agency).or_default() += memos.len();
        memos.into_iter().for_each(|memo| self.note(agency, Memo { handle, ..memo }));
    }

    /// Follows a record whose handle a live change replaced.
    pub fn rekey(&mut self, agency: usize, old: Handle, new: Handle) {
        for memo in self.memos.remove(&(agency, old)).unwrap_or_default() {
            self.note(agency, Memo { handle: new, ..memo });
        }
    }

    /// Returns what is remembered of one record.
    pub fn of_record(&self, agency: usize, handle: Handle) -> &[Memo] {
        self.memos.get(&(agency, handle)).map_or(&[], Vec::as_slice)
    }

    /// Returns the alerts that a record is a subject of.
    pub fn alerts(&self, agency: usize, handle: Handle) -> impl Iterator<Item = AlertId> {
        let memos = self.of_record(agency, handle).iter();
        let alerts = memos.filter(|memo| memo.kind == MemoKind::Alert);
        alerts.map(|memo| AlertId::from_bytes(*memo.id.as_bytes()))
    }

    /// Returns for how many days it has been kept that a record is a subject of an alert; `None` where
    /// nobody keeps it.
    pub fn kept_days(
        &self,
        (agency, handle): (usize, Handle),
        alert: AlertId,
        as_at: Day,
    ) -> Option<i32> {
        let is_it =
            |memo: &&Memo| memo.kind == MemoKind::Alert && memo.id.as_bytes() == alert.as_bytes();
        let known = self.of_record(agency, handle).iter().find(is_it);
        known.map(|memo| as_at.since(memo.made))
    }

    /// Returns the records, by agency and handle, that are subjects of an alert.
    pub fn subjects(&self, alert: AlertId) -> impl Iterator<Item = (usize, Handle)> {
        let is_subject = move |(agency, handle): &(usize, Handle)| {
            self.alerts(*agency, *handle).any(|known| known == alert)
        };
        self.memos.keys().copied().filter(is_subject)
    }

    /// Returns what was found of whom a record is not.
    pub fn findings(&self, agency: usize, handle: Handle) -> Vec<Apart> {
        let memos = self.of_record(agency, handle).iter();
        let not_linked = memos.filter(|memo| memo.kind == MemoKind::NotLinked);
        not_linked.map(|memo| Apart { finding: memo.id, stranger: memo.score_tenths > 0 }).collect()
    }

    /// Returns whether a record was found not to belong with others.
    pub fn is_stranger(&self, agency: usize, handle: Handle) -> bool {
        self.findings(agency, handle).iter().any(|apart| apart.stranger)
    }

    /// Tells the linking which records must not be one person.
    pub fn keep_apart(&self, records: &mut Records) {
        let mut apart: BTreeMap<u32, Vec<Apart>> = BTreeMap::new();
        for record in records.present() {
            let findings = self.findings(records.agency(record), records.handle(record));
            if !findings.is_empty() {
                apart.insert(record, findings);
            }
        }
        records.keep_apart(apart);
    }
}

/// Findings to be kept by the nodes, by agency.
pub type Owed = BTreeMap<usize, Vec<Memo>>;

/// Asks nodes to keep findings, and remembers those that they have on disk. Returns whether all have;
/// a node that could not is asked again when the same finding is owed again.
pub async fn keep(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &[Taking<'_>],
    continuity: &mut Continuity,
    owed: Owed,
) -> bool {
    let mut all = true;
    for (at, memos) in owed {
        let member = agencies[at].member;
        let client = member.client(cycle.limits.call());
        for some in memos.chunks(MEMOS_PER_REQUEST) {
            match client.keep_memos(sweep, some.to_vec()).await {
                Ok(()) => some.iter().for_each(|memo| continuity.note(at, memo.clone())),
                Err(problem) => {
                    tracing::warn!(agency.id = %member.id, %problem, "a finding is not kept yet");
                    all = false;
                }
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use causeway_proto::ids::MemoId;

    use super::*;

    #[test]
    fn a_finding_follows_its_record_to_another_handle() {
        let handle = |byte| Handle::from_bytes([byte; 16]);
        let memo = Memo {
            kind: MemoKind::Alert,
            id: MemoId::from_bytes([9; 16]),
            handle: handle(1),
            score_tenths: 0,
            made: Day::new(2025, 2, 25).unwrap(),
        };
        let mut continuity = Continuity::default();
        continuity.note(0, memo.clone());
        continuity.note(0, Memo { score_tenths: 5, ..memo });
        continuity.rekey(0, handle(1), handle(2));
        continuity.rekey(1, handle(2), handle(3));
        assert!(continuity.of_record(0, handle(1)).is_empty());
        assert_eq!(continuity.of_record(0, handle(2)).len(), 1);
        assert_eq!(
            continuity.alerts(0, handle(2)).collect::<Vec<_>>(),
            [AlertId::from_bytes([9; 16])]
        );
        let days = |agency, on: &str| {
            let alert = AlertId::from_bytes([9; 16]);
            continuity.kept_days((agency, handle(2)), alert, on.parse().unwrap())
        };
        assert_eq!([days(0, "2025-08-24"), days(1, "2025-08-24")], [Some(180), None]);
    }

    #[test]
    fn a_record_has_no_more_findings_than_a_person_may_have() {
        let memo = |id: u16| {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&id.to_le_bytes());
            Memo {
                kind: MemoKind::NotLinked,
                id: MemoId::from_bytes(bytes),
                handle: Handle::from_bytes([1; 16]),
                score_tenths: 0,
                made: Day::new(2025, 2, 25).unwrap(),
            }
        };
        let mut continuity = Continuity::default();
        (0..1000).for_each(|id| continuity.note(0, memo(id)));
        let kept = continuity.of_record(0, Handle::from_bytes([1; 16]));
        assert_eq!((kept.len(), &kept[255]), (MEMOS_PER_PERSON, &memo(999)));
    }

    #[test]
    fn who_comes_while_the_sweep_is_open_brings_what_was_found_of_them() {
        let handle = Handle::from_bytes([2; 16]);
        let memo = Memo {
            kind: MemoKind::NotLinked,
            id: MemoId::from_bytes([9; 16]),
            handle,
            score_tenths: 1,
            made: Day::new(2025, 2, 25).unwrap(),
        };
        let mut continuity = Continuity::default();
        assert!(!continuity.is_stranger(0, handle));
        continuity.bring(0, handle, vec![memo]);
        assert!(continuity.is_stranger(0, handle));
    }
}
