//! Explains the links of a sweep that only just held, for whoever wants to know how far links can be
//! trusted. In kinds, levels and bits: nothing here says whose records they are.

use causeway_proto::ids::SweepId;

use super::{Cycle, Linked, Taking, report, report::LinkReport, second_look};

/// How many links are explained at most: they are told in one message.
pub const MOST: u32 = 10_000;

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
