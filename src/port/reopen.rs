//! When to try a port again, and when silence is enough to open it anew. Pure: the
//! caller says what happened and when.

use std::time::Duration;

use tokio::time::Instant;

use super::RETRY_EVERY;

/// Silence that opens a port anew the first time.
const FIRST_PATIENCE: Duration = Duration::from_secs(30);
/// What that doubles to.
const LONGEST_PATIENCE: Duration = Duration::from_secs(600);

/// The waiting that a port does.
#[derive(Debug)]
pub struct Reopen {
    next_try: Instant,
    heard: Instant,
    patience: Duration,
    talk: Talk,
}

/// Who speaks unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Talk {
    /// The device: all silence counts.
    Unasked,
    /// Nobody, and the last question was answered: it owes no word.
    Answered,
    /// Nobody, and a question waits for its answer.
    Asked,
}

impl Reopen {
    /// The first try is at once.
    pub fn new(now: Instant) -> Self {
        Self { next_try: now, heard: now, patience: FIRST_PATIENCE, talk: Talk::Unasked }
    }

    /// When a closed port is tried next.
    pub fn next_try(&self) -> Instant {
        self.next_try
    }

    /// When an open port has been silent for too long.
    pub fn silent_until(&self) -> Instant {
        match self.talk {
            Talk::Answered => self.heard + LONGEST_PATIENCE,
            Talk::Unasked | Talk::Asked => self.heard + self.patience,
        }
    }

    /// The device was asked something: what it owes counts from its first question without
    /// an answer, however long nobody asked before.
    pub fn asked(&mut self, now: Instant) {
        if self.talk != Talk::Asked {
            self.heard = now;
        }
        self.talk = Talk::Asked;
    }

    /// How much silence that is.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// The port was opened.
    pub fn opened(&mut self, now: Instant) {
        self.heard = now;
    }

    /// Bytes came.
    pub fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.patience = FIRST_PATIENCE;
        if self.talk == Talk::Asked {
            self.talk = Talk::Answered;
        }
    }

    /// Opening failed.
    pub fn failed(&mut self, now: Instant) {
        self.next_try = now + RETRY_EVERY;
    }

    /// The port was closed, for silence or for a fault. A silent device may be reset by
    /// being opened, so it is left alone for twice as long each time.
    pub fn closed(&mut self, now: Instant, silent: bool) {
        self.next_try = now + if silent { Duration::ZERO } else { RETRY_EVERY / 4 };
        if silent {
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_borne_twice_as_long_each_time_up_to_ten_minutes() {
        let start = Instant::now();
        let mut reopen = Reopen::new(start);
        let mut waits = Vec::new();
        for _ in 0..7 {
            reopen.opened(start);
            waits.push((reopen.silent_until() - start).as_secs());
            reopen.closed(start, true);
        }
        assert_eq!(waits, [30, 60, 120, 240, 480, 600, 600]);
    }

    #[test]
    fn a_device_that_is_asked_owes_a_word_only_then() {
        let start = Instant::now();
        let after = |s| start + Duration::from_secs(s);
        let mut reopen = Reopen::new(start);
        reopen.asked(after(10));
        assert_eq!(reopen.silent_until(), after(40));
        reopen.asked(after(20));
        assert_eq!(reopen.silent_until(), after(40), "the second question gives no time");
        reopen.heard(after(21));
        assert!(reopen.silent_until() > after(81), "nobody asks for a minute");
        reopen.asked(after(81));
        assert_eq!(reopen.silent_until(), after(111));
    }

    #[test]
    fn one_byte_restores_the_first_patience() {
        let start = Instant::now();
        let mut reopen = Reopen::new(start);
        reopen.closed(start, true);
        reopen.heard(start);
        assert_eq!(reopen.patience(), FIRST_PATIENCE);
    }

    #[test]
    fn a_lost_device_is_tried_at_least_every_two_seconds() {
        let start = Instant::now();
        let mut reopen = Reopen::new(start);
        reopen.closed(start, false);
        assert!(reopen.next_try() - start <= Duration::from_secs(2));
        reopen.failed(start);
        assert!(reopen.next_try() - start <= Duration::from_secs(2));
    }
}
