//! Who hears about a household: agencies with a duty of care that hold a record of it.
//!
//! The model says which kinds of agency have a duty where a rule applies, where a kind of harm
//! shows and where a signal was recorded. Whoever has none gets nothing. Exactly one is asked to
//! lead. What a recipient may then be told is for the signals' own policies to say.

pub mod surfacing;

use std::{collections::BTreeMap, sync::Arc};

use causeway_proto::{
    alert::Duty,
    catalogue::{AgencyKind, SignalCode},
    day::Day,
};

use crate::score::{
    Scored, Tenths,
    explain::{self, Dates},
    model::{Domain, Model},
};

/// Who is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Routing {
    /// The one asked to lead first, then by how much their duty rests on. Empty when nobody with
    /// a duty holds a record.
    pub recipients: Vec<Recipient>,
    /// The kind of agency that should lead and holds no record here. Whoever leads in its place
    /// may want to pass the alert on.
    pub absent_lead: Option<AgencyKind>,
}

/// One agency that is told.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipient {
    /// Which, by the name that came in.
    pub agency: Arc<str>,
    /// What it is for.
    pub kind: AgencyKind,
    /// Whether it is asked to lead.
    pub duty: Duty,
    /// Why it is told, the most pressing first.
    pub reasons: Vec<Reason>,
    /// What to ask where none of the reasons suggests anything that may be said.
    pub question: String,
}

/// Says nothing of what is known.
const OPEN_QUESTION: &str = "Who else is involved here, and have you spoken with them?";

/// One reason for telling a kind of agency.
#[derive(Clone, Debug, PartialEq)]
pub struct Reason {
    /// Where the duty comes from.
    pub why: Why,
    /// Whether this reason by itself would have the agency lead.
    pub duty: Duty,
    /// What it adds to the score.
    pub points: Tenths,
    /// In plain words.
    pub words: String,
    /// What it suggests asking, if anything.
    pub question: Option<String>,
    /// The signals behind it: whoever is told of the reason is told of these.
    pub rests_on: Vec<SignalCode>,
}

/// Where a duty comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// A rule of the model applies.
    Rule(String),
    /// A kind of harm shows.
    Domain(Domain),
    /// This very signal was recorded.
    Signal(SignalCode),
}

/// Finds the recipients among the agencies that hold a record in the household.
///
/// The kind of agency whose leading reasons weigh most is asked to lead: by the points of rules
/// first, since what shows only when records are joined is what the alert is about, then by the
/// points of kinds of harm. Of several agencies of that kind, the one whose reports weigh most is
/// asked and the others are informed. Where none of them holds a record, the agency with the next
/// strongest duty leads, and the result says who should have.
pub fn route(model: &Model, scored: &Scored, holders: &[(Arc<str>, AgencyKind)]) -> Routing {
    let claims = claims(model, scored);
    let strength = |kind: &AgencyKind| claims.get(kind).map(|reasons| Strength::of(reasons));
    let leads = |kind: &&AgencyKind| strength(kind).is_some_and(|strength| strength.leads());
    let Some(wanted) = claims.keys().filter(leads).max_by_key(|kind| strength(kind)) else {
        return Routing::default();
    };

    let mut told: Vec<_> = holders.iter().filter(|(_, kind)| claims.contains_key(kind)).collect();
    told.sort_by_cached_key(|(agency, kind)| {
        let is_wanted = kind == wanted;
        let weight = (is_wanted, strength(kind), reported(scored, agency, *kind));
        (std::cmp::Reverse(weight), agency.clone())
    });
    told.dedup();

    let recipient = |(at, (agency, kind)): (usize, &(Arc<str>, AgencyKind))| {
        let reasons = claims[kind].clone();
        Recipient {
            agency: agency.clone(),
            kind: *kind,
            duty: if at == 0 { Duty::Lead } else { Duty::Inform },
            question: OPEN_QUESTION.to_owned(),
            reasons,
        }
    };
    let absent_lead = told.first().is_some_and(|(_, kind)| kind != wanted).then_some(*wanted);
    Routing { recipients: told.into_iter().enumerate().map(recipient).collect(), absent_lead }
}

/// What a duty rests on, in the order in which it counts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Strength {
    leading_rules: i32,
    leading_domains: i32,
    informed: i32,
}

impl Strength {
    fn of(reasons: &[Reason]) -> Self {
        let sum = |counts: &dyn Fn(&Reason) -> bool| {
            reasons.iter().filter(|r| counts(r)).map(|r| r.points.count()).sum()
        };
        let is_rule = |reason: &Reason| matches!(reason.why, Why::Rule(_));
        Self {
            leading_rules: sum(&|r| r.duty == Duty::Lead && is_rule(r)),
            leading_domains: sum(&|r| r.duty == Duty::Lead && !is_rule(r)),
            informed: sum(&|r| r.duty == Duty::Inform),
        }
    }

    fn leads(self) -> bool {
        self.leading_rules > 0 || self.leading_domains > 0
    }
}

/// Collects every reason for telling each kind of agency, the most pressing first.
fn claims(model: &Model, scored: &Scored) -> BTreeMap<AgencyKind, Vec<Reason>> {
    let mut claims: BTreeMap<AgencyKind, Vec<Reason>> = BTreeMap::new();
    let mut claim = |lead: Option<AgencyKind>, inform: &[AgencyKind], reason: Reason| {
        let leading = lead.map(|kind| (kind, Duty::Lead));
        let informed = inform.iter().map(|kind| (*kind, Duty::Inform));
        for (kind, duty) in leading.into_iter().chain(informed) {
            claims.entry(kind).or_default().push(Reason { duty, ..reason.clone() });
        }
    };

    let ask = |question: &str, signal, since| {
        explain::fill(model, question, signal, since, Dates::Months)
    };
    for fired in &scored.rules {
        let Some(rule) = model.rule(&fired.id) else { continue };
        let of_signal = fired.signal.map(|code| model.domain(model.signal(code).domain));
        let (lead, inform) = match (rule.lead, of_signal) {
            (None, Some(domain)) => (domain.lead, &domain.inform),
            (lead, _) => (lead, &rule.inform),
        };
        claim(
            lead,
            inform,
            Reason {
                why: Why::Rule(fired.id.clone()),
                duty: Duty::Inform,
                points: Tenths::whole(fired.points),
                words: fired.sentence.clone(),
                question: Some(ask(&rule.question, fired.signal, fired.since)),
                rests_on: scored.behind(model, rule).collect(),
            },
        );
    }
    for domain in Domain::HARMS {
        let spec = model.domain(domain);
        let lines = || scored.lines.iter().filter(|line| line.domain == domain);
        let points: f64 = lines().map(|line| line.exact).sum();
        if points < model.duty.min_points {
            continue;
        }
        let latest: Option<Day> = lines().map(|line| line.latest).max();
        let ask = |question: &String| ask(question, None, latest);
        claim(
            spec.lead,
            &spec.inform,
            Reason {
                why: Why::Domain(domain),
                duty: Duty::Inform,
                points: Tenths::round(points),
                words: format!("Signs of {}", spec.name),
                question: spec.question.as_ref().map(ask),
                rests_on: lines().map(|line| line.code).collect(),
            },
        );
    }
    for line in scored.lines.iter().filter(|line| line.exact >= model.duty.min_points) {
        claim(
            None,
            &model.signal(line.code).inform,
            Reason {
                why: Why::Signal(line.code),
                duty: Duty::Inform,
                points: line.points,
                words: line.sentence.clone(),
                question: None,
                rests_on: vec![line.code],
            },
        );
    }

    for reasons in claims.values_mut() {
        reasons.sort_by_key(|reason| std::cmp::Reverse(urgency(model, reason)));
    }
    claims
}

/// The greater is the more pressing: the model's first rules, then what the agency should lead on,
/// then rules before harm that shows without joining, then points.
fn urgency(model: &Model, reason: &Reason) -> (bool, bool, bool, Tenths) {
    let (is_first, is_rule) = match &reason.why {
        Why::Rule(id) => (model.surfacing.first_rules.contains(id), true),
        Why::Domain(_) | Why::Signal(_) => (false, false),
    };
    (is_first, reason.duty == Duty::Lead, is_rule, reason.points)
}

/// Returns what the lines that an agency reported come to.
fn reported(scored: &Scored, agency: &Arc<str>, kind: AgencyKind) -> i32 {
    let theirs = scored.lines.iter().filter(|l| l.kind == kind && l.reporters.contains(agency));
    theirs.map(|line| line.points.count()).sum()
}

#[cfg(test)]
mod tests;
