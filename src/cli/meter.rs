//! `spraylog meter decode`: a capture of a meter's bytes, as its profile reads them. Knows
//! neither a port nor the counter: what it prints is what the meter said, believed or not.

use std::io::{self, Read, Write};

use serde::Serialize;

use crate::meter::ascii::{Counters, Decoder};
use crate::meter::profile::Profile;
use crate::reading::Sample;

/// How much is read at a time, in bytes; at 9600 baud that is 8 s, but a read returns what
/// there is.
const CHUNK_BYTES: usize = 8 * 1024;

#[derive(Serialize)]
struct LastLine<'a> {
    summary: Summary<'a>,
}

#[derive(Serialize)]
struct Summary<'a> {
    profile: &'a str,
    #[serde(flatten)]
    counters: &'a Counters,
}

/// A profile of a meter that doesn't speak in lines, so that there is nothing to decode.
#[derive(Debug, thiserror::Error)]
#[error(
    "meter profile {0}: a meter on Modbus sends no lines, so that a capture of it says nothing"
)]
pub struct NotInLines(String);

/// Whether a meter of that profile speaks in lines.
///
/// # Errors
/// Where it doesn't.
pub fn in_lines(profile: &Profile) -> Result<(), NotInLines> {
    profile.lines().map(|_| ()).ok_or_else(|| NotInLines(profile.name.clone()))
}

/// Writes one JSON object a line for each sample in `input`, as soon as it is read, then
/// `{"summary":{…}}` with the profile's name and what was counted.
///
/// # Errors
///
/// What `input` and `out` fail with; a reader that went away is `BrokenPipe`.
pub fn decode(profile: &Profile, mut input: impl Read, mut out: impl Write) -> io::Result<()> {
    let mut decoder = Decoder::new(profile);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => continue,
            Err(err) => return Err(err),
        };
        write_samples(&mut out, decoder.push(chunk.get(..read).unwrap_or_default()))?;
    }
    write_samples(&mut out, decoder.finish())?;
    let summary = Summary { profile: &profile.name, counters: decoder.counters() };
    write_line(&mut out, &LastLine { summary })?;
    out.flush()
}

fn write_samples(
    out: &mut impl Write,
    samples: impl IntoIterator<Item = Sample>,
) -> io::Result<()> {
    for sample in samples {
        write_line(out, &sample)?;
    }
    out.flush()
}

fn write_line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: impl Read) -> Vec<serde_json::Value> {
        lines_of("rig-line", input)
    }

    fn lines_of(profile: &str, input: impl Read) -> Vec<serde_json::Value> {
        let profile = Profile::builtin(profile).unwrap().unwrap();
        let mut out = Vec::new();
        decode(&profile, input, &mut out).unwrap();
        out.split_inclusive(|b| *b == b'\n')
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect()
    }

    #[test]
    fn a_capture_becomes_one_object_a_line_and_a_summary() {
        let capture = b"noise\n$FLOW,FM-1,17,8,2.5,,,,*12\r\n$FLOW,,,8,,,,,*00\n$FLOW,,,8,,,,,*2A";
        let expected = serde_json::json!([
            {"serial": "FM-1", "seq": 17, "raw": 8, "rate_gpm": 2.5, "fluid_f": null,
             "ambient_f": null, "battery_percent": null, "runtime_min": null},
            {"serial": null, "seq": null, "raw": 8, "rate_gpm": null, "fluid_f": null,
             "ambient_f": null, "battery_percent": null, "runtime_min": null},
            {"summary": {"profile": "rig-line", "bytes": 69, "lines": 4, "samples": 2, "bad_values": 0,
             "rejected": {"too_long": 0, "cut": 0, "no_checksum": 0, "bad_checksum": 1,
                          "not_ours": 1, "malformed": 0, "out_of_range": 0}}},
        ]);
        assert_eq!(serde_json::Value::Array(lines(&capture[..])), expected);
    }

    #[test]
    fn a_capture_of_a_meter_that_is_asked_is_put_together_in_rounds() {
        let capture = b"+1234567E+0m3 !F7\r\n+2.500000E-01m3/m!BF\r\n+1234568E+0m3 !F8\r\n";
        let out = lines_of("tuf-2000f", &capture[..]);
        assert_eq!(
            (&out[0]["raw"], &out[1]["raw"]),
            (&1_234_567_000.into(), &1_234_568_000.into())
        );
        assert!(out[0]["rate_gpm"].as_f64().is_some_and(|rate| (rate - 66.043).abs() < 0.001));
        assert_eq!(out[1]["rate_gpm"], serde_json::Value::Null);
        let summary = &out[2]["summary"];
        assert_eq!((&summary["samples"], &summary["answers"]), (&2.into(), &3.into()));
        assert_eq!((&summary["lines"], &summary["unanswered"]), (&3.into(), &0.into()));
    }

    #[test]
    fn a_meter_on_modbus_has_no_lines() {
        for (name, speaks) in [("tuf-2000m", false), ("adam-4080", true), ("pulse-text", true)] {
            let profile = Profile::builtin(name).unwrap().unwrap();
            assert_eq!(in_lines(&profile).is_ok(), speaks, "{name}");
        }
    }

    #[test]
    fn nothing_in_is_a_summary_of_nothing() {
        assert_eq!(lines(io::empty())[0]["summary"]["samples"], 0);
    }

    /// Gives one line, then expects its sample to be out before it is asked for more.
    #[test]
    fn a_sample_is_written_before_the_next_bytes_are_waited_for() {
        use std::cell::RefCell;
        struct Live<'a>(&'a RefCell<Vec<u8>>, u8);
        impl Read for Live<'_> {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                let line = b"$FLOW,,,8,,,,,*2A\n";
                let written = self.0.borrow().iter().filter(|b| **b == b'\n').count();
                assert_eq!(written, usize::from(self.1));
                self.1 += 1;
                if self.1 == 3 {
                    return Ok(0);
                }
                buf[..line.len()].copy_from_slice(line);
                Ok(line.len())
            }
        }
        struct Out<'a>(&'a RefCell<Vec<u8>>, Vec<u8>);
        impl Write for Out<'_> {
            fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
                self.1.extend_from_slice(buf);
                Ok(buf.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                self.0.borrow_mut().append(&mut self.1);
                Ok(())
            }
        }
        let shown = RefCell::new(Vec::new());
        let profile = Profile::builtin("rig-line").unwrap().unwrap();
        decode(&profile, Live(&shown, 0), Out(&shown, Vec::new())).unwrap();
        assert_eq!(shown.borrow().iter().filter(|b| **b == b'\n').count(), 3);
    }
}
