//! What was read, by role, to a sample: the one place where scale, unit and resolution are
//! applied and where a value that can't be is told from one that can. Pure; knows no bytes
//! and no registers, so that every way of speaking ends here, and judges no count
//! ([`super::counter`] does).
//!
//! A value that can't be (a battery at 180 %, a word where a number belongs) is a broken
//! sensor: no value, and counted. It must not cost the count beside it, which has a judge
//! of its own. A count or an identity that can't be is no sample.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::profile::{CountsFrom, Profile, Role};
use crate::reading::Sample;

/// The longest word that a meter has for its state, in characters.
const STATUS_CHARS: usize = 32;
/// The longest serial number, in characters.
const SERIAL_CHARS: usize = 32;
/// Gallons a minute; the largest fire pumps move 6,000.
const RATE_GPM: RangeInclusive<f64> = 0.0..=100_000.0;
/// °F; no spray liquid is outside it.
const TEMPERATURE_F: RangeInclusive<f64> = -100.0..=300.0;
/// Percent.
const BATTERY_PERCENT: RangeInclusive<f64> = 0.0..=100.0;
/// Volts; no battery of a meter has more.
const BATTERY_VOLTS: RangeInclusive<f64> = 0.0..=100.0;
/// Minutes; ten years.
const RUN_TIME_MIN: RangeInclusive<f64> = 0.0..=5_260_000.0;
/// From here on a float skips whole numbers.
const MOST_COUNTS: f64 = 9_007_199_254_740_992.0;

/// What stands where a role's value belongs.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// A whole number from 0.
    Integer(u64),
    /// Any other number, and by how many decimal places another register moves its point
    /// (0 where none does).
    Number(f64, u8),
    /// Text.
    Text(String),
    /// Neither.
    Unreadable,
}

/// What was read of one message or of one round of questions. A role that has no value (an
/// empty column, no such sensor, a question that wasn't answered) isn't in it.
pub type Values = BTreeMap<Role, Value>;

/// Why values are no sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// No count, or none that is a number, or an identity that is no text.
    Malformed,
    /// A count or an identity that can't be.
    OutOfRange,
}

/// The sample in these values, and how many of its sensors' values can't be. A meter that
/// gives only a rate has 0 for its count: what integrates the rate knows the time.
///
/// # Errors
/// Where there is no count, or one that can't be.
pub fn sample(profile: &Profile, values: &Values) -> Result<(Sample, u64), Fault> {
    let read = Read { profile, values };
    let mut bad_values = 0;
    let mut quantity = |role, sane| {
        read.quantity(role, sane).unwrap_or_else(|BadValue| {
            bad_values += 1;
            None
        })
    };
    let rate_gpm = quantity(Role::Rate, &RATE_GPM);
    let fluid_f = quantity(Role::FluidTemperature, &TEMPERATURE_F);
    let ambient_f = quantity(Role::AmbientTemperature, &TEMPERATURE_F);
    let battery_percent = quantity(Role::BatteryPercent, &BATTERY_PERCENT);
    let runtime_min = quantity(Role::RunTime, &RUN_TIME_MIN);
    let battery_volts = quantity(Role::BatteryVolts, &BATTERY_VOLTS);
    let mut register = |role| {
        read.integer(role).unwrap_or_else(|_| {
            bad_values += 1;
            None
        })
    };
    let (rollover, power_up) = (register(Role::Rollover), register(Role::PowerUp));
    let raw = match profile.counts_from() {
        CountsFrom::RawCount => read.integer(Role::RawCount)?.ok_or(Fault::Malformed)?,
        CountsFrom::Total => read.total()?,
        CountsFrom::Rate => rate_gpm.map(|_| 0).ok_or(Fault::Malformed)?,
    };
    let sample = Sample {
        serial: read.serial()?,
        seq: read.sequence()?,
        raw,
        rate_gpm,
        fluid_f,
        ambient_f,
        battery_percent,
        runtime_min,
        battery_volts,
        rollover,
        power_up,
        status: read.status(),
    };
    Ok((sample, bad_values))
}

/// A sensor's value that is no number, or that can't be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct BadValue;

struct Read<'a> {
    profile: &'a Profile,
    values: &'a Values,
}

impl Read<'_> {
    fn serial(&self) -> Result<Option<String>, Fault> {
        let text = match self.values.get(&Role::SerialNumber) {
            None => return Ok(None),
            Some(Value::Text(text)) => text.trim_matches([' ', '\0']).to_owned(),
            Some(Value::Integer(number)) => number.to_string(),
            Some(Value::Number(..) | Value::Unreadable) => return Err(Fault::Malformed),
        };
        if !text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            return Err(Fault::Malformed);
        }
        if text.len() > SERIAL_CHARS {
            return Err(Fault::OutOfRange);
        }
        Ok((!text.is_empty()).then_some(text))
    }

    /// What the meter says of itself, of printable characters.
    fn status(&self) -> Option<String> {
        let text = match self.values.get(&Role::Status)? {
            Value::Text(text) => text.trim_matches([' ', '\0']).to_owned(),
            Value::Integer(number) => number.to_string(),
            Value::Number(number, _) => number.to_string(),
            Value::Unreadable => return None,
        };
        let printable = text.bytes().all(|b| b == b' ' || b.is_ascii_graphic());
        (printable && (1..=STATUS_CHARS).contains(&text.len())).then_some(text)
    }

    fn integer(&self, role: Role) -> Result<Option<u64>, Fault> {
        match self.values.get(&role) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some(*number)),
            // A whole number that is written with digits alone, but too long for a count.
            Some(Value::Number(number, _)) if *number >= MOST_COUNTS => Err(Fault::OutOfRange),
            Some(Value::Number(..) | Value::Text(_) | Value::Unreadable) => Err(Fault::Malformed),
        }
    }

    fn sequence(&self) -> Result<Option<u16>, Fault> {
        let Some(number) = self.integer(Role::Sequence)? else {
            return Ok(None);
        };
        match self.profile.counter.seq_modulus {
            Some(modulus) if number >= u64::from(modulus) => Err(Fault::OutOfRange),
            // Without a modulus nobody goes by the number, so that it may be any.
            _ => Ok(u16::try_from(number).ok()),
        }
    }

    fn number(&self, role: Role) -> Result<Option<(f64, u8)>, BadValue> {
        match self.values.get(&role) {
            None => Ok(None),
            Some(Value::Integer(number)) => Ok(Some((*number as f64, 0))),
            Some(Value::Number(number, decimals)) => Ok(Some((*number, *decimals))),
            Some(Value::Text(_) | Value::Unreadable) => Err(BadValue),
        }
    }

    /// The total in counts of the resolution declared.
    fn total(&self) -> Result<u64, Fault> {
        let field = self.profile.fields.get(&Role::Total).ok_or(Fault::Malformed)?;
        let resolution = field.resolution.ok_or(Fault::Malformed)?;
        let read = self.number(Role::Total).map_err(|BadValue| Fault::Malformed)?;
        let (number, decimals) = read.ok_or(Fault::Malformed)?;
        let counts = (field.in_unit(number, decimals) / resolution).round();
        if (0.0..MOST_COUNTS).contains(&counts) {
            Ok(counts as u64)
        } else {
            Err(Fault::OutOfRange)
        }
    }

    fn quantity(&self, role: Role, sane: &RangeInclusive<f64>) -> Result<Option<f64>, BadValue> {
        let (Some(field), Some((number, decimals))) =
            (self.profile.fields.get(&role), self.number(role)?)
        else {
            return Ok(None);
        };
        // A sum with 0 turns −0 into 0.
        let value = field.value(number, decimals) + 0.0;
        if sane.contains(&value) { Ok(Some(value)) } else { Err(BadValue) }
    }
}
