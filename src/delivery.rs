//! The words of delivery: whose readings, which of them, and what became of each. The
//! queue and the drain speak them; neither is known here.

use serde::{Deserialize, Serialize};

use crate::reading::Seq;

/// The job that a batch is for: one (event, job).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct JobKey {
    /// `EventId`.
    pub event: String,
    /// `JobId`.
    pub job: String,
}

/// News from the control door.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hint {
    /// An operator asked for another try, or changed what there is to send or ask about.
    TryAgain,
    /// Readings have come from a damaged queue, some of them perhaps in doubt.
    Carried,
}

/// Which readings to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The oldest that are ready, but for these.
    Oldest {
        /// Set aside for now.
        skip: Vec<Seq>,
        /// Jobs that are passed over for now.
        but: Vec<JobKey>,
    },
    /// Exactly these, as far as they are ready.
    These(Vec<Seq>),
}

/// What became of one reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has it, under this id where it told one.
    Sent(Option<String>),
    /// The server has not: it is ready again, and its bytes stay as they are.
    Open,
    /// The server refused it, alone.
    Rejected(String),
}

/// An attempt whose outcome is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenAttempt {
    /// Row id.
    pub id: i64,
    /// Its job.
    pub key: JobKey,
    /// Its readings that are in doubt.
    pub seqs: Vec<Seq>,
    /// They come from a damaged queue, and whether they were ever sent is lost.
    pub carried: bool,
}

/// A frozen reading as the server would show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Frozen {
    /// Our number.
    pub seq: Seq,
    /// `MeterSerialNumber`.
    pub serial: String,
    /// `ApplicationDate` as an instant, in seconds.
    pub utc_s: i64,
    /// `MeterRawCount`.
    pub raw: i64,
    /// The offset that `ApplicationDate` was written with, in minutes.
    pub offset_min: i32,
    /// `Id`, where known.
    pub server_id: Option<String>,
    /// The attempt that it was last sent in.
    pub attempt: i64,
}

/// A frozen reading, and where in the sending it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The reading.
    pub frozen: Frozen,
    /// Whether it counts as sent: else it may be at the server, or not.
    pub sent: bool,
}
