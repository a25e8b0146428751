//! A profile: how a kind of meter speaks, as a technician writes it down in TOML. Pure:
//! text to checked data, every problem with its line. Where the text comes from is
//! [`super::load`]; knows no bytes and no port.
//!
//! One way of speaking so far, lines that the meter sends unasked (`ascii-stream`),
//! columns by position, xor8 checksum. Others are further variants of [`Speaks`],
//! [`Layout`] and [`Checksum`]; the roles, the counter and what a field may carry stay.

mod file;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How a kind of meter speaks.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Its name: that of its file, without `.toml`.
    pub name: String,
    /// The way it speaks.
    pub speaks: Speaks,
    /// Where each role stands in what it says.
    pub fields: BTreeMap<Role, Field>,
    /// How its count behaves.
    pub counter: CounterTraits,
}

/// A way of speaking.
#[derive(Debug, Clone, PartialEq)]
pub enum Speaks {
    /// It sends lines unasked.
    AsciiStream(AsciiStream),
}

/// Lines that the meter sends unasked.
#[derive(Debug, Clone, PartialEq)]
pub struct AsciiStream {
    /// What protects a line.
    pub checksum: Checksum,
    /// The longest line that is read, line end not counted.
    pub max_line_bytes: usize,
    /// How a line is laid out.
    pub layout: Layout,
}

/// What protects a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Checksum {
    /// As in NMEA 0183: the xor of every byte between `$` and `*`, then two hex digits.
    Xor8,
}

/// How a line is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Columns between commas.
    Csv {
        /// What stands before the first column; lines with another are not the meter's.
        prefix: String,
        /// How many columns a line has.
        columns: usize,
    },
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
    /// Flow rate; in gallons a minute after scale and offset.
    Rate,
    /// Temperature of the fluid; in °F.
    FluidTemperature,
    /// Ambient temperature; in °F.
    AmbientTemperature,
    /// Battery charge; 0 to 100.
    BatteryPercent,
    /// Run time left; in minutes.
    RunTime,
}

impl Role {
    /// Its key in a profile.
    pub fn word(self) -> &'static str {
        match self {
            Self::SerialNumber => "serial_number",
            Self::Sequence => "sequence",
            Self::RawCount => "raw_count",
            Self::Rate => "rate",
            Self::FluidTemperature => "fluid_temperature",
            Self::AmbientTemperature => "ambient_temperature",
            Self::BatteryPercent => "battery_percent",
            Self::RunTime => "run_time",
        }
    }

    /// Whether its value is a quantity that scale and offset apply to: the others are
    /// taken as they are, since a count that was scaled is no count.
    pub fn is_quantity(self) -> bool {
        !matches!(self, Self::SerialNumber | Self::Sequence | Self::RawCount)
    }
}

/// Where a role's value stands and what it is worth.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Where it stands.
    pub source: Source,
    /// value = number × scale + offset.
    pub scale: f64,
    /// See `scale`.
    pub offset: f64,
}

impl Field {
    /// The value that a number stands for.
    pub fn value(&self, number: f64) -> f64 {
        number * self.scale + self.offset
    }
}

/// Where a value stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// The column of that number; 1 is the first after the prefix.
    Position(usize),
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
    /// Whether the meter keeps track of its rollovers.
    pub rollover_register: bool,
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

/// The shipped profiles: name and text.
const BUILT_IN: [(&str, &str); 1] =
    [("rig-line", include_str!("../../config/meters/rig-line.toml"))];

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
}
