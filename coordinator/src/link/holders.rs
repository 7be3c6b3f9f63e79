//! Who of those that share a token count: an agency that holds it with more of its records than its
//! node may send it for counts not at all, and what is left may be a crowd.
//!
//! Honest nodes keep to [`most_records`](causeway_proto::kind::MatchKeyKind::most_records). One that did not could fill any block whose token
//! it can compute, and so part what others hold of a person.

use super::block::MOST_IN_BLOCK;

/// A record that holds a token, and in which slot.
pub(super) type Holder = (u32, u8);

/// Takes out whoever belongs to an agency that holds a token with more than `most` of its records, and
/// returns those agencies, in order.
pub(super) fn admit(
    block: &mut Vec<Holder>,
    most: usize,
    agency: impl Fn(u32) -> usize,
) -> Vec<usize> {
    if block.len() <= most {
        return Vec::new();
    }
    let mut held: Vec<(usize, u32)> =
        block.iter().map(|(record, _)| (agency(*record), *record)).collect();
    held.sort_unstable();
    held.dedup();
    let of_agency = held.chunk_by(|x, y| x.0 == y.0);
    let over: Vec<usize> = of_agency.filter(|of| of.len() > most).map(|of| of[0].0).collect();
    if !over.is_empty() {
        block.retain(|(record, _)| over.binary_search(&agency(*record)).is_err());
    }
    over
}

/// Returns whether more records than may share a token hold it.
pub(super) fn is_crowd(block: &[Holder]) -> bool {
    if block.len() <= MOST_IN_BLOCK {
        return false;
    }
    let mut records: Vec<u32> = block.iter().map(|(record, _)| *record).collect();
    records.sort_unstable();
    records.dedup();
    records.len() > MOST_IN_BLOCK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agency_counts_by_its_records_and_not_by_their_slots() {
        let agency = |record: u32| record as usize / 100;
        let all = vec![(1, 0), (1, 1), (100, 0), (101, 0), (200, 2)];
        let mut block = all.clone();
        assert_eq!(admit(&mut block, 1, agency), [1]);
        assert_eq!(block, [(1, 0), (1, 1), (200, 2)]);
        let mut block = all.clone();
        assert_eq!((admit(&mut block, 2, agency), block), (vec![], all));
        let twice = |records: u32| (0..records).flat_map(|record| [(record, 0), (record, 1)]);
        assert!(!is_crowd(&twice(200).collect::<Vec<_>>()));
        assert!(is_crowd(&twice(201).collect::<Vec<_>>()));
    }
}
