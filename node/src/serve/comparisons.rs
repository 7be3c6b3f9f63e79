//! Answers the second look: comparisons salted by a match-key, and how often strangers agree.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use aes::{Block, cipher::BlockEncrypt};
use bytes::Bytes;
use causeway_proto::{
    ids::SweepId,
    kind::MatchKeyKind,
    limits::SEGMENT_ROWS,
    linkage::comparison,
    pb::{self, comparison_service_server::ComparisonService},
    wire::WireError,
};
use tonic::{Request, Response, Status};

use super::{
    Node,
    agreement::{Agreement, MOST_PAIRS, People},
    answer::{Answer, Asked},
    crowds::{Crowds, Key, is_crowd},
    rows_of,
    session::Session,
    status, tokens,
};
use crate::{
    store::{
        StoreError,
        segments::{self, ALIVE, KEY_BYTES},
    },
    tokenise::{compare::Comparer, sketch::Sketch},
};

#[tonic::async_trait]
impl ComparisonService for Node {
    #[tracing::instrument(name = "comparisons.compare", skip_all)]
    async fn compare(
        &self,
        request: Request<pb::CompareRequest>,
    ) -> Result<Response<pb::CompareResponse>, Status> {
        let items = request.get_ref().kinds.len();
        let asked = Asked::of("Compare", &request, &request.get_ref().sweep_id, items);
        let answer = self.compared(request.into_inner()).await;
        self.conclude(asked, answer).await
    }

    #[tracing::instrument(name = "comparisons.sample", skip_all)]
    async fn sample_agreement(
        &self,
        request: Request<pb::SampleAgreementRequest>,
    ) -> Result<Response<pb::SampleAgreementResponse>, Status> {
        let asked = Asked::of("SampleAgreement", &request, &request.get_ref().sweep_id, 1);
        let answer = self.sampled(request.into_inner()).await;
        self.conclude(asked, answer).await
    }
}

/// One question: where it stands in the request, which row, salted by which slot of which kind.
struct Question {
    at: usize,
    row: u64,
    kind: MatchKeyKind,
    slot: usize,
}

impl Node {
    async fn compared(&self, request: pb::CompareRequest) -> Answer<pb::CompareResponse> {
        let session = self.session(SweepId::from_wire("sweep_id", &request.sweep_id)?).await?;
        let rows = rows_of(&session, &request.handles)?;
        let questions = questions(&rows, &request.kinds, &request.slots)?;
        let asked: BTreeSet<MatchKeyKind> = questions.iter().map(|q| q.kind).collect();
        let mut by_segment: BTreeMap<u64, Vec<Question>> = BTreeMap::new();
        for question in questions {
            by_segment.entry(question.row / SEGMENT_ROWS as u64).or_default().push(question);
        }
        let crowds = self.crowds(&session, asked).await.map_err(status::store)?;
        // All zero says that there is nothing to say.
        let mut packed = vec![0; rows.len() * comparison::WIDTH];
        let (answers, _) = packed.as_chunks_mut();
        let mut snapshot = self.store.snapshot().await.map_err(status::store)?;
        let states = segments::states_of(&mut snapshot, &rows).await.map_err(status::store)?;
        let alive = |row: &u64| states.get(row).is_some_and(|state| state & ALIVE != 0);
        let in_sweep = |row: &u64| alive(row) && session.standing(*row).is_in();
        for (number, mut questions) in by_segment {
            // A row that was replaced or retired, or is out of the sweep, has nothing to say any more.
            questions.retain(|question| in_sweep(&question.row));
            let Some(last) = questions.iter().map(|question| place(question.row)).max() else {
                continue;
            };
            let kinds: BTreeSet<MatchKeyKind> = questions.iter().map(|q| q.kind).collect();
            let kinds: Vec<MatchKeyKind> = kinds.into_iter().collect();
            let segment = session.shelf.read(&mut snapshot, number, last, &kinds).await;
            let segment = segment.map_err(status::store)?;
            let mut comparer = Comparer::new(session.keys.comparing());
            for Question { at, row, kind, slot } in questions {
                let place = place(row);
                let sketch = segment.sketch(place).and_then(Sketch::read);
                let sketch = sketch.ok_or_else(unknown_row)?;
                let key = segment.key(place, kind, slot).ok_or_else(unknown_row)?;
                let key = Some(key).filter(|key| !is_crowd(&crowds[&kind], key));
                let salt = salt(&session, row, kind, slot, key);
                let compared = comparer.compare(&salt.into(), noise(&session, row), &sketch);
                compared.write(&mut answers[at]);
            }
        }
        let response = pb::CompareResponse {
            comparisons: Bytes::from(packed),
            width: u32::try_from(comparison::WIDTH).expect("a few hundred bytes"),
            layout: comparison::LAYOUT,
        };
        Ok((rows.len() as u64, response))
    }

    /// The match-keys that no token is made of, of some kinds.
    async fn crowds(
        &self,
        session: &Session,
        kinds: BTreeSet<MatchKeyKind>,
    ) -> Result<BTreeMap<MatchKeyKind, Arc<Crowds>>, StoreError> {
        if kinds.iter().any(|kind| session.crowds(*kind).is_none()) {
            session.count_crowds(&self.store).await?;
        }
        let known = |kind| (kind, session.crowds(kind).unwrap_or_default());
        Ok(kinds.into_iter().map(known).collect())
    }

    /// Says how often people agree in the one sample of the sweep, in proportion to the pairs that are asked for:
    /// of two samples that differ by a pair, the difference would be about two people.
    async fn sampled(
        &self,
        request: pb::SampleAgreementRequest,
    ) -> Answer<pb::SampleAgreementResponse> {
        let session = self.session(SweepId::from_wire("sweep_id", &request.sweep_id)?).await?;
        let sample = session.agreement.get_or_try_init(|| self.sample(&session)).await?;
        let fields = sample.in_proportion_to(request.pairs);
        let people = session.rows();
        Ok((people, pb::SampleAgreementResponse { fields, people }))
    }

    /// Compares random pairs of our own people, unsalted and in this process only.
    async fn sample(&self, session: &Session) -> Result<Agreement, Status> {
        /// Rows to draw the pairs from: a few segments stand for all, as rows are in no order.
        const MOST_ROWS: usize = 32_768;
        let mut store = self.store.snapshot().await.map_err(status::store)?;
        let mut comparer = Comparer::new(session.keys.comparing());
        let mut people = People::default();
        for rows in &session.order {
            if people.len() >= MOST_ROWS {
                break;
            }
            let packed = segments::packed_sketches(&mut store, rows.segment).await;
            let packed = packed.map_err(status::store)?;
            let sketches: Vec<&[u8]> = segments::sketches(&packed).collect();
            for (place, row) in rows.places.iter().zip(rows.rows()) {
                let sketch = sketches.get(usize::from(*place)).and_then(|s| Sketch::read(s));
                let Some(sketch) = sketch else { return Err(unknown_row()) };
                people.push(comparer.compare(&[0; 16], noise(session, row), &sketch), &sketch);
            }
        }
        drop(store);
        let seed = session.keys.own.order();
        let sample = tokio::task::spawn_blocking(move || people.agreement(MOST_PAIRS, seed)).await;
        sample.map_err(|_| Status::internal("the node could not count"))
    }
}

fn questions(rows: &[u64], kinds: &[u8], slots: &[u8]) -> Result<Vec<Question>, WireError> {
    if kinds.len() != rows.len() || slots.len() != rows.len() {
        let rule = "as many as `handles`";
        return Err(WireError::Invalid { field: "kinds", rule });
    }
    rows.iter()
        .zip(kinds)
        .zip(slots)
        .enumerate()
        .map(|(at, ((row, kind), slot))| {
            let kind = MatchKeyKind::from_wire(i32::from(*kind))?;
            let slot = usize::from(*slot);
            let rule = "below the kind's number of slots";
            let question = Question { at, row: *row, kind, slot };
            (slot < kind.slots())
                .then_some(question)
                .ok_or(WireError::Invalid { field: "slots", rule })
        })
        .collect()
}

/// The place of a row in its segment.
fn place(row: u64) -> usize {
    (row % SEGMENT_ROWS as u64) as usize
}

/// The whole block of the token in a slot, of which half travelled. A slot without a key has noise
/// there, so that asking tells nobody whether there is one; and so has one whose key too many share,
/// or asking would tell who they are.
fn salt(session: &Session, row: u64, kind: MatchKeyKind, slot: usize, key: Option<&Key>) -> Block {
    let Some(key) = key.filter(|key| **key != [0; KEY_BYTES]) else {
        return tokens::noise(session.keys.own.padding(), row, kind, slot);
    };
    let mut block = Block::from(*key);
    session.keys.kind(kind).encrypt_block(&mut block);
    block
}

/// A number for atoms that have nothing to say, different for every record of every node.
fn noise(session: &Session, row: u64) -> u64 {
    let mut block = Block::default();
    block[..8].copy_from_slice(&row.to_be_bytes());
    block[15] = 1;
    session.keys.own.padding().encrypt_block(&mut block);
    u64::from_le_bytes(block[..8].try_into().expect("8 of 16 bytes"))
}

fn unknown_row() -> Status {
    status::store(StoreError::Corrupt("row"))
}
