//! How fresh each export is, as a sweep is told.

use causeway_proto::sweep::Feed;
use sqlx::SqliteConnection;

use super::Node;
use crate::{ingest::freshness, store::StoreError};

impl Node {
    /// Returns after how many hours policy calls an export stale now, if it says.
    pub fn stale_after_h(&self) -> Option<u64> {
        self.policy.now().and_then(|policy| policy.stale_after_h)
    }

    /// Returns how fresh each export is, and when the next of them grows stale by time alone, in Unix
    /// milliseconds.
    pub(super) async fn freshness(
        &self,
        conn: &mut SqliteConnection,
    ) -> Result<(Vec<Feed>, Option<u64>), StoreError> {
        let fresh = freshness::of(conn, &self.feeds, self.stale_after_h(), (self.now_ms)()).await?;
        let next = fresh.iter().filter_map(|feed| feed.stale_from_ms).min();
        let feed = |fresh: freshness::Freshness| Feed {
            id: fresh.feed,
            as_at: fresh.as_at,
            stale: fresh.stale,
        };
        Ok((fresh.into_iter().map(feed).collect(), next))
    }
}
