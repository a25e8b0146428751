//! Opening one serial device the way a rig needs it. The only place that knows
//! `tokio_serial`'s builder and the terminal's flags.

use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::OFlags;
use rustix::termios::{
    ControlModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr,
};
use tokio_serial::{DataBits, SerialPortBuilderExt, SerialStream, StopBits};

use super::Settings;
use crate::config::Parity;

/// Opens `settings.path` exclusively (TIOCEXCL), raw, with HUPCL cleared.
///
/// HUPCL makes the kernel drop DTR at the last close, and many a microcontroller takes
/// that as a reset. It is cleared through a descriptor of our own, before the exclusive
/// one is opened, so that only the first open after plugging in can reset a meter.
pub fn open(settings: &Settings) -> io::Result<SerialStream> {
    let first = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags((OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed())
        .open(&settings.path)?;
    let mut terminal = tcgetattr(&first)?;
    terminal.control_modes &= !ControlModes::HUPCL;
    tcsetattr(&first, OptionalActions::Now, &terminal)?;
    let stream = tokio_serial::new(settings.path.to_string_lossy(), settings.baud)
        .data_bits(if settings.framing.data_bits == 7 { DataBits::Seven } else { DataBits::Eight })
        .parity(match settings.framing.parity {
            Parity::None => tokio_serial::Parity::None,
            Parity::Even => tokio_serial::Parity::Even,
            Parity::Odd => tokio_serial::Parity::Odd,
        })
        .stop_bits(if settings.framing.stop_bits == 2 { StopBits::Two } else { StopBits::One })
        .open_native_async()?;
    // What came while nobody read is of an unknown time.
    tcflush(&first, QueueSelector::IFlush)?;
    Ok(stream)
}
