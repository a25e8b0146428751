//! The recorder: hands each believed sample to the flow and the sampling rules, and puts
//! a reading together when one is due. What happens less than a second after a reading
//! waits here as flags for the next one (RULES.md, 17).
//!
//! Knows no sequence number, no wall time, no total and nothing of where readings go.
//! Stand-ins for sensors that don't exist are applied later: `None` stays `None`.

use super::agreement::{Agreement, Told};
use super::flow::{Flow, FlowState, Turn};
use super::ledger::Ledger;
use super::metering::{Metering, Step};
use super::movement::Movement;
use super::place::{Places, Spot};
use super::reach::Reach;
use super::rules::{Resume, Rules};
use super::sampling::{self, Due, Moment};
use super::span::Spans;
use super::view::{Tally, View};
use crate::clock::BootInstant;
use crate::meter::battery::Battery;
use crate::reading::{Assignment, Fix, Flag, Flags, NewSpan, Origin, Reading, Sample};
use crate::units::Microlitres;

/// Turns samples into readings.
#[derive(Debug)]
pub struct Recorder {
    rules: Rules,
    metering: Metering,
    spans: Spans,
    flow: Flow,
    reach: Reach,
    places: Places,
    movement: Movement,
    battery: Battery,
    agreement: Agreement,
    /// What happened since the last reading.
    flags: Flags,
    /// Whether any of it must be recorded at once.
    event: bool,
    last_reading: Option<BootInstant>,
    /// Whether it goes on from an earlier run.
    resumed: bool,
    first_believed: Option<BootInstant>,
    heard: Option<BootInstant>,
    latest: Option<Latest>,
    /// Whether no reading is to be made.
    withholds: bool,
    /// Samples that would have become one meanwhile.
    withheld: u64,
}

/// The last believed sample.
#[derive(Debug)]
struct Latest {
    sample: Sample,
    at: BootInstant,
    spot: Option<Spot>,
}

impl Recorder {
    /// Goes on from what the queue knows.
    pub fn new(rules: Rules, resume: Resume) -> Self {
        Self {
            last_reading: resume.last.as_ref().and_then(|r| r.at),
            resumed: resume.last.is_some(),
            metering: Metering::new(&rules, resume.last),
            rules,
            spans: Spans::new(resume.assignment),
            flow: Flow::default(),
            reach: Reach::default(),
            places: Places::new(),
            movement: Movement::new(),
            battery: Battery::default(),
            agreement: Agreement::default(),
            flags: Flags::NONE,
            event: false,
            first_believed: None,
            heard: None,
            latest: None,
            withholds: false,
            withheld: 0,
        }
    }

    /// Takes a new configuration. Another calibration closes the segment at the next
    /// believed sample that may become a reading; up to there the old one counts.
    pub fn set_rules(&mut self, rules: Rules) {
        self.metering.set_rules(&self.rules, &rules);
        if rules.battery != self.rules.battery {
            self.battery.forget();
        }
        self.rules = rules;
    }

    /// The assignment wanted from the next reading on; `None` to go on unassigned. The
    /// one that is in force goes on if it is the same.
    pub fn assign(&mut self, wanted: Option<(Assignment, Origin)>) {
        self.spans.want(wanted);
    }

    /// Takes an accepted fix; one that no sprayer can have come to is counted and not used.
    pub fn fix(&mut self, fix: Fix) {
        if !self.reach.takes(&fix) {
            return;
        }
        self.movement.saw(fix.clone());
        self.places.saw(fix);
    }

    /// The meter's port was reopened: what it shows next comes after a gap.
    pub fn reopened(&mut self) {
        self.metering.reopened();
    }

    /// Makes no reading while there is no room for one. Samples still count: the next
    /// reading has all the volume and everything that happened, and is flagged `gap`.
    pub fn withhold(&mut self, yes: bool) {
        self.withholds = yes;
    }

    /// Takes a sample that arrived `at`, and returns the reading that it becomes, if any.
    pub fn sample(&mut self, sample: Sample, at: BootInstant) -> Option<Reading> {
        self.heard = Some(at);
        let step = self.metering.hear(&self.rules, &sample, at)?;
        let first_believed = *self.first_believed.get_or_insert(at);
        let spot = self.places.spot(at, self.rules.fix_stale_ms);
        let sample = self.with_battery(sample, step, at);
        self.latest = Some(Latest { sample, at, spot });
        self.flags = self.flags.union(step.flags);
        self.event |= step.event;
        self.watch_flow(step, at);
        self.compare(step, at);
        let moment = Moment {
            since_reading_ms: self.last_reading.map(|t| at.since_ms(t)),
            waited_ms: at.since_ms(self.last_reading.unwrap_or(first_believed)),
            flow: self.flow.state(at),
            gallons: self.metering.ledger().map_or(0.0, Ledger::pending_gallons),
            moved_m: self.movement.net_m(at),
            event: self.event || self.spans.waits() || self.metering.calibration_waits(),
        };
        let early = self.resumed && at.since_ms(first_believed) < self.rules.fix_stale_ms;
        match sampling::due(&self.rules.record, &moment) {
            Due::Not => None,
            Due::Reading if self.withholds => {
                self.withheld += 1;
                self.flags.set(Flag::Gap);
                None
            }
            Due::Heartbeat if self.withholds => None,
            Due::Reading | Due::Heartbeat if early && self.may_wait_for_a_place() => None,
            Due::Reading => self.record(None),
            Due::Heartbeat => self.record(Some(Flag::Idle)),
        }
    }

    /// The last reading before the agent stops, stamped with the last believed sample's
    /// own time. `None` if there is no volume to record, or if that sample came less than
    /// a second after the last reading: the next start then finds its counts.
    pub fn last(&mut self) -> Option<Reading> {
        let at = self.latest.as_ref()?.at;
        let apart = self.last_reading.is_none_or(|t| at.since_ms(t) >= sampling::APART_MS);
        let volume = self.metering.ledger().is_some_and(Ledger::has_volume);
        (apart && volume).then(|| self.record(Some(Flag::Last))).flatten()
    }

    /// What `status` shows, as of `now`.
    pub fn view(&self, now: BootInstant) -> View {
        let ledger = self.metering.ledger();
        let flow = self.flow.state(now);
        let since = |t: BootInstant| now.since_ms(t).max(0);
        let heard = self.latest.as_ref().filter(|_| flow != FlowState::Unknown).map(|l| &l.sample);
        View {
            flow,
            rate_gpm: heard.and_then(|sample| self.rate_gpm(sample.rate_gpm)),
            battery_percent: heard.and_then(|sample| sample.battery_percent),
            battery_volts: heard.and_then(|sample| sample.battery_volts),
            runtime_min: heard.and_then(|sample| sample.runtime_min),
            disagreement: heard.and_then(|_| self.agreement.now()),
            sample_age_ms: self.heard.map(since),
            believed_age_ms: self.latest.as_ref().map(|l| since(l.at)),
            reading_age_ms: self.last_reading.map(since),
            serial: ledger.map(|l| l.serial().to_owned()),
            raw: ledger.map(|l| l.counts().0),
            unwrapped: ledger.map(|l| l.counts().1),
            k: ledger.map(|l| l.calibration().factor().counts_per_gallon()),
            unrecorded_gal: ledger.map_or(0.0, |l| l.pending_gallons().max(0.0)),
            assignment_waits: self.spans.waits(),
            calibration_waits: self.metering.calibration_waits(),
            fix: self.places.state(now, self.rules.fix_stale_ms),
            fix_age_ms: self.places.age_ms(now),
            place: self
                .places
                .spot(now, self.rules.fix_stale_ms)
                .filter(|spot| !spot.reused)
                .map(|spot| spot.place),
            tally: Tally {
                late_fixes_dropped: self.places.late(),
                place_jumps: self.reach.refused(),
                withheld: self.withheld,
                count_frozen: self.agreement.times().0,
                counts_without_rate: self.agreement.times().1,
                ..self.metering.tally()
            },
        }
    }

    /// After a start the meter may be heard before the sky is: a moment later the same volume
    /// has a place. Not so what the meter's own count wouldn't tell again after another start:
    /// a rollover would look like a restart then.
    fn may_wait_for_a_place(&self) -> bool {
        let lasting = [Flag::Restart, Flag::Rollover, Flag::Meter, Flag::Jump, Flag::Corrected];
        !(self.places.any()
            || self.spans.waits()
            || self.metering.calibration_waits()
            || lasting.into_iter().any(|flag| self.flags.has(flag)))
    }

    /// With the charge and the run time that the meter doesn't tell itself, as far as they can
    /// be known.
    fn with_battery(&mut self, sample: Sample, step: Step, at: BootInstant) -> Sample {
        if step.flags.has(Flag::Meter) {
            self.battery.forget();
        }
        let by_curve = sample.battery_volts.and_then(|volts| self.rules.battery.percent(volts));
        let battery_percent = sample.battery_percent.or(by_curve);
        let left = self.battery.saw(at, battery_percent);
        Sample { battery_percent, runtime_min: sample.runtime_min.or(left), ..sample }
    }

    /// The count with the meter's own rate, for `status`.
    fn compare(&mut self, step: Step, at: BootInstant) {
        let (Some(latest), Some(ledger), true) =
            (&self.latest, self.metering.ledger(), step.steady)
        else {
            return self.agreement.broke(at);
        };
        self.agreement.saw(Told {
            at,
            ul: step.ul,
            rate_gpm: latest.sample.rate_gpm,
            count_ul: ledger.calibration().volume_ul(1, None),
            low_flow_gpm: self.rules.low_flow_gpm,
        });
    }

    fn watch_flow(&mut self, step: Step, at: BootInstant) {
        if !step.steady {
            self.flow.broke(at);
            return;
        }
        let flag = match self.flow.saw(at, step.ul, self.rules.low_flow_gpm) {
            Some(Turn::Start) => Flag::Start,
            Some(Turn::Stop) => Flag::Stop,
            None => return,
        };
        self.flags.set(flag);
        self.event = true;
    }

    /// The meter's own rate, else that of its counts; 0 below the cut-off.
    fn rate_gpm(&self, told: Option<f64>) -> Option<f64> {
        match told.filter(|gpm| gpm.is_finite()) {
            Some(gpm) if gpm < self.rules.low_flow_gpm.max(0.0) => Some(0.0),
            Some(gpm) => Some(gpm),
            None => self.flow.rate_gpm(),
        }
    }

    /// The reading at the last believed sample.
    fn record(&mut self, as_what: Option<Flag>) -> Option<Reading> {
        let closing = as_what == Some(Flag::Last);
        let latest = self.latest.as_ref()?;
        let at = latest.at;
        let (entry, brought) = self.metering.record(&self.rules, closing)?;
        let mut flags = std::mem::take(&mut self.flags).union(brought);
        // The last reading is of a sample from before the change: what comes after the stop is
        // still the old job's, and the pick is durable, so the next start sees the change.
        let span = if closing { None } else { self.spans.turn(entry.share) };
        let spot = latest.spot.filter(|spot| !(spot.reused && begins(span.as_ref())));
        if let Some(span) = &span {
            self.metering.forgive();
            self.places.span_opened(at);
            flags.set(Flag::Assign);
            // One that still belongs to the old span is no tare of the new one.
            if span.assignment.is_some() && span.owns_reading {
                flags.set(Flag::Tare);
            }
        }
        // A heartbeat that turns out to carry something is none.
        let idle = flags.is_empty() && entry.share == Microlitres::ZERO;
        if let Some(flag) = as_what.filter(|flag| *flag != Flag::Idle || idle) {
            flags.set(flag);
        }
        if spot.is_some_and(|spot| spot.reused) {
            flags.set(Flag::ReusedFix);
        }
        if spot.is_some_and(|spot| spot.configured) {
            flags.set(Flag::FixedPlace);
        }
        self.movement.reading_made(at);
        self.last_reading = Some(at);
        self.event = false;
        let sample = &latest.sample;
        Some(Reading {
            at,
            serial: self.metering.ledger()?.serial().to_owned(),
            raw: entry.raw,
            meter_seq: sample.seq,
            unwrapped: entry.unwrapped,
            share: entry.share,
            rate_gpm: self.rate_gpm(sample.rate_gpm),
            fluid_f: sample.fluid_f,
            ambient_f: sample.ambient_f,
            battery_percent: sample.battery_percent,
            runtime_min: sample.runtime_min,
            place: spot.map(|spot| (spot.place, spot.age_ms, spot.hdop)),
            flags,
            segment: entry.segment,
            span,
        })
    }
}

/// Whether a reading already belongs to the span that opens with it: then a fix of the
/// span before isn't reused.
fn begins(span: Option<&NewSpan>) -> bool {
    span.is_some_and(|span| span.owns_reading)
}
