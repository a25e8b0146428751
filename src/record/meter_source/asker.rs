//! What a meter is asked and what its answers mean, whatever it speaks: one face for the
//! pure parts that know. Sends nothing and waits for nothing.

use std::time::Duration;

use crate::clock::BootInstant;
use crate::meter::ascii::Counters;
use crate::meter::ascii::poll::Poll as LinePoll;
use crate::meter::modbus::poll::Poll as ModbusPoll;
use crate::meter::polling::{Ask, Heard};
use crate::meter::profile::{CountsFrom, Profile, Role, Speaks};
use crate::reading::Sample;
use crate::record::view::Polled;

/// By the way that the meter speaks.
#[derive(Debug)]
pub enum Asker {
    /// Registers.
    Modbus {
        /// Who knows.
        poll: Box<ModbusPoll>,
        /// Between an answer and the next question.
        pause: Duration,
        /// Of every question.
        timeout: Duration,
    },
    /// Lines.
    Lines {
        /// Who knows.
        poll: Box<LinePoll>,
        /// The longest of any question.
        timeout: Duration,
        /// The question whose answer has the count.
        counting: usize,
        /// How many were asked in this round.
        asked: usize,
        /// When the count was heard in this round.
        counted_at: Option<BootInstant>,
    },
}

impl Asker {
    /// For a meter that speaks as this profile says, at that unit; `None` for one that
    /// speaks by itself.
    pub fn new(profile: &Profile, unit: u8) -> Option<Self> {
        match &profile.speaks {
            Speaks::AsciiStream(_) => None,
            Speaks::AsciiPoll(made) => Some(Self::Lines {
                poll: Box::new(LinePoll::new(profile)?),
                timeout: made.requests.iter().map(|r| r.timeout).max().unwrap_or_default(),
                counting: counting(profile),
                asked: 0,
                counted_at: None,
            }),
            Speaks::ModbusRtu(modbus) => Some(Self::Modbus {
                poll: Box::new(ModbusPoll::new(profile, modbus, unit)),
                pause: modbus.pause,
                timeout: modbus.timeout,
            }),
        }
    }

    /// How long an answer may take.
    pub fn timeout(&self) -> Duration {
        match self {
            Self::Modbus { timeout, .. } | Self::Lines { timeout, .. } => *timeout,
        }
    }

    /// What is waited after an answer.
    pub fn pause(&self) -> Duration {
        match self {
            Self::Modbus { pause, .. } => *pause,
            // Each of its questions has a pause before it.
            Self::Lines { .. } => Duration::ZERO,
        }
    }

    /// A round begins; what the one before brought is forgotten.
    pub fn begin(&mut self) {
        match self {
            Self::Modbus { poll, .. } => poll.begin(),
            Self::Lines { poll, asked, counted_at, .. } => {
                (*asked, *counted_at) = (0, None);
                poll.begin();
            }
        }
    }

    /// The next question of this round.
    pub fn ask(&mut self) -> Option<Ask> {
        match self {
            Self::Modbus { poll, .. } => poll.ask(),
            Self::Lines { poll, asked, .. } => {
                let ask = poll.next_ask()?;
                *asked += 1;
                // The whole line is to come in its timeout.
                Some(Ask {
                    send: ask.send,
                    pause: ask.pause,
                    timeout: ask.timeout,
                    answer_bytes: 0,
                })
            }
        }
    }

    /// Bytes that came while an answer was due.
    pub fn hear(&mut self, bytes: &[u8], at: BootInstant) -> Heard {
        match self {
            Self::Modbus { poll, .. } => poll.hear(bytes, at),
            Self::Lines { poll, counting, asked, counted_at, .. } => {
                if !poll.hear(bytes) {
                    return Heard::More;
                }
                if *asked == *counting + 1 {
                    *counted_at = Some(at);
                }
                Heard::Over
            }
        }
    }

    /// Bytes that came when no answer was due.
    pub fn hear_unasked(&mut self, bytes: &[u8]) {
        match self {
            Self::Modbus { poll, .. } => {
                poll.hear_unasked(bytes.len());
            }
            // Its answers say what they are: a late one is told from another's.
            Self::Lines { .. } => {}
        }
    }

    /// The answer, or the rest of it, didn't come in time.
    pub fn time_out(&mut self) {
        match self {
            Self::Modbus { poll, .. } => poll.time_out(),
            Self::Lines { poll, .. } => poll.unanswered(),
        }
    }

    /// The port was lost or the settings changed: there is no answer any more.
    pub fn break_off(&mut self) {
        match self {
            Self::Modbus { poll, .. } => poll.break_off(),
            Self::Lines { poll, counted_at, .. } => {
                poll.unanswered();
                *counted_at = None;
            }
        }
    }

    /// What the round brought, with the time at which the count was heard.
    pub fn sample(&mut self) -> Option<(Sample, BootInstant)> {
        match self {
            Self::Modbus { poll, .. } => poll.sample(),
            Self::Lines { poll, counted_at, .. } => {
                let at = counted_at.take();
                Some((poll.end()?, at?))
            }
        }
    }

    /// Sensor values so far that can't be.
    pub fn bad_values(&self) -> u64 {
        match self {
            Self::Modbus { poll, .. } => poll.counters().bad_values,
            Self::Lines { poll, .. } => poll.counters().bad_values,
        }
    }

    /// What goes wrong time and again.
    pub fn problem(&self) -> Option<String> {
        match self {
            Self::Modbus { poll, .. } => poll.problem(),
            Self::Lines { .. } => None,
        }
    }

    /// For `status`: what lines came to, and what registers did.
    pub fn told(&self) -> (Option<Counters>, Option<Polled>) {
        match self {
            Self::Modbus { poll, .. } => {
                (None, Some(Polled { counters: *poll.counters(), problem: poll.problem() }))
            }
            Self::Lines { poll, .. } => (Some(*poll.counters()), None),
        }
    }
}

/// The question whose answer has the count.
fn counting(profile: &Profile) -> usize {
    let role = match profile.counts_from() {
        CountsFrom::RawCount => Role::RawCount,
        CountsFrom::Total => Role::Total,
        CountsFrom::Rate => Role::Rate,
    };
    profile.fields.get(&role).map_or(0, |field| field.request)
}
