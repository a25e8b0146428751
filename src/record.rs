//! When a sample becomes a reading. [`Recorder`] is pure: samples, fixes and the wanted
//! assignment go in with their times, readings come out. It opens no port, reads no
//! clock and stores nothing; the tasks around it ([`meter_source`], [`gps_source`],
//! [`task`]) do.
//!
//! ```text
//! sample ─► metering ─ counter: is it believed?   ledger: volume, segment
//!               ├─ flow: starts, stops
//! fix ─ reach ──┼─ places: where?   movement: how far?
//! assignment ───┼─ spans: whose?
//!               ▼
//!           sampling: due? ─► Reading
//! ```

mod agreement;
#[cfg(test)]
mod balance;
mod flow;
pub mod gps_source;
mod gpsd_source;
mod keep;
mod ledger;
pub mod meter_source;
mod metering;
mod movement;
mod place;
mod reach;
mod recorder;
pub mod rig;
mod rules;
mod sampling;
mod span;
pub mod task;
#[cfg(test)]
mod timelines;
mod track;
mod unsaved;
mod view;

pub use agreement::Disagreement;
pub use flow::FlowState;
pub use place::FixState;
pub use recorder::Recorder;
pub use rules::{LastReading, Resume, Rules};
pub use view::{GpsView, MeterView, NotDurable, RecordView, Tally, View};
