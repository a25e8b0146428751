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
}

impl Reopen {
    /// The first try is at once.
    pub fn new(now: Instant) -> Self {
        Self { next_try: now, heard: now, patience: FIRST_PATIENCE }
    }

    /// When a closed port is tried next.
    pub fn next_try(&self) -> Instant {
        self.next_try
    }

    /// When an open port has been silent for too long.
    pub fn silent_until(&self) -> Instant {
        self.heard + self.patience
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
