//! Says how old what a feed told last is, and whether that is too old to trust its silence.

use causeway_proto::day::Day;
use serde::Serialize;
use sqlx::SqliteConnection;

use crate::{
    source::Feed,
    store::{
        StoreError,
        imports::{self, Import},
    },
};

/// Milliseconds in an hour.
const HOUR_MS: u64 = 3_600_000;

/// How fresh a feed is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// The feed.
    pub feed: String,
    /// The day that its last good export speaks of, if there was one, and never one after it came.
    pub as_at: Option<Day>,
    /// How many hours ago that came.
    pub age_h: Option<u64>,
    /// Nothing good came for longer than it may take, or never: its silence proves nothing.
    pub stale: bool,
    /// From when on it is stale by time alone, in Unix milliseconds, if it is not yet.
    #[serde(skip)]
    pub stale_from_ms: Option<u64>,
    /// Why the newest export was refused, if it was.
    pub refused: Option<String>,
}

/// Says how fresh every feed is. `stale_after_h` is the policy's own measure, if it has one.
pub async fn of(
    conn: &mut SqliteConnection,
    feeds: &[Feed],
    stale_after_h: Option<u64>,
    now_ms: u64,
) -> Result<Vec<Freshness>, StoreError> {
    let mut all = Vec::with_capacity(feeds.len());
    for feed in feeds {
        let taken = imports::last_taken(conn, feed.id()).await?;
        let hours = [Some(feed.mapping().freshness_h.into()), stale_after_h];
        let most = hours.into_iter().flatten().min();
        let taken_ms = taken.as_ref().map(|taken| taken.taken_ms);
        // Whole hours: 24 allowed are over when the 25th is.
        let stale_from_ms = taken_ms.zip(most).map(|(taken_ms, most): (u64, u64)| {
            taken_ms.saturating_add(most.saturating_add(1).saturating_mul(HOUR_MS))
        });
        let age_h = taken.as_ref().map(|taken| now_ms.saturating_sub(taken.taken_ms) / HOUR_MS);
        all.push(Freshness {
            feed: feed.id().to_owned(),
            as_at: taken.as_ref().map(day_of),
            age_h,
            stale_from_ms: stale_from_ms.filter(|from| *from > now_ms),
            stale: age_h.is_none_or(|age| most.is_some_and(|most| age > most)),
            refused: imports::refusal(conn, feed.id()).await?,
        });
    }
    Ok(all)
}

/// Returns the day of a good export. An older version did not keep which day it speaks of.
fn day_of(taken: &Import) -> Day {
    let came = Day::of_unix_ms(taken.taken_ms.cast_signed());
    taken.as_at.map_or(came, |as_at| as_at.min(came))
}

impl Freshness {
    /// Returns what is wrong with the feed, in one sentence, if anything is.
    pub fn problem(&self) -> Option<String> {
        let Self { feed, age_h, stale, refused, .. } = self;
        let why = refused.as_ref().map(|why| format!("; the newest was refused: {why}"));
        let why = why.unwrap_or_default();
        match (age_h, stale) {
            (None, _) => Some(format!("nothing good has come from `{feed}` yet{why}")),
            (Some(age), true) => Some(format!(
                "`{feed}` is stale: nothing good came for {age} h, so alerts say that its silence \
                 proves nothing{why}"
            )),
            (Some(_), false) if !why.is_empty() => {
                Some(format!("`{feed}` is as it was before{why}"))
            }
            (Some(_), false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        ingest::Intake,
        store::{Store, records},
        tokenise::recipe::MatchKeys,
    };

    #[tokio::test(flavor = "multi_thread")]
    async fn a_good_file_sent_again_is_fresh_and_settles_what_was_refused() {
        let mapping = "id = 'tenants'\nabout = 'people'\nkey = ['REF']\nmax_drop_pct = 40\n\
                       [columns]\nsurname = 'NAME'\n";
        let feeds = [Feed::from_toml(mapping).unwrap()];
        let (store, keys) = (Store::in_memory().await, MatchKeys::of_tests());
        let folder = tempfile::tempdir().unwrap();
        let take_in = async |text: &str, hour: u64| {
            let path = folder.path().join("tenants.csv");
            fs::write(&path, text).unwrap();
            let (as_at, now_ms) = (Day::of_unix_ms(0), hour * HOUR_MS);
            let intake =
                Intake { store: &store, feeds: &feeds, keys: &keys, keyring: None, as_at, now_ms };
            intake.take_in(&feeds[0], &path).await
        };
        let good = "REF,NAME\n1,A\n2,B\n";
        let looked_at = async |hour: u64| {
            let mut conn = store.read().await.unwrap();
            let mut all = of(&mut conn, &feeds, None, hour * HOUR_MS).await.unwrap();
            all.remove(0)
        };
        take_in("REF,NAME\n1,A\n2,B\n3,C\n", 1).await.unwrap();
        take_in(good, 2).await.unwrap();
        take_in("REF,NAME\n", 40).await.unwrap_err();
        let freshness = looked_at(50).await;
        assert!(freshness.stale && freshness.refused.is_some(), "{freshness:?}");

        assert!(take_in(good, 50).await.unwrap().same_as_last);
        let freshness = looked_at(50).await;
        assert_eq!((freshness.age_h, freshness.problem()), (Some(0), None));
        // Who was absent is so once: the file may be the same one, sent twice.
        let mut conn = store.read().await.unwrap();
        assert_eq!(records::count(&mut conn).await.unwrap(), 3);
        drop(conn);
        take_in("REF,NAME\n", 51).await.unwrap_err();
        assert!(looked_at(51).await.refused.is_some());
    }

    #[test]
    fn an_export_is_of_the_day_that_it_speaks_of_and_not_of_when_it_came() {
        let day = |text: &str| text.parse::<Day>().unwrap();
        let taken_ms = u64::try_from(day("2026-11-27").number()).unwrap() * 24 * HOUR_MS;
        for (as_at, of) in [
            (Some("2026-10-01"), "2026-10-01"),
            // Where it was made, tomorrow had begun.
            (Some("2026-11-28"), "2026-11-27"),
            (None, "2026-11-27"),
        ] {
            let taken = Import { as_at: as_at.map(day), taken_ms, ..Import::default() };
            assert_eq!(day_of(&taken), day(of));
        }
    }
}
