//! The words that every stage shares: sample, fix, assignment, reading and its states.
//! Plain data; knows neither how it was measured nor where it is kept.

mod flags;

pub use flags::{Flag, Flags};

use serde::{Deserialize, Serialize};

use crate::clock::{BootInstant, UtcMs};
use crate::units::{KFactor, Microlitres};

/// One decoded meter message. Every field but the count may be missing: "no such
/// sensor" is `None`, never a made-up value.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// The meter's own serial number, where it tells.
    pub serial: Option<String>,
    /// The message's own sequence number, where it has one.
    pub seq: Option<u16>,
    /// Raw count as the meter shows it.
    pub raw: u64,
    /// Flow rate in US gallons a minute.
    pub rate_gpm: Option<f64>,
    /// Temperature of the fluid in °F.
    pub fluid_f: Option<f64>,
    /// Ambient temperature in °F.
    pub ambient_f: Option<f64>,
    /// Battery charge, 0 to 100.
    pub battery_percent: Option<f64>,
    /// Estimated run time left, in minutes.
    pub runtime_min: Option<f64>,
    /// Voltage of the battery.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub battery_volts: Option<f64>,
    /// How often the count has passed its modulus, by the meter's own register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollover: Option<u64>,
    /// How often the meter got power, by its own register.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_up: Option<u64>,
    /// What the meter says of its own state, in its own words or number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// Degrees times 10⁷, as both coordinates are kept: 1.1 cm at the equator.
pub const DEGREES_E7: f64 = 1e7;

/// A point on WGS 84 in degrees × 10⁷.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Latitude, −900 000 000 to 900 000 000.
    pub lat_e7: i32,
    /// Longitude, −1 800 000 000 to 1 800 000 000.
    pub lon_e7: i32,
}

impl Place {
    /// From degrees; `None` outside the globe or for what is not a number.
    pub fn from_degrees(lat: f64, lon: f64) -> Option<Self> {
        let inside = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
        inside.then(|| Self {
            lat_e7: (lat * DEGREES_E7).round() as i32,
            lon_e7: (lon * DEGREES_E7).round() as i32,
        })
    }

    /// Latitude in degrees.
    pub fn lat(self) -> f64 {
        f64::from(self.lat_e7) / DEGREES_E7
    }

    /// Longitude in degrees.
    pub fn lon(self) -> f64 {
        f64::from(self.lon_e7) / DEGREES_E7
    }

    /// Distance in metres on a sphere of the earth's mean radius (haversine); good to
    /// half a percent, which is enough to tell standing from driving.
    pub fn metres_to(self, other: Self) -> f64 {
        const EARTH_RADIUS_M: f64 = 6_371_008.8;
        let (p1, p2) = (self.lat().to_radians(), other.lat().to_radians());
        let dp = (p2 - p1) / 2.0;
        let dl = (other.lon() - self.lon()).to_radians() / 2.0;
        let a = dp.sin().powi(2) + p1.cos() * p2.cos() * dl.sin().powi(2);
        2.0 * EARTH_RADIUS_M * a.sqrt().min(1.0).asin()
    }
}

/// One accepted GPS position: every condition of a fix already holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fix {
    /// Boot time of the first byte of the epoch's first sentence.
    pub at: BootInstant,
    /// The receiver's own date and time, not moved by 1024-week epochs; `None` while it
    /// has a place but no date.
    pub utc: Option<UtcMs>,
    /// Where.
    pub place: Place,
    /// Horizontal dilution of precision.
    pub hdop: f64,
    /// GGA quality, 1 to 5; [`Fix::CONFIGURED`] for a place that no receiver told.
    pub quality: u8,
    /// Speed over ground in metres a second, where the receiver gives it.
    pub speed_mps: Option<f64>,
}

impl Fix {
    /// Quality of a configured place: GGA's for one that is entered by hand, which no fix of
    /// a receiver may have.
    pub const CONFIGURED: u8 = 7;

    /// Whether it is the place that is configured, not a receiver's.
    pub fn is_configured(&self) -> bool {
        self.quality == Self::CONFIGURED
    }
}

/// What the liquid is for: the ids that a record is tied to at JobCloser. Opaque
/// strings; `event` and `job` are needed to send.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Assignment {
    /// `EventId`.
    pub event: String,
    /// `JobId`.
    pub job: String,
    /// `JobItemId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// `ProductId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<String>,
    /// The operator's text, at the end of every note.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// Who chose an assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The technician, by `job use`.
    Pick,
    /// `[job]` in the configuration.
    Fixed,
    /// An operator afterwards, by `records assign`.
    Assigned,
}

/// A reading's sequence number: unique in one database, never reused, ascending in the
/// order of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub i64);

/// Row id of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SegmentId(pub i64);

/// Row id of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SpanId(pub i64);

/// Why a segment was opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SegmentReason {
    /// The first count of this meter.
    First,
    /// The meter began again.
    Restart,
    /// K was changed.
    Calibration,
    /// Another meter serial.
    Meter,
    /// The count would have passed what the API's integers hold.
    Rebase,
}

/// A segment that opens with the reading that carries it.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSegment {
    /// Raw count at its start.
    pub raw_start: u64,
    /// Unwrapped count at its start: where its `MeterRawCountsToZero` lies.
    pub unwrapped_start: u64,
    /// K in force; with (Hz, K) points the nominal one.
    pub k: KFactor,
    /// The (Hz, K) points in force, in a text to compare them by; empty where K is constant.
    pub points: String,
    /// The part of the opening reading's share that was counted before this segment
    /// began, and so belongs to the one it closes.
    pub carried: Microlitres,
    /// Why.
    pub reason: SegmentReason,
}

/// A span that opens with the reading that carries it, at that reading's count.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSpan {
    /// The assignment; `None` where the rig goes on unassigned (the old span closes).
    pub assignment: Option<Assignment>,
    /// Who chose it.
    pub origin: Origin,
    /// Whether the reading that carries this already belongs to the new span (it brought
    /// no volume) or still to the old one.
    pub owns_reading: bool,
}

/// A sample that became a reading: what one row of the queue says, before it has a
/// sequence number.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// When, in the boot that is running.
    pub at: BootInstant,
    /// The meter's serial number (its own, or configured).
    pub serial: String,
    /// Raw count as the meter showed it.
    pub raw: u64,
    /// The message's own sequence number.
    pub meter_seq: Option<u16>,
    /// Count that goes on past rollovers, within the segment's base.
    pub unwrapped: u64,
    /// Volume since the meter's reading before this one.
    pub share: Microlitres,
    /// Shown rate in gallons a minute.
    pub rate_gpm: Option<f64>,
    /// Fluid temperature in °F.
    pub fluid_f: Option<f64>,
    /// Ambient temperature in °F.
    pub ambient_f: Option<f64>,
    /// Battery in percent.
    pub battery_percent: Option<f64>,
    /// Run time left in minutes.
    pub runtime_min: Option<f64>,
    /// Where, with the fix's age in milliseconds and its HDOP; `None` is held.
    pub place: Option<(Place, i64, f64)>,
    /// What happened inside its second.
    pub flags: Flags,
    /// A segment that begins with this reading.
    pub segment: Option<NewSegment>,
    /// A change of assignment at this reading.
    pub span: Option<NewSpan>,
}

/// What has become of a reading. *Ready* and the reasons for a hold are derived from
/// [`State::Open`]; the rest is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Ready, or held for want of a job, a place, a time or a meter's serial number.
    Open,
    /// Sent, the answer not known.
    InDoubt,
    /// At JobCloser.
    Sent,
    /// Refused by the server, alone.
    Rejected,
    /// Water that isn't chemical.
    Discarded,
    /// Deleted at JobCloser by an operator.
    Deleted,
    /// Held: its second is taken and moving it would take more than 2 s.
    TimeConflict,
    /// Held: its row can't be decoded.
    Unreadable,
}

/// Why a reading can't be sent yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hold {
    /// No assignment.
    NoJob,
    /// No position.
    NoPlace,
    /// Its boot has no anchor.
    NoTime,
    /// Its meter told no serial number, and none was configured.
    NoSerial,
    /// Two readings of one meter in one second.
    TimeConflict,
    /// Its row can't be decoded.
    Unreadable,
    /// The server refuses this job, or everything.
    Refused,
}
