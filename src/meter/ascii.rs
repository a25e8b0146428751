//! A meter's lines to samples: checksum, columns, numbers. A line whose shape, count or
//! identity is wrong is no sample, and is counted by its cause. Pure; knows no port, no time, and
//! not whether a count makes sense ([`super::counter`]).
//!
//! The rig's own line (`config/meters/rig-line.toml`):
//!
//! ```text
//! $FLOW,<serial>,<seq>,<count>,<rate>,<fluid °F>,<ambient °F>,<battery %>,<minutes left>*hh
//!  └──────────────── xor of these bytes is hh, as in NMEA 0183 ─────────────────────────┘
//! ```
//!
//! An empty column is a sensor that isn't there, and a value that can't be (a battery at
//! 180 %, `nan`) is one that is broken: no value, and counted. A broken sensor must not
//! cost the count beside it, which has a judge of its own.

use std::ops::RangeInclusive;

use serde::Serialize;

use super::lines::{Found, Lines};
use super::profile::{Checksum, Field, Layout, Profile, Role, Source, Speaks};
use crate::failpoint;
use crate::reading::Sample;

/// The longest serial number, in characters.
const SERIAL_CHARS: usize = 32;
/// Gallons a minute; the largest fire pumps move 6,000.
const RATE_GPM: RangeInclusive<f64> = 0.0..=100_000.0;
/// °F; no spray liquid is outside it.
const TEMPERATURE_F: RangeInclusive<f64> = -100.0..=300.0;
/// Percent.
const BATTERY_PERCENT: RangeInclusive<f64> = 0.0..=100.0;
/// Minutes; ten years.
const RUN_TIME_MIN: RangeInclusive<f64> = 0.0..=5_260_000.0;

/// What came in and what became of it: `lines` is `samples` and all of `rejected`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Bytes.
    pub bytes: u64,
    /// Lines, whole or not.
    pub lines: u64,
    /// Lines that are samples.
    pub samples: u64,
    /// Sensor values in them that can't be, and were taken for none.
    pub bad_values: u64,
    /// Lines that are not.
    pub rejected: Rejected,
}

/// Lines that are no samples, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Longer than the profile allows.
    pub too_long: u64,
    /// Cut short by the beginning of another.
    pub cut: u64,
    /// No checksum at its end.
    pub no_checksum: u64,
    /// A checksum that is not the line's.
    pub bad_checksum: u64,
    /// Not of this kind of meter: another beginning.
    pub not_ours: u64,
    /// Too few or too many columns, no count, or no number where one belongs.
    pub malformed: u64,
    /// A number that can't be.
    pub out_of_range: u64,
}

/// Turns a meter's bytes into samples. Holds at most one line.
#[derive(Debug, Clone)]
pub struct Decoder {
    profile: Profile,
    lines: Lines,
    counters: Counters,
}

/// Why a line is no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    NoChecksum,
    BadChecksum,
    NotOurs,
    Malformed,
    OutOfRange,
}

impl Decoder {
    /// For meters that speak as this profile says.
    pub fn new(profile: &Profile) -> Self {
        let Speaks::AsciiStream(stream) = &profile.speaks;
        Self {
            profile: profile.clone(),
            lines: Lines::new(stream.max_line_bytes),
            counters: Counters::default(),
        }
    }

    /// Takes bytes as they come, in pieces of any size; returns the samples that they
    /// complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Sample> {
        let mut samples = Vec::new();
        for byte in bytes {
            let found = self.lines.push(*byte);
            samples.extend(found.and_then(|found| self.take(found)));
        }
        self.counters.bytes += bytes.len() as u64;
        samples
    }

    /// Nothing more comes (a capture ends): the sample in a last line without its end.
    pub fn finish(&mut self) -> Option<Sample> {
        let found = self.lines.end()?;
        self.take(found)
    }

    /// The port was opened anew: what is left of the line before is not the beginning of
    /// what comes next. Counters go on.
    pub fn reset(&mut self) {
        let Speaks::AsciiStream(stream) = &self.profile.speaks;
        self.lines = Lines::new(stream.max_line_bytes);
    }

    /// From the next line on, meters that speak as another profile says.
    pub fn set_profile(&mut self, profile: &Profile) {
        if *profile != self.profile {
            self.profile = profile.clone();
            self.reset();
        }
    }

    /// What came in so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn take(&mut self, found: Found) -> Option<Sample> {
        failpoint::pass("line_framed");
        self.counters.lines += 1;
        let rejected = &mut self.counters.rejected;
        let tally = match found {
            Found::TooLong => &mut rejected.too_long,
            Found::Cut => &mut rejected.cut,
            Found::Stray => &mut rejected.not_ours,
            Found::Whole => match sample(&self.profile, self.lines.line()) {
                Ok((sample, bad_values)) => {
                    self.counters.samples += 1;
                    self.counters.bad_values += bad_values;
                    return Some(sample);
                }
                Err(Cause::NoChecksum) => &mut rejected.no_checksum,
                Err(Cause::BadChecksum) => &mut rejected.bad_checksum,
                Err(Cause::NotOurs) => &mut rejected.not_ours,
                Err(Cause::Malformed) => &mut rejected.malformed,
                Err(Cause::OutOfRange) => &mut rejected.out_of_range,
            },
        };
        *tally += 1;
        None
    }
}

/// The sample in a line without its `$` and its end, and how many of its sensors' values
/// can't be.
fn sample(profile: &Profile, line: &[u8]) -> Result<(Sample, u64), Cause> {
    let Speaks::AsciiStream(stream) = &profile.speaks;
    let Layout::Csv { prefix, columns: expected } = &stream.layout;
    let body = match stream.checksum {
        Checksum::Xor8 => without_xor8(line)?,
    };
    let mut parts = body.split(|b| *b == b',');
    if parts.next() != Some(prefix.as_bytes()) {
        return Err(Cause::NotOurs);
    }
    let columns: Vec<&str> = parts
        .map(|part| std::str::from_utf8(part).map(|text| text.trim_matches(' ')))
        .collect::<Result<_, _>>()
        .map_err(|_| Cause::Malformed)?;
    if columns.len() != *expected {
        return Err(Cause::Malformed);
    }
    let row = Row { profile, columns };
    let mut bad_values = 0;
    let mut quantity = |role, sane| {
        row.quantity(role, sane).unwrap_or_else(|BadValue| {
            bad_values += 1;
            None
        })
    };
    let sample = Sample {
        serial: row.text(Role::SerialNumber)?,
        seq: row.sequence()?,
        raw: row.integer(Role::RawCount)?.ok_or(Cause::Malformed)?,
        rate_gpm: quantity(Role::Rate, &RATE_GPM),
        fluid_f: quantity(Role::FluidTemperature, &TEMPERATURE_F),
        ambient_f: quantity(Role::AmbientTemperature, &TEMPERATURE_F),
        battery_percent: quantity(Role::BatteryPercent, &BATTERY_PERCENT),
        runtime_min: quantity(Role::RunTime, &RUN_TIME_MIN),
        ..Sample::default()
    };
    Ok((sample, bad_values))
}

/// What stands before `*hh`, if hh is its xor.
fn without_xor8(line: &[u8]) -> Result<&[u8], Cause> {
    let [body @ .., b'*', high, low] = line else {
        return Err(Cause::NoChecksum);
    };
    let digit = |hex: u8| char::from(hex).to_digit(16).ok_or(Cause::NoChecksum);
    let given = digit(*high)? * 16 + digit(*low)?;
    let actual = body.iter().fold(0_u8, |sum, byte| sum ^ byte);
    if u32::from(actual) == given { Ok(body) } else { Err(Cause::BadChecksum) }
}

/// A sensor's value that is no number, or that can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BadValue;

/// One line's columns, read by role. A role that the profile hasn't, or whose column is
/// empty, is `None`.
struct Row<'a> {
    profile: &'a Profile,
    columns: Vec<&'a str>,
}

impl Row<'_> {
    fn column(&self, role: Role) -> Option<(&Field, &str)> {
        let field = self.profile.fields.get(&role)?;
        let Source::Position(position) = field.source;
        let text = self.columns.get(position.checked_sub(1)?)?;
        (!text.is_empty()).then_some((field, *text))
    }

    fn text(&self, role: Role) -> Result<Option<String>, Cause> {
        let Some((_, text)) = self.column(role) else {
            return Ok(None);
        };
        let printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        if !printable {
            return Err(Cause::Malformed);
        }
        if text.len() > SERIAL_CHARS {
            return Err(Cause::OutOfRange);
        }
        Ok(Some(text.to_owned()))
    }

    fn integer(&self, role: Role) -> Result<Option<u64>, Cause> {
        let Some((_, text)) = self.column(role) else {
            return Ok(None);
        };
        if !text.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Cause::Malformed);
        }
        text.parse().map(Some).map_err(|_| Cause::OutOfRange)
    }

    fn sequence(&self) -> Result<Option<u16>, Cause> {
        let Some(number) = self.integer(Role::Sequence)? else {
            return Ok(None);
        };
        match self.profile.counter.seq_modulus {
            Some(modulus) if number >= u64::from(modulus) => Err(Cause::OutOfRange),
            // Without a modulus nobody goes by the number, so that it may be any.
            _ => Ok(u16::try_from(number).ok()),
        }
    }

    fn quantity(&self, role: Role, sane: &RangeInclusive<f64>) -> Result<Option<f64>, BadValue> {
        let Some((field, text)) = self.column(role) else {
            return Ok(None);
        };
        let plain = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-');
        if !text.bytes().all(plain) {
            return Err(BadValue);
        }
        let number: f64 = text.parse().map_err(|_| BadValue)?;
        // A sum with 0 turns −0 into 0.
        let value = field.value(number) + 0.0;
        if sane.contains(&value) { Ok(Some(value)) } else { Err(BadValue) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig_line() -> Decoder {
        Decoder::new(&Profile::builtin("rig-line").unwrap().unwrap())
    }

    /// `$body*hh` and a line end.
    fn line(body: &str) -> Vec<u8> {
        let sum = body.bytes().fold(0_u8, |sum, byte| sum ^ byte);
        format!("${body}*{sum:02X}\r\n").into_bytes()
    }

    fn decoded(bytes: &[u8]) -> (Vec<Sample>, Rejected) {
        let mut decoder = rig_line();
        let samples = decoder.push(bytes);
        (samples, decoder.counters().rejected)
    }

    fn rejected(body: &str) -> Rejected {
        let (samples, rejected) = decoded(&line(body));
        assert_eq!(samples, [], "{body}");
        rejected
    }

    const BARE: Sample = Sample {
        serial: None,
        seq: None,
        raw: 0,
        rate_gpm: None,
        fluid_f: None,
        ambient_f: None,
        battery_percent: None,
        runtime_min: None,
        battery_volts: None,
        rollover: None,
        power_up: None,
        status: None,
    };

    #[test]
    fn a_whole_line_gives_every_value() {
        let (samples, _) = decoded(b"$FLOW,FM-0042,17,158928,2.05,71.5,-3.25,88,412*3F\r\n");
        let expected = Sample {
            serial: Some("FM-0042".to_owned()),
            seq: Some(17),
            raw: 158_928,
            rate_gpm: Some(2.05),
            fluid_f: Some(71.5),
            ambient_f: Some(-3.25),
            battery_percent: Some(88.0),
            runtime_min: Some(412.0),
            ..BARE
        };
        assert_eq!(samples, [expected]);
    }

    #[test]
    fn an_empty_column_is_no_sensor_and_never_a_zero() {
        let (samples, _) = decoded(&line("FLOW,,,5,,,,,"));
        assert_eq!(samples, [Sample { raw: 5, ..BARE }]);
        let (samples, _) = decoded(&line("FLOW, ,3, 5,  1.50,,,,"));
        assert_eq!(samples, [Sample { seq: Some(3), raw: 5, rate_gpm: Some(1.5), ..BARE }]);
    }

    #[test]
    fn hex_digits_of_either_case_and_any_line_end_will_do() {
        let text = "$FLOW,,,8,,,,,*2a\n$FLOW,,,8,,,,,*2A\r";
        assert_eq!(decoded(text.as_bytes()).0.len(), 2);
    }

    #[test]
    fn each_damage_is_counted_by_its_cause() {
        let none = Rejected::default();
        let found = |bytes: &[u8]| decoded(bytes).1;
        assert_eq!(found(b"$FLOW,,,5,,,,,\n"), Rejected { no_checksum: 1, ..none });
        assert_eq!(found(b"$FLOW,,,5,,,,,*6\n"), Rejected { no_checksum: 1, ..none });
        assert_eq!(found(b"$FLOW,,,5,,,,,*00\n"), Rejected { bad_checksum: 1, ..none });
        assert_eq!(found(b"$FLOW,,,5,$FLOW,,,8,,,,,*2A\n"), Rejected { cut: 1, ..none });
        assert_eq!(found(b"hello\n"), Rejected { not_ours: 1, ..none });
        assert_eq!(found(&line("GPGGA,1,2,3,4,5,6,7,8")), Rejected { not_ours: 1, ..none });
        assert_eq!(found(&line(&"x".repeat(500))), Rejected { too_long: 1, ..none });
    }

    #[test]
    fn a_line_that_is_not_as_documented_is_malformed() {
        for body in [
            "FLOW,,,,,,,,",
            "FLOW,,,5,,,,",
            "FLOW,,,5,,,,,,",
            "FLOW,,,-5,,,,,",
            "FLOW,,,5.0,,,,,",
            "FLOW,,,0x5,,,,,",
            "FLOW,,x,5,,,,,",
            "FLOW,a\tb,,5,,,,,",
            "FLOW,\u{b5},,5,,,,,",
        ] {
            assert_eq!(rejected(body), Rejected { malformed: 1, ..Rejected::default() }, "{body}");
        }
    }

    #[test]
    fn a_broken_sensor_is_none_and_costs_no_count() {
        for body in [
            "FLOW,,,5,-0.1,,,,",
            "FLOW,,,5,inf,,,,",
            "FLOW,,,5,1e3,,,,",
            "FLOW,,,5,1.2.3,,,,",
            "FLOW,,,5,,-196.6,,,",
            "FLOW,,,5,,301,,,",
            "FLOW,,,5,,,-101,,",
            "FLOW,,,5,,,NaN,,",
            "FLOW,,,5,,,,100.5,",
            "FLOW,,,5,,,,-1,",
            "FLOW,,,5,,,,,-1",
        ] {
            let mut decoder = rig_line();
            assert_eq!(decoder.push(&line(body)), [Sample { raw: 5, ..BARE }], "{body}");
            let counters = decoder.counters();
            assert_eq!((counters.samples, counters.bad_values), (1, 1), "{body}");
            assert_eq!(counters.rejected, Rejected::default(), "{body}");
        }
    }

    #[test]
    fn a_line_number_without_a_modulus_may_be_any() {
        let text = Profile::builtin("rig-line").unwrap().unwrap();
        let mut counter = text.counter;
        counter.seq_modulus = None;
        let mut decoder = Decoder::new(&Profile { counter, ..text });
        let samples = decoder.push(&line("FLOW,,70000,5,,,,,"));
        assert_eq!(samples, [Sample { raw: 5, ..BARE }]);
    }

    #[test]
    fn a_count_or_an_identity_that_can_not_be_is_no_sample() {
        for body in [
            "FLOW,,65536,5,,,,,",
            "FLOW,,,18446744073709551616,,,,,",
            "FLOW,123456789012345678901234567890123,,5,,,,,",
        ] {
            let expected = Rejected { out_of_range: 1, ..Rejected::default() };
            assert_eq!(rejected(body), expected, "{body}");
        }
    }

    #[test]
    fn the_greatest_values_pass() {
        let (samples, _) = decoded(&line("FLOW,,65535,18446744073709551615,-0,300,-100,100,0"));
        assert_eq!(samples[0].raw, u64::MAX);
        assert_eq!(samples[0].rate_gpm.map(f64::is_sign_negative), Some(false));
    }

    #[test]
    fn a_capture_that_ends_without_a_line_end_loses_no_sample() {
        let mut decoder = rig_line();
        assert_eq!(decoder.push(b"$FLOW,,,8,,,,,*2A"), []);
        assert_eq!(decoder.finish(), Some(Sample { raw: 8, ..BARE }));
        assert_eq!(decoder.finish(), None);
        let counters = decoder.counters();
        assert_eq!((counters.bytes, counters.lines, counters.samples), (17, 1, 1));
    }
}
