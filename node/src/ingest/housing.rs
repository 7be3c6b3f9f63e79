//! A housing agency for tests, with one feed about people and one about events.

use std::fs;

use causeway_proto::day::Day;
use tempfile::TempDir;

use super::*;
use crate::store::{
    events::{self, PersonEvent},
    imports, persons,
    residences::{self, Home},
};

/// An agency with one feed about people and one about events.
pub(super) struct Agency {
    pub(super) store: Store,
    pub(super) feeds: Vec<Feed>,
    keys: MatchKeys,
    folder: TempDir,
}

pub(super) const PEOPLE: &str = "
    id = 'tenants'
    about = 'people'
    dates = ['%Y-%m-%d']
    key = ['REF']
    max_drop_pct = 40
    accept_test_ranges = true

    [columns]
    forename = 'FORENAME'
    surname = 'SURNAME'
    dob = 'DOB'
    address = 'ADDRESS'
    postcode = 'POSTCODE'
    nhs = 'NHS'
    deceased = 'DIED'
    residence_from = 'MOVED_IN'
    residence_to = 'MOVED_OUT'
    merged_into = 'NOW'

    [restricted]
    column = 'MARK'
    open = ['']
    values = { 'R' = 'restricted', 'W' = 'shielded' }
";

pub(super) const EVENTS: &str = "
    id = 'cases'
    about = 'events'
    person_feed = 'tenants'
    dates = ['%Y-%m-%d']
    key = ['CASE', 'REF']
    max_drop_pct = 40

    [columns]
    person = 'REF'
    event_ref = 'CASE'
    type = 'TYPE'
    role = 'ROLE'
    start = 'OPENED'
    end = 'CLOSED'

    [shared_ref]
    column = 'POLICE_NO'
    system = 'police-incidents'

    [roles]
    'V' = 'victim'
    'W' = 'witness'

    [codes]
    'ASB' = 'HOU_ASB_COMPLAINANT'
    'ARREARS' = 'HOU_ARREARS_8W'
";

pub(super) const PEOPLE_HEADER: &str =
    "REF,FORENAME,SURNAME,DOB,ADDRESS,POSTCODE,NHS,DIED,MOVED_IN,MOVED_OUT,NOW,MARK\n";
pub(super) const EVENTS_HEADER: &str = "CASE,REF,TYPE,ROLE,OPENED,CLOSED,POLICE_NO\n";

/// Two tenants.
pub(super) const CAROL: &str =
    "1,CAROL,DENHOLM,1987-04-06,14 Larkrise Close,ZX1 4AB,,,2015-01-01,,,\n";
pub(super) const IVY: &str = "2,IVY,MARSH,1960-09-21,3 Moorfield Terrace,ZX2 2CD,,,2009-05-01,,,\n";

pub(super) fn day(text: &str) -> Day {
    text.parse().unwrap()
}

impl Agency {
    pub(super) async fn new() -> Self {
        let feeds = vec![Feed::from_toml(PEOPLE).unwrap(), Feed::from_toml(EVENTS).unwrap()];
        Self {
            store: Store::in_memory().await,
            feeds,
            keys: MatchKeys::of_tests(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) async fn take(
        &self,
        feed: usize,
        on: &str,
        text: &str,
    ) -> Result<Receipt, IngestError> {
        let path = self.folder.path().join("export.csv");
        fs::write(&path, text).unwrap();
        let intake = Intake {
            store: &self.store,
            feeds: &self.feeds,
            keys: &self.keys,
            keyring: None,
            as_at: day(on),
            now_ms: u64::try_from(day(on).number()).unwrap() * 86_400_000,
        };
        intake.take_in(&self.feeds[feed], &path).await
    }

    pub(super) async fn people(&self, on: &str, rows: &[&str]) -> Receipt {
        self.take(0, on, &(PEOPLE_HEADER.to_owned() + &rows.concat())).await.unwrap()
    }

    pub(super) async fn cases(&self, on: &str, rows: &[&str]) -> Receipt {
        self.take(1, on, &(EVENTS_HEADER.to_owned() + &rows.concat())).await.unwrap()
    }

    /// What is known to have happened up to a day.
    pub(super) async fn events(&self, as_at: &str) -> Vec<PersonEvent> {
        let mut conn = self.store.read().await.unwrap();
        events::up_to(&mut conn, day(as_at)).await.unwrap()
    }

    /// Where everybody lives and lived, the earliest first.
    pub(super) async fn homes(&self) -> Vec<Home> {
        let mut conn = self.store.read().await.unwrap();
        let ids: Vec<i64> = (1..=persons::next_id(&mut conn).await.unwrap()).collect();
        let homes = residences::of_persons(&mut conn, &ids).await.unwrap();
        let mut homes: Vec<Home> = homes.into_iter().map(|(_, home)| home).collect();
        homes.sort_by_key(|home| home.from);
        homes
    }

    pub(super) async fn position(&self) -> u64 {
        crate::store::changes::position(&mut self.store.read().await.unwrap()).await.unwrap()
    }

    pub(super) async fn left_out(&self) -> Vec<imports::LeftOut> {
        imports::left_out(&mut self.store.read().await.unwrap()).await.unwrap()
    }
}
