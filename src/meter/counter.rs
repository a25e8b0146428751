//! The counter's judgement: which counts are believed, and what a change of them means.
//! One line in 256 with a damaged count passes an xor checksum, so no line that says
//! something unlikely is believed before the next one agrees with it.
//!
//! Pure: the time is an argument. Knows no bytes, no volume, no segment and no reading.
//! The counter's state is not stored anywhere: it is rebuilt from the meter's last
//! reading ([`Counter::new`]).
//!
//! ```text
//!              in [last, last + bound], sequence follows
//!   sample ───────────────────────────────────────────────► Advanced
//!      │ else
//!      ▼                 next sample follows from it
//!   Suspect ──────────────────────────────────────────────► Advanced (jump, rollover, gap)
//!      │ else                                               Restarted
//!      ▼
//!   dropped; the next sample is judged afresh
//! ```

mod change;
mod registers;
mod sequence;

pub use super::profile::RestartFrom;
use crate::clock::BootInstant;
use crate::reading::{Flag, Flags};
use crate::units::KFactor;
use change::Change;
pub use registers::Registers;

/// Silence longer than this, in milliseconds, is a gap.
pub const GAP_MS: i64 = 60_000;
/// The bound is never narrower than that of this time, in milliseconds: lines arrive in
/// bursts, and a meter may publish its count in steps.
pub const SHORTEST_STEP_MS: i64 = 5_000;
/// How far above the greatest rate a count may go and still be believed at once.
const MARGIN: f64 = 1.2;

/// What is known of the meter beforehand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// The count after which the meter shows 0 again, plus one; 2 or more.
    pub modulus: u64,
    /// No flow is faster, in US gallons a minute.
    pub max_rate_gpm: f64,
    /// Counts a gallon.
    pub k: KFactor,
    /// Where the count begins when the meter gets power.
    pub restart_from: RestartFrom,
    /// Whether the meter itself keeps track of its rollovers. Where its register wasn't read on
    /// both sides of a gap (it is not kept over a start) a decrease may then be a rollover, by
    /// the bound of the time passed.
    pub rollover_register: bool,
    /// The message's sequence number is counted modulo this; `None` without such a number.
    pub seq_modulus: Option<u32>,
}

impl Rules {
    /// The most counts that so many milliseconds can bring, `max_rate × max(Δt, 5 s) × K ×
    /// 1.2`, rounded up since a count is a whole one. An unknown time is the shortest.
    pub fn bound(&self, elapsed_ms: Option<i64>) -> u64 {
        let ms = elapsed_ms.unwrap_or(0).max(SHORTEST_STEP_MS);
        let gallons = self.max_rate_gpm * (ms as f64 / 60_000.0);
        (self.k.counts(gallons) * MARGIN).ceil() as u64
    }

    /// Whether the modulus is too narrow to tell things apart: less than two bounds of the
    /// longest silence that is no gap. Then a restart may look like a rollover (and bring
    /// up to a bound of counts that never flowed), and more than one rollover between two
    /// lines goes unseen. No modulus of a meter in the field comes near.
    pub fn modulus_is_narrow(&self) -> bool {
        self.modulus / 2 < self.bound(Some(GAP_MS))
    }
}

/// A count that was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Raw count as the meter showed it.
    pub raw: u64,
    /// The message's own sequence number.
    pub seq: Option<u16>,
    /// When; `None` if in an earlier boot, so that the time since is not known.
    pub at: Option<BootInstant>,
    /// What the meter's own registers said.
    pub registers: Registers,
}

/// How a count advanced; none of them is a steady step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct How {
    /// Some of the counts were found after a boot, a reopened port or a minute's silence.
    pub gap: bool,
    /// The count passed its modulus.
    pub rollover: bool,
    /// More than the greatest rate explains, and two lines agree on it.
    pub jump: bool,
    /// The count before was a damaged line's, too high; the next counts make up for it.
    pub corrected: bool,
}

impl How {
    /// Nothing special.
    pub const STEADY: Self = Self { gap: false, rollover: false, jump: false, corrected: false };

    /// The flags of a reading that carries it.
    pub fn flags(self) -> Flags {
        [
            (self.gap, Flag::Gap),
            (self.rollover, Flag::Rollover),
            (self.jump, Flag::Jump),
            (self.corrected, Flag::Corrected),
        ]
        .into_iter()
        .filter(|(is, _)| *is)
        .fold(Flags::NONE, |flags, (_, flag)| flags.with(flag))
    }
}

/// What a sample means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Judged {
    /// No earlier count: a baseline at this sample's count, no volume. Never the very
    /// first sample, but the first that agrees with the one before it.
    First,
    /// The meter counted on.
    Advanced {
        /// Counts since the last believed sample; often 0.
        counts: u64,
        /// How.
        how: How,
    },
    /// The meter began again.
    Restarted {
        /// Counts since then that are volume: all that it shows where it restarts from 0,
        /// else only what was seen to be counted.
        counts: u64,
        /// Whether there are any and they were found after a gap.
        gap: bool,
    },
    /// Not believed yet: no count, and nothing to record. The next sample decides.
    Suspect,
}

/// The judge of one meter's counts.
///
/// The sum of all counts returned is the sum of what the meter counted between believed
/// samples, plus [`Counter::ahead`].
#[derive(Debug, Clone, Default)]
pub struct Counter {
    last: Option<Seen>,
    /// The believed sample before `last`, in this process: the witness when `last` turns
    /// out to have been a damaged line that was within the bound.
    before: Option<Seen>,
    suspect: Option<Suspect>,
    after_gap: bool,
    ahead: u64,
    moved: u64,
    dropped: u64,
    out_of_range: u64,
}

#[derive(Debug, Clone, Copy)]
struct Suspect {
    seen: Seen,
    after_gap: bool,
}

impl Counter {
    /// Goes on from the last believed count, as the meter's last reading tells it. The
    /// port was opened since, so what follows is after a gap.
    pub fn new(last: Option<Seen>) -> Self {
        Self { last, after_gap: last.is_some(), ..Self::default() }
    }

    /// The same, where the count was already so far ahead of the meter.
    pub fn owing(self, ahead: u64) -> Self {
        Self { ahead, ..self }
    }

    /// The port was reopened: what follows is after a gap.
    pub fn reopened(&mut self) {
        self.after_gap = self.last.is_some();
    }

    /// The last believed sample.
    pub fn last(&self) -> Option<Seen> {
        self.last
    }

    /// Suspects that no other sample agreed with.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Samples whose count the configured modulus doesn't allow, all dropped.
    pub fn out_of_range(&self) -> u64 {
        self.out_of_range
    }

    /// Counts that were returned and that the meter has yet to reach: a damaged line
    /// within the bound was believed and corrected later. The next counts pay it back.
    pub fn ahead(&self) -> u64 {
        self.ahead
    }

    /// Counts that the meter itself moved by at the last believed sample, paid back or not:
    /// what tells whether liquid flows.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// What is ahead stays so: the next counts are volume from the first one on.
    pub fn forgive(&mut self) -> u64 {
        std::mem::take(&mut self.ahead)
    }

    /// Judges a sample of the running boot.
    pub fn judge(&mut self, rules: &Rules, now: Seen) -> Judged {
        if now.raw >= rules.modulus {
            self.out_of_range = self.out_of_range.saturating_add(1);
            return Judged::Suspect;
        }
        if let Some(last) = self.last
            && change::at_once(rules, last, now)
        {
            self.drop_suspect();
            return self.advance(last, now);
        }
        if let Some(suspect) = self.suspect
            && change::follows(rules, suspect.seen, now)
            && let Some(judged) = self.confirm(rules, suspect, now)
        {
            return judged;
        }
        self.drop_suspect();
        let after_gap = self.last.is_some_and(|last| self.after_gap || change::is_gap(last, now));
        self.suspect = Some(Suspect { seen: now, after_gap });
        Judged::Suspect
    }

    fn drop_suspect(&mut self) {
        if self.suspect.take().is_some() {
            self.dropped = self.dropped.saturating_add(1);
        }
    }

    fn advance(&mut self, last: Seen, now: Seen) -> Judged {
        let gap = self.after_gap || change::is_gap(last, now);
        self.believe(last, now, last.registers);
        self.moved = now.raw.saturating_sub(last.raw);
        let counts = self.pay_back(self.moved);
        Judged::Advanced { counts, how: How { gap: gap && counts > 0, ..How::STEADY } }
    }

    /// `now` agrees with the suspect: what the two say of the last believed count. `None`
    /// if they contradict each other in that.
    fn confirm(&mut self, rules: &Rules, suspect: Suspect, now: Seen) -> Option<Judged> {
        let Some(last) = self.last else {
            self.believe(suspect.seen, now, Registers::default());
            return Some(Judged::First);
        };
        let between = |seen| change::between(rules, self.before, last, seen, suspect.after_gap);
        let change = between(suspect.seen);
        // A restart brings all that the meter shows: both lines have to say so.
        if change == Change::Restart && between(now) != Change::Restart {
            return None;
        }
        let gap = suspect.after_gap || self.after_gap || change::is_gap(suspect.seen, now);
        let known = match change {
            Change::Restart => Registers::default(),
            Change::Rollover { .. } if suspect.seen.registers.rollover.is_none() => {
                last.registers.rolled_over()
            }
            _ => last.registers,
        };
        self.believe(suspect.seen, now, known);
        let step = now.raw.saturating_sub(suspect.seen.raw);
        self.moved = step;
        let (counts, how) = match change {
            Change::Restart => {
                self.ahead = 0;
                let shown = match rules.restart_from {
                    RestartFrom::Zero => suspect.seen.raw,
                    RestartFrom::Unknown => 0,
                };
                let counts = shown.saturating_add(step);
                return Some(Judged::Restarted { counts, gap: gap && counts > 0 });
            }
            Change::Forward { counts, jump } => (counts, How { jump, ..How::STEADY }),
            Change::Rollover { counts, jump } => {
                (counts, How { rollover: true, jump, ..How::STEADY })
            }
            Change::Correction { excess } => {
                self.ahead = self.ahead.saturating_add(excess);
                (0, How { corrected: true, ..How::STEADY })
            }
        };
        self.moved = counts.saturating_add(step);
        let counts = self.pay_back(self.moved);
        Some(Judged::Advanced { counts, how: How { gap: gap && counts > 0, ..how } })
    }

    /// `known` is what is known of the registers apart from these two.
    fn believe(&mut self, before: Seen, now: Seen, known: Registers) {
        let earlier = before.registers.or(known);
        let later = now.registers.or(earlier);
        // What was never read before is taken to have been what it is: a later change of it is
        // one since both.
        self.before = Some(Seen { registers: earlier.or(later), ..before });
        self.last = Some(Seen { registers: later, ..now });
        self.suspect = None;
        self.after_gap = false;
    }

    fn pay_back(&mut self, counts: u64) -> u64 {
        let paid = counts.min(self.ahead);
        self.ahead -= paid;
        counts - paid
    }
}

#[cfg(test)]
mod tests;
