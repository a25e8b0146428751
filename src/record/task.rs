//! The recording task: feeds the recorder with samples, fixes and the wanted assignment,
//! and keeps what it returns. Nothing waits for the disk: what it hasn't taken yet waits in
//! memory, and is written in one transaction once the one before has returned.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::error;

use super::keep::Keep;
use super::meter_source::MeterEvent;
use super::rig::{Rig, RigError};
use super::view::RecordView;
use super::{LastReading, Recorder, Resume};
use crate::assignment::Wanted;
use crate::clock::anchors::AnchorKeeper;
use crate::clock::source::Clock;
use crate::clock::{Anchor, BootInstant};
use crate::config::GpsSource;
use crate::failpoint;
use crate::progress::Pulse;
use crate::queue::{Queue, QueueError, Store};
use crate::reading::{Fix, Seq};
use crate::units::KFactor;

/// How often the system clock is looked at, `status` is told, life is shown, and a disk that
/// refused is tried again.
const TICK: Duration = Duration::from_secs(1);

/// How much later than the first byte of its epoch a report of gpsd's may come without a
/// sign of it: no receiver of which that matters takes more than its second to speak.
const GPSD_LATE_MS: i64 = 1_000;

/// A receiver that has the sky tells the time within this, in a boot that has none yet.
const RECEIVER_FIRST_MS: i64 = 10_000;

/// Why the task ended unasked.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The queue is gone, or can't tell where counting goes on.
    #[error("recording lost its queue")]
    Queue(#[source] QueueError),
    /// K or the battery's curve makes no sense.
    #[error("the meter's configuration can't be gone by")]
    Rules(#[source] RigError),
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
    started: BootInstant,
    /// A fix that is later than the sample in hand.
    ahead: Option<Fix>,
    keep: Keep,
    view: RecordView,
}

impl Record {
    /// A task that goes on from the meter's last reading.
    ///
    /// # Errors
    /// Where the queue can't be read, or K makes no calibration.
    pub async fn new(parts: RecordParts) -> Result<Self, RecordError> {
        let (resume, anchors, seq, directory) =
            parts.queue.call(|store| Ok(resume(store))).await.map_err(RecordError::Queue)?;
        let rules = parts.rig.borrow().rules().map_err(RecordError::Rules)?;
        let mut recorder = Recorder::new(rules, resume);
        recorder.assign(parts.wanted.borrow().clone());
        parts.recorded.send_replace(seq);
        parts.anchors.send_replace(anchors.clone());
        let keeper = AnchorKeeper::new(anchors);
        let (recorded, known) = (parts.recorded.clone(), parts.anchors.clone());
        let mut keep = Keep::new(parts.queue.clone(), directory, recorded, known);
        keep.set_backfill(parts.rig.borrow().config.gps.backfill);
        let (started, view) = (parts.clock.now(), RecordView::default());
        Ok(Self { parts, recorder, keeper, started, ahead: None, keep, view })
    }

    /// Records until the meter's source ends, then once more if counts have advanced.
    ///
    /// # Errors
    /// Where the queue's thread is gone.
    pub async fn run(mut self) -> Result<(), RecordError> {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.keep.offer();
            let now = self.parts.clock.now();
            if !self.keep.hangs() {
                self.parts.pulse.beat(now);
            }
            tokio::select! {
                // Samples first, each after the fixes that are older than it: where both
                // have waited for the disk, they are taken in the order of their times.
                biased;
                turned = self.keep.landed() => if turned.map_err(RecordError::Queue)? {
                    self.tell(now);
                },
                event = self.parts.meter.recv() => match event {
                    Some(MeterEvent::Opened) => self.recorder.reopened(),
                    Some(MeterEvent::Sample(sample, at)) => {
                        failpoint::pass("sample_before_judged");
                        self.fixes_until(at);
                        self.recorder.withhold(self.keep.is_full());
                        if let Some(reading) = self.recorder.sample(sample, at) {
                            self.keep.reading(reading);
                        }
                    }
                    None => break,
                },
                Some(fix) = next_fix(&mut self.ahead, &mut self.parts.fixes) => self.fix(fix),
                Ok(()) = self.parts.wanted.changed() => {
                    let wanted = self.parts.wanted.borrow_and_update().clone();
                    self.recorder.assign(wanted);
                }
                Ok(()) = self.parts.rig.changed() => self.reconfigure(),
                _ = tick.tick() => self.tick(now),
            }
        }
        if let Some(reading) = self.recorder.last() {
            self.keep.reading(reading);
        }
        self.keep.last_call().await.map_err(RecordError::Queue)
    }

    /// Takes the fixes up to a moment; the first later one waits for its turn.
    fn fixes_until(&mut self, at: BootInstant) {
        while let Some(fix) = self.ahead.take().or_else(|| self.parts.fixes.try_recv().ok()) {
            if fix.at > at {
                self.ahead = Some(fix);
                return;
            }
            self.fix(fix);
        }
    }

    fn fix(&mut self, fix: Fix) {
        let late_ms = match self.parts.rig.borrow().config.gps.source {
            GpsSource::Gpsd => GPSD_LATE_MS,
            _ => 0,
        };
        if self.keep.wants_anchors()
            && let Some(anchor) =
                fix.utc.and_then(|utc| self.keeper.gps_within(fix.at, utc, late_ms))
        {
            self.keep.anchor(anchor);
        }
        self.recorder.fix(fix);
        failpoint::pass("fix_taken");
    }

    fn tick(&mut self, now: BootInstant) {
        self.keep.try_again();
        let trust = self.parts.rig.borrow().config.clock.trust_system;
        if self.keep.wants_anchors()
            && !self.receiver_goes_first(now)
            && let Some((at, wall)) = self.parts.clock.told(trust)
            && let Some(anchor) = self.keeper.system(at, wall)
        {
            self.keep.anchor(anchor);
        }
        let before = self.view.recorder.take().map(|view| view.tally).unwrap_or_default();
        let view = self.recorder.view(now);
        view.tally.tell_since(&before);
        self.view.recorder = Some(view);
        self.view.dates_refused = self.keeper.refused();
        self.tell(now);
    }

    /// Whether the system's clock has to wait. Where that is wrong although it is called
    /// synchronised, a reading that is sent by it at once stands in the way of all that are
    /// recorded up to its second.
    fn receiver_goes_first(&self, now: BootInstant) -> bool {
        let source = self.parts.rig.borrow().config.gps.source;
        matches!(source, GpsSource::Serial | GpsSource::Gpsd)
            && self.keeper.stored().is_empty()
            && now.since_ms(self.started) < RECEIVER_FIRST_MS
    }

    fn reconfigure(&mut self) {
        self.keep.set_backfill(self.parts.rig.borrow().config.gps.backfill);
        match self.parts.rig.borrow_and_update().rules() {
            Ok(rules) => self.recorder.set_rules(rules),
            // `check` has let it pass, so this is ours; the old rules stay in force.
            Err(err) => error!(%err, "the meter's configuration not taken over"),
        }
    }

    /// Tells `status`.
    fn tell(&mut self, now: BootInstant) {
        self.view.not_durable = self.keep.not_durable(now);
        self.view.unrecordable = self.keep.impossible();
        self.parts.view.send_replace(self.view.clone());
    }
}

/// The fix that waits, or the next one to come.
async fn next_fix(ahead: &mut Option<Fix>, fixes: &mut mpsc::Receiver<Fix>) -> Option<Fix> {
    match ahead.take() {
        Some(fix) => Some(fix),
        None => fixes.recv().await,
    }
}

fn resume(store: &Store) -> (Resume, Vec<Anchor>, Seq, PathBuf) {
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
    let directory = store.path().parent().map(PathBuf::from).unwrap_or_default();
    (resume, store.anchors().to_vec(), store.last_seq(), directory)
}

#[cfg(test)]
mod tests;
