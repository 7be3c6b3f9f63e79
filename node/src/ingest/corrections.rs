//! What sources take back: rows that are left out now, marks that close, mergers that lead nowhere, mappings
//! that are mended, and columns that turn into something else.

use super::{
    housing::{Agency, CAROL, EVENTS, IVY, PEOPLE, PEOPLE_HEADER},
    *,
};
use crate::store::records;

const SENSITIVE: &str = "\n[sensitive]\ncolumn = 'POLICE_NO'\nvalues = ['SECRET']\n";

impl Agency {
    /// An agency whose feeds are as usual but for some text.
    async fn with(people: &[(&str, &str)], events: &[(&str, &str)]) -> Self {
        let mut agency = Self::new().await;
        agency.map(0, PEOPLE, people);
        agency.map(1, EVENTS, events);
        agency
    }

    /// Mends a mapping.
    fn map(&mut self, feed: usize, text: &str, replace: &[(&str, &str)]) {
        let mend = |text: String, (from, to): &(&str, &str)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        };
        let text = replace.iter().fold(text.to_owned(), mend);
        self.feeds[feed] = Feed::from_toml(&text).unwrap();
    }

    /// How many records there are, and how many are somebody's: the others are closed.
    async fn records(&self) -> (u64, usize) {
        let mut conn = self.store.read().await.unwrap();
        let count = records::count(&mut conn).await.unwrap();
        let ids: Vec<i64> = (1..=20).collect();
        let stored = records::by_id(&mut conn, &ids).await.unwrap();
        (count, stored.iter().filter(|record| record.person.is_some()).count())
    }

    async fn refused(&self, feed: usize, on: &str, text: &str) -> String {
        let refused = self.take(feed, on, text).await.unwrap_err();
        std::error::Error::source(&refused).expect("a refusal says why").to_string()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_now_is_gone_at_once_whatever_the_mode() {
    const EVENTS_COLUMNS: &str = "[columns]\n    person";
    for mode in ["", "mode = 'delta'"] {
        let columns = format!("{mode}\n    {EVENTS_COLUMNS}");
        let roles = format!("{SENSITIVE}\n    [roles]");
        let changes = [
            (EVENTS_COLUMNS, &columns[..]),
            ("[shared_ref]\n    column = 'POLICE_NO'\n    system = 'police-incidents'", ""),
            ("[roles]", &roles[..]),
            ("max_drop_pct = 40", "max_drop_pct = 90"),
        ];
        let housing = Agency::with(&[], &changes).await;
        housing.people("2025-03-01", &[CAROL, IVY]).await;
        let first = [
            "A1,1,ARREARS,V,2025-02-20,,\n",
            "A2,2,ASB,V,2025-01-10,,\n",
            "A3,1,ASB,V,2025-01-10,,\n",
            "A4,1,ASB,V,2025-01-11,,\n",
        ];
        housing.cases("2025-03-01", &first).await;
        let before = housing.position().await;
        // One is secret now, one was only seen, one is of a type that means nothing; of the last nobody
        // knows what the role means, and it stands.
        let second = [
            "A1,1,ARREARS,V,2025-02-20,,SECRET\n",
            "A2,2,ASB,W,2025-01-10,,\n",
            "A3,1,PARKING,V,2025-01-10,,\n",
            "A4,1,ASB,Tenancy holder,2025-01-11,,\n",
            "A5,1,ASB,V,2025-01-12,,\n",
        ];
        let receipt = housing.cases("2025-03-02", &second).await;
        assert_eq!((receipt.left_out, receipt.missed, receipt.removed), (3, 0, 0), "{mode}");
        let events = housing.events("2025-03-02").await;
        assert_eq!(events.len(), 2, "{mode} {events:?}");
        assert!(housing.position().await > before, "whoever follows hears of it");
        // As often as it comes.
        let receipt = housing.cases("2025-03-03", &[&second.concat(), second[4]]).await;
        assert_eq!((receipt.left_out, receipt.changed), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_whom_the_mapping_leaves_out_now_is_gone_also_from_a_feed_of_changes() {
    let only = "mode = 'delta'\n    [where]\n    NHS = ['']\n    [columns]\n    forename";
    let housing = Agency::with(&[("[columns]\n    forename", only)], &[]).await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    let left = IVY.replace("ZX2 2CD,,", "ZX2 2CD,closed,");
    let receipt = housing.people("2025-03-02", &[&left]).await;
    assert_eq!((receipt.left_out, housing.records().await), (1, (1, 1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_closes_closes_whatever_else_is_wrong_with_the_row() {
    let housing = Agency::new().await;
    housing.people("2025-03-01", &[CAROL, IVY]).await;
    assert_eq!(housing.records().await, (2, 2));
    // A spreadsheet has been at the date, and the mark is new.
    let damaged = CAROL.replace("1987-04-06", "31873").replace(",,\n", ",,R\n");
    let receipt = housing.people("2025-03-02", &[&damaged, IVY]).await;
    assert_eq!((receipt.file.quarantined, housing.records().await), (1, (2, 1)));
    // It stands twice, once with the mark.
    let twice = IVY.replace(",,\n", ",,W\n");
    housing.people("2025-03-03", &[CAROL, IVY, &twice]).await;
    assert_eq!(housing.records().await, (2, 1), "Carol is open again and Ivy is not");
    housing.people("2025-03-04", &[CAROL, IVY]).await;
    assert_eq!(housing.records().await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_rows_under_a_mended_mapping_are_news() {
    let marks = "[restricted]\n    column = 'MARK'\n    open = ['']\n    values = { 'R' = 'restricted', 'W' = 'shielded' }";
    let mut housing = Agency::with(&[(marks, "")], &[]).await;
    let carol = CAROL.replace(",,\n", ",,W\n");
    housing.people("2025-03-01", &[&carol, IVY]).await;
    assert_eq!(housing.records().await, (2, 2));
    assert!(housing.people("2025-03-02", &[&carol, IVY]).await.same_as_last);
    housing.map(0, PEOPLE, &[]);
    let receipt = housing.people("2025-03-03", &[&carol, IVY]).await;
    assert_eq!((receipt.same_as_last, receipt.changed, receipt.read_anew), (false, 1, 1));
    assert_eq!(housing.records().await, (2, 1));
    assert!(housing.people("2025-03-04", &[&carol, IVY]).await.same_as_last);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_file_of_changes_the_last_row_of_a_key_counts() {
    let delta = "mode = 'delta'\n    [columns]\n    forename";
    let housing = Agency::with(&[("[columns]\n    forename", delta)], &[]).await;
    housing.people("2025-03-01", &[CAROL]).await;
    let moved = CAROL.replace("14 Larkrise Close", "99 Wrong Street");
    let receipt = housing.people("2025-03-02", &[&moved, CAROL]).await;
    assert_eq!((receipt.changed, receipt.unchanged), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn mergers_that_lead_nowhere_are_set_aside_and_too_many_are_refused() {
    let housing = Agency::new().await;
    let tenant = |n: u32| CAROL.replacen("1,CAROL", &format!("{n},NAME{n}"), 1);
    let merged = |n: u32, into: &str| tenant(n).replace(",,\n", &format!(",{into},\n"));
    let all: Vec<String> = (1..=10).map(tenant).collect();
    let rows = |rows: Vec<String>| PEOPLE_HEADER.to_owned() + &rows.concat();
    housing.take(0, "2025-03-01", &rows(all.clone())).await.unwrap();
    // A ring, and one into somebody who is not there.
    let mut ring = all.clone();
    (ring[0], ring[1], ring[2]) = (merged(1, "2"), merged(2, "1"), merged(3, "nobody"));
    let receipt = housing.take(0, "2025-03-02", &rows(ring)).await.unwrap();
    assert_eq!((receipt.merged, receipt.file.quarantined), (0, 3));
    assert_eq!(housing.records().await.0, 10);
    // The wrong column: everybody into the first.
    let shifted = (1..=10).map(|n| if n == 1 { tenant(1) } else { merged(n, "1") }).collect();
    let refused = housing.refused(0, "2025-03-03", &rows(shifted)).await;
    assert!(refused.starts_with("9 of 10 records are said to be merged"), "{refused}");
    // Whoever was closed closes the one that they became part of.
    let mut closed = all.clone();
    closed[3] = merged(4, "5").replace(",5,\n", ",5,W\n");
    let receipt = housing.take(0, "2025-03-04", &rows(closed)).await.unwrap();
    assert_eq!((receipt.merged, housing.records().await), (1, (9, 8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_date_that_stands_for_none_kills_nobody() {
    let housing = Agency::new().await;
    for (on, died) in [("2025-03-01", "1900-01-01"), ("2025-03-02", "2999-12-31")] {
        let carol = CAROL.replace("ZX1 4AB,,,", &format!("ZX1 4AB,,{died},"));
        housing.people(on, &[&carol, IVY]).await;
        let receipt = housing.cases(on, &["A1,1,ASB,V,2025-02-20,,\n"]).await;
        assert_eq!((receipt.after_death, receipt.file.quarantined), (0, 0), "{died}");
    }
    assert_eq!(housing.events("2025-03-02").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_say_otherwise_throughout_are_refused() {
    let housing = Agency::new().await;
    let rows = |form: fn(u32) -> String| -> String {
        let row = |n: u32| format!("{n},NAME{n},DENHOLM,{},{n} Larkrise,ZX1 4AB,,,,,,\n", form(n));
        PEOPLE_HEADER.to_owned() + &(1..=20).map(row).collect::<String>()
    };
    housing.take(0, "2025-03-01", &rows(|n| format!("19{}-04-06", 60 + n))).await.unwrap();
    let other = rows(|n| format!("06/04/19{}", 60 + n));
    let refused = housing.refused(0, "2025-03-02", &other).await;
    assert!(refused.starts_with("20 of 20 dates of birth cannot be read"), "{refused}");
    let exchanged = rows(|n| format!("19{}-{}-06", 60 + n, 10 + n));
    let refused = housing.refused(0, "2025-03-02", &exchanged).await;
    assert!(refused.starts_with("18 of 20 dates of birth are no days"), "{refused}");
    assert!(housing.take(0, "2025-03-02", &rows(|_| String::new())).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_may_be_cut_off_opens_nobody_and_a_second_header_is_nobody() {
    let housing = Agency::new().await;
    let closed = IVY.replace(",,\n", ",,W\n");
    housing.people("2025-03-01", &[CAROL, &closed]).await;
    let receipt = housing.people("2025-03-02", &[CAROL, PEOPLE_HEADER, IVY.trim_end()]).await;
    assert_eq!((receipt.file.repeated, receipt.file.quarantined), (1, 0));
    assert_eq!(housing.records().await, (2, 1));
    housing.people("2025-03-03", &[CAROL, IVY]).await;
    assert_eq!(housing.records().await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_merger_whose_mark_may_be_cut_off_closes_the_record_that_took_it_over() {
    let housing = Agency::new().await;
    let double = CAROL.replacen('1', "7", 1);
    let closed = double.replace(",,\n", ",,W\n");
    housing.people("2025-03-01", &[CAROL, IVY, &closed]).await;
    assert_eq!(housing.records().await, (3, 2));
    let merged = double.replace(",,\n", ",1,\n");
    let receipt = housing.people("2025-03-02", &[IVY, CAROL, merged.trim_end()]).await;
    assert_eq!((receipt.merged, housing.records().await), (1, (2, 1)));
    // The record that was closed is no longer there, and what became of it is.
    let receipt = housing.people("2025-03-03", &[CAROL, IVY, merged.trim_end()]).await;
    assert_eq!((receipt.same_as_last, housing.records().await), (false, (2, 1)));
    housing.people("2025-03-04", &[CAROL, IVY, &merged]).await;
    assert_eq!(housing.records().await, (2, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_stands_before_a_last_row_that_was_not_taken_in_is_opened_again() {
    let damaged = IVY.replace("1960-09-21", "31873");
    for (mode, last) in [("", IVY), ("", &damaged), ("mode = 'delta'", IVY)] {
        let columns = format!("{mode}\n    [columns]\n    forename");
        let housing = Agency::with(&[("[columns]\n    forename", &columns)], &[]).await;
        let closed = CAROL.replace(",,\n", ",,W\n");
        housing.people("2025-03-01", &[&closed, IVY]).await;
        assert_eq!(housing.records().await, (2, 1));
        housing.people("2025-03-02", &[IVY, CAROL, last.trim_end()]).await;
        assert_eq!(housing.records().await, (2, 2), "{mode} {last}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_events_are_read_again_when_the_people_are_others() {
    let housing = Agency::new().await;
    let double = "7,C,DENHOLM,1987-04-06,,,,,,,,\n";
    let rows = ["A1,7,ASB,V,2025-02-20,,\n", "A2,1,ASB,V,2025-02-21,,\n"];
    housing.people("2025-03-01", &[CAROL, double, IVY]).await;
    housing.cases("2025-03-01", &rows).await;
    let merged = double.replace(",,,,,,,,\n", ",,,,,,,1,\n");
    housing.people("2025-03-02", &[CAROL, &merged, IVY]).await;
    assert!(!housing.cases("2025-03-02", &rows).await.same_as_last);
    assert!(housing.cases("2025-03-02", &rows).await.same_as_last, "nobody is another one since");
    // The source takes the merger back.
    let cora = "7,CORA,BELL,1990-01-09,,,,,,,,\n";
    housing.people("2025-03-03", &[CAROL, IVY, cora]).await;
    housing.cases("2025-03-03", &rows).await;
    let known = housing.events("2025-03-03").await;
    let person = |reference| known.iter().find(|e| e.reference == reference).map(|e| e.person);
    assert!(person("A1").is_some() && person("A1") != person("A2"), "{known:?}");

    // Who died then has no later events, and has them again when the date was wrong.
    let dead = CAROL.replace("ZX1 4AB,,,", "ZX1 4AB,,2025-02-01,");
    housing.people("2025-03-04", &[&dead, IVY, cora]).await;
    housing.cases("2025-03-04", &rows).await;
    housing.people("2025-03-05", &[CAROL, IVY, cora]).await;
    housing.cases("2025-03-05", &rows).await;
    assert_eq!(housing.events("2025-03-05").await.len(), 2);
    // A file that is read again says of nothing for the second time that it is absent.
    let fewer = &rows[..1];
    housing.cases("2025-03-06", fewer).await;
    housing.people("2025-03-07", &[CAROL, IVY, cora, "8,ADA,BELL,1991-01-09,,,,,,,,\n"]).await;
    assert!(!housing.cases("2025-03-07", fewer).await.same_as_last);
    assert_eq!(housing.events("2025-03-07").await.len(), 2);
}
