//! With agencies away, the range of a household's score holds what it would be with everybody there, also
//! where those who are away know of people in it whom nobody else knows.

use std::collections::BTreeSet;

use causeway_proto::catalogue::{AgencyKind, SignalCode};
use proptest::{collection::vec, prelude::*};

use super::{
    super::{homes, homes::House, *},
    Town,
    world::{Change, number},
};
use crate::score::{Tenths, range, score};

/// Somebody whom one agency alone knows: what it says of them, and how long ago each began.
type Stranger = Vec<(usize, i32)>;

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn the_range_holds_whatever_those_who_are_away_know_and_of_whomever(
        name in prop::sample::select(vec!["A", "B", "C"]),
        days in 0..300_i32,
        changes in vec(Change::any(), 0..8),
        away in vec(0..8_usize, 1..3),
        strangers in vec((0..8_usize, vec((0..40_usize, 0..150_i32), 1..40)), 0..4),
    ) {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let outside = runtime.block_on(outside(name, days, changes, away, strangers));
        prop_assert_eq!(outside, Vec::<String>::new());
    }
}

#[test]
fn somebody_whom_only_the_missing_agency_knows_raises_the_score_inside_the_range() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // The police see much harm to somebody else in the household of scenario B, and are away. One of its
    // three people only they know.
    let police: Stranger = (0..30).map(|code| (code, 20)).collect();
    let held = runtime.block_on(async {
        let town = Town::new("B").await;
        town.nodes.world().arrive(0, &police);
        let full = houses(&town, &BTreeSet::new()).await;
        let known = houses(&town, &BTreeSet::from([0])).await;
        let people = |of: &Found| of[0].1.household.persons().len();
        assert_eq!(people(&full), people(&known) + 2, "the stranger, and one more");
        scores(&town, &known[0], &full[0], &BTreeSet::from([0]))
    });
    let (lo, now, full, hi) = held;
    assert!(lo <= now && now < full && full <= hi, "{lo} {now} {full} {hi}");
}

/// Returns every household whose score with everybody there is not in its range without some.
async fn outside(
    name: &str,
    days: i32,
    changes: Vec<Change>,
    away: Vec<usize>,
    strangers: Vec<(usize, Stranger)>,
) -> Vec<String> {
    let mut town = Town::new(name).await;
    town.as_at = town.as_at.plus(days);
    let away: BTreeSet<usize> = {
        let mut world = town.nodes.world();
        let kinds = world.agencies.len();
        let is_fact = |change: &Change| !matches!(change, Change::Leave(_) | Change::Stop(_));
        changes.into_iter().filter(is_fact).for_each(|change| world.change(change));
        for (which, stranger) in &strangers {
            world.arrive(away[which % away.len()] % kinds, stranger);
        }
        away.into_iter().map(|at| at % kinds).collect()
    };
    let full = houses(&town, &BTreeSet::new()).await;
    let mut outside = Vec::new();
    for known in houses(&town, &away).await {
        // Of those who are there the same records belong to it: see `score::range`.
        let same =
            |of: &&(BTreeSet<usize>, House)| town.nodes.world().without(&of.0, &away) == known.0;
        let Some(full) = full.iter().find(same) else { continue };
        let (lo, now, full, hi) = scores(&town, &known, full, &away);
        if full < lo || full > hi || now < lo || now > hi {
            outside.push(format!("{full} with everybody, {now} without {away:?}: {lo} to {hi}"));
        }
    }
    outside
}

type Found = Vec<(BTreeSet<usize>, House)>;

/// The households that are worth scoring while some agencies are away, each with its records.
async fn houses(town: &Town, away: &BTreeSet<usize>) -> Found {
    for (at, agency) in town.nodes.world().agencies.iter_mut().enumerate() {
        agency.missing = away.contains(&at);
    }
    let limits = SweepConfig::default();
    let cycle = town.cycle(&limits);
    let sweep = cycle.begin(town.as_at).await.unwrap();
    let mut open = town.open(&cycle, sweep);
    let Open { agencies, linked, known, .. } = &mut open;
    let mut seconds = Seconds::default();
    let found =
        homes::houses(&cycle, sweep, town.as_at, agencies, linked, known, &mut seconds).await;
    let records = |house: &House| {
        let members = house.household.members.iter();
        members.map(|member| number(linked.records.handle(member.record))).collect()
    };
    found.worth.into_iter().map(|house| (records(&house), house)).collect()
}

/// The lower end, the score without those who are away, the one with them, and the upper end.
fn scores(
    town: &Town,
    (_, known): &(BTreeSet<usize>, House),
    (_, full): &(BTreeSet<usize>, House),
    away: &BTreeSet<usize>,
) -> (Tenths, Tenths, Tenths, Tenths) {
    let model = Model::builtin();
    let world = town.nodes.world();
    let missing: Vec<AgencyKind> = away.iter().map(|at| world.agencies[*at].kind).collect();
    let bounds = range(model, &known.events, town.as_at, &missing, |_| true);
    let is_there = |code: SignalCode| code.spec().owner.is_none_or(|kind| !missing.contains(&kind));
    let now = score(model, &known.events, town.as_at, is_there).score;
    (bounds.lo, now, score(model, &full.events, town.as_at, |_| true).score, bounds.hi)
}
