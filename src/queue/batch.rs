//! The words of a batch: how much of it, and in whose zone and name it is written. Plain
//! data.

use crate::config::StandIn;
use crate::delivery::JobKey;
use crate::reading::Seq;
use jiff::tz::TimeZone;

/// How much a batch may hold; at least one reading is always taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchLimits {
    /// Records.
    pub records: usize,
    /// Bytes of the body.
    pub bytes: u64,
}

/// What a record says that its row doesn't.
#[derive(Debug, Clone)]
pub struct WireSettings {
    /// `DeviceName`.
    pub device_name: String,
    /// The zone of `ApplicationDate`.
    pub zone: TimeZone,
    /// The operator's values instead of null.
    pub stand_in: StandIn,
}

/// Readings frozen together, in doubt from now on.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Row id of the attempt.
    pub attempt: i64,
    /// The job it is for.
    pub key: JobKey,
    /// Sequence numbers, ascending.
    pub seqs: Vec<Seq>,
    /// The exact bytes of each record, in the same order.
    pub records: Vec<Vec<u8>>,
    /// JobCloser may have them: it is asked, and nothing is sent.
    pub asks: bool,
}
