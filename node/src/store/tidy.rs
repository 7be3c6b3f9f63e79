//! Keeps the store as large as what is in it: after a year of nightly changes most rows of match-keys are nobody's.

use sqlx::SqliteConnection;

use super::{
    StoreError,
    changes::{self, Change},
    persons, segments, sweeps,
};

/// Gives some segments up of which little is left, and moves whoever is left there, unless a sweep is open.
/// Returns how many persons were moved: to whoever follows, each has other match-keys.
pub async fn tidy(conn: &mut SqliteConnection) -> Result<u64, StoreError> {
    if sweeps::current(conn).await?.is_some() {
        return Ok(0);
    }
    let moved = segments::give_up(conn).await?;
    persons::move_rows(conn, &moved).await?;
    // By this whoever asks for a row of an earlier sweep finds its person.
    let told = moved.iter().map(|(old, new)| Change::Upsert { row: *new, replaces: Some(*old) });
    changes::put(conn, &told.collect::<Vec<Change>>()).await?;
    Ok(moved.len() as u64)
}

#[cfg(test)]
mod tests {
    use causeway_proto::{
        catalogue::Purpose, day::Day, ids::SweepId, kind::MatchKeyKind, limits::SEGMENT_ROWS,
        token::PersonFlags,
    };

    use super::*;
    use crate::store::{
        Store,
        persons::Person,
        segments::{KEY_BYTES, Rows},
    };

    const KIND: MatchKeyKind = MatchKeyKind::RareNames;
    const PEOPLE: u64 = 2 * SEGMENT_ROWS as u64 + 100;

    /// Everything that stands in a row whose first key this is.
    fn key(n: u64) -> [u8; KEY_BYTES] {
        let mut key = [7; KEY_BYTES];
        key[..8].copy_from_slice(&n.to_le_bytes());
        key
    }

    async fn filled(conn: &mut SqliteConnection) {
        let mut rows = Rows::default();
        for n in 0..PEOPLE {
            let born = Day::new(2000, 1, 1).unwrap().plus((n % 900) as i32);
            let flags = PersonFlags(if n % 2 == 0 { PersonFlags::NHS } else { 0 });
            let keys = [(KIND, 0, key(n)), (MatchKeyKind::Nhs, 0, key(n + PEOPLE))];
            rows.push(flags, (n % 3 > 0).then_some(born), n.to_le_bytes().to_vec(), &keys);
        }
        assert_eq!(segments::append(conn, rows).await.unwrap(), 0);
        let persons: Vec<Person> =
            (0..PEOPLE).map(|row| Person { id: row as i64 + 1, row }).collect();
        persons::put(conn, &persons).await.unwrap();
    }

    /// What stands in a row.
    async fn standing(
        conn: &mut SqliteConnection,
        row: u64,
    ) -> (u8, Option<Day>, Vec<u8>, Vec<u8>, Vec<u8>) {
        let (segment, at) = (row / SEGMENT_ROWS as u64, (row % SEGMENT_ROWS as u64) as usize);
        let packed = segments::packed_sketches(conn, segment).await.unwrap();
        let sketch = segments::sketches(&packed).nth(at).unwrap().to_vec();
        let mut keys = Vec::new();
        for kind in [KIND, MatchKeyKind::Nhs] {
            let column = segments::keys(conn, segment, kind).await.unwrap();
            let width = kind.slots() * KEY_BYTES;
            keys.push(column[at * width..(at + 1) * width].to_vec());
        }
        let state = segments::states_of(conn, &[row]).await.unwrap()[&row];
        let born = segments::born_of(conn, &[row]).await.unwrap().get(&row).copied();
        (state, born, sketch, keys.remove(0), keys.remove(0))
    }

    #[tokio::test]
    async fn whoever_is_left_in_a_sparse_segment_moves_as_they_stand() {
        let store = Store::in_memory().await;
        let mut conn = store.read().await.unwrap();
        filled(&mut conn).await;
        assert_eq!(tidy(&mut conn).await.unwrap(), 0, "all are somebody's");
        // Three are left in the first segment, just enough in the second, and nobody in what still grows.
        let second = SEGMENT_ROWS as u64;
        let stays =
            |row: u64| [5, 6, 4000].contains(&row) || (second..second * 3 / 2).contains(&row);
        let gone: Vec<u64> = (0..PEOPLE).filter(|row| !stays(*row)).collect();
        segments::retire(&mut conn, &gone).await.unwrap();
        let ids: Vec<i64> = gone.iter().map(|row| *row as i64 + 1).collect();
        persons::remove(&mut conn, &ids).await.unwrap();
        let mut before = Vec::new();
        for row in [5, 6, 4000, second] {
            before.push(standing(&mut conn, row).await);
        }

        let sweep = sweeps::Sweep {
            id: SweepId::new(1, [0; 8]),
            as_at: Day::new(2025, 2, 25).unwrap(),
            purposes: vec![Purpose::AdultSafeguarding],
            last_row: PEOPLE,
            position: 0,
        };
        sweeps::open(&mut conn, &sweep, (&[], 0), 1).await.unwrap();
        assert_eq!(tidy(&mut conn).await.unwrap(), 0, "a stream may come back to any row");
        sweeps::close(&mut conn, sweep.id, 2).await.unwrap();

        assert_eq!(tidy(&mut conn).await.unwrap(), 3);
        assert!(segments::keys(&mut conn, 0, KIND).await.is_err());
        assert!(segments::packed_sketches(&mut conn, 0).await.is_err());
        for (old, before) in [5, 6, 4000, second].into_iter().zip(before) {
            let person = persons::by_id(&mut conn, &[old as i64 + 1]).await.unwrap()[0];
            let new = if old < second {
                PEOPLE + [5, 6, 4000].binary_search(&old).unwrap() as u64
            } else {
                old
            };
            assert_eq!(person.row, new);
            assert_eq!(standing(&mut conn, new).await, before);
            assert_eq!(changes::successor(&mut conn, old).await.unwrap(), Some(new));
        }
        let states = segments::states(&mut conn).await.unwrap();
        assert_eq!(states.len() as u64, PEOPLE + 3);
        let alive = states.iter().filter(|state| **state & segments::ALIVE != 0).count();
        assert_eq!(alive, 3 + SEGMENT_ROWS / 2);
        assert_eq!(tidy(&mut conn).await.unwrap(), 0, "once");
    }
}
