//! How a call is refused: a gRPC status with an `ErrorInfo` that programs can act on.
//!
//! The reason is stable, in `UPPER_SNAKE`, and part of the contract; the message is for people and
//! says which side refused and what to do. Neither ever repeats what was sent.

use std::{collections::HashMap, time::Duration};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Who says so, in every `ErrorInfo`.
pub const DOMAIN: &str = "causeway";

/// Builds a refusal.
pub fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, details(reason, None))
}

/// Builds a refusal that also names the line in the server's log where the cause is.
pub fn status_with_id(code: Code, reason: &str, message: &str, error_id: &str) -> Status {
    let message = format!("{message} (error {error_id} in its log)");
    Status::with_error_details(code, message, details(reason, Some(error_id)))
}

/// Builds a refusal that will not stand for ever.
pub fn retry_later(reason: &str, message: impl Into<String>, after: Duration) -> Status {
    let mut details = details(reason, None);
    details.set_retry_info(Some(after));
    Status::with_error_details(Code::Unavailable, message, details)
}

/// Refuses a call that the contract has and this version does not serve yet.
pub fn not_yet(call: &str) -> Status {
    status(Code::Unimplemented, "NOT_IMPLEMENTED_YET", format!("{call} is not served yet"))
}

/// Returns the reason of a refusal, if the other side gave one.
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

fn details(reason: &str, error_id: Option<&str>) -> ErrorDetails {
    let metadata: HashMap<String, String> =
        error_id.map(|id| ("error_id".to_owned(), id.to_owned())).into_iter().collect();
    ErrorDetails::with_error_info(reason, DOMAIN, metadata)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_can_read_the_reason() {
        let status = status(Code::PermissionDenied, "DENIED_POLICY", "no");
        assert_eq!(reason(&status).as_deref(), Some("DENIED_POLICY"));
        assert_eq!(not_yet("ReviewService").code(), Code::Unimplemented);
    }
}
