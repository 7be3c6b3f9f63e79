//! The reference scorer's numbers, and this scorer's: `vectors/make.py` says where they come from.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
    thread,
};

use causeway_proto::{
    alert::Tier,
    catalogue::{AgencyKind, SignalClass, SignalCode, SignalSpan},
    day::Day,
};

use super::{
    Event, Model, Tenths, alone,
    fixture::{self, day},
    persons,
    random::{self, Households},
    range, replay, score,
};

/// Half a step of rounding, and a little for the last bit.
const TOLERANCE: f64 = 0.050_001;

fn close(ours: impl Into<f64>, theirs: f64) -> bool {
    (ours.into() - theirs).abs() <= TOLERANCE
}

#[test]
fn random_households_score_as_the_reference_says() {
    let model = Model::builtin();
    let file = include_bytes!("vectors/households.csv").as_slice();
    let households: BTreeMap<String, Vec<Event>> =
        replay::read(file).unwrap().into_iter().map(|h| (h.name, h.events)).collect();

    let mut scores = csv::Reader::from_reader(include_bytes!("vectors/scores.csv").as_slice());
    let mut checked = 0;
    for row in scores.records().map(Result::unwrap) {
        let [name, as_at, total, raw, rules, breadth, each_alone, lines] =
            std::array::from_fn(|at| row.get(at).unwrap());
        let (events, as_at) = (&households[name], day(as_at));
        let scored = score(model, events, as_at, |_| true);

        let number = |text: &str| text.parse::<f64>().unwrap();
        assert!((scored.exact_score - number(total)).abs() < 1e-5, "score of {name}");
        assert!((scored.exact_raw - number(raw)).abs() < 1e-5, "raw of {name}");
        assert!(close(scored.score, number(total)) && close(scored.raw, number(raw)), "{name}");
        let fired: Vec<_> = scored.rules.iter().map(|rule| rule.id.as_str()).collect();
        assert_eq!(fired.join(" "), rules, "rules of {name}");
        assert_eq!(f64::from(scored.breadth), number(breadth), "breadth of {name}");

        let ours = alone(model, events, as_at, |_| true);
        let theirs = pairs(each_alone);
        assert_eq!(ours.len(), theirs.len(), "agencies of {name}");
        for (kind, score) in &ours {
            assert!(close(*score, number(theirs[kind.as_str()])), "{kind} of {name}");
        }

        let theirs = pairs(lines);
        assert_eq!(scored.lines.len(), theirs.len(), "lines of {name}");
        for line in &scored.lines {
            let (points, count) = theirs[line.code.as_str()].split_once('/').unwrap();
            assert!((line.exact - number(points)).abs() < 1e-5, "{} of {name}", line.code);
            assert!((f64::from(line.points) - line.exact).abs() < 0.1, "{} of {name}", line.code);
            assert_eq!(line.count.to_string(), count, "{} of {name}", line.code);
        }
        checked += 1;
    }
    assert_eq!(checked, 2400);
}

/// Random dates, codes that are withheld and agencies that are missing, scored a second time by an
/// implementation in Python that shares nothing with this one but the model's numbers.
#[test]
fn ten_thousand_random_households_score_as_a_second_implementation_says() {
    const HOUSEHOLDS: usize = 10_000;
    let (model, first) = (Model::builtin(), day("2024-03-01"));
    let mut made = Households::new(model, 20_251_125);
    let mut file = "household,person,agency,code,start,end,event_ref,confidence,as_at\n".to_owned();
    let mut ours = BTreeMap::new();
    for number in 0..HOUSEHOLDS {
        let as_at = first.plus(made.days(1000));
        let events = made.another(as_at);
        let name = number.to_string();
        for row in random::rows(&name, &events).lines() {
            file += &format!("{row},{as_at}\n");
        }
        if !events.is_empty() {
            ours.insert(name, score(model, &events, as_at, |_| true).score);
        }
    }

    let folder = tempfile::tempdir().unwrap();
    let catalogue = folder.path().join("catalogue.csv");
    fs::write(&catalogue, catalogue_csv()).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut python = Command::new("python3")
        .arg(here.join("src/score/vectors/reference.py"))
        .args([&here.join("model/causeway-1.toml"), &catalogue])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("these tests need Python: `tests/all` installs it");
    let mut input = python.stdin.take().unwrap();
    let writing = thread::spawn(move || input.write_all(file.as_bytes()));
    let output = python.wait_with_output().unwrap();
    writing.join().unwrap().unwrap();
    assert!(output.status.success());

    let mut checked = 0;
    for row in csv::Reader::from_reader(output.stdout.as_slice()).records().map(Result::unwrap) {
        let (ours, theirs) = (ours[&row[0]], row[1].parse::<f64>().unwrap());
        assert!((f64::from(ours) - theirs).abs() <= 0.1, "household {}: {ours}, {theirs}", &row[0]);
        checked += 1;
    }
    assert_eq!(checked, ours.len());
    assert!(checked > HOUSEHOLDS * 9 / 10, "{checked}");
    let spread = |tier| ours.values().filter(|score| model.tier(**score) == tier).count();
    for tier in [Tier::T0, Tier::T1, Tier::T2, Tier::T3, Tier::T4] {
        assert!(spread(tier) > 50, "hardly any household is {tier}: {}", spread(tier));
    }
}

fn catalogue_csv() -> String {
    let mut text = "code,class,span,owner\n".to_owned();
    for code in SignalCode::all() {
        let class = match code.spec().class {
            SignalClass::Harm => "harm",
            SignalClass::Context => "context",
            SignalClass::Protective => "protective",
        };
        let span = match code.spec().span {
            SignalSpan::State => "state",
            SignalSpan::Event => "event",
        };
        let owner = code.spec().owner.map_or("derived", AgencyKind::as_str);
        text += &format!("{code},{class},{span},{owner}\n");
    }
    text
}

/// Splits `police=28.4 housing=10`.
fn pairs(text: &str) -> BTreeMap<&str, &str> {
    text.split_whitespace().map(|pair| pair.split_once('=').unwrap()).collect()
}

/// What is written between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).unwrap().1;
    rest.split_once(to).map_or(rest, |(inside, _)| inside)
}

/// The quoted words and numbers of a list or dictionary as Python prints it.
fn items(text: &str) -> Vec<&str> {
    let split = text.split(['\'', ',', ':', '(', ')', '[', ']', '{', '}', ' ']);
    split.filter(|item| !item.is_empty()).collect()
}

/// Reads `expected.txt` as the reference printed it and holds every number against ours.
#[test]
fn the_published_scenarios_score_as_published() {
    let model = Model::builtin();
    let (mut events, mut as_at) = (Vec::new(), day("2025-01-01"));
    let (mut moments, mut lines, mut people) = (0, 0, 0);
    for text in include_str!("vectors/expected.txt").lines() {
        let number = |text: &str| text.parse::<f64>().unwrap();
        if let Some(name) = text.strip_prefix("== ") {
            events = fixture::scenario(name);
        } else if text.contains(" JOINED ") {
            as_at = day(&text[..10]);
            assert_moment(model, &events, as_at, text);
            moments += 1;
        } else if text.starts_with("    (") {
            let [agency, code, points, count] = items(text)[..] else { panic!("{text}") };
            let scored = score(model, &events, as_at, |_| true);
            let line = scored.lines.iter().find(|line| line.code.as_str() == code).unwrap();
            assert_eq!((line.kind.as_str(), line.count.to_string().as_str()), (agency, count));
            assert_eq!(Tenths::round(line.exact), Tenths::round(number(points)), "{text}");
            lines += 1;
        } else if let Some(person) = text.strip_prefix("  person ") {
            let [name, score, tier] = items(person)[..] else { panic!("{text}") };
            // A's people are scored on the day that the household surfaces, not on the last day.
            let as_at = if ["carol", "rosie", "kieran"].contains(&name) {
                day("2025-02-25")
            } else {
                as_at
            };
            let ours = person_score(model, name, as_at);
            assert_eq!(ours, Tenths::round(number(score)), "{text}");
            assert_eq!(model.tier(ours).as_str(), tier);
            people += 1;
        }
    }
    assert_eq!((moments, lines, people), (23, 27, 9));
}

fn assert_moment(model: &Model, events: &[Event], as_at: Day, text: &str) {
    let scored = score(model, events, as_at, |_| true);
    let joined = items(between(text, "JOINED ", " |"));
    let [total, tier, _, raw] = joined[..] else { panic!("{text}") };
    assert_eq!((scored.score.to_string().as_str(), scored.tier.as_str()), (total, tier), "{text}");
    assert_eq!(scored.raw.to_string(), raw, "{text}");

    let ours: BTreeMap<_, _> = alone(model, events, as_at, |_| true)
        .into_iter()
        .map(|(kind, score)| (kind.as_str(), (score.to_string(), model.tier(score))))
        .collect();
    let theirs = items(between(text, "alone ", " |"));
    let theirs: BTreeMap<_, _> = (theirs.chunks(3))
        .map(|three| (three[0], (three[1].to_owned(), three[2].parse::<Tier>().unwrap())))
        .collect();
    assert_eq!(ours, theirs, "{text}");

    let fired: Vec<_> = scored.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(fired, items(between(text, "X [", "]")), "{text}");
    let breadth = items(between(text, "breadth ", "\n"));
    assert_eq!(Tenths::whole(scored.breadth).to_string(), breadth[0], "{text}");
    let mut agencies: Vec<_> = scored.agencies.iter().map(|kind| kind.as_str()).collect();
    agencies.sort_unstable();
    assert_eq!(agencies, breadth[1..], "{text}");
}

fn person_score(model: &Model, name: &str, as_at: Day) -> Tenths {
    let file = include_bytes!("vectors/scenarios.csv").as_slice();
    let households = replay::read(file).unwrap();
    let with = |h: &&replay::Household| h.persons.iter().any(|person| person == name);
    let household = households.iter().find(with).unwrap();
    let id = household.persons.iter().position(|person| person == name).unwrap();
    persons(model, &household.events, as_at, |_| true)[&u32::try_from(id).unwrap()]
}

#[test]
fn larkrise_surfaces_with_records_unlinked_or_withheld() {
    let joined = |keep: &dyn Fn(&Event) -> bool| {
        let events: Vec<_> = fixture::scenario("A").into_iter().filter(|e| keep(e)).collect();
        score(Model::builtin(), &events, day("2025-02-25"), |_| true).score.to_string()
    };
    // The police's second nominal holds the incident of 19 February, among others.
    let second_nominal = ["2025-02-02", "2025-04-26", "2025-06-02", "2025-08-30"].map(day);
    let is_police = |e: &Event| e.code.as_str() == "POL_ASB_VICTIM";
    assert_eq!(joined(&|e| !is_police(e) || !second_nominal.contains(&e.start)), "68.6");
    assert_eq!(joined(&|e| e.code.as_str() != "HOU_ASB_COMPLAINANT"), "69.6");
    assert_eq!(joined(&|e| !["NHS_LD_REGISTER", "EDU_EHCP"].contains(&e.code.as_str())), "65.5");
}

#[test]
fn a_deaf_woman_with_equipment_scores_nothing() {
    let scored = score(Model::builtin(), &fixture::scenario("D_DEAF"), day("2025-06-01"), |_| true);
    assert_eq!((scored.score, scored.raw), (Tenths::whole(0), Tenths::whole(0)));
    assert!(scored.lines.is_empty() && scored.rules.is_empty());
}

#[test]
fn everything_about_money_and_home_and_context_at_once_stays_t1() {
    let model = Model::builtin();
    let excluded = &model.breadth.excluded_domains;
    let counts = |code: &SignalCode| {
        let is_context = code.spec().class == SignalClass::Context;
        is_context || excluded.contains(&model.signal(*code).domain)
    };
    let mut events = Vec::new();
    for code in SignalCode::all().filter(counts) {
        for _ in 0..50 {
            events.push(fixture::event(code.as_str(), "2025-01-01", events.len() as u128));
        }
    }
    let scored = score(model, &events, day("2025-01-02"), |_| true);
    assert_eq!((scored.score.to_string().as_str(), scored.tier), ("31.9", Tier::T1));
    assert!(scored.rules.is_empty());
}

#[test]
fn no_single_signal_surfaces_anybody() {
    for (code, expected) in [
        ("POL_DA_HIGH", "27.7"),
        ("CSC_CP_PLAN", "33.8"),
        ("ASC_SUICIDAL_DISCLOSURE", "25.1"),
        ("POL_EXPLOIT_CONCERN", "25.5"),
        ("CSC_S47", "28.8"),
    ] {
        let events = [fixture::event(code, "2025-01-01", 1)];
        let scored = score(Model::builtin(), &events, day("2025-01-01"), |_| true);
        assert_eq!(scored.score.to_string(), expected, "{code}");
    }
}

#[test]
fn silence_of_a_stale_feed_is_no_missing_follow_up() {
    let events = fixture::scenario("A");
    let at = |stale: Option<AgencyKind>| {
        let scored = score(Model::builtin(), &events, day("2025-03-12"), |code| {
            stale.is_none() || code.spec().owner != stale
        });
        scored.rules.iter().any(|rule| rule.id == "X14")
    };
    assert!(at(None));
    assert!(at(Some(AgencyKind::Police)));
    assert!(!at(Some(AgencyKind::AdultSocialCare)));
}

#[test]
fn silence_of_a_policy_is_no_missing_follow_up() {
    let events = fixture::scenario("A");
    let at = |withheld: &str| {
        let is_told = |code: SignalCode| code.as_str() != withheld;
        let scored = score(Model::builtin(), &events, day("2025-03-12"), is_told);
        scored.rules.iter().any(|rule| rule.id == "X14")
    };
    assert!(at("ASC_CARE_REFUSED"));
    assert!(!at("ASC_FOLLOWED_UP"));
}

#[test]
fn larkrise_without_adult_care_says_how_far_it_could_reach() {
    let events = fixture::scenario("A");
    let scores =
        range(Model::builtin(), &events, day("2025-02-25"), &[AgencyKind::AdultSocialCare], |_| {
            true
        });
    assert!(scores.lo < Tenths::whole(65), "{scores:?}");
    assert!(scores.hi > Tenths::whole(80), "{scores:?}");
}
