//! Writes who was found to be one person: persons, their match-keys and their homes.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use causeway_proto::{day::Day, linkage::weights::Weights, token::PersonFlags};
use sqlx::SqliteConnection;

use super::{
    IngestError,
    dedupe::Piece,
    homes::Homes,
    persons::Kept,
    prepared::{self, Known},
};
use crate::{
    normalise::{Person, address::AddressKind},
    store::{
        changes::{self, Change},
        learnt,
        persons::{self, Person as Row},
        records,
        residences::{Certainty, Home},
        segments::{self, Rows},
        weights,
    },
    tokenise::{
        profile::{Birth, Profile},
        recipe::MatchKeys,
    },
};

/// Who was found to be one person, before it is written.
pub(super) struct Looked {
    /// Records that are open, in order.
    pub(super) known: Vec<Known>,
    /// Each of them, ready to be compared.
    pub(super) pieces: Vec<Piece>,
    /// The places of the records of each person.
    pub(super) groups: Vec<Vec<usize>>,
    /// The records of each person before.
    pub(super) before: BTreeMap<i64, BTreeSet<i64>>,
    /// Persons that may have other records now, in order.
    pub(super) touched: Vec<i64>,
    /// Records that say something else than before.
    pub(super) changed: BTreeSet<i64>,
    /// Records that belong to nobody, in order.
    pub(super) closed: Vec<i64>,
    /// Persons that lost a record: their match-keys hold more than is known of them now.
    pub(super) bereft: BTreeSet<i64>,
    /// Dates of birth that stand for "not known", where everybody was looked at.
    pub(super) births: Option<BTreeSet<Day>>,
    /// What decided, where it was learnt anew.
    pub(super) weights: Option<Weights>,
}

impl Looked {
    /// Writes it, if the store is as it was looked at.
    pub(super) async fn write(
        self,
        conn: &mut SqliteConnection,
        keys: &MatchKeys,
        mut homes: Homes,
    ) -> Result<Kept, IngestError> {
        if let Some(births) = &self.births {
            if !births.is_empty() {
                tracing::warn!(
                    dates = births.len(),
                    "far too many people have some dates of birth: of each of these dates only the year counts"
                );
            }
            learnt::save_births(conn, births).await?;
            learnt::set_changed_since(conn, 0).await?;
        }
        if let Some(weights) = &self.weights {
            weights::save(conn, weights).await?;
        }
        let changed = self.known.iter().filter(|known| self.changed.contains(&known.stored.id));
        homes.put(conn, changed.map(home).collect()).await?;
        let closed = self.closed.iter().map(|record| (*record, None));
        records::assign(conn, &closed.collect::<Vec<(i64, Option<i64>)>>()).await?;
        let kept = self.give_rows(conn, keys).await?;
        let known: BTreeSet<i64> = self.known.iter().map(|known| known.stored.id).collect();
        homes.announce(conn, &known.intersection(&self.changed).copied().collect()).await?;
        Ok(kept)
    }

    /// Gives every group a person and every changed person a new row.
    async fn give_rows(
        &self,
        conn: &mut SqliteConnection,
        keys: &MatchKeys,
    ) -> Result<Kept, IngestError> {
        let Self { groups, before, touched, .. } = self;
        let rows_before: HashMap<i64, u64> =
            persons::by_id(conn, touched).await?.into_iter().map(|p| (p.id, p.row)).collect();
        let mut next_id = persons::next_id(conn).await?;
        let mut taken: BTreeSet<i64> = BTreeSet::new();
        let (mut assigned, mut written, mut rows) = (Vec::new(), Vec::new(), Rows::default());
        for group in groups {
            let records: BTreeSet<i64> = group.iter().map(|at| self.known[*at].stored.id).collect();
            let person = match self.heir(group, &taken) {
                Some(person) => person,
                None => {
                    next_id += 1;
                    next_id - 1
                }
            };
            taken.insert(person);
            let same = before.get(&person) == Some(&records)
                && !self.bereft.contains(&person)
                && records.is_disjoint(&self.changed)
                && rows_before.contains_key(&person);
            if !same {
                written.push((person, rows.len()));
                self.push_row(&mut rows, keys, group);
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
    fn heir(&self, group: &[usize], taken: &BTreeSet<i64>) -> Option<i64> {
        let mut votes: BTreeMap<i64, usize> = BTreeMap::new();
        for person in group.iter().filter_map(|at| self.known[*at].stored.person) {
            *votes.entry(person).or_default() += 1;
        }
        votes
            .into_iter()
            .filter(|(person, _)| !taken.contains(person) && self.before.contains_key(person))
            .max_by_key(|(person, votes)| (*votes, std::cmp::Reverse(*person)))
            .map(|(person, _)| person)
    }

    fn push_row(&self, rows: &mut Rows, keys: &MatchKeys, group: &[usize]) {
        if let [only] = group {
            let Piece { profile, sketch, keys, .. } = &self.pieces[*only];
            rows.push(flags(profile), born(profile), sketch.clone(), keys);
            return;
        }
        let people: Vec<&Person> = group.iter().map(|at| &self.known[*at].person).collect();
        let profile = Profile::of(&people);
        let keys = prepared::keys_of(keys, &profile);
        let piece = Piece::new(profile, keys);
        rows.push(flags(&piece.profile), born(&piece.profile), piece.sketch, &piece.keys);
    }
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
