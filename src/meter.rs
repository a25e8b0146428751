//! The flow meter, from bytes to believed counts: profiles say how a meter speaks,
//! decoders turn bytes into samples, the counter judges them, the calibration turns
//! counts into volume.
//!
//! Pure but for [`load`], which reads a profile's file. Knows no port, no clock, and not
//! what becomes of a sample.

pub mod ascii;
pub mod battery;
pub mod calibration;
pub mod counter;
pub mod crc;
pub mod frequency;
pub mod integral;
mod lines;
pub mod load;
pub mod modbus;
pub mod polling;
pub mod profile;
pub mod values;

pub use load::load;
