//! Opens and closes sweeps.

use std::sync::Arc;

use causeway_proto::{
    ids::SweepId,
    kind::RECIPE,
    pb::{self, sweep_service_server::SweepService},
    refusal,
    sweep::{Opened, Opening},
};
use prost::Message;
use sqlx::SqliteConnection;
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    memos::handed_back,
    session::Session,
    standing, status,
};
use crate::{
    store::{changes, keyed, memos, segments, sweeps, tidy::tidy},
    tokenise::{keyring::KeyringError, recipe::REVISION},
};

#[tonic::async_trait]
impl SweepService for Node {
    #[tracing::instrument(name = "sweep.open", skip_all)]
    async fn open_sweep(
        &self,
        request: Request<pb::OpenSweepRequest>,
    ) -> Result<Response<pb::OpenSweepResponse>, Status> {
        let asked = Asked::of("OpenSweep", &request, &request.get_ref().sweep_id, 1);
        let answer = self.open(request.into_inner()).await;
        self.conclude(asked, answer).await
    }

    #[tracing::instrument(name = "sweep.close", skip_all)]
    async fn close_sweep(
        &self,
        request: Request<pb::CloseSweepRequest>,
    ) -> Result<Response<pb::CloseSweepResponse>, Status> {
        let asked = Asked::of("CloseSweep", &request, &request.get_ref().sweep_id, 1);
        let answer = self.close(&request.get_ref().sweep_id).await;
        self.conclude(asked, answer).await
    }

    #[tracing::instrument(name = "sweep.keep_memos", skip_all)]
    async fn keep_memos(
        &self,
        request: Request<pb::KeepMemosRequest>,
    ) -> Result<Response<pb::KeepMemosResponse>, Status> {
        let items = request.get_ref().memos.len();
        let asked = Asked::of("KeepMemos", &request, &request.get_ref().sweep_id, items);
        let answer = self.keep(request.into_inner()).await;
        self.conclude(asked, answer).await
    }
}

/// Refuses while the stored match-keys are of another linkage key or recipe: they would join nobody.
async fn is_keyed(conn: &mut SqliteConnection, commitment: [u8; 32]) -> Result<(), Status> {
    let now = keyed::load(conn).await.map_err(status::store)?;
    if now.is_none_or(|now| now.commitment == commitment && now.revision == REVISION) {
        return Ok(());
    }
    let message =
        "the node has another linkage key now and makes its match-keys again: try again later";
    Err(refusal::status(Code::FailedPrecondition, "REKEYING", message))
}

impl Node {
    async fn open(&self, request: pb::OpenSweepRequest) -> Answer<pb::OpenSweepResponse> {
        let opening = Opening::try_from(request)?;
        let (policy, purposes) = self.allowed(&opening.purposes, opening.as_at)?;
        let mut current = self.session.lock().await;
        self.end_out_of_date(&mut current).await?;
        let mut tx = self.store.begin().await.map_err(status::store)?;
        let known = sweeps::current(&mut tx).await.map_err(status::store)?;
        let known = known.filter(|known| known.id == opening.sweep);
        if known.is_none() {
            self.may_begin(&mut tx, &opening).await?;
        } else if let Some(session) = current.as_ref().filter(|it| it.id() == opening.sweep) {
            drop(tx);
            return self.describe(session).await;
        }
        let (chain, keys) = self.keyring.open_sweep(&opening.sweep).map_err(status::keyring)?;
        let key = (chain.epoch(), chain.commit());
        is_keyed(&mut tx, key.1).await?;
        let sweep = match known {
            Some(known) => known,
            None => {
                // No stream of the sweep before comes back any more.
                sweeps::break_off(&mut tx, (self.now_ms)()).await.map_err(status::store)?;
                tidy(&mut tx).await.map_err(status::store)?;
                let sweep = sweeps::Sweep {
                    id: opening.sweep,
                    as_at: opening.as_at,
                    purposes,
                    last_row: segments::next_row(&mut tx).await.map_err(status::store)?,
                    position: changes::position(&mut tx).await.map_err(status::store)?,
                };
                let standings = standing::all(&mut tx, &policy, &sweep).await;
                let standings = standings.map_err(status::store)?;
                let records = standings.iter().filter(|standing| standing.is_in()).count() as u64;
                let streamed: Vec<u8> = standings.into_iter().map(|s| s.0).collect();
                let (said, now_ms) = ((&streamed[..], records), (self.now_ms)());
                sweeps::open(&mut tx, &sweep, said, now_ms).await.map_err(status::store)?;
                let forgotten = memos::forget(&mut tx, now_ms).await.map_err(status::store)?;
                if forgotten > 0 {
                    tracing::info!(findings = forgotten, "forgot what nobody renewed");
                }
                sweep
            }
        };
        let session = Session::build(&mut tx, sweep, keys, key).await;
        let session = Arc::new(session.map_err(status::store)?);
        tx.commit().await.map_err(|error| status::store(error.into()))?;
        tracing::info!(
            sweep = session.id().counter(), rows = session.rows(), as_at = %session.as_at(),
            "opened a sweep"
        );
        if let Some(before) = current.replace(session.clone()) {
            before.end();
        }
        self.describe(&session).await
    }

    /// Refuses a sweep as at a day that tells too much, or whose counter was used before: with the same
    /// counter and other random bytes it would be one more sweep under a key that is to be used once.
    async fn may_begin(
        &self,
        conn: &mut SqliteConnection,
        opening: &Opening,
    ) -> Result<(), Status> {
        let last = sweeps::last(conn).await.map_err(status::store)?;
        if let Some((last, _)) = last.filter(|(last, _)| opening.sweep.counter() <= last.counter())
        {
            let message = format!(
                "the node has opened sweep {} before: the next one needs a higher counter",
                last.counter()
            );
            return Err(refusal::status(Code::FailedPrecondition, "SWEEP_REPLAYED", message));
        }
        self.check_day(opening.as_at, last.map(|(_, day)| day))
    }

    async fn describe(&self, session: &Session) -> Answer<pb::OpenSweepResponse> {
        let policy = self.policy_for(session.as_at())?;
        let mut conn = self.store.read().await.map_err(status::store)?;
        let (feeds, _) = self.freshness(&mut conn).await.map_err(status::store)?;
        let mut opened = Opened {
            recipe: RECIPE,
            key_epoch: session.key_epoch,
            key_commit: session.key_commit,
            records: session.rows(),
            position: session.sweep.position,
            kind: self.kind,
            feeds,
            memos: Vec::new(),
            contact: self.contact.clone().filter(|_| policy.disclose_contact),
            no_contact: None,
            withheld: policy.withheld(self.kind, session.purposes()),
            spelling: REVISION.into(),
        };
        let rest = pb::OpenSweepResponse::from(opened.clone()).encoded_len();
        let memos = handed_back(&mut conn, session, rest).await;
        opened.memos = memos.map_err(status::store)?;
        Ok((session.rows(), opened.into()))
    }

    async fn close(&self, sweep: &[u8]) -> Answer<pb::CloseSweepResponse> {
        let sweep = SweepId::from_wire("sweep_id", sweep)?;
        let mut current = self.session.lock().await;
        self.end(&mut current, sweep).await?;
        Ok((1, pb::CloseSweepResponse {}))
    }

    /// Ends a sweep and erases its key.
    async fn end(&self, current: &mut Option<Arc<Session>>, sweep: SweepId) -> Result<(), Status> {
        if let Some(session) = current.take_if(|session| session.id() == sweep) {
            session.end();
        }
        let mut tx = self.store.begin().await.map_err(status::store)?;
        let since = sweeps::opened_since(&mut tx, sweep).await.map_err(status::store)?;
        sweeps::close(&mut tx, sweep, (self.now_ms)()).await.map_err(status::store)?;
        tx.commit().await.map_err(|error| status::store(error.into()))?;
        // Last, so that a sweep whose key is gone is never one that is still open. One that was never opened
        // here has no key, and must not cost the one of a sweep to come.
        if since.is_some() {
            self.keyring.close_sweep(&sweep).map_err(status::keyring)?;
        }
        Ok(())
    }

    /// Ends the open sweep where it has been open for too long: what policy lets grow old, and the key that
    /// is to be erased, would otherwise stay for as long as the coordinator likes.
    pub(super) async fn end_out_of_date(
        &self,
        current: &mut Option<Arc<Session>>,
    ) -> Result<(), Status> {
        if current.as_ref().is_some_and(|session| !self.is_out_of_date(session.as_at())) {
            return Ok(());
        }
        let mut conn = self.store.read().await.map_err(status::store)?;
        let open = sweeps::current(&mut conn).await.map_err(status::store)?;
        drop(conn);
        let Some(open) = open.filter(|open| self.is_out_of_date(open.as_at)) else { return Ok(()) };
        self.end(current, open.id).await?;
        tracing::warn!(
            sweep = open.id.counter(), as_at = %open.as_at,
            "ended a sweep that was left open for too long"
        );
        Ok(())
    }

    /// Ends a sweep that has been open for too long, and erases the key of one that was closed when the
    /// machine stopped.
    ///
    /// # Errors
    /// Fails when the store or the key cannot be written; the caller tries again.
    pub async fn end_what_is_over(&self) -> Result<(), Status> {
        let mut current = self.session.lock().await;
        self.end_out_of_date(&mut current).await?;
        let mut conn = self.store.read().await.map_err(status::store)?;
        let open = sweeps::current(&mut conn).await.map_err(status::store)?;
        let last = sweeps::last(&mut conn).await.map_err(status::store)?;
        drop(conn);
        let (None, Some((last, _))) = (open, last) else { return Ok(()) };
        match self.keyring.close_sweep(&last) {
            Err(KeyringError::NoKey(_)) => Ok(()),
            closed => closed.map_err(status::keyring),
        }
    }
}
