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
        let mut names: Vec<Token> = (0..55)
            .map(|value| Token { name: postings.name(token(value)), record: 0, slot: 0 })
            .collect();
        names.sort();
        let mut blocks = 0;
        postings.each_block(&names, |token, block| {
            assert_eq!(*block, postings.holders(token.name).collect::<Vec<_>>());
            blocks += 1;
        });
        prop_assert_eq!(blocks, names.len());
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
