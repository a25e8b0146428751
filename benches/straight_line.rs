//! What the program is for, against a bare loop that does the same work in the same run:
//! a meter's lines to samples, a receiver's sentences to fixes, readings to the disk. Each
//! is told as a ratio, since a machine's seconds say little of another's. Also the pages
//! that a reading costs the card.
//!
//! `make bench`; knows no port and no server.

#![allow(clippy::unwrap_used, reason = "a bench may")]

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use spraylog::clock::{BootId, BootInstant};
use spraylog::gps;
use spraylog::meter::ascii;
use spraylog::meter::profile::Profile;
use spraylog::queue::{Store, file_in};
use spraylog::reading::{
    Assignment, Flags, NewSegment, NewSpan, Origin, Place, Reading, SegmentReason,
};
use spraylog::units::KFactor;

/// Lines, and epochs: an hour at ten a second.
const LINES: u32 = 36_000;
/// Readings: enough for a mean, few enough for one write-ahead log.
const READINGS: u64 = 200;
/// A frame of SQLite's write-ahead log: a page and its header (SQLite file format, 4.1).
const FRAME: u64 = 4096 + 24;

fn main() {
    meter();
    receiver();
    disk();
}

/// The fastest of five: what disturbs a run only makes it slower.
fn fastest(mut run: impl FnMut()) -> Duration {
    let time = |_| {
        let begun = Instant::now();
        run();
        begun.elapsed()
    };
    (0..5).map(time).min().unwrap_or_default()
}

fn tell(what: &str, ours: Duration, bare: Duration, each: u32) {
    println!(
        "{what:<28} {:>8.2} µs each, {:>5.1} times a bare loop",
        ours.as_secs_f64() * 1e6 / f64::from(each),
        ours.as_secs_f64() / bare.as_secs_f64()
    );
}

fn sealed(body: &str) -> String {
    let sum = body.bytes().fold(0_u8, |sum, byte| sum ^ byte);
    format!("${body}*{sum:02X}\r\n")
}

/// The bare loop: every line's checksum, and every field as the number that it may be.
fn bare(text: &str) -> Duration {
    fastest(|| {
        black_box(sums(text));
    })
}

fn sums(text: &str) -> f64 {
    let mut sum = 0.0;
    for line in text.lines() {
        let Some((body, digits)) = line.get(1..).and_then(|line| line.rsplit_once('*')) else {
            continue;
        };
        let xor = body.bytes().fold(0_u8, |sum, byte| sum ^ byte);
        if u8::from_str_radix(digits, 16) == Ok(xor) {
            sum += body.split(',').filter_map(|field| field.parse::<f64>().ok()).sum::<f64>();
        }
    }
    sum
}

fn meter() {
    let line = |n| sealed(&format!("FLOW,FM-1,{},{},2.05,71.5,64.2,88,1350", n % 65_536, n * 4));
    let text: String = (0..LINES).map(line).collect();
    let profile = Profile::builtin("rig-line").unwrap().unwrap();
    let ours = fastest(|| {
        let mut decoder = ascii::Decoder::new(&profile);
        let samples: usize =
            text.as_bytes().chunks(64).map(|chunk| decoder.push(chunk).len()).sum();
        assert_eq!(samples, LINES as usize);
    });
    tell("a meter's line to a sample", ours, bare(&text), LINES);
}

fn receiver() {
    let epoch = |n: u32| {
        let (s, tenths) = (n / 10, n % 10);
        let time = format!("{:02}{:02}{:02}.{tenths}0", s / 3600, s / 60 % 60, s % 60);
        let place = "3330.69799,N,08653.79206,W";
        sealed(&format!("GNRMC,{time},A,{place},0.100,,231126,,,A,V"))
            + &sealed(&format!("GNGGA,{time},{place},1,12,0.80,182.4,M,-29.1,M,,"))
    };
    let text: String = (0..LINES).map(epoch).collect();
    let ours = fastest(|| {
        let mut decoder = gps::Decoder::new(5.0);
        let chunks = text.as_bytes().chunks(64).zip(0..);
        let fixes: usize =
            chunks.map(|(chunk, at)| decoder.push(chunk, BootInstant(at)).len()).sum();
        assert_eq!(fixes, LINES as usize);
    });
    tell("an epoch's RMC and GGA to a fix", ours, bare(&text), LINES);
}

fn reading(n: u64) -> Reading {
    let k = KFactor::new(126.7).unwrap();
    let job = Assignment {
        event: "5739034294cb31984da90d447dae11".to_owned(),
        job: "49992697792b29c083a546475c8478".to_owned(),
        item: None,
        product: None,
        note: String::new(),
    };
    let first = n == 0;
    Reading {
        at: BootInstant(i64::try_from(n).unwrap() * 5_000),
        serial: "FM-1".to_owned(),
        raw: n * 20,
        meter_seq: u16::try_from(n).ok(),
        unwrapped: n * 20,
        share: k.volume(if first { 0 } else { 20 }),
        rate_gpm: Some(2.0),
        fluid_f: Some(71.5),
        ambient_f: Some(64.2),
        battery_percent: Some(88.0),
        runtime_min: Some(1350.0),
        place: Some((Place { lat_e7: 335_116_331, lon_e7: -868_965_344 }, 400, 0.8)),
        flags: Flags::NONE,
        segment: first.then(|| NewSegment {
            raw_start: 0,
            unwrapped_start: 0,
            k,
            points: String::new(),
            carried: k.volume(0),
            reason: SegmentReason::First,
        }),
        span: first.then_some(NewSpan {
            assignment: Some(job),
            origin: Origin::Fixed,
            owns_reading: true,
        }),
    }
}

/// The bare loop here: the same numbers into one table without an index, as durably.
fn bare_inserts(dir: &Path) -> Duration {
    let db = Connection::open(dir.join("bare.db")).unwrap();
    db.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         CREATE TABLE bare (seq INTEGER PRIMARY KEY, at, raw, unwrapped, share, rate, lat, lon)",
    )
    .unwrap();
    let mut insert =
        db.prepare("INSERT INTO bare VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)").unwrap();
    let begun = Instant::now();
    for n in 0..READINGS {
        let r = reading(n);
        let (place, ..) = r.place.unwrap();
        let (raw, unwrapped) = (r.raw.cast_signed(), r.unwrapped.cast_signed());
        let row = (
            n.cast_signed(),
            r.at.0,
            raw,
            unwrapped,
            r.share.0,
            r.rate_gpm,
            place.lat_e7,
            place.lon_e7,
        );
        insert.execute(row).unwrap();
    }
    begun.elapsed()
}

fn disk() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&file_in(dir.path()), &BootId("bench".to_owned())).unwrap();
    store.append(&reading(0)).unwrap();
    let log = file_in(dir.path()).with_extension("db-wal");
    let frames = || std::fs::metadata(&log).unwrap().len() / FRAME;
    let (before, begun) = (frames(), Instant::now());
    for n in 1..=READINGS {
        store.append(&reading(n)).unwrap();
    }
    let (ours, pages) = (begun.elapsed(), frames() - before);
    tell("a reading to the disk", ours, bare_inserts(dir.path()), READINGS as u32);
    println!("{:<28} {:>8.2} pages each", "", pages as f64 / READINGS as f64);
}
