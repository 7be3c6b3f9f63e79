use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// Spreads a small number over all bits, as tokens are.
fn token(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[test]
fn a_pair_is_found_once_with_the_slots_of_both() {
    let mut column = Column::new(MatchKeyKind::NamesYears, 2);
    column.add(0, 0, &[token(1), token(2)]);
    column.add(1, 1, &[token(2), token(1)]);
    let (pairs, _) = column.pairs();
    assert_eq!(pairs.len(), 1);
    assert_eq!((pairs[0].a, pairs[0].b), (0, 1));
    let (kind, [a, b]) = pairs[0].carrier();
    assert_eq!((kind, a + b), (MatchKeyKind::NamesYears, 1));
}

#[test]
fn a_crowd_is_no_block_and_an_agency_is_not_paired_with_itself() {
    let mut column = Column::new(MatchKeyKind::Nhs, 213);
    for agency in 0..5 {
        column.add(agency, agency as u32 * 42, &[token(1); 42]);
    }
    column.add(5, 210, &[token(2), token(2)]);
    assert_eq!(column.pairs(), (vec![], Excess::new()));
}

#[test]
fn an_agency_cannot_crowd_out_what_others_share() {
    // Somebody at two agencies, at a third that made 201 rows of them, and at one that made two.
    for kind in [MatchKeyKind::Phone, MatchKeyKind::Nhs] {
        let most = kind.most_records() as u32;
        let filled = || {
            let mut column = Column::new(kind, 600);
            column.add(0, 0, &[token(1), token(2)]);
            column.add(1, 2, &[token(1)]);
            column.add(2, 3, &[token(1); 201]);
            column.add(3, 204, &vec![token(1); most as usize + 1]);
            column
        };
        let (pairs, excess) = filled().pairs();
        assert_eq!(pairs.iter().map(|pair| (pair.a, pair.b)).collect::<Vec<_>>(), [(0, 2)]);
        assert_eq!(excess, [(2, 1), (3, 1)].into());
        let (again, postings) = filled().pairs_and_postings();
        assert_eq!((again, postings.excess()), (pairs, excess));
    }
}

proptest! {
    #[test]
    fn blocks_of_partitions_are_the_pairs_that_a_plain_join_finds(
        tokens in prop::collection::vec(0u64..40, 60),
    ) {
        let mut expected = BTreeMap::new();
        let mut known = Vec::new();
        for (kind, shift) in [(MatchKeyKind::Nhs, 0), (MatchKeyKind::Upn, 13)] {
            let mut column = Column::new(kind, 60);
            let value = |record: usize| token(tokens[(record + shift) % 60] + shift as u64 * 100);
            for agency in 0..3 {
                let mine: Vec<u64> = (0..20).map(|row| value(agency * 20 + row)).collect();
                column.add(agency, agency as u32 * 20, &mine);
            }
            for a in 0..60 {
                for b in a + 1..60 {
                    if a / 20 != b / 20 && value(a) == value(b) {
                        *expected.entry((a as u32, b as u32)).or_insert(0) |= 1 << kind.index();
                    }
                }
            }
            known = merge(known, column.pairs().0);
        }
        let found: BTreeMap<_, _> = known.iter().map(|p| ((p.a, p.b), p.kinds)).collect();
        prop_assert_eq!(found.len(), known.len());
        prop_assert_eq!(found, expected);
    }
}
