//! What a receiver says that isn't so, though sky and checksum are fine. Each is known from
//! the field; the names are a scenario's. Pure: the epoch's own instant decides all of it.

use serde::Deserialize;

use super::{Said, Spot};
use crate::nmea::date_and_time;

/// A week counter of ten bits starts again after so many milliseconds.
const WEEKS_1024_MS: i64 = 1024 * 7 * 86_400_000;
/// Where a receiver without any idea of the date begins: the epoch of GPS.
const GPS_EPOCH_MS: i64 = 315_964_800_000;
/// A jump goes so far north: further than a truck gets in a day.
const JUMP_M: f64 = 900_000.0;

/// A receiver's untruth, until it is ended.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Spoil {
    /// A fix at latitude and longitude 0.
    Zero,
    /// Every fourth epoch lies 900 km off.
    Jumping,
    /// The place wanders about the true one by some metres, as under trees.
    Wandering,
    /// A test mode: quality 8, mode S.
    Simulator,
    /// Dead reckoning: quality 6, mode E.
    Estimated,
    /// The date lies 1024 weeks back; place and time of day are right.
    WeeksBack,
    /// The date counts from 1980, as after a cold start; place and time of day are right.
    ColdDate,
    /// Each whole minute is told as second 60 of the one before it.
    LeapSecond,
}

impl Spoil {
    /// Spoils what is said of an epoch; with the place that may be taken from it.
    pub(super) fn of(self, mut said: Said, epoch_ms: i64) -> (Said, Option<Spot>) {
        match self {
            Self::Zero => {
                said.here = Spot { lat: 0.0, lon: 0.0 };
                (said, None)
            }
            Self::Jumping if epoch_ms.div_euclid(1000) % 4 == 0 => {
                said.here = said.here.moved(JUMP_M, 0.0);
                (said, None)
            }
            Self::Wandering => {
                let turn = epoch_ms as f64 / 1000.0;
                let (north, east) = ((turn / 7.0).sin() * 6.0, (turn / 11.0).cos() * 4.0);
                said.here = said.here.moved(north, east);
                let place = said.here;
                (said, Some(place))
            }
            Self::Simulator => {
                (said.quality, said.mode) = (8, 'S');
                (said, None)
            }
            Self::Estimated => {
                (said.quality, said.mode) = (6, 'E');
                (said, None)
            }
            Self::WeeksBack => dated(said, epoch_ms - WEEKS_1024_MS),
            Self::ColdDate => dated(said, GPS_EPOCH_MS + epoch_ms.rem_euclid(86_400_000)),
            Self::LeapSecond if epoch_ms % 60_000 == 0 => {
                let (date, time) = date_and_time(epoch_ms - 1000, 2);
                said.date = date;
                said.time = time.replace("59.", "60.");
                let place = said.here;
                (said, Some(place))
            }
            Self::Jumping | Self::LeapSecond => {
                let place = said.here;
                (said, Some(place))
            }
        }
    }
}

fn dated(mut said: Said, at_ms: i64) -> (Said, Option<Spot>) {
    (said.date, _) = date_and_time(at_ms, 2);
    let place = said.here;
    (said, Some(place))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gps::Path;

    const START: Spot = Spot { lat: 33.511_633_1, lon: -86.896_534_4 };
    /// 2026-11-23T23:59:59.000Z
    const NOW: i64 = 1_795_478_399_000;

    fn said(spoil: Spoil, at: i64) -> (String, Option<Spot>) {
        Path::new(START, at).spoilt(at, spoil)
    }

    #[test]
    fn a_wrapped_week_counter_moves_the_date_alone() {
        let (text, place) = said(Spoil::WeeksBack, NOW);
        assert!(text.starts_with("$GNRMC,235959.00,A,3330.69799,N,08653.79206,W,0.000,,090407,"));
        assert_eq!(place, Some(START));
        let (text, _) = said(Spoil::ColdDate, NOW);
        assert!(text.starts_with("$GNRMC,235959.00,A,3330.69799,N,08653.79206,W,0.000,,060180,"));
    }

    #[test]
    fn the_minute_that_begins_is_told_as_second_60() {
        let (text, place) = said(Spoil::LeapSecond, NOW + 1000);
        assert!(text.starts_with("$GNRMC,235960.00,A,"), "{text}");
        assert!(text.contains(",231126,") && text.contains("$GNGGA,235960.00,"), "{text}");
        assert_eq!(place, Some(START));
        assert!(said(Spoil::LeapSecond, NOW).0.starts_with("$GNRMC,235959.00,A,"));
    }

    #[test]
    fn what_an_agent_may_not_take_has_no_place() {
        for (spoil, part) in [
            (Spoil::Zero, "A,0000.00000,N,00000.00000,E,"),
            (Spoil::Simulator, ",S,V*"),
            (Spoil::Estimated, ",E,V*"),
        ] {
            let (text, place) = said(spoil, NOW);
            assert!(text.contains(part) && place.is_none(), "{text}");
        }
        let places: Vec<_> = (0..8).map(|s| said(Spoil::Jumping, NOW + s * 1000).1).collect();
        assert_eq!(places.iter().filter(|place| place.is_none()).count(), 2);
        let there = said(Spoil::Wandering, NOW).1.unwrap();
        assert!((0.1..10.0).contains(&there.metres_to(START)));
    }
}
