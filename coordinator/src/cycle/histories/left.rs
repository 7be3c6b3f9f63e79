//! What is told while a sweep is open: of whoever has left it, before it stops, and of whoever was asked and told
//! nothing.

use causeway_proto::change::{Change as Told, Step};

use super::{Town, *};
use crate::{
    cycle::{live, subgroups},
    federation::changes::News,
    route::surfacing::Why,
};

/// Somebody else who holds a record of it is away, and so all that is there has to be in one place.
#[test]
fn what_rests_on_a_record_that_was_retracted_is_taken_back_before_the_sweep_is_closed() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut town = Town::new("A").await;
        town.until_something_is_said().await;
        let (_, police) = town.line_of(AgencyKind::Police).await;
        // Two are left who see harm.
        let last = town.nodes.world().agencies.len() - 1;
        town.nodes.world().change(Change::Leave(last));
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let sweep = cycle.begin(town.as_at).await.unwrap();
        let mut open = town.open(&cycle, sweep);
        cycle.tell(&mut open, &mut Seconds::default()).await.unwrap();
        let records = &open.linked.records;
        let mine: Vec<u32> = records.all_of(police).collect();
        let gone = mine.iter().map(|record| Told::Retraction(records.handle(*record)));
        let news = gone.map(|change| News::Step(police, Step { position: 1, change }));
        let news: Vec<News> = news.collect();
        let followed = live::apply(&cycle, &mut open, news, false).await.unwrap().unwrap();
        assert_eq!(followed.left, mine.len());
        let said: Vec<Option<Why>> = followed.alerts.iter().map(|alert| alert.reason).collect();
        assert_eq!(said, [Some(Why::Withdrawn)]);
    });
}

#[test]
fn a_sweep_that_is_followed_does_not_stop_between_what_it_decides_and_what_it_tells() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let town = Town::new("A").await;
        let limits = SweepConfig::default();
        let cycle = town.cycle(&limits);
        let sweep = cycle.begin(town.as_at).await.unwrap();
        let mut open = town.open(&cycle, sweep);
        cycle.reviewed.notify_one();
        // Told to stop as soon as something is decided.
        let mut untold = cycle.untold.subscribe();
        let stop = async { _ = untold.changed().await };
        let mut heard = 0;
        cycle.follow(&mut open, stop, |_| heard += 1).await.unwrap();
        assert!(heard > 0 && !*cycle.untold.borrow(), "{heard}");
    });
}

/// No made-up node counts anything.
#[test]
fn whoever_was_asked_and_told_nothing_is_not_asked_again_in_the_next_sweep() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let town = Town::new("A").await;
        let count = async |town: &Town, as_at: Day, earlier| {
            let limits = SweepConfig::default();
            let cycle = town.cycle(&limits);
            let sweep = cycle.begin(as_at).await.unwrap();
            let open = town.open(&cycle, sweep);
            let asked = (&open.agencies[..], &open.linked);
            subgroups::count(&cycle, sweep, as_at, asked, earlier).await
        };
        let (first, next) = (town.as_at, town.as_at.plus(1));
        let few = count(&town, first, None).await.unwrap();
        assert_eq!(few.asked, None, "they are too few to be asked about");
        (0..100).for_each(|_| town.nodes.world().arrive(0, &[]));
        let asked = count(&town, next, Some(few)).await.unwrap();
        assert_eq!((asked.counted, asked.kinds.len()), (next, 0));
        assert!(asked.asked.is_some() && asked.untold.len() == town.nodes.world().agencies.len());
        let again = count(&town, next.plus(1), Some(asked.clone())).await;
        assert_eq!(again, Some(asked));
    });
}
