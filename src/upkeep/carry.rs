//! Carries the readings of a damaged queue over into the one in use, beside the work: a part
//! is read on a thread of its own and written by the queue's, so that recording waits for
//! one part at most. Knows neither what is wrong with the file nor what a reading is.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::sleep;
use tracing::{info, warn};

use crate::cause::chain;
use crate::delivery::Hint;
use crate::queue::{Damaged, Part, Queue, QueueError, ToCarry};
use crate::stop::Stop;

/// After something failed that isn't the damage: a disk that is full, or doesn't read.
const REST: Duration = Duration::from_secs(10);
/// A disk is asked so often for what it fails to read before that counts as lost.
const TRIES: u32 = 6;
/// Delivery is told of what has come at most so often.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The task.
#[derive(Debug)]
pub struct Carry {
    queue: Queue,
    hints: mpsc::Sender<Hint>,
}

impl Carry {
    /// Carries over into this queue, and tells delivery of it.
    pub fn new(queue: Queue, hints: mpsc::Sender<Hint>) -> Self {
        Self { queue, hints }
    }

    /// Runs until asked to stop; what is left goes on at the next start.
    pub async fn run(self, mut stop: Stop) {
        tokio::select! {
            () = stop.asked() => return,
            () = self.carry_all() => {}
        }
        stop.asked().await;
    }

    async fn carry_all(&self) {
        let (mut failed, mut place) = (0, None);
        loop {
            let done = match self.queue.call(|store| store.to_carry()).await {
                Ok(None) => return,
                Ok(Some(next)) => {
                    if place.replace(next.clone()).is_none_or(|before| before != next) {
                        failed = 0;
                    }
                    self.carry(next, failed < TRIES).await
                }
                Err(err) => Err(err),
            };
            match done {
                Ok(()) => {}
                Err(QueueError::Closed) => return,
                Err(err) => {
                    if failed == 0 {
                        warn!(err = chain(&err), "carrying over from the damaged queue waits");
                    }
                    failed += 1;
                    sleep(REST).await;
                }
            }
        }
    }

    /// One damaged queue, from where it stands to its end.
    async fn carry(&self, next: ToCarry, mut patience: bool) -> Result<(), QueueError> {
        info!(file = next.file, from = next.from, "carrying readings of the damaged queue over");
        let (dir, last) = (next.dir.clone(), next.last);
        let mut damaged = beside(move || Damaged::open(&dir, last)).await?;
        let (mut at, mut told, mut untold) = (Some(next.from), None, false);
        while let Some(from) = at {
            let (back, part) = beside(move || {
                let part = damaged.read(from, patience);
                Ok((damaged, part))
            })
            .await?;
            damaged = back;
            // Given up on that one place, not on the rest of the file.
            patience = true;
            let written = self.write(&next.file, part?).await?;
            at = written.next;
            untold |= written.doubtful;
            let rested = told.is_none_or(|at: Instant| at.elapsed() >= TELL_EVERY);
            if at.is_none() || untold && rested {
                // One that finds it full finds one that says the same.
                let _ = self.hints.try_send(Hint::Carried);
                (told, untold) = (Some(Instant::now()), false);
            }
        }
        Ok(())
    }

    async fn write(&self, file: &str, part: Part) -> Result<crate::queue::Carrying, QueueError> {
        let file = file.to_owned();
        self.queue.call(move |store| store.carry(&file, &part)).await
    }
}

/// On a thread that may wait for a disk.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, QueueError> + Send + 'static,
) -> Result<T, QueueError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| QueueError::Closed)?
}
