//! Believes the last row of a file no further than it goes: its very last field may be cut off, and with it
//! the mark that closes a record.

use sqlx::SqliteConnection;

use crate::{
    source::{Feed, PersonRow, Restriction, SourceReport},
    store::{StoreError, merged, records},
};

/// Lets whoever was closed stay closed where the last row of an unfinished file says nothing else: its own
/// record and, where it was merged, the one that took it over. What became of the row makes no difference.
pub(super) async fn keep_closed(
    conn: &mut SqliteConnection,
    feed: &Feed,
    rows: &[PersonRow],
    gone_over: &mut [PersonRow],
    file: &mut SourceReport,
) -> Result<(), StoreError> {
    let Some(last) = file.unfinished.iter().next().map(str::to_owned) else { return Ok(()) };
    let mut all = rows.iter().chain(&*gone_over);
    if all.any(|row| row.key == last && row.restricted.is_some()) {
        return Ok(());
    }
    if !was_closed(conn, feed, &last, gone_over).await? {
        return Ok(());
    }
    match gone_over.iter_mut().find(|row| row.key == last) {
        Some(merger) => merger.restricted = Some(Restriction::Restricted),
        None => file.closed.insert(last, Restriction::Restricted),
    }
    Ok(())
}

/// Returns whether a record was closed so far, or the one that it is merged into.
async fn was_closed(
    conn: &mut SqliteConnection,
    feed: &Feed,
    key: &str,
    gone_over: &[PersonRow],
) -> Result<bool, StoreError> {
    let mut now = merged::of(conn, feed.id()).await?;
    for row in gone_over {
        now.note(&row.key, row.merged_into.as_deref().unwrap_or_default());
    }
    let heir = match gone_over.iter().any(|row| row.key == key) {
        true => now.now(key),
        false => key,
    };
    let stored = records::by_key(conn, feed.id(), &[key, heir]).await?;
    Ok(stored.iter().any(|record| record.restricted))
}
