//! How far a score could lie from what it would be if nobody were missing.

use causeway_proto::{
    catalogue::{AgencyKind, SignalCode},
    day::Day,
};

use super::{
    Tenths,
    event::{Event, Pool, owner},
    model::{Domain, Model},
    rule::{Facts, Outlook},
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
/// Takes for granted that a missing agency's signals are source events of their own. If one shares
/// its event with another agency's signal, the household has one signal where this counts two.
pub fn range(model: &Model, events: &[Event], as_at: Day, missing: &[AgencyKind]) -> ScoreRange {
    let is_missing = |code: SignalCode| owner(code).is_some_and(|kind| missing.contains(&kind));
    let may_have_more = |code: SignalCode| match owner(code) {
        Some(kind) => missing.contains(&kind),
        None => !missing.is_empty(),
    };
    let pool = Pool::new(model, events.iter().filter(|event| !is_missing(event.code)), as_at);
    let weights = Weights::of(model, &pool);
    let facts = Facts {
        model,
        pool: &pool,
        weights: &weights,
        fresh: &|_| true,
        may_have_more: &may_have_more,
    };

    let unseen = |domain| saturated(model, domain, missing);
    let effects = |more: &dyn Fn(Domain) -> f64| -> f64 {
        Domain::HARMS.iter().map(|domain| weights.effect(model, *domain, more(*domain))).sum()
    };
    let rules = |holds: &dyn Fn(Outlook) -> bool| -> u32 {
        let applying = model.rules.iter().filter(|rule| holds(facts.judge(&rule.when)));
        applying.map(|rule| rule.points).sum::<u32>().min(model.interactions.cap)
    };
    let squeezed = weights.agencies(model, unseen).len();
    let counting = weights.agencies(model, |_| 0.0).len()
        + missing.iter().filter(|kind| could_count(model, **kind)).count();

    let score = |effects: f64, rules: u32, agencies: usize| {
        let added = rules + weigh::breadth(model, agencies);
        Tenths::round(weigh::on_scale(model, effects + f64::from(added)))
    };
    ScoreRange {
        lo: score(effects(&|_| 0.0), rules(&|outlook| outlook.certain), squeezed),
        hi: score(effects(&unseen), rules(&|outlook| outlook.possible), counting),
    }
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
        let range = range(model, &events, day("2025-02-20"), &[]);
        assert_eq!(range, ScoreRange { lo: exact, hi: exact });
    }

    #[test]
    fn a_missing_agency_could_complete_a_rule() {
        let model = Model::builtin();
        let events = asb(&["2025-01-11", "2025-02-02", "2025-02-19"]);
        let range = range(model, &events, day("2025-02-20"), &[AgencyKind::AdultSocialCare]);
        assert_eq!(range.lo, score(model, &events, day("2025-02-20"), |_| true).score);
        assert!(range.hi >= Tenths::whole(80), "{range:?}");
    }

    #[test]
    fn a_missing_agency_that_only_knows_of_money_changes_little() {
        let model = Model::builtin();
        let events = asb(&["2025-01-11", "2025-02-02"]);
        let range = range(model, &events, day("2025-02-20"), &[AgencyKind::Revenues]);
        assert!(range.hi - range.lo <= Tenths::whole(8), "{range:?}");
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

        let range = range(model, &known[..2], as_at, &[AgencyKind::Fire]);
        assert!(range.lo <= with.score && with.score <= range.hi, "{range:?}");
    }
}
