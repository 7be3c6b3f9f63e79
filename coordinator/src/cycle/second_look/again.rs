//! Looks again, at what a change brought, and at what is left when a node drops out.

use std::{collections::BTreeSet, time::Instant};

use causeway_proto::{ids::SweepId, linkage::levels::Levels};

use super::{
    super::{Cycle, Linked, Taking, report::Seconds},
    Asked, link, look, pairs_at_once,
};
use crate::link::{
    Pair, decide,
    replace::{Change, Replaced},
};

/// Takes the second look at everything again: weights that were learnt before somebody joined may be
/// those of a few odd records.
pub async fn link_again(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    linked: &mut Linked,
    (new, seconds): (&[Pair], &mut Seconds),
) {
    let mut pairs = std::mem::take(&mut linked.pairs);
    pairs.retain(|pair| pair.kinds != 0);
    pairs.extend(new);
    pairs.sort_unstable_by_key(Pair::place);
    let records = std::mem::take(&mut linked.records);
    *linked = link(cycle, sweep, agencies, (records, pairs), seconds).await;
}

/// Looks at what a change brought, and decides again about what it touches.
///
/// Of a pair whose node did not answer nothing is known: the node drops out, and joins anew.
pub async fn settle(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    linked: &mut Linked,
    replaced: &Replaced,
    seconds: &mut Seconds,
) {
    let comparing = Instant::now();
    let changed = decide::in_order(replaced.renewed.iter().chain(&replaced.came).copied());
    let new = (&replaced.new[..], &changed[..]);
    let levels = look_again(cycle, sweep, agencies, linked, new).await;
    let clustering = Instant::now();
    seconds.compare += (clustering - comparing).as_secs_f64();
    let new = replaced.new.iter().zip(levels);
    let new = new.filter_map(|(pair, levels)| Some((*pair, levels?)));
    tokio::task::block_in_place(|| linked.settle(new, replaced));
    seconds.cluster += clustering.elapsed().as_secs_f64();
}

/// Takes everybody out whose node dropped out, until all answer who are asked about what that changes.
/// Returns who they were.
pub async fn leave_out(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    linked: &mut Linked,
    seconds: &mut Seconds,
) -> BTreeSet<u32> {
    let mut left = BTreeSet::new();
    loop {
        let gone = (0..agencies.len()).filter(|agency| !agencies[*agency].is_in());
        let leave: BTreeSet<u32> = gone.flat_map(|at| linked.records.all_of(at)).collect();
        if leave.is_empty() {
            return left;
        }
        let change = Change { leave, ..Change::default() };
        let replaced = tokio::task::block_in_place(|| {
            let mut replaced = linked.replace(&change);
            linked.reopen(&mut replaced);
            replaced
        });
        settle(cycle, sweep, agencies, linked, &replaced, seconds).await;
        left.extend(change.leave);
    }
}

/// Looks at pairs that a change brought, but for those that their pattern decides. `None` for a pair
/// whose node did not answer.
///
/// Everybody who `came` or has other tokens is asked about, also where nothing has to be known: a node that was
/// asked about some of its changes only would learn who of them is known elsewhere. `came` is in order.
async fn look_again(
    cycle: &Cycle<'_>,
    sweep: SweepId,
    agencies: &mut [Taking<'_>],
    linked: &Linked,
    (pairs, came): (&[Pair], &[u32]),
) -> Vec<Option<Levels>> {
    let records = &linked.records;
    let taken = linked.taken(pairs);
    let at = |record: u32| taken.get(&record).copied().unwrap_or_default();
    let mut levels: Vec<Option<Levels>> =
        pairs.iter().map(|pair| linked.clear.levels(records, pair, at)).collect();
    let undecided = pairs.iter().zip(&levels).filter(|(_, levels)| levels.is_none());
    let undecided: Vec<Pair> = undecided.map(|(pair, _)| *pair).collect();
    let asked = decide::in_order(undecided.iter().flat_map(|pair| [pair.a, pair.b]));
    let is_alone = |record: &u32| asked.binary_search(record).is_err();
    let alone: Vec<u32> = came.iter().copied().filter(is_alone).collect();
    let mut portions: Vec<&[Pair]> = undecided.chunks(pairs_at_once(records.len())).collect();
    if portions.is_empty() && !alone.is_empty() {
        portions.push(&[]);
    }
    let mut agreed = Vec::with_capacity(undecided.len());
    for (at, pairs) in portions.into_iter().enumerate() {
        let alone = if at == 0 { &alone[..] } else { &[] };
        let asked = Asked { pairs, came, alone, like: &linked.pairs };
        agreed.extend(look(cycle, sweep, agencies, records, asked).await);
    }
    let mut agreed = agreed.into_iter();
    for levels in levels.iter_mut().filter(|levels| levels.is_none()) {
        *levels = agreed.next();
    }
    // Nor of one that its pattern decides.
    let in_it = |record: u32| agencies[records.agency(record)].is_in();
    for (levels, pair) in levels.iter_mut().zip(pairs) {
        *levels = levels.filter(|_| in_it(pair.a) && in_it(pair.b));
    }
    levels
}
