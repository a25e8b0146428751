//! `spraylog check`: every problem of the configuration, and if it is good, what it comes
//! to, in words for a technician. Opens no port and asks no server: that is `doctor`.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use crate::config::Source;
use crate::config::credentials::{Credentials, condition};
use crate::config::load::load_with;
use crate::config::shape::{size_text, time_text};
use crate::config::{Config, GpsSource, Loaded, Origin, Problem, Profiles, Severity, TrustSystem};

/// A subject, and what the configuration comes to in it.
type Line = (&'static str, String);

/// The configuration can be used.
pub const GOOD: u8 = 0;
/// EX_CONFIG of sysexits(3): it can't.
pub const BAD_CONFIG: u8 = 78;

/// Prints the problems or the summary to `out`, and returns the exit code. `profiles`
/// finds the meter's profile.
///
/// # Errors
/// If `out` can't be written to.
pub fn run(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
    profiles: Profiles<'_>,
    json: bool,
    out: &mut impl Write,
) -> io::Result<u8> {
    let env: Vec<_> = env.into_iter().collect();
    let credentials_dir =
        env.iter().find(|(name, _)| name == "CREDENTIALS_DIRECTORY").map(|(_, dir)| dir.clone());
    let (problems, summary) = match load_with(path, env, profiles) {
        Ok(loaded) => {
            let summary = summary(&loaded, credentials_dir.as_deref().map(Path::new));
            (loaded.warnings, Some(summary))
        }
        Err(problems) => (problems.0, None),
    };
    if json {
        writeln!(out, "{:#}", as_json(&problems, summary.as_deref()))?;
    } else {
        write_text(out, &problems, summary.as_deref())?;
    }
    Ok(if summary.is_some() { GOOD } else { BAD_CONFIG })
}

fn write_text(
    out: &mut impl Write,
    problems: &[Problem],
    summary: Option<&[Line]>,
) -> io::Result<()> {
    for problem in problems {
        writeln!(out, "{problem}")?;
    }
    let Some(summary) = summary else {
        let errors = problems.iter().filter(|p| p.severity == Severity::Error).count();
        let noun = if errors == 1 { "error" } else { "errors" };
        return writeln!(out, "\n{errors} {noun} to correct");
    };
    if !problems.is_empty() {
        writeln!(out)?;
    }
    summary.iter().try_for_each(|(what, how)| writeln!(out, "{what:<12} {how}"))
}

/// The same for programs; `summary` is null where the configuration can't be used.
fn as_json(problems: &[Problem], summary: Option<&[Line]>) -> Value {
    let problems = problems.iter().map(|problem| {
        json!({
            "severity": match problem.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "file": problem.file(),
            "line": problem.line(),
            "column": problem.column,
            "variable": match &problem.origin {
                Origin::Environment(name) => Some(name),
                Origin::File { .. } | Origin::Default => None,
            },
            "key": (!problem.key.is_empty()).then_some(&problem.key),
            "message": problem.message,
            "suggestion": problem.suggestion,
        })
    });
    let summary = summary
        .map(|lines| lines.iter().map(|(w, h)| (*w, h.as_str())).collect::<BTreeMap<_, _>>());
    json!({
        "good": summary.is_some(),
        "problems": problems.collect::<Vec<_>>(),
        "summary": summary,
    })
}

/// One line a subject.
fn summary(loaded: &Loaded, credentials_dir: Option<&Path>) -> Vec<Line> {
    let config = &loaded.config;
    let device = &config.device;
    let status = &config.status;
    vec![
        ("files", sources(loaded)),
        ("rig", format!("{}, times in {}", device.name, device.timezone)),
        ("meter", meter(config)),
        ("calibration", calibration(config)),
        ("counter", counter(config)),
        ("gps", gps(config)),
        ("clock", clock(config).to_string()),
        ("records", records(config)),
        ("job", job(config)),
        ("server", server(config)),
        ("sign-in", sign_in(config, credentials_dir)),
        ("data", data(config)),
        ("commands", format!("through {}", status.socket.display())),
        ("log", config.log.level.clone()),
    ]
}

fn sources(loaded: &Loaded) -> String {
    let names = loaded.sources.iter().map(|source| match source {
        Source::File(path) => path.display().to_string(),
        Source::Environment(names) => names.join(", "),
    });
    names.collect::<Vec<_>>().join(", ")
}

fn meter(config: &Config) -> String {
    let meter = &config.meter;
    let serial = match meter.serial_number.as_str() {
        "" => "serial number from the meter".to_string(),
        number => format!("serial number {number}"),
    };
    format!(
        "{} on {}, {} {}, {serial}",
        meter.profile,
        meter.port.display(),
        meter.baud,
        meter.framing
    )
}

fn calibration(config: &Config) -> String {
    let calibration = &config.meter.calibration;
    let points = match calibration.points.len() {
        0 => String::new(),
        n => format!(", by rate at {n} points"),
    };
    format!("{} counts a gallon{points}", calibration.factor)
}

fn counter(config: &Config) -> String {
    let counter = &config.meter.counter;
    format!(
        "starts again at {}; at most {} gallons a minute, at rest below {}",
        counter.modulus, counter.max_rate_gpm, counter.low_flow_gpm
    )
}

fn gps(config: &Config) -> String {
    let gps = &config.gps;
    match gps.source {
        GpsSource::Serial => {
            format!("{} at {}, HDOP {} at most", gps.port.display(), gps.baud, gps.max_hdop)
        }
        GpsSource::Gpsd => format!("gpsd at {}, HDOP {} at most", gps.gpsd, gps.max_hdop),
        GpsSource::Fixed => {
            gps.fixed.map_or("fixed".to_string(), |(lat, lon)| format!("fixed at {lat}, {lon}"))
        }
        GpsSource::None => "none: records are held until they are given a place".to_string(),
    }
}

fn clock(config: &Config) -> &'static str {
    match config.clock.trust_system {
        TrustSystem::Auto => "from the GPS, or the system once it is synchronised",
        TrustSystem::Always => "from the GPS, or the system from the start",
        TrustSystem::Never => "from the GPS alone",
    }
}

fn records(config: &Config) -> String {
    let record = &config.record;
    let idle = match record.idle_every.is_zero() {
        true => "none".to_string(),
        false => format!("every {}", time_text(record.idle_every)),
    };
    format!(
        "every {}, {} m or {} gallons in work; {idle} at rest",
        time_text(record.every),
        record.every_m,
        record.every_gal
    )
}

fn job(config: &Config) -> String {
    match config.job.job_id.as_str() {
        "" => "none fixed: records wait for `spraylog job use`".to_string(),
        job => format!("job {job}, event {}", config.job.event_id),
    }
}

fn server(config: &Config) -> String {
    let server = &config.jobcloser;
    format!(
        "{}, {} records or {} a batch at most",
        server.base_url,
        server.batch_records,
        size_text(server.batch_bytes)
    )
}

fn sign_in(config: &Config, credentials_dir: Option<&Path>) -> String {
    match Credentials::read(credentials_dir, &config.jobcloser) {
        Ok(Some(credentials)) => format!("as {}", credentials.email),
        Ok(None) => format!(
            "no credentials ({}: {}): records are kept and none are sent",
            config.jobcloser.email_file.display(),
            condition(&config.jobcloser.email_file)
        ),
        Err(err) => err.to_string(),
    }
}

fn data(config: &Config) -> String {
    format!("{}, where every record is kept", config.device.data_dir.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::MeterProfile;

    fn check(text: &str) -> (u8, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spraylog.toml");
        std::fs::write(&path, text).unwrap();
        let mut out = Vec::new();
        let code = run(Some(&path), [], &|_| Ok(None), false, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_good_configuration_is_summed_up_in_a_screenful() {
        let (code, text) = check(
            "[meter]\nport = '/dev/m'\nserial_number = 'A 1'\n[gps]\nsource = 'fixed'\nfixed = [32.6, -85.4]\n",
        );
        assert_eq!(code, GOOD);
        assert!(text.lines().count() <= 15, "{text}");
        assert!(text.contains("126.7 counts a gallon"), "{text}");
        assert!(text.contains("fixed at 32.6, -85.4"), "{text}");
    }

    #[test]
    fn every_problem_is_printed_and_the_code_is_that_of_sysexits() {
        let (code, text) = check("[meter]\nbauds = 1\nunit = 0\n");
        assert_eq!(code, BAD_CONFIG);
        assert!(
            text.contains("spraylog.toml:2: meter.bauds: unknown key; did you mean \"baud\"?"),
            "{text}"
        );
        assert!(text.contains("spraylog.toml:3: meter.unit: "), "{text}");
        assert!(text.contains("2 errors to correct"), "{text}");
    }

    #[test]
    fn a_meter_that_cannot_tell_its_serial_number_needs_one() {
        let mut out = Vec::new();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("spraylog.toml");
        std::fs::write(&path, "[meter]\nport = '/dev/m'\nprofile = 'tuf-2000m'\n").unwrap();
        let silent = MeterProfile { text: String::new(), tells_serial: false };
        let code = run(Some(&path), [], &|_| Ok(Some(silent.clone())), false, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(code, BAD_CONFIG);
        assert!(text.contains("spraylog.toml:3: meter.serial_number: "), "{text}");
    }
}
