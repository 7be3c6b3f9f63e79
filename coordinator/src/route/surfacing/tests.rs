use causeway_proto::catalogue::SignalSpan;

use super::*;
use crate::score::fixture::{day, event, scenario};

/// Remembers what was told, as the ledger does.
#[derive(Default)]
struct Memory {
    told: Option<Told>,
    /// After how many days agencies tell of an event no more.
    most_days: Option<i32>,
    pushes: Vec<(String, f64, Why)>,
}

impl Memory {
    /// Evaluates a household's facts at the end of a day.
    fn look(&mut self, model: &Model, events: &[Event], as_at: Day) -> Decision {
        let most_days = self.most_days;
        let until = |event: &Event| {
            let end = event.end.filter(|end| *end <= as_at);
            let is_open = event.code.spec().span == SignalSpan::State && end.is_none();
            let days = most_days.filter(|_| !is_open)?;
            Some(end.unwrap_or(event.start).plus(days))
        };
        let is_told = |event: &&Event| until(event).is_none_or(|until| as_at <= until);
        let events: Vec<Event> = events.iter().filter(is_told).cloned().collect();
        let ages = |by: Day| -> Ages {
            let begun = events.iter().filter(|event| event.start <= by);
            begun.filter_map(|event| Some((event.code, until(event)?))).collect()
        };
        if let Some(Told { basis, .. }) = &mut self.told {
            basis.ages = basis.ages.seen(&ages(basis.as_at), as_at);
        }
        let judged = self.told.clone().map(|told| {
            let old = told.basis.ages.clone().without(&ages(told.basis.as_at));
            Told { basis: Basis { ages: old, ..told.basis }, ..told }
        });
        let now = Scoring::of(model, &events, as_at, |_| true);
        let told = judged.as_ref();
        let then = told.map(|told| Scoring::looking_back(model, &events, &told.basis, as_at));
        let decision = consider(model, told, &now, then.as_ref());
        match decision {
            Decision::New(why) | Decision::Update(why) => self.tell(&now, ages(as_at), why),
            Decision::Cancel(_) | Decision::Close => self.told = None,
            Decision::Nothing => {}
        }
        decision
    }

    fn tell(&mut self, now: &Scoring, ages: Ages, why: Why) {
        let scored = &now.scored;
        let basis = Basis::of(scored, ages);
        self.pushes.push((scored.as_at.to_string(), scored.score.into(), why));
        let told = Told {
            day: scored.as_at,
            score: scored.score,
            rules: basis.rules.clone(),
            severe: now.severe.clone(),
            basis,
            unheard: BTreeSet::new(),
            away: BTreeSet::new(),
            review: None,
        };
        self.told = Some(match self.told.take() {
            Some(before) if why != Why::Withdrawn => before.and(told),
            _ => told,
        });
    }

    fn review(&mut self, as_at: &str, no_action: bool) {
        self.review_on(day(as_at), no_action);
    }

    fn review_on(&mut self, day: Day, no_action: bool) {
        let told = self.told.as_mut().unwrap();
        told.review = Some(Reviewed { day, score: told.score, no_action });
    }
}

fn year() -> impl Iterator<Item = Day> {
    (0..365).map(|days| day("2025-01-01").plus(days))
}

fn pushes(name: &str) -> Vec<(String, f64, Why)> {
    let (mut memory, events) = (Memory::default(), scenario(name));
    for as_at in year() {
        memory.look(Model::builtin(), &events, as_at);
    }
    memory.pushes
}

fn expected(pushes: &[(&str, f64, Why)]) -> Vec<(String, f64, Why)> {
    pushes.iter().map(|(day, score, why)| ((*day).to_owned(), *score, *why)).collect()
}

#[test]
fn a_year_brings_the_pushes_that_the_simulation_of_the_domain_brings() {
    let larkrise = [
        ("2025-02-24", 73.6, Why::Entered),
        ("2025-03-10", 76.9, Why::NewRule),
        ("2025-05-06", 81.2, Why::NewRule),
    ];
    assert_eq!(pushes("A"), expected(&larkrise));
    let moorfield = [("2025-07-01", 65.9, Why::Entered), ("2025-08-24", 71.2, Why::Severe)];
    assert_eq!(pushes("B"), expected(&moorfield));
    let station_road = [
        ("2025-07-14", 67.0, Why::Entered),
        ("2025-08-11", 72.9, Why::NewRule),
        ("2025-09-06", 78.0, Why::NewRule),
        ("2025-09-22", 85.0, Why::Severe),
    ];
    assert_eq!(pushes("C"), expected(&station_road));
    assert_eq!(pushes("D_DEAF"), []);
    assert_eq!(pushes("D_POOR"), []);
}

#[test]
fn where_people_have_the_time_moorfield_is_told_of_months_earlier() {
    let model = Model { surfacing: filling(), ..Model::builtin().clone() };
    let (mut memory, events) = (Memory::default(), scenario("B"));
    for as_at in year() {
        memory.look(&model, &events, as_at);
    }
    let first = &memory.pushes[0];
    assert_eq!(first.2, Why::Filled);
    assert!(first.0.as_str() < "2025-02-12", "{first:?}");
}

fn filling() -> crate::score::model::Surfacing {
    crate::score::model::Surfacing { fill_with_t2: true, ..Model::builtin().surfacing.clone() }
}

#[test]
fn looking_again_at_the_same_facts_says_nothing() {
    let model = Model::builtin();
    for (name, as_at) in [("A", "2025-02-24"), ("B", "2025-08-24"), ("C", "2025-09-22")] {
        let (mut memory, events) = (Memory::default(), scenario(name));
        assert!(matches!(memory.look(model, &events, day(as_at)), Decision::New(_)));
        assert_eq!(memory.look(model, &events, day(as_at)), Decision::Nothing, "{name}");
        assert_eq!(memory.look(model, &events, day("2025-01-01")), Decision::Nothing, "{name}");
    }
}

#[test]
fn after_no_further_action_only_something_severe_breaks_four_weeks_of_quiet() {
    let model = Model::builtin();
    let (mut memory, mut events) = (Memory::default(), scenario("A"));
    memory.look(model, &events, day("2025-02-24"));
    memory.review("2025-02-25", true);
    // X14 would be news on 10 March.
    for days in 1..28 {
        assert_eq!(memory.look(model, &events, day("2025-02-25").plus(days)), Decision::Nothing);
    }
    assert_eq!(
        memory.look(model, &events, day("2025-03-25")),
        Decision::Update(Why::NewRule),
        "the rule still applies when the quiet is over"
    );
    memory.review("2025-03-26", true);
    events.push(event("FRS_DELIBERATE_FIRE", "2025-03-28", 900));
    assert_eq!(memory.look(model, &events, day("2025-03-28")), Decision::Update(Why::Severe));
}

#[test]
fn what_one_source_reports_of_one_day_is_one_change() {
    let model = Model::builtin();
    let (mut memory, mut events) = (Memory::default(), scenario("B"));
    memory.look(model, &events, day("2025-08-24"));
    for key in 900..903 {
        events.push(event("FRS_DELIBERATE_FIRE", "2025-08-24", key));
        assert_eq!(memory.look(model, &events, day("2025-08-24")), Decision::Nothing);
        assert_ne!(
            memory.look(model, &events, day("2025-08-25")),
            Decision::Update(Why::Severe),
            "the day after, it is no news either"
        );
        memory.told.as_mut().unwrap().day = day("2025-08-24");
    }
    // Another source is another change.
    events.push(event("NHS_U1_INJURY", "2025-08-24", 910));
    assert_eq!(memory.look(model, &events, day("2025-08-24")), Decision::Update(Why::Severe));
}

#[test]
fn a_withdrawn_fact_changes_or_cancels_and_fading_does_not() {
    let model = Model::builtin();
    let events = scenario("A");
    for (code, decision) in [
        // What carried it.
        ("ASC_SUICIDAL_DISCLOSURE", Decision::Cancel(Why::Withdrawn)),
        ("POL_ASB_VICTIM", Decision::Cancel(Why::Withdrawn)),
        // It stands without this one.
        ("HOU_ASB_COMPLAINANT", Decision::Update(Why::Withdrawn)),
    ] {
        let mut memory = Memory::default();
        memory.look(model, &events, day("2025-02-24"));
        let corrected: Vec<Event> =
            events.iter().filter(|event| event.code.as_str() != code).cloned().collect();
        assert_eq!(memory.look(model, &corrected, day("2025-03-01")), decision, "{code}");
        assert_eq!(
            memory.look(model, &corrected, day("2025-03-01")),
            Decision::Nothing,
            "{code}: once"
        );
    }
    // Nothing new ever comes: it fades, is forgotten, and nobody is bothered.
    let known: Vec<Event> =
        events.into_iter().filter(|event| event.start <= day("2025-05-06")).collect();
    let mut memory = Memory::default();
    let seen: Vec<Decision> = year().map(|as_at| memory.look(model, &known, as_at)).collect();
    assert!(!seen.iter().any(|d| matches!(d, Decision::Cancel(_))), "{seen:?}");
    assert!(seen.contains(&Decision::Close));
    assert!(!memory.pushes.iter().any(|(.., why)| *why == Why::Withdrawn));
}

#[test]
fn an_alert_that_newer_facts_hold_up_is_changed_and_not_taken_back_to_be_told_anew() {
    let model = Model::builtin();
    let (mut memory, told_on) = (Memory::default(), day("2025-02-24"));
    let all = scenario("A");
    let begun: Vec<Event> = all.iter().filter(|e| e.start <= told_on).cloned().collect();
    memory.look(model, &begun, told_on);
    // Too much of what was told of is gone, and there is enough new harm by now.
    let is_left = |event: &&Event| event.start > told_on || event.code.as_str() != "POL_ASB_VICTIM";
    let left: Vec<Event> = all.iter().filter(is_left).cloned().collect();
    let without: Vec<Event> = left.iter().filter(|e| e.start <= told_on).cloned().collect();
    let as_at = day("2025-06-03");
    assert!(matches!(memory.look(model, &left, as_at), Decision::Update(Why::Withdrawn)));
    assert_eq!(memory.look(model, &left, as_at), Decision::Nothing);
    memory = Memory::default();
    memory.look(model, &begun, told_on);
    assert!(matches!(memory.look(model, &without, as_at), Decision::Cancel(Why::Withdrawn)));
}

#[test]
fn what_an_agency_tells_no_more_because_it_has_grown_old_is_not_taken_back() {
    let model = Model::builtin();
    for name in ["A", "B", "C"] {
        for most_days in [60, 120, 250] {
            let mut memory = Memory { most_days: Some(most_days), ..Memory::default() };
            let events = scenario(name);
            let days = (0..900).map(|days| day("2025-01-01").plus(days));
            let seen: Vec<Decision> =
                days.map(|as_at| memory.look(model, &events, as_at)).collect();
            let withdrawn =
                |d: &Decision| matches!(d, Decision::Cancel(_) | Decision::Update(Why::Withdrawn));
            assert!(!seen.iter().any(withdrawn), "{name}, {most_days} days: {seen:?}");
            assert!(memory.pushes.is_empty() || seen.contains(&Decision::Close), "{name}");
        }
    }
}

#[test]
fn what_is_withdrawn_is_taken_back_also_when_something_else_has_grown_old() {
    let model = Model::builtin();
    let begun = day("2025-02-24");
    let events: Vec<Event> = scenario("A").into_iter().filter(|e| e.start <= begun).collect();
    // The first of the police's events is of 11 January.
    let as_at = begun.plus(85);
    for (withdrawn, is_taken_back) in [("", false), ("HOU_ASB_COMPLAINANT", true)] {
        let mut memory = Memory { most_days: Some(120), ..Memory::default() };
        assert!(matches!(memory.look(model, &events, begun), Decision::New(_)));
        let ages = &memory.told.as_ref().unwrap().basis.ages;
        assert_eq!(ages.grown_old("POL_ASB_VICTIM".parse().unwrap(), as_at), 1);
        let is_left = |event: &&Event| event.code.as_str() != withdrawn;
        let left: Vec<Event> = events.iter().filter(is_left).cloned().collect();
        let decision = memory.look(model, &left, as_at);
        let taken_back = [Decision::Update(Why::Withdrawn), Decision::Cancel(Why::Withdrawn)];
        assert_eq!(taken_back.contains(&decision), is_taken_back, "{withdrawn}: {decision:?}");
    }
}

/// What a node says of a child: its band today, from today on.
fn child(band: SignalCode, as_at: Day, key: u128) -> Event {
    Event { code: band, ..event("DER_CHILD_U1", &as_at.to_string(), key) }
}

#[test]
fn a_child_grows_older_and_nothing_is_taken_back_until_it_is_nobodys() {
    let model = Model::builtin();
    let is_band = |event: &Event| event.code.spec().owner.is_none();
    let facts: Vec<Event> =
        scenario("C").into_iter().filter(|e| !is_band(e) && e.start <= day("2025-07-14")).collect();
    let with = |children: &[(SignalCode, u128)], as_at: Day| -> Vec<Event> {
        let children = children.iter().map(|(band, key)| child(*band, as_at, *key));
        facts.iter().cloned().chain(children).collect()
    };
    let (baby, toddler) = ((SignalCode::CHILD_U1, 800), (SignalCode::CHILD_U5, 801));
    let (pupil, teenager) = ((SignalCode::CHILD_U18, 802), (SignalCode::CHILD_U18, 803));

    let mut memory = Memory::default();
    let told = day("2025-07-14");
    let first = memory.look(model, &with(&[baby, teenager], told), told);
    assert_eq!(first, Decision::New(Why::Entered));
    assert!(memory.told.as_ref().unwrap().basis.rules.contains("X03"), "{:?}", memory.told);
    for (days, children) in [
        (1, [baby, teenager]),
        (9, [toddler, teenager]),
        // X03 needs a child under five, and there was one when it was told of.
        (15, [pupil, teenager]),
    ] {
        let as_at = told.plus(days);
        assert_eq!(memory.look(model, &with(&children, as_at), as_at), Decision::Nothing, "{days}");
    }
    // The baby's record turned out to be about somebody else.
    let as_at = told.plus(20);
    let decision = memory.look(model, &with(&[teenager], as_at), as_at);
    assert!(
        matches!(decision, Decision::Update(Why::Withdrawn) | Decision::Cancel(Why::Withdrawn)),
        "{decision:?}"
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]

    /// Whatever is corrected, withdrawn or disputed, and whenever it is looked at.
    #[test]
    fn no_open_alert_rests_on_a_fact_that_fell_away(
        name in proptest::sample::select(vec!["A", "B", "C"]),
        steps in proptest::collection::vec((1_i32..40, proptest::option::of(0_usize..40)), 1..30),
    ) {
        let model = Model::builtin();
        let (mut memory, mut events) = (Memory::default(), scenario(name));
        let mut as_at = day("2025-02-20");
        for (days, withdrawn) in steps {
            as_at = as_at.plus(days);
            if let Some(at) = withdrawn.filter(|at| *at < events.len()) {
                events.remove(at);
            }
            memory.look(model, &events, as_at);
            if let Some(told) = &memory.told {
                let then = Scoring::looking_back(model, &events, &told.basis, as_at);
                let lost = told.basis.has_lost(model, &then.scored, as_at);
                proptest::prop_assert!(!lost, "{name} on {as_at}");
            }
        }
    }
}

#[test]
fn dates_told_by_the_month_do_not_make_news_as_the_month_goes_on() {
    let model = Model::builtin();
    // As a node tells them: the 15th stands for a month, and the 1st as long as the 15th lies ahead.
    let told = |event: &Event, as_at: Day| {
        let first = event.start.first_of_month();
        let start = Some(first.plus(14)).filter(|middle| *middle <= as_at).unwrap_or(first);
        Event { start, ..event.clone() }
    };
    for name in ["A", "B", "C"] {
        let (mut memory, events) = (Memory::default(), scenario(name));
        let mut pushes = Vec::new();
        for days in 0..365 {
            let as_at = day("2025-01-01").plus(days);
            let happened = events.iter().filter(|event| event.start <= as_at);
            let events: Vec<Event> = happened.map(|event| told(event, as_at)).collect();
            match memory.look(model, &events, as_at) {
                Decision::New(why) | Decision::Update(why) => pushes.push((as_at.to_string(), why)),
                Decision::Cancel(why) => panic!("{name} is taken back on {as_at}: {why:?}"),
                Decision::Close | Decision::Nothing => {}
            }
        }
        assert!(!pushes.iter().any(|(_, why)| *why == Why::Withdrawn), "{name} {pushes:?}");
        assert!((1..=6).contains(&pushes.len()), "{name} {pushes:?}");
    }
}

#[test]
fn another_severe_thing_in_a_month_of_which_only_the_month_is_told_is_news() {
    let model = Model::builtin();
    // Told of on each day of a month, also on those that stand for one; the next thing happens later in it.
    for (told_on, next_on) in
        [(1, 9), (3, 4), (10, 12), (10, 20), (15, 16), (15, 28), (16, 20), (29, 30)]
    {
        let on = |dom: i32| day("2025-09-01").plus(dom - 1);
        let as_told = |events: &[Event], as_at: Day| -> Vec<Event> {
            let by_month = |event: &Event| {
                let first = event.start.first_of_month();
                let start = Some(first.plus(14)).filter(|middle| *middle <= as_at).unwrap_or(first);
                Event { start, ..event.clone() }
            };
            events.iter().filter(|event| event.start <= as_at).map(by_month).collect()
        };
        let (mut memory, mut events) = (Memory::default(), scenario("B"));
        events.retain(|event| event.start < on(1));
        events.push(event("FRS_DELIBERATE_FIRE", &on(1).to_string(), 900));
        memory.look(model, &as_told(&events, on(told_on)), on(told_on));
        memory.review_on(on(told_on), true);
        events.push(event("FRS_DELIBERATE_FIRE", &on(next_on).to_string(), 901));
        let mut news = Vec::new();
        for as_at in (told_on + 1..60).map(on) {
            if let Decision::Update(why) = memory.look(model, &as_told(&events, as_at), as_at) {
                news.push((as_at, why));
            }
        }
        let severe: Vec<_> = news.iter().filter(|(_, why)| *why == Why::Severe).collect();
        assert_eq!(severe, [&(on(next_on), Why::Severe)], "told of on {told_on}: {news:?}");
    }
}

#[test]
fn no_sentence_of_a_sweep_tells_a_day() {
    let model = Model::builtin();
    for name in ["A", "B", "C"] {
        let scored = Scoring::of(model, &scenario(name), day("2025-10-20"), |_| true).scored;
        let lines = scored.lines.iter().map(|line| &line.sentence);
        let rules = scored.rules.iter().map(|rule| &rule.sentence);
        for sentence in lines.chain(rules) {
            // A number before a month is a day; `10% of sessions` and `3 times` are none.
            let words: Vec<&str> = sentence.split(' ').collect();
            let is_month = |word: &str| {
                let first = day("2025-01-01");
                let mut months = (0..12).map(|month| first.plus(31 * month).month_in_words());
                word.len() > 2 && months.any(|month| month.starts_with(word.trim_end_matches(',')))
            };
            let days =
                words.windows(2).filter(|two| two[0].parse::<u8>().is_ok() && is_month(two[1]));
            assert_eq!(days.count(), 0, "{name}: {sentence}");
        }
        assert!(scored.lines.iter().any(|line| line.sentence.contains(" 2025 (")), "{name}");
    }
}
