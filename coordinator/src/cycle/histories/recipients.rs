//! Who is told, and of whom nobody waits to hear any more: whoever holds a record of somebody who lives there, and
//! whoever was away once they are back.

use super::{Town, *};

/// Housing has a duty, and is away on the day on which the others are told.
#[test]
fn who_was_away_when_the_others_were_told_is_told_once_they_are_back_and_nobody_else_is() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for forgetful in [false, true] {
        runtime.block_on(async {
            let mut town = Town::new("A").await;
            let housing = town.at(AgencyKind::Housing);
            town.nodes.world().change(Change::Leave(housing));
            town.until_something_is_said().await;
            town.sweep_on_the_next_day().await;
            assert_eq!(town.said().await, ["new entered"]);
            town.nodes.world().change(Change::Leave(housing));
            town.nodes.world().agencies[housing].forgetful = forgetful;
            for _ in 0..3 {
                town.sweep_on_the_next_day().await;
                assert_eq!(town.said().await, ["new entered", "update was_away"]);
            }
            let (_, last) = town.newest().await;
            let mut tx = town.courier.ledger.read().await.unwrap();
            let reached = outbox::reached(&mut tx, last.id, last.revision).await.unwrap();
            let housing = town.nodes.world().agencies[housing].id.clone();
            let (recipients, delivered) = match forgetful {
                true => (vec![], 0),
                false => (vec![housing], 1),
            };
            assert_eq!(reached, outbox::Reached { recipients, delivered });
        });
    }
}

#[test]
fn who_knows_only_somebody_who_moved_out_is_not_told_and_is_missed_all_the_same() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut town = Town::new("A").await;
        let housing = town.at(AgencyKind::Housing);
        let left = "2025-02-10".parse().unwrap();
        town.nodes.world().know_only_who_left(housing, &[(0, 20)], left);
        town.until_something_is_said().await;
        assert_eq!(town.said().await, ["new entered"]);
        let (standing, last) = town.newest().await;
        let id = town.nodes.world().agencies[housing].id.clone();
        let report: report::AlertReport = serde_json::from_str(&last.explanation).unwrap();
        assert!(report.lines.iter().any(|line| line.agency == AgencyKind::Housing));
        assert!(report.recipients.iter().all(|recipient| recipient.agency != id));
        assert_eq!(report.people, 3, "the stranger is none of them");
        // What they say of before counts, and nobody withdraws it who is away.
        assert!(standing.holders.contains(&id));
        town.nodes.world().change(Change::Leave(housing));
        town.sweep_on_the_next_day().await;
        assert_eq!(town.said().await, ["new entered"]);
    });
}

#[test]
fn who_knows_none_of_an_alerts_records_does_not_keep_it_from_being_taken_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut town = Town::new("A").await;
        let police = town.at(AgencyKind::Police);
        town.nodes.world().agencies[police].forgetful = true;
        town.until_something_is_said().await;
        let mut tx = town.courier.ledger.begin().await.unwrap();
        let given_up = outbox::given_up(&mut tx, 0).await.unwrap();
        assert_eq!(given_up[0].recipient, town.nodes.world().agencies[police].id);
        assert_eq!(outbox::waiting(&mut tx).await.unwrap(), (0, None));
        drop(tx);
        town.nodes.world().retract_all();
        town.sweep_on_the_next_day().await;
        assert_eq!(town.said().await, ["new entered", "cancel gone"]);
    });
}

/// No node has room to keep what was made of it.
#[test]
fn a_review_of_an_alert_that_is_over_is_settled_at_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut town = Town::new("A").await;
        town.until_something_is_said().await;
        town.nodes.world().agencies.iter_mut().for_each(|agency| agency.full = true);
        town.answer(None).await;
        town.sweep_on_the_next_day().await;
        assert!(town.is_unsettled().await);
        town.nodes.world().retract_all();
        town.sweep_on_the_next_day().await;
        assert_eq!(town.said().await, ["new entered", "cancel gone"]);
        assert!(!town.is_unsettled().await);
    });
}

#[test]
fn of_what_a_policy_withholds_or_an_agency_is_late_with_not_everything_is_told() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let town = Town::new("A").await;
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let sweep = cycle.begin(town.as_at).await.unwrap();
        let mut open = town.open(&cycle, sweep);
        let code = |code: &str| code.parse::<SignalCode>().unwrap();
        let codes = ["ASC_FOLLOWED_UP", "ASC_CARE_NEED", "POL_ASB_VICTIM"].map(code);
        let told = |open: &Open<'_>| codes.map(|code| scores::told(&open.agencies).contains(&code));
        assert_eq!(told(&open), [true, true, true]);
        let adults = town.at(AgencyKind::AdultSocialCare);
        open.agencies[adults].opened.as_mut().unwrap().withheld = vec![codes[0]];
        assert_eq!(told(&open), [false, true, true]);
        open.agencies[adults].silent = Some(Problem::Unreachable("it is away".into()));
        assert_eq!(told(&open), [false, false, true]);
    });
}

impl Town {
    async fn sweep_on_the_next_day(&mut self) {
        self.as_at = self.as_at.plus(1);
        self.sweep().await.unwrap();
    }

    /// Where an agency stands among the others.
    fn at(&self, kind: AgencyKind) -> usize {
        self.nodes.world().agencies.iter().position(|agency| agency.kind == kind).unwrap()
    }

    /// The newest open alert, and what was last told of it.
    async fn newest(&self) -> (Standing, alerts::Decided) {
        let mut tx = self.courier.ledger.read().await.unwrap();
        let standing = standings::open(&mut tx).await.unwrap().pop().expect("an open alert");
        let last = alerts::find(&mut tx, standing.alert).await.unwrap().unwrap();
        (standing, last)
    }
}
