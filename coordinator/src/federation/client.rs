//! One node's calls, typed and bounded: what comes back is checked before anybody believes it.

use std::{collections::BTreeSet, time::Duration};

use bytes::Bytes;
use causeway_proto::{
    alert::Alert,
    change::ToKeep,
    dwelling::Residence,
    ids::{Handle, SweepId},
    kind::MatchKeyKind,
    limits::MESSAGE_BYTES,
    linkage::{
        comparison::{self, Comparison},
        levels::ComparisonField,
    },
    pb::{
        self, alert_service_client::AlertServiceClient, change_service_client::ChangeServiceClient,
        comparison_service_client::ComparisonServiceClient,
        dwelling_service_client::DwellingServiceClient,
        quality_service_client::QualityServiceClient, signal_service_client::SignalServiceClient,
        sweep_service_client::SweepServiceClient, token_service_client::TokenServiceClient,
    },
    quality::{CountLinked, LinkedCount},
    refusal,
    signal::Signal,
    sweep::{Memo, Opened, Opening},
    wire::WireError,
};
use tokio::time::timeout;
use tonic::{Code, Request, Response, Status, Streaming, transport::Channel};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

use super::Problem;

/// Handles asked about in one query of dwellings or signals: answers stay well below a message.
pub const HANDLES: usize = 1000;

/// Questions in one `Compare`. Each costs the node one entry in its audit log, written to disk before
/// it answers: as many as a message holds with room to spare.
pub const COMPARISONS: usize = 2048;

const _: () = assert!(COMPARISONS * comparison::WIDTH < MESSAGE_BYTES / 4 * 3);

/// Calls to one node.
#[derive(Clone)]
pub struct NodeClient {
    channel: Channel,
    deadline: Duration,
}

/// One question of the second look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// Whom.
    pub handle: Handle,
    /// Salted by which kind's token.
    pub kind: MatchKeyKind,
    /// In which slot.
    pub slot: u8,
}

/// What a node counted on one field.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Which field.
    pub field: ComparisonField,
    /// One count a level, lowest first.
    pub counts: Vec<f64>,
}

/// Makes a client of one service with the sizes that both ends agree on.
macro_rules! client {
    ($client:ident, $self:expr) => {
        $client::new($self.channel.clone())
            .max_decoding_message_size(MESSAGE_BYTES)
            .max_encoding_message_size(MESSAGE_BYTES)
    };
}

impl NodeClient {
    /// Calls over `channel`, each with `deadline`.
    pub fn new(channel: Channel, deadline: Duration) -> Self {
        Self { channel, deadline }
    }

    /// Asks whether the node serves.
    pub async fn health(&self) -> Result<(), Problem> {
        let request = self.request(HealthCheckRequest { service: String::new() });
        let mut client = HealthClient::new(self.channel.clone());
        match self.ask("Check", client.check(request)).await?.status() {
            ServingStatus::Serving => Ok(()),
            _ => Err(Problem::Unreachable("it is not serving yet, or is draining".into())),
        }
    }

    /// Opens a sweep.
    pub async fn open(&self, opening: Opening) -> Result<Opened, Problem> {
        let request = self.request(pb::OpenSweepRequest::from(opening));
        let mut client = client!(SweepServiceClient, self);
        Opened::try_from(self.ask("OpenSweep", client.open_sweep(request)).await?).map_err(broke)
    }

    /// Closes a sweep.
    pub async fn close(&self, sweep: SweepId) -> Result<(), Problem> {
        let request = self.request(pb::CloseSweepRequest { sweep_id: id(sweep) });
        let mut client = client!(SweepServiceClient, self);
        self.ask("CloseSweep", client.close_sweep(request)).await.map(|_| ())
    }

    /// Asks the node to keep findings with its own records, at most [`causeway_proto::change::MEMOS_PER_REQUEST`]
    /// at a time.
    pub async fn keep_memos(&self, sweep: SweepId, memos: Vec<Memo>) -> Result<(), Problem> {
        let request = self.request(pb::KeepMemosRequest::from(ToKeep { sweep, memos }));
        let mut client = client!(SweepServiceClient, self);
        self.ask("KeepMemos", client.keep_memos(request)).await.map(|_| ())
    }

    /// Begins, or resumes, the stream of changes. It may be silent for as long as nothing changes.
    pub async fn watch_changes(
        &self,
        sweep: SweepId,
        after: u64,
    ) -> Result<Streaming<pb::WatchChangesResponse>, Problem> {
        let request = Request::new(pb::WatchChangesRequest { sweep_id: id(sweep), after });
        let mut client = client!(ChangeServiceClient, self);
        self.ask("WatchChanges", client.watch_changes(request)).await
    }

    /// Begins, or resumes, the token stream. The stream itself has no deadline: each message of it
    /// has.
    pub async fn stream_tokens(
        &self,
        sweep: SweepId,
        after: u64,
    ) -> Result<Streaming<pb::StreamTokensResponse>, Problem> {
        let request = Request::new(pb::StreamTokensRequest { sweep_id: id(sweep), after });
        let mut client = client!(TokenServiceClient, self);
        self.ask("StreamTokens", client.stream_tokens(request)).await
    }

    /// Asks how often two different people of the agency agree.
    pub async fn sample(&self, sweep: SweepId, pairs: u32) -> Result<Vec<Counted>, Problem> {
        let request = self.request(pb::SampleAgreementRequest { sweep_id: id(sweep), pairs });
        let mut client = client!(ComparisonServiceClient, self);
        let fields = self.ask("SampleAgreement", client.sample_agreement(request)).await?.fields;
        let counted = fields.into_iter().map(|field| counted(field, f64::from(pairs)));
        let counted = counted.collect::<Result<_, _>>().map_err(broke)?;
        once_each("SampleAgreement", counted, |of: &Counted| of.field as usize)
    }

    /// Asks for comparisons, at most [`COMPARISONS`] at a time. They come packed, as [`Comparison::column`]
    /// takes them apart: one for each question.
    pub async fn compare(&self, sweep: SweepId, questions: &[Question]) -> Result<Bytes, Problem> {
        let request = self.request(pb::CompareRequest {
            sweep_id: id(sweep),
            handles: questions.iter().flat_map(|q| *q.handle.as_bytes()).collect(),
            kinds: questions.iter().map(|q| q.kind.number()).collect(),
            slots: questions.iter().map(|q| q.slot).collect(),
        });
        let mut client = client!(ComparisonServiceClient, self);
        let answer = self.ask("Compare", client.compare(request)).await?;
        if answer.layout != comparison::LAYOUT || answer.width as usize != comparison::WIDTH {
            return Err(Problem::Broke("its comparisons have another layout: is it newer?".into()));
        }
        let compared = Comparison::column(&answer.comparisons).map_err(broke)?.len();
        same_number("Compare", questions.len(), compared)?;
        Ok(answer.comparisons)
    }

    /// Asks how the blurred bits of a sample fall on kinds of people.
    pub async fn count_linked(&self, question: CountLinked) -> Result<Vec<LinkedCount>, Problem> {
        let request = self.request(pb::CountLinkedRequest::from(question));
        let mut client = client!(QualityServiceClient, self);
        let counts = self.ask("CountLinked", client.count_linked(request)).await?.counts;
        let counts: Result<_, WireError> = counts.into_iter().map(LinkedCount::try_from).collect();
        once_each("CountLinked", counts.map_err(broke)?, |of: &LinkedCount| of.subgroup as usize)
    }

    /// Asks where people live, at most [`HANDLES`] at a time.
    pub async fn dwellings(
        &self,
        sweep: SweepId,
        handles: &[Handle],
    ) -> Result<Vec<Residence>, Problem> {
        let handles_column = column(handles);
        let request = self
            .request(pb::QueryDwellingsRequest { sweep_id: id(sweep), handles: handles_column });
        let mut client = client!(DwellingServiceClient, self);
        let answer = self.ask("QueryDwellings", client.query_dwellings(request)).await?;
        let residences = answer.residences;
        same_number("QueryDwellings", handles.len(), residences.len())?;
        residences.into_iter().map(Residence::try_from).collect::<Result<_, _>>().map_err(broke)
    }

    /// Asks for the signals of people, asking for fewer at a time where an answer is too large.
    pub async fn signals(
        &self,
        sweep: SweepId,
        handles: &[Handle],
    ) -> Result<Vec<Vec<Signal>>, Problem> {
        let mut waiting = vec![handles];
        let mut signals = Vec::with_capacity(handles.len());
        while let Some(handles) = waiting.pop() {
            let request = pb::QuerySignalsRequest { sweep_id: id(sweep), handles: column(handles) };
            let mut client = client!(SignalServiceClient, self);
            let answer = client.query_signals(self.request(request));
            let subjects = match self.in_time("QuerySignals", answer).await? {
                Ok(answer) => answer.into_inner().subjects,
                Err(status) if too_large(&status) && handles.len() > 1 => {
                    let (first, rest) = handles.split_at(handles.len() / 2);
                    waiting.extend([rest, first]);
                    continue;
                }
                Err(status) => return Err(self.problem("QuerySignals", &status)),
            };
            same_number("QuerySignals", handles.len(), subjects.len())?;
            for subject in subjects {
                let checked: Result<Vec<Signal>, WireError> =
                    subject.signals.into_iter().map(Signal::try_from).collect();
                signals.push(checked.map_err(broke)?);
            }
        }
        Ok(signals)
    }

    /// Delivers a revision of an alert. Returns whether the node had it already.
    pub async fn deliver(&self, alert: Alert) -> Result<bool, Problem> {
        let request = self.request(pb::DeliverAlertRequest { alert: Some(alert.into()) });
        let mut client = client!(AlertServiceClient, self);
        Ok(self.ask("DeliverAlert", client.deliver_alert(request)).await?.duplicate)
    }

    /// Returns how long each call may take.
    pub fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Sorts out why a call of this client failed.
    pub fn problem(&self, call: &'static str, status: &Status) -> Problem {
        Problem::of(call, self.deadline, status)
    }

    /// Waits for a whole answer.
    async fn ask<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Problem> {
        let answer = self.in_time(call, answer).await?;
        answer.map(Response::into_inner).map_err(|status| self.problem(call, &status))
    }

    /// Waits as long as a call may take. The deadline that goes with the request binds the node, and
    /// tonic holds it to that until the first byte of the answer: the rest might come for ever.
    async fn in_time<T>(
        &self,
        call: &'static str,
        answer: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<Result<Response<T>, Status>, Problem> {
        let too_slow = Problem::TooSlow { call, after: self.deadline };
        timeout(self.deadline, answer).await.map_err(|_| too_slow)
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.deadline);
        request
    }
}

/// What is seldom the same a node counts over all pairs of its people, and what is left over random ones:
/// of few people, both together may come to this many times the pairs that were drawn.
const OF_BOTH_WAYS: f64 = 2.0;

/// Reads what a node counted on one field over so many pairs.
fn counted(field: pb::FieldAgreement, pairs: f64) -> Result<Counted, WireError> {
    let kind = ComparisonField::from_wire(field.field)?;
    let invalid = |rule| Err(WireError::Invalid { field: "counts", rule });
    let sane = field.counts.iter().all(|count| count.is_finite() && *count >= 0.0);
    if field.counts.len() != kind.levels() || !sane {
        return invalid("a finite count for each level of the field, none of them negative");
    }
    if field.counts.iter().sum::<f64>() > OF_BOTH_WAYS * pairs {
        return invalid("no more in all than the pairs that were asked for come to");
    }
    Ok(Counted { field: kind, counts: field.counts })
}

/// Refuses counts of one thing that come twice: they would weigh twice.
fn once_each<T>(
    call: &'static str,
    counted: Vec<T>,
    what: impl Fn(&T) -> usize,
) -> Result<Vec<T>, Problem> {
    let mut seen = BTreeSet::new();
    match counted.iter().all(|of| seen.insert(what(of))) {
        true => Ok(counted),
        false => Err(Problem::Broke(format!("{call} answered about one thing twice"))),
    }
}

fn same_number(call: &'static str, asked: usize, answered: usize) -> Result<(), Problem> {
    if asked == answered {
        return Ok(());
    }
    Err(Problem::Broke(format!("{call} answered {answered} of {asked} questions")))
}

fn too_large(status: &Status) -> bool {
    status.code() == Code::ResourceExhausted
        && refusal::reason(status).as_deref() == Some("ASK_FOR_FEWER")
}

fn column(handles: &[Handle]) -> Vec<u8> {
    handles.iter().flat_map(|handle| *handle.as_bytes()).collect()
}

fn id(sweep: SweepId) -> Vec<u8> {
    sweep.as_bytes().to_vec()
}

/// A message that broke the contract.
pub(super) fn broke(error: WireError) -> Problem {
    Problem::Broke(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_counts_no_more_than_it_was_asked_for() {
        let field = |counts: &[f64]| pb::FieldAgreement {
            field: ComparisonField::Town.to_wire(),
            compared: counts.iter().sum(),
            counts: counts.to_vec(),
        };
        let read = |counts: &[f64]| counted(field(counts), 300_000.0);
        assert!(read(&[0.0, 150_000.0, 150_000.0]).is_ok());
        // Five people of one town.
        assert!(counted(field(&[0.0, 10.0, 10.0]), 10.0).is_ok());
        let refused =
            [[5e11, 1.0, 1.0], [300_000.0, 300_000.0, 1.0], [-1.0, 1.0, 1.0], [f64::NAN, 0.0, 0.0]];
        for bad in refused {
            let error = read(&bad).unwrap_err().to_string();
            assert!(error.contains("`counts`"), "{error}");
        }
        let town = || read(&[1.0; 3]).unwrap();
        let once =
            |counted| once_each("SampleAgreement", counted, |of: &Counted| of.field as usize);
        assert!(once(vec![town()]).is_ok());
        assert!(matches!(once(vec![town(), town()]), Err(Problem::Broke(_))));
    }
}
