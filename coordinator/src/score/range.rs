//! How far a score could lie from what it would be if nobody were missing.

use std::collections::BTreeMap;

use causeway_proto::{
    catalogue::{AgencyKind, SignalCode},
    day::Day,
    ids::EventKey,
};

use super::{
    Tenths,
    event::{Event, Pool, owner, weight_of},
    model::{Domain, Model, Rule},
    rule::Facts,
    weigh::{self, Weights, saturate},
};

/// The scores that a household could have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScoreRange {
    /// No score can be lower.
    pub lo: Tenths,
    /// No score can be higher.
    pub hi: Tenths,
}

/// Returns between which scores a household's lies, whatever the missing kinds of agency hold.
///
/// Every signal that a missing kind owns is left out, as is what may be left of a stale feed; the
/// same goes for both of two agencies of one kind when one is missing, which is wider and still
/// true. The upper end has all of their signals saturated, every rule applying that they could
/// complete (any agency may know of a child) and all of them counting for breadth. The lower end
/// is the score without them, less what they could take away: a follow-up ends a missing
/// follow-up, and more harm of one kind makes each line of that kind smaller, so that an agency
/// may fall below the points it needs to count.
///
/// Two more things depend on who is missing. An event that other agencies may share could be one that
/// a missing agency tells more severely, and then its own line goes: the lower end is without it. And
/// the records of a missing agency could tie a record to a person that now only attaches to the
/// household, or show that it fits two: so each link is held for as weak and as firm as it may be.
///
/// Whoever belongs to the household as far as a missing agency alone knows is held as well: what such
/// an agency says of them is of its own kind, and whom it is about makes no difference to a score. Taken
/// for granted is which records of the others belong to it. A missing agency's addresses could bring
/// somebody in whom the others know elsewhere, let somebody stay who moved out, or show that the place
/// is no household at all. It could be anybody, of whom anything may be known: an upper end that held
/// that would be 99.8 for every household, and say nothing.
///
/// `is_told` says whether all that is recorded under a code is told, whoever is missing: what a policy
/// withholds is withheld from the full score as well.
pub fn range(
    model: &Model,
    events: &[Event],
    as_at: Day,
    missing: &[AgencyKind],
    is_told: impl Fn(SignalCode) -> bool,
) -> ScoreRange {
    let Bounds { least, most } = Bounds::of(model, events, as_at, missing);
    let (least, most) = (Pool::new(model, &least, as_at), Pool::new(model, &most, as_at));
    let (few, all) = (Weights::of(model, &least), Weights::of(model, &most));
    let may_come = |code: SignalCode| match owner(code) {
        Some(kind) => missing.contains(&kind),
        None => !missing.is_empty(),
    };
    let may_stay = |code| may_come(code) || least.of(code).len() < most.of(code).len();
    let (is_told, with): (&dyn Fn(SignalCode) -> bool, _) = (&is_told, &may_stay);
    let low = Facts { model, pool: &least, weights: &few, is_told, may_have_more: with };
    let high = Facts { model, pool: &most, weights: &all, is_told, may_have_more: &may_come };

    let unseen = |domain| saturated(model, domain, missing);
    let certain = |rule: &Rule| low.judge(&rule.when).certain;
    // What less could help is asked of the least there is as well.
    let possible = |rule: &Rule| {
        high.judge(&rule.when).possible
            || (!Facts::is_only_helped(&rule.when) && low.judge(&rule.when).possible)
    };
    let rules = |holds: &dyn Fn(&Rule) -> bool| -> u32 {
        let applying = model.rules.iter().filter(|rule| holds(rule));
        applying.map(|rule| rule.points).sum::<u32>().min(model.interactions.cap)
    };
    let squeezed =
        few.agencies(model, |domain| unseen(domain) + all.sum(domain) - few.sum(domain)).len();
    let counting = AgencyKind::ALL
        .iter()
        .filter(|kind| match missing.contains(kind) {
            true => could_count(model, **kind),
            false => most_of(model, **kind, &few, &all) >= model.breadth.threshold,
        })
        .count();

    let score = |effects: f64, rules: u32, agencies: usize| {
        let added = rules + weigh::breadth(model, agencies);
        Tenths::round(weigh::on_scale(model, effects + f64::from(added)))
    };
    let effects = |weights: &Weights, more: &dyn Fn(Domain) -> f64| -> f64 {
        Domain::HARMS.iter().map(|domain| weights.effect(model, *domain, more(*domain))).sum()
    };
    ScoreRange {
        lo: score(effects(&few, &|_| 0.0), rules(&certain), squeezed),
        hi: score(effects(&all, &unseen), rules(&possible), counting),
    }
}

/// What the agencies that are there say, as the least and the most that may be left of it when
/// everybody is.
struct Bounds {
    least: Vec<Event>,
    most: Vec<Event>,
}

impl Bounds {
    fn of(model: &Model, events: &[Event], as_at: Day, missing: &[AgencyKind]) -> Self {
        if missing.is_empty() {
            return Self { least: events.to_vec(), most: events.to_vec() };
        }
        let is_missing = |event: &Event| owner(event.code).is_some_and(|k| missing.contains(&k));
        let known = events.iter().filter(|event| event.start <= as_at && !is_missing(event));
        let mut of_key: BTreeMap<EventKey, Vec<&Event>> = BTreeMap::new();
        known.for_each(|event| of_key.entry(event.key).or_default().push(event));

        let severity = |code: SignalCode| model.signal(code).severity;
        let owned =
            SignalCode::all().filter(|code| owner(*code).is_some_and(|k| missing.contains(&k)));
        let worst = owned.map(severity).max();
        let mut bounds = Self { least: Vec::new(), most: Vec::new() };
        let mut number = 0_u128;
        for same in of_key.into_values() {
            let Some(heaviest) = same.iter().map(|event| weight_of(model, event)).max() else {
                continue;
            };
            // How firm the links are decides only between these.
            let mut left: Vec<&Event> =
                same.into_iter().filter(|event| weight_of(model, event) == heaviest).collect();
            left.sort_by(|a, b| b.confidence.total_cmp(&a.confidence));
            let what = |event: &&Event| (event.code, event.start);
            let certain = left.iter().all(|event| what(event) == what(&left[0]));
            let firm = |event: &&Event| firmest(model, event.confidence);
            let firm = left.iter().map(firm).fold(0.0, f64::max);
            if certain {
                left.truncate(1);
            }
            let displaced = left.iter().any(|event| event.shared) && worst >= Some(heaviest.0);
            for event in left {
                number += 1;
                let key = EventKey::from_bytes(number.to_be_bytes());
                let with = |confidence| Event { key, confidence, ..event.clone() };
                bounds.most.push(with(firm));
                if certain && !displaced {
                    let attached = model.surfacing.household_only_confidence;
                    bounds.least.push(with(event.confidence * attached));
                }
            }
        }
        bounds
    }
}

/// Returns how sure an event could be if its link were firm. What is surer than any attached record
/// has a firm link already.
fn firmest(model: &Model, confidence: f64) -> f64 {
    let attached = model.surfacing.household_only_confidence;
    if confidence > attached { confidence } else { (confidence / attached).min(1.0) }
}

/// Returns the most that a known agency's lines can come to for breadth: all of its own, among the
/// least of the others'.
fn most_of(model: &Model, kind: AgencyKind, few: &Weights, all: &Weights) -> f64 {
    let own = |weights: &Weights, of: Domain| -> f64 {
        let owned = weights
            .signals
            .iter()
            .filter(|(code, _)| owner(*code) == Some(kind) && model.signal(*code).domain == of);
        owned.map(|(_, points)| points).sum()
    };
    let line = |domain: Domain| {
        let mine = own(all, domain);
        let sum = mine + few.sum(domain) - own(few, domain);
        if sum <= 0.0 { 0.0 } else { mine * saturate(model.domain(domain).cap, sum) / sum }
    };
    let counted = Domain::HARMS.into_iter();
    counted.filter(|domain| !model.breadth.excluded_domains.contains(domain)).map(line).sum()
}

/// Returns what all signals of some kinds of agency come to in a domain, each at its weight.
fn saturated(model: &Model, domain: Domain, kinds: &[AgencyKind]) -> f64 {
    let owned = |code: &SignalCode| owner(*code).is_some_and(|kind| kinds.contains(&kind));
    let of_domain = SignalCode::all().filter(owned).map(|code| model.signal(code));
    of_domain.filter(|signal| signal.domain == domain).map(|signal| signal.weight).sum()
}

/// Returns whether the lines of a kind of agency can come to enough to count for breadth.
fn could_count(model: &Model, kind: AgencyKind) -> bool {
    let most: f64 = Domain::HARMS
        .into_iter()
        .filter(|domain| !model.breadth.excluded_domains.contains(domain))
        .map(|domain| saturate(model.domain(domain).cap, saturated(model, domain, &[kind])))
        .sum();
    most >= model.breadth.threshold
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::{
        fixture::{day, event},
        score,
    };

    fn asb(starts: &[&str]) -> Vec<Event> {
        let numbered = starts.iter().zip(1..);
        numbered.map(|(start, key)| event("POL_ASB_VICTIM", start, key)).collect()
    }

    #[test]
    fn with_nobody_missing_the_range_is_the_score() {
        let model = Model::builtin();
        let events = asb(&["2025-01-11", "2025-02-02", "2025-02-19"]);
        let exact = score(model, &events, day("2025-02-20"), |_| true).score;
        let range = range(model, &events, day("2025-02-20"), &[], |_| true);
        assert_eq!(range, ScoreRange { lo: exact, hi: exact });
    }

    #[test]
    fn what_a_policy_withholds_is_in_neither_end_of_the_range() {
        let model = Model::builtin();
        let told = [event("ASC_SUICIDAL_DISCLOSURE", "2025-02-01", 1)];
        let as_at = day("2025-03-01");
        let withheld = |code: SignalCode| code.as_str() != "ASC_FOLLOWED_UP";
        let shown = score(model, &told, as_at, withheld).score;
        assert!(shown < score(model, &told, as_at, |_| true).score);
        let range = range(model, &told, as_at, &[], withheld);
        assert_eq!(range, ScoreRange { lo: shown, hi: shown });
    }

    #[test]
    fn a_missing_agency_could_complete_a_rule() {
        let model = Model::builtin();
        let events = asb(&["2025-01-11", "2025-02-02", "2025-02-19"]);
        let range =
            range(model, &events, day("2025-02-20"), &[AgencyKind::AdultSocialCare], |_| true);
        // Whoever is missing could show that a link is weaker than it looks.
        let mut weak = events.clone();
        weak.iter_mut().for_each(|event| event.confidence = 0.6);
        assert_eq!(range.lo, score(model, &weak, day("2025-02-20"), |_| true).score);
        assert!(range.hi >= Tenths::whole(80), "{range:?}");
    }

    #[test]
    fn a_missing_agency_that_only_knows_of_money_changes_little() {
        let model = Model::builtin();
        let events = asb(&["2025-01-11", "2025-02-02"]);
        let range = range(model, &events, day("2025-02-20"), &[AgencyKind::Revenues], |_| true);
        assert!(range.hi - range.lo <= Tenths::whole(14), "{range:?}");
    }

    #[test]
    fn more_harm_of_one_kind_can_stop_two_agencies_from_counting() {
        // Police and housing lines of just over 3 points in one domain shrink below 3 when the fire
        // service adds a little to it, and 4 points of breadth go.
        let model = Model::builtin();
        let mut known = [
            event("POL_HARASS_STALK", "2025-01-01", 1),
            event("HOU_ASB_COMPLAINANT", "2025-01-01", 2),
            event("FRS_DELIBERATE_FIRE", "2025-01-01", 3),
        ];
        for (event, confidence) in known.iter_mut().zip([0.196, 0.42, 0.12]) {
            event.confidence = confidence;
        }
        let as_at = day("2025-01-01");
        let without = score(model, &known[..2], as_at, |_| true);
        let with = score(model, &known, as_at, |_| true);
        assert_eq!((without.breadth, with.breadth), (4, 0));
        assert!(with.score < without.score);

        let range = range(model, &known[..2], as_at, &[AgencyKind::Fire], |_| true);
        assert!(range.lo <= with.score && with.score <= range.hi, "{range:?}");
    }
}
