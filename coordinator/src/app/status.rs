//! What the coordinator is doing, and what an operator should look at.

use std::time::Duration;

use causeway_proto::{catalogue::AgencyKind, ids::AgencyId};
use futures::future::join_all;
use serde::Serialize;

use super::{AppError, Coordinator, Parts};
use crate::{
    clock,
    cycle::surface::capacity,
    ledger::{
        alerts, outbox,
        sweeps::{self, PastSweep},
    },
    route::surfacing::Capacity,
};

/// How long a node may take to say whether it is there.
const HEALTH: Duration = Duration::from_secs(3);

/// What the coordinator is doing.
#[derive(Serialize)]
pub struct Status {
    /// The federation.
    pub deployment: AgencyId,
    /// The version of the scoring model.
    pub model: String,
    /// SHA-256 of the model's file, in hexadecimal.
    pub model_sha256: String,
    /// The enrolled nodes.
    pub nodes: Vec<NodeStatus>,
    /// Alerts that were issued.
    pub alerts: u64,
    /// Deliveries on their way.
    pub deliveries_waiting: u64,
    /// The places of the week that ends with the day of the last sweep.
    pub capacity: Capacity,
    /// What an operator should look at.
    pub alarms: Vec<String>,
    /// When the last sweep began, in Unix milliseconds.
    pub last_sweep_ms: Option<u64>,
    /// The last sweep.
    #[serde(skip)]
    pub last_sweep: Option<PastSweep>,
}

/// Whether a node is there.
#[derive(Serialize)]
pub struct NodeStatus {
    /// Which.
    pub id: AgencyId,
    /// What it is for.
    pub kind: AgencyKind,
    /// Why it cannot be reached; `None` when it can.
    pub problem: Option<String>,
}

impl Coordinator {
    /// Says what the coordinator is doing, asking every node whether it is there.
    pub async fn status(&self) -> Result<Status, AppError> {
        let Parts { config, model, federation, ledger, .. } = &*self.0;
        let ask = federation.members().iter().map(|member| async move {
            let problem = member.client(HEALTH).health().await.err();
            NodeStatus {
                id: member.id.clone(),
                kind: member.kind,
                problem: problem.map(|problem| problem.to_string()),
            }
        });
        let nodes = join_all(ask).await;
        let mut tx = ledger.read().await?;
        let last_sweep = sweeps::last(&mut tx).await?;
        let (deliveries_waiting, _) = outbox::waiting(&mut tx).await?;
        let as_at = last_sweep.as_ref().map_or_else(clock::today, |sweep| sweep.as_at);
        let capacity = capacity(&mut tx, model, as_at).await?;
        Ok(Status {
            deployment: config.deployment.clone(),
            model: model.version.clone(),
            model_sha256: model.sha256.clone(),
            nodes,
            alerts: alerts::count(&mut tx).await?,
            deliveries_waiting,
            capacity,
            alarms: alarms(&capacity),
            last_sweep_ms: last_sweep.as_ref().map(|sweep| sweep.opened_ms),
            last_sweep,
        })
    }
}

/// Says in words what an operator should look at.
fn alarms(capacity: &Capacity) -> Vec<String> {
    let Capacity { places, highest, ceiling, braked, .. } = capacity;
    let mut alarms = Vec::new();
    if capacity.is_flooded() {
        alarms.push(format!(
            "{highest} households are in the highest tier this week and {ceiling} are plausible: look \
             for a fault in an agency's export"
        ));
    }
    if *braked {
        alarms.push(format!(
            "reviewers find too little to do, so a week has {places} places only: look at the model and \
             tell whoever answers for it"
        ));
    }
    alarms
}
