//! How much is logged: as configured, and warnings at most while the disk has less room than
//! `queue.min_free`, since readings come first. Knows no log and no disk.

use std::sync::Arc;

use tokio::sync::watch;

use crate::config::Config;
use crate::stop::Stop;
use crate::upkeep::room::RoomView;

/// Sets another log level while the agent runs.
pub type SetLogLevel = Box<dyn Fn(&str) + Send + Sync>;

/// The task that sets it.
pub struct LogLevel {
    /// What does.
    pub set: SetLogLevel,
    /// The configuration in force.
    pub config: watch::Receiver<Arc<Config>>,
    /// The room on the disk.
    pub room: watch::Receiver<RoomView>,
}

impl LogLevel {
    /// Runs until asked to stop.
    pub async fn run(mut self, mut stop: Stop) {
        let mut told = String::new();
        loop {
            let low = self.room.borrow_and_update().low;
            let level = level(&self.config.borrow_and_update().log.level, low).to_owned();
            if level != told {
                (self.set)(&level);
                told = level;
            }
            tokio::select! {
                () = stop.asked() => return,
                Ok(()) = self.config.changed() => {}
                Ok(()) = self.room.changed() => {}
            }
        }
    }
}

fn level(configured: &str, low: bool) -> &str {
    match configured {
        "error" => "error",
        _ if low => "warn",
        _ => configured,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_disk_without_room_warnings_are_the_most_that_is_logged() {
        for (configured, low, logged) in [
            ("info", false, "info"),
            ("trace", false, "trace"),
            ("info", true, "warn"),
            ("trace", true, "warn"),
            ("error", true, "error"),
        ] {
            assert_eq!(level(configured, low), logged, "{configured}");
        }
    }
}
