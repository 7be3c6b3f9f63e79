//! Follows the mergers of a source: records that it found to be one person, and put into one.

use std::collections::{HashMap, HashSet};

use sqlx::SqliteConnection;

use crate::{
    source::{Feed, FileRefused, PersonRow, Rule, SourceReport, drops},
    store::{StoreError, events, merged, records::Known},
};

/// Sets aside the mergers that lead to nobody: into a record that is not there, or round in a circle. A
/// merger of a closed record closes the one that it became part of.
pub(super) async fn sound(
    conn: &mut SqliteConnection,
    feed: &Feed,
    known: &HashMap<String, Known>,
    gone_over: Vec<PersonRow>,
    rows: &[PersonRow],
    file: &mut SourceReport,
) -> Result<Vec<PersonRow>, StoreError> {
    if gone_over.is_empty() {
        return Ok(gone_over);
    }
    let mut now = merged::of(conn, feed.id()).await?;
    for row in rows {
        now.forget(&row.key);
    }
    for row in &gone_over {
        now.note(&row.key, row.merged_into.as_deref().unwrap_or_default());
    }
    let here: HashSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
    let leads_to_somebody = |row: &PersonRow| {
        let heir = now.now(&row.key);
        let is_there = here.contains(heir) || known.contains_key(heir);
        is_there && now.into_whom(heir).is_none()
    };
    let (sound, unsound): (Vec<PersonRow>, Vec<PersonRow>) =
        gone_over.into_iter().partition(leads_to_somebody);
    for row in &sound {
        if let Some(restriction) = row.restricted {
            file.closed.insert(now.now(&row.key).to_owned(), restriction);
        }
    }
    for row in unsound {
        file.taken -= 1;
        file.set_aside(row.line, None, Rule::MergedIntoNobody);
        if let Some(restriction) = row.restricted {
            file.closed.insert(row.key.clone(), restriction);
        }
        file.keys_set_aside.insert(row.key);
    }
    Ok(sound)
}

/// Decides whether so many records may be merged in one go.
pub(super) fn judge(
    feed: &Feed,
    known: &HashMap<String, Known>,
    gone_over: &[PersonRow],
) -> Result<(), FileRefused> {
    let merged = gone_over.iter().filter(|row| known.contains_key(&row.key)).count() as u64;
    let known = known.len() as u64;
    if drops(feed, known, known - merged) {
        let max_drop_pct = feed.mapping().max_drop_pct;
        return Err(FileRefused::TooManyMerged { merged, known, max_drop_pct });
    }
    Ok(())
}

/// What mergers in the source changed.
#[derive(Default)]
pub(super) struct Mergers {
    /// Records that are part of others now.
    pub(super) gone: Vec<i64>,
    /// Records that took others over, as feed and key.
    pub(super) heirs: Vec<(String, String)>,
}

/// Follows the mergers of the source: what was said of the old record is said of the new one.
pub(super) async fn follow(
    conn: &mut SqliteConnection,
    feed: &Feed,
    known: &mut HashMap<String, Known>,
    gone_over: &[PersonRow],
    rows: &[PersonRow],
) -> Result<Mergers, StoreError> {
    let mut mergers = Mergers::default();
    let before = merged::of(conn, feed.id()).await?;
    for row in rows {
        // The source has it again, so whose its events are shows when they come in next.
        if let Some(into) = before.into_whom(&row.key) {
            merged::remove(conn, feed.id(), &row.key).await?;
            events::doubt(conn, feed.id(), before.now(into)).await?;
        }
    }
    for row in gone_over {
        let into = row.merged_into.as_deref().unwrap_or_default();
        if before.into_whom(&row.key) != Some(into) {
            merged::put(conn, feed.id(), &row.key, into).await?;
        }
        mergers.gone.extend(known.remove(&row.key).map(|record| record.id));
    }
    let now = merged::of(conn, feed.id()).await?;
    for row in gone_over {
        let heir = now.now(&row.key);
        let was = before.now(&row.key);
        if heir != was {
            if was == row.key {
                events::move_over(conn, feed.id(), was, heir).await?;
            } else {
                // Which of that record's events came from this one shows when they come in next.
                events::doubt(conn, feed.id(), was).await?;
            }
            mergers.heirs.push((feed.id().to_owned(), heir.to_owned()));
        }
    }
    Ok(mergers)
}
