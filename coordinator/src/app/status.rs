//! What the coordinator is doing, and what an operator should look at.

use std::{sync::PoisonError, time::Duration};

use causeway_proto::{catalogue::AgencyKind, ids::AgencyId};
use futures::future::join_all;
use serde::Serialize;

use super::{AppError, Coordinator, Parts, load_model};
use crate::{
    clock,
    config::CoordinatorConfig,
    cycle::surface::capacity,
    ledger::{
        Ledger, alerts,
        outbox::{self, GivenUp},
        sweeps::{self, PastSweep},
    },
    route::surfacing::Capacity,
    score::Model,
};

/// How long a node may take to say whether it is there.
const HEALTH: Duration = Duration::from_secs(3);

/// For how long an operator is told of deliveries that were given up.
const GIVEN_UP_MS: u64 = 7 * 24 * 60 * 60 * 1000;

/// Why a sweep has no end.
const BROKEN_OFF: &str = "the coordinator went down in it";

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
        let Parts { config, model, federation, ledger, failed, sweeping, .. } = &*self.0;
        let ask = federation.members().iter().map(|member| async move {
            let problem = member.client(HEALTH).health().await.err();
            NodeStatus {
                id: member.id.clone(),
                kind: member.kind,
                problem: problem.map(|problem| problem.to_string()),
            }
        });
        let nodes = join_all(ask).await;
        let failed = failed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let sweeps = sweeping.try_lock().is_err();
        Status::of(config, model, ledger, nodes, (sweeps, failed)).await
    }
}

impl Status {
    /// Says what the ledger knows while nobody serves. No node is asked whether it is there.
    pub async fn at_rest(config: &CoordinatorConfig, ledger: &Ledger) -> Result<Self, AppError> {
        let nodes = config.nodes.iter().map(|node| NodeStatus {
            id: node.id.clone(),
            kind: node.kind,
            problem: Some("was not asked: the coordinator is not serving".to_owned()),
        });
        Self::of(config, &load_model(config)?, ledger, nodes.collect(), (false, None)).await
    }

    /// Reads what the ledger knows. `sweeps` says whether a sweep is running, and `failed` why the last one was
    /// given up, where that could not be written down.
    async fn of(
        config: &CoordinatorConfig,
        model: &Model,
        ledger: &Ledger,
        nodes: Vec<NodeStatus>,
        (sweeps, failed): (bool, Option<String>),
    ) -> Result<Self, AppError> {
        let mut tx = ledger.read().await?;
        let last_sweep = sweeps::last(&mut tx).await?;
        let (deliveries_waiting, _) = outbox::waiting(&mut tx).await?;
        let as_at = last_sweep.as_ref().map_or_else(clock::today, |sweep| sweep.as_at);
        let capacity = capacity(&mut tx, model, as_at).await?;
        let sweeps = sweeps || sweeps::is_claimed(&mut tx).await?;
        let broken_off = |sweep: &PastSweep| !sweeps && sweep.closed_ms.is_none();
        let since_ms = clock::now_ms().saturating_sub(GIVEN_UP_MS);
        let given_up = outbox::given_up(&mut tx, since_ms).await?;
        let failed = failed.or_else(|| {
            let last = last_sweep.as_ref()?;
            last.failed.clone().or_else(|| broken_off(last).then(|| BROKEN_OFF.to_owned()))
        });
        Ok(Self {
            deployment: config.deployment.clone(),
            model: model.version.clone(),
            model_sha256: model.sha256.clone(),
            nodes,
            alerts: alerts::count(&mut tx).await?,
            deliveries_waiting,
            capacity,
            alarms: alarms(&capacity, failed.as_deref(), &given_up),
            last_sweep_ms: last_sweep.as_ref().map(|sweep| sweep.opened_ms),
            last_sweep,
        })
    }
}

/// Says in words what an operator should look at.
fn alarms(capacity: &Capacity, failed: Option<&str>, given_up: &[GivenUp]) -> Vec<String> {
    let Capacity { places, highest, ceiling, braked, .. } = capacity;
    let mut alarms = Vec::new();
    if let Some(why) = failed {
        alarms.push(format!("the last sweep failed, so nobody hears of anything new: {why}"));
    }
    alarms.extend(given_up.iter().map(
        |GivenUp { recipient, deliveries, problem }| match deliveries {
            1 => format!("a delivery to {recipient} was given up this week: {problem}"),
            several => {
                format!("{several} deliveries to {recipient} were given up this week: {problem}")
            }
        },
    ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_agency_will_never_get_is_told_with_the_reason() {
        let capacity = Capacity::of(Model::builtin(), &[], &[]);
        let given_up = |deliveries| GivenUp {
            recipient: "police".parse().unwrap(),
            deliveries,
            problem: "it is not enrolled any more".into(),
        };
        assert_eq!(
            alarms(&capacity, None, &[given_up(1), given_up(2)]),
            [
                "a delivery to police was given up this week: it is not enrolled any more",
                "2 deliveries to police were given up this week: it is not enrolled any more"
            ]
        );
    }
}
