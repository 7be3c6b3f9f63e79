//! Makes shares, u-probabilities and what pairs show agree with each other.

use super::{
    F, FAR_FOR_NEAR, HOUSEHOLD, LEARNT, PARENTS_AMONG, PARENTS_TOLD, PRIOR_M, PRIOR_TWINS, Pattern,
    SUPPOSED, Strangers, TWIN_SHARE, TWINS, TWINS_AT_HOME, Table, U_FLOOR, Weights, floored,
    namesakes_at_one_address, normalised,
};

/// What is known of whose records they are.
#[derive(Clone, Copy)]
pub(super) struct Known {
    /// From so many matches on their share is taken for what was learnt.
    pub(super) enough: f64,
    /// The share of twins, at least.
    pub(super) least_twins: f64,
    /// Of so many records that have twins it is not known that both are on record; else 0.
    pub(super) records: f64,
    /// Whether they are one agency's.
    pub(super) one_agency: bool,
}

impl Weights {
    pub(super) fn settle(
        patterns: &[Pattern],
        strangers: &Strangers,
        total_pairs: f64,
        known: Known,
        m: impl Fn(&Table) -> Table,
    ) -> Self {
        let observed = strangers.observed();
        let prior = SUPPOSED.matches / SUPPOSED.pairs;
        let mut weights = Self {
            m: PRIOR_M.map(normalised),
            u: floored(observed),
            matched: prior,
            household: prior,
            twins: known.least_twins.max(TWIN_SHARE * prior),
            generations: known.least_twins.max(TWIN_SHARE * prior),
            namesakes: 0.0,
        };
        for round in 0..3 {
            weights.m = m(&weights.u);
            if known.one_agency {
                weights.without_twins();
            }
            weights.settle_shares(patterns, total_pairs, known);
            if round < 2 {
                weights.u = weights.without_matches(&observed);
            }
        }
        if let Some(parents) = weights.parents_to_matches(patterns) {
            let parents = weights.matched * parents;
            // Within one agency, of which perhaps no two records are one person, parents are as many as twins at least.
            let least = if known.one_agency { weights.twins } else { 0.0 };
            weights.generations = parents.max(least);
        }
        if known.one_agency {
            weights.namesakes = weights.matched * weights.namesakes_to_matches(patterns);
        }
        weights
    }

    /// Makes the shares of matches and households agree with what they themselves imply.
    fn settle_shares(
        &mut self,
        patterns: &[Pattern],
        total_pairs: f64,
        Known { enough, least_twins, records, one_agency }: Known,
    ) {
        for _ in 0..60 {
            let [mut matched, mut household] = [0.0; 2];
            // A number that people have for themselves tells twins from a mistyped forename, and so does sex for
            // every second pair of twins.
            let [mut told_apart, mut told] = [0.0; 2];
            for pattern in patterns {
                let of = self.posteriors(pattern.levels).map(|share| pattern.pairs * share);
                matched += of[0];
                household += of[1];
                let (number, sex) = (pattern.levels.get(F::OtherId), pattern.levels.get(F::Sex));
                let twins = match (number, sex) {
                    (Some(_), _) => of[2],
                    (None, Some(0)) if one_agency => 2.0 * of[2],
                    (None, Some(_)) if one_agency => 0.0,
                    (None, _) => continue,
                };
                told += of[0];
                told_apart += twins;
            }
            let before = if matched < enough { SUPPOSED } else { LEARNT };
            let share = |sum: f64| (sum + before.matches) / (total_pairs + before.pairs);
            let last = [self.matched, self.household, self.twins];
            (self.matched, self.household) = (share(matched), share(household));
            // Within one agency there are as many twins as people have them, however few or many are on record twice.
            let with_twin = match records > 0.0 {
                true => TWINS_AT_HOME * records / matched.max(1.0),
                false => TWIN_SHARE,
            };
            let twins = (told_apart + with_twin * PRIOR_TWINS) / (told + PRIOR_TWINS);
            self.set_twins(least_twins.max(twins * self.matched));
            let now = [self.matched, self.household, self.twins];
            if now.iter().zip(last).all(|(now, last)| (now / last - 1.0).abs() < 1e-6) {
                break;
            }
        }
    }

    /// Returns how many parents and children of one name there are for each person, by how far apart birth dates
    /// are that have nothing in common: a date that is simply wrong may be any, and every sixth of those is less than
    /// a generation away; a parent never is. `None` where hardly any are more than that explains.
    fn parents_to_matches(&self, patterns: &[Pattern]) -> Option<f64> {
        let [mut all, mut near, mut far] = [0.0; 3];
        for Pattern { levels, pairs, .. } in patterns {
            let Some(birth) = levels.get(F::Birth) else { continue };
            if namesakes_at_one_address(*levels) {
                all += pairs;
                match levels.generation_apart() {
                    _ if birth > 0 => {}
                    true => far += pairs,
                    false => near += pairs,
                }
            }
        }
        // As many as there may well be of which so few are near by chance. Each pair that was looked at may stand for
        // many: the rarest pattern is most often one.
        let one =
            patterns.iter().map(|pattern| pattern.pairs).fold(f64::INFINITY, f64::min).max(1.0);
        let wrong = FAR_FOR_NEAR * (near + (one * near).sqrt() + one);
        let (m, u) = self.shares(F::Birth, 0);
        let parents = far / wrong - 1.0;
        (parents > PARENTS_TOLD && far > PARENTS_AMONG * all).then(|| parents * m / u)
    }

    /// Returns how many parents and children of one name there are at one address for each person who is on
    /// record twice, by those whose birth dates tell.
    fn namesakes_to_matches(&self, patterns: &[Pattern]) -> f64 {
        let told = patterns.iter().filter(|pattern| {
            pattern.levels.get(F::Birth).is_some() && namesakes_at_one_address(pattern.levels)
        });
        let (mut matches, mut namesakes) = (1.0, 0.0);
        for pattern in told {
            let of = self.posteriors(pattern.levels);
            matches += pattern.pairs * of[0];
            namesakes += pattern.pairs * of[3];
        }
        namesakes / matches
    }

    /// Takes twins out of how one person agrees: EM knows no class for them, and has them among the matches.
    fn without_twins(&mut self) {
        let twins = self.twins / self.matched;
        for (field, levels, half) in [(F::Forename, 3, 1.0), (F::Sex, 1, 0.5)] {
            let (at, share) = (field as usize, twins * half);
            let of_twins: f64 = self.u[at][..levels].iter().sum();
            for level in 0..levels {
                let rest = self.m[at][level] - share * self.u[at][level] / of_twins;
                self.m[at][level] = rest.max(0.1 * self.m[at][level]);
            }
            self.m[at] = normalised(self.m[at]);
        }
    }

    /// Takes matches and households out of what random pairs showed.
    fn without_matches(&self, observed: &Table) -> Table {
        let mut u = *observed;
        for field in F::ALL {
            let at = *field as usize;
            let inside = self.matched
                + if HOUSEHOLD.contains(field) { self.household } else { 0.0 }
                + if TWINS.contains(field) { self.twins } else { 0.0 };
            let inside = inside.min(0.9);
            for (level, share) in u[at].iter_mut().enumerate().take(field.levels()) {
                let rest = (observed[at][level] - inside * self.m[at][level]) / (1.0 - inside);
                *share = rest.max((0.02 * observed[at][level]).max(U_FLOOR));
            }
            u[at] = normalised(u[at]);
        }
        u
    }
}
