//! Upkeep of the queue beside the work: prunes what was delivered longer ago than
//! `queue.retention`, some rows at a time. Knows no meter, no receiver and no server, and
//! nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{info, warn};

use crate::cause::chain;
use crate::clock::source::Clock;
use crate::config::Config;
use crate::progress::Pulse;
use crate::queue::{Queue, QueueError};
use crate::reading::Seq;
use crate::stop::Stop;

/// How often life is shown.
const TICK: Duration = Duration::from_secs(5);
/// How often a pass begins, in ticks: hourly. Nothing hangs on it, but a board may run for
/// no more than an hour or two a day.
const PASS_EVERY: u32 = 720;
/// The first pass begins so many ticks after the start, when its rush is over.
const FIRST_PASS: u32 = 12;
/// Between two transactions, so that recording and delivery come first.
const REST: Duration = Duration::from_millis(500);

/// The upkeep task.
#[derive(Debug)]
pub struct Upkeep {
    queue: Queue,
    config: watch::Receiver<Arc<Config>>,
    clock: Clock,
    pulse: Pulse,
}

impl Upkeep {
    /// Upkeep of this queue, by the configuration in force.
    pub fn new(
        queue: Queue,
        config: watch::Receiver<Arc<Config>>,
        clock: Clock,
        pulse: Pulse,
    ) -> Self {
        Self { queue, config, clock, pulse }
    }

    /// Runs until asked to stop.
    pub async fn run(self, mut stop: Stop) {
        tokio::select! {
            () = stop.asked() => {}
            () = self.keep_up() => {}
        }
    }

    async fn keep_up(&self) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut until_pass = FIRST_PASS;
        loop {
            tick.tick().await;
            self.pulse.beat(self.clock.now());
            until_pass -= 1;
            if until_pass == 0 {
                until_pass = PASS_EVERY;
                match self.prune().await {
                    Ok(0) => {}
                    Ok(rows) => info!(rows, "pruned what was delivered before queue.retention"),
                    // The next pass tries again; recording has said why by then.
                    Err(err) => warn!(err = chain(&err), "nothing pruned"),
                }
            }
        }
    }

    /// One pass, from the oldest on; how many rows went. Stopping in the middle of it is as
    /// good as a power cut: the next pass begins anew.
    async fn prune(&self) -> Result<i64, QueueError> {
        let (mut rows, mut after) = (0, Some(Seq(0)));
        while let Some(from) = after {
            let (now, retention) = (self.clock.now(), self.config.borrow().queue.retention);
            let beat = || self.pulse.beat(self.clock.now());
            let part = move |store: &mut crate::queue::Store| store.prune(from, now, retention);
            let pruned = self.queue.call_alive(part, beat).await?;
            rows += pruned.rows;
            after = pruned.next;
            beat();
            sleep(REST).await;
        }
        Ok(rows)
    }
}
