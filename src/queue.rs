//! The SQLite store of readings and of what became of each: all the SQL there is.
//!
//! One thread owns the writing connection ([`Queue`]); everything else looks in through
//! read-only connections ([`View`]). WAL with `synchronous=FULL`: a transaction that
//! returned is on the disk before anyone is told. Knows nothing of ports, of HTTP, or of
//! why a reading was made.

mod account;
mod anchor;
mod append;
mod aside;
mod assign;
mod backfill;
mod balance;
pub mod ballast;
mod batch;
mod carry;
mod check;
mod checked;
mod checkpoint;
#[cfg(test)]
mod clock_tests;
mod discard;
mod file;
mod freeze;
mod learnt;
mod listed;
mod lock;
mod meta;
#[cfg(test)]
mod model_tests;
mod newest;
mod prune;
mod refusal;
mod release;
mod rows;
mod schema;
mod settle;
mod sound;
mod store;
mod thread;
mod trouble;
mod undated;
mod unreadable;
mod verify;
mod view;
mod wal;

use std::path::PathBuf;

use thiserror::Error;

pub use account::Account;
pub use append::Appended;
pub use aside::set_aside;
pub use assign::{Assigned, Selector};
pub use balance::{Balance, Share};
pub use batch::{Batch, BatchLimits, WireSettings};
pub use carry::{CarriedOver, Carrying, Damaged, Part, ToCarry};
pub use check::{Ended, Examination, Finding};
pub use checked::{Checked, Standing};
pub use discard::TakenOut;
pub use file::{FILE, file_in, others_beside, taken_aside};
pub use lock::{DirLock, LockError, give_to_owner, holder};
pub use prune::Pruned;
pub use release::{Placed, Released};
pub use store::{Position, Store};
pub use thread::Queue;
pub use undated::{Bounds, Undated};
pub use view::{Detail, Filter, Listed, View};

use crate::reading::Seq;

/// What went wrong in the store.
#[derive(Debug, Error)]
pub enum QueueError {
    /// The file can't be opened.
    #[error("cannot open the queue {path}; check that the directory exists and is writable")]
    Open {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// The database was written by a newer program; it is left untouched.
    #[error(
        "the queue {path} has schema {found}, newer than this program's {known}; it is left untouched"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema.
        found: i64,
        /// The last one this program knows.
        known: i64,
    },
    /// The log has lost more than a power cut takes.
    #[error(
        "the log of the queue {path} is damaged at frame {frame}; {commits} transactions behind it would be lost"
    )]
    Log {
        /// The database.
        path: PathBuf,
        /// The first frame that doesn't fit; 0 is the header.
        frame: u64,
        /// Commits behind it.
        commits: u64,
    },
    /// What a start looks at isn't what the program makes.
    #[error("the queue {path} is damaged: {found}")]
    Unsound {
        /// The database.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A damaged database can't be moved away.
    #[error("cannot set the damaged queue {path} aside")]
    SetAside {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A statement failed.
    #[error("the queue failed to {doing}")]
    Sql {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: rusqlite::Error,
    },
    /// A count or id that SQLite's integers can't hold.
    #[error("{what} {value} is beyond what the queue can hold")]
    Range {
        /// Which value.
        what: &'static str,
        /// The value.
        value: u64,
    },
    /// There is no such reading.
    #[error("there is no reading {}", .0.0)]
    NoSuchReading(Seq),
    /// What was asked can't be done, and why.
    #[error("{0}")]
    Refused(String),
    /// The writing thread is gone.
    #[error("the queue's thread has ended")]
    Closed,
}

impl QueueError {
    /// Whether the file is no database any more, or not a whole one.
    pub fn is_damage(&self) -> bool {
        let source = match self {
            Self::Log { .. } | Self::Unsound { .. } => return true,
            Self::Open { source, .. } | Self::Sql { source, .. } => source,
            _ => return false,
        };
        matches!(
            source.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
        )
    }
}

impl QueueError {
    /// Whether it is the disk that keeps a queue from being begun, so that trying again is
    /// all there is to do: a damaged one can't be moved away, or there is no room.
    pub fn is_for_want_of_disk(&self) -> bool {
        matches!(self, Self::SetAside { .. }) || self.is_full()
    }

    /// Whether the disk is full.
    pub fn is_full(&self) -> bool {
        match self {
            Self::SetAside { source, .. } => source.kind() == std::io::ErrorKind::StorageFull,
            Self::Open { source, .. } | Self::Sql { source, .. } => {
                source.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull)
            }
            _ => false,
        }
    }

    /// Whether two rows claim what may be there once.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Sql { source, .. }
            if source.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation))
    }
}

/// Attaches what was being done to SQLite's error.
trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, QueueError>;
}

impl<T> Doing<T> for Result<T, rusqlite::Error> {
    fn doing(self, doing: &'static str) -> Result<T, QueueError> {
        self.map_err(|source| QueueError::Sql { doing, source })
    }
}
