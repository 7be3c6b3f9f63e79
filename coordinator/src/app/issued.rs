//! What was issued: every alert's latest revision, how far it has come, and why it was issued.

use causeway_proto::{alert::IssuedState, ids::AlertId};

use super::{AppError, Coordinator};
use crate::{
    cycle::report::AlertReport,
    ledger::{
        Ledger, LedgerError, Tx,
        alerts::{self, Decided},
        outbox::{self, Reached},
        reviews,
        standings::{self, State},
    },
};

/// An alert and how far it has come.
pub struct Issued {
    /// What was decided.
    pub alert: Decided,
    /// Who has it.
    pub reached: Reached,
    /// What became of it.
    pub state: IssuedState,
}

impl Coordinator {
    /// Returns the latest revision of every alert, newest first.
    pub async fn alerts(&self, limit: u32) -> Result<Vec<Issued>, AppError> {
        issued(&self.0.ledger, limit).await
    }

    /// Returns why an alert was issued.
    pub async fn explain(&self, id: AlertId) -> Result<Option<(Issued, AlertReport)>, AppError> {
        explain(&self.0.ledger, id, None).await
    }
}

/// Returns the latest revision of every alert, newest first, and how far each has come.
pub async fn issued(ledger: &Ledger, limit: u32) -> Result<Vec<Issued>, AppError> {
    let mut tx = ledger.read().await?;
    let mut issued = Vec::new();
    for alert in alerts::latest(&mut tx, limit).await? {
        let reached = outbox::reached(&mut tx, alert.id, alert.revision).await?;
        let state = state(&mut tx, alert.id).await?;
        issued.push(Issued { alert, reached, state });
    }
    Ok(issued)
}

/// Returns why a revision of an alert was issued; the latest where none is named.
pub async fn explain(
    ledger: &Ledger,
    id: AlertId,
    revision: Option<u32>,
) -> Result<Option<(Issued, AlertReport)>, AppError> {
    let mut tx = ledger.read().await?;
    let found = match revision {
        Some(revision) => alerts::revision(&mut tx, id, revision).await?,
        None => alerts::find(&mut tx, id).await?,
    };
    let Some(alert) = found else { return Ok(None) };
    let reached = outbox::reached(&mut tx, alert.id, alert.revision).await?;
    let state = state(&mut tx, id).await?;
    let report = serde_json::from_str(&alert.explanation)?;
    Ok(Some((Issued { alert, reached, state }, report)))
}

/// Returns what became of an alert.
async fn state(tx: &mut Tx, alert: AlertId) -> Result<IssuedState, LedgerError> {
    let standing = standings::find(tx, alert).await?;
    let acts = standing.as_ref().is_some_and(|standing| standing.action_seen.is_some());
    Ok(match standing.map(|standing| standing.state) {
        Some(State::Cancelled) => IssuedState::Cancelled,
        _ if acts => IssuedState::ActionSeen,
        Some(State::Closed) => IssuedState::Closed,
        _ if !reviews::of_alert(tx, alert).await?.is_empty() => IssuedState::Reviewed,
        _ => IssuedState::Open,
    })
}
