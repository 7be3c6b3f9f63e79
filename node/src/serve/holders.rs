//! Which of a sweep's records hold each match-key: an index from key to row, made when somebody begins
//! to follow the sweep, so that a change of one record is weighed without looking at the others.
//!
//! An entry is 8 bytes for each key that a record has, and a bucket of four entries 4 more. It holds
//! half of the key's beginning, and its bucket says a part of the other half; where a key may have crossed the
//! limit, the store decides.

use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasherDefault,
    sync::Arc,
};

use causeway_proto::{kind::MatchKeyKind, limits::SEGMENT_ROWS};
use sqlx::SqliteConnection;

use super::{
    crowds::{Crowds, Itself, Key, distinct, of_more_than},
    live::in_sweep,
    session::SegmentRows,
    shelf::{Segment, Shelf},
    standing::Standing,
};
use crate::store::StoreError;

/// The beginnings of keys of one kind, each with the row of a record that holds it.
pub(super) type Held = Vec<(u64, u32)>;

type ByKey<T> = HashMap<u64, T, BuildHasherDefault<Itself>>;

/// Who holds the match-keys of one kind.
pub(super) struct Holders {
    kind: MatchKeyKind,
    /// Where the entries of each bucket begin, and the end of the last.
    starts: Vec<u32>,
    /// The lower half of the key's beginning, and the row.
    entries: Vec<[u32; 2]>,
    /// Rows that came later.
    late: ByKey<Vec<u32>>,
    /// Keys that too many hold.
    crowds: Arc<Crowds>,
}

impl Holders {
    /// Makes the index of every kind over the rows that are in the sweep.
    pub(super) async fn of_all(
        conn: &mut SqliteConnection,
        shelf: &Shelf,
        standings: &[Standing],
    ) -> Result<Vec<Self>, StoreError> {
        let records = in_sweep(standings);
        let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(records.len());
        for rows in &records {
            segments.push(shelf.of_rows(conn, rows, MatchKeyKind::ALL).await?);
        }
        let all = records.iter().zip(&segments);
        let of = |kind: &MatchKeyKind| {
            Self::of(*kind, all.clone().flat_map(|(rows, segment)| segment.each_row(*kind, rows)))
        };
        Ok(MatchKeyKind::ALL.iter().map(of).collect())
    }

    fn of<'a>(kind: MatchKeyKind, rows: impl Iterator<Item = (u64, &'a [Key])>) -> Self {
        /// Entries of a bucket, on average at most.
        const IN_BUCKET: usize = 4;
        let held: Held = rows
            .flat_map(|(row, keys)| distinct(keys).map(move |key| (key, narrow(row))))
            .collect();
        let buckets = (held.len() / IN_BUCKET).next_power_of_two();
        // Each bucket's end stands in its place until its entries are put from its end on.
        let mut starts = vec![0u32; buckets + 1];
        held.iter().for_each(|(key, _)| starts[bucket(*key, buckets)] += 1);
        let mut sum = 0;
        for start in &mut starts {
            sum += *start;
            *start = sum;
        }
        let mut entries = vec![[0; 2]; held.len()];
        for (key, row) in &held {
            let start = &mut starts[bucket(*key, buckets)];
            *start -= 1;
            entries[*start as usize] = [*key as u32, *row];
        }
        let held = held.into_iter().map(|(key, _)| key).collect();
        let crowds = Arc::new(of_more_than(kind.most_records(), held));
        Self { kind, starts, entries, late: ByKey::default(), crowds }
    }

    /// Returns the keys that too many hold.
    pub(super) fn crowds(&self) -> &Arc<Crowds> {
        &self.crowds
    }

    /// Takes in that some records came and some left; `standings` say who is in the sweep now. Returns
    /// the rows that hold a key which too many hold now and did not before, or the other way round.
    pub(super) async fn change(
        &mut self,
        (conn, shelf): (&mut SqliteConnection, &Shelf),
        standings: &[Standing],
        came: &Held,
        left: &Held,
    ) -> Result<BTreeSet<u32>, StoreError> {
        let mut by: ByKey<isize> = ByKey::default();
        for (key, row) in came {
            *by.entry(*key).or_default() += 1;
            // Somebody who was in the sweep before has an entry.
            if !self.may_hold(*key).any(|known| known == *row) {
                self.late.entry(*key).or_default().push(*row);
            }
        }
        left.iter().for_each(|(key, _)| *by.entry(*key).or_default() -= 1);
        let is_in = |row: &u32| standings.get(*row as usize).is_some_and(|now| now.is_in());
        let mut concerned = BTreeSet::new();
        for (key, more) in by.into_iter().filter(|(_, more)| *more != 0) {
            let before = |now: usize| now.saturating_add_signed(-more);
            let mut holders: BTreeSet<u32> = self.may_hold(key).filter(is_in).collect();
            if holders.len().max(before(holders.len())) <= self.limit() {
                continue;
            }
            self.verify((&mut *conn, shelf), key, &mut holders).await?;
            let (was, is) = (before(holders.len()) > self.limit(), holders.len() > self.limit());
            if was != is {
                let crowds = Arc::make_mut(&mut self.crowds);
                if is {
                    crowds.insert(key)
                } else {
                    crowds.remove(&key)
                };
                concerned.extend(holders);
            }
        }
        Ok(concerned)
    }

    /// Leaves out rows that hold another key.
    async fn verify(
        &self,
        (conn, shelf): (&mut SqliteConnection, &Shelf),
        key: u64,
        rows: &mut BTreeSet<u32>,
    ) -> Result<(), StoreError> {
        for row in std::mem::take(rows) {
            let place = u16::try_from(row as usize % SEGMENT_ROWS).expect("4096 rows a segment");
            let segment = u64::from(row) / SEGMENT_ROWS as u64;
            let one = SegmentRows { segment, places: vec![place] };
            let segment = shelf.of_rows(conn, &one, &[self.kind]).await?;
            if segment
                .each_row(self.kind, &one)
                .any(|(_, keys)| distinct(keys).any(|held| held == key))
            {
                rows.insert(row);
            }
        }
        Ok(())
    }

    /// Rows that hold a key, and by chance others.
    fn may_hold(&self, key: u64) -> impl Iterator<Item = u32> {
        let at = bucket(key, self.starts.len() - 1);
        let entries = self.starts[at] as usize..self.starts[at + 1] as usize;
        let same = move |entry: &&[u32; 2]| entry[0] == key as u32;
        let late = self.late.get(&key).into_iter().flatten().copied();
        self.entries[entries].iter().filter(same).map(|entry| entry[1]).chain(late)
    }

    fn limit(&self) -> usize {
        self.kind.most_records()
    }
}

/// Keys are uniform already.
fn bucket(key: u64, buckets: usize) -> usize {
    ((u128::from(key) * buckets as u128) >> 64) as usize
}

fn narrow(row: u64) -> u32 {
    u32::try_from(row).expect("fewer than 2^32 rows fit the memory that lists them")
}

/// Returns the keys of one kind that some rows hold, each once a row.
pub(super) async fn held(
    (conn, shelf): (&mut SqliteConnection, &Shelf),
    kind: MatchKeyKind,
    records: &[SegmentRows],
) -> Result<Held, StoreError> {
    let mut held = Held::new();
    for rows in records {
        let segment = shelf.of_rows(conn, rows, MatchKeyKind::ALL).await?;
        for (row, keys) in segment.each_row(kind, rows) {
            held.extend(distinct(keys).map(|key| (key, narrow(row))));
        }
    }
    Ok(held)
}

#[cfg(test)]
mod tests {
    use causeway_proto::token::PersonFlags;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        serve::live::segments_of,
        store::{
            Store,
            segments::{self, KEY_BYTES, Rows},
        },
    };

    const KIND: MatchKeyKind = MatchKeyKind::RareNames;
    /// Everybody at first, more than a segment of them.
    const FIRST: usize = SEGMENT_ROWS + 20;
    const IN: Standing = Standing(1 << 7);

    /// Keys of few people; 0 is none.
    fn key(n: u8) -> Key {
        [n; KEY_BYTES]
    }

    fn begins(n: u8) -> u64 {
        u64::from_le_bytes([n; 8])
    }

    async fn append(conn: &mut SqliteConnection, people: &[[u8; 3]]) {
        let mut rows = Rows::default();
        for keys in people {
            let keys = [0, 1, 2].map(|slot| (KIND, slot, key(keys[slot])));
            rows.push(PersonFlags(0), None, vec![1], &keys);
        }
        segments::append(conn, rows).await.unwrap();
    }

    /// What counting everybody gives: the crowds, and who holds one of some keys.
    fn counted(people: &[[u8; 3]], standings: &[Standing]) -> (Crowds, BTreeSet<(u64, u32)>) {
        let mut held: BTreeSet<(u64, u32)> = BTreeSet::new();
        let here = people.iter().zip(0u32..).filter(|(_, row)| standings[*row as usize].is_in());
        for (keys, row) in here {
            held.extend(keys.iter().filter(|n| **n != 0).map(|n| (begins(*n), row)));
        }
        let mut counts: HashMap<u64, usize> = HashMap::new();
        held.iter().for_each(|(key, _)| *counts.entry(*key).or_default() += 1);
        counts.retain(|_, count| *count > KIND.most_records());
        (counts.into_keys().collect(), held)
    }

    /// Lets some rows come, some leave, and returns who is concerned by keys that crossed the limit.
    async fn change(
        conn: &mut SqliteConnection,
        (shelf, holders): (&Shelf, &mut Holders),
        standings: &[Standing],
        moved: &BTreeSet<u32>,
    ) -> BTreeSet<u32> {
        let part = |is_in: bool| {
            let rows = moved.iter().filter(|row| standings[**row as usize].is_in() == is_in);
            segments_of(&rows.map(|row| u64::from(*row)).collect::<Vec<_>>())
        };
        let (came, left) = (part(true), part(false));
        let came = held((&mut *conn, shelf), KIND, &came).await.unwrap();
        let left = held((&mut *conn, shelf), KIND, &left).await.unwrap();
        holders.change((conn, shelf), standings, &came, &left).await.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Whoever comes, leaves and comes back: the crowds are those of counting everybody, and who is
        /// concerned is whoever holds a key that crossed the limit.
        #[test]
        fn after_any_history_the_crowds_are_those_of_counting_everybody(
            bursts in prop::collection::vec(
                (prop::collection::vec(prop::array::uniform3(0u8..60), 0..4),
                 prop::collection::btree_set(0u32..FIRST as u32 + 12, 0..6)),
                1..8,
            ),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let store = Store::in_memory().await;
                let mut conn = store.read().await.unwrap();
                let (shelf, mut standings) = (Shelf::default(), vec![IN; FIRST]);
                // Most have no keys; those who have are at both ends.
                let mut people = vec![[0; 3]; FIRST];
                for (at, n) in (0..20).chain(FIRST - 20..FIRST).zip(1u8..) {
                    people[at] = [n, n, n.wrapping_mul(7) % 60];
                }
                append(&mut conn, &people).await;
                let mut all = Holders::of_all(&mut conn, &shelf, &standings).await.unwrap();
                let mut holders = all.swap_remove(KIND.index());
                for (come, flip) in bursts {
                    let before = counted(&people, &standings);
                    append(&mut conn, &come).await;
                    let new = people.len() as u32..(people.len() + come.len()) as u32;
                    people.extend(&come);
                    standings.resize(people.len(), IN);
                    let there = |row: &u32| (*row as usize) < people.len() && !new.contains(row);
                    let mut moved: BTreeSet<u32> = flip.into_iter().filter(there).collect();
                    for row in &moved {
                        let now = &mut standings[*row as usize];
                        *now = if now.is_in() { Standing::OUT } else { IN };
                    }
                    moved.extend(new);
                    let both = (&shelf, &mut holders);
                    let concerned = change(&mut conn, both, &standings, &moved).await;
                    let after = counted(&people, &standings);
                    prop_assert_eq!(&**holders.crowds(), &after.0);
                    let crossed = before.0.symmetric_difference(&after.0).copied().collect::<Crowds>();
                    let expected = after.1.iter().filter(|(key, _)| crossed.contains(key));
                    let expected: BTreeSet<u32> = expected.map(|(_, row)| *row).collect();
                    prop_assert_eq!(concerned, expected);
                }
                Ok(())
            })?;
        }
    }
}
