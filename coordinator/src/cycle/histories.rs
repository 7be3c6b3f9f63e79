//! Whatever happens at the agencies, and in whatever order: no open alert rests on a fact that was
//! withdrawn, everybody who was told of one that was hears so, and looking again says nothing.
//!
//! Homes, disputes, surfacing, the ledger and the courier are the real ones. The nodes are not: each
//! answers from a [`World`], keeps what it is asked to keep, and may be away or out of date.

mod away;
mod disputed;
mod left;
mod membership;
mod nodes;
mod recipients;
mod room;
mod town;
mod world;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use causeway_proto::{
    alert::AlertChange,
    catalogue::{AgencyKind, SignalCode},
    day::Day,
    ids::{AgencyId, EventKey, LineId, ReviewId},
    review::{Review, ReviewAction, ReviewReason},
};
use proptest::{prelude::*, strategy::ValueTree};
use tempfile::TempDir;

use self::{
    nodes::Nodes,
    town::{Town, pair},
    world::{Change, World},
};
use super::{homes::House, *};
use crate::{
    federation::Problem,
    ledger::{
        alerts, outbox, reviews,
        standings::{self, Standing},
    },
    link::{Pair, clear::Clear, decide, taken::tests::two_agencies},
    outbox::Courier,
    route::surfacing::Basis,
    score::{Event, score},
};

/// What happens between two sweeps, and how many days go by.
type Step = (i32, Vec<Change>);

fn a_history() -> impl Strategy<Value = Vec<Step>> {
    let step = (0..25_i32, proptest::collection::vec(Change::any(), 0..4));
    proptest::collection::vec(step, 4..16)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn no_open_alert_rests_on_a_withdrawn_fact_and_whoever_was_told_hears_of_it(
        names in proptest::sample::select(vec!["A", "B", "C"]),
        history in a_history(),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let lived = runtime.block_on(Town::new(names)).and_live(&runtime, history);
        prop_assert!(lived.is_ok(), "{}", lived.unwrap_err());
    }
}

/// Housing was told and is away; then the others find that none of it is about one household. That a
/// withdrawal still waits for housing keeps nobody else's alert up.
#[test]
fn who_is_away_and_was_told_does_not_keep_an_alert_up_that_rests_on_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let quiet = [24, 21, 15, 10].map(|days| (days, Vec::new()));
    let disputes = [4, 0].map(|line| (0, vec![Change::Dispute(line)]));
    let history = quiet.into_iter().chain([(11, vec![Change::Leave(1)])]).chain(disputes);
    let said = runtime.block_on(Town::new("A")).and_live(&runtime, history.collect()).unwrap();
    let taken_back = ["update withdrawn", "cancel gone"].map(str::to_owned);
    assert_eq!(said[said.len() - 2..], taken_back, "{said:?}");
}

/// Somebody's being away is no reason to leave what another withdrew with those who were told of it.
#[test]
fn what_one_agency_withdraws_while_another_is_away_is_taken_back_and_that_one_hears_when_it_is_back()
 {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Housing is away, and the police withdraw the first of their events.
    let away = vec![Change::Leave(1), Change::Toggle(0)];
    let history = vec![(4, vec![]), (1, away), (1, vec![]), (1, vec![Change::Leave(1)])];
    let said = runtime.block_on(Town::new("A")).and_live(&runtime, history).unwrap();
    assert_eq!(said, ["new entered", "update withdrawn", "update withdrawn"]);
}

/// A suspension has an end by then, and is told for longer: when it goes, it has not just grown old.
#[test]
fn what_was_to_be_told_for_longer_and_is_withdrawn_is_taken_back() {
    use Change::{Dispute, Link, Move, Recode, Redate, Retire, Review, Stop, Toggle};
    let history = || {
        vec![
            (15, vec![]),
            (7, vec![Redate(45, -17)]),
            (22, vec![Redate(46, -24), Toggle(56)]),
            (3, vec![Review, Toggle(14), Toggle(60)]),
            (11, vec![Move(46), Redate(50, 7), Stop(9)]),
            (23, vec![Recode(44, 42), Review, Retire(1)]),
            (3, vec![Dispute(3), Toggle(18), Toggle(30)]),
            (21, vec![]),
            (24, vec![Recode(49, 51)]),
            (15, vec![Redate(9, 8), Link(37)]),
            (5, vec![Recode(1, 47), Link(14)]),
            (18, vec![Toggle(27), Toggle(7), Recode(49, 5)]),
        ]
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // Which record a line is about that is disputed goes by chance: in every second history it matters.
    for _ in 0..8 {
        runtime.block_on(Town::new("A")).and_live(&runtime, history()).unwrap();
    }
}

/// All of it grows too old for the agencies' policies, and nobody withdraws anything.
#[test]
fn what_has_grown_old_fades_and_is_not_taken_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for name in ["A", "B", "C"] {
        let town = runtime.block_on(Town::new(name));
        let ledger = town.courier.ledger.clone();
        let quiet = (0..60).map(|_| (10, Vec::new())).collect();
        let said = town.and_live(&runtime, quiet).unwrap();
        assert!(said.contains(&"new entered".to_owned()), "{name}: {said:?}");
        let taken_back = |said: &&String| said.ends_with("withdrawn") || said.ends_with("gone");
        assert_eq!(said.iter().find(taken_back), None, "{name}: {said:?}");
        let open = async { standings::open(&mut ledger.read().await.unwrap()).await.unwrap() };
        assert_eq!(runtime.block_on(open), [], "{name}: it has faded");
    }
}

#[test]
fn the_histories_meet_what_they_are_about() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for name in ["A", "B", "C"].iter().cycle().take(12) {
        let history = a_history().new_tree(&mut runner).unwrap().current();
        let town = runtime.block_on(Town::new(name));
        for reason in town.and_live(&runtime, history).unwrap() {
            *met.entry(reason).or_default() += 1;
        }
    }
    for reason in ["new entered", "update withdrawn", "cancel withdrawn"] {
        assert!(met.contains_key(reason), "{met:?}");
    }
}
