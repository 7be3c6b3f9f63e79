//! Finds households, and asks for the signals of those where at least two agencies see harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Instant,
};

use causeway_proto::{
    catalogue::SignalCode,
    day::Day,
    dwelling::Residence,
    ids::{EventKey, Handle, SweepId},
    signal::{Disclosure, Signal},
    token::PersonFlags,
};
use futures::future::{BoxFuture, join_all};

use super::{Cycle, Linked, Taking, progress::Step, report::Seconds};
use crate::{
    alert::LATE_DAYS,
    federation::{
        Member, Problem,
        client::{HANDLES, NodeClient},
        patiently,
    },
    household::{self, Household, Limits, Resident},
    link::Records,
    route::surfacing::Ages,
    score::Event,
};

/// A household where several agencies see harm, with what they say.
pub struct House {
    /// Who belongs to it.
    pub household: Household,
    /// What happened to them.
    pub events: Vec<Event>,
    /// By code: the strictest wish of the agencies that recorded it.
    pub disclosures: BTreeMap<SignalCode, Disclosure>,
    /// By code: when the latest event came in that had happened long before.
    pub late: BTreeMap<SignalCode, Day>,
    /// By event: up to which day it is told for certain; `None` where it does not grow old.
    pub told_until: BTreeMap<(SignalCode, EventKey), Option<Day>>,
}

impl House {
    /// Returns until when that is told which had happened by a day.
    pub fn ages(&self, by: Day) -> Ages {
        let begun = self.events.iter().filter(|event| event.start <= by);
        let begun: BTreeSet<(SignalCode, EventKey)> = begun.map(|e| (e.code, e.key)).collect();
        let of = |event: &(SignalCode, EventKey)| self.told_until.get(event).copied().flatten();
        let days = begun.iter().filter_map(|event| Some((event.0, of(event)?)));
        days.collect()
    }
}

/// What the agencies said of their people so far in this sweep. What changes is forgotten, and asked
/// again.
pub struct Known {
    /// Of whom anything may be said, and where they live; `None` until their node has answered.
    homes: BTreeMap<u32, Option<Arc<Residence>>>,
    signals: BTreeMap<u32, Vec<Signal>>,
}

impl Known {
    /// Knows of whom anything may be said, and nothing else yet.
    pub fn new(records: &Records) -> Self {
        let spoken_of = records.present().filter(|record| is_spoken_of(records, *record));
        Self { homes: spoken_of.map(|record| (record, None)).collect(), signals: BTreeMap::new() }
    }

    /// Forgets what was said of a record that came, is gone, or of which other things are said now.
    pub fn forget(&mut self, records: &Records, record: u32) {
        match is_spoken_of(records, record) && !records.is_gone(record) {
            true => self.homes.insert(record, None),
            false => self.homes.remove(&record),
        };
        self.signals.remove(&record);
    }
}

fn is_spoken_of(records: &Records, record: u32) -> bool {
    records.flags(record).any(PersonFlags::HARM | PersonFlags::CONTEXT)
}

/// What became of everybody's homes.
pub struct Houses {
    /// Every household there is, also of one person.
    pub households: Vec<Household>,
    /// Those that are worth scoring.
    pub worth: Vec<House>,
    /// How many records signals were asked for.
    pub signals_asked_for: usize,
}

/// Asks who shares a home, and then for the signals of those who matter.
pub async fn houses(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    as_at: Day,
    agencies: &mut [Taking<'_>],
    linked: &Linked,
    known: &mut Known,
    seconds: &mut Seconds,
) -> Houses {
    let began = Instant::now();
    let residents = residents(cycle, sweep, agencies, linked, known).await;
    let mut households = household::households(&residents, Limits::default());
    // Who was found to be somebody else is not pooled because of an address either.
    for house in &mut households {
        house.leave_out_strangers(|one, other| linked.records.is_stranger(one, other));
    }
    let worth: Vec<Household> =
        households.iter().filter(|house| is_worth_it(&linked.records, house)).cloned().collect();
    seconds.dwellings = began.elapsed().as_secs_f64();

    let asking = Instant::now();
    let wanted: BTreeSet<u32> =
        worth.iter().flat_map(|house| house.members.iter().map(|m| m.record)).collect();
    let new: Vec<u32> =
        wanted.iter().filter(|record| !known.signals.contains_key(record)).copied().collect();
    let told = signals(cycle, sweep, agencies, &linked.records, &new).await;
    known.signals.extend(told);
    seconds.signals = asking.elapsed().as_secs_f64();
    let attached = cycle.model.surfacing.household_only_confidence;
    let worth = worth
        .into_iter()
        .map(|house| furnish(house, agencies, linked, &known.signals, attached, as_at))
        .collect();
    Houses { households, worth, signals_asked_for: wanted.len() }
}

/// Asks where everybody lives of whom anything may be said.
async fn residents(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    linked: &Linked,
    known: &mut Known,
) -> Vec<Resident> {
    let Linked { records, decision, .. } = linked;
    let unasked = known.homes.iter().filter(|(_, home)| home.is_none());
    let new: Vec<u32> = unasked.map(|(record, _)| *record).collect();
    let call: Call<Residence> =
        |client, handles, sweep| Box::pin(async move { client.dwellings(sweep, &handles).await });
    let told = ask(cycle, sweep, agencies, records, &new, (Step::Dwellings, call)).await;
    if let Some(received) = cycle.received {
        received.homes(&told);
    }
    known.homes.extend(told.into_iter().map(|(record, home)| (record, Some(Arc::new(home)))));
    let withheld = Arc::new(Residence::Withheld);
    known
        .homes
        .iter()
        .map(|(record, home)| Resident {
            record: *record,
            person: decision.persons[*record as usize],
            // Proves no person by itself, and nothing linked it to one.
            thin: (records.flags(*record).any(PersonFlags::THIN) && !linked.is_linked(*record))
                || decision.ambiguous[*record as usize],
            residence: home.as_ref().unwrap_or(&withheld).clone(),
        })
        .collect()
}

/// Single-agency risk is that agency's own business already.
fn is_worth_it(records: &Records, house: &Household) -> bool {
    let harmed = house.members.iter().filter(|m| records.flags(m.record).any(PersonFlags::HARM));
    let mut agencies = harmed.map(|member| records.agency(member.record));
    let first = agencies.next();
    agencies.any(|agency| Some(agency) != first)
}

/// Asks for the signals of some records.
async fn signals(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    records: &Records,
    wanted: &[u32],
) -> BTreeMap<u32, Vec<Signal>> {
    let call: Call<Vec<Signal>> =
        |client, handles, sweep| Box::pin(async move { client.signals(sweep, &handles).await });
    let mut signals = ask(cycle, sweep, agencies, records, wanted, (Step::Signals, call)).await;
    // An agency speaks for itself only.
    signals.retain(|record, signals: &mut Vec<Signal>| {
        let kind = agencies[records.agency(*record)].member.kind;
        let before = signals.len();
        signals.retain(|signal| signal.code.spec().owner.is_none_or(|owner| owner == kind));
        if signals.len() < before {
            let agency = &mut agencies[records.agency(*record)];
            let problem = Problem::Broke("it sent signals that belong to another agency".into());
            agency.drop_out(cycle.progress, Step::Signals, problem);
        }
        true
    });
    signals.retain(|record, _| agencies[records.agency(*record)].is_in());
    signals
}

/// A call that answers one thing for each handle.
type Call<T> = fn(NodeClient, Vec<Handle>, SweepId) -> BoxFuture<'static, Result<Vec<T>, Problem>>;

/// Asks every node about its part of some records, in order, a batch at a time.
async fn ask<T>(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    records: &Records,
    wanted: &[u32],
    (step, call): (Step, Call<T>),
) -> BTreeMap<u32, T> {
    let parts = records.by_agency(wanted.iter().copied());
    let mut asking = Vec::with_capacity(agencies.len());
    for (agency, part) in agencies.iter().zip(&parts) {
        let part = if agency.is_in() { &part[..] } else { &[] };
        asking.push(ask_one(cycle, sweep, agency.member, records, part, (step, call)));
    }
    let answers = join_all(asking).await;
    let mut all = BTreeMap::new();
    for (agency, answer) in agencies.iter_mut().zip(answers) {
        match answer {
            Ok(answers) => all.extend(answers),
            Err(problem) => agency.drop_out(cycle.progress, step, problem),
        }
    }
    all
}

async fn ask_one<T>(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    member: &Member,
    records: &Records,
    part: &[u32],
    (step, call): (Step, Call<T>),
) -> Result<Vec<(u32, T)>, Problem> {
    let client = member.client(cycle.limits.call());
    let mut answers = Vec::with_capacity(part.len());
    for batch in part.chunks(HANDLES) {
        let handles: Vec<Handle> = batch.iter().map(|record| records.handle(*record)).collect();
        let ask = || call(client.clone(), handles.clone(), sweep);
        let answered = patiently(cycle.limits.patience(), ask).await?;
        answers.extend(batch.iter().copied().zip(answered));
        let (done, total) = (answers.len() as u64, part.len() as u64);
        cycle.progress.step(step, Some(&member.id), done, total);
    }
    Ok(answers)
}

/// Puts a household together with what the agencies say of it.
fn furnish(
    household: Household,
    agencies: &[Taking<'_>],
    linked: &Linked,
    signals: &BTreeMap<u32, Vec<Signal>>,
    attached_confidence: f64,
    as_at: Day,
) -> House {
    let mut events = Vec::new();
    let mut disclosures: BTreeMap<SignalCode, Disclosure> = BTreeMap::new();
    let mut late: BTreeMap<SignalCode, Day> = BTreeMap::new();
    let mut told_until: BTreeMap<(SignalCode, EventKey), Option<Day>> = BTreeMap::new();
    for member in &household.members {
        let agency = &agencies[linked.records.agency(member.record)].member.id;
        let link = if member.attached { attached_confidence } else { 1.0 };
        for signal in signals.get(&member.record).into_iter().flatten() {
            // What happened after they left happened elsewhere, and what is to come has not.
            let elsewhere = member.until.is_some_and(|left| signal.start > left);
            if elsewhere || signal.start > as_at {
                continue;
            }
            disclosures
                .entry(signal.code)
                .and_modify(|wish| *wish = (*wish).max(signal.disclosure))
                .or_insert(signal.disclosure);
            let came_late = |came: &Day| came.since(signal.start) > LATE_DAYS;
            if let Some(came) = signal.arrived.filter(came_late) {
                late.entry(signal.code)
                    .and_modify(|known| *known = came.max(*known))
                    .or_insert(came);
            }
            // Of those who tell of one event, the last one counts.
            told_until
                .entry((signal.code, signal.event))
                .and_modify(|known| *known = known.zip(signal.told_until).map(|(x, y)| x.max(y)))
                .or_insert(signal.told_until);
            events.push(Event {
                person: member.person,
                code: signal.code,
                start: signal.start,
                end: signal.end,
                key: signal.event,
                confidence: link * f64::from(signal.confidence_permille) / 1000.0,
                shared: signal.shared,
                agency: agency.as_str().into(),
            });
        }
    }
    House { household, events, disclosures, late, told_until }
}
