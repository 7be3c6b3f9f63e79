//! What a few agencies hold of one household, as it changes.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::{
    catalogue::{AgencyKind, SignalCode, SignalSpan},
    day::Day,
    dwelling::{Dwelling, Residence},
    ids::{AgencyId, DwellingKey, EventKey, Handle, SweepId},
    signal::{Disclosure, Signal},
    sweep::{Feed, Memo, MemoKind, Opened},
    token::PersonFlags,
};
use proptest::prelude::*;

use crate::{
    link::{Records, Roll},
    score::{Event, fixture::scenario},
};

/// Something that happens at an agency. Numbers stand for one of what there is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// A fact comes in, or is retracted.
    Toggle(usize),
    /// A fact is corrected: it happened so many days later.
    Redate(usize, i32),
    /// A fact is corrected: it was something else.
    Recode(usize, usize),
    /// Somebody moves out, or back in, as one agency has it.
    Move(usize),
    /// A record stops being linked, or is linked again.
    Link(usize),
    /// A record goes, or comes back.
    Retire(usize),
    /// An agency goes away, or comes back.
    Leave(usize),
    /// An agency's exports stop coming in, or come in again.
    Stop(usize),
    /// An agency's node has no room for findings, or has again.
    Fill(usize),
    /// A recipient says that a line is somebody else's.
    Dispute(usize),
    /// A recipient says that there is nothing to worry about.
    Review,
}

impl Change {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let at = || 0..64_usize;
        prop_oneof![
            4 => at().prop_map(Self::Toggle),
            2 => (at(), -60..60_i32).prop_map(|(at, days)| Self::Redate(at, days)),
            2 => (at(), at()).prop_map(|(at, code)| Self::Recode(at, code)),
            1 => at().prop_map(Self::Move),
            1 => at().prop_map(Self::Link),
            1 => at().prop_map(Self::Retire),
            1 => at().prop_map(Self::Leave),
            1 => at().prop_map(Self::Stop),
            1 => at().prop_map(Self::Fill),
            2 => at().prop_map(Self::Dispute),
            1 => Just(Self::Review),
        ]
    }
}

/// After so many days an agency's policy lets nothing be told of an event any more.
const MOST_DAYS: i32 = 150;

/// One agency.
pub(super) struct Agency {
    pub(super) id: AgencyId,
    pub(super) kind: AgencyKind,
    pub(super) missing: bool,
    /// Whether its node can keep no finding.
    pub(super) full: bool,
    /// Whether its node knows none of the handles that it made.
    pub(super) forgetful: bool,
    stale: bool,
}

/// One person as one agency knows them.
struct Record {
    agency: usize,
    person: u32,
    away: bool,
    /// When they moved out, if they did.
    left: Option<Day>,
    linked: bool,
    gone: bool,
    memos: Vec<Memo>,
}

impl Record {
    fn of(agency: usize, person: u32) -> Self {
        let (away, left, linked, gone, memos) = (false, None, true, false, Vec::new());
        Self { agency, person, away, left, linked, gone, memos }
    }
}

/// One event of a record: as it is at the agency, and as its node has it.
struct Fact {
    record: usize,
    event: Event,
    there: bool,
    told: Option<Event>,
    /// As it ever was told.
    ever: Vec<Event>,
}

/// Everything that the agencies hold.
pub(super) struct World {
    pub(super) agencies: Vec<Agency>,
    records: Vec<Record>,
    facts: Vec<Fact>,
    sweep: SweepId,
    as_at: Day,
}

impl World {
    /// The agencies, people and events of a scenario, a record for each person at each agency.
    pub(super) fn of(name: &str) -> Self {
        let events = scenario(name);
        let kind = |event: &Event| event.code.spec().owner.unwrap_or(AgencyKind::Schools);
        let mut records: BTreeMap<(AgencyKind, u32), usize> = BTreeMap::new();
        for event in &events {
            records.insert((kind(event), event.person), 0);
        }
        let mut agencies: Vec<Agency> = Vec::new();
        let mut all = Vec::new();
        for ((kind, person), number) in &mut records {
            if agencies.last().is_none_or(|last| last.kind != *kind) {
                let id = kind.to_string().replace('_', "-").parse().unwrap();
                agencies.push(Agency {
                    id,
                    kind: *kind,
                    missing: false,
                    full: false,
                    forgetful: false,
                    stale: false,
                });
            }
            *number = all.len();
            let (agency, person) = (agencies.len() - 1, *person);
            all.push(Record::of(agency, person));
        }
        let fact = |event: &Event| Fact {
            record: records[&(kind(event), event.person)],
            event: event.clone(),
            there: true,
            told: None,
            ever: Vec::new(),
        };
        let facts = events.iter().map(fact).collect();
        let (sweep, as_at) = (SweepId::new(0, [0; 8]), Day::new(2025, 1, 1).unwrap());
        Self { agencies, records: all, facts, sweep, as_at }
    }

    /// Lets something happen.
    pub(super) fn change(&mut self, change: Change) {
        let Self { agencies, records, facts, .. } = self;
        let (people, events, kinds) = (records.len(), facts.len(), agencies.len());
        match change {
            Change::Toggle(at) => facts[at % events].there ^= true,
            Change::Redate(at, days) => {
                let event = &mut facts[at % events].event;
                event.start = event.start.plus(days);
            }
            Change::Recode(at, code) => {
                let event = &mut facts[at % events].event;
                let owner = event.code.spec().owner;
                // An agency speaks for itself, and a child stays a child.
                let own: Vec<SignalCode> = SignalCode::all()
                    .filter(|code| code.spec().owner == owner && owner.is_some())
                    .collect();
                event.code = own.get(code % own.len().max(1)).copied().unwrap_or(event.code);
            }
            Change::Move(at) => records[at % people].away ^= true,
            Change::Link(at) => records[at % people].linked ^= true,
            Change::Retire(at) => records[at % people].gone ^= true,
            Change::Leave(at) => agencies[at % kinds].missing ^= true,
            Change::Stop(at) => agencies[at % kinds].stale ^= true,
            Change::Fill(at) => agencies[at % kinds].full ^= true,
            Change::Dispute(_) | Change::Review => {}
        }
    }

    /// Somebody comes to live there whom one agency alone knows, with what it says of them: the number of a
    /// code of its own or of an age, and how many days before the end of the first sweep it began.
    pub(super) fn arrive(&mut self, agency: usize, known: &[(usize, i32)]) {
        let person = 100 + u32::try_from(self.records.len()).unwrap();
        let Agency { kind, id, .. } = &self.agencies[agency];
        let of_kind = |code: &SignalCode| code.spec().owner.is_none_or(|owner| owner == *kind);
        let codes: Vec<SignalCode> = SignalCode::all().filter(of_kind).collect();
        for (number, (code, days_ago)) in known.iter().enumerate() {
            let event = Event {
                person,
                code: codes[code % codes.len()],
                start: Day::new(2025, 2, 20).unwrap().plus(-days_ago),
                end: None,
                key: EventKey::from_bytes(
                    (u128::from(person) << 64 | number as u128).to_be_bytes(),
                ),
                confidence: 1.0,
                shared: false,
                agency: id.as_str().into(),
            };
            let (record, ever) = (self.records.len(), Vec::new());
            self.facts.push(Fact { record, event, there: true, told: None, ever });
        }
        self.records.push(Record::of(agency, person));
    }

    /// An agency knows nobody any more but one who left on a day, with what it says of them.
    pub(super) fn know_only_who_left(&mut self, agency: usize, known: &[(usize, i32)], left: Day) {
        let mine = self.records.iter_mut().filter(|record| record.agency == agency);
        mine.for_each(|record| record.gone = true);
        self.arrive(agency, known);
        self.records.last_mut().expect("they came").left = Some(left);
    }

    /// Every agency retracts everything.
    pub(super) fn retract_all(&mut self) {
        self.facts.iter_mut().for_each(|fact| fact.there = false);
    }

    /// Leaves out the records of some agencies.
    pub(super) fn without(
        &self,
        records: &BTreeSet<usize>,
        away: &BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        let is_there = |record: &&usize| !away.contains(&self.records[**record].agency);
        records.iter().filter(is_there).copied().collect()
    }

    /// Begins a sweep: nodes have what came in until now.
    pub(super) fn begin(&mut self, sweep: SweepId, as_at: Day) {
        (self.sweep, self.as_at) = (sweep, as_at);
        for fact in &mut self.facts {
            if !self.agencies[self.records[fact.record].agency].stale {
                fact.told = fact.there.then(|| fact.event.clone());
                fact.ever.extend(fact.told.clone().filter(|told| !fact.ever.contains(told)));
            }
        }
    }

    /// What an agency brings into the sweep.
    pub(super) fn opened(&self, id: &AgencyId) -> Opened {
        let at = self.agencies.iter().position(|agency| agency.id == *id).unwrap();
        let agency = &self.agencies[at];
        let mine = self.present().filter(|record| self.records[*record].agency == at);
        let memos = mine.flat_map(|record| {
            let handle = self.handle(record);
            self.records[record].memos.iter().map(move |memo| Memo { handle, ..memo.clone() })
        });
        Opened {
            recipe: 1,
            key_epoch: 1,
            key_commit: [0; 32],
            records: 0,
            position: 0,
            kind: agency.kind,
            feeds: vec![Feed { id: "all".into(), as_at: Some(self.as_at), stale: agency.stale }],
            memos: memos.collect(),
            contact: None,
            no_contact: None,
            withheld: Vec::new(),
            spelling: 1,
        }
    }

    /// The records of those who take part, and by record of the world its number among them.
    pub(super) fn records(&self) -> (Records, BTreeMap<usize, u32>) {
        let mut rolls: Vec<Roll> = self.agencies.iter().map(|_| Roll::default()).collect();
        let mut numbers = BTreeMap::new();
        let mut present: Vec<usize> = self.present().collect();
        // Agency by agency, as records are numbered.
        present.sort_by_key(|record| self.records[*record].agency);
        for (number, record) in (0..).zip(present) {
            let roll = &mut rolls[self.records[record].agency];
            roll.handles.push(self.handle(record));
            roll.flags.push(self.flags(record));
            roll.strong_ids.push([0; 3]);
            numbers.insert(record, number);
        }
        (Records::new(rolls), numbers)
    }

    /// By number, in order: records of different agencies that are one person's.
    pub(super) fn same_person(&self, numbers: &BTreeMap<usize, u32>) -> Vec<[u32; 2]> {
        let linked = || numbers.iter().filter(|(record, _)| self.records[**record].linked);
        let same = |x: usize, y: usize| {
            let (x, y) = (&self.records[x], &self.records[y]);
            x.person == y.person && x.agency != y.agency
        };
        let mut pairs: Vec<[u32; 2]> = linked()
            .flat_map(|(x, a)| {
                let others = linked().filter(move |(y, b)| *b > a && same(*x, **y));
                others.map(|(_, b)| [*a, *b])
            })
            .collect();
        pairs.sort_unstable();
        pairs
    }

    /// How many of an agency's records were found not to belong where they were.
    pub(super) fn strangers(&self, agency: usize) -> usize {
        let mine = self.records.iter().filter(|record| record.agency == agency);
        let is_stranger = |memo: &Memo| memo.kind == MemoKind::NotLinked && memo.score_tenths > 0;
        mine.filter(|record| record.memos.iter().any(is_stranger)).count()
    }

    /// How many findings of disputes whoever of an agency has most of them carries.
    pub(super) fn most_findings(&self, agency: usize) -> usize {
        let mine = self.records.iter().filter(|record| record.agency == agency);
        let is_apart = |memo: &&Memo| memo.kind == MemoKind::NotLinked;
        mine.map(|record| record.memos.iter().filter(is_apart).count()).max().unwrap_or(0)
    }

    /// Where a handle's record lives, as its agency has it.
    pub(super) fn residence(&self, handle: Handle) -> Residence {
        let record = number(handle);
        let key = match self.records[record].away {
            true => DwellingKey::from_bytes([u8::try_from(record + 1).unwrap(); 16]),
            false => DwellingKey::from_bytes([255; 16]),
        };
        Residence::Known(vec![Dwelling {
            address: Some(key),
            to: self.records[record].left,
            surname_tags: vec![[1, 1]],
            adult: true,
            ..Dwelling::default()
        }])
    }

    /// What a handle's node tells of it.
    pub(super) fn signals(&self, handle: Handle) -> Vec<Signal> {
        let told = self.told(number(handle));
        told.map(|event| Signal {
            code: event.code,
            start: event.start,
            end: event.end.filter(|end| *end <= self.as_at),
            event: event.key,
            confidence_permille: 1000,
            disclosure: Disclosure::Named,
            arrived: None,
            shared: false,
            told_until: self.told_until(&event),
        })
        .collect()
    }

    /// Keeps a finding with a record.
    pub(super) fn keep(&mut self, memo: Memo) {
        let memos = &mut self.records[number(memo.handle)].memos;
        memos.retain(|known| (known.kind, known.id) != (memo.kind, memo.id));
        memos.push(memo);
    }

    /// What is told of a record: what has begun by now, and has not grown old.
    fn told(&self, record: usize) -> impl Iterator<Item = Event> {
        let is_old = |event: &Event| self.told_until(event).is_some_and(|day| day < self.as_at);
        self.held(record).filter(move |event| !is_old(event))
    }

    /// What was told once and may have grown old since, in whichever month. Whether it was withdrawn as
    /// well, nobody can say.
    pub(super) fn grown_old(&self) -> Vec<Event> {
        let ever = self.facts.iter().flat_map(|fact| &fact.ever);
        let is_old = |day: Day| day.first_of_month() < self.as_at;
        ever.filter(|event| self.told_until(event).is_some_and(is_old)).cloned().collect()
    }

    /// What is held of a record: of what has begun by now.
    fn held(&self, record: usize) -> impl Iterator<Item = Event> {
        let mine = self.facts.iter().filter(move |fact| fact.record == record);
        let told =
            mine.filter_map(|fact| fact.told.clone()).map(|event| match event.code.spec().owner {
                Some(_) => event,
                None => Event { start: self.as_at, ..event },
            });
        told.filter(|event| event.start <= self.as_at)
    }

    /// The last day on which an event is told; `None` for what does not grow old.
    fn told_until(&self, event: &Event) -> Option<Day> {
        let end = event.end.filter(|end| *end <= self.as_at);
        let is_open = event.code.spec().span == SignalSpan::State && end.is_none();
        (!is_open && event.code.spec().owner.is_some())
            .then(|| end.unwrap_or(event.start).plus(MOST_DAYS))
    }

    fn flags(&self, record: usize) -> PersonFlags {
        let of = |code: SignalCode| {
            if code.is_harm() { PersonFlags::HARM } else { PersonFlags::CONTEXT }
        };
        PersonFlags(self.told(record).fold(0, |flags, event| flags | of(event.code)))
    }

    /// The records of those who take part.
    fn present(&self) -> impl Iterator<Item = usize> {
        let is_there = |record: &Record| !record.gone && !self.agencies[record.agency].missing;
        let all = self.records.iter().enumerate();
        all.filter(move |(_, record)| is_there(record)).map(|(at, _)| at)
    }

    fn handle(&self, record: usize) -> Handle {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.sweep.counter().to_be_bytes());
        bytes[8..].copy_from_slice(&(record as u64).to_be_bytes());
        Handle::from_bytes(bytes)
    }
}

/// The record that a handle stands for, in whichever sweep.
pub(super) fn number(handle: Handle) -> usize {
    usize::try_from(u64::from_be_bytes(handle.as_bytes()[8..].try_into().unwrap())).unwrap()
}
