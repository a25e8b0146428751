//! The recorder's rules as timelines: a meter that speaks once a second, an operator and
//! a road, and what is recorded of it.

use std::time::Duration;

use super::*;
use crate::clock::BootInstant;
use crate::config;
use crate::meter::battery::Curve;
use crate::meter::calibration::Calibration;
use crate::meter::counter::{self, RestartFrom};
use crate::reading::{Assignment, Fix, Flag, Origin, Place, Reading, Sample, SegmentReason};
use crate::units::{KFactor, Microlitres, UL_PER_GALLON};

const K: f64 = 120.0;
/// Counts a second at 2 gallons a minute.
const SPRAY: u64 = 4;
const METRE: f64 = 1.0 / 111_195.0;

pub(super) fn k(counts_per_gallon: f64) -> KFactor {
    KFactor::new(counts_per_gallon).unwrap()
}

pub(super) fn rules(counts_per_gallon: f64) -> Rules {
    Rules {
        counter: counter::Rules {
            modulus: 1 << 32,
            max_rate_gpm: 40.0,
            k: k(counts_per_gallon),
            restart_from: RestartFrom::Zero,
            rollover_register: false,
            seq_modulus: Some(65_536),
        },
        calibration: Calibration::constant(k(counts_per_gallon)),
        integrated: false,
        battery: Curve::default(),
        configured_serial: String::new(),
        record: config::Record {
            every: Duration::from_secs(5),
            every_m: 2.0,
            every_gal: 0.5,
            idle_every: Duration::ZERO,
            stand_in: config::StandIn::default(),
        },
        low_flow_gpm: 0.05,
        fix_stale_ms: 3_000,
        max_count: 2_147_483_647,
    }
}

pub(super) fn job(id: &str) -> Option<(Assignment, Origin)> {
    let assignment = Assignment {
        event: "e1".into(),
        job: id.into(),
        item: None,
        product: None,
        note: String::new(),
    };
    Some((assignment, Origin::Pick))
}

/// A rig on the bench: time goes on by its samples.
struct Rig {
    recorder: Recorder,
    ms: i64,
    raw: u64,
    seq: u16,
    serial: Option<String>,
    rate_gpm: Option<f64>,
    /// Percent, volts and run time of the battery, as the meter tells them.
    battery: [Option<f64>; 3],
    /// Its registers of rollovers and of power-ups.
    registers: [Option<u64>; 2],
    readings: Vec<Reading>,
}

impl Rig {
    /// A rig whose meter shows 10 000 and hasn't been heard yet.
    fn new(rules: Rules) -> Self {
        Self {
            recorder: Recorder::new(rules, Resume::default()),
            ms: 100_000,
            raw: 10_000,
            seq: 100,
            serial: Some("M1".into()),
            rate_gpm: None,
            battery: [None; 3],
            registers: [None; 2],
            readings: Vec::new(),
        }
    }

    /// A rig at rest, whose first reading has been made and whose span is open.
    fn at_rest(rules: Rules, assignment: Option<(Assignment, Origin)>) -> Self {
        let mut rig = Self::new(rules);
        rig.recorder.assign(assignment);
        rig.run(10, 0);
        assert_eq!(rig.taken().len(), 1);
        rig
    }

    fn now(&self) -> BootInstant {
        BootInstant(self.ms)
    }

    /// So many seconds with so many counts each.
    fn run(&mut self, seconds: i64, counts: u64) {
        for _ in 0..seconds {
            self.step(1_000, counts);
        }
    }

    /// One sample, so much later.
    fn step(&mut self, ms: i64, counts: u64) {
        self.ms += ms;
        self.raw += counts;
        self.seq = self.seq.wrapping_add(1);
        self.say();
    }

    fn say(&mut self) {
        let sample = Sample {
            serial: self.serial.clone(),
            seq: Some(self.seq),
            raw: self.raw,
            rate_gpm: self.rate_gpm,
            ambient_f: Some(70.0),
            battery_percent: self.battery[0],
            battery_volts: self.battery[1],
            runtime_min: self.battery[2],
            rollover: self.registers[0],
            power_up: self.registers[1],
            ..Sample::default()
        };
        self.readings.extend(self.recorder.sample(sample, BootInstant(self.ms)));
    }

    /// One sample with another count, as a damaged line would show it.
    fn damaged(&mut self, raw: u64) {
        self.ms += 1_000;
        self.seq += 1;
        let good = std::mem::replace(&mut self.raw, raw);
        self.say();
        self.raw = good;
    }

    fn silent(&mut self, seconds: i64, counts: u64) {
        self.ms += seconds * 1_000;
        self.raw += counts;
        self.seq = self.seq.wrapping_add(u16::try_from(seconds).unwrap());
    }

    fn restart_meter(&mut self, raw: u64) {
        self.raw = raw;
        self.seq = 0;
        self.ms += 1_000;
        self.say();
    }

    fn fix(&mut self, north_m: f64, speed_mps: Option<f64>) {
        self.recorder.fix(Fix {
            at: self.now(),
            utc: None,
            place: Place::from_degrees(40.0 + north_m * METRE, -90.0).unwrap(),
            hdop: 0.9,
            quality: 1,
            speed_mps,
        });
    }

    /// Another agent, which knows what the queue knows.
    fn restart_agent(&mut self, rules: Rules, last: &Reading, same_boot: bool, open: &str) {
        let resume = Resume { last: Some(last_reading(last, K, same_boot)), assignment: job(open) };
        self.recorder = Recorder::new(rules, resume);
        self.fix(0.0, None);
    }

    /// The readings since this was last asked.
    fn taken(&mut self) -> Vec<Reading> {
        std::mem::take(&mut self.readings)
    }
}

fn last_reading(reading: &Reading, counts_per_gallon: f64, same_boot: bool) -> LastReading {
    LastReading {
        points: String::new(),
        raw_start: reading.raw,
        unwrapped_start: reading.unwrapped,
        serial: reading.serial.clone(),
        raw: reading.raw,
        meter_seq: reading.meter_seq,
        unwrapped: reading.unwrapped,
        at: same_boot.then_some(reading.at),
        k: k(counts_per_gallon),
    }
}

fn ul(counts: u64, counts_per_gallon: f64) -> i64 {
    (counts as f64 / counts_per_gallon * UL_PER_GALLON).round() as i64
}

fn shares(readings: &[Reading]) -> i64 {
    readings.iter().map(|r| r.share.0).sum()
}

fn seconds_apart(readings: &[Reading]) -> Vec<i64> {
    readings.windows(2).map(|w| w[1].at.since_ms(w[0].at) / 1000).collect()
}

fn words(reading: &Reading) -> Vec<&'static str> {
    reading.flags.words().collect()
}

fn near(sum: i64, exact: i64) -> bool {
    (sum - exact).abs() <= 1
}

// ---- the first count ----

#[test]
fn the_first_count_that_two_samples_agree_on_opens_the_segment_and_the_span() {
    let mut rig = Rig::new(rules(K));
    rig.recorder.assign(job("a"));
    rig.run(5, 0);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    let first = &readings[0];
    assert_eq!(first.at, BootInstant(102_000));
    assert_eq!((first.raw, first.unwrapped, first.share), (10_000, 10_000, Microlitres::ZERO));
    assert_eq!(first.segment.as_ref().unwrap().reason, SegmentReason::First);
    let span = first.span.as_ref().unwrap();
    assert!(span.owns_reading);
    assert_eq!(span.assignment.as_ref().unwrap().job, "a");
    assert_eq!(words(first), ["tare", "assign"]);
}

#[test]
fn without_a_job_a_fix_or_sensors_a_reading_is_made_all_the_same_and_nothing_invented() {
    let mut rig = Rig::new(rules(K));
    rig.run(5, 0);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    let first = &readings[0];
    assert_eq!((first.place, first.fluid_f, first.battery_percent), (None, None, None));
    assert_eq!(first.ambient_f, Some(70.0));
    assert!(first.span.is_none() && first.flags.is_empty());
}

// ---- sampling ----

#[test]
fn flow_is_recorded_from_start_to_stop_and_at_rest_nothing() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(22, SPRAY);
    rig.run(60, 0);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["start"]);
    assert_eq!(words(readings.last().unwrap()), ["stop"]);
    // Start in its 1st second, then every 5 s; the stop 3 s after the last count, at 22 s.
    assert_eq!(seconds_apart(&readings), [5, 5, 5, 5, 4]);
    assert_eq!(readings.last().unwrap().at, BootInstant(110_000 + 25_000));
    assert!(near(shares(&readings), ul(22 * SPRAY, K)), "at rest all of it is recorded");
}

#[test]
fn samples_a_little_early_do_not_stretch_every_to_six_seconds() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    for i in 0..60 {
        rig.step(if i % 2 == 0 { 995 } else { 985 }, SPRAY);
    }
    assert!(seconds_apart(&rig.taken()).iter().all(|s| *s == 4), "4.95 s each");
}

#[test]
fn half_a_gallon_is_recorded_at_once() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(9, 40);
    // 40 counts a second are a third of a gallon: every second second brings two thirds.
    assert_eq!(seconds_apart(&rig.taken()), [2, 2, 2, 2]);
}

#[test]
fn seepage_below_the_cut_off_is_recorded_by_the_half_gallon() {
    let mut r = rules(10_000.0);
    r.low_flow_gpm = 0.5;
    let mut rig = Rig::at_rest(r, job("a"));
    rig.run(300, 50);
    let readings = rig.taken();
    assert_eq!(readings.len(), 3, "1.5 gallons at 0.3 gpm");
    assert!(readings.iter().all(|r| r.flags.is_empty() && r.rate_gpm == Some(0.0)));
    assert!(readings.iter().all(|r| near(r.share.0, ul(5_000, 10_000.0))));
}

#[test]
fn two_metres_of_driving_make_a_reading_while_it_flows_and_only_then() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    let mut north_m = 0.0;
    let mut drive = |rig: &mut Rig, counts| {
        for _ in 0..20 {
            north_m += 0.7;
            rig.fix(north_m, Some(0.7));
            rig.run(1, counts);
        }
    };
    drive(&mut rig, 0);
    assert_eq!(rig.taken(), []);
    drive(&mut rig, SPRAY);
    let apart = seconds_apart(&rig.taken());
    assert!(apart.len() >= 5 && apart.iter().all(|s| *s == 3), "2.1 m each: {apart:?}");
}

#[test]
fn a_gps_that_wanders_makes_no_readings() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    let mut seed = 1_u64;
    let mut north_m = 0.0_f64;
    for _ in 0..600 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let step = (seed >> 33) as f64 / f64::from(1_u32 << 31) - 0.5;
        north_m = (north_m + step).clamp(-3.0, 3.0);
        rig.fix(north_m, None);
        rig.run(1, SPRAY);
    }
    assert!(seconds_apart(&rig.taken()).iter().all(|s| *s == 5));
}

#[test]
fn a_heartbeat_is_recorded_at_rest_only_where_configured() {
    let mut r = rules(K);
    r.record.idle_every = Duration::from_secs(60);
    let mut rig = Rig::at_rest(r, job("a"));
    rig.run(180, 0);
    let readings = rig.taken();
    assert_eq!(seconds_apart(&readings), [60, 60]);
    assert!(readings.iter().all(|r| words(r) == ["idle"] && r.share == Microlitres::ZERO));
}

#[test]
fn ten_samples_a_second_never_make_two_readings_within_one() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    for i in 0..600 {
        if i % 7 == 0 {
            rig.recorder.assign(job(if i % 2 == 0 { "b" } else { "a" }));
        }
        rig.step(100, 9);
    }
    let readings = rig.taken();
    assert!(readings.len() > 40);
    assert!(readings.windows(2).all(|w| w[1].at.since_ms(w[0].at) >= 1_000));
}

#[test]
fn what_happens_within_a_second_merges_into_the_next_reading() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.step(1_000, SPRAY);
    assert_eq!(words(&rig.taken()[0]), ["start"]);
    rig.recorder.assign(job("b"));
    rig.step(300, 1);
    rig.recorder.set_rules(rules(60.0));
    rig.step(300, 1);
    rig.step(399, 1);
    assert_eq!(rig.taken(), []);
    rig.step(1, 0);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    assert_eq!(words(&readings[0]), ["k", "assign"]);
    assert!(near(readings[0].share.0, ul(3, K)));
}

// ---- spans ----

#[test]
fn volume_before_a_change_of_assignment_stays_with_the_old_one() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(3, SPRAY);
    rig.taken();
    rig.recorder.assign(job("b"));
    rig.run(1, SPRAY);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["assign"]);
    let span = readings[0].span.as_ref().unwrap();
    assert!(!span.owns_reading);
    assert!(near(readings[0].share.0, ul(3 * SPRAY, K)));
}

#[test]
fn a_change_of_assignment_at_rest_begins_with_its_own_reading() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.recorder.assign(job("b"));
    rig.run(10, 0);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    assert!(readings[0].span.as_ref().unwrap().owns_reading);
    assert_eq!(readings[0].share, Microlitres::ZERO);
}

#[test]
fn clearing_the_assignment_closes_the_span() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.recorder.assign(None);
    rig.run(5, 0);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["assign"]);
    assert_eq!(readings[0].span.as_ref().unwrap().assignment, None);
}

#[test]
fn volume_found_after_a_gap_never_goes_into_an_assignment_made_after_it() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.silent(600, 700);
    rig.recorder.assign(job("b"));
    rig.run(3, 0);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    assert_eq!(words(&readings[0]), ["gap", "assign"]);
    assert!(near(readings[0].share.0, ul(700, K)));
    assert!(!readings[0].span.as_ref().unwrap().owns_reading, "it is the old one's");
    rig.run(2, SPRAY);
    assert!(rig.taken()[0].span.is_none());
}

// ---- gaps, suspects, restarts, rollovers ----

#[test]
fn a_silent_meter_stops_nothing_and_starts_nothing() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(10, SPRAY);
    rig.taken();
    assert_eq!(rig.recorder.view(rig.now()).flow, FlowState::Flowing);
    rig.silent(20, 20 * SPRAY);
    assert_eq!(rig.recorder.view(rig.now()).flow, FlowState::Unknown);
    rig.run(10, SPRAY);
    let readings = rig.taken();
    assert!(readings.iter().all(|r| r.flags.is_empty()), "{readings:?}");
    assert!(near(shares(&readings[..1]), ul(4 * SPRAY + 21 * SPRAY, K)));
}

#[test]
fn volume_found_after_a_minute_of_silence_goes_into_the_first_reading_flagged() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(6, SPRAY);
    rig.taken();
    rig.silent(90, 300);
    rig.run(2, SPRAY);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["gap"]);
    assert!(readings[0].share.0 >= ul(300, K));
    assert_eq!(rig.recorder.view(rig.now()).tally.gaps, 1);
}

#[test]
fn a_port_reopened_while_it_flows_flags_what_came_meanwhile() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(7, SPRAY);
    rig.taken();
    rig.silent(3, 3 * SPRAY);
    rig.recorder.reopened();
    rig.run(10, SPRAY);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["gap"]);
    assert!(readings[1..].iter().all(|r| r.flags.is_empty()), "no start, no stop");
}

#[test]
fn a_damaged_count_is_dropped_counted_and_never_volume() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(7, SPRAY);
    rig.damaged(4_000_000);
    rig.run(10, SPRAY);
    rig.damaged(3);
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let readings = rig.taken();
    assert!(near(shares(&readings), ul(27 * SPRAY, K)));
    assert!(readings.iter().all(|r| r.segment.is_none() && r.raw >= 10_000 && r.raw < 11_000));
    assert_eq!(rig.recorder.view(rig.now()).tally.suspects_dropped, 2);
}

#[test]
fn a_restart_opens_a_segment_from_zero_and_loses_nothing() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(8, SPRAY);
    let before = rig.taken();
    rig.restart_meter(6);
    rig.run(1, SPRAY);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    let segment = readings[0].segment.as_ref().unwrap();
    assert!(readings[0].flags.has(Flag::Restart));
    assert_eq!((segment.raw_start, segment.unwrapped_start), (0, 0));
    assert_eq!(segment.reason, SegmentReason::Restart);
    assert_eq!((readings[0].raw, readings[0].unwrapped), (10, 10));
    assert!(near(readings[0].share.0 - segment.carried.0, ul(10, K)));
    assert!(near(shares(&before) + shares(&readings), ul(8 * SPRAY + 10, K)));
    assert!(readings[0].span.is_none(), "the span goes on");
}

#[test]
fn a_restart_from_an_unknown_count_counts_from_its_first_sample() {
    let mut r = rules(K);
    r.counter.restart_from = RestartFrom::Unknown;
    let mut rig = Rig::at_rest(r, job("a"));
    rig.restart_meter(500);
    rig.run(1, SPRAY);
    let readings = rig.taken();
    let segment = readings[0].segment.as_ref().unwrap();
    assert_eq!((segment.raw_start, segment.unwrapped_start), (500, 500));
    assert!(near(readings[0].share.0, ul(SPRAY, K)));
}

#[test]
fn a_rollover_goes_on_in_the_same_segment() {
    let mut r = rules(K);
    r.counter.modulus = 10_010;
    r.counter.max_rate_gpm = 10.0;
    let mut rig = Rig::at_rest(r, job("a"));
    rig.run(2, SPRAY);
    rig.raw = 0; // 10 008, then 2 to the modulus and 2 more
    rig.run(1, 2);
    rig.run(12, SPRAY);
    rig.run(5, 0);
    let readings = rig.taken();
    let flagged: Vec<_> = readings.iter().filter(|r| r.flags.has(Flag::Rollover)).collect();
    assert_eq!(flagged.len(), 1);
    assert!(readings.iter().all(|r| r.segment.is_none()));
    assert!(near(shares(&readings), ul(15 * SPRAY, K)));
    let last = readings.last().unwrap();
    assert_eq!((last.raw, last.unwrapped), (50, 10_060));
    assert_eq!(rig.recorder.view(rig.now()).tally.rollovers, 1);
}

/// Across a start a lower count is a restart: a rollover in memory alone would be lost.
#[test]
fn a_rollover_is_recorded_at_once_and_after_a_start_waits_for_no_place() {
    let mut r = rules(K);
    r.counter.modulus = 10_050;
    r.counter.max_rate_gpm = 10.0;
    r.record.every = Duration::from_secs(20);
    for started in [false, true] {
        let mut rig = Rig::at_rest(r.clone(), job("a"));
        rig.run(10, SPRAY);
        if started {
            let last = rig.taken().pop().unwrap();
            let resume = Resume { last: Some(last_reading(&last, K, true)), assignment: job("a") };
            rig.recorder = Recorder::new(r.clone(), resume);
            rig.run(2, SPRAY);
        } else {
            rig.run(2, SPRAY);
            rig.taken();
        }
        assert_eq!(rig.taken(), []);
        rig.raw = 0; // 10 048, then 2 to the modulus
        rig.run(2, 2);
        let flags: Vec<_> = rig.taken().iter().map(|r| r.flags.has(Flag::Rollover)).collect();
        assert_eq!(flags, [true], "{started}");
    }
}

// ---- K ----

#[test]
fn another_k_counts_from_a_reading_on_and_never_backwards() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(8, SPRAY);
    let before = rig.taken();
    rig.recorder.set_rules(rules(60.0));
    rig.run(1, SPRAY);
    let at_change = rig.taken();
    assert_eq!(words(&at_change[0]), ["k"]);
    let segment = at_change[0].segment.as_ref().unwrap();
    assert_eq!(segment.reason, SegmentReason::Calibration);
    assert_eq!(segment.k, k(60.0));
    assert_eq!(segment.unwrapped_start, at_change[0].unwrapped);
    assert_eq!(segment.carried, at_change[0].share);
    assert!(near(shares(&before) + shares(&at_change), ul(9 * SPRAY, K)));
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let after = rig.taken();
    assert!(after.iter().all(|r| r.segment.is_none()));
    assert!(near(shares(&after), ul(10 * SPRAY, 60.0)));
}

#[test]
fn a_k_that_is_changed_back_before_a_reading_never_was() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.recorder.set_rules(rules(60.0));
    assert!(rig.recorder.view(rig.now()).calibration_waits);
    rig.recorder.set_rules(rules(K));
    rig.run(5, 0);
    assert_eq!(rig.taken(), []);
}

#[test]
fn a_k_changed_while_the_agent_was_down_closes_the_segment_at_the_first_believed_sample() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let last = rig.taken().pop().unwrap();
    rig.restart_agent(rules(60.0), &last, true, "a");
    rig.silent(30, 12);
    rig.run(1, 0);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["k", "gap"]);
    assert!(near(readings[0].share.0, ul(12, K)), "what was poured before is the old K's");
    assert_eq!(readings[0].segment.as_ref().unwrap().carried, readings[0].share);
}

#[test]
fn with_points_k_follows_the_frequency() {
    let mut r = rules(K);
    r.calibration = Calibration::new(k(K), &[(4.0, 100.0), (8.0, 200.0)]).unwrap();
    let mut rig = Rig::at_rest(r, job("a"));
    rig.run(10, 4);
    rig.run(10, 8);
    rig.run(5, 0);
    let exact = (ul(40, 100.0) + ul(80, 200.0)) as f64;
    let found = shares(&rig.taken()) as f64;
    // A change of flow takes a second or two to show.
    assert!((found - exact).abs() < 0.02 * exact, "{found} of {exact}");
}

#[test]
fn with_points_k_follows_the_frequency_of_pulses_and_not_of_lines() {
    let mut r = rules(K);
    r.calibration = Calibration::new(k(K), &[(4.0, 100.0), (8.0, 200.0)]).unwrap();
    let mut rig = Rig::at_rest(r, job("a"));
    // Four pulses a second, ten lines a second: a line tells one pulse or none.
    for tenth in 1..=200_u64 {
        rig.step(100, tenth * 4 / 10 - (tenth - 1) * 4 / 10);
    }
    rig.run(5, 0);
    // By the time from line to line it would be twice the frequency, and half the volume.
    let (found, exact) = (shares(&rig.taken()) as f64, ul(80, 100.0) as f64);
    assert!((found - exact).abs() < 0.06 * exact, "{found} of {exact}");
}

#[test]
fn other_points_close_the_segment_also_where_they_came_while_the_agent_was_down() {
    let with = |points: &[(f64, f64)]| {
        let mut r = rules(K);
        r.calibration = Calibration::new(k(K), points).unwrap();
        r
    };
    let old = with(&[(4.0, 100.0), (8.0, 200.0)]);
    let mut rig = Rig::at_rest(old.clone(), job("a"));
    rig.run(8, 4);
    let last = rig.taken().pop().unwrap();
    let again = |new: Rules| {
        let resumed =
            LastReading { points: old.calibration.points_text(), ..last_reading(&last, K, true) };
        let resume = Resume { last: Some(resumed), assignment: job("a") };
        Recorder::new(new, resume).view(BootInstant(0)).calibration_waits
    };
    assert!(!again(old.clone()), "the same points");
    assert!(again(with(&[(4.0, 100.0), (8.0, 190.0)])));
    assert!(again(with(&[])));
}

// ---- damaged lines that were believed ----

/// Eleven seconds of spraying in job a; the last line has 300 counts too many, and passes.
fn overcounted() -> Rig {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(10, SPRAY);
    rig.raw += SPRAY;
    rig.damaged(rig.raw + 300);
    rig
}

#[test]
fn a_damaged_line_that_was_believed_stops_no_flow_and_is_made_up_for() {
    let mut rig = overcounted();
    rig.run(90, SPRAY);
    rig.run(6, 0);
    let readings = rig.taken();
    let flagged = |flag| readings.iter().filter(|r| r.flags.has(flag)).count();
    assert_eq!((flagged(Flag::Start), flagged(Flag::Stop)), (1, 1), "liquid flowed all the time");
    assert_eq!(flagged(Flag::Corrected), 1);
    let tally = rig.recorder.view(rig.now()).tally;
    assert_eq!((tally.corrections, tally.overcounted), (1, 0));
    assert!(near(shares(&readings), ul(101 * SPRAY, K)), "nothing more, and nothing less");
}

#[test]
fn what_a_damaged_line_brought_too_early_is_made_up_for_after_a_start_too() {
    let mut rig = overcounted();
    rig.run(6, SPRAY);
    let mut all = rig.taken();
    let last = all.last().unwrap();
    let resumed = LastReading {
        // Rig::at_rest begins its segment at its first count.
        raw_start: all[0].raw,
        unwrapped_start: all[0].unwrapped,
        ..last_reading(last, K, true)
    };
    assert!(last.unwrapped - all[0].unwrapped > last.raw - all[0].raw, "ahead when it ended");
    let resume = Resume { last: Some(resumed), assignment: job("a") };
    rig.recorder = Recorder::new(rules(K), resume);
    rig.run(100, SPRAY);
    rig.run(6, 0);
    all.extend(rig.taken());
    assert!(near(shares(&all), ul(117 * SPRAY, K)));
}

#[test]
fn what_a_damaged_line_brought_too_early_is_never_taken_from_another_job() {
    let mut rig = overcounted();
    rig.run(6, 0);
    rig.recorder.assign(job("b"));
    rig.run(6, 0);
    rig.taken();
    rig.run(100, SPRAY);
    rig.run(6, 0);
    assert!(near(shares(&rig.taken()), ul(100 * SPRAY, K)), "all of it is b's");
    assert!(rig.recorder.view(rig.now()).tally.overcounted > 200, "and told");
}

// ---- meters ----

#[test]
fn another_meter_opens_a_segment_and_the_difference_is_no_volume() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(8, SPRAY);
    let before = rig.taken();
    rig.serial = Some("M2".into());
    rig.raw = 700_000;
    rig.run(3, SPRAY);
    let readings = rig.taken();
    assert_eq!(readings[0].serial, "M2");
    assert!(readings[0].flags.has(Flag::Meter));
    let segment = readings[0].segment.as_ref().unwrap();
    assert_eq!(segment.reason, SegmentReason::Meter);
    assert_eq!(segment.raw_start, 700_000 + 2 * SPRAY);
    assert!(near(shares(&before) + segment.carried.0, ul(8 * SPRAY, K)));
    rig.run(2, 0);
    rig.run(3, 0);
    let after = rig.taken();
    assert!(near(shares(&readings) - segment.carried.0 + shares(&after), ul(SPRAY, K)));
}

#[test]
fn a_damaged_serial_number_makes_up_no_meter() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(8, SPRAY);
    rig.serial = Some("N1".into());
    rig.run(1, SPRAY);
    rig.serial = Some("M1".into());
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let readings = rig.taken();
    assert!(readings.iter().all(|r| r.serial == "M1" && r.segment.is_none()));
    assert!(near(shares(&readings), ul(19 * SPRAY, K)), "its counts are found in the next");
    assert_eq!(rig.recorder.view(rig.now()).tally.strangers_dropped, 1);
}

#[test]
fn a_line_without_its_serial_number_is_the_same_meters() {
    let mut r = rules(K);
    r.configured_serial = "SPARE".into();
    let mut rig = Rig::at_rest(r, job("a"));
    rig.run(8, SPRAY);
    rig.serial = None;
    rig.run(8, SPRAY);
    rig.run(5, 0);
    assert!(rig.taken().iter().all(|r| r.serial == "M1" && r.segment.is_none()));
}

#[test]
fn a_meter_that_does_not_tell_has_the_configured_serial_number() {
    let mut r = rules(K);
    r.configured_serial = "C7".into();
    let mut rig = Rig::new(r);
    rig.serial = None;
    rig.run(3, 0);
    assert_eq!(rig.taken()[0].serial, "C7");
}

#[test]
fn another_meter_with_another_k_begins_with_it_once() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.recorder.set_rules(rules(60.0));
    rig.serial = Some("M2".into());
    rig.run(2, 0);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["k", "meter"]);
    assert_eq!(readings[0].segment.as_ref().unwrap().k, k(60.0));
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let after = rig.taken();
    assert!(after.iter().all(|r| r.segment.is_none()));
    assert!(near(shares(&after), ul(10 * SPRAY, 60.0)));
}

#[test]
fn a_configured_serial_number_that_changes_takes_over_from_one_that_was_told() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.serial = None;
    rig.run(5, 0);
    let mut changed = rules(K);
    changed.configured_serial = "C7".into();
    rig.recorder.set_rules(changed);
    rig.run(5, 0);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    assert_eq!(readings[0].serial, "C7");
}

#[test]
fn raw_and_zero_are_rebased_before_the_greatest_integer_is_passed() {
    let mut r = rules(K);
    r.max_count = 10_050;
    let mut rig = Rig::at_rest(r, job("a"));
    rig.run(30, SPRAY);
    rig.run(5, 0);
    let readings = rig.taken();
    assert!(readings.iter().all(|r| r.unwrapped <= 10_050));
    let rebased: Vec<_> = readings.iter().filter(|r| r.flags.has(Flag::Rebase)).collect();
    assert_eq!(rebased.len(), 1);
    let segment = rebased[0].segment.as_ref().unwrap();
    assert_eq!((segment.unwrapped_start, segment.carried), (0, Microlitres::ZERO));
    assert_eq!(rebased[0].raw - segment.raw_start, rebased[0].unwrapped);
    assert!(near(shares(&readings), ul(30 * SPRAY, K)));
}

// ---- the agent starts and stops ----

#[test]
fn a_restarted_agent_records_nothing_until_something_happens() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let last = rig.taken().pop().unwrap();
    rig.restart_agent(rules(K), &last, true, "a");
    rig.recorder.assign(job("a"));
    rig.run(60, 0);
    assert_eq!(rig.taken(), []);
    rig.run(1, SPRAY);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["start"]);
    assert!(readings[0].segment.is_none() && readings[0].span.is_none());
    assert_eq!(readings[0].unwrapped, last.unwrapped + SPRAY);
}

#[test]
fn what_the_meter_counted_while_the_board_was_off_is_found_in_the_open_span() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let last = rig.taken().pop().unwrap();
    rig.restart_agent(rules(K), &last, false, "a");
    rig.recorder.assign(job("b"));
    rig.ms = 20_000;
    rig.raw += 333;
    rig.seq += 40;
    rig.run(3, 0);
    let readings = rig.taken();
    assert_eq!(readings.len(), 1);
    assert_eq!(words(&readings[0]), ["gap", "assign"]);
    assert!(near(readings[0].share.0, ul(333, K)));
    assert!(!readings[0].span.as_ref().unwrap().owns_reading);
}

#[test]
fn a_restarted_agent_keeps_a_second_from_the_last_reading_of_this_boot() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(2, SPRAY);
    let last = rig.taken().pop().unwrap();
    rig.ms = last.at.0;
    rig.raw = last.raw;
    rig.seq = last.meter_seq.unwrap();
    rig.restart_agent(rules(K), &last, true, "a");
    rig.recorder.assign(job("b"));
    rig.step(999, 0);
    assert_eq!(rig.taken(), []);
    rig.step(1, 0);
    assert_eq!(rig.taken().len(), 1);
}

#[test]
fn the_last_reading_before_a_stop_has_the_last_samples_own_time_and_place() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(7, SPRAY);
    let before = rig.taken();
    rig.fix(0.0, None);
    rig.run(1, SPRAY);
    let stamped = rig.now();
    rig.ms += 60_000;
    rig.fix(500.0, None);
    let last = rig.recorder.last().unwrap();
    assert_eq!((last.at, words(&last)), (stamped, vec!["last"]));
    assert_eq!(last.place.unwrap().0, Place::from_degrees(40.0, -90.0).unwrap());
    assert!(near(shares(&before) + last.share.0, ul(8 * SPRAY, K)));
    assert_eq!(rig.recorder.last(), None, "once");
}

#[test]
fn a_stop_without_new_counts_records_nothing() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(3, 0);
    assert_eq!(rig.recorder.last(), None);
    assert_eq!(Recorder::new(rules(K), Resume::default()).last(), None);
}

#[test]
fn a_stop_within_a_second_of_a_reading_leaves_its_counts_to_the_next_start() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.step(1_000, SPRAY);
    let reading = rig.taken().pop().unwrap();
    rig.step(400, 2);
    assert_eq!(rig.recorder.last(), None);
    rig.restart_agent(rules(K), &reading, true, "a");
    rig.step(5_000, 0);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["gap"]);
    assert!(near(readings[0].share.0, ul(2, K)));
}

#[test]
fn the_last_reading_does_not_bring_a_new_k_into_force() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(7, SPRAY);
    rig.taken();
    rig.recorder.set_rules(rules(60.0));
    let last = rig.recorder.last().unwrap();
    assert!(last.segment.is_none() && !last.flags.has(Flag::Calibration));
}

#[test]
fn after_a_start_the_first_reading_waits_a_moment_for_a_place_and_no_longer() {
    for fix_comes in [true, false] {
        let mut rig = Rig::at_rest(rules(K), job("a"));
        rig.run(10, SPRAY);
        let last = rig.taken().pop().unwrap();
        let resume = Resume { last: Some(last_reading(&last, K, true)), assignment: job("a") };
        rig.recorder = Recorder::new(rules(K), resume);
        rig.run(2, SPRAY);
        assert_eq!(rig.taken(), [], "the sky was not heard yet");
        if fix_comes {
            rig.fix(0.0, None);
        }
        rig.run(2, SPRAY);
        let first = rig.taken().remove(0);
        assert_eq!(first.place.is_some(), fix_comes);
        assert!(first.flags.has(Flag::Gap) && first.share.0 > 0);
    }
}

#[test]
fn the_last_reading_does_not_bring_a_new_job_into_force() {
    // The cable is out and liquid flows for the old job when the new one is picked.
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(7, SPRAY);
    rig.taken();
    rig.recorder.assign(job("b"));
    let last = rig.recorder.last().unwrap();
    assert!(last.span.is_none() && !last.flags.has(Flag::Assign));
}

// ---- place ----

#[test]
fn a_lost_gps_keeps_every_reading_and_invents_no_place() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    for s in 0..12 {
        rig.fix(f64::from(s) * 2.0, Some(2.0));
        rig.run(1, SPRAY);
    }
    assert!(rig.taken().iter().all(|r| r.place.is_some_and(|(_, age_ms, _)| age_ms == 1_000)));
    rig.run(20, SPRAY);
    let readings = rig.taken();
    assert!(readings.iter().filter(|r| r.place.is_none()).count() >= 3);
    assert!(readings.iter().all(|r| !r.flags.has(Flag::ReusedFix)));
}

#[test]
fn a_rig_that_stood_still_keeps_its_place_with_its_age_until_another_span() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    for _ in 0..15 {
        rig.fix(0.0, Some(0.0));
        rig.run(1, 0);
    }
    rig.run(60, 0);
    rig.run(10, SPRAY);
    let readings = rig.taken();
    assert_eq!(words(&readings[0]), ["start", "fix"]);
    assert_eq!(readings[0].place.unwrap().1, 62_000);
    // The reading that carries the change is still the old span's, the next is not.
    rig.recorder.assign(job("b"));
    rig.run(10, SPRAY);
    let readings = rig.taken();
    assert!(readings[0].place.is_some() && readings[0].flags.has(Flag::ReusedFix));
    assert!(readings[1..].iter().all(|r| r.place.is_none()));
}

#[test]
fn a_reading_that_begins_a_span_does_not_reuse_a_fix_of_the_one_before() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    for _ in 0..15 {
        rig.fix(0.0, Some(0.0));
        rig.run(1, 0);
    }
    rig.run(60, 0);
    rig.recorder.assign(job("b"));
    rig.run(1, 0);
    let readings = rig.taken();
    assert!(readings[0].span.as_ref().unwrap().owns_reading);
    assert_eq!(readings[0].place, None);
    assert!(!readings[0].flags.has(Flag::ReusedFix));
}

#[test]
fn a_fix_further_off_than_any_sprayer_drives_is_no_place_of_a_reading() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    for s in 0..30 {
        rig.fix(if matches!(s, 10 | 20 | 21) { 40_000.0 } else { 0.0 }, None);
        rig.run(1, SPRAY);
    }
    let near = |place: Place| place.lat() < 40.1;
    let (at_home, away): (Vec<_>, Vec<_>) =
        rig.taken().into_iter().filter_map(|r| r.place).partition(|(place, ..)| near(*place));
    assert!(at_home.len() >= 4);
    assert!(away.len() <= 1, "two that agree are believed, one is not: {away:?}");
    // 10, 20, and the first two back home of which the second is believed.
    assert_eq!(rig.recorder.view(rig.now()).tally.place_jumps, 3);
}

#[test]
fn a_configured_place_is_that_of_every_reading_and_says_so_and_serves_no_longer() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    let place = Place::from_degrees(32.6, -85.4).unwrap();
    for _ in 0..20 {
        let (at, quality) = (rig.now(), Fix::CONFIGURED);
        let fix = Fix { at, utc: None, place, hdop: 0.0, quality, speed_mps: Some(0.0) };
        rig.recorder.fix(fix);
        rig.run(1, SPRAY);
    }
    let readings = rig.taken();
    assert!(readings.len() >= 4);
    assert!(readings.iter().all(|r| r.place.is_some_and(|(at, ..)| at == place)));
    assert!(readings.iter().all(|r| words(r).contains(&"fixed-place")), "{readings:?}");
    // Another source is configured: the rig may be anywhere.
    rig.run(5, SPRAY);
    rig.taken();
    rig.run(10, SPRAY);
    assert!(rig.taken().iter().all(|r| r.place.is_none()));
}

/// Counts a gallon of a meter whose rate is integrated.
const ML_PER_GALLON: f64 = 3_785.411_784;

#[test]
fn a_meter_that_tells_only_a_rate_is_integrated_and_every_reading_says_so() {
    let mut rules = rules(ML_PER_GALLON);
    rules.integrated = true;
    rules.counter.seq_modulus = None;
    let mut rig = Rig::new(rules.clone());
    rig.recorder.assign(job("a"));
    rig.rate_gpm = Some(0.0);
    rig.run(5, 0);
    rig.rate_gpm = Some(2.0);
    rig.run(60, 0);
    // One that no pump brings.
    rig.rate_gpm = Some(90_000.0);
    rig.run(1, 0);
    rig.rate_gpm = Some(2.0);
    rig.run(1, 0);
    rig.rate_gpm = Some(0.0);
    rig.run(10, 0);
    let before = rig.taken();
    assert!(before.iter().all(|r| words(r).contains(&"integrated")), "{before:?}");
    let gallons = shares(&before) as f64 / crate::units::UL_PER_GALLON;
    assert!((gallons - 2.0).abs() < 0.02, "{gallons}");

    // Another agent goes on from the count: nothing is a restart, and nothing made up.
    let last = last_reading(before.last().unwrap(), ML_PER_GALLON, true);
    let resume = Resume { last: Some(last), assignment: job("a") };
    rig.recorder = Recorder::new(rules, resume);
    rig.rate_gpm = Some(2.0);
    rig.run(31, 0);
    rig.rate_gpm = Some(0.0);
    rig.run(10, 0);
    let after = rig.taken();
    assert!(
        after.iter().all(|r| words(r).contains(&"integrated") && !words(r).contains(&"restart"))
    );
    let gallons = shares(&after) as f64 / crate::units::UL_PER_GALLON;
    assert!((gallons - 1.0).abs() < 0.03, "{gallons}");
}

// ---- rate, and what status sees ----

#[test]
fn the_rate_is_the_meters_own_else_that_of_its_counts_and_zero_below_the_cut_off() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.run(11, SPRAY);
    assert!((rig.taken().pop().unwrap().rate_gpm.unwrap() - 2.0).abs() < 1e-9);
    rig.rate_gpm = Some(1.75);
    rig.run(5, SPRAY);
    assert_eq!(rig.taken().pop().unwrap().rate_gpm, Some(1.75));
    rig.rate_gpm = Some(0.04);
    rig.run(5, SPRAY);
    assert_eq!(rig.taken().pop().unwrap().rate_gpm, Some(0.0));
    rig.rate_gpm = Some(f64::NAN);
    rig.run(5, SPRAY);
    assert!((rig.taken().pop().unwrap().rate_gpm.unwrap() - 2.0).abs() < 1e-9);
}

#[test]
fn status_sees_the_moment_and_not_the_last_sample() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.fix(0.0, None);
    rig.run(8, SPRAY);
    let view = rig.recorder.view(BootInstant(rig.ms + 500));
    assert_eq!((view.flow, view.sample_age_ms), (FlowState::Flowing, Some(500)));
    assert_eq!((view.serial.as_deref(), view.raw), (Some("M1"), Some(10_032)));
    assert!((view.unrecorded_gal - f64::from(2 * 4) / K).abs() < 1e-6);
    assert_eq!((view.fix, view.fix_age_ms), (FixState::None, Some(8_500)));
    assert_eq!((view.k, view.reading_age_ms), (Some(K), Some(2_500)));
    let later = rig.recorder.view(BootInstant(rig.ms + 5_001));
    assert_eq!((later.flow, later.rate_gpm), (FlowState::Unknown, None));
    rig.recorder.assign(job("b"));
    assert!(rig.recorder.view(rig.now()).assignment_waits);
    let json = serde_json::to_value(&view).unwrap();
    assert_eq!(json["flow"], "flowing");
    assert_eq!(json["restarts"], 0);
}

#[test]
fn absurd_times_and_counts_are_survived_and_the_next_good_ones_recorded() {
    let mut rig = Rig::new(rules(K));
    for (ms, raw) in [(5, 0), (i64::MAX / 2, u64::MAX), (0, u64::MAX), (-7, 3), (2_000, 3)] {
        rig.ms = ms;
        rig.raw = raw;
        rig.say();
    }
    rig.recorder.view(BootInstant(0));
    rig.taken();
    (rig.ms, rig.raw) = (10_000, 3);
    rig.run(10, SPRAY);
    rig.run(5, 0);
    let readings = rig.taken();
    assert!(near(shares(&readings), ul(10 * SPRAY, K)), "{readings:?}");
}

/// 12 V of lead: 11.8 V is empty, 12.8 V full.
fn lead() -> Rules {
    Rules { battery: Curve::new(&[(11.8, 0.0), (12.8, 100.0)]).unwrap(), ..rules(K) }
}

#[test]
fn volts_are_percent_by_the_curve_and_nothing_without_one() {
    for (rules, percent) in [(rules(K), None), (lead(), Some(50.0))] {
        let mut rig = Rig::at_rest(rules, job("a"));
        rig.battery = [None, Some(12.3), None];
        rig.run(6, SPRAY);
        let readings = rig.taken();
        let told = readings.last().unwrap().battery_percent;
        assert_eq!(told.map(f64::round), percent);
        let view = rig.recorder.view(rig.now());
        assert_eq!((view.battery_percent, view.battery_volts), (told, Some(12.3)));
    }
}

#[test]
fn the_meters_own_percent_and_run_time_go_before_ours() {
    let mut rig = Rig::at_rest(lead(), job("a"));
    for minute in 0..50 {
        let volts = 12.6 - 0.005 * f64::from(minute);
        rig.battery = [Some(70.0), Some(volts), Some(33.0)];
        rig.run(60, SPRAY);
    }
    let last = rig.taken().pop().unwrap();
    assert_eq!((last.battery_percent, last.runtime_min), (Some(70.0), Some(33.0)));
}

#[test]
fn the_run_time_follows_from_the_discharge_and_is_null_until_it_can() {
    let mut rig = Rig::at_rest(lead(), job("a"));
    for minute in 0..50 {
        rig.battery = [None, Some(12.6 - 0.005 * f64::from(minute)), None];
        rig.run(60, SPRAY);
    }
    let readings = rig.taken();
    assert!(readings[0].runtime_min.is_none());
    let last = readings.last().unwrap();
    // Half a percent a minute.
    let left = last.battery_percent.unwrap() / 0.5;
    let told = last.runtime_min.unwrap();
    assert!((told - left).abs() < 8.0, "{told} for {left}");
    assert_eq!(rig.recorder.view(rig.now()).runtime_min, Some(told));
}

#[test]
fn another_meter_tells_of_another_battery() {
    let mut rig = Rig::at_rest(lead(), job("a"));
    for minute in 0..50 {
        rig.battery = [None, Some(12.6 - 0.005 * f64::from(minute)), None];
        rig.run(60, SPRAY);
    }
    assert!(rig.taken().last().unwrap().runtime_min.is_some());
    rig.serial = Some("M2".into());
    rig.run(10, SPRAY);
    let last = rig.taken().pop().unwrap();
    assert_eq!((last.serial.as_str(), last.runtime_min), ("M2", None));
}

#[test]
fn a_frozen_count_is_told_while_the_rate_says_flow_and_makes_no_volume() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.rate_gpm = Some(2.0);
    rig.run(30, SPRAY);
    assert_eq!(rig.recorder.view(rig.now()).disagreement, None);
    let before = shares(&rig.taken());
    rig.run(30, 0);
    let view = rig.recorder.view(rig.now());
    assert_eq!(view.disagreement, Some(Disagreement::CountFrozen));
    assert_eq!((view.tally.count_frozen, view.tally.counts_without_rate), (1, 0));
    assert_eq!((before + shares(&rig.taken())) / 1_000, ul(120, K) / 1_000);
    let silent = rig.recorder.view(BootInstant(rig.ms + 6_000));
    assert_eq!(silent.disagreement, None, "nothing is known of a silent meter");
}

#[test]
fn counts_below_the_cut_off_and_without_a_rate_are_volume_all_the_same() {
    let mut rig = Rig::at_rest(rules(K), job("a"));
    rig.rate_gpm = Some(0.0);
    rig.run(30, SPRAY);
    let view = rig.recorder.view(rig.now());
    assert_eq!(view.disagreement, Some(Disagreement::CountsWithoutRate));
    rig.run(5, 0);
    let readings = rig.taken();
    assert!((shares(&readings) - ul(120, K)).abs() <= 1);
    assert!(readings.iter().all(|r| r.rate_gpm == Some(0.0)));
}

/// Badger B2800 at both ends of its range and between them: gallons a minute, Hz.
#[test]
fn a_b2800_meters_what_its_points_say_where_one_k_would_be_a_percent_off() {
    let (slow, fast) = ((2.00, 103.6), (15.00, 769.7));
    let points = [slow, fast].map(|(gpm, hz)| (hz, hz * 60.0 / gpm));
    for (gpm, hz) in [slow, fast] {
        let mut r = rules(points[1].1);
        r.calibration = Calibration::new(k(points[1].1), &points).unwrap();
        let mut rig = Rig::at_rest(r, job("a"));
        let mut told = 0;
        for second in 1..=600 {
            let counts = (hz * f64::from(second)) as u64;
            rig.run(1, counts - told);
            told = counts;
        }
        rig.run(5, 0);
        let gallons = shares(&rig.taken()) as f64 / UL_PER_GALLON;
        let exact = gpm * 10.0;
        assert!((gallons - exact).abs() < 0.001 * exact, "{gallons} for {exact}");
        let by_one_k = told as f64 / points[1].1;
        assert!(gpm > 2.0 || (by_one_k - exact).abs() > 0.008 * exact);
    }
}

#[test]
fn a_power_up_that_the_meters_register_tells_opens_a_segment() {
    let mut rig = Rig::new(rules(K));
    (rig.raw, rig.registers) = (0, [Some(0), Some(5)]);
    rig.run(20, SPRAY);
    let before = shares(&rig.taken());
    // It has passed its old count since, and its lines are numbered as if nothing had been.
    rig.registers = [Some(0), Some(6)];
    rig.silent(30, 40);
    rig.run(5, SPRAY);
    rig.run(5, 0);
    let readings = rig.taken();
    // Its first line was the baseline; all that it shows after the restart is volume.
    let found = before + shares(&readings);
    let shown = ul(19 * SPRAY + rig.raw, K);
    assert!((found - shown).abs() <= ul(SPRAY, K), "{found} of {shown}");
    let restart = readings.iter().find(|r| r.flags.has(Flag::Restart)).unwrap();
    assert_eq!(restart.segment.as_ref().unwrap().reason, SegmentReason::Restart);
    assert_eq!(rig.recorder.view(rig.now()).tally.restarts, 1);
}

#[test]
fn a_rollover_that_the_meters_register_tells_goes_on_in_its_segment() {
    let mut r = rules(K);
    r.counter.modulus = 10_100;
    r.counter.max_rate_gpm = 4.0;
    let mut rig = Rig::at_rest(r, job("a"));
    rig.registers = [Some(3), None];
    rig.run(20, SPRAY);
    // Counts go past 10 100 while nothing is heard for two minutes.
    rig.raw -= 10_100 - 480;
    rig.registers = [Some(4), None];
    rig.silent(120, 0);
    rig.run(5, 0);
    let readings = rig.taken();
    assert!((shares(&readings) - ul(560, K)).abs() <= 1, "{readings:?}");
    assert!(readings.iter().any(|r| r.flags.has(Flag::Rollover)));
    assert!(readings.iter().all(|r| r.segment.is_none()));
}
