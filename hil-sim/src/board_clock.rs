//! The clocks of the simulated board: which boot it is, how long it has been up, what its
//! wall clock says and whether the kernel calls that synchronised. They are told to an agent
//! that was built for tests by a small file, named in its environment; the truth keeps a
//! clock of its own. Knows no agent.
//!
//! ```text
//! boot_id = "…"                 another boot for each turn of the key
//! boottime_offset_ms = -86400   added to CLOCK_BOOTTIME
//! wall_offset_ms = -1800000000  added to CLOCK_REALTIME
//! synchronised = false
//! ```

use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Names the file in the agent's environment; only a build for tests knows it.
pub const VARIABLE: &str = "SPRAYLOG_TEST_CLOCK";

/// Up for so long when the agent is started: a board takes a while until its services are.
const UP_AT_BOOT_MS: i64 = 12_000;

/// The clocks of the board.
#[derive(Debug)]
pub struct BoardClock {
    file: PathBuf,
    boots: u64,
    boottime_offset_ms: i64,
    wall_offset_ms: i64,
    synchronised: bool,
}

impl BoardClock {
    /// A board that has just been switched on; its clock says `wall`, or what is so.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn switch_on(file: PathBuf, wall: Option<i64>, synchronised: bool) -> io::Result<Self> {
        let mut clock =
            Self { file, boots: 0, boottime_offset_ms: 0, wall_offset_ms: 0, synchronised };
        clock.boot(wall)?;
        clock.synchronised = synchronised;
        clock.write()?;
        Ok(clock)
    }

    /// The file.
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Another boot: its clock says `wall`, or goes on where it would have been; nobody has
    /// synchronised it yet.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn boot(&mut self, wall: Option<i64>) -> io::Result<()> {
        self.boots += 1;
        let up = clock_gettime(ClockId::Boottime);
        self.boottime_offset_ms = UP_AT_BOOT_MS - (up.tv_sec * 1000 + up.tv_nsec / 1_000_000);
        self.synchronised = false;
        if let Some(wall) = wall {
            self.wall_offset_ms = wall - now_ms();
        }
        self.write()
    }

    /// Sets the wall clock, moves it, or says whether it is synchronised.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn set(
        &mut self,
        to: Option<i64>,
        by_ms: Option<i64>,
        synchronised: Option<bool>,
    ) -> io::Result<()> {
        if let Some(to) = to {
            self.wall_offset_ms = to - now_ms();
        }
        self.wall_offset_ms += by_ms.unwrap_or(0);
        self.synchronised = synchronised.unwrap_or(self.synchronised);
        self.write()
    }

    /// In one step, since an agent may read it at any moment.
    fn write(&self) -> io::Result<()> {
        let text = format!(
            "boot_id = '5b3a1c52-7d0e-4c61-9f00-{:012x}'\nboottime_offset_ms = {}\n\
             wall_offset_ms = {}\nsynchronised = {}\n",
            self.boots, self.boottime_offset_ms, self.wall_offset_ms, self.synchronised,
        );
        let fresh = self.file.with_extension("new");
        std::fs::write(&fresh, text)?;
        std::fs::rename(&fresh, &self.file)
    }
}

/// A scenario's time, in unix milliseconds; `now` is what is so.
///
/// # Errors
/// Where it is neither that nor RFC 3339.
pub fn instant(text: &str) -> Result<i64, String> {
    if text == "now" {
        return Ok(now_ms());
    }
    let at: Result<jiff::Timestamp, _> = text.parse();
    at.map(jiff::Timestamp::as_millisecond)
        .map_err(|_| format!("{text:?} is neither now nor a time like 1970-01-01T00:00:10Z"))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(clock: &BoardClock) -> toml::Table {
        std::fs::read_to_string(clock.file()).unwrap().parse().unwrap()
    }

    #[test]
    fn each_turn_of_the_key_is_another_boot_that_nobody_has_synchronised() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("clock.toml");
        let mut clock = BoardClock::switch_on(file, Some(10_000), true).unwrap();
        let first = said(&clock);
        assert_eq!(first["synchronised"].as_bool(), Some(true));
        let wall = now_ms() + first["wall_offset_ms"].as_integer().unwrap();
        assert!((10_000..20_000).contains(&wall), "{wall}");
        clock.set(None, Some(3_600_000), None).unwrap();
        clock.boot(None).unwrap();
        let second = said(&clock);
        assert_ne!(second["boot_id"], first["boot_id"]);
        assert_eq!(second["synchronised"].as_bool(), Some(false));
        let moved = |table: &toml::Table| table["wall_offset_ms"].as_integer().unwrap();
        assert_eq!(moved(&second) - moved(&first), 3_600_000, "the clock went on");
    }

    #[test]
    fn a_time_that_is_none_is_refused_with_an_example() {
        assert_eq!(instant("1970-01-01T00:00:10Z"), Ok(10_000));
        assert!(instant("ten past").unwrap_err().contains("1970-01-01T00:00:10Z"));
    }
}
