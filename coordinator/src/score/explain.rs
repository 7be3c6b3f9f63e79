//! Plain words for lines and rules.
//!
//! Says what was reported, how often, when and by whom, and never that somebody did it or will. No
//! names: a line is about a household or a person whom only their own agency can name.

use causeway_proto::{
    catalogue::{SignalCode, SignalSpan},
    day::Day,
};

use super::{
    Line,
    event::{Event, owner},
    model::Model,
};

/// Writes the sentence of a line.
///
/// Only events inside the model's window are spoken of: what no longer counts is not held up to
/// anybody either.
pub(super) fn line(model: &Model, code: SignalCode, events: &[&Event], as_at: Day) -> String {
    let says = &model.signal(code).says;
    let by = owner(code).map_or("derived", |kind| kind.in_words());
    match when(code, &still_counted(model, events, as_at), as_at) {
        Some(when) => format!("{says}{when} ({by})"),
        None => format!("{says} ({by})"),
    }
}

/// Returns the events inside the model's window.
pub(super) fn still_counted<'a>(model: &Model, events: &[&'a Event], as_at: Day) -> Vec<&'a Event> {
    let counts = |event: &&&Event| event.faded_days(as_at) <= model.scale.window_days;
    events.iter().filter(counts).copied().collect()
}

/// Writes how often and when, from the space or comma on.
fn when(code: SignalCode, counted: &[&Event], as_at: Day) -> Option<String> {
    let first = counted.iter().map(|event| event.start).min()?;
    let latest = counted.iter().map(|event| event.start).max()?;

    let lasts = code.spec().span == SignalSpan::State;
    Some(match counted {
        [one] if lasts => match one.end.filter(|_| !one.is_open(as_at)) {
            Some(end) => {
                format!(" from {} to {}", before(first, end, Day::in_words), end.in_words())
            }
            None => format!(" since {}", first.in_words()),
        },
        [_] => format!(" on {}", first.in_words()),
        several => {
            let recorded = if lasts { ", recorded " } else { " " };
            let often = so_often(several.len());
            if first == latest {
                format!("{recorded}{often} on {}", first.in_words())
            } else {
                let first = before(first, latest, Day::in_words);
                let latest = latest.in_words();
                format!("{recorded}{often} since {first}, most recent {latest}")
            }
        }
    })
}

/// How exactly a day is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dates {
    /// The day, for replays and the operator.
    Days,
    /// The month, for alerts: more is for a conversation between colleagues.
    Months,
}

/// Fills in the placeholders of a rule's sentence, or of a question: `{signal}`, `{since}` and
/// `{when}`.
pub(crate) fn fill(
    model: &Model,
    template: &str,
    signal: Option<SignalCode>,
    since: Option<Day>,
    dates: Dates,
) -> String {
    let signal = signal.map_or("Reports", |code| &model.signal(code).says);
    let (since, when) = match (since, dates) {
        (None, _) => ("then".to_owned(), "before".to_owned()),
        (Some(day), Dates::Days) => (day.in_words(), format!("on {}", day.in_words())),
        (Some(day), Dates::Months) => {
            (day.month_in_words(), format!("in {}", day.month_in_words()))
        }
    };
    template.replace("{signal}", signal).replace("{since}", &since).replace("{when}", &when)
}

/// Writes the sentence of a line for an alert: how often, and the latest month. Of a state that is over, until
/// when it lasted.
pub(crate) fn line_by_month(model: &Model, line: &Line) -> String {
    let says = &model.signal(line.code).says;
    let (month, by) = (line.latest.month_in_words(), line.kind.in_words());
    match (line.code.spec().span, line.times) {
        (SignalSpan::State, 0..=1) => match line.ended.map(Day::first_of_month) {
            None => format!("{says}, since {month} ({by})"),
            Some(end) if end > line.latest => {
                let (from, to) =
                    (before(line.latest, end, Day::month_in_words), end.month_in_words());
                format!("{says} from {from} to {to} ({by})")
            }
            Some(_) => format!("{says} in {month} ({by})"),
        },
        (_, 0..=1) => format!("{says} in {month} ({by})"),
        (_, times) => format!("{says} {}, most recently in {month} ({by})", so_often(times)),
    }
}

fn so_often(times: usize) -> String {
    if times == 2 { "twice".to_owned() } else { format!("{times} times") }
}

/// Writes a day or month that stands before another in the same sentence: the year is said once.
fn before(day: Day, later: Day, in_words: fn(Day) -> String) -> String {
    let words = in_words(day);
    if day.ymd().0 == later.ymd().0 {
        words.rsplit_once(' ').map_or(words.clone(), |(without_year, _)| without_year.to_owned())
    } else {
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{
        fixture::{day, event},
        score,
    };

    fn sentence(events: &[Event]) -> String {
        let events: Vec<_> = events.iter().collect();
        line(Model::builtin(), events[0].code, &events, day("2025-08-01"))
    }

    #[test]
    fn events_are_told_by_how_often_and_when() {
        let asb = |start| event("POL_ASB_VICTIM", start, 1);
        assert_eq!(
            sentence(&[asb("2025-01-11"), asb("2025-02-02"), asb("2025-02-19")]),
            "Anti-social behaviour reported 3 times since 11 January, most recent \
             19 February 2025 (police)"
        );
        assert_eq!(
            sentence(&[asb("2024-12-30"), asb("2025-01-02")]),
            "Anti-social behaviour reported twice since 30 December 2024, most recent \
             2 January 2025 (police)"
        );
        assert_eq!(
            sentence(&[event("ASC_SUICIDAL_DISCLOSURE", "2025-02-24", 1)]),
            "Suicidal thoughts reported on 24 February 2025 (adult social care)"
        );
        assert_eq!(
            sentence(&[asb("2025-01-02"), asb("2025-01-02")]),
            "Anti-social behaviour reported twice on 2 January 2025 (police)"
        );
    }

    #[test]
    fn states_are_told_by_how_long() {
        let absence = event("EDU_PERSIST_ABS", "2025-03-31", 1);
        let over = Event { end: Some(day("2025-07-18")), ..absence.clone() };
        assert_eq!(
            sentence(std::slice::from_ref(&absence)),
            "Absence from 10% or more of school sessions since 31 March 2025 (schools)"
        );
        assert_eq!(
            sentence(std::slice::from_ref(&over)),
            "Absence from 10% or more of school sessions from 31 March to 18 July 2025 (schools)"
        );
        assert_eq!(
            sentence(&[over, event("EDU_PERSIST_ABS", "2025-05-01", 2)]),
            "Absence from 10% or more of school sessions, recorded twice since 31 March, most \
             recent 1 May 2025 (schools)"
        );
    }

    /// What an alert says of some events of one code.
    fn by_month(events: &[Event]) -> String {
        let model = Model::builtin();
        let scored = score(model, events, day("2025-08-01"), |_| true);
        line_by_month(model, &scored.lines[0])
    }

    #[test]
    fn a_state_that_is_over_is_not_told_as_one_that_lasts() {
        let absence = event("EDU_PERSIST_ABS", "2025-03-31", 1);
        let until = |end| [Event { end: Some(day(end)), ..absence.clone() }];
        let says = "Absence from 10% or more of school sessions";
        let lasts = format!("{says}, since March 2025 (schools)");
        assert_eq!(by_month(std::slice::from_ref(&absence)), lasts);
        assert_eq!(by_month(&until("2025-08-20")), lasts, "it is not over yet");
        let over = format!("{says} from March to July 2025 (schools)");
        assert_eq!(by_month(&until("2025-07-18")), over);
        assert_eq!(by_month(&until("2025-03-31")), format!("{says} in March 2025 (schools)"));
        let long = [Event { start: day("2024-12-10"), ..until("2025-07-01")[0].clone() }];
        let over = format!("{says} from December 2024 to July 2025 (schools)");
        assert_eq!(by_month(&long), over);
    }

    #[test]
    fn what_is_past_the_window_is_not_spoken_of() {
        let asb = |start, key| event("POL_ASB_VICTIM", start, key);
        let reports = [asb("2019-01-11", 1), asb("2025-02-02", 2)];
        assert_eq!(
            sentence(&reports),
            "Anti-social behaviour reported on 2 February 2025 (police)"
        );
        assert_eq!(by_month(&reports), "Anti-social behaviour reported in February 2025 (police)");
        // The one that began last ended long ago, and the other one lasts.
        let plan = event("CSC_CP_PLAN", "2021-01-11", 1);
        let over = event("CSC_CP_PLAN", "2022-01-11", 2);
        let over = Event { end: Some(day("2022-06-30")), ..over };
        assert_eq!(
            by_month(&[plan, over]),
            "A child protection plan, since January 2021 (children's social care)"
        );
    }

    #[test]
    fn no_sentence_says_more_than_is_known() {
        let model = Model::builtin();
        let said = (model.signals.values().map(|signal| &signal.says))
            .chain(model.rules.iter().flat_map(|rule| [&rule.sentence, &rule.question]))
            .chain(model.domains.values().filter_map(|domain| domain.question.as_ref()));
        for sentence in said {
            let lower = format!(" {} ", sentence.to_lowercase());
            for word in
                [" will ", "perpetrator", "problem family", "risk score", " red ", " amber "]
            {
                assert!(!lower.contains(word), "{sentence}");
            }
        }
    }
}
