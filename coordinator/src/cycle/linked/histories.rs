//! Whatever changes, and in whatever order: what live linking comes to is what a full pass over the
//! same records with the same weights gives.

mod few;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use causeway_proto::{
    ids::{Handle, MemoId},
    kind::MatchKeyKind,
    linkage::{
        levels::{ComparisonField as F, Levels},
        weights::Strangers,
    },
    token::PersonFlags,
};
use proptest::prelude::*;

use super::*;
use crate::link::{
    Apart, Roll, STRONG_KINDS,
    block::{self, Column, MOST_IN_BLOCK},
    decide::{self, Learnt},
    replace::{self, Arrival},
    taken,
};

const AGENCIES: usize = 5;

/// A record as a node would bring it: who it is by its tokens, and what it is like.
#[derive(Clone, Debug)]
struct Person {
    agency: usize,
    /// Tokens of a few kinds, out of few values, so that many are shared.
    tokens: [u64; 4],
    nhs: u64,
    /// Which of these, and of the number, the node sends: of the others too many hold one at present.
    counts: [bool; 5],
    likeness: u8,
    /// Two forms of a name that it shares crosswise with others: which, and which of them comes first.
    forms: (u64, bool),
    /// What professionals found of it.
    found: Vec<Apart>,
}

const KINDS: [MatchKeyKind; 4] = [
    MatchKeyKind::ForenameBirth,
    MatchKeyKind::SurnameBirth,
    MatchKeyKind::NamesYears,
    MatchKeyKind::Phone,
];

/// Everybody who is in the sweep, by handle.
type Town = BTreeMap<Handle, Person>;

/// Spreads a small number over all bits, as tokens and handles are.
fn spread(n: u64) -> u64 {
    let n = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (n ^ n >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn handle(n: u64) -> Handle {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&spread(n).to_be_bytes());
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    Handle::from_bytes(bytes)
}

impl Person {
    /// Tokens of every kind; what it has no key for is noise that nobody shares.
    fn tokens(&self, handle: Handle) -> Vec<Vec<u64>> {
        let own = u64::from_be_bytes(handle.as_bytes()[8..].try_into().unwrap());
        MatchKeyKind::ALL
            .iter()
            .map(|kind| {
                let noise =
                    |slot: usize| spread(1 << 32 | own << 12 | (kind.index() << 4 | slot) as u64);
                let mut tokens: Vec<u64> = (0..kind.slots()).map(noise).collect();
                let at = KINDS.iter().position(|of| of == kind);
                if let Some(at) = at.filter(|at| self.tokens[*at] > 0 && self.counts[*at]) {
                    let slot = self.likeness as usize % kind.slots();
                    tokens[slot] = spread(1000 * (at as u64 + 1) + self.tokens[at]);
                }
                if let (MatchKeyKind::SoundsBirth, (which @ 1.., is_turned)) = (*kind, self.forms) {
                    let forms = [2 * which, 2 * which + 1].map(|form| spread(7000 + form));
                    (tokens[0], tokens[1]) = (forms[0], forms[1]);
                    tokens[..2].rotate_left(usize::from(is_turned));
                }
                if *kind == STRONG_KINDS[0] && self.nhs > 0 && self.counts[4] {
                    tokens[0] = spread(9000 + self.nhs);
                }
                tokens
            })
            .collect()
    }

    fn flags(&self) -> PersonFlags {
        PersonFlags(if self.nhs > 0 { PersonFlags::NHS } else { 0 })
    }

    fn arrival(&self, handle: Handle) -> Arrival {
        Arrival { agency: self.agency, handle, flags: self.flags(), tokens: self.tokens(handle) }
    }
}

/// How well two records agree, as nodes would say: by who they are alone.
fn levels(x: &Person, y: &Person) -> Levels {
    let apart = usize::from(x.likeness.abs_diff(y.likeness));
    let same = x.tokens.iter().zip(&y.tokens).filter(|(x, y)| x == y && **x > 0).count();
    Levels::NONE
        .with(F::Forename, 5usize.saturating_sub(apart))
        .with(F::Surname, 4 + usize::from(same > 1))
        .with(F::Birth, 5usize.saturating_sub(2 * apart))
        .with(F::Address, (same + 1).min(5))
        .with(F::Sex, usize::from(apart < 3))
}

/// Columns, pairs and levels of a whole town, as a full pass gathers them.
fn gather(town: &Town, order: impl Fn(&Handle) -> u64) -> (Records, Vec<Pair>) {
    let mut rolls: Vec<Roll> = (0..AGENCIES).map(|_| Roll::default()).collect();
    let mut people: Vec<(&Handle, &Person)> = town.iter().collect();
    people.sort_by_key(|(handle, _)| order(handle));
    let mut columns = vec![vec![Vec::new(); MatchKeyKind::COUNT]; AGENCIES];
    for (handle, person) in people {
        let roll = &mut rolls[person.agency];
        let tokens = person.tokens(*handle);
        roll.handles.push(*handle);
        roll.flags.push(person.flags());
        roll.strong_ids.push(STRONG_KINDS.map(|kind| tokens[kind.index()][0]));
        let columns = columns[person.agency].iter_mut().zip(&tokens);
        columns.for_each(|(column, tokens)| column.extend(tokens));
    }
    let mut records = Records::new(rolls);
    let mut pairs = Vec::new();
    for kind in MatchKeyKind::ALL {
        let mut column = Column::new(*kind, records.len());
        for (agency, columns) in columns.iter().enumerate() {
            column.add(agency, records.first(agency), &columns[kind.index()]);
        }
        let (found, postings) = column.pairs_and_postings();
        records.postings.push(postings);
        pairs = block::merge(pairs, found);
    }
    records.compare_all_numbers(&mut pairs);
    for record in records.present().collect::<Vec<_>>() {
        let found = &town[&records.handle(record)].found;
        found.iter().for_each(|apart| records.add_apart(record, *apart));
    }
    (records, pairs)
}

fn levels_of(town: &Town, records: &Records, pair: &Pair) -> Levels {
    levels(&town[&records.handle(pair.a)], &town[&records.handle(pair.b)])
}

/// What is clear without a look: two kinds and more make one person, one by itself never does, and another
/// only does where nobody is taken.
fn clear() -> Clear {
    let bits = |kinds: &[MatchKeyKind]| kinds.iter().map(|kind| 1 << kind.index()).sum::<u32>();
    let [forename, surname, years, phone] = KINDS;
    let all = |level: fn(usize) -> usize| {
        let fields = [F::Forename, F::Surname, F::Birth, F::Address].into_iter();
        fields.fold(Levels::NONE, |all, field| all.with(field, level(field.levels() - 1)))
    };
    Clear::of(
        &[(bits(&[forename, surname]), all(|top| top.min(5)))],
        &[(bits(&[phone]), all(|_| 0))],
        &[years, surname].map(|weak| (bits(&[weak]), all(|_| 0))),
    )
}

/// A sweep that is followed.
struct Live(Linked);

impl Live {
    /// A full pass over a town in some order, with weights that are known or have to be learnt.
    fn pass(town: &Town, clear: Clear, learnt: Option<Learnt>) -> Self {
        let salt = if learnt.is_some() { 77 } else { 0 };
        let (records, pairs) =
            gather(town, |handle| spread(u64::from(handle.as_bytes()[15]) + salt));
        let taken = taken::taken(&records, &pairs, |pair| clear.is_one(&records, pair));
        let levels = pairs.iter().map(|pair| {
            let by_pattern = clear.levels(&records, pair, |record| taken[record as usize]);
            by_pattern.unwrap_or_else(|| levels_of(town, &records, pair))
        });
        let levels: Vec<Levels> = levels.collect();
        let of = Candidates { records: &records, pairs: &pairs, levels: &levels };
        let decision = match learnt {
            Some(learnt) => decide::decide_with(of, learnt),
            None => {
                let looked_at: Vec<_> = pairs.iter().copied().zip(levels.iter().copied()).collect();
                let weights = decide::learn(
                    &records,
                    &looked_at,
                    (1.0, records.possible_pairs(|_| true)),
                    &Strangers::new(),
                );
                decide::decide(&records, &pairs, &levels, weights)
            }
        };
        Self(Linked::new(records, pairs, levels, 0, clear, decision))
    }

    /// What `cycle::live` does with one burst. Whoever comes and is there already has other tokens.
    fn change(&mut self, town: &Town, leave: &[Handle], come: &[Handle]) {
        let Self(linked) = self;
        let records = &linked.records;
        let by_handle: HashMap<Handle, u32> =
            records.present().map(|record| (records.handle(record), record)).collect();
        let leave: BTreeSet<u32> = leave.iter().map(|handle| by_handle[handle]).collect();
        let (mut change, there) =
            (Change { leave, ..Change::default() }, |handle| by_handle.get(handle).copied());
        for handle in come {
            let new = town[handle].arrival(*handle);
            match there(handle) {
                Some(record) => change.renew.push((record, new)),
                None => change.come.push(new),
            }
        }
        change.renew.sort_unstable_by_key(|(record, _)| *record);
        let replaced = linked.replace(&change);
        for (record, new) in replaced.came.iter().zip(&change.come) {
            let found = &town[&new.handle].found;
            found.iter().for_each(|apart| linked.records.add_apart(*record, *apart));
        }
        self.look_again(town, replaced);
    }

    /// What `cycle::disputes` does, and `cycle` after it.
    fn dispute(&mut self, town: &Town, found: &[(Handle, Apart)]) {
        let Self(linked) = self;
        let record = |records: &Records, of: Handle| {
            records.present().find(|record| records.handle(*record) == of).unwrap()
        };
        for (of, apart) in found {
            linked.records.add_apart(record(&linked.records, *of), *apart);
        }
        let touched = found.iter().map(|(of, _)| record(&linked.records, *of));
        let touched = in_order(touched);
        self.look_again(town, Replaced { touched, ..Replaced::default() });
    }

    fn look_again(&mut self, town: &Town, mut replaced: Replaced) {
        let Self(linked) = self;
        linked.reopen(&mut replaced);
        let (records, taken) = (&linked.records, linked.taken(&replaced.new));
        let at = |record: u32| taken.get(&record).copied().unwrap_or_default();
        let levels = |pair: &Pair| {
            let by_pattern = linked.clear.levels(records, pair, at);
            by_pattern.unwrap_or_else(|| levels_of(town, records, pair))
        };
        let new: Vec<(Pair, Levels)> =
            replaced.new.iter().map(|pair| (*pair, levels(pair))).collect();
        linked.settle(new, &replaced);
    }

    /// Everything that it came to, by handles, as bytes.
    fn state(&self) -> String {
        let Linked { records, pairs, levels, decision, .. } = &self.0;
        let handle = |record: u32| records.handle(record);
        let mut persons: BTreeMap<u32, BTreeSet<Handle>> = BTreeMap::new();
        for record in records.present() {
            let person = decision.persons[record as usize];
            persons.entry(person).or_default().insert(handle(record));
        }
        let persons: BTreeSet<BTreeSet<Handle>> = persons.into_values().collect();
        let unclear = records.present().filter(|record| decision.ambiguous[*record as usize]);
        let unclear: BTreeSet<Handle> = unclear.map(handle).collect();
        let carrier = |pair: &Pair| {
            let (kind, [a, b]) = pair.carrier();
            (kind, BTreeMap::from([(handle(pair.a), a), (handle(pair.b), b)]))
        };
        let pairs: BTreeMap<BTreeSet<Handle>, (u32, u64, Option<u64>, _)> = (0..)
            .zip(pairs)
            .filter(|(_, pair)| pair.kinds != 0)
            .map(|(at, pair): (usize, _)| {
                let bits = decision.bits[at].map(f64::to_bits);
                (
                    BTreeSet::from([handle(pair.a), handle(pair.b)]),
                    (pair.kinds, levels[at].bits(), bits, carrier(pair)),
                )
            })
            .collect();
        format!("{persons:?} {unclear:?} {pairs:?}")
    }
}

fn person() -> impl Strategy<Value = Person> {
    let forms = (0u64..3, any::<bool>());
    // Everybody of one of these findings is apart from the others of it.
    let found = prop::collection::vec(1u8..6, 0..2);
    (0..AGENCIES, prop::array::uniform4(0u64..6), 0u64..4, counts(), 0u8..4, forms, found).prop_map(
        |(agency, tokens, nhs, counts, likeness, forms, found)| {
            let found = found.into_iter().map(|finding| apart(finding, false)).collect();
            Person { agency, tokens, nhs, counts, likeness, forms, found }
        },
    )
}

fn counts() -> impl Strategy<Value = [bool; 5]> {
    prop::array::uniform5(prop::bool::weighted(0.8))
}

fn apart(finding: u8, stranger: bool) -> Apart {
    Apart { finding: MemoId::from_bytes([finding; 16]), stranger }
}

/// One burst: people who come, who leaves, who has other tokens that count, and who is found to be two people then.
type Burst = (
    Vec<Person>,
    Vec<prop::sample::Index>,
    Vec<(prop::sample::Index, [bool; 5])>,
    Option<[prop::sample::Index; 2]>,
);

fn bursts() -> impl Strategy<Value = Vec<Burst>> {
    let burst = (
        prop::collection::vec(person(), 0..5),
        prop::collection::vec(any::<prop::sample::Index>(), 0..5),
        prop::collection::vec((any::<prop::sample::Index>(), counts()), 0..5),
        prop::option::of(any::<[prop::sample::Index; 2]>()),
    );
    prop::collection::vec(burst, 1..12)
}

/// Holds every burst of a history against a fresh pass over the same people with the same weights.
fn live_equals_full(first: Vec<Person>, bursts: Vec<Burst>, clear: fn() -> Clear) {
    let mut next = 0u64..;
    let mut town: Town = first.into_iter().map(|p| (handle(next.next().unwrap()), p)).collect();
    let mut live = Live::pass(&town, clear(), None);
    for (at, (come, leave, turn, dispute)) in (100u8..).zip(bursts) {
        let there: Vec<Handle> = town.keys().copied().collect();
        let leave: BTreeSet<Handle> = match there.is_empty() {
            true => BTreeSet::new(),
            false => leave.iter().map(|at| *at.get(&there)).collect(),
        };
        let come: Vec<(Handle, Person)> =
            come.into_iter().map(|p| (handle(next.next().unwrap()), p)).collect();
        town.retain(|handle, _| !leave.contains(handle));
        let mut new: BTreeSet<Handle> = come.iter().map(|(handle, _)| *handle).collect();
        let stay: Vec<Handle> = town.keys().copied().collect();
        for (of, counts) in turn.iter().filter(|_| !stay.is_empty()) {
            let of = *of.get(&stay);
            town.get_mut(&of).unwrap().counts = *counts;
            new.insert(of);
        }
        town.extend(come);
        let new: Vec<Handle> = new.into_iter().collect();
        live.change(&town, &leave.into_iter().collect::<Vec<_>>(), &new);
        let fresh = Live::pass(&town, clear(), Some(live.0.decision.learnt.clone()));
        assert_eq!(live.state(), fresh.state());
        let there: Vec<Handle> = town.keys().copied().collect();
        let Some(two) = dispute.filter(|_| !there.is_empty()) else { continue };
        let [wrong, other] = two.map(|at| *at.get(&there));
        let found = [(wrong, apart(at, true)), (other, apart(at, false))];
        for (of, apart) in &found {
            town.get_mut(of).unwrap().found.push(*apart);
        }
        live.dispute(&town, &found);
        let fresh = Live::pass(&town, clear(), Some(live.0.decision.learnt.clone()));
        assert_eq!(live.state(), fresh.state());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

    #[test]
    fn live_equals_full_after_any_history(
        first in prop::collection::vec(person(), 10..40),
        bursts in bursts(),
    ) {
        live_equals_full(first, bursts, Clear::default);
    }

    #[test]
    fn live_equals_full_where_patterns_decide(
        first in prop::collection::vec(person(), 10..40),
        bursts in bursts(),
    ) {
        live_equals_full(first, bursts, clear);
    }
}
