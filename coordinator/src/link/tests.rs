use super::*;

fn roll(rows: usize) -> Roll {
    Roll {
        handles: vec![Handle::from_bytes([0; 16]); rows],
        flags: vec![PersonFlags(0); rows],
        strong_ids: vec![[0; 3]; rows],
    }
}

#[test]
fn records_are_numbered_through_and_an_absent_agency_has_none() {
    let records = Records::new(vec![roll(3), roll(0), roll(2)]);
    assert_eq!(records.len(), 5);
    assert_eq!([0, 2, 3, 4].map(|r| records.place(r)), [(0, 0), (0, 2), (2, 0), (2, 1)]);
    let pairs = |out: Option<usize>| records.possible_pairs(|agency| Some(agency) != out);
    assert_eq!([None, Some(0), Some(1), Some(2)].map(pairs), [6.0, 0.0, 6.0, 0.0]);
}

#[test]
fn who_comes_late_has_the_next_number_and_the_next_row_of_its_agency() {
    let mut records = Records::new(vec![roll(2), roll(1)]);
    let tokens: Vec<Vec<u64>> =
        MatchKeyKind::ALL.iter().map(|kind| vec![7; kind.slots()]).collect();
    let late = records.add(0, Handle::from_bytes([1; 16]), PersonFlags(1), &tokens);
    records.remove(1);
    assert_eq!((late, records.place(late), records.number(0, 2)), (3, (0, 2), late));
    assert_eq!(records.present().collect::<Vec<_>>(), [0, 2, 3]);
    assert_eq!(records.by_agency([0, 2, 3]), [vec![0, 3], vec![2]]);
    let handle = Handle::from_bytes([1; 16]);
    assert_eq!(records.find(0, &HashSet::from([handle]))[&handle], late);
}
