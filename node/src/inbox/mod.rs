//! Alerts as this agency's own people see them: with their own records beside them.

pub mod answer;
pub mod letter;

use causeway_proto::{
    alert::{Alert, AlertChange},
    day::Day,
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
        events, records,
        reviews::{self, KeptReview},
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
    /// When this revision was first opened, in Unix milliseconds.
    pub read_ms: Option<u64>,
    /// The latest answer given here.
    pub review: Option<KeptReview>,
    /// The first day after that of this revision on which our own records show that somebody acts. Nobody had
    /// to type it.
    pub action_seen: Option<Day>,
}

/// What became of an alert here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Nobody has opened it.
    Unread,
    /// Somebody opened it, and nobody answered.
    Read,
    /// It was answered.
    Reviewed,
    /// Our own records show that somebody acts.
    ActionSeen,
    /// It was taken back.
    Withdrawn,
}

impl Standing {
    /// Returns the word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unread => "unread",
            Self::Read => "read",
            Self::Reviewed => "reviewed",
            Self::ActionSeen => "action_seen",
            Self::Withdrawn => "withdrawn",
        }
    }
}

impl Shown {
    /// Returns what became of it. A later revision wants another look, and so does an answer that the
    /// coordinator did not take.
    pub fn standing(&self) -> Standing {
        let answered =
            |kept: &KeptReview| !kept.refused && kept.review.revision >= self.alert.revision;
        match () {
            () if self.alert.change == AlertChange::Cancel => Standing::Withdrawn,
            () if self.action_seen.is_some() => Standing::ActionSeen,
            () if self.review.as_ref().is_some_and(answered) => Standing::Reviewed,
            () if self.read_ms.is_some() => Standing::Read,
            () => Standing::Unread,
        }
    }

    /// Returns whether somebody still has to look at it.
    pub fn is_open(&self) -> bool {
        matches!(self.standing(), Standing::Unread | Standing::Read)
    }

    /// Returns for how many whole days nobody has opened it.
    pub fn unread_days(&self, now_ms: u64) -> Option<u64> {
        let unread = self.standing() == Standing::Unread;
        unread.then(|| now_ms.saturating_sub(self.received_ms) / DAY_MS)
    }
}

/// Milliseconds in a day.
const DAY_MS: u64 = 86_400_000;

/// Returns how many alerts, of the newest thousand, nobody has opened for a day or more.
pub async fn unopened(conn: &mut SqliteConnection, now_ms: u64) -> Result<usize, StoreError> {
    /// Alerts looked at.
    const NEWEST: u32 = 1000;
    let mut count = 0;
    for kept in alerts::unopened(conn, now_ms.saturating_sub(DAY_MS), NEWEST).await? {
        // It may have been answered by what the agency did, or taken back.
        count += usize::from(show(conn, kept).await?.standing() == Standing::Unread);
    }
    Ok(count)
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

/// Returns the latest revision of every alert that arrived after a position, in the order of arrival.
pub async fn after(
    conn: &mut SqliteConnection,
    position: u64,
    limit: u32,
) -> Result<Vec<Shown>, StoreError> {
    let mut shown = Vec::new();
    for kept in alerts::after(conn, position, limit).await? {
        shown.push(show(conn, kept).await?);
    }
    Ok(shown)
}

/// Returns the latest revision of one alert.
pub async fn get(conn: &mut SqliteConnection, id: AlertId) -> Result<Option<Shown>, StoreError> {
    match alerts::newest(conn, id).await? {
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
    let alert = decode(&kept)?;
    let records = alerts::records(conn, kept.id).await?;
    let read_ms = alerts::read_ms(conn, kept.id, kept.revision).await?;
    let review = reviews::latest(conn, kept.id).await?;
    let action_seen = action_seen(conn, alert.as_at, &records).await?;
    let (position, received_ms) = (kept.position, kept.received_ms);
    Ok(Shown { position, alert, records, received_ms, read_ms, review, action_seen })
}

fn decode(kept: &KeptAlert) -> Result<Alert, StoreError> {
    let body = pb::Alert::decode(&*kept.body).map_err(|_| StoreError::Corrupt("alert"))?;
    Alert::try_from(body).map_err(|_| StoreError::Corrupt("alert"))
}

/// How long after an alert our own records are taken for an answer to it.
const ANSWER_DAYS: i32 = 365;

/// Returns when our own records first show that somebody acts for people of whom we were told on a day. What
/// was done before is no answer to what a later revision says.
async fn action_seen(
    conn: &mut SqliteConnection,
    told: Day,
    records: &[(String, String)],
) -> Result<Option<Day>, StoreError> {
    let mut persons = Vec::new();
    for (feed, key) in records {
        let found = records::by_key(conn, feed, &[key]).await?;
        persons.extend(found.into_iter().filter_map(|record| record.person));
    }
    persons.sort_unstable();
    persons.dedup();
    let events = events::of_persons(conn, &persons, told.plus(ANSWER_DAYS)).await?;
    let acts = events.iter().filter(|event| event.code.shows_action() && event.start > told);
    Ok(acts.map(|event| event.start).min())
}

#[cfg(test)]
mod tests;

/// An alert of 25 February 2025 about nobody yet.
#[cfg(test)]
pub(crate) fn an_alert() -> Alert {
    use causeway_proto::{
        alert::{AlertChange, AlertSubject, Duty, Tier},
        ids::{AlertId, SweepId},
    };

    Alert {
        id: AlertId::from_bytes([7; 16]),
        revision: 1,
        change: AlertChange::New,
        sweep: SweepId::new(1, [9; 8]),
        handles: vec![],
        subject: AlertSubject::Household,
        tier: Tier::T3,
        duty: Duty::Lead,
        news: vec![],
        lines: vec![],
        rules: vec![],
        involved: vec![],
        unknowns: vec![],
        question: "?".into(),
        limits: "Not proof.".into(),
        as_at: "2025-02-25".parse().unwrap(),
        model_version: "m".into(),
        link_confidence: "Sure.".into(),
        hide_address: false,
    }
}
