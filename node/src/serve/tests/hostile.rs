//! A coordinator that asks for more than it should: what it is refused, and what it cannot find out.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use causeway_proto::refusal;
use tonic::Code;

use super::following::Agency;

const DAY_MS: u64 = 86_400_000;
/// Noon of 25 February 2025.
const NOON_MS: u64 = 1_740_484_800_000;

fn reason<T>(answer: Result<T, tonic::Status>) -> Option<String> {
    refusal::reason(&answer.err().expect("it is refused"))
}

static A_DAY: AtomicU64 = AtomicU64::new(NOON_MS);

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_speaks_of_about_today_and_its_day_never_goes_back() {
    let mut agency = Agency::strict(|| A_DAY.load(SeqCst)).await;
    for (at, far) in ["1980-01-01", "2025-01-24", "2025-02-27", "2120-01-01"].iter().enumerate() {
        let refused = agency.open_as_at(1 + at as u64, far).await.unwrap_err();
        assert_eq!(refused.code(), Code::OutOfRange);
        assert_eq!(refusal::reason(&refused).as_deref(), Some("DAY_OUT_OF_RANGE"));
        assert!(refused.message().contains("any_day"), "{}", refused.message());
    }
    // A refusal uses nothing up, and what was opened is opened again whatever day it is.
    agency.open_as_at(1, "2025-02-24").await.unwrap();
    A_DAY.fetch_add(60 * DAY_MS, SeqCst);
    agency.restart().await;
    agency.open_as_at(1, "2025-02-24").await.unwrap();
    agency.open_as_at(2, "2025-04-26").await.unwrap();
    assert_eq!(reason(agency.open_as_at(3, "2025-04-25").await), Some("DAY_OUT_OF_RANGE".into()));
    agency.open_as_at(3, "2025-04-26").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agreement_that_expired_does_not_come_back_with_an_earlier_day() {
    let agency = Agency::strict(|| NOON_MS).await;
    let policy = super::POLICY.replace(
        "lawful_basis = \"6(1)(e)\"",
        "lawful_basis = \"6(1)(e)\"\nexpires = \"2025-02-24\"",
    );
    let agency = agency.with_policy(&policy).await;
    assert_eq!(reason(agency.open_as_at(1, "2025-02-20").await), Some("DENIED_POLICY".into()));
}
