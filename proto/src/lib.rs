//! The contract: everything that may cross an agency's boundary, and nothing else.
//!
//! If a type lives here it can leave an agency. If it does not, it cannot. Names, birth dates,
//! addresses and case numbers are therefore not types of this crate, and a reviewer can check that
//! by reading one directory. The `.proto` files beside it say the same to other languages.
//!
//! ```text
//! ids, day                   names for the things both sides talk about
//! catalogue, kind            what may be said of anybody: signals, purposes, match-keys
//! sweep, token, change,      one module per conversation: domain types, checked on the way in
//! dwelling, signal, alert,
//! quality, review
//! linkage                    what two records' agreement means, the same at both ends
//! wire, text, refusal,       reading messages, showing what they say, refusing them, and sizes both
//! limits                     ends agree on
//! ```

pub mod alert;
pub mod catalogue;
pub mod change;
pub mod day;
pub mod dwelling;
pub mod ids;
pub mod kind;
pub mod limits;
pub mod linkage;
pub mod quality;
pub mod refusal;
pub mod review;
pub mod signal;
pub mod sweep;
pub mod text;
pub mod token;
pub mod wire;

/// Generated from `proto/causeway/v1`. Only the domain types and the handlers convert from these.
#[expect(
    missing_docs,
    unused_qualifications,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::doc_markdown,
    clippy::too_long_first_doc_paragraph,
    reason = "generated code"
)]
pub mod pb {
    tonic::include_proto!("causeway.v1");
}

/// The compiled contract, for servers that offer gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/causeway.v1.descriptors"));
