//! How long to wait before the next try. The only file that knows the `backoff` crate,
//! so that another can take its place here.
//!
//! Two ladders (RULES.md, 25): attempts that never reached a server climb to
//! `retry.connect_max`, answers that didn't settle anything to `retry.max`; neither ever
//! gives up. Full jitter: any wait between the floor and the step is equally likely.

use std::time::Duration;

use backoff::backoff::Backoff;
use backoff::{ExponentialBackoff, ExponentialBackoffBuilder};

use crate::config;

/// No wait is shorter.
const FLOOR: Duration = Duration::from_millis(200);

/// The two ladders.
pub struct Pace {
    connect: ExponentialBackoff,
    answer: ExponentialBackoff,
    longest: Duration,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").field("longest", &self.longest).finish_non_exhaustive()
    }
}

impl Pace {
    /// Ladders as configured.
    pub fn new(retry: &config::Retry) -> Self {
        Self {
            connect: ladder(retry.initial, retry.connect_max),
            answer: ladder(retry.initial, retry.max),
            longest: retry.max,
        }
    }

    /// The wait after a server wasn't reached.
    pub fn connect(&mut self) -> Duration {
        next(&mut self.connect)
    }

    /// The wait after an answer, or a silence, that settled nothing.
    pub fn answer(&mut self) -> Duration {
        self.connect.reset();
        next(&mut self.answer)
    }

    /// The longest wait there is: for what only a person can mend.
    pub fn longest(&self) -> Duration {
        self.longest
    }

    /// The server works: begin at the foot again.
    pub fn reset(&mut self) {
        self.connect.reset();
        self.answer.reset();
    }
}

/// `backoff` draws from `interval × (1 ± factor)`: half the interval and a factor of one
/// are what is called full jitter.
fn ladder(initial: Duration, max: Duration) -> ExponentialBackoff {
    ExponentialBackoffBuilder::new()
        .with_initial_interval(initial / 2)
        .with_max_interval(max / 2)
        .with_multiplier(2.0)
        .with_randomization_factor(1.0)
        .with_max_elapsed_time(None)
        .build()
}

/// A wait up to `longest`, any as likely as another: for many that begin at once.
pub fn jitter(longest: Duration) -> Duration {
    ladder(longest, longest).next_backoff().unwrap_or_default()
}

fn next(ladder: &mut ExponentialBackoff) -> Duration {
    ladder.next_backoff().unwrap_or(FLOOR).max(FLOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace() -> Pace {
        Pace::new(&config::Retry {
            initial: Duration::from_secs(1),
            connect_max: Duration::from_secs(15),
            max: Duration::from_secs(300),
        })
    }

    #[test]
    fn waits_stay_between_the_floor_and_their_ladders_top_for_ever() {
        let mut pace = pace();
        let (mut longest_connect, mut longest_answer) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..2000 {
            longest_answer = longest_answer.max(pace.answer());
        }
        for _ in 0..2000 {
            let wait = pace.connect();
            assert!(wait >= FLOOR);
            longest_connect = longest_connect.max(wait);
        }
        assert!(
            longest_connect <= Duration::from_secs(15) && longest_connect > Duration::from_secs(12)
        );
        assert!(
            longest_answer <= Duration::from_secs(300) && longest_answer > Duration::from_secs(240)
        );
    }

    #[test]
    fn the_first_wait_after_a_success_is_short_again() {
        let mut pace = pace();
        for _ in 0..20 {
            pace.answer();
        }
        pace.reset();
        assert!(pace.answer() <= Duration::from_secs(1));
    }

    #[test]
    fn jitter_is_full() {
        let mut pace = pace();
        for _ in 0..50 {
            pace.connect();
        }
        let waits: Vec<_> = (0..400).map(|_| pace.connect().as_secs_f64()).collect();
        assert!(waits.iter().any(|w| *w < 3.0) && waits.iter().any(|w| *w > 12.0));
    }

    #[test]
    fn a_start_may_come_at_any_time_up_to_the_longest() {
        let longest = Duration::from_secs(3);
        let waits: Vec<_> = (0..400).map(|_| jitter(longest)).collect();
        assert!(waits.iter().all(|w| *w <= longest));
        assert!(waits.iter().any(|w| w.as_secs_f64() < 0.5));
        assert!(waits.iter().any(|w| w.as_secs_f64() > 2.5));
    }
}
