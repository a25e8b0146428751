//! GPS: bytes to accepted fixes, pure. [`framer`] finds sentences, `sentence` reads one,
//! `epoch` joins those of equal UTC and decides by rule 13 whether they are a fix.
//!
//! Gives the receiver's own date, however wrong: moving it up by 1024-week epochs is the
//! clock's business. Knows neither ports nor the age of a fix.

mod epoch;
mod fields;
pub mod framer;
pub mod gpsd;
mod sentence;

use serde::Serialize;

use crate::clock::BootInstant;
use crate::reading::Fix;
use epoch::{Epochs, Paired};
use framer::{Framer, Refusal};

/// Bytes in, accepted fixes out. Holds one sentence and sixteen epochs, whatever comes.
///
/// HDOP is that of GGA or GNS. GSA's never stands in for it: GSA bears no time, so that
/// nothing says which epoch it belongs to.
#[derive(Debug)]
pub struct Decoder {
    framer: Framer,
    epochs: Epochs,
    counters: Counters,
}

/// An accepted fix and where in the stream it was complete.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded {
    /// The fix. Its `at` is that of the chunk with the first byte of the epoch's first
    /// sentence that bears a time.
    ///
    /// Not of a VTG, GSA or GSV before that: nothing in these says whether they open an
    /// epoch or end the one before, nor does a pause between reads. Receivers on a slow
    /// line pause within an epoch and run on into the next, and a reader that was held up
    /// sees a pause where there was none: stamps would jump by up to a second, where now
    /// they are late by a constant. Every receiver in the recordings opens with RMC or GGA.
    pub fix: Fix,
    /// Offset of the byte after the checksum of the sentence that completed it, in bytes
    /// since the decoder was made.
    pub end_offset: u64,
    /// The receiver's time of day in milliseconds: there even where it has no date yet.
    /// From 86 400 000 on it is second 60 of a leap second.
    pub time_of_day_ms: u32,
}

/// What has been read, and what became of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Bytes of every kind.
    pub bytes: u64,
    /// Sentences that came to their checksum or to their line's end, of every type.
    pub sentences: u64,
    /// Of these: the checksum is another one.
    pub bad_checksums: u64,
    /// Of these: there is no checksum.
    pub no_checksum: u64,
    /// Of these: the checksum holds, and yet a field that a fix hangs on can't be read.
    pub unreadable: u64,
    /// Given up for their length.
    pub overlong: u64,
    /// Broken off by another `$`, by binary data or by the end, or never sentences: `$`
    /// and a letter occur in binary data too.
    pub torn: u64,
    /// Accepted.
    pub fixes: u64,
    /// Not accepted.
    pub rejected: Rejected,
}

/// Epochs without a fix, each under the first cause that ruled it out. A sentence without
/// a time counts as an epoch of its own. The last sixteen epochs may be missing until
/// [`Decoder::finish`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rejected {
    /// RMC doesn't say A.
    pub void: u64,
    /// GGA quality 0, or no constellation of GNS has a fix.
    pub no_quality: u64,
    /// GGA quality 6 to 9: estimated, entered by hand, simulated.
    pub estimated: u64,
    /// Mode letter E, M, S, or N beside A.
    pub mode: u64,
    /// GGA counts fewer than three satellites, or GNS has none of GPS, and no RMC or GLL after
    /// it says that there is a fix.
    pub unconfirmed: u64,
    /// Neither GGA nor GNS gave an HDOP.
    pub no_hdop: u64,
    /// HDOP over the bound.
    pub hdop: u64,
    /// Not on the globe.
    pub range: u64,
    /// At 0,0.
    pub null_island: u64,
    /// RMC and GGA (or GNS) are in different places.
    pub disagreement: u64,
    /// RMC, or GGA and GNS, never came for that UTC, or too late.
    pub unpaired: u64,
    /// The same UTC again after its verdict was out: a receiver that repeats its last fix,
    /// or says things twice.
    pub repeated: u64,
}

/// Why an epoch is no fix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Void,
    NoQuality,
    Estimated,
    Mode,
    Unconfirmed,
    NoHdop,
    Hdop,
    Range,
    NullIsland,
    Disagreement,
    Unpaired,
    Repeated,
}

impl Decoder {
    /// A decoder that takes fixes with an HDOP of at most `max_hdop`.
    pub fn new(max_hdop: f64) -> Self {
        Self { framer: Framer::new(), epochs: Epochs::new(max_hdop), counters: Counters::default() }
    }

    /// Another bound, from the next sentence on.
    pub fn set_max_hdop(&mut self, max_hdop: f64) {
        self.epochs.max_hdop = max_hdop;
    }

    /// Takes a chunk that was read `at` in boot time (its first byte), and gives the fixes
    /// that it completes: each as soon as both its sentences are there, and only once.
    ///
    /// What the receiver says of that UTC afterwards doesn't take the fix back; said
    /// again, it is counted as repeated, void or whatever it then is.
    pub fn push(&mut self, bytes: &[u8], at: BootInstant) -> Vec<Decoded> {
        let mut fixes = Vec::new();
        for &byte in bytes {
            self.counters.bytes += 1;
            let Some(framed) = self.framer.byte(byte, at) else { continue };
            let counters = &mut self.counters;
            let sentence = match framed {
                Ok(sentence) => sentence,
                Err(why) => {
                    counters.refused(why);
                    continue;
                }
            };
            counters.sentences += 1;
            let report = match sentence::read(sentence.text) {
                Some(Ok(report)) => report,
                Some(Err(_)) => {
                    counters.unreadable += 1;
                    continue;
                }
                None => continue,
            };
            let paired = self.epochs.take(report, sentence.at, &mut counters.rejected);
            if let Some(Paired { fix, time_ms }) = paired {
                counters.fixes += 1;
                fixes.push(Decoded { fix, end_offset: sentence.end, time_of_day_ms: time_ms });
            }
        }
        fixes
    }

    /// The end of a recording, or of an unbroken stretch of a port: counts the sentence
    /// and the epochs that were still waiting for their rest. What comes afterwards
    /// completes none of them; a fix that is out isn't given again.
    pub fn finish(&mut self) {
        if let Some(why) = self.framer.cut() {
            self.counters.refused(why);
        }
        self.epochs.finish(&mut self.counters.rejected);
    }

    /// What has been counted so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}

impl Counters {
    fn refused(&mut self, why: Refusal) {
        match why {
            Refusal::BadChecksum => {
                self.sentences += 1;
                self.bad_checksums += 1;
            }
            Refusal::NoChecksum => {
                self.sentences += 1;
                self.no_checksum += 1;
            }
            Refusal::Overlong => self.overlong += 1,
            Refusal::Torn => self.torn += 1,
        }
    }
}

impl Rejected {
    /// All causes together.
    pub fn total(&self) -> u64 {
        [
            self.void,
            self.no_quality,
            self.estimated,
            self.mode,
            self.unconfirmed,
            self.no_hdop,
            self.hdop,
            self.range,
            self.null_island,
            self.disagreement,
            self.unpaired,
            self.repeated,
        ]
        .iter()
        .sum()
    }

    fn count(&mut self, cause: Cause) {
        let counter = match cause {
            Cause::Void => &mut self.void,
            Cause::NoQuality => &mut self.no_quality,
            Cause::Estimated => &mut self.estimated,
            Cause::Mode => &mut self.mode,
            Cause::Unconfirmed => &mut self.unconfirmed,
            Cause::NoHdop => &mut self.no_hdop,
            Cause::Hdop => &mut self.hdop,
            Cause::Range => &mut self.range,
            Cause::NullIsland => &mut self.null_island,
            Cause::Disagreement => &mut self.disagreement,
            Cause::Unpaired => &mut self.unpaired,
            Cause::Repeated => &mut self.repeated,
        };
        *counter += 1;
    }
}

impl sentence::Report {
    /// UTC in milliseconds of the day.
    fn time_ms(&self) -> Option<u32> {
        match self {
            Self::Rmc(rmc) => rmc.time_ms,
            Self::Gga(it) | Self::Gns(it) => it.time_ms,
            Self::Time(it) => it.time_ms,
        }
    }
}

#[cfg(test)]
mod tests;
