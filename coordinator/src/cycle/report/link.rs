//! Why two records were taken for one person, or were not: kinds, levels and bits, never values.

use causeway_proto::{
    ids::AgencyId,
    kind::MatchKeyKind,
    linkage::{
        guards::{self, Doubt, Verdict},
        levels::ComparisonField,
        weights::{STRONG_ID_BITS, Weights},
    },
};
use serde::{Deserialize, Serialize};

use crate::{cycle::Linked, link::decide::Candidates};

/// Why two records were taken for one person: kinds and levels, never values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LinkReport {
    /// Whose records.
    pub agencies: [AgencyId; 2],
    /// The match weight in bits, everything included; `None` where a guard forbids a link by it, so that only
    /// other records can join the two.
    pub bits: Option<f64>,
    /// The odds in bits that any two records of different agencies are one person.
    #[serde(default)]
    pub prior: f64,
    /// Which match-keys they share.
    pub kinds: Vec<String>,
    /// The pattern of its match-keys decided it: pairs of the same pattern came to at least `bits`.
    #[serde(default)]
    pub by_pattern: bool,
    /// What its fields came to in bits when they were looked at for the alert, where its pattern had decided.
    #[serde(default)]
    pub looked_at: Option<f64>,
    /// How well each field agrees, and what that says in bits; none where nobody looked.
    pub fields: Vec<FieldReport>,
    /// What everything but the prior and the fields comes to in bits.
    #[serde(default)]
    pub context: f64,
    /// The parts of that; none where nobody looked at the fields.
    #[serde(default)]
    pub rest: Vec<RestReport>,
    /// From how many bits on it is a link; `None` where a guard forbids one by whatever weight.
    #[serde(default = "nought")]
    pub link_from: Option<f64>,
    /// Why that is more than nought, or why there is no such weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
}

impl LinkReport {
    /// Returns what everything comes to in bits, also where a guard asks for more; `None` where a guard forbids a
    /// link by whatever weight.
    pub fn total(&self) -> Option<f64> {
        let fields = self.fields.iter().map(|field| field.bits).sum::<f64>();
        let is_short = self.link_from.is_some() && !self.fields.is_empty();
        let short = is_short.then(|| tenth(self.prior + fields + self.context));
        self.looked_at.or(self.bits).or(short)
    }
}

/// What earlier versions did not say.
fn nought() -> Option<f64> {
    Some(0.0)
}

/// How well one field agrees.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldReport {
    /// Which.
    pub field: ComparisonField,
    /// The level reached; higher is better.
    pub level: usize,
    /// What that says, in bits.
    pub bits: f64,
}

/// What says something beside the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// National numbers that agree.
    NationalNumbers,
    /// How like two of one household, twins, or parent and child of one name it all looks.
    Relatives,
    /// That neither agency has another candidate.
    OnlyCandidates,
    /// What it comes to where a guard asks for more.
    Guard,
}

/// What one of them says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestReport {
    /// Which.
    pub what: Rest,
    /// In bits.
    pub bits: f64,
}

impl Rest {
    /// Returns what people call it.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::NationalNumbers => "national numbers agree",
            Self::Relatives => "relatives look like this",
            Self::OnlyCandidates => "no other candidate",
            Self::Guard => "held back by a guard",
        }
    }
}

/// Describes one link of a sweep whose agencies, by their places, have these names.
pub fn link(name: impl Fn(usize) -> AgencyId, linked: &Linked, at: usize) -> LinkReport {
    let Linked { records, pairs, levels, decision, .. } = linked;
    let (pair, own, weights): (_, _, &Weights) = (&pairs[at], levels[at], &decision.learnt.weights);
    let kinds = MatchKeyKind::ALL.iter().filter(|kind| pair.kinds >> kind.index() & 1 == 1);
    // What another pair of the same pattern showed says nothing of this one.
    let by_pattern = own.is_supposed();
    let seen = linked.looked_at.get(&at).copied().filter(|_| by_pattern);
    let shown = if by_pattern { seen } else { Some(own) };
    let fields = ComparisonField::ALL.iter().filter_map(|field| {
        let level = shown?.get(*field)?;
        Some(FieldReport { field: *field, level, bits: tenth(weights.bits(*field, level)) })
    });
    let fields: Vec<FieldReport> = fields.collect();

    let agreeing = pair.strong_ids().agreeing;
    let alone = |levels| weights.score(levels, agreeing);
    let (of, verdict) = (Candidates { records, pairs, levels }, decision.verdict(at));
    let only = decision.only_candidates(&of, at);
    let (prior, bits) = (tenth(weights.prior_bits()), decision.bits[at]);
    // What the pairs around it say and what a guard does are the same, whatever decided.
    let held_back = bits.map_or(0.0, |bits| bits - alone(own) - only);
    let looked_at =
        seen.filter(|_| bits.is_some()).map(|seen| tenth(alone(seen) + only + held_back));
    let bits = bits.map(tenth);

    let told = prior + fields.iter().map(|field| field.bits).sum::<f64>();
    let all = looked_at.or(bits).or(shown.map(|shown| alone(shown) + only));
    let context = all.map_or(0.0, |all| tenth(all - told));
    let numbers = STRONG_ID_BITS * f64::from(agreeing);
    let [numbers, only, held_back] = [numbers, only, held_back].map(tenth);
    let rest = [
        (Rest::NationalNumbers, numbers),
        (Rest::Relatives, tenth(context - numbers - only - held_back)),
        (Rest::OnlyCandidates, only),
        (Rest::Guard, held_back),
    ];
    let rest = rest.into_iter().filter(|(_, bits)| shown.is_some() && *bits != 0.0);
    let agency = |record| name(records.agency(record));
    LinkReport {
        agencies: [agency(pair.a), agency(pair.b)],
        bits,
        prior,
        kinds: kinds.map(ToString::to_string).collect(),
        by_pattern,
        looked_at,
        fields,
        context,
        rest: rest.map(|(what, bits)| RestReport { what, bits }).collect(),
        link_from: guards::least_bits(verdict),
        guard: in_words(verdict).map(str::to_owned),
    }
}

/// What a guard takes two records for, if not for one person.
fn in_words(verdict: Verdict) -> Option<&'static str> {
    Some(match verdict {
        Verdict::Open => return None,
        Verdict::Veto => "a national number differs, or somebody found that they are two people",
        Verdict::HouseholdOnly => "next to nothing of their own agrees",
        Verdict::Doubtful(Doubt::Twins) => "twins look like this",
        Verdict::Doubtful(Doubt::Generations) => "parent and child of one name look like this",
        Verdict::Doubtful(Doubt::Initial) => "of the forename no more than an initial agrees",
        Verdict::Doubtful(Doubt::Renamed) => "surname and address are both others",
    })
}

fn tenth(bits: f64) -> f64 {
    // No negative nought.
    (bits * 10.0).round() / 10.0 + 0.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::{Pair, clear::Clear, decide, taken::tests::two_agencies};

    /// Every pair of two agencies, with what their national numbers say.
    fn links(numbers: u8) -> Vec<LinkReport> {
        let (records, looked_at, weights) = two_agencies();
        let pairs = looked_at.iter().map(|(pair, _)| Pair { numbers, ..*pair });
        let pairs: Vec<Pair> = pairs.collect();
        let levels: Vec<_> = looked_at.iter().map(|(_, levels)| *levels).collect();
        let decision = decide::decide(&records, &pairs, &levels, weights);
        let linked = Linked::new(records, pairs, levels, 0, Clear::default(), decision);
        let name = |at: usize| ["police", "housing"][at].parse().unwrap();
        (0..linked.pairs.len()).map(|at| link(name, &linked, at)).collect()
    }

    #[test]
    fn a_number_that_agrees_beside_one_that_differs_counts_once() {
        let all = |numbers: u8| {
            let links = links(numbers);
            let one = links.iter().find(|link| link.fields.iter().all(|field| field.bits > 0.0));
            one.expect("some are one person").clone()
        };
        let of = |link: &LinkReport, what| {
            link.rest.iter().find(|rest| rest.what == what).map_or(0.0, |rest| rest.bits)
        };
        let (differs, agrees_too) = (all(1 << 4), all(1 | 1 << 4));
        assert_eq!(
            (agrees_too.bits, of(&agrees_too, Rest::NationalNumbers)),
            (None, STRONG_ID_BITS)
        );
        assert!(agrees_too.guard.is_some() && agrees_too.link_from.is_none());
        let [without, with] = [&differs, &agrees_too].map(|link| of(link, Rest::Relatives));
        assert!((with - without).abs() < 0.01, "{without} {with}");
    }

    #[test]
    fn the_parts_of_a_match_weight_add_up_to_it() {
        let links = links(0);
        for link in &links {
            let fields = link.fields.iter().map(|field| field.bits);
            let parts = fields.chain(link.rest.iter().map(|rest| rest.bits));
            let sum = link.prior + parts.sum::<f64>();
            assert!(link.bits.is_none_or(|bits| (bits - sum).abs() < 0.01), "{link:?}");
        }
        let with = |what: Rest| {
            links.iter().filter(|link| link.rest.iter().any(|rest| rest.what == what)).count()
        };
        assert!(with(Rest::Relatives) > 0 && with(Rest::OnlyCandidates) > 0);
    }
}
