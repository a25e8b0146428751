//! A queue that turns out to be damaged while it is in use: tells that it is, and sets it
//! aside once everything has stopped. What begins anew is the agent's page.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::AgentError;
use crate::cause::chain;
use crate::clock::source::Clock;
use crate::queue::ballast::Ballast;
use crate::queue::{DirLock, QueueError, file_in};
use crate::systemd::{self, Asked, Signals};

/// Whether a damaged queue is behind an error.
pub fn found_by(err: &AgentError) -> bool {
    match err {
        AgentError::Damaged(_) => return true,
        // It shows itself as its source, and so isn't among those.
        AgentError::Queue(err) => return err.is_damage(),
        _ => {}
    }
    let mut cause: Option<&(dyn Error + 'static)> = Some(err);
    while let Some(err) = cause {
        if err.downcast_ref::<QueueError>().is_some_and(QueueError::is_damage) {
            return true;
        }
        cause = err.source();
    }
    false
}

/// Sets the queue in `dir` aside, which nobody has open any more.
pub fn set_aside(dir: &Path, found: &str) -> Result<(), AgentError> {
    let _lock = DirLock::take(dir)?;
    set_file_aside(&file_in(dir), found, &Clock::system()?)
}

/// Sets a database aside, with a note of what was found and when, and says so.
pub fn set_file_aside(file: &Path, found: &str, clock: &Clock) -> Result<(), AgentError> {
    let (boot, at) = (&clock.boot().0, clock.now().0);
    let note = format!("{found}, found {at} ms into boot {boot}");
    let aside = crate::queue::set_aside(file, &note)?;
    error!(err = found, damaged = %file.display(), aside = %aside.display(), "the queue is damaged; it is set aside, keep it and call for support; recording goes on in a fresh one");
    Ok(())
}

/// Between two tries to begin where the disk is in the way. Shorter than the watchdog's
/// patience, which is fed before each.
const TRY_AGAIN: Duration = Duration::from_secs(5);

/// A disk that keeps a queue from being begun. Nothing is recorded meanwhile: without a queue
/// there is no place for it. The meter goes on counting, and what it counts is found as a gap.
#[derive(Debug, Default)]
pub struct Obstacle {
    told: String,
}

impl Obstacle {
    /// Says what is in the way, once, and waits; whether there was a word to stop.
    pub async fn stopped_while_waiting(
        &mut self,
        err: &AgentError,
        dir: &Path,
        signals: &mut Signals,
    ) -> bool {
        let remedy = match err {
            AgentError::Queue(err) => err.remedy(),
            _ => "see the log",
        };
        let told = chain(err);
        if told != self.told {
            error!(
                err = told,
                remedy, "NOT RECORDING: the disk is in the way; trying again every 5 s"
            );
            self.told = told;
        }
        if matches!(err, AgentError::Queue(err) if err.is_full()) {
            // Upkeep, which does so else, begins with the queue.
            let _ = Ballast::in_directory(dir).give_up();
        }
        systemd::waiting(&format!("NOT RECORDING: {remedy}"));
        stopped_within(TRY_AGAIN, signals).await
    }
}

/// Whether an error is the disk's, and passes with it.
pub fn is_for_want_of_disk(err: &AgentError) -> bool {
    matches!(err, AgentError::Queue(err) if err.is_for_want_of_disk())
}

/// Waits, but not past a word to stop; whether there was one.
pub async fn stopped_within(wait: Duration, signals: &mut Signals) -> bool {
    let until = Instant::now() + wait;
    loop {
        match timeout_at(until, signals.next()).await {
            Ok(Asked::Stop) => return true,
            // What begins anew reads it again.
            Ok(Asked::Reload) => {}
            Err(_) => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drain::DrainError;
    use crate::record::task::RecordError;

    #[test]
    fn damage_is_told_from_other_failures_however_deep_it_lies() {
        let log = || QueueError::Log { path: "queue.db".into(), frame: 3, commits: 2 };
        assert!(found_by(&AgentError::Queue(log())));
        assert!(!found_by(&AgentError::Queue(QueueError::Closed)));
        assert!(found_by(&AgentError::Record(RecordError::Queue(log()))));
        assert!(found_by(&AgentError::Drain(DrainError::Queue(log()))));
        assert!(found_by(&AgentError::Damaged("zeros".to_owned())));
        assert!(!found_by(&AgentError::Ended("meter")));
    }
}
