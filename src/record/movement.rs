//! How far the rig has come since the last reading. A GPS that stands still wanders by
//! metres, so means are compared, not fixes, and only while the rig is seen to move.
//! Knows nothing of readings but when one was made.

use super::track::Track;
use crate::clock::BootInstant;
use crate::reading::{Fix, Place};

/// Places are means over so long a time.
const MEAN_MS: i64 = 3_000;

/// Slower than this, by the receiver's own word, is standing.
const STANDING_MPS: f64 = 0.3;

/// The same where the receiver tells no speed: one worked out from two means of wandering
/// fixes is less sure.
const STANDING_BY_PLACE_MPS: f64 = 0.5;

/// Net movement since the last reading.
#[derive(Debug, Clone)]
pub struct Movement {
    track: Track,
    last: Option<BootInstant>,
    /// Mean place at the last reading, or the first one after it.
    from: Option<Place>,
}

impl Movement {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self { track: Track::new(2 * MEAN_MS), last: None, from: None }
    }

    /// Takes an accepted fix; one older than the last says nothing new.
    pub fn saw(&mut self, fix: Fix) {
        if self.last.is_some_and(|last| fix.at < last) {
            return;
        }
        self.last = Some(fix.at);
        self.track.push(fix);
    }

    /// A reading was made `at`: movement counts from here.
    pub fn reading_made(&mut self, at: BootInstant) {
        self.from = self.mean(at);
    }

    /// Net metres since the last reading; 0 while the rig stands, `None` while too few
    /// fixes come to tell.
    pub fn net_m(&mut self, at: BootInstant) -> Option<f64> {
        let here = self.mean(at)?;
        let from = *self.from.get_or_insert(here);
        let moving = self.moving(at, here)?;
        Some(if moving { from.metres_to(here) } else { 0.0 })
    }

    fn mean(&self, at: BootInstant) -> Option<Place> {
        self.track.mean(at.plus_ms(1 - MEAN_MS), at)
    }

    fn moving(&self, at: BootInstant, here: Place) -> Option<bool> {
        let newest = self.track.fixes().rev().find(|f| f.at <= at)?;
        if let Some(mps) = newest.speed_mps {
            return Some(mps >= STANDING_MPS);
        }
        let before = self.track.mean(at.plus_ms(1 - 2 * MEAN_MS), at.plus_ms(-MEAN_MS))?;
        let mps = before.metres_to(here) * 1000.0 / MEAN_MS as f64;
        Some(mps >= STANDING_BY_PLACE_MPS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRE: f64 = 1.0 / 111_195.0;

    fn fix(s: i64, north_m: f64, east_m: f64, speed_mps: Option<f64>) -> Fix {
        Fix {
            at: BootInstant(s * 1000),
            utc: None,
            place: Place::from_degrees(north_m * METRE, 20.0 + east_m * METRE).unwrap(),
            hdop: 0.9,
            quality: 1,
            speed_mps,
        }
    }

    fn at(s: i64) -> BootInstant {
        BootInstant(s * 1000)
    }

    /// Steps of up to half a metre a second that stay within 3 m of where the rig stands.
    struct Wander {
        seed: u64,
        north_m: f64,
        east_m: f64,
    }

    impl Wander {
        fn step(&mut self) -> (f64, f64) {
            let (dn, de) = (self.random(), self.random());
            let (n, e) = (self.north_m + dn, self.east_m + de);
            if n.hypot(e) <= 3.0 {
                (self.north_m, self.east_m) = (n, e);
            }
            (self.north_m, self.east_m)
        }

        fn random(&mut self) -> f64 {
            self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (self.seed >> 33) as f64 / f64::from(1_u32 << 31) - 0.5
        }
    }

    /// Seconds at which a rig that stands and sprays for an hour, with a reading every
    /// 5 s, would have been taken to have moved 2 m.
    fn false_moves(seed: u64, speed_mps: Option<f64>) -> Vec<i64> {
        let mut wander = Wander { seed, north_m: 0.0, east_m: 0.0 };
        let mut movement = Movement::new();
        let mut found = Vec::new();
        for s in 0..3600 {
            let (n, e) = wander.step();
            movement.saw(fix(s, n, e, speed_mps));
            if movement.net_m(at(s)).is_some_and(|m| m >= 2.0) {
                found.push(s);
            }
            if s % 5 == 0 {
                movement.reading_made(at(s));
            }
        }
        found
    }

    #[test]
    fn a_gps_that_wanders_by_three_metres_has_not_moved() {
        for seed in 1..20 {
            assert!(false_moves(seed, Some(0.2)).is_empty());
            assert!(false_moves(seed, None).is_empty());
        }
    }

    #[test]
    fn a_wander_of_an_hour_without_a_reading_has_not_moved_by_the_receivers_own_speed() {
        let mut wander = Wander { seed: 7, north_m: 0.0, east_m: 0.0 };
        let mut movement = Movement::new();
        for s in 0..3600 {
            let (n, e) = wander.step();
            movement.saw(fix(s, n, e, Some(0.1)));
            assert!(movement.net_m(at(s)).is_none_or(|m| m == 0.0));
        }
    }

    #[test]
    fn driving_adds_up_from_the_last_reading() {
        for told in [true, false] {
            let mut movement = Movement::new();
            for s in 0..20 {
                movement.saw(fix(s, s as f64 * 1.5, 0.0, told.then_some(1.5)));
                if s == 10 {
                    movement.reading_made(at(s));
                }
                if s == 11 {
                    assert!((movement.net_m(at(s)).unwrap() - 1.5).abs() < 0.05);
                }
            }
            assert!((movement.net_m(at(19)).unwrap() - 13.5).abs() < 0.05, "told {told}");
        }
    }

    #[test]
    fn without_fixes_nothing_is_known_of_movement() {
        let mut movement = Movement::new();
        assert_eq!(movement.net_m(at(5)), None);
        for s in 0..5 {
            movement.saw(fix(s, s as f64, 0.0, Some(1.0)));
        }
        assert!(movement.net_m(at(4)).is_some());
        assert_eq!(movement.net_m(at(8)), None, "no fix for more than 3 s");
    }

    #[test]
    fn after_a_reading_without_a_place_movement_counts_from_the_first_mean() {
        let mut movement = Movement::new();
        movement.reading_made(at(0));
        for s in 10..20 {
            movement.saw(fix(s, s as f64 * 2.0, 0.0, Some(2.0)));
            let _ = movement.net_m(at(s));
        }
        // From the fix at 10 s alone to the mean of 17 to 19 s.
        assert!((movement.net_m(at(19)).unwrap() - 16.0).abs() < 0.05);
    }
}
