//! Modbus RTU, as far as a meter that is read needs it: requests and their answers, registers
//! as numbers, and which registers one request can fetch. Pure; knows no port and no time, and
//! never writes to a meter.

pub mod frame;
pub mod plan;
pub mod poll;
pub mod value;
