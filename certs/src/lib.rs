//! Who is on the other end: certificates, identities, TLS, and who may call what.
//!
//! Every member of a deployment holds one certificate of the deployment's own CA, and the
//! certificate holds one name: `spiffe://<deployment>.causeway/<role>/<id>`. Nothing in a request
//! says who sent it. A connection is checked four times: by the chain and the revocation list, by
//! role and deployment inside the handshake, by name where we dialled, and by role and method on
//! every call.
//!
//! ```text
//! name, certificate      who somebody is, and what their certificate says of them
//! files, ca              where keys and certificates live; making, renewing and revoking them
//! epoch                  making the linkage key that all nodes share
//! signing                signatures that people put to documents, such as a scoring model
//! verify, tls            what a handshake accepts; the configuration of it, swapped while running
//! places                 how much of a thing each may take up
//! stream                 a connection that knows whose it is, and ends when that stops being so
//! dial, accept, reverse  making connections in either direction
//! admit                  the layer that decides on every call
//! reasons                the layer that gives every refusal a reason
//! telemetry              where the log of a member goes
//! cli                    the `causeway-certs` command
//! ```
//!
//! A node listens for its coordinator ([`accept`]) or, where the firewall lets nothing in, dials it
//! and serves on that connection ([`reverse`]). Neither end's callers or handlers can tell.

pub mod accept;
pub mod admit;
pub mod ca;
pub mod certificate;
pub mod cli;
pub mod dial;
pub mod epoch;
pub mod files;
pub mod name;
mod places;
pub mod reasons;
pub mod reverse;
pub mod signing;
pub mod stream;
pub mod telemetry;
pub mod tls;
mod verify;
