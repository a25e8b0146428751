//! A clock that a test moves: read from a small TOML file at every look, so that a
//! running agent can be stepped. Compiled only with the feature `testhooks`.

use std::path::PathBuf;

use serde::Deserialize;
use thiserror::Error;

use super::ClockError;
use crate::clock::BootId;

/// Names the file.
const VARIABLE: &str = "SPRAYLOG_TEST_CLOCK";

/// Why the file is of no use.
#[derive(Debug, Error)]
pub enum MovedError {
    /// It can't be read.
    #[error("cannot be read")]
    Read(#[from] std::io::Error),
    /// It isn't the TOML that is expected.
    #[error("is not a test clock")]
    Parse(#[from] toml::de::Error),
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Said {
    boot_id: Option<String>,
    boottime_offset_ms: i64,
    wall_offset_ms: i64,
    synchronised: Option<bool>,
}

/// The test's clock file.
#[derive(Debug, Clone)]
pub struct Moved {
    path: PathBuf,
}

impl Moved {
    /// The file named in the environment, if any, checked once.
    pub fn from_env() -> Result<Option<Self>, ClockError> {
        let Some(path) = std::env::var_os(VARIABLE).map(PathBuf::from) else {
            return Ok(None);
        };
        let moved = Self { path };
        match moved.read() {
            Ok(_) => Ok(Some(moved)),
            Err(source) => Err(ClockError::Test { path: moved.path.display().to_string(), source }),
        }
    }

    /// The boot id it claims.
    pub fn boot(&self) -> Option<BootId> {
        self.said().boot_id.map(BootId)
    }

    /// What to add to `CLOCK_BOOTTIME`.
    pub fn boottime_offset_ms(&self) -> i64 {
        self.said().boottime_offset_ms
    }

    /// What to add to the wall clock.
    pub fn wall_offset_ms(&self) -> i64 {
        self.said().wall_offset_ms
    }

    /// What it says of synchronisation.
    pub fn synchronised(&self) -> Option<bool> {
        self.said().synchronised
    }

    fn said(&self) -> Said {
        self.read().unwrap_or_default()
    }

    fn read(&self) -> Result<Said, MovedError> {
        Ok(toml::from_str(&std::fs::read_to_string(&self.path)?)?)
    }
}
