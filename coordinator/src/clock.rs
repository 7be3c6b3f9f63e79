//! The one place that asks what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

use causeway_proto::day::Day;

/// Returns Unix milliseconds, now.
#[expect(clippy::disallowed_methods, reason = "everybody else takes the time as an argument")]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Returns the day, in UTC.
pub fn today() -> Day {
    Day::of_unix_ms(now_ms().cast_signed())
}
