//! What the recorder is given: the configuration, and what the queue knows from before.
//! Plain data.

use crate::clock::BootInstant;
use crate::config;
use crate::meter::battery::Curve;
use crate::meter::calibration::Calibration;
use crate::meter::counter;
use crate::reading::{Assignment, Origin};
use crate::units::KFactor;

/// What is configured.
#[derive(Debug, Clone)]
pub struct Rules {
    /// For the counter.
    pub counter: counter::Rules,
    /// K, and its points.
    pub calibration: Calibration,
    /// Whether the meter tells only a rate, so that its counts are made of it.
    pub integrated: bool,
    /// What the battery's volts are worth.
    pub battery: Curve,
    /// `MeterSerialNumber` where the meter doesn't tell.
    pub configured_serial: String,
    /// When a sample becomes a reading.
    pub record: config::Record,
    /// Below it liquid doesn't flow, in gallons a minute.
    pub low_flow_gpm: f64,
    /// Age in milliseconds above which a fix isn't fresh.
    pub fix_stale_ms: i64,
    /// The greatest integer the API's fields hold.
    pub max_count: u64,
}

/// What the queue knows from before.
#[derive(Debug, Clone, Default)]
pub struct Resume {
    /// The last reading recorded.
    pub last: Option<LastReading>,
    /// The span that is open.
    pub assignment: Option<(Assignment, Origin)>,
}

/// The last reading, as far as counting goes on from it.
#[derive(Debug, Clone)]
pub struct LastReading {
    /// Its meter.
    pub serial: String,
    /// Its raw count.
    pub raw: u64,
    /// Its message's sequence number.
    pub meter_seq: Option<u16>,
    /// Its unwrapped count.
    pub unwrapped: u64,
    /// When; `None` if in an earlier boot.
    pub at: Option<BootInstant>,
    /// K of its segment.
    pub k: KFactor,
    /// The (Hz, K) points of its segment, in their text.
    pub points: String,
    /// Raw count at the start of its segment, or of the open span in it: what a damaged line
    /// brought before is nobody's any more.
    pub raw_start: u64,
    /// Unwrapped count there.
    pub unwrapped_start: u64,
}
