//! The recording task: feeds the recorder with samples, fixes and the wanted assignment,
//! and keeps what it returns. A reading is on the disk before the next one is looked at.

use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{error, info, warn};

use super::meter_source::MeterEvent;
use super::rig::{Rig, RigError};
use super::view::RecordView;
use super::{LastReading, Recorder, Resume};
use crate::assignment::Wanted;
use crate::cause::chain;
use crate::clock::anchors::AnchorKeeper;
use crate::clock::source::Clock;
use crate::clock::{Anchor, BootInstant};
use crate::config::TrustSystem;
use crate::failpoint;
use crate::progress::Pulse;
use crate::queue::{Queue, QueueError, Store};
use crate::reading::{Fix, Reading, Seq};
use crate::units::KFactor;

/// How often the system clock is looked at, `status` is told, and life is shown.
const TICK: Duration = Duration::from_secs(1);
/// How long to wait after the queue failed to keep a reading. Meanwhile samples wait in
/// their channel, then in the kernel's buffer; the meter's own count keeps the volume.
const QUEUE_REST: Duration = Duration::from_secs(1);

/// Why the task ended unasked.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The queue is gone, or can't tell where counting goes on.
    #[error("recording lost its queue")]
    Queue(#[source] QueueError),
    /// K makes no sense.
    #[error("meter.calibration makes no calibration")]
    Calibration(#[source] RigError),
}

/// What the task is made of.
#[derive(Debug)]
pub struct RecordParts {
    /// The queue.
    pub queue: Queue,
    /// The rig as configured, as it changes.
    pub rig: watch::Receiver<Rig>,
    /// The assignment that is wanted, as it changes.
    pub wanted: watch::Receiver<Wanted>,
    /// What happens at the meter; its end is the word to stop.
    pub meter: mpsc::Receiver<MeterEvent>,
    /// Accepted fixes.
    pub fixes: mpsc::Receiver<Fix>,
    /// The last sequence number, told after its commit.
    pub recorded: watch::Sender<Seq>,
    /// The anchors of this boot, told after their commit.
    pub anchors: watch::Sender<Vec<Anchor>>,
    /// For `status`.
    pub view: watch::Sender<RecordView>,
    /// The board's clocks.
    pub clock: Clock,
    /// Proof of life.
    pub pulse: Pulse,
}

/// The recording task.
#[derive(Debug)]
pub struct Record {
    parts: RecordParts,
    recorder: Recorder,
    keeper: AnchorKeeper,
    /// A fix that is later than the sample in hand.
    ahead: Option<Fix>,
    view: RecordView,
}

impl Record {
    /// A task that goes on from the meter's last reading.
    ///
    /// # Errors
    /// Where the queue can't be read, or K makes no calibration.
    pub async fn new(parts: RecordParts) -> Result<Self, RecordError> {
        let (resume, anchors, seq) =
            parts.queue.call(|store| Ok(resume(store))).await.map_err(RecordError::Queue)?;
        let rules = parts.rig.borrow().rules().map_err(RecordError::Calibration)?;
        let mut recorder = Recorder::new(rules, resume);
        recorder.assign(parts.wanted.borrow().clone());
        parts.recorded.send_replace(seq);
        parts.anchors.send_replace(anchors.clone());
        let keeper = AnchorKeeper::new(anchors);
        Ok(Self { parts, recorder, keeper, ahead: None, view: RecordView::default() })
    }

    /// Records until the meter's source ends, then once more if counts have advanced.
    ///
    /// # Errors
    /// Where the queue's thread is gone.
    pub async fn run(mut self) -> Result<(), RecordError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let now = self.parts.clock.now();
            self.parts.pulse.beat(now);
            tokio::select! {
                // Samples first, each after the fixes that are older than it: where both
                // have waited for the disk, they are taken in the order of their times.
                biased;
                event = self.parts.meter.recv() => match event {
                    Some(MeterEvent::Opened) => self.recorder.reopened(),
                    Some(MeterEvent::Sample(sample, at)) => {
                        failpoint::pass("sample_before_judged");
                        self.fixes_until(at).await?;
                        if let Some(reading) = self.recorder.sample(sample, at) {
                            self.keep(reading).await?;
                        }
                    }
                    None => break,
                },
                Some(fix) = next_fix(&mut self.ahead, &mut self.parts.fixes) => self.fix(fix).await?,
                Ok(()) = self.parts.wanted.changed() => {
                    let wanted = self.parts.wanted.borrow_and_update().clone();
                    self.recorder.assign(wanted);
                }
                Ok(()) = self.parts.rig.changed() => self.reconfigure(),
                _ = tick.tick() => self.tick(now).await?,
            }
        }
        if let Some(reading) = self.recorder.last() {
            self.keep(reading).await?;
        }
        Ok(())
    }

    /// Takes the fixes up to a moment; the first later one waits for its turn.
    async fn fixes_until(&mut self, at: BootInstant) -> Result<(), RecordError> {
        while let Some(fix) = self.ahead.take().or_else(|| self.parts.fixes.try_recv().ok()) {
            if fix.at > at {
                self.ahead = Some(fix);
                return Ok(());
            }
            self.fix(fix).await?;
        }
        Ok(())
    }

    async fn fix(&mut self, fix: Fix) -> Result<(), RecordError> {
        if let Some(anchor) = fix.utc.and_then(|utc| self.keeper.gps(fix.at, utc)) {
            self.keep_anchor(anchor).await?;
        }
        self.recorder.fix(fix);
        Ok(())
    }

    async fn tick(&mut self, now: BootInstant) -> Result<(), RecordError> {
        let trust = self.parts.rig.borrow().config.clock.trust_system;
        let believed = match trust {
            TrustSystem::Auto => self.parts.clock.synchronised(),
            TrustSystem::Always => true,
            TrustSystem::Never => false,
        };
        if believed {
            let wall = self.parts.clock.wall();
            if let Some(anchor) = self.keeper.system(self.parts.clock.now(), wall) {
                self.keep_anchor(anchor).await?;
            }
        }
        let before = self.view.recorder.take().map(|view| view.tally).unwrap_or_default();
        let view = self.recorder.view(now);
        view.tally.tell_since(&before);
        self.view.recorder = Some(view);
        self.view.dates_refused = self.keeper.refused();
        self.parts.view.send_replace(self.view.clone());
        Ok(())
    }

    fn reconfigure(&mut self) {
        match self.parts.rig.borrow_and_update().rules() {
            Ok(rules) => self.recorder.set_rules(rules),
            // `check` has let it pass, so this is ours; the old rules stay in force.
            Err(err) => error!(%err, "calibration not taken over"),
        }
    }

    /// Keeps a reading, trying until the queue takes it: there is no other place for it.
    async fn keep(&mut self, reading: Reading) -> Result<(), RecordError> {
        loop {
            let offered = reading.clone();
            match self.ask(move |store| store.append(&offered)).await {
                Ok(appended) => {
                    self.parts.recorded.send_replace(appended.seq);
                    self.durable();
                    return Ok(());
                }
                Err(QueueError::Closed) => return Err(RecordError::Queue(QueueError::Closed)),
                Err(err @ QueueError::Range { .. }) => {
                    self.view.unrecordable += 1;
                    error!(%err, "a reading cannot be kept");
                    return Ok(());
                }
                Err(err) => self.not_durable(&err).await,
            }
        }
    }

    async fn keep_anchor(&mut self, anchor: Anchor) -> Result<(), RecordError> {
        loop {
            match self.ask(move |store| store.add_anchor(anchor)).await {
                Ok(()) => {
                    if self.keeper.stored().len() == 1 {
                        info!(time = anchor.utc.rfc3339(), source = ?anchor.source, "time known");
                    }
                    self.parts.anchors.send_replace(self.keeper.stored().to_vec());
                    self.durable();
                    return Ok(());
                }
                Err(QueueError::Closed) => return Err(RecordError::Queue(QueueError::Closed)),
                Err(err) => self.not_durable(&err).await,
            }
        }
    }

    /// Asks the queue.
    async fn ask<R: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Store) -> Result<R, QueueError> + Send + 'static,
    ) -> Result<R, QueueError> {
        let beat = || self.parts.pulse.beat(self.parts.clock.now());
        self.parts.queue.call_alive(job, beat).await
    }

    async fn not_durable(&mut self, err: &QueueError) {
        let text = chain(err);
        if self.view.not_durable.as_deref() != Some(&text) {
            error!(problem = text, "a reading is not on the disk yet; trying again");
        }
        self.view.not_durable = Some(text);
        self.parts.view.send_replace(self.view.clone());
        self.parts.pulse.beat(self.parts.clock.now());
        sleep(QUEUE_REST).await;
    }

    fn durable(&mut self) {
        if self.view.not_durable.take().is_some() {
            warn!("readings are on the disk again");
        }
    }
}

/// The fix that waits, or the next one to come.
async fn next_fix(ahead: &mut Option<Fix>, fixes: &mut mpsc::Receiver<Fix>) -> Option<Fix> {
    match ahead.take() {
        Some(fix) => Some(fix),
        None => fixes.recv().await,
    }
}

fn resume(store: &Store) -> (Resume, Vec<Anchor>, Seq) {
    let last = store.position().and_then(|p| {
        Some(LastReading {
            serial: p.serial,
            raw: p.raw,
            meter_seq: p.meter_seq,
            unwrapped: p.unwrapped,
            at: p.at,
            k: KFactor::new(p.k)?,
            points: p.segment.points,
            raw_start: p.segment.raw,
            unwrapped_start: p.segment.unwrapped,
        })
    });
    let resume = Resume { last, assignment: store.open_assignment() };
    (resume, store.anchors().to_vec(), store.last_seq())
}

#[cfg(test)]
mod tests;
