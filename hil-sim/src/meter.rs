//! The true meter: turns a commanded flow into whole counts and shows them as its kind
//! does: in the rig's own line, in another that it says by itself, or in answers (see
//! [`Exchange`]). Pure: `now` is an argument, and what it says goes nowhere by itself.
//! Knows no port and no agent.
//!
//! ```text
//! $FLOW,<serial>,<seq>,<count>,<rate>,<fluid °F>,<ambient °F>,<battery %>,<minutes left>*hh CR LF
//! $FLOW,AF23265,17,1289,2.00,76.8,71.55,86,1350*0B
//! ```
//!
//! xor8 checksum as in NMEA 0183; an empty field is "no such sensor"; `<seq>` is 0 at
//! power-up and one more each line, modulo 65536 (the meters' document, "The rig's own
//! line").

mod exchange;
mod fault;
mod kind;
mod modbus;
mod noise;
mod polled;
mod registers;
mod streamed;

pub use exchange::{Exchange, Said};
pub use fault::{FaultKind, MeterFault};
pub use kind::{Kind, LITRES_A_GALLON, Part};
pub use noise::{Damage, damaged};
pub use registers::Order;

/// Counts, flows and K are kept in whole millionths, so that no rounding adds up.
const MILLIONTHS: f64 = 1e6;

/// Volume is kept in (millionths of a gallon a minute) × milliseconds; with K in
/// millionths, this many of the product are one count.
const VOLUME_TIMES_K_A_COUNT: u128 = 1_000_000 * 60_000 * 1_000_000;

/// A meter as it leaves the shop.
#[derive(Debug, Clone, PartialEq)]
pub struct MeterSetup {
    /// What it is, and so how it speaks.
    pub kind: Kind,
    /// `<serial>`.
    pub serial: String,
    /// Counts a gallon; for a meter that shows a volume, steps of its last digit a gallon.
    pub k: f64,
    /// Lines a second, at most 10.
    pub lines_per_s: f64,
    /// The count after which it shows 0 again, plus one.
    pub modulus: u64,
    /// What it shows at first.
    pub start_count: u64,
    /// What it measures besides.
    pub sensors: Sensors,
    /// Its Modbus unit, or its address on an ASCII bus.
    pub unit: u8,
    /// The order of bytes in its registers, where it is not its kind's.
    pub order: Option<Order>,
}

/// What a meter measures besides the flow; `None` is no such sensor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sensors {
    /// Fluid in °F.
    pub fluid_f: Option<f64>,
    /// Ambient in °F.
    pub ambient_f: Option<f64>,
    /// Battery in percent.
    pub battery_percent: Option<f64>,
    /// Run time left in minutes.
    pub runtime_min: Option<f64>,
    /// Battery in volts.
    pub battery_volts: Option<f64>,
}

impl Default for Sensors {
    /// The example of the API page.
    fn default() -> Self {
        Self {
            fluid_f: Some(76.8),
            ambient_f: Some(71.55),
            battery_percent: Some(86.0),
            runtime_min: Some(1350.0),
            battery_volts: Some(12.3),
        }
    }
}

impl Default for MeterSetup {
    fn default() -> Self {
        Self {
            kind: Kind::RigLine,
            serial: "AF23265".into(),
            k: 126.7,
            lines_per_s: 1.0,
            modulus: 1 << 32,
            start_count: 1000,
            sensors: Sensors::default(),
            unit: 1,
            order: None,
        }
    }
}

/// The true meter.
#[derive(Debug, Clone)]
pub struct Meter {
    setup: MeterSetup,
    at_ms: i64,
    rate_millionths: u64,
    powered: bool,
    /// Since power-up.
    volume: u128,
    /// What it showed at power-up.
    base: u64,
    seq: u16,
    /// How often it has started again.
    segment: u32,
    /// Counts of the segments before this one.
    counted_before: u64,
    glitch: Option<u64>,
    /// Tellings for which it goes on showing a count, and which.
    frozen: Option<(u32, u64)>,
}

/// One line as the meter says it, or what it shows when it is asked, and what is true
/// behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// As on the wire, with CR and LF; empty where it speaks only when asked.
    pub text: String,
    /// The count in it.
    pub raw: u64,
    /// The count of this segment, going on past the modulus: the true one, unless the
    /// meter shows an old one.
    pub unwrapped: u64,
    /// Segment, from 0: one more after each restart.
    pub segment: u32,
    /// All counts since the rig was started, over all segments.
    pub counted: u64,
    /// `<seq>`.
    pub seq: u16,
    /// The rate in it, in gallons a minute, as exactly as its kind tells it.
    pub rate_gpm: f64,
    /// The sensors that its kind tells.
    pub sensors: Sensors,
    /// Whether its count is a lie.
    pub glitch: bool,
}

impl Meter {
    /// A meter at rest.
    pub fn new(setup: MeterSetup, now_ms: i64) -> Self {
        Self {
            base: setup.start_count.checked_rem(setup.modulus).unwrap_or(0),
            setup,
            at_ms: now_ms,
            rate_millionths: 0,
            powered: true,
            volume: 0,
            seq: 0,
            segment: 0,
            counted_before: 0,
            glitch: None,
            frozen: None,
        }
    }

    /// How it was set up.
    pub fn setup(&self) -> &MeterSetup {
        &self.setup
    }

    /// Lets liquid through at so many gallons a minute from `now_ms` on.
    pub fn flow(&mut self, gpm: f64, now_ms: i64) {
        self.advance(now_ms);
        self.rate_millionths = (gpm.max(0.0) * MILLIONTHS).round() as u64;
    }

    /// The flow in gallons a minute.
    pub fn rate_gpm(&self) -> f64 {
        self.rate_millionths as f64 / MILLIONTHS
    }

    /// With no power it counts nothing, and keeps what it has counted.
    pub fn power(&mut self, on: bool, now_ms: i64) {
        self.advance(now_ms);
        self.powered = on;
    }

    /// Starts again: count and sequence number from 0. A kind that keeps its total goes on
    /// from there, which only one that tells its power-ups lets anyone know.
    pub fn restart(&mut self, now_ms: i64) {
        self.advance(now_ms);
        self.frozen = None;
        let kind = self.setup.kind;
        if kind.keeps_total() && !kind.tells_power_ups() {
            return;
        }
        let shown = self.base + self.counted_here();
        self.counted_before += self.counted_here();
        self.volume = 0;
        self.base = if kind.keeps_total() { shown } else { 0 };
        self.seq = 0;
        self.segment += 1;
    }

    /// Makes the next line show so many counts more than there are, once, with a right
    /// checksum: what an xor checksum lets through.
    pub fn glitch(&mut self, counts: u64) {
        self.glitch = Some(counts);
    }

    /// Makes it show the count of now so many times more, whatever it counts.
    pub fn freeze(&mut self, tellings: u32, now_ms: i64) {
        self.advance(now_ms);
        self.frozen = Some((tellings, self.base + self.counted_here())).filter(|_| tellings > 0);
    }

    /// Whether it shows an old count.
    pub fn is_frozen(&self) -> bool {
        self.frozen.is_some()
    }

    /// All counts since the rig was started, at `now_ms`.
    pub fn counted(&mut self, now_ms: i64) -> u64 {
        self.advance(now_ms);
        self.counted_before + self.counted_here()
    }

    /// The segment it is in.
    pub fn segment(&self) -> u32 {
        self.segment
    }

    /// The line it says at `now_ms`.
    pub fn line(&mut self, now_ms: i64) -> Line {
        let mut line = self.shown(now_ms);
        line.text = streamed::text(&self.setup, &line);
        self.has_told();
        line
    }

    /// What it shows at `now_ms`; nothing is told yet (see [`Meter::has_told`]).
    pub fn shown(&mut self, now_ms: i64) -> Line {
        self.advance(now_ms);
        let counts = self.base + self.counted_here();
        let unwrapped = self.frozen.map_or(counts, |(_, count)| count);
        let lie = self.glitch.unwrap_or(0);
        let shown = unwrapped + lie;
        let rate_gpm = if self.powered { self.rate_gpm() } else { 0.0 };
        Line {
            text: String::new(),
            raw: shown.checked_rem(self.setup.modulus).unwrap_or(shown),
            unwrapped,
            segment: self.segment,
            counted: self.counted_before + self.counted_here(),
            seq: self.seq,
            rate_gpm: self.setup.kind.rate_told(rate_gpm),
            sensors: self.setup.kind.sensors_told(self.setup.sensors),
            glitch: lie > 0,
        }
    }

    /// Its count has been told: a lie is told once, an old count so many times.
    pub fn has_told(&mut self) {
        self.glitch = None;
        self.seq = self.seq.wrapping_add(1);
        self.frozen =
            self.frozen.map(|(left, count)| (left - 1, count)).filter(|(left, _)| *left > 0);
    }

    fn advance(&mut self, now_ms: i64) {
        let passed = u128::try_from(now_ms - self.at_ms).unwrap_or(0);
        self.at_ms = self.at_ms.max(now_ms);
        if self.powered {
            self.volume += passed * u128::from(self.rate_millionths);
        }
    }

    fn counted_here(&self) -> u64 {
        let k_millionths = (self.setup.k * MILLIONTHS).round() as u128;
        u64::try_from(self.volume * k_millionths / VOLUME_TIMES_K_A_COUNT).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn meter() -> Meter {
        Meter::new(MeterSetup::default(), 0)
    }

    #[test]
    fn lines_read_as_the_document_says() {
        // Checksums worked out by hand (xor of the ASCII codes between $ and *).
        let mut m = meter();
        assert_eq!(m.line(0).text, "$FLOW,AF23265,0,1000,0.00,76.8,71.55,86,1350*3C\r\n");
        let mut bare = Meter::new(
            MeterSetup {
                serial: "A".into(),
                start_count: 0,
                sensors: Sensors {
                    fluid_f: None,
                    ambient_f: None,
                    battery_percent: None,
                    runtime_min: None,
                    battery_volts: None,
                },
                ..MeterSetup::default()
            },
            0,
        );
        assert_eq!(bare.line(0).text, "$FLOW,A,0,0,0.00,,,,*4D\r\n");
        bare.flow(2.0, 0);
        assert_eq!(bare.line(60_000).text, "$FLOW,A,1,253,2.00,,,,*4A\r\n");
    }

    #[test]
    fn a_gallon_is_k_counts() {
        let mut m = meter();
        m.flow(2.0, 0);
        assert_eq!(m.counted(300_000), 1267);
        m.flow(0.0, 300_000);
        assert_eq!(m.counted(900_000), 1267);
    }

    #[test]
    fn counts_roll_over_and_the_truth_goes_on() {
        let mut m = Meter::new(
            MeterSetup { modulus: 10_000, start_count: 9_990, ..MeterSetup::default() },
            0,
        );
        m.flow(60.0, 0);
        let line = m.line(1000);
        assert_eq!((line.raw, line.unwrapped, line.segment), (116, 10_116, 0));
    }

    #[test]
    fn a_restart_begins_at_nought_and_forgets_nothing_of_the_truth() {
        let mut m = meter();
        m.flow(2.0, 0);
        m.line(60_000);
        m.restart(60_000);
        let line = m.line(120_000);
        assert_eq!((line.raw, line.seq, line.segment), (253, 0, 1));
        assert_eq!(line.counted, 506);
    }

    #[test]
    fn a_meter_that_keeps_its_total_goes_on_from_it() {
        let of = |kind: Kind| MeterSetup { kind, modulus: 1200, ..MeterSetup::default() };
        for (kind, unwrapped, segment) in
            [(Kind::Tuf2000m, 1506, 0), (Kind::BadgerM2000, 1506, 1), (Kind::PulseText, 253, 1)]
        {
            let mut m = Meter::new(of(kind), 0);
            m.flow(2.0, 0);
            m.restart(60_000);
            let line = m.shown(120_000);
            assert_eq!((line.unwrapped, line.segment, line.counted), (unwrapped, segment, 506));
        }
    }

    #[test]
    fn a_glitch_lies_once_with_a_right_checksum() {
        let mut m = meter();
        m.glitch(500);
        let lie = m.line(0);
        assert!(lie.glitch && lie.raw == 1500 && lie.unwrapped == 1000);
        let body = lie.text.trim_start_matches('$').trim_end();
        let (payload, sum) = body.split_once('*').unwrap();
        assert_eq!(format!("{:02X}", crate::nmea::xor8(payload.as_bytes())), sum);
        assert_eq!(m.line(1000).raw, 1000);
    }

    #[test]
    fn a_frozen_meter_shows_an_old_count_so_many_times_and_forgets_nothing() {
        let mut m = meter();
        m.flow(2.0, 0);
        m.freeze(2, 60_000);
        assert_eq!((m.line(120_000).raw, m.line(180_000).raw), (1253, 1253));
        assert!(!m.is_frozen());
        assert_eq!(m.line(240_000).raw, 2013);
    }

    #[test]
    fn without_power_nothing_is_counted() {
        let mut m = meter();
        m.flow(2.0, 0);
        m.power(false, 60_000);
        m.power(true, 120_000);
        assert_eq!(m.counted(180_000), 506);
    }

    proptest! {
        #[test]
        fn however_often_it_is_read_the_count_does_not_drift(
            k in 1.0_f64..20_000.0,
            gpm in 0.0_f64..40.0,
            steps in proptest::collection::vec(1_i64..5_000, 1..200),
        ) {
            let setup = MeterSetup { k, ..MeterSetup::default() };
            let (mut often, mut once) = (Meter::new(setup.clone(), 0), Meter::new(setup, 0));
            often.flow(gpm, 0);
            once.flow(gpm, 0);
            let mut now = 0;
            for step in steps {
                now += step;
                often.line(now);
            }
            let counted = often.counted(now);
            prop_assert_eq!(counted, once.counted(now));
            let exact = gpm * k * now as f64 / 60_000.0;
            prop_assert!((counted as f64 - exact).abs() < 1.0 + exact * 1e-5);
        }
    }
}
