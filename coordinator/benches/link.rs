//! What the coordinator does with what it receives: grouping tokens, deciding pairs, taking changes in, scoring.

use std::{collections::BTreeSet, hint::black_box, ops::Range};

use causeway_coordinator::{
    link::{
        Pair, Records, Roll,
        block::{self, Column},
        decide::{self, Decision},
        replace::{self, Arrival, Change},
    },
    score::{Event, model::Model, score},
};
use causeway_proto::{
    catalogue::SignalCode,
    day::Day,
    ids::{EventKey, Handle},
    kind::MatchKeyKind,
    linkage::{
        levels::{ComparisonField as F, Levels},
        weights::Strangers,
    },
    token::PersonFlags,
};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Records of each of [`AGENCIES`] agencies.
const ROWS: u32 = 20_000;
const AGENCIES: u32 = 5;

/// Spreads a number over all bits, as tokens are.
fn token(n: u32) -> u64 {
    u64::from(n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// The people that an agency knows: two agencies have 40 in 100 in common.
fn people(agency: u32) -> impl Iterator<Item = u32> {
    (0..ROWS).map(move |row| (row * 7 + agency * 7919) % (ROWS * 5 / 2))
}

fn column(kind: MatchKeyKind) -> Column {
    let mut column = Column::new(kind, (ROWS * AGENCIES) as usize);
    for agency in 0..AGENCIES {
        let tokens: Vec<u64> = people(agency).map(token).collect();
        column.add(agency as usize, agency * ROWS, &tokens);
    }
    column
}

fn group(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group");
    group.throughput(Throughput::Elements(u64::from(ROWS * AGENCIES)));
    let kind = MatchKeyKind::BirthPostcode;
    group.bench_function("one kind's tokens into partitions", |bencher| {
        bencher.iter(|| column(kind));
    });
    group.bench_function("partitions into pairs", |bencher| {
        bencher.iter_batched(|| column(kind), Column::pairs, BatchSize::LargeInput);
    });
    group.bench_function("partitions into pairs and postings", |bencher| {
        bencher.iter_batched(|| column(kind), Column::pairs_and_postings, BatchSize::LargeInput);
    });
    let (known, postings) = column(kind).pairs_and_postings();
    group.bench_function("who holds each token", |bencher| {
        let held = |n: u32| postings.holders(postings.name(token(n))).count();
        bencher.iter(|| people(0).chain(people(1)).map(held).sum::<usize>());
    });
    group.bench_function("pairs of one more kind", |bencher| {
        let both = || (known.clone(), known.clone());
        bencher.iter_batched(both, |(x, y)| block::merge(x, y), BatchSize::LargeInput);
    });
}

fn records() -> Records {
    let roll = |agency: u32| Roll {
        handles: people(agency)
            .map(|n| {
                Handle::from_bytes([n.to_be_bytes(); 4].concat().try_into().expect("16 bytes"))
            })
            .collect(),
        flags: vec![PersonFlags(0); ROWS as usize],
        strong_ids: vec![[0; 3]; ROWS as usize],
    };
    Records::new((0..AGENCIES).map(roll).collect())
}

/// How well a pair agrees, in a few hundred different ways.
fn levels(pair: &Pair) -> Levels {
    let mixed = token(pair.a ^ pair.b.rotate_left(16)) >> 40;
    let level = |at: u32, field: F| ((mixed >> at) as usize % 3 + field.levels() - 3).max(1);
    [F::Forename, F::Surname, F::Birth, F::Address]
        .iter()
        .zip([0, 3, 6, 9])
        .fold(Levels::NONE, |levels, (field, at)| levels.with(*field, level(at, *field)))
}

fn link(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("link");
    let (records, pairs) = (records(), column(MatchKeyKind::BirthPostcode).pairs().0);
    let levels: Vec<Levels> = pairs.iter().map(levels).collect();
    let looked_at: Vec<(Pair, Levels)> =
        pairs.iter().copied().zip(levels.iter().copied()).collect();
    group.throughput(Throughput::Elements(pairs.len() as u64));
    group.sample_size(20);
    group.bench_function("weights from pairs", |bencher| {
        bencher.iter(|| {
            decide::learn(
                &records,
                &looked_at,
                (1.0, records.possible_pairs(|_| true)),
                &Strangers::new(),
            )
        });
    });
    let weights = decide::learn(
        &records,
        &looked_at,
        (1.0, records.possible_pairs(|_| true)),
        &Strangers::new(),
    );
    group.bench_function("pairs into persons", |bencher| {
        bencher.iter_batched(
            || weights.clone(),
            |weights| decide::decide(&records, &pairs, &levels, weights),
            BatchSize::LargeInput,
        );
    });
}

/// A sweep that is followed: every kind has tokens, of which two agencies share those of the people in common.
fn followed() -> (Records, Vec<Pair>, Decision) {
    let (mut records, mut pairs) = (records(), Vec::new());
    for kind in MatchKeyKind::ALL {
        let mut column = Column::new(*kind, (ROWS * AGENCIES) as usize);
        for agency in 0..AGENCIES {
            let tokens: Vec<u64> = people(agency).flat_map(|n| tokens(*kind, n)).collect();
            column.add(agency as usize, agency * ROWS, &tokens);
        }
        let (found, postings) = column.pairs_and_postings();
        records.postings.push(postings);
        pairs = block::merge(pairs, found);
    }
    let levels: Vec<Levels> = pairs.iter().map(levels).collect();
    let looked_at: Vec<(Pair, Levels)> =
        pairs.iter().copied().zip(levels.iter().copied()).collect();
    let weights = decide::learn(
        &records,
        &looked_at,
        (1.0, records.possible_pairs(|_| true)),
        &Strangers::new(),
    );
    let decision = decide::decide(&records, &pairs, &levels, weights);
    (records, pairs, decision)
}

fn tokens(kind: MatchKeyKind, person: u32) -> impl Iterator<Item = u64> {
    let slots = (0u64..).take(kind.slots());
    slots.map(move |slot| token(person) ^ token(kind.index() as u32) << 1 ^ slot << 32)
}

/// The first agency's records of some rows; of one kind they have no token where it does not count.
fn arrivals(rows: Range<u32>, counts: bool) -> Vec<Arrival> {
    let arrival = |(row, person): (u32, u32)| {
        let of = |kind: &MatchKeyKind| match *kind != MatchKeyKind::RarePlaces || counts {
            true => tokens(*kind, person).collect(),
            false => tokens(*kind, !row).collect(),
        };
        let tokens = MatchKeyKind::ALL.iter().map(of).collect();
        Arrival { agency: 0, handle: Handle::from_bytes([7; 16]), flags: PersonFlags(0), tokens }
    };
    (0..).zip(people(0)).filter(|(row, _)| rows.contains(row)).map(arrival).collect()
}

fn live(criterion: &mut Criterion) {
    /// One in a hundred.
    const SOME: u32 = ROWS / 100;
    let mut group = criterion.benchmark_group("live");
    let (mut records, pairs, decision) = followed();
    group.throughput(Throughput::Elements(SOME.into()));
    group.sample_size(20);
    let other = [false, true].map(|counts| {
        let renew = (0..).zip(arrivals(0..SOME, counts)).collect();
        Change { renew, ..Change::default() }
    });
    let mut turns = other.iter().cycle();
    group.bench_function("another match-key counts of some", |bencher| {
        bencher.iter(|| {
            let change = turns.next().expect("it goes round");
            replace::replace(&mut records, &decision, &pairs, change)
        });
    });
    let mut there: BTreeSet<u32> = BTreeSet::new();
    group.bench_function("some come and some leave", |bencher| {
        bencher.iter(|| {
            let leave = std::mem::take(&mut there);
            let change = Change { leave, come: arrivals(0..SOME, true), renew: Vec::new() };
            let replaced = replace::replace(&mut records, &decision, &pairs, &change);
            there.extend(replaced.came);
        });
    });
}

fn scoring(criterion: &mut Criterion) {
    let as_at = Day::new(2025, 2, 25).expect("a day");
    let events: Vec<Event> = (0..)
        .zip(SignalCode::all())
        .map(|(n, code)| Event {
            person: n % 4,
            code,
            start: Day::new(2024, 11, 1).expect("a day"),
            end: None,
            key: EventKey::from_bytes([u8::try_from(n).expect("72 codes"); 16]),
            confidence: 1.0,
            shared: false,
            agency: "test".into(),
        })
        .collect();
    criterion.bench_function("score of a household with every signal", |bencher| {
        bencher.iter(|| score(Model::builtin(), black_box(&events), as_at, |_| true));
    });
}

criterion_group!(benches, group, link, live, scoring);
criterion_main!(benches);
