//! The configuration as plain data: one field a key, defaults as documented, already
//! checked and converted. What can be said is the table in [`keys`]; where it comes from
//! is [`mod@load`]; what is wrong with it is [`check`]. Knows no task and opens no device.

pub mod annotate;
pub mod check;
pub mod credentials;
mod defaults;
pub mod key;
pub mod keys;
pub mod last_good;
pub mod layers;
pub mod load;
mod not_yet;
pub mod problem;
pub mod reference;
pub mod shape;
mod spans;
mod suggest;
pub mod valid;

pub use layers::{Loaded, MeterProfile, Profiles, Source};
pub use load::load;
pub use problem::{Origin, Problem, Problems, Severity};

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Everything that `spraylog.toml` can say.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Config {
    /// `[device]`
    pub device: Device,
    /// `[jobcloser]`
    pub jobcloser: JobCloser,
    /// `[job]`
    pub job: Job,
    /// `[meter]`
    pub meter: Meter,
    /// `[gps]`
    pub gps: Gps,
    /// `[clock]`
    pub clock: Clock,
    /// `[record]`
    pub record: Record,
    /// `[queue]`
    pub queue: Queue,
    /// `[retry]`
    pub retry: Retry,
    /// `[status]`
    pub status: Status,
    /// `[log]`
    pub log: Log,
}

/// `[device]`: this rig.
#[derive(Debug, Clone, PartialEq)]
pub struct Device {
    /// `DeviceName` of every record. Empty here means that nobody set it: [`load()`] puts
    /// the host name in.
    pub name: String,
    /// IANA name of the zone in which `ApplicationDate` is written.
    pub timezone: String,
    /// Where the queue lives.
    pub data_dir: PathBuf,
}

/// `[jobcloser]`: the server.
#[derive(Debug, Clone, PartialEq)]
pub struct JobCloser {
    /// Scheme, host and port; `http://` only to loopback.
    pub base_url: String,
    /// File with the e-mail address to sign in with.
    pub email_file: PathBuf,
    /// File with the password.
    pub password_file: PathBuf,
    /// `CompanyId`; what sign-in answers by default.
    pub company_id: String,
    /// Records in a batch at most.
    pub batch_records: usize,
    /// Bytes in a batch at most.
    pub batch_bytes: u64,
    /// A key around the array, if the server wants one; empty for a bare array.
    pub body_wrapper: String,
    /// The greatest integer the server's fields hold.
    pub max_count: u64,
    /// Whole request; for `getall`, between two reads.
    pub timeout: Duration,
    /// How long after an unanswered request the server is asked what it stored.
    pub settle_after: Duration,
    /// PEM file with an extra root certificate; empty for none.
    pub ca_file: PathBuf,
}

/// `[job]`: a fixed assignment. Empty ids are no assignment.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Job {
    /// `EventId`.
    pub event_id: String,
    /// `JobId`.
    pub job_id: String,
    /// `JobItemId`.
    pub job_item_id: String,
    /// `ProductId`.
    pub product_id: String,
    /// The operator's text for every note.
    pub note: String,
}

/// `[meter]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Meter {
    /// Name of a profile, or a path to one.
    pub profile: String,
    /// Stable name of the serial port.
    pub port: PathBuf,
    /// Bits a second.
    pub baud: u32,
    /// Data bits, parity, stop bits.
    pub framing: Framing,
    /// How often a meter that must be asked is asked.
    pub poll_every: Duration,
    /// Modbus unit.
    pub unit: u8,
    /// `MeterSerialNumber`, where the meter doesn't tell.
    pub serial_number: String,
    /// Silence after which `status` calls the meter stale.
    pub stale_after: Duration,
    /// `[meter.calibration]`
    pub calibration: Calibration,
    /// `[meter.counter]`
    pub counter: Counter,
    /// `[meter.battery]`
    pub battery: Battery,
}

/// A serial line's framing, as in `8N1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Framing {
    /// 7 or 8.
    pub data_bits: u8,
    /// None, even or odd.
    pub parity: Parity,
    /// 1 or 2.
    pub stop_bits: u8,
}

/// A serial line's parity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parity {
    /// `N`
    None,
    /// `E`
    Even,
    /// `O`
    Odd,
}

/// `[meter.calibration]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// K in counts a gallon.
    pub factor: f64,
    /// Optional (Hz, K) points, ascending in Hz.
    pub points: Vec<(f64, f64)>,
}

/// `[meter.counter]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Counter {
    /// The count after which the meter shows 0 again, plus one.
    pub modulus: u64,
    /// No flow is faster, in gallons a minute.
    pub max_rate_gpm: f64,
    /// Below it liquid doesn't *flow*, in gallons a minute.
    pub low_flow_gpm: f64,
}

/// `[meter.battery]`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Battery {
    /// (volts, percent) points, ascending in volts.
    pub curve: Vec<(f64, f64)>,
}

/// `[gps]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Gps {
    /// Where fixes come from.
    pub source: GpsSource,
    /// Stable name of the serial port.
    pub port: PathBuf,
    /// Bits a second.
    pub baud: u32,
    /// Address of gpsd.
    pub gpsd: String,
    /// Greatest HDOP that counts as a fix.
    pub max_hdop: f64,
    /// Age at which a fix stops being fresh.
    pub stale_after: Duration,
    /// The place of a rig that doesn't move: latitude, longitude in degrees.
    pub fixed: Option<(f64, f64)>,
    /// Whether held readings may get a place between two later fixes.
    pub backfill: bool,
}

/// Where fixes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GpsSource {
    /// NMEA on a serial port.
    Serial,
    /// gpsd.
    Gpsd,
    /// A configured place; time from the system.
    Fixed,
    /// Nowhere: readings are held for want of a place.
    None,
}

/// `[clock]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Clock {
    /// When the system clock is believed.
    pub trust_system: TrustSystem,
}

/// When the system clock is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrustSystem {
    /// When the kernel says it is synchronised.
    Auto,
    /// From the start.
    Always,
    /// Not at all.
    Never,
}

/// `[record]`: when a sample becomes a reading.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// While liquid flows.
    pub every: Duration,
    /// Metres of net movement while liquid flows.
    pub every_m: f64,
    /// Gallons, flowing or seeping.
    pub every_gal: f64,
    /// Heartbeat at rest; zero for none.
    pub idle_every: Duration,
    /// `[record.stand_in]`
    pub stand_in: StandIn,
}

/// `[record.stand_in]`: the operator's values instead of null.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct StandIn {
    /// °F.
    pub fluid_f: Option<f64>,
    /// °F.
    pub ambient_f: Option<f64>,
    /// 0 to 100.
    pub battery_percent: Option<f64>,
    /// Minutes.
    pub runtime_min: Option<f64>,
}

/// `[queue]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Queue {
    /// Sent readings younger than this are never pruned.
    pub retention: Duration,
    /// Database size above which the agent warns.
    pub max_bytes: u64,
    /// Free space below which photos and logs stop.
    pub min_free: u64,
}

/// `[retry]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Retry {
    /// First wait.
    pub initial: Duration,
    /// Longest wait while no server was reached.
    pub connect_max: Duration,
    /// Longest wait while one answers.
    pub max: Duration,
}

/// `[status]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Status {
    /// Address of the local page; `None` turns it off.
    pub listen: Option<SocketAddr>,
    /// Path of the control socket.
    pub socket: PathBuf,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
}
