//! Records with two good candidates that cannot both be the person and cannot be told apart.
//!
//! An initial that fits both twins, a namesake of two namesakes: such a record belongs to a
//! household at most, and to neither of them (DOMAIN.md 5.6, V3).

/// Two candidates that lie closer together than this, in bits, cannot be told apart: neither is
/// more than eight times as likely as the other.
pub const CLOSE_BITS: f64 = 3.0;

/// Returns for each record whether its best candidates cannot be told apart.
///
/// A candidate that fits a third record clearly better, somebody else than this one, is spoken for.
///
/// `pairs` are records by number with their match weight, `None` where a guard forbids the link;
/// `are_two` says whether two records are known to be two people.
pub fn ambiguous(
    records: usize,
    pairs: impl Iterator<Item = (u32, u32, Option<f64>)>,
    are_two: impl Fn(u32, u32) -> bool,
) -> Vec<bool> {
    let mut candidates: Vec<(u32, f64, u32)> = pairs
        .filter_map(|(a, b, bits)| Some((a, b, bits.filter(|bits| *bits >= 0.0)?)))
        .flat_map(|(a, b, bits)| [(a, bits, b), (b, bits, a)])
        .collect();
    candidates.sort_unstable_by(|x, y| x.0.cmp(&y.0).then(y.1.total_cmp(&x.1)).then(x.2.cmp(&y.2)));
    let of = |record: u32| -> Vec<Candidate> {
        let from = candidates.partition_point(|(of, ..)| *of < record);
        let to = candidates.partition_point(|(of, ..)| *of <= record);
        candidates[from..to].iter().map(|(_, bits, other)| (*bits, *other)).collect()
    };
    let mut ambiguous = vec![false; records];
    for mine in candidates.chunk_by(|x, y| x.0 == y.0) {
        let record = mine[0].0;
        ambiguous[record as usize] = is_ambiguous(record, of, &are_two);
    }
    ambiguous
}

/// The match weight of a candidate in bits, never negative, and who it is.
pub type Candidate = (f64, u32);

/// Returns whether one record's best candidates cannot be told apart: [`ambiguous`] for one alone.
///
/// `candidates_of` gives anybody's candidates, best first.
pub fn is_ambiguous(
    record: u32,
    candidates_of: impl Fn(u32) -> Vec<Candidate>,
    are_two: impl Fn(u32, u32) -> bool,
) -> bool {
    let mine = candidates_of(record);
    let Some((best, _)) = mine.first() else { return false };
    let close = mine.partition_point(|(bits, _)| best - bits < CLOSE_BITS);
    if close < 2 {
        return false;
    }
    let is_free = |(bits, other): &Candidate| {
        !candidates_of(*other).iter().any(|(better, third)| {
            *better >= bits + CLOSE_BITS && *third != record && are_two(record, *third)
        })
    };
    // Most often they are records of one person, and nothing else has to be known.
    let mine = &mine[..close];
    mine.iter()
        .enumerate()
        .any(|(at, x)| mine[at + 1..].iter().any(|y| are_two(x.1, y.1) && is_free(x) && is_free(y)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_ambiguous_between_two_people_and_not_between_two_records_of_one() {
        let pairs = || [(0, 1, Some(9.0)), (0, 2, Some(8.0)), (1, 2, None)].into_iter();
        assert_eq!(ambiguous(3, pairs(), |_, _| true), [true, false, false]);
        assert_eq!(ambiguous(3, pairs(), |_, _| false), [false; 3]);
        let clear = [(0, 1, Some(9.0)), (0, 2, Some(5.0))].into_iter();
        assert_eq!(ambiguous(3, clear, |_, _| true), [false; 3]);
    }

    #[test]
    fn a_candidate_that_fits_somebody_else_better_is_no_rival() {
        let pairs =
            |better| [(0, 1, Some(9.0)), (0, 2, Some(8.0)), (3, 2, Some(better))].into_iter();
        assert_eq!(ambiguous(4, pairs(11.0), |_, _| true), [false; 4]);
        assert!(ambiguous(4, pairs(10.0), |_, _| true)[0]);
        // The third record may be this one's own double.
        assert!(ambiguous(4, pairs(11.0), |x, y| (x.min(y), x.max(y)) != (0, 3))[0]);
    }
}
