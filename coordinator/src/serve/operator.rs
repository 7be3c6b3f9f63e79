//! Answers whoever runs the coordinator. Nothing here says who anybody is, or lists who was not
//! surfaced.

use std::{future::pending, path::Path, pin::Pin, sync::Arc};

use causeway_proto::{
    day::Day,
    ids::AlertId,
    pb::{
        self, evidence::What, operator_service_server::OperatorService, run_sweep_response::Event,
    },
    refusal,
    wire::WireError,
};
use futures::Stream;
use tokio::sync::{mpsc, mpsc::error::TrySendError, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::Desk;
use crate::{
    app::{self, AppError, Coordinator, Ended, Heard, How, Issued, ReviewRefused, Turn, sweep_day},
    clock,
    cycle::{
        CycleError, progress,
        report::{AlertReport, LinkReport},
        weakest,
    },
    route::surfacing::Capacity,
};

/// Progress events that a slow listener may fall behind. Past it, events are left out: the next one
/// says how far the step is anyway.
const EVENTS: usize = 64;

/// Results that a listener who watches may fall behind beside those. None may be left out, so past it the sweep
/// is closed.
const RESULTS: usize = 64;

#[tonic::async_trait]
impl OperatorService for Desk {
    type RunSweepStream = Pin<Box<dyn Stream<Item = Result<pb::RunSweepResponse, Status>> + Send>>;

    async fn get_status(
        &self,
        _: Request<pb::GetStatusRequest>,
    ) -> Result<Response<pb::GetStatusResponse>, Status> {
        let status = self.0.status().await.map_err(to_status)?;
        Ok(Response::new(status.into()))
    }

    async fn run_sweep(
        &self,
        request: Request<pb::RunSweepRequest>,
    ) -> Result<Response<Self::RunSweepStream>, Status> {
        let request = request.into_inner();
        let pb::RunSweepRequest { as_at_day, watch, shadow_model, weakest_links } = request;
        let weakest = weakest_links.min(weakest::MOST);
        let named = as_at_day.map(|day| Day::from_wire("as_at_day", day)).transpose()?;
        let as_at = sweep_day(named, clock::today()).map_err(|error| to_status(error.into()))?;
        let named = (!shadow_model.is_empty()).then(|| Path::new(&shadow_model));
        let shadow = self.0.shadow(named).map_err(to_status)?;
        let turn = self.0.turn().await.map_err(to_status)?;
        let (out, events) = mpsc::channel(EVENTS);
        let coordinator = self.0.clone();
        // The sweep goes on when the listener leaves: it was asked for.
        tokio::spawn(async move {
            let listener = out.clone();
            let tell = move |event: progress::Event| {
                // A full channel loses this event and nothing else.
                let _ = listener.try_send(Ok(progress_message(event)));
            };
            let how = How { as_at, shadow: shadow.as_ref(), weakest };
            if watch {
                if let Some(why) = watch_changes(&coordinator, turn, how, tell, &out).await {
                    let _ = out.send(Err(why)).await;
                }
                return;
            }
            let outcome = coordinator.sweep(turn, how, Arc::new(tell)).await;
            let last = outcome.map_err(to_status).map(|outcome| {
                let report = serde_json::to_string(&outcome.report).expect("plain data");
                let sweep_id = outcome.sweep.as_bytes().to_vec();
                let result = pb::SweepResult { sweep_id, report };
                pb::RunSweepResponse { event: Some(Event::Result(result)) }
            });
            let _ = out.send(last).await;
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(events))))
    }

    async fn list_issued_alerts(
        &self,
        request: Request<pb::ListIssuedAlertsRequest>,
    ) -> Result<Response<pb::ListIssuedAlertsResponse>, Status> {
        let request = request.into_inner();
        if !request.page_token.is_empty() {
            return Err(WireError::Invalid { field: "page_token", rule: "empty" }.into());
        }
        let size = match request.page_size {
            0 => 50,
            size => size.min(200),
        };
        let alerts = self.0.alerts(size).await.map_err(to_status)?;
        let alerts = alerts.into_iter().map(issued).collect();
        Ok(Response::new(pb::ListIssuedAlertsResponse { alerts, next_page_token: String::new() }))
    }

    async fn explain_alert(
        &self,
        request: Request<pb::ExplainAlertRequest>,
    ) -> Result<Response<pb::ExplainAlertResponse>, Status> {
        let id = AlertId::from_wire("alert_id", &request.get_ref().alert_id)?;
        let Some((alert, report)) = self.0.explain(id).await.map_err(to_status)? else {
            let message = "the coordinator never issued an alert of that id";
            return Err(refusal::status(Code::NotFound, "NO_SUCH_ALERT", message));
        };
        Ok(Response::new(pb::ExplainAlertResponse {
            alert: Some(issued(alert)),
            lines: lines(&report),
            links: report.links.iter().map(link).collect(),
        }))
    }
}

/// Makes a pass and follows what changes until the listener leaves. Returns why it ended where it did not.
async fn watch_changes(
    coordinator: &Coordinator,
    turn: Turn,
    how: How<'_>,
    tell: impl Fn(progress::Event) + Send + Sync + 'static,
    out: &mpsc::Sender<Result<pb::RunSweepResponse, Status>>,
) -> Option<Status> {
    let (mut hand_on, mut waiting, fell_behind) = results();
    let heard = move |heard: Heard<'_>| {
        hand_on(match heard {
            Heard::Swept(report) => Event::Result(pb::SweepResult {
                sweep_id: Vec::new(),
                report: serde_json::to_string(report).expect("plain data"),
            }),
            Heard::Followed(burst) => {
                Event::Followed(serde_json::to_string(burst).expect("plain data"))
            }
        });
    };
    let mut is_behind = false;
    let stop = async {
        is_behind = tokio::select! {
            () = out.closed() => false,
            () = fell_behind => true,
        };
    };
    let watching = coordinator.watch(turn, how, Arc::new(tell), stop, heard);
    let passing_on = async {
        while let Some(event) = waiting.recv().await {
            let _ = out.send(Ok(pb::RunSweepResponse { event: Some(event) })).await;
        }
    };
    match tokio::join!(watching, passing_on).0 {
        Ok(Ended::Unwatched) => is_behind.then(too_slow),
        Ok(Ended::MadeWay) => Some(made_way()),
        Ok(Ended::GoingDown) => Some(to_status(CycleError::Stopped.into())),
        Err(error) => Some(to_status(error)),
    }
}

/// Returns how to hand a result on, those that wait to be sent, and what resolves once one more does than may.
fn results<T>() -> (impl FnMut(T), mpsc::Receiver<T>, impl Future<Output = ()>) {
    let (results, waiting) = mpsc::channel(RESULTS);
    let (behind, is_behind) = oneshot::channel();
    let mut behind = Some(behind);
    let hand_on = move |result| {
        // What comes after one that was left out is no whole story. A listener who left hears nothing.
        if behind.is_some() && matches!(results.try_send(result), Err(TrySendError::Full(_))) {
            let _ = behind.take().map(|behind| behind.send(()));
        }
    };
    let fell_behind = async {
        if is_behind.await.is_err() {
            pending().await
        }
    };
    (hand_on, waiting, fell_behind)
}

/// Tells whoever followed a sweep that it was closed because they did not read what it told.
fn too_slow() -> Status {
    let message = "this sweep was closed because what it told was not read";
    refusal::status(Code::ResourceExhausted, "NOT_READ", message)
}

/// Tells whoever followed a sweep that it was closed for another one.
fn made_way() -> Status {
    let message = "this sweep was closed because another one was asked for";
    refusal::status(Code::Aborted, "MADE_WAY", message)
}

fn progress_message(event: progress::Event) -> pb::RunSweepResponse {
    let progress = pb::SweepProgress {
        step: event.step.as_str().to_owned(),
        agency: event.agency.map(|agency| agency.to_string()).unwrap_or_default(),
        done: event.done,
        total: event.total,
        problem: event.problem.unwrap_or_default(),
    };
    pb::RunSweepResponse { event: Some(Event::Progress(progress)) }
}

fn issued(issued: Issued) -> pb::IssuedAlert {
    let Issued { alert, reached, state } = issued;
    pb::IssuedAlert {
        alert_id: alert.id.as_bytes().to_vec(),
        revision: alert.revision,
        change: alert.change.to_wire(),
        tier: alert.tier.to_wire(),
        score_tenths: alert.score_tenths,
        as_at_day: alert.as_at.number(),
        recipients: reached.recipients.iter().map(ToString::to_string).collect(),
        delivered: reached.delivered,
        state: state.to_wire(),
        reason: alert.reason,
    }
}

impl From<app::Status> for pb::GetStatusResponse {
    fn from(status: app::Status) -> Self {
        let node = |node: app::NodeStatus| pb::NodeStatus {
            agency: node.id.to_string(),
            kind: node.kind.to_wire(),
            reachable: node.problem.is_none(),
            problem: node.problem.unwrap_or_default(),
        };
        Self {
            deployment: status.deployment.to_string(),
            model_version: status.model,
            model_sha256: status.model_sha256,
            nodes: status.nodes.into_iter().map(node).collect(),
            alerts_open: status.alerts,
            deliveries_waiting: status.deliveries_waiting,
            last_sweep_id: status.last_sweep.map(|s| s.id.as_bytes().to_vec()).unwrap_or_default(),
            last_sweep_ms: status.last_sweep_ms.unwrap_or_default(),
            capacity: Some(capacity(&status.capacity)),
            alarms: status.alarms,
        }
    }
}

fn capacity(capacity: &Capacity) -> pb::Capacity {
    let number = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    pb::Capacity {
        places: number(capacity.places),
        used: number(capacity.used),
        highest: number(capacity.highest),
        ceiling: number(capacity.ceiling),
        braked: capacity.braked,
    }
}

fn lines(report: &AlertReport) -> Vec<pb::ExplainedLine> {
    let lines = report.lines.iter().map(|line| pb::ExplainedLine {
        what: line.code.to_string(),
        sentence: line.sentence.clone(),
        points: line.points,
    });
    let rules = report.interactions.iter().map(|rule| pb::ExplainedLine {
        what: rule.id.clone(),
        sentence: rule.sentence.clone(),
        points: rule.points.into(),
    });
    lines.chain(rules).collect()
}

fn link(link: &LinkReport) -> pb::ExplainedLink {
    let fields = link.fields.iter().map(|field| pb::Evidence {
        what: Some(What::Field(field.field.to_wire())),
        level: u32::try_from(field.level).unwrap_or(u32::MAX),
        bits: field.bits,
    });
    pb::ExplainedLink {
        agency_a: link.agencies[0].to_string(),
        agency_b: link.agencies[1].to_string(),
        evidence: fields.collect(),
        bits: link.looked_at.or(link.bits).unwrap_or(0.0),
        by_pattern: link.by_pattern,
    }
}

/// Logs what went wrong here, and tells the caller only that something did.
pub(super) fn to_status(error: AppError) -> Status {
    match error {
        AppError::Running => {
            let message = "the coordinator is sweeping already: wait until it is done";
            refusal::status(Code::FailedPrecondition, "SWEEP_RUNNING", message)
        }
        error @ AppError::Elsewhere => {
            refusal::status(Code::FailedPrecondition, "SWEEP_RUNNING", error.to_string())
        }
        // What the file says stays here; which signature is missing may be told.
        AppError::Shadow(error) => {
            refusal::status(Code::FailedPrecondition, "MODEL_REFUSED", error.to_string())
        }
        AppError::Day(error) => {
            refusal::status(Code::InvalidArgument, "NO_SUCH_DAY", error.to_string())
        }
        AppError::Cycle(error @ CycleError::Nobody(_)) => {
            refusal::status(Code::Unavailable, "NO_NODE", error.to_string())
        }
        AppError::Cycle(error @ CycleError::Stopped) => {
            refusal::status(Code::Unavailable, "GOING_DOWN", error.to_string())
        }
        AppError::Review(error @ ReviewRefused::TooEarly) => {
            refusal::status(Code::InvalidArgument, "INVALID_MESSAGE", error.to_string())
        }
        AppError::Review(error @ ReviewRefused::TooMany) => {
            refusal::status(Code::ResourceExhausted, "TOO_MANY_REVIEWS", error.to_string())
        }
        error => {
            tracing::error!(error = &error as &dyn std::error::Error, "a call failed");
            let message = "the coordinator could not do that; its log says why";
            refusal::status(Code::Internal, "COORDINATOR_FAILED", message)
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn whoever_reads_too_slowly_is_known_and_whoever_reads_hears_everything() {
        let (mut hand_on, mut waiting, fell_behind) = results();
        let mut fell_behind = Box::pin(fell_behind);
        for result in 0..10 * RESULTS {
            hand_on(result);
            assert_eq!(waiting.recv().await, Some(result));
        }
        (0..RESULTS).for_each(&mut hand_on);
        assert_eq!((&mut fell_behind).now_or_never(), None);
        hand_on(RESULTS);
        fell_behind.await;
        assert_eq!(waiting.recv().await, Some(0));
        hand_on(RESULTS + 1);
        drop(hand_on);
        let mut rest = Vec::new();
        while let Some(result) = waiting.recv().await {
            rest.push(result);
        }
        assert_eq!(rest, (1..RESULTS).collect::<Vec<_>>(), "nothing comes after a gap");
    }
}
