//! From the meter's port to samples, each with the boot time at which its bytes were
//! read, whether the meter speaks by itself ([`stream`]) or is asked ([`poll`]). Judges
//! nothing.

mod asker;
mod line;
mod poll;
mod stream;

use tokio::sync::{mpsc, watch};
use tokio::time::Duration;

use super::rig::Rig;
use super::view::MeterView;
use crate::clock::BootInstant;
use crate::clock::source::Clock;
use crate::port::Port;
use crate::progress::Pulse;
use crate::reading::Sample;
use crate::stop::Stop;
use line::Line;
use poll::Poll;
use stream::Stream;

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
    line: Line,
    speech: Speech,
    rig: watch::Receiver<Rig>,
    view: watch::Sender<MeterView>,
}

/// Who begins.
#[derive(Debug)]
enum Speech {
    /// The meter.
    Stream(Stream),
    /// We.
    Poll(Poll),
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
        let (line, speech) = {
            let rig = rig.borrow();
            (Line::new(Port::new(rig.meter_port()), out, clock, pulse), Speech::new(&rig))
        };
        Self { line, speech, rig, view }
    }

    /// Reads until `stop`, or until nobody takes samples any more.
    pub async fn run(mut self, mut stop: Stop) {
        loop {
            self.line.beat();
            let listened_to = tokio::select! {
                () = stop.asked() => return,
                Ok(()) = self.rig.changed() => {
                    self.reconfigure();
                    continue;
                }
                listened_to = self.speech.turn(&mut self.line) => listened_to,
            };
            if !listened_to {
                return;
            }
            self.show();
        }
    }

    fn reconfigure(&mut self) {
        let rig = self.rig.borrow_and_update().clone();
        self.line.port.change(rig.meter_port());
        self.speech.change(&rig);
    }

    fn show(&self) {
        let port = self.line.port.health().clone();
        let (decoded, polled) = match &self.speech {
            Speech::Stream(stream) => (Some(*stream.counters()), None),
            Speech::Poll(poll) => poll.told(),
        };
        self.view.send_replace(MeterView { port, decoded, polled, dropped: self.line.dropped() });
    }
}

impl Speech {
    fn new(rig: &Rig) -> Self {
        Poll::new(rig).map_or_else(|| Self::Stream(Stream::new(&rig.profile)), Self::Poll)
    }

    /// Waits for what comes next and hands it on; false where nobody listens any more.
    async fn turn(&mut self, line: &mut Line) -> bool {
        match self {
            Self::Stream(stream) => stream.turn(line).await,
            Self::Poll(poll) => poll.turn(line).await,
        }
    }

    fn change(&mut self, rig: &Rig) {
        match (&mut *self, Self::new(rig)) {
            (Self::Stream(stream), Self::Stream(_)) => stream.set_profile(&rig.profile),
            (Self::Poll(poll), Self::Poll(_)) if poll.is_for(rig) => poll.interrupted(),
            (_, other) => *self = other,
        }
    }
}
