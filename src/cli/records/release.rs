//! `spraylog records release`: what only a person can still tell of held readings, when
//! their boot began, or where they were.

use std::io::Write;

use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;

use super::{Which, print_json};
use crate::cli::doctor::place;
use crate::cli::exit::{Exit, Failure};
use crate::clock::UtcMs;
use crate::config::Config;
use crate::control::Command;
use crate::control::client::ask_or_act;
use crate::reading::Place;

/// Arguments of `spraylog records release`.
#[derive(Debug, Args)]
pub(super) struct Release {
    #[command(flatten)]
    pub which: Which,
    /// When the boot began, with its offset or in the rig's zone (2026-11-24T17:03)
    #[arg(long, value_name = "TIME", requires = "boot")]
    #[arg(conflicts_with_all = ["at", "from", "to", "seq"])]
    pub start: Option<String>,
    /// Where they were recorded, in degrees
    #[arg(long, value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true)]
    pub at: Option<Place>,
}

impl Release {
    /// What the parser can't tell.
    pub(super) fn problem(&self) -> Option<&'static str> {
        match (&self.start, self.at) {
            (None, None) => Some("say what: --boot N --start TIME, or --at LAT,LON"),
            (None, Some(_)) if self.which.is_all() => {
                Some("say which: --from, --to, --boot or --seq")
            }
            _ => None,
        }
    }
}

/// Tells the daemon, or the queue where that is down.
pub(super) fn run(
    asked: &Release,
    config: &Config,
    json: bool,
    out: &mut impl Write,
) -> Result<Exit, Failure> {
    let command = command(asked, &config.device.timezone)?;
    let said = ask_or_act(&command, config)?;
    if json {
        print_json(out, &said)?;
    } else {
        writeln!(out, "{}", text(&command, &said)).map_err(Failure::output)?;
    }
    Ok(Exit::OK)
}

fn command(asked: &Release, zone: &str) -> Result<Command, Failure> {
    match (&asked.start, asked.which.boot, asked.at) {
        (Some(start), Some(boot), _) => {
            let start = start_time(start, zone).map_err(|why| Failure::say(Exit::USAGE, why))?;
            Ok(Command::RecordsRelease { boot, start })
        }
        (_, _, Some(place)) => Ok(Command::RecordsPlace { which: asked.which.selector(), place }),
        _ => Err(Failure::say(Exit::USAGE, "say what: --boot N --start TIME, or --at LAT,LON")),
    }
}

fn text(command: &Command, said: &Value) -> String {
    let word = |key: &str| said[key].as_str().unwrap_or("-").to_owned();
    let readings = &said["readings"];
    match command {
        Command::RecordsRelease { boot, .. } => {
            format!("boot {boot}: {readings} readings, from {} to {}", word("first"), word("last"))
        }
        _ => match said["left"].as_u64() {
            Some(left @ 1..) => {
                format!("{readings} readings have this place; {left} others stay as they are")
            }
            _ => format!("{readings} readings have this place"),
        },
    }
}

/// A time with its offset, or one that the rig's zone has once.
fn start_time(text: &str, zone: &str) -> Result<UtcMs, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(UtcMs(time.as_millisecond()));
    }
    let how = "write the time as 2026-11-24T17:03 in the rig's zone, or with its offset, \
               2026-11-24T17:03:00-06:00";
    let local: DateTime = text.parse().map_err(|_| how.to_owned())?;
    let known = TimeZone::get(zone).map_err(|_| format!("device.timezone {zone} is no zone"))?;
    let time = known.to_ambiguous_timestamp(local).unambiguous().map_err(|_| {
        format!("{local} is there twice or never in {zone}: give it with its offset")
    })?;
    Ok(UtcMs(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHICAGO: &str = "America/Chicago";

    #[test]
    fn a_start_is_told_with_its_offset_or_in_the_rigs_zone() {
        for text in ["2027-05-02T10:16:00Z", "2027-05-02T05:16:00-05:00", "2027-05-02T05:16"] {
            assert_eq!(start_time(text, CHICAGO), Ok(UtcMs(1_809_252_960_000)), "{text}");
        }
        assert!(start_time("yesterday", CHICAGO).is_err());
    }

    #[test]
    fn an_hour_that_comes_twice_or_never_needs_its_offset() {
        for text in ["2026-11-01T01:30", "2027-03-14T02:30"] {
            assert!(start_time(text, CHICAGO).unwrap_err().contains("with its offset"), "{text}");
        }
        let folds = ["2026-11-01T01:30:00-05:00", "2026-11-01T01:30:00-06:00"];
        let [first, second] = folds.map(|text| start_time(text, CHICAGO).unwrap().0);
        assert_eq!(second - first, 3_600_000);
    }
}
