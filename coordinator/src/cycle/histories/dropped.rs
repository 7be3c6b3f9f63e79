//! A node that drops out takes its records along, as if it had never been there.

use super::{Town, pair, *};
use crate::link::clear::Clear;

const OUT: usize = 0;

#[test]
fn nothing_is_left_of_who_drops_out_in_the_second_look() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let town = Town::new("A").await;
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let sweep = cycle.begin(town.as_at).await.unwrap();
        let mut open = town.open(&cycle, sweep);
        let Open { agencies, linked, .. } = &mut open;
        let before = (linked.records.count(), linked.candidates());
        let mine = linked.records.all_of(OUT).count();
        agencies[OUT].problem = Some(Problem::Failed("it broke".into()));
        let mut seconds = Seconds::default();
        let left = second_look::leave_out(&cycle, sweep, agencies, linked, &mut seconds).await;
        let now = (linked.records.count(), linked.candidates(), linked.persons());
        assert_eq!((left.len(), now.0), (mine, before.0 - mine));
        assert!(now.1 < before.1, "it was linked");
        town.nodes.world().agencies[OUT].missing = true;
        let Open { linked: fresh, .. } = town.open(&cycle, sweep);
        assert_eq!(now, (fresh.records.count(), fresh.candidates(), fresh.persons()));
    });
}

#[test]
fn nothing_is_known_of_a_pair_of_who_dropped_out_even_where_a_pattern_decides() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let town = Town::new("A").await;
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let sweep = cycle.begin(town.as_at).await.unwrap();
        let mut open = town.open(&cycle, sweep);
        let Open { agencies, linked, .. } = &mut open;
        let [mine, theirs] = [OUT, 1].map(|at| linked.records.all_of(at).next().unwrap());
        linked.clear = Clear::of(&[(1, linked.levels[0])], &[], &[]);
        let replaced = Replaced { new: vec![pair([mine, theirs])], ..Replaced::default() };
        let before = linked.candidates();
        let mut seconds = Seconds::default();
        for (is_out, more) in [(true, 0), (false, 1)] {
            agencies[OUT].problem = is_out.then(|| Problem::Failed("it broke".into()));
            second_look::settle(&cycle, sweep, agencies, linked, &replaced, &mut seconds).await;
            assert_eq!(linked.candidates(), before + more);
        }
    });
}
