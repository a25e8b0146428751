//! A meter that speaks by itself: its bytes to samples as they come. Asks nothing.

use tokio::time::timeout;
use tracing::warn;

use super::line::Line;
use super::{BEAT_EVERY, BUFFER};
use crate::failpoint;
use crate::meter::ascii::{Counters, Decoder};
use crate::meter::profile::Profile;
use crate::port::Event;

/// Listening to such a meter.
#[derive(Debug)]
pub struct Stream {
    decoder: Box<Decoder>,
    buffer: Vec<u8>,
}

impl Stream {
    /// To one that speaks as this profile says.
    pub fn new(profile: &Profile) -> Self {
        Self { decoder: Box::new(Decoder::new(profile)), buffer: vec![0; BUFFER] }
    }

    /// From the next line on, to one that speaks as another profile says.
    pub fn set_profile(&mut self, profile: &Profile) {
        self.decoder.set_profile(profile);
    }

    /// What came in so far.
    pub fn counters(&self) -> &Counters {
        self.decoder.counters()
    }

    /// Waits for the next bytes, for a while, and hands on what they bring; false where
    /// nobody listens any more.
    pub async fn turn(&mut self, line: &mut Line) -> bool {
        let Ok(event) = timeout(BEAT_EVERY, line.port.next(&mut self.buffer)).await else {
            return true;
        };
        let at = line.now();
        match event {
            Event::Opened => {
                // Half a line from before the gap must not be glued to one from after it.
                self.decoder.reset();
                line.opened();
                true
            }
            Event::Lost => true,
            Event::Bytes(n) => {
                failpoint::pass("bytes_read");
                let before = self.decoder.counters().bad_values;
                let samples = self.decoder.push(self.buffer.get(..n).unwrap_or_default());
                if before == 0 && self.decoder.counters().bad_values > 0 {
                    warn!("a sensor of the meter tells what can't be; taken for none");
                }
                samples.into_iter().all(|sample| line.offer(sample, at))
            }
        }
    }
}
