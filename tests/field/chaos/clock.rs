//! The board's clocks as a storm moves them: a boot that begins, a system clock that is
//! wrong, one that is set. Needs an agent with `testhooks`; without them it moves nothing.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long a boot has lasted when it is seen first, in milliseconds.
const UP_MS: i64 = 15_000;

pub struct Clock {
    dir: tempfile::TempDir,
    boots: u32,
    /// The instant at which each boot's clock would have shown 0, in unix milliseconds.
    began_ms: Vec<i64>,
    boottime_offset_ms: i64,
    wall_offset_ms: i64,
    synchronised: bool,
}

impl Clock {
    pub fn first_boot() -> Self {
        let mut clock = Self {
            dir: tempfile::tempdir().unwrap(),
            boots: 0,
            began_ms: Vec::new(),
            boottime_offset_ms: 0,
            wall_offset_ms: 0,
            synchronised: false,
        };
        clock.boot();
        clock
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("clock.toml")
    }

    /// Boots so far.
    pub fn boots(&self) -> u32 {
        self.boots
    }

    /// The true instant at which the clock of a boot would have shown 0, in unix
    /// milliseconds.
    pub fn began_ms(&self, boot_uuid: &str) -> Option<i64> {
        let number: usize = boot_uuid.rsplit('-').next()?.parse().ok()?;
        self.began_ms.get(number.checked_sub(1)?).copied()
    }

    /// Another boot begins; only while no agent runs.
    pub fn boot(&mut self) {
        let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        self.boots += 1;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        self.began_ms.push(now.as_millis() as i64 - UP_MS);
        self.boottime_offset_ms = UP_MS - up.tv_sec * 1000 - up.tv_nsec / 1_000_000;
        self.write();
    }

    pub fn off_by(&mut self, ms: i64) {
        (self.wall_offset_ms, self.synchronised) = (ms, false);
        self.write();
    }

    pub fn set(&mut self) {
        (self.wall_offset_ms, self.synchronised) = (0, true);
        self.write();
    }

    /// Whole or not at all: a clock that can't be read is taken for the machine's own.
    fn write(&self) {
        let (boot, up, wall) = (self.boots, self.boottime_offset_ms, self.wall_offset_ms);
        let synchronised = self.synchronised;
        let text = format!(
            "boot_id = '0b5f2b06-6b5c-4f55-8ac6-{boot:012}'\nboottime_offset_ms = {up}\n\
             wall_offset_ms = {wall}\nsynchronised = {synchronised}\n"
        );
        let new = self.dir.path().join("new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(&new, self.file()).unwrap();
    }
}
