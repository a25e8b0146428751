//! From wherever fixes come from to accepted fixes: NMEA on a serial port, gpsd, or a place
//! that is configured. Judges no more than rule 13.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep, sleep_until};
use tracing::warn;

use super::gpsd_source::Gpsd;
use super::rig::Rig;
use super::view::GpsView;
use crate::clock::source::Clock;
use crate::config::GpsSource as Source;
use crate::gps::Decoder;
use crate::port::{Event, Port};
use crate::progress::Pulse;
use crate::reading::{Fix, Place};
use crate::stop::Stop;

/// Bytes taken from the port at once.
const BUFFER: usize = 2048;
/// A quiet source gives a sign of life this often.
const BEAT_EVERY: Duration = Duration::from_secs(5);
/// How often a configured place is said to be fresh: twice in the shortest `gps.stale_after`.
const FIXED_EVERY: Duration = Duration::from_millis(500);

/// The task that reads the receiver.
#[derive(Debug)]
pub struct GpsSource {
    port: Port,
    decoder: Decoder,
    gpsd: Gpsd,
    rig: watch::Receiver<Rig>,
    out: mpsc::Sender<Fix>,
    dropped: u64,
    /// When the configured place is told next.
    fixed_due: Instant,
    /// The opening of the port, by its number, whose first fix needs no other to follow.
    heard_anew: Option<u64>,
    view: watch::Sender<GpsView>,
    clock: Clock,
    pulse: Pulse,
}

impl GpsSource {
    /// A task that will read the configured source. Where a queue goes on, the first reading
    /// after a start waits for a place, and so can the first fix for another one. The first
    /// reading that there is doesn't: `begins` lets the first fix serve it.
    pub fn new(
        rig: watch::Receiver<Rig>,
        out: mpsc::Sender<Fix>,
        begins: bool,
        view: watch::Sender<GpsView>,
        clock: Clock,
        pulse: Pulse,
    ) -> Self {
        let (port, decoder, gpsd) = {
            let rig = rig.borrow();
            let gps = &rig.config.gps;
            (Port::new(rig.gps_port()), Decoder::new(gps.max_hdop), Gpsd::new(gps, clock.now()))
        };
        let fixed_due = Instant::now();
        let heard_anew = begins.then_some(1);
        let dropped = 0;
        Self { port, decoder, gpsd, rig, out, dropped, fixed_due, heard_anew, view, clock, pulse }
    }

    /// Reads until `stop`, or until nobody takes fixes any more.
    pub async fn run(mut self, mut stop: Stop) {
        let mut buffer = [0; BUFFER];
        let mut changed = self.rig.clone();
        loop {
            self.pulse.beat(self.clock.now());
            let source = self.rig.borrow().config.gps.source;
            let fixes = tokio::select! {
                () = stop.asked() => return,
                Ok(()) = changed.changed() => {
                    self.reconfigure();
                    continue;
                }
                fixes = self.read(source, &mut buffer) => fixes,
                () = sleep(BEAT_EVERY) => Vec::new(),
            };
            // A receiver that hangs tells its last epoch for ever. Once it was heard the decoder
            // knows a repetition; who has just opened the port learns from the next epoch that
            // the first one wasn't old.
            let opened = Some(self.port.health().opened);
            let first = source == Source::Serial && !fixes.is_empty() && self.heard_anew != opened;
            if first {
                self.heard_anew = opened;
            }
            // Never waits for room: an old fix that comes late would look fresh.
            for fix in fixes.into_iter().skip(usize::from(first)) {
                match self.out.try_send(fix) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => {
                        if self.dropped == 0 {
                            warn!("fixes dropped while the disk is slow");
                        }
                        self.dropped += 1;
                    }
                    Err(TrySendError::Closed(_)) => return,
                }
            }
            self.show(source);
        }
    }

    async fn read(&mut self, source: Source, buffer: &mut [u8]) -> Vec<Fix> {
        match source {
            Source::Serial => match self.port.next(buffer).await {
                Event::Bytes(n) => {
                    let at = self.clock.now();
                    let decoded = self.decoder.push(buffer.get(..n).unwrap_or_default(), at);
                    decoded.into_iter().map(|d| d.fix).collect()
                }
                Event::Opened | Event::Lost => {
                    self.decoder.finish();
                    Vec::new()
                }
            },
            Source::Gpsd => self.gpsd.next(buffer, &self.clock).await,
            Source::Fixed => {
                sleep_until(self.fixed_due).await;
                self.fixed_due = Instant::now() + FIXED_EVERY;
                self.fixed().into_iter().collect()
            }
            Source::None => std::future::pending().await,
        }
    }

    /// The configured place, as a fix that is always fresh and tells no time.
    fn fixed(&self) -> Option<Fix> {
        let (lat, lon) = self.rig.borrow().config.gps.fixed?;
        let place = Place::from_degrees(lat, lon)?;
        let at = self.clock.now();
        Some(Fix {
            at,
            utc: None,
            place,
            hdop: 0.0,
            quality: Fix::CONFIGURED,
            speed_mps: Some(0.0),
        })
    }

    fn reconfigure(&mut self) {
        let rig = self.rig.borrow().clone();
        self.port.change(rig.gps_port());
        self.decoder.set_max_hdop(rig.config.gps.max_hdop);
        self.gpsd.configure(&rig.config.gps, self.clock.now());
        if rig.config.gps.source != Source::Serial {
            // Bytes that wait in an open port would be taken for news when it is read again.
            self.port.shut();
            self.decoder.finish();
        }
    }

    fn show(&self, source: Source) {
        let port = (source == Source::Serial).then(|| self.port.health().clone());
        let gpsd = (source == Source::Gpsd).then(|| self.gpsd.view(self.clock.now()));
        self.view.send_replace(GpsView {
            port,
            gpsd,
            decoded: self.decoder.counters().clone(),
            dropped: self.dropped,
        });
    }
}
