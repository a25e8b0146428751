//! `spraylog gps decode`: a recording to one JSON object a line for each accepted fix,
//! and a summary. Reads as it goes, in constant memory, so that a live port can be piped
//! in.
//!
//! Knows no fix rules (the decoder's) and no 1024-week epochs (the clock's, by `snap`).

use std::io::{self, ErrorKind, Read, Write};

use serde::Serialize;

use crate::clock::{BootInstant, UtcMs};
use crate::config::keys;
use crate::gps::{Counters, Decoded, Decoder};

/// Bytes read at a time; a pipe that has fewer gives what it has.
const CHUNK: usize = 8192;

/// Moves a receiver's date to where it belongs; `None` makes it no date.
pub type Snap<'a> = &'a dyn Fn(UtcMs) -> Option<UtcMs>;

/// One accepted fix, as printed.
///
/// ```json
/// {"time":"2015-04-13T20:26:40.000Z","lat":44.0688433,"lon":-121.3141917,
///  "hdop":0.98,"quality":2,"speed_mps":0.015,"offset":214}
/// ```
#[derive(Debug, Serialize)]
struct Line {
    /// RFC 3339, UTC; the receiver's own date unless snapped. `null` while it has none.
    time: Option<String>,
    lat: f64,
    lon: f64,
    hdop: f64,
    quality: u8,
    speed_mps: Option<f64>,
    /// Of the byte after the checksum of the fix's last sentence.
    offset: u64,
}

/// The last line.
#[derive(Debug, Serialize)]
struct Last<'a> {
    summary: &'a Counters,
}

/// What `--max-hdop` takes: what the configuration takes, so that a NaN, to which nothing
/// compares, doesn't let every fix pass.
///
/// # Errors
///
/// What is wrong with the text.
pub fn max_hdop(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "isn't a number".to_owned())?;
    keys::max_hdop(&value).map_err(|refusal| refusal.message)?;
    Ok(value)
}

/// Reads `input` to its end and prints what becomes of it. Lines that begin with `#` at
/// the head are a submitter's notes, not a receiver's output: they are not decoded, but
/// offsets count them.
///
/// # Errors
///
/// What `input` or `out` say when they fail.
pub fn decode(
    mut input: impl Read,
    mut out: impl Write,
    max_hdop: f64,
    snap: Option<Snap<'_>>,
) -> io::Result<()> {
    let mut decoder = Decoder::new(max_hdop);
    let mut notes = Notes::default();
    let mut chunk = [0; CHUNK];
    loop {
        let bytes = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(n) => chunk.get(..n).unwrap_or_default(),
            Err(err) if err.kind() == ErrorKind::Interrupted => continue,
            Err(err) => return Err(err),
        };
        // A recording tells no boot time, and no fix printed here bears one.
        let fixes = decoder.push(notes.skip(bytes), BootInstant::default());
        for decoded in &fixes {
            line(&mut out, &Line::new(decoded, notes.bytes, snap))?;
        }
        if !fixes.is_empty() {
            out.flush()?;
        }
    }
    decoder.finish();
    line(&mut out, &Last { summary: decoder.counters() })?;
    out.flush()
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

impl Line {
    fn new(decoded: &Decoded, notes: u64, snap: Option<Snap<'_>>) -> Self {
        let Decoded { fix, end_offset, .. } = decoded;
        let utc = match snap {
            Some(snap) => fix.utc.and_then(snap),
            None => fix.utc,
        };
        Self {
            time: utc.map(UtcMs::rfc3339),
            lat: fix.place.lat(),
            lon: fix.place.lon(),
            hdop: fix.hdop,
            quality: fix.quality,
            speed_mps: fix.speed_mps.map(|mps| (mps * 1000.0).round() / 1000.0),
            offset: notes + end_offset,
        }
    }
}

/// The `#` lines at a recording's head.
#[derive(Debug, Default)]
struct Notes {
    place: At,
    /// How long they are.
    bytes: u64,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    LineStart,
    Note,
    Past,
}

impl Notes {
    /// What of a chunk comes after them.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        let mut rest = bytes;
        while let (false, Some((first, tail))) = (self.place == At::Past, rest.split_first()) {
            self.place = match (self.place, first) {
                (At::LineStart, b'#') => At::Note,
                (At::LineStart, b'\r' | b'\n') => At::LineStart,
                (At::LineStart, _) => At::Past,
                (_, b'\n') => At::LineStart,
                (place, _) => place,
            };
            if self.place != At::Past {
                rest = tail;
            }
        }
        self.bytes += (bytes.len() - rest.len()) as u64;
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::super::exit::Exit;
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    const NOTES: &str = "# Name: made up\r\n# $GPRMC of a note is none\n";
    const PAIR: &str = "$GPGGA,202640.000,4404.1306,N,12118.8515,W,2,10,0.98,1127.7,M,-19.6,M,0000,0000*6C\r\n\
        $GPRMC,202640.000,A,4404.1306,N,12118.8515,W,0.03,225.97,130415,,,D*73\r\n";

    /// Gives so many bytes at a time.
    struct Dribble<'a>(&'a [u8], usize);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self.1.min(self.0.len()).min(into.len());
            let (now, later) = self.0.split_at(n);
            into[..n].copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    fn decoded(input: impl Read, snap: Option<Snap<'_>>) -> Vec<Value> {
        let mut out = Vec::new();
        decode(input, &mut out, 5.0, snap).unwrap();
        out.split(|&b| b == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn a_fix_is_a_line_and_the_summary_is_the_last() {
        let text = format!("{NOTES}{PAIR}");
        let lines = decoded(text.as_bytes(), None);
        let [fix, last] = lines.as_slice() else { panic!("{lines:?}") };
        let expected = json!({
            "time": "2015-04-13T20:26:40.000Z", "lat": 44.0688433, "lon": -121.3141917,
            "hdop": 0.98, "quality": 2, "speed_mps": 0.015, "offset": text.trim_end().len(),
        });
        assert_eq!(fix, &expected);
        assert_eq!(last["summary"]["sentences"], 2);
        assert_eq!(last["summary"]["fixes"], 1);
        assert_eq!(last["summary"]["bad_checksums"], 0);
        assert_eq!(last["summary"]["bytes"], PAIR.len());
        assert_eq!(last["summary"]["rejected"]["void"], 0);
    }

    #[test]
    fn a_bound_that_the_configuration_would_refuse_is_a_usage_error() {
        for text in ["nan", "NaN", "-nan", "inf", "0", "-0", "-1", "50.1", "five", ""] {
            assert!(max_hdop(text).is_err(), "{text}");
        }
        for (text, bound) in [("50", 50.0), ("5", 5.0), ("0.8", 0.8)] {
            assert_eq!(max_hdop(text), Ok(bound));
        }
        let ends = |bound: &str| {
            let args = ["spraylog", "gps", "decode", "--max-hdop", bound, "/nonexistent/gps.log"];
            super::super::main(args.map(Into::into))
        };
        assert_eq!(ends("nan"), Exit::USAGE);
        assert_eq!(ends("50"), Exit::NO_INPUT);
    }

    #[test]
    fn a_snap_moves_the_date_or_takes_it_away() {
        let later = |utc: UtcMs| Some(UtcMs(utc.0 + 1024 * 7 * 86_400_000));
        let lines = decoded(PAIR.as_bytes(), Some(&later));
        assert_eq!(lines[0]["time"], "2034-11-27T20:26:40.000Z");
        let lines = decoded(PAIR.as_bytes(), Some(&|_| None));
        assert_eq!(lines[0]["time"], Value::Null);
    }

    #[test]
    fn a_line_with_a_number_sign_after_the_head_is_receiver_output() {
        let text = format!("{PAIR}#{PAIR}");
        let lines = decoded(text.as_bytes(), None);
        assert_eq!(lines.last().unwrap()["summary"]["sentences"], 4);
    }

    #[test]
    fn blank_lines_among_the_notes_at_the_head_do_not_end_them() {
        let text = format!("# one\r\n\r\n\n# {PAIR}");
        let (head, rest) = text.split_at(text.find("$GPRMC").unwrap());
        let lines = decoded(text.as_bytes(), None);
        assert_eq!(lines.len(), 1, "the GGA is in a note: {head}");
        assert_eq!(lines[0]["summary"]["bytes"], rest.len());
    }

    #[test]
    fn an_epoch_that_the_end_cuts_short_is_in_the_summary() {
        let lines = decoded(PAIR.lines().next().unwrap().as_bytes(), None);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["summary"]["rejected"]["unpaired"], 1);
    }

    #[test]
    fn nothing_in_is_a_summary_of_nothing() {
        let lines = decoded(io::empty(), None);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0]["summary"]["fixes"], 0);
    }

    #[test]
    fn a_failing_input_is_an_error_not_an_end() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        assert!(decode(Broken, io::sink(), 5.0, None).is_err());
    }

    proptest! {
        #[test]
        fn however_it_dribbles_in_the_output_is_the_same(
            size in 1usize..200,
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let bytes = [NOTES.as_bytes(), PAIR.as_bytes(), &noise].concat();
            let whole = decoded(bytes.as_slice(), None);
            prop_assert_eq!(decoded(Dribble(&bytes, size), None), whole);
        }
    }
}
