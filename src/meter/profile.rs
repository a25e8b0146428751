//! A profile: how a kind of meter speaks, as a technician writes it down in TOML. Pure:
//! text to checked data, every problem with its line. Where the text comes from is
//! [`super::load`]; knows no bytes and no port.
//!
//! Three ways of speaking: lines sent unasked, lines that answer, and Modbus. Whatever the
//! way, a profile names roles and where the value of each stands, and what is read becomes
//! the same [`Sample`](crate::reading::Sample).

mod file;
pub mod lines;
pub mod registers;
pub mod unit;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use lines::{AsciiLines, AsciiPoll, Request};
use registers::{Decimals, Modbus, Register};
use unit::Unit;

/// One count of a meter that gives only a rate is a millilitre.
const INTEGRATED_COUNT_GAL: f64 = 1e3 / crate::units::UL_PER_GALLON;

/// How a kind of meter speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name: that of its file, without `.toml`.
    pub name: String,
    /// The way it speaks.
    pub speaks: Speaks,
    /// Where each role stands in what it says. There is a raw count, a total or a rate.
    pub fields: BTreeMap<Role, Field>,
    /// How its count behaves.
    pub counter: CounterTraits,
    /// Volts to percent of its battery, ascending; `[meter.battery] curve` goes before it.
    pub battery_curve: Vec<(f64, f64)>,
}

/// A way of speaking.
#[derive(Debug, Clone, PartialEq)]
pub enum Speaks {
    /// It sends lines unasked.
    AsciiStream(AsciiLines),
    /// It answers with lines.
    AsciiPoll(AsciiPoll),
    /// It is a slave on Modbus.
    ModbusRtu(Modbus),
}

/// Where a profile's counts come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountsFrom {
    /// The meter counts.
    RawCount,
    /// The meter's total, at the resolution declared.
    Total,
    /// The rate, integrated: volume is lost with every sample that is missed.
    Rate,
}

/// What a field is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The meter's serial number, text.
    SerialNumber,
    /// The message's own sequence number.
    Sequence,
    /// The raw count.
    RawCount,
    /// The volume that it shows in all.
    Total,
    /// Flow rate.
    Rate,
    /// Temperature of the fluid.
    FluidTemperature,
    /// Ambient temperature.
    AmbientTemperature,
    /// Battery charge; 0 to 100.
    BatteryPercent,
    /// Battery voltage.
    BatteryVolts,
    /// Run time left.
    RunTime,
    /// What the meter says of itself, a number or a word.
    Status,
    /// How often its count rolled over.
    Rollover,
    /// How often it got power.
    PowerUp,
}

impl Role {
    /// Its key in a profile.
    pub fn word(self) -> &'static str {
        match self {
            Self::SerialNumber => "serial_number",
            Self::Sequence => "sequence",
            Self::RawCount => "raw_count",
            Self::Total => "total",
            Self::Rate => "rate",
            Self::FluidTemperature => "fluid_temperature",
            Self::AmbientTemperature => "ambient_temperature",
            Self::BatteryPercent => "battery_percent",
            Self::BatteryVolts => "battery_volts",
            Self::RunTime => "run_time",
            Self::Status => "status",
            Self::Rollover => "rollover",
            Self::PowerUp => "power_up",
        }
    }

    /// Whether its value is a quantity, with a unit, that scale and offset apply to: the
    /// others are taken as they are, since a count that was scaled is no count.
    pub fn is_quantity(self) -> bool {
        Unit::own(self).is_some()
    }

    /// Whether its value is a whole number from 0.
    pub fn is_count(self) -> bool {
        matches!(self, Self::Sequence | Self::RawCount | Self::Rollover | Self::PowerUp)
    }
}

/// Where a role's value stands and what it is worth:
/// value = number ÷ 10^decimals × scale + offset, in its unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Where it stands.
    pub source: Source,
    /// In the answer to which request, from 0; 0 for a meter that isn't asked.
    pub request: usize,
    /// To which base a number in text is written: 10 or 16.
    pub radix: u32,
    /// Where its decimal point stands.
    pub decimals: Decimals,
    /// See above.
    pub scale: f64,
    /// See above.
    pub offset: f64,
    /// The unit that it comes to; `None` for a role that has none.
    pub unit: Option<Unit>,
    /// Of a total that counts come from: how much one count is, in that unit.
    pub resolution: Option<f64>,
}

impl Field {
    /// The value that a number stands for, in the field's unit. `decimals` are those that
    /// another register told; a field that has fixed ones goes by its own.
    pub fn in_unit(&self, number: f64, decimals: u8) -> f64 {
        let decimals = match self.decimals {
            Decimals::Fixed(own) => own,
            Decimals::Register(_) => decimals,
        };
        number / 10_f64.powi(i32::from(decimals)) * self.scale + self.offset
    }

    /// The value that a number stands for, in the agent's own unit.
    pub fn value(&self, number: f64, decimals: u8) -> f64 {
        let value = self.in_unit(number, decimals);
        self.unit.map_or(value, |unit| unit.own_value(value))
    }
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The column of that number; 1 is the first after the prefix.
    Position(usize),
    /// Behind that name.
    Key(String),
    /// In that group of the pattern.
    Group(String),
    /// In that register.
    Register(Register),
}

/// How a meter's count behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CounterTraits {
    /// The count after which it shows 0 again, plus one; `[meter.counter] modulus` goes
    /// before it. `None`: it differs from one meter of the kind to another.
    pub modulus: Option<u64>,
    /// The sequence number is counted modulo this, from 0 at power-up, one more each line.
    pub seq_modulus: Option<u32>,
    /// Where the count begins when the meter gets power.
    pub restart_from: RestartFrom,
    /// Whether the meter keeps track of its rollovers, in the role `rollover`.
    pub rollover_register: bool,
    /// Whether it counts how often it got power, in the role `power_up`.
    pub power_up: bool,
}

/// Where a count begins when the meter gets power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartFrom {
    /// At 0: what it shows after a restart was counted since.
    Zero,
    /// Not known: what it shows after a restart is no volume.
    Unknown,
}

/// Why a text is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// No TOML, or keys and values that a profile doesn't have.
    #[error("meter profile {name}, line {line}: {}", .toml.message())]
    Syntax {
        /// The profile.
        name: String,
        /// Line of the text, from 1.
        line: usize,
        /// What is wrong with it. It isn't a cause: its own words draw the line over
        /// five lines of their own.
        toml: toml::de::Error,
    },
    /// A value that makes no sense.
    #[error("meter profile {name}, line {line}: {problem}")]
    Value {
        /// The profile.
        name: String,
        /// Line of the text, from 1.
        line: usize,
        /// What is wrong, and what would be right.
        problem: String,
    },
    /// No profile of that name.
    #[error("no meter profile {name}: looked in {looked_in}; built in: {built_in}")]
    Missing {
        /// As configured.
        name: String,
        /// The directories, or "no directory".
        looked_in: String,
        /// Names of the built-in ones.
        built_in: String,
    },
    /// A file that can't be read.
    #[error("cannot read meter profile {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

/// A shipped profile's name and text.
macro_rules! shipped {
    ($($name:literal),+ $(,)?) => {
        [$(($name, include_str!(concat!("../../config/meters/", $name, ".toml")))),+]
    };
}

/// The shipped profiles.
const BUILT_IN: [(&str, &str); 10] = shipped![
    "rig-line",
    "tuf-2000m",
    "tuf-2000f",
    "badger-m2000",
    "fluidwell-e112",
    "aw-lake-edge",
    "dynasonics-tfx",
    "adam-4080",
    "teledyne-4250",
    "pulse-text",
];

impl Profile {
    /// Reads a profile's text. `name` is that of its file, without `.toml`.
    pub fn parse(name: &str, text: &str) -> Result<Self, ProfileError> {
        file::read(name, text)
    }

    /// A shipped profile, by its name.
    pub fn builtin(name: &str) -> Option<Result<Self, ProfileError>> {
        Some(Self::parse(name, Self::builtin_text(name)?))
    }

    /// The text of a shipped profile.
    pub fn builtin_text(name: &str) -> Option<&'static str> {
        BUILT_IN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// The names of the shipped profiles.
    pub fn builtin_names() -> impl Iterator<Item = &'static str> {
        BUILT_IN.iter().map(|(name, _)| *name)
    }

    /// Whether the meter tells its serial number; where it doesn't, it is configured.
    pub fn tells_serial(&self) -> bool {
        self.fields.contains_key(&Role::SerialNumber)
    }

    /// What its lines look like; `None` where it doesn't speak in lines.
    pub fn lines(&self) -> Option<&AsciiLines> {
        match &self.speaks {
            Speaks::AsciiStream(lines) => Some(lines),
            Speaks::AsciiPoll(poll) => Some(&poll.lines),
            Speaks::ModbusRtu(_) => None,
        }
    }

    /// What a meter is asked that answers with lines; none of any other.
    pub fn requests(&self) -> &[Request] {
        match &self.speaks {
            Speaks::AsciiPoll(poll) => &poll.requests,
            Speaks::AsciiStream(_) | Speaks::ModbusRtu(_) => &[],
        }
    }

    /// Where its counts come from.
    pub fn counts_from(&self) -> CountsFrom {
        if self.fields.contains_key(&Role::RawCount) {
            CountsFrom::RawCount
        } else if self.fields.contains_key(&Role::Total) {
            CountsFrom::Total
        } else {
            CountsFrom::Rate
        }
    }

    /// Counts a US gallon, where the profile itself says what a count is; a meter that
    /// counts has to be calibrated.
    pub fn counts_per_gallon(&self) -> Option<f64> {
        match self.counts_from() {
            CountsFrom::RawCount => None,
            CountsFrom::Rate => Some(1.0 / INTEGRATED_COUNT_GAL),
            CountsFrom::Total => {
                let total = self.fields.get(&Role::Total)?;
                Some(1.0 / total.unit?.own_value(total.resolution?))
            }
        }
    }
}
