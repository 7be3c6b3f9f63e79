//! What a burst of changes comes to: who leaves the sweep, who comes, and who is to be asked again.
//!
//! Nodes speak of handles, in the order in which things happened; what comes out is about records, once
//! each. The same burst told twice, as after a stream that broke, comes to the same.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use causeway_proto::{
    change::{Change, Upsert},
    ids::Handle,
    kind::MatchKeyKind,
    sweep::Feed,
    token::PersonFlags,
};

use super::{Cycle, Open, Taking, progress::Step};
use crate::{
    federation::{Problem, changes::News, join::Joined},
    link::{
        rekey::Rekey,
        replace::{self, Arrival},
    },
};

/// An agency may bring so many times the records in one sweep that it may open it with: everybody may
/// change once, and many more often.
const HELD_OF_OPENED: u64 = 2;

/// What some news come to, by handles.
#[derive(Default)]
pub(super) struct Changes {
    /// Those who come, by agency and handle.
    come: BTreeMap<(usize, Handle), Arrival>,
    /// How many they are, by agency.
    coming: BTreeMap<usize, u64>,
    /// Those who were there and leave.
    leave: HashSet<(usize, Handle)>,
    /// Those of whom other facts are to be asked.
    facts: HashMap<(usize, Handle), PersonFlags>,
    /// Agencies all of whose earlier records leave.
    anew: BTreeSet<usize>,
    /// Something else changed that an alert may have to say.
    other: bool,
}

/// The same by records.
pub(super) struct Resolved {
    /// Who leaves, comes or has other tokens.
    pub(super) records: replace::Change,
    /// Those of whom other facts are to be asked, with what is said of them.
    pub(super) facts: BTreeMap<u32, PersonFlags>,
}

impl Changes {
    /// Begins; `other` where something has to be looked at again whatever nodes tell.
    pub(super) fn new(other: bool) -> Self {
        Self { other, ..Self::default() }
    }

    /// Takes in what one agency tells.
    pub(super) fn hear(&mut self, cycle: &Cycle<'_>, open: &mut Open<'_>, news: News) {
        match news {
            // Nobody joins twice: all of its records would leave and come again.
            News::Joined(at, _) if open.agencies[at].is_in() => {}
            News::Joined(at, joined) => self.joined(cycle, open, at, *joined),
            // What is still on its way from a node that dropped out counts no more.
            News::Step(at, _) | News::Silent(at, _) | News::Back(at) | News::Over(at, _)
                if !open.agencies[at].is_in() => {}
            News::Step(at, step) => match step.change {
                Change::Upsert(upsert) => self.upsert(cycle, open, at, upsert),
                Change::Retraction(handle) => self.drop(at, handle),
                Change::Facts(handle, flags) => match self.come.get_mut(&(at, handle)) {
                    Some(new) => new.flags = flags,
                    None => {
                        self.facts.insert((at, handle), flags);
                    }
                },
                Change::Feeds(feeds) => self.feeds(&mut open.agencies[at], feeds),
                Change::CaughtUp => {
                    if let Some(opened) = &mut open.agencies[at].opened {
                        opened.position = step.position;
                    }
                }
            },
            News::Silent(at, problem) => {
                let agency = &mut open.agencies[at];
                tracing::warn!(agency.id = %agency.member.id, %problem, "a node fell silent");
                agency.silent = Some(problem);
                self.other = true;
            }
            News::Back(at) => {
                let agency = &mut open.agencies[at];
                tracing::info!(agency.id = %agency.member.id, "a node is there again");
                agency.silent = None;
                self.other = true;
            }
            News::Over(at, problem) => {
                open.agencies[at].drop_out(cycle.progress, Step::Stream, problem);
                self.other = true;
            }
        }
    }

    fn upsert(&mut self, cycle: &Cycle<'_>, open: &mut Open<'_>, at: usize, upsert: Upsert) {
        if let Some(before) = upsert.replaces {
            self.drop(at, before);
            // What was found of somebody is theirs under the new handle, too.
            open.continuity.rekey(at, before, upsert.handle);
        }
        // A burst that is sent again after a stream broke brings the same people again.
        self.drop(at, upsert.handle);
        if let Err(problem) = self.has_room(cycle, open, at, 1 + upsert.memos.len()) {
            open.agencies[at].drop_out(cycle.progress, Step::Stream, problem);
            open.agencies[at].barred = true;
            self.other = true;
            return;
        }
        let tokens = renamed(&open.rekey, &upsert);
        let Upsert { handle, flags, memos, .. } = upsert;
        open.continuity.bring(at, handle, memos);
        self.come(Arrival { agency: at, handle, flags, tokens });
    }

    fn come(&mut self, new: Arrival) {
        let at = new.agency;
        if self.come.insert((at, new.handle), new).is_none() {
            *self.coming.entry(at).or_default() += 1;
        }
    }

    /// Returns whether an agency may bring so many more in this sweep, records and findings: those who leave keep
    /// their place in memory until it is closed.
    fn has_room(
        &self,
        cycle: &Cycle<'_>,
        open: &Open<'_>,
        at: usize,
        more: usize,
    ) -> Result<(), Problem> {
        let most = HELD_OF_OPENED * cycle.limits.most_records;
        let coming = self.coming.get(&at).copied().unwrap_or_default();
        let brought = open.linked.records.brought(at) + open.continuity.brought(at);
        let held = brought as u64 + coming + more as u64;
        if held <= most {
            return Ok(());
        }
        Err(Problem::Broke(format!(
            "since the sweep was opened it has brought more than {most} records and findings, twice what `most_records` \
             in the settings allows: it takes part again from the next sweep on"
        )))
    }

    fn drop(&mut self, at: usize, handle: Handle) {
        self.facts.remove(&(at, handle));
        if self.come.remove(&(at, handle)).is_some() {
            *self.coming.entry(at).or_default() -= 1;
        }
        self.leave.insert((at, handle));
    }

    fn feeds(&mut self, agency: &mut Taking<'_>, feeds: Vec<Feed>) {
        if let Some(opened) = agency.opened.as_mut().filter(|opened| opened.feeds != feeds) {
            opened.feeds = feeds;
            self.other = true;
        }
    }

    /// Lets an agency take part that did not, with everything it brings.
    fn joined(&mut self, cycle: &Cycle<'_>, open: &mut Open<'_>, at: usize, joined: Joined) {
        let Joined { opened, handles, flags, columns } = joined;
        if let Err(problem) = self.has_room(cycle, open, at, handles.len() + opened.memos.len()) {
            // It stays left out, and is not asked again: what it brought before takes the room.
            let agency = &mut open.agencies[at];
            cycle.progress.problem(Step::Open, &agency.member.id, &problem);
            tracing::warn!(agency.id = %agency.member.id, %problem, "stays without a node");
            (agency.problem, agency.barred) = (Some(problem), true);
            self.other = true;
            return;
        }
        let agency = &mut open.agencies[at];
        cycle.progress.step(Step::Open, Some(&agency.member.id), opened.records, 0);
        open.continuity.hand_back(at, &opened.memos);
        (agency.opened, agency.problem, agency.silent) = (Some(opened), None, None);
        agency.look_for_contact();
        self.anew.insert(at);
        for (row, (handle, flags)) in handles.into_iter().zip(flags).enumerate() {
            let tokens = MatchKeyKind::ALL.iter().zip(&columns).map(|(kind, column)| {
                column[row * kind.slots()..(row + 1) * kind.slots()].to_vec()
            });
            self.come(Arrival { agency: at, handle, flags, tokens: tokens.collect() });
        }
    }

    /// Returns whether an agency joined.
    pub(super) fn has_joined(&self) -> bool {
        !self.anew.is_empty()
    }

    /// Finds the records that handles mean. Those of an agency that dropped out leave. `None` where there is
    /// nothing to do.
    pub(super) fn resolve(mut self, open: &Open<'_>) -> Option<Resolved> {
        let records = &open.linked.records;
        let mut change = replace::Change::default();
        let mut facts = BTreeMap::new();
        for at in 0..open.agencies.len() {
            let of = |key: &&(usize, Handle)| key.0 == at;
            let leave = self.leave.iter().filter(of);
            let handles: HashSet<Handle> =
                leave.chain(self.facts.keys().filter(of)).map(|(_, handle)| *handle).collect();
            let all_leave = self.anew.contains(&at) || !open.agencies[at].is_in();
            if all_leave {
                change.leave.extend(records.all_of(at));
            } else if !handles.is_empty() {
                for (handle, record) in records.find(at, &handles) {
                    let key = (at, handle);
                    match (self.facts.get(&key), self.come.remove(&key)) {
                        (Some(flags), _) => _ = facts.insert(record, *flags),
                        (None, Some(new)) => change.renew.push((record, new)),
                        (None, None) => _ = change.leave.insert(record),
                    }
                }
            }
        }
        change.renew.sort_unstable_by_key(|(record, _)| *record);
        let come = self.come.into_values();
        change.come.extend(come.filter(|new| open.agencies[new.agency].is_in()));
        let replace::Change { leave, come, renew } = &change;
        let nothing = leave.is_empty() && come.is_empty() && renew.is_empty() && facts.is_empty();
        (self.other || !nothing).then_some(Resolved { records: change, facts })
    }
}

/// The tokens of somebody who comes, under the names of this sweep.
fn renamed(rekey: &Rekey, upsert: &Upsert) -> Vec<Vec<u64>> {
    let columns = MatchKeyKind::ALL.iter().zip(&upsert.tokens);
    let renamed = columns.map(|(kind, tokens)| {
        let mut names = Vec::with_capacity(kind.slots());
        rekey.column(*kind, tokens, &mut names);
        names
    });
    renamed.collect()
}
