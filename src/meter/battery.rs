//! The battery: volts to percent by a configured curve, and how long it lasts, by how fast it
//! went down within the last two hours.
//!
//! A run time is only told where it can be known. It isn't while the battery charges, where
//! the values scatter more than they fall, after a step (a pump that starts pulls the voltage
//! down, and that is no discharge), or where it went down in one part of the time and not in
//! the other. Pure: the time is an argument. Knows no profile, no reading and no stand-in.

mod curve;
mod slope;

pub use curve::{Curve, CurveError};

use std::collections::VecDeque;

use crate::clock::BootInstant;
use slope::{median, trend};

/// Values of so long a time become one point, their mean.
const POINT_MS: i64 = 60_000;
/// Points that a run time is told from: two hours, so that a battery of a day has lost what
/// a meter that tells whole percents shows …
const MOST_POINTS: usize = 120;
/// … and at least so many.
const FEWEST_POINTS: usize = 20;
/// Of the newest points it is asked whether they rise.
const RECENT_POINTS: usize = 15;
/// Without a value for so long what was before says nothing: it may have been charged.
const HOLE_MS: i64 = 600_000;
/// What the points fell by must be more than a sensor's own step, in percent.
const LEAST_FALL: f64 = 2.0;
/// A step, in percent between three points and the three before them: faster than a battery
/// that is empty within half an hour.
const STEP: f64 = 10.0;
/// Points on either side of a step.
const STEP_POINTS: usize = 3;
/// So far above the trend, in percent, the newest values say that it no longer falls.
const OFF_THE_TREND: f64 = 3.0;
/// Points that say so.
const NEWEST_POINTS: usize = 5;
/// Both halves of the time fell, and neither more than so many times as fast.
const UNEVEN: f64 = 3.0;
/// The points fell by so many times what they are off the line: those of a step, or of several
/// up and down, are further from any line.
const CLOSE: f64 = 12.0;
/// No longer run time is told, in minutes; that a battery lasts longer can't be seen in two
/// hours.
const LONGEST_MIN: f64 = 6_000.0;

/// What is known of the discharge in this boot.
#[derive(Debug, Clone, Default)]
pub struct Battery {
    points: VecDeque<Point>,
    gathering: Option<Gathering>,
    runtime_min: Option<f64>,
}

/// The charge of one minute.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: BootInstant,
    percent: f64,
}

/// Values that will be one point.
#[derive(Debug, Clone, Copy)]
struct Gathering {
    since: BootInstant,
    last: BootInstant,
    sum: f64,
    values: u32,
}

impl Battery {
    /// The charge at a moment, in percent; the minutes that are left of it, where that can be
    /// known.
    pub fn saw(&mut self, at: BootInstant, percent: Option<f64>) -> Option<f64> {
        let percent = percent.filter(|percent| percent.is_finite())?;
        let hole = |g: Gathering| !(0..=HOLE_MS).contains(&at.since_ms(g.last));
        if self.gathering.is_some_and(hole) {
            self.forget();
        }
        let mut now =
            self.gathering.unwrap_or(Gathering { since: at, last: at, sum: 0.0, values: 0 });
        if at.since_ms(now.since) >= POINT_MS {
            self.point(now);
            now = Gathering { since: at, last: at, sum: 0.0, values: 0 };
        }
        now.last = at;
        now.sum += percent;
        now.values = now.values.saturating_add(1);
        self.gathering = Some(now);
        self.runtime_min
    }

    /// Another battery, for all that is known: what was before says nothing.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn point(&mut self, of: Gathering) {
        let middle = of.since.plus_ms(of.last.since_ms(of.since) / 2);
        let percent = of.sum / f64::from(of.values.max(1));
        self.points.push_back(Point { at: middle, percent });
        if self.points.len() > MOST_POINTS {
            self.points.pop_front();
        }
        if self.stepped() {
            self.keep_newest(STEP_POINTS);
        } else if self.rises() {
            self.keep_newest(1);
        }
        self.runtime_min = self.estimate(of.last);
    }

    fn keep_newest(&mut self, points: usize) {
        let old = self.points.len().saturating_sub(points);
        self.points.drain(..old);
    }

    /// Minutes and percents, minutes from the first point on.
    fn pairs(&self) -> Vec<(f64, f64)> {
        let Some(first) = self.points.front() else { return Vec::new() };
        let minutes = |at: BootInstant| at.since_ms(first.at) as f64 / 60_000.0;
        self.points.iter().map(|point| (minutes(point.at), point.percent)).collect()
    }

    fn stepped(&self) -> bool {
        let newest: Vec<f64> = self.points.iter().rev().map(|p| p.percent).collect();
        let (Some(after), Some(before)) =
            (newest.get(..STEP_POINTS), newest.get(STEP_POINTS..2 * STEP_POINTS))
        else {
            return false;
        };
        (median(after) - median(before)).abs() > STEP
    }

    /// Whether it is being charged: the newest points rise, beyond chance.
    fn rises(&self) -> bool {
        let pairs = self.pairs();
        let recent = pairs.get(pairs.len().saturating_sub(RECENT_POINTS)..).unwrap_or_default();
        recent.len() == RECENT_POINTS && trend(recent).is_some_and(|trend| trend.least > 0.0)
    }

    fn estimate(&self, now: BootInstant) -> Option<f64> {
        let pairs = self.pairs();
        if pairs.len() < FEWEST_POINTS {
            return None;
        }
        let (earlier, later) = pairs.split_at_checked(pairs.len() / 2)?;
        let whole = trend(&pairs).filter(|trend| trend.most < 0.0)?;
        let halves = [trend(earlier)?.slope, trend(later)?.slope];
        let even = halves.iter().all(|half| *half < 0.0)
            && halves[0] >= halves[1] * UNEVEN
            && halves[1] >= halves[0] * UNEVEN;
        let off: Vec<f64> = pairs.iter().map(|(x, y)| y - whole.at(*x)).collect();
        let distances: Vec<f64> = off.iter().map(|off| off.abs()).collect();
        let newest = off.get(off.len().saturating_sub(NEWEST_POINTS)..)?;
        let fall = -whole.slope * pairs.last()?.0;
        if !even
            || fall < LEAST_FALL.max(CLOSE * median(&distances))
            || median(newest) > OFF_THE_TREND
        {
            return None;
        }
        let now_min = now.since_ms(self.points.front()?.at) as f64 / 60_000.0;
        let left = (whole.at(now_min) / -whole.slope).clamp(0.0, LONGEST_MIN);
        Some(left.round())
    }
}

#[cfg(test)]
mod tests;
