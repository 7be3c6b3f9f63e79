//! A system that writes a day of birth where it knows none.

use causeway_proto::kind::MatchKeyKind;

use super::{rekeyed::rows_of, tests::Agency};
use crate::tokenise::recipe::Y;

const KIND: MatchKeyKind = MatchKeyKind::SoundsBirth;

/// People of different initials, who live apart; of some the day of birth is known, and differs.
fn rows(people: std::ops::Range<u8>, is_known: impl Fn(u8) -> bool) -> String {
    let row = |n: u8| {
        let letter = |n: u8| char::from(b'A' + n % 26);
        let (forename, surname) = (letter(n), letter(n / 26));
        let born = match is_known(n) {
            true => format!("{:02}/{:02}/1961", 2 + n % 27, 1 + n / 27),
            false => "15/06/1970".into(),
        };
        format!("N-{n},{forename}ANNA,{surname}ARLOW,{born},F,{n} LONG LANE,ZX55AA,,,\n")
    };
    people.map(row).collect()
}

/// How many have a match-key of their sound and day of birth; who has none is asked for by other keys.
async fn with_birth(agency: &Agency) -> usize {
    let has_one = |keys: &&Vec<Y>| keys.iter().any(|key| *key != [0; 16]);
    rows_of(agency, KIND).await.iter().filter(has_one).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_day_on_which_far_too_many_were_born_the_year_counts_until_it_is_put_right() {
    let agency = Agency::new().await;
    agency.people(&[&rows(0..160, |n| n < 40)]).await;
    assert_eq!(agency.counts().await.0, 160);
    assert_eq!(with_birth(&agency).await, 40, "120 of them have one date");
    // A few more teach nothing new, and are read in the same way.
    agency.people(&[&rows(0..162, |n| n < 40 || n == 161)]).await;
    assert_eq!(with_birth(&agency).await, 41);
    // Nor do many small changes, after which everybody is looked at again.
    let renamed = |most: usize| {
        let rows = rows(0..162, |n| n < 40 || n == 161);
        let rows = rows.lines().enumerate().map(|(n, row)| match n < most {
            true => row.replace("ANNA,", "ANNE,") + "\n",
            false => row.to_owned() + "\n",
        });
        rows.collect::<String>()
    };
    for most in [12, 24] {
        agency.people(&[&renamed(most)]).await;
        assert_eq!(with_birth(&agency).await, 41, "{most}");
    }
    // Once most have their own date, it is that of the last, whose row stays as it was.
    agency.people(&[&rows(0..162, |n| n != 160)]).await;
    assert_eq!(with_birth(&agency).await, 162);
}
