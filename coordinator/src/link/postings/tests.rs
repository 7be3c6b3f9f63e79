use causeway_proto::kind::MatchKeyKind;
use proptest::prelude::*;

use super::{super::block::Column, *};

fn token(n: u64) -> u64 {
    (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

proptest! {
    #[test]
    fn holders_are_those_that_a_look_at_everybody_finds(
        streamed in prop::collection::vec(0u64..50, 40),
        late in prop::collection::vec(0u64..50, 0..40),
        settled in any::<bool>(),
    ) {
        let kind = MatchKeyKind::NamesYears;
        let mut column = Column::new(kind, 20);
        let streamed: Vec<u64> = streamed.into_iter().map(token).collect();
        column.add(0, 0, &streamed);
        let (_, mut postings) = column.pairs_and_postings();
        let mut all: Vec<(u64, u32, u8)> = Vec::new();
        for (at, token) in streamed.iter().enumerate() {
            all.push((*token, at as u32 / 2, at as u8 % 2));
        }
        let add = |postings: &mut Postings, value: u64, record: u32, slot: u8| {
            postings.add(&[Token { name: postings.name(token(value)), record, slot }]);
        };
        for (at, value) in late.iter().enumerate() {
            add(&mut postings, *value, 100 + at as u32, 0);
            all.push((token(*value), 100 + at as u32, 0));
        }
        if settled {
            // As if there were many.
            let many = (0..(1 << 16) + 16).map(|n| (postings.name(token(n + 1000)), 1000 + n));
            let many = many.map(|(name, record)| Token { name, record: record as u32, slot: 1 });
            postings.add(&many.collect::<Vec<_>>());
            prop_assert!(postings.late.is_empty());
        }
        // Some of them are sent by many.
        let senders = |value: u64| 0..[1, 3, 70][value as usize % 3];
        let mut names: Vec<Token> = (0..55)
            .flat_map(|value| senders(value).map(move |record| (value, record)))
            .map(|(value, record)| Token { name: postings.name(token(value)), record, slot: 0 })
            .collect();
        names.sort();
        let (mut blocks, mut handed) = (0, Vec::new());
        postings.each_block(&names, |same, block| {
            assert_eq!(*block, postings.holders(same[0].name).collect::<Vec<_>>());
            blocks += 1;
            handed.extend(same);
        });
        prop_assert_eq!((blocks, handed), (55, names), "a block is made once");
        for value in 0..55 {
            let name = postings.name(token(value));
            let mut found: Vec<(u32, u8)> = postings.holders(name).collect();
            found.sort_unstable();
            let holds = all.iter().filter(|(held, ..)| *held == token(value));
            let expected: Vec<(u32, u8)> = holds.map(|(_, record, slot)| (*record, *slot)).collect();
            prop_assert_eq!(found, expected);
        }
        let some = [3, 7, 99, 100];
        let mut found = postings.of(&some);
        found.sort();
        let holds = all.iter().filter(|(_, record, _)| some.contains(record));
        let holds = holds.map(|(token, record, slot)| (postings.name(*token), *record, *slot));
        let mut expected: Vec<Token> =
            holds.map(|(name, record, slot)| Token { name, record, slot }).collect();
        expected.sort();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn whoever_has_the_tokens_of_many_is_known_to_have_turned_only_where_there_was_another() {
    let mut column = Column::new(MatchKeyKind::NamesYears, 100);
    let streamed: Vec<u64> = (0..200).map(|_| token(7)).collect();
    column.add(0, 0, &streamed);
    let (_, mut postings) = column.pairs_and_postings();
    let name = |postings: &Postings, n| postings.name(token(n));
    let all = |name, records: std::ops::Range<u32>| -> Vec<Token> {
        let tokens = records.flat_map(|record| [0, 1].map(|slot| Token { name, record, slot }));
        tokens.collect()
    };
    let (seven, eight) = (name(&postings, 7), name(&postings, 8));
    assert!(postings.turn(&all(seven, 0..100)).is_empty(), "they have them already");
    assert_eq!(postings.turn(&all(eight, 10..60)).len(), 100);
    assert_eq!(postings.turn(&all(eight, 50..70)).len(), 20);
    assert_eq!(postings.turn(&all(seven, 0..100)).len(), 120);
    let counting =
        |name| postings.holders(name).filter(|holder| postings.counts(name, *holder)).count();
    assert_eq!([counting(seven), counting(eight)], [200, 0]);
}
