//! A meter that is asked: its questions at their times, its answers to whoever reads them,
//! silence where an answer may still be late. Knows neither what is asked nor what is answered.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use super::asker::Asker;
use super::line::Line;
use super::{BEAT_EVERY, BUFFER};
use crate::meter::ascii::Counters;
use crate::meter::polling::{Ask, Heard};
use crate::port::Event;
use crate::record::rig::Rig;
use crate::record::view::Polled;

/// A line that is never silent is asked all the same after so many timeouts.
const MOST_SILENCES: u32 = 10;
/// Bits on the line for a byte: start, eight, parity, stop.
const BITS_A_BYTE: f64 = 11.0;

/// Asking one meter.
#[derive(Debug)]
pub struct Poll {
    asker: Asker,
    rig: Rig,
    next_round: Instant,
    /// An answer to an earlier question may still come.
    unsettled: bool,
    /// The problem that was logged last.
    told: Option<String>,
    buffer: Vec<u8>,
}

/// What became of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The meter answered, or refused.
    Over,
    /// It didn't, or not this question.
    Wrong,
    /// The port is gone, or was opened anew.
    Away,
}

/// What was heard when no answer was due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Overheard {
    Silence,
    Noise,
    Away,
}

impl Poll {
    /// The rig's meter; `None` for one that speaks by itself.
    pub fn new(rig: &Rig) -> Option<Self> {
        Some(Self {
            asker: Asker::new(&rig.profile, rig.config.meter.unit)?,
            rig: rig.clone(),
            next_round: Instant::now(),
            unsettled: true,
            told: None,
            buffer: vec![0; BUFFER],
        })
    }

    /// Whether this rig's meter is asked in the same way.
    pub fn is_for(&self, rig: &Rig) -> bool {
        let (ours, theirs) = (&self.rig.config.meter, &rig.config.meter);
        self.rig.profile == rig.profile
            && (ours.unit, ours.poll_every, ours.baud)
                == (theirs.unit, theirs.poll_every, theirs.baud)
    }

    /// A round may have been given up in mid-question.
    pub fn interrupted(&mut self) {
        self.asker.break_off();
        self.unsettled = true;
    }

    /// What was asked and what became of it.
    pub fn told(&self) -> (Option<Counters>, Option<Polled>) {
        self.asker.told()
    }

    /// Waits for the next round, for a while, or asks it; false where nobody listens any
    /// more. Where it is given up in between, [`Poll::interrupted`] must be told.
    pub async fn turn(&mut self, line: &mut Line) -> bool {
        let (open, now) = (line.port.health().open, Instant::now());
        if !open || now < self.next_round {
            let a_while = now + BEAT_EVERY;
            let until = if open { a_while.min(self.next_round) } else { a_while };
            self.overhear(line, until).await;
            return true;
        }
        // A round that took longer than its time puts off the next one and is not made up for.
        self.next_round = (self.next_round + self.rig.config.meter.poll_every).max(now);
        if std::mem::take(&mut self.unsettled) && !self.settle(line).await {
            return true;
        }
        let listened_to = self.round(line).await;
        self.tell();
        listened_to
    }

    async fn round(&mut self, line: &mut Line) -> bool {
        let bad_before = self.asker.bad_values();
        self.asker.begin();
        while let Some(ask) = self.asker.ask() {
            line.beat();
            if !self.pause(line, ask.pause).await {
                self.interrupted();
                return true;
            }
            let settled = match self.exchange(line, &ask).await {
                Outcome::Over => self.pause(line, self.asker.pause()).await,
                Outcome::Wrong => self.settle(line).await,
                Outcome::Away => false,
            };
            if !settled {
                self.interrupted();
                return true;
            }
        }
        let sample = self.asker.sample();
        if bad_before == 0 && self.asker.bad_values() > 0 {
            warn!("a sensor of the meter tells what can't be; taken for none");
        }
        sample.is_none_or(|(sample, at)| line.offer(sample, at))
    }

    async fn exchange(&mut self, line: &mut Line, ask: &Ask) -> Outcome {
        if !line.port.ask(&ask.send).await {
            return Outcome::Away;
        }
        let bits = BITS_A_BYTE * (ask.send.len() + ask.answer_bytes) as f64;
        let on_the_line = bits / f64::from(self.rig.config.meter.baud.max(1));
        let until = Instant::now() + Duration::from_secs_f64(on_the_line) + ask.timeout;
        loop {
            match timeout_at(until, line.port.next(&mut self.buffer)).await {
                Err(_) => {
                    self.asker.time_out();
                    return Outcome::Wrong;
                }
                Ok(Event::Bytes(n)) => {
                    let bytes = self.buffer.get(..n).unwrap_or_default();
                    match self.asker.hear(bytes, line.now()) {
                        Heard::More => {}
                        Heard::Over => return Outcome::Over,
                        Heard::Wrong => return Outcome::Wrong,
                    }
                }
                Ok(Event::Opened) => {
                    line.opened();
                    return Outcome::Away;
                }
                Ok(Event::Lost) => return Outcome::Away,
            }
        }
    }

    /// A pause before a question or after its answer. Whatever comes in it was not asked for.
    async fn pause(&mut self, line: &mut Line, pause: Duration) -> bool {
        if pause.is_zero() {
            return true;
        }
        match self.overhear(line, Instant::now() + pause).await {
            Overheard::Silence => true,
            Overheard::Noise => self.settle(line).await,
            Overheard::Away => false,
        }
    }

    /// Waits until nothing has come for one timeout, so that a late answer isn't taken for
    /// the next one; false where the port is gone.
    async fn settle(&mut self, line: &mut Line) -> bool {
        let limit = Instant::now() + self.asker.timeout() * MOST_SILENCES;
        loop {
            line.beat();
            let now = Instant::now();
            if now >= limit {
                return true;
            }
            match self.overhear(line, limit.min(now + self.asker.timeout())).await {
                Overheard::Silence => return true,
                Overheard::Noise => {}
                Overheard::Away => return false,
            }
        }
    }

    async fn overhear(&mut self, line: &mut Line, until: Instant) -> Overheard {
        match timeout_at(until, line.port.next(&mut self.buffer)).await {
            Err(_) => Overheard::Silence,
            Ok(Event::Bytes(n)) => {
                self.asker.hear_unasked(self.buffer.get(..n).unwrap_or_default());
                Overheard::Noise
            }
            Ok(Event::Opened) => {
                line.opened();
                self.unsettled = true;
                Overheard::Away
            }
            Ok(Event::Lost) => Overheard::Away,
        }
    }

    /// Logs what is new.
    fn tell(&mut self) {
        let problem = self.asker.problem();
        if problem != self.told {
            match &problem {
                Some(problem) => warn!(problem, "meter asked in vain"),
                None => info!("meter answers all again"),
            }
            self.told = problem;
        }
    }
}
