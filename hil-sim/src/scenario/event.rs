//! What can happen at a time, and how it is written: `t`, `do`, and what belongs to it.

use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::turn::{Turn, half_a_second};
use crate::board_clock;
use crate::dice::Dice;
use crate::jobcloser::{Behaviour, FaultOrder};
use crate::meter::FaultKind;

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KillOften {
    times: u32,
    over_s: f64,
    #[serde(default = "half_a_second")]
    down_s: f64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Turn(Turn::MeterFault { fault, .. }) => {
                write!(f, "meter: {}", words(&format!("{fault:?}")))
            }
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
        Turn::MeterFault { fault, times, after_ms, code, .. } => {
            among("times", f64::from(*times), 10_000.0)?;
            for (given, belongs, name) in [
                (after_ms.is_some(), FaultKind::Late, "after_ms"),
                (code.is_some(), FaultKind::Exception, "code"),
            ] {
                if given && *fault != belongs {
                    return Err(format!("{name} belongs to {belongs:?} alone"));
                }
            }
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
