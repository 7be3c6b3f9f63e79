//! How likely each candidate pair is one person, by its own weight and by what is around it.
//!
//! A record is at most one of another agency's people, so candidates of one agency exclude each other. And
//! who was joined by way of a third is as likely one person as the way is safe.

use rayon::prelude::*;

use super::{
    super::{Pair, Records, clear::Clear, decide::Decision},
    Estimate, SPREAD, share,
};

/// Bounds allow for weights that are off by so many bits: for eight times as many wrong or missed links, or an
/// eighth. On most of some twenty data sets with known truth that is enough; not where twins or namesakes of one
/// address are many, who agree in all that is compared.
const OFF: f64 = 3.0;
/// Odds beyond this many bits are certainty.
const CERTAIN: f64 = 60.0;
/// With fewer bits than this nobody's other candidates matter: half of all pairs are as unlikely.
const NEVER: f64 = -16.0;
/// Nor do candidates who are less likely by so many bits.
const FAR: f64 = 20.0;
/// Who is as likely one person needs no third.
const SAFE: f64 = 0.9999;
/// Pairs that are looked at by one core at a time. Sums do not depend on how many cores there are.
const AT_ONCE: usize = 1 << 14;

/// The pairs of a decision.
pub(super) struct Odds<'a> {
    records: &'a Records,
    pairs: &'a [Pair],
    clear: &'a Clear,
    decision: &'a Decision,
}

impl<'a> Odds<'a> {
    pub(super) fn of(
        records: &'a Records,
        (pairs, clear): (&'a [Pair], &'a Clear),
        decision: &'a Decision,
    ) -> Self {
        Self { records, pairs, clear, decision }
    }

    /// Estimates the share of the joined pairs that is one person, and the share of what is one person that
    /// was joined.
    pub(super) fn estimates(&self) -> (Estimate, Estimate) {
        let chunks: Vec<Sums> = (0..self.pairs.len().div_ceil(AT_ONCE))
            .into_par_iter()
            .map(|chunk| {
                let mut sums = Sums::default();
                let end = self.pairs.len().min((chunk + 1) * AT_ONCE);
                let there = (chunk * AT_ONCE..end).filter(|at| self.pairs[*at].kinds != 0);
                there.for_each(|at| sums.add(self.is_joined(at), self.probability(at)));
                sums
            })
            .collect();
        let mut all = Sums::default();
        chunks.iter().for_each(|sums| all.and(sums));
        (all.precision(), all.recall())
    }

    fn is_joined(&self, at: usize) -> bool {
        self.decision.joins(&self.pairs[at])
    }

    /// How likely a pair is one person.
    fn probability(&self, at: usize) -> f64 {
        let own = self.alone(at);
        if own > SAFE || !self.is_joined(at) {
            return own;
        }
        let Pair { a, b, .. } = self.pairs[at];
        let joined = |record: u32| {
            let around = self.decision.around.of(record).iter().map(|place| *place as usize);
            around.filter(|place| *place != at && self.is_joined(*place))
        };
        let by_way_of = |first: usize| {
            let third = self.pairs[first].other(a);
            let mut second = joined(b).filter(|place| self.pairs[*place].other(b) == third);
            second.next().map_or(0.0, |second| self.alone(first) * self.alone(second))
        };
        joined(a).map(by_way_of).fold(own, f64::max)
    }

    /// How likely a pair is one person where the other candidates of either agency are considered, and nobody
    /// else; where its pattern made it two people, as likely as those of the pattern that were looked at.
    fn alone(&self, at: usize) -> f64 {
        let Some(bits) = self.decision.bits[at] else { return 0.0 };
        let (pair, odds) = (&self.pairs[at], odds(bits));
        if bits < NEVER {
            return odds.max(self.clear.missed(pair));
        }
        let all = |record: u32, agency: usize| -> f64 {
            let around = self.decision.around.of(record).iter().map(|place| *place as usize);
            let near = around.filter_map(|place| {
                let of = self.decision.bits[place].filter(|of| *of > bits - FAR)?;
                let other = &self.pairs[place];
                let is_rival =
                    other.kinds != 0 && self.records.agency(other.other(record)) == agency;
                is_rival.then(|| self::odds(of))
            });
            near.sum()
        };
        let ours = all(pair.a, self.records.agency(pair.b));
        let theirs = all(pair.b, self.records.agency(pair.a));
        odds / (1.0 + ours.max(theirs).max(odds))
    }
}

/// The odds of a match weight.
fn odds(bits: f64) -> f64 {
    bits.clamp(-CERTAIN, CERTAIN).exp2()
}

/// A sum of pairs, each one person with a probability of its own: as it is, with weights that are
/// [`OFF`] too high, and with weights that are as much too low.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    mean: [f64; 3],
    variance: [f64; 3],
}

impl Sum {
    fn add(&mut self, p: f64) {
        for (at, off) in [0.0, -OFF, OFF].into_iter().enumerate() {
            let p = if p > 0.0 { 1.0 / (1.0 + (1.0 - p) / p * (-off).exp2()) } else { 0.0 };
            self.mean[at] += p;
            self.variance[at] += p * (1.0 - p);
        }
    }

    fn and(&mut self, other: &Self) {
        for at in 0..3 {
            self.mean[at] += other.mean[at];
            self.variance[at] += other.variance[at];
        }
    }

    /// The fewest pairs that may be one person, and the most.
    fn bounds(&self) -> [f64; 2] {
        let spread = |at: usize| SPREAD * self.variance[at].sqrt();
        [(self.mean[1] - spread(1)).max(0.0), self.mean[2] + spread(2)]
    }
}

/// Pairs that were joined, and others.
#[derive(Debug, Default)]
struct Sums {
    pairs: f64,
    joined: Sum,
    other: Sum,
}

impl Sums {
    fn add(&mut self, is_joined: bool, p: f64) {
        if is_joined {
            self.pairs += 1.0;
            self.joined.add(p);
        } else {
            self.other.add(p);
        }
    }

    fn and(&mut self, more: &Self) {
        self.pairs += more.pairs;
        self.joined.and(&more.joined);
        self.other.and(&more.other);
    }

    /// Where nothing was joined, nothing was joined wrongly, and nothing is known.
    fn precision(&self) -> Estimate {
        if self.pairs == 0.0 {
            return Estimate { estimate: 1.0, low: 0.0, high: 1.0 };
        }
        let [low, high] =
            self.joined.bounds().map(|right| share(right.min(self.pairs), self.pairs));
        Estimate { estimate: share(self.joined.mean[0], self.pairs), low, high }
    }

    fn recall(&self) -> Estimate {
        let found = self.joined.mean[0];
        if found == 0.0 {
            let estimate = share(found, found + self.other.mean[0]);
            return Estimate { estimate, low: 0.0, high: 1.0 };
        }
        let of = |missed: f64| share(found, found + missed);
        let [high, low] = self.other.bounds().map(of);
        Estimate { estimate: of(self.other.mean[0]), low, high }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_certain_has_narrow_bounds_and_what_is_not_wide_ones() {
        let (mut sure, mut unsure) = (Sums::default(), Sums::default());
        for _ in 0..100 {
            sure.add(true, 0.9999);
            unsure.add(true, 0.7);
        }
        let (sure, unsure) = (sure.precision(), unsure.precision());
        assert!(sure.estimate > 0.999 && sure.high - sure.low < 0.03, "{sure:?}");
        // Odds of 7 to 3 are 7 to 24 where weights are three bits too high, and 56 to 3 where they are too low.
        assert!(unsure.low < 0.23 && unsure.high > 0.95, "{unsure:?}");
        assert!(
            (Sums::default().precision().estimate - 1.0).abs() < 1e-9,
            "nothing was joined wrongly"
        );
    }

    #[test]
    fn what_was_missed_bounds_what_was_found() {
        let mut sums = Sums::default();
        (0..9900).for_each(|_| sums.add(true, 1.0));
        (0..1000).for_each(|_| sums.add(false, 0.1));
        let recall = sums.recall();
        assert!((recall.estimate - 0.99).abs() < 1e-9, "{recall:?}");
        assert!(recall.low < 0.96 && recall.high > 0.998 && recall.high < 1.0, "{recall:?}");
    }
}
