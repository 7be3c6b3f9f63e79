//! How much a node that is followed may bring.

use causeway_proto::{
    change, ids::Handle, kind::MatchKeyKind, limits::TOKEN_BYTES, token::PersonFlags,
};

use super::*;
use crate::{
    cycle::changes::Changes,
    federation::{changes::News, join::Joined},
};

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
    let joined = Joined {
        opened: town.nodes.world().opened(&open.agencies[0].member.id),
        handles: (0..room + 1).map(|n| Handle::from_bytes([n; 16])).collect(),
        flags: vec![PersonFlags(0); usize::from(room) + 1],
        columns: Vec::new(),
    };
    let mut changes = Changes::new(false);
    changes.hear(&cycle, &mut open, News::Joined(0, Box::new(joined)));
    assert!(!open.agencies[0].is_in() && !changes.has_joined());
}
