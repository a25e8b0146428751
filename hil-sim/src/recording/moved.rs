//! Where sentences carry time, date and place, and how they read with another. Knows
//! nothing of bursts and checksums.

use crate::gps::Spot;
use crate::nmea::date_and_time;

/// Fields (the address is field 0) in which a kind of sentence carries its time of day.
fn time_field(kind: &str) -> Option<usize> {
    match kind {
        "GGA" | "GNS" | "RMC" | "ZDA" | "GST" | "GBS" | "GRS" => Some(1),
        "GLL" => Some(5),
        _ => None,
    }
}

/// `GGA` of `GPGGA`; nothing for a maker's own sentence.
fn kind_of(payload: &str) -> Option<&str> {
    let address = payload.split(',').next()?;
    (address.len() == 5 && !address.starts_with('P')).then(|| address.get(2..))?
}

/// The time of day that a sentence tells, in milliseconds.
pub(super) fn clock_of(payload: &str) -> Option<i64> {
    let field = time_field(kind_of(payload)?)?;
    let text = payload.split(',').nth(field)?;
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if whole.len() != 6 || !whole.bytes().chain(part.bytes()).all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize| whole.get(from..from + 2).and_then(|two| two.parse::<i64>().ok());
    let seconds = number(0)? * 3600 + number(2)? * 60 + number(4)?;
    let thousandths: i64 = format!("{part:0<3}").get(..3)?.parse().ok()?;
    Some(seconds * 1000 + thousandths)
}

/// The payload with the time and date of `unix_ms`, in the places where it had any and
/// with as many decimals as it had.
pub(super) fn rewritten(payload: &str, unix_ms: i64) -> String {
    let kind = kind_of(payload).unwrap_or_default();
    if clock_of(payload).is_none() {
        return payload.to_owned();
    }
    let time_at = time_field(kind);
    let fields = payload.split(',').enumerate().map(|(at, field)| {
        let decimals = field.split_once('.').map_or(0, |(_, part)| part.len());
        let (date, time) = date_and_time(unix_ms, decimals);
        let part = |from: usize| date.get(from..from + 2).unwrap_or_default().to_owned();
        match (kind, at) {
            _ if field.is_empty() => String::new(),
            _ if Some(at) == time_at => time,
            ("RMC", 9) => date,
            ("ZDA", 2) => part(0),
            ("ZDA", 3) => part(2),
            ("ZDA", 4) => format!("20{}", part(4)),
            _ => field.to_owned(),
        }
    });
    fields.collect::<Vec<_>>().join(",")
}

/// The place that a burst tells: `None` where any RMC is void, any GGA has no fix, or
/// nothing tells one.
pub(super) fn place_of<'a>(payloads: impl Iterator<Item = &'a str>) -> Option<Spot> {
    let mut place = None;
    for payload in payloads {
        let fields: Vec<&str> = payload.split(',').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or_default();
        let (good, first) = match kind_of(payload) {
            Some("RMC") => (field(2) == "A", 3),
            Some("GGA") => (matches!(field(6), "1" | "2" | "3" | "4" | "5"), 2),
            _ => continue,
        };
        if !good {
            return None;
        }
        place = spot(field(first), field(first + 1), field(first + 2), field(first + 3)).or(place);
    }
    place
}

fn spot(lat: &str, ns: &str, lon: &str, ew: &str) -> Option<Spot> {
    Some(Spot {
        lat: degrees(lat, 2)? * if ns == "S" { -1.0 } else { 1.0 },
        lon: degrees(lon, 3)? * if ew == "W" { -1.0 } else { 1.0 },
    })
}

fn degrees(text: &str, width: usize) -> Option<f64> {
    let whole: f64 = text.get(..width)?.parse().ok()?;
    let minutes: f64 = text.get(width..)?.parse().ok()?;
    Some(whole + minutes / 60.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-23T23:59:59.250Z
    const NOW: i64 = 1_795_478_399_250;

    #[test]
    fn each_kind_of_sentence_is_moved_in_its_own_fields() {
        for (before, after) in [
            (
                "GPGLL,4808.9993,N,01135.0798,E,000343.03,A,A",
                "GPGLL,4808.9993,N,01135.0798,E,235959.25,A,A",
            ),
            ("GNZDA,030719.00,31,12,2014,00,00", "GNZDA,235959.25,23,11,2026,00,00"),
            ("GPRMC,030719,V,,,,,,,,,,N", "GPRMC,235959,V,,,,,,,,,,N"),
            (
                "GPGSA,A,3,17,28,06,01,30,20,26,13,,,,,1.8,1.1,1.5",
                "GPGSA,A,3,17,28,06,01,30,20,26,13,,,,,1.8,1.1,1.5",
            ),
            ("PMTK010,001", "PMTK010,001"),
        ] {
            assert_eq!(rewritten(before, NOW), after);
        }
    }

    #[test]
    fn a_void_sentence_has_no_place_whatever_the_other_says() {
        let gga = "GPGGA,030719.000,3747.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,0000";
        let void = "GPRMC,030719.000,V,,,,,,,311214,,,N";
        assert!(place_of([gga].into_iter()).is_some());
        assert!(place_of([gga, void].into_iter()).is_none());
    }
}
