//! Which pairs a record is in.
//!
//! The full pass lays them out in two flat lists. Records that a change touched get a list of their
//! own, so that one changed record costs what it touches and no more.

use foldhash::{HashMap, HashMapExt};

use super::Pair;

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
        let mut firsts = vec![0u32; records + 1];
        for pair in pairs {
            firsts[pair.a as usize] += 1;
            firsts[pair.b as usize] += 1;
        }
        let mut sum = 0u32;
        for first in &mut firsts {
            sum = sum.checked_add(*first).expect("fewer than 2^31 pairs");
            *first = sum;
        }
        // From the back, so that every record's places come out in order.
        let mut places = vec![0u32; sum as usize];
        for (at, pair) in pairs.iter().enumerate().rev() {
            for record in [pair.b, pair.a] {
                let first = &mut firsts[record as usize];
                *first -= 1;
                places[*first as usize] = u32::try_from(at).expect("fewer than 2^31 pairs");
            }
        }
        Self { firsts, places, touched: HashMap::new() }
    }

    /// Returns the places of a record's pairs.
    pub fn of(&self, record: u32) -> &[u32] {
        if let Some(places) = self.touched.get(&record) {
            return places;
        }
        let at = record as usize;
        match (self.firsts.get(at), self.firsts.get(at + 1)) {
            (Some(from), Some(to)) => &self.places[*from as usize..*to as usize],
            _ => &[],
        }
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
        let before = match self.touched.contains_key(&record) {
            true => Vec::new(),
            false => self.of(record).to_vec(),
        };
        self.touched.entry(record).or_insert(before)
    }
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
