//! The thread that owns the writing connection. Callers hand it closures over the
//! [`Store`] and wait for what they return: one writer, in the order of asking.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::sleep;

use super::checkpoint::Checkpoints;
use super::{QueueError, Store};
use crate::cause::chain;

/// Requests that may wait. When it is full the asking task waits: the recorder keeps its
/// readings in memory, the drain its batch.
const CAPACITY: usize = 64;

/// How often a task that waits for the thread gives a sign of life.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// So many signs of life for one request, a minute's. A queue that takes longer hangs, and
/// the watchdog is to know.
const BEATS: u32 = 12;

type Job = Box<dyn FnOnce(&mut Store) + Send>;

/// A handle to the writing thread; clones share it. The thread ends, and the database is
/// closed, when the last handle is gone.
#[derive(Debug, Clone)]
pub struct Queue {
    jobs: mpsc::Sender<Job>,
    damaged: watch::Sender<Option<String>>,
    signs: Arc<Notify>,
}

impl Queue {
    /// Starts the thread. The returned handle to it is joined after the last [`Queue`]
    /// has been dropped.
    ///
    /// # Errors
    /// Where the system gives no thread.
    pub fn start(store: Store) -> std::io::Result<(Self, std::thread::JoinHandle<()>)> {
        let (jobs, inbox) = mpsc::channel(CAPACITY);
        let thread = std::thread::Builder::new()
            .name("queue".to_owned())
            .spawn(move || work(store, inbox))?;
        let (damaged, signs) = (watch::Sender::new(None), Arc::default());
        Ok((Self { jobs, damaged, signs }, thread))
    }

    /// Where what was found is said once SQLite has found the database damaged. Whoever owns
    /// the queue is to begin anew then: no disk mends itself.
    pub fn damage(&self) -> watch::Receiver<Option<String>> {
        self.damaged.subscribe()
    }

    /// Where a first sign of damage is told by whoever only reads: it is no proof, and the
    /// full check is to look at all of it. One that nobody waits for yet isn't lost.
    pub fn signs(&self) -> Arc<Notify> {
        Arc::clone(&self.signs)
    }

    /// Says that the database was found damaged by who doesn't write in it.
    ///
    /// # Errors
    /// Where the thread is gone.
    pub async fn found_damaged(&self, found: String) -> Result<(), QueueError> {
        let left = |store: &mut Store| {
            store.leave_as_it_is();
            Ok(())
        };
        self.call(left).await?;
        self.damaged.send_replace(Some(found));
        Ok(())
    }

    /// Runs `job` on the store and returns what it returned. If the caller stops waiting,
    /// the job still runs to its end.
    ///
    /// # Errors
    /// What the job returned, or [`QueueError::Closed`].
    pub async fn call<R, F>(&self, job: F) -> Result<R, QueueError>
    where
        R: Send + 'static,
        F: FnOnce(&mut Store) -> Result<R, QueueError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let damaged = self.damaged.clone();
        let job: Job = Box::new(move |store| {
            let done = job(store);
            if let Some(err) = done.as_ref().err().filter(|err| err.is_damage()) {
                store.leave_as_it_is();
                damaged.send_replace(Some(chain(err)));
            }
            // A caller that no longer waits has been stopped; its work is done all the same.
            let _ = reply.send(done);
        });
        self.jobs.send(job).await.map_err(|_| QueueError::Closed)?;
        answer.await.map_err(|_| QueueError::Closed)?
    }

    /// The same for a task that must show life: a disk that takes its time is no task that
    /// hangs, for a while.
    ///
    /// # Errors
    /// As [`Queue::call`].
    pub async fn call_alive<R, F>(&self, job: F, beat: impl Fn()) -> Result<R, QueueError>
    where
        R: Send + 'static,
        F: FnOnce(&mut Store) -> Result<R, QueueError> + Send + 'static,
    {
        with_beats(self.call(job), beat).await
    }
}

/// Waits for an answer, beating meanwhile, but not for ever.
async fn with_beats<R>(asked: impl Future<Output = R>, beat: impl Fn()) -> R {
    tokio::pin!(asked);
    for _ in 0..BEATS {
        tokio::select! {
            answer = &mut asked => return answer,
            () = sleep(BEAT_EVERY) => beat(),
        }
    }
    asked.await
}

fn work(mut store: Store, mut inbox: mpsc::Receiver<Job>) {
    let checkpoints = Checkpoints::beside(&store);
    while let Some(job) = inbox.blocking_recv() {
        job(&mut store);
    }
    // The last connection to close brings what is left of the log into the database.
    if let Some(checkpoints) = checkpoints {
        checkpoints.end();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_queue_is_waited_for_with_signs_of_life_and_one_that_hangs_without() {
        for (seconds, beats) in [(1, 0), (21, 4), (600, 12)] {
            let beaten = Cell::new(0);
            let answer = async {
                sleep(Duration::from_secs(seconds)).await;
                seconds
            };
            assert_eq!(with_beats(answer, || beaten.set(beaten.get() + 1)).await, seconds);
            assert_eq!(beaten.get(), beats);
        }
    }
}
