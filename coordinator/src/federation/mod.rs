//! The member agencies and how to reach them.
//!
//! A node that is down, slow, wrong or hostile costs the sweep its own records and nothing else: a
//! [`Problem`] says which of these it is, in words for the operator.

pub mod changes;
pub mod client;
pub mod join;
mod patience;
pub mod stream;

use std::{sync::Arc, time::Duration};

use causeway_certs::{
    dial,
    name::{Identity, Role},
    reverse::Registry,
    tls::TlsState,
};
use causeway_proto::{catalogue::AgencyKind, ids::AgencyId, refusal};
use tonic::{Code, Status, transport::Channel};

use self::client::NodeClient;
pub use self::patience::patiently;
use crate::config::CoordinatorConfig;

/// Everybody who is enrolled, in the order of the settings.
pub struct Federation {
    members: Vec<Member>,
    registry: Arc<Registry>,
}

/// One enrolled agency.
#[derive(Clone)]
pub struct Member {
    /// Its short name.
    pub id: AgencyId,
    /// What it is for.
    pub kind: AgencyKind,
    channel: Channel,
}

/// Why a node could not take part, for the operator.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Nobody answers, or the connection broke.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// It took longer than the settings allow.
    #[error("took longer than {} to answer {call}", in_words(*.after))]
    TooSlow {
        /// Which call.
        call: &'static str,
        /// How long it had.
        after: Duration,
    },
    /// It answered that it will not.
    #[error("refused: {0}")]
    Refused(String),
    /// It failed, and its own log says why.
    #[error("failed: {0}")]
    Failed(String),
    /// It never made the handles that it was asked about, and never will have.
    #[error("knows none of these records: {0}")]
    Unknown(String),
    /// It said what the contract does not allow, or what cannot be.
    #[error("broke the contract: {0}")]
    Broke(String),
    /// It was not asked, because being asked would have told it who is known elsewhere.
    #[error("was not asked: this machine gives no random numbers to choose decoys with")]
    NoDecoys,
}

fn in_words(duration: Duration) -> String {
    match duration.as_secs() {
        0 => format!("{} ms", duration.as_millis()),
        seconds => format!("{seconds} s"),
    }
}

impl Problem {
    /// Sorts out why a call failed.
    pub fn of(call: &'static str, deadline: Duration, status: &Status) -> Self {
        let why = || dial::connect_problem(status);
        if dial::is_connection_failure(status) {
            return Self::Unreachable(why());
        }
        match status.code() {
            Code::DeadlineExceeded => Self::TooSlow { call, after: deadline },
            Code::Cancelled if status.message().to_lowercase().contains("timeout") => {
                Self::TooSlow { call, after: deadline }
            }
            Code::Unavailable => Self::Unreachable(why()),
            Code::FailedPrecondition
                if refusal::reason(status).as_deref() == Some("SWEEP_REPLAYED") =>
            {
                let next = "where this coordinator's ledger was lost or restored, go on with \
                            `causeway-coordinator skip` and that number";
                Self::Refused(format!("{}; {next}", why()))
            }
            Code::PermissionDenied | Code::Unauthenticated | Code::FailedPrecondition => {
                Self::Refused(why())
            }
            Code::InvalidArgument
                if refusal::reason(status).as_deref() == Some("UNKNOWN_HANDLE") =>
            {
                Self::Unknown(why())
            }
            Code::InvalidArgument | Code::OutOfRange | Code::DataLoss => Self::Broke(why()),
            _ => Self::Failed(format!("{call}: {}", why())),
        }
    }

    /// Returns whether the same call may pass if it is made again.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unreachable(_))
    }
}

impl Federation {
    /// Makes a channel to every enrolled node, connected or not. Has to be called inside a Tokio
    /// runtime.
    pub fn new(config: &CoordinatorConfig, tls: &TlsState) -> Self {
        let me = config.identity();
        let dial_in = config.nodes.iter().filter(|node| node.address.is_none());
        let patience = config.sweep.patience();
        let registry = Registry::new(&me, dial_in.map(|node| node.id.clone()), patience);
        let members = config
            .nodes
            .iter()
            .map(|node| {
                let identity = Identity::new(me.deployment.clone(), Role::Node, node.id.clone());
                let channel = match &node.address {
                    Some(address) => dial::channel(tls, address.clone(), identity),
                    None => registry.channel(&node.id).expect("it was just enrolled"),
                };
                Member { id: node.id.clone(), kind: node.kind, channel }
            })
            .collect();
        Self { members, registry }
    }

    /// Enrols members that are reached in some other way.
    #[cfg(test)]
    pub(crate) fn of(members: Vec<Member>) -> Self {
        let name = |name: &str| name.parse().expect("it is a short name");
        let me = Identity::new(name("test"), Role::Coordinator, name("main"));
        Self { members, registry: Registry::new(&me, [], Duration::ZERO) }
    }

    /// Returns where nodes that dial in are taken up.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.clone()
    }

    /// Returns the members.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// Returns a member by its short name.
    pub fn member(&self, id: &AgencyId) -> Option<&Member> {
        self.members.iter().find(|member| member.id == *id)
    }
}

impl Member {
    /// A member that is reached over `channel`.
    #[cfg(test)]
    pub(crate) fn over(id: AgencyId, kind: AgencyKind, channel: Channel) -> Self {
        Self { id, kind, channel }
    }

    /// Returns a client whose calls may take so long each.
    pub fn client(&self, deadline: Duration) -> NodeClient {
        NodeClient::new(self.channel.clone(), deadline)
    }
}
