//! Streams match-keys: first the handles, then kind by kind, each a column in the same order.

use std::{
    pin::Pin,
    sync::{Arc, Weak},
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
use sqlx::SqliteConnection;
use tonic::{Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    crowds::{self, Crowds, Key},
    session::{SegmentRows, Session},
    status,
    streams::Taken,
};
use crate::store::{
    Store, StoreError,
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
        let answer = self.tokens(&sweep_id, after, asked.clone()).await;
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
///
/// Everything it reads was written before the sweep was opened and stands as long as that is open, so it holds
/// on to nothing between two messages, and a place is the same place whatever happens meanwhile.
pub(super) struct Reader {
    store: Store,
    place: Place,
    column: Option<StoredColumn>,
}

impl Node {
    async fn tokens(&self, sweep: &[u8], after: u64, asked: Asked) -> Answer<Responses> {
        let sweep = SweepId::from_wire("sweep_id", sweep)?;
        let session = self.session(sweep).await?;
        let _place = self.token_streams.take()?;
        let rows = session.rows();
        let reader = Reader::after(&session, self.store.clone(), after);
        let session = Arc::downgrade(&session);
        let allowed = Allowed { node: self.clone(), session, asked, reader, _place };
        let responses = stream::try_unfold(allowed, async |mut allowed| {
            let next = allowed.next().await?;
            Ok(next.map(|response| (response, allowed)))
        });
        Ok((rows, responses.boxed()))
    }
}

/// A token stream that ends once the agency allows nothing of the sweep any more.
struct Allowed {
    node: Node,
    /// A stream that nobody reads keeps no key of a sweep that is over.
    session: Weak<Session>,
    asked: Asked,
    reader: Reader,
    _place: Taken,
}

impl Allowed {
    async fn next(&mut self) -> Result<Option<pb::StreamTokensResponse>, Status> {
        let session = self.session.upgrade().ok_or_else(status::sweep_closed)?;
        self.node.still_allowed(&session, &self.asked).await?;
        match self.reader.next(&session).await {
            Ok(next) => Ok(next),
            // What a sweep that is over would read may be gone.
            Err(_) if self.node.is_over(session.id()).await => Err(status::sweep_closed()),
            Err(error) => Err(status::store(error)),
        }
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
    /// Begins after so many segments.
    pub(super) fn after(session: &Session, store: Store, after: u64) -> Self {
        Self { store, place: place_after(session, after), column: None }
    }

    /// Returns the next message; `None` at the end.
    pub(super) async fn next(
        &mut self,
        session: &Session,
    ) -> Result<Option<pb::StreamTokensResponse>, StoreError> {
        let Self { store, place, column: stored } = self;
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
                    _ => {
                        let mut conn = store.read().await?;
                        stored.insert(StoredColumn::read(&mut conn, session, kind).await?)
                    }
                };
                let (keys, _) = stored.segments[place.segment].as_chunks::<KEY_BYTES>();
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
pub(super) fn tokens(
    session: &Session,
    rows: &SegmentRows,
    kind: MatchKeyKind,
    keys: &[Key],
    crowds: &Crowds,
) -> pb::Tokens {
    let slots = kind.slots();
    let mut blocks = Vec::with_capacity(rows.places.len() * slots);
    let (mut empty, mut noise) = (Vec::new(), Vec::new());
    for (place, row) in rows.places.iter().zip(rows.rows()) {
        for slot in 0..slots {
            let key = &keys[usize::from(*place) * slots + slot];
            if is_empty(key) || crowds::is_crowd(crowds, key) {
                empty.push(blocks.len());
                noise.push(seed(row, kind, slot));
            }
            blocks.push(Block::from(*key));
        }
    }
    session.keys.kind(kind).encrypt_blocks(&mut blocks);
    session.keys.own.padding().encrypt_blocks(&mut noise);
    empty.iter().zip(noise).for_each(|(at, noise)| blocks[*at] = noise);
    let mut tokens = vec![0; TOKEN_BYTES * blocks.len()];
    for (token, block) in tokens.as_chunks_mut().0.iter_mut().zip(&blocks) {
        *token = *block.first_chunk::<TOKEN_BYTES>().expect("a block is longer than a token");
    }
    let slots = u32::try_from(slots).expect("few slots");
    pb::Tokens { kind: kind.to_wire(), slots, tokens: Bytes::from(tokens) }
}

/// What stands in a slot without a key: looks like a token, and is the same when asked again.
pub(super) fn noise(padding: &Aes128, row: u64, kind: MatchKeyKind, slot: usize) -> Block {
    let mut block = seed(row, kind, slot);
    padding.encrypt_block(&mut block);
    block
}

/// What becomes a slot's noise.
fn seed(row: u64, kind: MatchKeyKind, slot: usize) -> Block {
    let mut block = Block::default();
    block[..8].copy_from_slice(&row.to_be_bytes());
    block[8] = kind.number();
    block[9] = u8::try_from(slot).expect("few slots");
    block
}

fn is_empty(key: &Key) -> bool {
    u128::from_ne_bytes(*key) == 0
}

/// One kind's keys as they are stored, 16 bytes a slot: read once, for counting and for sending.
struct StoredColumn {
    kind: MatchKeyKind,
    /// In the order of the stream.
    segments: Vec<Arc<Vec<u8>>>,
    crowds: Arc<Crowds>,
}

impl StoredColumn {
    async fn read(
        conn: &mut SqliteConnection,
        session: &Session,
        kind: MatchKeyKind,
    ) -> Result<Self, StoreError> {
        let mut segments = Vec::with_capacity(session.order.len());
        for rows in &session.order {
            let keys = Arc::new(segments::keys(conn, rows.segment, kind).await?);
            // The second look will ask for them.
            session.shelf.keep_keys(rows.segment, kind, &keys);
            segments.push(keys);
        }
        let crowds = Arc::new(crowds::crowds(kind, &session.order, &segments));
        session.keep_crowds(kind, &crowds);
        Ok(Self { kind, segments, crowds })
    }
}
