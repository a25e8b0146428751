//! Every recording of `../shared/nmea` through the decoder, judged by what gpsd made of
//! the same bytes (`*.log.chk`). Reads the logs a second time on its own, so that a fix
//! which is missing shows as well as one that is wrong.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use spraylog::clock::BootInstant;
use spraylog::gps::{Counters, Decoded, Decoder};

const RECORDINGS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/nmea");

const MAX_HDOP: f64 = 5.0;
const DAY_MS: i64 = 86_400_000;
const EPOCH_MS: i64 = 1024 * 7 * DAY_MS;

/// Fixes of each recording: no fewer, or the rest of these tests could pass on nothing.
const FIXES: [(&str, usize); 8] = [
    ("bu353s4", 25),
    ("gp-320fw-2019-04-07-coldboot", 1),
    ("motorola-t805", 16),
    ("mt3339", 30),
    ("neo-m8n", 23),
    ("nmea-rtk", 122),
    ("quectel-l76k-dual", 130),
    ("ublox-zed-f9p-nmea", 29),
];

/// A row of gpsd's.
#[derive(Debug)]
struct Tpv {
    time_ms: Option<i64>,
    mode: i64,
    place: Option<(f64, f64)>,
}

impl Tpv {
    fn has_fix(&self) -> bool {
        self.mode >= 2
    }

    fn is_at(&self, fix: &Decoded) -> bool {
        self.place.is_some_and(|(lat, lon)| {
            (lat - fix.fix.place.lat()).abs() < 1e-6 && (lon - fix.fix.place.lon()).abs() < 1e-6
        })
    }

    /// To 10 ms, modulo 1024 weeks where the fix has a date and modulo a day where not.
    fn is_of(&self, fix: &Decoded) -> bool {
        let Some(time_ms) = self.time_ms else { return false };
        let (ours, modulus) = match fix.fix.utc {
            Some(utc) => (utc.0, EPOCH_MS),
            None => (i64::from(fix.time_of_day_ms), DAY_MS),
        };
        let apart = (time_ms - ours).rem_euclid(modulus);
        apart.min(modulus - apart) <= 10
    }
}

/// Whether a fix is of a later time than `time_ms`, modulo 1024 weeks.
fn is_after(fix: &Decoded, time_ms: i64) -> bool {
    let ahead = fix.fix.utc.map(|utc| (utc.0 - time_ms).rem_euclid(EPOCH_MS));
    ahead.is_some_and(|ahead| (1..=DAY_MS).contains(&ahead))
}

fn recordings() -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(RECORDINGS) else { return Vec::new() };
    let mut logs: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    logs.sort();
    logs
}

/// Runs `judge` on each recording, or says aloud that there is none.
fn over_recordings(test: &str, judge: impl Fn(&str, &[u8], &[Tpv])) {
    let logs = recordings();
    if logs.is_empty() {
        // Not `eprintln!`, which the test harness keeps to itself where a test passes.
        let line = format!("skipped: {test}: no recordings in {RECORDINGS}\n");
        io::stderr().write_all(line.as_bytes()).unwrap();
        return;
    }
    for log in logs {
        let name = log.file_stem().unwrap().to_str().unwrap().to_owned();
        judge(&name, &fs::read(&log).unwrap(), &gpsd(&log));
    }
}

fn gpsd(log: &Path) -> Vec<Tpv> {
    let rows = fs::read_to_string(log.with_extension("log.chk")).unwrap();
    let tpv = |row: &str| {
        let row: Value = serde_json::from_str(row).unwrap();
        let time = row["time"].as_str().map(|time| time.parse::<jiff::Timestamp>().unwrap());
        Tpv {
            time_ms: time.map(jiff::Timestamp::as_millisecond),
            mode: row["mode"].as_i64().unwrap(),
            place: row["lat"].as_f64().zip(row["lon"].as_f64()),
        }
    };
    rows.lines().map(tpv).collect()
}

fn decode(bytes: &[u8]) -> (Vec<Decoded>, Counters) {
    let mut decoder = Decoder::new(MAX_HDOP);
    let fixes = decoder.push(bytes, BootInstant(0));
    decoder.finish();
    (fixes, decoder.counters().clone())
}

/// The times of day, as the receiver wrote them, whose RMC and GGA (or GNS) satisfy rule
/// 13: a plain reading by lines, which shares nothing with the decoder.
fn by_the_rule(bytes: &[u8]) -> BTreeSet<String> {
    let text: String = bytes.iter().copied().map(char::from).collect();
    let mut halves: BTreeMap<String, (bool, bool)> = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some(sentence) = line.rfind('$').map(|dollar| &line[dollar + 1..]) else { continue };
        let Some((body, sum)) = sentence.split_once('*') else { continue };
        let expected = body.chars().fold(0, |sum, c| sum ^ u32::from(c));
        if u32::from_str_radix(sum.trim(), 16) != Ok(expected) {
            continue;
        }
        let field: Vec<&str> = body.split(',').collect();
        let at = |index: usize| field.get(index).copied().unwrap_or("");
        let hdop = at(8).parse::<f64>().is_ok_and(|hdop| hdop <= MAX_HDOP);
        let half = halves.entry(at(1).to_owned()).or_default();
        match at(0).get(2..) {
            Some("RMC") => half.0 = at(2) == "A" && !["E", "M", "S", "N"].contains(&at(12)),
            Some("GGA") => half.1 = ["1", "2", "3", "4", "5"].contains(&at(6)) && hdop,
            Some("GNS") => half.1 = !at(6).contains(['E', 'M', 'S']) && hdop,
            _ => {}
        }
    }
    halves.into_iter().filter(|(_, half)| *half == (true, true)).map(|(time, _)| time).collect()
}

/// `hhmmss.s…` in milliseconds.
fn time_of_day(text: &str) -> u32 {
    let (hms, fraction) = text.split_once('.').unwrap_or((text, ""));
    let hms: u32 = hms.parse().unwrap();
    let seconds = hms / 10_000 * 3600 + hms / 100 % 100 * 60 + hms % 100;
    seconds * 1000 + format!("{fraction:0<3}").parse::<u32>().unwrap()
}

#[test]
fn where_gpsd_has_a_fix_of_that_time_ours_is_in_the_same_place() {
    over_recordings("agreement with gpsd", |name, bytes, tpvs| {
        for fix in decode(bytes).0 {
            let same: Vec<&Tpv> = tpvs.iter().filter(|t| t.has_fix() && t.is_of(&fix)).collect();
            let agrees = same.is_empty() || same.iter().any(|tpv| tpv.is_at(&fix));
            assert!(agrees, "{name}: {fix:?} against {same:?}");
        }
    });
}

#[test]
fn no_fix_is_accepted_where_gpsd_has_none() {
    over_recordings("no fix without gpsd's", |name, bytes, tpvs| {
        let latest = tpvs.iter().filter_map(|tpv| tpv.time_ms).max().unwrap();
        for fix in decode(bytes).0 {
            let of_it: Vec<&Tpv> = tpvs.iter().filter(|tpv| tpv.is_of(&fix)).collect();
            let backed = if of_it.is_empty() {
                // gpsd waits for the end of a cycle: a recording may break off before the
                // last one's, and the first row of a fix may have no time yet.
                let untimed = |tpv: &Tpv| tpv.time_ms.is_none() && tpv.has_fix();
                tpvs.iter().any(|tpv| untimed(tpv) && tpv.is_at(&fix)) || is_after(&fix, latest)
            } else {
                of_it.iter().any(|tpv| tpv.has_fix())
            };
            assert!(backed, "{name}: gpsd has no such fix: {fix:?}");
        }
    });
}

#[test]
fn every_epoch_that_satisfies_the_rule_is_a_fix_and_no_other_is() {
    over_recordings("rule 13 epoch by epoch", |name, bytes, _| {
        let (fixes, counters) = decode(bytes);
        let ours: BTreeSet<u32> = fixes.iter().map(|fix| fix.time_of_day_ms).collect();
        let rule: BTreeSet<u32> = by_the_rule(bytes).iter().map(|text| time_of_day(text)).collect();
        assert_eq!(ours, rule, "{name}");
        assert_eq!(fixes.len(), rule.len(), "{name}: a fix came twice");
        assert_eq!(counters.fixes, fixes.len() as u64, "{name}");
    });
}

#[test]
fn every_fix_of_gpsd_whose_sentences_satisfy_the_rule_is_ours() {
    over_recordings("fixes of gpsd", |name, bytes, tpvs| {
        let rule: BTreeSet<u32> = by_the_rule(bytes).iter().map(|text| time_of_day(text)).collect();
        let (fixes, _) = decode(bytes);
        let satisfies = |time_ms: i64| {
            let of_day = time_ms.rem_euclid(DAY_MS);
            rule.iter().any(|rule| (i64::from(*rule) - of_day).abs() <= 10)
        };
        let mut seen = 0;
        for tpv in tpvs.iter().filter(|tpv| tpv.has_fix() && tpv.time_ms.is_some_and(satisfies)) {
            seen += 1;
            let ours = fixes.iter().any(|fix| tpv.is_of(fix) && tpv.is_at(fix));
            assert!(ours, "{name}: missed {tpv:?}");
        }
        assert!(seen + 3 >= rule.len(), "{name}: gpsd has {seen} of {}", rule.len());
    });
}

#[test]
fn every_epoch_is_a_fix_or_has_its_cause() {
    over_recordings("an account of every epoch", |name, bytes, _| {
        let (fixes, counters) = decode(bytes);
        let text: String = bytes.iter().copied().map(char::from).collect();
        let kinds = ["RMC", "GGA", "GNS"];
        let times: BTreeSet<&str> = text
            .split('$')
            .filter(|sentence| sentence.get(2..5).is_some_and(|kind| kinds.contains(&kind)))
            .filter(|sentence| sealed(sentence))
            .filter_map(|sentence| sentence.split(',').nth(1))
            .filter(|time| !time.is_empty())
            .collect();
        let accounted = fixes.len() as u64 + counters.rejected.total();
        assert!(accounted >= times.len() as u64, "{name}: {counters:?} of {}", times.len());
    });
}

/// Whether the checksum of a sentence holds, given from behind its `$`.
fn sealed(sentence: &str) -> bool {
    let Some((body, rest)) = sentence.split_once('*') else { return false };
    let sum = body.chars().fold(0, |sum, c| sum ^ u32::from(c));
    rest.get(..2).and_then(|digits| u32::from_str_radix(digits, 16).ok()) == Some(sum)
}

#[test]
fn the_command_prints_the_same_fixes_and_snaps_their_dates_if_asked() {
    over_recordings("spraylog gps decode", |name, bytes, _| {
        let log = format!("{RECORDINGS}/{name}.log");
        let printed = |options: &[&str]| -> Vec<Value> {
            let mut command = Command::new(env!("CARGO_BIN_EXE_spraylog"));
            let out = command.args(["gps", "decode"]).args(options).arg(&log).output().unwrap();
            assert!(out.status.success(), "{name}: {out:?}");
            let text = String::from_utf8(out.stdout).unwrap();
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
        };
        let fixes = decode(bytes).0;
        let lines = printed(&[]);
        assert_eq!(lines.len(), fixes.len() + 1, "{name}");
        for (line, fix) in lines.iter().zip(&fixes) {
            let own = fix.fix.utc.map(|utc| utc.rfc3339());
            assert_eq!(line["time"].as_str(), own.as_deref(), "{name}");
            let end = usize::try_from(line["offset"].as_u64().unwrap()).unwrap();
            assert_eq!(bytes[end - 3], b'*', "{name}: {line}");
        }
        assert_eq!(lines[fixes.len()]["summary"]["fixes"], fixes.len(), "{name}");
        for (line, fix) in printed(&["--snap"]).iter().zip(&fixes) {
            let snapped = fix.fix.utc.and_then(spraylog::clock::weeks::snap);
            let snapped = snapped.map(|utc| utc.rfc3339());
            assert_eq!(line["time"].as_str(), snapped.as_deref(), "{name}");
        }
    });
}

#[test]
fn each_recording_gives_its_fixes() {
    over_recordings("fixes a recording", |name, bytes, _| {
        let expected = FIXES.iter().find(|(known, _)| *known == name);
        let fixes = decode(bytes).0.len();
        if let Some((_, expected)) = expected {
            assert_eq!(fixes, *expected, "{name}");
        }
    });
    let names: Vec<String> = recordings()
        .iter()
        .map(|log| log.file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    for (name, _) in FIXES {
        assert!(names.is_empty() || names.iter().any(|known| known == name), "{name} is gone");
    }
}

#[test]
fn what_is_not_accepted_is_counted_by_its_cause() {
    over_recordings("causes", |name, bytes, _| {
        let (_, counters) = decode(bytes);
        match name {
            "motorola-t805" => assert_eq!(counters.rejected.no_quality, 9, "{counters:?}"),
            "gp-320fw-2019-04-07-coldboot" => {
                assert!(counters.rejected.void >= 15, "{counters:?}");
                assert!(counters.bad_checksums >= 10, "{counters:?}");
                assert!(counters.torn >= 4, "{counters:?}");
            }
            _ => assert_eq!(counters.rejected.total(), 0, "{name}: {counters:?}"),
        }
    });
}

#[test]
fn a_recording_cut_anywhere_gives_the_same_fixes() {
    over_recordings("chunks", |name, bytes, _| {
        let (whole, counters) = decode(bytes);
        for size in [1, 7, 64, 1021] {
            let mut decoder = Decoder::new(MAX_HDOP);
            let fixes: Vec<Decoded> =
                bytes.chunks(size).flat_map(|chunk| decoder.push(chunk, BootInstant(0))).collect();
            decoder.finish();
            assert_eq!(fixes, whole, "{name} in chunks of {size}");
            assert_eq!(decoder.counters(), &counters, "{name} in chunks of {size}");
        }
    });
}

#[test]
fn a_recording_damaged_anywhere_gives_no_place_that_it_did_not_have() {
    over_recordings("damage", |name, bytes, tpvs| {
        // One bit in every 97 bytes, at 16 offsets: the same damage in every run.
        for start in 0..16 {
            let mut damaged = bytes.to_vec();
            for (turn, byte) in damaged.iter_mut().skip(start).step_by(97).enumerate() {
                *byte ^= 1 << (turn % 8);
            }
            for fix in decode(&damaged).0 {
                let known = tpvs.iter().any(|tpv| tpv.is_at(&fix));
                assert!(known, "{name}, damaged from {start}: {fix:?}");
            }
        }
    });
}
