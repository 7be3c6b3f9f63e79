//! Which few households are told of, and what makes one news again.
//!
//! [`consider`] judges one household: what its facts come to now, against what was last told of it and
//! what reviewers said. [`choose`] gives the places of a week to those that weigh most. What is below
//! the line leaves no trace. Memory is the caller's: everything here is a function of its arguments.
//!
//! DOMAIN.md 3.4 and 7.3; every number is in the model's `[surfacing]`.

mod ages;
mod capacity;
mod severe;

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::{
    catalogue::{AgencyKind, SignalCode},
    day::Day,
};
use serde::{Deserialize, Serialize};

pub use self::{
    ages::Ages,
    capacity::{Candidate, Capacity, choose},
    severe::{Severe, SevereThings},
};
use crate::score::{Event, Model, Scored, Tenths, model::Rule, surface::eligible_from};

/// A household's score and what each agency alone would give, as at one day.
#[derive(Clone, Debug, PartialEq)]
pub struct Scoring {
    /// The joined score.
    pub scored: Scored,
    /// What each agency alone would give.
    pub alone: BTreeMap<AgencyKind, Tenths>,
    /// What severe signals there are.
    pub severe: Severe,
}

impl Scoring {
    /// Scores a household's events as at a day. Its sentences tell months, as alerts do.
    pub fn of(
        model: &Model,
        events: &[Event],
        as_at: Day,
        is_told: impl Fn(SignalCode) -> bool,
    ) -> Self {
        Self {
            scored: crate::score::score(model, events, as_at, &is_told).by_month(model),
            alone: crate::score::alone(model, events, as_at, &is_told),
            severe: Severe::of(model, events, as_at),
        }
    }

    /// Scores today's facts as at the day of what was told, for [`consider`] to see what fell away.
    ///
    /// An age band says how old a child is today, from today on: whoever is a child today was one
    /// then, or younger. So that a birthday takes nothing back, a child may have been in the band
    /// below, unless there are fewer children than were told of.
    pub fn looking_back(model: &Model, events: &[Event], told: &Basis, today: Day) -> Self {
        let then = |younger: bool| {
            let as_told = |event: &Event| match event.code.spec().owner {
                Some(_) => {
                    Event { start: month_under_way(event.start, told.as_at), ..event.clone() }
                }
                None => Event {
                    start: event.start.min(told.as_at),
                    code: if younger { band_below(event.code) } else { event.code },
                    ..event.clone()
                },
            };
            let events: Vec<Event> = events.iter().map(as_told).collect();
            Self::of(model, &events, told.as_at, |_| true)
        };
        let lost = |then: &Self| told.has_lost(model, &then.scored, today);
        let same = then(false);
        if !lost(&same) || children(&same.scored) < told.children {
            return same;
        }
        let younger = then(true);
        if lost(&younger) { same } else { younger }
    }

    fn may_surface(&self, model: &Model, floor: Tenths) -> bool {
        eligible_from(model, &self.scored, &self.alone, true, floor).is_ok()
    }
}

/// Returns when something began as it was told on an earlier day, where only the month is told: the 15th
/// stands for it, and the 1st did as long as the 15th lay ahead.
fn month_under_way(start: Day, told_on: Day) -> Day {
    let (first, middle) = (told_on.first_of_month(), told_on.first_of_month().plus(14));
    if start == middle && told_on < middle { first } else { start }
}

/// Returns the band that a child was in before the one that it is in.
fn band_below(band: SignalCode) -> SignalCode {
    match band {
        SignalCode::CHILD_U18 => SignalCode::CHILD_U5,
        _ => SignalCode::CHILD_U1,
    }
}

/// Returns how many records say that somebody is a child.
fn children(scored: &Scored) -> usize {
    let bands = scored.counts.iter().filter(|(code, _)| code.spec().owner.is_none());
    bands.map(|(_, count)| count).sum()
}

/// What was last told of a household, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The day that it speaks of.
    pub day: Day,
    /// The highest score that was told.
    pub score: Tenths,
    /// Every rule that was told.
    pub rules: BTreeSet<String>,
    /// The severe signals that there were.
    pub severe: Severe,
    /// What the latest revision rests on.
    pub basis: Basis,
    /// Agencies that were away when facts they had been told of were withdrawn, and are still to hear so.
    #[serde(default)]
    pub unheard: BTreeSet<String>,
    /// Agencies that were away when the others were told.
    #[serde(default)]
    pub away: BTreeSet<String>,
    /// The latest review, if there was any.
    #[serde(skip)]
    pub review: Option<Reviewed>,
}

impl Told {
    /// Adds a later revision: the highest score and every rule count.
    pub fn and(self, later: Self) -> Self {
        let rules = self.rules.union(&later.rules).cloned().collect();
        Self { score: self.score.max(later.score), rules, ..later }
    }
}

/// What a revision rests on: no event, and nothing that joins to a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Basis {
    /// The day that the revision speaks of.
    pub as_at: Day,
    /// The model that scored it.
    pub model: String,
    /// By code of a line: how many events.
    pub counts: BTreeMap<SignalCode, usize>,
    /// The rules that applied.
    pub rules: BTreeSet<String>,
    /// How many records said that somebody is a child.
    #[serde(default)]
    pub children: usize,
    /// When what it rests on grows too old to be told.
    #[serde(default)]
    pub ages: Ages,
}

impl Basis {
    /// Returns what a score rests on, and until when that is told.
    pub fn of(scored: &Scored, ages: Ages) -> Self {
        Self {
            ages,
            as_at: scored.as_at,
            model: scored.model.clone(),
            counts: scored.lines.iter().map(|line| (line.code, line.count)).collect(),
            rules: scored.rules.iter().map(|rule| rule.id.clone()).collect(),
            children: children(scored),
        }
    }

    /// Returns what of it rests on other kinds of agency alone: what these say, and no rule.
    #[must_use]
    pub fn without(&self, kinds: &BTreeSet<AgencyKind>) -> Self {
        let is_theirs =
            |code: &SignalCode| code.spec().owner.is_some_and(|kind| kinds.contains(&kind));
        let mut basis = Self { rules: BTreeSet::new(), children: 0, ..self.clone() };
        basis.counts.retain(|code, _| !is_theirs(code));
        basis
    }

    /// Returns whether some of it is not among the facts any more, and has not just grown too old to be
    /// told of by `today`.
    fn has_lost(&self, model: &Model, then: &Scored, today: Day) -> bool {
        let old = |code: SignalCode| self.ages.grown_old(code, today);
        let fewer = |(code, count): (&SignalCode, &usize)| {
            then.counts.get(code).copied().unwrap_or(0) + old(*code) < *count
        };
        let ends_with_age = |id: &String| {
            let mut gone = self.ages.codes().filter(|code| old(*code) > 0);
            let domain = |code| model.signal(code).domain;
            let ends = |rule: &Rule| gone.any(|code| rule.when.may_end_without(code, domain(code)));
            model.rule(id).is_some_and(ends)
        };
        let applies = |id: &String| then.rules.iter().any(|rule| rule.id == *id);
        // Another model has other rules, and that withdraws no fact.
        let other_model = self.model != then.model;
        let ended = |id: &String| !applies(id) && !ends_with_age(id);
        self.counts.iter().any(fewer) || (!other_model && self.rules.iter().any(ended))
    }

    /// Returns whether so much of it has grown too old by a day that several agencies see no harm any
    /// more, and nobody is asked about the household.
    pub fn has_grown_old(&self, model: &Model, today: Day) -> bool {
        let old = |code: SignalCode| self.ages.grown_old(code, today);
        let left = self.counts.iter().filter(|(code, count)| **count > old(**code));
        let kinds: BTreeSet<_> = left.filter_map(|(code, _)| code.spec().owner).collect();
        self.counts.keys().any(|code| old(*code) > 0) && kinds.len() < model.surfacing.min_agencies
    }
}

/// What a professional made of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reviewed {
    /// When.
    pub day: Day,
    /// The score that was looked at.
    pub score: Tenths,
    /// Whether nothing had to be done.
    pub no_action: bool,
}

/// Why somebody is told, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// The score reached the one at which households surface.
    Entered,
    /// The week had places left, and T2 may fill them.
    Filled,
    /// The score rose.
    Rose,
    /// Another rule applies.
    NewRule,
    /// Something severe happened.
    Severe,
    /// Facts that were told of were withdrawn, corrected or disputed.
    Withdrawn,
    /// Nothing is left of what was told.
    Gone,
    /// Nobody has answered.
    Unanswered,
    /// An agency with a duty is back.
    WasAway,
}

impl Why {
    /// Returns the word for it, as the ledger and results write it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Entered => "entered",
            Self::Filled => "filled",
            Self::Rose => "rose",
            Self::NewRule => "new_rule",
            Self::Severe => "severe",
            Self::Withdrawn => "withdrawn",
            Self::Gone => "gone",
            Self::Unanswered => "unanswered",
            Self::WasAway => "was_away",
        }
    }

    /// Says it to people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::Entered => "the score reached the one at which households surface",
            Self::Filled => "the week had places left",
            Self::Rose => "the score rose",
            Self::NewRule => "another rule applies",
            Self::Severe => "something severe happened",
            Self::Withdrawn => "facts that were told of were withdrawn, corrected or disputed",
            Self::Gone => "nothing is left of what was told",
            Self::Unanswered => "nobody has answered",
            Self::WasAway => "an agency with a duty was away when the others were told",
        }
    }
}

/// What becomes of one household.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be told of for the first time, where there is a place.
    New(Why),
    /// It may be told of again.
    Update(Why),
    /// What was told is taken back.
    Cancel(Why),
    /// It has faded: it is quietly forgotten, and would be new again.
    Close,
    /// Nothing is told.
    Nothing,
}

impl Decision {
    /// Returns whether it needs one of the week's places. Taking something back never does.
    fn needs_a_place(self) -> bool {
        match self {
            Self::New(_) => true,
            Self::Update(why) => why != Why::Withdrawn,
            Self::Cancel(_) | Self::Close | Self::Nothing => false,
        }
    }
}

/// Judges one household. `then` is what [`Scoring::looking_back`] makes of today's facts; without it
/// nothing is taken back.
pub fn consider(
    model: &Model,
    told: Option<&Told>,
    now: &Scoring,
    then: Option<&Scoring>,
) -> Decision {
    let limits = &model.surfacing;
    let (enter, t2) = (Tenths::whole(limits.enter), Tenths::whole(model.tiers.t2));
    let Some(told) = told else {
        return match () {
            () if now.may_surface(model, enter) => Decision::New(Why::Entered),
            () if limits.fill_with_t2 && now.may_surface(model, t2) => Decision::New(Why::Filled),
            () => Decision::Nothing,
        };
    };
    let as_at = now.scored.as_at;
    let days = as_at.since(told.day);
    // A look back in time knows less than what was told, and takes nothing back.
    if days < 0 {
        return Decision::Nothing;
    }
    // Who was told of in T2 stays there; who was told of above has left when it is well below.
    let (floor, leave) = match told.score < enter {
        true => (t2, told.score - Tenths::whole(limits.enter - limits.leave)),
        false => (enter, Tenths::whole(limits.leave)),
    };
    let lost = |then: &&Scoring| {
        then.scored.as_at <= as_at && told.basis.has_lost(model, &then.scored, as_at)
    };
    if let Some(then) = then.filter(lost) {
        // What came since may hold it up: to take it back would be to tell of it anew the next time.
        let would_be_new = || matches!(consider(model, None, now, None), Decision::New(_));
        return match then.may_surface(model, leave) || would_be_new() {
            true => Decision::Update(Why::Withdrawn),
            false => Decision::Cancel(Why::Withdrawn),
        };
    }
    if now.scored.score < leave && days > limits.quiet_days {
        return Decision::Close;
    }
    if !now.may_surface(model, floor) {
        return Decision::Nothing;
    }
    match news(model, told, now) {
        Some(why) => Decision::Update(why),
        None => Decision::Nothing,
    }
}

/// What breaks the quiet after a household was told of or reviewed, if anything does.
fn news(model: &Model, told: &Told, now: &Scoring) -> Option<Why> {
    let limits = &model.surfacing;
    let as_at = now.scored.as_at;
    // Harm of a kind that nobody has seen is told whatever was said before.
    let severe = now.severe.has_more_than(told, as_at);
    let (mut since, mut score) = (told.day, told.score);
    if let Some(review) = told.review {
        if review.no_action && as_at.since(review.day) < limits.quiet_days {
            return severe.then_some(Why::Severe);
        }
        (since, score) = (since.max(review.day), score.max(review.score));
    }
    // More of the day on which it was told is the same change.
    let days = as_at.since(told.day);
    if days > 0 && now.scored.score >= score + Tenths::whole(limits.rise) {
        return Some(Why::Rose);
    }
    let mut new = now.scored.rules.iter().map(|rule| &rule.id);
    let new = new.any(|id| !limits.new_rule_except.contains(id) && !told.rules.contains(id));
    match () {
        () if severe => Some(Why::Severe),
        () if new && as_at.since(since) >= limits.new_rule_after_days => Some(Why::NewRule),
        () => None,
    }
}

/// Returns how long the oldest change has waited that nobody was told of or has looked at.
pub fn waiting_days(told: Option<&Told>, scored: &Scored) -> i32 {
    let seen = told.map(|told| told.review.map_or(told.day, |review| told.day.max(review.day)));
    let unseen = scored.lines.iter().map(|line| line.latest);
    let oldest = unseen.filter(|latest| seen.is_none_or(|seen| *latest > seen)).min();
    oldest.map_or(0, |oldest| scored.as_at.since(oldest))
}

/// Returns whether an open alert that nobody answered is due for a reminder.
pub fn is_unanswered(model: &Model, told: &Told, as_at: Day) -> bool {
    told.review.is_none() && as_at.since(told.day) >= model.surfacing.unanswered_days
}

#[cfg(test)]
mod tests;
