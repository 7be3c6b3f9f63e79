//! Which pairs a record is in.
//!
//! The full pass lays them out in two flat lists. Records that a change touched get a list of their
//! own, so that one changed record costs what it touches and no more.

use foldhash::{HashMap, HashMapExt};
use rayon::prelude::*;

use super::{Pair, decide::in_order};

/// The pairs around each record, by their places in the list of pairs.
#[derive(Debug, Default)]
pub struct Around {
    /// By record: where its places begin.
    firsts: Vec<u32>,
    places: Vec<u32>,
    /// Records whose places are others than those.
    touched: HashMap<u32, Vec<u32>>,
}

impl Around {
    /// Lays out the pairs of so many records.
    ///
    /// # Panics
    /// If there are more than 2^31 pairs.
    pub fn new(records: usize, pairs: &[Pair]) -> Self {
        // Every core does a range of the records: half of the looks into memory that is far away.
        let size = records.div_ceil(rayon::current_num_threads()).max(1);
        let mut firsts = vec![0u32; records + 1];
        firsts[..records].par_chunks_mut(size).enumerate().for_each(|(part, counts)| {
            ends(pairs, part * size, counts.len()).for_each(|(_, record)| counts[record] += 1);
        });
        let mut sum = 0u32;
        for first in &mut firsts {
            let count = std::mem::replace(first, sum);
            sum = sum.checked_add(count).expect("fewer than 2^31 pairs");
        }
        let mut places = vec![0u32; sum as usize];
        let mut parts = Vec::new();
        let mut rest = &mut places[..];
        for from in (0..records).step_by(size) {
            let to = records.min(from + size);
            let (mine, after) = rest.split_at_mut((firsts[to] - firsts[from]) as usize);
            parts.push((from, &firsts[from..to], mine));
            rest = after;
        }
        parts.into_par_iter().for_each(|(from, firsts, places)| {
            let mut next: Vec<u32> = firsts.iter().map(|first| first - firsts[0]).collect();
            for (at, record) in ends(pairs, from, firsts.len()) {
                places[next[record] as usize] = u32::try_from(at).expect("fewer than 2^31 pairs");
                next[record] += 1;
            }
        });
        Self { firsts, places, touched: HashMap::new() }
    }

    /// Returns the places of a record's pairs.
    pub fn of(&self, record: u32) -> &[u32] {
        match self.touched.get(&record) {
            Some(places) => places,
            None => laid_out(&self.firsts, &self.places, record),
        }
    }

    /// Returns the places of the pairs of some records, in order.
    pub fn of_all(&self, records: &[u32]) -> Vec<u32> {
        let places = records.par_iter().flat_map_iter(|record| self.of(*record)).copied();
        in_order(places.collect::<Vec<u32>>().into_iter())
    }

    /// Adds a pair's place to both records.
    pub fn add(&mut self, pair: &Pair, place: u32) {
        for record in [pair.a, pair.b] {
            self.own(record).push(place);
        }
    }

    /// Takes a pair's place from both records.
    pub fn remove(&mut self, pair: &Pair, place: u32) {
        for record in [pair.a, pair.b] {
            self.own(record).retain(|at| *at != place);
        }
    }

    fn own(&mut self, record: u32) -> &mut Vec<u32> {
        let Self { firsts, places, touched } = self;
        touched.entry(record).or_insert_with(|| laid_out(firsts, places, record).to_vec())
    }
}

/// The places of a record's pairs as the full pass laid them out.
fn laid_out<'a>(firsts: &[u32], places: &'a [u32], record: u32) -> &'a [u32] {
    let at = record as usize;
    match (firsts.get(at), firsts.get(at + 1)) {
        (Some(from), Some(to)) => &places[*from as usize..*to as usize],
        _ => &[],
    }
}

/// The records of pairs, pair by pair, that lie in a range: the pair's place, and how far in it is.
fn ends(pairs: &[Pair], from: usize, count: usize) -> impl Iterator<Item = (usize, usize)> {
    let each = pairs.iter().enumerate();
    let each = each.flat_map(|(at, pair)| [(at, pair.a as usize), (at, pair.b as usize)]);
    each.filter_map(move |(at, record)| {
        let within = record.wrapping_sub(from);
        (within < count).then_some((at, within))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(a: u32, b: u32) -> Pair {
        Pair { a, b, kinds: 1, carrier: 0, slots: 0, numbers: 0 }
    }

    #[test]
    fn pairs_are_found_from_both_sides_before_and_after_a_change() {
        let pairs = [pair(0, 1), pair(0, 3), pair(1, 3)];
        let mut around = Around::new(4, &pairs);
        assert_eq!(
            [0, 1, 2, 3].map(|r| around.of(r).to_vec()),
            [vec![0, 1], vec![0, 2], vec![], vec![1, 2]]
        );
        around.remove(&pairs[1], 1);
        around.add(&pair(2, 4), 3);
        assert_eq!(
            [0, 1, 2, 3].map(|r| around.of(r).to_vec()),
            [vec![0], vec![0, 2], vec![3], vec![2]]
        );
        assert_eq!((around.of(4), around.of(9)), (&[3][..], &[][..]));
    }
}
