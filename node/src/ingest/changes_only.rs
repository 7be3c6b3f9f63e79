//! Files of changes, in which the later row of a key counts.

use super::{tests::*, *};
use crate::store::events;

/// The feed about people as one of changes, of which closed records are not for the node.
fn of_changes() -> Feed {
    let mapping = format!("mode = 'delta'\nwhere = {{ STATE = ['OPEN'] }}\n{PEOPLE}");
    Feed::from_toml(&mapping).unwrap()
}

async fn agency() -> Agency {
    let mut police = Agency::new().await;
    police.feeds[0] = of_changes();
    police
}

/// Takes in changes: rows, each with its state.
async fn changes(police: &Agency, rows: &[(&str, &str)]) -> Receipt {
    let header = "REF,FORENAME,SURNAME,DOB,SEX,ADDRESS,POSTCODE,NHS,DIED,MARK,STATE\n";
    let rows = rows.iter().map(|(row, state)| format!("{},{state}\n", row.trim_end()));
    police.take_in(0, &(header.to_owned() + &rows.collect::<String>())).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_closed_later_in_one_file_goes_and_whoever_is_opened_again_stays() {
    let police = agency().await;
    changes(&police, &[(CAROL, "OPEN"), (KIERAN, "OPEN")]).await;
    assert_eq!(police.counts().await.0, 2);
    // Opened and closed within a day, changed and closed, and closed and opened again as before.
    let ada = "N-1,ADA,BYRON,10/12/1985,F,,,,,\n";
    let moved = CAROL.replace("14 LARKRISE CL", "3 MOORFIELD TERRACE");
    let rows = [
        (ada, "OPEN"),
        (ada, "CLOSED"),
        (&moved, "OPEN"),
        (CAROL, "CLOSED"),
        (KIERAN, "OPEN"),
        (KIERAN, "CLOSED"),
        (KIERAN, "OPEN"),
    ];
    let receipt = changes(&police, &rows).await;
    assert_eq!(receipt.file.quarantined, 0);
    assert_eq!(police.counts().await, (1, 1, 1), "Kieran alone");
    changes(&police, &[(CAROL, "OPEN")]).await;
    assert_eq!(police.counts().await, (2, 2, 2), "she may come back");
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_events_are_held_against_what_they_are_about_and_counted_by_themselves() {
    let mut police = agency().await;
    let sensitive = "[sensitive]\ncolumn = 'MARK'\nvalues = ['S']\n";
    police.feeds[1] = Feed::from_toml(&format!("mode = 'delta'\n{EVENTS}{sensitive}")).unwrap();
    changes(&police, &[(CAROL, "OPEN")]).await;
    let header = "INCIDENT,REF,TYPE,ROLE,DATE,MARK\n";
    let of_carol = "POL1,N-1001,ASB,V,11/01/2025,\n";
    let of_nobody = |n: u8| format!("POL{n},N-404,ASB,V,12/01/2025,\n");
    let take = async |rows: &str| {
        let receipt = police.take_in(1, &(header.to_owned() + rows)).await.unwrap();
        let mut conn = police.store.read().await.unwrap();
        let known = events::known(&mut conn, "incidents").await.unwrap();
        let Receipt { changed, unchanged, left_out, of_nobody, .. } = receipt;
        (changed, unchanged, left_out, of_nobody, known.len())
    };
    let first = take(&(of_carol.to_owned() + &of_nobody(2))).await;
    assert_eq!(first, (2, 0, 0, 1, 2));
    let second = take(&(of_carol.to_owned() + &of_nobody(3))).await;
    assert_eq!(second, (1, 1, 0, 1, 3), "one of the two of nobody came before");
    assert_eq!(take(&of_carol.replace(",\n", ",S\n")).await, (0, 0, 1, 0, 2));
}
