//! The rig as configured: the configuration and its meter's profile together, since
//! neither says alone how counts become gallons. Plain data.

use std::sync::Arc;

use super::Rules;
use crate::config::{self, Config, Framing};
use crate::meter::battery::{Curve, CurveError};
use crate::meter::calibration::{Calibration, CalibrationError};
use crate::meter::counter;
use crate::meter::profile::{CountsFrom, Profile};
use crate::port;
use crate::units::KFactor;

/// A configuration with its profile.
#[derive(Debug, Clone)]
pub struct Rig {
    /// The configuration.
    pub config: Arc<Config>,
    /// How the meter speaks.
    pub profile: Arc<Profile>,
}

/// Why a rig has no rules to go by; `check` has refused such a configuration.
#[derive(Debug, thiserror::Error)]
pub enum RigError {
    /// K isn't above zero.
    #[error("meter.calibration.factor {0} is not above zero")]
    Factor(f64),
    /// The points make no curve.
    #[error("meter.calibration.points make no curve")]
    Points(#[source] CalibrationError),
    /// Volts and percents make no curve.
    #[error("meter.battery.curve is no curve")]
    Battery(#[source] CurveError),
}

/// Framing of every NMEA receiver (NMEA 0183, 2.2).
const NMEA_FRAMING: Framing =
    Framing { data_bits: 8, parity: crate::config::Parity::None, stop_bits: 1 };

impl Rig {
    /// What the recorder goes by.
    ///
    /// # Errors
    /// Where K or its points make no calibration, or the battery's no curve.
    pub fn rules(&self) -> Result<Rules, RigError> {
        let (config, traits) = (&self.config, &self.profile.counter);
        let factor = self.counts_per_gallon();
        let k = KFactor::new(factor).ok_or(RigError::Factor(factor))?;
        Ok(Rules {
            counter: counter::Rules {
                modulus: self.modulus(),
                max_rate_gpm: config.meter.counter.max_rate_gpm,
                k,
                restart_from: traits.restart_from,
                rollover_register: traits.rollover_register,
                seq_modulus: traits.seq_modulus,
            },
            calibration: Calibration::new(k, &config.meter.calibration.points)
                .map_err(RigError::Points)?,
            integrated: self.profile.counts_from() == CountsFrom::Rate,
            battery: Curve::new(self.battery_curve()).map_err(RigError::Battery)?,
            configured_serial: config.meter.serial_number.clone(),
            record: config.record.clone(),
            low_flow_gpm: config.meter.counter.low_flow_gpm,
            fix_stale_ms: config.gps.stale_after.as_millis() as i64,
            max_count: config.jobcloser.max_count,
        })
    }

    /// K. Of a meter that tells a volume it follows from the profile; whoever caught a
    /// pailful and knows better sets the key.
    fn counts_per_gallon(&self) -> f64 {
        let (configured, usual) =
            (self.config.meter.calibration.factor, usual().calibration.factor);
        match self.profile.counts_per_gallon() {
            Some(of_profile) if configured == usual => of_profile,
            _ => configured,
        }
    }

    /// The profile's modulus, unless the key is set to another than the usual one.
    fn modulus(&self) -> u64 {
        let (configured, usual) = (self.config.meter.counter.modulus, usual().counter.modulus);
        match self.profile.counter.modulus {
            Some(of_profile) if configured == usual => of_profile,
            _ => configured,
        }
    }

    /// The configured curve of the battery, else the profile's.
    fn battery_curve(&self) -> &[(f64, f64)] {
        match self.config.meter.battery.curve.as_slice() {
            [] => &self.profile.battery_curve,
            configured => configured,
        }
    }

    /// What opens the meter's port.
    pub fn meter_port(&self) -> port::Settings {
        let meter = &self.config.meter;
        port::Settings { path: meter.port.clone(), baud: meter.baud, framing: meter.framing }
    }

    /// What opens the receiver's port.
    pub fn gps_port(&self) -> port::Settings {
        let gps = &self.config.gps;
        port::Settings { path: gps.port.clone(), baud: gps.baud, framing: NMEA_FRAMING }
    }
}

fn usual() -> config::Meter {
    config::Meter::default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rig(profile: &str, change: impl FnOnce(&mut Config)) -> Rules {
        let mut config = Config::default();
        change(&mut config);
        let profile = Profile::builtin(profile).unwrap().unwrap();
        Rig { config: Arc::new(config), profile: Arc::new(profile) }.rules().unwrap()
    }

    #[test]
    fn k_and_modulus_follow_from_a_profile_that_tells_volume_unless_they_are_set() {
        let rules = rig("badger-m2000", |_| {});
        assert!((rules.counter.k.counts_per_gallon() - 100.0).abs() < 1e-9);
        assert_eq!((rules.counter.modulus, rules.integrated), (10_000_000, false));
        let rules = rig("badger-m2000", |config| {
            config.meter.calibration.factor = 98.5;
            config.meter.counter.modulus = 1_000_000;
        });
        assert_eq!(rules.counter.k.counts_per_gallon(), 98.5);
        assert_eq!(rules.counter.modulus, 1_000_000);
    }

    #[test]
    fn a_meter_that_counts_is_calibrated_and_one_that_tells_a_rate_is_integrated() {
        let rules = rig("adam-4080", |_| {});
        assert_eq!(rules.counter.k.counts_per_gallon(), 126.7);
        let rules = rig("aw-lake-edge", |_| {});
        assert!(rules.integrated);
        assert!((rules.counter.k.counts_per_gallon() - 3_785.411_784).abs() < 1e-6);
    }
}
