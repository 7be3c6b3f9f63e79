//! How fresh each export is, by the agency's own measure.

use causeway_proto::{day::Day, sweep::Feed};
use sqlx::SqliteConnection;

use super::Node;
use crate::store::{StoreError, imports};

const HOUR_MS: u64 = 3_600_000;

impl Node {
    /// Returns how fresh each export is, and when the next of them grows stale by time alone, in Unix
    /// milliseconds.
    pub(super) async fn freshness(
        &self,
        conn: &mut SqliteConnection,
    ) -> Result<(Vec<Feed>, Option<u64>), StoreError> {
        let now_ms = (self.now_ms)();
        let (mut feeds, mut next) = (Vec::new(), None::<u64>);
        for feed in &self.feeds {
            let taken = imports::last_taken(conn, feed.id()).await?.map(|taken| taken.taken_ms);
            let hours = [Some(feed.mapping().freshness_h.into()), self.policy.stale_after_h]
                .into_iter()
                .flatten()
                .min();
            // Whole hours: 24 allowed are over when the 25th is.
            let stale_ms = taken.zip(hours).map(|(taken_ms, hours): (u64, u64)| {
                taken_ms.saturating_add(hours.saturating_add(1).saturating_mul(HOUR_MS))
            });
            let stale = taken.is_none() || stale_ms.is_some_and(|stale_ms| stale_ms <= now_ms);
            if !stale {
                next = [next, stale_ms].into_iter().flatten().min();
            }
            feeds.push(Feed {
                id: feed.id().to_owned(),
                as_at: taken.map(|taken_ms| Day::of_unix_ms(taken_ms.cast_signed())),
                stale,
            });
        }
        Ok((feeds, next))
    }
}
