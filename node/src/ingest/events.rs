//! Takes in an export about events.

use std::path::Path;

use causeway_proto::day::Day;

use super::{DryRun, IngestError, Intake, Receipt, compare, open};
use crate::{
    source::{EventRow, Events, Feed, Role, SourceReport},
    store::{
        StoreError,
        changes::{self, Change},
        events::{self, Event},
        imports::{self, Quarantined},
        persons, records,
    },
};

impl Intake<'_> {
    pub(super) async fn events(&self, feed: &Feed, path: &Path) -> Result<Receipt, IngestError> {
        let read = tokio::task::block_in_place(|| read(feed, path));
        let (rows, file) = match read {
            Ok(read) => read,
            Err(error) => {
                self.refuse(feed, &error).await?;
                return Err(error);
            }
        };
        let mut tx = self.store.begin().await?;
        let last = imports::last_taken(&mut tx, feed.id()).await?;
        let hash = file.sha256.as_ref().map_or([0; 32], |hash| *hash.as_bytes());
        if last.as_ref().is_some_and(|last| last.sha256 == hash) {
            let feed = feed.id().to_owned();
            return Ok(Receipt { feed, same_as_last: true, file, ..Receipt::default() });
        }
        if let Err(source) = file.judge(feed, last.map(|last| last.rows)) {
            drop(tx);
            let error = IngestError::Refused { path: path.to_owned(), source };
            self.refuse(feed, &error).await?;
            return Err(error);
        }

        let person_feed = feed.mapping().person_feed.as_deref().unwrap_or_default();
        let deceased = records::deceased(&mut tx, person_feed).await?;
        let (posthumous, rows): (Vec<EventRow>, Vec<EventRow>) =
            rows.into_iter().partition(|row| {
                deceased.get(&row.person_key).is_some_and(|died: &Day| row.start > *died)
            });
        let after_death: Vec<Quarantined> = posthumous
            .iter()
            .map(|row| Quarantined {
                line: row.line,
                column: String::new(),
                rule: "the person had died before; a family is not alerted because of a record \
                       that was closed late"
                    .to_owned(),
            })
            .collect();

        let known = events::known(&mut tx, feed.id()).await?;
        let rows: Vec<Event> = rows.into_iter().map(|row| event(row, person_feed)).collect();
        let mode = feed.mapping().mode;
        let difference = compare(&known, rows, |e| (&e.key, e.hash), mode, &file);
        let mut touched: Vec<(String, String)> =
            difference.changed.iter().map(|event| event.record.clone()).collect();
        touched.extend(events::records_of(&mut tx, &difference.gone).await?);
        // An event that is somebody else's now changes what is said of whose it was.
        let keys: Vec<&str> = difference.changed.iter().map(|event| event.key.as_str()).collect();
        touched.extend(events::records_by_key(&mut tx, feed.id(), &keys).await?);
        events::remove(&mut tx, &difference.gone).await?;
        events::set_missed(&mut tx, &difference.back, 0).await?;
        for (id, missed) in &difference.missed {
            events::set_missed(&mut tx, &[*id], *missed).await?;
        }
        events::put(&mut tx, feed.id(), &difference.changed).await?;
        touched.sort_unstable();
        touched.dedup();
        let persons = events::persons_of(&mut tx, &touched).await?;
        let persons = persons::by_id(&mut tx, &persons).await?;
        let signals: Vec<Change> =
            persons.iter().map(|person| Change::Signals { row: person.row }).collect();
        changes::put(&mut tx, &signals).await?;

        let receipt = Receipt {
            feed: feed.id().to_owned(),
            changed: difference.changed.len() as u64,
            unchanged: difference.unchanged,
            missed: difference.missed.len() as u64,
            removed: difference.gone.len() as u64,
            after_death: after_death.len() as u64,
            file,
            ..Receipt::default()
        };
        self.taken(&mut tx, feed, &receipt, after_death).await?;
        // Without this, everything above is undone.
        tx.commit().await.map_err(StoreError::from)?;
        Ok(receipt)
    }
}

/// Reads the whole file, so that a fault at its end refuses it before anything is written.
fn read(feed: &Feed, path: &Path) -> Result<(Vec<EventRow>, SourceReport), IngestError> {
    let refuse = |source| IngestError::File { path: path.to_owned(), source };
    let mut events = Events::open(feed, open(path)?).map_err(refuse)?;
    let rows = events.by_ref().collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    Ok((rows, events.finish().map_err(refuse)?))
}

fn event(row: EventRow, person_feed: &str) -> Event {
    Event {
        hash: *row.hash.as_bytes(),
        record: (person_feed.to_owned(), row.person_key),
        // Without a reference of its own, an event is only ever itself.
        reference: if row.event_ref.is_empty() { row.key.clone() } else { row.event_ref },
        code: row.code,
        suspect: row.role == Role::Suspect,
        start: row.start,
        end: row.end,
        confidence_permille: row.confidence_permille,
        key: row.key,
    }
}

pub(super) fn dry_run(
    feed: &Feed,
    path: &Path,
    last_rows: Option<u64>,
) -> Result<DryRun, IngestError> {
    let (_, file) = read(feed, path)?;
    let refused = file.judge(feed, last_rows).err().map(|refused| refused.to_string());
    Ok(DryRun { file, refused, quality: None, duplicates: None, match_keys_per_record: None })
}
