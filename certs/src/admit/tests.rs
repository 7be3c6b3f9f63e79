use std::convert::Infallible;

use prost::Message;
use prost_types::FileDescriptorSet;
use tempfile::TempDir;
use tower::{ServiceExt, service_fn};

use super::*;
use crate::{ca::Ca, files::IdentityFiles, tls::clock};

const TOKENS: &str = "/causeway.v1.TokenService/StreamTokens";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// A CA and the identity of one member, which the layer under test runs as.
struct Town {
    folder: TempDir,
    ca: Ca,
    tls: TlsState,
}

impl Town {
    fn seen_by(short: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::init(folder.path().join("ca"), &id("town"), clock()).unwrap();
        let files = IdentityFiles::in_folder(&folder);
        ca.issue_to(&files, &peer(short).identity, &[], 7, clock()).unwrap();
        let tls = TlsState::load(&files, clock()).unwrap();
        Self { folder, ca, tls }
    }

    fn node(&self, reflection: bool) -> AdmitLayer {
        let me = self.tls.identity();
        AdmitLayer::for_node(self.tls.clone(), me, id("main"), vec![id("duty-desk")], reflection)
    }

    fn coordinator(&self) -> AdmitLayer {
        let (me, nodes) = (self.tls.identity(), vec![id("housing"), id("police")]);
        AdmitLayer::for_coordinator(self.tls.clone(), me, nodes, vec![id("duty-desk")], false)
    }
}

fn id(text: &str) -> AgencyId {
    text.parse().unwrap()
}

fn peer(short: &str) -> Peer {
    let identity = format!("spiffe://town.causeway/{short}").parse().unwrap();
    Peer { identity, serial: vec![0x4a; 16] }
}

/// Calls through the layer and returns the refusal, if there is one.
async fn refusal_of(layer: AdmitLayer, peer: Option<Peer>, path: &str) -> Option<Status> {
    let service = layer.layer(service_fn(async |_: Request<Body>| {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let mut request = Request::builder().uri(path).body(Body::empty()).unwrap();
    if let Some(peer) = peer {
        request.extensions_mut().insert(peer);
    }
    let response = service.oneshot(request).await.unwrap();
    Status::from_header_map(response.headers())
}

async fn admits(layer: AdmitLayer, caller: &str, path: &str) -> bool {
    refusal_of(layer, Some(peer(caller)), path).await.is_none()
}

#[test]
fn every_service_of_the_contract_has_callers_on_exactly_one_side() {
    let contract = FileDescriptorSet::decode(causeway_proto::DESCRIPTORS).unwrap();
    let mut services = 0;
    for file in contract.file {
        for service in &file.service {
            let name = format!("{}.{}", file.package(), service.name());
            let sides = [Role::Node, Role::Coordinator]
                .into_iter()
                .filter(|&side| audience(side, &name, true) != For::Nobody)
                .count();
            assert_eq!(sides, 1, "{name}");
            services += 1;
        }
    }
    assert_ne!(services, 0);
}

#[tokio::test]
async fn a_node_answers_its_coordinator_and_its_own_operators() {
    let town = Town::seen_by("node/housing");
    for service in ["Sweep", "Token", "Comparison", "Dwelling", "Signal", "Change", "Alert"] {
        let path = format!("/causeway.v1.{service}Service/Any");
        assert!(admits(town.node(false), "coordinator/main", &path).await, "{path}");
        for other in ["coordinator/second", "node/housing", "node/police", "operator/duty-desk"] {
            assert!(!admits(town.node(false), other, &path).await, "{other} {path}");
        }
    }
    let inbox = "/causeway.v1.InboxService/ListAlerts";
    assert!(admits(town.node(false), "operator/duty-desk", inbox).await);
    for other in ["operator/somebody", "coordinator/main", "node/housing", "custodian/keys"] {
        assert!(!admits(town.node(false), other, inbox).await, "{other}");
    }
}

#[tokio::test]
async fn a_coordinator_answers_enrolled_nodes_custodians_and_operators() {
    let town = Town::seen_by("coordinator/main");
    for (path, callers) in [
        ("/causeway.v1.ReviewService/SubmitReview", &["node/housing", "node/police"][..]),
        ("/causeway.v1.ReferralService/SendReferral", &["node/housing", "node/police"]),
        ("/causeway.v1.KeyService/GetRoster", &["node/housing", "node/police", "custodian/keys"]),
        ("/causeway.v1.OperatorService/RunSweep", &["operator/duty-desk"]),
        (TOKENS, &[]),
    ] {
        for caller in [
            "node/housing",
            "node/police",
            "node/not-enrolled",
            "custodian/keys",
            "operator/duty-desk",
            "operator/somebody",
            "coordinator/second",
        ] {
            let admitted = admits(town.coordinator(), caller, path).await;
            assert_eq!(admitted, callers.contains(&caller), "{caller} {path}");
        }
    }
}

#[tokio::test]
async fn a_refusal_says_which_side_refused_whom_and_why() {
    let town = Town::seen_by("node/housing");
    for (caller, path, reason, message) in [
        (
            "node/police",
            TOKENS,
            "ROLE_NOT_ALLOWED",
            "node housing refused node police: only its coordinator may call TokenService",
        ),
        (
            "coordinator/second",
            TOKENS,
            "NOT_OUR_COORDINATOR",
            "node housing refused coordinator second: its coordinator is main",
        ),
        (
            "operator/somebody",
            "/causeway.v1.InboxService/GetAlert",
            "ROLE_NOT_ALLOWED",
            "node housing refused operator somebody: only operators that its configuration lists \
             may call InboxService",
        ),
        (
            "coordinator/main",
            "/secret.Service/Guess",
            "ROLE_NOT_ALLOWED",
            "node housing refused coordinator main: nobody may call a service that it does not \
             offer",
        ),
    ] {
        let status = refusal_of(town.node(false), Some(peer(caller)), path).await.unwrap();
        assert_eq!(status.code(), Code::PermissionDenied);
        assert_eq!(status.message(), message);
        assert_eq!(refusal::reason(&status).as_deref(), Some(reason));
    }
}

#[tokio::test]
async fn a_request_that_came_through_no_handshake_is_refused() {
    let town = Town::seen_by("node/housing");
    for path in [TOKENS, HEALTH, "/", ""] {
        let path = if path.is_empty() { "*" } else { path };
        let status = refusal_of(town.node(true), None, path).await.unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(refusal::reason(&status).as_deref(), Some("NO_PEER"));
    }
}

#[tokio::test]
async fn another_deployment_is_refused_even_if_a_handshake_let_it_in() {
    let town = Town::seen_by("node/housing");
    let identity = "spiffe://city.causeway/coordinator/main".parse().unwrap();
    let stranger = Peer { identity, serial: vec![1] };
    for path in [TOKENS, HEALTH] {
        let status = refusal_of(town.node(true), Some(stranger.clone()), path).await.unwrap();
        assert_eq!(status.code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_revoked_certificate_is_refused_from_the_next_reload_on() {
    let town = Town::seen_by("node/housing");
    let main = peer("coordinator/main").identity;
    let serial = town.ca.issue(&main, &[], 7, clock()).unwrap().signed.certificate.serial;
    let main = Peer { identity: main, serial: serial.clone() };
    assert!(refusal_of(town.node(false), Some(main.clone()), TOKENS).await.is_none());

    town.ca.revoke(&serial, clock()).unwrap();
    let files = IdentityFiles::in_folder(&town.folder);
    std::fs::write(&files.crl, town.ca.crl(7, clock()).unwrap().pem).unwrap();
    town.tls.reload(&files, clock()).unwrap();
    for path in [TOKENS, HEALTH] {
        let status = refusal_of(town.node(false), Some(main.clone()), path).await.unwrap();
        assert_eq!(status.code(), Code::Unauthenticated);
        assert_eq!(refusal::reason(&status).as_deref(), Some("CERTIFICATE_REVOKED"));
        assert_eq!(
            status.message(),
            "node housing refused coordinator main: its certificate was revoked",
        );
    }
}

#[tokio::test]
async fn anybody_may_ask_for_health_and_reflection_only_where_it_is_on() {
    let town = Town::seen_by("node/housing");
    for caller in ["node/police", "operator/somebody", "coordinator/second"] {
        assert!(admits(town.node(false), caller, HEALTH).await);
        for version in ["v1", "v1alpha"] {
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            assert!(admits(town.node(true), caller, &path).await);
            assert!(!admits(town.node(false), caller, &path).await);
        }
    }
}
