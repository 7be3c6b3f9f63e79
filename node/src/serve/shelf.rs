//! The segments that the second look and live changes come back to, so that each is read once and not
//! for every message.
//!
//! What is kept does not change in the store while the sweep is open: a segment only grows, and none is given
//! up. It goes with the session, that is when the sweep closes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use causeway_proto::kind::MatchKeyKind;
use sqlx::SqliteConnection;

use super::{crowds::Key, session::SegmentRows};
use crate::store::{
    StoreError,
    segments::{self, KEY_BYTES},
};

/// Bytes of segments that stay until the sweep closes: with every kind asked for, about 1,000 a record.
const STAYING_BYTES: usize = 2 << 30;
/// Segments kept for the moment when there is no room for more to stay.
const PASSING: usize = 4;

/// One segment's sketches, and the keys of the kinds that were asked for.
#[derive(Clone, Default)]
pub(super) struct Segment {
    /// Empty until they are asked for.
    sketches: Arc<Vec<u8>>,
    /// Where each sketch is.
    spans: Arc<Vec<(u32, u32)>>,
    columns: [Option<Arc<Vec<u8>>>; MatchKeyKind::COUNT],
}

impl Segment {
    /// Puts the packed sketches of a segment in.
    fn set_sketches(&mut self, packed: Vec<u8>) {
        let start = packed.as_ptr().addr();
        let span = |sketch: &[u8]| {
            let from = sketch.as_ptr().addr() - start;
            (from as u32, (from + sketch.len()) as u32)
        };
        let spans = segments::sketches(&packed).map(span).collect();
        (self.sketches, self.spans) = (Arc::new(packed), Arc::new(spans));
    }

    /// Returns whether it has the keys of a kind up to a place.
    fn has(&self, kind: MatchKeyKind, last: usize) -> bool {
        self.key(last, kind, 0).is_some()
    }

    fn bytes(&self) -> usize {
        let columns = self.columns.iter().flatten().map(|column| column.len());
        self.sketches.len() + size_of_val(&self.spans[..]) + columns.sum::<usize>()
    }

    /// Returns the packed sketch at a place.
    pub(super) fn sketch(&self, place: usize) -> Option<&[u8]> {
        let (from, to) = self.spans.get(place)?;
        self.sketches.get(*from as usize..*to as usize)
    }

    /// Returns a key at a place.
    pub(super) fn key(&self, place: usize, kind: MatchKeyKind, slot: usize) -> Option<&Key> {
        self.keys(kind).get(place * kind.slots() + slot)
    }

    /// Returns all keys of a kind, `slots` a row; none where they were not asked for.
    pub(super) fn keys(&self, kind: MatchKeyKind) -> &[Key] {
        self.columns[kind.index()].as_ref().map_or(&[], |column| column.as_chunks::<KEY_BYTES>().0)
    }

    /// Returns the slots of each of some rows.
    pub(super) fn each_row<'a>(
        &'a self,
        kind: MatchKeyKind,
        rows: &'a SegmentRows,
    ) -> impl Iterator<Item = (u64, &'a [Key])> {
        let keys = self.keys(kind);
        rows.places.iter().zip(rows.rows()).map(move |(place, row)| {
            let first = usize::from(*place) * kind.slots();
            (row, &keys[first..first + kind.slots()])
        })
    }
}

/// The segments asked about.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    staying: HashMap<u64, Arc<Segment>>,
    bytes: usize,
    passing: VecDeque<(u64, Arc<Segment>)>,
}

impl Shelf {
    /// Returns a segment with its rows up to the place `last` and the keys of some kinds, off the shelf
    /// or out of the store.
    pub(super) async fn read(
        &self,
        conn: &mut SqliteConnection,
        number: u64,
        last: usize,
        kinds: &[MatchKeyKind],
    ) -> Result<Arc<Segment>, StoreError> {
        let kept = self.segment(number).unwrap_or_default();
        if kept.sketch(last).is_some() && kinds.iter().all(|kind| kept.has(*kind, last)) {
            return Ok(kept);
        }
        let mut segment = Segment::clone(&kept);
        if kept.sketch(last).is_none() {
            segment.set_sketches(segments::packed_sketches(conn, number).await?);
        }
        for kind in kinds.iter().filter(|kind| !segment.has(**kind, last)).collect::<Vec<_>>() {
            let column = segments::keys(conn, number, *kind).await?;
            segment.columns[kind.index()] = Some(Arc::new(column));
        }
        if segment.sketch(last).is_none() || !kinds.iter().all(|kind| segment.has(*kind, last)) {
            return Err(StoreError::Corrupt("row"));
        }
        Ok(self.keep(number, segment))
    }

    /// Returns the segment of some rows.
    pub(super) async fn of_rows(
        &self,
        conn: &mut SqliteConnection,
        rows: &SegmentRows,
        kinds: &[MatchKeyKind],
    ) -> Result<Arc<Segment>, StoreError> {
        let last = rows.places.iter().max().copied().unwrap_or(0).into();
        self.read(conn, rows.segment, last, kinds).await
    }

    /// Keeps the keys of one kind that were read for something else, if there is room for them.
    pub(super) fn keep_keys(&self, number: u64, kind: MatchKeyKind, keys: &Arc<Vec<u8>>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut segment =
            kept.staying.get(&number).map_or_else(Segment::default, |s| (**s).clone());
        segment.columns[kind.index()] = Some(keys.clone());
        kept.stay(number, &Arc::new(segment));
    }

    /// Returns a segment if it is kept.
    fn segment(&self, number: u64) -> Option<Arc<Segment>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let passing = kept.passing.iter().find(|(passing, _)| *passing == number);
        passing.map(|(_, segment)| segment).or_else(|| kept.staying.get(&number)).cloned()
    }

    /// Keeps a segment. Those that came while there was room stay.
    fn keep(&self, number: u64, segment: Segment) -> Arc<Segment> {
        let segment = Arc::new(segment);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.stay(number, &segment) {
            return segment;
        }
        kept.passing.retain(|(passing, _)| *passing != number);
        if kept.passing.len() == PASSING {
            kept.passing.pop_front();
        }
        kept.passing.push_back((number, segment.clone()));
        segment
    }
}

impl Kept {
    /// Has a segment stay, in place of what stayed of it, if there is room. Returns whether there was.
    fn stay(&mut self, number: u64, segment: &Arc<Segment>) -> bool {
        let before = self.staying.get(&number).map_or(0, |before| before.bytes());
        let bytes = self.bytes - before + segment.bytes();
        let fits = bytes <= STAYING_BYTES;
        if fits {
            self.bytes = bytes;
            self.staying.insert(number, segment.clone());
        }
        fits
    }
}
