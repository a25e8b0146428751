//! What gpsd reported of every recording of `../shared/nmea` (`*.log.chk`), through the
//! decoder of gpsd's reports at the receiver's own pace: each time with a position is one
//! fix, in its place. Reads the rows a second time on its own.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::fs;
use std::path::Path;

use serde_json::Value;
use spraylog::clock::{BootInstant, UtcMs};
use spraylog::gps::gpsd::Decoder;
use spraylog::reading::Place;

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/nmea");
const SKY: &[u8] = b"{\"class\":\"SKY\",\"hdop\":0.9}\r\n";

/// A step of the receiver's clock beyond this, or any back, is a jump.
const LONGEST_STEP_MS: i64 = 60_000;
/// After a jump back its reports are believed once they have gone on for 3 s.
const UNBELIEVED: u64 = 4;

/// What a row tells, where it is a fix by rule 13.
fn fix(row: &Value) -> Option<(UtcMs, Place)> {
    let fit = row["mode"].as_i64()? >= 2 && !(5..=8).contains(&row["status"].as_i64().unwrap_or(1));
    let time: jiff::Timestamp = row["time"].as_str()?.parse().unwrap();
    let place = Place::from_degrees(row["lat"].as_f64()?, row["lon"].as_f64()?)?;
    let somewhere = (place.lat_e7, place.lon_e7) != (0, 0);
    (fit && somewhere).then(|| (UtcMs(time.as_millisecond()), place))
}

fn judge(name: &str, rows: &str) {
    let mut decoder = Decoder::new(5.0);
    let (mut at, mut clock_ms, mut last) = (BootInstant(0), None, None);
    let (mut fixes, mut expected, mut jumps) = (0, 0, 0);
    for line in rows.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let time = row["time"].as_str().map(|t| t.parse::<jiff::Timestamp>().unwrap());
        if let Some(told_ms) = time.map(jiff::Timestamp::as_millisecond) {
            let step_ms = told_ms - clock_ms.replace(told_ms).unwrap_or(told_ms);
            let goes_on = (0..=LONGEST_STEP_MS).contains(&step_ms);
            jumps += u64::from(step_ms < 0);
            at = at.plus_ms(if goes_on { step_ms } else { 1_000 });
        }
        decoder.push(SKY, at);
        let found = decoder.push(format!("{line}\r\n").as_bytes(), at);
        let told = fix(&row).filter(|(utc, _)| last != Some(*utc));
        expected += u64::from(told.is_some());
        for found in found {
            assert_eq!(found.utc.zip(Some(found.place)), told, "{name}: {line}");
            assert_eq!(found.at, at, "{name}: nothing waited");
            last = found.utc;
            fixes += 1;
        }
    }
    let counted = decoder.counters();
    println!("{name}: {fixes} fixes, {jumps} jumps back, {:?}", counted.rejected);
    assert_eq!(counted.unreadable, 0, "{name}");
    assert_eq!(counted.fixes, fixes, "{name}");
    assert_eq!(fixes + counted.rejected.late, expected, "{name}");
    assert!(counted.rejected.late <= jumps * UNBELIEVED, "{name}: {:?}", counted.rejected);
    assert!(fixes > 0, "{name}");
}

#[test]
fn each_time_that_gpsd_told_a_place_for_is_one_fix_there() {
    let Ok(files) = fs::read_dir(Path::new(RECORDINGS)) else {
        eprintln!("skipped: what gpsd told of recordings (no {RECORDINGS})");
        return;
    };
    let mut told: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    told.retain(|path| path.extension().is_some_and(|ending| ending == "chk"));
    told.sort();
    assert!(!told.is_empty());
    for path in told {
        judge(&path.file_stem().unwrap().to_string_lossy(), &fs::read_to_string(&path).unwrap());
    }
}
