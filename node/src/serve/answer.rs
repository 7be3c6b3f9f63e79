//! Puts every answer, and every refusal, into the audit table before it leaves.

use causeway_certs::stream::Peer;
use causeway_proto::{ids::SweepId, limits::MESSAGE_BYTES, refusal};
use prost::Message;
use ring::digest::{SHA256, digest};
use tonic::{Code, Request, Response, Status};

use super::{Node, allowed::Answers, status};
use crate::store::audit::{self, Entry};

/// A question as the audit table remembers it.
#[derive(Clone)]
pub(super) struct Asked {
    call: &'static str,
    peer: String,
    sweep: Option<SweepId>,
    items: u64,
    hash: [u8; 32],
}

/// An answer with the number of items in it.
pub(super) type Answer<T> = Result<(u64, T), Status>;

impl Asked {
    /// Notes a question before it is taken apart. `items` is how many things it asks about.
    pub(super) fn of<T: Message>(
        call: &'static str,
        request: &Request<T>,
        sweep: &[u8],
        items: usize,
    ) -> Self {
        let peer = request.extensions().get::<Peer>();
        Self {
            call,
            peer: peer.map_or_else(|| "local".to_owned(), |peer| peer.identity.to_string()),
            sweep: SweepId::from_wire("sweep_id", sweep).ok(),
            items: items as u64,
            hash: sha256(&request.get_ref().encode_to_vec()),
        }
    }
}

impl Node {
    /// Records an answer or a refusal, and only then lets it go.
    pub(super) async fn conclude<T: Message>(
        &self,
        asked: Asked,
        answer: Answer<T>,
    ) -> Result<Response<T>, Status> {
        let hash = |answer: &T| sha256(&answer.encode_to_vec());
        // What cannot be sent is no answer.
        let answer = answer.and_then(|(items, answer)| match answer.encoded_len() {
            ..=MESSAGE_BYTES => Ok((items, answer)),
            _ => Err(too_large()),
        });
        let (outcome, answered, response_hash) = match &answer {
            Ok((items, answer)) => ("ok".to_owned(), *items, hash(answer)),
            Err(status) => (reason(status), 0, [0; 32]),
        };
        self.record(asked, outcome, answered, response_hash).await?;
        answer.map(|(_, answer)| Response::new(answer))
    }

    /// Records the beginning of a stream of so many rows, or its refusal. It ends when the agency stops its
    /// node, unless it is the agency's own.
    pub(super) async fn conclude_stream<T: Send + 'static>(
        &self,
        asked: Asked,
        stream: Answer<Answers<T>>,
    ) -> Result<Response<Answers<T>>, Status> {
        let is_ours = asked.call == "WatchInbox";
        let (outcome, answered) = match &stream {
            Ok((items, _)) => ("ok".to_owned(), *items),
            Err(status) => (reason(status), 0),
        };
        self.record(asked, outcome, answered, [0; 32]).await?;
        let stream = stream.map(|(_, stream)| stream)?;
        Ok(Response::new(if is_ours { stream } else { self.while_going(stream) }))
    }

    /// Records the next messages of a stream that stays open, before they are sent.
    pub(super) async fn record_sent<T: Message>(
        &self,
        asked: &Asked,
        messages: &[T],
    ) -> Result<(), Status> {
        let mut bytes = Vec::new();
        for message in messages {
            message.encode_length_delimited(&mut bytes).expect("a vector has room");
        }
        let count = messages.len() as u64;
        self.record(asked.clone(), "ok".to_owned(), count, sha256(&bytes)).await
    }

    /// Records that a stream which was let go ends with a refusal, and returns what to end it with.
    pub(super) async fn refuse_midway(&self, asked: &Asked, refused: Status) -> Status {
        let recorded = self.record(asked.clone(), reason(&refused), 0, [0; 32]).await;
        recorded.err().unwrap_or(refused)
    }

    /// Records that an alert was taken in and leaves no finding.
    pub(super) async fn record_unkept(&self, asked: &Asked) -> Result<(), Status> {
        tracing::warn!("an alert was taken in that the next sweep is not told of");
        let asked = Asked { call: "KeepMemos", ..asked.clone() };
        self.record(asked, "MEMOS_NOT_KEPT".to_owned(), 0, [0; 32]).await
    }

    async fn record(
        &self,
        asked: Asked,
        outcome: String,
        answered: u64,
        response_hash: [u8; 32],
    ) -> Result<(), Status> {
        let Asked { call, peer, sweep, items, hash } = asked;
        tracing::info!(peer, call, asked = items, answered, outcome, "answered");
        let at_ms = (self.now_ms)();
        let (asked, request_hash) = (items, hash);
        let entry = Entry {
            at_ms,
            peer,
            call,
            sweep,
            outcome,
            asked,
            answered,
            request_hash,
            response_hash,
        };
        let mut tx = self.store.begin().await.map_err(status::store)?;
        audit::put(&mut tx, &entry).await.map_err(status::store)?;
        tx.commit().await.map_err(|error| status::store(error.into()))
    }
}

pub(super) fn too_large() -> Status {
    let message =
        "the node's answer would be larger than a message may be: ask for fewer at a time";
    refusal::status(Code::ResourceExhausted, "ASK_FOR_FEWER", message)
}

fn reason(status: &Status) -> String {
    refusal::reason(status).unwrap_or_else(|| format!("{:?}", status.code()))
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}
