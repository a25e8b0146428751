//! The meter that is recorded: which one it is, whether its samples are believed, and
//! what they bring. Joins the counter's judgement with the ledger. Knows no flow, no
//! place and no assignment, and doesn't decide when to record.

use super::ledger::{Entry, Ledger};
use super::rules::{LastReading, Rules};
use super::view::Tally;
use crate::clock::BootInstant;
use crate::meter::calibration::Calibration;
use crate::meter::counter::{self, Counter, How, Judged, Registers, Seen};
use crate::meter::frequency::Frequency;
use crate::meter::integral::Integral;
use crate::reading::{Flag, Flags, Sample};

/// One meter at a time, and whoever may be about to take its place.
#[derive(Debug)]
pub struct Metering {
    counter: Counter,
    /// `None` until a meter has been believed for the first time ever.
    ledger: Option<Ledger>,
    /// Whether the ledger's serial number was told by the meter itself.
    told: bool,
    newcomer: Option<Newcomer>,
    frequency: Frequency,
    /// Of a meter that tells only a rate: what its counts are made of.
    integral: Option<Integral>,
    /// A calibration that takes over at the next reading.
    next_calibration: Option<Calibration>,
    tally: Tally,
}

/// What a believed sample brought.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Volume that moved the meter, in microlitres, not rounded: what tells of flow. Of it,
    /// what makes up for a damaged line has been recorded already.
    pub ul: f64,
    /// Whether it came between the last sample and this one, and not at some unknown
    /// moment.
    pub steady: bool,
    /// What happened.
    pub flags: Flags,
    /// Whether that must be recorded at once.
    pub event: bool,
}

/// Samples with another serial number, until a second one agrees: a damaged line must not
/// make up a meter.
#[derive(Debug)]
struct Newcomer {
    serial: String,
    counter: Counter,
    samples: u64,
}

impl Metering {
    /// Goes on from the last reading, at the K of its segment.
    pub fn new(rules: &Rules, last: Option<LastReading>) -> Self {
        let seen = last.as_ref().map(|r| Seen {
            raw: r.raw,
            seq: r.meter_seq,
            at: r.at,
            registers: Registers::default(),
        });
        let configured = &rules.calibration;
        let changed = last
            .as_ref()
            .is_some_and(|r| r.k != configured.factor() || r.points != configured.points_text());
        let ahead = last.as_ref().map_or(0, |last| ahead(&rules.counter, last));
        let ledger = last.map(|last| {
            let constant = Calibration::constant(last.k);
            Ledger::resumed(last, if changed { constant } else { configured.clone() })
        });
        Self {
            counter: Counter::new(seen).owing(ahead),
            ledger,
            told: false,
            newcomer: None,
            frequency: Frequency::default(),
            integral: None,
            next_calibration: changed.then(|| configured.clone()),
            tally: Tally::default(),
        }
    }

    /// Another configuration. A new calibration closes the segment at the next believed
    /// sample that may become a reading; up to there the old one counts.
    pub fn set_rules(&mut self, old: &Rules, new: &Rules) {
        let in_force = self.ledger.as_ref().map(Ledger::calibration);
        let changed = in_force.is_some_and(|now| *now != new.calibration);
        self.next_calibration = changed.then(|| new.calibration.clone());
        if new.configured_serial != old.configured_serial {
            self.told = false;
        }
    }

    /// The port was reopened: what the meter shows next comes after a gap.
    pub fn reopened(&mut self) {
        self.counter.reopened();
    }

    /// A sample; what it brought, if it is believed.
    pub fn hear(&mut self, rules: &Rules, sample: &Sample, at: BootInstant) -> Option<Step> {
        let integrated;
        let sample = if rules.integrated {
            integrated = Sample { raw: self.integrate(rules, sample, at), ..sample.clone() };
            &integrated
        } else {
            self.integral = None;
            sample
        };
        let serial = self.serial_of(rules, sample);
        if self.ledger.as_ref().is_some_and(|l| l.serial() == serial) {
            self.drop_newcomer();
            self.count(rules, sample, at)
        } else {
            self.hear_newcomer(rules, serial, sample, at)
        }
    }

    /// What a reading at the last believed sample records, with the flags that come with
    /// it. A K that waits takes over there, unless `closing`: the agent's last reading is
    /// of a sample from before the change, and the next start sees that K is another one.
    pub fn record(&mut self, rules: &Rules, closing: bool) -> Option<(Entry, Flags)> {
        let ledger = self.ledger.as_mut()?;
        let mut flags = Flags::NONE;
        if rules.integrated {
            flags.set(Flag::Integrated);
        }
        let next = if closing { None } else { self.next_calibration.take() };
        if let Some(calibration) = next {
            ledger.recalibrate(calibration);
            flags.set(Flag::Calibration);
        }
        let entry = ledger.record(rules.max_count);
        if entry.rebased {
            flags.set(Flag::Rebase);
        }
        Some((entry, flags))
    }

    /// What a damaged line brought too early stays with the assignment that it was recorded
    /// for: the next one's gallons are its own.
    pub fn forgive(&mut self) {
        self.tally.overcounted += self.counter.forgive();
    }

    /// The account, once there is one.
    pub fn ledger(&self) -> Option<&Ledger> {
        self.ledger.as_ref()
    }

    /// Whether another K waits for a reading.
    pub fn calibration_waits(&self) -> bool {
        self.next_calibration.is_some()
    }

    /// What happened, and what was dropped.
    pub fn tally(&self) -> Tally {
        Tally {
            suspects_dropped: self.tally.suspects_dropped + self.counter.dropped(),
            out_of_range_dropped: self.tally.out_of_range_dropped + self.counter.out_of_range(),
            overcounted: self.tally.overcounted + self.counter.ahead(),
            ..self.tally
        }
    }

    /// The count of a meter that tells only a rate. It goes on from the last one believed,
    /// so that a start of the agent is no restart of the meter. A rate that no flow can have
    /// brings nothing: once it were in the count, it would stay.
    fn integrate(&mut self, rules: &Rules, sample: &Sample, at: BootInstant) -> u64 {
        let last = self.counter.last().map_or(0, |seen| seen.raw);
        let integral = self.integral.get_or_insert_with(|| Integral::from(last));
        let rate = sample.rate_gpm.filter(|rate| *rate <= rules.counter.max_rate_gpm);
        integral.hear(rate, at) % rules.counter.modulus.max(1)
    }

    /// A line without a serial number belongs to the meter that told one before.
    fn serial_of(&self, rules: &Rules, sample: &Sample) -> String {
        let current = self.ledger.as_ref().map(Ledger::serial);
        own_serial(sample)
            .or(current.filter(|_| self.told))
            .or(Some(rules.configured_serial.as_str()).filter(|s| !s.is_empty()))
            .or(current)
            .unwrap_or_default()
            .to_owned()
    }

    fn count(&mut self, rules: &Rules, sample: &Sample, at: BootInstant) -> Option<Step> {
        let judged = self.counter.judge(&rules.counter, seen(sample, at));
        let ledger = self.ledger.as_mut()?;
        let mut flags = Flags::NONE;
        let (ul, how) = match judged {
            Judged::Suspect => return None,
            Judged::First => {
                self.frequency.broke(at);
                (0.0, How::STEADY)
            }
            // What was found after a gap says nothing of the frequency it came at.
            Judged::Advanced { counts, how } if how.gap || how.jump => {
                self.frequency.broke(at);
                (ledger.advance(sample.raw, counts, None), how)
            }
            Judged::Advanced { counts, how } => {
                let moved = self.counter.moved();
                let hz = self.frequency.saw(at, moved);
                ledger.advance(sample.raw, counts, hz);
                (ledger.calibration().volume_ul(moved, hz), how)
            }
            Judged::Restarted { counts, gap } => {
                flags.set(Flag::Restart);
                self.tally.restarts += 1;
                self.frequency.broke(at);
                let ul = ledger.restart(sample.raw, counts, rules.max_count);
                (ul, How { gap, ..How::STEADY })
            }
        };
        self.told |= own_serial(sample).is_some();
        self.tally.gaps += u64::from(how.gap);
        self.tally.jumps += u64::from(how.jump);
        self.tally.rollovers += u64::from(how.rollover);
        self.tally.corrections += u64::from(how.corrected);
        let steady = !(how.gap || how.jump || flags.has(Flag::Restart));
        // Until a rollover is on the disk, a start would take it for a restart (RULES.md, 7).
        let event = !steady || how.rollover;
        Some(Step { ul, steady, flags: flags.union(how.flags()), event })
    }

    fn hear_newcomer(
        &mut self,
        rules: &Rules,
        serial: String,
        sample: &Sample,
        at: BootInstant,
    ) -> Option<Step> {
        if self.newcomer.as_ref().is_some_and(|n| n.serial != serial) {
            self.drop_newcomer();
        }
        let newcomer = self.newcomer.get_or_insert_with(|| Newcomer {
            serial,
            counter: Counter::new(None),
            samples: 0,
        });
        newcomer.samples += 1;
        let judged = newcomer.counter.judge(&rules.counter, seen(sample, at));
        if judged == Judged::Suspect {
            return None;
        }
        let newcomer = self.newcomer.take()?;
        let flags = self.adopt(rules, newcomer, sample);
        Some(Step { ul: 0.0, steady: false, flags, event: true })
    }

    fn adopt(&mut self, rules: &Rules, newcomer: Newcomer, sample: &Sample) -> Flags {
        let Newcomer { serial, counter, .. } = newcomer;
        let calibration = rules.calibration.clone();
        let mut flags = Flags::NONE;
        if let Some(ledger) = self.ledger.as_mut() {
            ledger.change_meter(serial, sample.raw, rules.max_count, calibration);
            flags.set(Flag::Meter);
            if self.next_calibration.take().is_some() {
                flags.set(Flag::Calibration);
            }
            self.tally.meter_changes += 1;
        } else {
            self.ledger = Some(Ledger::first(serial, sample.raw, rules.max_count, calibration));
        }
        self.told = own_serial(sample).is_some();
        self.tally = self.tally();
        self.counter = counter;
        self.frequency = Frequency::default();
        flags
    }

    fn drop_newcomer(&mut self) {
        if let Some(newcomer) = self.newcomer.take() {
            self.tally.strangers_dropped += newcomer.samples;
        }
    }
}

/// By how much the last reading's count is ahead of the meter, as its segment tells: a
/// damaged line was believed, and the meter had not caught up with it when the agent ended.
/// Never more than a line can have been believed by.
fn ahead(rules: &counter::Rules, last: &LastReading) -> u64 {
    let modulus = i128::from(rules.modulus.max(1));
    let counted = i128::from(last.unwrapped) - i128::from(last.unwrapped_start);
    let shown = i128::from(last.raw) - i128::from(last.raw_start);
    let ahead = u64::try_from((counted - shown).rem_euclid(modulus)).unwrap_or(0);
    if ahead <= rules.bound(None) { ahead } else { 0 }
}

fn seen(sample: &Sample, at: BootInstant) -> Seen {
    let registers = Registers { rollover: sample.rollover, power_up: sample.power_up };
    Seen { raw: sample.raw, seq: sample.seq, at: Some(at), registers }
}

fn own_serial(sample: &Sample) -> Option<&str> {
    sample.serial.as_deref().filter(|serial| !serial.is_empty())
}
