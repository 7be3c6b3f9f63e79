//! Streams what happens while a sweep is open.
//!
//! Nothing is done for a reader that does not read: no task, no lock and no transaction waits for
//! one. What is sent is in the audit table before it is sent.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Weak},
    time::Duration,
};

use causeway_proto::{
    change::{self, Change, Upsert},
    ids::SweepId,
    kind::MatchKeyKind,
    limits::TOKEN_BYTES,
    pb::{self, change_service_server::ChangeService},
    refusal,
    sweep::Feed,
};
use futures::{Stream, StreamExt, stream};
use sqlx::SqliteConnection;
use tokio::{select, sync::watch, time::sleep};
use tonic::{Code, Request, Response, Status};

use super::{
    Node,
    answer::{Answer, Asked},
    crowds::Crowds,
    live::{self, News, Step},
    memos,
    session::Session,
    status,
    streams::Taken,
    tokens,
};
use crate::{
    policy::Policy,
    store::{
        StoreError,
        changes::{self, Pulse},
        keyed,
    },
};

type Responses = Pin<Box<dyn Stream<Item = Result<pb::WatchChangesResponse, Status>> + Send>>;

/// How often to look for what another connection, or another process, has written.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Steps that are made ready, and audited, together: with all tokens a third of a megabyte.
const STEPS_AT_ONCE: usize = 512;

#[tonic::async_trait]
impl ChangeService for Node {
    type WatchChangesStream = Responses;

    #[tracing::instrument(name = "changes.watch", skip_all)]
    async fn watch_changes(
        &self,
        request: Request<pb::WatchChangesRequest>,
    ) -> Result<Response<Responses>, Status> {
        let asked = Asked::of("WatchChanges", &request, &request.get_ref().sweep_id, 1);
        let pb::WatchChangesRequest { sweep_id, after } = request.into_inner();
        let answer = self.watch(&sweep_id, after, asked.clone()).await;
        self.conclude_stream(asked, answer).await
    }
}

/// Follows an open sweep from a position on.
struct Watcher {
    node: Node,
    /// A stream that nobody reads keeps no key of a sweep that is over.
    session: Weak<Session>,
    asked: Asked,
    over: watch::Receiver<bool>,
    going: watch::Receiver<bool>,
    /// Everything up to here has been made ready.
    position: u64,
    /// What has yet to be made ready.
    news: Option<News>,
    /// What can be sent.
    ready: VecDeque<pb::WatchChangesResponse>,
    /// How far the store was when somebody looked last; `None` to look at once.
    pulse: Option<Pulse>,
    /// What was said of the exports.
    feeds: Option<Feeds>,
    _place: Taken,
}

/// What was said of the exports.
struct Feeds {
    said: Vec<Feed>,
    /// The last export that was taken in or refused.
    import: i64,
    /// When it will no longer be true.
    until_ms: Option<u64>,
    /// After how many hours policy called them stale.
    stale_after_h: Option<u64>,
}

impl Node {
    async fn watch(&self, sweep: &[u8], after: u64, asked: Asked) -> Answer<Responses> {
        let sweep = SweepId::from_wire("sweep_id", sweep)?;
        let session = self.session(sweep).await?;
        let mut conn = self.store.read().await.map_err(status::store)?;
        if after > changes::position(&mut conn).await.map_err(status::store)? {
            let message = "the node never was at that position: open a new sweep";
            return Err(refusal::status(Code::OutOfRange, "UNKNOWN_POSITION", message));
        }
        let _place = self.change_streams.take()?;
        let watcher = Watcher {
            node: self.clone(),
            asked,
            over: session.over.subscribe(),
            going: self.going.subscribe(),
            // The token stream has what came before.
            position: after.max(session.sweep.position),
            session: Arc::downgrade(&session),
            news: None,
            ready: VecDeque::new(),
            pulse: None,
            feeds: None,
            _place,
        };
        let responses = stream::try_unfold(watcher, async |mut watcher| {
            let next = watcher.next().await?;
            Ok(Some((next, watcher)))
        });
        Ok((0, responses.boxed()))
    }
}

impl Watcher {
    async fn next(&mut self) -> Result<pb::WatchChangesResponse, Status> {
        loop {
            let session = self.session.upgrade().ok_or_else(status::sweep_closed)?;
            let policy = self.goes_on(&session).await?;
            if let Some(response) = self.ready.pop_front() {
                return Ok(response);
            }
            match self.news.take() {
                Some(news) => self.make_ready(&session, news).await?,
                None if self.is_due(&policy).await? => {
                    let news = session.news(&self.node.store, &policy, self.position).await;
                    self.news =
                        Some(news.map_err(status::store)?.ok_or_else(status::sweep_closed)?);
                }
                None => {
                    drop(session);
                    self.rest().await;
                }
            }
        }
    }

    /// Returns what policy allows of the sweep now, unless nothing more may be said in it.
    async fn goes_on(&self, session: &Session) -> Result<Policy, Status> {
        if *self.going.borrow() {
            return Err(status::going_down());
        }
        self.node.still_allowed(session, &self.asked).await
    }

    /// Returns whether the store has something new, an export has grown stale, or policy says otherwise when
    /// one does.
    async fn is_due(&mut self, policy: &Policy) -> Result<bool, Status> {
        let mut conn = self.node.store.read().await.map_err(status::store)?;
        let pulse = changes::pulse(&mut conn).await.map_err(status::store)?;
        let now_ms = (self.node.now_ms)();
        let outdated = self.feeds.as_ref().is_some_and(|feeds| {
            feeds.until_ms.is_some_and(|until_ms| until_ms <= now_ms)
                || feeds.stale_after_h != policy.stale_after_h
        });
        Ok(self.pulse.replace(pulse) != Some(pulse) || outdated)
    }

    /// Waits until it is time to look again.
    async fn rest(&mut self) {
        select! {
            // The next turn says why.
            _ = self.over.changed() => (),
            _ = self.going.changed() => (),
            () = sleep(LOOK_EVERY) => (),
        }
    }

    /// Makes the next messages ready and puts them into the audit table.
    async fn make_ready(&mut self, session: &Session, mut news: News) -> Result<(), Status> {
        let some: Vec<Step> = news.steps.drain(..news.steps.len().min(STEPS_AT_ONCE)).collect();
        let mut conn = self.node.store.snapshot().await.map_err(status::store)?;
        // Match-keys that another linkage key made would join nobody in this sweep.
        let keyed = keyed::load(&mut conn).await.map_err(status::store)?;
        if keyed.is_some_and(|keyed| keyed.commitment != session.key_commit) {
            return Err(status::sweep_closed());
        }
        let changes = messages(session, &mut conn, &some, &news.crowds).await;
        let changes = changes.map_err(status::store)?;
        // Nobody has everything up to the new position before the last of it was sent.
        let mut position = self.position;
        let mut steps: Vec<change::Step> =
            changes.into_iter().map(|change| change::Step { position, change }).collect();
        if news.steps.is_empty() {
            let feeds = self.feeds(&mut conn).await.map_err(status::store)?;
            position = news.position;
            let last = feeds.map(Change::Feeds).into_iter().chain([Change::CaughtUp]);
            steps.extend(last.map(|change| change::Step { position, change }));
        } else {
            self.news = Some(news);
        }
        drop(conn);
        self.position = position;
        let ready: Vec<pb::WatchChangesResponse> = steps.into_iter().map(Into::into).collect();
        self.node.record_sent(&self.asked, &ready).await?;
        self.ready.extend(ready);
        Ok(())
    }

    /// How fresh the exports are, if there is anything to say.
    async fn feeds(
        &mut self,
        conn: &mut SqliteConnection,
    ) -> Result<Option<Vec<Feed>>, StoreError> {
        let Pulse { import, .. } = changes::pulse(conn).await?;
        let stale_after_h = self.node.stale_after_h();
        let (now, until_ms) = self.node.freshness(conn).await?;
        let said = self.feeds.replace(Feeds { said: now.clone(), import, until_ms, stale_after_h });
        let same = said.is_some_and(|said| said.import == import && said.said == now);
        Ok((!same).then_some(now))
    }
}

/// What steps say on the wire.
async fn messages(
    session: &Session,
    conn: &mut SqliteConnection,
    steps: &[Step],
    crowds: &[Arc<Crowds>],
) -> Result<Vec<Change>, StoreError> {
    let own = &session.keys.own;
    let mut tokens = all_tokens(session, conn, steps, crowds).await?;
    let rows: Vec<u64> = steps.iter().filter_map(Step::upserted).collect();
    let mut memos = memos::of_rows(conn, session, &rows).await?;
    let message = |step: &Step| match *step {
        Step::Retraction { row } => Change::Retraction(own.handle(row)),
        Step::Facts { row, standing } => Change::Facts(own.handle(row), standing.flags()),
        Step::Upsert { row, replaces, standing } => Change::Upsert(Upsert {
            handle: own.handle(row),
            replaces: replaces.map(|row| own.handle(row)),
            flags: standing.flags(),
            tokens: tokens.remove(&row).unwrap_or_default(),
            memos: memos.remove(&row).unwrap_or_default(),
        }),
    };
    Ok(steps.iter().map(message).collect())
}

/// The tokens of whoever has new ones, kind by kind, as the token stream would have them.
async fn all_tokens(
    session: &Session,
    conn: &mut SqliteConnection,
    steps: &[Step],
    crowds: &[Arc<Crowds>],
) -> Result<HashMap<u64, Vec<Vec<u8>>>, StoreError> {
    let rows = steps.iter().filter_map(Step::upserted);
    let mut of_row: HashMap<u64, Vec<Vec<u8>>> = HashMap::new();
    for rows in live::segments_of(&rows.collect::<Vec<u64>>()) {
        let segment = session.shelf.of_rows(conn, &rows, MatchKeyKind::ALL).await?;
        for (kind, crowds) in MatchKeyKind::ALL.iter().zip(crowds) {
            let keys = segment.keys(*kind);
            let column = tokens::tokens(session, &rows, *kind, keys, crowds).tokens;
            let of_each = column.chunks(TOKEN_BYTES * kind.slots());
            for (row, tokens) in rows.rows().zip(of_each) {
                of_row.entry(row).or_default().push(tokens.to_vec());
            }
        }
    }
    Ok(of_row)
}
