//! The rig as configured: the configuration and its meter's profile together, since
//! neither says alone how counts become gallons. Plain data.

use std::sync::Arc;

use super::Rules;
use crate::config::{Config, Framing};
use crate::meter::battery::{Curve, CurveError};
use crate::meter::calibration::{Calibration, CalibrationError};
use crate::meter::counter;
use crate::meter::profile::Profile;
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
        let factor = config.meter.calibration.factor;
        let k = KFactor::new(factor).ok_or(RigError::Factor(factor))?;
        Ok(Rules {
            counter: counter::Rules {
                modulus: config.meter.counter.modulus,
                max_rate_gpm: config.meter.counter.max_rate_gpm,
                k,
                restart_from: traits.restart_from,
                rollover_register: traits.rollover_register,
                seq_modulus: traits.seq_modulus,
            },
            calibration: Calibration::new(k, &config.meter.calibration.points)
                .map_err(RigError::Points)?,
            battery: Curve::new(&config.meter.battery.curve).map_err(RigError::Battery)?,
            configured_serial: config.meter.serial_number.clone(),
            record: config.record.clone(),
            low_flow_gpm: config.meter.counter.low_flow_gpm,
            fix_stale_ms: config.gps.stale_after.as_millis() as i64,
            max_count: config.jobcloser.max_count,
        })
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
