//! Scenarios: a TOML timeline of what happens to the rig, the server and the agent. All
//! of it is checked before anything starts, so that a misspelt key ends a run before it
//! begins. Knows neither port nor process.
//!
//! ```toml
//! name = "outage"
//! duration_s = 40
//!
//! [meter]
//! k = 126.7
//!
//! [agent.jobcloser]          # merged into the agent's spraylog.toml
//! settle_after = "2s"
//!
//! [clock]                    # the board's, for an agent that was built for tests
//! wall = "1970-01-01T00:00:10Z"
//!
//! [[at]]
//! t = 5
//! do = "start_spraying"
//! gpm = 2.0
//! ```

mod event;
#[cfg(test)]
mod tests;
mod turn;

pub use event::Event;
pub use turn::Turn;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::board_clock;
use crate::gps::Spot;
use crate::jobcloser::Behaviour;
use crate::meter::{Kind, MeterSetup, Order, Sensors};
use crate::recording::{Recording, RecordingError};
use crate::rig::GpsSetup;

/// The address of an ADAM-4080 in its manual's examples.
const ADAM_ADDRESS: u8 = 0x12;

/// Why a scenario can't be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// A file can't be read.
    #[error("can't read {}", path.display())]
    Read {
        /// The scenario or its recording.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It isn't TOML, a key is unknown, or a value makes no sense.
    #[error("{}: {what}", path.display())]
    Value {
        /// The scenario.
        path: PathBuf,
        /// Which and why, with its line where there is one.
        what: String,
    },
    /// Its recording can't be replayed.
    #[error("can't replay {}", path.display())]
    Recording {
        /// The recording.
        path: PathBuf,
        /// Why.
        source: RecordingError,
    },
}

/// A scenario, checked.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// Its name.
    pub name: String,
    /// Of everything that is thrown.
    pub seed: u64,
    /// How long the timeline is, in seconds.
    pub duration_s: f64,
    /// How long the agent may take after it to deliver what is left, in seconds.
    pub drain_s: f64,
    /// Whether the agent runs from the beginning.
    pub agent_at_start: bool,
    /// The meter.
    pub meter: MeterSetup,
    /// The receiver.
    pub gps: GpsSetup,
    /// Merged into the agent's configuration.
    pub agent: toml::Table,
    /// The board's clocks, where they aren't this machine's.
    pub clock: Option<BoardSetup>,
    /// The server's switches at first.
    pub server: Behaviour,
    /// What happens when, in order: seconds since the start, and the event.
    pub events: Vec<(f64, Event)>,
}

/// The board's clocks when it is switched on.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct BoardSetup {
    /// What its wall clock says, in unix milliseconds; what is so where it isn't told.
    pub wall_ms: Option<i64>,
    /// Whether the kernel calls it synchronised.
    pub synchronised: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: String,
    #[serde(default = "one")]
    seed: u64,
    duration_s: f64,
    #[serde(default = "half_a_minute")]
    drain_s: f64,
    #[serde(default = "yes")]
    agent_at_start: bool,
    #[serde(default)]
    meter: WrittenMeter,
    #[serde(default)]
    gps: WrittenGps,
    #[serde(default)]
    agent: toml::Table,
    clock: Option<WrittenClock>,
    #[serde(default)]
    server: Behaviour,
    #[serde(default)]
    at: Vec<toml::Spanned<toml::Table>>,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenMeter {
    kind: Kind,
    serial: String,
    k: Option<f64>,
    lines_per_s: f64,
    modulus: Option<u64>,
    start_count: u64,
    missing: Vec<Sensor>,
    unit: Option<u8>,
    order: Option<Order>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Sensor {
    Fluid,
    Ambient,
    Battery,
    Runtime,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct WrittenGps {
    start: Option<[f64; 2]>,
    hz: Option<u32>,
    recording: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenClock {
    wall: Option<String>,
    #[serde(default)]
    synchronised: bool,
}

impl Scenario {
    /// Reads a scenario and the recording it names, which is looked for beside it.
    ///
    /// # Errors
    /// Where a file can't be read, a key is unknown or a value makes no sense.
    pub fn load(path: &Path) -> Result<Self, ScenarioError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ScenarioError::Read { path: path.to_owned(), source })?;
        Self::read(&text, path)
    }

    /// Reads a scenario's text; `path` is for errors and for its recording.
    ///
    /// # Errors
    /// As [`Scenario::load`].
    pub fn read(text: &str, path: &Path) -> Result<Self, ScenarioError> {
        let bad = |what: String| ScenarioError::Value { path: path.to_owned(), what };
        let line_at = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
        let written: Written = toml::from_str(text).map_err(|err| {
            let line = err.span().map_or(1, |span| line_at(span.start));
            bad(format!("line {line}: {}", err.message().replace('\n', " ")))
        })?;
        written.check().map_err(bad)?;
        let mut events = Vec::new();
        for table in &written.at {
            let line = line_at(table.span().start);
            let read = event::read(table.get_ref(), written.seed, written.duration_s);
            let read = read.and_then(|read| fitting(read, written.meter.kind));
            events.extend(read.map_err(|what| bad(format!("line {line}: {what}")))?);
        }
        events.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        let clock = written.clock.map(WrittenClock::setup).transpose().map_err(bad)?;
        let moved = |(_, event): &(f64, Event)| matches!(event, Event::Turn(turn) if turn.moves_the_clock());
        if clock.is_none() && events.iter().any(moved) {
            return Err(bad("the board's clock is moved: it needs a [clock] section".into()));
        }
        let start = written.gps.start.map(|[lat, lon]| Spot { lat, lon });
        let default = GpsSetup::default();
        Ok(Self {
            name: written.name,
            seed: written.seed,
            duration_s: written.duration_s,
            drain_s: written.drain_s,
            agent_at_start: written.agent_at_start,
            meter: written.meter.setup(),
            gps: GpsSetup {
                start: start.unwrap_or(default.start),
                hz: written.gps.hz.unwrap_or(default.hz),
                recording: written.gps.recording.map(|file| recording(path, &file)).transpose()?,
            },
            agent: written.agent,
            clock,
            server: written.server,
            events,
        })
    }
}

impl Written {
    fn check(&self) -> Result<(), String> {
        let Self { meter, gps, .. } = self;
        let among = |name: &str, value: f64, least: f64, most: f64| {
            if value.is_finite() && (least..=most).contains(&value) {
                Ok(())
            } else {
                Err(format!("{name} = {value} is not in {least} to {most}"))
            }
        };
        among("duration_s", self.duration_s, 1.0, 86_400.0)?;
        among("drain_s", self.drain_s, 0.0, 3_600.0)?;
        if let (Some(k), Some(_)) = (meter.k, meter.kind.steps_a_gallon()) {
            let kind = meter.kind.name();
            return Err(format!("meter.k = {k}: a {kind} shows a volume, in steps of its own"));
        }
        let MeterSetup { k, modulus, .. } = meter.setup();
        among("meter.k", k, 0.001, 1e6)?;
        among("meter.lines_per_s", meter.lines_per_s, 0.1, 10.0)?;
        among("meter.modulus", modulus as f64, 2.0, 1e18)?;
        among("meter.unit", f64::from(meter.unit.unwrap_or(1)), 1.0, 247.0)?;
        if meter.order.is_some() && !meter.kind.is_modbus() {
            return Err(format!("meter.order: a {} has no registers", meter.kind.name()));
        }
        among("gps.hz", f64::from(gps.hz.unwrap_or(1)), 1.0, 10.0)?;
        if let Some([lat, lon]) = gps.start {
            among("gps.start latitude", lat, -89.0, 89.0)?;
            among("gps.start longitude", lon, -180.0, 180.0)?;
        }
        let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ',' | '*' | '$');
        if meter.serial.is_empty() || !meter.serial.chars().all(plain) {
            return Err(format!("meter.serial = {:?} can't stand in a line", meter.serial));
        }
        Ok(())
    }
}

impl WrittenClock {
    fn setup(self) -> Result<BoardSetup, String> {
        let wall_ms = self.wall.as_deref().map(board_clock::instant).transpose()?;
        Ok(BoardSetup { wall_ms, synchronised: self.synchronised })
    }
}

impl WrittenMeter {
    fn setup(&self) -> MeterSetup {
        let default = MeterSetup::default();
        let kind = self.kind;
        let unit = if kind == Kind::Adam4080 { ADAM_ADDRESS } else { default.unit };
        let all = Sensors::default();
        let unless = |sensor, value: Option<f64>| match self.missing.contains(&sensor) {
            true => None,
            false => value,
        };
        MeterSetup {
            sensors: Sensors {
                fluid_f: unless(Sensor::Fluid, all.fluid_f),
                ambient_f: unless(Sensor::Ambient, all.ambient_f),
                battery_percent: unless(Sensor::Battery, all.battery_percent),
                runtime_min: unless(Sensor::Runtime, all.runtime_min),
                battery_volts: unless(Sensor::Battery, all.battery_volts),
            },
            kind,
            serial: self.serial.clone(),
            k: self.k.or(kind.steps_a_gallon()).unwrap_or(default.k),
            lines_per_s: self.lines_per_s,
            modulus: self.modulus.unwrap_or(kind.modulus()),
            start_count: self.start_count,
            unit: self.unit.unwrap_or(unit),
            order: self.order,
        }
    }
}

impl Default for WrittenMeter {
    fn default() -> Self {
        let MeterSetup { kind, serial, lines_per_s, start_count, .. } = MeterSetup::default();
        Self {
            kind,
            serial,
            k: None,
            lines_per_s,
            modulus: None,
            start_count,
            missing: Vec::new(),
            unit: None,
            order: None,
        }
    }
}

/// Events, if the meter can have the faults among them.
fn fitting(events: Vec<(f64, Event)>, kind: Kind) -> Result<Vec<(f64, Event)>, String> {
    let mut faults = events.iter().filter_map(|(_, event)| match event {
        Event::Turn(turn) => turn.meter_fault(),
        _ => None,
    });
    faults.try_for_each(|fault| fault.fits(kind))?;
    Ok(events)
}

fn recording(scenario: &Path, file: &Path) -> Result<Recording, ScenarioError> {
    let path = scenario.parent().unwrap_or(Path::new(".")).join(file);
    let bytes = std::fs::read(&path)
        .map_err(|source| ScenarioError::Read { path: path.clone(), source })?;
    Recording::read(&bytes).map_err(|source| ScenarioError::Recording { path, source })
}

fn one() -> u64 {
    1
}

fn half_a_minute() -> f64 {
    30.0
}

fn yes() -> bool {
    true
}
