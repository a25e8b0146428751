//! The meter at its outlet: a task that says a line when one is due, or answers when it is
//! asked, and the knobs that change what it says.

mod asked;

use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tracing::warn;

use super::{TruthLog, lock, wait_looking};
use crate::clock::RigClock;
use crate::dice::Dice;
use crate::meter::{Damage, Exchange, FaultKind, Kind, Meter, MeterFault, MeterSetup, damaged};
use crate::outlet::{Outlet, OutletError};
use crate::pty::Dropped;
use crate::truth::{FlowChange, Trouble};

/// What an unplugged meter does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileOut {
    /// It has power of its own and goes on counting.
    Counts,
    /// It was fed by the cable: it keeps what it has and counts nothing.
    Sleeps,
}

/// A meter at its outlet. Clones turn the same knobs.
#[derive(Debug, Clone)]
pub struct MeterKnob {
    bench: Arc<Mutex<MeterBench>>,
    clock: RigClock,
    truth: TruthLog,
}

#[derive(Debug)]
struct MeterBench {
    meter: Meter,
    outlet: Outlet,
    dice: Dice,
    spoil: u32,
    exchange: Exchange,
    /// How many times opening the port starts the meter again.
    resets: u32,
    period_ms: i64,
    next_ms: i64,
}

impl MeterKnob {
    pub(super) fn new(
        setup: MeterSetup,
        seed: u64,
        outlet: Outlet,
        clock: RigClock,
        truth: TruthLog,
    ) -> Self {
        let mut dice = Dice::for_purpose(seed, "meter");
        let now = clock.now_ms();
        let period_ms = (1000.0 / setup.lines_per_s.clamp(0.1, 10.0)).round() as i64;
        // A meter's second is not the world's second.
        let phase = dice.below(period_ms.unsigned_abs()) as i64;
        let bench = MeterBench {
            meter: Meter::new(setup, now),
            outlet,
            dice,
            spoil: 0,
            exchange: Exchange::default(),
            resets: 0,
            period_ms,
            next_ms: now + phase,
        };
        Self { bench: Arc::new(Mutex::new(bench)), clock, truth }
    }

    /// Lets liquid through at so many gallons a minute; 0 stops it.
    pub fn flow(&self, gpm: f64) {
        let now = self.clock.now_ms();
        lock(&self.bench).meter.flow(gpm, now);
        self.truth.lock().flow.push(FlowChange { at_ms: now, gpm });
    }

    /// Stops the liquid.
    pub fn stop(&self) {
        self.flow(0.0);
    }

    /// The commanded flow in gallons a minute.
    pub fn rate_gpm(&self) -> f64 {
        lock(&self.bench).meter.rate_gpm()
    }

    /// All counts since the rig was started.
    pub fn counted(&self) -> u64 {
        let now = self.clock.now_ms();
        lock(&self.bench).meter.counted(now)
    }

    /// Pulls the cable.
    ///
    /// # Errors
    /// Where the stable name can't be removed.
    pub fn unplug(&self, while_out: WhileOut) -> Result<(), OutletError> {
        let now = self.clock.now_ms();
        let mut bench = lock(&self.bench);
        bench.outlet.unplug()?;
        bench.meter.power(while_out == WhileOut::Counts, now);
        self.truth.lock().begin(Trouble::MeterUnplugged, now);
        Ok(())
    }

    /// Puts the cable back, under the same stable name.
    ///
    /// # Errors
    /// Where no pseudoterminal is to be had.
    pub fn plug(&self) -> Result<(), OutletError> {
        let now = self.clock.now_ms();
        let mut bench = lock(&self.bench);
        bench.outlet.plug()?;
        bench.meter.power(true, now);
        self.truth.lock().end(Trouble::MeterUnplugged, now);
        Ok(())
    }

    /// Spoils the next lines or answers.
    pub fn noise(&self, lines: u32) {
        let mut bench = lock(&self.bench);
        let MeterBench { meter, dice, exchange, spoil, .. } = &mut *bench;
        match meter.setup().kind {
            Kind::RigLine => *spoil += lines,
            _ => (0..lines).for_each(|_| {
                let kinds = [FaultKind::Garbage, FaultKind::Short];
                let thrown = kinds.get(dice.below(2) as usize).copied();
                exchange.order(MeterFault::once(thrown.unwrap_or(FaultKind::Garbage)));
            }),
        }
        drop(bench);
        let now = self.clock.now_ms();
        self.truth.lock().begin(Trouble::MeterNoise, now);
    }

    /// Makes the next line show so many counts too many, with a right checksum.
    pub fn glitch(&self, counts: u64) {
        lock(&self.bench).meter.glitch(counts);
        let now = self.clock.now_ms();
        self.truth.lock().begin(Trouble::MeterNoise, now);
    }

    /// Starts the meter again: count and sequence number from 0.
    pub fn restart(&self) {
        let now = self.clock.now_ms();
        lock(&self.bench).meter.restart(now);
        self.truth.lock().restarts.push(now);
    }

    /// Lets it have a fault.
    pub fn fault(&self, fault: MeterFault) {
        let now = self.clock.now_ms();
        let mut bench = lock(&self.bench);
        match fault.fault {
            FaultKind::ResetOnOpening => {
                bench.resets += fault.times;
                return;
            }
            FaultKind::Frozen => bench.meter.freeze(fault.times, now),
            _ => bench.exchange.order(fault),
        }
        drop(bench);
        self.truth.lock().begin(Trouble::MeterNoise, now);
    }

    /// What never reached a reader.
    pub fn dropped(&self) -> Dropped {
        lock(&self.bench).outlet.dropped()
    }

    pub(super) fn bring_truth_up_to_date(&self) {
        let counted = self.counted();
        self.truth.lock().counted = counted;
    }

    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        let asked = lock(&self.bench).meter.setup().kind.is_asked();
        if asked {
            return self.answer_questions(stopped).await;
        }
        loop {
            let due = lock(&self.bench).next_ms;
            let on = wait_looking(self.clock, due, &mut stopped, || self.look()).await;
            if !on {
                return;
            }
            if let Err(err) = self.say_line() {
                warn!(%err, "meter port lost");
            }
        }
    }

    fn look(&self) {
        let mut bench = lock(&self.bench);
        let looked = bench.outlet.look();
        let reset = bench.reset_if_opened(self.clock.now_ms());
        drop(bench);
        self.note(reset);
        if let Err(err) = looked {
            warn!(%err, "meter port lost");
        }
    }

    fn note(&self, reset_ms: Option<i64>) {
        self.truth.lock().restarts.extend(reset_ms);
    }

    fn say_line(&self) -> Result<(), OutletError> {
        self.look();
        let now = self.clock.now_ms();
        let mut bench = lock(&self.bench);
        // A rig that was held up says one line, not all it has missed.
        let behind = (now - bench.next_ms).max(0) / bench.period_ms;
        bench.next_ms += (behind + 1) * bench.period_ms;
        let line = bench.meter.line(now);
        let kind = bench.meter.setup().kind;
        let MeterBench { dice, spoil, exchange, .. } = &mut *bench;
        let spoilt = *spoil > 0;
        let (bytes, honest) = if spoilt {
            *spoil -= 1;
            let damage = Damage::thrown(dice);
            (damaged(&line.text, damage, dice), false)
        } else {
            exchange.line(kind, &line.text, dice)
        };
        let written = bench.outlet.write(&bytes);
        let quiet_again =
            bench.spoil == 0 && !bench.exchange.is_troubled() && !bench.meter.is_frozen();
        drop(bench);
        let mut truth = self.truth.lock();
        let heard = written.as_ref().is_ok_and(|written| written.heard());
        truth.line(now, &line, heard, honest);
        if quiet_again && honest && !line.glitch {
            truth.end(Trouble::MeterNoise, now);
        }
        written.map(|_| ())
    }
}

impl MeterBench {
    /// Starts the meter again where opening its port does that and it was opened.
    fn reset_if_opened(&mut self, now_ms: i64) -> Option<i64> {
        let rose = self.outlet.dtr_rose();
        if !rose || self.resets == 0 {
            return None;
        }
        self.resets -= 1;
        self.meter.restart(now_ms);
        Some(now_ms)
    }
}
