//! What every model keeps to, whoever edits it.
//!
//! Two kinds of rule. Some catch slips: a missing signal, a negative weight, a rule whose id is
//! used twice. The others are promises that the project has made to the people it is about: context
//! adds no points, being poor cannot surface anybody, thin evidence adds little, and no rule fires
//! without telling somebody who must act.

use std::{collections::BTreeSet, fmt};

use causeway_proto::{
    catalogue::{AgencyKind, SignalClass, SignalCode},
    day::Day,
};

use super::{Condition, Domain, Evidence, Model, Of, Rule, SignalWeight};
use crate::score::{
    event::Pool,
    rule::Facts,
    weigh::{self, Weights},
};

/// The most that a rule with weak evidence may add.
const WEAK_POINTS: u32 = 5;
/// Nothing in a model lasts longer than ten years.
const MAX_DAYS: i32 = 3650;
/// No single number of points goes beyond this: the score is at 81 there.
const MAX_POINTS: f64 = 100.0;
/// Domains that say how much money and what home somebody has.
const POVERTY: [Domain; 2] = [Domain::Hard, Domain::Hous];

/// One thing that is wrong with a model: which entry, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    entry: String,
    fix: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.entry, self.fix)
    }
}

/// Writes one fault a line.
pub(super) fn list(faults: &[Fault]) -> String {
    faults.iter().map(|fault| format!("  {fault}")).collect::<Vec<_>>().join("\n")
}

#[derive(Default)]
struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault unless `holds`.
    fn unless(&mut self, holds: bool, entry: impl fmt::Display, fix: impl fmt::Display) {
        if !holds {
            self.0.push(Fault { entry: entry.to_string(), fix: fix.to_string() });
        }
    }
}

impl Model {
    /// Returns everything that is wrong with it.
    pub(super) fn check(&self) -> Vec<Fault> {
        let mut faults = Faults::default();
        self.check_settings(&mut faults);
        self.check_domains(&mut faults);
        self.check_signals(&mut faults);
        let mut ids = BTreeSet::new();
        for rule in &self.rules {
            faults.unless(ids.insert(&rule.id), &rule.id, "give each rule an id of its own");
            self.check_rule(rule, &mut faults);
        }
        if faults.0.is_empty() {
            // These weigh things, so they need a model that is otherwise whole.
            self.check_promises(&mut faults);
        }
        faults.0
    }

    fn check_settings(&self, faults: &mut Faults) {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        let named = (1..=32).contains(&self.version.len()) && self.version.chars().all(plain);
        faults.unless(named, "version", "use 1 to 32 lowercase letters, digits, `-` and `.`");

        let scale = &self.scale;
        faults.unless(scale.k >= 1.0 && scale.k <= 1000.0, "scale.k", "use 1 to 1000 points");
        faults.unless(is_days(scale.window_days), "scale.window_days", DAYS);
        let small = (0.0..=0.1).contains(&scale.negligible);
        faults.unless(small, "scale.negligible", "use 0 to 0.1");

        let breadth = &self.breadth;
        let below =
            breadth.points_per_agency <= breadth.cap && f64::from(breadth.cap) <= MAX_POINTS;
        faults.unless(below, "breadth.cap", "use points_per_agency or more, up to 100");
        faults.unless(is_points(breadth.threshold), "breadth.threshold", POINTS);
        let poverty = POVERTY.iter().all(|domain| breadth.excluded_domains.contains(domain));
        faults.unless(poverty, "breadth.excluded_domains", "name both HARD and HOUS");
        let cap = f64::from(self.interactions.cap);
        faults.unless(cap <= MAX_POINTS, "interactions.cap", "use 0 to 100 points");

        let tiers = &self.tiers;
        let rising = [0, tiers.t1, tiers.t2, tiers.t3, tiers.t4, 100].is_sorted_by(|a, b| a < b);
        faults.unless(rising, "tiers", "let t1 to t4 rise between 0 and 100");
        let shares = [0.0, self.shares.moderate_percent, self.shares.major_percent, 100.0];
        let rising = shares.is_sorted_by(|a, b| a < b);
        faults.unless(rising, "shares", "let moderate and major rise between 0 and 100 percent");
        let min_points = self.duty.min_points;
        faults.unless(is_points(min_points), "duty.min_points", POINTS);
        self.check_surfacing(faults);
    }

    fn check_surfacing(&self, faults: &mut Faults) {
        let surfacing = &self.surfacing;
        let mut unless = |holds, name, fix| faults.unless(holds, format!("surfacing.{name}"), fix);
        unless(surfacing.enter <= 100, "enter", "use a score up to 100");
        unless(surfacing.enter >= self.tiers.t3, "enter", "use t3 or more");
        unless(surfacing.leave <= surfacing.enter, "leave", "use `enter` or less");
        unless(surfacing.uplift <= 100, "uplift", "use 0 to 100 points");
        unless(surfacing.min_agencies >= 2, "min_agencies", "use 2 or more: one needs no joining");
        let confidence = surfacing.household_only_confidence;
        let is_share = confidence > 0.0 && confidence <= 1.0;
        unless(is_share, "household_only_confidence", "use more than 0, up to 1");
        unless(surfacing.top_k >= 1, "top_k", "use 1 or more");
        unless(surfacing.rise >= 1, "rise", "use 1 or more");
        unless(is_days(surfacing.quiet_days), "quiet_days", DAYS);
        unless(is_days(surfacing.new_rule_after_days), "new_rule_after_days", DAYS);
        unless((1..=5).contains(&surfacing.new_severity), "new_severity", "use 1 to 5");
        unless((1..=31).contains(&surfacing.week_days), "week_days", "use 1 to 31 days");
        unless((5..=1000).contains(&surfacing.brake_reviews), "brake_reviews", "use 5 to 1000");
        unless(surfacing.brake_percent <= 100, "brake_percent", "use 0 to 100");
        unless(is_days(surfacing.unanswered_days), "unanswered_days", DAYS);
        let known = |ids: &[String]| ids.iter().all(|id| self.rule(id).is_some());
        unless(known(&surfacing.first_rules), "first_rules", "name rules of this model");
        unless(known(&surfacing.new_rule_except), "new_rule_except", "name rules of this model");
    }

    fn check_domains(&self, faults: &mut Faults) {
        for domain in Domain::HARMS {
            let is_there = self.domains.contains_key(&domain);
            faults.unless(
                is_there,
                format_args!("domains.{domain}"),
                "add it: every one has a cap",
            );
        }
        for (domain, spec) in &self.domains {
            let mut unless = |holds, fix| faults.unless(holds, format!("domains.{domain}"), fix);
            unless(*domain != Domain::Ctx, "leave it out: context adds no points");
            unless(is_points(spec.cap), "use a cap of more than 0, up to 100");
            unless(!spec.name.is_empty(), "give it a name");
            unless(spec.lead.is_some() || spec.inform.is_empty(), "name who leads, too");
            unless(spec.lead.is_some() == spec.question.is_some(), "give a question to who leads");
            unless(!tells_twice(spec.lead, &spec.inform), TWICE);
            let question = spec.question.as_deref().unwrap_or_default();
            unless(is_fillable(question, &["{since}"]), "use no placeholder but {since}");
        }
    }

    fn check_signals(&self, faults: &mut Faults) {
        for code in SignalCode::all() {
            let weight = self.signals.get(&code);
            match (code.spec().owner, weight) {
                (Some(_), Some(weight)) => check_signal(code, weight, faults),
                (Some(_), None) => {
                    faults.unless(
                        false,
                        format_args!("signals.{code}"),
                        "add it: none may be missing",
                    );
                }
                (None, weight) => faults.unless(
                    weight.is_none(),
                    format_args!("signals.{code}"),
                    "leave it out: derived bands are context in every model",
                ),
            }
        }
    }

    fn check_rule(&self, rule: &Rule, faults: &mut Faults) {
        let id = if rule.id.is_empty() { "rules" } else { &rule.id };
        let mut unless = |holds, fix: &str| faults.unless(holds, id, fix);
        for (text, name) in [
            (&rule.id, "id"),
            (&rule.sentence, "sentence"),
            (&rule.basis, "basis"),
            (&rule.owner, "owner"),
            (&rule.question, "question"),
        ] {
            unless(!text.is_empty(), &format!("give it a non-empty `{name}`"));
        }
        for text in [&rule.sentence, &rule.question] {
            let fillable = is_fillable(text, &["{signal}", "{since}", "{when}"]);
            unless(fillable, "use no placeholders but {signal} and {since}");
        }
        let fits = rule.points >= 1 && rule.points <= self.interactions.cap;
        unless(fits, "use points from 1 to interactions.cap");
        unless(
            rule.evidence != Evidence::Weak || rule.points <= WEAK_POINTS,
            "give it 5 points at most, or better evidence than weak",
        );
        let follows_its_signal = matches!(rule.when, Condition::Doubled(_));
        unless(
            rule.lead.is_some() || (follows_its_signal && rule.inform.is_empty()),
            "name who leads: a rule that tells nobody helps nobody",
        );
        unless(!tells_twice(rule.lead, &rule.inform), TWICE);
        if let Err(fix) = check_condition(&rule.when) {
            unless(false, fix);
        }
    }

    fn check_promises(&self, faults: &mut Faults) {
        let caps = POVERTY.iter().map(|domain| self.domain(*domain).cap).sum();
        let reachable = weigh::on_scale(self, caps);
        faults.unless(
            reachable < f64::from(self.tiers.t2),
            "domains.HARD and domains.HOUS",
            "lower their caps: being poor must not reach t2 by itself",
        );

        let pool = Pool::new(self, [], Day::of_unix_ms(0));
        let facts = Facts {
            model: self,
            pool: &pool,
            weights: &Weights::of(self, &pool),
            is_told: &|_| true,
            may_have_more: &|code| !code.is_harm() || POVERTY.contains(&self.signal(code).domain),
        };
        for rule in &self.rules {
            faults.unless(
                !facts.judge(&rule.when).possible,
                &rule.id,
                "ask for a sign of harm: context and poverty alone must not make it apply",
            );
            if let (None, Condition::Doubled(doubled)) = (rule.lead, &rule.when) {
                let has_lead =
                    |code: &SignalCode| self.domain(self.signal(*code).domain).lead.is_some();
                let fix = "name who leads: the domain of one of its signals has no lead";
                faults.unless(doubled.first_of.iter().all(has_lead), &rule.id, fix);
            }
        }
    }
}

const DAYS: &str = "use 1 to 3650 days";
const POINTS: &str = "use more than 0, up to 100 points";
const TWICE: &str = "tell each kind of agency once: to lead or to inform";

fn check_signal(code: SignalCode, weight: &SignalWeight, faults: &mut Faults) {
    let mut unless = |holds, fix| faults.unless(holds, format!("signals.{code}"), fix);
    unless(weight.first_share > 0.0 && weight.first_share <= 1.0, "use a first_share in (0, 1]");
    if code.spec().class == SignalClass::Harm {
        unless(weight.domain != Domain::Ctx, "give harm a domain of harm");
        unless(is_points(weight.weight), "use a weight of more than 0, up to 100");
        unless((1..=5).contains(&weight.severity), "use a severity from 1 to 5");
        unless(is_days(weight.half_life_days), "use a half_life_days of 1 to 3650");
        unless(!weight.says.is_empty(), "give it words to begin its line with");
        let each_once = weight.inform.iter().collect::<BTreeSet<_>>().len() == weight.inform.len();
        unless(each_once, TWICE);
    } else {
        let weighs_nothing = weight.weight == 0.0 && weight.severity == 0;
        unless(weighs_nothing, "set weight and severity to 0: context never adds points");
        unless(weight.domain == Domain::Ctx, "set its domain to CTX: it is no harm");
        unless((0..=MAX_DAYS).contains(&weight.half_life_days), "use 0 to 3650 days");
        unless(weight.inform.is_empty(), "leave out inform: context tells nobody");
    }
}

/// Returns what to mend in a condition, if anything.
fn check_condition(when: &Condition) -> Result<(), &'static str> {
    let hold = |holds: bool, fix| if holds { Ok(()) } else { Err(fix) };
    let picks = |of: &Of| hold(!of.is_empty(), "name at least one signal or domain");
    let days = |days: i32| hold(is_days(days), DAYS);
    match when {
        Condition::All(parts) | Condition::Any(parts) => {
            hold(!parts.is_empty(), "put at least one condition into all and any")?;
            parts.iter().try_for_each(check_condition)
        }
        Condition::Count(count) | Condition::DistinctRecent(count) => {
            picks(&count.of)?;
            days(count.within_days)?;
            hold(count.at_least >= 1, "use an at_least of 1 or more")
        }
        Condition::Open(of) => picks(of),
        Condition::Recent(recent) => {
            picks(&recent.of)?;
            days(recent.within_days)
        }
        Condition::Doubled(doubled) => {
            hold(!doubled.first_of.is_empty(), "name at least one signal")?;
            let harm = doubled.first_of.iter().all(|code| code.is_harm());
            hold(harm, "name signals of harm only: only they have lines")?;
            days(doubled.window_days)?;
            hold(doubled.at_least >= 1, "use an at_least of 1 or more")
        }
        Condition::Unfollowed(unfollowed) => {
            days(unfollowed.within_days)?;
            let in_order = (0..=unfollowed.within_days).contains(&unfollowed.after_days);
            hold(in_order, "use an after_days from 0 to within_days")
        }
        Condition::AfterClosed(after) => {
            picks(&after.of)?;
            days(after.within_days)?;
            hold(after.at_least >= 1, "use an at_least of 1 or more")?;
            hold((1..=5).contains(&after.then_severity), "use a then_severity from 1 to 5")
        }
        Condition::ScoredDomain(domains) => {
            let harms = !domains.is_empty() && !domains.contains(&Domain::Ctx);
            hold(harms, "name at least one domain of harm")
        }
    }
}

fn is_days(days: i32) -> bool {
    (1..=MAX_DAYS).contains(&days)
}

fn is_points(points: f64) -> bool {
    points > 0.0 && points <= MAX_POINTS
}

fn tells_twice(lead: Option<AgencyKind>, inform: &[AgencyKind]) -> bool {
    let told: Vec<_> = lead.iter().chain(inform).collect();
    told.iter().collect::<BTreeSet<_>>().len() < told.len()
}

fn is_fillable(text: &str, known: &[&str]) -> bool {
    let rest = known.iter().fold(text.to_owned(), |rest, known| rest.replace(known, ""));
    !rest.contains(['{', '}'])
}

#[cfg(test)]
mod tests;
