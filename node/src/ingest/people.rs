//! Takes in an export about people.

use std::collections::{BTreeSet, HashMap};

use causeway_proto::day::Day;
use rayon::prelude::*;
use sqlx::SqliteConnection;

use super::{
    Delivery, DryRun, How, IngestError, Intake, Read, Receipt, before, compare, dedupe,
    dedupe::Piece,
    difference::keys_of,
    drift,
    homes::Homes,
    mergers,
    persons::{self, Reading},
    prepared, unfinished,
};
use crate::{
    normalise::{Rules, normalise, over_frequent, quality::Quality},
    progress::Progress,
    source::{Before, Feed, FileRefused, PersonRow, SourceReport, mapping::Mode},
    store::{
        StoreError,
        changes::{self, Change},
        events, imports, learnt, persons as store_persons,
        records::{self, Known, NewRecord},
    },
};

impl Intake<'_> {
    pub(super) async fn people(
        &self,
        feed: &Feed,
        delivery: Delivery,
    ) -> Result<Receipt, IngestError> {
        let read = tokio::task::block_in_place(|| delivery.people(feed))?;
        let mut tx = self.store.begin().await?;
        let last = imports::last_taken(&mut tx, feed.id()).await?;
        if self.is_no_news(&mut tx, feed, &read, last.as_ref()).await? {
            tx.commit().await.map_err(StoreError::from)?;
            let (feed, file) = (feed.id().to_owned(), read.file);
            return Ok(Receipt { feed, same_as_last: true, file, ..Receipt::default() });
        }
        let Read { place, rows, mut file, live } = read;
        let before = last.as_ref().map(before);
        let refuse = |source| IngestError::Refused { place: place.clone(), source };
        let rules = Rules::of(feed, self.as_at);
        let judged = judged(&mut tx, (feed, &rules), rows, before, &mut file).await?;
        let Believed { rows, gone_over, mut known } = judged.map_err(refuse)?;
        let merged = mergers::follow(&mut tx, feed, &mut known, &gone_over, &rows).await?;
        let (records, quality) = tokio::task::block_in_place(|| new_records(rows, &rules));
        quality.judge().map_err(refuse)?;
        let how = How::of(feed, last.as_ref());
        let mut difference = compare(&known, records, |r| (&r.key, r.hash), how, &file);

        difference.gone.extend(&merged.gone);
        difference.gone.extend(&difference.left_out);
        let gone = records::by_id(&mut tx, &difference.gone).await?;
        let bereft: BTreeSet<i64> = gone.iter().filter_map(|record| record.person).collect();
        let mut homes = Homes::begin(&mut tx).await?;
        homes.leave(&mut tx, &difference.gone).await?;
        records::remove(&mut tx, &difference.gone).await?;
        records::set_missed(&mut tx, &difference.back, 0).await?;
        records::set_missed(&mut tx, &difference.missed, 1).await?;
        records::put(&mut tx, feed.id(), &difference.changed).await?;
        records::close(&mut tx, feed.id(), file.closed.iter()).await?;
        let new = std::mem::take(&mut difference.changed);
        let mut keys: Vec<&str> = new.iter().map(|r| r.key.as_str()).collect();
        keys.extend(file.closed.iter().map(|(key, _)| key));
        let changed = records::by_key(&mut tx, feed.id(), &keys).await?;
        let changed_records = new.len() as u64 - difference.anew;
        drop(new);
        let reading = Reading { feeds: self.feeds, as_at: self.as_at, keys: self.keys };
        let kept = persons::refresh(&mut tx, &reading, changed, &bereft, homes).await?;

        let heirs = events::persons_of(&mut tx, &merged.heirs).await?;
        let heirs = store_persons::by_id(&mut tx, &heirs).await?;
        let heirs: Vec<Change> =
            heirs.iter().map(|person| Change::Signals { row: person.row }).collect();
        changes::put(&mut tx, &heirs).await?;

        let receipt = Receipt {
            feed: feed.id().to_owned(),
            changed: changed_records,
            unchanged: difference.unchanged + difference.anew,
            read_anew: difference.anew,
            missed: difference.missed.len() as u64,
            removed: (difference.gone.len() - difference.left_out.len() - merged.gone.len()) as u64,
            left_out: difference.left_out.len() as u64,
            keyless: file.keyless,
            merged: merged.gone.len() as u64,
            persons_changed: kept.changed + kept.removed,
            file,
            quality: Some(quality),
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
    rows: Vec<PersonRow>,
    /// Rows that say that a record is part of another now.
    gone_over: Vec<PersonRow>,
    /// What is known of the feed, by key; of changes, only what they may concern.
    known: HashMap<String, Known>,
}

/// Sets aside what cannot be believed beside what is known, and refuses what has too much of it. Writes
/// nothing.
async fn judged(
    conn: &mut SqliteConnection,
    (feed, rules): (&Feed, &Rules),
    rows: Vec<PersonRow>,
    before: Option<Before>,
    file: &mut SourceReport,
) -> Result<Result<Believed, FileRefused>, StoreError> {
    if let Err(refused) = file.judge(feed, before) {
        return Ok(Err(refused));
    }
    let (mut gone_over, rows): (Vec<PersonRow>, Vec<PersonRow>) =
        rows.into_iter().partition(|row| row.merged_into.is_some());
    // A merger may lead to anybody, and how many there are at once is measured by all.
    let known = match feed.mapping().mode == Mode::Delta && gone_over.is_empty() {
        true => {
            let keys = keys_of(rows.iter().map(|row| row.key.as_str()), file);
            records::known_among(conn, feed.id(), &keys).await?
        }
        false => records::known(conn, feed.id()).await?,
    };
    unfinished::keep_closed(conn, feed, &rows, &mut gone_over, file).await?;
    let gone_over = mergers::sound(conn, feed, &known, gone_over, &rows, file).await?;
    if let Err(refused) = mergers::judge(feed, &known, &gone_over) {
        return Ok(Err(refused));
    }
    let rows = drift::set_aside(conn, feed, &known, rows, rules, file).await?;
    // Where everybody's number changed hands, the system is another one.
    let judged = file.judge(feed, before);
    Ok(judged.map(|()| Believed { rows, gone_over, known }))
}

/// Makes rows ready for the store, and counts how good they are.
fn new_records(rows: Vec<PersonRow>, rules: &Rules) -> (Vec<NewRecord>, Quality) {
    let progress = Progress::begin("rows normalised", rows.len());
    let normalised: Vec<_> = rows
        .into_par_iter()
        .map(|row| {
            let (person, notes) = normalise(&row.raw, rules);
            progress.add(1);
            (row, person, notes)
        })
        .collect();
    let mut quality = Quality::default();
    let records = normalised
        .into_iter()
        .map(|(row, person, notes)| {
            quality.count(&row.raw, &person, notes);
            NewRecord {
                hash: *row.hash.as_bytes(),
                fields: row.raw.pack(),
                restricted: row.restricted.map(|restriction| format!("{restriction:?}")),
                deceased: person.deceased,
                key: row.key,
            }
        })
        .collect();
    (records, quality)
}

pub(super) async fn dry_run(
    intake: &Intake<'_>,
    conn: &mut SqliteConnection,
    feed: &Feed,
    delivery: Delivery,
    last: Option<Before>,
) -> Result<DryRun, IngestError> {
    let Read { rows, mut file, .. } = tokio::task::block_in_place(|| delivery.people(feed))?;
    let rules = Rules::of(feed, intake.as_at);
    let births = learnt::births(conn).await?;
    let found = tokio::task::block_in_place(|| found((intake, feed), (&rules, births), &rows));
    let (quality, duplicates, match_keys_per_record) = found;
    let judged = judged(conn, (feed, &rules), rows, last, &mut file).await?.map(|_| ());
    let refused = judged.and_then(|()| quality.judge()).err().map(|refused| refused.to_string());
    Ok(DryRun {
        refused,
        duplicates: Some(duplicates),
        match_keys_per_record: Some(match_keys_per_record),
        quality: Some(quality),
        file,
    })
}

/// Returns how good rows are, how many of them are somebody's second record, and how many match-keys a record
/// has.
fn found(
    (intake, feed): (&Intake<'_>, &Feed),
    (rules, mut births): (&Rules, BTreeSet<Day>),
    rows: &[PersonRow],
) -> (Quality, u64, f64) {
    let mut quality = Quality::default();
    let mut normalised: Vec<_> = rows.par_iter().map(|row| normalise(&row.raw, rules)).collect();
    for (row, (person, notes)) in rows.iter().zip(&normalised) {
        quality.count(&row.raw, person, *notes);
    }
    births.extend(over_frequent(normalised.iter().map(|(person, _)| person)));
    let pieces: Vec<Piece> = normalised
        .par_iter_mut()
        .map(|(person, _)| prepared::piece(intake.keys, &births, person, feed.id()))
        .collect();
    let keys: usize = pieces.iter().map(|piece| piece.keys.len()).sum();
    let (groups, _) = dedupe::group(&pieces, None);
    let persons = groups.iter().zip(0..).filter(|(group, at)| **group == *at).count();
    (quality, (pieces.len() - persons) as u64, keys as f64 / pieces.len().max(1) as f64)
}
