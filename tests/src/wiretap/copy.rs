//! Bodies and connections of which everything that goes by is kept.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{Heard, Shared, Way, lock, note};

/// A body that is copied while it goes by.
pub(super) struct Copied {
    pub(super) body: Incoming,
    pub(super) way: Way,
    /// How many bytes may still go by, where they are counted.
    pub(super) left: Option<usize>,
    pub(super) call: usize,
    pub(super) heard: Shared,
}

impl Body for Copied {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        if self.left == Some(0) {
            // Nobody wakes up for this again until the connection ends.
            return Poll::Pending;
        }
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let (Some(left), Some(Ok(some))) = (self.left, &mut frame)
            && let Some(data) = some.data_mut()
        {
            data.truncate(left);
            self.left = Some(left - data.len());
        }
        if let Some(Ok(frame)) = &frame {
            if let Some(trailers) = frame.trailers_ref() {
                note(&self.heard, self.call, trailers);
            }
            if let Some(data) = frame.data_ref()
                && let Some(call) = lock(&self.heard).call(self.call)
            {
                match self.way {
                    Way::Asked => call.asked.extend_from_slice(data),
                    Way::Answered => call.answered.extend_from_slice(data),
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A connection of which everything that is read is kept.
pub(super) struct Listening<S> {
    pub(super) io: S,
    pub(super) keep: (Shared, fn(&mut Heard) -> &mut Vec<u8>),
}

impl<S: AsyncRead + Unpin> AsyncRead for Listening<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let (heard, keep) = &self.keep;
        keep(&mut lock(heard)).extend_from_slice(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Listening<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
