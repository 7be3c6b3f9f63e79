//! Answers operators, and nodes about alerts that they were sent.

mod later;
mod operator;
mod reviews;

use causeway_proto::{
    DESCRIPTORS,
    limits::MESSAGE_BYTES,
    pb::{
        key_service_server::KeyServiceServer, operator_service_server::OperatorServiceServer,
        referral_service_server::ReferralServiceServer, review_service_server::ReviewServiceServer,
    },
};
use tonic::service::Routes;
use tonic_health::server::HealthReporter;

use crate::app::Coordinator;

/// The coordinator as its services see it.
#[derive(Clone)]
struct Desk(Coordinator);

/// Returns the coordinator's services. Who may call what is settled by a layer before them.
pub fn routes(coordinator: &Coordinator, reflection: bool) -> (Routes, HealthReporter) {
    let desk = Desk(coordinator.clone());
    macro_rules! sized {
        ($server:ident) => {
            $server::new(desk.clone())
                .max_decoding_message_size(MESSAGE_BYTES)
                .max_encoding_message_size(8 * MESSAGE_BYTES)
        };
    }
    let (reporter, health) = tonic_health::server::health_reporter();
    let mut routes = Routes::new(health)
        .add_service(sized!(OperatorServiceServer))
        .add_service(sized!(ReviewServiceServer))
        .add_service(sized!(ReferralServiceServer))
        .add_service(sized!(KeyServiceServer));
    if reflection {
        let described = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .build_v1()
            .expect("our own descriptors are well-formed");
        routes = routes.add_service(described);
    }
    (routes, reporter)
}
