//! Live equals full: after any history, whoever followed holds what a fresh sweep would bring.

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};

use super::following::{Agency, Follower, crowd};

/// What happens at the agency, or to whoever follows.
#[derive(Clone, Debug)]
enum Happens {
    /// A person is new, or another than before.
    Person { at: usize, row: String },
    /// A person is not in the export any more.
    NoPerson(usize),
    /// An event is new, or another than before.
    Event { at: usize, row: String },
    /// An event is not in the export any more.
    NoEvent(usize),
    /// The follower hears everything so far.
    Look,
    /// The follower hears so many changes, and then its stream breaks.
    Break(usize),
    /// The follower forgets the last things it heard and begins anew from before them.
    Forget,
    /// The node's process is another one.
    Restart,
}

fn person() -> impl Strategy<Value = String> {
    let names = select(vec!["ALMA,PRICE", "ALBA,PRICE", "ANN,BYRON-MARSH", "KIERAN,PRICE"]);
    let born = select(vec!["1987-04-06", "1987-06-04", "2012-11-20", ""]);
    let homes = select(vec![
        "14 Larkrise Close,ZX1 4AB",
        "60 Station Road,ZX3 9HT",
        "Flat 2 60 Station Road,ZX3 9HT",
        "9 Long Lane,ZX5 5AA",
    ]);
    let left = select(vec!["", "", "2025-01-31"]);
    let died = select(vec!["", "", "", "2025-02-10"]);
    let mark = select(vec!["", "", "", "R"]);
    (names, born, homes, left, died, mark).prop_map(|(name, born, home, left, died, mark)| {
        format!("{name},{born},{home},{left},{died},{mark}")
    })
}

fn event() -> impl Strategy<Value = String> {
    let what = select(vec!["ASB", "ASB", "HATE"]);
    let day = select(vec!["2025-02-01", "2025-02-20", "2026-01-01", "2019-01-01"]);
    (0..6usize, what, day).prop_map(|(of, what, day)| format!("N-{of},{what},{day}"))
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        4 => (0..6usize, person()).prop_map(|(at, row)| Happens::Person { at, row }),
        1 => (0..6usize).prop_map(Happens::NoPerson),
        4 => (0..8usize, event()).prop_map(|(at, row)| Happens::Event { at, row }),
        1 => (0..8usize).prop_map(Happens::NoEvent),
        4 => Just(Happens::Look),
        2 => (1..4usize).prop_map(Happens::Break),
        1 => Just(Happens::Forget),
        1 => Just(Happens::Restart),
    ]
}

/// What the agency's systems hold.
#[derive(Default)]
struct Systems {
    people: BTreeMap<usize, String>,
    events: BTreeMap<usize, String>,
    exports: usize,
}

impl Systems {
    async fn export_people(&mut self, agency: &Agency) {
        self.exports += 1;
        let (crowd, _) = crowd(49);
        let rows = self.people.iter().map(|(at, row)| format!("N-{at},{row}\n"));
        // No two exports are the same file.
        let rows = rows.collect::<String>() + &crowd + &format!("X-1,X{0},X,,,,,,\n", self.exports);
        agency.people(&rows).await;
    }

    async fn export_events(&mut self, agency: &Agency) {
        self.exports += 1;
        let (_, crowd) = crowd(49);
        let rows = self.events.iter().map(|(at, row)| format!("I-{at},{row}\n"));
        let day = 1 + self.exports % 28;
        let rows = rows.collect::<String>() + &crowd + &format!("X-1,X-1,HATE,2024-01-{day:02}\n");
        agency.events(&rows).await;
    }
}

async fn live_equals_full(history: Vec<Happens>) {
    let mut agency = Agency::new().await;
    let mut systems = Systems::default();
    for at in 0..3 {
        let row =
            "ALMA,PRICE,1987-04-06,60 Station Road,ZX3 9HT,,,".replace("LM", ["LM", "N", "LB"][at]);
        systems.people.insert(at, row);
        systems.events.insert(at, format!("N-{at},ASB,2025-02-01"));
    }
    systems.export_people(&agency).await;
    systems.export_events(&agency).await;
    let mut follower = Follower::begin(&agency).await;
    assert!(follower.people.len() > 40, "the crowd is in it");
    let streamed = agency.streamed(0).await;
    let mut changes = follower.watch(&agency).await;
    let mut heard = vec![follower.clone()];
    for happens in history.into_iter().chain([Happens::Look]) {
        match happens {
            Happens::Person { at, row } => {
                systems.people.insert(at, row);
                systems.export_people(&agency).await;
            }
            Happens::NoPerson(at) => {
                systems.people.remove(&at);
                systems.export_people(&agency).await;
                systems.export_people(&agency).await;
            }
            Happens::Event { at, row } => {
                systems.events.insert(at, row);
                systems.export_events(&agency).await;
            }
            Happens::NoEvent(at) => {
                systems.events.remove(&at);
                systems.export_events(&agency).await;
                systems.export_events(&agency).await;
            }
            Happens::Look => {
                // Whatever came before is announced with an export, and if nothing did, this is.
                systems.export_events(&agency).await;
                follower.catch_up(&agency, &mut changes).await;
                follower.holds_what_is(&agency).await;
                heard.push(follower.clone());
            }
            Happens::Break(after) => {
                follower.hear_some(&agency, after).await;
                changes = follower.watch(&agency).await;
            }
            Happens::Forget => {
                heard.truncate(heard.len().div_ceil(2));
                follower = heard.last().expect("the first one stays").clone();
                changes = follower.watch(&agency).await;
            }
            Happens::Restart => {
                agency.restart().await;
                changes = follower.watch(&agency).await;
            }
        }
    }
    assert!(agency.streamed(0).await == streamed, "the stream is what it was");
}

/// Who shared a key with two others, left, and comes back when both are gone.
#[tokio::test(flavor = "multi_thread")]
async fn who_left_and_came_back_has_the_tokens_of_now() {
    let moved = "ALMA,PRICE,1987-04-06,14 Larkrise Close,ZX1 4AB,,,".to_owned();
    let event = |at, row: &str| Happens::Event { at, row: row.to_owned() };
    live_equals_full(vec![
        Happens::Person { at: 0, row: moved },
        event(1, "N-0,ASB,2025-02-01"),
        Happens::Look,
        event(7, "N-1,ASB,2025-02-01"),
        Happens::Forget,
        Happens::NoPerson(2),
    ])
    .await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 40, ..ProptestConfig::default() })]

    #[test]
    fn whoever_followed_holds_what_a_fresh_sweep_would_bring(
        history in prop::collection::vec(happens(), 1..24),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(live_equals_full(history));
    }
}
