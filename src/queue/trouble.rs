//! What to do about a queue that can't be written: the cause that SQLite names, in a
//! technician's words. Knows no path and no task.

use std::io::{self, ErrorKind};

use rusqlite::ErrorCode;

use super::QueueError;

impl QueueError {
    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        let (Self::Open { source, .. } | Self::Sql { source, .. }) = self else {
            return match self {
                Self::SetAside { source, .. } => unmoved(source),
                _ => "see the log",
            };
        };
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => "the disk is full: make room on it",
            Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
                "the disk is read-only, as a failing card becomes: look at dmesg, then replace it"
            }
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => {
                "the disk fails, or has become read-only: look at dmesg, then replace it"
            }
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
                "another program holds the queue: end it"
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                "the queue is damaged: restart spraylog"
            }
            _ => "see the log",
        }
    }
}

/// Why a damaged database can't be moved.
fn unmoved(err: &io::Error) -> &'static str {
    match err.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "the disk is full: make room on it",
        ErrorKind::PermissionDenied => "give the data directory to the user that spraylog runs as",
        _ => "the disk fails, or has become read-only: look at dmesg, then replace it",
    }
}
