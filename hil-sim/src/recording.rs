//! A receiver's recording, with its dates and times moved to now. Pure: bytes in, bytes
//! and instants out. Knows no port; waits for nobody.
//!
//! - lines that begin with `#` at the head are the submitter's notes and are left out;
//! - a sentence whose checksum is right gets its time and date moved and its checksum
//!   worked out anew; void and empty fields stay void and empty;
//! - everything else (binary frames, torn sentences, wrong checksums) passes untouched.

mod moved;

use crate::gps::Spot;

use moved::{clock_of, place_of, rewritten};

const DAY_MS: i64 = 86_400_000;

/// A step of the receiver's clock beyond this, or any backwards that far, is a jump (a
/// cold boot, a cut in the recording) and not time that passed.
const LONGEST_STEP_MS: i64 = 60_000;

/// How long a jump takes in the replay.
const JUMP_TAKES_MS: i64 = 1000;

/// Why a recording can't be replayed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordingError {
    /// No sentence in it tells a time.
    #[error("no sentence in the recording tells a time")]
    NoTime,
}

/// A recording, cut into bursts.
#[derive(Debug, Clone)]
pub struct Recording {
    bursts: Vec<Burst>,
    length_ms: i64,
    /// Milliseconds within the second at the first epoch.
    phase_ms: i64,
}

/// What a receiver says from one epoch to the next.
#[derive(Debug, Clone)]
struct Burst {
    /// Since the first epoch.
    offset_ms: i64,
    chunks: Vec<Chunk>,
}

#[derive(Debug, Clone)]
enum Chunk {
    /// With a right checksum: what is between `$` and `*`, and the line's end; and, where
    /// it tells a time, how far that is from its burst's epoch.
    Sentence { payload: String, end: Vec<u8>, shift_ms: Option<i64> },
    /// Anything else.
    Other(Vec<u8>),
}

/// A burst that has been moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Moved {
    /// The epoch it now tells: unix time in milliseconds.
    pub epoch_ms: i64,
    /// As it goes out on the wire.
    pub bytes: Vec<u8>,
    /// The place it tells; `None` where it has no fix.
    pub place: Option<Spot>,
}

impl Recording {
    /// Reads a recording.
    ///
    /// # Errors
    /// Where no sentence tells a time.
    pub fn read(bytes: &[u8]) -> Result<Self, RecordingError> {
        let mut bursts: Vec<Burst> = Vec::new();
        let mut before = Vec::new();
        let (mut clock_ms, mut offset_ms, mut phase_ms) = (None, 0, 0);
        for mut chunk in chunks(without_head(bytes)) {
            if let Some(told) = chunk.clock_ms() {
                let step = clock_ms.map(|then| step_between(then, told));
                match step {
                    Some(step) if (-LONGEST_STEP_MS..=0).contains(&step) => chunk.shift(step),
                    _ => {
                        if let Some(step) = step {
                            let jumped = step.abs() > LONGEST_STEP_MS;
                            offset_ms += if jumped { JUMP_TAKES_MS } else { step };
                        } else {
                            phase_ms = told.rem_euclid(1000);
                        }
                        clock_ms = Some(told);
                        chunk.shift(0);
                        bursts.push(Burst { offset_ms, chunks: std::mem::take(&mut before) });
                    }
                }
            }
            match bursts.last_mut() {
                Some(burst) => burst.chunks.push(chunk),
                None => before.push(chunk),
            }
        }
        let step_ms = match bursts.as_slice() {
            [] => return Err(RecordingError::NoTime),
            [.., a, b] => b.offset_ms - a.offset_ms,
            [_] => JUMP_TAKES_MS,
        };
        Ok(Self { bursts, length_ms: offset_ms + step_ms, phase_ms })
    }

    /// How long one pass takes at its own pace, to where the next would begin.
    pub fn length_ms(&self) -> i64 {
        self.length_ms
    }

    /// How many bursts one pass has.
    pub fn bursts(&self) -> usize {
        self.bursts.len()
    }

    /// The first instant from `now_ms` on at which it can begin: the receiver's phase
    /// within the second is kept.
    pub fn start_from(&self, now_ms: i64) -> i64 {
        now_ms + (self.phase_ms - now_ms).rem_euclid(1000)
    }

    /// Burst number `index`, of a replay that began at `start_ms`; past its end it begins
    /// again, with the time going on.
    pub fn moved(&self, index: usize, start_ms: i64) -> Option<Moved> {
        let count = self.bursts.len();
        let burst = self.bursts.get(index.checked_rem(count)?)?;
        let passes = i64::try_from(index / count).ok()?;
        let epoch_ms = start_ms + passes * self.length_ms + burst.offset_ms;
        let mut bytes = Vec::new();
        for chunk in &burst.chunks {
            chunk.write_moved(epoch_ms, &mut bytes);
        }
        let payloads = burst.chunks.iter().filter_map(|chunk| match chunk {
            Chunk::Sentence { payload, .. } => Some(payload.as_str()),
            Chunk::Other(_) => None,
        });
        Some(Moved { epoch_ms, bytes, place: place_of(payloads) })
    }
}

impl Chunk {
    fn clock_ms(&self) -> Option<i64> {
        match self {
            Self::Sentence { payload, .. } => clock_of(payload),
            Self::Other(_) => None,
        }
    }

    fn shift(&mut self, by_ms: i64) {
        if let Self::Sentence { shift_ms, .. } = self {
            *shift_ms = Some(by_ms);
        }
    }

    fn write_moved(&self, epoch_ms: i64, out: &mut Vec<u8>) {
        match self {
            Self::Other(bytes) => out.extend_from_slice(bytes),
            Self::Sentence { payload, end, shift_ms } => {
                let text = rewritten(payload, epoch_ms + shift_ms.unwrap_or(0));
                let sum = crate::nmea::xor8(text.as_bytes());
                out.extend_from_slice(format!("${text}*{sum:02X}").as_bytes());
                out.extend_from_slice(end);
            }
        }
    }
}

/// The way from one time of day to another, the short way round midnight.
fn step_between(then_ms: i64, told_ms: i64) -> i64 {
    let forward = (told_ms - then_ms).rem_euclid(DAY_MS);
    if forward > DAY_MS / 2 { forward - DAY_MS } else { forward }
}

fn without_head(mut bytes: &[u8]) -> &[u8] {
    while bytes.first() == Some(&b'#') {
        let next = bytes.iter().position(|b| *b == b'\n').map(|at| at + 1);
        bytes = next.and_then(|at| bytes.get(at..)).unwrap_or_default();
    }
    bytes
}

/// Cuts bytes into sentences with a right checksum and everything between them.
fn chunks(mut bytes: &[u8]) -> Vec<Chunk> {
    let mut out = Vec::new();
    let mut other = Vec::new();
    while let Some((first, rest)) = bytes.split_first() {
        match sentence_at(bytes) {
            Some((payload, end, after)) => {
                if !other.is_empty() {
                    out.push(Chunk::Other(std::mem::take(&mut other)));
                }
                out.push(Chunk::Sentence {
                    payload: payload.to_owned(),
                    end: end.to_vec(),
                    shift_ms: None,
                });
                bytes = after;
            }
            None => {
                other.push(*first);
                bytes = rest;
            }
        }
    }
    if !other.is_empty() {
        out.push(Chunk::Other(other));
    }
    out
}

/// The sentence that begins here, if one does and its checksum is right: its payload, the
/// line's end, and what follows.
fn sentence_at(bytes: &[u8]) -> Option<(&str, &[u8], &[u8])> {
    /// Longer than any receiver's sentence; NMEA's own limit of 82 is often passed.
    const LONGEST: usize = 512;
    let body = bytes.strip_prefix(b"$")?;
    let star = body.iter().take(LONGEST).position(|b| *b == b'*')?;
    let (payload, rest) = body.split_at(star);
    let payload = std::str::from_utf8(payload).ok()?;
    if payload.chars().any(|c| !(' '..='~').contains(&c) || c == '$') {
        return None;
    }
    let told = rest.get(1..3).and_then(|hex| std::str::from_utf8(hex).ok())?;
    if u8::from_str_radix(told, 16).ok()? != crate::nmea::xor8(payload.as_bytes()) {
        return None;
    }
    let after = rest.get(3..)?;
    let end = after.iter().take(2).take_while(|b| matches!(b, b'\r' | b'\n')).count();
    let (end, after) = after.split_at(end);
    Some((payload, end, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nmea::sentence;
    use std::path::Path;

    /// 2026-11-23T23:59:59.250Z
    const NOW: i64 = 1_795_478_399_250;

    fn recorded(parts: &[&[u8]]) -> Vec<u8> {
        parts.concat()
    }

    #[test]
    fn dates_and_times_move_to_now_and_checksums_are_right() {
        let log = recorded(&[
            b"# Name: test\n# $GPGGA in a note\n",
            b"$GPGGA,030719.000,3747.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,0000*7D\r\n",
            b"$GPRMC,030719.000,A,3747.0873,S,17518.8938,E,0.69,181.39,311214,,,A*7D\r\n",
            b"$GPGGA,030720.000,3747.0875,S,17518.8938,E,1,08,1.1,59.8,M,23.7,M,,0000*70\r\n",
        ]);
        let recording = Recording::read(&log).unwrap();
        let start = recording.start_from(NOW);
        assert_eq!(start, NOW + 750, "keeps the phase within the second");
        let first = recording.moved(0, start).unwrap();
        let expected =
            sentence("GPGGA,000000.000,3747.0873,S,17518.8938,E,1,08,1.1,59.9,M,23.7,M,,0000")
                + &sentence("GPRMC,000000.000,A,3747.0873,S,17518.8938,E,0.69,181.39,241126,,,A");
        assert_eq!(String::from_utf8(first.bytes).unwrap(), expected);
        let place = first.place.unwrap();
        assert!((place.lat + 37.784_788_3).abs() < 1e-6);
        assert!((place.lon - 175.314_896_7).abs() < 1e-6);
        let second = recording.moved(1, start).unwrap();
        assert_eq!(second.epoch_ms, start + 1000);
        assert!(second.bytes.starts_with(b"$GPGGA,000001.000,"));
        let again = recording.moved(2, start).unwrap();
        assert_eq!(again.epoch_ms, start + 2000, "time goes on at the next pass");
    }

    #[test]
    fn binary_frames_torn_and_wrong_sentences_pass_untouched() {
        let binary: &[u8] = &[0xB5, 0x62, 1, 7, b'$', b'G', 0, 0xFF, b'*', b'0', b'0'];
        let torn = b"$GPRMC,000344.03,A,4808.9992,N,4,02.3*00\r\n";
        let log = recorded(&[
            binary,
            sentence("GNRMC,010203.00,V,,,,,,,,,,N,V").as_bytes(),
            torn,
            binary,
        ]);
        let recording = Recording::read(&log).unwrap();
        let moved = recording.moved(0, NOW).unwrap();
        let expected = recorded(&[
            binary,
            sentence("GNRMC,235959.25,V,,,,,,,,,,N,V").as_bytes(),
            torn,
            binary,
        ]);
        assert_eq!(moved.bytes, expected);
        assert_eq!(moved.place, None);
    }

    #[test]
    fn a_jump_of_the_receivers_clock_is_not_replayed_as_time() {
        let gga = |time: &str| sentence(&format!("GPGGA,{time},,,,,0,00,,,M,0.0,M,,0000"));
        let log = gga("000344.03") + &gga("212607.89") + &gga("212608.89");
        let recording = Recording::read(log.as_bytes()).unwrap();
        let epochs: Vec<i64> =
            (0..3).map(|i| recording.moved(i, NOW).unwrap().epoch_ms - NOW).collect();
        assert_eq!(epochs, [0, 1000, 2000]);
    }

    #[test]
    fn every_shared_recording_keeps_its_length_and_its_noise() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR"))
            .ancestors()
            .find_map(|dir| std::fs::read_dir(dir.join("shared/nmea")).ok());
        let Some(listing) = shared else {
            eprintln!(
                "skipped: every_shared_recording_keeps_its_length_and_its_noise (no ../shared/nmea)"
            );
            return;
        };
        let mut seen = 0;
        for path in listing.map(|entry| entry.unwrap().path()) {
            if path.extension().is_none_or(|ext| ext != "log") {
                continue;
            }
            seen += 1;
            let bytes = std::fs::read(&path).unwrap();
            let recording = Recording::read(&bytes).unwrap();
            let start = recording.start_from(NOW);
            let out: Vec<u8> = (0..recording.bursts())
                .flat_map(|i| recording.moved(i, start).unwrap().bytes)
                .collect();
            assert_eq!(out.len(), without_head(&bytes).len(), "{}", path.display());
            let others = |bytes: &[u8]| -> Vec<u8> {
                chunks(bytes)
                    .into_iter()
                    .filter_map(|chunk| match chunk {
                        Chunk::Other(bytes) => Some(bytes),
                        Chunk::Sentence { .. } => None,
                    })
                    .flatten()
                    .collect()
            };
            assert_eq!(others(&out), others(without_head(&bytes)), "{}", path.display());
        }
        assert!(seen > 0);
    }
}
