//! Which household an alert is about now, as far as the nodes say of their records that they are its subjects.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use causeway_proto::ids::{AlertId, Handle, MemoId};

use super::Telling;
use crate::{
    cycle::{continuity::Continuity, homes::House},
    ledger::standings::Standing,
    route::surfacing::Scoring,
    score::Tenths,
};

impl Telling<'_> {
    /// By open alert: the house that most of its records belong to now.
    pub(super) fn lodge(
        &self,
        scorings: &[Arc<Scoring>],
        continuity: &Continuity,
        open: &BTreeMap<AlertId, Standing>,
    ) -> BTreeMap<AlertId, usize> {
        let disputed = self.disputed(continuity);
        let mut best: BTreeMap<AlertId, (usize, Tenths, usize)> = BTreeMap::new();
        for (at, house) in self.houses.iter().enumerate() {
            let mut records: BTreeMap<AlertId, usize> = BTreeMap::new();
            for (agency, handle) in self.members(house) {
                let known = continuity.alerts(agency, handle).filter(|id| open.contains_key(id));
                // An alert stays where it was, and does not go along with who does not belong there.
                let belongs = |id: &AlertId| {
                    !disputed.get(&(agency, handle)).is_some_and(|alerts| alerts.contains(id))
                };
                known.filter(belongs).for_each(|id| *records.entry(id).or_default() += 1);
            }
            for (id, records) in records {
                let claim = (records, scorings[at].scored.score, at);
                let holds =
                    |known: &(usize, Tenths, usize)| (known.0, known.1) >= (claim.0, claim.1);
                if !best.get(&id).is_some_and(holds) {
                    best.insert(id, claim);
                }
            }
        }
        best.into_iter().map(|(id, (.., at))| (id, at)).collect()
    }

    /// By record that was found not to belong with others: the alerts that are about these.
    fn disputed(&self, continuity: &Continuity) -> HashMap<(usize, Handle), BTreeSet<AlertId>> {
        let records = &self.linked.records;
        let place = |record: u32| (records.agency(record), records.handle(record));
        let mut alerts: HashMap<MemoId, BTreeSet<AlertId>> = HashMap::new();
        for (record, found) in records.found() {
            let (agency, handle) = place(record);
            for apart in found.iter().filter(|apart| !apart.stranger) {
                let about = continuity.alerts(agency, handle);
                alerts.entry(apart.finding).or_default().extend(about);
            }
        }
        let mut disputed: HashMap<(usize, Handle), BTreeSet<AlertId>> = HashMap::new();
        for (record, found) in records.found() {
            for apart in found.iter().filter(|apart| apart.stranger) {
                let about = alerts.get(&apart.finding).into_iter().flatten();
                disputed.entry(place(record)).or_default().extend(about);
            }
        }
        disputed
    }

    /// Returns whether all of an alert's records that are there still belong to a house, but for those that
    /// were found to be somebody else's: others may not because somebody is silent who knows where they
    /// live, or who they are.
    pub(super) fn is_whole(&self, alert: AlertId, house: &House, continuity: &Continuity) -> bool {
        let members: BTreeSet<(usize, Handle)> = self.members(house).collect();
        let nobody_left = house.household.members.iter().all(|member| member.until.is_none());
        let mut elsewhere: BTreeMap<usize, HashSet<Handle>> = BTreeMap::new();
        for subject in continuity.subjects(alert).filter(|subject| !members.contains(subject)) {
            let (agency, handle) = subject;
            if self.agencies[agency].is_in() && !continuity.is_stranger(agency, handle) {
                elsewhere.entry(agency).or_default().insert(handle);
            }
        }
        // What was found of somebody is remembered until the sweep is closed, also of who has left it.
        let records = &self.linked.records;
        let is_gone = |(agency, handles): (&usize, &HashSet<Handle>)| {
            records.find(*agency, handles).is_empty()
        };
        nobody_left && elsewhere.iter().all(is_gone)
    }
}
