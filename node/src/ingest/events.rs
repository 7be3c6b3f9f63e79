//! Takes in an export about events.

use std::collections::HashMap;

use causeway_proto::day::Day;
use sqlx::SqliteConnection;

use super::{
    Delivery, DryRun, How, IngestError, Intake, Read, Receipt, before, compare,
    difference::keys_of, last_day,
};
use crate::{
    source::{Before, EventRow, Feed, FileRefused, Role, Rule, SourceReport, mapping::Mode},
    store::{
        StoreError,
        changes::{self, Change},
        events::{self, Event},
        imports, merged,
        merged::Merged,
        persons, records,
    },
};

impl Intake<'_> {
    pub(super) async fn events(
        &self,
        feed: &Feed,
        delivery: Delivery,
    ) -> Result<Receipt, IngestError> {
        let read = tokio::task::block_in_place(|| delivery.events(feed))?;
        let mut tx = self.store.begin().await?;
        let last = imports::last_taken(&mut tx, feed.id()).await?;
        if self.is_no_news(&mut tx, feed, &read, last.as_ref()).await? {
            tx.commit().await.map_err(StoreError::from)?;
            let (feed, file) = (feed.id().to_owned(), read.file);
            return Ok(Receipt { feed, same_as_last: true, file, ..Receipt::default() });
        }
        let how = How::of(feed, last.as_ref()).again(&read, last.as_ref());
        let Read { place, rows, mut file, live } = read;
        let before = last.as_ref().map(before);
        let refuse = |source| IngestError::Refused { place: place.clone(), source };
        let judged = judged(&mut tx, feed, rows, before, &mut file).await?;
        let Believed { rows, merged, after_death } = judged.map_err(refuse)?;
        let person_feed = feed.mapping().person_feed.as_deref().unwrap_or_default();
        let known = match how.is_of_changes() {
            true => {
                let keys = keys_of(rows.iter().map(|row| row.key.as_str()), &file);
                events::known_among(&mut tx, feed.id(), &keys).await?
            }
            false => events::known(&mut tx, feed.id()).await?,
        };
        // Of what the first delivery brings, nobody can tell when it came.
        let arrived = last.as_ref().map(|_| self.as_at);
        let event = |row| event(row, person_feed, &merged, arrived);
        let rows: Vec<Event> = rows.into_iter().map(event).collect();
        let difference = compare(&known, rows, |e| (&e.key, e.hash), how, &file);
        let mut touched: Vec<(String, String)> =
            difference.changed.iter().map(|event| event.record.clone()).collect();
        touched.extend(events::records_of(&mut tx, &difference.gone).await?);
        touched.extend(events::records_of(&mut tx, &difference.left_out).await?);
        // An event that is somebody else's now changes what is said of whose it was.
        let keys: Vec<&str> = difference.changed.iter().map(|event| event.key.as_str()).collect();
        touched.extend(events::records_by_key(&mut tx, feed.id(), &keys).await?);
        let ended = events::end_open(&mut tx, &difference.gone).await?;
        let withdrawn: Vec<i64> =
            difference.gone.iter().filter(|id| !ended.contains(id)).copied().collect();
        events::remove(&mut tx, &withdrawn).await?;
        events::remove(&mut tx, &difference.left_out).await?;
        events::set_missed(&mut tx, &difference.back, 0, None).await?;
        let seen = last_day(last.as_ref());
        events::set_missed(&mut tx, &difference.missed, 1, seen).await?;
        events::put(&mut tx, feed.id(), &difference.changed).await?;
        touched.sort_unstable();
        touched.dedup();
        let persons = events::persons_of(&mut tx, &touched).await?;
        let persons = persons::by_id(&mut tx, &persons).await?;
        let signals: Vec<Change> =
            persons.iter().map(|person| Change::Signals { row: person.row }).collect();
        changes::put(&mut tx, &signals).await?;

        // Of a whole file that is the last one again, everything that waits is told, as when it came first.
        let of_nobody = match feed.mapping().mode == Mode::Delta {
            true => of_nobody(&mut tx, person_feed, &difference.changed).await?,
            false => events::of_nobody(&mut tx, feed.id()).await?,
        };
        let receipt = Receipt {
            feed: feed.id().to_owned(),
            changed: difference.changed.len() as u64 - difference.anew,
            unchanged: difference.unchanged + difference.anew,
            read_anew: difference.anew,
            missed: difference.missed.len() as u64,
            removed: withdrawn.len() as u64,
            ended: ended.len() as u64,
            left_out: difference.left_out.len() as u64,
            keyless: file.keyless,
            of_nobody,
            after_death,
            file,
            ..Receipt::default()
        };
        self.taken(&mut tx, feed, &receipt, live.as_ref()).await?;
        // Without this, everything above is undone.
        tx.commit().await.map_err(StoreError::from)?;
        Ok(receipt)
    }
}

/// What of an export can be believed.
struct Believed {
    rows: Vec<EventRow>,
    merged: Merged,
    /// How many events were set aside because their person had died before.
    after_death: u64,
}

/// Sets aside what cannot be believed beside what is known of people, and refuses what has too much of it.
/// Writes nothing.
async fn judged(
    conn: &mut SqliteConnection,
    feed: &Feed,
    rows: Vec<EventRow>,
    before: Option<Before>,
    file: &mut SourceReport,
) -> Result<Result<Believed, FileRefused>, StoreError> {
    if let Err(refused) = file.judge(feed, before) {
        return Ok(Err(refused));
    }
    let person_feed = feed.mapping().person_feed.as_deref().unwrap_or_default();
    let deceased = records::deceased(conn, person_feed).await?;
    let merged = merged::of(conn, person_feed).await?;
    let quarantined = file.quarantined;
    let rows = alive(rows, &deceased, &merged, file);
    let after_death = file.quarantined - quarantined;
    // Where everybody is dead, the dates of death are no dates.
    let judged = file.judge(feed, before);
    Ok(judged.map(|()| Believed { rows, merged, after_death }))
}

/// Sets events after the death of their person aside, for somebody to look at.
fn alive(
    rows: Vec<EventRow>,
    deceased: &HashMap<String, Day>,
    merged: &Merged,
    file: &mut SourceReport,
) -> Vec<EventRow> {
    let died = |row: &EventRow| deceased.get(merged.now(&row.person_key)).copied();
    let (late, rows): (Vec<EventRow>, Vec<EventRow>) =
        rows.into_iter().partition(|row| died(row).is_some_and(|died| row.start > died));
    for row in late {
        file.taken -= 1;
        file.set_aside(row.line, None, Rule::AfterDeath);
    }
    rows
}

/// Counts those of some events whose person the feed about people does not have.
async fn of_nobody(
    conn: &mut SqliteConnection,
    person_feed: &str,
    some: &[Event],
) -> Result<u64, StoreError> {
    let keys: Vec<&str> = some.iter().map(|event| event.record.1.as_str()).collect();
    let there = records::known_among(conn, person_feed, &keys).await?;
    Ok(keys.iter().filter(|key| !there.contains_key(**key)).count() as u64)
}

fn event(row: EventRow, person_feed: &str, merged: &Merged, arrived: Option<Day>) -> Event {
    Event {
        hash: *row.hash.as_bytes(),
        record: (person_feed.to_owned(), merged.now(&row.person_key).to_owned()),
        reference: row.event_ref,
        system: row.system,
        arrived,
        code: row.code,
        suspect: row.role == Role::Suspect,
        start: row.start,
        end: row.end,
        confidence_permille: row.confidence_permille,
        key: row.key,
    }
}

pub(super) async fn dry_run(
    conn: &mut SqliteConnection,
    feed: &Feed,
    delivery: Delivery,
    last: Option<Before>,
) -> Result<DryRun, IngestError> {
    let Read { rows, mut file, .. } = tokio::task::block_in_place(|| delivery.events(feed))?;
    let judged = judged(conn, feed, rows, last, &mut file).await?;
    let refused = judged.err().map(|refused| refused.to_string());
    Ok(DryRun { file, refused, quality: None, duplicates: None, match_keys_per_record: None })
}
