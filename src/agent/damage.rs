//! A queue that turns out to be damaged while it is in use: tells that it is, and sets it
//! aside once everything has stopped. What begins anew is the agent's page.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::error;

use super::AgentError;
use crate::clock::source::Clock;
use crate::queue::{DirLock, QueueError, file_in};
use crate::systemd::{Asked, Signals};

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
