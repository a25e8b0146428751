//! The meter's port, and the way to the recorder. Knows no profile and no bytes.

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use tracing::warn;

use super::MeterEvent;
use crate::clock::BootInstant;
use crate::clock::source::Clock;
use crate::failpoint;
use crate::port::Port;
use crate::progress::Pulse;
use crate::reading::Sample;

/// Both ends of what the task does.
#[derive(Debug)]
pub struct Line {
    /// The meter's.
    pub port: Port,
    out: mpsc::Sender<MeterEvent>,
    /// The port was opened, and the recorder doesn't know yet.
    opened: bool,
    dropped: u64,
    clock: Clock,
    pulse: Pulse,
}

impl Line {
    /// From that port to whoever takes samples.
    pub fn new(port: Port, out: mpsc::Sender<MeterEvent>, clock: Clock, pulse: Pulse) -> Self {
        Self { port, out, opened: false, dropped: 0, clock, pulse }
    }

    /// What was just read was read now.
    pub fn now(&self) -> BootInstant {
        self.clock.now()
    }

    /// A sign of life.
    pub fn beat(&self) {
        self.pulse.beat(self.clock.now());
    }

    /// Samples that the recorder had no room for.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The port was opened (again): the recorder hears it before the next sample.
    pub fn opened(&mut self) {
        self.opened = true;
    }

    /// Hands on a sample; false where nobody listens any more. Never waits for room: bytes
    /// that wait in the kernel meanwhile would be stamped too late, while a sample that is
    /// dropped costs nothing that the next count doesn't tell.
    pub fn offer(&mut self, sample: Sample, at: BootInstant) -> bool {
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
}
