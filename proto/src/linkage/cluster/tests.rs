use proptest::prelude::*;

use super::*;

fn members(agencies: &[u16]) -> Vec<Member> {
    (0..)
        .zip(agencies)
        .map(|(rank, agency)| Member { sole_of: Some(*agency), rank, ..Member::default() })
        .collect()
}

fn edge(a: u32, b: u32, bits: f64) -> Edge {
    Edge { a, b, bits: Some(bits) }
}

#[test]
fn one_false_pair_does_not_chain_two_people() {
    let members = members(&[0, 1, 2, 3]);
    let edges = [edge(0, 1, 12.0), edge(2, 3, 12.0), edge(1, 2, 3.0)];
    assert_eq!(cluster(&members, &edges), [0, 0, 2, 2]);
}

#[test]
fn an_agency_that_holds_one_record_a_person_appears_once() {
    let members = members(&[0, 1, 1]);
    assert_eq!(cluster(&members, &[edge(0, 1, 9.0), edge(0, 2, 8.0)]), [0, 0, 2]);
}

#[test]
fn of_two_that_fit_well_the_better_one_is_taken() {
    let members = members(&[0, 1, 1]);
    for (better, expected) in [(1, [0, 0, 2]), (2, [0, 1, 0])] {
        let edges = [1, 2].map(|b| edge(0, b, if b == better { 30.0 } else { 14.0 }));
        assert_eq!(cluster(&members, &edges), expected);
    }
}

#[test]
fn numbers_that_differ_keep_clusters_apart_even_through_a_third_record() {
    let mut members = members(&[0, 1, 2]);
    members[0].strong_ids[0] = 7;
    members[2].strong_ids[0] = 8;
    let edges = [edge(0, 1, 12.0), edge(1, 2, 11.0)];
    assert_eq!(cluster(&members, &edges), [0, 0, 2]);
}

#[test]
fn a_veto_holds_whatever_the_others_say() {
    let members = members(&[0, 1, 2]);
    let veto = Edge { a: 0, b: 2, bits: None };
    let edges = [edge(0, 1, 12.0), edge(1, 2, 11.0), veto];
    assert_eq!(cluster(&members, &edges), [0, 0, 2]);
}

proptest! {
    #[test]
    fn those_of_whom_every_two_agree_are_one(tenths in prop::collection::vec(0i32..300, 15)) {
        let mut tenths = tenths.into_iter().map(|tenths| f64::from(tenths) / 10.0);
        let pairs = (0..6).flat_map(|a| (a + 1..6).map(move |b| (a, b)));
        let edges: Vec<Edge> =
            pairs.map(|(a, b)| edge(a, b, tenths.next().unwrap())).collect();
        prop_assert_eq!(cluster(&members(&[0, 1, 2, 3, 4, 5]), &edges), [0; 6]);
    }

    #[test]
    fn the_order_of_records_and_pairs_changes_nothing(
        weights in prop::collection::vec((0u32..12, 0u32..12, -120i32..120), 0..60),
        order in Just((0u32..12).collect::<Vec<_>>()).prop_shuffle(),
    ) {
        let agencies = [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5];
        let mut seen = BTreeMap::new();
        for (a, b, tenths) in weights {
            if a != b {
                seen.entry((a.min(b), a.max(b))).or_insert(tenths);
            }
        }
        let edges: Vec<Edge> = seen
            .iter()
            .map(|((a, b), tenths)| edge(*a, *b, f64::from(*tenths) / 10.0))
            .collect();
        let plain = members(&agencies);
        let expected = cluster(&plain, &edges);

        let mut shuffled = vec![Member::default(); 12];
        for (at, member) in plain.iter().enumerate() {
            shuffled[order[at] as usize] = *member;
        }
        let moved: Vec<Edge> = edges
            .iter()
            .rev()
            .map(|e| Edge { a: order[e.b as usize], b: order[e.a as usize], bits: e.bits })
            .collect();
        let labels = cluster(&shuffled, &moved);
        for x in 0..12 {
            for y in 0..12 {
                let together = labels[order[x] as usize] == labels[order[y] as usize];
                prop_assert_eq!(together, expected[x] == expected[y]);
            }
        }
    }
}
