//! Sees that every stored match-key was made with the key, the recipe and the feeds that are in use.
//!
//! A new epoch brings another linkage key, a new version may read names in another way, and a feed may be
//! taken out of the settings. Match-keys that other nodes cannot have join nobody, and nothing would say
//! so: they are all made again, from the records as they were last exported, or none is.

use std::collections::BTreeSet;

use super::{
    IngestError, Intake,
    homes::Homes,
    persons::{self, Reading, Whom},
};
use crate::{
    source::{Feed, mapping::About},
    store::{
        StoreError,
        changes::{self, Change},
        keyed::{self, Keyed},
        records, segments, sweeps,
    },
    tokenise::recipe::REVISION,
};

impl Intake<'_> {
    /// Brings the store in step with the key and the settings, if it is not. Returns how many records were
    /// keyed again.
    ///
    /// # Errors
    /// Fails when the store does; then everything is as it was.
    pub async fn bring_up_to_date(&self) -> Result<u64, IngestError> {
        let wanted = self.wanted();
        let mut conn = self.store.read().await?;
        let is_keyed = keyed::load(&mut conn).await?.as_ref() == Some(&wanted);
        let is_told = keyed::retired(&mut conn).await? == self.retired(&mut conn).await?;
        drop(conn);
        if is_keyed && is_told {
            return Ok(0);
        }
        // An older key would undo what a newer one has made.
        if let Some(keyring) = self.keyring
            && keyring.match_keys()?.commitment() != self.keys.commitment()
        {
            return Err(IngestError::KeyReplaced);
        }
        let mut tx = self.store.begin().await?;
        let mut again = 0;
        let before = keyed::load(&mut tx).await?;
        let other_version = before.as_ref().is_some_and(|it| it.revision != wanted.revision);
        if before.as_ref().is_none_or(|it| it.commitment != wanted.commitment) || other_version {
            sweeps::break_off(&mut tx, self.now_ms).await?;
        }
        if other_version || before.is_none() {
            segments::blank(&mut tx).await?;
        }
        if before.as_ref() != Some(&wanted) {
            let all = records::all(&mut tx).await?;
            again = all.len() as u64;
            if again > 0 {
                tracing::warn!(
                    records = again,
                    "the linkage key, the recipe or the feeds about people are others now: every match-key is \
                     made again, which takes as long as an intake"
                );
                let reading = Reading { feeds: self.feeds, as_at: self.as_at, keys: self.keys };
                let homes = Homes::begin(&mut tx).await?;
                let nobody = BTreeSet::new();
                let looked =
                    persons::look(&mut tx, &reading, Whom::Everybody, all, &nobody).await?;
                looked.write(&mut tx, self.keys, homes).await?;
            }
            keyed::save(&mut tx, &wanted).await?;
        }
        self.retire(&mut tx).await?;
        tx.commit().await.map_err(StoreError::from)?;
        if again > 0 {
            tracing::info!(records = again, "every match-key was made again");
        }
        Ok(again)
    }

    fn wanted(&self) -> Keyed {
        let people = self.feeds.iter().filter(|feed| feed.mapping().about == About::People);
        let mut feeds: Vec<&str> = people.map(Feed::id).collect();
        feeds.sort_unstable();
        let commitment = *self.keys.commitment();
        Keyed { commitment, revision: REVISION, feeds: feeds.join(",") }
    }

    /// The feeds about events that have told something and that the settings name no more.
    async fn retired(&self, conn: &mut sqlx::SqliteConnection) -> Result<Vec<String>, StoreError> {
        let mut feeds = keyed::event_feeds(conn).await?;
        feeds.retain(|feed| self.feeds.iter().all(|known| known.id() != feed));
        Ok(feeds)
    }

    /// Tells of feeds that are gone from the settings no more, and of those that are back again.
    async fn retire(&self, conn: &mut sqlx::SqliteConnection) -> Result<(), StoreError> {
        let before: BTreeSet<String> = keyed::retired(conn).await?.into_iter().collect();
        let retired = self.retired(conn).await?;
        keyed::retire(conn, &retired).await?;
        let now: BTreeSet<String> = retired.into_iter().collect();
        let mut rows: BTreeSet<u64> = BTreeSet::new();
        for feed in before.symmetric_difference(&now) {
            match now.contains(feed) {
                true => {
                    tracing::warn!(feed.id = %feed, "the settings name this feed no more: nothing of it is told")
                }
                false => {
                    tracing::info!(feed.id = %feed, "the settings name this feed again: it is told of")
                }
            }
            rows.extend(keyed::rows_of(conn, feed).await?);
        }
        let changes: Vec<Change> = rows.into_iter().map(|row| Change::Signals { row }).collect();
        changes::put(conn, &changes).await
    }
}
