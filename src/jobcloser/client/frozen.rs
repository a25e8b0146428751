//! A request's body that knows whether any of it was handed out. That a batch was never
//! sent is proved here, by a gate between the body and whoever gave up on the request:
//! one of the two gets through, and the other then can't.
//!
//! ```text
//!            the connection asks for the body
//!   closed ─────────────────────────────────► open     perhaps written: in doubt
//!      │
//!      └────────────────────────────────────► shut     never written, then or later
//!            the request failed
//! ```
//!
//! Knows nothing of what is in the body.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::failpoint;

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const SHUT: u8 = 2;

/// Whether a body may still be handed out.
#[derive(Debug, Default)]
pub(super) struct Gate(AtomicU8);

/// A body of frozen bytes, handed out at most once.
#[derive(Debug)]
pub(super) struct Frozen {
    bytes: Bytes,
    gate: Arc<Gate>,
    halves: Halves,
}

/// How far a body is that a test has handed out in two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Halves {
    #[default]
    Whole,
    FirstIsOut,
    FirstIsWritten,
}

/// The request was given up before its body was asked for.
#[derive(Debug, thiserror::Error)]
#[error("the request was given up")]
pub(super) struct GivenUp;

impl Gate {
    /// Keeps the body from being handed out from now on. True if it never was.
    pub(super) fn shut(&self) -> bool {
        self.pass(SHUT)
    }

    fn open(&self) -> bool {
        self.pass(OPEN)
    }

    fn pass(&self, to: u8) -> bool {
        let before = self.0.compare_exchange(CLOSED, to, Ordering::SeqCst, Ordering::SeqCst);
        before.is_ok() || before == Err(to)
    }
}

impl Frozen {
    /// The body, and the gate in front of it.
    pub(super) fn new(bytes: Vec<u8>) -> (Self, Arc<Gate>) {
        let gate = Arc::new(Gate::default());
        let halves = Halves::default();
        (Self { bytes: bytes.into(), gate: Arc::clone(&gate), halves }, gate)
    }

    /// One half, a turn for the connection to write it, and the place between them.
    fn poll_half(&mut self, context: &mut Context<'_>) -> Poll<Bytes> {
        match self.halves {
            Halves::Whole => {
                self.halves = Halves::FirstIsOut;
                let half = self.bytes.len() / 2;
                return Poll::Ready(self.bytes.split_to(half));
            }
            Halves::FirstIsOut => {
                self.halves = Halves::FirstIsWritten;
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Halves::FirstIsWritten => failpoint::pass("request_half_written"),
        }
        Poll::Ready(std::mem::take(&mut self.bytes))
    }
}

impl Body for Frozen {
    type Data = Bytes;
    type Error = GivenUp;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        if !self.gate.open() {
            return Poll::Ready(Some(Err(GivenUp)));
        }
        if failpoint::awaits("request_half_written") {
            return self.poll_half(context).map(|bytes| Some(Ok(Frame::data(bytes))));
        }
        Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.bytes)))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.len() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(body: &mut Frozen) -> Poll<Option<Result<Frame<Bytes>, GivenUp>>> {
        Pin::new(body).poll_frame(&mut Context::from_waker(std::task::Waker::noop()))
    }

    #[test]
    fn a_body_that_was_handed_out_was_perhaps_written() {
        let (mut body, gate) = Frozen::new(b"[1]".to_vec());
        assert_eq!(body.size_hint().exact(), Some(3));
        let Poll::Ready(Some(Ok(frame))) = poll(&mut body) else { panic!("no frame") };
        assert_eq!(frame.into_data().unwrap(), Bytes::from_static(b"[1]"));
        assert!(!gate.shut());
        assert!(body.is_end_stream());
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }

    #[test]
    fn a_body_that_was_given_up_is_never_handed_out_later() {
        let (mut body, gate) = Frozen::new(b"[1]".to_vec());
        assert!(gate.shut());
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(GivenUp)))));
        assert!(gate.shut());
    }
}
