//! Waits for a node that was there a moment ago, such as one that is started again.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Problem;

/// The first pause before a call is made again.
const PAUSE: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Makes a call, and makes it again while its node is away, for as long as `patience`.
///
/// # Errors
/// Fails with the problem that does not pass by itself, or with the last one when the patience is over.
pub async fn patiently<T, F: Future<Output = Result<T, Problem>>>(
    patience: Duration,
    mut call: impl FnMut() -> F,
) -> Result<T, Problem> {
    let mut patience = Patience::new(patience);
    loop {
        match call().await {
            Ok(answer) => return Ok(answer),
            Err(problem) => patience.bear(problem).await?,
        }
    }
}

/// How long one call waits for a node that went away.
pub(super) struct Patience {
    patience: Duration,
    gone_since: Option<Instant>,
    pause: Duration,
}

impl Patience {
    /// A call that waits so long.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, gone_since: None, pause: PAUSE }
    }

    /// Waits before the call is made again.
    ///
    /// # Errors
    /// Gives the problem back where it does not pass by itself, or the node has been away for too long.
    pub(super) async fn bear(&mut self, problem: Problem) -> Result<(), Problem> {
        let since = *self.gone_since.get_or_insert_with(Instant::now);
        if !problem.is_passing() || since.elapsed() + self.pause > self.patience {
            return Err(problem);
        }
        tracing::info!(%problem, "asks a node again");
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn away() -> Problem {
        Problem::Unreachable("nobody answers".into())
    }

    #[tokio::test]
    async fn who_is_back_soon_is_waited_for_and_who_refuses_is_not() {
        let mut patience = Patience::new(Duration::from_secs(60));
        assert_eq!(patience.bear(away()).await, Ok(()));
        assert_eq!(patience.bear(away()).await, Ok(()));
        let refused = Problem::Refused("no".into());
        assert_eq!(patience.bear(refused.clone()).await, Err(refused));
        let mut patience = Patience::new(Duration::from_millis(150));
        assert_eq!(patience.bear(away()).await, Ok(()));
        assert_eq!(patience.bear(away()).await, Err(away()), "100 ms, and not 200 more");
    }
}
