//! What recording shows of itself to `status`: plain numbers as of a moment. Knows no
//! task, no page and no command.

use std::path::PathBuf;

use serde::Serialize;
use tracing::{debug, info, warn};

use super::agreement::Disagreement;
use super::flow::FlowState;
use super::place::FixState;
use crate::gps;
use crate::health::Health;
use crate::meter::{ascii, polling};
use crate::reading::Place;

/// The recorder as of a moment. Counters are since the agent's start.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    /// What the liquid does; `unknown` while the meter is silent.
    pub flow: FlowState,
    /// Gallons a minute as of the last sample; `None` while flow is unknown.
    pub rate_gpm: Option<f64>,
    /// The battery's charge in percent: the meter's, or by the configured curve.
    pub battery_percent: Option<f64>,
    /// Its voltage.
    pub battery_volts: Option<f64>,
    /// Minutes that it lasts: the meter's, or by how it went down; `None` where that can't be
    /// known.
    pub runtime_min: Option<f64>,
    /// Whether count and rate contradict each other, and how.
    pub disagreement: Option<Disagreement>,
    /// Milliseconds since the meter's last sample of any kind.
    pub sample_age_ms: Option<i64>,
    /// Milliseconds since the last sample that was believed.
    pub believed_age_ms: Option<i64>,
    /// Milliseconds since the last reading of this boot.
    pub reading_age_ms: Option<i64>,
    /// The meter that is recorded.
    pub serial: Option<String>,
    /// Its raw count.
    pub raw: Option<u64>,
    /// Its unwrapped count, within the segment's base.
    pub unwrapped: Option<u64>,
    /// K in force, in counts a gallon.
    pub k: Option<f64>,
    /// Gallons metered since the last reading.
    pub unrecorded_gal: f64,
    /// Another assignment takes effect at the next reading.
    pub assignment_waits: bool,
    /// Another K takes effect at the next reading.
    pub calibration_waits: bool,
    /// What the position is good for.
    pub fix: FixState,
    /// Milliseconds since the last accepted fix.
    pub fix_age_ms: Option<i64>,
    /// Where, while the fix is fresh; not for `status`.
    #[serde(skip)]
    pub place: Option<Place>,
    /// What happened, and what was dropped.
    #[serde(flatten)]
    pub tally: Tally,
}

/// What happened since the agent's start, and what was dropped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Samples with a count that no other sample agreed with.
    pub suspects_dropped: u64,
    /// Samples with a count that the configured modulus doesn't allow.
    pub out_of_range_dropped: u64,
    /// Samples with a serial number that no other sample agreed with.
    pub strangers_dropped: u64,
    /// Fixes that came out of order.
    pub late_fixes_dropped: u64,
    /// Fixes further from those before them than any sprayer drives meanwhile.
    pub place_jumps: u64,
    /// Restarts of the meter.
    pub restarts: u64,
    /// Rollovers of its count.
    pub rollovers: u64,
    /// Times that volume was found after a gap.
    pub gaps: u64,
    /// Counts that moved by more than the greatest rate explains.
    pub jumps: u64,
    /// Damaged lines that were believed and corrected by the next ones.
    pub corrections: u64,
    /// Counts that such lines brought and that no later count has made up for.
    pub overcounted: u64,
    /// Changes to another meter.
    pub meter_changes: u64,
    /// Samples that made no reading for want of room; the next reading has their volume.
    pub withheld: u64,
    /// Times that the count stood still while the meter's rate said flow.
    pub count_frozen: u64,
    /// Times that it advanced while the rate said none.
    pub counts_without_rate: u64,
}

impl Tally {
    /// Logs what is new since then.
    pub fn tell_since(&self, before: &Self) {
        let new = |now: u64, before: u64| now > before;
        if new(self.restarts, before.restarts) {
            info!("the meter has restarted");
        }
        if new(self.rollovers, before.rollovers) {
            info!("the meter's count has passed its modulus");
        }
        if new(self.gaps, before.gaps) {
            info!("volume found after a gap");
        }
        if new(self.meter_changes, before.meter_changes) {
            warn!("another meter is connected");
        }
        if new(self.jumps, before.jumps) {
            warn!("the count jumped by more than max_rate_gpm explains, and stayed there");
        }
        if new(self.corrections, before.corrections) {
            warn!("a damaged count was believed; the next ones make up for it");
        }
        if new(self.count_frozen, before.count_frozen) {
            warn!("the meter's rate says flow and its count stands still: no gallons are recorded");
        }
        if new(self.counts_without_rate, before.counts_without_rate) {
            warn!("the meter counts and its own rate says none");
        }
        if new(self.place_jumps, before.place_jumps) {
            debug!(fixes = self.place_jumps, "fixes not used: no sprayer drives that far");
        }
        let dropped = |t: &Self| t.suspects_dropped + t.out_of_range_dropped + t.strangers_dropped;
        if new(dropped(self), dropped(before)) {
            debug!(samples = dropped(self), "samples dropped that no other agreed with");
        }
    }
}

/// The meter's part of `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct MeterView {
    /// The port.
    pub port: Health,
    /// What its bytes came to, where it speaks by itself.
    pub decoded: Option<ascii::Counters>,
    /// What it was asked, where it doesn't.
    pub polled: Option<Polled>,
    /// Samples that the recorder had no room for; the count in the next one has them.
    pub dropped: u64,
}

/// What a meter was asked and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Polled {
    /// In numbers.
    #[serde(flatten)]
    pub counters: polling::Counters,
    /// What goes wrong time and again.
    pub problem: Option<String>,
}

/// The receiver's part of `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GpsView {
    /// The port; `None` for a source that has none.
    pub port: Option<Health>,
    /// gpsd, where that is the source.
    pub gpsd: Option<GpsdView>,
    /// What the port's bytes came to.
    pub decoded: gps::Counters,
    /// Fixes that the recorder had no room for.
    pub dropped: u64,
}

/// gpsd's part of `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct GpsdView {
    /// The connection; its path is gpsd's address.
    pub connection: Health,
    /// What gpsd says of itself and its receivers.
    #[serde(flatten)]
    pub told: gps::gpsd::Told,
    /// Milliseconds since its last report, or since it began to be read.
    pub silent_ms: i64,
    /// What its lines came to.
    pub decoded: gps::gpsd::Counters,
}

/// The recording's part of `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RecordView {
    /// The recorder.
    #[serde(flatten)]
    pub recorder: Option<View>,
    /// Readings that could not be kept since their numbers are beyond the queue's.
    pub unrecordable: u64,
    /// What isn't on the disk, while the disk refuses it or takes its time.
    pub not_durable: Option<NotDurable>,
    /// Times that were no date, or that would have turned time back.
    pub dates_refused: u64,
}

/// Readings that wait in memory for a disk that doesn't take them. They have no sequence
/// number yet, and count as recorded nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotDurable {
    /// How many.
    pub readings: usize,
    /// Seconds since the oldest of them.
    pub for_s: i64,
    /// Why.
    pub why: String,
    /// What to do about it.
    pub remedy: &'static str,
    /// Where the queue is.
    pub directory: PathBuf,
    /// Whether there is no room for more, so that places and times are being lost.
    pub full: bool,
}
