//! What can happen at a time, and how it is written: `t`, `do`, and what belongs to it.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::board_clock;
use crate::dice::Dice;
use crate::gps::Spoil;
use crate::jobcloser::{Behaviour, FaultOrder};

/// Something that happens.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// To the rig, the network or the agent.
    Turn(Turn),
    /// The server gets a fault for the calls to come.
    Fault(FaultOrder),
    /// Switches of the server that are turned over.
    Behaviour(Map<String, Value>),
}

/// Something that happens to the rig, the network or the agent.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Turn {
    /// Liquid flows from here on.
    StartSpraying {
        /// Gallons a minute.
        gpm: f64,
    },
    /// It stops.
    StopSpraying {},
    /// The rig drives straight on.
    Drive {
        /// Metres a second.
        speed_mps: f64,
        /// Degrees from north.
        heading: f64,
    },
    /// The rig drives from point to point and stops at the last.
    Follow {
        /// Latitude and longitude of each.
        points: Vec<[f64; 2]>,
        /// Metres a second.
        speed_mps: f64,
    },
    /// It stands.
    StopDriving {},
    /// The meter's cable is pulled.
    UnplugMeter {
        /// Whether it has power of its own and goes on counting.
        #[serde(default = "yes")]
        counting: bool,
    },
    /// It is put back.
    PlugMeter {},
    /// The receiver's cable is pulled.
    UnplugGps {},
    /// It is put back.
    PlugGps {},
    /// The next lines come out spoilt.
    Noise {
        /// So many.
        lines: u32,
    },
    /// The next line shows too high a count, with a right checksum.
    Glitch {
        /// By so much.
        counts: u64,
    },
    /// The meter starts again from 0.
    RestartMeter {},
    /// The receiver loses the sky.
    LoseFix {
        /// And its time with it.
        #[serde(default)]
        blind: bool,
        /// And hangs: it tells its last epoch over and over.
        #[serde(default)]
        frozen: bool,
    },
    /// The receiver says what isn't so.
    SpoilFix {
        /// In which way.
        how: Spoil,
    },
    /// It finds the fix again, and is honest again.
    RegainFix {},
    /// No connection to the server.
    CutNetwork {},
    /// The connection is back.
    RestoreNetwork {},
    /// The server's faults are over.
    ClearFaults {},
    /// The server forgets all sessions.
    EndSessions {},
    /// SIGKILL.
    KillAgent {},
    /// The agent is started.
    StartAgent {},
    /// SIGTERM, and a wait until it has ended.
    StopAgent {},
    /// SIGHUP.
    ReloadAgent {},
    /// The board's clock is set, or steps.
    SetClock {
        /// To this time (RFC 3339, or `now` for what is so).
        to: Option<String>,
        /// Forward by so many seconds, back where negative.
        by_s: Option<f64>,
        /// Whether the kernel calls it synchronised from here on.
        synchronised: Option<bool>,
    },
    /// The key is turned off and on: the agent dies, and another boot begins.
    TurnKey {
        /// What the board's clock says then, as for `set_clock`; as before where it isn't told.
        clock: Option<String>,
        /// Seconds without power.
        #[serde(default = "half_a_second")]
        off_s: f64,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KillOften {
    times: u32,
    over_s: f64,
    #[serde(default = "half_a_second")]
    down_s: f64,
}

impl Turn {
    /// Whether it needs a board whose clocks can be moved.
    pub fn moves_the_clock(&self) -> bool {
        matches!(self, Self::SetClock { .. } | Self::TurnKey { .. })
    }

    /// Whether it concerns the rig alone, and neither server nor agent.
    pub fn is_the_rigs(&self) -> bool {
        !matches!(
            self,
            Self::CutNetwork {}
                | Self::RestoreNetwork {}
                | Self::ClearFaults {}
                | Self::EndSessions {}
                | Self::KillAgent {}
                | Self::StartAgent {}
                | Self::StopAgent {}
                | Self::ReloadAgent {}
                | Self::SetClock { .. }
                | Self::TurnKey { .. }
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(Turn::StartSpraying { gpm }) => write!(f, "start spraying {gpm} gpm"),
            Self::Turn(Turn::Drive { speed_mps, .. }) => write!(f, "drive {speed_mps} m/s"),
            Self::Turn(turn) => f.write_str(&words(&format!("{turn:?}"))),
            Self::Fault(order) => {
                let fault = serde_json::to_value(order).unwrap_or_default();
                let name = fault.get("fault").and_then(Value::as_str).unwrap_or("fault");
                write!(f, "server: {}", name.replace('_', " "))
            }
            Self::Behaviour(changes) => {
                let names: Vec<&str> = changes.keys().map(String::as_str).collect();
                write!(f, "server: {}", names.join(", ").replace('_', " "))
            }
        }
    }
}

/// `UnplugMeter { counting: true }` as "unplug meter".
fn words(debug: &str) -> String {
    let name = debug.split(' ').next().unwrap_or_default();
    let mut out = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push(' ');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}

/// Reads one `[[at]]`: an event, or many for `kill_often`.
pub(super) fn read(
    table: &toml::Table,
    seed: u64,
    duration_s: f64,
) -> Result<Vec<(f64, Event)>, String> {
    let mut rest = table.clone();
    let t = match rest.remove("t") {
        Some(toml::Value::Float(t)) => t,
        Some(toml::Value::Integer(t)) => t as f64,
        Some(_) => return Err("t is no number of seconds".into()),
        None => return Err("t is missing: when does it happen?".into()),
    };
    if !(0.0..=duration_s).contains(&t) {
        return Err(format!("t = {t} is outside the {duration_s} s of the scenario"));
    }
    let kind = rest.get("do").and_then(toml::Value::as_str).map(str::to_owned);
    let Some(kind) = kind else {
        return Err("do is missing: what happens?".into());
    };
    let said = |what: String| format!("{kind} at t = {t}: {}", what.trim().replace('\n', " "));
    match kind.as_str() {
        "fault" => fault(rest).map(|order| vec![(t, Event::Fault(order))]),
        "behaviour" => behaviour(rest).map(|changes| vec![(t, Event::Behaviour(changes))]),
        "kill_often" => kill_often(rest, t, seed, duration_s),
        "rollover" => Err("a meter can't be made to roll over in mid-job: \
            set meter.start_count just below meter.modulus"
            .into()),
        _ => turn(rest).map(|turn| vec![(t, Event::Turn(turn))]),
    }
    .map_err(said)
}

fn turn(rest: toml::Table) -> Result<Turn, String> {
    let turn: Turn = toml::Value::Table(rest).try_into().map_err(|err| text(&err))?;
    let among = |name: &str, value: f64, most: f64| {
        let fine = (0.0..=most).contains(&value);
        if fine { Ok(()) } else { Err(format!("{name} = {value} is not in 0 to {most}")) }
    };
    match &turn {
        Turn::StartSpraying { gpm } => among("gpm", *gpm, 1000.0)?,
        Turn::Drive { speed_mps, heading } => {
            among("speed_mps", *speed_mps, 50.0)?;
            among("heading", *heading, 360.0)?;
        }
        Turn::Follow { speed_mps, .. } => among("speed_mps", *speed_mps, 50.0)?,
        Turn::SetClock { to: None, by_s: None, synchronised: None } => {
            return Err("to, by_s or synchronised is missing: what is set?".into());
        }
        Turn::SetClock { to: Some(time), .. } => board_clock::instant(time).map(drop)?,
        Turn::TurnKey { clock, off_s } => {
            among("off_s", *off_s, 3600.0)?;
            clock.as_deref().map_or(Ok(0), board_clock::instant)?;
        }
        _ => {}
    }
    Ok(turn)
}

fn fault(mut rest: toml::Table) -> Result<FaultOrder, String> {
    rest.remove("do");
    let given: Vec<String> = rest.keys().cloned().collect();
    let order: FaultOrder = toml::Value::Table(rest).try_into().map_err(|err| text(&err))?;
    // An order doesn't refuse keys it hasn't got; written again, it shows which it has.
    let has = serde_json::to_value(&order).map_err(|err| err.to_string())?;
    match given.iter().find(|key| has.get(key.as_str()).is_none()) {
        Some(key) => Err(format!("unknown key `{key}`")),
        None => Ok(order),
    }
}

fn behaviour(mut rest: toml::Table) -> Result<Map<String, Value>, String> {
    rest.remove("do");
    let changes = serde_json::to_value(&rest).map_err(|err| err.to_string())?;
    let changes = changes.as_object().cloned().unwrap_or_default();
    let checked = Behaviour::default().with(&changes);
    checked.map(|_| changes).map_err(|err| err.to_string())
}

/// So many deaths at thrown moments, each with a start after it.
fn kill_often(
    mut rest: toml::Table,
    t: f64,
    seed: u64,
    duration_s: f64,
) -> Result<Vec<(f64, Event)>, String> {
    rest.remove("do");
    let often: KillOften = toml::Value::Table(rest).try_into().map_err(|err| text(&err))?;
    let share = often.over_s / f64::from(often.times.max(1));
    let (times, down) = (often.times, often.down_s);
    if t + often.over_s > duration_s || times == 0 || !(share > down + 0.1 && down >= 0.0) {
        return Err(format!("{times} times in {} s, {down} s each, don't fit", often.over_s));
    }
    let mut dice = Dice::for_purpose(seed, "kill");
    let mut events = Vec::new();
    for nth in 0..times {
        let spare_ms = ((share - down) * 1000.0) as u64;
        let at = t + f64::from(nth) * share + dice.below(spare_ms) as f64 / 1000.0;
        events.push((at, Event::Turn(Turn::KillAgent {})));
        events.push((at + down, Event::Turn(Turn::StartAgent {})));
    }
    Ok(events)
}

fn text(err: &toml::de::Error) -> String {
    err.message().to_owned()
}

fn half_a_second() -> f64 {
    0.5
}

fn yes() -> bool {
    true
}
