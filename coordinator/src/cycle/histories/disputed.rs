//! A dispute takes out whom it is about and nobody else, whatever has become of the household since.

use super::{Town, *};
use crate::household::Member;

/// A household that was told of, a line of which is somebody else's, and what a sweep finds of it.
struct Told<'a> {
    cycle: &'a Cycle<'a>,
    open: Open<'a>,
    houses: Houses,
    police: usize,
}

impl<'a> Told<'a> {
    async fn of(town: &Town, cycle: &'a Cycle<'a>, police: usize) -> Self {
        let sweep = cycle.begin(town.as_at).await.unwrap();
        let mut open = town.open(cycle, sweep);
        let houses = Self::houses(cycle, &mut open).await;
        Self { cycle, open, houses, police }
    }

    async fn houses(cycle: &Cycle<'_>, open: &mut Open<'_>) -> Houses {
        let Open { sweep, as_at, agencies, linked, known, .. } = open;
        let mut seconds = Seconds::default();
        homes::houses(cycle, *sweep, *as_at, agencies, linked, known, &mut seconds).await
    }

    /// Everybody of the household, and what is said of them.
    fn household(&self) -> (Vec<Member>, Vec<Event>) {
        let house = &self.houses.worth[0];
        (house.household.members.clone(), house.events.clone())
    }

    /// From now on only the police's records of a household and one more are worth looking at, and are together.
    fn only(&mut self, (members, events): &(Vec<Member>, Vec<Event>), friend: u32) {
        let records = &self.open.linked.records;
        let stays = |member: &&Member| {
            records.agency(member.record) == self.police || member.record == friend
        };
        self.houses.worth.truncate(1);
        let house = &mut self.houses.worth[0];
        house.household.members = members.iter().filter(stays).copied().collect();
        house.events.clone_from(events);
    }

    async fn settle(&mut self) {
        let Open { sweep, as_at, agencies, linked, continuity, .. } = &mut self.open;
        let found = (linked, &mut self.houses);
        let at = (*sweep, *as_at);
        disputes::settle(self.cycle, at, agencies, found, continuity).await.unwrap();
    }

    /// Decides what is told of the houses that there are.
    async fn surface(&mut self) {
        let Open { sweep, as_at, agencies, linked, continuity, scores, .. } = &mut self.open;
        let (found, kept) = ((linked, &self.houses), (continuity, scores));
        let (mut seconds, at) = (Seconds::default(), *as_at);
        surface::surface(self.cycle, *sweep, at, agencies, found, kept, &mut seconds)
            .await
            .unwrap();
    }

    /// The records that somebody found not to belong.
    fn wrong(&self) -> Vec<u32> {
        let found = self.open.linked.records.found();
        let wrong = found.filter(|(_, found)| found.iter().any(|apart| apart.stranger));
        wrong.map(|(record, _)| record).collect()
    }

    /// The record that came last to an agency.
    fn last_of(&self, agency: usize) -> u32 {
        self.open.linked.records.all_of(agency).last().unwrap()
    }
}

/// Tells of the household of scenario A, and has a line of the police disputed. Returns which agency they are.
async fn told() -> (Town, usize) {
    let mut town = Town::new("A").await;
    town.until_something_is_said().await;
    let (line, police) = town.line_of(AgencyKind::Police).await;
    town.review(Some(line)).await;
    (town, police)
}

/// An agency other than the police.
fn other_than(police: usize) -> usize {
    usize::from(police == 0)
}

/// They are in a household where two agencies see harm, and the others of the alert are not at present.
#[test]
fn a_disputed_record_is_kept_apart_from_whom_it_was_told_with_and_not_from_its_own_person() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (town, police) = told().await;
        town.nodes.world().arrive(other_than(police), &[(0, 5)]);
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let mut told = Told::of(&town, &cycle, police).await;
        let friend = told.last_of(other_than(police));
        let household = told.household();
        told.only(&household, friend);
        told.settle().await;
        let records = &told.open.linked.records;
        let wrong = told.wrong();
        assert!(!wrong.is_empty() && wrong.iter().all(|wrong| records.agency(*wrong) == police));
        assert_eq!(records.findings(friend), [], "nobody was told of it");
        let is_apart = |other: u32| wrong.iter().all(|wrong| records.is_stranger(*wrong, other));
        let mut others = household.0.iter().map(|member| member.record);
        let is_friend = |other: &u32| records.agency(*other) == police || *other == friend;
        assert!(others.all(|other| is_friend(&other) || is_apart(other)));
        assert!(!town.is_unsettled().await);
        told.surface().await;
        let Open { linked, continuity, .. } = &told.open;
        let records = &linked.records;
        let mut about = continuity.alerts(other_than(police), records.handle(friend));
        let told: Vec<_> = continuity.alerts(police, records.handle(wrong[0])).collect();
        assert!(!told.is_empty());
        let is_followed = about.any(|alert| alert == told[0]);
        assert!(!is_followed, "the alert does not go along with the record");
    });
}

/// A node could not keep its half, and so the dispute is not settled.
#[test]
fn a_dispute_that_is_applied_is_about_nobody_else_when_it_is_looked_at_again() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (town, police) = told().await;
        let set_full = |full: bool| {
            town.nodes.world().agencies.iter_mut().for_each(|agency| agency.full = full);
        };
        set_full(true);
        town.nodes.world().arrive(other_than(police), &[(0, 5)]);
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let mut told = Told::of(&town, &cycle, police).await;
        let household = told.household();
        let friend = told.last_of(other_than(police));
        told.settle().await;
        let wrong = told.wrong();
        assert!(!wrong.is_empty() && town.is_unsettled().await);
        told.houses = Told::houses(&cycle, &mut told.open).await;
        told.only(&household, friend);
        told.settle().await;
        assert_eq!((told.wrong(), told.open.linked.records.findings(friend)), (wrong, &[][..]));
        assert!(town.is_unsettled().await);
        set_full(false);
        told.settle().await;
        assert!(!town.is_unsettled().await, "what is owed is kept");
    });
}

/// It has no room, and then it is away, and all that is left of its half is the other one.
#[test]
fn a_dispute_waits_for_whoever_could_not_keep_it_and_is_away() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (mut town, police) = runtime.block_on(told());
    runtime.block_on(async {
        let other = other_than(police);
        town.nodes.world().agencies[other].full = true;
        town.sweep().await.unwrap();
        assert!(town.is_unsettled().await);
        town.nodes.world().agencies[other].full = false;
        for is_away in [true, false] {
            town.nodes.world().agencies[other].missing = is_away;
            town.sweep().await.unwrap();
            assert_eq!(town.is_unsettled().await, is_away);
        }
        assert!(town.nodes.world().most_findings(other) > 0);
    });
}

/// The event was corrected, or has grown too old, and the record is linked as before.
#[test]
fn a_dispute_waits_while_nobody_knows_which_record_it_is_about() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (town, police) = told().await;
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let mut told = Told::of(&town, &cycle, police).await;
        let (_, events) = told.household();
        told.houses.worth[0].events.clear();
        told.settle().await;
        assert!(told.wrong().is_empty() && town.is_unsettled().await);
        told.houses.worth[0].events = events;
        told.settle().await;
        assert!(!told.wrong().is_empty() && !town.is_unsettled().await);
    });
}

#[test]
fn a_dispute_of_a_line_that_an_alert_does_not_have_is_settled_and_changes_nothing() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut town = Town::new("A").await;
        town.until_something_is_said().await;
        let (_, police) = town.line_of(AgencyKind::Police).await;
        town.answer(Some(LineId::from_bytes([9; 16]))).await;
        assert!(town.is_unsettled().await);
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let mut told = Told::of(&town, &cycle, police).await;
        told.settle().await;
        assert!(told.wrong().is_empty() && !town.is_unsettled().await);
    });
}

/// A node keeps few findings of one person, and a household may be large.
#[test]
fn a_record_carries_one_finding_for_each_agency_that_it_does_not_belong_with() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut town = Town::new("A").await;
        (0..3).for_each(|_| town.nodes.world().arrive(1, &[(0, 5)]));
        town.until_something_is_said().await;
        let (line, police) = town.line_of(AgencyKind::Police).await;
        town.review(Some(line)).await;
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let mut told = Told::of(&town, &cycle, police).await;
        told.settle().await;
        let records = &told.open.linked.records;
        let wrong = told.wrong();
        assert!(!wrong.is_empty() && !town.is_unsettled().await);
        for wrong in &wrong {
            let apart = records.present().filter(|other| records.is_stranger(*wrong, *other));
            let apart: Vec<usize> = apart.map(|other| records.agency(other)).collect();
            let agencies: BTreeSet<usize> = apart.iter().copied().collect();
            assert!(apart.len() >= agencies.len() + 3, "{apart:?}");
            assert_eq!(records.findings(*wrong).len(), agencies.len());
        }
        drop(told);
        let again = Told::of(&town, &cycle, police).await;
        assert_eq!(again.wrong().len(), wrong.len(), "they are handed back");
    });
}
