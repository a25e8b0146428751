//! The true path of the rig, and what a receiver with a clear sky says about it: RMC and
//! GGA with the GN talker, as u-blox receivers print them. Pure: `now` is an argument.
//! Knows no port and no recording.
//!
//! ```text
//! $GNRMC,hhmmss.ss,A,ddmm.mmmmm,N,dddmm.mmmmm,W,knots,course,ddmmyy,,,A,V*hh
//! $GNGGA,hhmmss.ss,ddmm.mmmmm,N,dddmm.mmmmm,W,1,12,0.80,metres,M,metres,M,,*hh
//! ```
//!
//! Form: u-blox M8 receiver description, NMEA 4.10 (RMC ends in the navigational status).

mod spoil;

pub use spoil::Spoil;

use std::collections::VecDeque;

use crate::nmea::{date_and_time, degrees, sentence};

/// Mean radius of the earth in metres (IUGG), as distances here are on a sphere.
const EARTH_RADIUS_M: f64 = 6_371_008.8;
const KNOTS_A_MPS: f64 = 3600.0 / 1852.0;

/// A point on WGS 84 in degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Spot {
    /// North is positive.
    pub lat: f64,
    /// East is positive.
    pub lon: f64,
}

impl Spot {
    /// Distance on the sphere in metres.
    pub fn metres_to(self, other: Self) -> f64 {
        let (north, east) = self.offset_to(other);
        north.hypot(east)
    }

    /// This many metres further north and east; for distances of a field, not an ocean.
    pub fn moved(self, north_m: f64, east_m: f64) -> Self {
        let lat = self.lat + (north_m / EARTH_RADIUS_M).to_degrees();
        let around = EARTH_RADIUS_M * self.lat.to_radians().cos().max(1e-6);
        Self { lat, lon: self.lon + (east_m / around).to_degrees() }
    }

    fn offset_to(self, other: Self) -> (f64, f64) {
        let middle = f64::midpoint(self.lat, other.lat).to_radians();
        let north = (other.lat - self.lat).to_radians() * EARTH_RADIUS_M;
        let east = (other.lon - self.lon).to_radians() * EARTH_RADIUS_M * middle.cos();
        (north, east)
    }
}

/// What the sky lets the receiver know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sky {
    /// Place and time.
    Clear,
    /// No place; the time runs on.
    NoFix,
    /// Neither place nor time: just switched on.
    Blind,
    /// The last good epoch, over and over: a receiver that hangs.
    Frozen,
}

/// Where the rig truly is.
#[derive(Debug, Clone)]
pub struct Path {
    at_ms: i64,
    here: Spot,
    speed_mps: f64,
    heading_deg: f64,
    ahead: VecDeque<Spot>,
    /// The last good epoch, as it was told.
    told: String,
}

impl Path {
    /// A rig that stands.
    pub fn new(start: Spot, now_ms: i64) -> Self {
        Self {
            at_ms: now_ms,
            here: start,
            speed_mps: 0.0,
            heading_deg: 0.0,
            ahead: VecDeque::new(),
            told: String::new(),
        }
    }

    /// Drives straight on from `now_ms`; a speed of 0 stops.
    pub fn drive(&mut self, speed_mps: f64, heading_deg: f64, now_ms: i64) {
        self.advance(now_ms);
        self.speed_mps = speed_mps.max(0.0);
        self.heading_deg = heading_deg.rem_euclid(360.0);
        self.ahead.clear();
    }

    /// Drives to each point in turn from `now_ms`, and stops at the last.
    pub fn follow(&mut self, points: impl IntoIterator<Item = Spot>, speed_mps: f64, now_ms: i64) {
        self.advance(now_ms);
        self.speed_mps = speed_mps.max(0.0);
        self.ahead = points.into_iter().collect();
    }

    /// Where it is at `now_ms`; times may not go back.
    pub fn at(&mut self, now_ms: i64) -> Spot {
        self.advance(now_ms);
        self.here
    }

    /// Speed in metres a second.
    pub fn speed_mps(&self) -> f64 {
        self.speed_mps
    }

    /// What a receiver says of the instant `epoch_ms`.
    pub fn sentences(&mut self, epoch_ms: i64, sky: Sky) -> String {
        let here = self.at(epoch_ms);
        match sky {
            Sky::Clear => {
                self.told = self.said(epoch_ms, here).sentences();
                self.told.clone()
            }
            Sky::Frozen => self.told.clone(),
            Sky::NoFix => void_sentences(date_and_time(epoch_ms, 2)),
            Sky::Blind => void_sentences((String::new(), String::new())),
        }
    }

    /// What a receiver with a clear sky and such a fault says of the instant `epoch_ms`, and
    /// the place in it that an honest agent may take; `None` where it may take none.
    pub fn spoilt(&mut self, epoch_ms: i64, spoil: Spoil) -> (String, Option<Spot>) {
        let here = self.at(epoch_ms);
        let (said, place) = spoil.of(self.said(epoch_ms, here), epoch_ms);
        (said.sentences(), place)
    }

    fn said(&self, epoch_ms: i64, here: Spot) -> Said {
        let (date, time) = date_and_time(epoch_ms, 2);
        let (speed_mps, heading_deg) = (self.speed_mps, self.heading_deg);
        Said { date, time, here, speed_mps, heading_deg, quality: 1, mode: 'A' }
    }

    fn advance(&mut self, now_ms: i64) {
        let mut left_m = self.speed_mps * (now_ms - self.at_ms).max(0) as f64 / 1000.0;
        self.at_ms = self.at_ms.max(now_ms);
        while let Some(next) = self.ahead.front().copied() {
            let (north, east) = self.here.offset_to(next);
            let distance = north.hypot(east);
            if distance > 0.0 {
                self.heading_deg = east.atan2(north).to_degrees().rem_euclid(360.0);
            }
            if left_m < distance {
                break;
            }
            left_m -= distance;
            self.here = next;
            self.ahead.pop_front();
            if self.ahead.is_empty() {
                self.speed_mps = 0.0;
                left_m = 0.0;
            }
        }
        let heading = self.heading_deg.to_radians();
        self.here = self.here.moved(left_m * heading.cos(), left_m * heading.sin());
    }
}

/// What a receiver that has a fix says of one epoch.
#[derive(Debug, Clone)]
struct Said {
    date: String,
    time: String,
    here: Spot,
    speed_mps: f64,
    heading_deg: f64,
    /// GGA, field 6.
    quality: u8,
    /// RMC, field 12.
    mode: char,
}

impl Said {
    fn sentences(&self) -> String {
        let Self { date, time, here, speed_mps, heading_deg, quality, mode } = self;
        let (lat, ns) = degrees(here.lat, 2, ["N", "S"]);
        let (lon, ew) = degrees(here.lon, 3, ["E", "W"]);
        let knots = speed_mps * KNOTS_A_MPS;
        // A u-blox leaves the course empty while it stands.
        let course = if *speed_mps > 0.3 { format!("{heading_deg:.2}") } else { String::new() };
        let place = format!("{lat},{ns},{lon},{ew}");
        let rmc = format!("GNRMC,{time},A,{place},{knots:.3},{course},{date},,,{mode},V");
        let gga = format!("GNGGA,{time},{place},{quality},12,0.80,182.4,M,-29.1,M,,");
        sentence(&rmc) + &sentence(&gga)
    }
}

fn void_sentences((date, time): (String, String)) -> String {
    let rmc = sentence(&format!("GNRMC,{time},V,,,,,,,{date},,,N,V"));
    rmc + &sentence(&format!("GNGGA,{time},,,,,0,00,99.99,,,,,,"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Spot = Spot { lat: 33.511_633_1, lon: -86.896_534_4 };
    /// 2026-11-23T23:59:59.250Z
    const NOW: i64 = 1_795_478_399_250;

    #[test]
    fn a_fix_reads_as_a_u_blox_prints_it() {
        let mut path = Path::new(START, NOW);
        assert_eq!(
            path.sentences(NOW, Sky::Clear),
            "$GNRMC,235959.25,A,3330.69799,N,08653.79206,W,0.000,,231126,,,A,V*0C\r\n\
             $GNGGA,235959.25,3330.69799,N,08653.79206,W,1,12,0.80,182.4,M,-29.1,M,,*7C\r\n"
        );
    }

    #[test]
    fn a_lost_fix_is_void_and_says_no_place() {
        let mut path = Path::new(START, NOW);
        assert_eq!(
            path.sentences(NOW, Sky::NoFix),
            "$GNRMC,235959.25,V,,,,,,,231126,,,N,V*1A\r\n\
             $GNGGA,235959.25,,,,,0,00,99.99,,,,,,*7E\r\n"
        );
        assert!(path.sentences(NOW, Sky::Blind).starts_with("$GNRMC,,V,,,,,,,,,,N,V*37\r\n"));
    }

    #[test]
    fn a_receiver_that_hangs_tells_its_last_good_epoch_again() {
        let mut path = Path::new(START, NOW);
        path.drive(1.5, 90.0, NOW);
        let good = path.sentences(NOW, Sky::Clear);
        assert_eq!(path.sentences(NOW + 5_000, Sky::Frozen), good);
        assert_ne!(path.sentences(NOW + 6_000, Sky::Clear), good);
    }

    #[test]
    fn driving_east_for_a_minute_covers_speed_times_time() {
        let mut path = Path::new(START, 0);
        path.drive(1.5, 90.0, 0);
        let there = path.at(60_000);
        assert!((START.metres_to(there) - 90.0).abs() < 0.01);
        assert!(there.lon > START.lon && (there.lat - START.lat).abs() < 1e-9);
        path.drive(0.0, 90.0, 60_000);
        assert_eq!(path.at(90_000), there);
    }

    #[test]
    fn waypoints_are_passed_in_turn_and_the_last_is_where_it_stops() {
        let (a, b) = (START.moved(20.0, 0.0), START.moved(20.0, 30.0));
        let mut path = Path::new(START, 0);
        path.follow([a, b], 2.0, 0);
        assert!(path.at(10_000).metres_to(a) < 0.01);
        assert!(path.at(15_000).metres_to(a.moved(0.0, 10.0)) < 0.01);
        assert_eq!(path.at(60_000), b);
        assert!(path.speed_mps() == 0.0);
    }
}
