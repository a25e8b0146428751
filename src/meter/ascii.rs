//! A meter's lines to samples. A line whose shape, count or identity is wrong is no
//! sample, and is counted by its cause. Pure; knows no port, no time, and not whether a
//! count makes sense ([`super::counter`]).
//!
//! The rig's own line (`config/meters/rig-line.toml`):
//!
//! ```text
//! $FLOW,<serial>,<seq>,<count>,<rate>,<fluid °F>,<ambient °F>,<battery %>,<minutes left>*hh
//!  └──────────────── xor of these bytes is hh, as in NMEA 0183 ─────────────────────────┘
//! ```
//!
//! An empty column is a sensor that isn't there. What a meter that is asked has answered is
//! put together in rounds: [`poll`] asks, [`Decoder`] reads what was captured.

mod line;
pub mod poll;
#[cfg(test)]
mod published;

use serde::Serialize;

use super::lines::{Found, Lines};
use super::profile::Profile;
use super::values::{self, Fault, Values};
use crate::failpoint;
use crate::reading::Sample;
use line::Cause;

/// What came in and what became of it. Of a meter that speaks unasked `lines` is `samples`
/// and all of `rejected`; of one that is asked, `answers` and all of `rejected`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Bytes.
    pub bytes: u64,
    /// Lines, whole or not.
    pub lines: u64,
    /// Lines, or rounds of questions, that are samples.
    pub samples: u64,
    /// Sensor values in them that can't be, and were taken for none.
    pub bad_values: u64,
    /// Lines that are not.
    pub rejected: Rejected,
    /// Of a meter that is asked.
    #[serde(flatten, skip_serializing_if = "Asked::is_nothing")]
    pub asked: Asked,
}

/// What became of the questions to a meter that is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// Lines that answer a question.
    pub answers: u64,
    /// Questions that weren't answered in time.
    pub unanswered: u64,
    /// Rounds of questions without an answer that has a count, or with one that can't be.
    pub rounds_without_count: u64,
}

impl Asked {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// Lines that are no samples and no part of one, by cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// Longer than the profile allows.
    pub too_long: u64,
    /// Cut short by the beginning of another, or without their own beginning.
    pub cut: u64,
    /// No checksum at its end.
    pub no_checksum: u64,
    /// A checksum that is not the line's.
    pub bad_checksum: u64,
    /// Not of this kind of meter, or no answer to what was asked.
    pub not_ours: u64,
    /// Too few or too many columns, no count, or no number where one belongs.
    pub malformed: u64,
    /// A number that can't be.
    pub out_of_range: u64,
}

impl Rejected {
    fn count(&mut self, cause: Cause) {
        let tally = match cause {
            Cause::NoChecksum => &mut self.no_checksum,
            Cause::BadChecksum => &mut self.bad_checksum,
            Cause::NotOurs => &mut self.not_ours,
            Cause::Malformed => &mut self.malformed,
        };
        *tally += 1;
    }

    fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::Malformed => self.malformed += 1,
            Fault::OutOfRange => self.out_of_range += 1,
        }
    }
}

impl Counters {
    /// Counts what ended; true for a whole line.
    fn framed(&mut self, found: Found) -> bool {
        failpoint::pass("line_framed");
        self.lines += 1;
        match found {
            Found::TooLong => self.rejected.too_long += 1,
            Found::Cut => self.rejected.cut += 1,
            Found::Stray => self.rejected.not_ours += 1,
            Found::Whole => return true,
        }
        false
    }

    /// The sample that a round of answers is.
    fn round(&mut self, profile: &Profile, values: &Values) -> Option<Sample> {
        match values::sample(profile, values) {
            Ok((sample, bad_values)) => {
                self.samples += 1;
                self.bad_values += bad_values;
                Some(sample)
            }
            Err(Fault::Malformed | Fault::OutOfRange) => {
                self.asked.rounds_without_count += 1;
                None
            }
        }
    }
}

/// Turns the bytes of a meter that speaks in lines into samples. Holds at most one line and
/// one round of answers.
#[derive(Debug, Clone)]
pub struct Decoder {
    profile: Profile,
    /// `None` for a meter that doesn't speak in lines: nothing comes of its bytes.
    lines: Option<Lines>,
    /// The answers of a round that isn't over, and how many requests it is through.
    round: (Values, usize),
    counters: Counters,
}

impl Decoder {
    /// For meters that speak as this profile says; the first byte begins a line.
    pub fn new(profile: &Profile) -> Self {
        Self {
            profile: profile.clone(),
            lines: profile.lines().map(Lines::new),
            round: (Values::new(), 0),
            counters: Counters::default(),
        }
    }

    /// Takes bytes as they come, in pieces of any size; returns the samples that they
    /// complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Sample> {
        let mut samples = Vec::new();
        for byte in bytes {
            let found = self.lines.as_mut().and_then(|lines| lines.push(*byte));
            if let Some(found) = found {
                self.take(found, &mut samples);
            }
        }
        self.counters.bytes += bytes.len() as u64;
        samples
    }

    /// Nothing more comes (a capture ends): the samples in a last line without its end and
    /// in a last round without its last answer.
    pub fn finish(&mut self) -> Vec<Sample> {
        let mut samples = Vec::new();
        if let Some(found) = self.lines.as_mut().and_then(Lines::end) {
            self.take(found, &mut samples);
        }
        self.end_round(&mut samples);
        samples
    }

    /// The port was opened anew: what is left of the line before is not the beginning of
    /// what comes next, and that may begin in the middle of a line. Counters go on.
    pub fn reset(&mut self) {
        self.lines = self.profile.lines().map(Lines::joined_late);
        self.round = (Values::new(), 0);
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

    fn take(&mut self, found: Found, samples: &mut Vec<Sample>) {
        if !self.counters.framed(found) {
            return;
        }
        if self.profile.requests().is_empty() {
            samples.extend(self.sample());
        } else {
            self.answer(samples);
        }
    }

    /// The sample in a line of a meter that speaks unasked.
    fn sample(&mut self) -> Option<Sample> {
        let (lines, made) = (self.lines.as_ref()?, self.profile.lines()?);
        let rejected = &mut self.counters.rejected;
        let values = line::values(&self.profile, made, 0, lines.line());
        let values = values.map_err(|cause| rejected.count(cause)).ok()?;
        let sample = values::sample(&self.profile, &values);
        let (sample, bad_values) = sample.map_err(|fault| rejected.fault(fault)).ok()?;
        self.counters.samples += 1;
        self.counters.bad_values += bad_values;
        Some(sample)
    }

    /// An answer in a capture, where the questions aren't to be seen: it belongs to the next
    /// request that it can be an answer to.
    fn answer(&mut self, samples: &mut Vec<Sample>) {
        let (Some(lines), Some(made)) = (self.lines.as_ref(), self.profile.lines()) else {
            return;
        };
        let (count, through) = (self.profile.requests().len(), self.round.1);
        let mut refused = None;
        let answered = (through..through + count).find_map(|turn| {
            let request = turn % count;
            match line::values(&self.profile, made, request, lines.line()) {
                Ok(values) => Some((request, values)),
                Err(cause) => {
                    refused.get_or_insert(cause);
                    None
                }
            }
        });
        let Some((request, values)) = answered else {
            self.counters.rejected.count(refused.unwrap_or(Cause::NotOurs));
            return;
        };
        if request < through {
            self.end_round(samples);
        }
        self.counters.asked.answers += 1;
        self.round.0.extend(values);
        self.round.1 = request + 1;
        if self.round.1 == count {
            self.end_round(samples);
        }
    }

    fn end_round(&mut self, samples: &mut Vec<Sample>) {
        let (values, through) = std::mem::take(&mut self.round);
        if through > 0 {
            samples.extend(self.counters.round(&self.profile, &values));
        }
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
            "FLOW,,,5,1e999,,,,",
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
        assert_eq!(decoder.finish(), [Sample { raw: 8, ..BARE }]);
        assert_eq!(decoder.finish(), []);
        let counters = decoder.counters();
        assert_eq!((counters.bytes, counters.lines, counters.samples), (17, 1, 1));
    }
}
