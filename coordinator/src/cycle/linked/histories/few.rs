//! Single changes after which live linking once was another than a full pass.

use super::*;

/// Somebody of whom nothing more is known than these tokens.
fn plain(agency: usize, tokens: [u64; 4]) -> Person {
    let (counts, forms, found) = ([true; 5], (0, false), Vec::new());
    Person { agency, tokens, nhs: 0, counts, likeness: 0, forms, found }
}

fn town_of(people: impl IntoIterator<Item = Person>) -> Town {
    (0..).zip(people).map(|(n, person)| (handle(n), person)).collect()
}

/// Finds that two are two people, and holds what that comes to against a fresh pass.
fn found_apart(people: Vec<Person>, clear: fn() -> Clear, [wrong, other]: [u64; 2]) -> Live {
    let mut town = town_of(people);
    let mut live = Live::pass(&town, clear(), None);
    let found = [(handle(wrong), apart(9, true)), (handle(other), apart(9, false))];
    for (of, apart) in &found {
        town.get_mut(of).unwrap().found.push(*apart);
    }
    live.dispute(&town, &found);
    let fresh = Live::pass(&town, clear(), Some(live.0.decision.learnt.clone()));
    assert_eq!(live.state(), fresh.state());
    live
}

#[test]
fn who_is_found_to_be_somebody_else_is_free_for_others() {
    // The first two are clear; the first and the third share a key that is weak.
    let people = [plain(0, [1, 1, 2, 0]), plain(1, [1, 1, 3, 0]), plain(1, [0, 0, 2, 0])];
    let Live(linked) = found_apart(people.into(), clear, [1, 0]);
    let of =
        |n| linked.records.present().find(|record| linked.records.handle(*record) == handle(n));
    let person = |n| linked.decision.persons[of(n).unwrap() as usize];
    assert_eq!(person(0), person(2), "the second look says that they are one");
}

#[test]
fn who_was_unclear_because_of_two_who_are_found_to_be_two_is_so_no_more() {
    let with_number = |agency, tokens| Person { nhs: 1, ..plain(agency, tokens) };
    let people = [
        plain(0, [1, 2, 0, 0]),
        with_number(1, [0, 0, 3, 0]),
        with_number(2, [1, 0, 3, 0]),
        plain(2, [0, 2, 0, 0]),
    ];
    found_apart(people.into(), Clear::default, [1, 0]);
}

#[test]
fn the_token_that_salts_the_second_look_does_not_depend_on_who_came_first() {
    let person = |agency, is_turned| Person { forms: (1, is_turned), ..plain(agency, [0; 4]) };
    let town = town_of([person(0, false), person(1, true)]);
    let first: Town = town.clone().into_iter().filter(|(_, person)| person.agency == 1).collect();
    let mut live = Live::pass(&first, Clear::default(), None);
    live.change(&town, &[], &[handle(0)]);
    assert_eq!(live.0.candidates(), 1);
    let fresh = Live::pass(&town, Clear::default(), Some(live.0.decision.learnt.clone()));
    assert_eq!(live.state(), fresh.state());
}

#[test]
fn who_drops_out_of_the_stream_leaves_everybody_else_as_without_them() {
    let out = AGENCIES - 1;
    // A crowd with them only, of people who share other keys as well.
    let some = MOST_IN_BLOCK as u64 + 20;
    let town = town_of((0..some).map(|n| plain(n as usize % AGENCIES, [1, n % 7, 0, 1 + n / 5])));
    let (mut records, mut pairs) = gather(&town, |_| 0);
    replace::leave_out(&mut records, &mut pairs, std::iter::once(out));
    let rest: Town = town.into_iter().filter(|(_, person)| person.agency != out).collect();
    let (fresh, expected) = gather(&rest, |_| 0);
    let named = |records: &Records, pairs: &[Pair]| {
        let pair = |pair: &Pair| {
            let Pair { kinds, carrier, slots, numbers, .. } = *pair;
            ([pair.a, pair.b].map(|record| records.handle(record)), kinds, carrier, slots, numbers)
        };
        pairs.iter().map(pair).collect::<Vec<_>>()
    };
    let crowd = 1 << KINDS[0].index();
    assert!(expected.iter().any(|pair| pair.kinds == crowd), "a crowd falls apart");
    assert_eq!(named(&records, &pairs), named(&fresh, &expected));
    assert_eq!(records.count(), fresh.count());
}

#[test]
fn a_crowd_comes_to_be_and_falls_apart_with_one_record() {
    let some = MOST_IN_BLOCK as u64 - 1;
    let member = |agency| plain(agency, [1, 0, 0, 0]);
    let mut town = town_of((0..some).map(|n| member(n as usize % AGENCIES)));
    let mut live = Live::pass(&town, Clear::default(), None);
    let pairs = |live: &Live| live.0.pairs.iter().filter(|pair| pair.kinds != 0).count();
    let before = pairs(&live);
    assert!(before > 0);
    for n in [some, some + 1] {
        town.insert(handle(n), member(0));
        live.change(&town, &[], &[handle(n)]);
    }
    assert_eq!(pairs(&live), 0, "one more than may share a token");
    town.remove(&handle(5));
    live.change(&town, &[handle(5)], &[]);
    assert!(pairs(&live) > before);
    let fresh = Live::pass(&town, Clear::default(), Some(live.0.decision.learnt.clone()));
    assert_eq!(live.state(), fresh.state());
}

#[test]
fn who_fills_a_block_is_left_out_of_it_and_nobody_else_is() {
    // One phone number at two agencies, of which a third may hold it once.
    let member = |agency| plain(agency, [0, 0, 0, 1]);
    let mut town = town_of((0..3).map(member));
    let mut live = Live::pass(&town, Clear::default(), None);
    let pairs = |live: &Live| live.0.pairs.iter().filter(|pair| pair.kinds != 0).count();
    assert_eq!(pairs(&live), 3);
    let more: Vec<Handle> = (3..300).map(handle).collect();
    town.extend(more.iter().map(|handle| (*handle, member(2))));
    live.change(&town, &[], &more);
    assert_eq!(pairs(&live), 1, "of the two others alone");
    let fresh = Live::pass(&town, Clear::default(), Some(live.0.decision.learnt.clone()));
    assert_eq!(live.state(), fresh.state());
    // When it has one left, that one counts again, after a pass as well as after a change.
    town.retain(|handle, _| !more.contains(handle));
    for mut followed in [live, fresh] {
        followed.change(&town, &more, &[]);
        assert_eq!(pairs(&followed), 3);
        let fresh = Live::pass(&town, Clear::default(), Some(followed.0.decision.learnt.clone()));
        assert_eq!(followed.state(), fresh.state());
    }
}

#[test]
fn a_crowd_falls_apart_and_comes_to_be_with_one_token_that_counts_or_does_not() {
    let some = MOST_IN_BLOCK as u64 + 1;
    let member = |n| plain(n as usize % AGENCIES, [1, 2 + n, 0, 0]);
    let mut town = town_of((0..some).map(member));
    // Two who are one person whatever the crowd is.
    let more = some..some + 2;
    town.extend(more.map(|n| (handle(n), plain(n as usize % AGENCIES, [0, 2, 0, 0]))));
    let mut live = Live::pass(&town, Clear::default(), None);
    let pairs = |live: &Live| live.0.pairs.iter().filter(|pair| pair.kinds != 0).count();
    let before = pairs(&live);
    for counts in [false, true, false, true, true] {
        town.get_mut(&handle(5)).unwrap().counts[0] = counts;
        live.change(&town, &[], &[handle(5)]);
        assert_eq!(pairs(&live) > before, !counts, "{counts}");
        let fresh = Live::pass(&town, Clear::default(), Some(live.0.decision.learnt.clone()));
        assert_eq!(live.state(), fresh.state());
    }
}

#[test]
fn who_has_another_token_keeps_the_pairs_that_it_does_not_concern() {
    let mut town = town_of([
        plain(0, [1, 1, 1, 1]),
        plain(1, [1, 1, 0, 1]),
        plain(2, [0, 1, 0, 0]),
        plain(3, [0, 0, 0, 1]),
    ]);
    let mut live = Live::pass(&town, Clear::default(), None);
    let known = live.0.pairs.len();
    town.get_mut(&handle(0)).unwrap().counts[3] = false;
    live.change(&town, &[], &[handle(0)]);
    // That with the fourth is no more, and that with the second has one kind fewer.
    let new: Vec<BTreeSet<Handle>> = live.0.pairs[known..]
        .iter()
        .map(|pair| [pair.a, pair.b].map(|record| live.0.records.handle(record)).into())
        .collect();
    assert_eq!(new, [BTreeSet::from([handle(0), handle(1)])]);
    let fresh = Live::pass(&town, Clear::default(), Some(live.0.decision.learnt.clone()));
    assert_eq!(live.state(), fresh.state());
}
