//! Explains the links of a sweep that only just held, for whoever wants to know how far links can be
//! trusted. In kinds, levels and bits: nothing here says whose records they are.

use causeway_proto::ids::SweepId;

use super::{Cycle, Linked, Taking, report, report::LinkReport, second_look};

/// How many links are explained at most: they are told in one message, beside the rest of the report.
pub const MOST: u32 = 5_000;

/// Returns the evidence of the weakest links, the weakest first.
///
/// Where the pattern of their match-keys decided, the nodes are asked how well their fields agree. Of those
/// that do not answer, the pattern is the evidence.
pub(super) async fn explain(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    linked: &mut Linked,
) -> Vec<LinkReport> {
    let places = weakest(linked, cycle.weakest as usize);
    second_look::look_for_telling(cycle, sweep, agencies, linked, &places).await;
    let name = |at: usize| agencies[at].member.id.clone();
    places.iter().map(|at| report::link(name, linked, *at)).collect()
}

/// Returns the places of the pairs that are one person by the least weight, of those that were joined.
fn weakest(linked: &Linked, most: usize) -> Vec<usize> {
    if most == 0 {
        return Vec::new();
    }
    let weight = |(at, bits): (usize, &Option<f64>)| {
        let bits = (*bits).filter(|bits| *bits >= 0.0)?;
        linked.decision.joins(&linked.pairs[at]).then_some((bits, at))
    };
    let mut links: Vec<(f64, usize)> =
        linked.decision.bits.iter().enumerate().filter_map(weight).collect();
    links.sort_unstable_by(|x, y| x.0.total_cmp(&y.0).then(x.1.cmp(&y.1)));
    links.truncate(most);
    links.into_iter().map(|(_, at)| at).collect()
}

#[cfg(test)]
mod tests {
    use causeway_proto::{
        kind::MatchKeyKind, limits::MESSAGE_BYTES, linkage::levels::ComparisonField,
    };

    use super::*;
    use crate::cycle::report::{FieldReport, Rest, RestReport};

    /// Every field was looked at, every key is shared, and all is as long as it can be.
    #[test]
    fn the_most_links_fit_into_one_message_beside_the_rest_of_the_report() {
        let bits = -123.4;
        let fields = ComparisonField::ALL.iter();
        let rest = [Rest::NationalNumbers, Rest::Relatives, Rest::OnlyCandidates, Rest::Guard];
        let link = LinkReport {
            agencies: [(); 2].map(|()| "a".repeat(32).parse().unwrap()),
            bits: Some(bits),
            prior: bits,
            kinds: MatchKeyKind::ALL.iter().map(ToString::to_string).collect(),
            by_pattern: false,
            looked_at: Some(bits),
            fields: fields.map(|field| FieldReport { field: *field, level: 9, bits }).collect(),
            context: bits,
            rest: rest.map(|what| RestReport { what, bits }).into(),
            link_from: Some(bits),
            guard: Some("g".repeat(100)),
        };
        let each = serde_json::to_string(&link).unwrap().len() + 1;
        let room = 8 * MESSAGE_BYTES - MESSAGE_BYTES / 2;
        assert!(each * (MOST as usize) < room, "{each} bytes each");
    }
}
