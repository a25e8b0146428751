//! Kinds of meter: what each can tell, and how exactly. Units are those of the meters'
//! documents; where those leave one to the installer, it is what a small rig would set.
//! Knows no wire.
//!
//! | kind | speaks | total in steps of | rate | besides |
//! | --- | --- | --- | --- | --- |
//! | rig-line | a line a second | counts | gal/min | all |
//! | tuf-2000m | Modbus | 1 L | m³/h | T1 in °C |
//! | tuf-2000f | ASCII, asked | 1 L | m³/min | T1 in °C |
//! | badger-m2000 | Modbus | 0.01 gal | gal/min | rollovers, power-ups |
//! | fluidwell-e112 | Modbus | 0.01 gal | 0.01 gal/min | |
//! | aw-lake-edge | Modbus | no total | Hz and gal/min | K |
//! | dynasonics-tfx | Modbus | 0.01 gal | gal/min | T1 in °F |
//! | adam-4080 | ASCII, asked | counts | none | |
//! | teledyne-4250 | key-value line | 1 mL | 0.000001 m³/s | volts |
//! | pulse-text | text line | 1 mL | whole L/min | |

use serde::Deserialize;

use super::Sensors;

/// Litres in a US gallon, by its definition of 231 cubic inches.
pub const LITRES_A_GALLON: f64 = 3.785_411_784;

/// Steps of 0.01 gal in a gallon.
const HUNDREDTHS: f64 = 100.0;

/// A kind of meter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
pub enum Kind {
    /// A microcontroller that counts pulses.
    #[default]
    #[serde(rename = "rig-line")]
    RigLine,
    /// Ultrasonic, Modbus.
    #[serde(rename = "tuf-2000m")]
    Tuf2000m,
    /// Ultrasonic, asked in ASCII.
    #[serde(rename = "tuf-2000f")]
    Tuf2000f,
    /// Magnetic, Modbus.
    #[serde(rename = "badger-m2000")]
    BadgerM2000,
    /// Pulse indicator, Modbus.
    #[serde(rename = "fluidwell-e112")]
    FluidwellE112,
    /// Pulse sensor, Modbus: a frequency and a rate, no total.
    #[serde(rename = "aw-lake-edge")]
    AwLakeEdge,
    /// Ultrasonic, Modbus.
    #[serde(rename = "dynasonics-tfx")]
    DynasonicsTfx,
    /// Counter module, asked in ASCII: a count, no rate.
    #[serde(rename = "adam-4080")]
    Adam4080,
    /// Area-velocity meter, says a key-value line.
    #[serde(rename = "teledyne-4250")]
    Teledyne4250,
    /// The hobby sketches' text.
    #[serde(rename = "pulse-text")]
    PulseText,
}

/// What an answer tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The count or total.
    Count,
    /// The rate or frequency.
    Rate,
    /// The fluid's temperature.
    Temperature,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RigLine,
        Self::Tuf2000m,
        Self::Tuf2000f,
        Self::BadgerM2000,
        Self::FluidwellE112,
        Self::AwLakeEdge,
        Self::DynasonicsTfx,
        Self::Adam4080,
        Self::Teledyne4250,
        Self::PulseText,
    ];

    /// Its name in scenarios, and that of the agent's profile for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::RigLine => "rig-line",
            Self::Tuf2000m => "tuf-2000m",
            Self::Tuf2000f => "tuf-2000f",
            Self::BadgerM2000 => "badger-m2000",
            Self::FluidwellE112 => "fluidwell-e112",
            Self::AwLakeEdge => "aw-lake-edge",
            Self::DynasonicsTfx => "dynasonics-tfx",
            Self::Adam4080 => "adam-4080",
            Self::Teledyne4250 => "teledyne-4250",
            Self::PulseText => "pulse-text",
        }
    }

    /// Whether it speaks Modbus RTU.
    pub fn is_modbus(self) -> bool {
        matches!(
            self,
            Self::Tuf2000m
                | Self::BadgerM2000
                | Self::FluidwellE112
                | Self::AwLakeEdge
                | Self::DynasonicsTfx
        )
    }

    /// Whether it speaks only when asked.
    pub fn is_asked(self) -> bool {
        self.is_modbus() || matches!(self, Self::Tuf2000f | Self::Adam4080)
    }

    /// Whether what it says is protected by a checksum.
    pub fn has_checksum(self) -> bool {
        !matches!(self, Self::Adam4080 | Self::PulseText)
    }

    /// Whether it tells a count or a total. One that doesn't can only be integrated.
    pub fn tells_count(self) -> bool {
        self != Self::AwLakeEdge
    }

    /// Whether it tells a rate.
    pub fn tells_rate(self) -> bool {
        self != Self::Adam4080
    }

    /// Whether it keeps its total without power; one that doesn't counts from 0 again.
    pub fn keeps_total(self) -> bool {
        self.is_modbus() && self.tells_count()
            || matches!(self, Self::Tuf2000f | Self::Teledyne4250)
    }

    /// Whether it tells how often it got power.
    pub fn tells_power_ups(self) -> bool {
        self == Self::BadgerM2000
    }

    /// Whether it tells its serial number in every line.
    pub fn tells_serial(self) -> bool {
        self == Self::RigLine
    }

    /// What says that a sample is there: the count, or the rate where there is none.
    pub fn essential(self) -> Part {
        if self.tells_count() { Part::Count } else { Part::Rate }
    }

    /// Steps of its total a gallon; `None` where it counts pulses and K says how many.
    pub fn steps_a_gallon(self) -> Option<f64> {
        match self {
            Self::Tuf2000m | Self::Tuf2000f => Some(LITRES_A_GALLON),
            Self::BadgerM2000 | Self::FluidwellE112 | Self::DynasonicsTfx => Some(HUNDREDTHS),
            Self::Teledyne4250 | Self::PulseText => Some(LITRES_A_GALLON * 1000.0),
            Self::RigLine | Self::AwLakeEdge | Self::Adam4080 => None,
        }
    }

    /// The count after which it shows 0 again, plus one, unless it is set otherwise: what
    /// its digits or its type can hold.
    pub fn modulus(self) -> u64 {
        match self {
            Self::RigLine | Self::Adam4080 | Self::PulseText | Self::AwLakeEdge => 1 << 32,
            Self::Tuf2000m => 1 << 31,
            // Seven digits; a hundredth is exact in an f32 up to there.
            Self::Tuf2000f | Self::BadgerM2000 | Self::DynasonicsTfx => 10_000_000,
            Self::FluidwellE112 => 10_000_000_000,
            Self::Teledyne4250 => 1_000_000_000_000,
        }
    }

    /// A rate in gallons a minute as exactly as it tells it.
    pub fn rate_told(self, gpm: f64) -> f64 {
        let in_steps = |steps_a_gpm: f64| (gpm * steps_a_gpm).round() / steps_a_gpm;
        match self {
            // The sketches cut the fraction off.
            Self::PulseText => (gpm * LITRES_A_GALLON).floor() / LITRES_A_GALLON,
            Self::Teledyne4250 => in_steps(LITRES_A_GALLON / 60.0 * 1000.0),
            Self::FluidwellE112 => in_steps(HUNDREDTHS),
            _ => gpm,
        }
    }

    /// Those sensors that it tells.
    pub fn sensors_told(self, all: Sensors) -> Sensors {
        let none = Sensors {
            fluid_f: None,
            ambient_f: None,
            battery_percent: None,
            runtime_min: None,
            battery_volts: None,
        };
        match self {
            Self::RigLine => Sensors { battery_volts: None, ..all },
            Self::Tuf2000m | Self::Tuf2000f | Self::DynasonicsTfx => {
                Sensors { fluid_f: all.fluid_f, ..none }
            }
            Self::Teledyne4250 => Sensors { battery_volts: all.battery_volts, ..none },
            _ => none,
        }
    }
}

/// °C of °F.
pub(super) fn celsius(fahrenheit: f64) -> f64 {
    (fahrenheit - 32.0) / 1.8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_read_by_the_name_of_its_profile() {
        for kind in Kind::ALL {
            let read: Kind = serde_json::from_value(kind.name().into()).unwrap();
            assert_eq!(read, kind);
        }
    }

    #[test]
    fn rates_are_told_no_more_exactly_than_the_meter_can() {
        let two = |kind: Kind| kind.rate_told(2.0);
        // 7.57 L/min, 0.000126 m³/s.
        assert!((two(Kind::PulseText) - 7.0 / LITRES_A_GALLON).abs() < 1e-12);
        assert!((two(Kind::Teledyne4250) - 126.0 * 0.06 / LITRES_A_GALLON).abs() < 1e-9);
        assert_eq!(Kind::FluidwellE112.rate_told(2.004), 2.0);
        assert_eq!(two(Kind::Tuf2000m), 2.0);
    }

    #[test]
    fn what_a_meter_does_not_measure_it_does_not_tell() {
        let told = |kind: Kind| kind.sensors_told(Sensors::default());
        assert_eq!(told(Kind::BadgerM2000).fluid_f, None);
        assert_eq!(told(Kind::Tuf2000m).fluid_f, Some(76.8));
        assert_eq!(told(Kind::Teledyne4250).battery_volts, Some(12.3));
        assert_eq!(told(Kind::RigLine).battery_volts, None);
    }
}
