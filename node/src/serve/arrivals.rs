//! Streams alerts as they arrive, to the agency's own systems.

use std::{collections::VecDeque, pin::Pin, time::Duration};

use causeway_proto::pb;
use futures::{Stream, StreamExt, stream};
use tokio::{select, sync::watch, time::sleep};
use tonic::Status;

use super::{
    Node,
    answer::{Answer, Asked},
    inbox::entry,
    status,
    streams::Taken,
};
use crate::inbox;

pub(super) type Arrivals =
    Pin<Box<dyn Stream<Item = Result<pb::WatchInboxResponse, Status>> + Send>>;

/// How often to look for what was delivered.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Alerts that are read, and audited, together.
const AT_ONCE: u32 = 50;

/// Follows the inbox from a position on.
struct Watcher {
    node: Node,
    asked: Asked,
    going: watch::Receiver<bool>,
    /// Everything up to here is in `ready`, or was sent.
    position: u64,
    ready: VecDeque<pb::WatchInboxResponse>,
    _place: Taken,
}

impl Node {
    /// Begins to follow the inbox.
    pub(super) fn arrivals(&self, after: u64, asked: Asked) -> Answer<Arrivals> {
        let _place = self.inbox_streams.take()?;
        let (node, going, ready) = (self.clone(), self.going.subscribe(), VecDeque::new());
        let watcher = Watcher { node, asked, going, position: after, ready, _place };
        let responses = stream::try_unfold(watcher, async |mut watcher| {
            let next = watcher.next().await?;
            Ok(Some((next, watcher)))
        });
        Ok((0, responses.boxed()))
    }
}

impl Watcher {
    async fn next(&mut self) -> Result<pb::WatchInboxResponse, Status> {
        loop {
            if *self.going.borrow() {
                return Err(status::going_down());
            }
            if let Some(response) = self.ready.pop_front() {
                return Ok(response);
            }
            if !self.look().await? {
                select! {
                    // The next turn says why.
                    _ = self.going.changed() => (),
                    () = sleep(LOOK_EVERY) => (),
                }
            }
        }
    }

    /// Makes ready what has arrived, and puts it into the audit table. Returns whether there was any.
    async fn look(&mut self) -> Result<bool, Status> {
        let mut conn = self.node.store.snapshot().await.map_err(status::store)?;
        let arrived = inbox::after(&mut conn, self.position, AT_ONCE).await;
        drop(conn);
        let arrived = arrived.map_err(status::store)?;
        let Some(last) = arrived.last() else { return Ok(false) };
        self.position = last.position;
        let responses =
            arrived.into_iter().map(|shown| pb::WatchInboxResponse { entry: Some(entry(shown)) });
        self.ready = responses.collect();
        self.node.record_sent(&self.asked, self.ready.make_contiguous()).await?;
        Ok(true)
    }
}
