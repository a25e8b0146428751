//! The full check of the queue: weekly, and soon after the first sign of damage. What is
//! damaged is told to whoever owns the queue, who begins anew; an index that lacks entries is
//! built anew; rows that can't be taken are told. Knows no meter and no server.
//!
//! A week is counted in the agent's own time, so that in a boot without an anchor no check is
//! due by the calendar. A sign of damage needs no time.

use std::path::PathBuf;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{error, info, warn};

use crate::cause::chain;
use crate::clock::source::Clock;
use crate::progress::Pulse;
use crate::queue::{Checked, Ended, Examination, Finding, Queue, QueueError, Standing};
use crate::stop::Stop;

/// How often life is shown.
const TICK: Duration = Duration::from_secs(5);
/// So many of them until it is looked whether one is due, 20 s: not in the rush of a start.
const LOOK_EVERY: u32 = 4;
/// From one to the next.
const WEEK_MS: i64 = 7 * 24 * 3600 * 1000;
/// After one that came to no end.
const AGAIN: Duration = Duration::from_secs(3600);
/// Of what was found, so much is told in a line.
const TOLD: usize = 3;

/// The task that checks.
#[derive(Debug)]
pub struct FullCheck {
    queue: Queue,
    /// The database.
    file: PathBuf,
    clock: Clock,
    pulse: Pulse,
}

/// What is remembered from one turn to the next.
#[derive(Debug, Default)]
struct Course {
    under_way: Option<Examination>,
    /// There was a sign of damage, and no check that came to an end since.
    sign: bool,
    /// Not before this.
    rest_until: Option<Instant>,
    /// Indexes that were built anew in this run. A second time is damage.
    mended: Vec<String>,
}

impl FullCheck {
    /// Checks of this queue.
    pub fn new(queue: Queue, file: PathBuf, clock: Clock, pulse: Pulse) -> Self {
        Self { queue, file, clock, pulse }
    }

    /// Runs until asked to stop; one that is under way ends at once then.
    pub async fn run(self, mut stop: Stop) {
        let mut course = Course::default();
        tokio::select! {
            () = stop.asked() => {}
            () = self.keep_checking(&mut course) => {}
        }
        if let Some(under_way) = course.under_way.take() {
            under_way.end().await;
        }
    }

    async fn keep_checking(&self, course: &mut Course) {
        let signs = self.queue.signs();
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until_look = LOOK_EVERY;
        loop {
            tokio::select! {
                _ = tick.tick() => until_look = until_look.saturating_sub(1),
                () = signs.notified() => {
                    course.sign = true;
                    until_look = 0;
                }
            }
            self.beat();
            let resting = course.rest_until.is_some_and(|until| Instant::now() < until);
            if until_look > 0 || resting {
                continue;
            }
            until_look = LOOK_EVERY;
            if let Err(err) = self.check_if_due(course).await {
                course.rest_until = Some(Instant::now() + AGAIN);
                warn!(err = chain(&err), "the queue was not checked; trying again in an hour");
            }
        }
    }

    fn beat(&self) {
        self.pulse.beat(self.clock.now());
    }

    async fn check_if_due(&self, course: &mut Course) -> Result<(), QueueError> {
        let now = self.clock.now();
        let standing = self.queue.call_alive(move |s| s.checks(now), || self.beat()).await?;
        if !due(&standing, course.sign) {
            return Ok(());
        }
        info!(after_a_sign_of_damage = course.sign, "checking the whole queue");
        let under_way = course.under_way.insert(Examination::begin(&self.file)?);
        let ended = under_way.ended(|| self.beat()).await;
        course.under_way = None;
        match ended? {
            Ended::Done(finding, took) => self.found(finding, took, course).await,
            Ended::GivenUp => {
                course.rest_until = Some(Instant::now() + AGAIN);
                warn!(
                    "the check was given up, since the queue's log grew too large; trying again in an hour"
                );
                Ok(())
            }
        }
    }

    async fn found(
        &self,
        finding: Finding,
        took: Duration,
        course: &mut Course,
    ) -> Result<(), QueueError> {
        let Finding { mut damage, indexes, rows } = finding;
        if damage.is_empty() && !indexes.is_empty() {
            damage = self.mend(&indexes, course).await?;
            if damage.is_empty() {
                // Whether that was all is for another check to say.
                course.sign = true;
                self.queue.signs().notify_one();
                return Ok(());
            }
        }
        if !damage.is_empty() {
            let found = format!("a full check found: {}", in_a_line(&damage));
            error!(found, "the queue is damaged");
            return self.queue.found_damaged(found).await;
        }
        let (took_ms, now) = (took.as_millis() as u64, self.clock.now());
        match rows.is_empty() {
            true => info!(took_ms, "the queue is whole"),
            false => error!(
                took_ms,
                found = in_a_line(&rows),
                "rows of the queue can't be taken, the rest is whole; keep the data directory and call for support"
            ),
        }
        let mended = std::mem::take(&mut course.mended);
        let keep = move |store: &mut crate::queue::Store| {
            let Standing { now, unreadable, .. } = store.checks(now)?;
            let utc_ms = now.map(|utc| utc.0);
            store.set_checked(&Checked { utc_ms, took_ms, rows, mended, unreadable })
        };
        self.queue.call_alive(keep, || self.beat()).await?;
        course.sign = false;
        Ok(())
    }

    /// Builds indexes anew; what keeps them from it, which is damage.
    async fn mend(
        &self,
        indexes: &[String],
        course: &mut Course,
    ) -> Result<Vec<String>, QueueError> {
        let mut damage = Vec::new();
        for index in indexes {
            if course.mended.contains(index) {
                damage.push(format!("{index} lacks entries again"));
                continue;
            }
            warn!(index, "an index of the queue lacks entries; it is built anew");
            let name = index.clone();
            // What failed here is no reason to end: it is told, or is damage.
            let built = self.queue.call_alive(move |s| Ok(s.mend_index(&name)), || self.beat());
            match built.await? {
                Ok(()) => course.mended.push(index.clone()),
                Err(err) if err.is_conflict() || err.is_damage() => damage.push(chain(&err)),
                Err(err) => return Err(err),
            }
        }
        Ok(damage)
    }
}

/// Whether a check is due.
fn due(standing: &Standing, sign: bool) -> bool {
    let Standing { last, now, unreadable } = standing;
    let unreadable_then = last.as_ref().map_or(0, |last| last.unreadable);
    if sign || *unreadable > unreadable_then {
        return true;
    }
    let Some(now) = now else { return false };
    match last.as_ref().and_then(|last| last.utc_ms) {
        // A time that is still to come was none.
        Some(then) => !(then..then.saturating_add(WEEK_MS)).contains(&now.0),
        None => true,
    }
}

/// The first of what was found, and how many there are.
fn in_a_line(found: &[String]) -> String {
    let told = found.iter().take(TOLD).map(String::as_str).collect::<Vec<_>>().join("; ");
    match found.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UtcMs;

    const NOON: i64 = 1_800_000_000_000;

    fn standing(last: Option<i64>, now: Option<i64>) -> Standing {
        let checked = |utc_ms| Checked {
            utc_ms: Some(utc_ms),
            took_ms: 1,
            rows: Vec::new(),
            mended: Vec::new(),
            unreadable: 2,
        };
        Standing { last: last.map(checked), now: now.map(UtcMs), unreadable: 2 }
    }

    #[test]
    fn a_check_is_due_a_week_after_the_last_one_and_never_by_a_clock_that_nobody_set() {
        assert!(due(&Standing { unreadable: 0, ..standing(None, Some(NOON)) }, false), "never yet");
        assert!(!due(&standing(Some(NOON), Some(NOON)), false));
        assert!(!due(&standing(Some(NOON), Some(NOON + WEEK_MS - 1)), false));
        assert!(due(&standing(Some(NOON), Some(NOON + WEEK_MS)), false));
        assert!(due(&standing(Some(NOON), Some(NOON - 1)), false), "that was no time");
        assert!(!due(&Standing { unreadable: 0, ..standing(None, None) }, false));
        assert!(!due(&standing(Some(NOON), None), false));
    }

    #[test]
    fn a_sign_of_damage_makes_it_due_without_a_time_and_a_row_set_aside_is_one_once() {
        assert!(due(&standing(Some(NOON), None), true));
        let more = Standing { unreadable: 3, ..standing(Some(NOON), None) };
        assert!(due(&more, false));
        let mended = Standing { unreadable: 1, ..standing(Some(NOON), None) };
        assert!(!due(&mended, false));
    }

    #[test]
    fn what_was_found_is_told_in_one_line() {
        let found: Vec<String> = (1..=5).map(|n| format!("page {n}")).collect();
        assert_eq!(in_a_line(&found[..2]), "page 1; page 2");
        assert_eq!(in_a_line(&found), "page 1; page 2; page 3; and 2 more");
    }
}
