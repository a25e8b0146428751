//! The last seconds of fixes, bounded in time and number. Knows neither why they are
//! kept nor what a reading is.

use std::collections::VecDeque;

use crate::clock::BootInstant;
use crate::reading::{DEGREES_E7, Fix, Place};

/// Fixes closer together than this replace one another, so that a fast receiver fills no
/// more than one at 5 Hz.
const GRAIN_MS: i64 = 200;

/// Fixes of the last `span_ms`, oldest first.
#[derive(Debug, Clone)]
pub struct Track {
    fixes: VecDeque<Fix>,
    span_ms: i64,
}

impl Track {
    /// An empty track that will hold the fixes of the last `span_ms`.
    pub fn new(span_ms: i64) -> Self {
        Self { fixes: VecDeque::new(), span_ms }
    }

    /// Takes a fix that is newer than all before it.
    pub fn push(&mut self, fix: Fix) {
        let newest = fix.at;
        // The last one may be moved on only if the one before it leaves room, else a
        // fast receiver would hold one fix for ever.
        let crowded = self.fixes.len() >= 2
            && self
                .fixes
                .get(self.fixes.len() - 2)
                .is_some_and(|before| newest.since_ms(before.at) < 2 * GRAIN_MS);
        if crowded {
            self.fixes.pop_back();
        }
        self.fixes.push_back(fix);
        while self.fixes.front().is_some_and(|f| newest.since_ms(f.at) > self.span_ms) {
            self.fixes.pop_front();
        }
    }

    /// The fixes, oldest first.
    pub fn fixes(&self) -> impl DoubleEndedIterator<Item = &Fix> {
        self.fixes.iter()
    }

    /// Mean place of the fixes from `from` to `to`, both included; `None` without any.
    pub fn mean(&self, from: BootInstant, to: BootInstant) -> Option<Place> {
        mean(self.fixes.iter().filter(|f| f.at >= from && f.at <= to).map(|f| f.place))
    }
}

/// Mean of places that lie within a few degrees of each other, also across ±180°.
fn mean(places: impl Iterator<Item = Place>) -> Option<Place> {
    const TURN_E7: i64 = 360 * DEGREES_E7 as i64;
    let mut origin = None;
    let (mut lat, mut lon, mut n) = (0_i64, 0_i64, 0_i64);
    for place in places {
        let first: Place = *origin.get_or_insert(place);
        lat += i64::from(place.lat_e7) - i64::from(first.lat_e7);
        let east = i64::from(place.lon_e7) - i64::from(first.lon_e7);
        lon += (east + TURN_E7 / 2).rem_euclid(TURN_E7) - TURN_E7 / 2;
        n += 1;
    }
    let first = origin?;
    let lon_e7 = i64::from(first.lon_e7) + lon / n;
    let wrapped = (lon_e7 + TURN_E7 / 2).rem_euclid(TURN_E7) - TURN_E7 / 2;
    Some(Place {
        lat_e7: i32::try_from(i64::from(first.lat_e7) + lat / n).ok()?,
        lon_e7: i32::try_from(wrapped).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fix(ms: i64, lat: f64, lon: f64) -> Fix {
        Fix {
            at: BootInstant(ms),
            utc: None,
            place: Place::from_degrees(lat, lon).unwrap(),
            hdop: 0.9,
            quality: 1,
            speed_mps: None,
        }
    }

    #[test]
    fn a_track_holds_its_time_and_no_more_however_fast_the_receiver() {
        for step_ms in [50, 100, 200, 1000] {
            let mut track = Track::new(10_000);
            for ms in (0..60_000).step_by(step_ms) {
                track.push(fix(ms, 40.0, -90.0));
            }
            let times: Vec<i64> = track.fixes().map(|f| f.at.0).collect();
            assert!(times.len() <= 52, "{step_ms}: {}", times.len());
            let span = times.last().unwrap() - times.first().unwrap();
            assert!((9_000..=10_000).contains(&span), "{step_ms}: {span}");
        }
    }

    #[test]
    fn the_mean_is_right_across_the_date_line() {
        let mut track = Track::new(10_000);
        track.push(fix(0, 10.0, 179.999));
        track.push(fix(1000, 10.002, -179.999));
        let mean = track.mean(BootInstant(0), BootInstant(1000)).unwrap();
        assert_eq!(mean.lat_e7, 100_010_000);
        assert_eq!(mean.lon_e7.abs(), 1_800_000_000);
        assert_eq!(track.mean(BootInstant(2000), BootInstant(3000)), None);
    }
}
