//! `spraylog doctor`: looks at gpsd, where that is the source. With `--canary` it sends one
//! test record, and says what the server made of it: asks the daemon, or does it alone where
//! that is down. Other checks come later.

mod gpsd;

use std::io::{BufRead, IsTerminal, Write, stdin};

use clap::Args;
use serde_json::json;

use super::exit::{Exit, Failure};
use super::{ConfigFile, print_json};
use crate::config::{Config, GpsSource, valid};
use crate::control::Command;
use crate::control::client::{ClientError, ask};
use crate::drain::alone::test_alone;
use crate::learnt::{Came, Ended, Field, Order, Told};
use crate::reading::Place;
use gpsd::Grade;

/// Arguments of `spraylog doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Send one test record to JobCloser, read it back, delete it
    #[arg(long, requires_all = ["event", "job"])]
    canary: bool,
    /// Event id
    #[arg(long, value_name = "ID", requires = "canary")]
    event: Option<String>,
    /// Job id: one with few records, best one made for this
    #[arg(long, value_name = "ID", requires = "canary")]
    job: Option<String>,
    /// Where, in degrees; without it where the receiver has a fix now
    #[arg(long, requires = "canary", value_name = "LAT,LON", value_parser = place, allow_hyphen_values = true)]
    at: Option<Place>,
    /// Don't ask first
    #[arg(long)]
    yes: bool,
    /// As JSON
    #[arg(long)]
    json: bool,
}

/// Does it, and tells.
///
/// # Errors
/// Where neither the daemon nor the queue can be reached, or the operator says no.
pub fn run(args: &DoctorArgs, out: &mut impl Write) -> Result<Exit, Failure> {
    let config = args.file.load()?.config;
    if !args.canary {
        return look(&config, args.json, out);
    }
    let order = Order {
        event: args.event.clone().unwrap_or_default(),
        job: args.job.clone().unwrap_or_default(),
        at: args.at,
    };
    for (what, id) in [("--event", &order.event), ("--job", &order.job)] {
        if id.trim().is_empty() {
            return Err(Failure::say(Exit::USAGE, format!("{what} is empty")));
        }
        valid::id(id)
            .map_err(|refusal| Failure::say(Exit::USAGE, format!("{what} {}", refusal.message)))?;
    }
    if !args.yes && !agreed(&config, &order)? {
        return Err(Failure::say(Exit::USAGE, "nothing was sent"));
    }
    let told = ask_or_do(&config, order)?;
    if args.json {
        print_json(out, &json!(told))?;
    } else {
        out.write_all(text(&told).as_bytes()).map_err(Failure::output)?;
    }
    Ok(match (told.ended, told.left) {
        (Ended::ReadBack, false) => Exit::OK,
        _ => Exit::UNAVAILABLE,
    })
}

/// What can be looked at without a record.
fn look(config: &Config, json: bool, out: &mut impl Write) -> Result<Exit, Failure> {
    let gps = &config.gps;
    if gps.source != GpsSource::Gpsd {
        return Err(Failure::say(
            Exit::USAGE,
            "this version's doctor looks at gpsd, where gps.source is \"gpsd\", and at JobCloser \
             with --canary; `spraylog status` shows the ports",
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|err| Failure::new(Exit::IO, err))?;
    let found = runtime.block_on(gpsd::check(&gps.gpsd, gps.max_hdop));
    // A name that is still being looked up isn't waited for.
    runtime.shutdown_background();
    if json {
        print_json(out, &json!([found]))?;
    } else {
        let grade = match found.grade {
            Grade::Pass => "pass",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        };
        writeln!(out, "{grade}  {}", found.said).map_err(Failure::output)?;
    }
    Ok(if found.grade == Grade::Fail { Exit::UNAVAILABLE } else { Exit::OK })
}

/// A record appears at JobCloser, if only for a moment: somebody must want that.
fn agreed(config: &Config, order: &Order) -> Result<bool, Failure> {
    if !stdin().is_terminal() {
        return Err(Failure::say(
            Exit::USAGE,
            "this sends a test record to JobCloser; say --yes where nobody can be asked",
        ));
    }
    eprint!(
        "This stores a test record of 0 gallons at {}, in job {}, event {}, and deletes it \
         again. Go on? [y/N] ",
        config.jobcloser.base_url, order.job, order.event
    );
    let mut line = String::new();
    stdin().lock().read_line(&mut line).map_err(|err| Failure::new(Exit::IO, err))?;
    Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

fn ask_or_do(config: &Config, order: Order) -> Result<Told, Failure> {
    let command = Command::Canary { order };
    match ask(&command, config) {
        Ok(said) => serde_json::from_value(said).map_err(|err| Failure::new(Exit::SOFTWARE, err)),
        Err(ClientError::Down(_)) => {
            let Command::Canary { order } = command else {
                return Err(Failure::say(Exit::SOFTWARE, "not a test record"));
            };
            test_alone(config, &order).map_err(Failure::from)
        }
        Err(err) => Err(err.into()),
    }
}

/// `LAT,LON` in degrees; 0,0 is no place.
pub(super) fn place(text: &str) -> Result<Place, String> {
    let degrees = text.split_once(',').and_then(|(lat, lon)| {
        Some((lat.trim().parse::<f64>().ok()?, lon.trim().parse::<f64>().ok()?))
    });
    let place = degrees.and_then(|(lat, lon)| Place::from_degrees(lat, lon));
    match place {
        Some(Place { lat_e7: 0, lon_e7: 0 }) => Err("0,0 is no place".to_owned()),
        Some(place) => Ok(place),
        None => Err("two numbers of degrees, as in 33.5116331,-86.8965344".to_owned()),
    }
}

fn text(told: &Told) -> String {
    let grade = match (told.ended, told.left) {
        (Ended::ReadBack, false) => "pass",
        _ => "FAIL",
    };
    let mut lines = vec![format!("{grade}  {}", told.said)];
    lines.extend(told.fields.iter().map(field));
    if let Some(learnt) = &told.learnt {
        let yes = |is: Option<bool>| match is {
            Some(true) => "yes",
            Some(false) => "no",
            None => "not known",
        };
        lines.push(format!("  ids in the answer to a batch: {}", yes(Some(learnt.ids))));
        lines.push(format!("  dates: {}", word(&json!(learnt.dates))));
        lines.push(format!("  nulls: {}", word(&json!(learnt.nulls))));
        lines.push(format!("  lists of one event only: {}", yes(learnt.event_filter)));
        lines.push(format!("  lists of a job whole: {}", yes(learnt.by_job_alone)));
        lines.extend(learnt.remarks().into_iter().map(|remark| format!("warn  {remark}")));
    }
    lines.extend(told.remarks.iter().map(|remark| format!("warn  {remark}")));
    lines.join("\n") + "\n"
}

fn field(field: &Field) -> String {
    let name = &field.name;
    let got = field.got.as_ref().unwrap_or(&serde_json::Value::Null);
    match field.came {
        Came::Same => format!("  {name}: same"),
        Came::OtherForm => format!("  {name}: the same as {got}, sent as {}", field.sent),
        Came::Missing => format!("  {name}: doesn't come back"),
        Came::Cut => format!("  {name}: decimals cut, {} came back as {got}", field.sent),
        Came::Changed => format!("  {name}: CHANGED, {} came back as {got}", field.sent),
    }
}

fn word(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), |text| text.replace('_', " "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_two_numbers_on_the_globe_and_never_null_island() {
        assert_eq!(
            place("33.5116331, -86.8965344"),
            Ok(Place { lat_e7: 335_116_331, lon_e7: -868_965_344 })
        );
        for bad in ["0,0", "-0,0.00000001", "91,0", "1,181", "1", "1,2,3", "", "nan,1", "a,b"] {
            assert!(place(bad).is_err(), "{bad}");
        }
    }
}
