//! What exports really are like: one test for each row of the table of quality problems, DOMAIN 5.3.

use causeway_proto::catalogue::SignalCode;

use super::{housing::*, *};
use crate::store::{events::PersonEvent, imports, persons, records, residences::Home};

#[tokio::test(flavor = "multi_thread")]
async fn no_stable_row_id_a_redelivery_is_a_no_op() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    let rows = ["A1,1,ASB,V,2025-02-20,,\n", "A2,2,ARREARS,V,2025-01-10,,\n"];
    housing.cases("2025-03-01", &rows).await;
    let (position, before) = (housing.position().await, housing.events("2025-03-02").await);
    // The file again; and the same rows otherwise ordered, with spaces and words for nothing, in
    // what is another file.
    assert!(housing.cases("2025-03-02", &rows).await.same_as_last);
    let again = ["A2,2, ARREARS ,V,2025-01-10,NULL,\n", " A1,1,ASB,V,2025-02-20,,NULL\n"];
    let receipt = housing.cases("2025-03-02", &again).await;
    assert_eq!((receipt.same_as_last, receipt.changed, receipt.unchanged), (false, 0, 2));
    assert_eq!(housing.events("2025-03-02").await, before);
    assert_eq!(housing.position().await, position);
}

#[tokio::test(flavor = "multi_thread")]
async fn full_extract_nightly_one_changed_row_of_100_000_is_one_change() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    let row = |n: usize, opened: &str| format!("A{n},{},ASB,V,{opened},,\n", 1 + n % 2);
    let mut rows: Vec<String> = (0..100_000).map(|n| row(n, "2025-01-10")).collect();
    let text = |rows: &[String]| EVENTS_HEADER.to_owned() + &rows.concat();
    housing.take(1, "2025-03-01", &text(&rows)).await.unwrap();
    let before = housing.position().await;
    rows[77_777] = row(77_777, "2025-02-10");
    let receipt = housing.take(1, "2025-03-02", &text(&rows)).await.unwrap();
    assert_eq!((receipt.changed, receipt.unchanged, receipt.removed), (1, 99_999, 0));
    assert_eq!(housing.position().await, before + 1, "and one person to look at again");
}

#[tokio::test(flavor = "multi_thread")]
async fn deletion_visible_only_by_absence_once_it_is_kept_and_twice_it_is_closed() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    let (event, state) = ("A1,1,ASB,V,2025-02-20,,\n", "A2,2,ARREARS,V,2025-01-10,,\n");
    let other = |n: u8| format!("B{n},1,ASB,V,2025-02-0{n},,\n");
    housing.cases("2025-03-01", &[event, state, &other(1)]).await;
    let first = housing.cases("2025-03-02", &[&other(1), &other(2)]).await;
    assert_eq!((first.missed, first.removed, first.ended), (2, 0, 0));
    assert_eq!(housing.events("2025-03-04").await.len(), 4);
    let second = housing.cases("2025-03-03", &[&other(1), &other(2), &other(3)]).await;
    assert_eq!((second.missed, second.removed, second.ended), (0, 1, 1));
    // The event was withdrawn. The state lasted until it was last seen, and fades from there.
    let known = housing.events("2025-03-04").await;
    let arrears: SignalCode = "HOU_ARREARS_8W".parse().unwrap();
    let of_ivy = known.iter().find(|event| event.code == arrears).unwrap();
    assert_eq!((of_ivy.start, of_ivy.end), (day("2025-01-10"), Some(day("2025-03-01"))));
    assert!(known.iter().all(|event| event.reference != "A1"));
    // That it stays away is no news, and that it comes back is.
    let third = housing.cases("2025-03-04", &[&other(1), &other(2)]).await;
    assert_eq!((third.removed, third.ended, third.changed), (0, 0, 0));
    let back = housing.cases("2025-03-05", &[state, &other(1), &other(2), &other(3)]).await;
    assert_eq!(back.changed, 1);
    let known = housing.events("2025-03-06").await;
    assert_eq!(known.iter().find(|event| event.code == arrears).unwrap().end, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn truncated_file_half_of_it_is_refused_and_counts_for_no_absence() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    let rows: Vec<String> = (0..40).map(|n| format!("A{n},1,ARREARS,V,2025-01-10,,\n")).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    housing.cases("2025-03-01", &rows).await;
    let before = housing.events("2025-03-03").await;
    for on in ["2025-03-02", "2025-03-03"] {
        let half = EVENTS_HEADER.to_owned() + &rows[..20].concat();
        let refused = housing.take(1, on, &half).await.unwrap_err();
        assert!(matches!(refused, IngestError::Refused { .. }), "{refused}");
    }
    assert_eq!(housing.events("2025-03-03").await, before);
    let mut conn = housing.store.read().await.unwrap();
    let refusal = imports::refusal(&mut conn, "cases").await.unwrap().unwrap();
    assert!(refusal.contains("it may be cut off"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn late_events_keep_their_own_date_and_the_day_they_came_in() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL]).await;
    let old = "A1,1,ASB,V,2025-01-05,,\n";
    housing.cases("2025-03-01", &[old]).await;
    let late = "A2,1,ASB,V,2025-02-20,,\n";
    housing.cases("2025-03-13", &[old, late]).await;
    // A correction does not make it younger, nor its arrival.
    let corrected = late.replace("02-20", "02-19");
    housing.cases("2025-03-20", &[old, &corrected]).await;
    let known = housing.events("2025-03-20").await;
    let arrived = |reference: &str| {
        let event = known.iter().find(|event| event.reference == reference).unwrap();
        (event.start, event.arrived)
    };
    assert_eq!(arrived("A1"), (day("2025-01-05"), None), "nobody knows when that came");
    assert_eq!(arrived("A2"), (day("2025-02-19"), Some(day("2025-03-13"))));
    // As known on 10 March there was one, and as known on 13 March two: 22 days late.
    let known_by = |on: &str| {
        known.iter().filter(|event| event.arrived.is_none_or(|came| came <= day(on))).count()
    };
    assert_eq!((known_by("2025-03-10"), known_by("2025-03-13")), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn back_dated_moves_cut_the_stays_again() {
    let housing = Agency::new().await;
    housing.people("2025-01-01", &[CAROL]).await;
    let moved =
        |on: &str| format!("1,CAROL,DENHOLM,1987-04-06,3 Moorfield Terrace,ZX2 2CD,,,{on},,,\n");
    let stays = |homes: Vec<Home>| -> Vec<(Option<Day>, Option<Day>)> {
        homes.into_iter().map(|home| (home.from, home.to)).collect()
    };
    // In March the source learns of a move in February, and later that it was in January.
    for (on, from, left) in
        [("2025-03-20", "2025-02-10", "2025-02-09"), ("2025-03-27", "2025-01-31", "2025-01-30")]
    {
        let receipt = housing.people(on, &[&moved(from)]).await;
        assert_eq!(receipt.persons_changed, 1, "the household is looked at again");
        let expected = [(Some(day("2015-01-01")), Some(day(left))), (Some(day(from)), None)];
        assert_eq!(stays(housing.homes().await), expected);
    }
    // She never lived there at all.
    housing.people("2025-04-01", &[&moved("2014-12-01")]).await;
    assert_eq!(stays(housing.homes().await), [(Some(day("2014-12-01")), None)]);
    // An address that changes without a date may be a correction: nothing is made up.
    let respelt = moved("2014-12-01").replace("Moorfield Terrace", "Moor Field Terrace");
    housing.people("2025-04-02", &[&respelt.replace("2014-12-01", "")]).await;
    assert_eq!(stays(housing.homes().await), [(None, None)]);
    // Who moved out is known to have (D9): what is dated later does not pool.
    let left = CAROL.replace("2015-01-01,,", "2015-01-01,2025-03-31,");
    housing.people("2025-04-03", &[&left]).await;
    assert_eq!(housing.homes().await.last().unwrap().to, Some(day("2025-03-31")));
}

#[tokio::test(flavor = "multi_thread")]
async fn same_event_in_two_agencies_has_one_number_where_both_note_it() {
    let housing = Agency::new().await;
    housing.people("2025-06-01", &[CAROL]).await;
    let rows = [
        "A1,1,ASB,V,2025-05-13,,POL 2025/0513\n",
        "A2,1,ASB,V,2025-05-14,,\n",
        "A3,1,ASB,V,2025-05-15,,NULL\n",
    ];
    housing.cases("2025-06-01", &rows).await;
    let mut known = housing.events("2025-06-01").await;
    known.sort_by_key(|event| event.start);
    let named: Vec<(Option<&str>, &str)> =
        known.iter().map(|event| (event.system.as_deref(), event.reference.as_str())).collect();
    let shared = (Some("police-incidents"), "pol20250513");
    assert_eq!(named, [shared, (None, "A2"), (None, "A3")]);

    // As the police themselves number it.
    let police = EVENTS
        .replace("id = 'cases'", "id = 'incidents'\nevent_ref_system = 'police-incidents'")
        .replace("[shared_ref]\n    column = 'POLICE_NO'\n    system = 'police-incidents'\n", "");
    let feed = Feed::from_toml(&police).unwrap();
    let text = format!("{EVENTS_HEADER}pol2025-0513,N1,ASB,V,2025-05-13,,\n");
    let row = crate::source::Events::open(&feed, text.as_bytes()).unwrap().next().unwrap().unwrap();
    assert_eq!((row.system.as_deref(), row.event_ref.as_str()), shared);
}

#[tokio::test(flavor = "multi_thread")]
async fn id_reuse_in_source_a_drifting_row_is_quarantined() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    let (before, position) = (housing.homes().await, housing.position().await);
    let reused = "1,BRIAN,OKAFOR,1971-02-03,8 Bell Lane,ZX3 1EF,,,2025-02-20,,,\n";
    let receipt = housing.people("2025-03-02", &[reused, IVY]).await;
    assert_eq!((receipt.changed, receipt.removed, receipt.missed), (0, 0, 0));
    assert_eq!(housing.homes().await, before);
    assert_eq!(housing.position().await, position);
    let [row] = &housing.left_out().await[..] else { panic!("one row is in the queue") };
    assert_eq!((row.feed.as_str(), row.line), ("tenants", 2));
    assert!(row.rule.contains("somebody else"), "{}", row.rule);

    // Who marries, whose birthday was mistyped, or whose NHS number says so, is the same person.
    for same in [
        CAROL.replace("DENHOLM", "PRICE"),
        CAROL.replace("1987-04-06", "1987-06-04"),
        CAROL.replace("1987-04-06", "1978-11-30"),
        CAROL.replace("CAROL,DENHOLM", "DENHOLM,CAROL").replace("1987", "1978"),
    ] {
        let receipt = housing.people("2025-03-03", &[&same, IVY]).await;
        assert_eq!((receipt.changed, receipt.file.quarantined), (1, 0), "{same}");
        housing.people("2025-03-03", &[CAROL, IVY]).await;
    }
    // A mark that closes a record closes it, whoever it is about.
    let closed = reused.replace(",,,\n", ",,,R\n");
    housing.people("2025-03-04", &[&closed, IVY]).await;
    assert_eq!(housing.homes().await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn id_merge_in_source_the_past_goes_over_to_the_new_record() {
    let housing = Agency::new().await;
    let double = "7,C,DENHOLM,1987-04-06,,,,,,,,\n";
    housing.people("2025-03-01", &[CAROL, double, IVY]).await;
    let rows = ["A1,7,ASB,V,2025-02-20,,\n", "A2,1,ASB,V,2025-02-21,,\n"];
    housing.cases("2025-03-01", &rows).await;
    let merged = double.replace(",,,,,,,,\n", ",,,,,,,1,\n");
    let receipt = housing.people("2025-03-02", &[CAROL, &merged, IVY]).await;
    assert_eq!((receipt.merged, receipt.missed, receipt.removed), (1, 0, 0));
    let of_one = |known: &[PersonEvent]| known.iter().all(|event| event.person == known[0].person);
    let known = housing.events("2025-03-03").await;
    assert!(known.len() == 2 && of_one(&known), "{known:?}");
    // Events that still name the old number are hers, too; and again it is no news.
    let later =
        ["A1,7,ASB,V,2025-02-20,,\n", "A2,1,ASB,V,2025-02-21,,\n", "A3,7,ASB,V,2025-03-02,,\n"];
    housing.cases("2025-03-03", &later).await;
    let receipt = housing.people("2025-03-03", &[CAROL, &merged]).await;
    assert_eq!((receipt.changed, receipt.merged), (0, 0));
    let known = housing.events("2025-03-03").await;
    assert!(known.len() == 3 && of_one(&known), "{known:?}");

    // The source takes it back: the number is a record again, and has its own events again.
    housing.people("2025-03-04", &[CAROL, IVY, "7,CORA,BELL,1990-01-09,,,,,,,,\n"]).await;
    let again = [later[0], later[1], later[2], "A4,2,ASB,V,2025-03-04,,\n"];
    housing.cases("2025-03-04", &again).await;
    let known = housing.events("2025-03-04").await;
    let person = |reference| known.iter().find(|e| e.reference == reference).unwrap().person;
    assert_eq!(person("A1"), person("A3"));
    assert_ne!(person("A1"), person("A2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn mixed_formats_and_excel_damage_are_refused_and_not_parsed() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    let before = housing.homes().await;
    for (damaged, rule) in [
        (CAROL.replace("ZX1 4AB,", "ZX1 4AB,9.43E+09"), "rounded the number"),
        (CAROL.replace("1987-04-06", "31873"), "count of days"),
        (CAROL.replace("ZX1 4AB,", "ZX1 4AB,101701004"), "dropped the zero"),
    ] {
        let receipt = housing.people("2025-03-02", &[&damaged, IVY]).await;
        assert_eq!((receipt.changed, receipt.missed, receipt.file.quarantined), (0, 0, 1));
        let queue = housing.left_out().await;
        assert!(queue[0].rule.contains(rule), "{queue:?}");
        assert_eq!(housing.homes().await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn role_confusion_an_unknown_role_is_a_contact() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL]).await;
    let rows =
        ["A1,1,ASB,W,2025-02-20,,\n", "A2,1,ASB,,2025-02-20,,\n", "A3,1,ASB,?,2025-02-20,,\n"];
    let receipt = housing.cases("2025-03-01", &rows).await;
    assert_eq!(receipt.file.contacts.values().sum::<u64>(), 3);
    assert_eq!(housing.events("2025-03-01").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn stale_feed_is_announced_with_what_was_refused_since() {
    let housing = Agency::new().await;
    let fresh = async |on: &str| {
        let mut conn = housing.store.read().await.unwrap();
        let now_ms = u64::try_from(day(on).number()).unwrap() * 86_400_000;
        freshness::of(&mut conn, &housing.feeds, None, now_ms).await.unwrap()
    };
    assert!(fresh("2025-03-01").await.iter().all(|feed| feed.stale), "nothing has come yet");
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    assert_eq!(fresh("2025-03-02").await[0].problem(), None);
    let refused = housing.take(0, "2025-03-02", "REF,FORENAME\n").await;
    refused.unwrap_err();
    let [people, _] = &fresh("2025-03-02").await[..] else { panic!("two feeds") };
    assert!(!people.stale && people.problem().unwrap().contains("the newest was refused"));
    let [people, _] = &fresh("2025-03-03").await[..] else { panic!("two feeds") };
    assert_eq!(
        (people.stale, people.age_h, people.as_at),
        (true, Some(48), Some(day("2025-03-01")))
    );
    assert!(people.problem().unwrap().contains("`tenants` is stale: nothing good came for 48 h"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deceased_events_after_death_go_to_the_data_quality_queue() {
    let housing = Agency::new().await;
    let dead = IVY.replace("ZX2 2CD,,,", "ZX2 2CD,,2025-02-01,");
    housing.people("2025-03-01", &[CAROL, &dead]).await;
    let rows = ["A1,2,ASB,V,2025-01-31,,\n", "A2,2,ASB,V,2025-02-02,,\n"];
    let receipt = housing.cases("2025-03-01", &rows).await;
    assert_eq!((receipt.changed, receipt.after_death), (1, 1));
    let [row] = &housing.left_out().await[..] else { panic!("one row is in the queue") };
    assert_eq!((row.feed.as_str(), row.line), ("cases", 3));
    assert!(row.rule.contains("had died before"), "{}", row.rule);
}

#[tokio::test(flavor = "multi_thread")]
async fn restricted_and_shielded_people_have_neither_events_nor_homes_to_tell() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    housing.cases("2025-03-01", &["A1,1,ASB,V,2025-02-20,,\n", "A2,2,ASB,V,2025-02-20,,\n"]).await;
    assert_eq!(housing.events("2025-03-02").await.len(), 2);
    let shielded = CAROL.replace(",,,\n", ",,,W\n");
    let restricted = IVY.replace(",,,\n", ",,,R\n");
    let receipt = housing.people("2025-03-02", &[&shielded, &restricted]).await;
    assert_eq!(receipt.file.restricted.values().sum::<u64>(), 2);
    assert_eq!(housing.events("2025-03-02").await, []);
    assert_eq!(housing.homes().await, []);
    let mut conn = housing.store.read().await.unwrap();
    assert_eq!(persons::count(&mut conn).await.unwrap(), 0);
    assert_eq!(records::count(&mut conn).await.unwrap(), 2);
}
