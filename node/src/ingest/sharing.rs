//! Whom changed records may concern: persons that share something with them.

use std::{collections::BTreeSet, slice::ChunksExact};

use causeway_proto::{
    kind::MatchKeyKind,
    limits::SEGMENT_ROWS,
    linkage::{comparison::Comparison, levels::Levels, weights::Weights},
};
use foldhash::{HashMap, HashMapExt, HashSet};
use sqlx::SqliteConnection;

use super::{
    IngestError,
    blocking::{self, MOST_RECORDS, RULES, Shared},
    dedupe::{self, Piece},
};
use crate::{
    store::{
        StoreError, persons,
        segments::{self, ALIVE, KEY_BYTES},
    },
    tokenise::{recipe::Y, sketch::Sketch},
};

/// Of so many sketches at a time the blocks are gone through.
const AT_ONCE: usize = 1 << 16;
/// Where the numbers begin by which rows are told from records.
const ROWS: u64 = 1 << 40;

/// Returns the persons that share a match-key with some records, or with some persons as they stand: who
/// fitted somebody that is gone may fit another now. And those in one block of a rule with them whom `weights`
/// take for the same rather than not; a block holds too many others to look at all of them again.
pub(super) async fn sharing(
    conn: &mut SqliteConnection,
    pieces: &[&Piece],
    before: &[i64],
    weights: Option<&Weights>,
) -> Result<Vec<i64>, IngestError> {
    let states = segments::states(conn).await?;
    if !states.iter().any(|state| state & ALIVE != 0) {
        return Ok(Vec::new());
    }
    let before: Vec<u64> =
        persons::by_id(conn, before).await?.into_iter().map(|person| person.row).collect();
    let mut rows = by_keys(conn, &states, pieces, &before).await?;
    if let Some(weights) = weights {
        let mut sketches = sketches_of(conn, &before).await?;
        sketches.extend(pieces.iter().map(|piece| piece.sketch.clone()));
        for sketches in sketches.chunks(AT_ONCE) {
            by_blocks(conn, &states, sketches, weights, &mut rows).await?;
        }
    }
    let rows: Vec<u64> = rows.into_iter().collect();
    Ok(persons::by_row(conn, &rows).await?.into_iter().map(|person| person.id).collect())
}

/// The rows that share a match-key.
async fn by_keys(
    conn: &mut SqliteConnection,
    states: &[u8],
    pieces: &[&Piece],
    before: &[u64],
) -> Result<BTreeSet<u64>, StoreError> {
    let (before, mut wanted) = (segments::by_segment(before), Vec::new());
    for kind in MatchKeyKind::ALL {
        let mut keys: HashSet<Y> = pieces.iter().flat_map(|piece| piece.of_kind(*kind)).collect();
        for (segment, places) in &before {
            let column = segments::keys(conn, *segment, *kind).await?;
            for at in places {
                let of_one = by_row(&column, *kind).nth(*at);
                keys.extend(of_one.ok_or(StoreError::Corrupt("row"))?);
            }
        }
        wanted.push(Wanted::new(keys));
    }
    let some = MatchKeyKind::ALL.iter().zip(&wanted).filter(|(_, wanted)| !wanted.keys.is_empty());
    let kinds: Vec<MatchKeyKind> = some.map(|(kind, _)| *kind).collect();
    let mut rows = BTreeSet::new();
    segments::each_column(conn, &kinds, |segment, kind, column| {
        let (wanted, first) = (&wanted[kind.index()], segment * SEGMENT_ROWS as u64);
        let of_each = (first..).zip(by_row(column, kind));
        let sharing = of_each.filter(|(row, keys)| {
            states.get(*row as usize).is_some_and(|state| state & ALIVE != 0)
                && keys.iter().any(|key| wanted.has(key))
        });
        rows.extend(sharing.map(|(row, _)| row));
    })
    .await?;
    Ok(rows)
}

/// Match-keys of one kind that are looked for.
struct Wanted {
    keys: HashSet<Y>,
    /// Keys are random: their first two bytes rule out most.
    begins: Vec<bool>,
}

impl Wanted {
    fn new(mut keys: HashSet<Y>) -> Self {
        keys.remove(&[0; KEY_BYTES]);
        let mut begins = vec![false; 1 << 16];
        keys.iter().for_each(|key| begins[beginning(key)] = true);
        Self { keys, begins }
    }

    fn has(&self, key: &Y) -> bool {
        self.begins[beginning(key)] && self.keys.contains(key)
    }
}

fn beginning(key: &Y) -> usize {
    usize::from(u16::from_le_bytes([key[0], key[1]]))
}

/// The keys of a column, row by row.
fn by_row(column: &[u8], kind: MatchKeyKind) -> ChunksExact<'_, Y> {
    column.as_chunks::<KEY_BYTES>().0.chunks_exact(kind.slots())
}

/// The sketches of some rows.
async fn sketches_of(
    conn: &mut SqliteConnection,
    rows: &[u64],
) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut found = Vec::with_capacity(rows.len());
    for (number, places) in segments::by_segment(rows) {
        let packed = segments::packed_sketches(conn, number).await?;
        let sketches: Vec<&[u8]> = segments::sketches(&packed).collect();
        for at in places {
            found.push(sketches.get(at).ok_or(StoreError::Corrupt("sketch"))?.to_vec());
        }
    }
    Ok(found)
}

fn read(packed: &[u8]) -> Result<Sketch<'_>, StoreError> {
    Sketch::read(packed).ok_or(StoreError::Corrupt("sketch"))
}

/// A block that somebody wanted is in.
#[derive(Default)]
struct Block {
    /// Places of who is wanted.
    wanted: Vec<u32>,
    /// Rows that are in it, too; one more than are compared where there are more.
    rows: Vec<u64>,
}

/// Adds the rows in one block with some sketches whom `weights` rather take for the same.
async fn by_blocks(
    conn: &mut SqliteConnection,
    states: &[u8],
    sketches: &[Vec<u8>],
    weights: &Weights,
    rows: &mut BTreeSet<u64>,
) -> Result<(), StoreError> {
    let mut blocks: [HashMap<Shared, Block>; RULES] = std::array::from_fn(|_| HashMap::new());
    for (sketch, at) in sketches.iter().zip(0u32..) {
        for (of_rule, shared) in blocks.iter_mut().zip(blocking::blocks(&read(sketch)?)) {
            if let Some(shared) = shared {
                of_rule.entry(shared).or_default().wanted.push(at);
            }
        }
    }
    // What is in no block that is small enough is let go of only at the end: a block grows row by row.
    let mut met: HashMap<u64, Vec<u8>> = HashMap::new();
    let segments = (0u64..).zip(states.chunks(SEGMENT_ROWS));
    let held = segments.filter(|(_, states)| states.iter().any(|state| state & ALIVE != 0));
    for (number, _) in held {
        let packed = segments::packed_sketches(conn, number).await?;
        let all = (number * SEGMENT_ROWS as u64..).zip(segments::sketches(&packed));
        for (row, packed) in all.filter(|(row, _)| states[*row as usize] & ALIVE != 0) {
            for (of_rule, shared) in blocks.iter_mut().zip(blocking::blocks(&read(packed)?)) {
                let block = shared.and_then(|shared| of_rule.get_mut(&shared));
                if let Some(block) = block.filter(|block| block.rows.len() <= MOST_RECORDS) {
                    block.rows.push(row);
                    met.entry(row).or_insert_with(|| packed.to_vec());
                }
            }
        }
    }
    let small = blocks.iter().flat_map(HashMap::values);
    let small = small.filter(|block| block.rows.len() <= MOST_RECORDS);
    let mut beside: HashMap<u64, HashSet<u32>> = HashMap::new();
    for block in small {
        for row in block.rows.iter().filter(|row| !rows.contains(row)) {
            beside.entry(*row).or_default().extend(&block.wanted);
        }
    }
    let numbered = sketches.iter().zip(0u64..);
    let wanted: Vec<Comparison> = numbered
        .map(|(sketch, at)| Ok(dedupe::comparison(&read(sketch)?, at)))
        .collect::<Result<_, StoreError>>()?;
    for (row, others) in beside {
        let one = dedupe::comparison(&read(&met[&row])?, ROWS + row);
        let is_same = |at: &u32| weights.score(Levels::of(&one, &wanted[*at as usize]), 0) >= 0.0;
        if others.iter().any(is_same) {
            rows.insert(row);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
