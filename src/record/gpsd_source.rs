//! gpsd, heard and read: its client and its decoder in step with each other. Knows nothing of
//! what fixes are for.

use tracing::{info, warn};

use super::view::GpsdView;
use crate::clock::BootInstant;
use crate::clock::source::Clock;
use crate::config::{Gps, GpsSource};
use crate::gps::gpsd::Decoder;
use crate::gps::gpsd::client::{Client, Event};
use crate::reading::Fix;

/// A gpsd, read or not.
#[derive(Debug)]
pub(super) struct Gpsd {
    client: Client,
    decoder: Decoder,
    /// Since when this connection, or the want of one.
    since: BootInstant,
}

impl Gpsd {
    /// The one that is configured; called at the first [`Gpsd::next`].
    pub(super) fn new(gps: &Gps, now: BootInstant) -> Self {
        Self { client: Client::new(&gps.gpsd), decoder: Decoder::new(gps.max_hdop), since: now }
    }

    /// Waits for the next thing to happen, and gives the fixes that it brings. May be
    /// cancelled without losing any.
    pub(super) async fn next(&mut self, buffer: &mut [u8], clock: &Clock) -> Vec<Fix> {
        let Event::Bytes(n) = self.client.next(buffer).await else {
            self.begin(clock.now());
            return Vec::new();
        };
        let had_receiver = self.decoder.told().has_device();
        let fixes = self.decoder.push(buffer.get(..n).unwrap_or_default(), clock.now());
        match (had_receiver, self.decoder.told().has_device()) {
            (true, false) => warn!("gpsd has lost its receiver"),
            (false, true) => info!("gpsd has a receiver"),
            _ => {}
        }
        fixes
    }

    /// Goes by another configuration from now on. Where that has another source it is left:
    /// what it would go on saying would be taken for news when it is read again.
    pub(super) fn configure(&mut self, gps: &Gps, now: BootInstant) {
        self.decoder.set_max_hdop(gps.max_hdop);
        if gps.gpsd != self.client.health().path || gps.source != GpsSource::Gpsd {
            self.begin(now);
        }
        self.client.change(&gps.gpsd);
        if gps.source != GpsSource::Gpsd {
            self.client.shut();
        }
    }

    /// For `status`.
    pub(super) fn view(&self, now: BootInstant) -> GpsdView {
        let reported = self.decoder.reported().map_or(self.since, |at| at.max(self.since));
        GpsdView {
            connection: self.client.health().clone(),
            told: self.decoder.told().clone(),
            silent_ms: now.since_ms(reported),
            decoded: self.decoder.counters().clone(),
        }
    }

    /// Nothing of what was said before holds any more.
    fn begin(&mut self, now: BootInstant) {
        self.decoder.cut();
        self.since = now;
    }
}
