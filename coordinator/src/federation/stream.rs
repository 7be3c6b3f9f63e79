//! Follows one node's token stream, resuming it where it broke, and hands on whole columns.

use std::{sync::Arc, time::Duration};

use causeway_proto::{
    ids::{Handle, SweepId},
    kind::MatchKeyKind,
    limits::TOKEN_BYTES,
    pb::{self, stream_tokens_response::Column},
    token::PersonFlags,
    wire::WireError,
};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::{
    Problem,
    client::{NodeClient, broke},
    patience::Patience,
};
use crate::link::rekey::Rekey;

/// What a node's stream consists of, in order: its people, then every kind.
pub enum Piece {
    /// Handles and flags, by row.
    People(Vec<Handle>, Vec<PersonFlags>),
    /// One kind's tokens under their new names, row after row.
    Tokens(MatchKeyKind, Vec<u64>),
    /// The node did not get to the end.
    Failed(Problem),
}

/// Follows the stream of `rows` rows to its end and sends the pieces.
///
/// A stream that breaks is resumed at its last position, as long as the node comes back within
/// `patience`.
pub async fn follow(
    client: NodeClient,
    sweep: SweepId,
    rows: u64,
    patience: Duration,
    rekey: Arc<Rekey>,
    out: mpsc::Sender<Piece>,
) {
    let mut reader = Reader::new(rows, time_for(rows, client.deadline() + patience), rekey);
    let mut patient = Patience::new(patience);
    loop {
        let before = reader.position;
        let problem = match reader.read_on(&client, sweep, &out).await {
            Ok(()) => return,
            Err(problem) => problem,
        };
        if reader.position > before {
            patient = Patience::new(patience);
        }
        let began = Instant::now();
        let borne = patient.bear(problem).await;
        reader.left = reader.left.saturating_sub(began.elapsed());
        if let Err(problem) = borne {
            // Nobody listens any more where the sweep was given up.
            let _ = out.send(Piece::Failed(problem)).await;
            return;
        }
        tracing::info!(position = reader.position, "resumes a token stream");
    }
}

/// What the slowest line carries that a node may have, half a megabit. A node that keeps every
/// message's deadline and still sends less is no slow node but one that holds up the others.
const SLOWEST_BYTES_PER_S: u64 = 64 << 10;

/// The longest that any stream may take: a sweep is a matter of one night, however many records a node says
/// that it has.
const LONGEST: Duration = Duration::from_secs(2 * 60 * 60);

/// How long to wait for a stream of so many rows in all, `beside` what they take on the line: one call may take so
/// long, and the node be away for so long.
fn time_for(rows: u64, beside: Duration) -> Duration {
    let slots: usize = MatchKeyKind::ALL.iter().map(|kind| kind.slots()).sum();
    let row_bytes = (size_of::<Handle>() + 1 + slots * TOKEN_BYTES) as u64;
    let on_the_line = Duration::from_secs(rows.saturating_mul(row_bytes) / SLOWEST_BYTES_PER_S);
    on_the_line.saturating_add(beside).min(LONGEST)
}

/// How far a stream has come.
struct Reader {
    rows: u64,
    /// How long the node may have us wait in all, and still may, however often its stream breaks. What we do
    /// with its columns does not count.
    time: Duration,
    left: Duration,
    rekey: Arc<Rekey>,
    position: u64,
    /// 0 is the handle column; then kinds in the order of [`MatchKeyKind::ALL`].
    column: usize,
    rows_of_column: u64,
    handles: Vec<Handle>,
    flags: Vec<PersonFlags>,
    tokens: Vec<u64>,
}

impl Reader {
    fn new(rows: u64, time: Duration, rekey: Arc<Rekey>) -> Self {
        Self {
            rows,
            time,
            left: time,
            rekey,
            position: 0,
            column: 0,
            rows_of_column: 0,
            handles: Vec::new(),
            flags: Vec::new(),
            tokens: Vec::new(),
        }
    }

    /// Reads from the last position to the end, or to what stops it.
    async fn read_on(
        &mut self,
        client: &NodeClient,
        sweep: SweepId,
        out: &mpsc::Sender<Piece>,
    ) -> Result<(), Problem> {
        if self.rows == 0 {
            return self.nothing(out).await;
        }
        let opening = client.stream_tokens(sweep, self.position);
        let mut stream = self.wait(client.deadline(), opening).await??;
        loop {
            let message = self.wait(client.deadline(), stream.message()).await?;
            match message.map_err(|status| client.problem("StreamTokens", &status))? {
                Some(response) => {
                    let piece = self.take(response).map_err(broke)?;
                    let Some(piece) = piece else { continue };
                    if out.send(piece).await.is_err() {
                        return Ok(());
                    }
                }
                None if self.column > MatchKeyKind::COUNT => return Ok(()),
                None => return Err(Problem::Broke("its token stream ended too early".into())),
            }
        }
    }

    /// Waits for the next message, for so long and no longer than the stream may still take.
    async fn wait<T>(
        &mut self,
        deadline: Duration,
        message: impl Future<Output = T>,
    ) -> Result<T, Problem> {
        let all_of_it = Problem::TooSlow { call: "all of StreamTokens", after: self.time };
        if self.left.is_zero() {
            return Err(all_of_it);
        }
        let began = Instant::now();
        let message = timeout(deadline.min(self.left), message).await;
        self.left = self.left.saturating_sub(began.elapsed());
        message.map_err(|_| match self.left.is_zero() {
            true => all_of_it,
            false => Problem::TooSlow { call: "StreamTokens", after: deadline },
        })
    }

    /// Sends the empty columns of a node without people.
    async fn nothing(&mut self, out: &mpsc::Sender<Piece>) -> Result<(), Problem> {
        let kinds = MatchKeyKind::ALL.iter().map(|kind| Piece::Tokens(*kind, Vec::new()));
        for piece in std::iter::once(Piece::People(Vec::new(), Vec::new())).chain(kinds) {
            if out.send(piece).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Takes one message in; returns a column when it is whole.
    fn take(&mut self, response: pb::StreamTokensResponse) -> Result<Option<Piece>, WireError> {
        let invalid = |field, rule| Err(WireError::Invalid { field, rule });
        if response.position <= self.position {
            return invalid("position", "above the one before");
        }
        if response.first_row != self.rows_of_column {
            return invalid("first_row", "the row after the last one");
        }
        let added = match response.column {
            Some(Column::People(people)) if self.column == 0 => self.people(&people)?,
            Some(Column::Tokens(tokens)) if self.column > 0 => self.tokens(&tokens)?,
            Some(_) => return invalid("column", "the next one of the stream"),
            None => return Err(WireError::Missing("column")),
        };
        self.position = response.position;
        self.rows_of_column += added;
        match self.rows_of_column.cmp(&self.rows) {
            std::cmp::Ordering::Less => Ok(None),
            std::cmp::Ordering::Greater => invalid("column", "as long as `records` said"),
            std::cmp::Ordering::Equal => Ok(Some(self.whole())),
        }
    }

    fn people(&mut self, people: &pb::People) -> Result<u64, WireError> {
        let handles = Handle::from_column("handles", &people.handles)?;
        if handles.len() != people.flags.len() || handles.is_empty() {
            return Err(WireError::Invalid { field: "flags", rule: "one for each handle" });
        }
        let rows = handles.len() as u64;
        self.handles.extend(handles);
        self.flags.extend(people.flags.iter().copied().map(PersonFlags));
        Ok(rows)
    }

    fn tokens(&mut self, tokens: &pb::Tokens) -> Result<u64, WireError> {
        let kind = MatchKeyKind::from_wire(tokens.kind)?;
        if MatchKeyKind::ALL.get(self.column - 1) != Some(&kind) {
            return Err(WireError::Invalid { field: "kind", rule: "the next one of the recipe" });
        }
        if tokens.slots as usize != kind.slots() {
            return Err(WireError::Invalid { field: "slots", rule: "those of the recipe" });
        }
        let width = kind.slots() * TOKEN_BYTES;
        let rows = tokens.tokens.len() / width;
        if rows == 0 || !tokens.tokens.len().is_multiple_of(width) {
            let actual = tokens.tokens.len();
            return Err(WireError::Ragged { field: "tokens", width, actual });
        }
        self.rekey.column(kind, &tokens.tokens, &mut self.tokens);
        Ok(rows as u64)
    }

    fn whole(&mut self) -> Piece {
        let column = self.column;
        (self.column, self.rows_of_column) = (column + 1, 0);
        match column.checked_sub(1) {
            None => {
                let people = (std::mem::take(&mut self.handles), std::mem::take(&mut self.flags));
                Piece::People(people.0, people.1)
            }
            Some(kind) => Piece::Tokens(MatchKeyKind::ALL[kind], std::mem::take(&mut self.tokens)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use causeway_proto::pb::token_service_server::{TokenService, TokenServiceServer};
    use futures::stream::{self, BoxStream, StreamExt};
    use hyper_util::rt::TokioIo;
    use tokio::io::duplex;
    use tonic::{
        Request, Response, Status,
        transport::{Endpoint, Server},
    };

    use super::*;

    const ROWS: u64 = 3;
    const CALL: Duration = Duration::from_millis(350);

    /// A node that is away when it is asked for the first few times, and then sends so many rows whenever it is
    /// asked, and breaks off.
    struct Breaks {
        away: AtomicU32,
        after: u64,
    }

    /// The row after a position.
    fn row(after: u64) -> pb::StreamTokensResponse {
        let (column, first_row) = (after / ROWS, after % ROWS);
        let column = match column.checked_sub(1) {
            None => Column::People(pb::People { handles: vec![0; 16].into(), flags: vec![0] }),
            Some(at) => {
                let kind = MatchKeyKind::ALL[at as usize];
                let (slots, tokens) = (kind.slots() as u32, vec![0; 8 * kind.slots()].into());
                Column::Tokens(pb::Tokens { kind: kind.to_wire(), slots, tokens })
            }
        };
        pb::StreamTokensResponse { position: after + 1, first_row, column: Some(column) }
    }

    #[tonic::async_trait]
    impl TokenService for Breaks {
        type StreamTokensStream = BoxStream<'static, Result<pb::StreamTokensResponse, Status>>;

        async fn stream_tokens(
            &self,
            request: Request<pb::StreamTokensRequest>,
        ) -> Result<Response<Self::StreamTokensStream>, Status> {
            let breaks_off = Status::unavailable("it is started again");
            let less = |away: u32| away.checked_sub(1);
            if self.away.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok() {
                return Err(breaks_off);
            }
            let (first, all) =
                (request.into_inner().after, ROWS * (1 + MatchKeyKind::COUNT as u64));
            let rows = (first..all).take(self.after as usize).map(|after| Ok(row(after)));
            let end = (first + self.after < all).then_some(Err(breaks_off));
            Ok(Response::new(stream::iter(rows.chain(end).collect::<Vec<_>>()).boxed()))
        }
    }

    /// Follows a node's stream, and returns how many pieces came and what went wrong.
    async fn followed(node: Breaks, patience: Duration) -> (usize, Option<Problem>) {
        let (near, far) = duplex(1 << 16);
        let served = stream::once(async { Ok::<_, std::io::Error>(far) });
        let server = Server::builder().add_service(TokenServiceServer::new(node));
        tokio::spawn(server.serve_with_incoming(served));
        let mut near = Some(near);
        let connect = tower::service_fn(move |_| {
            let near = near.take().ok_or_else(|| std::io::Error::other("it is connected"));
            async move { near.map(TokioIo::new) }
        });
        let channel = Endpoint::from_static("http://node").connect_with_connector_lazy(connect);
        let client = NodeClient::new(channel, CALL);
        let rekey = Arc::new(Rekey::random().unwrap());
        let (out, mut pieces) = mpsc::channel(100);
        let sweep = SweepId::from_bytes([1; 16]);
        follow(client, sweep, ROWS, patience, rekey, out).await;
        let mut came = 0;
        while let Some(piece) = pieces.recv().await {
            match piece {
                Piece::Failed(problem) => return (came, Some(problem)),
                _ => came += 1,
            }
        }
        (came, None)
    }

    /// There is time for seven rows at most, and there are more.
    #[tokio::test]
    async fn a_stream_that_breaks_again_and_again_has_no_more_time_than_one_that_does_not() {
        let node = Breaks { away: AtomicU32::new(0), after: 1 };
        let (came, problem) = followed(node, CALL).await;
        let problem = problem.expect("not all of it came");
        assert!(matches!(problem, Problem::TooSlow { .. }), "{problem}");
        assert!(came <= 3, "{came}");
    }

    /// It is away for twice as long as a call may take.
    #[tokio::test]
    async fn a_small_node_that_is_back_within_our_patience_is_not_too_slow() {
        let node = Breaks { away: AtomicU32::new(3), after: 1000 };
        let (came, problem) = followed(node, Duration::from_secs(60)).await;
        assert_eq!((came, problem), (1 + MatchKeyKind::COUNT, None));
    }

    #[test]
    fn no_stream_takes_longer_than_two_hours() {
        let minutes =
            |rows, beside: u64| time_for(rows, Duration::from_secs(60 * beside)).as_secs() / 60;
        assert_eq!(minutes(0, 3), 3);
        assert!(minutes(100_000, 3) > 3);
        assert_eq!([minutes(u64::MAX, 3), minutes(100_000, 100_000)], [120, 120]);
    }
}
