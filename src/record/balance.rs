//! The balance of the recorder under anything that meters, operators and boards do: what
//! it records, added up, is what a plain model says was metered. The model knows only
//! what the meter showed at each sample and when readings were made.

use proptest::prelude::*;

use super::timelines::{job, k, rules};
use super::*;
use crate::clock::BootInstant;
use crate::meter::counter::RestartFrom;
use crate::reading::{Flag, NewSegment, Reading, Sample};
use crate::units::UL_PER_GALLON;

const KS: [f64; 3] = [126.7, 100.0, 151.3];

#[derive(Debug, Clone)]
enum Event {
    /// So many samples, so many milliseconds apart, with so many counts each.
    Run { samples: u8, ms: i64, counts: u64 },
    /// Nothing is heard for so long, while the meter counts.
    Silence { seconds: i64, counts: u64 },
    /// One line with a damaged count.
    Damaged,
    /// The meter loses power and shows so much when it is heard again.
    MeterRestarts { shows: u64 },
    /// Another meter takes its place.
    MeterChanges { serial: u8, shows: u64 },
    /// The port comes back.
    Reopened,
    /// A reload with another K.
    K(usize),
    /// Another assignment, or none.
    Assign(Option<u8>),
    /// K is changed or not, the agent stops in order or is killed, and starts in the same
    /// boot or another.
    AgentRestarts { k: usize, in_order: bool, same_boot: bool },
}

fn event() -> impl Strategy<Value = Event> {
    let ms = prop_oneof![Just(1_000_i64), 90_i64..110, 950_i64..1_050, Just(2_500)];
    prop_oneof![
        6 => (1_u8..20, ms, prop_oneof![Just(0_u64), 0_u64..4, 4_u64..55])
            .prop_map(|(samples, ms, counts)| Event::Run { samples, ms, counts }),
        2 => (2_i64..400, 0_u64..60)
            .prop_map(|(seconds, each)| Event::Silence { seconds, counts: seconds as u64 * each }),
        1 => Just(Event::Damaged),
        2 => (0_u64..300).prop_map(|shows| Event::MeterRestarts { shows }),
        1 => (0_u8..3, 20_000_u64..90_000)
            .prop_map(|(serial, shows)| Event::MeterChanges { serial, shows }),
        1 => Just(Event::Reopened),
        2 => (0_usize..3).prop_map(Event::K),
        2 => prop::option::of(0_u8..3).prop_map(Event::Assign),
        2 => (0_usize..3, any::<bool>(), any::<bool>())
            .prop_map(|(k, in_order, same_boot)| Event::AgentRestarts { k, in_order, same_boot }),
    ]
}

/// From where a stretch of counts that hang together is volume.
#[derive(Debug, Clone, Copy, PartialEq)]
enum From {
    /// From this count.
    Count(u64),
    /// From the first or second sample that is heard of it.
    Sample(u8),
}

/// What was metered, worked out from the meter's lines and the times of readings.
#[derive(Debug)]
struct Model {
    from: From,
    k: f64,
    configured_k: f64,
    /// Since the last reading.
    pending_ul: f64,
    /// In all readings.
    recorded_ul: f64,
    /// The stretch in which the last reading was made, and its count.
    at_reading: Option<(u32, u64)>,
    stretch: u32,
    /// How this stretch began, for an agent that never recorded any of it.
    begins: From,
}

impl Model {
    fn heard(&mut self, raw: u64) {
        self.from = match self.from {
            From::Count(from) => {
                self.pending_ul += (raw - from) as f64 / self.k * UL_PER_GALLON;
                From::Count(raw)
            }
            From::Sample(1) => {
                // A new meter begins with the K of the day; a restarted one keeps its own.
                if self.begins == From::Sample(2) {
                    self.k = self.configured_k;
                }
                From::Count(raw)
            }
            From::Sample(n) => From::Sample(n - 1),
        };
    }

    fn begin(&mut self, from: From) {
        self.stretch += 1;
        self.begins = from;
        self.from = from;
    }

    fn recorded(&mut self, raw: u64, closing: bool) {
        self.recorded_ul += self.pending_ul;
        self.pending_ul = 0.0;
        self.at_reading = Some((self.stretch, raw));
        if !closing {
            self.k = self.configured_k;
        }
    }

    /// All that an agent knows after a start is the last reading.
    fn forget(&mut self, k_of_segment: f64, recorded_ul: f64) {
        self.pending_ul = 0.0;
        self.recorded_ul = recorded_ul;
        self.k = k_of_segment;
        self.from = match self.at_reading {
            Some((stretch, raw)) if stretch == self.stretch => From::Count(raw),
            _ => self.begins,
        };
    }
}

/// What a queue would keep of the readings, checked as they come.
#[derive(Debug, Default)]
struct Book {
    sum_ul: i64,
    last: Option<Reading>,
    k: f64,
    segments: u32,
    segment_raw: u64,
    segment_unwrapped: u64,
    open: Option<String>,
    span: Span,
    /// Each start of the agent loses half a microlitre of rounding.
    starts: u32,
}

#[derive(Debug, Default)]
struct Span {
    total_ul: i64,
    tare: u64,
    /// Where a segment began since the tare: its zero, and the total there.
    since: Option<(u64, i64)>,
}

impl Book {
    fn enter(&mut self, reading: Reading, max_count: u64, other_boot: bool) {
        assert!(reading.unwrapped <= max_count, "{reading:?}");
        assert!(reading.share.0 >= 0);
        if let Some(last) = self.last.as_ref().filter(|_| !other_boot) {
            assert!(reading.at.since_ms(last.at) >= 1_000, "{last:?} {reading:?}");
        }
        self.sum_ul += reading.share.0;
        let owns = reading.span.as_ref().is_some_and(|span| span.owns_reading);
        if owns {
            self.turn(&reading);
        }
        if let Some(segment) = &reading.segment {
            self.segment(segment, &reading, owns);
        }
        self.span.total_ul += reading.share.0;
        self.check(&reading);
        if reading.span.is_some() && !owns {
            self.turn(&reading);
        }
        self.last = Some(reading);
    }

    fn segment(&mut self, segment: &NewSegment, reading: &Reading, owns: bool) {
        assert!(segment.carried <= reading.share && segment.unwrapped_start <= reading.unwrapped);
        self.segments += 1;
        self.k = segment.k.counts_per_gallon();
        self.segment_raw = segment.raw_start;
        self.segment_unwrapped = segment.unwrapped_start;
        if !owns {
            let base = self.span.total_ul + segment.carried.0;
            self.span.since = Some((segment.unwrapped_start, base));
        }
    }

    fn turn(&mut self, reading: &Reading) {
        let span = reading.span.as_ref().unwrap();
        assert_eq!(span.owns_reading, reading.share.0 == 0);
        assert!(reading.flags.has(Flag::Assign));
        let job = span.assignment.as_ref().map(|a| a.job.clone());
        assert_ne!(job, self.open, "a span that was open opened again");
        self.open = job;
        self.span = Span { total_ul: 0, tare: reading.unwrapped, since: None };
    }

    /// (raw − zero) / K + base = total.
    fn check(&self, reading: &Reading) {
        let (zero, base) = self.span.since.unwrap_or((self.span.tare, 0));
        let ul = (reading.unwrapped - zero) as f64 / self.k * UL_PER_GALLON + base as f64;
        let off = (ul - self.span.total_ul as f64).abs();
        assert!(off <= 2.0 + 0.5 * f64::from(self.starts), "off by {off}: {reading:?} {self:?}");
    }
}

struct World {
    recorder: Recorder,
    model: Model,
    book: Book,
    zero_restarts: bool,
    max_count: u64,
    ms: i64,
    raw: u64,
    seq: u16,
    serial: u8,
    wanted: Option<u8>,
    other_boot: bool,
}

impl World {
    fn new(zero_restarts: bool, max_count: u64) -> Self {
        let mut world = Self {
            recorder: Recorder::new(rules(KS[0]), Resume::default()),
            model: Model {
                from: From::Sample(2),
                k: KS[0],
                configured_k: KS[0],
                pending_ul: 0.0,
                recorded_ul: 0.0,
                at_reading: None,
                stretch: 0,
                begins: From::Sample(2),
            },
            book: Book::default(),
            zero_restarts,
            max_count,
            ms: 1_000,
            raw: 50_000,
            seq: 7,
            serial: 0,
            wanted: None,
            other_boot: false,
        };
        world.recorder = Recorder::new(world.rules(), Resume::default());
        world.settle();
        world
    }

    fn rules(&self) -> Rules {
        let mut rules = rules(self.model.configured_k);
        rules.max_count = self.max_count;
        if !self.zero_restarts {
            rules.counter.restart_from = RestartFrom::Unknown;
        }
        // The bound is the counter's business: one K for it keeps this test to its own.
        rules.counter.k = k(KS[0]);
        rules
    }

    fn happen(&mut self, event: &Event) {
        match *event {
            Event::Run { samples, ms, counts } => {
                for _ in 0..samples {
                    self.sample(ms, counts);
                }
            }
            Event::Silence { seconds, counts } => {
                self.ms += seconds * 1_000;
                self.seq = self.seq.wrapping_add(seconds as u16);
                self.raw += counts;
                self.settle();
            }
            Event::Damaged => {
                self.settle();
                let good = std::mem::replace(&mut self.raw, 900_000_000);
                self.ms += 1_000;
                self.seq = self.seq.wrapping_add(1);
                self.say();
                self.raw = good;
                self.settle();
            }
            Event::MeterRestarts { shows } => {
                // A meter that counts from an unknown point must show less than before,
                // or have spoken for some time, to be told apart.
                self.settle();
                (self.raw, self.seq) = (shows, 0);
                let from = if self.zero_restarts { From::Count(0) } else { From::Sample(1) };
                self.model.begin(from);
                self.settle();
                self.age();
            }
            Event::MeterChanges { serial, shows } => {
                self.settle();
                if self.serial != serial {
                    (self.serial, self.raw) = (serial, shows);
                    self.model.begin(From::Sample(2));
                }
                self.settle();
            }
            Event::Reopened => self.recorder.reopened(),
            Event::K(i) => self.calibrate(i),
            Event::Assign(which) => {
                self.wanted = which;
                self.recorder.assign(which.and_then(|n| job(&n.to_string())));
            }
            Event::AgentRestarts { k, in_order, same_boot } => {
                self.settle();
                self.calibrate(k);
                self.restart(in_order, same_boot);
            }
        }
    }

    fn sample(&mut self, ms: i64, counts: u64) {
        self.ms += ms;
        self.raw += counts;
        // One more each line, and lines are a second apart: faster ones repeat it.
        self.seq = self.seq.wrapping_add(1);
        self.model.heard(self.raw);
        self.say();
    }

    fn say(&mut self) {
        let sample = Sample {
            serial: Some(format!("M{}", self.serial)),
            seq: Some(self.seq),
            raw: self.raw,
            ..Sample::default()
        };
        if let Some(reading) = self.recorder.sample(sample, BootInstant(self.ms)) {
            self.enter(reading, false);
        }
    }

    fn enter(&mut self, reading: Reading, closing: bool) {
        self.model.recorded(reading.raw, closing);
        self.book.enter(reading, self.max_count, self.other_boot);
        self.other_boot = false;
        let off = (self.book.sum_ul as f64 - self.model.recorded_ul).abs();
        let last = self.book.last.as_ref();
        assert!(off <= 1.0, "off by {off}: {last:?} {:?}", self.model);
    }

    /// Lines enough for anything suspect to be confirmed or dropped.
    fn settle(&mut self) {
        for _ in 0..4 {
            self.sample(300, 1);
        }
    }

    /// The meter has spoken and counted for so long that its next restart is one.
    fn age(&mut self) {
        for _ in 0..15 {
            self.sample(1_000, 40);
        }
    }

    fn calibrate(&mut self, i: usize) {
        self.model.configured_k = KS[i];
        self.recorder.set_rules(self.rules());
    }

    fn restart(&mut self, in_order: bool, same_boot: bool) {
        if in_order && let Some(reading) = self.recorder.last() {
            self.enter(reading, true);
        }
        let last = self.book.last.clone();
        if !same_boot {
            self.ms = 5_000;
            self.other_boot = true;
        }
        let resume = Resume {
            last: last.map(|r| LastReading {
                serial: r.serial,
                raw: r.raw,
                meter_seq: r.meter_seq,
                unwrapped: r.unwrapped,
                at: (!self.other_boot).then_some(r.at),
                k: k(self.book.k),
                points: String::new(),
                raw_start: self.book.segment_raw,
                unwrapped_start: self.book.segment_unwrapped,
            }),
            assignment: self.book.open.as_deref().and_then(job),
        };
        self.recorder = Recorder::new(self.rules(), resume);
        self.recorder.assign(self.wanted.and_then(|n| job(&n.to_string())));
        self.book.starts += 1;
        self.model.forget(self.book.k, self.book.sum_ul as f64);
        self.settle();
    }

    /// Runs until nothing is left to record.
    fn finish(mut self) -> (Model, Book) {
        for _ in 0..6 {
            self.sample(1_000, 1);
        }
        for _ in 0..6 {
            self.sample(1_000, 0);
        }
        if let Some(reading) = self.recorder.last() {
            self.enter(reading, true);
        }
        (self.model, self.book)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_shares_add_up_to_what_was_metered(
        events in prop::collection::vec(event(), 1..25),
        zero_restarts in any::<bool>(),
        max_count in prop_oneof![Just(2_147_483_647_u64), 200_u64..5_000],
    ) {
        let mut world = World::new(zero_restarts, max_count);
        for event in &events {
            world.happen(event);
        }
        let (model, book) = world.finish();
        prop_assert!(model.pending_ul < 1.0, "{} µl were never recorded", model.pending_ul);
        prop_assert!((book.sum_ul as f64 - model.recorded_ul).abs() <= 1.0);
        prop_assert!(book.segments >= 1);
    }
}
