//! Follows what changes at one node while a sweep is open, and begins again where a stream broke.

use std::time::Duration;

use causeway_proto::{
    change::{Change, Step},
    ids::SweepId,
};
use tokio::{sync::mpsc, time::sleep};

use super::{
    Problem,
    client::{NodeClient, broke},
    join::Joined,
};

/// What is heard of one agency, by its place in the federation.
pub enum News {
    /// A step of its stream.
    Step(usize, Step),
    /// The stream broke, and is begun again as soon as the node answers. What it told stands.
    Silent(usize, Problem),
    /// The stream is there again.
    Back(usize),
    /// The node will not go on, or broke the contract: nothing more is heard of it.
    Over(usize, Problem),
    /// A node that was left out joins the open sweep, with everything it has.
    Joined(usize, Box<Joined>),
}

/// The first pause before a broken stream is begun again.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// One node's stream of changes.
pub struct Watch {
    /// The agency's place in the federation.
    pub agency: usize,
    /// How it is reached.
    pub client: NodeClient,
    /// In which sweep.
    pub sweep: SweepId,
    /// Everything up to here is known.
    pub position: u64,
}

impl Watch {
    /// Follows the stream until nobody listens any more.
    pub async fn run(mut self, out: mpsc::Sender<News>) {
        let (mut pause, mut silent) = (PAUSE, false);
        while !out.is_closed() {
            let before = self.position;
            let Err(problem) = self.read_on(&mut silent, &out).await else { return };
            let agency = self.agency;
            if !problem.is_passing() {
                // Nobody listens where the sweep was closed.
                let _ = out.send(News::Over(agency, problem)).await;
                return;
            }
            if !std::mem::replace(&mut silent, true)
                && out.send(News::Silent(agency, problem)).await.is_err()
            {
                return;
            }
            pause = if self.position > before { PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
            tokio::select! {
                () = sleep(pause) => {}
                () = out.closed() => return,
            }
        }
    }

    /// Reads until the stream breaks, or until nobody listens any more.
    async fn read_on(
        &mut self,
        silent: &mut bool,
        out: &mpsc::Sender<News>,
    ) -> Result<(), Problem> {
        let agency = self.agency;
        let mut stream = self.client.watch_changes(self.sweep, self.position).await?;
        loop {
            let message = tokio::select! {
                message = stream.message() => message,
                () = out.closed() => return Ok(()),
            };
            let response = message
                .map_err(|status| self.client.problem("WatchChanges", &status))?
                .ok_or_else(|| Problem::Unreachable("its change stream ended".into()))?;
            if std::mem::take(silent) && out.send(News::Back(agency)).await.is_err() {
                return Ok(());
            }
            let step = Step::try_from(response).map_err(broke)?;
            if step.position < self.position {
                return Err(Problem::Broke("the position of its change stream went down".into()));
            }
            // Steps of one burst may share a position: only its end is a place to go on from.
            let whole = (step.change == Change::CaughtUp).then_some(step.position);
            if out.send(News::Step(agency, step)).await.is_err() {
                return Ok(());
            }
            self.position = whole.unwrap_or(self.position);
        }
    }
}
