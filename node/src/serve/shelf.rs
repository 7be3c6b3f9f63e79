//! The segments that the second look is busy with, so that each is read once and not for every
//! message.
//!
//! Questions come in the order of the stream, and that is segment by segment. What is kept never
//! changes in the store: a segment only grows.

use std::sync::{Arc, Mutex, PoisonError};

use causeway_proto::kind::MatchKeyKind;

use crate::store::segments::{self, KEY_BYTES};

/// Segments kept. One is about 1 MiB of sketches and, with every kind asked for, 2.6 MiB of keys.
const KEPT: usize = 4;

/// One segment's sketches, and the keys of the kinds that were asked for.
#[derive(Clone)]
pub(super) struct Segment {
    sketches: Arc<Vec<u8>>,
    /// Where each sketch is.
    spans: Arc<Vec<(u32, u32)>>,
    columns: [Option<Arc<Vec<u8>>>; MatchKeyKind::COUNT],
}

impl Segment {
    /// Begins with the packed sketches of a segment and no keys.
    pub(super) fn new(packed: Vec<u8>) -> Self {
        let start = packed.as_ptr().addr();
        let span = |sketch: &[u8]| {
            let from = sketch.as_ptr().addr() - start;
            (from as u32, (from + sketch.len()) as u32)
        };
        let spans = segments::sketches(&packed).map(span).collect();
        Self { sketches: Arc::new(packed), spans: Arc::new(spans), columns: Default::default() }
    }

    /// Adds the keys of a kind.
    pub(super) fn put(&mut self, kind: MatchKeyKind, column: Vec<u8>) {
        self.columns[kind.index()] = Some(Arc::new(column));
    }

    /// Returns whether it has the keys of a kind.
    pub(super) fn has(&self, kind: MatchKeyKind) -> bool {
        self.columns[kind.index()].is_some()
    }

    /// Returns the packed sketch at a place.
    pub(super) fn sketch(&self, place: usize) -> Option<&[u8]> {
        let (from, to) = self.spans.get(place)?;
        self.sketches.get(*from as usize..*to as usize)
    }

    /// Returns a key at a place.
    pub(super) fn key(
        &self,
        place: usize,
        kind: MatchKeyKind,
        slot: usize,
    ) -> Option<&[u8; KEY_BYTES]> {
        let (keys, _) = self.columns[kind.index()].as_ref()?.as_chunks::<KEY_BYTES>();
        keys.get(place * kind.slots() + slot)
    }
}

/// The last few segments asked about.
#[derive(Default)]
pub(super) struct Shelf(Mutex<Vec<(u64, Arc<Segment>)>>);

impl Shelf {
    /// Returns a segment if it is kept.
    pub(super) fn segment(&self, number: u64) -> Option<Arc<Segment>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(kept, _)| *kept == number).map(|(_, segment)| segment.clone())
    }

    /// Keeps a segment in the place of the one that was kept first.
    pub(super) fn keep(&self, number: u64, segment: Segment) -> Arc<Segment> {
        let segment = Arc::new(segment);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|(kept, _)| *kept != number);
        if kept.len() == KEPT {
            kept.remove(0);
        }
        kept.push((number, segment.clone()));
        segment
    }
}
