//! The daemon on one page: lay the ground, start the tasks, stop them in order.
//!
//! ```text
//! stop:  meter and GPS sources ─► record (one last reading) ─► drain (its answer, 3 s)
//!        ─► links, control, watchdog, upkeep ─► queue
//! ```

mod damage;
mod ground;
mod log_level;
mod reload;
mod tasks;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::cause::chain;
use crate::clock::source::ClockError;
use crate::config::last_good::Start;
use crate::drain::DrainError;
use crate::meter::profile::ProfileError;
use crate::queue::{DirLock, LockError, QueueError};
use crate::record::task::RecordError;
use crate::stop::Stopper;
use crate::systemd::{self, Asked, Signals};
pub use log_level::SetLogLevel;

use reload::Reload;
use tasks::Tasks;

/// Why the agent ended, or didn't begin.
#[derive(Debug, Error)]
pub enum AgentError {
    /// The clocks can't be read.
    #[error("cannot tell the time")]
    Clock(#[from] ClockError),
    /// The data directory can't be made.
    #[error("cannot make the data directory {path}")]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another agent uses it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The queue can't be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The meter's profile can't be used.
    #[error("cannot use the meter's profile")]
    Profile(#[from] ProfileError),
    /// Recording ended, or didn't begin.
    #[error("recording ended")]
    Record(#[from] RecordError),
    /// Delivery ended, or didn't begin.
    #[error("delivery ended")]
    Drain(#[from] DrainError),
    /// The system refused a thread or a signal handler.
    #[error("the system refused {what}")]
    System {
        /// What was asked for.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The queue was found damaged while it was in use.
    #[error("the queue is damaged: {0}")]
    Damaged(String),
    /// A task ended that nobody asked to.
    #[error("the {0} task ended by itself")]
    Ended(&'static str),
}

impl AgentError {
    /// Whether another agent has the data directory.
    pub fn is_taken(&self) -> bool {
        matches!(self, Self::Lock(LockError::Held { .. }))
    }

    /// Whether this user has no right to the data directory.
    pub fn is_forbidden(&self) -> bool {
        match self {
            Self::Lock(LockError::File { source, .. }) | Self::DataDir { source, .. } => {
                source.kind() == std::io::ErrorKind::PermissionDenied
            }
            _ => false,
        }
    }
}

/// A queue that is damaged again this soon is the disk's doing: then the next one waits, so
/// that it isn't filled with damaged ones. Shorter than the watchdog's patience.
const SOON_AGAIN: Duration = Duration::from_secs(30);

/// What a slow disk gets for the last commit to a damaged queue. Shorter than the watchdog's
/// patience.
const LAST_COMMIT: Duration = Duration::from_secs(30);

/// Runs until a signal says stop, or a task fails. Where the queue turns out to be damaged
/// it begins anew with a fresh one, and with the configuration as `reread` finds it.
///
/// # Errors
/// What kept it from beginning, or what ended it; everything that was recorded is in the
/// queue either way.
pub async fn run(
    mut start: Start,
    reread: impl Fn() -> Option<Start>,
    config_path: Option<PathBuf>,
    set_log_level: SetLogLevel,
) -> Result<(), AgentError> {
    let mut signals = Signals::listen()
        .map_err(|source| AgentError::System { what: "signal handlers", source })?;
    let set_log_level: Arc<SetLogLevel> = Arc::new(set_log_level);
    let mut before: Option<Instant> = None;
    let mut obstacle = damage::Obstacle::default();
    loop {
        let level = Arc::clone(&set_log_level);
        let level: SetLogLevel = Box::new(move |to| level(to));
        let found = match run_once(&start, config_path.clone(), level, &mut signals).await {
            Err(err) if damage::found_by(&err) => chain(&err),
            Err(err) if damage::is_for_want_of_disk(&err) => {
                let dir = &start.loaded.config.device.data_dir;
                if obstacle.stopped_while_waiting(&err, dir, &mut signals).await {
                    return Ok(());
                }
                start = reread().unwrap_or(start);
                continue;
            }
            ended => return ended,
        };
        // Opened again before it is moved, a start might not see what was found.
        let dir = &start.loaded.config.device.data_dir;
        while let Err(err) = damage::set_aside(dir, &found) {
            if !damage::is_for_want_of_disk(&err) {
                return Err(err);
            }
            if obstacle.stopped_while_waiting(&err, dir, &mut signals).await {
                return Ok(());
            }
        }
        let now = Instant::now();
        let wait = before.map_or(Duration::ZERO, |last| SOON_AGAIN.saturating_sub(now - last));
        if !wait.is_zero() {
            error!(wait_s = wait.as_secs(), "the queue is damaged again at once; check the disk");
        }
        if damage::stopped_within(wait, &mut signals).await {
            return Ok(());
        }
        before = Some(now);
        start = reread().unwrap_or(start);
    }
}

async fn run_once(
    start: &Start,
    config_path: Option<PathBuf>,
    set_log_level: SetLogLevel,
    signals: &mut Signals,
) -> Result<(), AgentError> {
    let ground = ground::lay(start)?;
    let mut running = wire::start(start, config_path, set_log_level, ground).await?;
    systemd::ready();
    let outcome = running.until_asked(signals).await;
    // One that begins anew isn't stopping.
    let begins_anew = outcome.as_ref().is_err_and(damage::found_by);
    if !begins_anew {
        systemd::stopping();
    }
    info!("stopping");
    running.stop(begins_anew).await;
    outcome
}

/// The daemon, running.
struct Running {
    tasks: Tasks,
    reload: Reload,
    /// For the sources; the recorder ends by itself when they have.
    sources: Stopper,
    drain: Stopper,
    rest: Stopper,
    queue: JoinHandle<()>,
    /// What was found, once the queue is damaged.
    damaged: watch::Receiver<Option<String>>,
    _lock: DirLock,
}

impl Running {
    /// Serves signals until one says stop, or until a task ends, which none should.
    async fn until_asked(&mut self, signals: &mut Signals) -> Result<(), AgentError> {
        let mut damaged = self.damaged.clone();
        loop {
            tokio::select! {
                asked = signals.next() => match asked {
                    Asked::Stop => return Ok(()),
                    Asked::Reload => match self.reload(signals).await? {
                        Asked::Stop => return Ok(()),
                        Asked::Reload => {}
                    },
                },
                failed = self.tasks.first_end() => return Err(failed),
                Ok(found) = damaged.wait_for(Option::is_some) => {
                    return Err(AgentError::Damaged(found.clone().unwrap_or_default()));
                }
            }
        }
    }

    /// Reloads, and once more if that is asked meanwhile. A word to stop isn't kept waiting
    /// for a disk: then a reload that is under way is as good as none.
    async fn reload(&mut self, signals: &mut Signals) -> Result<Asked, AgentError> {
        systemd::reloading();
        let mut again = true;
        while again {
            again = false;
            let reload = self.reload.run();
            tokio::pin!(reload);
            loop {
                tokio::select! {
                    () = &mut reload => break,
                    asked = signals.next() => match asked {
                        Asked::Stop => return Ok(Asked::Stop),
                        Asked::Reload => again = true,
                    },
                    failed = self.tasks.first_end() => return Err(failed),
                }
            }
        }
        systemd::ready();
        Ok(Asked::Reload)
    }

    /// Stops everything in the order of the flow, within five seconds in all: what is
    /// upstream ends first, so that nothing it still has is left behind. Before it begins anew
    /// the queue's disk gets longer.
    async fn stop(mut self, begins_anew: bool) {
        self.sources.stop();
        self.tasks.join(&["meter", "gps", "record"], Duration::from_millis(1100)).await;
        self.drain.stop();
        self.tasks.join(&["drain"], Duration::from_millis(3100)).await;
        self.rest.stop();
        self.tasks
            .join(
                &["links", "control", "watchdog", "upkeep", "check", "carry", "log level"],
                Duration::from_millis(100),
            )
            .await;
        drop((self.reload, self.tasks));
        close(self.queue, begins_anew).await;
    }
}

/// The queue's thread ends by itself once nobody holds a handle: what was asked of it is
/// on the disk then. A damaged one isn't moved from under it: the last reading, committed after
/// the fresh one has looked where the counting was, would be carried over and found as a gap as
/// well.
async fn close(thread: JoinHandle<()>, begins_anew: bool) {
    let joined = tokio::task::spawn_blocking(move || thread.join());
    let patience = if begins_anew { LAST_COMMIT } else { Duration::from_millis(400) };
    match tokio::time::timeout(patience, joined).await {
        Ok(Ok(Ok(()))) => info!("stopped"),
        _ => warn!("the queue did not close in time; its last commit stands"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_damaged_queue_is_not_moved_from_under_a_writer_that_waits_for_its_disk() {
        for (begins_anew, ended) in [(true, false), (false, true)] {
            let (disk, answer) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || answer.recv().unwrap_or_default());
            let closing = tokio::spawn(close(thread, begins_anew));
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_secs(20)).await;
            tokio::task::yield_now().await;
            assert_eq!(closing.is_finished(), ended, "{begins_anew}");
            drop(disk);
            closing.await.unwrap();
        }
    }
}
