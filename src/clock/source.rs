//! The board's own clocks: boot id, `CLOCK_BOOTTIME`, the system's wall clock and
//! whether the kernel calls it synchronised. An edge; decides nothing.
//!
//! With the feature `testhooks`, the file named by `SPRAYLOG_TEST_CLOCK` moves them, so
//! that a test can have another boot, another year or a clock nobody has set.

mod kernel;
#[cfg(feature = "testhooks")]
mod moved;

use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;

use super::weeks::RELEASE_FLOOR;
use super::{BootId, BootInstant, UtcMs};
use crate::config::TrustSystem;

/// Where Linux tells the id of this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Two clocks that are read within this are read at one moment.
const AT_ONCE_MS: i64 = 50;

/// Why the clocks can't be read.
#[derive(Debug, Error)]
pub enum ClockError {
    /// The boot id can't be read.
    #[error("cannot read the boot id from {BOOT_ID}; is /proc mounted?")]
    BootId(#[source] std::io::Error),
    /// The test's clock file is wrong.
    #[cfg(feature = "testhooks")]
    #[error("test clock {path}")]
    Test {
        /// The file.
        path: String,
        /// What is wrong.
        #[source]
        source: moved::MovedError,
    },
}

/// The clocks of the boot that is running.
#[derive(Debug, Clone)]
pub struct Clock {
    boot: BootId,
    #[cfg(feature = "testhooks")]
    moved: Option<moved::Moved>,
}

impl Clock {
    /// Opens the board's clocks.
    ///
    /// # Errors
    /// Where `/proc` has no boot id.
    pub fn system() -> Result<Self, ClockError> {
        let boot = std::fs::read_to_string(BOOT_ID).map_err(ClockError::BootId)?;
        let boot = BootId(boot.trim().to_owned());
        #[cfg(feature = "testhooks")]
        {
            let moved = moved::Moved::from_env()?;
            let boot = moved.as_ref().and_then(moved::Moved::boot).unwrap_or(boot);
            Ok(Self { boot, moved })
        }
        #[cfg(not(feature = "testhooks"))]
        Ok(Self { boot })
    }

    /// Which boot this is.
    pub fn boot(&self) -> &BootId {
        &self.boot
    }

    /// Now, in this boot.
    pub fn now(&self) -> BootInstant {
        let now = millis(ClockId::Boottime);
        #[cfg(feature = "testhooks")]
        let now = now + self.moved.as_ref().map_or(0, moved::Moved::boottime_offset_ms);
        BootInstant(now)
    }

    /// What the system's wall clock says, right or wrong.
    pub fn wall(&self) -> UtcMs {
        let now = millis(ClockId::Realtime);
        #[cfg(feature = "testhooks")]
        let now = now + self.moved.as_ref().map_or(0, moved::Moved::wall_offset_ms);
        UtcMs(now)
    }

    /// What the system's wall clock says, and when in this boot, where this setting believes
    /// it. `None` too where the clock was set while it was being read.
    pub fn told(&self, trust: TrustSystem) -> Option<(BootInstant, UtcMs)> {
        let believed = || match trust {
            TrustSystem::Auto => self.synchronised(),
            TrustSystem::Always => true,
            TrustSystem::Never => false,
        };
        if !believed() {
            return None;
        }
        let (before, wall, after) = (self.now(), self.wall(), self.now());
        // A task that stood still between the two would give them as one moment.
        let at_once = after.since_ms(before) <= AT_ONCE_MS;
        (at_once && believed()).then_some((before, wall))
    }

    /// The same, not before the program was made.
    pub fn trusted(&self, trust: TrustSystem) -> Option<UtcMs> {
        self.told(trust).map(|(_, wall)| wall).filter(|wall| *wall >= RELEASE_FLOOR)
    }

    /// Whether the kernel calls the wall clock synchronised.
    pub fn synchronised(&self) -> bool {
        #[cfg(feature = "testhooks")]
        if let Some(said) = self.moved.as_ref().and_then(moved::Moved::synchronised) {
            return said;
        }
        kernel::synchronised()
    }
}

fn millis(id: ClockId) -> i64 {
    let t = clock_gettime(id);
    t.tv_sec * 1000 + t.tv_nsec / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clocks_of_this_machine_can_be_read() {
        let clock = Clock::system().unwrap();
        assert_eq!(clock.boot().0.len(), 36, "a UUID");
        let first = clock.now();
        assert!(first.0 > 0 && clock.now() >= first);
        assert!(clock.wall().0 > 0);
        clock.synchronised();
    }

    #[test]
    fn the_system_clock_is_believed_as_it_is_set() {
        let clock = Clock::system().unwrap();
        assert_eq!(clock.told(TrustSystem::Never), None);
        // Unless this thread stood still between two looks.
        let told = (0..100).find_map(|_| clock.told(TrustSystem::Always)).unwrap();
        assert!((clock.wall().0 - told.1.0 - clock.now().since_ms(told.0)).abs() < 5_000);
        if !clock.synchronised() {
            assert_eq!(clock.told(TrustSystem::Auto), None);
        }
    }
}
