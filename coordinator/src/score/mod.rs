//! One explained score for a household.
//!
//! A plain function of a household's events, a day and a model: no async, no database, no clock,
//! no environment. The household, each person and each agency alone go through the same function.
//! `vectors/` holds what the reference scorer says of 2,400 made-up households, and a second
//! implementation of the formulae, in Python, that 10,000 more are held against.
//!
//! ```text
//! model       every number and rule, as data         model/causeway-1.toml
//! event       which events count as at a day         weigh, rule: what they come to
//! explain     why, in plain words                    range: what a missing agency could change
//! surface     who may be looked at first             replay: the same over a CSV of the past
//! promises    what holds for every household, tried on made-up ones (random)
//! compare     two models beside each other: who would newly surface, and who would vanish
//! ```

pub mod compare;
mod event;
pub(crate) mod explain;
pub mod model;
pub mod promises;
pub mod random;
mod range;
pub mod replay;
mod rule;
pub mod surface;
mod tenths;
mod weigh;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod invariants;
#[cfg(test)]
mod oracle;

use std::{collections::BTreeMap, sync::Arc};

use causeway_proto::{
    alert::{Share, Tier},
    catalogue::{AgencyKind, SignalCode},
    day::Day,
};

pub use self::{
    event::Event,
    model::{Domain, Model},
    range::{ScoreRange, range},
    tenths::Tenths,
};
use self::{
    event::{Pool, owner},
    explain::Dates,
    model::Rule,
    rule::Facts,
    weigh::Weights,
};

/// A household's score as at a day, and everything that explains it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The version of the model.
    pub model: String,
    /// The day it speaks of.
    pub as_at: Day,
    /// From 0 to 100.
    pub score: Tenths,
    /// The sum of the lines, of the rules up to their cap, and of breadth: exactly.
    pub raw: Tenths,
    /// How high the score stands.
    pub tier: Tier,
    /// What each signal adds, most points first.
    pub lines: Vec<Line>,
    /// The rules that apply, in the order of the model.
    pub rules: Vec<FiredRule>,
    /// What the rules add together, after their cap.
    pub rule_points: u32,
    /// Points for harm that several agencies see.
    pub breadth: u32,
    /// The kinds of agency whose lines count for breadth.
    pub agencies: Vec<AgencyKind>,
    /// How many source events there are of each code, of any class and age.
    pub counts: BTreeMap<SignalCode, usize>,
    /// The score before rounding, for measurements.
    pub exact_score: f64,
    /// The raw points before rounding.
    pub exact_raw: f64,
}

/// What one signal adds.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Who owns the signal.
    pub kind: AgencyKind,
    /// The agencies that reported it, by name.
    pub reporters: Vec<Arc<str>>,
    /// What.
    pub code: SignalCode,
    /// Its kind of harm.
    pub domain: Domain,
    /// What it adds, after its domain's cap. Rounded so that lines add up: up to 0.1 away from
    /// `exact`.
    pub points: Tenths,
    /// What it adds before rounding.
    pub exact: f64,
    /// How much of the whole that is.
    pub share: Share,
    /// How many source events, of any age.
    pub count: usize,
    /// How many of them still count: people are told of no others.
    pub times: usize,
    /// When the latest that still counts happened or began.
    pub latest: Day,
    /// When the last of those that still count ended, where none lasts.
    pub ended: Option<Day>,
    /// In plain words.
    pub sentence: String,
}

/// A rule that applies.
#[derive(Clone, Debug, PartialEq)]
pub struct FiredRule {
    /// Such as `X01`.
    pub id: String,
    /// What it adds, before the cap on all rules.
    pub points: u32,
    /// How much of the whole that is.
    pub share: Share,
    /// In plain words.
    pub sentence: String,
    /// The signal it is about, for the rules that are about one.
    pub signal: Option<SignalCode>,
    /// The latest day on which something began that makes it apply.
    pub since: Option<Day>,
}

/// Scores a household as at a day.
///
/// Events that begin later are left out, and of several with one key one stays: see [`Event`].
/// `is_told` says whether all that is recorded under a code is told: while it is withheld, or a feed is not
/// fresh, a missing follow-up means nothing.
pub fn score(
    model: &Model,
    events: &[Event],
    as_at: Day,
    is_told: impl Fn(SignalCode) -> bool,
) -> Scored {
    let pool = Pool::new(model, events, as_at);
    let weights = Weights::of(model, &pool);
    let facts = exactly(model, &pool, &weights, &is_told);
    let sum = Sum::of(&facts);

    let mut scored = Scored {
        model: model.version.clone(),
        as_at,
        score: Tenths::round(sum.score),
        raw: Tenths::round(sum.raw),
        tier: model.tier(Tenths::round(sum.score)),
        lines: lines(&facts, events, sum.raw),
        rules: sum.rules.iter().map(|rule| fired(&facts, rule, sum.raw)).collect(),
        rule_points: sum.rule_points,
        breadth: sum.breadth,
        agencies: sum.agencies,
        counts: pool.codes().map(|code| (code, pool.of(code).len())).collect(),
        exact_score: sum.score,
        exact_raw: sum.raw,
    };
    let added = Tenths::whole(scored.rule_points + scored.breadth);
    add_up(&mut scored.lines, scored.raw - added);
    scored
}

/// Returns the score that each agency alone would give, for every kind of agency that owns a
/// signal.
pub fn alone(
    model: &Model,
    events: &[Event],
    as_at: Day,
    is_told: impl Fn(SignalCode) -> bool,
) -> BTreeMap<AgencyKind, Tenths> {
    let begun = events.iter().filter(|event| event.start <= as_at);
    let mut of_each: BTreeMap<AgencyKind, Vec<&Event>> = BTreeMap::new();
    for event in begun {
        if let Some(kind) = owner(event.code) {
            of_each.entry(kind).or_default().push(event);
        }
    }
    let only = |(kind, events)| (kind, just_the_score(model, events, as_at, &is_told));
    of_each.into_iter().map(only).collect()
}

/// Returns the score of each person on their own, by the caller's own numbering.
pub fn persons(
    model: &Model,
    events: &[Event],
    as_at: Day,
    is_told: impl Fn(SignalCode) -> bool,
) -> BTreeMap<u32, Tenths> {
    let mut of_each: BTreeMap<u32, Vec<&Event>> = BTreeMap::new();
    for event in events {
        of_each.entry(event.person).or_default().push(event);
    }
    let only = |(person, events)| (person, just_the_score(model, events, as_at, &is_told));
    of_each.into_iter().map(only).collect()
}

/// Returns the agency whose own signals score highest, the first in the contract's order of equals.
pub fn best_alone(alone: &BTreeMap<AgencyKind, Tenths>) -> Option<(AgencyKind, Tenths)> {
    alone.iter().rev().map(|(kind, score)| (*kind, *score)).max_by_key(|(_, score)| *score)
}

/// Returns how far joining lifts a score above the best of one agency.
pub fn uplift(joined: Tenths, alone: &BTreeMap<AgencyKind, Tenths>) -> Tenths {
    joined - best_alone(alone).map_or(Tenths::default(), |(_, score)| score)
}

/// What a household's facts come to.
struct Sum<'a> {
    rules: Vec<&'a Rule>,
    rule_points: u32,
    agencies: Vec<AgencyKind>,
    breadth: u32,
    raw: f64,
    score: f64,
}

impl<'a> Sum<'a> {
    fn of(facts: &Facts<'a>) -> Self {
        let (model, weights) = (facts.model, facts.weights);
        let applies = |rule: &&Rule| facts.judge(&rule.when).certain;
        let rules: Vec<_> = model.rules.iter().filter(applies).collect();
        let points: u32 = rules.iter().map(|rule| rule.points).sum();
        let rule_points = points.min(model.interactions.cap);
        let agencies = weights.agencies(model, |_| 0.0);
        let breadth = weigh::breadth(model, agencies.len());

        let harm = |domain: &Domain| weights.effect(model, *domain, 0.0);
        let harm: f64 = Domain::HARMS.iter().map(harm).sum();
        let raw = harm + f64::from(rule_points + breadth);
        Self { rules, rule_points, agencies, breadth, raw, score: weigh::on_scale(model, raw) }
    }
}

/// Takes what is known for all there is.
fn exactly<'a>(
    model: &'a Model,
    pool: &'a Pool<'a>,
    weights: &'a Weights,
    is_told: &'a dyn Fn(SignalCode) -> bool,
) -> Facts<'a> {
    Facts { model, pool, weights, is_told, may_have_more: &|_| false }
}

fn just_the_score<'a>(
    model: &Model,
    events: impl IntoIterator<Item = &'a Event>,
    as_at: Day,
    is_told: &dyn Fn(SignalCode) -> bool,
) -> Tenths {
    let pool = Pool::new(model, events, as_at);
    let weights = Weights::of(model, &pool);
    Tenths::round(Sum::of(&exactly(model, &pool, &weights, is_told)).score)
}

impl Scored {
    /// Returns what a rule rests on, or could, of the signals that there are.
    pub fn behind<'a>(
        &'a self,
        model: &'a Model,
        rule: &'a Rule,
    ) -> impl Iterator<Item = SignalCode> + 'a {
        let mentions = |code: &SignalCode| rule.when.mentions(*code, model.signal(*code).domain);
        self.counts.keys().copied().filter(mentions)
    }

    /// Tells only the month of everything. Of events that came from nodes, most days stand for a month,
    /// and nobody should take them for the day on which something happened.
    #[must_use]
    pub fn by_month(mut self, model: &Model) -> Self {
        for line in &mut self.lines {
            line.sentence = explain::line_by_month(model, line);
        }
        for fired in &mut self.rules {
            let Some(rule) = model.rule(&fired.id) else { continue };
            let (signal, since) = (fired.signal, fired.since);
            fired.sentence = explain::fill(model, &rule.sentence, signal, since, Dates::Months);
        }
        self
    }
}

/// Returns the lines, most points first, with their points still to be rounded.
fn lines(facts: &Facts<'_>, events: &[Event], raw: f64) -> Vec<Line> {
    let (model, as_at) = (facts.model, facts.pool.as_at);
    let line = |&(code, points): &(SignalCode, f64)| {
        let all = facts.pool.of(code);
        let counted = explain::still_counted(model, all, as_at);
        let lasts = counted.iter().any(|event| event.is_open(as_at));
        let exact = facts.weights.line(model, code, points, 0.0);
        let begun = events.iter().filter(|event| event.code == code && event.start <= as_at);
        let mut reporters: Vec<_> = begun.map(|event| event.agency.clone()).collect();
        reporters.sort();
        reporters.dedup();
        Some(Line {
            kind: owner(code)?,
            reporters,
            code,
            domain: model.signal(code).domain,
            points: Tenths::default(),
            exact,
            share: model.share(exact, raw),
            count: all.len(),
            times: counted.len(),
            latest: counted.last()?.start,
            ended: counted.iter().filter_map(|event| event.end).max().filter(|_| !lasts),
            sentence: explain::line(model, code, all, as_at),
        })
    };
    let mut lines: Vec<_> = facts.weights.signals.iter().filter_map(line).collect();
    lines.sort_by(|a, b| b.exact.total_cmp(&a.exact));
    lines
}

/// Rounds the lines' points so that they add up to `total`: all down, and then up again those that
/// lost most.
fn add_up(lines: &mut [Line], total: Tenths) {
    let lost = |line: &Line| line.exact - f64::from(line.points);
    for line in &mut *lines {
        line.points = Tenths::of((line.exact * 10.0).floor() as i32);
    }
    let given: i32 = lines.iter().map(|line| line.points.count()).sum();
    let short = usize::try_from(total.count() - given).unwrap_or(0);

    let mut by_loss: Vec<_> = lines.iter_mut().collect();
    by_loss.sort_by(|a, b| lost(b).total_cmp(&lost(a)));
    for line in by_loss.into_iter().take(short) {
        line.points = Tenths::of(line.points.count() + 1);
    }
}

fn fired(facts: &Facts<'_>, rule: &Rule, raw: f64) -> FiredRule {
    let (signal, since) = (facts.signal(&rule.when), facts.since(&rule.when));
    FiredRule {
        id: rule.id.clone(),
        points: rule.points,
        share: facts.model.share(f64::from(rule.points), raw),
        sentence: explain::fill(facts.model, &rule.sentence, signal, since, Dates::Days),
        signal,
        since,
    }
}
