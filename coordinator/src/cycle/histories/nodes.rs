//! Nodes that answer from a [`World`], each behind a pipe of its own.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use causeway_proto::{
    alert::Alert,
    ids::{Handle, MemoId},
    pb::{
        self,
        alert_service_server::{AlertService, AlertServiceServer},
        dwelling_service_server::{DwellingService, DwellingServiceServer},
        signal_service_server::{SignalService, SignalServiceServer},
        sweep_service_server::{SweepService, SweepServiceServer},
    },
    refusal,
    sweep::{Memo, MemoKind},
};
use hyper_util::rt::TokioIo;
use tokio::{io::duplex, sync::mpsc};
use tokio_stream::{StreamExt, wrappers::UnboundedReceiverStream};
use tonic::{
    Code, Request, Response, Status,
    transport::{Endpoint, Server},
};

use super::world::World;
use crate::federation::Member;

/// The nodes of a world.
pub(super) struct Nodes {
    world: Arc<Mutex<World>>,
}

/// One of them.
#[derive(Clone)]
struct Node {
    at: usize,
    world: Arc<Mutex<World>>,
}

impl Nodes {
    pub(super) fn of(world: World) -> Self {
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// Looks at the world, or changes it.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts every node, and returns how to reach them.
    pub(super) fn members(&self) -> Vec<Member> {
        let agencies = self.world();
        let members = agencies.agencies.iter().enumerate().map(|(at, agency)| {
            let node = Node { at, world: self.world.clone() };
            let (dial, dialled) = mpsc::unbounded_channel();
            let accepted = UnboundedReceiverStream::new(dialled).map(Ok::<_, std::io::Error>);
            let server = Server::builder()
                .add_service(SweepServiceServer::new(node.clone()))
                .add_service(DwellingServiceServer::new(node.clone()))
                .add_service(SignalServiceServer::new(node.clone()))
                .add_service(AlertServiceServer::new(node));
            // Ends with the runtime of the test.
            tokio::spawn(server.serve_with_incoming(accepted));
            let connect = tower::service_fn(move |_| {
                let (near, far) = duplex(1 << 16);
                let sent = dial.send(far).map_err(std::io::Error::other);
                async move { sent.map(|()| TokioIo::new(near)) }
            });
            let channel = Endpoint::from_static("http://node").connect_with_connector_lazy(connect);
            Member::over(agency.id.clone(), agency.kind, channel)
        });
        members.collect()
    }
}

impl Node {
    /// Looks at the world, where the agency takes part in it.
    fn world(&self) -> Result<MutexGuard<'_, World>, Status> {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        match world.agencies[self.at].missing {
            true => Err(Status::unavailable("it is away")),
            false => Ok(world),
        }
    }
}

fn handles(column: &[u8]) -> Result<Vec<Handle>, Status> {
    Ok(Handle::from_column("handles", column)?)
}

#[tonic::async_trait]
impl SweepService for Node {
    async fn open_sweep(
        &self,
        _: Request<pb::OpenSweepRequest>,
    ) -> Result<Response<pb::OpenSweepResponse>, Status> {
        Err(Status::unimplemented("sweeps are open here"))
    }

    async fn close_sweep(
        &self,
        _: Request<pb::CloseSweepRequest>,
    ) -> Result<Response<pb::CloseSweepResponse>, Status> {
        Ok(Response::new(Default::default()))
    }

    async fn keep_memos(
        &self,
        request: Request<pb::KeepMemosRequest>,
    ) -> Result<Response<pb::KeepMemosResponse>, Status> {
        let mut world = self.world()?;
        if world.agencies[self.at].full {
            return Err(Status::resource_exhausted("it has no room"));
        }
        for memo in request.into_inner().memos {
            world.keep(memo.try_into()?);
        }
        Ok(Response::new(Default::default()))
    }
}

#[tonic::async_trait]
impl DwellingService for Node {
    async fn query_dwellings(
        &self,
        request: Request<pb::QueryDwellingsRequest>,
    ) -> Result<Response<pb::QueryDwellingsResponse>, Status> {
        let world = self.world()?;
        let handles = handles(&request.get_ref().handles)?.into_iter();
        let residences = handles.map(|handle| world.residence(handle).into()).collect();
        Ok(Response::new(pb::QueryDwellingsResponse { residences }))
    }
}

#[tonic::async_trait]
impl SignalService for Node {
    async fn query_signals(
        &self,
        request: Request<pb::QuerySignalsRequest>,
    ) -> Result<Response<pb::QuerySignalsResponse>, Status> {
        let world = self.world()?;
        let handles = handles(&request.get_ref().handles)?.into_iter();
        let subjects = handles.map(|handle| pb::SubjectSignals {
            signals: world.signals(handle).into_iter().map(Into::into).collect(),
        });
        Ok(Response::new(pb::QuerySignalsResponse { subjects: subjects.collect() }))
    }
}

#[tonic::async_trait]
impl AlertService for Node {
    /// Keeps the alert with each of its records, as a node does.
    async fn deliver_alert(
        &self,
        request: Request<pb::DeliverAlertRequest>,
    ) -> Result<Response<pb::DeliverAlertResponse>, Status> {
        let mut world = self.world()?;
        if world.agencies[self.at].forgetful {
            let message = "the node never made one of the alert's handles";
            return Err(refusal::status(Code::InvalidArgument, "UNKNOWN_HANDLE", message));
        }
        let alert = request.into_inner().alert.unwrap_or_default();
        let alert = Alert::try_from(alert)?;
        for handle in alert.handles {
            world.keep(Memo {
                kind: MemoKind::Alert,
                id: MemoId::from_bytes(*alert.id.as_bytes()),
                handle,
                score_tenths: 0,
                made: alert.as_at,
            });
        }
        Ok(Response::new(Default::default()))
    }
}
