//! Streams match-keys: first the handles, then kind by kind, each a column in the same order.

use std::{
    collections::{HashMap, HashSet},
    pin::Pin,
    sync::Arc,
};

use aes::{Aes128, Block, cipher::BlockEncrypt};
use bytes::{Bytes, BytesMut};
use causeway_proto::{
    ids::SweepId,
    kind::MatchKeyKind,
    limits::TOKEN_BYTES,
    pb::{self, stream_tokens_response::Column, token_service_server::TokenService},
};
use futures::{Stream, StreamExt, stream};
use sqlx::{Sqlite, Transaction};
use tonic::{Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    session::{SegmentRows, Session},
    status,
};
use crate::store::{
    StoreError,
    segments::{self, KEY_BYTES},
};

type Responses = Pin<Box<dyn Stream<Item = Result<pb::StreamTokensResponse, Status>> + Send>>;

#[tonic::async_trait]
impl TokenService for Node {
    type StreamTokensStream = Responses;

    #[tracing::instrument(name = "tokens.stream", skip_all)]
    async fn stream_tokens(
        &self,
        request: Request<pb::StreamTokensRequest>,
    ) -> Result<Response<Responses>, Status> {
        let asked = Asked::of("StreamTokens", &request, &request.get_ref().sweep_id, 1);
        let pb::StreamTokensRequest { sweep_id, after } = request.into_inner();
        let answer = self.tokens(&sweep_id, after).await;
        self.conclude_stream(asked, answer).await
    }
}

/// A place in the stream: which column, and how many of its segments have been sent.
///
/// The position on the wire counts segments through all columns.
#[derive(Clone, Copy)]
struct Place {
    column: usize,
    segment: usize,
    first_row: u64,
}

/// Reads the stream from a place on.
struct Reader {
    session: Arc<Session>,
    store: Transaction<'static, Sqlite>,
    place: Place,
    column: Option<StoredColumn>,
}

impl Node {
    async fn tokens(&self, sweep: &[u8], after: u64) -> Answer<Responses> {
        let sweep = SweepId::from_wire("sweep_id", sweep)?;
        let session = self.session(sweep).await?;
        let store = self.store.snapshot().await.map_err(status::store)?;
        let rows = session.rows();
        let place = place_after(&session, after);
        let reader = Reader { session, store, place, column: None };
        let responses = stream::try_unfold(reader, async |mut reader| {
            let next = reader.next().await.map_err(status::store)?;
            Ok(next.map(|response| (response, reader)))
        });
        Ok((rows, responses.boxed()))
    }
}

/// Finds the place after so many segments.
fn place_after(session: &Session, after: u64) -> Place {
    let segments = session.order.len().max(1) as u64;
    let column = usize::try_from(after / segments).unwrap_or(usize::MAX);
    let segment = (after % segments) as usize;
    let sent = session.order.iter().take(segment);
    Place { column, segment, first_row: sent.map(|s| s.places.len() as u64).sum() }
}

impl Reader {
    async fn next(&mut self) -> Result<Option<pb::StreamTokensResponse>, StoreError> {
        let Self { session, store, place, column: stored } = self;
        if place.segment == session.order.len() {
            *place = Place { column: place.column + 1, segment: 0, first_row: 0 };
        }
        let Some(rows) = session.order.get(place.segment) else { return Ok(None) };
        let column = match place.column {
            0 => Column::People(people(session, rows)),
            column => {
                let Some(kind) = MatchKeyKind::ALL.get(column - 1).copied() else {
                    return Ok(None);
                };
                let stored = match stored {
                    Some(stored) if stored.kind == kind => stored,
                    _ => stored.insert(StoredColumn::read(store, session, kind).await?),
                };
                let keys = &stored.segments[place.segment];
                Column::Tokens(tokens(session, rows, kind, keys, &stored.crowds))
            }
        };
        let first_row = place.first_row;
        place.segment += 1;
        place.first_row += rows.places.len() as u64;
        let position = place.column as u64 * session.order.len() as u64 + place.segment as u64;
        Ok(Some(pb::StreamTokensResponse { position, first_row, column: Some(column) }))
    }
}

fn people(session: &Session, rows: &SegmentRows) -> pb::People {
    let mut handles = BytesMut::with_capacity(16 * rows.places.len());
    rows.rows().for_each(|row| handles.extend_from_slice(session.keys.own.handle(row).as_bytes()));
    let flags = rows.rows().map(|row| session.flags(row).0).collect();
    pb::People { handles: handles.freeze(), flags }
}

/// One segment's tokens of one kind, in the order of the stream.
fn tokens(
    session: &Session,
    rows: &SegmentRows,
    kind: MatchKeyKind,
    keys: &[u8],
    crowds: &Crowds,
) -> pb::Tokens {
    let slots = kind.slots();
    let (keys, _) = keys.as_chunks::<KEY_BYTES>();
    let mut blocks = Vec::with_capacity(rows.places.len() * slots);
    let mut empty = Vec::new();
    for (place, row) in rows.places.iter().zip(rows.rows()) {
        for slot in 0..slots {
            let key = &keys[usize::from(*place) * slots + slot];
            if is_empty(key) || crowds.contains(key) {
                empty.push((blocks.len(), row, slot));
            }
            blocks.push(Block::from(*key));
        }
    }
    session.keys.kind(kind).encrypt_blocks(&mut blocks);
    for (at, row, slot) in empty {
        blocks[at] = noise(session.keys.own.padding(), row, kind, slot);
    }
    let mut tokens = BytesMut::with_capacity(TOKEN_BYTES * blocks.len());
    blocks.iter().for_each(|block| tokens.extend_from_slice(&block[..TOKEN_BYTES]));
    let slots = u32::try_from(slots).expect("few slots");
    pb::Tokens { kind: kind.to_wire(), slots, tokens: Bytes::from(tokens) }
}

/// What stands in a slot without a key: looks like a token, and is the same when asked again.
pub(super) fn noise(padding: &Aes128, row: u64, kind: MatchKeyKind, slot: usize) -> Block {
    let mut block = Block::default();
    block[..8].copy_from_slice(&row.to_be_bytes());
    block[8] = kind.number();
    block[9] = u8::try_from(slot).expect("few slots");
    padding.encrypt_block(&mut block);
    block
}

fn is_empty(key: &[u8; KEY_BYTES]) -> bool {
    u128::from_ne_bytes(*key) == 0
}

/// One kind's keys as they are stored, 16 bytes a slot: read once, for counting and for sending.
struct StoredColumn {
    kind: MatchKeyKind,
    /// In the order of the stream.
    segments: Vec<Vec<u8>>,
    crowds: Crowds,
}

impl StoredColumn {
    async fn read(
        store: &mut Transaction<'static, Sqlite>,
        session: &Session,
        kind: MatchKeyKind,
    ) -> Result<Self, StoreError> {
        let mut segments = Vec::with_capacity(session.order.len());
        for rows in &session.order {
            segments.push(segments::keys(store, rows.segment, kind).await?);
        }
        let crowds = Crowds::count(session, kind, &segments);
        Ok(Self { kind, segments, crowds })
    }
}

/// Match-keys of one kind that too many records share: an institution's phone, a default date. They
/// would tell a crowd apart from the rest and link nobody.
struct Crowds {
    /// By a part of the key: how many slots hold one like it.
    counts: Vec<u8>,
    /// More in one place may be a crowd.
    most: u8,
    keys: HashSet<[u8; KEY_BYTES]>,
}

impl Crowds {
    /// Counts a whole column: first by a part of the keys, which are uniform, then those exactly of
    /// which there may be too many.
    fn count(session: &Session, kind: MatchKeyKind, segments: &[Vec<u8>]) -> Self {
        let slots_in_all = usize::try_from(session.rows()).unwrap_or(usize::MAX) * kind.slots();
        let most = u8::try_from(kind.most_records()).expect("a crowd is fewer than 256");
        // So many places that chance alone does not fill one beyond `most`, and no more: they should
        // fit the processor's cache.
        let places = (16 * slots_in_all / usize::from(most)).next_power_of_two();
        let counts = vec![0; places.clamp(1 << 12, 1 << 26)];
        let mut crowds = Self { counts, most, keys: HashSet::new() };
        let keys = || {
            let slots = kind.slots();
            session.order.iter().zip(segments).flat_map(move |(rows, keys)| {
                let (keys, _) = keys.as_chunks::<KEY_BYTES>();
                let of_row = move |place: &u16| {
                    let first = usize::from(*place) * slots;
                    keys[first..first + slots].iter().filter(|key| !is_empty(key))
                };
                rows.places.iter().flat_map(of_row)
            })
        };
        for key in keys() {
            let place = crowds.place(key);
            crowds.counts[place] = crowds.counts[place].saturating_add(1);
        }
        if crowds.counts.iter().any(|count| *count > most) {
            let mut exact: HashMap<[u8; KEY_BYTES], usize> = HashMap::new();
            for key in keys().filter(|key| crowds.is_full(key)) {
                *exact.entry(*key).or_default() += 1;
            }
            let crowded = exact.into_iter().filter(|(_, count)| *count > usize::from(most));
            crowds.keys = crowded.map(|(key, _)| key).collect();
        }
        crowds
    }

    fn place(&self, key: &[u8; KEY_BYTES]) -> usize {
        let part = u64::from_le_bytes(key[..8].try_into().expect("8 of 16 bytes"));
        part as usize & (self.counts.len() - 1)
    }

    fn is_full(&self, key: &[u8; KEY_BYTES]) -> bool {
        self.counts[self.place(key)] > self.most
    }

    fn contains(&self, key: &[u8; KEY_BYTES]) -> bool {
        !self.keys.is_empty() && self.is_full(key) && self.keys.contains(key)
    }
}
