//! Keeps readings and anchors: hands what waits in memory to the queue, one write at a time,
//! and tells of it once it is on the disk. Knows no sample, and nothing of why a reading
//! was made.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};
use tracing::{error, info, warn};

use super::unsaved::{READINGS, Unsaved};
use super::view::NotDurable;
use crate::cause::chain;
use crate::clock::{Anchor, BootInstant};
use crate::failpoint;
use crate::queue::{Queue, QueueError, Store};
use crate::reading::{Reading, Seq};

/// A write that takes longer hangs, and the watchdog is to know.
const HANGS: Duration = Duration::from_secs(60);
/// How long the disk has at the stop to take what still waits: less than the agent waits
/// for the recording task.
const LAST_CALL: Duration = Duration::from_millis(800);
/// How long to wait before it is tried once more then.
const LAST_REST: Duration = Duration::from_millis(200);

/// What is to be kept, up to where it is.
#[derive(Debug)]
pub struct Keep {
    queue: Queue,
    /// Where the queue is.
    directory: PathBuf,
    recorded: watch::Sender<Seq>,
    anchors: watch::Sender<Vec<Anchor>>,
    unsaved: Unsaved,
    flight: Option<Flight>,
    /// The disk has just refused; it is tried again when the task says so.
    resting: bool,
    /// Why it did, and what to do about it.
    trouble: Option<(String, &'static str)>,
    impossible: u64,
    told_full: bool,
    /// Whether readings in a short hole of the fixes get a place afterwards.
    backfill: bool,
}

/// A write that is under way.
#[derive(Debug)]
struct Flight {
    kept: JoinHandle<Result<Kept, QueueError>>,
    readings: usize,
    since: Instant,
}

/// What became of it.
#[derive(Debug, Default)]
struct Kept {
    anchors: usize,
    readings: usize,
    last: Option<Seq>,
    failed: Option<QueueError>,
}

impl Keep {
    /// Nothing waits yet. `recorded` and `anchors` are told after the commit.
    pub fn new(
        queue: Queue,
        directory: PathBuf,
        recorded: watch::Sender<Seq>,
        anchors: watch::Sender<Vec<Anchor>>,
    ) -> Self {
        Self {
            queue,
            directory,
            recorded,
            anchors,
            unsaved: Unsaved::default(),
            flight: None,
            resting: false,
            trouble: None,
            impossible: 0,
            told_full: false,
            backfill: false,
        }
    }

    /// Whether readings in a short hole of the fixes get a place afterwards.
    pub fn set_backfill(&mut self, yes: bool) {
        self.backfill = yes;
    }

    /// A reading that is to be kept.
    pub fn reading(&mut self, reading: Reading) {
        failpoint::pass("reading_made");
        self.unsaved.reading(reading);
    }

    /// An anchor that is to be kept.
    pub fn anchor(&mut self, anchor: Anchor) {
        self.unsaved.anchor(anchor);
    }

    /// Whether no more readings should be made.
    pub fn is_full(&self) -> bool {
        self.unsaved.is_full()
    }

    /// Whether another anchor has room.
    pub fn wants_anchors(&self) -> bool {
        self.unsaved.wants_anchors()
    }

    /// Readings that could not be kept since their numbers are beyond the queue's.
    pub fn impossible(&self) -> u64 {
        self.impossible
    }

    /// Whether the queue hasn't answered for so long that it never may.
    pub fn hangs(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.since.elapsed() >= HANGS)
    }

    /// Hands what waits to the queue, unless it has something in hand already.
    pub fn offer(&mut self) {
        if self.flight.is_some() || self.resting || self.unsaved.is_empty() {
            return;
        }
        let (anchors, readings) = self.unsaved.next();
        let (queue, many, fill) = (self.queue.clone(), readings.len(), self.backfill);
        let kept = tokio::spawn(async move {
            queue.call(move |store| Ok(write(store, &anchors, &readings, fill))).await
        });
        self.flight = Some(Flight { kept, readings: many, since: Instant::now() });
    }

    /// A disk that has refused is tried again.
    pub fn try_again(&mut self) {
        self.resting = false;
    }

    /// Waits for the write that is under way, for ever where there is none, and tells what
    /// the disk has taken. Returns whether `status` should know.
    ///
    /// # Errors
    /// Where the queue's thread is gone.
    pub async fn landed(&mut self) -> Result<bool, QueueError> {
        let Some(flight) = &mut self.flight else { return std::future::pending().await };
        // A thread that panicked takes the write with it.
        let kept = (&mut flight.kept).await.unwrap_or(Err(QueueError::Closed))?;
        let offered = flight.readings;
        self.flight = None;
        if let Some(seq) = kept.last {
            self.recorded.send_replace(seq);
            failpoint::pass("reading_told");
        }
        let anchors = self.unsaved.kept(kept.readings, kept.anchors);
        self.tell_anchors(&anchors);
        match kept.failed {
            None => Ok(self.taken()),
            Some(err @ QueueError::Range { .. }) => {
                let found = self.unsaved.one_is_impossible(offered);
                if found {
                    self.impossible += 1;
                    error!(%err, "a reading cannot be kept");
                }
                Ok(found)
            }
            Some(err) => {
                self.refused(&err);
                Ok(true)
            }
        }
    }

    /// Before the agent stops: the disk gets a last chance, and what it doesn't take is said.
    ///
    /// # Errors
    /// Where the queue's thread is gone.
    pub async fn last_call(&mut self) -> Result<(), QueueError> {
        let until = Instant::now() + LAST_CALL;
        loop {
            self.resting = false;
            self.offer();
            if self.flight.is_none() {
                return Ok(());
            }
            let Ok(landed) = timeout_at(until, self.landed()).await else { break };
            landed?;
            if self.resting {
                if Instant::now() + LAST_REST > until {
                    break;
                }
                sleep(LAST_REST).await;
            }
        }
        error!(
            readings = self.unsaved.readings(),
            directory = %self.directory.display(),
            "stopping with readings that are not on the disk; the next start finds their volume, their places and times are lost"
        );
        Ok(())
    }

    /// For `status`: what isn't on the disk, where it refuses or takes its time.
    pub fn not_durable(&mut self, now: BootInstant) -> Option<NotDurable> {
        let full = self.unsaved.is_full();
        if full && !self.told_full {
            error!(
                readings = READINGS,
                "no room for more readings; gallons are still counted, places and times are not kept"
            );
        }
        self.told_full = full;
        let late_s = self.unsaved.late_s(now);
        let (why, remedy) = match (&self.trouble, late_s) {
            (Some((why, remedy)), _) => (why.clone(), *remedy),
            (None, Some(_)) => ("the disk is slow".to_owned(), "if it stays so, look at dmesg"),
            (None, None) => return None,
        };
        Some(NotDurable {
            readings: self.unsaved.readings(),
            for_s: late_s.unwrap_or(0),
            why,
            remedy,
            directory: self.directory.clone(),
            full,
        })
    }

    fn tell_anchors(&self, stored: &[Anchor]) {
        let Some(first) = stored.first() else { return };
        if self.anchors.borrow().is_empty() {
            info!(time = first.utc.rfc3339(), source = ?first.source, "time known");
        }
        self.anchors.send_modify(|known| known.extend(stored));
    }

    fn refused(&mut self, err: &QueueError) {
        let (why, remedy) = (chain(err), err.remedy());
        if self.trouble.as_ref().is_none_or(|(known, _)| *known != why) {
            let directory = self.directory.display();
            error!(problem = why, %directory, remedy, "readings are not on the disk yet; they wait in memory");
        }
        self.trouble = Some((why, remedy));
        self.resting = true;
    }

    /// Whether the disk hadn't taken the one before.
    fn taken(&mut self) -> bool {
        let again = self.trouble.take().is_some();
        if again {
            warn!("readings are on the disk again");
        }
        again
    }
}

/// Anchors first: a power cut in between leaves time without readings. The other way round
/// it would leave a boot's readings without time, for good if it was its first anchor.
fn write(store: &mut Store, anchors: &[Anchor], readings: &[Reading], fill: bool) -> Kept {
    let mut kept = Kept::default();
    for anchor in anchors {
        match store.add_anchor(*anchor) {
            Ok(()) => kept.anchors += 1,
            Err(err) => {
                kept.failed = Some(err);
                break;
            }
        }
    }
    if readings.is_empty() {
        return kept;
    }
    match store.append_and_fill(readings, fill) {
        Ok(appended) => {
            kept.readings = appended.len();
            kept.last = appended.last().map(|a| a.seq);
        }
        Err(err) => kept.failed = Some(err),
    }
    kept
}
