//! What holds for every household, tried on random ones.

use std::collections::BTreeSet;

use causeway_proto::{
    catalogue::{AgencyKind, SignalClass, SignalCode},
    day::Day,
    ids::EventKey,
};
use proptest::{collection::vec, option, prelude::*, sample};

use super::{
    Domain, Event, Model, ScoreRange, Scored, Tenths, alone,
    event::owner,
    fixture::{self, day},
    range, replay, score,
};

/// Enough to meet every rule in a few seconds; all of it has held for 30,000.
const CASES: u32 = 400;

/// The day of every test here.
fn as_at() -> Day {
    day("2026-03-01")
}

fn at(events: &[Event], as_at: Day) -> Scored {
    score(Model::builtin(), events, as_at, |_| true)
}

/// Codes that rules ask for come up more often than others, or hardly any rule would apply.
fn a_code() -> impl Strategy<Value = SignalCode> {
    let all: Vec<_> = SignalCode::all().collect();
    let asked_for = [
        "POL_ASB_VICTIM",
        "POL_DA_STD",
        "POL_HATE_INCIDENT",
        "ASC_SUICIDAL_DISCLOSURE",
        "ASC_FOLLOWED_UP",
        "ASC_CARE_NEED",
        "CSC_REFERRAL_NFA",
        "CSC_CASE_CLOSED",
        "DER_CHILD_U5",
        "DWP_CARER_BENEFIT",
        "NHS_FALLS_AMB",
        "HOU_ASB_COMPLAINANT",
    ];
    let asked_for = asked_for.map(|code| code.parse::<SignalCode>().unwrap());
    prop_oneof![sample::select(all), sample::select(asked_for.to_vec())]
}

/// An event that begins up to 800 days before the as-at day, or up to 20 days after. Few keys, so
/// that some events share theirs; of one code each, as one source event has.
fn an_event() -> impl Strategy<Value = Event> {
    let confidence = prop_oneof![Just(1.0), Just(0.6), 0.0..=1.0];
    let days = prop_oneof![-20..200_i32, -20..800_i32];
    (a_code(), days, option::of(0..300), 0..3_u32, 0..30_u128, confidence).prop_map(
        |(code, days_ago, lasted, person, key, confidence)| {
            let start = as_at().plus(-days_ago);
            Event {
                person,
                code,
                start,
                end: lasted.map(|days: i32| start.plus(days)),
                key: EventKey::from_bytes((code.index() as u128 * 100 + key).to_be_bytes()),
                confidence,
                shared: false,
                agency: owner(code).map_or("derived", AgencyKind::as_str).into(),
            }
        },
    )
}

fn a_household() -> impl Strategy<Value = Vec<Event>> {
    vec(an_event(), 0..30)
}

fn of_class(events: &[Event], class: SignalClass) -> Vec<Event> {
    events.iter().filter(|event| event.code.spec().class == class).cloned().collect()
}

fn without(events: &[Event], class: SignalClass) -> Vec<Event> {
    events.iter().filter(|event| event.code.spec().class != class).cloned().collect()
}

fn fired(scored: &Scored) -> BTreeSet<&str> {
    scored.rules.iter().map(|rule| rule.id.as_str()).collect()
}

#[test]
fn harm_that_fades_can_let_another_agency_count() {
    let falls = (0..6).map(|key| fixture::event("NHS_FALLS_AMB", "2026-03-01", key));
    let mut events: Vec<_> = falls.collect();
    let mut home = fixture::event("FRS_HIGH_RISK_HOME", "2025-01-01", 9);
    home.confidence = 0.3054;
    events.push(home);

    let (now, later) = (at(&events, as_at()), at(&events, as_at().plus(30)));
    assert_eq!((now.agencies.len(), later.agencies.len()), (1, 2));
    assert_eq!(fired(&now), fired(&later));
    assert!(later.score > now.score);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, ..ProptestConfig::default() })]

    /// Time alone raises a score only through the two rules that time triggers. There is one more
    /// way, of at most one agency's points each: while one agency's harm fades, another's line of
    /// the same kind gets a larger share and may begin to count for breadth.
    #[test]
    fn with_nothing_new_a_score_does_not_rise(events in a_household(), days in 1..120) {
        let begun: Vec<_> = events.into_iter().filter(|event| event.start <= as_at()).collect();
        let (now, later) = (at(&begun, as_at()), at(&begun, as_at().plus(days)));
        let new: Vec<_> = fired(&later).difference(&fired(&now)).copied().collect();
        prop_assert!(new.iter().all(|rule| ["X13", "X14"].contains(rule)), "{new:?}");
        if later.score > now.score {
            prop_assert!(!new.is_empty() || later.agencies.len() > now.agencies.len());
            let faded = later.exact_raw - f64::from(later.rule_points + later.breadth);
            prop_assert!(faded <= now.exact_raw - f64::from(now.rule_points + now.breadth) + 1e-9);
        }
    }

    #[test]
    fn context_alone_scores_nothing(events in a_household()) {
        let context = of_class(&events, SignalClass::Context);
        prop_assert_eq!(at(&context, as_at()).raw, Tenths::whole(0));
    }

    #[test]
    fn context_changes_a_score_only_through_a_named_rule(
        events in a_household(),
        more in a_household(),
    ) {
        let mut with = events.clone();
        with.extend(of_class(&more, SignalClass::Context));
        let (before, after) = (at(&events, as_at()), at(&with, as_at()));
        let codes = |scored: &Scored| {
            scored.lines.iter().map(|line| (line.code, line.exact.to_bits())).collect::<Vec<_>>()
        };
        prop_assert_eq!(codes(&before), codes(&after));
        prop_assert_eq!(before.breadth, after.breadth);
        if before.score != after.score {
            prop_assert_ne!(fired(&before), fired(&after));
        }
    }

    #[test]
    fn joining_never_scores_less_than_one_agency_alone(events in a_household()) {
        let events = without(&events, SignalClass::Protective);
        let joined = at(&events, as_at()).score;
        for (kind, score) in alone(Model::builtin(), &events, as_at(), |_| true) {
            prop_assert!(score <= joined, "{kind} alone {score}, joined {joined}");
        }
    }

    #[test]
    fn lines_rules_and_breadth_add_up_to_the_raw_points(events in a_household()) {
        let scored = at(&events, as_at());
        let lines: i32 = scored.lines.iter().map(|line| line.points.count()).sum();
        let added = Tenths::whole(scored.rule_points + scored.breadth).count();
        prop_assert_eq!(Tenths::of(lines + added), scored.raw);
        for line in &scored.lines {
            prop_assert!((f64::from(line.points) - line.exact).abs() < 0.1);
        }
    }

    #[test]
    fn the_order_in_which_events_arrive_changes_nothing_to_the_last_bit(
        (events, shuffled) in a_household().prop_flat_map(|events| {
            (Just(events.clone()), Just(events).prop_shuffle())
        }),
        numbers in vec(0..3_u32, 3),
    ) {
        let renamed = shuffled.into_iter().map(|event| Event {
            agency: "elsewhere".into(),
            person: numbers[event.person as usize] + 7,
            ..event
        });
        let (one, mut other) = (at(&events, as_at()), at(&renamed.collect::<Vec<_>>(), as_at()));
        for (theirs, ours) in other.lines.iter_mut().zip(&one.lines) {
            theirs.reporters.clone_from(&ours.reporters);
        }
        prop_assert_eq!(one.exact_raw.to_bits(), other.exact_raw.to_bits());
        prop_assert_eq!(one, other);
    }

    #[test]
    fn money_home_and_context_never_reach_t2(events in a_household()) {
        let model = Model::builtin();
        let poor = |event: &Event| {
            let domain = model.signal(event.code).domain;
            matches!(domain, Domain::Hard | Domain::Hous)
                || event.code.spec().class == SignalClass::Context
        };
        let events: Vec<_> = events.into_iter().filter(poor).collect();
        prop_assert!(at(&events, as_at()).score < Tenths::whole(45));
    }

    #[test]
    fn a_replay_gives_the_same_score_and_the_same_bytes(events in a_household()) {
        let mut file = "household,person,agency,code,start,end,event_ref,confidence\n".to_owned();
        for event in &events {
            let key = u128::from_be_bytes(*event.key.as_bytes());
            let end = event.end.map(|end| end.to_string()).unwrap_or_default();
            file += &format!(
                "H,{},{},{},{},{end},{key},{}\n",
                event.person, event.agency, event.code, event.start, event.confidence
            );
        }
        let bytes = || {
            let report = replay::replay(Model::builtin(), file.as_bytes(), as_at()).unwrap();
            (report.households.first().map(|h| h.score), serde_json::to_vec(&report).unwrap())
        };
        let (score, json) = bytes();
        prop_assert_eq!(score.unwrap_or_default(), at(&events, as_at()).score);
        prop_assert_eq!(json, bytes().1);
    }

    /// Whatever the missing agencies hold: a few signals, or everything they could at once.
    #[test]
    fn the_full_score_lies_in_the_range(
        events in a_household(),
        missing in sample::subsequence(AgencyKind::ALL.to_vec(), 1..5),
        knows_children in any::<bool>(),
        hold_everything in any::<bool>(),
    ) {
        let mut events = events;
        if hold_everything {
            let owned = |code: &SignalCode| owner(*code).is_some_and(|kind| missing.contains(&kind));
            for (at, code) in SignalCode::all().filter(owned).enumerate() {
                events.extend((0..8).map(|n| fixture::event(code.as_str(), "2026-02-14", 1_000_000 + at as u128 * 8 + n)));
            }
        }
        let full = at(&events, as_at()).score;
        let reported = |event: &&Event| match owner(event.code) {
            Some(kind) => !missing.contains(&kind),
            None => knows_children,
        };
        let known: Vec<_> = events.iter().filter(reported).cloned().collect();
        let ScoreRange { lo, hi } = range(Model::builtin(), &known, as_at(), &missing, |_| true);
        prop_assert!(lo <= full && full <= hi, "{full} is not in {lo} to {hi}");

        let empty = at(&known, as_at()).score;
        prop_assert!(lo <= empty && empty <= hi, "{empty} is not in {lo} to {hi}");
        let stale = range(Model::builtin(), &events, as_at(), &missing, |_| true);
        prop_assert!(stale.lo <= full && full <= stale.hi);
    }

    /// The same where agencies share source events, and where whoever is missing would make links
    /// firmer or weaker; and so does what is scored while they are missing or stale.
    #[test]
    fn the_full_score_lies_in_the_range_where_events_and_links_are_shared(
        events in a_household(),
        shared in vec(option::weighted(0.4, 0..8_u128), 30),
        sources in vec(prop_oneof![Just(1.0), 0.0..=1.0], 30),
        attached_now in vec(any::<bool>(), 3),
        attached_then in vec(any::<bool>(), 3),
        missing in sample::subsequence(AgencyKind::ALL.to_vec(), 0..6),
        stale in any::<bool>(),
    ) {
        let model = Model::builtin();
        let changed = if missing.is_empty() { &attached_now } else { &attached_then };
        let with = |attached: &[bool]| -> Vec<Event> {
            let each = events.iter().zip(&shared).zip(&sources);
            each.map(|((event, shared), source)| {
                let link = match attached[event.person as usize] {
                    true => model.surfacing.household_only_confidence,
                    false => 1.0,
                };
                let own = (event.key, false);
                let (key, shared) = shared.map_or(own, |n| (EventKey::from_bytes(n.to_be_bytes()), true));
                // A number below 100 is nobody's own: codes begin at their place times 100.
                let key = if shared { key } else { own_key(&event.key) };
                Event { key, shared, confidence: link * source, ..event.clone() }
            })
            .collect()
        };
        let is_missing = |kind: AgencyKind| missing.contains(&kind);
        let (full, now) = (with(changed), with(&attached_now));
        let heard = |event: &&Event| owner(event.code).is_none_or(|kind| stale || !is_missing(kind));
        let known: Vec<Event> = now.iter().filter(heard).cloned().collect();
        let ScoreRange { lo, hi } = range(model, &known, as_at(), &missing, |_| true);
        let full = at(&full, as_at()).score;
        prop_assert!(lo <= full && full <= hi, "{full} is not in {lo} to {hi}");
        let shown = score(model, &known, as_at(), |code| !owner(code).is_some_and(is_missing)).score;
        prop_assert!(lo <= shown && shown <= hi, "{shown} is shown and not in {lo} to {hi}");
    }
}

/// An agency's own number, which no shared one equals.
fn own_key(key: &EventKey) -> EventKey {
    let number = u128::from_be_bytes(*key.as_bytes());
    EventKey::from_bytes((number + (1 << 64)).to_be_bytes())
}

/// How wide ranges are, for a person to judge: run with `--ignored --nocapture`.
#[test]
#[ignore = "measures, and asserts nothing"]
fn how_wide_ranges_are() {
    use super::random::Households;
    let (model, as_at) = (Model::builtin(), as_at());
    let mut made = Households::new(model, 1);
    let households: Vec<Vec<Event>> = (0..2000).map(|_| made.another(as_at)).collect();
    for shared in [false, true] {
        for kind in AgencyKind::ALL {
            let mut widths: Vec<i32> = Vec::new();
            let mut below: Vec<i32> = Vec::new();
            let mut anybody: Vec<i32> = Vec::new();
            for events in &households {
                let events = events.iter().filter(|event| owner(event.code) != Some(*kind));
                let events: Vec<Event> =
                    events.map(|event| Event { shared, ..event.clone() }).collect();
                let ScoreRange { lo, hi } = range(model, &events, as_at, &[*kind], |_| true);
                widths.push((hi - lo).count());
                below.push((at(&events, as_at).score - lo).count());
                // If somebody could join of whom every agency may know anything.
                anybody.push(range(model, &events, as_at, AgencyKind::ALL, |_| true).hi.count());
            }
            anybody.sort_unstable();
            widths.sort_unstable();
            below.sort_unstable();
            let middle = |all: &[i32]| f64::from(all[all.len() / 2]) / 10.0;
            #[expect(clippy::print_stdout, reason = "it is what this is for")]
            {
                println!(
                    "{kind} missing, shared {shared}: median width {}, below the score {}, least upper end \
                     with anybody {}",
                    middle(&widths),
                    middle(&below),
                    f64::from(anybody[0]) / 10.0
                );
            }
        }
    }
}
