//! The layer that gives every refusal a reason that programs can read.
//!
//! Our own handlers and layers give one. What tonic refuses before a handler sees it (a method that there
//! is not, a message that is none or too large) has none, and gets it here.

use std::task::{Context, Poll};

use causeway_proto::refusal;
use futures::{FutureExt, future::Map};
use http::{Request, Response};
use tonic::{Code, Status, body::Body};
use tower::{Layer, Service};

/// Sees to it that every refusal has an `ErrorInfo`.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReasonLayer;

/// The service that [`ReasonLayer`] makes.
#[derive(Clone, Debug)]
pub struct Reasons<S>(S);

impl<S> Layer<S> for ReasonLayer {
    type Service = Reasons<S>;

    fn layer(&self, inner: S) -> Reasons<S> {
        Reasons(inner)
    }
}

impl<S, B> Service<Request<B>> for Reasons<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future =
        Map<S::Future, fn(Result<S::Response, S::Error>) -> Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.0.call(request).map(|answer| answer.map(with_reason))
    }
}

/// Gives a refusal a reason, unless it has one. A stream that breaks off later carries its own.
fn with_reason(response: Response<Body>) -> Response<Body> {
    match Status::from_header_map(response.headers()) {
        Some(status) if status.code() != Code::Ok && refusal::reason(&status).is_none() => {
            explained(&status).into_http()
        }
        _ => response,
    }
}

/// Says what a refusal without a reason means, by its code.
fn explained(status: &Status) -> Status {
    let (code, said) = (status.code(), status.message());
    let (code, reason, message) = match code {
        // What tonic makes of bytes that are no message. Ours have a reason.
        Code::Internal => {
            let message =
                "the request is not a message of the contract: its bytes could not be read";
            (Code::InvalidArgument, "INVALID_MESSAGE", message)
        }
        Code::OutOfRange | Code::ResourceExhausted => (code, "MESSAGE_TOO_LARGE", said),
        Code::Unimplemented if said.is_empty() => {
            (code, "NO_SUCH_METHOD", "the service has no such method: is the caller newer?")
        }
        Code::Unimplemented => (code, "NOT_SUPPORTED", said),
        Code::NotFound => (code, "NOT_FOUND", said),
        Code::InvalidArgument => (code, "INVALID_MESSAGE", said),
        Code::Cancelled | Code::DeadlineExceeded => (code, "OUT_OF_TIME", said),
        _ => (code, "REFUSED", said),
    };
    refusal::status(code, reason, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: Status) -> Status {
        let response = with_reason(status.into_http());
        Status::from_header_map(response.headers()).unwrap()
    }

    #[test]
    fn a_refusal_that_has_a_reason_stays_as_it_is_and_an_answer_too() {
        let ours = refusal::status(Code::Internal, "NODE_FAILED", "the node failed");
        let same = answered(ours.clone());
        assert_eq!((same.code(), same.message()), (Code::Internal, "the node failed"));
        assert_eq!(refusal::reason(&same).as_deref(), Some("NODE_FAILED"));
        let mut answer = Response::new(Body::empty());
        answer.headers_mut().insert("caller", "housing".parse().unwrap());
        assert!(with_reason(answer).headers().contains_key("caller"));
    }

    #[test]
    fn every_other_code_has_a_reason_and_says_something() {
        for number in 1..=16 {
            let given = answered(Status::new(Code::from(number), ""));
            assert!(refusal::reason(&given).is_some(), "{number}");
        }
        assert!(!answered(Status::unimplemented("")).message().is_empty());
    }
}
