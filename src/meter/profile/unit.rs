//! The units that a profile may name, and what one of each is in the agent's own: US
//! gallons, gallons a minute, °F, minutes, volts, percent. Knows no field and no meter.
//!
//! US gallon 231 in³, cubic foot 1728 in³, inch 25.4 mm, imperial gallon 4.54609 L: all
//! exact (NIST HB 44, appendix C; UK Weights and Measures Act 1985).

use super::Role;
use crate::units::UL_PER_GALLON;

/// Volumes by their words, in microlitres.
const VOLUMES: [(&str, f64); 7] = [
    ("gal", UL_PER_GALLON),
    ("imp_gal", 4_546_090.0),
    ("L", 1e6),
    ("mL", 1e3),
    ("m3", 1e9),
    ("m³", 1e9),
    ("ft3", 1728.0 * 16_387.064),
];

/// Times by their words, in minutes.
const TIMES: [(&str, f64); 3] = [("s", 1.0 / 60.0), ("min", 1.0), ("h", 60.0)];

/// What a unit measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Volume; the agent's own unit is the US gallon.
    Volume,
    /// Volume in a time; the agent's own is gallons a minute.
    Flow,
    /// The agent's own is °F.
    Temperature,
    /// The agent's own is the minute.
    Time,
    /// The agent's own is the volt.
    Voltage,
    /// Percent.
    Share,
}

impl Measure {
    /// Examples of its units, for messages.
    pub fn examples(self) -> &'static str {
        match self {
            Self::Volume => "gal, L, m3, imp_gal, mL or ft3",
            Self::Flow => "a volume by a time: gal/min, L/s, m3/h",
            Self::Temperature => "F, C or K",
            Self::Time => "s, min or h",
            Self::Voltage => "V or mV",
            Self::Share => "%",
        }
    }
}

/// A unit: the agent's own value is `number × factor + offset`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unit {
    measure: Measure,
    factor: f64,
    offset: f64,
}

impl Unit {
    /// The unit of that word; `None` for one that isn't known.
    pub fn parse(word: &str) -> Option<Self> {
        let linear = |measure, factor| Self { measure, factor, offset: 0.0 };
        let of = |table: &[(&str, f64)], word: &str| {
            table.iter().find(|(known, _)| *known == word).map(|(_, worth)| *worth)
        };
        if let Some((volume, time)) = word.split_once('/') {
            let (ul, minutes) = (of(&VOLUMES, volume)?, of(&TIMES, time)?);
            return Some(linear(Measure::Flow, ul / UL_PER_GALLON / minutes));
        }
        if let Some(ul) = of(&VOLUMES, word) {
            return Some(linear(Measure::Volume, ul / UL_PER_GALLON));
        }
        if let Some(minutes) = of(&TIMES, word) {
            return Some(linear(Measure::Time, minutes));
        }
        Some(match word {
            "F" | "°F" => linear(Measure::Temperature, 1.0),
            "C" | "°C" => Self { offset: 32.0, ..linear(Measure::Temperature, 1.8) },
            "K" => Self { offset: 32.0 - 273.15 * 1.8, ..linear(Measure::Temperature, 1.8) },
            "V" => linear(Measure::Voltage, 1.0),
            "mV" => linear(Measure::Voltage, 1e-3),
            "%" => linear(Measure::Share, 1.0),
            _ => return None,
        })
    }

    /// The agent's own unit for a role; `None` for one that has no unit.
    pub fn own(role: Role) -> Option<Self> {
        let measure = match role {
            Role::Total => Measure::Volume,
            Role::Rate => Measure::Flow,
            Role::FluidTemperature | Role::AmbientTemperature => Measure::Temperature,
            Role::BatteryPercent => Measure::Share,
            Role::BatteryVolts => Measure::Voltage,
            Role::RunTime => Measure::Time,
            Role::SerialNumber
            | Role::Sequence
            | Role::RawCount
            | Role::Status
            | Role::Rollover
            | Role::PowerUp => return None,
        };
        Some(Self { measure, factor: 1.0, offset: 0.0 })
    }

    /// What it measures.
    pub fn measure(self) -> Measure {
        self.measure
    }

    /// So many of it in the agent's own unit.
    pub fn own_value(self, number: f64) -> f64 {
        number * self.factor + self.offset
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(number: f64, unit: &str) -> f64 {
        Unit::parse(unit).unwrap().own_value(number)
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * b.abs().max(1.0)
    }

    #[test]
    fn a_gallon_is_a_gallon_however_it_is_measured() {
        for (number, unit) in [
            (1.0, "gal"),
            (3.785_411_784, "L"),
            (3_785.411_784, "mL"),
            (0.003_785_411_784, "m3"),
            (0.003_785_411_784, "m³"),
            (0.832_674_184_628_989_4, "imp_gal"),
            (231.0 / 1728.0, "ft3"),
        ] {
            assert!(near(own(number, unit), 1.0), "{unit}: {}", own(number, unit));
        }
    }

    #[test]
    fn rates_are_gallons_a_minute() {
        assert!(near(own(1.0, "gal/s"), 60.0));
        assert!(near(own(120.0, "gal/h"), 2.0));
        assert!(near(own(1.0, "m3/h"), 1000.0 / 3.785_411_784 / 60.0));
        assert!(near(own(3.785_411_784, "L/min"), 1.0));
    }

    #[test]
    fn temperatures_have_another_zero() {
        assert!(near(own(100.0, "C"), 212.0) && near(own(-40.0, "C"), -40.0));
        assert!(near(own(273.15, "K"), 32.0) && near(own(71.5, "F"), 71.5));
    }

    #[test]
    fn times_and_voltages_too() {
        assert!(near(own(90.0, "s"), 1.5) && near(own(2.0, "h"), 120.0));
        assert!(near(own(12_300.0, "mV"), 12.3));
    }

    #[test]
    fn a_word_that_is_none_is_no_unit() {
        for word in ["", "l", "gpm", "gal/", "/min", "gal/day", "gal/min/min", "litre"] {
            assert_eq!(Unit::parse(word), None, "{word}");
        }
    }
}
