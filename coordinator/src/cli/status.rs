//! `status`: what the coordinator is doing, as the one that is serving says, or as its ledger does.

use std::io::Write;

use causeway_proto::pb::{self, operator_service_client::OperatorServiceClient};
use serde_json::json;

use super::{Args, control};
use crate::{
    app::{self, Status},
    config::CoordinatorConfig,
};

pub(super) async fn status(
    args: &Args,
    config: CoordinatorConfig,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let (serving, status) = match control(&config.serve.control).await {
        Some(channel) => {
            let mut client = OperatorServiceClient::new(channel);
            let answer = client.get_status(pb::GetStatusRequest {}).await;
            let answer = answer.map_err(|status| anyhow::anyhow!("{}", status.message()))?;
            (true, answer.into_inner())
        }
        None => {
            let ledger = app::open_ledger(&config.ledger).await?;
            (false, Status::at_rest(&config, &ledger).await?.into())
        }
    };
    if args.json {
        return Ok(writeln!(out, "{}", as_json(serving, &status))?);
    }
    let (model, hash) = (&status.model_version, status.model_sha256.get(..12));
    let hash = hash.unwrap_or_default();
    if serving {
        writeln!(out, "Serving {}, model {model} ({hash})", status.deployment)?;
        for node in &status.nodes {
            let state = if node.reachable { "there" } else { node.problem.as_str() };
            writeln!(out, "  {:<24} {state}", node.agency)?;
        }
    } else {
        writeln!(out, "Not serving: `causeway-coordinator serve` starts it.")?;
        writeln!(out, "{}, model {model} ({hash})", status.deployment)?;
    }
    let (alerts, waiting) = (status.alerts_open, status.deliveries_waiting);
    writeln!(out, "{alerts} alerts issued, {waiting} deliveries waiting")?;
    if let Some(week) = &status.capacity {
        let (used, places, highest) = (week.used, week.places, week.highest);
        writeln!(out, "This week {used} of {places} places taken, {highest} in T4")?;
    }
    status.alarms.iter().try_for_each(|alarm| writeln!(out, "  !  {alarm}"))?;
    Ok(())
}

fn as_json(serving: bool, status: &pb::GetStatusResponse) -> serde_json::Value {
    let nodes: Vec<_> = status
        .nodes
        .iter()
        .map(|node| json!({ "id": node.agency, "problem": node.problem }))
        .collect();
    json!({
        "serving": serving, "deployment": status.deployment, "model": status.model_version,
        "model_sha256": status.model_sha256,
        "nodes": nodes, "alerts": status.alerts_open,
        "deliveries_waiting": status.deliveries_waiting,
        "last_sweep_ms": status.last_sweep_ms,
        "capacity": status.capacity.as_ref().map(|week| json!({
            "places": week.places, "used": week.used, "highest": week.highest,
            "ceiling": week.ceiling, "braked": week.braked,
        })),
        "alarms": status.alarms,
    })
}
