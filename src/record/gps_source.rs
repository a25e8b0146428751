//! From wherever fixes come from to accepted fixes: NMEA on a serial port, gpsd, or a place
//! that is configured. Judges no more than rule 13.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, Instant, sleep, sleep_until};
use tracing::{info, warn};

use super::rig::Rig;
use super::view::{GpsView, GpsdView};
use crate::clock::BootInstant;
use crate::clock::source::Clock;
use crate::config::GpsSource as Source;
use crate::gps::gpsd::client::{self, Client};
use crate::gps::{Decoder, gpsd};
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
    gpsd: Client,
    gpsd_decoder: gpsd::Decoder,
    gpsd_since: BootInstant,
    rig: watch::Receiver<Rig>,
    out: mpsc::Sender<Fix>,
    dropped: u64,
    /// When the configured place is told next.
    fixed_due: Instant,
    view: watch::Sender<GpsView>,
    clock: Clock,
    pulse: Pulse,
}

impl GpsSource {
    /// A task that will read the configured source.
    pub fn new(
        rig: watch::Receiver<Rig>,
        out: mpsc::Sender<Fix>,
        view: watch::Sender<GpsView>,
        clock: Clock,
        pulse: Pulse,
    ) -> Self {
        let (port, gpsd, max_hdop) = {
            let rig = rig.borrow();
            let gps = &rig.config.gps;
            (Port::new(rig.gps_port()), Client::new(&gps.gpsd), gps.max_hdop)
        };
        let (decoder, gpsd_decoder) = (Decoder::new(max_hdop), gpsd::Decoder::new(max_hdop));
        let gpsd_since = clock.now();
        Self {
            port,
            decoder,
            gpsd,
            gpsd_decoder,
            gpsd_since,
            rig,
            out,
            dropped: 0,
            fixed_due: Instant::now(),
            view,
            clock,
            pulse,
        }
    }

    /// Reads until `stop`, or until nobody takes fixes any more.
    pub async fn run(mut self, mut stop: Stop) {
        let mut buffer = [0; BUFFER];
        let mut changed = self.rig.clone();
        let mut heard_anew = None;
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
            let first = source == Source::Serial && !fixes.is_empty() && heard_anew != opened;
            if first {
                heard_anew = opened;
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
            Source::Gpsd => self.read_gpsd(buffer).await,
            Source::Fixed => {
                sleep_until(self.fixed_due).await;
                self.fixed_due = Instant::now() + FIXED_EVERY;
                self.fixed().into_iter().collect()
            }
            Source::None => std::future::pending().await,
        }
    }

    async fn read_gpsd(&mut self, buffer: &mut [u8]) -> Vec<Fix> {
        match self.gpsd.next(buffer).await {
            client::Event::Bytes(n) => {
                let had_device = self.gpsd_decoder.told().has_device();
                let at = self.clock.now();
                let fixes = self.gpsd_decoder.push(buffer.get(..n).unwrap_or_default(), at);
                let has_device = self.gpsd_decoder.told().has_device();
                match (had_device, has_device) {
                    (true, false) => warn!("gpsd has lost its receiver"),
                    (false, true) => info!("gpsd has a receiver"),
                    _ => {}
                }
                fixes
            }
            client::Event::Opened | client::Event::Lost => {
                self.gpsd_decoder.cut();
                self.gpsd_since = self.clock.now();
                Vec::new()
            }
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
        let address = self.gpsd.health().path.clone();
        self.gpsd.change(&rig.config.gps.gpsd);
        self.gpsd_decoder.set_max_hdop(rig.config.gps.max_hdop);
        if rig.config.gps.source != Source::Gpsd || rig.config.gps.gpsd != address {
            self.gpsd_decoder.cut();
        }
        if rig.config.gps.source != Source::Gpsd {
            self.gpsd.shut();
        }
        if rig.config.gps.source != Source::Serial {
            // Bytes that wait in an open port would be taken for news when it is read again.
            self.port.shut();
            self.decoder.finish();
        }
    }

    fn show(&self, source: Source) {
        let port = (source == Source::Serial).then(|| self.port.health().clone());
        let gpsd = (source == Source::Gpsd).then(|| GpsdView {
            connection: self.gpsd.health().clone(),
            told: self.gpsd_decoder.told().clone(),
            silent_ms: self.clock.now().since_ms(
                self.gpsd_decoder.reported().map_or(self.gpsd_since, |at| at.max(self.gpsd_since)),
            ),
            decoded: self.gpsd_decoder.counters().clone(),
        });
        self.view.send_replace(GpsView {
            port,
            gpsd,
            decoded: self.decoder.counters().clone(),
            dropped: self.dropped,
        });
    }
}
