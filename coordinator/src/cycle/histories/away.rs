//! A node that drops out takes its records along, as if it had never been there; and what is found of the
//! records of one that is away waits for it.

use super::{Town, pair, *};
use crate::{cycle::taking::look_for_spelling, link::clear::Clear};

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

/// The police are away on the day on which somebody says that what they know is of another person.
#[test]
fn who_is_away_when_a_line_of_theirs_is_disputed_is_kept_apart_when_they_are_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut town = runtime.block_on(Town::new("A"));
    runtime.block_on(async {
        town.until_something_is_said().await;
        let (line, at) = town.line_of(AgencyKind::Police).await;
        town.review(Some(line)).await;
        let strangers = |town: &Town| town.nodes.world().strangers(at);
        town.nodes.world().change(Change::Leave(at));
        town.sweep().await.unwrap();
        assert_eq!(strangers(&town), 0, "they cannot keep it");
        assert!(town.is_unsettled().await);
        town.nodes.world().change(Change::Leave(at));
        town.sweep().await.unwrap();
        assert_eq!(strangers(&town), 1);
        assert!(!town.is_unsettled().await);
    });
}

/// Either side's node has no room for days, whether or not it is the one whose record is disputed.
#[test]
fn a_dispute_that_a_node_cannot_keep_is_kept_once_it_can_and_leaves_no_more_meanwhile() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for police_are_full in [true, false] {
        let mut town = runtime.block_on(Town::new("A"));
        runtime.block_on(async {
            town.until_something_is_said().await;
            let (line, police) = town.line_of(AgencyKind::Police).await;
            town.review(Some(line)).await;
            let set_full = |town: &Town, full: bool| {
                for (at, agency) in town.nodes.world().agencies.iter_mut().enumerate() {
                    agency.full = full && (at == police) == police_are_full;
                }
            };
            let most = |town: &Town| {
                let world = town.nodes.world();
                let all = 0..world.agencies.len();
                all.map(|at| world.most_findings(at)).max().unwrap()
            };
            set_full(&town, true);
            town.sweep().await.unwrap();
            let first = most(&town);
            assert!(first > 0, "the others keep their halves");
            for _ in 0..5 {
                town.as_at = town.as_at.plus(1);
                town.sweep().await.unwrap();
                assert!(town.is_unsettled().await);
                assert_eq!(most(&town), first, "the same again is no more");
            }
            let strangers = |town: &Town| town.nodes.world().strangers(police);
            assert_eq!(strangers(&town), usize::from(!police_are_full));
            set_full(&town, false);
            town.sweep().await.unwrap();
            assert_eq!(strangers(&town), 1);
            assert!(!town.is_unsettled().await);
            let settled = most(&town);
            town.as_at = town.as_at.plus(1);
            town.sweep().await.unwrap();
            assert_eq!(most(&town), settled, "it holds");
        });
    }
}

#[test]
fn whoever_spells_names_in_an_older_way_than_others_is_named() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let town = runtime.block_on(Town::new("A"));
    let limits = SweepConfig::default();
    let cycle = town.cycle(&limits);
    let sweep = runtime.block_on(cycle.begin(town.as_at)).unwrap();
    let Open { mut agencies, .. } = town.open(&cycle, sweep);
    look_for_spelling(&mut agencies);
    assert!(agencies.iter().all(|agency| agency.warnings.is_empty()));
    agencies[1].opened.as_mut().unwrap().spelling += 1;
    look_for_spelling(&mut agencies);
    for (at, agency) in agencies.iter().enumerate() {
        assert_eq!(agency.warnings.len(), usize::from(at != 1), "{:?}", agency.warnings);
    }
}

impl Town {
    /// Sweeps day by day, twice at least, until somebody was told of something.
    pub(super) async fn until_something_is_said(&mut self) {
        for day in 0..20 {
            self.as_at = self.as_at.plus(1);
            self.sweep().await.unwrap();
            if day > 0 && !self.said().await.is_empty() {
                break;
            }
        }
    }

    /// Returns a line of the newest open alert that rests on an agency of this kind alone, and which agency.
    pub(super) async fn line_of(&self, kind: AgencyKind) -> (usize, usize) {
        let mut tx = self.courier.ledger.read().await.unwrap();
        let standing = standings::open(&mut tx).await.unwrap().pop().expect("an open alert");
        let told = alerts::find(&mut tx, standing.alert).await.unwrap().unwrap();
        let report: report::AlertReport = serde_json::from_str(&told.explanation).unwrap();
        let world = self.nodes.world();
        let at = world.agencies.iter().position(|agency| agency.kind == kind).unwrap();
        let only = [world.agencies[at].id.clone()];
        let line = report.lines.iter().position(|line| line.reporters == only);
        (line.expect("a line of theirs"), at)
    }

    pub(super) async fn is_unsettled(&self) -> bool {
        let mut tx = self.courier.ledger.begin().await.unwrap();
        !reviews::unsettled(&mut tx).await.unwrap().is_empty()
    }
}
