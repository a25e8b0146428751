//! What gpsd says, line by line: one JSON object each, told apart by its `class`. Only what
//! a fix and `status` hang on is read; other classes and fields pass unseen.
//!
//! ```text
//! {"class":"VERSION","release":"3.22","rev":"3.22","proto_major":3,"proto_minor":14}
//! {"class":"DEVICES","devices":[{"class":"DEVICE","path":"/dev/ttyUSB0","activated":"2026-…"}]}
//! {"class":"DEVICE","path":"/dev/ttyUSB0","activated":0}          it is gone
//! {"class":"SKY","device":"/dev/ttyUSB0","hdop":0.98,…}
//! {"class":"TPV","device":"/dev/ttyUSB0","status":2,"mode":3,"time":"2026-11-23T12:00:00.000Z",
//!  "lat":44.068841667,"lon":-121.314191667,"speed":0.026,…}
//! {"class":"ERROR","message":"…"}
//! ```
//!
//! Source: gpsd_json(5) of release 3.22, and its json_tpv_dump for what is left out when
//! (`status` below 2, `time` before there is a date, places below mode 2). Knows nothing of
//! which report is a fix.

use serde::Deserialize;
use serde_json::Value;

/// One line.
#[derive(Debug, Deserialize)]
#[serde(tag = "class")]
pub(super) enum Report {
    #[serde(rename = "VERSION")]
    Version { release: Option<String> },
    #[serde(rename = "DEVICES")]
    Devices { devices: Vec<Device> },
    #[serde(rename = "DEVICE")]
    Device(Device),
    #[serde(rename = "SKY")]
    Sky(Sky),
    #[serde(rename = "TPV")]
    Tpv(Tpv),
    #[serde(rename = "ERROR")]
    Error { message: Option<String> },
    #[serde(other)]
    Other,
}

/// A receiver that gpsd knows.
#[derive(Debug, Deserialize)]
pub(super) struct Device {
    pub path: Option<String>,
    pub driver: Option<String>,
    /// Since when: a time, in old releases a number. Absent or 0: not in use.
    activated: Option<Value>,
}

impl Device {
    /// Whether gpsd reads it.
    pub fn active(&self) -> bool {
        match &self.activated {
            Some(Value::String(since)) => !since.is_empty(),
            Some(Value::Number(since)) => since.as_f64().is_some_and(|since| since > 0.0),
            _ => false,
        }
    }
}

/// What is seen of the sky.
#[derive(Debug, Deserialize)]
pub(super) struct Sky {
    pub device: Option<String>,
    pub hdop: Option<f64>,
}

/// Time, position, velocity.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tpv {
    pub device: Option<String>,
    /// 0 not known, 1 no fix, 2 two-dimensional, 3 three-dimensional.
    pub mode: i64,
    /// Left out where it isn't known or ordinary: see [`Tpv::quality`].
    pub status: Option<i64>,
    pub time: Option<String>,
    /// Degrees.
    pub lat: Option<f64>,
    /// Degrees.
    pub lon: Option<f64>,
    /// Metres a second.
    pub speed: Option<f64>,
    /// gpsd's wall clock in seconds when it made the report: only where `timing` was asked
    /// for. Not in gpsd_json(5), so nothing may hang on its form.
    rtime: Option<Value>,
    /// The same clock when the first bytes of the epoch came in; 0 where gpsd saw no pause.
    sor: Option<Value>,
}

impl Tpv {
    /// The `status` as the quality in GGA that means the same; `None` for what is estimated
    /// (5 dead reckoning, 6 with satellites, too), entered by hand (7 surveyed), simulated
    /// (8), or not known to this program.
    pub fn quality(&self) -> Option<u8> {
        match self.status.unwrap_or(1) {
            0 | 1 => Some(1),
            // Differential.
            2 => Some(2),
            // Real-time kinematic, fixed; float.
            3 => Some(4),
            4 => Some(5),
            // Precise positioning: the military signal.
            9 => Some(3),
            _ => None,
        }
    }

    /// When the epoch began to come in and when it was reported, in seconds of gpsd's clock.
    pub fn timing(&self) -> Option<(f64, f64)> {
        let seconds = |v: &Option<Value>| v.as_ref()?.as_f64().filter(|s| *s > 0.0);
        Some((seconds(&self.sor)?, seconds(&self.rtime)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Report {
        serde_json::from_str(line).unwrap()
    }

    #[test]
    fn a_device_is_in_use_from_its_activation_until_a_zero() {
        for (line, active) in [
            (r#"{"class":"DEVICE","path":"/dev/a","activated":"2026-11-25T14:19:10.414Z"}"#, true),
            (r#"{"class":"DEVICE","path":"/dev/a","activated":1269959537.20}"#, true),
            (r#"{"class":"DEVICE","path":"/dev/a","activated":0}"#, false),
            (r#"{"class":"DEVICE","path":"/dev/a"}"#, false),
        ] {
            let Report::Device(device) = read(line) else { panic!("{line}") };
            assert_eq!(device.active(), active, "{line}");
        }
    }

    #[test]
    fn no_status_that_is_estimated_entered_simulated_or_unknown_has_a_quality() {
        let quality = |status| Tpv { status: Some(status), ..Tpv::default() }.quality();
        assert_eq!([0, 1, 2, 3, 4, 9].map(quality), [1, 1, 2, 4, 5, 3].map(Some));
        assert_eq!([-1, 5, 6, 7, 8, 10, i64::MAX].map(quality), [None; 7]);
        assert_eq!(Tpv::default().quality(), Some(1), "left out where it is ordinary");
    }

    #[test]
    fn what_is_not_in_the_manual_may_have_any_form() {
        for (sor, timing) in [("1.5", Some((1.5, 2.0))), ("0", None), ("\"x\"", None)] {
            let line = format!(r#"{{"class":"TPV","mode":3,"sor":{sor},"rtime":2.0}}"#);
            let Report::Tpv(tpv) = read(&line) else { panic!("{line}") };
            assert_eq!(tpv.timing(), timing);
        }
    }

    #[test]
    fn other_classes_are_read_over() {
        for class in ["WATCH", "PPS", "TOFF", "AIS", "GST", "ATT", "new"] {
            assert!(matches!(read(&format!(r#"{{"class":"{class}","x":[1]}}"#)), Report::Other));
        }
    }
}
