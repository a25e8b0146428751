//! The receiver at its outlet: a task that tells each epoch as it comes, from the rig's
//! path or from a recording, and the knobs for the wheel and the sky.

use std::sync::{Arc, Mutex};

use tokio::sync::watch;
use tracing::warn;

use super::{TruthLog, lock, wait_looking};
use crate::clock::RigClock;
use crate::gps::{Path, Sky, Spoil, Spot};
use crate::outlet::{Outlet, OutletError};
use crate::pty::Dropped;
use crate::recording::Recording;
use crate::truth::Trouble;

/// How long after its instant an epoch is told: a receiver works on it that long.
const TOLD_AFTER_MS: i64 = 60;

/// A receiver before it is switched on.
#[derive(Debug, Clone)]
pub struct GpsSetup {
    /// Where the rig stands at first.
    pub start: Spot,
    /// Epochs a second, 1 to 10.
    pub hz: u32,
    /// A recording to replay, over and over, instead of the rig's own path.
    pub recording: Option<Recording>,
}

impl Default for GpsSetup {
    /// The place of the API page's example.
    fn default() -> Self {
        Self { start: Spot { lat: 33.511_633_1, lon: -86.896_534_4 }, hz: 1, recording: None }
    }
}

/// Where what the receiver says comes from.
#[derive(Debug)]
pub enum Source {
    /// The rig's own path, at so many milliseconds from epoch to epoch.
    Driven(i64),
    /// A recording that began at an instant, and the next burst's number.
    Recorded(Recording, i64, usize),
}

/// A receiver at its outlet. Clones turn the same knobs.
#[derive(Debug, Clone)]
pub struct GpsKnob {
    bench: Arc<Mutex<GpsBench>>,
    clock: RigClock,
    truth: TruthLog,
}

#[derive(Debug)]
struct GpsBench {
    path: Path,
    sky: Sky,
    spoil: Option<Spoil>,
    source: Source,
    outlet: Outlet,
    next_ms: i64,
}

impl GpsKnob {
    pub(super) fn new(setup: GpsSetup, outlet: Outlet, clock: RigClock, truth: TruthLog) -> Self {
        let now = clock.now_ms();
        let period_ms = 1000 / i64::from(setup.hz.clamp(1, 10));
        let (source, next_ms) = match setup.recording {
            Some(recording) => {
                let start = recording.start_from(now);
                (Source::Recorded(recording, start, 0), start)
            }
            None => (Source::Driven(period_ms), now + period_ms - now % period_ms),
        };
        let bench = GpsBench {
            path: Path::new(setup.start, now),
            sky: Sky::Clear,
            spoil: None,
            source,
            outlet,
            next_ms,
        };
        Self { bench: Arc::new(Mutex::new(bench)), clock, truth }
    }

    /// Drives straight on, at metres a second and degrees from north.
    pub fn drive(&self, speed_mps: f64, heading_deg: f64) {
        let now = self.clock.now_ms();
        lock(&self.bench).path.drive(speed_mps, heading_deg, now);
    }

    /// Drives to each point in turn and stops at the last.
    pub fn follow(&self, points: impl IntoIterator<Item = Spot>, speed_mps: f64) {
        let now = self.clock.now_ms();
        lock(&self.bench).path.follow(points, speed_mps, now);
    }

    /// Stands.
    pub fn stop(&self) {
        self.drive(0.0, 0.0);
    }

    /// Where the rig is.
    pub fn here(&self) -> Spot {
        let now = self.clock.now_ms();
        lock(&self.bench).path.at(now)
    }

    /// Loses the fix; a receiver that is [`Sky::Blind`] has no time either.
    pub fn lose_fix(&self, sky: Sky) {
        let now = self.clock.now_ms();
        lock(&self.bench).sky = sky;
        self.truth.lock().begin(Trouble::GpsLost, now);
    }

    /// Says what isn't so, until the fix is regained.
    pub fn spoil_fix(&self, spoil: Spoil) {
        lock(&self.bench).spoil = Some(spoil);
    }

    /// Finds it again, and is honest again.
    pub fn regain_fix(&self) {
        let now = self.clock.now_ms();
        let mut bench = lock(&self.bench);
        bench.sky = Sky::Clear;
        bench.spoil = None;
        drop(bench);
        self.truth.lock().end(Trouble::GpsLost, now);
    }

    /// Pulls the cable.
    ///
    /// # Errors
    /// Where the stable name can't be removed.
    pub fn unplug(&self) -> Result<(), OutletError> {
        let now = self.clock.now_ms();
        lock(&self.bench).outlet.unplug()?;
        self.truth.lock().begin(Trouble::GpsUnplugged, now);
        Ok(())
    }

    /// Puts it back, under the same stable name.
    ///
    /// # Errors
    /// Where no pseudoterminal is to be had.
    pub fn plug(&self) -> Result<(), OutletError> {
        let now = self.clock.now_ms();
        lock(&self.bench).outlet.plug()?;
        self.truth.lock().end(Trouble::GpsUnplugged, now);
        Ok(())
    }

    /// What never reached a reader.
    pub fn dropped(&self) -> Dropped {
        lock(&self.bench).outlet.dropped()
    }

    pub(super) async fn run(self, mut stopped: watch::Receiver<bool>) {
        loop {
            let due = lock(&self.bench).next_ms + TOLD_AFTER_MS;
            let on = wait_looking(self.clock, due, &mut stopped, || self.look()).await;
            if !on {
                return;
            }
            if let Err(err) = self.say_epoch() {
                warn!(%err, "gps port lost");
            }
        }
    }

    fn look(&self) {
        if let Err(err) = lock(&self.bench).outlet.look() {
            warn!(%err, "gps port lost");
        }
    }

    fn say_epoch(&self) -> Result<(), OutletError> {
        let now = self.clock.now_ms();
        let mut bench = lock(&self.bench);
        let Some((epoch_ms, bytes, place)) = bench.next_epoch(now) else {
            return Ok(());
        };
        let written = bench.outlet.write(&bytes);
        drop(bench);
        let heard = written.as_ref().is_ok_and(|written| written.heard());
        self.truth.lock().epoch(epoch_ms, place, heard);
        written.map(|_| ())
    }
}

impl GpsBench {
    /// What is said of the epoch that is due, and when the one after it is.
    fn next_epoch(&mut self, now_ms: i64) -> Option<(i64, Vec<u8>, Option<Spot>)> {
        match &mut self.source {
            Source::Driven(period_ms) => {
                // A rig that was held up tells the newest epoch, not all it has missed.
                let behind = (now_ms - TOLD_AFTER_MS - self.next_ms).max(0) / *period_ms;
                let epoch_ms = self.next_ms + behind * *period_ms;
                self.next_ms = epoch_ms + *period_ms;
                let (text, place) = self.driven(epoch_ms);
                Some((epoch_ms, text.into_bytes(), place))
            }
            Source::Recorded(recording, start_ms, index) => {
                let moved = recording.moved(*index, *start_ms)?;
                *index += 1;
                let next = recording.moved(*index, *start_ms)?;
                self.next_ms = next.epoch_ms;
                Some((moved.epoch_ms, moved.bytes, moved.place))
            }
        }
    }

    fn driven(&mut self, epoch_ms: i64) -> (String, Option<Spot>) {
        match self.spoil.filter(|_| self.sky == Sky::Clear) {
            Some(spoil) => self.path.spoilt(epoch_ms, spoil),
            None => {
                let place = (self.sky == Sky::Clear).then(|| self.path.at(epoch_ms));
                (self.path.sentences(epoch_ms, self.sky), place)
            }
        }
    }
}
