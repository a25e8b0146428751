//! What the benches with a backlog have in common: a queue as a season leaves it, made by
//! the queue's own appends, and a list of bounds that were kept or not. Knows no agent.

use std::path::Path;

use spraylog::clock::{Anchor, AnchorSource, BootId, BootInstant, UtcMs};
use spraylog::queue::{Store, file_in};
use spraylog::reading::{
    Assignment, Flags, NewSegment, NewSpan, Origin, Place, Reading, SegmentReason,
};
use spraylog::units::KFactor;

/// Readings of a long day: one boot, one job.
pub const A_DAY: u64 = 10_000;
/// Counts a gallon.
const K: f64 = 126.7;
/// Readings recorded in one transaction.
const TOGETHER: u64 = 2_000;
/// Counts from one reading to the next.
const COUNTS: u64 = 20;
/// Milliseconds from one reading to the next.
const EVERY_MS: u64 = 5_000;
const DAY_MS: i64 = 86_400_000;

/// The meter of all of it: the one that `hil_sim` has.
const SERIAL: &str = "AF23265";

/// Records so many readings in a fresh queue, day by day up to yesterday: each day its own
/// boot with a known time, and its own job.
pub fn season(dir: &Path, readings: u64) {
    let today_ms = jiff::Timestamp::now().as_millisecond();
    let days = readings.div_ceil(A_DAY);
    for day in 0..days {
        let boot = BootId(format!("day-{day}"));
        let mut store = Store::open(&file_in(dir), &boot).unwrap();
        let utc = UtcMs(today_ms - (days - day) as i64 * DAY_MS);
        let at = BootInstant(0);
        store.add_anchor(Anchor { at, utc, err_ms: 100, source: AnchorSource::Gps }).unwrap();
        let (mut n, end) = (day * A_DAY, readings.min((day + 1) * A_DAY));
        while n < end {
            let upto = end.min(n + TOGETHER);
            let some: Vec<Reading> = (n..upto).map(reading).collect();
            store.append_all(&some).unwrap();
            n = upto;
        }
    }
}

fn reading(n: u64) -> Reading {
    let k = KFactor::new(K).unwrap();
    let (day, in_day) = (n / A_DAY, n % A_DAY);
    // A span opens with a reading that brings no volume.
    let count = |n: u64| (n - n / A_DAY) * COUNTS;
    let raw = count(n);
    let before = count(n.saturating_sub(1));
    let step = i32::try_from(in_day).unwrap();
    Reading {
        at: BootInstant((in_day * EVERY_MS).cast_signed()),
        serial: SERIAL.to_owned(),
        raw,
        meter_seq: Some(in_day as u16),
        unwrapped: raw,
        share: k.volume(raw) - k.volume(before),
        rate_gpm: Some(1.9),
        fluid_f: Some(71.5),
        ambient_f: Some(64.2),
        battery_percent: Some(88.0),
        runtime_min: Some(1350.0),
        place: Some((
            Place { lat_e7: 335_116_331 + step * 90, lon_e7: -868_965_344 - step * 70 },
            400,
            0.8,
        )),
        flags: Flags::NONE,
        segment: (n == 0).then(|| NewSegment {
            raw_start: 0,
            unwrapped_start: 0,
            k,
            points: String::new(),
            carried: k.volume(0),
            reason: SegmentReason::First,
        }),
        span: (in_day == 0).then(|| NewSpan {
            assignment: Some(Assignment {
                event: format!("5739034294cb31984da90d44{day:06x}"),
                job: format!("49992697792b29c083a54647{day:06x}"),
                item: None,
                product: None,
                note: String::new(),
            }),
            origin: Origin::Pick,
            owns_reading: true,
        }),
    }
}

/// How large a bench is: what the variable says, else as large as its bounds are meant for.
pub fn size(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |text| text.parse().unwrap())
}

/// The one in the middle.
pub fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

/// What was measured, and which of it was too much.
#[derive(Default)]
pub struct Bounds {
    broken: usize,
}

impl Bounds {
    /// Prints a figure beside its bound.
    pub fn holds(&mut self, what: &str, found: f64, unit: &str, most: f64) {
        let word = if found <= most { "" } else { "  BROKEN" };
        self.broken += usize::from(found > most);
        println!("{what:<58} {found:>9.2} {unit:<5} at most {most:.2}{word}");
    }

    /// How the bench ends.
    pub fn end(self) -> std::process::ExitCode {
        match self.broken {
            0 => std::process::ExitCode::SUCCESS,
            broken => {
                println!("{broken} bounds broken");
                std::process::ExitCode::FAILURE
            }
        }
    }
}
