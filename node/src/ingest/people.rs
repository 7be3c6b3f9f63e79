//! Takes in an export about people.

use std::{collections::BTreeSet, path::Path};

use rayon::prelude::*;

use super::{
    DryRun, IngestError, Intake, Receipt, compare, dedupe,
    dedupe::Piece,
    homes::Homes,
    open,
    persons::{self, Reading},
};
use crate::{
    normalise::{Rules, normalise, quality::Quality},
    source::{Feed, People, PersonRow, SourceReport},
    store::{
        imports,
        records::{self, NewRecord},
    },
    tokenise::{profile::Profile, recipe::match_keys},
};

impl Intake<'_> {
    pub(super) async fn people(&self, feed: &Feed, path: &Path) -> Result<Receipt, IngestError> {
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

        let rules = Rules::of(feed, self.as_at);
        let (records, quality) = tokio::task::block_in_place(|| new_records(rows, &rules));
        let known = records::known(&mut tx, feed.id()).await?;
        let mode = feed.mapping().mode;
        let difference = compare(&known, records, |r| (&r.key, r.hash), mode, &file);

        let gone = records::by_id(&mut tx, &difference.gone).await?;
        let bereft: BTreeSet<i64> = gone.iter().filter_map(|record| record.person).collect();
        let mut homes = Homes::begin(&mut tx).await?;
        homes.leave(&mut tx, &difference.gone).await?;
        records::remove(&mut tx, &difference.gone).await?;
        records::set_missed(&mut tx, &difference.back, 0).await?;
        for (id, missed) in &difference.missed {
            records::set_missed(&mut tx, &[*id], *missed).await?;
        }
        records::put(&mut tx, feed.id(), &difference.changed).await?;
        let keys: Vec<&str> = difference.changed.iter().map(|r| r.key.as_str()).collect();
        let changed = records::by_key(&mut tx, feed.id(), &keys).await?;
        let reading = Reading { feeds: self.feeds, as_at: self.as_at, keys: self.keys };
        let kept = persons::refresh(&mut tx, &reading, &changed, &bereft, homes).await?;

        let receipt = Receipt {
            feed: feed.id().to_owned(),
            changed: difference.changed.len() as u64,
            unchanged: difference.unchanged,
            missed: difference.missed.len() as u64,
            removed: difference.gone.len() as u64,
            persons_changed: kept.changed + kept.removed,
            file,
            quality: Some(quality),
            ..Receipt::default()
        };
        self.taken(&mut tx, feed, &receipt, Vec::new()).await?;
        // Without this, everything above is undone.
        tx.commit().await.map_err(crate::store::StoreError::from)?;
        Ok(receipt)
    }
}

/// Reads the whole file, so that a fault at its end refuses it before anything is written.
fn read(feed: &Feed, path: &Path) -> Result<(Vec<PersonRow>, SourceReport), IngestError> {
    let refuse = |source| IngestError::File { path: path.to_owned(), source };
    let mut people = People::open(feed, open(path)?).map_err(refuse)?;
    let rows = people.by_ref().collect::<Result<Vec<_>, _>>().map_err(refuse)?;
    Ok((rows, people.finish().map_err(refuse)?))
}

/// Makes rows ready for the store, and counts how good they are.
fn new_records(rows: Vec<PersonRow>, rules: &Rules) -> (Vec<NewRecord>, Quality) {
    let normalised: Vec<_> = rows
        .into_par_iter()
        .map(|row| {
            let (person, notes) = normalise(&row.raw, rules);
            (row, person, notes)
        })
        .collect();
    let mut quality = Quality::default();
    let records = normalised
        .into_iter()
        .map(|(row, person, notes)| {
            quality.count(&person, notes);
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

pub(super) fn dry_run(
    intake: &Intake<'_>,
    feed: &Feed,
    path: &Path,
    last_rows: Option<u64>,
) -> Result<DryRun, IngestError> {
    let (rows, file) = read(feed, path)?;
    let rules = Rules::of(feed, intake.as_at);
    let mut quality = Quality::default();
    let normalised: Vec<_> = rows.par_iter().map(|row| normalise(&row.raw, &rules)).collect();
    normalised.iter().for_each(|(person, notes)| quality.count(person, *notes));
    let pieces: Vec<Piece> = normalised
        .par_iter()
        .map(|(person, _)| {
            let profile = Profile::of(&[person]);
            let mut keys = Vec::new();
            match_keys(intake.keys, &profile, |kind, slot, y| keys.push((kind, slot, y)));
            Piece::new(profile, keys)
        })
        .collect();
    let keys: usize = pieces.iter().map(|piece| piece.keys.len()).sum();
    let (groups, _) = dedupe::group(&pieces, None);
    let persons = groups.iter().zip(0..).filter(|(group, at)| **group == *at).count();
    Ok(DryRun {
        refused: file.judge(feed, last_rows).err().map(|refused| refused.to_string()),
        duplicates: Some((pieces.len() - persons) as u64),
        match_keys_per_record: Some(keys as f64 / pieces.len().max(1) as f64),
        quality: Some(quality),
        file,
    })
}
