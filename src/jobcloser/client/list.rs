//! The answer to `getall`, read as it comes: bytes go through a short channel to a thread
//! that reads the JSON, and each record to whom it may concern. Whatever its length, a few
//! hundred kilobytes of it are held at a time.
//!
//! Doesn't know what a record proves.

use std::io::{self, BufReader, Read};
use std::time::Duration;

use bytes::{Buf, Bytes};
use reqwest::Response;
use tokio::sync::mpsc;

use super::{LIST_MAX, REFUSAL_MAX, failure, header, is_json};
use crate::failpoint;
use crate::jobcloser::verdict::{Answer, Exchange, Lost, Unbelievable, no_list};
use crate::jobcloser::wire::{Stored, read_list};

/// Pieces of the body on their way to the reader. Full, the next one isn't taken from the
/// connection, and the server waits.
const AHEAD: usize = 8;

/// Reads a list of at most [`LIST_MAX`] bytes; `idle` bounds the time between two reads.
pub(super) async fn read<S: Send + 'static>(
    response: Response,
    idle: Duration,
    mut taken: S,
    take: fn(&mut S, Stored),
) -> Result<S, Unbelievable> {
    let content_type = header(response.headers(), &reqwest::header::CONTENT_TYPE);
    let json = content_type.is_none_or(is_json);
    if !json || !response.status().is_success() {
        let status = response.status().as_u16();
        let exchange = match super::read(response, REFUSAL_MAX, Some(idle)).await {
            // Its beginning was enough: it is no list.
            Exchange::Lost(Lost::TooLong { .. }) => {
                Exchange::Answered(Answer { status, retry_after: None, json, body: Vec::new() })
            }
            exchange => exchange,
        };
        return Err(no_list(&exchange).unwrap_or(Unbelievable::NotJson));
    }
    let (pieces, coming) = mpsc::channel(AHEAD);
    let reader = tokio::task::spawn_blocking(move || {
        let from = BufReader::new(Coming { coming, piece: Bytes::new(), halved: false });
        read_list(from, &mut |row| take(&mut taken, row)).map(|()| taken)
    });
    // The sender ends here, and with it the reader's wait, however the body ends.
    let lost = hand_on(response, idle, pieces).await;
    let list = reader.await;
    match (lost, list) {
        (Some(lost), _) => Err(Unbelievable::Lost(lost)),
        (None, Ok(list)) => list.map_err(Unbelievable::NotAList),
        (None, Err(ended)) => Err(Unbelievable::Lost(Lost::Broken(ended.to_string()))),
    }
}

/// Hands the body on piece by piece, and says how it was lost if it didn't come whole.
async fn hand_on(
    mut response: Response,
    idle: Duration,
    pieces: mpsc::Sender<Bytes>,
) -> Option<Lost> {
    let mut length = 0;
    loop {
        match tokio::time::timeout(idle, response.chunk()).await {
            Ok(Ok(Some(piece))) => {
                length += piece.len();
                if length > LIST_MAX {
                    return Some(Lost::TooLong { max: LIST_MAX });
                }
                // The reader has seen that it is no list, and says so.
                if pieces.send(piece).await.is_err() {
                    return None;
                }
            }
            Ok(Ok(None)) => return None,
            Ok(Err(err)) => return Some(failure::lost(&err)),
            Err(_elapsed) => return Some(Lost::Timeout),
        }
    }
}

/// The body at the reader's end.
struct Coming {
    coming: mpsc::Receiver<Bytes>,
    piece: Bytes,
    /// A test is to see the place in the middle of it.
    halved: bool,
}

impl Read for Coming {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.coming.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let mut many = into.len().min(self.piece.len());
        if failpoint::awaits("list_half_read") {
            if std::mem::replace(&mut self.halved, true) {
                failpoint::pass("list_half_read");
            } else {
                many = many.div_ceil(2);
            }
        }
        self.piece.copy_to_slice(into.get_mut(..many).unwrap_or_default());
        Ok(many)
    }
}
