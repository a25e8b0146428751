//! The rig's clock: true time, that the rig's GPS tells and that the judge goes by. It
//! is read from the system once and then runs on by the monotonic clock, so that a
//! system clock set in mid-run does not move the truth.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// True time, as the rig knows it.
#[derive(Debug, Clone, Copy)]
pub struct RigClock {
    started: Instant,
    unix_at_start: Duration,
}

impl RigClock {
    /// A clock that agrees with the system's now.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            unix_at_start: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        }
    }

    /// Unix time in milliseconds.
    pub fn now_ms(&self) -> i64 {
        let now = self.unix_at_start + self.started.elapsed();
        i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
    }

    /// How long to wait for a unix time in milliseconds; zero where it has passed.
    pub fn until(&self, unix_ms: i64) -> Duration {
        let wait = unix_ms.saturating_sub(self.now_ms());
        Duration::from_millis(u64::try_from(wait).unwrap_or(0))
    }
}
