//! What the last full check found, kept as one value in the database that it was of, and what
//! is to be known to tell whether another is due. Also the one repair that is made in place:
//! an index is built anew from its table. Knows neither when nor how a check is made.

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::file::taken_aside;
use super::{Doing, QueueError, Store, View, meta};
use crate::clock::{BootInstant, UtcMs};

/// The last full check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When it ended; none in a boot without a time.
    pub utc_ms: Option<i64>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Rows that can't be taken, in SQLite's words; empty where all of it is whole.
    pub rows: Vec<String>,
    /// Indexes that were built anew.
    pub mended: Vec<String>,
    /// Readings that were set aside as unreadable by then. More of them are a sign of damage.
    pub unreadable: i64,
}

/// What tells whether a check is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The last one of this database.
    pub last: Option<Checked>,
    /// The time by the agent's own clock; none in a boot without an anchor.
    pub now: Option<UtcMs>,
    /// Readings that are set aside as unreadable.
    pub unreadable: i64,
}

impl Store {
    /// What tells whether a full check is due.
    ///
    /// # Errors
    /// Where the rows can't be read.
    pub fn checks(&self, now: BootInstant) -> Result<Standing, QueueError> {
        let unreadable = self
            .db
            .prepare_cached("SELECT coalesce(sum(readings), 0) FROM standing WHERE state = 7")
            .and_then(|mut s| s.query_row([], |r| r.get(0)))
            .doing("count what is unreadable")?;
        Ok(Standing { last: checked(&self.db)?, now: self.time_of(self.boot, now), unreadable })
    }

    /// Keeps what a check found. A power cut between its end and this makes it due again.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn set_checked(&mut self, checked: &Checked) -> Result<(), QueueError> {
        match serde_json::to_string(checked) {
            Ok(text) => meta::set(&self.db, meta::key::CHECKED, &text),
            Err(err) => Err(QueueError::Refused(format!("cannot be kept: {err}"))),
        }
    }

    /// Builds an index anew from its table, in one transaction: a power cut leaves it as it
    /// was, and the next check finds it again. What is recorded meanwhile waits in memory.
    ///
    /// # Errors
    /// Where it can't be written, or two rows claim what may be there once.
    pub fn mend_index(&mut self, index: &str) -> Result<(), QueueError> {
        self.db
            .execute_batch(&format!("REINDEX \"{}\"", index.replace('"', "\"\"")))
            .doing("build an index anew")
    }
}

impl View {
    /// How many damaged databases were set aside beside it, and the bytes that they take.
    pub fn set_aside(&self) -> (usize, u64) {
        self.path.parent().map_or((0, 0), taken_aside)
    }

    /// What the last full check found.
    ///
    /// # Errors
    /// Where the row can't be read.
    pub fn checked(&self) -> Result<Option<Checked>, QueueError> {
        checked(&self.db)
    }
}

/// The last check of a database; one that can't be read any more counts as none.
fn checked(db: &Connection) -> Result<Option<Checked>, QueueError> {
    let kept = meta::get(db, meta::key::CHECKED)?;
    Ok(kept.and_then(|text| serde_json::from_str(&text).ok()))
}
