//! Keeps homes in step with the records, and finds whose answers change with somebody else's home.
//!
//! A building is no dwelling once some record knows a flat in it. So a neighbour's record can change
//! what is said of people whose own records are as they were.

use std::collections::{BTreeSet, HashSet};

use sqlx::SqliteConnection;

use crate::store::{
    StoreError,
    changes::{self, Change},
    persons,
    residences::{self, Home},
};

/// The homes that one import touches.
#[derive(Default)]
pub(super) struct Homes {
    /// Nobody is here yet whose answers could change.
    nobody: bool,
    /// Buildings that some touched record was or is placed in.
    buildings: HashSet<String>,
    /// Those of them that had flats before.
    divided: HashSet<String>,
    /// Records whose home is another.
    moved: Vec<i64>,
}

impl Homes {
    /// Begins before anything is changed.
    pub(super) async fn begin(conn: &mut SqliteConnection) -> Result<Self, StoreError> {
        Ok(Self { nobody: persons::count(conn).await? == 0, ..Self::default() })
    }

    /// Notes the homes of records that are about to be removed.
    pub(super) async fn leave(
        &mut self,
        conn: &mut SqliteConnection,
        records: &[i64],
    ) -> Result<(), StoreError> {
        let homes = residences::of_records(conn, records).await?;
        self.note(conn, homes.into_values().filter_map(|home| home.building).collect()).await
    }

    /// Stores homes, replacing what was there.
    pub(super) async fn put(
        &mut self,
        conn: &mut SqliteConnection,
        homes: Vec<Home>,
    ) -> Result<(), StoreError> {
        if !self.nobody {
            let records: Vec<i64> = homes.iter().map(|home| home.record).collect();
            let before = residences::of_records(conn, &records).await?;
            let moved: Vec<&Home> =
                homes.iter().filter(|home| before.get(&home.record) != Some(home)).collect();
            let left = moved.iter().filter_map(|home| before.get(&home.record));
            let buildings = moved.iter().copied().chain(left).filter_map(|h| h.building.clone());
            let buildings = buildings.collect();
            self.moved.extend(moved.iter().map(|home| home.record));
            self.note(conn, buildings).await?;
        }
        residences::leave(conn, &homes).await?;
        residences::put(conn, &homes).await
    }

    async fn note(
        &mut self,
        conn: &mut SqliteConnection,
        buildings: HashSet<String>,
    ) -> Result<(), StoreError> {
        let new: Vec<&str> = buildings.difference(&self.buildings).map(String::as_str).collect();
        let divided = residences::divided(conn, &new).await?;
        self.divided.extend(divided);
        self.buildings.extend(buildings);
        Ok(())
    }

    /// Records who is answered for differently now, once everybody has their rows. `changed` are records
    /// whose persons have new rows anyway.
    pub(super) async fn announce(
        self,
        conn: &mut SqliteConnection,
        changed: &BTreeSet<i64>,
    ) -> Result<(), StoreError> {
        let buildings: Vec<&str> = self.buildings.iter().map(String::as_str).collect();
        let divided = residences::divided(conn, &buildings).await?;
        let other: Vec<&str> =
            self.divided.symmetric_difference(&divided).map(String::as_str).collect();
        let mut concerned = residences::residents(conn, &other).await?;
        let moved: Vec<i64> =
            self.moved.into_iter().filter(|record| !changed.contains(record)).collect();
        concerned.extend(persons::of_records(conn, &moved).await?);
        if concerned.is_empty() {
            return Ok(());
        }
        concerned.sort_unstable();
        concerned.dedup();
        let anew = persons::of_records(conn, &changed.iter().copied().collect::<Vec<_>>()).await?;
        let anew: HashSet<i64> = anew.into_iter().collect();
        concerned.retain(|person| !anew.contains(person));
        let persons = persons::by_id(conn, &concerned).await?;
        let signals: Vec<Change> =
            persons.iter().map(|person| Change::Signals { row: person.row }).collect();
        changes::put(conn, &signals).await
    }
}
