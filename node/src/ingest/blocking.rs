//! Which records of one agency are compared beyond those that share a match-key.
//!
//! Match-keys say so much of a person that hardly two people share one, because others learn who shares
//! them. Inside an agency nobody learns anything, so records that have less in common are looked at as
//! well: blocking rules, as for linking in clear text. Whoever is written down ten times, and seldom twice
//! alike, is found by these.

use causeway_proto::linkage::comparison::Presence;
use rayon::prelude::*;

use crate::tokenise::{
    profile::Birth,
    sketch::{Sketch, Value},
};

/// How many blocking rules there are.
pub(super) const RULES: usize = 7;

/// How many records of a block are compared with each other at most.
pub(super) const MOST_RECORDS: usize = 50;

/// How many pairs a rule may always bring; in a large agency one for each record. The larger it is, the more
/// strangers a block holds; those of its smallest blocks are looked at.
const FEW_PAIRS: usize = 1 << 20;

/// What records of one block of a rule share.
pub(super) type Shared = [u32; 2];

/// Returns the block of each rule that a record is in, where it has what the rule takes: forename and
/// birth year, surname and birth year, forename and birthday, surname and birthday, birth date, the
/// email address before the @, postcode.
pub(super) fn blocks(sketch: &Sketch<'_>) -> [Option<Shared>; RULES] {
    let value = |value: Value| Some(sketch.values[value as usize]).filter(|value| *value != 0);
    let an_initial = sketch.presence.has(Presence::FORENAME_INITIAL);
    let forename = value(Value::Forename).filter(|_| !an_initial);
    let surname = value(Value::Surname);
    let Birth { year, month, day } = sketch.birth;
    let year = year.map(|year| u32::from(year.unsigned_abs()));
    let number = |part: i8| u32::from(part.unsigned_abs());
    let birthday = month.zip(day).map(|(month, day)| 100 * number(month) + number(day));
    let both = |a: Option<u32>, b: Option<u32>| Some([a?, b?]);
    [
        both(forename, year),
        both(surname, year),
        both(forename, birthday),
        both(surname, birthday),
        both(year, birthday),
        both(value(Value::EmailLocal), Some(0)),
        both(value(Value::Postcode), Some(0)),
    ]
}

/// Returns the pairs of records that a rule puts into one block; some come more than once.
pub(super) fn pairs(sketches: &[Sketch<'_>]) -> Vec<(u32, u32)> {
    let all: Vec<_> = sketches.par_iter().map(blocks).collect();
    let of_rule = |rule: usize| {
        let records = all.iter().zip(0u32..);
        let column = records.filter_map(|(blocks, at)| Some((blocks[rule]?, at)));
        let column = in_order(column.collect());
        inside(&column, affordable(&column))
    };
    (0..RULES).into_par_iter().flat_map_iter(of_rule).collect()
}

/// Puts records by what they share.
pub(super) fn in_order<K: Copy + Ord>(mut column: Vec<(K, u32)>) -> Vec<(K, u32)> {
    column.sort_unstable();
    column.dedup();
    column
}

/// Returns the pairs inside each block of at most so many records.
pub(super) fn inside<K: Copy + Eq>(column: &[(K, u32)], most: usize) -> Vec<(u32, u32)> {
    let blocks = column.chunk_by(|x, y| x.0 == y.0).filter(|block| block.len() <= most);
    let pairs = blocks.flat_map(|block| {
        let each = block.iter().enumerate();
        each.flat_map(|(at, (_, a))| block[at + 1..].iter().map(|(_, b)| (*a, *b)))
    });
    pairs.collect()
}

/// Returns the most records that a block may hold for all those blocks to bring no more pairs than are worth it
/// (see [`FEW_PAIRS`]).
pub(super) fn affordable<K: Eq>(column: &[(K, u32)]) -> usize {
    let most = FEW_PAIRS.max(column.len());
    let mut blocks = [0; MOST_RECORDS + 1];
    for block in column.chunk_by(|x, y| x.0 == y.0).filter(|block| block.len() <= MOST_RECORDS) {
        blocks[block.len()] += 1;
    }
    let sizes = blocks.iter().enumerate().skip(2);
    let sums = sizes.scan(0, |pairs, (size, blocks)| {
        *pairs += blocks * size * (size - 1) / 2;
        (*pairs <= most).then_some(size)
    });
    sums.last().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokenise::{
        profile::{Profile, Sounded},
        sketch,
    };

    fn name(text: &str) -> Vec<Sounded> {
        vec![Sounded { text: text.into(), sound: text.into() }]
    }

    fn profile(forename: &str, surname: &str, year: i16) -> Profile {
        Profile {
            initial_only: forename.len() == 1,
            forenames: name(forename),
            surnames: name(surname),
            births: vec![Birth { year: Some(year), month: Some(4), day: Some(6) }],
            ..Profile::default()
        }
    }

    fn pairs_of(profiles: &[Profile]) -> Vec<(u32, u32)> {
        let packed: Vec<Vec<u8>> = profiles.iter().map(sketch::encode).collect();
        let sketches: Vec<Sketch<'_>> =
            packed.iter().map(|packed| Sketch::read(packed).unwrap()).collect();
        let mut pairs = pairs(&sketches);
        pairs.sort_unstable();
        pairs.dedup();
        pairs
    }

    #[test]
    fn a_name_with_a_part_of_a_birth_date_makes_a_block_and_an_initial_does_not() {
        let other_day = Profile {
            births: vec![Birth { year: Some(1987), month: Some(9), day: None }],
            ..profile("carol", "smith", 0)
        };
        assert_eq!(pairs_of(&[profile("carol", "jones", 1987), other_day]), [(0, 1)]);
        assert_eq!(
            pairs_of(&[profile("ann", "jones", 1987), profile("eve", "jones", 1955)]),
            [(0, 1)]
        );
        assert_eq!(pairs_of(&[profile("c", "jones", 1987), profile("c", "smith", 1955)]), []);
        let nobody = Profile::default();
        assert_eq!(pairs_of(&[nobody.clone(), nobody]), []);
    }

    #[test]
    fn what_comes_too_often_is_not_compared_and_small_blocks_come_first() {
        let column = |sizes: &[u32]| -> Vec<(Shared, u32)> {
            let blocks = sizes.iter().zip(0u32..);
            let records = blocks.flat_map(|(size, block)| (0..*size).map(move |_| [block, 0]));
            records.zip(0u32..).collect()
        };
        let few = column(&[2, 3, 51]);
        assert_eq!(affordable(&few), MOST_RECORDS);
        assert_eq!(inside(&few, affordable(&few)), [(0, 1), (2, 3), (2, 4), (3, 4)]);
        // A thousand blocks of fifty would bring more pairs than are compared; those of two are.
        let mut sizes = vec![50; 1000];
        sizes.extend([2; 7]);
        let many = column(&sizes);
        let most = affordable(&many);
        assert!((2..50).contains(&most), "{most}");
        assert_eq!(inside(&many, most).len(), 7);
    }
}
