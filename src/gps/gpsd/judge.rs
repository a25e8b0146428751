//! Which of gpsd's reports is a fix: rule 13, and once only. Knows no JSON and no socket;
//! `at` comes with the report.
//!
//! A report comes after its epoch: gpsd waits for the last sentence, the network may hold
//! it up, and what a stalled reader finds waiting may be minutes old. Nothing in it says so
//! in a clock of ours, so [`Pace`] compares how its times come with how ours go.

use super::Cause;
use super::report::{Sky, Tpv};
use crate::clock::{BootInstant, UtcMs};
use crate::reading::{Fix, Place};

/// An HDOP serves the reports after it for so long (RULES.md, 13).
const HDOP_MS: i64 = 10_000;
/// Receivers whose HDOP is kept; one more takes the place of the oldest.
const SKIES: usize = 4;
/// A receiver without a fix for so long may be followed by another.
const FOLLOWED_MS: i64 = 3_000;
/// A report later than this against those before it has waited, and is no fix.
const LATE_MS: i64 = 1_000;
/// How much later the reports of one receiver may become with each of them: clocks drift,
/// and a receiver says more or less in an epoch.
const DRIFT_MS: i64 = 20;
/// Late reports that keep pace with time for so long are a receiver whose clock was put back.
const PUT_BACK_MS: i64 = 3_000;
/// Greatest time between the first byte of an epoch and its report: epochs of receivers that
/// gpsd can see pauses between are a second apart.
const LONGEST_EPOCH_MS: f64 = 1_000.0;

/// What the reports so far say of the next one.
#[derive(Debug)]
pub(super) struct Judge {
    pub max_hdop: f64,
    skies: Vec<(Option<String>, f64, BootInstant)>,
    followed: Option<(Option<String>, BootInstant)>,
    last: Option<UtcMs>,
    begun: Option<f64>,
    pace: Pace,
}

impl Judge {
    pub fn new(max_hdop: f64) -> Self {
        Self {
            max_hdop,
            skies: Vec::new(),
            followed: None,
            last: None,
            begun: None,
            pace: Pace::default(),
        }
    }

    /// Another connection: what comes now has waited for nothing before. A fix that is out
    /// isn't given again. A gpsd that begins anew reports a position before it has heard how
    /// that came about (its first report has no status); without an HDOP it is none.
    pub fn cut(&mut self) {
        self.skies.clear();
        (self.begun, self.pace) = (None, Pace::default());
    }

    /// Takes an HDOP. A sky without one (satellites are told before they are used) takes
    /// back none.
    pub fn sky(&mut self, sky: Sky, at: BootInstant) {
        let Some(hdop) = sky.hdop.filter(|hdop| hdop.is_finite() && *hdop > 0.0) else { return };
        self.skies.retain(|(device, ..)| *device != sky.device);
        if self.skies.len() == SKIES {
            self.skies.remove(0);
        }
        self.skies.push((sky.device, hdop, at));
    }

    /// A receiver that gpsd no longer reads.
    pub fn lost(&mut self, path: &str) {
        let gone = |device: &Option<String>| device.as_deref() == Some(path);
        self.skies.retain(|(device, ..)| !gone(device));
        if self.followed.as_ref().is_some_and(|(device, _)| gone(device)) {
            self.followed = None;
        }
    }

    /// The fix in a report whose first byte was read `at`.
    pub fn tpv(&mut self, tpv: Tpv, at: BootInstant) -> Result<Fix, Cause> {
        let took_ms = self.took_ms(&tpv);
        if !matches!(tpv.mode, 2 | 3) {
            return Err(Cause::NoFix);
        }
        let quality = tpv.quality().ok_or(Cause::Estimated)?;
        let (Some(lat), Some(lon)) = (tpv.lat, tpv.lon) else { return Err(Cause::NoPlace) };
        let place = match Place::from_degrees(lat, lon) {
            None => return Err(Cause::Range),
            Some(Place { lat_e7: 0, lon_e7: 0 }) => return Err(Cause::NullIsland),
            Some(place) => place,
        };
        let utc = tpv.time.as_deref().and_then(instant).ok_or(Cause::NoTime)?;
        if let Some((device, last)) = &self.followed
            && *device != tpv.device
            && at.since_ms(*last) < FOLLOWED_MS
        {
            return Err(Cause::OtherDevice);
        }
        if self.last == Some(utc) {
            return Err(Cause::Repeated);
        }
        let hdop = self.hdop(&tpv.device, at).ok_or(Cause::NoHdop)?;
        if hdop > self.max_hdop {
            return Err(Cause::Hdop);
        }
        let at = self.pace.place(at.plus_ms(-took_ms), utc).ok_or(Cause::Late)?;
        self.last = Some(utc);
        self.followed = Some((tpv.device, at));
        let speed_mps = tpv.speed.filter(|v| v.is_finite() && *v >= 0.0);
        Ok(Fix { at, utc: Some(utc), place, hdop, quality, speed_mps })
    }

    fn hdop(&self, device: &Option<String>, at: BootInstant) -> Option<f64> {
        let recent = |seen: BootInstant| (0..=HDOP_MS).contains(&at.since_ms(seen));
        self.skies.iter().find(|(of, _, seen)| of == device && recent(*seen)).map(|sky| sky.1)
    }

    /// Milliseconds from the first byte of a report's epoch until gpsd had made it, as far
    /// as gpsd knows: only where it saw an epoch begin since the report before. One that
    /// never pauses is one long epoch to it.
    fn took_ms(&mut self, tpv: &Tpv) -> i64 {
        let Some((begun, made)) = tpv.timing() else { return 0 };
        let before = self.begun.replace(begun);
        let took_ms = (made - begun) * 1000.0;
        let known = before.is_some_and(|before| before < begun);
        if known && (0.0..=LONGEST_EPOCH_MS).contains(&took_ms) { took_ms as i64 } else { 0 }
    }
}

/// How much later than a receiver's own time its reports come. The quickest tells how late
/// the others are.
#[derive(Debug, Default)]
struct Pace {
    /// Boot time less receiver's time at the quickest.
    due_ms: Option<i64>,
    /// The first report of those that are late and keep pace.
    behind: Option<(BootInstant, i64)>,
}

impl Pace {
    /// The boot time of what a report that came `at` says of the instant `utc`; `None` where
    /// it has waited.
    fn place(&mut self, at: BootInstant, utc: UtcMs) -> Option<BootInstant> {
        let offset_ms = at.0.saturating_sub(utc.0);
        let due_ms = *self.due_ms.get_or_insert(offset_ms);
        let late_ms = offset_ms.saturating_sub(due_ms);
        if late_ms <= LATE_MS {
            self.due_ms = Some(due_ms + late_ms.min(DRIFT_MS));
            self.behind = None;
            return Some(at.plus_ms(-late_ms.max(0)));
        }
        let (since, then_ms) = *self.behind.get_or_insert((at, offset_ms));
        if offset_ms.abs_diff(then_ms) > LATE_MS as u64 {
            // What waited comes faster than time goes.
            self.behind = Some((at, offset_ms));
        } else if at.since_ms(since) >= PUT_BACK_MS {
            *self = Self { due_ms: Some(offset_ms), behind: None };
            return Some(at);
        }
        None
    }
}

/// RFC 3339, as gpsd prints it.
fn instant(text: &str) -> Option<UtcMs> {
    text.parse::<jiff::Timestamp>().ok().map(|t| UtcMs(t.as_millisecond()))
}
