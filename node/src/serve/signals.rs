//! Releases risk signals, as far as the policy allows.

use std::collections::HashMap;

use causeway_proto::{
    ids::SweepId,
    limits::MESSAGE_BYTES,
    pb::{self, signal_service_server::SignalService},
    signal::{Disclosure, Signal},
};
use prost::Message;
use sqlx::SqliteConnection;
use tonic::{Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked, too_large},
    distinct_rows_of,
    session::Session,
    status,
};
use crate::{
    policy::{Policy, living_child_band},
    store::{StoreError, events, persons, records, segments},
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
        let rows = distinct_rows_of(&session, &request.handles)?;
        let mut store = self.store.snapshot().await.map_err(status::store)?;
        let policy = self.policy_for(session.as_at())?;
        let mut released =
            released(&mut store, &policy, &session, &rows).await.map_err(status::store)?;
        let mut subjects = Vec::with_capacity(rows.len());
        let mut bytes = 0;
        for row in &rows {
            let signals = released.remove(row).unwrap_or_default();
            let signals = signals.into_iter().map(Into::into).collect();
            let subject = pb::SubjectSignals { signals };
            bytes += subject.encoded_len();
            if bytes > MESSAGE_BYTES {
                return Err(too_large());
            }
            subjects.push(subject);
        }
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
    let died = records::died_of(conn, &rows).await?;
    for (row, born) in segments::born_of(conn, &rows).await? {
        let died = died.get(&row).copied();
        let Some(band) = living_child_band(born, died, session.as_at()) else { continue };
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
