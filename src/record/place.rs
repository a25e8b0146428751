//! Which place a reading gets (RULES.md, 14): the fresh fix, else the last good one if
//! the rig stood still there and the span is the same, else none. Knows nothing of how
//! a fix was accepted and never makes one up.

use serde::Serialize;

use super::track::Track;
use crate::clock::BootInstant;
use crate::reading::{Fix, Place};

/// A rig stands still below this speed...
const STANDING_MPS: f64 = 0.5;

/// ...for this long before the fix.
const STANDING_MS: i64 = 10_000;

/// A hole in the fixes longer than this hides what the rig did.
const HOLE_MS: i64 = 3_000;

/// A fix where the rig stood serves this long.
const REUSE_MS: i64 = 15 * 60_000;

/// Fixes older than the standing time are kept for so long more, so that one lies at
/// its far end although fixes don't come on the exact second.
const SLACK_MS: i64 = 3_000;

/// The place of a reading.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// Where.
    pub place: Place,
    /// Age of the fix at the reading's time; 0 for a fix that came after the sample.
    pub age_ms: i64,
    /// Its HDOP.
    pub hdop: f64,
    /// Whether it is an old fix at which the rig stood still.
    pub reused: bool,
    /// Whether it is the configured place.
    pub configured: bool,
}

/// What the position is good for now, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FixState {
    /// The last fix is recent.
    Fresh,
    /// The last fix is old, but the rig stood still.
    Reused,
    /// Readings are held for want of a place.
    None,
}

/// Epochs of a receiver at 1 Hz are this far apart.
const EPOCH_MS: i64 = 1_000;

/// The last good fix, and whether the rig stood still at it.
#[derive(Debug, Clone)]
pub struct Places {
    track: Track,
    last: Option<Fix>,
    stood: bool,
    /// Fixes before this belong to an earlier span and aren't reused.
    span_since: Option<BootInstant>,
    late: u64,
}

impl Places {
    /// No fix yet.
    pub fn new() -> Self {
        Self {
            track: Track::new(STANDING_MS + SLACK_MS),
            last: None,
            stood: false,
            span_since: None,
            late: 0,
        }
    }

    /// Takes an accepted fix. One older than the last is counted and dropped.
    pub fn saw(&mut self, fix: Fix) {
        if self.last.as_ref().is_some_and(|last| fix.at < last.at) {
            self.late += 1;
            return;
        }
        self.track.push(fix.clone());
        self.stood = stood_still(&self.track, &fix);
        self.last = Some(fix);
    }

    /// A span opened `at`: an earlier fix may be fresh there, but is no longer reused.
    pub fn span_opened(&mut self, at: BootInstant) {
        self.span_since = Some(at);
    }

    /// The place of a reading `at`, if any.
    pub fn spot(&self, at: BootInstant, fresh_ms: i64) -> Option<Spot> {
        let fix = self.fix_for(at)?;
        let age_ms = at.since_ms(fix.at);
        let fresh = age_ms <= fresh_ms;
        let same_span = self.span_since.is_none_or(|since| fix.at >= since);
        // What is known of standing still is known of the last fix.
        let newest = self.last.as_ref().is_some_and(|last| last.at == fix.at);
        // A configured place is told for as long as it is configured, and no longer.
        let lasting = newest && self.stood && !fix.is_configured();
        let reused = !fresh && lasting && same_span && age_ms <= REUSE_MS;
        (fresh || reused).then(|| Spot {
            place: fix.place,
            age_ms: age_ms.max(0),
            hdop: fix.hdop,
            reused,
            configured: fix.is_configured(),
        })
    }

    /// The newest fix that is not later than `at`. One that is may serve only within the
    /// same epoch: the rig wasn't there yet.
    fn fix_for(&self, at: BootInstant) -> Option<&Fix> {
        let last = self.last.as_ref()?;
        if last.at <= at {
            return Some(last);
        }
        let before = self.track.fixes().rev().find(|fix| fix.at <= at);
        before.or_else(|| (last.at.since_ms(at) <= EPOCH_MS).then_some(last))
    }

    /// What the position is good for `now`.
    pub fn state(&self, now: BootInstant, fresh_ms: i64) -> FixState {
        match self.spot(now, fresh_ms) {
            Some(Spot { reused: false, .. }) => FixState::Fresh,
            Some(_) => FixState::Reused,
            None => FixState::None,
        }
    }

    /// Age of the last fix, in milliseconds.
    pub fn age_ms(&self, now: BootInstant) -> Option<i64> {
        self.last.as_ref().map(|fix| now.since_ms(fix.at).max(0))
    }

    /// Whether there has been any fix since the start.
    pub fn any(&self) -> bool {
        self.last.is_some()
    }

    /// Fixes that came out of order and were dropped.
    pub fn late(&self) -> u64 {
        self.late
    }
}

/// Whether the rig stood still over the time that ends with `newest`: fixes without a
/// hole reach back over all of it, none is further than that speed would carry, and the
/// receiver, where it tells a speed, tells none above it.
fn stood_still(track: &Track, newest: &Fix) -> bool {
    let reach_m = STANDING_MPS * STANDING_MS as f64 / 1000.0;
    let mut later = newest.at;
    for fix in track.fixes().rev() {
        if later.since_ms(fix.at) > HOLE_MS {
            return false;
        }
        let moved = fix.place.metres_to(newest.place) >= reach_m
            || fix.speed_mps.is_some_and(|v| v >= STANDING_MPS);
        if moved {
            return false;
        }
        if newest.at.since_ms(fix.at) >= STANDING_MS {
            return true;
        }
        later = fix.at;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRESH_MS: i64 = 3_000;
    const METRE: f64 = 1.0 / 111_195.0;

    fn fix(s: i64, north_m: f64, speed_mps: Option<f64>) -> Fix {
        Fix {
            at: BootInstant(s * 1000),
            utc: None,
            place: Place::from_degrees(40.0 + north_m * METRE, -90.0).unwrap(),
            hdop: 0.9,
            quality: 1,
            speed_mps,
        }
    }

    fn stood(seconds: i64) -> Places {
        let mut places = Places::new();
        for s in 0..=seconds {
            places.saw(fix(s, 0.0, Some(0.1)));
        }
        places
    }

    fn spot(places: &Places, s: i64) -> Option<Spot> {
        places.spot(BootInstant(s * 1000), FRESH_MS)
    }

    #[test]
    fn no_fix_is_no_place() {
        assert_eq!(spot(&Places::new(), 10), None);
        assert_eq!(Places::new().state(BootInstant(0), FRESH_MS), FixState::None);
    }

    #[test]
    fn a_fresh_fix_is_the_place_with_its_age() {
        let mut places = Places::new();
        places.saw(fix(10, 0.0, None));
        let at_12_5 = places.spot(BootInstant(12_500), FRESH_MS).unwrap();
        assert_eq!((at_12_5.age_ms, at_12_5.reused), (2500, false));
        assert!(places.spot(BootInstant(13_000), FRESH_MS).is_some());
        assert_eq!(places.spot(BootInstant(13_001), FRESH_MS), None);
    }

    #[test]
    fn a_fix_newer_than_the_sample_has_no_age_and_a_much_newer_one_is_not_its_place() {
        let mut places = Places::new();
        places.saw(fix(10, 0.0, None));
        assert_eq!(places.spot(BootInstant(9_400), FRESH_MS).unwrap().age_ms, 0);
        assert_eq!(places.spot(BootInstant(6_999), FRESH_MS), None);
    }

    #[test]
    fn where_the_rig_stood_serves_a_quarter_of_an_hour_and_not_a_second_more() {
        let places = stood(10);
        let at_20 = spot(&places, 20).unwrap();
        assert_eq!((at_20.age_ms, at_20.reused), (10_000, true));
        assert!(spot(&places, 10 + 900).is_some_and(|s| s.reused));
        assert_eq!(spot(&places, 10 + 901), None);
        assert_eq!(places.state(BootInstant(20_000), FRESH_MS), FixState::Reused);
        assert_eq!(places.state(BootInstant(2_000_000), FRESH_MS), FixState::None);
        assert_eq!(places.age_ms(BootInstant(2_000_000)), Some(1_990_000));
    }

    #[test]
    fn ten_seconds_of_standing_are_needed() {
        assert_eq!(spot(&stood(9), 20), None);
    }

    #[test]
    fn a_moving_rig_leaves_no_place_behind() {
        let mut by_place = Places::new();
        let mut by_speed = Places::new();
        for s in 0..=20 {
            by_place.saw(fix(s, s as f64 * 0.6, None));
            by_speed.saw(fix(s, 0.0, Some(0.6)));
        }
        assert!(spot(&by_place, 21).is_some(), "fresh all the same");
        assert_eq!(spot(&by_place, 30), None);
        assert_eq!(spot(&by_speed, 30), None);
    }

    #[test]
    fn a_rig_that_went_and_came_back_did_not_stand() {
        let mut places = Places::new();
        for (s, north_m) in [0, 2, 4, 6, 8, 10, 8, 6, 4, 2, 0].into_iter().enumerate() {
            places.saw(fix(s as i64, f64::from(north_m), None));
        }
        assert_eq!(spot(&places, 20), None);
    }

    #[test]
    fn a_hole_in_the_fixes_hides_what_the_rig_did() {
        let mut places = Places::new();
        for s in [0, 1, 2, 3, 7, 8, 9, 10] {
            places.saw(fix(s, 0.0, None));
        }
        assert_eq!(spot(&places, 20), None);
    }

    #[test]
    fn a_new_span_ends_the_reuse_until_it_has_a_fix_of_its_own() {
        let mut places = stood(20);
        places.span_opened(BootInstant(30_000));
        assert_eq!(spot(&places, 30), None);
        for s in 31..=32 {
            places.saw(fix(s, 0.0, Some(0.0)));
        }
        assert_eq!(spot(&places, 60), None, "the hole from 20 to 31 s");
        for s in 33..=41 {
            places.saw(fix(s, 0.0, Some(0.0)));
        }
        assert!(spot(&places, 60).is_some_and(|s| s.reused));
    }

    #[test]
    fn a_new_span_keeps_a_fix_that_is_still_fresh() {
        let mut places = stood(20);
        places.span_opened(BootInstant(21_000));
        assert!(spot(&places, 22).is_some_and(|s| !s.reused));
    }

    #[test]
    fn a_fix_out_of_order_is_dropped_and_counted() {
        let mut places = Places::new();
        places.saw(fix(10, 0.0, None));
        places.saw(fix(8, 50.0, None));
        assert_eq!(places.late(), 1);
        assert_eq!(spot(&places, 10).unwrap().place, fix(10, 0.0, None).place);
    }

    #[test]
    fn standing_is_seen_at_ten_fixes_a_second() {
        let mut places = Places::new();
        for i in 0..=101 {
            places.saw(Fix { at: BootInstant(i * 100), ..fix(0, 0.0, Some(0.1)) });
        }
        assert!(spot(&places, 20).is_some_and(|s| s.reused));
    }
}
