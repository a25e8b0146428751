//! From the meter's port to samples, each with the boot time at which its bytes were
//! read. Judges nothing.

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, watch};
use tokio::time::{Duration, sleep};
use tracing::warn;

use super::rig::Rig;
use super::view::MeterView;
use crate::clock::BootInstant;
use crate::clock::source::Clock;
use crate::failpoint;
use crate::meter::ascii::Decoder;
use crate::port::{Event, Port};
use crate::progress::Pulse;
use crate::reading::Sample;
use crate::stop::Stop;

/// Bytes taken from the port at once.
const BUFFER: usize = 1024;
/// A quiet port gives a sign of life this often.
const BEAT_EVERY: Duration = Duration::from_secs(5);

/// What happens at the meter.
#[derive(Debug, Clone, PartialEq)]
pub enum MeterEvent {
    /// The port was opened (again).
    Opened,
    /// A sample, with the boot time of its bytes.
    Sample(Sample, BootInstant),
}

/// The task that reads the meter.
#[derive(Debug)]
pub struct MeterSource {
    port: Port,
    decoder: Decoder,
    rig: watch::Receiver<Rig>,
    out: mpsc::Sender<MeterEvent>,
    /// The port was opened, and the recorder doesn't know yet.
    opened: bool,
    dropped: u64,
    view: watch::Sender<MeterView>,
    clock: Clock,
    pulse: Pulse,
}

impl MeterSource {
    /// A task that will read the configured port.
    pub fn new(
        rig: watch::Receiver<Rig>,
        out: mpsc::Sender<MeterEvent>,
        view: watch::Sender<MeterView>,
        clock: Clock,
        pulse: Pulse,
    ) -> Self {
        let (port, decoder) = {
            let rig = rig.borrow();
            (Port::new(rig.meter_port()), Decoder::new(&rig.profile))
        };
        Self { port, decoder, rig, out, opened: false, dropped: 0, view, clock, pulse }
    }

    /// Reads until `stop`, or until nobody takes samples any more.
    pub async fn run(mut self, mut stop: Stop) {
        let mut buffer = [0; BUFFER];
        loop {
            self.pulse.beat(self.clock.now());
            let event = tokio::select! {
                () = stop.asked() => return,
                event = self.port.next(&mut buffer) => event,
                () = sleep(BEAT_EVERY) => {
                    self.show();
                    continue;
                }
                Ok(()) = self.rig.changed() => {
                    self.reconfigure();
                    continue;
                }
            };
            let at = self.clock.now();
            if !self.pass_on(event, &buffer, at) {
                return;
            }
            self.show();
        }
    }

    /// Hands on what the event brought; false where nobody listens any more. Never waits
    /// for room: bytes that wait in the kernel meanwhile would be stamped too late, while
    /// a sample that is dropped costs nothing that the next count doesn't tell.
    fn pass_on(&mut self, event: Event, buffer: &[u8], at: BootInstant) -> bool {
        match event {
            Event::Opened => {
                // Half a line from before the gap must not be glued to one from after it.
                self.decoder.reset();
                self.opened = true;
                true
            }
            Event::Lost => true,
            Event::Bytes(n) => {
                failpoint::pass("bytes_read");
                let before = self.decoder.counters().bad_values;
                let samples = self.decoder.push(buffer.get(..n).unwrap_or_default());
                if before == 0 && self.decoder.counters().bad_values > 0 {
                    warn!("a sensor of the meter tells what can't be; taken for none");
                }
                samples.into_iter().all(|sample| self.offer(sample, at))
            }
        }
    }

    fn offer(&mut self, sample: Sample, at: BootInstant) -> bool {
        failpoint::pass("sample_decoded");
        if self.opened {
            match self.out.try_send(MeterEvent::Opened) {
                Ok(()) => self.opened = false,
                Err(TrySendError::Full(_)) => {}
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        if self.opened {
            self.dropped += 1;
            return true;
        }
        match self.out.try_send(MeterEvent::Sample(sample, at)) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                if self.dropped == 0 {
                    warn!(
                        "samples dropped while the disk is slow; the next count has their volume"
                    );
                }
                self.dropped += 1;
                true
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }

    fn reconfigure(&mut self) {
        let rig = self.rig.borrow_and_update().clone();
        self.port.change(rig.meter_port());
        self.decoder.set_profile(&rig.profile);
    }

    fn show(&self) {
        let (port, decoded) = (self.port.health().clone(), *self.decoder.counters());
        self.view.send_replace(MeterView { port, decoded, dropped: self.dropped });
    }
}
