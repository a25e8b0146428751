//! Where a device of the rig speaks into: a pseudoterminal, or a real serial port with a
//! real board at its other end. Knows nothing of what is said.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

use crate::pty::{Dropped, Pty, PtyError, Written, take_input, write_what_fits};

/// Why an outlet can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OutletError {
    /// The pseudoterminal failed.
    #[error(transparent)]
    Pty(#[from] PtyError),
    /// The real port can't be opened or set.
    #[error("can't use the serial port {}", port.display())]
    Device {
        /// Its path.
        port: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

/// A pseudoterminal or a real port.
#[derive(Debug)]
pub enum Outlet {
    /// Under a stable name.
    Pty(Pty),
    /// A real port.
    Device(Device),
}

/// A real serial port, opened raw. A pulled cable is silence.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
    plugged: bool,
    dropped: Dropped,
}

impl Outlet {
    /// A pseudoterminal named `link`.
    ///
    /// # Errors
    /// Where there is none to be had.
    pub fn pty(link: &Path) -> Result<Self, OutletError> {
        Ok(Self::Pty(Pty::plug_new(link)?))
    }

    /// A real port at `baud` bits a second, 8N1.
    ///
    /// # Errors
    /// Where it can't be opened or is no serial port.
    pub fn device(port: &Path, baud: u32) -> Result<Self, OutletError> {
        let fd = open_raw(port, baud)
            .map_err(|errno| OutletError::Device { port: port.to_owned(), source: errno.into() })?;
        Ok(Self::Device(Device { fd, plugged: true, dropped: Dropped::default() }))
    }

    /// Puts the cable in.
    ///
    /// # Errors
    /// Where no new pseudoterminal is to be had.
    pub fn plug(&mut self) -> Result<(), OutletError> {
        match self {
            Self::Pty(pty) => pty.plug()?,
            Self::Device(device) => device.plugged = true,
        }
        Ok(())
    }

    /// Pulls the cable.
    ///
    /// # Errors
    /// Where the stable name can't be removed.
    pub fn unplug(&mut self) -> Result<(), OutletError> {
        match self {
            Self::Pty(pty) => pty.unplug()?,
            Self::Device(device) => device.plugged = false,
        }
        Ok(())
    }

    /// Whether the cable is in.
    pub fn plugged(&self) -> bool {
        match self {
            Self::Pty(pty) => pty.plugged(),
            Self::Device(device) => device.plugged,
        }
    }

    /// Notices a reader that has gone (see [`Pty::look`]).
    ///
    /// # Errors
    /// Where no new pseudoterminal is to be had.
    pub fn look(&mut self) -> Result<(), OutletError> {
        if let Self::Pty(pty) = self {
            pty.look()?;
        }
        Ok(())
    }

    /// Looks, and gives what the reader has said since the last time.
    ///
    /// # Errors
    /// Where no new pseudoterminal is to be had.
    pub fn listen(&mut self) -> Result<Vec<u8>, OutletError> {
        match self {
            Self::Pty(pty) => Ok(pty.listen()?),
            Self::Device(device) => Ok(device.listen()),
        }
    }

    /// Whether the reader's DTR has risen since this was asked the last time; a real port's
    /// is not watched.
    pub fn dtr_rose(&mut self) -> bool {
        match self {
            Self::Pty(pty) => pty.dtr_rose(),
            Self::Device(_) => false,
        }
    }

    /// Writes without waiting; what can't go out is dropped and counted.
    ///
    /// # Errors
    /// Where the reader had gone and no new pseudoterminal is to be had.
    pub fn write(&mut self, bytes: &[u8]) -> Result<Written, OutletError> {
        match self {
            Self::Pty(pty) => Ok(pty.write(bytes)?),
            Self::Device(device) => Ok(device.write(bytes)),
        }
    }

    /// What never reached a reader.
    pub fn dropped(&self) -> Dropped {
        match self {
            Self::Pty(pty) => pty.dropped(),
            Self::Device(device) => device.dropped,
        }
    }
}

impl Device {
    fn listen(&self) -> Vec<u8> {
        let mut heard = Vec::new();
        take_input(&self.fd, Some(&mut heard));
        if self.plugged { heard } else { Vec::new() }
    }

    fn write(&mut self, bytes: &[u8]) -> Written {
        if !self.plugged {
            self.dropped.unheard += bytes.len() as u64;
            return Written::Unplugged;
        }
        match write_what_fits(&self.fd, bytes) {
            0 => Written::All,
            left => {
                self.dropped.undrained += left as u64;
                Written::Cut(left)
            }
        }
    }
}

fn open_raw(port: &Path, baud: u32) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let fd = open(port, flags, Mode::empty())?;
    let mut modes = tcgetattr(&fd)?;
    modes.make_raw();
    modes.set_speed(baud)?;
    tcsetattr(&fd, OptionalActions::Now, &modes)?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_serial_port_is_refused_by_name() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let err = Outlet::device(file.path(), 9600).unwrap_err();
        assert!(err.to_string().contains(&file.path().display().to_string()));
    }
}
