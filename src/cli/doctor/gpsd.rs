//! Doctor's look at gpsd: calls it as the daemon does, listens for some seconds, and says
//! what it found and what to do. Knows neither daemon nor queue.

use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use crate::clock::{BootInstant, weeks};
use crate::gps::gpsd::client::{Client, Event};
use crate::gps::gpsd::{Counters, Decoder, Told};
use crate::reading::Fix;

/// How long it is listened to: some reports of a receiver at 1 Hz, after the second or two in
/// which gpsd finds out what it speaks.
const LISTEN: Duration = Duration::from_secs(8);
/// Bytes taken at once.
const BUFFER: usize = 4096;

/// How a check went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// As it should be.
    Pass,
    /// It may be as it should be.
    Warn,
    /// It isn't.
    Fail,
}

/// What a check found.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// How it went.
    pub grade: Grade,
    /// What was found, and what to do about it.
    pub said: String,
}

/// Everything that was heard.
#[derive(Debug, Default)]
struct Heard {
    /// Why there was no connection at the end.
    problem: Option<String>,
    connected: bool,
    told: Told,
    counters: Counters,
    fix: Option<Fix>,
}

/// Listens to the gpsd at `address` until it tells a fix, for some seconds at most.
pub async fn check(address: &str, max_hdop: f64) -> Found {
    let (mut client, mut decoder) = (Client::new(address), Decoder::new(max_hdop));
    let mut buffer = [0; BUFFER];
    let begun = Instant::now();
    let mut heard = Heard::default();
    while heard.fix.is_none()
        && let Ok(event) = timeout_at(begun + LISTEN, client.next(&mut buffer)).await
    {
        match event {
            Event::Opened => heard.connected = true,
            Event::Lost => decoder.cut(),
            Event::Bytes(n) => {
                let at = BootInstant(begun.elapsed().as_millis() as i64);
                let bytes = buffer.get(..n).unwrap_or_default();
                heard.fix = decoder.push(bytes, at).into_iter().next_back();
            }
        }
    }
    heard.problem = client.health().problem.clone();
    (heard.told, heard.counters) = (decoder.told().clone(), decoder.counters().clone());
    judge(address, max_hdop, &heard)
}

fn judge(address: &str, max_hdop: f64, heard: &Heard) -> Found {
    let found = |grade, said: String| Found { grade, said: format!("gps: {said}") };
    let no = &heard.counters.rejected;
    if let Some(fix) = &heard.fix {
        let from = device(&heard.told);
        let (lat, lon) = (fix.place.lat(), fix.place.lon());
        let said = format!("fix at {lat:.7},{lon:.7}, HDOP {}, {from}", fix.hdop);
        return match fix.utc.filter(|utc| weeks::snap(*utc).is_none()) {
            None => found(Grade::Pass, said),
            Some(utc) => found(
                Grade::Warn,
                format!(
                    "{said}; but its date, {}, is none: set the system's clock right and restart gpsd, which moves dates from before its own start",
                    utc.rfc3339()
                ),
            ),
        };
    }
    if let Some(problem) = &heard.problem {
        return found(Grade::Fail, problem.clone());
    }
    if !heard.connected || heard.told.release.is_none() {
        return found(
            Grade::Fail,
            format!("what answers at {address} doesn't speak as gpsd; see gps.gpsd"),
        );
    }
    if !heard.told.has_device() {
        return found(
            Grade::Fail,
            format!(
                "gpsd at {address} reads no receiver; check its cable, and DEVICES in /etc/default/gpsd"
            ),
        );
    }
    let from = device(&heard.told);
    let why = if heard.counters.reports == 0 {
        "it reports nothing: check the receiver's cable and power, then restart gpsd".to_owned()
    } else if no.estimated > 0 {
        "its positions are estimated, entered or simulated: put the receiver in its usual mode"
            .to_owned()
    } else if no.hdop > 0 {
        format!("its HDOP is over gps.max_hdop, {max_hdop}: it needs a clearer sky")
    } else if no.no_hdop > 0 {
        "gpsd tells no HDOP: let the receiver send GSA and GSV beside RMC and GGA".to_owned()
    } else if no.no_time > 0 {
        "its positions have no date yet: wait some minutes under a clear sky".to_owned()
    } else {
        "no fix: it needs a clear sky".to_owned()
    };
    found(Grade::Warn, format!("{why} ({from})"))
}

/// The receiver that is read, and by what.
fn device(told: &Told) -> String {
    let device = told.devices.iter().find(|device| device.active);
    let name = device.map_or("no receiver", |device| device.path.as_str());
    format!("{name} by gpsd {}", told.release.as_deref().unwrap_or("of no name"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UtcMs;
    use crate::gps::gpsd::Device;
    use crate::reading::Place;

    fn heard() -> Heard {
        let device = Device { path: "/dev/a".into(), active: true, driver: None };
        Heard {
            connected: true,
            told: Told { release: Some("3.22".into()), devices: vec![device], complaint: None },
            counters: Counters { reports: 5, ..Counters::default() },
            ..Heard::default()
        }
    }

    fn fix(utc: &str) -> Fix {
        Fix {
            at: BootInstant(0),
            utc: Some(UtcMs(utc.parse::<jiff::Timestamp>().unwrap().as_millisecond())),
            place: Place::from_degrees(40.0, -90.5).unwrap(),
            hdop: 0.9,
            quality: 1,
            speed_mps: None,
        }
    }

    fn judged(change: impl FnOnce(&mut Heard)) -> Found {
        let mut heard = heard();
        change(&mut heard);
        judge("h:1", 5.0, &heard)
    }

    #[test]
    fn a_fix_passes_and_one_with_an_impossible_date_is_told() {
        let good = judged(|h| h.fix = Some(fix("2027-05-02T12:00:00Z")));
        let said = "gps: fix at 40.0000000,-90.5000000, HDOP 0.9, /dev/a by gpsd 3.22";
        assert_eq!(good, Found { grade: Grade::Pass, said: said.to_owned() });
        let moved = judged(|h| h.fix = Some(fix("2046-12-16T12:00:00Z")));
        assert_eq!(moved.grade, Grade::Warn);
        assert!(moved.said.contains("2046-12-16") && moved.said.contains("restart gpsd"));
    }

    #[test]
    fn what_is_missing_is_said_with_what_to_do() {
        type Change = fn(&mut Heard);
        let cases: [(Change, Grade, &str); 8] = [
            (|h| h.problem = Some("cannot reach gpsd at h:1".into()), Grade::Fail, "cannot reach"),
            (|h| h.told = Told::default(), Grade::Fail, "doesn't speak as gpsd; see gps.gpsd"),
            (|h| h.told.devices.clear(), Grade::Fail, "reads no receiver; check its cable"),
            (
                |h| h.counters.reports = 0,
                Grade::Warn,
                "reports nothing: check the receiver's cable",
            ),
            (|h| h.counters.rejected.estimated = 1, Grade::Warn, "estimated, entered or simulated"),
            (|h| h.counters.rejected.hdop = 1, Grade::Warn, "over gps.max_hdop, 5"),
            (|h| h.counters.rejected.no_hdop = 1, Grade::Warn, "let the receiver send GSA and GSV"),
            (|h| h.counters.rejected.no_fix = 1, Grade::Warn, "it needs a clear sky"),
        ];
        for (change, grade, said) in cases {
            let found = judged(change);
            assert!(found.grade == grade && found.said.contains(said), "{said}: {found:?}");
        }
    }
}
