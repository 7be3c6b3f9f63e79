//! Keeps persons, their match-keys and their homes in step with the records.
//!
//! Only what changed is done again: the changed records, whoever shares something with them or did with
//! what they were before, and the other records of those persons. A person whose records are the same
//! keeps their row.

use std::collections::{BTreeMap, BTreeSet};

use causeway_proto::day::Day;
use sqlx::SqliteConnection;

use super::{
    IngestError,
    dedupe::{self, Piece},
    homes::Homes,
    looked::Looked,
    prepared::{self, Known},
    sharing,
};
use crate::{
    source::Feed,
    store::{
        StoreError, learnt, persons,
        records::{self, Stored},
        weights,
    },
    tokenise::recipe::MatchKeys,
};

/// Once so large a share of the records has changed since everybody was looked at, everybody is looked at again,
/// and teaches new weights. In between, what changed is held against the persons that are there, each as its
/// records show it together, and some who fit one of these records alone are not found.
const EVERYBODY_AFTER: f64 = 0.1;

/// In a small agency, once more than so many have.
const FEW: f64 = 20.0;

/// If so many of the records are open: a few that are left would teach nothing.
const LEARN_FROM_SHARE: f64 = 0.5;

/// What became of the persons.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Kept {
    /// Persons that are new or have other match-keys.
    pub(super) changed: u64,
    /// Persons that are gone.
    pub(super) removed: u64,
}

/// What normalising a record of any feed needs.
pub(super) struct Reading<'a> {
    /// The agency's feeds about people.
    pub(super) feeds: &'a [Feed],
    /// The day of the export.
    pub(super) as_at: Day,
    /// The epoch's keys.
    pub(super) keys: &'a MatchKeys,
}

impl Reading<'_> {
    /// Returns whether a feed is one of the settings: records of one that is not belong to nobody.
    fn knows(&self, feed: &str) -> bool {
        self.feeds.iter().any(|known| known.id() == feed)
    }
}

/// Brings persons into step after some records changed and some persons lost a record. Everybody is looked at where
/// nobody ever was, and where these changes alone are more than [`EVERYBODY_AFTER`].
pub(super) async fn refresh(
    conn: &mut SqliteConnection,
    reading: &Reading<'_>,
    changed: Vec<Stored>,
    bereft: &BTreeSet<i64>,
    homes: Homes,
) -> Result<Kept, IngestError> {
    let now = (changed.len() + bereft.len()) as u64;
    let since = learnt::changed_since(conn).await?;
    let count = records::count(conn).await?;
    let whom = match since.is_none() || is_much(now, count) {
        true => Whom::Everybody,
        false => Whom::Touched,
    };
    let looked = look(conn, reading, whom, changed, bereft).await?;
    if whom == Whom::Touched {
        learnt::set_changed_since(conn, since.unwrap_or_default() + now).await?;
    }
    looked.write(conn, reading.keys, homes).await
}

/// Returns whether everybody is to be looked at, after many changes none of which was much.
pub(super) async fn is_due(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    let since = learnt::changed_since(conn).await?.unwrap_or_default();
    Ok(is_much(since, records::count(conn).await?))
}

fn is_much(changed: u64, records: u64) -> bool {
    changed as f64 > (EVERYBODY_AFTER * records as f64).max(FEW)
}

/// Who is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Whoever has something to do with what changed.
    Touched,
    /// All.
    Everybody,
}

/// Finds who is one person after some records changed. Only reads.
pub(super) async fn look(
    conn: &mut SqliteConnection,
    reading: &Reading<'_>,
    whom: Whom,
    mut changed: Vec<Stored>,
    bereft: &BTreeSet<i64>,
) -> Result<Looked, IngestError> {
    changed.sort_unstable_by_key(|record| record.id);
    changed.dedup_by_key(|record| record.id);
    let mut touched: BTreeSet<i64> = changed.iter().filter_map(|record| record.person).collect();
    touched.extend(bereft);
    let mut changed_ids: BTreeSet<i64> = changed.iter().map(|record| record.id).collect();
    let mut before = grouped(&changed);
    let mut closed: Vec<i64> = Vec::new();
    let is_closed = |record: &&Stored| record.restricted || !reading.knows(&record.feed);
    closed.extend(changed.iter().filter(is_closed).map(|record| record.id));
    let weights = weights::load(conn).await?;
    let defaults = learnt::births(conn).await?;
    let mut known = tokio::task::block_in_place(|| prepared::known(reading, changed));
    let mut ready = Vec::new();
    if whom == Whom::Everybody {
        touched.extend(persons::ids(conn).await?);
    } else {
        ready = keyed(reading, &defaults, std::mem::take(&mut known));
        let pieces: Vec<&Piece> = ready.iter().map(|(_, piece)| piece).collect();
        let as_they_stand: Vec<i64> = touched.iter().copied().collect();
        touched.extend(sharing::sharing(conn, &pieces, &as_they_stand, weights.as_ref()).await?);
    }

    // Every record of every touched person, and the changed ones whosever they were. What is
    // prepared is by far the largest part of an intake, so nothing is prepared twice.
    let touched: Vec<i64> = touched.into_iter().collect();
    let mut others = records::of_persons(conn, &touched).await?;
    others.retain(|record| !changed_ids.contains(&record.id));
    for (person, records) in grouped(&others) {
        before.entry(person).or_default().extend(records);
    }
    closed.extend(others.iter().filter(is_closed).map(|record| record.id));
    closed.sort_unstable();
    let open = changed_ids.len() + others.len() - closed.len();
    others.retain(|record| !record.restricted);
    known.extend(tokio::task::block_in_place(|| prepared::known(reading, others)));
    let mut births = defaults;
    if whom == Whom::Everybody {
        let now = tokio::task::block_in_place(|| prepared::default_births(&known));
        let turned: BTreeSet<Day> = now.symmetric_difference(&births).copied().collect();
        let is_other = |of: &&Known| of.person.birth.day().is_some_and(|day| turned.contains(&day));
        changed_ids.extend(known.iter().filter(is_other).map(|known| known.stored.id));
        births = now;
    }
    ready.extend(keyed(reading, &births, known));
    ready.retain(|(known, _)| !known.stored.restricted);
    ready.sort_unstable_by_key(|(known, _)| known.stored.id);

    // Whoever is touched because they share a match-key would teach that people do.
    let count = records::count(conn).await? as f64;
    let teaches = whom == Whom::Everybody && open as f64 > LEARN_FROM_SHARE * count;
    let (known, pieces): (Vec<Known>, Vec<Piece>) = ready.into_iter().unzip();
    let (groups, weights) = tokio::task::block_in_place(|| {
        dedupe::group(&pieces, weights.as_ref().filter(|_| !teaches))
    });
    Ok(Looked {
        births: Some(births).filter(|_| whom == Whom::Everybody),
        weights: Some(weights).filter(|_| teaches),
        groups: members(&groups),
        changed: changed_ids,
        bereft: bereft.clone(),
        known,
        pieces,
        before,
        touched,
        closed,
    })
}

/// Makes match-keys on all cores.
fn keyed(
    reading: &Reading<'_>,
    defaults: &BTreeSet<Day>,
    known: Vec<Known>,
) -> Vec<(Known, Piece)> {
    tokio::task::block_in_place(|| prepared::keyed(reading.keys, defaults, known))
}

fn grouped(records: &[Stored]) -> BTreeMap<i64, BTreeSet<i64>> {
    let mut by_person: BTreeMap<i64, BTreeSet<i64>> = BTreeMap::new();
    for record in records {
        if let Some(person) = record.person {
            by_person.entry(person).or_default().insert(record.id);
        }
    }
    by_person
}

/// Places of the members of each group.
fn members(groups: &[u32]) -> Vec<Vec<usize>> {
    let mut by_group: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, group) in groups.iter().enumerate() {
        by_group.entry(*group).or_default().push(at);
    }
    by_group.into_values().collect()
}
