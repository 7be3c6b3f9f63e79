//! Releases risk signals, as far as the policy allows.

use std::collections::HashMap;

use causeway_proto::{
    ids::SweepId,
    pb::{self, signal_service_server::SignalService},
    signal::{Disclosure, Signal},
};
use sqlx::SqliteConnection;
use tonic::{Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    rows_of,
    session::Session,
    status,
};
use crate::{
    policy::{Policy, child_band},
    store::{StoreError, events, persons, segments},
};

#[tonic::async_trait]
impl SignalService for Node {
    #[tracing::instrument(name = "signals.query", skip_all)]
    async fn query_signals(
        &self,
        request: Request<pb::QuerySignalsRequest>,
    ) -> Result<Response<pb::QuerySignalsResponse>, Status> {
        let items = request.get_ref().handles.len() / 16;
        let asked = Asked::of("QuerySignals", &request, &request.get_ref().sweep_id, items);
        let answer = self.signals(request.into_inner()).await;
        self.conclude(asked, answer).await
    }
}

impl Node {
    async fn signals(&self, request: pb::QuerySignalsRequest) -> Answer<pb::QuerySignalsResponse> {
        let session = self.session(SweepId::from_wire("sweep_id", &request.sweep_id)?).await?;
        let rows = rows_of(&session, &request.handles)?;
        let mut store = self.store.snapshot().await.map_err(status::store)?;
        let policy = self.policy_for(session.as_at())?;
        let released =
            released(&mut store, &policy, &session, &rows).await.map_err(status::store)?;
        let subjects: Vec<pb::SubjectSignals> = rows
            .iter()
            .map(|row| released.get(row).cloned().unwrap_or_default())
            .map(|signals| pb::SubjectSignals {
                signals: signals.into_iter().map(Into::into).collect(),
            })
            .collect();
        let response = pb::QuerySignalsResponse { subjects };
        Ok((rows.len() as u64, response))
    }
}

/// What policy releases of some people, by their rows.
async fn released(
    conn: &mut SqliteConnection,
    policy: &Policy,
    session: &Session,
    rows: &[u64],
) -> Result<HashMap<u64, Vec<Signal>>, StoreError> {
    // A row that was replaced or retired is nobody's, and nothing is said of it; nor of one that is out
    // of the sweep.
    let mut persons = persons::by_row(conn, rows).await?;
    persons.retain(|person| session.standing(person.row).is_in());
    let rows: Vec<u64> = persons.iter().map(|person| person.row).collect();
    let persons: Vec<i64> = persons.into_iter().map(|person| person.id).collect();
    let mut released: HashMap<u64, Vec<Signal>> = HashMap::new();
    for event in events::of_persons(conn, &persons, session.as_at()).await? {
        let Some(told) = policy.release(&event, session.purposes(), session.as_at()) else {
            continue;
        };
        released.entry(event.row).or_default().push(Signal {
            code: event.code,
            start: told.start,
            end: told.end,
            event: match &event.system {
                Some(system) => session.keys.event(&[system, &event.reference]),
                // Two agencies' own numbers may be equal by chance.
                None => session.keys.own.event(&[&event.feed, &event.reference]),
            },
            confidence_permille: event.confidence_permille,
            disclosure: told.disclosure,
            arrived: told.arrived,
            shared: event.system.is_some(),
            told_until: told.until,
        });
    }
    for (row, born) in segments::born_of(conn, &rows).await? {
        let Some(band) = child_band(born, session.as_at()) else { continue };
        if policy.releases(band, session.purposes()) {
            released.entry(row).or_default().push(Signal {
                code: band,
                // Any other day would say something of the birthday.
                start: session.as_at(),
                end: None,
                event: session.keys.own.event(&[band.as_str(), &row.to_string()]),
                confidence_permille: 1000,
                disclosure: Disclosure::Counted,
                arrived: None,
                shared: false,
                told_until: None,
            });
        }
    }
    for signals in released.values_mut() {
        signals.sort_by_key(|signal| (signal.code, signal.start, signal.event));
        // One event that two records of one person carry.
        signals.dedup();
    }
    Ok(released)
}
