use super::super::{tests::*, *};

const FEED: &str = "
    id = 'nominals'
    about = 'people'
    mode = 'delta'
    dates = ['%d/%m/%Y']
    key = ['REF']

    [columns]
    forename = 'FORENAME'
    surname = 'SURNAME'
    dob = 'DOB'
    postcode = 'POSTCODE'
    email = 'EMAIL'
";

const HEADER: &str = "REF,FORENAME,SURNAME,DOB,POSTCODE,EMAIL\n";
const KATIE: &str = "1,KATIE,DAVY,26/03/2015,,KATIED26@EXAMPLE.ORG\n";
/// The same, by birth date and what stands before the @; they share no match-key.
const NAMELESS: &str = "2,,,26/03/2015,ZX1 4AB,KATIED26@EXAMPEL.COM\n";
/// Somebody else of that birth date.
const OTHER: &str = "3,ARTHUR,PENDLEBURY,26/03/2015,ZX9 9ZZ,\n";

async fn agency() -> Agency {
    let mut agency = Agency::new().await;
    agency.feeds[0] = Feed::from_toml(FEED).unwrap();
    agency
}

async fn changes(agency: &Agency, rows: &[&str]) {
    agency.take_in(0, &(HEADER.to_owned() + &rows.concat())).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_share_no_match_key_are_found_in_one_block_whenever_they_come() {
    let rows = [KATIE, NAMELESS, OTHER];
    for deliveries in
        [&[&[0, 1, 2][..]][..], &[&[0, 2], &[1]], &[&[1, 2], &[0]], &[&[2], &[0], &[1]]]
    {
        let agency = agency().await;
        for delivery in deliveries {
            let rows: Vec<&str> = delivery.iter().map(|row| rows[*row]).collect();
            changes(&agency, &rows).await;
        }
        assert_eq!(agency.counts().await, (3, 2, 2), "{deliveries:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_found_in_a_block_is_let_go_of_when_the_other_changes() {
    let agency = agency().await;
    changes(&agency, &[KATIE, NAMELESS]).await;
    assert_eq!(agency.counts().await, (2, 1, 1));
    changes(&agency, &[&KATIE.replace("26/03/2015", "14/11/1962")]).await;
    assert_eq!(agency.counts().await, (2, 2, 2));
    changes(&agency, &[KATIE]).await;
    assert_eq!(agency.counts().await, (2, 1, 1));
}
