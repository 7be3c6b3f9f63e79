//! Takes in what a professional made of an alert: from agencies that were told of it, so many of each, and
//! of days on which it can have been made.

use causeway_proto::{
    day::Day,
    ids::AgencyId,
    review::{Review, ReviewAction},
};

use super::{AppError, Coordinator};
use crate::{
    clock,
    ledger::{
        Tx,
        alerts::{self, Decided},
        outbox,
        reviews::{self, Received},
        sweeps,
    },
};

/// The most reviews of one alert that are kept of one agency: nobody answers so often.
const MOST_REVIEWS: usize = 100;

/// By so many days a node's clock may be behind ours.
const CLOCKS_APART: i32 = 1;

/// A review that is not kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReviewRefused {
    /// Nobody can have reviewed what had not been decided.
    #[error(
        "`reviewed_day` is before the alert that it answers: is the clock of the agency's node right?"
    )]
    TooEarly,
    /// More would say nothing new.
    #[error("this agency answered this alert {MOST_REVIEWS} times, and no more answers are kept")]
    TooMany,
}

impl Coordinator {
    /// Keeps a review by an agency that was told of its alert. Returns whether it is new; `None` where
    /// the agency was never told of such an alert.
    ///
    /// # Errors
    /// Refuses one that was made before the alert, and more than anybody has to say. Fails when the ledger
    /// does.
    pub async fn review(&self, agency: AgencyId, review: Review) -> Result<Option<bool>, AppError> {
        let (alert, action): (_, ReviewAction) = (review.alert, review.action);
        let mut tx = self.0.ledger.begin().await?;
        let new = keep(&mut tx, &agency, review, clock::now_ms()).await?;
        tx.commit().await?;
        if let Some(new) = new {
            tracing::info!(
                alert.id = %alert, agency.id = %agency, %action, new, "an alert was reviewed"
            );
            self.0.reviewed.notify_one();
        }
        Ok(new)
    }
}

async fn keep(
    tx: &mut Tx,
    agency: &AgencyId,
    review: Review,
    now_ms: u64,
) -> Result<Option<bool>, AppError> {
    let seen = alerts::revision(tx, review.alert, review.revision).await?;
    let told = outbox::told(tx, review.alert).await?;
    let Some(seen) = seen.filter(|_| told.contains(agency)) else { return Ok(None) };
    let kept = reviews::of_agency(tx, review.alert, agency).await?;
    if kept.contains(&review.id) {
        return Ok(Some(false));
    }
    if kept.len() >= MOST_REVIEWS {
        return Err(ReviewRefused::TooMany.into());
    }
    let last_sweep = sweeps::last(tx).await?.map_or(seen.as_at, |last| last.as_at);
    let day = made_on(review.day, &seen, last_sweep, day_of(now_ms))?;
    let review = Review { day, ..review };
    let received = Received { review, agency: agency.clone(), score_tenths: seen.score_tenths };
    Ok(Some(reviews::put(tx, &received, now_ms).await?))
}

/// Returns the day on which a review counts as made: what it says, and not after today. A trial speaks of
/// another day than today, and its reviews may be of that day as well as of today.
fn made_on(says: Day, seen: &Decided, last_sweep: Day, today: Day) -> Result<Day, ReviewRefused> {
    let first = seen.as_at.min(day_of(seen.created_ms));
    if first.since(says) > CLOCKS_APART {
        return Err(ReviewRefused::TooEarly);
    }
    Ok(says.min(today.max(seen.as_at).max(last_sweep)))
}

fn day_of(unix_ms: u64) -> Day {
    Day::of_unix_ms(unix_ms.cast_signed())
}

#[cfg(test)]
mod tests {
    use causeway_proto::{
        alert::{AlertChange, AlertSubject, Tier},
        ids::{AlertId, ReviewId, SweepId},
        review::ReviewReason,
    };

    use super::*;
    use crate::ledger::Ledger;

    const DAY_MS: u64 = 86_400_000;

    fn day(text: &str) -> Day {
        text.parse().unwrap()
    }

    fn ms(text: &str) -> u64 {
        u64::try_from(day(text).number()).unwrap() * DAY_MS
    }

    fn decided(as_at: &str, created: &str) -> Decided {
        Decided {
            id: AlertId::from_bytes([1; 16]),
            revision: 1,
            change: AlertChange::New,
            sweep: SweepId::new(1, [0; 8]),
            subject: AlertSubject::Person,
            tier: Tier::T3,
            score_tenths: 700,
            as_at: day(as_at),
            created_ms: ms(created),
            explanation: "{}".into(),
            reason: "entered".into(),
        }
    }

    #[test]
    fn a_review_is_made_after_its_alert_and_not_in_days_to_come() {
        let on = |says: &str, seen: &Decided, sweep: &str, today: &str| {
            made_on(day(says), seen, day(sweep), day(today)).map(|day| day.to_string())
        };
        let seen = decided("2026-02-25", "2026-02-25");
        let usual = |says| on(says, &seen, "2026-02-26", "2026-02-27");
        assert_eq!(usual("2026-02-26").unwrap(), "2026-02-26");
        assert_eq!(usual("9999-12-31").unwrap(), "2026-02-27");
        assert_eq!(usual("2026-02-24").unwrap(), "2026-02-24", "clocks differ");
        assert_eq!(usual("2026-02-23"), Err(ReviewRefused::TooEarly));
        // A trial as at a day long ago, and at one to come: answered as of then, or as of today.
        let then = decided("2025-02-25", "2026-07-01");
        assert_eq!(on("2025-02-28", &then, "2025-02-25", "2026-07-01").unwrap(), "2025-02-28");
        assert_eq!(on("2026-07-01", &then, "2025-02-25", "2026-07-01").unwrap(), "2026-07-01");
        let ahead = decided("2030-01-01", "2026-07-01");
        assert_eq!(on("2030-01-05", &ahead, "2030-01-08", "2026-07-01").unwrap(), "2030-01-05");
        assert_eq!(on("2026-07-01", &ahead, "2030-01-08", "2026-07-01").unwrap(), "2026-07-01");
    }

    #[tokio::test]
    async fn an_agency_has_one_say_in_the_places_and_a_bounded_one_in_the_ledger() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open_file(&folder.path().join("ledger.db")).await.unwrap();
        let mut tx = ledger.begin().await.unwrap();
        let alert = decided("2026-02-25", "2026-02-25");
        alerts::put(&mut tx, &alert).await.unwrap();
        let [police, housing, fire]: [AgencyId; 3] =
            ["police", "housing", "fire"].map(|name| name.parse().unwrap());
        for told in [&police, &housing] {
            outbox::put(&mut tx, alert.id, 1, told, b"body", 0).await.unwrap();
        }
        let review = |n: u8, action, reason| Review {
            id: ReviewId::from_bytes([n; 16]),
            alert: alert.id,
            revision: 1,
            action,
            reason,
            line: None,
            day: day("9999-12-31"),
        };
        let useless = |n| review(n, ReviewAction::NoFurtherAction, Some(ReviewReason::NotAConcern));
        let now = |n: u8| ms("2026-02-27") + u64::from(n);
        for n in 0..100 {
            assert_eq!(keep(&mut tx, &police, useless(n), now(n)).await.unwrap(), Some(true));
        }
        let more = keep(&mut tx, &police, useless(100), now(100)).await;
        assert!(matches!(more, Err(AppError::Review(ReviewRefused::TooMany))));
        assert_eq!(keep(&mut tx, &police, useless(5), now(100)).await.unwrap(), Some(false));
        assert_eq!(keep(&mut tx, &fire, useless(101), now(101)).await.unwrap(), None);
        let acting = review(102, ReviewAction::Acting, None);
        assert_eq!(keep(&mut tx, &housing, acting, now(102)).await.unwrap(), Some(true));
        let latest = reviews::latest(&mut tx, 30).await.unwrap();
        let said: Vec<(&str, bool)> =
            latest.iter().map(|one| (one.agency.as_str(), one.is_useful())).collect();
        assert_eq!(said, [("housing", true), ("police", false)]);
        assert_eq!(latest[1].review.id, ReviewId::from_bytes([99; 16]), "its latest");
        assert_eq!(latest[1].review.day, day("2026-02-27"), "the day it came in");
    }
}
