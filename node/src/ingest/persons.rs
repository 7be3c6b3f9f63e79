//! Keeps persons, their match-keys and their homes in step with the records.
//!
//! Only what changed is done again: the changed records, whoever shares something with them or did with
//! what they were before, and the other records of those persons. A person whose records are the same
//! keeps their row.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use causeway_proto::{day::Day, token::PersonFlags};
use sqlx::SqliteConnection;

use super::{
    IngestError,
    dedupe::{self, Piece},
    homes::Homes,
    prepared::{self, Known},
    sharing,
};
use crate::{
    normalise::{Person, address::AddressKind},
    source::Feed,
    store::{
        StoreError,
        changes::{self, Change},
        learnt,
        persons::{self, Person as Row},
        records::{self, Stored},
        residences::{Certainty, Home},
        segments::{self, Rows},
        weights,
    },
    tokenise::{
        profile::{Birth, Profile},
        recipe::MatchKeys,
    },
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

/// Brings persons into step after some records changed and some persons lost a record.
pub(super) async fn refresh(
    conn: &mut SqliteConnection,
    reading: &Reading<'_>,
    mut changed: Vec<Stored>,
    bereft: &BTreeSet<i64>,
    mut homes: Homes,
) -> Result<Kept, IngestError> {
    changed.sort_unstable_by_key(|record| record.id);
    changed.dedup_by_key(|record| record.id);
    let mut touched: BTreeSet<i64> = changed.iter().filter_map(|record| record.person).collect();
    touched.extend(bereft);
    let mut changed_ids: BTreeSet<i64> = changed.iter().map(|record| record.id).collect();
    let mut before = grouped(&changed);
    let mut closed: Vec<i64> = Vec::new();
    let is_closed = |record: &&Stored| record.restricted || !reading.knows(&record.feed);
    closed.extend(changed.iter().filter(is_closed).map(|record| record.id));
    let count = records::count(conn).await? as f64;
    let known_since = learnt::changed_since(conn).await?;
    let since = known_since.unwrap_or_default() + (changed_ids.len() + bereft.len()) as u64;
    let everybody = known_since.is_none() || since as f64 > (EVERYBODY_AFTER * count).max(FEW);
    learnt::set_changed_since(conn, if everybody { 0 } else { since }).await?;
    let weights = weights::load(conn).await?;
    let mut defaults = learnt::births(conn).await?;
    let mut known = tokio::task::block_in_place(|| prepared::known(reading, changed));
    let mut ready = Vec::new();
    if everybody {
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
    let open = changed_ids.len() + others.len() - closed.len();
    others.retain(|record| !record.restricted);
    known.extend(tokio::task::block_in_place(|| prepared::known(reading, others)));
    if everybody {
        let now = default_births(conn, &known).await?;
        let turned: BTreeSet<Day> = now.symmetric_difference(&defaults).copied().collect();
        let is_other = |of: &&Known| of.person.birth.day().is_some_and(|day| turned.contains(&day));
        changed_ids.extend(known.iter().filter(is_other).map(|known| known.stored.id));
        defaults = now;
    }
    ready.extend(keyed(reading, &defaults, known));
    ready.retain(|(known, _)| !known.stored.restricted);
    ready.sort_unstable_by_key(|(known, _)| known.stored.id);

    // Whoever is touched because they share a match-key would teach that people do.
    let teaches = everybody && open as f64 > LEARN_FROM_SHARE * count;
    let (known, pieces): (Vec<Known>, Vec<Piece>) = ready.into_iter().unzip();
    let (groups, weights) = tokio::task::block_in_place(|| {
        dedupe::group(&pieces, weights.as_ref().filter(|_| !teaches))
    });
    if teaches {
        weights::save(conn, &weights).await?;
    }
    let changed = known.iter().filter(|known| changed_ids.contains(&known.stored.id));
    homes.put(conn, changed.map(home).collect()).await?;
    closed.sort_unstable();
    let closed: Vec<(i64, Option<i64>)> = closed.iter().map(|record| (*record, None)).collect();
    records::assign(conn, &closed).await?;
    let groups = members(&groups);
    let step = Step { reading, known: &known, pieces: &pieces, changed: &changed_ids, bereft };
    let kept = step.write(conn, &groups, &before, &touched).await?;
    let known: BTreeSet<i64> = step.known.iter().map(|known| known.stored.id).collect();
    homes.announce(conn, &known.intersection(&changed_ids).copied().collect()).await?;
    Ok(kept)
}

/// Makes match-keys on all cores.
fn keyed(
    reading: &Reading<'_>,
    defaults: &BTreeSet<Day>,
    known: Vec<Known>,
) -> Vec<(Known, Piece)> {
    tokio::task::block_in_place(|| prepared::keyed(reading.keys, defaults, known))
}

/// Learns from everybody's records which dates of birth stand for "not known".
async fn default_births(
    conn: &mut SqliteConnection,
    known: &[Known],
) -> Result<BTreeSet<Day>, StoreError> {
    let now = tokio::task::block_in_place(|| prepared::default_births(known));
    if !now.is_empty() {
        tracing::warn!(
            dates = now.len(),
            "far too many people have some dates of birth: of each of these dates only the year counts"
        );
    }
    learnt::save_births(conn, &now).await?;
    Ok(now)
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

/// Where a record's person lives, in the spelling every node agrees on.
fn home(known: &Known) -> Home {
    let Person { address, names, residence_from, residence_to, .. } = &known.person;
    let building = match (&address.postcode, &address.house) {
        (Some(postcode), Some(house)) => {
            let street = address.street.as_deref().unwrap_or_default().replace(' ', "");
            let start = street.get(..5).unwrap_or(&street);
            Some(format!("{postcode}|{house}|{start}"))
        }
        _ => None,
    };
    let property = address.uprn.as_ref().map(|uprn| uprn.number().to_string());
    let certainty = match address.kind {
        AddressKind::Withheld => Certainty::Withheld,
        AddressKind::Dwelling if building.is_some() || property.is_some() => Certainty::Known,
        _ => Certainty::Uncertain,
    };
    let surnames = names.iter().flat_map(|name| name.surname.iter().chain(&name.surname_parts));
    let surnames: Vec<&str> = surnames.map(String::as_str).collect();
    Home {
        record: known.stored.id,
        certainty,
        property,
        building,
        flat: address.flat.clone(),
        surnames: surnames.join(" "),
        from: *residence_from,
        to: *residence_to,
    }
}

/// Everything that writing the new persons needs.
struct Step<'a> {
    reading: &'a Reading<'a>,
    known: &'a [Known],
    pieces: &'a [Piece],
    changed: &'a BTreeSet<i64>,
    /// Persons that lost a record: their match-keys hold more than is known of them now.
    bereft: &'a BTreeSet<i64>,
}

impl Step<'_> {
    /// Gives every group a person and every changed person a new row.
    async fn write(
        &self,
        conn: &mut SqliteConnection,
        groups: &[Vec<usize>],
        before: &BTreeMap<i64, BTreeSet<i64>>,
        touched: &[i64],
    ) -> Result<Kept, IngestError> {
        let rows_before: HashMap<i64, u64> =
            persons::by_id(conn, touched).await?.into_iter().map(|p| (p.id, p.row)).collect();
        let mut next_id = persons::next_id(conn).await?;
        let mut taken: BTreeSet<i64> = BTreeSet::new();
        let (mut assigned, mut written, mut rows) = (Vec::new(), Vec::new(), Rows::default());
        for group in groups {
            let records: BTreeSet<i64> = group.iter().map(|at| self.known[*at].stored.id).collect();
            let person = match self.heir(group, before, &taken) {
                Some(person) => person,
                None => {
                    next_id += 1;
                    next_id - 1
                }
            };
            taken.insert(person);
            let same = before.get(&person) == Some(&records)
                && !self.bereft.contains(&person)
                && records.is_disjoint(self.changed)
                && rows_before.contains_key(&person);
            if !same {
                written.push((person, rows.len()));
                self.push_row(&mut rows, group);
                assigned.extend(records.iter().map(|record| (*record, Some(person))));
            }
        }
        let first = segments::append(conn, rows).await?;
        let put: Vec<Row> =
            written.iter().map(|(id, at)| Row { id: *id, row: first + *at as u64 }).collect();
        persons::put(conn, &put).await?;
        records::assign(conn, &assigned).await?;

        let gone: Vec<i64> = touched.iter().filter(|id| !taken.contains(id)).copied().collect();
        let retired: Vec<u64> = put
            .iter()
            .map(|person| person.id)
            .chain(gone.iter().copied())
            .filter_map(|id| rows_before.get(&id).copied())
            .collect();
        segments::retire(conn, &retired).await?;
        persons::remove(conn, &gone).await?;
        let upserts = put.iter().map(|person| Change::Upsert {
            row: person.row,
            replaces: rows_before.get(&person.id).copied(),
        });
        let row_now: HashMap<i64, u64> = put.iter().map(|person| (person.id, person.row)).collect();
        let heir_of: HashMap<i64, i64> =
            assigned.iter().filter_map(|(record, person)| Some((*record, (*person)?))).collect();
        let heir = |id: &i64| {
            let mut heirs: BTreeMap<i64, usize> = BTreeMap::new();
            for person in before.get(id)?.iter().filter_map(|record| heir_of.get(record)) {
                *heirs.entry(*person).or_default() += 1;
            }
            let most = heirs.into_iter().max_by_key(|(_, records)| *records);
            row_now.get(&most?.0).copied()
        };
        let retractions = gone.iter().filter_map(|id| {
            Some(Change::Retraction { row: *rows_before.get(id)?, heir: heir(id) })
        });
        let all: Vec<Change> = upserts.chain(retractions).collect();
        changes::put(conn, &all).await?;
        Ok(Kept { changed: put.len() as u64, removed: gone.len() as u64 })
    }

    /// The person that most of a group's records belonged to, unless another group has it.
    fn heir(
        &self,
        group: &[usize],
        before: &BTreeMap<i64, BTreeSet<i64>>,
        taken: &BTreeSet<i64>,
    ) -> Option<i64> {
        let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
        for person in group.iter().filter_map(|at| self.known[*at].stored.person) {
            *votes.entry(person).or_default() += 1;
        }
        votes
            .into_iter()
            .filter(|(person, _)| !taken.contains(person) && before.contains_key(person))
            .max_by_key(|(person, votes)| (*votes, std::cmp::Reverse(*person)))
            .map(|(person, _)| person)
    }

    fn push_row(&self, rows: &mut Rows, group: &[usize]) {
        if let [only] = group {
            let Piece { profile, sketch, keys, .. } = &self.pieces[*only];
            rows.push(flags(profile), born(profile), sketch.clone(), keys);
            return;
        }
        let people: Vec<&Person> = group.iter().map(|at| &self.known[*at].person).collect();
        let profile = Profile::of(&people);
        let keys = prepared::keys_of(self.reading.keys, &profile);
        let piece = Piece::new(profile, keys);
        rows.push(flags(&piece.profile), born(&piece.profile), piece.sketch, &piece.keys);
    }
}

/// What the stream says of an identity.
fn flags(profile: &Profile) -> PersonFlags {
    let set = [
        (PersonFlags::NHS, !profile.nhs.is_empty()),
        (PersonFlags::UPN, !profile.upn.is_empty()),
        (PersonFlags::NINO, !profile.nino.is_empty()),
        (PersonFlags::THIN, profile.is_thin()),
    ];
    PersonFlags(set.iter().filter(|(_, set)| *set).map(|(flag, _)| flag).sum())
}

/// A day of birth that is good enough for age bands: the middle of what is known.
fn born(profile: &Profile) -> Option<Day> {
    let Birth { year, month, day } = *profile.births.first()?;
    let (month, day) = match (month, day) {
        (Some(month), Some(day)) => (month, day),
        (Some(month), None) => (month, 15),
        (None, _) => (7, 1),
    };
    Day::new(year?, month, day).or_else(|| Day::new(year?, 7, 1))
}
