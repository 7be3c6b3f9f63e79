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
    let pairs: Vec<(u32, u32, f64)> =
        pairs.filter_map(|(a, b, bits)| Some((a, b, bits.filter(|bits| *bits >= 0.0)?))).collect();
    let candidates = Candidates::of(records, &pairs);
    drop(pairs);
    let mut ambiguous = vec![false; records];
    for record in (0..).take(records) {
        let mine = candidates.of_record(record);
        let Some((best, _)) = mine.first() else { continue };
        let close = mine.partition_point(|(bits, _)| best - bits < CLOSE_BITS);
        if close < 2 {
            continue;
        }
        let free: Vec<u32> = mine[..close]
            .iter()
            .filter(|(bits, other)| {
                !candidates.of_record(*other).iter().any(|(better, third)| {
                    *better >= bits + CLOSE_BITS && *third != record && are_two(record, *third)
                })
            })
            .map(|(_, other)| *other)
            .collect();
        ambiguous[record as usize] =
            free.iter().enumerate().any(|(at, x)| free[at + 1..].iter().any(|y| are_two(*x, *y)));
    }
    ambiguous
}

/// Everybody's candidates, best first.
struct Candidates {
    /// By record: where its candidates begin; and where the last one's end.
    starts: Vec<u32>,
    all: Vec<(f64, u32)>,
}

impl Candidates {
    fn of(records: usize, pairs: &[(u32, u32, f64)]) -> Self {
        let mut starts = vec![0; records + 2];
        for (a, b, _) in pairs {
            starts[*a as usize + 2] += 1;
            starts[*b as usize + 2] += 1;
        }
        for record in 2..starts.len() {
            starts[record] += starts[record - 1];
        }
        let mut all = vec![(0.0, 0); 2 * pairs.len()];
        // Each start is moved on as its record's candidates are put in, until it is the next one's.
        for (a, b, bits) in pairs {
            for (record, other) in [(*a, *b), (*b, *a)] {
                let start: &mut u32 = &mut starts[record as usize + 1];
                all[*start as usize] = (*bits, other);
                *start += 1;
            }
        }
        starts.pop();
        for ends in starts.windows(2) {
            let mine = &mut all[ends[0] as usize..ends[1] as usize];
            mine.sort_unstable_by(|x, y| y.0.total_cmp(&x.0).then(x.1.cmp(&y.1)));
        }
        Self { starts, all }
    }

    fn of_record(&self, record: u32) -> &[(f64, u32)] {
        let record = record as usize;
        &self.all[self.starts[record] as usize..self.starts[record + 1] as usize]
    }
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
