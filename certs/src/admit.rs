//! The layer that decides on every call: who is it, is its certificate still good, and may its role
//! call this service.
//!
//! It fails closed. A service that the table does not name is called by nobody, and a request that
//! came through no [`PeerStream`](crate::stream::PeerStream) is refused. Certificates are looked up
//! in the newest revocation list, so that a connection that was up before is no way around it.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use causeway_proto::{ids::AgencyId, pb, refusal};
use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tonic_health::pb::health_server;
use tower::{Layer, Service};

use crate::{
    name::{Identity, Role},
    stream::Peer,
    tls::TlsState,
};

/// Reasons of refusal, as programs read them.
pub mod reason {
    /// The caller's role may not call this service.
    pub const ROLE_NOT_ALLOWED: &str = "ROLE_NOT_ALLOWED";
    /// The caller is a coordinator, and not the one this node answers to.
    pub const NOT_OUR_COORDINATOR: &str = "NOT_OUR_COORDINATOR";
    /// The caller's certificate was revoked.
    pub const CERTIFICATE_REVOKED: &str = "CERTIFICATE_REVOKED";
    /// The request came from nobody that a handshake has proved.
    pub const NO_PEER: &str = "NO_PEER";
}

/// Admits the calls that the rules of one node or coordinator allow.
#[derive(Clone, Debug)]
pub struct AdmitLayer(Arc<Rules>);

/// The service that [`AdmitLayer`] makes.
#[derive(Clone, Debug)]
pub struct Admit<S> {
    rules: Arc<Rules>,
    inner: S,
}

#[derive(Debug)]
struct Rules {
    tls: TlsState,
    me: Identity,
    members: Members,
    operators: Vec<AgencyId>,
    reflection: bool,
}

/// Who takes part, seen from the side that answers.
#[derive(Debug)]
enum Members {
    /// We are a node, and this is our one coordinator.
    OfNode { coordinator: AgencyId },
    /// We are a coordinator, and these nodes are enrolled.
    OfCoordinator { nodes: Vec<AgencyId> },
}

/// Whom a service is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum For {
    OurCoordinator,
    EnrolledNodes,
    EnrolledNodesAndCustodians,
    ListedOperators,
    AnyPeer,
    Nobody,
}

/// Says whom a service is for, on a server of one role. Every service of the contract is here, and
/// what is not here is for nobody.
fn audience(server: Role, service: &str, reflection: bool) -> For {
    match (server, service) {
        (_, health_server::SERVICE_NAME) => For::AnyPeer,
        (_, "grpc.reflection.v1.ServerReflection" | "grpc.reflection.v1alpha.ServerReflection")
            if reflection =>
        {
            For::AnyPeer
        }
        (
            Role::Node,
            pb::sweep_service_server::SERVICE_NAME
            | pb::token_service_server::SERVICE_NAME
            | pb::comparison_service_server::SERVICE_NAME
            | pb::dwelling_service_server::SERVICE_NAME
            | pb::signal_service_server::SERVICE_NAME
            | pb::change_service_server::SERVICE_NAME
            | pb::alert_service_server::SERVICE_NAME
            | pb::quality_service_server::SERVICE_NAME
            | pb::referral_delivery_service_server::SERVICE_NAME,
        ) => For::OurCoordinator,
        (Role::Node, pb::inbox_service_server::SERVICE_NAME)
        | (Role::Coordinator, pb::operator_service_server::SERVICE_NAME) => For::ListedOperators,
        (
            Role::Coordinator,
            pb::review_service_server::SERVICE_NAME | pb::referral_service_server::SERVICE_NAME,
        ) => For::EnrolledNodes,
        (Role::Coordinator, pb::key_service_server::SERVICE_NAME) => {
            For::EnrolledNodesAndCustodians
        }
        _ => For::Nobody,
    }
}

impl AdmitLayer {
    /// Makes the rules of a node, which answers to one coordinator and to its own operators.
    pub fn for_node(
        tls: TlsState,
        me: Identity,
        coordinator: AgencyId,
        operators: Vec<AgencyId>,
        reflection: bool,
    ) -> Self {
        let members = Members::OfNode { coordinator };
        Self(Arc::new(Rules { tls, me, members, operators, reflection }))
    }

    /// Makes the rules of a coordinator, which answers to enrolled nodes, custodians, and its own
    /// operators.
    pub fn for_coordinator(
        tls: TlsState,
        me: Identity,
        nodes: Vec<AgencyId>,
        operators: Vec<AgencyId>,
        reflection: bool,
    ) -> Self {
        let members = Members::OfCoordinator { nodes };
        Self(Arc::new(Rules { tls, me, members, operators, reflection }))
    }
}

impl Rules {
    fn judge(&self, peer: Option<&Peer>, path: &str) -> Result<(), Status> {
        let Some(Peer { identity, serial }) = peer else {
            let message = format!("{} refused a caller that showed no certificate", said(&self.me));
            return Err(refusal::status(Code::Unauthenticated, reason::NO_PEER, message));
        };
        let refuse = |code, reason, why: &str| {
            let message = format!("{} refused {}: {why}", said(&self.me), said(identity));
            Err(refusal::status(code, reason, message))
        };
        if self.tls.is_revoked(serial) {
            let why = "its certificate was revoked";
            return refuse(Code::Unauthenticated, reason::CERTIFICATE_REVOKED, why);
        }
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        let service = service.map_or("", |(service, _)| service);
        let audience = audience(self.server(), service, self.reflection);
        if self.belongs(identity, audience) {
            return Ok(());
        }
        let (reason, why) = match (audience, &self.members) {
            (For::OurCoordinator, Members::OfNode { coordinator })
                if identity.role == Role::Coordinator =>
            {
                (reason::NOT_OUR_COORDINATOR, format!("its coordinator is {coordinator}"))
            }
            // Only names of our own are repeated, never a path that somebody made up.
            (For::Nobody, _) => {
                let why = "nobody may call a service that it does not offer";
                (reason::ROLE_NOT_ALLOWED, why.to_owned())
            }
            _ => {
                let short = service.rsplit('.').next().unwrap_or(service);
                let why = format!("only {} may call {short}", audience.said());
                (reason::ROLE_NOT_ALLOWED, why)
            }
        };
        refuse(Code::PermissionDenied, reason, &why)
    }

    fn server(&self) -> Role {
        match self.members {
            Members::OfNode { .. } => Role::Node,
            Members::OfCoordinator { .. } => Role::Coordinator,
        }
    }

    fn belongs(&self, peer: &Identity, audience: For) -> bool {
        let enrolled = || match &self.members {
            Members::OfCoordinator { nodes } => peer.role == Role::Node && nodes.contains(&peer.id),
            Members::OfNode { .. } => false,
        };
        // The handshake has seen to the deployment. Twice is cheap.
        peer.deployment == self.me.deployment
            && match audience {
                For::OurCoordinator => match &self.members {
                    Members::OfNode { coordinator } => {
                        peer.role == Role::Coordinator && peer.id == *coordinator
                    }
                    Members::OfCoordinator { .. } => false,
                },
                For::EnrolledNodes => enrolled(),
                For::EnrolledNodesAndCustodians => peer.role == Role::Custodian || enrolled(),
                For::ListedOperators => {
                    peer.role == Role::Operator && self.operators.contains(&peer.id)
                }
                For::AnyPeer => true,
                For::Nobody => false,
            }
    }
}

impl For {
    fn said(self) -> &'static str {
        match self {
            Self::OurCoordinator => "its coordinator",
            Self::EnrolledNodes => "enrolled nodes",
            Self::EnrolledNodesAndCustodians => "enrolled nodes and custodians",
            Self::ListedOperators => "operators that its configuration lists",
            Self::AnyPeer => "members of its deployment",
            Self::Nobody => "nobody",
        }
    }
}

/// Names a member as in a sentence: "node housing".
fn said(identity: &Identity) -> String {
    format!("{} {}", identity.role, identity.id)
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Admit<S> {
        Admit { rules: self.0.clone(), inner }
    }
}

impl<S, B> Service<Request<B>> for Admit<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let peer = request.extensions().get::<Peer>();
        match self.rules.judge(peer, request.uri().path()) {
            Ok(()) => Either::Left(self.inner.call(request)),
            Err(status) => {
                tracing::warn!(reason = status.message(), "refused a call");
                Either::Right(ready(Ok(status.into_http())))
            }
        }
    }
}

#[cfg(test)]
mod tests;
