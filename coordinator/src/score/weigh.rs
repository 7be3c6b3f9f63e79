//! What a household's signals come to, in numbers.
//!
//! Exponentials are `libm`'s and sums go in the order of the catalogue and of [`Domain`], so that
//! the same events give the same bits on every machine.

use causeway_proto::catalogue::{AgencyKind, SignalCode};

use super::{
    event::{Pool, owner},
    model::{Domain, Model},
};

/// Points by signal and by domain, before rules and breadth.
pub(super) struct Weights {
    /// What each signal that counts comes to before its domain's cap, in the catalogue's order.
    pub(super) signals: Vec<(SignalCode, f64)>,
    /// The sums of these by domain.
    sums: [f64; DOMAINS],
}

const DOMAINS: usize = Domain::Ctx.index() + 1;

impl Weights {
    /// Weighs the harm in a pool.
    pub(super) fn of(model: &Model, pool: &Pool<'_>) -> Self {
        let mut weights = Self { signals: Vec::new(), sums: [0.0; DOMAINS] };
        for code in pool.codes().filter(|code| code.is_harm()) {
            let count = faded_count(model, pool, code);
            if count <= model.scale.negligible {
                continue;
            }
            let signal = model.signal(code);
            let reached = if signal.first_share >= 1.0 {
                count.min(1.0)
            } else {
                1.0 - libm::pow(1.0 - signal.first_share, count)
            };
            let points = signal.weight * reached;
            weights.signals.push((code, points));
            weights.sums[signal.domain.index()] += points;
        }
        weights
    }

    /// Returns what a domain's signals come to before its cap.
    pub(super) fn sum(&self, domain: Domain) -> f64 {
        self.sums[domain.index()]
    }

    /// Returns what a domain comes to, with so many points more than are known.
    pub(super) fn effect(&self, model: &Model, domain: Domain, more: f64) -> f64 {
        saturate(model.domain(domain).cap, self.sum(domain) + more)
    }

    /// Returns a signal's share of what its domain comes to, so that lines add up.
    pub(super) fn line(&self, model: &Model, code: SignalCode, points: f64, more: f64) -> f64 {
        let domain = model.signal(code).domain;
        points * self.effect(model, domain, more) / (self.sum(domain) + more)
    }

    /// Returns the agencies whose lines come to enough to count for breadth, when each domain has
    /// so many points more than are known.
    pub(super) fn agencies(&self, model: &Model, more: impl Fn(Domain) -> f64) -> Vec<AgencyKind> {
        let points_of = |kind: AgencyKind| -> f64 {
            let owned = self.signals.iter().filter(|(code, _)| owner(*code) == Some(kind));
            owned
                .map(|&(code, points)| (model.signal(code).domain, code, points))
                .filter(|(domain, ..)| !model.breadth.excluded_domains.contains(domain))
                .map(|(domain, code, points)| self.line(model, code, points, more(domain)))
                .sum()
        };
        let counts = |kind: &AgencyKind| points_of(*kind) >= model.breadth.threshold;
        AgencyKind::ALL.iter().copied().filter(counts).collect()
    }
}

/// Returns how many fresh, certain events a signal's events are worth.
fn faded_count(model: &Model, pool: &Pool<'_>, code: SignalCode) -> f64 {
    let half_life = f64::from(model.signal(code).half_life_days);
    let worth = |days: i32| match days {
        0 => 1.0,
        days => libm::exp2(-f64::from(days) / half_life),
    };
    pool.of(code)
        .iter()
        .map(|event| (event.faded_days(pool.as_at), event.confidence))
        .filter(|(days, _)| *days <= model.scale.window_days)
        .map(|(days, confidence)| confidence * worth(days))
        .sum()
}

/// Returns what points come to under a cap: nearly all of the first, less and less of the rest.
pub(super) fn saturate(cap: f64, points: f64) -> f64 {
    cap * (1.0 - libm::exp(-points / cap))
}

/// Returns the points for so many agencies.
pub(super) fn breadth(model: &Model, agencies: usize) -> u32 {
    let after_first = u32::try_from(agencies.saturating_sub(1)).unwrap_or(u32::MAX);
    model.breadth.points_per_agency.saturating_mul(after_first).min(model.breadth.cap)
}

/// Returns the score from 0 to 100 of so many raw points.
pub(super) fn on_scale(model: &Model, raw: f64) -> f64 {
    saturate(100.0, raw * 100.0 / model.scale.k)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::fixture::{day, event};

    #[test]
    fn a_fresh_event_gives_its_share_and_half_a_life_later_half_an_event() {
        let model = Model::builtin();
        let events = [event("POL_ASB_VICTIM", "2025-01-01", 1)];
        let points = |as_at| {
            let weights = Weights::of(model, &Pool::new(model, &events, day(as_at)));
            weights.signals[0].1
        };
        assert!((points("2025-01-01") - 30.0 * 0.22).abs() < 1e-12);
        let half = 30.0 * (1.0 - 0.78_f64.sqrt());
        assert!((points("2025-05-01") - half).abs() < 1e-12);
    }

    #[test]
    fn a_state_counts_in_full_while_it_lasts_and_once() {
        let model = Model::builtin();
        let events = [event("CSC_CP_PLAN", "2021-01-01", 1), event("CSC_CP_PLAN", "2021-01-01", 2)];
        let weights = Weights::of(model, &Pool::new(model, &events, day("2025-01-01")));
        assert_eq!(weights.sum(Domain::Negl), 36.0);
        assert!(weights.effect(model, Domain::Negl, 0.0) < 36.0);
    }
}
