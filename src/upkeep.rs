//! Upkeep of the queue beside the work: prunes what was delivered longer ago than
//! `queue.retention`, some rows at a time, watches the disk, and gives the ballast up where
//! others have filled it. Knows no meter, no receiver and no server, and
//! nothing waits for it.

pub mod carry;
pub mod check;
pub mod room;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use self::room::{Room, RoomView, Step};
use crate::cause::chain;
use crate::clock::source::Clock;
use crate::config::Config;
use crate::progress::Pulse;
use crate::queue::ballast::Ballast;
use crate::queue::{Queue, QueueError};
use crate::reading::Seq;
use crate::stop::Stop;

/// How often life is shown and the disk is looked at.
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
    /// The database.
    file: PathBuf,
    room: watch::Sender<RoomView>,
    clock: Clock,
    pulse: Pulse,
}

impl Upkeep {
    /// Upkeep of this queue, by the configuration in force.
    pub fn new(
        queue: Queue,
        config: watch::Receiver<Arc<Config>>,
        file: PathBuf,
        room: watch::Sender<RoomView>,
        clock: Clock,
        pulse: Pulse,
    ) -> Self {
        Self { queue, config, file, room, clock, pulse }
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
            self.look_at_the_disk().await;
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

    /// Gives the ballast up, or builds it anew, and tells `status`. A disk that hangs holds
    /// up this task, which the watchdog then misses.
    async fn look_at_the_disk(&self) {
        let (file, limits) = (self.file.clone(), Room::of(&self.config.borrow().queue));
        let looked = tokio::task::spawn_blocking(move || look(&file, limits)).await;
        let Ok(Ok(now)) = looked else {
            self.room.send_modify(|room| room.free_bytes = None);
            return;
        };
        let before = self.room.send_replace(now.clone());
        if now.ballast != before.ballast {
            match now.ballast {
                true => info!("ballast built"),
                false if before.free_bytes.is_some() => {
                    error!("the disk is full: the ballast is given up, make room");
                }
                false => {}
            }
        }
        if now.low && !before.low {
            warn!(free_bytes = now.free_bytes, "less free on the disk than queue.min_free");
        }
        if now.over_max && !before.over_max {
            warn!(
                bytes = now.queue_bytes,
                "the queue is larger than queue.max_bytes; nothing is deleted for it"
            );
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

fn look(file: &Path, room: Room) -> std::io::Result<RoomView> {
    let ballast = Ballast::beside(file);
    match room.step(ballast.free()?, ballast.is_there()) {
        Step::Nothing => {}
        Step::GiveUp => ballast.give_up()?,
        // Where it can't be, there is none; the next look tries again.
        Step::Build => drop(ballast.build()),
    }
    let queue_bytes = std::fs::metadata(file)?.len();
    Ok(room.view(ballast.free()?, ballast.is_there(), queue_bytes))
}
