//! The agent's `spraylog.toml`, by the names of its interface, and what the judge must
//! know of it. Knows no file and no process.

use std::path::Path;

use toml::{Table, Value};

use crate::gps::Spot;
use crate::judge::Rules;
use crate::meter::MeterSetup;

/// The event that simulated readings belong to: the page's example.
pub const EVENT_ID: &str = "5739034294cb31984da90d447dae11";

/// The job that simulated readings belong to: the page's example.
pub const JOB_ID: &str = "49992697792b29c083a546475c8478";

/// Where the agent finds the rig and the server.
#[derive(Debug, Clone, Copy)]
pub struct AgentPorts<'a> {
    /// What to open for the meter.
    pub meter: &'a Path,
    /// What to open for the receiver.
    pub gps: &'a Path,
    /// Where the server is.
    pub base_url: &'a str,
    /// The server's own root certificate, where it has one.
    pub ca_file: Option<&'a Path>,
}

/// A configuration for an agent that lives in `dir`, with `extra` merged in.
pub fn config(dir: &Path, ports: AgentPorts<'_>, meter: &MeterSetup, extra: &Table) -> Table {
    let text = |value: &str| Value::String(value.to_owned());
    let path = |name: &str| text(&dir.join(name).to_string_lossy());
    let table = |keys: &[(&str, Value)]| {
        Value::Table(keys.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect())
    };
    let port = |path: &Path| text(&path.to_string_lossy());
    let ca_file = ports.ca_file.map_or(text(""), port);
    let modulus = Value::Integer(i64::try_from(meter.modulus).unwrap_or(i64::MAX));
    let calibration = table(&[("factor", Value::Float(meter.k))]);
    let counter = table(&[("modulus", modulus)]);
    let mut meter_keys = Table::from_iter([
        ("profile".to_owned(), text(meter.kind.name())),
        ("port".to_owned(), port(ports.meter)),
        ("calibration".to_owned(), calibration),
        ("counter".to_owned(), counter),
    ]);
    if !meter.kind.tells_serial() {
        meter_keys.insert("serial_number".to_owned(), text(&meter.serial));
    }
    if meter.kind.is_modbus() {
        meter_keys.insert("unit".to_owned(), Value::Integer(meter.unit.into()));
    }
    let mut config = Table::new();
    for (section, keys) in [
        (
            "device",
            table(&[
                ("name", text("bench")),
                ("timezone", text("America/Chicago")),
                ("data_dir", path("data")),
            ]),
        ),
        (
            "jobcloser",
            table(&[
                ("base_url", text(ports.base_url)),
                ("email_file", path("credentials/email")),
                ("password_file", path("credentials/password")),
                ("settle_after", text("2s")),
                ("ca_file", ca_file),
            ]),
        ),
        ("job", table(&[("event_id", text(EVENT_ID)), ("job_id", text(JOB_ID))])),
        ("meter", Value::Table(meter_keys)),
        ("gps", table(&[("source", text("serial")), ("port", port(ports.gps))])),
        ("status", table(&[("listen", text("")), ("socket", path("control.sock"))])),
    ] {
        config.insert(section.to_owned(), keys);
    }
    merge(&mut config, extra);
    config
}

/// Puts `extra` over `base`, table by table.
pub fn merge(base: &mut Table, extra: &Table) {
    for (key, value) in extra {
        match (base.get_mut(key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            _ => {
                base.insert(key.clone(), value.clone());
            }
        }
    }
}

/// What the judge must know of a configuration; what it doesn't say is the default.
pub fn rules(config: &Table) -> Rules {
    let at = |path: &[&str]| -> Option<&Value> {
        let (last, sections) = path.split_last()?;
        let table = sections.iter().try_fold(config, |table, key| table.get(*key)?.as_table())?;
        table.get(*last)
    };
    let number = |path: &[&str]| at(path).and_then(as_number);
    let time = |path: &[&str]| at(path).and_then(Value::as_str).and_then(seconds);
    let default = Rules::default();
    let stand_in = ["fluid_f", "ambient_f", "battery_percent", "runtime_min"];
    Rules {
        k: number(&["meter", "calibration", "factor"]).unwrap_or(default.k),
        every_s: time(&["record", "every"]).unwrap_or(default.every_s),
        every_gal: number(&["record", "every_gal"]).unwrap_or(default.every_gal),
        low_flow_gpm: number(&["meter", "counter", "low_flow_gpm"]).unwrap_or(default.low_flow_gpm),
        stale_s: time(&["gps", "stale_after"]).unwrap_or(default.stale_s),
        max_count: at(&["jobcloser", "max_count"])
            .and_then(Value::as_integer)
            .unwrap_or(default.max_count),
        stand_in: stand_in.map(|key| number(&["record", "stand_in", key])),
        curve: at(&["meter", "battery", "curve"]).map(points).unwrap_or_default(),
        fixed: at(&["gps", "source"]).filter(|source| source.as_str() == Some("fixed")).and_then(
            |_| match at(&["gps", "fixed"])?.as_array()?.as_slice() {
                [lat, lon] => Some(Spot { lat: as_number(lat)?, lon: as_number(lon)? }),
                _ => None,
            },
        ),
    }
}

fn as_number(value: &Value) -> Option<f64> {
    value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64))
}

/// Pairs of numbers; nothing of what is none.
fn points(value: &Value) -> Vec<[f64; 2]> {
    let pair = |value: &Value| match value.as_array()?.as_slice() {
        [a, b] => Some([as_number(a)?, as_number(b)?]),
        _ => None,
    };
    value.as_array().into_iter().flatten().filter_map(pair).collect()
}

/// `500ms`, `5s`, `2m`, `1h` in seconds.
fn seconds(text: &str) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim() {
        "ms" => 0.001,
        "s" | "sec" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|value| value * factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Kind;

    #[test]
    fn what_a_scenario_says_goes_over_the_bench_and_the_judge_knows_it() {
        let ports = AgentPorts {
            meter: Path::new("/b/meter"),
            gps: Path::new("/b/gps"),
            base_url: "http://127.0.0.1:1",
            ca_file: None,
        };
        let extra: Table = "[record]\nevery = \"500ms\"\n[meter.counter]\nlow_flow_gpm = 1\n\
             [jobcloser]\nsettle_after = \"9s\"\n[record.stand_in]\nfluid_f = 70"
            .parse()
            .unwrap();
        let config = config(Path::new("/b"), ports, &MeterSetup::default(), &extra);
        assert_eq!(config["jobcloser"]["settle_after"].as_str(), Some("9s"));
        assert_eq!(config["jobcloser"]["base_url"].as_str(), Some("http://127.0.0.1:1"));
        assert_eq!(config["meter"]["counter"]["modulus"].as_integer(), Some(1 << 32));
        assert_eq!(config["status"]["socket"].as_str(), Some("/b/control.sock"));
        let rules = rules(&config);
        assert_eq!((rules.every_s, rules.low_flow_gpm, rules.k), (0.5, 1.0, 126.7));
        assert_eq!(rules.stand_in, [Some(70.0), None, None, None]);
        assert_eq!(rules.stale_s, 3.0);
    }

    #[test]
    fn a_meter_that_is_asked_is_configured_by_its_profile_unit_and_serial_number() {
        let here = Path::new("/b");
        let ports = AgentPorts { meter: here, gps: here, base_url: "", ca_file: None };
        let setup = MeterSetup { kind: Kind::Tuf2000m, unit: 7, ..MeterSetup::default() };
        let extra = "[meter.battery]\ncurve = [[11.8, 0], [12.7, 100]]".parse().unwrap();
        let config = config(here, ports, &setup, &extra);
        assert_eq!(config["meter"]["profile"].as_str(), Some("tuf-2000m"));
        assert_eq!(config["meter"]["unit"].as_integer(), Some(7));
        assert_eq!(config["meter"]["serial_number"].as_str(), Some("AF23265"));
        assert_eq!(rules(&config).curve, [[11.8, 0.0], [12.7, 100.0]]);
    }

    #[test]
    fn the_judge_knows_a_configured_place_only_where_it_is_the_source() {
        let fixed = |source: &str| {
            rules(&format!("[gps]\nsource = '{source}'\nfixed = [32.6, -85]").parse().unwrap())
                .fixed
        };
        assert_eq!(fixed("fixed"), Some(Spot { lat: 32.6, lon: -85.0 }));
        assert_eq!(fixed("serial"), None);
    }
}
