//! A meter that answers with lines: what it is asked next, what an answer means, and the
//! sample that a round of answers is. Pure; whoever owns the port sends, waits and says
//! when the time for an answer is over.
//!
//! ```text
//!   begin ─► next ─► (pause, discard what waits, send) ─► hear … hear ─► next ─► … ─► end
//!                                                      └► unanswered ──┘
//! ```
//!
//! A question that isn't answered costs its own values and no others. A line that is no
//! answer (an echo of the question, garbage, a wrong checksum) is counted and waited past.

use std::time::Duration;

use super::super::lines::Lines;
use super::super::profile::lines::AsciiPoll;
use super::super::profile::{Profile, Speaks};
use super::super::values::Values;
use super::{Counters, line};
use crate::reading::Sample;

/// The questions to one meter and its answers.
#[derive(Debug, Clone)]
pub struct Poll {
    profile: Profile,
    poll: AsciiPoll,
    lines: Lines,
    /// The request whose turn it is or whose answer is waited for.
    request: usize,
    waits: bool,
    values: Values,
    counters: Counters,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Wait so long first, then discard what came in meanwhile.
    pub pause: Duration,
    /// Send this.
    pub send: Vec<u8>,
    /// Wait so long for the answer.
    pub timeout: Duration,
}

impl Poll {
    /// For a meter that speaks as this profile says; `None` for one that isn't asked in
    /// lines.
    pub fn new(profile: &Profile) -> Option<Self> {
        let Speaks::AsciiPoll(poll) = &profile.speaks else {
            return None;
        };
        Some(Self {
            profile: profile.clone(),
            poll: poll.clone(),
            lines: Lines::new(&poll.lines),
            request: 0,
            waits: false,
            values: Values::new(),
            counters: Counters::default(),
        })
    }

    /// Begins a round; what an unfinished one brought is forgotten.
    pub fn begin(&mut self) {
        (self.request, self.waits) = (0, false);
        self.values.clear();
    }

    /// The next question of this round; `None` once all were asked. One that waits for its
    /// answer still counts as unanswered.
    pub fn next_ask(&mut self) -> Option<Ask> {
        if self.waits {
            self.unanswered();
        }
        let request = self.poll.requests.get(self.request)?;
        self.waits = true;
        self.lines = Lines::new(&self.poll.lines);
        let (pause, timeout) = (request.pause, request.timeout);
        Some(Ask { pause, send: request.send.clone(), timeout })
    }

    /// Bytes that came in; whether they bring the answer that is waited for. What follows
    /// it is counted and dropped: nobody asked for it.
    pub fn hear(&mut self, bytes: &[u8]) -> bool {
        self.counters.bytes += bytes.len() as u64;
        let mut answered = false;
        for byte in bytes {
            let Some(found) = self.lines.push(*byte) else { continue };
            if !self.counters.framed(found) {
                continue;
            }
            if !self.waits {
                self.counters.rejected.not_ours += 1;
                continue;
            }
            let (made, line) = (&self.poll.lines, self.lines.line());
            match line::values(&self.profile, made, self.request, line) {
                Ok(values) => {
                    self.counters.asked.answers += 1;
                    self.values.extend(values);
                    self.request += 1;
                    self.waits = false;
                    answered = true;
                }
                Err(cause) => self.counters.rejected.count(cause),
            }
        }
        answered
    }

    /// The time for the answer is over.
    pub fn unanswered(&mut self) {
        if self.waits {
            self.counters.asked.unanswered += 1;
            self.request += 1;
            self.waits = false;
        }
    }

    /// Ends the round; the sample in it, where its count was told.
    pub fn end(&mut self) -> Option<Sample> {
        self.unanswered();
        let values = std::mem::take(&mut self.values);
        self.counters.round(&self.profile, &values)
    }

    /// What came in so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// From the next round on, another profile; false for one of a meter that isn't asked in
    /// lines. Counters go on.
    pub fn set_profile(&mut self, profile: &Profile) -> bool {
        if *profile == self.profile {
            return true;
        }
        let Some(other) = Self::new(profile) else {
            return false;
        };
        *self = Self { counters: self.counters, ..other };
        true
    }
}
