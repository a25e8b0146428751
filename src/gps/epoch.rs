//! Which sentences belong together, and when they are a fix: RMC and GGA (or GNS) of
//! equal UTC, in whatever order, with everything that rule 13 wants.
//!
//! Knows no bytes and no clock: `at` comes with the sentence, for the fix to bear.

use std::collections::VecDeque;

use super::fields::Degrees;
use super::sentence::{Report, Rmc, Solution};
use super::{Cause, Rejected};
use crate::clock::{BootInstant, UtcMs};
use crate::reading::{Fix, Place};

/// Epochs kept in sight while their sentences come in. Receivers that buffer send two at
/// once interleaved, and some put the RMC of a second after its ten GGA; when another one
/// begins, the oldest is closed and counted.
const IN_SIGHT: usize = 16;

/// A date that the receiver told with a fix is that of others so near to it, by its own
/// time of day: some send ZDA after the fix, or less often.
const SAME_DATE_MS: i64 = 60_000;

const DAY_MS: i64 = 86_400_000;

/// Metres a second in a knot: 1852 m an hour (ISO 80000-3).
const MPS_PER_KNOT: f64 = 1852.0 / 3600.0;

/// RMC and GGA of one receiver differ by rounding alone. Where they are further apart, in
/// degrees, one of them was damaged in a way its checksum didn't show (one bad line in
/// 256) or comes from another receiver. Wide enough for one that rounds to 0.1 minutes.
const FURTHEST_APART_DEG: f64 = 0.01;

/// A fix, and the milliseconds of the day that its sentences bear.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Paired {
    pub fix: Fix,
    pub time_ms: u32,
}

/// Epochs that are coming in, and what became of the last few.
#[derive(Debug)]
pub(super) struct Epochs {
    open: VecDeque<Epoch>,
    out: VecDeque<Stamp>,
    /// The last date that the receiver itself gave to a fix. What it says without one isn't
    /// kept: on a cold start that is its clock's, and often nonsense.
    dated: Option<UtcMs>,
    pub max_hdop: f64,
}

/// What tells one fix's time from another's.
#[derive(Debug, Clone, Copy)]
struct Stamp {
    time_ms: u32,
    midnight_ms: Option<i64>,
}

impl Stamp {
    /// A date that one of two lacks doesn't tell them apart.
    fn repeats(self, earlier: Self) -> bool {
        let same_day = match (self.midnight_ms, earlier.midnight_ms) {
            (Some(a), Some(b)) => a == b,
            _ => true,
        };
        self.time_ms == earlier.time_ms && same_day
    }
}

#[derive(Debug)]
struct Epoch {
    time_ms: u32,
    at: BootInstant,
    midnight_ms: Option<i64>,
    rmc: Option<Rmc>,
    gga: Option<Solution>,
    gns: Option<Solution>,
    /// Whether a sentence after GGA or GNS says too that there is a fix.
    seconded: bool,
    /// Its fix is out, or it was refused: both for good.
    closed: bool,
    /// Its fix is out.
    fixed: bool,
    /// A closed epoch of the same UTC came before it.
    again: bool,
}

impl Epochs {
    pub fn new(max_hdop: f64) -> Self {
        let (open, out) = (VecDeque::with_capacity(IN_SIGHT), VecDeque::with_capacity(IN_SIGHT));
        Self { open, out, dated: None, max_hdop }
    }

    /// Takes what a sentence says; its first byte was read `at`. Gives the fix that it
    /// completes, and counts what it refuses.
    pub fn take(&mut self, report: Report, at: BootInstant, no: &mut Rejected) -> Option<Paired> {
        let denies = self.denies(&report);
        let Some(time_ms) = report.time_ms() else {
            // Nothing to join it by: it stands for an epoch of its own.
            if !matches!(report, Report::Time(_)) {
                no.count(denies.unwrap_or(Cause::Unpaired));
            }
            return None;
        };
        let index = self.place(time_ms, at, &report, no);
        let epoch = self.open.get_mut(index)?;
        epoch.keep(report);
        if epoch.closed {
            self.dated = epoch.dated().or(self.dated);
            return None;
        }
        let found = match denies {
            Some(cause) => Err(cause),
            None => epoch.fix(self.max_hdop, self.dated)?,
        };
        epoch.closed = true;
        let found = found.and_then(|(paired, stamp)| {
            let repeated = self.out.iter().any(|earlier| stamp.repeats(*earlier));
            if repeated { Err(Cause::Repeated) } else { Ok((paired, stamp)) }
        });
        match found {
            Ok((paired, stamp)) => {
                self.emitted(index, stamp, no);
                Some(paired)
            }
            Err(cause) => {
                no.count(cause);
                None
            }
        }
    }

    /// Closes what is still open: no more sentences come, or not before another day.
    pub fn finish(&mut self, no: &mut Rejected) {
        self.dated = None;
        for epoch in self.open.drain(..) {
            epoch.count_unless_closed(no);
        }
    }

    /// Why a sentence rules out its epoch, whatever the others say.
    fn denies(&self, report: &Report) -> Option<Cause> {
        let (denies, degrees, hdop) = match report {
            Report::Rmc(rmc) => (rmc.denies, rmc.degrees, None),
            Report::Gga(it) | Report::Gns(it) => (it.quality.err(), it.degrees, it.hdop),
            Report::Time(_) => return None,
        };
        let misplaced = || match degrees.map(|d| Place::from_degrees(d.lat, d.lon)) {
            Some(None) => Some(Cause::Range),
            Some(Some(Place { lat_e7: 0, lon_e7: 0 })) => Some(Cause::NullIsland),
            _ => None,
        };
        let too_vague = || hdop.filter(|hdop| *hdop > self.max_hdop).map(|_| Cause::Hdop);
        denies.or_else(misplaced).or_else(too_vague)
    }

    /// The index of the epoch that a sentence belongs to. A second RMC (or GGA, or GNS)
    /// after an epoch is closed begins a new one of the same UTC: the receiver says it
    /// again, be it the same fix or another verdict.
    fn place(
        &mut self,
        time_ms: u32,
        at: BootInstant,
        report: &Report,
        no: &mut Rejected,
    ) -> usize {
        let known = self.open.iter().position(|epoch| epoch.time_ms == time_ms);
        if let Some(index) = known {
            match self.open.get(index) {
                Some(epoch) if epoch.closed && epoch.has(report) => self.open.remove(index),
                _ => return index,
            };
        }
        if self.open.len() == IN_SIGHT
            && let Some(oldest) = self.open.pop_front()
        {
            oldest.count_unless_closed(no);
        }
        self.open.push_back(Epoch::new(time_ms, at, known.is_some()));
        self.open.len() - 1
    }

    /// A fix is out: what began before it would now come too late.
    fn emitted(&mut self, index: usize, stamp: Stamp, no: &mut Rejected) {
        for epoch in self.open.iter_mut().take(index) {
            epoch.count_unless_closed(no);
            epoch.closed = true;
        }
        if let Some(epoch) = self.open.get_mut(index) {
            epoch.fixed = true;
            self.dated = epoch.dated().or(self.dated);
        }
        if self.out.len() == IN_SIGHT {
            self.out.pop_front();
        }
        self.out.push_back(stamp);
    }
}

impl Epoch {
    fn new(time_ms: u32, at: BootInstant, again: bool) -> Self {
        let (rmc, gga, gns) = (None, None, None);
        Self {
            time_ms,
            at,
            midnight_ms: None,
            rmc,
            gga,
            gns,
            seconded: false,
            closed: false,
            fixed: false,
            again,
        }
    }

    /// When it was, if its fix is out and it has told its own date.
    fn dated(&self) -> Option<UtcMs> {
        let midnight_ms = self.midnight_ms.filter(|_| self.fixed)?;
        Some(UtcMs(midnight_ms + i64::from(self.time_ms)))
    }

    fn has(&self, report: &Report) -> bool {
        match report {
            Report::Rmc(_) => self.rmc.is_some(),
            Report::Gga(_) => self.gga.is_some(),
            Report::Gns(_) => self.gns.is_some(),
            Report::Time(_) => false,
        }
    }

    /// The first of a kind stays.
    fn keep(&mut self, report: Report) {
        match report {
            Report::Rmc(rmc) => {
                self.midnight_ms = rmc.midnight_ms.or(self.midnight_ms);
                self.seconded |= self.solved();
                self.rmc.get_or_insert(rmc);
            }
            Report::Gga(gga) => {
                self.gga.get_or_insert(gga);
            }
            Report::Gns(gns) => {
                self.gns.get_or_insert(gns);
            }
            Report::Time(it) => {
                self.midnight_ms = self.midnight_ms.or(it.midnight_ms);
                self.seconded |= it.seconds && self.solved();
            }
        }
    }

    /// The fix, or why there is none; `None` while a sentence for it may still come.
    fn fix(&self, max_hdop: f64, dated: Option<UtcMs>) -> Option<Result<(Paired, Stamp), Cause>> {
        let rmc = self.rmc.as_ref()?;
        let mut solutions = self.gga.iter().chain(&self.gns);
        let (solution, hdop) =
            solutions.find_map(|s| Some((s, s.hdop?)).filter(|_| self.seconded || !s.doubtful))?;
        // The bound may have been lowered since the sentence came in.
        if hdop > max_hdop {
            return Some(Err(Cause::Hdop));
        }
        let quality = match solution.quality {
            Ok(quality) => quality,
            Err(cause) => return Some(Err(cause)),
        };
        let degrees = solution.degrees?;
        if rmc.degrees.is_some_and(|other| far_apart(degrees, other)) {
            return Some(Err(Cause::Disagreement));
        }
        let Some(place) = Place::from_degrees(degrees.lat, degrees.lon) else {
            return Some(Err(Cause::Range));
        };
        let midnight_ms = self.midnight_ms.or_else(|| midnight_near(self.time_ms, dated?));
        let utc = midnight_ms.map(|midnight| UtcMs(midnight + i64::from(self.time_ms)));
        let speed_mps = rmc.knots.map(|knots| knots * MPS_PER_KNOT);
        let fix = Fix { at: self.at, utc, place, hdop, quality, speed_mps };
        let stamp = Stamp { time_ms: self.time_ms, midnight_ms };
        Some(Ok((Paired { fix, time_ms: self.time_ms }, stamp)))
    }

    fn solved(&self) -> bool {
        self.gga.is_some() || self.gns.is_some()
    }

    fn count_unless_closed(&self, no: &mut Rejected) {
        let unconfirmed = || self.gga.iter().chain(&self.gns).any(|s| s.hdop.is_some());
        match (self.closed, self.rmc.is_some(), self.solved()) {
            (true, ..) | (_, false, false) => {}
            (false, ..) if self.again => no.count(Cause::Repeated),
            (false, true, true) if unconfirmed() => no.count(Cause::Unconfirmed),
            (false, true, true) => no.count(Cause::NoHdop),
            (false, ..) => no.count(Cause::Unpaired),
        }
    }
}

/// The midnight that puts a time of day next to `dated`, if that is near enough.
fn midnight_near(time_ms: u32, dated: UtcMs) -> Option<i64> {
    let today = dated.0.div_euclid(DAY_MS) * DAY_MS;
    let off = |midnight: &i64| (midnight + i64::from(time_ms) - dated.0).abs();
    let nearest = [today - DAY_MS, today, today + DAY_MS].into_iter().min_by_key(off)?;
    (off(&nearest) <= SAME_DATE_MS).then_some(nearest)
}

fn far_apart(a: Degrees, b: Degrees) -> bool {
    let across = (a.lon - b.lon).abs();
    (a.lat - b.lat).abs() > FURTHEST_APART_DEG || across.min(360.0 - across) > FURTHEST_APART_DEG
}
