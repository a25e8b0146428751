//! When to try gpsd again, and what to make of its silence. Pure: the caller says what
//! happened and when.

use std::time::Duration;

use tokio::time::Instant;

/// How long a lost connection waits for the next try.
const RETRY_EVERY: Duration = Duration::from_secs(1);
/// Silence after which gpsd is asked whether it is there.
const ASK_AFTER: Duration = Duration::from_secs(10);
/// How long its answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The waiting that a connection does.
#[derive(Debug)]
pub(super) struct Calls {
    next_try: Instant,
    heard: Instant,
    asked: Option<Instant>,
}

/// What silence asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Quiet {
    /// A question.
    Ask,
    /// Another connection.
    GiveUp {
        /// How long nothing came.
        seconds: u64,
    },
}

impl Calls {
    /// The first try is at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { next_try: now, heard: now, asked: None }
    }

    /// When the next try is due.
    pub(super) fn next_try(&self) -> Instant {
        self.next_try
    }

    /// When it has been quiet for too long; then ask [`Calls::quiet`] what to do.
    pub(super) fn quiet_until(&self) -> Instant {
        self.asked.map_or(self.heard + ASK_AFTER, |asked| asked + ANSWER_WITHIN)
    }

    /// It has been quiet for too long.
    pub(super) fn quiet(&mut self, now: Instant) -> Quiet {
        if self.asked.replace(now).is_none() {
            return Quiet::Ask;
        }
        Quiet::GiveUp { seconds: now.duration_since(self.heard).as_secs() }
    }

    /// A connection was made.
    pub(super) fn connected(&mut self, now: Instant) {
        self.heard(now);
    }

    /// Bytes came.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.heard, self.asked) = (now, None);
    }

    /// There is no connection, or no longer.
    pub(super) fn failed(&mut self, now: Instant) {
        self.next_try = now + RETRY_EVERY;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_asked_about_first_and_an_answer_starts_it_anew() {
        let start = Instant::now();
        let at = |s| start + Duration::from_secs(s);
        let mut calls = Calls::new(start);
        calls.connected(start);
        assert_eq!(calls.quiet_until(), at(10));
        assert_eq!(calls.quiet(at(10)), Quiet::Ask);
        assert_eq!(calls.quiet_until(), at(15));
        calls.heard(at(11));
        assert_eq!(calls.quiet_until(), at(21));
        assert_eq!(calls.quiet(at(21)), Quiet::Ask);
        assert_eq!(calls.quiet(at(26)), Quiet::GiveUp { seconds: 15 });
        calls.failed(at(26));
        assert!(calls.next_try() <= at(28), "tried every 2 s at least");
    }
}
