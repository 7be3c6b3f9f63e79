//! How much a node that is followed may bring.

use causeway_proto::{
    change,
    ids::{Handle, MemoId},
    kind::MatchKeyKind,
    limits::TOKEN_BYTES,
    sweep::{Memo, MemoKind},
    token::PersonFlags,
};

use super::*;
use crate::{
    cycle::{
        changes::Changes,
        live::{Ear, Ears},
    },
    federation::{changes::News, join::Joined},
};

/// Whoever comes and goes before anybody looks leaves nothing, and what is found of them costs memory all the same.
#[test]
fn a_node_that_is_followed_tells_of_no_more_findings_than_of_records() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let town = runtime.block_on(Town::new("A"));
    let limits = SweepConfig { most_records: 500, ..SweepConfig::default() };
    let cycle = town.cycle(&limits);
    let sweep = runtime.block_on(cycle.begin(town.as_at)).unwrap();
    let mut open = town.open(&cycle, sweep);
    let step = |change| News::Step(0, change::Step { position: 1, change });
    let mut changes = Changes::new(false);
    let mut told = 0;
    while open.agencies[0].is_in() && told < 100 {
        let handle = Handle::from_bytes([told; 16]);
        let memo = |id: u8| Memo {
            kind: MemoKind::Alert,
            id: MemoId::from_bytes([id; 16]),
            handle,
            score_tenths: 0,
            made: town.as_at,
        };
        let (replaces, flags, tokens) = (None, PersonFlags(0), Vec::new());
        let memos = (0..100).map(memo).collect();
        let upsert = change::Upsert { handle, replaces, flags, memos, tokens };
        changes.hear(&cycle, &mut open, step(change::Change::Upsert(upsert)));
        changes.hear(&cycle, &mut open, step(change::Change::Retraction(handle)));
        told += 1;
    }
    assert!((5..=10).contains(&told), "{told} times 100 of 1000");
    assert!(open.agencies[0].barred);
}

#[test]
fn who_joined_and_dropped_out_at_once_is_asked_again_and_who_brought_too_much_is_not() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let town = Town::new("A").await;
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let sweep = cycle.begin(town.as_at).await.unwrap();
        let mut open = town.open(&cycle, sweep);
        let (out, _news) = tokio::sync::mpsc::channel(1);
        let mut ears = Ears::of(out, open.agencies.len());
        open.agencies[0].problem = Some(Problem::Failed("it broke".into()));
        ears.listen(&cycle, &open);
        let asked = |ears: &Ears| ears.tasks[0].as_ref().map(|ear| ear.task.id());
        let first = asked(&ears);
        ears.listen(&cycle, &open);
        assert_eq!(asked(&ears), first, "it is being asked");
        // As one ends that has joined, and that is not heard yet.
        let ended = tokio::spawn(async {});
        let task = ended.abort_handle();
        ended.await.unwrap();
        ears.tasks[0] = Some(Ear { joins: true, task });
        let joined = asked(&ears);
        ears.listen(&cycle, &open);
        assert_eq!(asked(&ears), joined, "it has joined, and nobody knows");
        ears.hear(&[joins(&town, &open, 0)]);
        ears.listen(&cycle, &open);
        assert!(asked(&ears).is_some() && asked(&ears) != joined, "it is asked again");
        open.agencies[0].barred = true;
        ears.listen(&cycle, &open);
        assert_eq!(asked(&ears), None);
    });
}

/// News that the first agency joins, with so many people.
fn joins(town: &Town, open: &Open<'_>, people: u8) -> News {
    let joined = Joined {
        opened: town.nodes.world().opened(&open.agencies[0].member.id),
        handles: (0..people).map(|n| Handle::from_bytes([n; 16])).collect(),
        flags: vec![PersonFlags(0); usize::from(people)],
        columns: Vec::new(),
    };
    News::Joined(0, Box::new(joined))
}

#[test]
fn who_is_in_does_not_join_a_second_time() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let town = runtime.block_on(Town::new("A"));
    let limits = SweepConfig::default();
    let cycle = town.cycle(&limits);
    let sweep = runtime.block_on(cycle.begin(town.as_at)).unwrap();
    let mut open = town.open(&cycle, sweep);
    let mut changes = Changes::new(false);
    let again = joins(&town, &open, 3);
    changes.hear(&cycle, &mut open, again);
    assert!(!changes.has_joined() && changes.resolve(&open).is_none());
    open.agencies[0].problem = Some(Problem::Failed("it broke".into()));
    let mut changes = Changes::new(false);
    for _ in 0..2 {
        let joined = joins(&town, &open, 3);
        changes.hear(&cycle, &mut open, joined);
    }
    let resolved = changes.resolve(&open).unwrap();
    assert_eq!(resolved.records.come.len(), 3);
}

#[test]
fn a_node_that_is_followed_brings_no_more_than_twice_what_it_may_open_with() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let town = runtime.block_on(Town::new("A"));
    let upsert = |n: u8, replaces: Option<u8>| {
        let handle = |n| Handle::from_bytes([n; 16]);
        let tokens = MatchKeyKind::ALL.iter().map(|kind| vec![n; kind.slots() * TOKEN_BYTES]);
        let (handle, replaces, tokens) = (handle(n), replaces.map(handle), tokens.collect());
        let (flags, memos) = (PersonFlags(0), Vec::new());
        let upsert = change::Upsert { handle, replaces, flags, memos, tokens };
        News::Step(0, change::Step { position: 1, change: change::Change::Upsert(upsert) })
    };
    let limits = SweepConfig { most_records: 10, ..SweepConfig::default() };
    let cycle = town.cycle(&limits);
    let sweep = runtime.block_on(cycle.begin(town.as_at)).unwrap();
    let mut open = town.open(&cycle, sweep);
    let room = 20 - u8::try_from(open.linked.records.rows(0)).unwrap();
    let mut changes = Changes::new(false);
    for n in 1..=room {
        changes.hear(&cycle, &mut open, upsert(n, None));
        // Told again before anybody looked, it takes no more room.
        changes.hear(&cycle, &mut open, upsert(n, Some(n)));
    }
    assert!(open.agencies[0].is_in());
    changes.hear(&cycle, &mut open, upsert(room + 1, Some(room)));
    assert!(open.agencies[0].is_in(), "it replaced one that nobody had looked at");
    changes.hear(&cycle, &mut open, upsert(room + 2, None));
    let problem = open.agencies[0].problem.clone().unwrap().to_string();
    assert!(problem.contains("more than 20 records"), "{problem}");
    let resolved = changes.resolve(&open).unwrap();
    assert!(resolved.records.come.is_empty(), "what it brought goes with it");

    // Nor by joining again and again.
    let mut changes = Changes::new(false);
    let joined = joins(&town, &open, room + 1);
    changes.hear(&cycle, &mut open, joined);
    assert!(!open.agencies[0].is_in() && !changes.has_joined());
}
