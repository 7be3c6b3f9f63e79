//! Alerts as this agency's own people see them: with their own records beside them.

pub mod letter;

use causeway_proto::{
    alert::{Alert, AlertChange},
    ids::AlertId,
    pb,
};
use prost::Message;
use sqlx::SqliteConnection;

use crate::{
    source::RawPerson,
    store::{
        StoreError,
        alerts::{self, KeptAlert},
        records,
    },
};

/// An alert with our own records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Grows with every revision that arrives.
    pub position: u64,
    /// What the coordinator told us.
    pub alert: Alert,
    /// Our records that it concerns, as feed and key.
    pub records: Vec<(String, String)>,
    /// Unix milliseconds.
    pub received_ms: u64,
}

impl Shown {
    /// Returns whether somebody still has to look at it.
    pub fn is_open(&self) -> bool {
        self.alert.change != AlertChange::Cancel
    }
}

/// Returns the latest revision of every alert, newest first.
pub async fn list(
    conn: &mut SqliteConnection,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<Shown>, StoreError> {
    let mut shown = Vec::new();
    for kept in alerts::latest(conn, before, limit).await? {
        shown.push(show(conn, kept).await?);
    }
    Ok(shown)
}

/// Returns the latest revision of one alert.
pub async fn get(conn: &mut SqliteConnection, id: AlertId) -> Result<Option<Shown>, StoreError> {
    match alerts::revisions(conn, id).await?.into_iter().next() {
        Some(kept) => show(conn, kept).await.map(Some),
        None => Ok(None),
    }
}

/// One of our own records, as our own system names the person.
#[derive(Clone, PartialEq, Eq)]
pub struct Ours {
    /// The feed it comes from.
    pub feed: String,
    /// The source system's own reference.
    pub key: String,
    /// The name, as it was exported.
    pub name: String,
    /// The date of birth, as it was exported.
    pub born: String,
    /// The address, as it was exported.
    pub address: String,
}

impl std::fmt::Debug for Ours {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ours(..)")
    }
}

/// Returns our own records that an alert concerns, with names: for our own people only.
pub async fn people(conn: &mut SqliteConnection, shown: &Shown) -> Result<Vec<Ours>, StoreError> {
    let mut people = Vec::new();
    for (feed, key) in &shown.records {
        for record in records::by_key(conn, feed, &[key]).await? {
            let raw = RawPerson::unpack(&record.fields);
            let words = |parts: &[&str]| {
                let parts: Vec<&str> = parts.iter().copied().filter(|p| !p.is_empty()).collect();
                parts.join(" ")
            };
            people.push(Ours {
                name: words(&[
                    &raw.title,
                    &raw.forename,
                    &raw.middle,
                    &raw.surname,
                    &raw.full_name,
                ]),
                born: raw.dob.clone(),
                address: words(&[&raw.address, &raw.house, &raw.street, &raw.town, &raw.postcode]),
                feed: record.feed,
                key: record.key,
            });
        }
    }
    Ok(people)
}

async fn show(conn: &mut SqliteConnection, kept: KeptAlert) -> Result<Shown, StoreError> {
    let body = pb::Alert::decode(&*kept.body).map_err(|_| StoreError::Corrupt("alert"))?;
    let alert = Alert::try_from(body).map_err(|_| StoreError::Corrupt("alert"))?;
    let records = alerts::records(conn, kept.id).await?;
    Ok(Shown { position: kept.position, alert, records, received_ms: kept.received_ms })
}
