//! What the rig really did: every meter line and GPS epoch it emitted, when its cables
//! were out and when nobody was there to listen. The judge goes by this and by nothing
//! the agent says. Plain data; knows no port and no record.

use std::collections::VecDeque;

use crate::gps::Spot;
use crate::meter::{Kind, Line, Sensors};

/// Lines and epochs kept, each: a day at 10 a second. Beyond it the oldest are forgotten
/// and counted, and the judge says that it can't judge the whole run.
const KEPT: usize = 864_000;

/// One meter line that the rig emitted, or an answer that told its count; also what a meter
/// that nobody asks would have told, unheard.
#[derive(Debug, Clone, PartialEq)]
pub struct Emitted {
    /// When, in unix milliseconds.
    pub at_ms: i64,
    /// The count in it.
    pub raw: u64,
    /// The true count of its segment, going on past the modulus.
    pub unwrapped: u64,
    /// Segment of the meter, from 0.
    pub segment: u32,
    /// All counts since the rig was started.
    pub counted: u64,
    /// The rate in it, in gallons a minute.
    pub rate_gpm: f64,
    /// The sensors in it.
    pub sensors: Sensors,
    /// Whether someone had the port open, the cable was in and all of it went out.
    pub heard: bool,
    /// Whether it went out unspoilt and with the count that the meter has.
    pub honest: bool,
}

/// One GPS epoch that the rig emitted.
#[derive(Debug, Clone, PartialEq)]
pub struct Epoch {
    /// The instant it tells, in unix milliseconds.
    pub at_ms: i64,
    /// The place it tells; `None` while the fix is lost.
    pub place: Option<Spot>,
    /// Whether someone had the port open, the cable was in and all of it went out.
    pub heard: bool,
}

/// Something that lasts and excuses a gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Trouble {
    /// The meter's cable is out.
    MeterUnplugged,
    /// Lines come out spoilt or with a false count.
    MeterNoise,
    /// The GPS's cable is out.
    GpsUnplugged,
    /// The receiver has no fix.
    GpsLost,
    /// The agent is not running.
    AgentDown,
    /// The disk under its queue takes nothing.
    DiskStalls,
}

/// A trouble from one instant to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// What.
    pub trouble: Trouble,
    /// Unix milliseconds.
    pub from_ms: i64,
    /// Unix milliseconds; `None` while it lasts.
    pub to_ms: Option<i64>,
}

/// A change of the commanded flow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FlowChange {
    /// Unix milliseconds.
    pub at_ms: i64,
    /// Gallons a minute from then on.
    pub gpm: f64,
}

/// What the rig really did.
#[derive(Debug, Clone)]
pub struct Truth {
    /// What the meter is: how exactly it can tell.
    pub kind: Kind,
    /// The meter's serial number.
    pub serial: String,
    /// Counts a gallon, or steps of a total's last digit.
    pub k: f64,
    /// Meter lines, oldest first.
    pub lines: VecDeque<Emitted>,
    /// GPS epochs, oldest first.
    pub epochs: VecDeque<Epoch>,
    /// Troubles, in the order in which they began.
    pub periods: Vec<Period>,
    /// When the meter started again, in unix milliseconds.
    pub restarts: Vec<i64>,
    /// Changes of flow, oldest first.
    pub flow: Vec<FlowChange>,
    /// All counts since the rig was started, also those in no line yet.
    pub counted: u64,
    /// Lines and epochs that no longer fit.
    pub forgotten: u64,
}

impl Truth {
    /// The truth of a rig that has not begun, and whose meter speaks the rig's own line.
    pub fn new(serial: &str, k: f64) -> Self {
        Self {
            kind: Kind::default(),
            serial: serial.to_owned(),
            k,
            lines: VecDeque::new(),
            epochs: VecDeque::new(),
            periods: Vec::new(),
            restarts: Vec::new(),
            flow: Vec::new(),
            counted: 0,
            forgotten: 0,
        }
    }

    /// Notes a line. `honest` is whether it went out unspoilt.
    pub fn line(&mut self, at_ms: i64, line: &Line, heard: bool, honest: bool) {
        self.counted = line.counted;
        self.lines.push_back(Emitted {
            at_ms,
            raw: line.raw,
            unwrapped: line.unwrapped,
            segment: line.segment,
            counted: line.counted,
            rate_gpm: line.rate_gpm,
            sensors: line.sensors,
            heard,
            honest: honest && !line.glitch,
        });
        self.forgotten += forget(&mut self.lines);
    }

    /// Notes an epoch.
    pub fn epoch(&mut self, at_ms: i64, place: Option<Spot>, heard: bool) {
        self.epochs.push_back(Epoch { at_ms, place, heard });
        self.forgotten += forget(&mut self.epochs);
    }

    /// Notes that a trouble begins; one that lasts already goes on.
    pub fn begin(&mut self, trouble: Trouble, now_ms: i64) {
        if !self.lasts(trouble) {
            self.periods.push(Period { trouble, from_ms: now_ms, to_ms: None });
        }
    }

    /// Notes that a trouble has ended.
    pub fn end(&mut self, trouble: Trouble, now_ms: i64) {
        for period in &mut self.periods {
            if period.trouble == trouble && period.to_ms.is_none() {
                period.to_ms = Some(now_ms);
            }
        }
    }

    /// Whether a trouble lasts.
    pub fn lasts(&self, trouble: Trouble) -> bool {
        self.periods.iter().any(|period| period.trouble == trouble && period.to_ms.is_none())
    }

    /// Counts that the agent can know of: from the first honest line it heard, what each
    /// further one adds; after a restart, what the meter shows, unless it keeps its total.
    /// A restart makes the counts between the last line before it and itself unknowable to
    /// anyone.
    pub fn knowable_counts(&self) -> u64 {
        let mut sum = 0;
        let mut last: Option<&Emitted> = None;
        for line in self.lines.iter().filter(|line| line.heard && line.honest) {
            sum += match last {
                None => 0,
                Some(before) if before.segment == line.segment => {
                    line.unwrapped.saturating_sub(before.unwrapped)
                }
                Some(_) if self.kind.keeps_total() => 0,
                Some(_) => line.unwrapped,
            };
            last = Some(line);
        }
        sum
    }

    /// Counts since the first honest line that was heard, known to the agent or not.
    pub fn metered_counts(&self) -> u64 {
        let first = self.lines.iter().find(|line| line.heard && line.honest);
        first.map_or(0, |line| self.counted.saturating_sub(line.counted))
    }

    /// The flow at an instant, in gallons a minute.
    pub fn flow_at(&self, at_ms: i64) -> f64 {
        let change = self.flow.iter().rev().find(|change| change.at_ms <= at_ms);
        change.map_or(0.0, |change| change.gpm)
    }
}

fn forget<T>(kept: &mut VecDeque<T>) -> u64 {
    let over = kept.len().saturating_sub(KEPT);
    kept.drain(..over).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::{Meter, MeterSetup};

    #[test]
    fn what_was_counted_before_a_restart_and_in_no_line_is_unknowable() {
        let mut truth = Truth::new("A", 60.0);
        let setup = MeterSetup { k: 60.0, start_count: 500, ..MeterSetup::default() };
        let mut meter = Meter::new(setup, 0);
        meter.flow(60.0, 0);
        truth.line(0, &meter.line(0), true, true);
        truth.line(1000, &meter.line(1000), true, true);
        truth.line(2000, &meter.line(2000), false, true);
        meter.restart(2500);
        truth.line(3000, &meter.line(3000), true, true);
        assert_eq!(truth.metered_counts(), 180);
        assert_eq!(truth.knowable_counts(), 60 + 30);
    }

    #[test]
    fn a_trouble_lasts_until_it_ends() {
        let mut truth = Truth::new("A", 60.0);
        truth.begin(Trouble::GpsLost, 5);
        truth.begin(Trouble::GpsLost, 6);
        assert!(truth.lasts(Trouble::GpsLost));
        truth.end(Trouble::GpsLost, 9);
        assert_eq!(truth.periods.len(), 1);
        assert!(!truth.lasts(Trouble::GpsLost));
    }
}
